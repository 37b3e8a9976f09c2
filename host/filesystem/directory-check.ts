// Checking a whole directory, for verify: every node once, everything that its layout promises.
//
// In steps, each of which reads one block: where that is not in memory, the caller's sentinel
// passes through with nothing changed, the caller fetches the block and takes the step again; where
// it cannot be had at all, the caller says so by `skip`. So a directory larger than the cache can
// be checked, in memory bounded by one path's children and one bit a node.
//
// A subtree under a damaged node is not walked. Then the counts and what was not reached say
// nothing, and are not reported.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  DIRECTORY_CHILD_FBN_OFFSET,
  DIRECTORY_CHILD_HASH_OFFSET,
  DIRECTORY_COUNT_OFFSET,
  DIRECTORY_FREE_COUNT_OFFSET,
  DIRECTORY_FREE_OFFSET,
  DIRECTORY_HEAP_OFFSET,
  DIRECTORY_LEAF_HASH_OFFSET,
  DIRECTORY_LEAF_HEAP_OFFSET,
  DIRECTORY_LEAF_INO_HIGH_OFFSET,
  DIRECTORY_LEAF_INO_LOW_OFFSET,
  DIRECTORY_LEVEL_FREE,
  DIRECTORY_NAME_KIND_OFFSET,
  DIRECTORY_NAME_OFFSET,
  DIRECTORY_NEXT_OFFSET,
  DIRECTORY_RESERVED0_OFFSET,
  DIRECTORY_RESERVED1_OFFSET,
  DIRECTORY_RESERVED2_OFFSET,
  DIRECTORY_SEED_OFFSET,
  DIRECTORY_SLOTS_OFFSET,
} from '../../assembly/layout/directory.ts';
import { isStorageError } from '../base/errors.ts';
import type { Address, Fbn } from '../base/units.ts';
import { nameHash } from './directory-hash.ts';
import type { DirectoryBlocks } from './directory-node.ts';
import {
  childSlot,
  compareName,
  countOf,
  entriesOf,
  entryAt,
  hashInDirectory,
  isKind,
  isName,
  leafSlot,
  levelOf,
  nameLength,
  nodesOf,
  readFree,
  readNode,
  readRootOfAnySize,
  seedOf,
} from './directory-node.ts';

/** What can be wrong: node: header, magic, level or the root's own fields · unreadable: the caller
 *  could not read it · child: a child's fbn out of range · shared: a node reached twice, or used
 *  and in the free list · keys: an interior node's keys not ascending, or out of the range that its
 *  parent gives it · order: a leaf's entries not ascending · range: an entry in a leaf where its
 *  hash does not belong · duplicate: a name twice · hash: not the hash of the name · name: empty,
 *  `.`, `..`, or with `/` or NUL · kind, ino: no such kind, inode number 0 · heap: entries outside
 *  of it, overlapping, or bytes of none · reserved: a byte that is not zero but must be · count:
 *  the root counts other entries than there are · free: the free list's nodes, length or end ·
 *  unreached: nodes that are neither used nor free · size: the file has other blocks than the root
 *  says. */
export type DirectoryProblemKind =
  | 'node'
  | 'unreadable'
  | 'child'
  | 'shared'
  | 'keys'
  | 'order'
  | 'range'
  | 'duplicate'
  | 'hash'
  | 'name'
  | 'kind'
  | 'ino'
  | 'heap'
  | 'reserved'
  | 'count'
  | 'free'
  | 'unreached'
  | 'size';

export interface DirectoryProblem {
  readonly kind: DirectoryProblemKind;
  readonly fbn: Fbn;
  readonly message: string;
}

/** After so many problems the check stops; the last one says so. */
export const DIRECTORY_PROBLEMS_MAX = 100;

/** A hash that may be 2^64, as the upper end of a range. */
interface Bound {
  readonly high: number;
  readonly low: number;
}

interface Visit {
  readonly fbn: Fbn;
  readonly level: number;
  /** Hashes from `lower` up to, not including, `upper`. */
  readonly lower: Bound;
  readonly upper: Bound;
}

