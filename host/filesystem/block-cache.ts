// The buffer cache: every block in memory lies in one frame of the arena.
//
// A clean block is found by its vbn, and is the right one only if its checksum is the pointer's too
// (ENGINE 6): a vbn that was freed and used again never yields its old contents. And it was checked
// as the kind of block that it is found as: contents of a file are never taken for inodes. A dirty
// block has no place on disk yet; it is found through the tree that owns it (file-node.ts), never
// here.
//
//   free --> loading --> clean --> (evicted: free)
//     \                  |  ^  \
//      \----> dirty <----+  |   `--> detached (its vbn has new contents; free once unpinned)
//                 \_________'        placed at a CP
//
// Invariants: a pinned block is neither evicted nor changed; a block being written is pinned; a
// block found since the last `beginTurn` is not evicted, so that what LOAD found is there for
// MODIFY in the same turn. Eviction is CLOCK over the other clean blocks.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import { FsError } from '../base/errors.ts';
import type { Address, Vbn } from '../base/units.ts';
import type { Pointer } from '../format/pointer.ts';
import type { Arena } from '../kernels/arena.ts';

/** What is wrong with the contents of a block, as one of its pointer's kind. */
export type BlockCheck = (pointer: Pointer, address: Address) => Error | undefined;

export type BlockState = 'free' | 'loading' | 'clean' | 'dirty' | 'detached';

/** A frame and what it holds now. */
export class Block {
  readonly address: Address;
  state: BlockState = 'free';
  /** Where it is on disk; 0 while dirty or free. */
  vbn: Vbn = 0;
  checksumLow = 0;
  checksumHigh = 0;
  /** KIND_* that it was checked as. */
  kind = 0;
  /** Users that need it to stay and not change. */
  pins = 0;
  isReferenced = false;
  /** The turn in which it was last found. */
  turn = 0;
  /** Place in its tree while dirty. */
  level = 0;
  index = 0;

  constructor(address: Address) {
    this.address = address;
  }
}

export class BlockCache {
  readonly arena: Arena;
  readonly frameCount: number;
  readonly #blocks: Block[] = [];
  readonly #free: Block[] = [];
  readonly #clean = new Map<Vbn, Block>();
  readonly #check: BlockCheck;
  #hand = 0;
  #turn = 1;
  #dirtyCount = 0;
  #pinnedCount = 0;
  hitCount = 0;
  missCount = 0;

  constructor(
    arena: Arena,
    frames: { readonly first: Address; readonly count: number },
    check: BlockCheck,
  ) {
    const { first, count: frameCount } = frames;
    this.arena = arena;
    this.#check = check;
    this.frameCount = frameCount;
    for (let index = frameCount - 1; index >= 0; index--) {
      const block = new Block(first + index * BLOCK_SIZE);
      this.#blocks.push(block);
      this.#free.push(block);
    }
  }

  /** Of the turn that began last. */
  get turn(): number {
    return this.#turn;
  }

  get dirtyCount(): number {
    return this.#dirtyCount;
  }

  /** Blocks pinned (being loaded, written, or found by a message that waits). */
  get pinnedCount(): number {
    return this.#pinnedCount;
  }

  /** The clean block that this pointer means, if it is in memory; throws EIO where it is, and is no
   *  block of that kind. */
  find(vbn: Vbn, checksumLow: number, checksumHigh: number, kind: number): Block | undefined {
    const block = this.#clean.get(vbn);
    if (
      block === undefined ||
      block.checksumLow !== checksumLow ||
      block.checksumHigh !== checksumHigh
    ) {
      this.missCount++;
      return undefined;
    }
    if (block.kind !== kind) this.#findAs(block, kind);
    this.hitCount++;
    block.isReferenced = true;
    block.turn = this.#turn;
    return block;
  }

  /** What is in memory of a pointer's block, as whatever it was checked. */
  peek({ vbn, checksumLow, checksumHigh }: Pointer): Block | undefined {
    const block = this.#clean.get(vbn);
    const isIt = block?.checksumLow === checksumLow && block.checksumHigh === checksumHigh;
    return isIt ? block : undefined;
  }

