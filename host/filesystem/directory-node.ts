// Nodes of a directory: reading them with distrust, finding in them, changing one of them. The
// layout is in assembly/layout/directory.ts; what happens across nodes is in directory.ts.
//
// Bytes come from disk. A checksum says that they are what was written, not that what was written
// makes sense, so every number is checked before it is used: `readRoot` and `readNode` check
// headers, `entryAt` an entry, `childAt` a child. After these, nothing here reads or writes outside
// of its block.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  DIRECTORY_CHILD_FBN_OFFSET,
  DIRECTORY_CHILD_HASH_OFFSET,
  DIRECTORY_CHILD_SLOT_SIZE,
  DIRECTORY_CHILDREN_MAX,
  DIRECTORY_COUNT_OFFSET,
  DIRECTORY_ENTRIES_OFFSET,
  DIRECTORY_FREE_COUNT_OFFSET,
  DIRECTORY_FREE_OFFSET,
  DIRECTORY_HEAP_OFFSET,
  DIRECTORY_KIND_DIRECTORY,
  DIRECTORY_KIND_FILE,
  DIRECTORY_KIND_SYMLINK,
  DIRECTORY_LEAF_HASH_OFFSET,
  DIRECTORY_LEAF_HEAP_OFFSET,
  DIRECTORY_LEAF_INO_HIGH_OFFSET,
  DIRECTORY_LEAF_INO_LOW_OFFSET,
  DIRECTORY_LEAF_SLOT_SIZE,
  DIRECTORY_LEVEL_FREE,
  DIRECTORY_LEVEL_MAX,
  DIRECTORY_LEVEL_OFFSET,
  DIRECTORY_MAGIC,
  DIRECTORY_MAGIC_OFFSET,
  DIRECTORY_NAME_KIND_OFFSET,
  DIRECTORY_NAME_LENGTH_OFFSET,
  DIRECTORY_NAME_OFFSET,
  DIRECTORY_NEXT_OFFSET,
  DIRECTORY_NODES_MAX,
  DIRECTORY_NODES_OFFSET,
  DIRECTORY_SEED_OFFSET,
  DIRECTORY_SLOTS_OFFSET,
} from '../../assembly/layout/directory.ts';
import { zeroBytes } from '../base/bytes.ts';
import { StorageError } from '../base/errors.ts';
import type { Address, Fbn } from '../base/units.ts';
import { hashName, nameHash } from './directory-hash.ts';

/** The blocks of one directory, as its functions see them. All is synchronous. */
export interface DirectoryBlocks {
  /** The arena's bytes. */
  readonly u8: Uint8Array;
  readonly view: DataView;
  /** Blocks in the file. Nothing beyond is asked for. */
  readonly blockCount: number;
  /** Address of block fbn, for reading. Throws the caller's sentinel if the block is not in memory;
   *  it passes through here, nothing has been changed. Good until the block is changed. */
  read(fbn: Fbn): Address;
  /** Address of block fbn, for changing it. Only in MODIFY; good until its end. Does not throw. */
  change(fbn: Fbn): Address;
  /** Address of a new block of zeros at fbn = blockCount, which grows by one. Only in MODIFY; good
   *  until its end. Does not throw. */
  create(fbn: Fbn): Address;
  /** For tests: bits kept of both halves of each hash, so that names collide. */
  readonly hashMask?: number;
}

/** Size in a leaf of an entry with a name of `nameLength` bytes. */
export function entrySize(nameLength: number): number {
  return DIRECTORY_LEAF_SLOT_SIZE + DIRECTORY_NAME_OFFSET + nameLength;
}

/** Bytes that the entries of a leaf can take. */
export const LEAF_CAPACITY = BLOCK_SIZE - DIRECTORY_SLOTS_OFFSET;

/** The structure in block fbn is not what it must be. */
export function damaged(fbn: Fbn, message: string): never {
  throw new StorageError('BAD_MAGIC', `directory block ${fbn}: ${message}`, { detail: { fbn } });
}

