// The inode, read and changed in place in its frame (`at` = its address in the arena). There is no
// second copy in memory that could disagree with it.

import { POINTER_SIZE } from '../../assembly/layout/block.ts';
import {
  INODE_ATIME_OFFSET,
  INODE_BLOCKS_OFFSET,
  INODE_BTIME_OFFSET,
  INODE_CTIME_OFFSET,
  INODE_DATA_OFFSET,
  INODE_FLAGS_OFFSET,
  INODE_GENERATION_OFFSET,
  INODE_GID_OFFSET,
  INODE_LEVEL_MAX,
  INODE_LEVEL_OFFSET,
  INODE_LINKS_OFFSET,
  INODE_MODE_OFFSET,
  INODE_MTIME_OFFSET,
  INODE_NEXT_OFFSET,
  INODE_PARENT_OFFSET,
  INODE_POINTERS,
  INODE_QTREE_OFFSET,
  INODE_RESERVED_BYTES_OFFSET,
  INODE_SIZE,
  INODE_SIZE_OFFSET,
  INODE_UID_OFFSET,
  INODE_XATTR_OFFSET,
} from '../../assembly/layout/inode.ts';
import type { Instant } from '../base/units.ts';
import { getPointer, type Pointer } from './pointer.ts';
import { getInstant, getU64, setU64 } from './words.ts';

/** Bytes in the largest file: 2^53 - 1, what a JavaScript number counts. */
export const FILE_SIZE_MAX = Number.MAX_SAFE_INTEGER;

export const inodeMode = (v: DataView, at: number) => v.getUint32(at + INODE_MODE_OFFSET, true);
export const inodeLinks = (v: DataView, at: number) => v.getUint32(at + INODE_LINKS_OFFSET, true);
export const inodeGeneration = (v: DataView, at: number) =>
  v.getUint32(at + INODE_GENERATION_OFFSET, true);
export const inodeLevel = (v: DataView, at: number) => v.getUint8(at + INODE_LEVEL_OFFSET);
export const inodeFlags = (v: DataView, at: number) => v.getUint8(at + INODE_FLAGS_OFFSET);
export const inodeSizeBytes = (v: DataView, at: number) => getU64(v, at + INODE_SIZE_OFFSET);
export const inodeBlocks = (v: DataView, at: number) => getU64(v, at + INODE_BLOCKS_OFFSET);
export const inodeNext = (v: DataView, at: number) => getU64(v, at + INODE_NEXT_OFFSET);
export const inodeParent = (v: DataView, at: number) => getU64(v, at + INODE_PARENT_OFFSET);

export const setInodeSizeBytes = (v: DataView, at: number, size: number) =>
  setU64(v, at + INODE_SIZE_OFFSET, size);
export const addInodeBlocks = (v: DataView, at: number, count: number) =>
  setU64(v, at + INODE_BLOCKS_OFFSET, inodeBlocks(v, at) + count);

/** Address of pointer `index` of an inode's own. */
export function inodePointerAt(at: number, index: number): number {
  return at + INODE_DATA_OFFSET + index * POINTER_SIZE;
}

/** An inode as plain data, for inspect and verify. */
export interface InodeData {
  readonly mode: number;
  readonly links: number;
  readonly generation: number;
  readonly uid: number;
  readonly gid: number;
  readonly qtree: number;
  readonly level: number;
  readonly flags: number;
  readonly sizeBytes: number;
  readonly blocks: number;
  readonly reservedBytes: number;
  readonly next: number;
  readonly atime: Instant;
  readonly mtime: Instant;
  readonly ctime: Instant;
  readonly btime: Instant;
  readonly parent: number;
  readonly xattr: Pointer;
  /** Empty where the data is inline. */
  readonly pointers: readonly Pointer[];
}

export function decodeInode(view: DataView, at: number): InodeData {
  const level = inodeLevel(view, at);
  const pointers: Pointer[] = [];
  if (level > 0) {
    for (let index = 0; index < INODE_POINTERS; index++) {
      pointers.push(getPointer(view, inodePointerAt(at, index)));
    }
  }
  return {
    mode: inodeMode(view, at),
    links: inodeLinks(view, at),
    generation: inodeGeneration(view, at),
    uid: view.getUint32(at + INODE_UID_OFFSET, true),
    gid: view.getUint32(at + INODE_GID_OFFSET, true),
    qtree: view.getUint16(at + INODE_QTREE_OFFSET, true),
    level,
    flags: inodeFlags(view, at),
    sizeBytes: inodeSizeBytes(view, at),
    blocks: inodeBlocks(view, at),
    reservedBytes: getU64(view, at + INODE_RESERVED_BYTES_OFFSET),
    next: inodeNext(view, at),
    atime: getInstant(view, at + INODE_ATIME_OFFSET),
    mtime: getInstant(view, at + INODE_MTIME_OFFSET),
    ctime: getInstant(view, at + INODE_CTIME_OFFSET),
    btime: getInstant(view, at + INODE_BTIME_OFFSET),
    parent: inodeParent(view, at),
    xattr: getPointer(view, at + INODE_XATTR_OFFSET),
    pointers,
  };
}

/** What is wrong with the bytes of an inode that came from a medium; undefined = nothing. Checked
 *  once, when an inode block enters the cache, so that all later code may rely on it. */
export function inodeProblem(view: DataView, at: number): string | undefined {
  if (inodeLevel(view, at) > INODE_LEVEL_MAX) return 'level over the maximum';
  if (inodeSizeBytes(view, at) > FILE_SIZE_MAX) return 'size over 2^53 - 1';
  for (const offset of [INODE_BLOCKS_OFFSET, INODE_NEXT_OFFSET, INODE_PARENT_OFFSET]) {
    if (getU64(view, at + offset) > FILE_SIZE_MAX) return 'a field over 2^53 - 1';
  }
  return undefined;
}

/** Clears an inode for a new file or for none; the generation stays. */
export function clearInode(u8: Uint8Array, view: DataView, at: number): void {
  const generation = inodeGeneration(view, at);
  u8.fill(0, at, at + INODE_SIZE);
  view.setUint32(at + INODE_GENERATION_OFFSET, generation, true);
}
