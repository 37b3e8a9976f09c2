// A file's buffer tree in memory.
//
// A tree has `level` levels of blocks under its inode; block (level 0, fbn) is data, block (level
// k, index) is an indirect block with the pointers of (k-1, index x 256 ...). The place of a block
// does not change when the tree grows: a new level is put between the inode and its old children.
//
// A clean block is reached by its pointer through the block cache. A dirty block has no pointer
// yet: it stands in `dirty` by its place. Invariant: the parents of a dirty block are dirty up to
// the image root, so that a CP finds all that it must write, and the space that it takes is known
// at any moment. The pointer in a dirty block's slot is that of its last copy on disk (0 = none);
// the CP frees it.
//
// Functions that read take an Access, which says what to do about a block that is not in memory:
// LOAD notes it and leaves by throwing MISSING; MODIFY must not miss, so it is an invariant there.

import {
  BLOCK_SIZE,
  KIND_INDIRECT,
  KIND_XATTR,
  POINTER_SIZE,
  POINTERS_PER_BLOCK,
} from '../../assembly/layout/block.ts';
import {
  INODE_DATA_OFFSET,
  INODE_FLAG_ZOMBIE,
  INODE_INLINE_SIZE,
  INODE_LEVEL_OFFSET,
  INODE_POINTERS,
  INODE_XATTR_OFFSET,
} from '../../assembly/layout/inode.ts';
import { assert, InvariantError } from '../base/assert.ts';
import { zeroBytes } from '../base/bytes.ts';
import { FsError, StorageError } from '../base/errors.ts';
import type { Address, Ino, Vbn } from '../base/units.ts';
import { addInodeBlocks, inodeFlags, inodeLevel, inodePointerAt } from '../format/inode.ts';
import {
  clearPointer,
  getPointer,
  getPointerKind,
  getPointerVbn,
  type Pointer,
  setPointer,
} from '../format/pointer.ts';
import type { Block, BlockCache } from './block-cache.ts';

/** Level of the xattr block, which hangs at the inode beside the tree. */
export const LEVEL_XATTR = 7;

/** What happens when a block is not in memory. */
export interface Access {
  /** Must throw. */
  miss(pointer: Pointer): never;
  found(block: Block): void;
}

/** MODIFY's access: all that it needs was found by LOAD in the same turn. */
export const PRESENT: Access = {
  miss(pointer) {
    throw new InvariantError(`MODIFY needs block ${pointer.vbn}, which LOAD did not name`);
  },
  found() {},
};

/** Where the inode of a file lies. */
export interface InodeHome {
  read(access: Access): Address;
  /** In a dirty block; only in MODIFY. */
  change(): Address;
  /** MODIFY: the files in the zombie queue have so many blocks more. */
  addZombieBlocks?(count: number): void;
}

/** What a tree tells the one who accounts for space. */
export interface SpaceLedger {
  /** The block at this vbn leaves the tree now. */
  free(vbn: Vbn): void;
  /** The block at this vbn will be replaced at the next CP. */
  willFree(vbn: Vbn): void;
}

/** Place of a block in its tree as one number: below 2^31 for files up to 1 TiB. */
export function placeKey(level: number, index: number): number {
  return index * 8 + level;
}

/** Blocks of `level` that a tree of `height` levels can have. */
export function capacityBlocks(height: number): number {
  return height === 0 ? 0 : INODE_POINTERS * POINTERS_PER_BLOCK ** (height - 1);
}

/** Levels that a tree needs to have a block `fbn`. */
export function heightFor(fbn: number): number {
  let height = 1;
  while (capacityBlocks(height) <= fbn) height++;
  return height;
}

const NO_BLOCKS: ReadonlyMap<number, Block> = new Map();

export class FileNode {
  readonly ino: Ino;
  /** KIND_* of its level-0 blocks. */
  readonly kind: number;
  readonly home: InodeHome;
  #dirty: Map<number, Block> | undefined;
  /** Open handles. */
  openCount = 0;
  readonly #cache: BlockCache;
  readonly #view: DataView;
  readonly #ledger: SpaceLedger;

  constructor(
    cache: BlockCache,
    ledger: SpaceLedger,
    options: { ino: Ino; kind: number; home: InodeHome },
  ) {
    this.#cache = cache;
    this.#view = cache.arena.view;
    this.#ledger = ledger;
    this.ino = options.ino;
    this.kind = options.kind;
    this.home = options.home;
  }

  /** Dirty blocks by placeKey. */
  get dirty(): ReadonlyMap<number, Block> {
    return this.#dirty ?? NO_BLOCKS;
  }

