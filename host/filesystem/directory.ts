// Hashed directories: names to inode numbers, in the blocks of one file.
//
// The file is a B-tree by (64-bit hash of the name, name); layout and hash:
// assembly/layout/directory.ts. An operation walks one path, five nodes at most, three in a
// directory of a million entries.
//
// LOAD and MODIFY. Everything here is synchronous. What reads, and the `plan` functions, run in
// LOAD: DirectoryBlocks.read throws the caller's sentinel where a block is not in memory, it passes
// through, the caller fetches the block and calls again. `planInsert` reads every block that
// `insert` will read or change, nodes of the free list included, and checks them, so that `insert`
// in the same turn cannot fail. In the same way `planRemove` before `remove`, and `lookup` before
// `replace`.
//
// Growth. A leaf without room is split where hashes differ. A full parent is split before it takes
// the new child. The root stays in block 0: when full, its contents go down to a new node, and it
// becomes that node's parent. A node that loses its last entry leaves its parent and goes to the
// free list; a root without children is an empty leaf again. The tree never closes up otherwise:
// hashes scatter, so a directory that lives long keeps its leaves evenly full.
//
// Reading in order. The order is the hash's, which no insertion or removal of other names changes.
// A cursor is "all hashes from here on"; entries of one hash are given out together. So whatever
// happens between two calls, an entry that stays is given out exactly once.
//
// Damage gives StorageError BAD_MAGIC with the block in `detail.fbn`, in LOAD, with nothing
// changed.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  DIRECTORY_CHILD_HASH_OFFSET,
  DIRECTORY_CHILDREN_MAX,
  DIRECTORY_COUNT_OFFSET,
  DIRECTORY_FREE_COUNT_OFFSET,
  DIRECTORY_FREE_OFFSET,
  DIRECTORY_HEAP_OFFSET,
  DIRECTORY_LEAF_HASH_OFFSET,
  DIRECTORY_LEAF_HEAP_OFFSET,
  DIRECTORY_LEAF_INO_LOW_OFFSET,
  DIRECTORY_LEVEL_FREE,
  DIRECTORY_LEVEL_MAX,
  DIRECTORY_NAME_KIND_OFFSET,
  DIRECTORY_NAME_LENGTH_OFFSET,
  DIRECTORY_NAME_OFFSET,
  DIRECTORY_NAME_SIZE_MAX,
  DIRECTORY_NODES_MAX,
  DIRECTORY_NODES_OFFSET,
  DIRECTORY_SEED_OFFSET,
  DIRECTORY_SLOTS_OFFSET,
} from '../../assembly/layout/directory.ts';
import { assert } from '../base/assert.ts';
import type { Address, Fbn, Ino } from '../base/units.ts';
import { nameHash } from './directory-hash.ts';
import type { DirectoryBlocks } from './directory-node.ts';
import {
  childAt,
  childFind,
  childInsert,
  childRemove,
  childSlot,
  clearFirstKey,
  countOf,
  damaged,
  entriesOf,
  entryAt,
  entryIno,
  entryKind,
  entrySize,
  formatNode,
  hashInDirectory,
  isKind,
  isNameAt,
  LEAF_CAPACITY,
  leafFind,
  leafLowerBound,
  leafOpen,
  leafRemove,
  leafRoom,
  leafSlot,
  levelOf,
  nameLength,
  nodesOf,
  readFree,
  readNode,
  readRoot,
  seedOf,
  setEntries,
  setEntryIno,
} from './directory-node.ts';

export type { DirectoryBlocks } from './directory-node.ts';

/** Blocks that one `insert` changes or creates, at most: a path of five nodes and a split of each
 *  but the root, or a path of four and one more for the root's contents. */
export const DIRECTORY_INSERT_BLOCKS_MAX = 2 * DIRECTORY_LEVEL_MAX + 1;
/** How many of these are created, at most. */
export const DIRECTORY_INSERT_CREATES_MAX = DIRECTORY_LEVEL_MAX + 1;
/** Blocks that one `remove` changes, at most. It creates none. */
export const DIRECTORY_REMOVE_BLOCKS_MAX = DIRECTORY_LEVEL_MAX + 1;
/** Blocks that one `replace` changes. It creates none. */
export const DIRECTORY_REPLACE_BLOCKS_MAX = 1;

