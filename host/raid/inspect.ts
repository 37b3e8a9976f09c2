// Every structure at the front of a disk, decoded one by one, whatever state it is in: for
// `inspect`.

import { JOURNAL_REGIONS } from '../../assembly/layout/journal.ts';
import { LABEL_COPIES, ROOT_SLOTS } from '../../assembly/layout/label.ts';
import { VOLUME_ROOT_BLOCKS } from '../../assembly/layout/volume-root.ts';
import { isStorageError, StorageError } from '../base/errors.ts';
import type { Step } from '../base/task.ts';
import { wait } from '../base/task.ts';
import type { Dbn } from '../base/units.ts';
import type { Disk } from '../device/device.ts';
import type { Hash } from '../format/envelope.ts';
import type { JournalHeader } from '../format/journal.ts';
import { decodeJournalHeader } from '../format/journal.ts';
import type { Front, Label } from '../format/label.ts';
import { decodeLabel } from '../format/label.ts';
import type { VolumeRoot } from '../format/volume-root.ts';
import { decodeVolumeRoot } from '../format/volume-root.ts';
import { fetch, readLabel } from './survey.ts';

/** A structure, or why there is none. */
export interface Found<T> {
  readonly dbn: Dbn;
  readonly value?: T;
  readonly error?: StorageError;
}

export interface FrontStructures {
  readonly labels: readonly Found<Label>[];
  readonly roots: readonly Found<VolumeRoot>[];
  /** One per region; blocks that follow a header belong to its entry. */
  readonly journal: readonly Found<JournalHeader>[];
}

/** Roots and journal are looked for where the newest whole label says; without one, not at all. */
export function* inspectFront(disk: Disk, hash: Hash): Step<FrontStructures> {
  const labels: Found<Label>[] = [];
  for (let copy = 0; copy < LABEL_COPIES && copy < disk.blockCount; copy++) {
    labels.push(yield* look(disk, { dbn: copy, count: 1 }, (bytes) => decodeLabel(bytes, hash)));
  }
  const { label } = yield* readLabel(disk, hash);
  if (label === undefined) return { labels, roots: [], journal: [] };
  const roots: Found<VolumeRoot>[] = [];
  for (let slot = 0; slot < ROOT_SLOTS; slot++) {
    const dbn = label.front.rootFirst + slot * VOLUME_ROOT_BLOCKS;
    const place = { dbn, count: VOLUME_ROOT_BLOCKS };
    roots.push(yield* look(disk, place, (bytes) => decodeVolumeRoot(bytes, hash)));
  }
  const journal: Found<JournalHeader>[] = [];
  for (const dbn of regionsOf(label.front)) {
    const place = { dbn, count: 1 };
    journal.push(yield* look(disk, place, (bytes) => decodeJournalHeader(bytes, hash)));
  }
  return { labels, roots, journal };
}

function regionsOf(front: Front): Dbn[] {
  const blocks = Math.floor(front.journalBlocks / JOURNAL_REGIONS);
  if (blocks === 0) return [];
  return Array.from({ length: JOURNAL_REGIONS }, (_, region) => {
    return front.journalFirst + region * blocks;
  });
}

function* look<T>(
  disk: Disk,
  place: { readonly dbn: Dbn; readonly count: number },
  decode: (bytes: Uint8Array) => T,
): Step<Found<T>> {
  const { dbn, count } = place;
  const isInside = dbn + count <= disk.blockCount;
  const bytes = isInside ? yield* wait(fetch(disk, dbn, count)) : undefined;
  if (bytes === undefined) {
    const message = `${disk.name}: dbn ${dbn} cannot be read`;
    return { dbn, error: new StorageError('DISK_FAILED', message) };
  }
  try {
    return { dbn, value: decode(bytes) };
  } catch (error) {
    if (!isStorageError(error)) throw error;
    return { dbn, error };
  }
}