  #setDirty(key: number, block: Block): void {
    // Most nodes never have one.
    this.#dirty ??= new Map();
    this.#dirty.set(key, block);
  }

  /** A dirty block was placed. */
  removeDirty(key: number): void {
    this.#dirty?.delete(key);
  }

  /** A CP has placed them all. */
  clearDirty(): void {
    this.#dirty = undefined;
  }

  /** MODIFY: a dirty block goes to another tree, at the same place. */
  handOver(key: number, block: Block, other: FileNode): void {
    this.#dirty?.delete(key);
    other.#setDirty(key, block);
  }

  /** KIND_* of the blocks of a level. */
  kindOf(level: number): number {
    if (level === LEVEL_XATTR) return KIND_XATTR;
    return level === 0 ? this.kind : KIND_INDIRECT;
  }

  height(access: Access): number {
    return inodeLevel(this.#view, this.home.read(access));
  }

  /** The block at a place; undefined for a hole. */
  find(access: Access, level: number, index: number): Block | undefined {
    const dirty = this.#dirty?.get(placeKey(level, index));
    if (dirty !== undefined) {
      access.found(dirty);
      return dirty;
    }
    const slot = this.slot(access, level, index);
    return slot === 0 ? undefined : this.#follow(access, slot, level);
  }

  /** Address of the pointer to a place, for reading; 0 where the tree does not reach it. */
  slot(access: Access, level: number, index: number): Address {
    const inode = this.home.read(access);
    if (level === LEVEL_XATTR) return inode + INODE_XATTR_OFFSET;
    const height = inodeLevel(this.#view, inode);
    if (level >= height) return 0;
    const top = index / POINTERS_PER_BLOCK ** (height - 1 - level);
    if (top >= INODE_POINTERS) return 0;
    let slot = inodePointerAt(inode, Math.floor(top));
    for (let depth = height - 1; depth > level; depth--) {
      const at = Math.floor(index / POINTERS_PER_BLOCK ** (depth - level));
      const dirty = this.#dirty?.get(placeKey(depth, at));
      const block = dirty ?? this.#follow(access, slot, depth);
      if (block === undefined) return 0;
      access.found(block);
      const child = Math.floor(index / POINTERS_PER_BLOCK ** (depth - 1 - level));
      slot = block.address + (child % POINTERS_PER_BLOCK) * POINTER_SIZE;
    }
    return slot;
  }

  /** Whether the slot of a place has a pointer (a dirty block that was never placed has none). */
  hasPointer(access: Access, level: number, index: number): boolean {
    const slot = this.slot(access, level, index);
    return slot !== 0 && getPointerVbn(this.#view, slot) !== 0;
  }

  /** The block that the pointer in `slot` leads to. It must say what belongs there: its block is
   *  checked as that, and as nothing else. */
  #follow(access: Access, slot: Address, level: number): Block | undefined {
    const view = this.#view;
    const vbn = getPointerVbn(view, slot);
    if (vbn === 0) return undefined;
    const kind = this.kindOf(level);
    if (getPointerKind(view, slot) !== kind) throw wrongKind(view, slot, kind);
    const low = view.getUint32(slot + 8, true);
    const block = this.#cache.find(vbn, low, view.getUint32(slot + 12, true), kind);
    if (block === undefined) return access.miss(getPointer(view, slot));
    access.found(block);
    return block;
  }

  /** MODIFY: the block at a place, dirty, its parents too. A hole becomes a new block. Without
   *  `keep` the contents are undefined: the caller writes all of it, and it need not be in
   *  memory. */
  change(level: number, index: number, keep = true): Block {
    const key = placeKey(level, index);
    const there = this.#dirty?.get(key);
    if (there !== undefined) return there;
    // Recursion goes one level up each time: at most INODE_LEVEL_MAX deep.
    const slot = this.#slotForChange(level, index);
    const vbn = getPointerVbn(this.#view, slot);
    const block =
      vbn === 0 ? this.#create(level, index, keep) : this.#replace(slot, level, index, keep);
    this.#setDirty(key, block);
    return block;
  }

  #slotForChange(level: number, index: number): Address {
    if (level === LEVEL_XATTR) return this.home.change() + INODE_XATTR_OFFSET;
    const height = this.height(PRESENT);
    assert(level < height, 'the tree reaches the block', level, height);
    if (level === height - 1) return inodePointerAt(this.home.change(), index);
    const parent = this.change(level + 1, Math.floor(index / POINTERS_PER_BLOCK));
    return parent.address + (index % POINTERS_PER_BLOCK) * POINTER_SIZE;
  }

  #create(level: number, index: number, keep: boolean): Block {
    const block = this.#cache.createDirty(level, index);
    if (keep) zeroBytes(this.#cache.arena.u8, block.address, block.address + BLOCK_SIZE);
    this.addBlocks(1);
    return block;
  }

  #replace(slot: Address, level: number, index: number, keep: boolean): Block {
    this.#ledger.willFree(getPointerVbn(this.#view, slot));
    if (!keep) return this.#cache.createDirty(level, index);
    const clean = this.#follow(PRESENT, slot, level) as Block;
    return this.#cache.changeClean(clean, level, index);
  }

  /** Address of a dirty block's pointer, in its dirty parent. It holds that of its last copy on
   *  disk; who gives the block its place enters it there. */
  slotOf(level: number, index: number): Address {
    return this.#slotForChange(level, index);
  }

  /** MODIFY: the file has so many blocks more. */
  addBlocks(count: number): void {
    const inode = this.home.change();
    addInodeBlocks(this.#view, inode, count);
    const isZombie = (inodeFlags(this.#view, inode) & INODE_FLAG_ZOMBIE) !== 0;
    if (isZombie) this.home.addZombieBlocks?.(count);
  }

  /** MODIFY: adds levels until the tree reaches `fbn`. Inline data becomes block 0. */
  grow(fbn: number): void {
    const wanted = heightFor(fbn);
    for (let height = this.height(PRESENT); height < wanted; height++) this.#addLevel(height);
  }

  #addLevel(height: number): void {
    const inode = this.home.change();
    const { u8 } = this.#cache.arena;
    const data = inode + INODE_DATA_OFFSET;
    const isEmpty = this.#isDataZero(data);
    this.#view.setUint8(inode + INODE_LEVEL_OFFSET, height + 1);
    if (isEmpty && (height > 0 ? this.#hasNoDirty(height - 1) : true)) return;
    const block = this.#cache.createDirty(height, 0);
    zeroBytes(u8, block.address, block.address + BLOCK_SIZE);
    u8.copyWithin(block.address, data, data + INODE_INLINE_SIZE);
    u8.fill(0, data, data + INODE_INLINE_SIZE);
    this.addBlocks(1);
    this.#setDirty(placeKey(height, 0), block);
  }

  #isDataZero(data: Address): boolean {
    for (let offset = 0; offset < INODE_INLINE_SIZE; offset += 4) {
      if (this.#view.getUint32(data + offset, true) !== 0) return false;
    }
    return true;
  }

  /** No dirty block hangs directly at the inode (new ones have no pointer in their slot yet). */
  #hasNoDirty(level: number): boolean {
    for (let index = 0; index < INODE_POINTERS; index++) {
      if (this.dirty.has(placeKey(level, index))) return false;
    }
    return true;
  }

  /** MODIFY: cuts one block out: it becomes a hole. Its children must be gone or moved. */
  cut(level: number, index: number): void {
    const key = placeKey(level, index);
    const dirty = this.#dirty?.get(key);
    const present = this.slot(PRESENT, level, index);
    const hasPointer = present !== 0 && getPointerVbn(this.#view, present) !== 0;
    if (dirty === undefined && !hasPointer) return;
    const slot = this.#slotForChange(level, index);
    if (dirty !== undefined) {
      this.#dirty?.delete(key);
      this.#cache.dropDirty(dirty);
    }
    if (hasPointer) {
      this.#ledger.free(getPointerVbn(this.#view, slot));
      clearPointer(this.#view, slot);
    }
    this.addBlocks(-1);
  }

  /** MODIFY: the data block at `index` is replaced by one that has its place already. */
  setPlaced(index: number, pointer: Pointer): void {
    const key = placeKey(0, index);
    const dirty = this.#dirty?.get(key);
    const slot = this.#slotForChange(0, index);
    const old = getPointerVbn(this.#view, slot);
    if (dirty !== undefined) {
      this.#dirty?.delete(key);
      this.#cache.dropDirty(dirty);
    } else if (old === 0) {
      this.addBlocks(1);
    }
    if (old !== 0) this.#ledger.free(old);
    setPointer(this.#view, slot, pointer);
  }

  /** MODIFY: cuts a lowest indirect block out with all its data blocks, which need not be in
   *  memory. Returns how many blocks went. */
  cutWithChildren(index: number): number {
    const block = this.find(PRESENT, 1, index);
    if (block === undefined) return 0;
    let count = 0;
    for (let child = 0; child < POINTERS_PER_BLOCK; child++) {
      const key = placeKey(0, index * POINTERS_PER_BLOCK + child);
      const dirty = this.#dirty?.get(key);
      const vbn = getPointerVbn(this.#view, block.address + child * POINTER_SIZE);
      if (dirty === undefined && vbn === 0) continue;
      if (dirty !== undefined) {
        this.#dirty?.delete(key);
        this.#cache.dropDirty(dirty);
      }
      if (vbn !== 0) this.#ledger.free(vbn);
      count++;
    }
    this.addBlocks(-count);
    this.cut(1, index);
    return count + 1;
  }

  /** MODIFY: hands the block at a place over to `other`, at the same place, which must be empty. */
  moveTo(other: FileNode, level: number, index: number): void {
    const key = placeKey(level, index);
    const dirty = this.#dirty?.get(key);
    const from = this.#slotForChange(level, index);
    const to = other.#slotForChange(level, index);
    if (dirty !== undefined) {
      this.handOver(key, dirty, other);
    }
    const { u8 } = this.#cache.arena;
    u8.copyWithin(to, from, from + POINTER_SIZE);
    clearPointer(this.#view, from);
  }
}

function wrongKind(view: DataView, slot: Address, expected: number): FsError {
  const { vbn, kind } = getPointer(view, slot);
  const message = `block ${vbn} is of kind ${kind} where ${expected} must be`;
  const detail = { vbn, expected, actual: kind };
  return new FsError('EIO', { cause: new StorageError('BAD_MAGIC', message, { detail }) });
}