export interface DirectoryTarget {
  readonly ino: Ino;
  /** DIRECTORY_KIND_*. */
  readonly kind: number;
}

export interface DirectoryEntry extends DirectoryTarget {
  /** UTF-8, a copy of its own. */
  readonly name: Uint8Array;
}

/** All entries whose hash is at least this, u32 each. Stays good for ever, also across mounts. */
export interface DirectoryCursor {
  readonly high: number;
  readonly low: number;
}

export const DIRECTORY_START: DirectoryCursor = { high: 0, low: 0 };

/** 'full': the name cannot be put in (ENOSPC): a leaf's worth of names has one and the same hash,
 *  or the tree is as high as it gets. Neither happens by accident. */
export type InsertPlan = 'ready' | 'exists' | 'full';
export type RemovePlan = 'ready' | 'absent';

/** The path of the last descent, by level, and what `insert` was planned to do. Written anew by
 *  each call, never kept between calls: one object for all saves an allocation in each. */
const path = {
  levelRoot: 0,
  fbns: new Uint32Array(DIRECTORY_LEVEL_MAX + 2),
  addresses: new Float64Array(DIRECTORY_LEVEL_MAX + 2),
  /** Which child the path takes. */
  indexes: new Uint16Array(DIRECTORY_LEVEL_MAX + 2),
  /** The hash from which on the next leaf begins. */
  isLast: true,
  upperHigh: 0,
  upperLow: 0,
  /** In the leaf: index of the entry, or where it would stand. */
  position: 0,
  /** Entries of the combined sequence (old and new ones) that stay in the left leaf; 0 = no
   *  split. */
  split: 0,
  /** Nodes that the insertion takes. */
  needed: 0,
};

const taken = new Uint32Array(DIRECTORY_INSERT_CREATES_MAX);
const scratch = new Uint8Array(BLOCK_SIZE);
const scratchView = new DataView(scratch.buffer);

/** Makes a new directory in an empty file: its root, in block 0. MODIFY. */
export function initializeDirectory(
  blocks: DirectoryBlocks,
  seed: { readonly low: number; readonly high: number },
): void {
  const root = blocks.create(0);
  formatNode(blocks, root, 0);
  blocks.view.setUint32(root + DIRECTORY_SEED_OFFSET, seed.low, true);
  blocks.view.setUint32(root + DIRECTORY_SEED_OFFSET + 4, seed.high, true);
  blocks.view.setUint32(root + DIRECTORY_NODES_OFFSET, 1, true);
}

/** How many entries there are. */
export function entryCount(blocks: DirectoryBlocks): number {
  return entriesOf(blocks, readRoot(blocks));
}

export function isEmpty(blocks: DirectoryBlocks): boolean {
  return entryCount(blocks) === 0;
}

/** What `name` leads to, undefined if there is no such entry. */
export function lookup(blocks: DirectoryBlocks, name: Uint8Array): DirectoryTarget | undefined {
  if (!find(blocks, readRoot(blocks), name)) return undefined;
  const fbn = path.fbns[0] as Fbn;
  const leaf = path.addresses[0] as Address;
  const slot = leafSlot(leaf, path.position);
  const kind = entryKind(blocks, fbn, entryAt(blocks, fbn, leaf, slot));
  return { ino: entryIno(blocks, fbn, slot), kind };
}

