// Codec of snapshot table entries.

import { KIND_IMAGE_ROOT } from '../../assembly/layout/block.ts';
import { INODE_SIZE } from '../../assembly/layout/inode.ts';
import {
  SNAPSHOT_BLOCKS_OFFSET,
  SNAPSHOT_CP_OFFSET,
  SNAPSHOT_ENTRY_SIZE,
  SNAPSHOT_FLAG_DELETED,
  SNAPSHOT_FLAGS_OFFSET,
  SNAPSHOT_HOLDS_OFFSET,
  SNAPSHOT_ID_OFFSET,
  SNAPSHOT_IMAGE_ROOT_OFFSET,
  SNAPSHOT_KIND_OFFSET,
  SNAPSHOT_KIND_SNAPSHOT,
  SNAPSHOT_MAGIC,
  SNAPSHOT_MAGIC_OFFSET,
  SNAPSHOT_NAME_LENGTH_OFFSET,
  SNAPSHOT_NAME_OFFSET,
  SNAPSHOT_NAME_SIZE_MAX,
  SNAPSHOT_OWNER_OFFSET,
  SNAPSHOT_PARENT_OFFSET,
  SNAPSHOT_PLANE_OFFSET,
  SNAPSHOT_TIME_OFFSET,
} from '../../assembly/layout/snapshot.ts';
import { StorageError } from '../base/errors.ts';
import type { Instant } from '../base/units.ts';
import { checkZero, damaged, getTime } from './envelope.ts';
import { getPointer, type Pointer, pointerProblem, setPointer } from './pointer.ts';
import { getU64, setInstant, setU64 } from './words.ts';

/** A saved image root (a PCPI in the mirroring texts). */
export interface SnapshotEntry {
  readonly id: number;
  /** In the snapshot tree (ENGINE 26); 0 = none. */
  parent: number;
  readonly owner: number;
  holds: number;
  name: string;
  readonly time: Instant;
  readonly cp: number;
  /** Blocks in its plane. */
  readonly blocks: number;
  readonly imageRoot: Pointer;
  isDeleted: boolean;
  /** Inode of its plane, INODE_SIZE bytes. */
  readonly plane: Uint8Array;
}

const encoder = new TextEncoder();
/** Every byte counts: none is passed over or made something else. */
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const ENTRY = 'entry of the snapshot table';

/** The entry at the start of `bytes`; undefined where there is none. Throws BAD_MAGIC,
 *  UNSUPPORTED_FEATURE. */
export function decodeSnapshot(bytes: Uint8Array): SnapshotEntry | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SNAPSHOT_ENTRY_SIZE);
  const magic = view.getUint32(SNAPSHOT_MAGIC_OFFSET, true);
  if (magic === 0) {
    checkZero(view, 0, SNAPSHOT_ENTRY_SIZE, ENTRY);
    return undefined;
  }
  const kind = view.getUint32(SNAPSHOT_KIND_OFFSET, true);
  const flags = view.getUint32(SNAPSHOT_FLAGS_OFFSET, true);
  const nameLength = view.getUint16(SNAPSHOT_NAME_LENGTH_OFFSET, true);
  if (magic !== SNAPSHOT_MAGIC || nameLength > SNAPSHOT_NAME_SIZE_MAX) {
    throw damaged(ENTRY, `magic ${magic}, a name of ${nameLength} bytes`);
  }
  if (kind !== SNAPSHOT_KIND_SNAPSHOT) {
    throw new StorageError(
      'UNSUPPORTED_FEATURE',
      `the snapshot table has a snapshot of kind ${kind}`,
    );
  }
  const nameEnd = SNAPSHOT_NAME_OFFSET + nameLength;
  checkZero(view, nameEnd, SNAPSHOT_PLANE_OFFSET, ENTRY);
  const entry = {
    id: getU64(view, SNAPSHOT_ID_OFFSET),
    parent: getU64(view, SNAPSHOT_PARENT_OFFSET),
    owner: view.getUint32(SNAPSHOT_OWNER_OFFSET, true),
    holds: view.getUint32(SNAPSHOT_HOLDS_OFFSET, true),
    name: nameOf(bytes.slice(SNAPSHOT_NAME_OFFSET, nameEnd)),
    time: getTime(view, SNAPSHOT_TIME_OFFSET, ENTRY),
    cp: getU64(view, SNAPSHOT_CP_OFFSET),
    blocks: getU64(view, SNAPSHOT_BLOCKS_OFFSET),
    imageRoot: getPointer(view, SNAPSHOT_IMAGE_ROOT_OFFSET),
    isDeleted: flags === SNAPSHOT_FLAG_DELETED,
    plane: bytes.slice(SNAPSHOT_PLANE_OFFSET, SNAPSHOT_PLANE_OFFSET + INODE_SIZE),
  };
  const { id, parent, cp, blocks, imageRoot } = entry;
  if (![id, parent, cp, blocks].every(Number.isFinite)) throw damaged(ENTRY, 'a number');
  if (flags > SNAPSHOT_FLAG_DELETED) throw damaged(ENTRY, `flags ${flags}`);
  const problem = pointerProblem(view, SNAPSHOT_IMAGE_ROOT_OFFSET);
  if (problem !== undefined) throw damaged(ENTRY, problem);
  if (imageRoot.kind !== KIND_IMAGE_ROOT) throw damaged(ENTRY, 'it leads to no image root');
  return entry;
}

function nameOf(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw damaged(ENTRY, 'its name is no text');
  }
}

/** Writes an entry, SNAPSHOT_ENTRY_SIZE bytes of zeros where `entry` is undefined. */
export function encodeSnapshot(bytes: Uint8Array, entry: SnapshotEntry | undefined): void {
  bytes.fill(0, 0, SNAPSHOT_ENTRY_SIZE);
  if (entry === undefined) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset, SNAPSHOT_ENTRY_SIZE);
  view.setUint32(SNAPSHOT_MAGIC_OFFSET, SNAPSHOT_MAGIC, true);
  view.setUint32(SNAPSHOT_KIND_OFFSET, SNAPSHOT_KIND_SNAPSHOT, true);
  setU64(view, SNAPSHOT_ID_OFFSET, entry.id);
  setU64(view, SNAPSHOT_PARENT_OFFSET, entry.parent);
  view.setUint32(SNAPSHOT_HOLDS_OFFSET, entry.holds, true);
  view.setUint32(SNAPSHOT_FLAGS_OFFSET, entry.isDeleted ? SNAPSHOT_FLAG_DELETED : 0, true);
  setInstant(view, SNAPSHOT_TIME_OFFSET, entry.time);
  view.setUint32(SNAPSHOT_OWNER_OFFSET, entry.owner, true);
  setU64(view, SNAPSHOT_CP_OFFSET, entry.cp);
  setU64(view, SNAPSHOT_BLOCKS_OFFSET, entry.blocks);
  setPointer(view, SNAPSHOT_IMAGE_ROOT_OFFSET, entry.imageRoot);
  const name = encoder.encode(entry.name);
  view.setUint16(SNAPSHOT_NAME_LENGTH_OFFSET, name.length, true);
  bytes.set(name, SNAPSHOT_NAME_OFFSET);
  bytes.set(entry.plane, SNAPSHOT_PLANE_OFFSET);
}