  /** A block was checked as one kind, and another pointer says that it is of this one. */
  #findAs(block: Block, kind: number): void {
    const { vbn, checksumLow, checksumHigh } = block;
    const error = this.#check({ vbn, kind, checksumLow, checksumHigh }, block.address);
    if (error !== undefined) throw new FsError('EIO', { cause: error });
    block.kind = kind;
  }

  /** A message (or a CP's freeze) begins: what is found from now on stays until the next begins. */
  beginTurn(): void {
    this.#turn++;
  }

  pin(block: Block): void {
    if (block.pins++ === 0) this.#pinnedCount++;
  }

  unpin(block: Block): void {
    assert(block.pins > 0, 'block is pinned');
    if (--block.pins > 0) return;
    this.#pinnedCount--;
    if (block.state === 'detached') this.#release(block);
  }

  /** A frame to read into, pinned; undefined where every frame is dirty or pinned. */
  startLoad(): Block | undefined {
    const block = this.#take();
    if (block === undefined) return undefined;
    block.state = 'loading';
    this.pin(block);
    return block;
  }

  /** The frame now holds what `pointer` means. Drops it if another load was faster. */
  finishLoad(block: Block, pointer: Pointer): void {
    assert(block.state === 'loading', 'block is loading', block.state);
    const there = this.#clean.get(pointer.vbn);
    if (
      there !== undefined &&
      there.checksumLow === pointer.checksumLow &&
      there.checksumHigh === pointer.checksumHigh
    ) {
      there.kind = pointer.kind;
      this.abandonLoad(block);
      return;
    }
    this.enterClean(block, pointer);
    this.unpin(block);
  }

  abandonLoad(block: Block): void {
    block.state = 'detached';
    this.unpin(block);
  }

  /** A frame becomes the clean block of `pointer`; an older block of that vbn is forgotten. */
  enterClean(block: Block, pointer: Pointer): void {
    const { vbn, kind, checksumLow, checksumHigh } = pointer;
    this.enterPlaced(block, vbn, kind, checksumLow, checksumHigh);
  }

  /** As enterClean, of a pointer's words. */
  enterPlaced(
    block: Block,
    vbn: Vbn,
    kind: number,
    checksumLow: number,
    checksumHigh: number,
  ): void {
    if (block.state === 'dirty') this.#dirtyCount--;
    const there = this.#clean.get(vbn);
    if (there !== undefined) this.#forget(there);
    block.state = 'clean';
    block.vbn = vbn;
    block.checksumLow = checksumLow;
    block.checksumHigh = checksumHigh;
    block.kind = kind;
    block.isReferenced = true;
    this.#clean.set(vbn, block);
  }

  /** A new dirty block, bytes undefined. The caller reserved the frame at admission. */
  createDirty(level: number, index: number): Block {
    const block = this.#take();
    assert(block !== undefined, 'a frame is left for a dirty block', this.#dirtyCount);
    return this.#makeDirty(block, level, index);
  }

  /** A clean block's contents as a dirty block: the same frame if nobody else needs it, else a
   *  copy. */
  changeClean(block: Block, level: number, index: number): Block {
    assert(block.state === 'clean', 'block is clean', block.state);
    if (block.pins === 0) {
      this.#clean.delete(block.vbn);
      block.vbn = 0;
      return this.#makeDirty(block, level, index);
    }
    const copy = this.createDirty(level, index);
    this.arena.u8.copyWithin(copy.address, block.address, block.address + BLOCK_SIZE);
    return copy;
  }

  /** A dirty block is not needed any more (its place in the tree was cut off). */
  dropDirty(block: Block): void {
    assert(block.state === 'dirty', 'block is dirty', block.state);
    this.#dirtyCount--;
    this.#release(block);
  }

  /** Forgets all clean blocks that nobody needs now: for tests. */
  forgetClean(): void {
    for (const block of [...this.#clean.values()]) if (block.pins === 0) this.#forget(block);
  }

  #makeDirty(block: Block, level: number, index: number): Block {
    block.state = 'dirty';
    block.level = level;
    block.index = index;
    this.#dirtyCount++;
    return block;
  }

  /** The block cannot be found any more; who pinned it keeps it until unpinned. */
  #forget(block: Block): void {
    this.#clean.delete(block.vbn);
    this.#release(block);
  }

  #release(block: Block): void {
    if (block.pins > 0) {
      block.state = 'detached';
      return;
    }
    block.state = 'free';
    block.vbn = 0;
    block.kind = 0;
    this.#free.push(block);
  }

  /** A free frame, by eviction if need be. */
  #take(): Block | undefined {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    // Two rounds: the first clears the reference marks, the second must find one if there is any.
    for (let step = 0; step < 2 * this.frameCount; step++) {
      const block = this.#blocks[this.#hand] as Block;
      this.#hand = this.#hand + 1 === this.frameCount ? 0 : this.#hand + 1;
      if (block.state !== 'clean' || block.pins > 0 || block.turn === this.#turn) continue;
      if (block.isReferenced) {
        block.isReferenced = false;
        continue;
      }
      this.#clean.delete(block.vbn);
      block.vbn = 0;
      block.state = 'free';
      return block;
    }
    return undefined;
  }
}