/** Address of the root, its header and own fields checked. */
export function readRoot(blocks: DirectoryBlocks): Address {
  const root = readRootOfAnySize(blocks);
  const nodes = nodesOf(blocks, root);
  if (nodes !== blocks.blockCount) damaged(0, `${nodes} nodes in ${blocks.blockCount} blocks`);
  return root;
}

/** As readRoot, but without comparing the nodes with the file's blocks. */
export function readRootOfAnySize(blocks: DirectoryBlocks): Address {
  const root = blocks.read(0);
  const level = levelOf(blocks, root);
  if (level > DIRECTORY_LEVEL_MAX) damaged(0, `level ${level}`);
  const problem = headerProblem(blocks, root, level, true) ?? rootProblem(blocks, root, level);
  if (problem !== undefined) damaged(0, problem);
  return root;
}

/** Address of block fbn, below the root, its header checked. */
export function readNode(blocks: DirectoryBlocks, fbn: Fbn, level: number): Address {
  const node = blocks.read(fbn);
  const problem = headerProblem(blocks, node, level, false);
  if (problem !== undefined) damaged(fbn, problem);
  return node;
}

/** What is wrong with a node's header, undefined if nothing. */
export function headerProblem(
  blocks: DirectoryBlocks,
  node: Address,
  level: number,
  isRoot: boolean,
): string | undefined {
  const { view } = blocks;
  const magic = view.getUint32(node + DIRECTORY_MAGIC_OFFSET, true);
  if (magic !== DIRECTORY_MAGIC) return `magic ${magic.toString(16)}`;
  const found = levelOf(blocks, node);
  if (found !== level) return `level ${found} where ${level} belongs`;
  const count = countOf(blocks, node);
  const heap = view.getUint16(node + DIRECTORY_HEAP_OFFSET, true);
  if (count === 0 && !(isRoot && level === 0)) return 'no entries';
  if (level > 0) {
    if (count > DIRECTORY_CHILDREN_MAX) return `${count} children`;
    return heap === 0 ? undefined : `heap at ${heap} in an interior node`;
  }
  const slotsEnd = DIRECTORY_SLOTS_OFFSET + count * DIRECTORY_LEAF_SLOT_SIZE;
  if (heap < slotsEnd || heap > BLOCK_SIZE) return `${count} entries, heap at ${heap}`;
  return undefined;
}

function rootProblem(blocks: DirectoryBlocks, root: Address, level: number): string | undefined {
  const { view } = blocks;
  const nodes = nodesOf(blocks, root);
  const free = view.getUint32(root + DIRECTORY_FREE_OFFSET, true);
  const freeCount = view.getUint32(root + DIRECTORY_FREE_COUNT_OFFSET, true);
  const entriesHigh = view.getUint32(root + DIRECTORY_ENTRIES_OFFSET + 4, true);
  if (nodes === 0 || nodes > DIRECTORY_NODES_MAX) return `${nodes} nodes`;
  if (free >= nodes || freeCount >= nodes) return `free list of ${freeCount} at ${free}`;
  if ((free === 0) !== (freeCount === 0)) return `free list of ${freeCount} at ${free}`;
  if (entriesHigh > 0x1fffff) return 'too many entries';
  const entries = entriesOf(blocks, root);
  const count = countOf(blocks, root);
  if (level === 0 && entries !== count) return `${entries} entries counted, ${count} there`;
  if (level > 0 && entries === 0) return 'no entries counted, but a tree';
  return undefined;
}

/** Checks a node of the free list and gives the fbn of the next one. */
export function readFree(blocks: DirectoryBlocks, fbn: Fbn, nodes: number): Fbn {
  const { view } = blocks;
  const node = blocks.read(fbn);
  const magic = view.getUint32(node + DIRECTORY_MAGIC_OFFSET, true);
  if (magic !== DIRECTORY_MAGIC) damaged(fbn, `magic ${magic.toString(16)}`);
  const level = levelOf(blocks, node);
  if (level !== DIRECTORY_LEVEL_FREE) damaged(fbn, `level ${level} in the free list`);
  const next = view.getUint32(node + DIRECTORY_NEXT_OFFSET, true);
  if (next >= nodes) damaged(fbn, `next free node ${next} of ${nodes}`);
  return next;
}