/** Reads and checks all that `insert` will touch, and says whether it can be. LOAD. */
export function planInsert(blocks: DirectoryBlocks, name: Uint8Array): InsertPlan {
  const root = readRoot(blocks);
  if (find(blocks, root, name)) return 'exists';
  const leaf = path.addresses[0] as Address;
  const size = entrySize(name.length);
  path.needed = 0;
  if (leafRoom(blocks, leaf) >= size) return 'ready';
  path.split = leafSplitPoint(blocks, leaf, size);
  if (path.split === 0) return 'full';
  let level = 1;
  while (level <= path.levelRoot && isFull(blocks, path.addresses[level] as Address)) level++;
  // Every node below `level` is split; if that is all of them, the root's contents move down too.
  path.needed = level > path.levelRoot ? level + 1 : level;
  if (level > DIRECTORY_LEVEL_MAX) return 'full';
  return planNodes(blocks, root) ? 'ready' : 'full';
}

/** Puts a new entry in. MODIFY, in the turn in which `planInsert` said 'ready'. */
export function insert(blocks: DirectoryBlocks, name: Uint8Array, ino: Ino, kind: number): void {
  assert(ino > 0 && ino < 2 ** 48, 'inode number has 48 bits', ino);
  assert(isKind(kind), 'kind of file', kind);
  const plan = planInsert(blocks, name);
  assert(plan === 'ready', 'insertion was planned', plan, 'ready');
  const root = blocks.change(0);
  setEntries(blocks, root, entriesOf(blocks, root) + 1);
  const leafFbn = path.needed === 0 ? (path.fbns[0] as Fbn) : makeRoom(blocks, root);
  const leaf = blocks.change(leafFbn);
  const part = leafOpen(blocks, leaf, path.position, nameHash, name.length);
  setEntryIno(blocks, leafSlot(leaf, path.position), ino);
  blocks.u8[part + DIRECTORY_NAME_KIND_OFFSET] = kind;
  blocks.u8.set(name, part + DIRECTORY_NAME_OFFSET);
}

/** Reads and checks all that `remove` will touch. LOAD. */
export function planRemove(blocks: DirectoryBlocks, name: Uint8Array): RemovePlan {
  const root = readRoot(blocks);
  if (!find(blocks, root, name)) return 'absent';
  return 'ready';
}

/** Takes an entry out. MODIFY, in the turn in which `planRemove` said 'ready'. */
export function remove(blocks: DirectoryBlocks, name: Uint8Array): void {
  const plan = planRemove(blocks, name);
  assert(plan === 'ready', 'removal was planned', plan, 'ready');
  const root = blocks.change(0);
  setEntries(blocks, root, entriesOf(blocks, root) - 1);
  const leaf = blocks.change(path.fbns[0] as Fbn);
  leafRemove(blocks, leaf, path.position);
  let level = 0;
  let node = leaf;
  while (level < path.levelRoot && countOf(blocks, node) === 0) {
    release(blocks, root, path.fbns[level] as Fbn);
    level++;
    node = blocks.change(path.fbns[level] as Fbn);
    childRemove(blocks, node, path.indexes[level] as number);
  }
  if (level > 0 && level === path.levelRoot && countOf(blocks, root) === 0) {
    formatNode(blocks, root, 0);
  }
}

/** Lets an entry lead elsewhere (rename over it). MODIFY, in the turn in which `lookup` found
 *  it. */
export function replace(blocks: DirectoryBlocks, name: Uint8Array, ino: Ino, kind: number): void {
  assert(ino > 0 && ino < 2 ** 48, 'inode number has 48 bits', ino);
  assert(isKind(kind), 'kind of file', kind);
  const isFound = find(blocks, readRoot(blocks), name);
  assert(isFound, 'entry to replace was looked up');
  const fbn = path.fbns[0] as Fbn;
  const leaf = blocks.change(fbn);
  const slot = leafSlot(leaf, path.position);
  setEntryIno(blocks, slot, ino);
  blocks.u8[entryAt(blocks, fbn, leaf, slot) + DIRECTORY_NAME_KIND_OFFSET] = kind;
}

export interface DirectoryPart<E> {
  readonly entries: E[];
  readonly next: DirectoryCursor | undefined;
}

/** Entries from a cursor on, in the order of hashes, and where to go on; `next` is undefined at the
 *  end. At least `countMax` of them if there are so many, and no more than that but for the rest of
 *  the entries that share the last one's hash. LOAD: reads about one leaf for each 80 entries. */
