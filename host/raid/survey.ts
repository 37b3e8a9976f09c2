// Looking at disks without touching them: labels and root slots, whatever state they are in. Also
// what `inspect` and the opening of files by name use.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { LABEL_COPIES, ROOT_SLOTS } from '../../assembly/layout/label.ts';
import { VOLUME_ROOT_BLOCKS, VOLUME_ROOT_SIZE } from '../../assembly/layout/volume-root.ts';
import type { StorageError } from '../base/errors.ts';
import { isStorageError } from '../base/errors.ts';
import type { Io, Step } from '../base/task.ts';
import { all, isPromise, wait } from '../base/task.ts';
import type { Dbn } from '../base/units.ts';
import type { Disk } from '../device/device.ts';
import type { Hash } from '../format/envelope.ts';
import type { Label } from '../format/label.ts';
import { decodeLabel } from '../format/label.ts';
import type { VolumeRoot } from '../format/volume-root.ts';
import { compareRoots, decodeVolumeRoot } from '../format/volume-root.ts';
import { guarded } from './member-disk.ts';

/** What was found on a disk. */
export interface DiskSurvey {
  readonly disk: Disk;
  /** The newest copy; undefined where neither is whole. */
  readonly label: Label | undefined;
  /** Valid roots of the label's volume, newest first. */
  readonly roots: readonly VolumeRoot[];
  /** A structure of a version that this code does not read. */
  readonly tooNew: StorageError | undefined;
}

export function* surveyDisk(disk: Disk, hash: Hash): Step<DiskSurvey> {
  const { label, tooNew } = yield* readLabel(disk, hash);
  if (label === undefined) return { disk, label, roots: [], tooNew };
  const found = yield* readRoots(disk, label, hash);
  return { disk, label, roots: found.roots, tooNew: tooNew ?? found.tooNew };
}

/** The newest label of a disk. Never throws for what the disk holds. `worse` is the copy that is
 *  not whole, or the older one: to be overwritten first, as a crash may tear it and must leave the
 *  other. (The same copy first each time, and two mounts that are cut, one in each copy, would
 *  leave none.) */
export function* readLabel(
  disk: Disk,
  hash: Hash,
): Step<{ label: Label | undefined; tooNew: StorageError | undefined; worse: number }> {
  let label: Label | undefined;
  let tooNew: StorageError | undefined;
  let worse = 0;
  for (let copy = 0; copy < LABEL_COPIES && copy < disk.blockCount; copy++) {
    const bytes = yield* wait(fetch(disk, copy, 1));
    const found = bytes === undefined ? {} : attempt(() => decodeLabel(bytes, hash));
    tooNew ??= found.tooNew;
    const { value } = found;
    if (label !== undefined && (value === undefined || label.epoch >= value.epoch)) {
      if (value?.epoch !== label.epoch) worse = copy;
    } else {
      label = value;
    }
  }
  return { label, tooNew, worse };
}

function* readRoots(
  disk: Disk,
  label: Label,
  hash: Hash,
): Step<{ roots: VolumeRoot[]; tooNew: StorageError | undefined }> {
  const { rootFirst } = label.front;
  const roots: VolumeRoot[] = [];
  let tooNew: StorageError | undefined;
  const slots = Array.from(
    { length: ROOT_SLOTS },
    (_, slot) => rootFirst + slot * VOLUME_ROOT_BLOCKS,
  );
  const inside = slots.filter((dbn) => dbn + VOLUME_ROOT_BLOCKS <= disk.blockCount);
  const contents = yield* wait(all(inside.map((dbn) => fetch(disk, dbn, VOLUME_ROOT_BLOCKS))));
  for (const bytes of contents) {
    if (bytes === undefined) continue;
    const found = attempt(() => decodeVolumeRoot(bytes.subarray(0, VOLUME_ROOT_SIZE), hash));
    tooNew ??= found.tooNew;
    if (found.value?.uuid === label.volumeUuid) roots.push(found.value);
  }
  roots.sort((a, b) => compareRoots(b, a));
  return { roots, tooNew };
}

function attempt<T>(decode: () => T): { value?: T; tooNew?: StorageError } {
  try {
    return { value: decode() };
  } catch (error) {
    if (isStorageError(error, 'VERSION_TOO_NEW')) return { tooNew: error };
    if (isStorageError(error, 'BAD_MAGIC') || isStorageError(error, 'BAD_CHECKSUM')) return {};
    throw error;
  }
}

/** Blocks of a disk, on the heap; undefined where they cannot be read. */
export function fetch(disk: Disk, dbn: Dbn, count: number): Io<Uint8Array | undefined> {
  const run = (how: 'start' | 'startSync') => {
    const bytes = new Uint8Array(count * BLOCK_SIZE);
    const io = guarded(
      () => disk.read(dbn, [bytes]),
      () => disk.readSync(dbn, [bytes]),
    );
    const give = (error: Error | undefined) => (error === undefined ? bytes : undefined);
    if (how === 'startSync') return give(io.startSync());
    const outcome = io.start();
    return isPromise(outcome) ? outcome.then(give) : give(outcome);
  };
  return { start: () => run('start'), startSync: () => run('startSync') as Uint8Array | undefined };
}