export function levelOf(blocks: DirectoryBlocks, node: Address): number {
  return blocks.u8[node + DIRECTORY_LEVEL_OFFSET] as number;
}

export function countOf(blocks: DirectoryBlocks, node: Address): number {
  return blocks.view.getUint16(node + DIRECTORY_COUNT_OFFSET, true);
}

export function nodesOf(blocks: DirectoryBlocks, root: Address): number {
  return blocks.view.getUint32(root + DIRECTORY_NODES_OFFSET, true);
}

export function entriesOf(blocks: DirectoryBlocks, root: Address): number {
  const low = blocks.view.getUint32(root + DIRECTORY_ENTRIES_OFFSET, true);
  return blocks.view.getUint32(root + DIRECTORY_ENTRIES_OFFSET + 4, true) * 0x100000000 + low;
}

export function setEntries(blocks: DirectoryBlocks, root: Address, entries: number): void {
  blocks.view.setUint32(root + DIRECTORY_ENTRIES_OFFSET, entries >>> 0, true);
  blocks.view.setUint32(root + DIRECTORY_ENTRIES_OFFSET + 4, entries / 0x100000000, true);
}

/** Makes the block at `node` an empty node of that level; all else but a root's own fields is
 *  zero. */
export function formatNode(
  blocks: DirectoryBlocks,
  node: Address,
  level: number,
  next: Fbn = 0,
): void {
  const { view } = blocks;
  view.setUint32(node + DIRECTORY_MAGIC_OFFSET, DIRECTORY_MAGIC, true);
  blocks.u8[node + DIRECTORY_LEVEL_OFFSET] = level;
  view.setUint16(node + DIRECTORY_COUNT_OFFSET, 0, true);
  view.setUint16(node + DIRECTORY_HEAP_OFFSET, level === 0 ? BLOCK_SIZE : 0, true);
  view.setUint32(node + DIRECTORY_NEXT_OFFSET, next, true);
  zeroBytes(blocks.u8, node + DIRECTORY_SLOTS_OFFSET, node + BLOCK_SIZE);
}

/** The directory's seed. */
export function seedOf(blocks: DirectoryBlocks, root: Address): { low: number; high: number } {
  return {
    low: blocks.view.getUint32(root + DIRECTORY_SEED_OFFSET, true),
    high: blocks.view.getUint32(root + DIRECTORY_SEED_OFFSET + 4, true),
  };
}

/** Hashes a name as this directory does, into `nameHash`. */
export function hashInDirectory(
  blocks: DirectoryBlocks,
  seed: { readonly low: number; readonly high: number },
  bytes: Uint8Array,
  start: number,
  length: number,
): void {
  hashName(bytes, start, length, seed.low, seed.high);
  if (blocks.hashMask !== undefined) {
    nameHash.high = (nameHash.high & blocks.hashMask) >>> 0;
    nameHash.low = (nameHash.low & blocks.hashMask) >>> 0;
  }
}

// Leaves.

export function leafSlot(node: Address, index: number): Address {
  return node + DIRECTORY_SLOTS_OFFSET + index * DIRECTORY_LEAF_SLOT_SIZE;
}

/** Bytes between the slots and the heap. */
export function leafRoom(blocks: DirectoryBlocks, leaf: Address): number {
  const heap = blocks.view.getUint16(leaf + DIRECTORY_HEAP_OFFSET, true);
  const slotsSize = countOf(blocks, leaf) * DIRECTORY_LEAF_SLOT_SIZE;
  return heap - DIRECTORY_SLOTS_OFFSET - slotsSize;
}

