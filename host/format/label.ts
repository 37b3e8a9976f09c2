// Labels: bytes <-> plain objects. See assembly/layout/label.ts.

import { DIAGONAL_COLUMN, TETRIS_STRIPES } from '../../assembly/layout/block.ts';
import {
  LABEL_BLOCKS_OFFSET,
  LABEL_COLUMN_OFFSET,
  LABEL_CREATED_OFFSET,
  LABEL_DATA_FIRST_OFFSET,
  LABEL_DISK_UUID_OFFSET,
  LABEL_EPOCH_OFFSET,
  LABEL_GROUP_OFFSET,
  LABEL_INCOMPATIBLE_OFFSET,
  LABEL_INDEX_OFFSET,
  LABEL_JOURNAL_BLOCKS_OFFSET,
  LABEL_JOURNAL_FIRST_OFFSET,
  LABEL_LOG_BLOCKS_OFFSET,
  LABEL_LOG_FIRST_OFFSET,
  LABEL_MAGIC,
  LABEL_RAID_OFFSET,
  LABEL_RESERVED0_OFFSET,
  LABEL_RESERVED1_OFFSET,
  LABEL_ROOT_BLOCKS_OFFSET,
  LABEL_ROOT_FIRST_OFFSET,
  LABEL_SIZE,
  LABEL_VERSION,
  LABEL_VOLUME_UUID_OFFSET,
  LABEL_WRITER_OFFSET,
  ROOT_RING_FIRST,
  ROOT_SLOTS,
} from '../../assembly/layout/label.ts';
import { VOLUME_ROOT_BLOCKS } from '../../assembly/layout/volume-root.ts';
import { assert } from '../base/assert.ts';
import type { Dbn, Instant } from '../base/units.ts';
import type { Envelope, Features, Hash } from './envelope.ts';
import {
  checkEnvelope,
  checkZero,
  damaged,
  getFeatures,
  getTime,
  getUuid,
  openEnvelope,
  sealEnvelope,
  setFeatures,
  setUuid,
  viewOf,
} from './envelope.ts';
import type { RaidKind } from './volume-root.ts';
import { getRaidKind, raidKindNumber } from './volume-root.ts';
import { getU64, setInstant, setU64 } from './words.ts';

/** Where the parts of a disk's front lie, in blocks. */
export interface Front {
  readonly rootFirst: Dbn;
  readonly rootBlocks: number;
  readonly journalFirst: Dbn;
  readonly journalBlocks: number;
  readonly logFirst: Dbn;
  readonly logBlocks: number;
  /** First dbn of the data, a multiple of TETRIS_STRIPES. */
  readonly dataFirst: Dbn;
}

export interface Label {
  readonly raid: RaidKind;
  readonly features: Features;
  readonly volumeUuid: string;
  readonly diskUuid: string;
  /** When the volume was made. */
  readonly created: Instant;
  readonly index: number;
  readonly group: number;
  readonly column: number;
  /** Blocks of the disk, front included. */
  readonly blockCount: number;
  readonly epoch: number;
  /** 64 random bits, one value per mount for writing. */
  readonly writer: bigint;
  readonly front: Front;
}

export const LABEL_ENVELOPE: Envelope = {
  name: 'label',
  magic: LABEL_MAGIC,
  version: LABEL_VERSION,
  sizeBytes: LABEL_SIZE,
};

/** The fronts of disks of one volume are all alike. */
export function frontOf(sizes: { journalBlocks: number; logBlocks: number }): Front {
  const rootBlocks = ROOT_SLOTS * VOLUME_ROOT_BLOCKS;
  const journalFirst = ROOT_RING_FIRST + rootBlocks;
  const logFirst = journalFirst + sizes.journalBlocks;
  const end = logFirst + sizes.logBlocks;
  const dataFirst = Math.ceil(end / TETRIS_STRIPES) * TETRIS_STRIPES;
  return { rootFirst: ROOT_RING_FIRST, rootBlocks, journalFirst, logFirst, dataFirst, ...sizes };
}

