// What an inode must be by itself, whatever the rest of its image says.

import { BLOCK_SIZE } from '../../../assembly/layout/block.ts';
import {
  INODE_ATIME_OFFSET,
  INODE_BTIME_OFFSET,
  INODE_CTIME_OFFSET,
  INODE_DATA_OFFSET,
  INODE_FLAG_ZOMBIE,
  INODE_GENERATION_OFFSET,
  INODE_INLINE_SIZE,
  INODE_LEVEL_MAX,
  INODE_LINKS_OFFSET,
  INODE_MTIME_OFFSET,
  INODE_SIZE,
} from '../../../assembly/layout/inode.ts';
import {
  inodeFlags,
  inodeLevel,
  inodeMode,
  inodeNext,
  inodeParent,
  inodeSizeBytes,
} from '../../format/inode.ts';
import { getInstant } from '../../format/words.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG, SYMLINK_SIZE_MAX } from '../operations.ts';
import type { VerifyProblemKind } from './report.ts';

type Note = (kind: VerifyProblemKind, message: string) => void;

/** Whether bytes [from, to) are zero. */
export function isZeroAt(view: DataView, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (view.getUint8(at) !== 0) return false;
  return true;
}

/** A free inode holds its generation and nothing else. */
export function isFreeInodeClean(view: DataView, at: number): boolean {
  return (
    isZeroAt(view, at + INODE_LINKS_OFFSET, at + INODE_GENERATION_OFFSET) &&
    isZeroAt(view, at + INODE_GENERATION_OFFSET + 4, at + INODE_SIZE)
  );
}

/** Notes what is wrong with an inode in use. False where its tree cannot be walked. */
export function checkInode(view: DataView, at: number, note: Note): boolean {
  const mode = inodeMode(view, at);
  const type = mode & S_IFMT;
  const level = inodeLevel(view, at);
  const size = inodeSizeBytes(view, at);
  if (type !== S_IFREG && type !== S_IFDIR && type !== S_IFLNK) {
    note('inode', `has the mode ${mode.toString(8)}`);
  }
  if (mode >>> 16 !== 0) note('inode', `has the mode ${mode.toString(8)}`);
  if (inodeFlags(view, at) & ~INODE_FLAG_ZOMBIE) note('inode', 'has an unknown flag');
  if (type !== S_IFDIR && inodeParent(view, at) !== 0)
    note('reserved', 'has a parent and is a file');
  for (const offset of [
    INODE_ATIME_OFFSET,
    INODE_MTIME_OFFSET,
    INODE_CTIME_OFFSET,
    INODE_BTIME_OFFSET,
  ]) {
    const { seconds, nanoseconds } = getInstant(view, at + offset);
    const isTime = Number.isSafeInteger(seconds) && nanoseconds < 1e9;
    if (!isTime) note('inode', 'has a time that is none');
  }
  if ((inodeFlags(view, at) & INODE_FLAG_ZOMBIE) === 0 && inodeNext(view, at) !== 0) {
    note('zombie-queue', 'is no zombie and has a next one');
  }
  checkSize(type, size, note);
  if (level > INODE_LEVEL_MAX) {
    note('inode', `has a tree of height ${level}`);
    return false;
  }
  if (!Number.isFinite(size)) {
    note('inode', 'has a size over 2^53 - 1');
    return false;
  }
  if (level === 0) {
    const from = at + INODE_DATA_OFFSET + Math.min(size, INODE_INLINE_SIZE);
    if (!isZeroAt(view, from, at + INODE_SIZE)) note('tail', 'has bytes beyond its end');
  }
  return true;
}

function checkSize(type: number, size: number, note: Note): void {
  if (type === S_IFLNK && (size < 1 || size > SYMLINK_SIZE_MAX)) {
    note('symlink-size', `is a symbolic link to ${size} bytes`);
  }
  if (type === S_IFDIR && (size === 0 || size % BLOCK_SIZE !== 0)) {
    note('directory-size', `is a directory of ${size} bytes`);
  }
}