/** First index of a leaf whose hash is at least (high, low); the count if none is. */
export function leafLowerBound(view: DataView, leaf: Address, high: number, low: number): number {
  let from = 0;
  let to = view.getUint16(leaf + DIRECTORY_COUNT_OFFSET, true);
  while (from < to) {
    const middle = (from + to) >>> 1;
    const slot = leaf + DIRECTORY_SLOTS_OFFSET + middle * DIRECTORY_LEAF_SLOT_SIZE;
    const slotHigh = view.getUint32(slot + DIRECTORY_LEAF_HASH_OFFSET + 4, true);
    const isBelow =
      slotHigh < high ||
      (slotHigh === high && view.getUint32(slot + DIRECTORY_LEAF_HASH_OFFSET, true) < low);
    if (isBelow) from = middle + 1;
    else to = middle;
  }
  return from;
}

/** Whether the slot's hash is (high, low). */
export function isHash(view: DataView, slot: Address, high: number, low: number): boolean {
  return (
    view.getUint32(slot + DIRECTORY_LEAF_HASH_OFFSET, true) === low &&
    view.getUint32(slot + DIRECTORY_LEAF_HASH_OFFSET + 4, true) === high
  );
}

/** Address of the heap part of the entry at `slot`, checked: it lies in the heap, name and all. */
export function entryAt(blocks: DirectoryBlocks, fbn: Fbn, leaf: Address, slot: Address): Address {
  const { view, u8 } = blocks;
  const offset = view.getUint16(slot + DIRECTORY_LEAF_HEAP_OFFSET, true);
  const heap = view.getUint16(leaf + DIRECTORY_HEAP_OFFSET, true);
  // The name's length is read only where it lies in the block; else it counts as 0, which is
  // refused.
  const isInside = offset >= heap && offset <= BLOCK_SIZE - DIRECTORY_NAME_OFFSET;
  const length = isInside ? (u8[leaf + offset + DIRECTORY_NAME_LENGTH_OFFSET] as number) : 0;
  if (length === 0 || offset + DIRECTORY_NAME_OFFSET + length > BLOCK_SIZE) {
    damaged(fbn, `entry at ${offset}, heap at ${heap}`);
  }
  return leaf + offset;
}

/** Bytes in the name of the entry whose heap part is at `part`. */
export function nameLength(blocks: DirectoryBlocks, part: Address): number {
  return blocks.u8[part + DIRECTORY_NAME_LENGTH_OFFSET] as number;
}

/** Whether a file can have this name: '.' and '..' are places, '/' and NUL end it. */
export function isName(name: Uint8Array): boolean {
  return isNameAt(name, 0, name.length);
}

/** The same for the name whose `length` bytes lie at `first`. */
export function isNameAt(u8: Uint8Array, first: number, length: number): boolean {
  let dots = 0;
  for (let at = first; at < first + length; at++) {
    const byte = u8[at] as number;
    if (byte === 0 || byte === 0x2f) return false;
    if (byte === 0x2e) dots++;
  }
  return dots < length || length > 2;
}

/** Compares the name of an entry with `name`, by bytes: < 0, 0, > 0. */
export function compareName(u8: Uint8Array, part: Address, name: Uint8Array): number {
  const length = u8[part + DIRECTORY_NAME_LENGTH_OFFSET] as number;
  const first = part + DIRECTORY_NAME_OFFSET;
  const shared = Math.min(length, name.length);
  for (let index = 0; index < shared; index++) {
    const difference = (u8[first + index] as number) - (name[index] as number);
    if (difference !== 0) return difference;
  }
  return length - name.length;
}

/** Index of the entry `name` with hash (high, low), or ~(index where it would stand). */
export function leafFind(
  blocks: DirectoryBlocks,
  fbn: Fbn,
  leaf: Address,
  high: number,
  low: number,
  name: Uint8Array,
): number {
  const { view, u8 } = blocks;
  const count = view.getUint16(leaf + DIRECTORY_COUNT_OFFSET, true);
  let index = leafLowerBound(view, leaf, high, low);
  for (; index < count; index++) {
    const slot = leafSlot(leaf, index);
    if (!isHash(view, slot, high, low)) break;
    const order = compareName(u8, entryAt(blocks, fbn, leaf, slot), name);
    if (order === 0) return index;
    if (order > 0) break;
  }
  return ~index;
}

