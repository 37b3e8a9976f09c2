// A file's bytes: reading, writing, cutting, on its inode and buffer tree. Each has a LOAD and a
// MODIFY half; positions and sizes are bytes. Bytes beyond the end of a file are zero on disk too:
// cutting clears the rest of the last block, so that growing never shows old contents.

import { BLOCK_SHIFT, BLOCK_SIZE, POINTERS_PER_BLOCK } from '../../assembly/layout/block.ts';
import {
  INODE_DATA_OFFSET,
  INODE_INLINE_SIZE,
  INODE_LEVEL_OFFSET,
  INODE_POINTERS,
} from '../../assembly/layout/inode.ts';
import { zeroBytes } from '../base/bytes.ts';
import { inodeBlocks, inodeLevel, inodeSizeBytes, setInodeSizeBytes } from '../format/inode.ts';
import { type Access, type FileNode, LEVEL_XATTR, PRESENT, placeKey } from './file-node.ts';
import { MISSING } from './load.ts';
import type { Scope } from './scope.ts';

const BLOCK_MASK = BLOCK_SIZE - 1;
const fbnOf = (position: number) => Math.floor(position / BLOCK_SIZE);

/** LOAD: finds every block of a stretch, so that all that is missing is known at once. */
export function loadRead(access: Access, node: FileNode, position: number, length: number): void {
  if (length === 0) return;
  loadBlocks(access, node, fbnOf(position), fbnOf(position + length - 1));
}

function loadBlocks(access: Access, node: FileNode, first: number, last: number): void {
  let isMissing = false;
  for (let fbn = first; fbn <= last; fbn++) {
    try {
      node.find(access, 0, fbn);
    } catch (error) {
      if (error !== MISSING) throw error;
      isMissing = true;
      // Its parent is missing: the other children of it would name the same block again.
      if (isParentMissing(access, node, fbn)) fbn += POINTERS_PER_BLOCK - 1 - (fbn & 255);
    }
  }
  if (isMissing) throw MISSING;
}

function isParentMissing(access: Access, node: FileNode, fbn: number): boolean {
  try {
    node.slot(access, 0, fbn);
    return false;
  } catch (error) {
    if (error !== MISSING) throw error;
    return true;
  }
}

/** Copies up to target.length bytes from `position` on; returns how many there were. */
export function copyOut(
  scope: Scope,
  node: FileNode,
  target: Uint8Array,
  position: number,
): number {
  const inode = node.home.read(PRESENT);
  const length = Math.min(target.length, Math.max(0, inodeSizeBytes(scope.view, inode) - position));
  if (length === 0) return 0;
  if (inodeLevel(scope.view, inode) === 0) {
    copyInline(scope, inode, target, position, length);
    return length;
  }
  let done = 0;
  while (done < length) {
    const at = position + done;
    const offset = at % BLOCK_SIZE;
    const count = Math.min(BLOCK_SIZE - offset, length - done);
    const block = node.find(PRESENT, 0, fbnOf(at));
    if (block === undefined) zeroBytes(target, done, done + count);
    else {
      const from = block.address + offset;
      target.set(scope.u8.subarray(from, from + count), done);
    }
    done += count;
  }
  return length;
}

function copyInline(
  scope: Scope,
  inode: number,
  target: Uint8Array,
  position: number,
  length: number,
): void {
  const there = Math.max(0, Math.min(length, INODE_INLINE_SIZE - position));
  const from = inode + INODE_DATA_OFFSET + position;
  if (there > 0) target.set(scope.u8.subarray(from, from + there));
  zeroBytes(target, there, length);
}

/** LOAD for `copyIn`: partly written blocks themselves, of all others the way to their slots. */
export function loadWrite(
  scope: Scope,
  access: Access,
  node: FileNode,
  position: number,
  length: number,
): void {
  const inode = node.home.read(access);
  const end = position + length;
  if (inodeLevel(scope.view, inode) === 0 || length === 0) return;
  const first = fbnOf(position);
  const last = fbnOf(end - 1);
  let isMissing = false;
  const attempt = (action: () => void) => {
    try {
      action();
    } catch (error) {
      if (error !== MISSING) throw error;
      isMissing = true;
    }
  };
  if (position % BLOCK_SIZE !== 0) attempt(() => node.find(access, 0, first));
  const size = inodeSizeBytes(scope.view, inode);
  if (end % BLOCK_SIZE !== 0 && end < size) attempt(() => node.find(access, 0, last));
  // One step a parent, then the last: every indirect block on the way.
  for (let fbn = first; fbn <= last; fbn += POINTERS_PER_BLOCK) {
    attempt(() => node.slot(access, 0, fbn));
  }
  attempt(() => node.slot(access, 0, last));
  if (isMissing) throw MISSING;
}