const LOWEST: Bound = { high: 0, low: 0 };
const HIGHEST: Bound = { high: 0x100000000, low: 0 };

function isBelow(a: Bound, b: Bound): boolean {
  return a.high < b.high || (a.high === b.high && a.low < b.low);
}

/** Fbns seen, one bit each, in pieces made when first needed: a root that claims 2^31 nodes costs
 *  nothing. */
class FbnSet {
  readonly #pieces = new Map<number, Uint8Array>();

  /** False if it was in already. */
  add(fbn: Fbn): boolean {
    const index = Math.floor(fbn / 32768);
    let piece = this.#pieces.get(index);
    if (piece === undefined) {
      piece = new Uint8Array(BLOCK_SIZE);
      this.#pieces.set(index, piece);
    }
    const at = (fbn % 32768) >>> 3;
    const bit = 1 << (fbn & 7);
    const before = piece[at] as number;
    piece[at] = before | bit;
    return (before & bit) === 0;
  }

  /** First fbn >= from and < limit that is in (`isIn`) or not; limit if none. */
  next(from: Fbn, limit: Fbn, isIn: boolean): Fbn {
    let fbn = from;
    while (fbn < limit) {
      const piece = this.#pieces.get(Math.floor(fbn / 32768));
      if (piece === undefined) {
        if (!isIn) return fbn;
        fbn = (Math.floor(fbn / 32768) + 1) * 32768;
        continue;
      }
      const isSet = ((piece[(fbn % 32768) >>> 3] as number) & (1 << (fbn & 7))) !== 0;
      if (isSet === isIn) return fbn;
      fbn++;
    }
    return limit;
  }
}

/** A check under way. Call `step` until it returns true, then read `problems`. The directory must
 *  not change meanwhile (a snapshot, or a volume at rest). */
export class DirectoryCheck {
  readonly problems: DirectoryProblem[] = [];
  /** Calls this with each sound entry, if given: verify compares them with the inodes. */
  readonly #onEntry: ((ino: number, kind: number, name: Uint8Array) => void) | undefined;
  readonly #blocks: DirectoryBlocks;
  readonly #seen = new FbnSet();
  readonly #visits: Visit[] = [];
  #state: 'root' | 'tree' | 'free' | 'done' = 'root';
  /** Some nodes were not walked. */
  #isPartial = false;
  #seed = LOWEST;
  /** Fbns below this are nodes and lie in the file. */
  #nodes = 1;
  #entries = 0;
  #entriesStated = 0;
  #free: Fbn = 0;
  #freeLeft = 0;

  constructor(
    blocks: DirectoryBlocks,
    onEntry?: (ino: number, kind: number, name: Uint8Array) => void,
  ) {
    this.#blocks = blocks;
    this.#onEntry = onEntry;
  }