export function entryIno(blocks: DirectoryBlocks, fbn: Fbn, slot: Address): number {
  const low = blocks.view.getUint32(slot + DIRECTORY_LEAF_INO_LOW_OFFSET, true);
  const high = blocks.view.getUint16(slot + DIRECTORY_LEAF_INO_HIGH_OFFSET, true);
  if (low === 0 && high === 0) damaged(fbn, 'entry with inode number 0');
  return high * 0x100000000 + low;
}

export function setEntryIno(blocks: DirectoryBlocks, slot: Address, ino: number): void {
  blocks.view.setUint32(slot + DIRECTORY_LEAF_INO_LOW_OFFSET, ino >>> 0, true);
  blocks.view.setUint16(slot + DIRECTORY_LEAF_INO_HIGH_OFFSET, ino / 0x100000000, true);
}

export function isKind(kind: number): boolean {
  return (
    kind === DIRECTORY_KIND_FILE ||
    kind === DIRECTORY_KIND_DIRECTORY ||
    kind === DIRECTORY_KIND_SYMLINK
  );
}

export function entryKind(blocks: DirectoryBlocks, fbn: Fbn, part: Address): number {
  const kind = blocks.u8[part + DIRECTORY_NAME_KIND_OFFSET] as number;
  if (!isKind(kind)) damaged(fbn, `entry of kind ${kind}`);
  return kind;
}

/** Opens a gap of one entry at `index`, slot and heap, and writes hash, heap offset and name
 *  length. There is room. Returns the address of the heap part; the rest is the caller's to fill
 *  in. */
export function leafOpen(
  blocks: DirectoryBlocks,
  leaf: Address,
  index: number,
  hash: { readonly high: number; readonly low: number },
  length: number,
): Address {
  const { view, u8 } = blocks;
  const count = countOf(blocks, leaf);
  const slot = leafSlot(leaf, index);
  if (index < count) u8.copyWithin(slot + DIRECTORY_LEAF_SLOT_SIZE, slot, leafSlot(leaf, count));
  const heap = view.getUint16(leaf + DIRECTORY_HEAP_OFFSET, true) - DIRECTORY_NAME_OFFSET - length;
  view.setUint16(leaf + DIRECTORY_COUNT_OFFSET, count + 1, true);
  view.setUint16(leaf + DIRECTORY_HEAP_OFFSET, heap, true);
  view.setUint32(slot + DIRECTORY_LEAF_HASH_OFFSET, hash.low, true);
  view.setUint32(slot + DIRECTORY_LEAF_HASH_OFFSET + 4, hash.high, true);
  view.setUint16(slot + DIRECTORY_LEAF_HEAP_OFFSET, heap, true);
  u8[leaf + heap + DIRECTORY_NAME_LENGTH_OFFSET] = length;
  return leaf + heap;
}

/** Takes the entry at `index` out; slots and heap close up, what they leave is zeroed. */
export function leafRemove(blocks: DirectoryBlocks, leaf: Address, index: number): void {
  const { view, u8 } = blocks;
  const countAfter = countOf(blocks, leaf) - 1;
  const slot = leafSlot(leaf, index);
  const offset = view.getUint16(slot + DIRECTORY_LEAF_HEAP_OFFSET, true);
  const size = DIRECTORY_NAME_OFFSET + nameLength(blocks, leaf + offset);
  u8.copyWithin(slot, slot + DIRECTORY_LEAF_SLOT_SIZE, leafSlot(leaf, countAfter + 1));
  u8.fill(0, leafSlot(leaf, countAfter), leafSlot(leaf, countAfter + 1));
  const heap = view.getUint16(leaf + DIRECTORY_HEAP_OFFSET, true);
  u8.copyWithin(leaf + heap + size, leaf + heap, leaf + offset);
  u8.fill(0, leaf + heap, leaf + heap + size);
  // Everything below the gap has moved up by it.
  const slotsEnd = leafSlot(leaf, countAfter);
  for (let at = leafSlot(leaf, 0); at < slotsEnd; at += DIRECTORY_LEAF_SLOT_SIZE) {
    const part = view.getUint16(at + DIRECTORY_LEAF_HEAP_OFFSET, true);
    if (part < offset) view.setUint16(at + DIRECTORY_LEAF_HEAP_OFFSET, part + size, true);
  }
  view.setUint16(leaf + DIRECTORY_COUNT_OFFSET, countAfter, true);
  view.setUint16(leaf + DIRECTORY_HEAP_OFFSET, heap + size, true);
}