export function readEntries(
  blocks: DirectoryBlocks,
  cursor: DirectoryCursor,
  countMax: number,
): DirectoryPart<DirectoryEntry> {
  return readEntriesAs(blocks, cursor, countMax, entryWithBytes);
}

/** The same, with what `make` makes of the entries. */
export function readEntriesAs<E>(
  blocks: DirectoryBlocks,
  cursor: DirectoryCursor,
  countMax: number,
  make: MakeEntry<E>,
): DirectoryPart<E> {
  assert(countMax > 0, 'count of entries is positive', countMax);
  const root = readRoot(blocks);
  const entries: E[] = [];
  let { high, low } = cursor;
  for (let leaves = 0; ; leaves++) {
    const leaf = descend(blocks, root, high, low, 0);
    const fbn = path.fbns[0] as Fbn;
    const count = countOf(blocks, leaf);
    let index = leafLowerBound(blocks.view, leaf, high, low);
    // The next leaf always has an entry beyond its lower bound. This bounds the loop on damage.
    if (leaves > 0 && index === count) damaged(fbn, 'no entry where its parent promises some');
    for (; index < count; index++) {
      const slot = leafSlot(leaf, index);
      const slotLow = blocks.view.getUint32(slot + DIRECTORY_LEAF_HASH_OFFSET, true);
      const slotHigh = blocks.view.getUint32(slot + DIRECTORY_LEAF_HASH_OFFSET + 4, true);
      if (isBefore(slotHigh, slotLow, high, low)) damaged(fbn, 'entries out of order');
      if (entries.length >= countMax && !(slotHigh === high && slotLow === low)) {
        return { entries, next: { high: slotHigh, low: slotLow } };
      }
      high = slotHigh;
      low = slotLow;
      const part = entryAt(blocks, fbn, leaf, slot);
      const length = nameLength(blocks, part);
      const first = part + DIRECTORY_NAME_OFFSET;
      // Whoever joins names to paths relies on it.
      if (!isNameAt(blocks.u8, first, length)) damaged(fbn, 'an entry with a name that cannot be');
      const ino = entryIno(blocks, fbn, slot);
      const kind = entryKind(blocks, fbn, part);
      entries.push(make(blocks.u8, first, length, ino, kind));
    }
    if (path.isLast) return { entries, next: undefined };
    // A cursor that does not move on would be an endless loop, here or in the caller.
    if (!isBefore(high, low, path.upperHigh, path.upperLow)) damaged(fbn, 'entries out of order');
    high = path.upperHigh;
    low = path.upperLow;
    if (entries.length >= countMax) return { entries, next: { high, low } };
  }
}

/** Blocks of the leaves that hold the entries from a cursor on, in order, at most `countMax`, not
 *  further than one parent's: what to fetch at once before `readEntries` asks one by one. LOAD. */
export function leavesAhead(
  blocks: DirectoryBlocks,
  cursor: DirectoryCursor,
  countMax: number,
): Fbn[] {
  const root = readRoot(blocks);
  if (levelOf(blocks, root) === 0) return [0];
  const parent = descend(blocks, root, cursor.high, cursor.low, 1);
  const nodes = nodesOf(blocks, root);
  const first = childFind(blocks.view, parent, cursor.high, cursor.low);
  const limit = Math.min(countOf(blocks, parent), first + countMax);
  const leaves: Fbn[] = [];
  for (let index = first; index < limit; index++) {
    leaves.push(childAt(blocks, path.fbns[1] as Fbn, childSlot(parent, index), nodes));
  }
  return leaves;
}

// Finding.

/** Sets `nameHash` and `path` for `name`; whether there is such an entry. */
function find(blocks: DirectoryBlocks, root: Address, name: Uint8Array): boolean {
  const length = name.length;
  assert(length > 0 && length <= DIRECTORY_NAME_SIZE_MAX, 'name has 1..255 bytes', length);
  hashInDirectory(blocks, seedOf(blocks, root), name, 0, length);
  const { high, low } = nameHash;
  const leaf = descend(blocks, root, high, low, 0);
  const found = leafFind(blocks, path.fbns[0] as Fbn, leaf, high, low, name);
  path.position = found < 0 ? ~found : found;
  return found >= 0;
}

