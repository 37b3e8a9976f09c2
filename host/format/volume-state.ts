// Codec of the volume state: the file system's part of a volume root. The inodes of the volume
// files stay bytes: they are read and changed in place.

import { KIND_IMAGE_ROOT, POINTER_SIZE } from '../../assembly/layout/block.ts';
import { INODE_SIZE } from '../../assembly/layout/inode.ts';
import {
  IMAGE_ENTRY_POINTER_OFFSET,
  VOLUME_STATE_AREAS_OFFSET,
  VOLUME_STATE_BLOCKS_FREE_OFFSET,
  VOLUME_STATE_BLOCKS_SUMMARY_OFFSET,
  VOLUME_STATE_CP_OFFSET,
  VOLUME_STATE_DELETE_CURSOR_OFFSET,
  VOLUME_STATE_DELETING_OFFSET,
  VOLUME_STATE_IMAGE_COUNT_OFFSET,
  VOLUME_STATE_IMAGES_OFFSET,
  VOLUME_STATE_LOG_HALF_OFFSET,
  VOLUME_STATE_LOG_SEQUENCE_OFFSET,
  VOLUME_STATE_MAGIC,
  VOLUME_STATE_MAGIC_OFFSET,
  VOLUME_STATE_MIRROR_OFFSET,
  VOLUME_STATE_PARENT_OFFSET,
  VOLUME_STATE_PREVIOUS_CHECKSUM_OFFSET,
  VOLUME_STATE_ROLLBACKS_OFFSET,
  VOLUME_STATE_SIZE,
  VOLUME_STATE_SIZE_OFFSET,
  VOLUME_STATE_SNAPSHOT_NEXT_OFFSET,
  VOLUME_STATE_SNAPSHOTS_OFFSET,
  VOLUME_STATE_SUMMARY_MAP_OFFSET,
  VOLUME_STATE_TIME_OFFSET,
  VOLUME_STATE_TIMELINE_OFFSET,
  VOLUME_STATE_VBN_HIGH_OFFSET,
  VOLUME_STATE_VERSION,
  VOLUME_STATE_VERSION_OFFSET,
} from '../../assembly/layout/volume-state.ts';
import { StorageError } from '../base/errors.ts';
import type { Instant, Vbn } from '../base/units.ts';
import { checkZero, damaged, getTime } from './envelope.ts';
import { getPointer, type Pointer, pointerProblem, setPointer } from './pointer.ts';
import { getU64, setInstant, setU64 } from './words.ts';

export interface VolumeState {
  /** Counts consistency points; 0 = the volume was never formatted to the end. */
  cp: number;
  /** Last log record that the image contains. */
  logSequence: number;
  /** Two u32. */
  timelineLow: number;
  timelineHigh: number;
  /** Checksum of the image root before this one. */
  previousLow: number;
  previousHigh: number;
  time: Instant;
  logHalf: number;
  vbnHigh: Vbn;
  blocksFree: number;
  blocksSummary: number;
  snapshotNext: number;
  /** Snapshot that the active file system descends from; 0 = none. */
  parent: number;
  /** Snapshot being deleted, and the vbn up to which that is done. */
  deleting: number;
  deleteCursor: Vbn;
  rollbacks: number;
  imageRoot: Pointer;
}

/** Offsets of the volume files' inodes, for reading and changing them in place. */
export const VOLUME_FILE_OFFSETS = {
  summaryMap: VOLUME_STATE_SUMMARY_MAP_OFFSET,
  areaTable: VOLUME_STATE_AREAS_OFFSET,
  snapshotTable: VOLUME_STATE_SNAPSHOTS_OFFSET,
  mirrorState: VOLUME_STATE_MIRROR_OFFSET,
} as const;
export const VOLUME_FILES_FIRST_OFFSET = VOLUME_STATE_SUMMARY_MAP_OFFSET;
export const VOLUME_FILES_SIZE = 4 * INODE_SIZE;

/** Reads a state; its checksum is the volume root's. Throws BAD_MAGIC, VERSION_TOO_NEW,
 *  UNSUPPORTED_FEATURE. */
