// Making a volume out of disks: fronts are zeroed, a root is written to every disk, labels last, so
// that what a crash leaves behind is no volume yet.

import {
  AREA_STRIPES,
  BLOCK_SIZE,
  DATA_COLUMNS_MAX,
  PARITY_COLUMN,
  TETRIS_STRIPES,
} from '../../assembly/layout/block.ts';
import { JOURNAL_REGIONS } from '../../assembly/layout/journal.ts';
import {
  LABEL_COPIES,
  ROOT_COPIES,
  ROOT_RING_FIRST,
  ROOT_SLOTS,
} from '../../assembly/layout/label.ts';
import { VOLUME_ROOT_BLOCKS, VOLUME_ROOT_MEMBERS_MAX } from '../../assembly/layout/volume-root.ts';
import type { Clock, Prng } from '../base/env.ts';
import { StorageError } from '../base/errors.ts';
import type { Step } from '../base/task.ts';
import { all, wait } from '../base/task.ts';
import type { Dbn } from '../base/units.ts';
import type { Disk } from '../device/device.ts';
import type { Hash } from '../format/envelope.ts';
import { NO_FEATURES } from '../format/envelope.ts';
import type { Front, Label } from '../format/label.ts';
import { encodeLabel, frontOf } from '../format/label.ts';
import type { Member, RaidKind, Range, VolumeRoot } from '../format/volume-root.ts';
import { encodeVolumeRoot, VBN_LIMIT_MAX } from '../format/volume-root.ts';
import type { Arena } from '../kernels/arena.ts';
import type { KernelExports } from '../kernels/exports.ts';
import { Hasher } from './hasher.ts';

export interface FormatOptions {
  readonly disks: readonly Disk[];
  readonly raid: RaidKind;
  /** Blocks of the stripe journal on each disk; default by size of the disks, 0 for `none`. */
  readonly journalBlocks?: number | undefined;
  /** Blocks of a log area in the front (one-file volumes); default 0. */
  readonly logBlocks?: number | undefined;
  readonly env: { readonly clock: Clock; readonly prng: Prng };
  readonly arena: Arena;
  readonly kernels: KernelExports;
  /** The first volume state, VOLUME_STATE_SIZE bytes. */
  readonly initialState: Uint8Array;
}

export interface Formatted {
  readonly uuid: string;
  readonly front: Front;
  /** Blocks that can be allocated. */
  readonly blockCount: number;
}

/** Bounds of the default journal. 4 regions of 32 blocks: a stripe of 16 columns and parity
 *  fits. */
const JOURNAL_BLOCKS_MIN = 128;
const JOURNAL_BLOCKS_MAX = 1024;

/** Blocks that each disk must offer so that `usableBlocks` can be allocated on all of them. */
export function diskBlocksFor(options: {
  readonly raid: RaidKind;
  readonly diskCount: number;
  readonly usableBlocks: number;
  readonly logBlocks?: number | undefined;
}): number {
  const { raid, diskCount, usableBlocks } = options;
  checkKind(raid, diskCount);
  const columns = raid === 'none' ? diskCount : diskCount - 1;
  const stripes = Math.ceil(usableBlocks / columns / TETRIS_STRIPES) * TETRIS_STRIPES;
  const logBlocks = options.logBlocks ?? 0;
  // The journal's size follows the disk's, which includes it: a few rounds make it stable.
  let blocks = stripes;
  for (let round = 0; round < 8; round++) {
    blocks =
      frontOf({ journalBlocks: journalBlocksFor(raid, blocks), logBlocks }).dataFirst + stripes;
  }
  return blocks;
}

/** The default journal: 1/64 of a disk, within bounds. */
function journalBlocksFor(raid: RaidKind, diskBlocks: number): number {
  if (raid === 'none') return 0;
  const blocks = Math.floor(diskBlocks / 64 / JOURNAL_REGIONS) * JOURNAL_REGIONS;
  return Math.min(JOURNAL_BLOCKS_MAX, Math.max(JOURNAL_BLOCKS_MIN, blocks));
}