/** Walks from the root to the node of level `levelTo` that covers hash (high, low); sets `path`. */
function descend(
  blocks: DirectoryBlocks,
  root: Address,
  high: number,
  low: number,
  levelTo: number,
): Address {
  const { view } = blocks;
  const nodes = nodesOf(blocks, root);
  let level = levelOf(blocks, root);
  let fbn: Fbn = 0;
  let node = root;
  path.levelRoot = level;
  path.isLast = true;
  for (;;) {
    path.fbns[level] = fbn;
    path.addresses[level] = node;
    if (level <= levelTo) return node;
    const index = childFind(view, node, high, low);
    path.indexes[level] = index;
    if (index + 1 < countOf(blocks, node)) {
      const next = childSlot(node, index + 1) + DIRECTORY_CHILD_HASH_OFFSET;
      path.isLast = false;
      path.upperLow = view.getUint32(next, true);
      path.upperHigh = view.getUint32(next + 4, true);
    }
    fbn = childAt(blocks, fbn, childSlot(node, index), nodes);
    level--;
    node = readNode(blocks, fbn, level);
  }
}

/** Makes what is given of an entry whose name has `length` bytes from `first` on. */
export type MakeEntry<E> = (
  u8: Uint8Array,
  first: number,
  length: number,
  ino: Ino,
  kind: number,
) => E;

function entryWithBytes(
  u8: Uint8Array,
  first: number,
  length: number,
  ino: Ino,
  kind: number,
): DirectoryEntry {
  return { name: u8.slice(first, first + length), ino, kind };
}

function isBefore(highA: number, lowA: number, highB: number, lowB: number): boolean {
  return highA < highB || (highA === highB && lowA < lowB);
}

function isFull(blocks: DirectoryBlocks, node: Address): boolean {
  return countOf(blocks, node) === DIRECTORY_CHILDREN_MAX;
}

// Splitting.

/** How the leaf divides, with an entry of `size` bytes and hash `nameHash` coming in at
 *  path.position: how many of the combined sequence stay left. Most even in bytes, between
 *  different hashes; 0 if there is no such place. Checks every entry, as the split will move them
 *  all. */
function leafSplitPoint(blocks: DirectoryBlocks, leaf: Address, size: number): number {
  const { view } = blocks;
  const fbn = path.fbns[0] as Fbn;
  const count = countOf(blocks, leaf);
  const total = LEAF_CAPACITY - leafRoom(blocks, leaf) + size;
  let best = 0;
  let bestDifference = Infinity;
  let sum = 0;
  let high = 0;
  let low = 0;
  for (let item = 0; item <= count; item++) {
    const slot = leafSlot(leaf, item < path.position ? item : item - 1);
    const isNew = item === path.position;
    const itemHigh = isNew
      ? nameHash.high
      : view.getUint32(slot + DIRECTORY_LEAF_HASH_OFFSET + 4, true);
    const itemLow = isNew ? nameHash.low : view.getUint32(slot + DIRECTORY_LEAF_HASH_OFFSET, true);
    if (item > 0 && isBefore(itemHigh, itemLow, high, low)) damaged(fbn, 'entries out of order');
    const isBoundary = item > 0 && !(itemHigh === high && itemLow === low);
    const difference = Math.abs(total - 2 * sum);
    if (isBoundary && difference < bestDifference) {
      best = item;
      bestDifference = difference;
    }
    high = itemHigh;
    low = itemLow;
    sum += isNew ? size : entrySize(nameLength(blocks, entryAt(blocks, fbn, leaf, slot)));
  }
  if (sum !== total) damaged(fbn, `entries of ${sum - size} bytes in ${total - size}`);
  // |total - 2 x left| is the difference of the halves: the larger one must fit.
  return (total + bestDifference) / 2 <= LEAF_CAPACITY ? best : 0;
}