export function encodeLabel(label: Label, hash: Hash): Uint8Array {
  const bytes = openEnvelope(LABEL_ENVELOPE);
  const view = viewOf(bytes);
  view.setUint32(LABEL_RAID_OFFSET, raidKindNumber(label.raid), true);
  setFeatures(view, LABEL_INCOMPATIBLE_OFFSET, label.features);
  setUuid(view, LABEL_VOLUME_UUID_OFFSET, label.volumeUuid);
  setUuid(view, LABEL_DISK_UUID_OFFSET, label.diskUuid);
  setInstant(view, LABEL_CREATED_OFFSET, label.created);
  view.setUint32(LABEL_INDEX_OFFSET, label.index, true);
  view.setUint16(LABEL_GROUP_OFFSET, label.group, true);
  view.setUint16(LABEL_COLUMN_OFFSET, label.column, true);
  setU64(view, LABEL_BLOCKS_OFFSET, label.blockCount);
  setU64(view, LABEL_EPOCH_OFFSET, label.epoch);
  view.setBigUint64(LABEL_WRITER_OFFSET, label.writer, true);
  setU64(view, LABEL_ROOT_FIRST_OFFSET, label.front.rootFirst);
  setU64(view, LABEL_ROOT_BLOCKS_OFFSET, label.front.rootBlocks);
  setU64(view, LABEL_JOURNAL_FIRST_OFFSET, label.front.journalFirst);
  setU64(view, LABEL_JOURNAL_BLOCKS_OFFSET, label.front.journalBlocks);
  setU64(view, LABEL_LOG_FIRST_OFFSET, label.front.logFirst);
  setU64(view, LABEL_LOG_BLOCKS_OFFSET, label.front.logBlocks);
  setU64(view, LABEL_DATA_FIRST_OFFSET, label.front.dataFirst);
  assert(isFrontSane(label.front, label.blockCount), 'front is sane');
  return sealEnvelope(bytes, hash);
}

/** @throws StorageError BAD_MAGIC, BAD_CHECKSUM, VERSION_TOO_NEW. */
export function decodeLabel(bytes: Uint8Array, hash: Hash): Label {
  const view = checkEnvelope(bytes, LABEL_ENVELOPE, hash);
  const name = LABEL_ENVELOPE.name;
  checkZero(view, LABEL_RESERVED0_OFFSET, LABEL_BLOCKS_OFFSET, name);
  checkZero(view, LABEL_RESERVED1_OFFSET, LABEL_SIZE, name);
  const label: Label = {
    raid: getRaidKind(view.getUint32(LABEL_RAID_OFFSET, true)),
    features: getFeatures(view, LABEL_INCOMPATIBLE_OFFSET),
    volumeUuid: getUuid(view, LABEL_VOLUME_UUID_OFFSET),
    diskUuid: getUuid(view, LABEL_DISK_UUID_OFFSET),
    created: getTime(view, LABEL_CREATED_OFFSET, name),
    index: view.getUint32(LABEL_INDEX_OFFSET, true),
    group: view.getUint16(LABEL_GROUP_OFFSET, true),
    column: view.getUint16(LABEL_COLUMN_OFFSET, true),
    blockCount: getU64(view, LABEL_BLOCKS_OFFSET),
    epoch: getU64(view, LABEL_EPOCH_OFFSET),
    writer: view.getBigUint64(LABEL_WRITER_OFFSET, true),
    front: {
      rootFirst: getU64(view, LABEL_ROOT_FIRST_OFFSET),
      rootBlocks: getU64(view, LABEL_ROOT_BLOCKS_OFFSET),
      journalFirst: getU64(view, LABEL_JOURNAL_FIRST_OFFSET),
      journalBlocks: getU64(view, LABEL_JOURNAL_BLOCKS_OFFSET),
      logFirst: getU64(view, LABEL_LOG_FIRST_OFFSET),
      logBlocks: getU64(view, LABEL_LOG_BLOCKS_OFFSET),
      dataFirst: getU64(view, LABEL_DATA_FIRST_OFFSET),
    },
  };
  if (!isFrontSane(label.front, label.blockCount)) throw damaged(name, 'its front overlaps');
  if (label.column > DIAGONAL_COLUMN) throw damaged(name, `it says column ${label.column}`);
  if (!Number.isFinite(label.epoch)) throw damaged(name, 'its epoch is out of range');
  return label;
}

/** The parts lie one after the other, before the data, on the disk. */
function isFrontSane(front: Front, blockCount: number): boolean {
  return (
    front.rootFirst === ROOT_RING_FIRST &&
    front.rootBlocks === ROOT_SLOTS * VOLUME_ROOT_BLOCKS &&
    front.journalFirst === front.rootFirst + front.rootBlocks &&
    front.logFirst === front.journalFirst + front.journalBlocks &&
    front.dataFirst >= front.logFirst + front.logBlocks &&
    front.dataFirst % TETRIS_STRIPES === 0 &&
    front.dataFirst < blockCount &&
    blockCount < 2 ** 48
  );
}