/** MODIFY: writes `data` at `position` and extends the file if need be. */
export function copyIn(scope: Scope, node: FileNode, data: Uint8Array, position: number): void {
  const { view, u8 } = scope;
  const end = position + data.length;
  const inode = node.home.change();
  const sizeBefore = inodeSizeBytes(view, inode);
  if (end > sizeBefore) setInodeSizeBytes(view, inode, end);
  if (data.length === 0) return;
  if (inodeLevel(view, inode) === 0) {
    if (end <= INODE_INLINE_SIZE) {
      u8.set(data, inode + INODE_DATA_OFFSET + position);
      return;
    }
  }
  node.grow(fbnOf(end - 1));
  let done = 0;
  while (done < data.length) {
    const at = position + done;
    const offset = at % BLOCK_SIZE;
    const count = Math.min(BLOCK_SIZE - offset, data.length - done);
    const isWhole = offset === 0 && (count === BLOCK_SIZE || at + count >= sizeBefore);
    const block = node.change(0, fbnOf(at), !isWhole);
    const source = count === data.length ? data : data.subarray(done, done + count);
    u8.set(source, block.address + offset);
    if (isWhole && count < BLOCK_SIZE)
      zeroBytes(u8, block.address + count, block.address + BLOCK_SIZE);
    done += count;
  }
}

/** How a cut is done. `size` is where this message ends: the size asked for, or a larger one where
 *  the tail of a sparse file has too many indirect blocks for one message. */
export interface CutPlan {
  readonly size: number;
  /** The tail goes to a zombie inode. */
  readonly needsZombie: boolean;
  /** Blocks that leave the file, where needsZombie. */
  readonly blocks: number;
}

/** Indirect blocks that one cut reads to count what it cuts off a sparse file. */
const CUT_INDIRECT_MAX = 64;

/** LOAD for a cut to `size` (or growth): the path to the new end, the block that is cut through,
 *  and how many blocks go. In a file without holes that is arithmetic: O(height). */
export function planCut(scope: Scope, access: Access, node: FileNode, size: number): CutPlan {
  const { view } = scope;
  const inode = node.home.read(access);
  const height = inodeLevel(view, inode);
  const before = inodeSizeBytes(view, inode);
  const direct = { size, needsZombie: false, blocks: 0 };
  if (height === 0 || size >= before) return direct;
  let plan: CutPlan = direct;
  if (height > 1) {
    const hasXattr =
      node.dirty.has(placeKey(LEVEL_XATTR, 0)) || node.hasPointer(access, LEVEL_XATTR, 0);
    const blocks = inodeBlocks(view, inode) - (hasXattr ? 1 : 0);
    const isDense = blocks === denseBlocks(before, height);
    plan =
      size === 0
        ? { size, needsZombie: true, blocks }
        : isDense
          ? { size, needsZombie: true, blocks: blocks - denseBlocks(size, height) }
          : countTail(scope, access, node, size);
  }
  if (plan.size % BLOCK_SIZE !== 0) node.find(access, 0, fbnOf(plan.size));
  else node.slot(access, 0, fbnOf(plan.size));
  return plan;
}

/** Blocks of a tree of `height` levels without a hole. */
function denseBlocks(size: number, height: number): number {
  const fbns = Math.ceil(size / BLOCK_SIZE);
  let count = 0;
  let span = 1;
  for (let level = 0; level < height; level++) {
    count += Math.ceil(fbns / span);
    span *= POINTERS_PER_BLOCK;
  }
  return count;
}

/** Counts the blocks of the tail from the end of the file down to `size`, holes skipped subtree by
 *  subtree, and stops early after CUT_INDIRECT_MAX lowest indirect blocks. */
function countTail(scope: Scope, access: Access, node: FileNode, size: number): CutPlan {
  const height = inodeLevel(scope.view, node.home.read(access));
  const fbn = Math.ceil(size / BLOCK_SIZE);
  let blocks = 0;
  let visited = 0;
  // Subtrees still to visit, the rightmost on top: (level, index).
  const stack: [number, number][] = [];
  for (let index = 0; index < INODE_POINTERS; index++) stack.push([height - 1, index]);
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const [level, index] = next;
    const span = POINTERS_PER_BLOCK ** level;
    if ((index + 1) * span <= fbn || !isThere(access, node, level, index)) continue;
    if (level === 1 && visited === CUT_INDIRECT_MAX) {
      return { size: (index + 1) * span * BLOCK_SIZE, needsZombie: true, blocks };
    }
    if (index * span >= fbn) blocks++;
    if (level === 0) continue;
    if (level === 1) visited++;
    for (let child = 0; child < POINTERS_PER_BLOCK; child++) {
      stack.push([level - 1, index * POINTERS_PER_BLOCK + child]);
    }
  }
  return { size, needsZombie: true, blocks };
}