/** Reads the nodes of the free list that will be taken; whether there are enough nodes in all. */
function planNodes(blocks: DirectoryBlocks, root: Address): boolean {
  const nodes = nodesOf(blocks, root);
  const freeCount = blocks.view.getUint32(root + DIRECTORY_FREE_COUNT_OFFSET, true);
  const fromList = Math.min(freeCount, path.needed);
  let fbn: Fbn = blocks.view.getUint32(root + DIRECTORY_FREE_OFFSET, true);
  for (let index = 0; index < fromList; index++) {
    if (fbn === 0) damaged(0, `free list shorter than ${freeCount}`);
    if (taken.subarray(0, index).includes(fbn)) damaged(fbn, 'twice in the free list');
    taken[index] = fbn;
    fbn = readFree(blocks, fbn, nodes);
  }
  if (fromList === freeCount && fbn !== 0) damaged(0, `free list longer than ${freeCount}`);
  return nodes + path.needed - fromList <= DIRECTORY_NODES_MAX;
}

/** A node of the free list, or else a new one, as an empty node of that level; its fbn. */
function allocate(blocks: DirectoryBlocks, root: Address, level: number): Fbn {
  const { view } = blocks;
  const free = view.getUint32(root + DIRECTORY_FREE_OFFSET, true);
  if (free === 0) {
    const fresh = nodesOf(blocks, root);
    view.setUint32(root + DIRECTORY_NODES_OFFSET, fresh + 1, true);
    formatNode(blocks, blocks.create(fresh), level);
    return fresh;
  }
  const node = blocks.change(free);
  const freeCount = view.getUint32(root + DIRECTORY_FREE_COUNT_OFFSET, true);
  view.setUint32(root + DIRECTORY_FREE_OFFSET, readFree(blocks, free, nodesOf(blocks, root)), true);
  view.setUint32(root + DIRECTORY_FREE_COUNT_OFFSET, freeCount - 1, true);
  formatNode(blocks, node, level);
  return free;
}

function release(blocks: DirectoryBlocks, root: Address, fbn: Fbn): void {
  const { view } = blocks;
  const freeCount = view.getUint32(root + DIRECTORY_FREE_COUNT_OFFSET, true);
  const free = view.getUint32(root + DIRECTORY_FREE_OFFSET, true);
  formatNode(blocks, blocks.change(fbn), DIRECTORY_LEVEL_FREE, free);
  view.setUint32(root + DIRECTORY_FREE_OFFSET, fbn, true);
  view.setUint32(root + DIRECTORY_FREE_COUNT_OFFSET, freeCount + 1, true);
}

/** Splits the leaf of `path`, and of its parents those that are full. Returns the fbn of the leaf
 *  that takes the new entry, and sets path.position to its place in it. */
function makeRoom(blocks: DirectoryBlocks, root: Address): Fbn {
  const levelRoot = path.levelRoot;
  if (path.needed > levelRoot + 1) pushDown(blocks, root, levelRoot);
  const left = path.fbns[0] as Fbn;
  let child = allocate(blocks, root, 0);
  let hash = leafSplit(blocks, blocks.change(left), blocks.change(child));
  const leaf = path.position < path.split ? left : child;
  if (leaf === child) path.position -= path.split;
  for (let level = 1; ; level++) {
    const parent = blocks.change(path.fbns[level] as Fbn);
    const index = (path.indexes[level] as number) + 1;
    if (!isFull(blocks, parent)) {
      childInsert(blocks, parent, index, hash, child);
      return leaf;
    }
    const right = allocate(blocks, root, level);
    hash = childSplit(blocks, parent, blocks.change(right), index, hash, child);
    child = right;
  }
}