/** Writes an empty volume over whatever the disks hold.
 *  @throws StorageError INVALID_ARGUMENT, UNSUPPORTED_FEATURE, DISK_FAILED. */
export function* formatVolume(options: FormatOptions): Step<Formatted> {
  const { disks, raid, env, initialState } = options;
  checkKind(raid, disks.length);
  const hasher = new Hasher(options.arena, options.kernels);
  const smallest = Math.min(...disks.map(({ blockCount }) => blockCount));
  const journalBlocks = options.journalBlocks ?? journalBlocksFor(raid, smallest);
  checkJournal(raid, journalBlocks);
  const front = frontOf({ journalBlocks, logBlocks: options.logBlocks ?? 0 });
  const uuid = newUuid(env.prng);
  const members = disks.map((disk, index) =>
    memberOf(raid, disk, { index, count: disks.length, env, front }),
  );
  const ranges = rangesOf(raid, disks, front);
  const created = env.clock.now();
  const root: VolumeRoot = {
    raid,
    features: NO_FEATURES,
    uuid,
    epoch: 1,
    number: 1,
    time: created,
    created,
    groupCount: raid === 'none' ? disks.length : 1,
    journalSequence: 0,
    members,
    ranges,
    state: initialState,
  };
  yield* writeFronts(disks, front, root, hasher.hash);
  const labels = disks.map((_, index): Label => {
    const { uuid: diskUuid, group, column, blockCount } = members[index] as Member;
    const identity = { raid, features: NO_FEATURES, volumeUuid: uuid, diskUuid, created, index };
    return { ...identity, group, column, blockCount, epoch: 1, writer: 0n, front };
  });
  yield* writeLabels(disks, labels, hasher.hash);
  return { uuid, front, blockCount: ranges.reduce((sum, range) => sum + range.count, 0) };
}

/** Zeroes everything in front of the data, and writes the root. */
function* writeFronts(
  disks: readonly Disk[],
  front: Front,
  root: VolumeRoot,
  hash: Hash,
): Step<void> {
  for (const disk of disks) yield* zeroFront(disk, front);
  const bytes = encodeVolumeRoot(root, hash);
  const dbn = rootDbn(front, root.number);
  const views = new Array<Uint8Array>(ROOT_COPIES).fill(bytes);
  yield* wait(all(disks.map((disk) => writeIo(disk, dbn, views))));
  yield* wait(all(disks.map(flushIo)));
}

/** Old roots and journal entries must not be found again. What is beyond the file's end is zero. */
export function* zeroFront(disk: Disk, front: Front): Step<void> {
  const zeros = new Uint8Array(TETRIS_STRIPES * BLOCK_SIZE);
  const end = Math.min(front.logFirst, disk.lengthBlocks());
  for (let dbn = 0; dbn < end; dbn += TETRIS_STRIPES) {
    const count = Math.min(TETRIS_STRIPES, end - dbn);
    yield* wait(writeIo(disk, dbn, [zeros.subarray(0, count * BLOCK_SIZE)]));
  }
  yield* wait(flushIo(disk));
}

/** Writes both copies of each disk's label, the second after the first is durable. */
export function* writeLabels(
  disks: readonly Disk[],
  labels: readonly Label[],
  hash: Hash,
): Step<void> {
  const bytes = labels.map((label) => encodeLabel(label, hash));
  for (let copy = 0; copy < LABEL_COPIES; copy++) {
    yield* wait(all(disks.map((disk, index) => writeIo(disk, copy, [bytes[index] as Uint8Array]))));
    yield* wait(all(disks.map(flushIo)));
  }
}

/** First dbn of the two slots, side by side, of root `number`. */
export function rootDbn(front: Front, number: number): Dbn {
  return front.rootFirst + ((number * ROOT_COPIES) % ROOT_SLOTS) * VOLUME_ROOT_BLOCKS;
}