function isThere(access: Access, node: FileNode, level: number, index: number): boolean {
  return node.dirty.has(placeKey(level, index)) || node.hasPointer(access, level, index);
}

/** MODIFY: sets the size where no zombie is needed. */
export function cutDirect(scope: Scope, node: FileNode, size: number): void {
  const { view, u8 } = scope;
  const inode = node.home.change();
  const before = inodeSizeBytes(view, inode);
  setInodeSizeBytes(view, inode, size);
  if (size >= before) {
    // Inline data ends where an inode's tail ends; a longer file needs a tree.
    if (inodeLevel(view, inode) === 0 && size > INODE_INLINE_SIZE) node.grow(0);
    return;
  }
  if (inodeLevel(view, inode) === 0) {
    if (size >= INODE_INLINE_SIZE) return;
    u8.fill(0, inode + INODE_DATA_OFFSET + size, inode + INODE_DATA_OFFSET + INODE_INLINE_SIZE);
    return;
  }
  for (let index = Math.ceil(size / BLOCK_SIZE); index < INODE_POINTERS; index++) {
    node.cut(0, index);
  }
  clearTail(scope, node, size);
  if (size === 0) view.setUint8(inode + INODE_LEVEL_OFFSET, 0);
}

function clearTail(scope: Scope, node: FileNode, size: number): void {
  const offset = size % BLOCK_SIZE;
  if (offset === 0 || node.find(PRESENT, 0, fbnOf(size)) === undefined) return;
  const { address } = node.change(0, fbnOf(size));
  zeroBytes(scope.u8, address + offset, address + BLOCK_SIZE);
}

/** MODIFY: cuts a higher tree in O(height): everything to the right of the path to the new end
 *  moves to the tree of `zombie`, a fresh inode, whose path has blocks of its own. */
export function cutToZombie(scope: Scope, node: FileNode, plan: CutPlan, zombie: FileNode): void {
  const { view } = scope;
  const { size } = plan;
  const height = inodeLevel(view, node.home.change());
  const zombieInode = zombie.home.change();
  view.setUint8(zombieInode + INODE_LEVEL_OFFSET, height);
  setInodeSizeBytes(view, zombieInode, inodeSizeBytes(view, node.home.change()));
  const fbn = Math.ceil(size / BLOCK_SIZE);
  // On each level the children from the first one that is wholly beyond the end on move over; the
  // one that straddles the end stays, and is the parent on the level below.
  for (let level = height - 1; level >= 0; level--) {
    const span = POINTERS_PER_BLOCK ** level;
    const first = Math.ceil(fbn / span);
    const isTop = level === height - 1;
    const parent = Math.floor(fbn / (span * POINTERS_PER_BLOCK));
    if (!isTop && !isThere(PRESENT, node, level + 1, parent)) break;
    const limit = isTop ? INODE_POINTERS : (parent + 1) * POINTERS_PER_BLOCK;
    for (let index = first; index < limit; index++) {
      if (isThere(PRESENT, node, level, index)) node.moveTo(zombie, level, index);
    }
    if (first * span === fbn) break;
  }
  moveDirtyBlocks(node, fbn, zombie);
  const inode = node.home.change();
  setInodeSizeBytes(view, inode, size);
  node.addBlocks(-plan.blocks);
  zombie.addBlocks(plan.blocks);
  if (size === 0) view.setUint8(inode + INODE_LEVEL_OFFSET, 0);
  else clearTail(scope, node, size);
}

/** The dirty blocks below those that were moved: found by their place, they belong to the zombie
 *  now. */
function moveDirtyBlocks(node: FileNode, fbn: number, zombie: FileNode): void {
  for (const [key, block] of node.dirty) {
    if (block.level === LEVEL_XATTR) continue;
    if (block.index * POINTERS_PER_BLOCK ** block.level < fbn) continue;
    node.handOver(key, block, zombie);
  }
}

export const blocksFor = (bytes: number) => (bytes + BLOCK_MASK) >>> BLOCK_SHIFT;

/** A message's worst case for writing `length` bytes to one file: data, and indirect blocks. */
export function writeBlocksMax(length: number): number {
  const data = blocksFor(length) + 1;
  return data + Math.ceil(data / POINTERS_PER_BLOCK) + 12;
}
