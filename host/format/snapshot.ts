// Codec of snapshot table entries.

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
import { getPointer, type Pointer, setPointer } from './pointer.ts';
import { getInstant, getU64, setInstant, setU64 } from './words.ts';

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
const decoder = new TextDecoder();

/** The entry at the start of `bytes`; undefined where there is none. Throws BAD_MAGIC. */
export function decodeSnapshot(bytes: Uint8Array): SnapshotEntry | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, SNAPSHOT_ENTRY_SIZE);
  const magic = view.getUint32(SNAPSHOT_MAGIC_OFFSET, true);
  if (magic === 0) return undefined;
  const kind = view.getUint32(SNAPSHOT_KIND_OFFSET, true);
  const nameLength = view.getUint16(SNAPSHOT_NAME_LENGTH_OFFSET, true);
  if (magic !== SNAPSHOT_MAGIC || nameLength > SNAPSHOT_NAME_SIZE_MAX) {
    throw new StorageError('BAD_MAGIC', 'an entry of the snapshot table is damaged');
  }
  if (kind !== SNAPSHOT_KIND_SNAPSHOT) {
    throw new StorageError(
      'UNSUPPORTED_FEATURE',
      `the snapshot table has a snapshot of kind ${kind}`,
    );
  }
  const name = bytes.slice(SNAPSHOT_NAME_OFFSET, SNAPSHOT_NAME_OFFSET + nameLength);
  return {
    id: getU64(view, SNAPSHOT_ID_OFFSET),
    parent: getU64(view, SNAPSHOT_PARENT_OFFSET),
    owner: view.getUint32(SNAPSHOT_OWNER_OFFSET, true),
    holds: view.getUint32(SNAPSHOT_HOLDS_OFFSET, true),
    name: decoder.decode(name),
    time: getInstant(view, SNAPSHOT_TIME_OFFSET),
    cp: getU64(view, SNAPSHOT_CP_OFFSET),
    blocks: getU64(view, SNAPSHOT_BLOCKS_OFFSET),
    imageRoot: getPointer(view, SNAPSHOT_IMAGE_ROOT_OFFSET),
    isDeleted: (view.getUint32(SNAPSHOT_FLAGS_OFFSET, true) & SNAPSHOT_FLAG_DELETED) !== 0,
    plane: bytes.slice(SNAPSHOT_PLANE_OFFSET, SNAPSHOT_PLANE_OFFSET + INODE_SIZE),
  };
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
