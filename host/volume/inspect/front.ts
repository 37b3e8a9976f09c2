// The front of a disk, structure by structure, whatever state it is in.

import { BLOCK_SIZE } from '../../../assembly/layout/block.ts';
import { JOURNAL_REGIONS, JOURNAL_SIZE } from '../../../assembly/layout/journal.ts';
import {
  LABEL_COPIES,
  LABEL_SIZE,
  ROOT_RING_FIRST,
  ROOT_SLOTS,
} from '../../../assembly/layout/label.ts';
import { VOLUME_ROOT_BLOCKS, VOLUME_ROOT_SIZE } from '../../../assembly/layout/volume-root.ts';
import { isStorageError } from '../../base/errors.ts';
import type { Dbn } from '../../base/units.ts';
import type { Disk } from '../../device/device.ts';
import type { Hash } from '../../format/envelope.ts';
import { decodeJournalHeader } from '../../format/journal.ts';
import { decodeLabel, type Label } from '../../format/label.ts';
import { compareRoots, decodeVolumeRoot, type VolumeRoot } from '../../format/volume-root.ts';
import { FieldList, type Inspected, inspectStructure, viewOf } from './decode.ts';
import { JOURNAL, LABEL, type Structure, VOLUME_ROOT } from './structures.ts';

/** A structure and where on the disk it begins. */
export interface OnDisk extends Inspected {
  readonly dbn: Dbn;
}

/** What a front says. */
export interface Front {
  label: Label | undefined;
  /** The newest whole root. */
  root: VolumeRoot | undefined;
}

/** Bytes of a disk; undefined where it does not give them. */
export async function readDisk(
  disk: Disk,
  dbn: Dbn,
  count: number,
): Promise<Uint8Array | undefined> {
  if (dbn + count > disk.blockCount) return undefined;
  const bytes = new Uint8Array(count * BLOCK_SIZE);
  try {
    await disk.read(dbn, [bytes]);
  } catch (error) {
    if (!isStorageError(error)) throw error;
    return undefined;
  }
  return bytes;
}

/** Labels, the bytes between them and the roots, roots and journal headers; those of zeros are left
 *  out, but for labels. `front` is filled on the way. */
export async function* inspectFront(disk: Disk, hash: Hash, front: Front): AsyncGenerator<OnDisk> {
  for (let copy = 0; copy < LABEL_COPIES; copy++) {
    const size = LABEL_SIZE / BLOCK_SIZE;
    const found = await look(disk, { dbn: copy * size, count: size, structure: LABEL }, (bytes) => {
      const label = decodeLabel(bytes, hash);
      if (front.label === undefined || label.epoch > front.label.epoch) front.label = label;
    });
    if (found !== undefined) yield found;
  }
  const { label } = front;
  if (label === undefined) return;
  const between = await readDisk(disk, LABEL_COPIES, ROOT_RING_FIRST - LABEL_COPIES);
  if (between !== undefined) {
    const list = new FieldList(viewOf(between));
    list.plain('zeros', 0, between.length, 'zero');
    yield { ...list.done('front-zeros'), dbn: LABEL_COPIES };
  }
  for (let slot = 0; slot < ROOT_SLOTS; slot++) {
    const dbn = label.front.rootFirst + slot * VOLUME_ROOT_BLOCKS;
    const place = { dbn, count: VOLUME_ROOT_SIZE / BLOCK_SIZE, structure: VOLUME_ROOT };
    const found = await look(disk, place, (bytes) => {
      const root = decodeVolumeRoot(bytes, hash);
      if (front.root === undefined || compareRoots(root, front.root) > 0) front.root = root;
    });
    if (found !== undefined && !isEmpty(found)) yield found;
  }
  const regionBlocks = Math.floor(label.front.journalBlocks / JOURNAL_REGIONS);
  for (let region = 0; region < JOURNAL_REGIONS && regionBlocks > 0; region++) {
    const dbn = label.front.journalFirst + region * regionBlocks;
    const place = { dbn, count: JOURNAL_SIZE / BLOCK_SIZE, structure: JOURNAL };
    const found = await look(disk, place, (bytes) => decodeJournalHeader(bytes, hash));
    if (found !== undefined && !isEmpty(found)) yield found;
  }
}

/** Nothing was ever written there. */
function isEmpty(found: OnDisk): boolean {
  return found.fields.every(
    ({ value }) => value === 0 || value === 'zero' || /^[0-]*$/.test(`${value}`),
  );
}

async function look(
  disk: Disk,
  place: { readonly dbn: Dbn; readonly count: number; readonly structure: Structure },
  decode: (bytes: Uint8Array) => unknown,
): Promise<OnDisk | undefined> {
  const { dbn, count, structure } = place;
  const bytes = await readDisk(disk, dbn, count);
  if (bytes === undefined) {
    const problems = [`dbn ${dbn} cannot be read`];
    return { structure: structure.name, fields: [], problems, dbn };
  }
  const inspected = inspectStructure(structure, bytes);
  try {
    decode(bytes);
  } catch (error) {
    if (!isStorageError(error)) throw error;
    return { ...inspected, problems: [...inspected.problems, error.message], dbn };
  }
  return { ...inspected, dbn };
}