  /** Checks one block; true when all are done. */
  step(): boolean {
    if (this.#state === 'done') return true;
    const fbn = this.#wanted();
    try {
      if (this.#state === 'root') this.#checkRoot();
      else if (this.#state === 'tree') this.#checkNode(this.#visits.at(-1) as Visit);
      else this.#checkFree(fbn);
    } catch (error) {
      // The sentinel, and whatever else is not a structure found bad, is not ours.
      if (!isStorageError(error, 'BAD_MAGIC')) throw error;
      this.#note(this.#state === 'free' ? 'free' : 'node', fbn, error.message);
      this.#leave();
    }
    return this.#next();
  }

  /** Instead of a step, when the block that it wanted cannot be read. True when all are done. */
  skip(message: string): boolean {
    if (this.#state === 'done') return true;
    this.#note('unreadable', this.#wanted(), message);
    this.#leave();
    return this.#next();
  }

  /** The block that the next step reads. */
  #wanted(): Fbn {
    if (this.#state === 'root') return 0;
    return this.#state === 'tree' ? (this.#visits.at(-1) as Visit).fbn : this.#free;
  }

  /** Gives up the block in hand. */
  #leave(): void {
    this.#isPartial = true;
    if (this.#state === 'root') this.#state = 'done';
    else if (this.#state === 'tree') this.#visits.pop();
    else this.#free = 0;
  }

  #next(): boolean {
    if (this.#isFull()) this.#state = 'done';
    if (this.#state === 'tree' && this.#visits.length === 0) this.#state = 'free';
    if (this.#state === 'free' && this.#free === 0) {
      this.#state = 'done';
      if (!this.#isPartial) this.#checkTotals();
    }
    return this.#state === 'done';
  }

  #isFull(): boolean {
    return this.problems.length >= DIRECTORY_PROBLEMS_MAX;
  }

  #note(kind: DirectoryProblemKind, fbn: Fbn, message: string): void {
    const left = DIRECTORY_PROBLEMS_MAX - this.problems.length;
    if (left > 1) this.problems.push({ kind, fbn, message });
    else if (left === 1)
      this.problems.push({ kind, fbn, message: `${message}; no more looked for` });
  }

  #checkRoot(): void {
    const { view } = this.#blocks;
    const root = readRootOfAnySize(this.#blocks);
    const { blockCount } = this.#blocks;
    const nodes = nodesOf(this.#blocks, root);
    this.#nodes = Math.min(nodes, blockCount);
    this.#seed = seedOf(this.#blocks, root);
    this.#entriesStated = entriesOf(this.#blocks, root);
    this.#free = view.getUint32(root + DIRECTORY_FREE_OFFSET, true);
    this.#freeLeft = view.getUint32(root + DIRECTORY_FREE_COUNT_OFFSET, true);
    if (nodes !== blockCount) {
      this.#note('size', 0, `${blockCount} blocks in the file, ${nodes} nodes`);
    }
    if (this.#free >= this.#nodes) {
      this.#note('free', 0, `free node ${this.#free} of ${this.#nodes}`);
      this.#free = 0;
      this.#isPartial = true;
    }
    this.#seen.add(0);
    const level = levelOf(this.#blocks, root);
    this.#visits.push({ fbn: 0, level, lower: LOWEST, upper: HIGHEST });
    this.#state = 'tree';
  }

  #checkNode(visit: Visit): void {
    const { fbn, level } = visit;
    const blocks = this.#blocks;
    const node = fbn === 0 ? readRootOfAnySize(blocks) : readNode(blocks, fbn, level);
    this.#visits.pop();
    this.#checkReserved(fbn, node);
    if (level > 0) this.#checkInterior(visit, node);
    else this.#checkLeaf(visit, node);
  }

  /** Bytes of the header that must be zero. */
  #checkReserved(fbn: Fbn, node: Address): void {
    const isFree = levelOf(this.#blocks, node) === DIRECTORY_LEVEL_FREE;
    const ownFrom = fbn === 0 ? DIRECTORY_RESERVED2_OFFSET : DIRECTORY_SEED_OFFSET;
    this.#checkZero(fbn, node, DIRECTORY_RESERVED0_OFFSET, DIRECTORY_COUNT_OFFSET);
    this.#checkZero(fbn, node, DIRECTORY_RESERVED1_OFFSET, DIRECTORY_NEXT_OFFSET);
    if (!isFree) this.#checkZero(fbn, node, DIRECTORY_NEXT_OFFSET, DIRECTORY_SEED_OFFSET);
    this.#checkZero(fbn, node, ownFrom, DIRECTORY_SLOTS_OFFSET);
  }

  /** Bytes of a node that must be zero, as offsets. */
  #checkZero(fbn: Fbn, node: Address, from: number, to: number): void {
    for (let offset = from; offset < to; offset++) {
      if (this.#blocks.u8[node + offset] === 0) continue;
      this.#note('reserved', fbn, `byte ${offset} is not zero`);
      return;
    }
  }

  #checkInterior(visit: Visit, node: Address): void {
    const { view } = this.#blocks;
    const { fbn, level } = visit;
    const count = countOf(this.#blocks, node);
    this.#checkZero(fbn, node, childSlot(0, count), BLOCK_SIZE);
    let upper = visit.upper;
    // Backwards, so that the first child comes off the stack first.
    for (let index = count - 1; index >= 0; index--) {
      const slot = childSlot(node, index);
      const key = {
        low: view.getUint32(slot + DIRECTORY_CHILD_HASH_OFFSET, true),
        high: view.getUint32(slot + DIRECTORY_CHILD_HASH_OFFSET + 4, true),
      };
      const isInside = isBelow(visit.lower, key) && isBelow(key, upper);
      const isKeyGood = index === 0 ? key.high === 0 && key.low === 0 : isInside;
      if (!isKeyGood) this.#note('keys', fbn, `key ${index} out of order`);
      const lower = index === 0 ? visit.lower : key;
      const child = view.getUint32(slot + DIRECTORY_CHILD_FBN_OFFSET, true);
      if (child === 0 || child >= this.#nodes) {
        this.#note('child', fbn, `child ${child} of ${this.#nodes} nodes`);
        this.#isPartial = true;
      } else if (!this.#seen.add(child)) {
        this.#note('shared', fbn, `child ${child} is reached twice`);
        this.#isPartial = true;
      } else {
        this.#visits.push({ fbn: child, level: level - 1, lower, upper });
      }
      upper = lower;
    }
  }

  #checkLeaf(visit: Visit, leaf: Address): void {
    const { fbn } = visit;
    const count = countOf(this.#blocks, leaf);
    this.#entries += count;
    this.#checkHeap(fbn, leaf, count);
    let previous: { hash: Bound; part: Address } | undefined;
    for (let index = 0; index < count; index++) {
      const slot = leafSlot(leaf, index);
      const part = this.#partAt(fbn, leaf, slot);
      if (part === undefined) continue;
      const hash = this.#hashAt(slot);
      if (previous !== undefined) this.#checkOrder(fbn, index, previous, { hash, part });
      previous = { hash, part };
      if (isBelow(hash, visit.lower) || !isBelow(hash, visit.upper)) {
        this.#note('range', fbn, `entry ${index} does not belong into this leaf`);
      }
      this.#checkEntry(fbn, index, slot, part, hash);
    }
  }

  #hashAt(slot: Address): Bound {
    const { view } = this.#blocks;
    return {
      low: view.getUint32(slot + DIRECTORY_LEAF_HASH_OFFSET, true),
      high: view.getUint32(slot + DIRECTORY_LEAF_HASH_OFFSET + 4, true),
    };
  }

  /** The entry's heap part, undefined (and noted by #checkHeap) where it lies outside of the
   *  heap. */
  #partAt(fbn: Fbn, leaf: Address, slot: Address): Address | undefined {
    try {
      return entryAt(this.#blocks, fbn, leaf, slot);
    } catch (error) {
      if (!isStorageError(error, 'BAD_MAGIC')) throw error;
      return undefined;
    }
  }

  /** The heap is exactly its entries, one beside the other; between slots and heap are zeros. */
  #checkHeap(fbn: Fbn, leaf: Address, count: number): void {
    const { view } = this.#blocks;
    const heap = view.getUint16(leaf + DIRECTORY_HEAP_OFFSET, true);
    const parts: { from: number; to: number }[] = [];
    for (let index = 0; index < count; index++) {
      const slot = leafSlot(leaf, index);
      const part = this.#partAt(fbn, leaf, slot);
      if (part === undefined) {
        const offset = view.getUint16(slot + DIRECTORY_LEAF_HEAP_OFFSET, true);
        this.#note('heap', fbn, `entry ${index} at ${offset} is not in the heap at ${heap}`);
        return;
      }
      const from = part - leaf;
      parts.push({ from, to: from + DIRECTORY_NAME_OFFSET + nameLength(this.#blocks, part) });
    }
    parts.sort((a, b) => a.from - b.from);
    let at = heap;
    for (const { from, to } of parts) {
      if (from !== at) {
        this.#note('heap', fbn, from < at ? `entries overlap at ${from}` : `no entry at ${at}`);
        return;
      }
      at = to;
    }
    if (at !== BLOCK_SIZE) this.#note('heap', fbn, `no entry at ${at}`);
    this.#checkZero(fbn, leaf, leafSlot(0, count), heap);
  }

  #checkOrder(
    fbn: Fbn,
    index: number,
    a: { hash: Bound; part: Address },
    b: { hash: Bound; part: Address },
  ): void {
    const { u8 } = this.#blocks;
    if (isBelow(a.hash, b.hash)) return;
    const first = b.part + DIRECTORY_NAME_OFFSET;
    const name = u8.subarray(first, first + nameLength(this.#blocks, b.part));
    const order = isBelow(b.hash, a.hash) ? 1 : compareName(u8, a.part, name);
    if (order === 0) this.#note('duplicate', fbn, `the name of entry ${index} is there twice`);
    if (order > 0) this.#note('order', fbn, `entry ${index} is out of order`);
  }

  #checkEntry(fbn: Fbn, index: number, slot: Address, part: Address, hash: Bound): void {
    const { u8, view } = this.#blocks;
    const before = this.problems.length;
    const first = part + DIRECTORY_NAME_OFFSET;
    const length = nameLength(this.#blocks, part);
    hashInDirectory(this.#blocks, this.#seed, u8, first, length);
    if (hash.high !== nameHash.high || hash.low !== nameHash.low) {
      this.#note('hash', fbn, `entry ${index} has not the hash of its name`);
    }
    const name = u8.slice(first, first + length);
    if (!isName(name)) this.#note('name', fbn, `entry ${index} has a name that cannot be`);
    const kind = u8[part + DIRECTORY_NAME_KIND_OFFSET] as number;
    if (!isKind(kind)) this.#note('kind', fbn, `entry ${index} is of kind ${kind}`);
    const low = view.getUint32(slot + DIRECTORY_LEAF_INO_LOW_OFFSET, true);
    const ino = view.getUint16(slot + DIRECTORY_LEAF_INO_HIGH_OFFSET, true) * 0x100000000 + low;
    if (ino === 0) this.#note('ino', fbn, `entry ${index} has inode number 0`);
    if (this.problems.length === before) this.#onEntry?.(ino, kind, name);
  }

  #checkFree(fbn: Fbn): void {
    const next = readFree(this.#blocks, fbn, this.#nodes);
    if (!this.#seen.add(fbn)) {
      this.#note('shared', fbn, 'in the free list twice, or in the tree too');
      this.#leave();
      return;
    }
    const node = this.#blocks.read(fbn);
    this.#checkReserved(fbn, node);
    this.#checkZero(fbn, node, DIRECTORY_COUNT_OFFSET, DIRECTORY_RESERVED1_OFFSET);
    this.#checkZero(fbn, node, DIRECTORY_SLOTS_OFFSET, BLOCK_SIZE);
    this.#freeLeft--;
    this.#free = next;
  }

  #checkTotals(): void {
    if (this.#entries !== this.#entriesStated) {
      this.#note('count', 0, `${this.#entriesStated} entries counted, ${this.#entries} there`);
    }
    if (this.#freeLeft !== 0) {
      this.#note('free', 0, `the free list has ${-this.#freeLeft} nodes more than counted`);
    }
    const limit = this.#nodes;
    let from = this.#seen.next(0, limit, false);
    while (from < limit && !this.#isFull()) {
      const to = this.#seen.next(from, limit, true);
      this.#note('unreached', from, `nodes ${from}..${to - 1} are neither used nor free`);
      from = this.#seen.next(to, limit, false);
    }
  }
}

/** Checks a directory whose blocks are all in memory. */
export function checkDirectory(blocks: DirectoryBlocks): DirectoryProblem[] {
  const check = new DirectoryCheck(blocks);
  while (!check.step());
  return check.problems;
}