/** Moves the root's contents to a new node, whose parent it becomes. */
function pushDown(blocks: DirectoryBlocks, root: Address, level: number): void {
  const { view, u8 } = blocks;
  const fbn = allocate(blocks, root, level);
  const node = blocks.change(fbn);
  u8.copyWithin(node + DIRECTORY_SLOTS_OFFSET, root + DIRECTORY_SLOTS_OFFSET, root + BLOCK_SIZE);
  view.setUint16(node + DIRECTORY_COUNT_OFFSET, countOf(blocks, root), true);
  view.setUint16(
    node + DIRECTORY_HEAP_OFFSET,
    view.getUint16(root + DIRECTORY_HEAP_OFFSET, true),
    true,
  );
  formatNode(blocks, root, level + 1);
  childInsert(blocks, root, 0, DIRECTORY_START, fbn);
  path.fbns[level] = fbn;
  path.fbns[level + 1] = 0;
  path.indexes[level + 1] = 0;
  path.levelRoot = level + 1;
}

/** Moves the entries from path.split on (of the combined sequence) to the empty leaf `right`.
 *  Returns the first hash that belongs to the right. */
function leafSplit(blocks: DirectoryBlocks, left: Address, right: Address): DirectoryCursor {
  const { position, split } = path;
  const kept = position < split ? split - 1 : split;
  const count = countOf(blocks, left);
  scratch.set(blocks.u8.subarray(left, left + BLOCK_SIZE));
  formatNode(blocks, left, levelOf(blocks, left));
  for (let index = 0; index < count; index++) {
    if (index < kept) appendFromScratch(blocks, left, index, index);
    else appendFromScratch(blocks, right, index - kept, index);
  }
  if (position === split) return { high: nameHash.high, low: nameHash.low };
  return scratchHash(kept);
}

function scratchHash(index: number): DirectoryCursor {
  const at = leafSlot(0, index) + DIRECTORY_LEAF_HASH_OFFSET;
  return { high: scratchView.getUint32(at + 4, true), low: scratchView.getUint32(at, true) };
}

/** Appends the entry `index` of the leaf in `scratch`, which leafSplitPoint has checked, to a leaf,
 *  as its entry `indexTo`. */
function appendFromScratch(
  blocks: DirectoryBlocks,
  leaf: Address,
  indexTo: number,
  index: number,
): void {
  const slot = leafSlot(0, index);
  const part = scratchView.getUint16(slot + DIRECTORY_LEAF_HEAP_OFFSET, true);
  const length = scratch[part + DIRECTORY_NAME_LENGTH_OFFSET] as number;
  const to = leafOpen(blocks, leaf, indexTo, scratchHash(index), length);
  blocks.u8.set(scratch.subarray(part, part + DIRECTORY_NAME_OFFSET + length), to);
  const ino = scratch.subarray(
    slot + DIRECTORY_LEAF_INO_LOW_OFFSET,
    slot + DIRECTORY_LEAF_HEAP_OFFSET,
  );
  blocks.u8.set(ino, leafSlot(leaf, indexTo) + DIRECTORY_LEAF_INO_LOW_OFFSET);
}

/** Splits a full interior node in the middle and puts the child (hash, fbn), which comes in at
 *  `index`, into its half. Returns the first hash that belongs to the right half. */
function childSplit(
  blocks: DirectoryBlocks,
  left: Address,
  right: Address,
  index: number,
  hash: DirectoryCursor,
  fbn: Fbn,
): DirectoryCursor {
  const { view, u8 } = blocks;
  const kept = (DIRECTORY_CHILDREN_MAX + 1) / 2;
  const first = childSlot(left, kept);
  const end = childSlot(left, DIRECTORY_CHILDREN_MAX);
  const middle = {
    low: view.getUint32(first + DIRECTORY_CHILD_HASH_OFFSET, true),
    high: view.getUint32(first + DIRECTORY_CHILD_HASH_OFFSET + 4, true),
  };
  u8.copyWithin(childSlot(right, 0), first, end);
  u8.fill(0, first, end);
  clearFirstKey(view, right);
  view.setUint16(left + DIRECTORY_COUNT_OFFSET, kept, true);
  view.setUint16(right + DIRECTORY_COUNT_OFFSET, DIRECTORY_CHILDREN_MAX - kept, true);
  if (index <= kept) childInsert(blocks, left, index, hash, fbn);
  else childInsert(blocks, right, index - kept, hash, fbn);
  return middle;
}