/** A random UUID (version 4). */
export function newUuid(prng: Prng): string {
  let digits = '';
  for (let word = 0; word < 4; word++) digits += prng.u32().toString(16).padStart(8, '0');
  const variant = '89ab'[Number.parseInt(digits[16] as string, 16) & 3];
  const body = `${digits.slice(0, 12)}4${digits.slice(13, 16)}${variant}${digits.slice(17)}`;
  return body.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}

function writeIo(disk: Disk, dbn: Dbn, views: readonly Uint8Array[]) {
  return { start: () => disk.write(dbn, views), startSync: () => disk.writeSync(dbn, views) };
}

function flushIo(disk: Disk) {
  return { start: () => disk.flush(), startSync: () => disk.flushSync() };
}

function memberOf(
  raid: RaidKind,
  disk: Disk,
  place: { index: number; count: number; env: { prng: Prng }; front: Front },
): Member {
  const { index, count, env, front } = place;
  const isParity = raid !== 'none' && index === count - 1;
  return {
    uuid: newUuid(env.prng),
    group: raid === 'none' ? index : 0,
    column: raid === 'none' ? 0 : isParity ? PARITY_COLUMN : index,
    state: 'active',
    blockCount: disk.blockCount,
    // Roots lie at the ring's start, so more than that need not exist.
    dbnHigh: Math.min(ROOT_RING_FIRST, front.dataFirst),
    epoch: 1,
  };
}

/** One range per data column, of whole tetrises, from vbn AREA_STRIPES on: vbn 0 is the hole. */
function rangesOf(raid: RaidKind, disks: readonly Disk[], front: Front): Range[] {
  const data = raid === 'none' ? disks : disks.slice(0, -1);
  const smallest = Math.min(...disks.map(({ blockCount }) => blockCount));
  const ranges: Range[] = [];
  let vbnFirst = AREA_STRIPES;
  data.forEach((disk, index) => {
    const offered = (raid === 'none' ? disk.blockCount : smallest) - front.dataFirst;
    const count = Math.floor(offered / TETRIS_STRIPES) * TETRIS_STRIPES;
    if (count <= 0) throw invalid(`${disk.name} is too small: ${disk.blockCount} blocks`);
    if (vbnFirst + count > VBN_LIMIT_MAX) throw invalid('a volume has at most 16 TiB');
    const [group, column] = raid === 'none' ? [index, 0] : [0, index];
    ranges.push({ vbnFirst, dbnFirst: front.dataFirst, count, group, column });
    vbnFirst = Math.ceil((vbnFirst + count) / AREA_STRIPES) * AREA_STRIPES;
  });
  return ranges;
}

function checkKind(raid: RaidKind, diskCount: number): void {
  if (raid === 'dp')
    throw new StorageError('UNSUPPORTED_FEATURE', 'double parity is not built yet');
  if (raid !== 'none' && raid !== 'raid4')
    throw invalid(`raid is none, raid4 or dp, not ${String(raid)}`);
  const [min, max] = raid === 'none' ? [1, VOLUME_ROOT_MEMBERS_MAX] : [2, DATA_COLUMNS_MAX + 1];
  if (!Number.isInteger(diskCount) || diskCount < min || diskCount > max) {
    throw invalid(`${raid} takes ${min} to ${max} disks, not ${diskCount}`);
  }
}

function checkJournal(raid: RaidKind, journalBlocks: number): void {
  const isWhole = Number.isInteger(journalBlocks) && journalBlocks % JOURNAL_REGIONS === 0;
  const min = raid === 'none' ? 0 : JOURNAL_BLOCKS_MIN;
  if (!isWhole || journalBlocks < min) {
    throw invalid(`journalBlocks is a multiple of ${JOURNAL_REGIONS}, at least ${min}`);
  }
}

function invalid(message: string): StorageError {
  return new StorageError('INVALID_ARGUMENT', message);
}
