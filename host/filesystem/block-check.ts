// What a block that came from a medium must look like before anything relies on it. Its checksum
// was right, so a problem here is a bug, or a volume made to deceive: an error, never a crash.

import {
  BLOCK_SIZE,
  KIND_IMAGE_ROOT,
  KIND_INDIRECT,
  KIND_INODES,
  POINTER_SIZE,
} from '../../assembly/layout/block.ts';
import {
  IMAGE_ROOT_ACTIVE_MAP_OFFSET,
  IMAGE_ROOT_BLOCKS_USED_OFFSET,
  IMAGE_ROOT_CP_OFFSET,
  IMAGE_ROOT_INODE_FILE_OFFSET,
  IMAGE_ROOT_INODE_LIMIT_OFFSET,
  IMAGE_ROOT_INODE_MAP_OFFSET,
  IMAGE_ROOT_INODES_USED_OFFSET,
  IMAGE_ROOT_MAGIC,
  IMAGE_ROOT_MAGIC_OFFSET,
  IMAGE_ROOT_RESERVED0_OFFSET,
  IMAGE_ROOT_RESERVED1_OFFSET,
  IMAGE_ROOT_RESERVED2_OFFSET,
  IMAGE_ROOT_SIZE_OFFSET,
  IMAGE_ROOT_VERSION,
  IMAGE_ROOT_VERSION_OFFSET,
  IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET,
  IMAGE_ROOT_ZOMBIE_HEAD_OFFSET,
  IMAGE_ROOT_ZOMBIE_TAIL_OFFSET,
} from '../../assembly/layout/image-root.ts';
import {
  INODE_DATA_OFFSET,
  INODE_POINTERS,
  INODE_SIZE,
  INODE_XATTR_OFFSET,
} from '../../assembly/layout/inode.ts';
import { StorageError } from '../base/errors.ts';
import type { Address, Vbn } from '../base/units.ts';
import { inodeLevel, inodeProblem } from '../format/inode.ts';
import { getPointerVbn, type Pointer, pointerProblem } from '../format/pointer.ts';
import { getU64 } from '../format/words.ts';
import type { Arena } from '../kernels/arena.ts';
import { heightFor } from './file-node.ts';

/** Checks a block by the kind that its pointer states. */
export function blockProblem(
  arena: Arena,
  pointer: Pointer,
  address: Address,
  vbnLimit: Vbn,
): StorageError | undefined {
  const problem = describe(arena.view, pointer.kind, address, vbnLimit);
  if (problem === undefined) return undefined;
  return new StorageError('BAD_MAGIC', `block ${pointer.vbn}: ${problem}`, {
    detail: { vbn: pointer.vbn, kind: pointer.kind },
  });
}

/** What is wrong with the inode of a file that the engine itself uses: whatever it holds, its tree
 *  must reach so many blocks, or a change would find no place in it. */
export function specialInodeProblem(
  view: DataView,
  at: Address,
  blocks: number,
  vbnLimit: Vbn,
): string | undefined {
  const level = inodeLevel(view, at);
  if (level < heightFor(blocks - 1)) return `a tree of level ${level} for ${blocks} blocks`;
  return inodesProblem(view, at, INODE_SIZE, vbnLimit);
}

function describe(
  view: DataView,
  kind: number,
  address: Address,
  vbnLimit: Vbn,
): string | undefined {
  switch (kind) {
    case KIND_INDIRECT:
      return pointersProblem(view, address, BLOCK_SIZE, vbnLimit);
    case KIND_INODES:
      return inodesProblem(view, address, BLOCK_SIZE, vbnLimit);
    case KIND_IMAGE_ROOT:
      return rootProblem(view, address, vbnLimit);
    default:
      return undefined;
  }
}

function pointersProblem(
  view: DataView,
  address: Address,
  size: number,
  vbnLimit: Vbn,
): string | undefined {
  for (let at = address; at < address + size; at += POINTER_SIZE) {
    const problem = pointerProblem(view, at);
    if (problem !== undefined) return problem;
    const vbn = getPointerVbn(view, at);
    if (vbn >= vbnLimit) return `a pointer to block ${vbn}, beyond the volume`;
  }
  return undefined;
}

function inodesProblem(
  view: DataView,
  address: Address,
  size: number,
  vbnLimit: Vbn,
): string | undefined {
  for (let at = address; at < address + size; at += INODE_SIZE) {
    const problem =
      inodeProblem(view, at) ??
      pointersProblem(view, at + INODE_XATTR_OFFSET, POINTER_SIZE, vbnLimit) ??
      (inodeLevel(view, at) > 0
        ? pointersProblem(view, at + INODE_DATA_OFFSET, INODE_POINTERS * POINTER_SIZE, vbnLimit)
        : undefined);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

const ROOT_RESERVED = [
  [IMAGE_ROOT_RESERVED0_OFFSET, IMAGE_ROOT_CP_OFFSET],
  [IMAGE_ROOT_RESERVED1_OFFSET, IMAGE_ROOT_INODE_FILE_OFFSET],
  [IMAGE_ROOT_RESERVED2_OFFSET, BLOCK_SIZE],
] as const;
const ROOT_NUMBERS = [
  IMAGE_ROOT_CP_OFFSET,
  IMAGE_ROOT_INODE_LIMIT_OFFSET,
  IMAGE_ROOT_INODES_USED_OFFSET,
  IMAGE_ROOT_BLOCKS_USED_OFFSET,
  IMAGE_ROOT_ZOMBIE_HEAD_OFFSET,
  IMAGE_ROOT_ZOMBIE_TAIL_OFFSET,
  IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET,
];

function rootProblem(view: DataView, address: Address, vbnLimit: Vbn): string | undefined {
  if (view.getUint32(address + IMAGE_ROOT_MAGIC_OFFSET, true) !== IMAGE_ROOT_MAGIC) {
    return 'no image root';
  }
  const version = view.getUint32(address + IMAGE_ROOT_VERSION_OFFSET, true);
  if (version !== IMAGE_ROOT_VERSION) return `image root of version ${version}`;
  const size = view.getUint32(address + IMAGE_ROOT_SIZE_OFFSET, true);
  if (size !== BLOCK_SIZE) return `image root of ${size} bytes`;
  for (const [from, to] of ROOT_RESERVED) {
    for (let at = address + from; at < address + to; at += 4) {
      if (view.getUint32(at, true) !== 0)
        return `byte ${at - address} of the image root is not zero`;
    }
  }
  for (const offset of ROOT_NUMBERS) {
    if (!Number.isFinite(getU64(view, address + offset))) return 'a number over 2^53 - 1';
  }
  for (const offset of [
    IMAGE_ROOT_INODE_FILE_OFFSET,
    IMAGE_ROOT_INODE_MAP_OFFSET,
    IMAGE_ROOT_ACTIVE_MAP_OFFSET,
  ]) {
    const problem = inodesProblem(view, address + offset, INODE_SIZE, vbnLimit);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