export function decodeVolumeState(bytes: Uint8Array): VolumeState {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getUint32(VOLUME_STATE_MAGIC_OFFSET, true) !== VOLUME_STATE_MAGIC) {
    throw new StorageError('BAD_MAGIC', 'the volume root holds no volume state');
  }
  const version = view.getUint32(VOLUME_STATE_VERSION_OFFSET, true);
  if (version > VOLUME_STATE_VERSION) {
    throw new StorageError('VERSION_TOO_NEW', `the volume state has version ${version}`);
  }
  const size = view.getUint32(VOLUME_STATE_SIZE_OFFSET, true);
  if (version === 0 || size !== VOLUME_STATE_SIZE) {
    throw new StorageError('BAD_MAGIC', `a volume state of version ${version}, ${size} bytes`);
  }
  const images = view.getUint32(VOLUME_STATE_IMAGE_COUNT_OFFSET, true);
  if (images !== 1) {
    throw new StorageError('UNSUPPORTED_FEATURE', `the volume has ${images} images, not one`);
  }
  const pointer = VOLUME_STATE_IMAGES_OFFSET + IMAGE_ENTRY_POINTER_OFFSET;
  checkZero(view, pointer + POINTER_SIZE, VOLUME_STATE_SIZE, NAME);
  const problem = pointerProblem(view, pointer);
  if (problem !== undefined) throw damaged(NAME, problem);
  const state = {
    cp: getU64(view, VOLUME_STATE_CP_OFFSET),
    logSequence: getU64(view, VOLUME_STATE_LOG_SEQUENCE_OFFSET),
    timelineLow: view.getUint32(VOLUME_STATE_TIMELINE_OFFSET, true),
    timelineHigh: view.getUint32(VOLUME_STATE_TIMELINE_OFFSET + 4, true),
    previousLow: view.getUint32(VOLUME_STATE_PREVIOUS_CHECKSUM_OFFSET, true),
    previousHigh: view.getUint32(VOLUME_STATE_PREVIOUS_CHECKSUM_OFFSET + 4, true),
    time: getTime(view, VOLUME_STATE_TIME_OFFSET, NAME),
    logHalf: view.getUint32(VOLUME_STATE_LOG_HALF_OFFSET, true),
    vbnHigh: getU64(view, VOLUME_STATE_VBN_HIGH_OFFSET),
    blocksFree: getU64(view, VOLUME_STATE_BLOCKS_FREE_OFFSET),
    blocksSummary: getU64(view, VOLUME_STATE_BLOCKS_SUMMARY_OFFSET),
    snapshotNext: getU64(view, VOLUME_STATE_SNAPSHOT_NEXT_OFFSET),
    parent: getU64(view, VOLUME_STATE_PARENT_OFFSET),
    deleting: getU64(view, VOLUME_STATE_DELETING_OFFSET),
    deleteCursor: getU64(view, VOLUME_STATE_DELETE_CURSOR_OFFSET),
    rollbacks: getU64(view, VOLUME_STATE_ROLLBACKS_OFFSET),
    imageRoot: getPointer(view, pointer),
  };
  const { time: _, imageRoot: _pointer, ...numbers } = state;
  const isSound =
    Object.values(numbers).every(Number.isFinite) &&
    state.logSequence < LOG_SEQUENCE_LIMIT &&
    state.logHalf <= 1 &&
    (state.imageRoot.kind === KIND_IMAGE_ROOT || state.cp === 0);
  if (isSound) return state;
  throw damaged(NAME, 'a number is out of range');
}

const NAME = 'volume state';
/** Sequence numbers of the log stay below this. */
const LOG_SEQUENCE_LIMIT = 2 ** 52;

/** Writes a state; `volumeFiles` are the VOLUME_FILES_SIZE bytes of the volume files' inodes. */
export function encodeVolumeState(state: VolumeState, volumeFiles: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(VOLUME_STATE_SIZE);
  const view = new DataView(bytes.buffer);
  view.setUint32(VOLUME_STATE_MAGIC_OFFSET, VOLUME_STATE_MAGIC, true);
  view.setUint32(VOLUME_STATE_VERSION_OFFSET, VOLUME_STATE_VERSION, true);
  view.setUint32(VOLUME_STATE_SIZE_OFFSET, VOLUME_STATE_SIZE, true);
  view.setUint32(VOLUME_STATE_IMAGE_COUNT_OFFSET, 1, true);
  setU64(view, VOLUME_STATE_CP_OFFSET, state.cp);
  setU64(view, VOLUME_STATE_LOG_SEQUENCE_OFFSET, state.logSequence);
  view.setUint32(VOLUME_STATE_TIMELINE_OFFSET, state.timelineLow, true);
  view.setUint32(VOLUME_STATE_TIMELINE_OFFSET + 4, state.timelineHigh, true);
  view.setUint32(VOLUME_STATE_PREVIOUS_CHECKSUM_OFFSET, state.previousLow, true);
  view.setUint32(VOLUME_STATE_PREVIOUS_CHECKSUM_OFFSET + 4, state.previousHigh, true);
  setInstant(view, VOLUME_STATE_TIME_OFFSET, state.time);
  view.setUint32(VOLUME_STATE_LOG_HALF_OFFSET, state.logHalf, true);
  setU64(view, VOLUME_STATE_VBN_HIGH_OFFSET, state.vbnHigh);
  setU64(view, VOLUME_STATE_BLOCKS_FREE_OFFSET, state.blocksFree);
  setU64(view, VOLUME_STATE_BLOCKS_SUMMARY_OFFSET, state.blocksSummary);
  setU64(view, VOLUME_STATE_SNAPSHOT_NEXT_OFFSET, state.snapshotNext);
  setU64(view, VOLUME_STATE_PARENT_OFFSET, state.parent);
  setU64(view, VOLUME_STATE_DELETING_OFFSET, state.deleting);
  setU64(view, VOLUME_STATE_DELETE_CURSOR_OFFSET, state.deleteCursor);
  setU64(view, VOLUME_STATE_ROLLBACKS_OFFSET, state.rollbacks);
  bytes.set(volumeFiles, VOLUME_FILES_FIRST_OFFSET);
  setPointer(view, VOLUME_STATE_IMAGES_OFFSET + IMAGE_ENTRY_POINTER_OFFSET, state.imageRoot);
  return bytes;
}