// Interior nodes.

export function childSlot(node: Address, index: number): Address {
  return node + DIRECTORY_SLOTS_OFFSET + index * DIRECTORY_CHILD_SLOT_SIZE;
}

/** Index of the child that holds hash (high, low): the last one whose key is not above it. */
export function childFind(view: DataView, node: Address, high: number, low: number): number {
  let from = 1;
  let to = view.getUint16(node + DIRECTORY_COUNT_OFFSET, true);
  while (from < to) {
    const middle = (from + to) >>> 1;
    const slot = node + DIRECTORY_SLOTS_OFFSET + middle * DIRECTORY_CHILD_SLOT_SIZE;
    const slotHigh = view.getUint32(slot + DIRECTORY_CHILD_HASH_OFFSET + 4, true);
    const isAbove =
      slotHigh > high ||
      (slotHigh === high && view.getUint32(slot + DIRECTORY_CHILD_HASH_OFFSET, true) > low);
    if (isAbove) to = middle;
    else from = middle + 1;
  }
  return from - 1;
}

/** Fbn of a child, checked. */
export function childAt(blocks: DirectoryBlocks, fbn: Fbn, slot: Address, nodes: number): Fbn {
  const child = blocks.view.getUint32(slot + DIRECTORY_CHILD_FBN_OFFSET, true);
  if (child === 0 || child >= nodes) damaged(fbn, `child ${child} of ${nodes} nodes`);
  return child;
}

/** Puts a child in at `index`; there is room. */
export function childInsert(
  blocks: DirectoryBlocks,
  node: Address,
  index: number,
  hash: { readonly high: number; readonly low: number },
  fbn: Fbn,
): void {
  const { view, u8 } = blocks;
  const count = countOf(blocks, node);
  const slot = childSlot(node, index);
  u8.copyWithin(slot + DIRECTORY_CHILD_SLOT_SIZE, slot, childSlot(node, count));
  view.setUint32(slot + DIRECTORY_CHILD_HASH_OFFSET, hash.low, true);
  view.setUint32(slot + DIRECTORY_CHILD_HASH_OFFSET + 4, hash.high, true);
  view.setUint32(slot + DIRECTORY_CHILD_FBN_OFFSET, fbn, true);
  view.setUint16(node + DIRECTORY_COUNT_OFFSET, count + 1, true);
}

/** Takes the child at `index` out; its hashes go to the child before it, or after it if it is
 *  first. */
export function childRemove(blocks: DirectoryBlocks, node: Address, index: number): void {
  const { view, u8 } = blocks;
  const countAfter = countOf(blocks, node) - 1;
  const slot = childSlot(node, index);
  u8.copyWithin(slot, slot + DIRECTORY_CHILD_SLOT_SIZE, childSlot(node, countAfter + 1));
  u8.fill(0, childSlot(node, countAfter), childSlot(node, countAfter + 1));
  view.setUint16(node + DIRECTORY_COUNT_OFFSET, countAfter, true);
  if (countAfter > 0) clearFirstKey(view, node);
}

/** The key of slot 0 is always 0. */
export function clearFirstKey(view: DataView, node: Address): void {
  view.setUint32(childSlot(node, 0) + DIRECTORY_CHILD_HASH_OFFSET, 0, true);
  view.setUint32(childSlot(node, 0) + DIRECTORY_CHILD_HASH_OFFSET + 4, 0, true);
}
