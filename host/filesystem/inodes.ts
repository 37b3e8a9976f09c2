// Inodes: giving them out, taking them back, and the zombie queue.
//
// The inode map has one bit per inode number. A number freed by a logged message can be used again
// at once (replay frees it at the same point); one freed by the zombie worker, which is not logged,
// rests until the CP that contains this is durable, so that every record's number is free when it
// is replayed.
//
// The zombie queue (ENGINE 12) is a list through the inodes, head and tail in the image root: files
// without a name whose blocks are still to be freed, and files that are unlinked but open
// (orphans), which the worker passes over until they are closed. After a mount nothing is open: all
// are zombies.

import { BITS_PER_BLOCK, BITS_PER_BLOCK_SHIFT } from '../../assembly/layout/block.ts';
import {
  IMAGE_ROOT_CP_OFFSET,
  IMAGE_ROOT_INODE_LIMIT_OFFSET,
  IMAGE_ROOT_INODES_USED_OFFSET,
  IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET,
  IMAGE_ROOT_ZOMBIE_HEAD_OFFSET,
  IMAGE_ROOT_ZOMBIE_TAIL_OFFSET,
} from '../../assembly/layout/image-root.ts';
import {
  INODE_ATIME_OFFSET,
  INODE_BTIME_OFFSET,
  INODE_CTIME_OFFSET,
  INODE_FLAG_ZOMBIE,
  INODE_FLAGS_OFFSET,
  INODE_GENERATION_OFFSET,
  INODE_GID_OFFSET,
  INODE_LINKS_OFFSET,
  INODE_MODE_OFFSET,
  INODE_MTIME_OFFSET,
  INODE_NEXT_OFFSET,
  INODE_PARENT_OFFSET,
  INODE_POINTERS,
  INODE_SIZE,
  INODE_UID_OFFSET,
  INODES_PER_BLOCK,
} from '../../assembly/layout/inode.ts';
import { assert } from '../base/assert.ts';
import { FsError } from '../base/errors.ts';
import type { Address, Ino, Instant } from '../base/units.ts';
import {
  clearInode,
  inodeBlocks,
  inodeGeneration,
  inodeLevel,
  inodeMode,
} from '../format/inode.ts';
import { getU64, setInstant, setU64 } from '../format/words.ts';
import type { KernelExports } from '../kernels/exports.ts';
import { type Access, type FileNode, LEVEL_XATTR } from './file-node.ts';
import type { Image } from './image.ts';

/** Trees up to this height are freed in the message that removes the file: their blocks hang at the
 *  inode. Higher ones become zombies. */
export const DIRECT_FREE_LEVEL_MAX = 1;

/** What a replay puts off to its end, because it depends on the order of all messages. */
export interface Deferral {
  /** Files for the zombie queue. */
  readonly queued: Ino[];
  /** Blocks of the inode file in which an inode was freed. */
  readonly emptied: Set<number>;
}

export class Inodes {
  readonly image: Image;
  /** Set while a log is replayed; see replay-target.ts. */
  deferral: Deferral | undefined;
  readonly #view: DataView;
  readonly #u8: Uint8Array;
  readonly #kernels: KernelExports;
  /** Freed by the zombie worker since the last freeze, and in the CP under way. */
  #restingNew = new Set<Ino>();
  #restingFrozen = new Set<Ino>();
  /** Where the search for a free number goes on. */
  #hint: Ino = 0;

  constructor(image: Image, kernels: KernelExports) {
    this.image = image;
    this.#view = image.cache.arena.view;
    this.#u8 = image.cache.arena.u8;
    this.#kernels = kernels;
  }

  freeze(): void {
    this.#restingFrozen = this.#restingNew;
    this.#restingNew = new Set();
  }

  committed(): void {
    this.#restingFrozen.clear();
  }

  get usedCount(): number {
    return this.#rootField(IMAGE_ROOT_INODES_USED_OFFSET);
  }
  get zombieHead(): Ino {
    return this.#rootField(IMAGE_ROOT_ZOMBIE_HEAD_OFFSET);
  }
  get zombieBlocks(): number {
    return this.#rootField(IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET);
  }

  #rootField(offset: number): number {
    return getU64(this.#view, this.image.root.address + offset);
  }
  #setRootField(offset: number, value: number): void {
    setU64(this.#view, this.image.changeRoot().address + offset, value);
  }

  /** LOAD: a number that is free now. Reads its inode block and map block, for `create`. */
  choose(access: Access): Ino {
    const ino = this.#search(access);
    this.loadFor(access, ino);
    return ino;
  }

  /** LOAD: what `create` and `free` of this number change. */
  loadFor(access: Access, ino: Ino): void {
    this.image.inodeFile.find(access, 0, Math.floor(ino / 16));
    this.image.inodeMap.find(access, 0, ino >>> BITS_PER_BLOCK_SHIFT);
  }

  #search(access: Access): Ino {
    const limit = this.image.inodeLimit;
    const resting = this.#restingNew.size + this.#restingFrozen.size;
    if (limit - this.usedCount - resting <= 0) return limit;
    const blocks = ((limit - 1) >>> BITS_PER_BLOCK_SHIFT) + 1;
    const first = this.#hint >>> BITS_PER_BLOCK_SHIFT;
    for (let step = 0; step <= blocks; step++) {
      const index = (first + step) % blocks;
      const block = this.image.inodeMap.find(access, 0, index);
      if (block === undefined) continue;
      const end = Math.min(BITS_PER_BLOCK, limit - index * BITS_PER_BLOCK);
      let from = step === 0 ? this.#hint % BITS_PER_BLOCK : 0;
      for (;;) {
        const bit = this.#kernels.planeFind(block.address, from, end, 0);
        if (bit >= end) break;
        const ino = index * BITS_PER_BLOCK + bit;
        if (!this.#restingNew.has(ino) && !this.#restingFrozen.has(ino)) {
          this.#hint = ino;
          return ino;
        }
        from = bit + 1;
      }
    }
    return limit;
  }

  /** LOAD: whether a number is free, for replay. */
  isFree(access: Access, ino: Ino): boolean {
    const block = this.image.inodeMap.find(access, 0, ino >>> BITS_PER_BLOCK_SHIFT);
    if (block === undefined) return true;
    const bit = ino % BITS_PER_BLOCK;
    return ((this.#u8[block.address + (bit >>> 3)] as number) & (1 << (bit & 7))) === 0;
  }

  /** MODIFY: takes a number and makes its inode. Returns its address. */
  create(ino: Ino, fields: NewInode): Address {
    this.image.growInodes(ino);
    this.#setBit(ino, true);
    this.#setRootField(IMAGE_ROOT_INODES_USED_OFFSET, this.usedCount + 1);
    if (ino >= this.image.inodeLimit) {
      this.#setRootField(IMAGE_ROOT_INODE_LIMIT_OFFSET, ino + 1);
    }
    const view = this.#view;
    const at = this.image.changeInode(ino);
    clearInode(this.#u8, view, at);
    view.setUint32(at + INODE_GENERATION_OFFSET, fields.generation, true);
    view.setUint32(at + INODE_MODE_OFFSET, fields.mode, true);
    view.setUint32(at + INODE_LINKS_OFFSET, fields.links, true);
    view.setUint32(at + INODE_UID_OFFSET, fields.uid, true);
    view.setUint32(at + INODE_GID_OFFSET, fields.gid, true);
    setU64(view, at + INODE_PARENT_OFFSET, fields.parent);
    for (const offset of [
      INODE_ATIME_OFFSET,
      INODE_MTIME_OFFSET,
      INODE_CTIME_OFFSET,
      INODE_BTIME_OFFSET,
    ]) {
      setInstant(view, at + offset, fields.time);
    }
    if (ino === this.#hint) this.#hint = ino + 1;
    return at;
  }

  /** LOAD: the generation that a new inode of this number gets. */
  nextGeneration(access: Access, ino: Ino): number {
    const block = this.image.inodeFile.find(access, 0, Math.floor(ino / 16));
    // Its block was freed with the last inode in it, and the generations with that; nobody has a
    // handle from then, but none should look the same.
    if (block === undefined) return (this.#rootField(IMAGE_ROOT_CP_OFFSET) + 1) % 2 ** 31;
    return (inodeGeneration(this.#view, block.address + (ino % 16) * 256) + 1) >>> 0;
  }

  /** LOAD for `remove`. */
  loadRemove(access: Access, ino: Ino): void {
    this.loadFor(access, ino);
    this.loadTail(access);
  }

  /** MODIFY: a file without a name goes: at once where it is small and nobody has it open, else by
   *  the queue. Returns whether it was queued. */
  remove(ino: Ino, mustQueue: boolean): boolean {
    const node = this.image.keptNode(ino);
    const at = this.image.changeInode(ino);
    if (!mustQueue && inodeLevel(this.#view, at) <= DIRECT_FREE_LEVEL_MAX) {
      if (inodeLevel(this.#view, at) > 0) {
        for (let index = 0; index < INODE_POINTERS; index++) node.cut(0, index);
      }
      this.free(node);
      return false;
    }
    this.enqueue(ino);
    return true;
  }

  /** LOAD for `enqueue`: the tail, which will point on. */
  loadTail(access: Access): void {
    const tail = this.#rootField(IMAGE_ROOT_ZOMBIE_TAIL_OFFSET);
    if (tail !== 0) this.image.inodeAddress(access, tail);
  }

  /** MODIFY: puts an inode at the tail of the zombie queue. */
  enqueue(ino: Ino): void {
    if (this.deferral !== undefined) {
      this.deferral.queued.push(ino);
      return;
    }
    const view = this.#view;
    const at = this.image.changeInode(ino);
    view.setUint8(at + INODE_FLAGS_OFFSET, INODE_FLAG_ZOMBIE);
    setU64(view, at + INODE_NEXT_OFFSET, 0);
    const tail = this.#rootField(IMAGE_ROOT_ZOMBIE_TAIL_OFFSET);
    if (tail === 0) this.#setRootField(IMAGE_ROOT_ZOMBIE_HEAD_OFFSET, ino);
    else setU64(view, this.image.changeInode(tail) + INODE_NEXT_OFFSET, ino);
    this.#setRootField(IMAGE_ROOT_ZOMBIE_TAIL_OFFSET, ino);
    this.image.addZombieBlocks(inodeBlocks(view, at));
  }

  /** LOAD for `dequeue`: head and tail. */
  loadDequeue(access: Access): void {
    this.loadRemove(access, this.zombieHead);
    this.image.inodeAddress(access, this.zombieHead);
  }

  /** MODIFY: takes the head out of the queue. */
  dequeue(): Ino {
    const ino = this.zombieHead;
    const at = this.image.changeInode(ino);
    const next = getU64(this.#view, at + INODE_NEXT_OFFSET);
    setU64(this.#view, at + INODE_NEXT_OFFSET, 0);
    this.#setRootField(IMAGE_ROOT_ZOMBIE_HEAD_OFFSET, next);
    if (next === 0) this.#setRootField(IMAGE_ROOT_ZOMBIE_TAIL_OFFSET, 0);
    this.#view.setUint8(at + INODE_FLAGS_OFFSET, 0);
    this.image.addZombieBlocks(-inodeBlocks(this.#view, at));
    return ino;
  }

  /** MODIFY: the worker frees the inode of an emptied zombie; its number rests. */
  freeByWorker(node: FileNode): void {
    this.free(node);
    this.#restingNew.add(node.ino);
  }

  /** MODIFY: frees an inode whose tree is empty: its xattr block, then itself. */
  free(node: FileNode): void {
    node.cut(LEVEL_XATTR, 0);
    const at = this.image.changeInode(node.ino);
    assert(inodeBlocks(this.#view, at) === 0, 'a freed inode has no blocks', node.ino);
    assert(node.dirty.size === 0, 'a freed inode has no dirty blocks', node.ino);
    clearInode(this.#u8, this.#view, at);
    this.#setBit(node.ino, false);
    this.#setRootField(IMAGE_ROOT_INODES_USED_OFFSET, this.usedCount - 1);
    if (this.image.nodes.get(node.ino) === node) this.image.nodes.delete(node.ino);
    const index = Math.floor(node.ino / INODES_PER_BLOCK);
    if (this.deferral === undefined) this.freeEmptyBlock(index);
    else this.deferral.emptied.add(index);
  }

  /** MODIFY: a block of the inode file without inodes becomes a hole again. */
  freeEmptyBlock(index: number): void {
    const first = this.image.changeInode(index * INODES_PER_BLOCK);
    for (let other = 0; other < INODES_PER_BLOCK; other++) {
      if (inodeMode(this.#view, first + other * INODE_SIZE) !== 0) return;
    }
    this.image.cutInodeBlock(index);
  }

  #setBit(ino: Ino, isUsed: boolean): void {
    const block = this.image.inodeMap.change(0, ino >>> BITS_PER_BLOCK_SHIFT);
    const at = block.address + ((ino % BITS_PER_BLOCK) >>> 3);
    const mask = 1 << (ino & 7);
    const byte = this.#u8[at] as number;
    assert(((byte & mask) !== 0) !== isUsed, 'inode map bit', ino, isUsed);
    this.#u8[at] = isUsed ? byte | mask : byte & ~mask;
  }

  /** Address of an inode that must be there and be of this generation; else ESTALE. */
  address(access: Access, ino: Ino, generation: number): Address {
    const at = this.image.inodeAddress(access, ino);
    if (at === 0 || inodeMode(this.#view, at) === 0) throw new FsError('ESTALE');
    if (inodeGeneration(this.#view, at) !== generation) throw new FsError('ESTALE');
    return at;
  }
}

export interface NewInode {
  readonly generation: number;
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly parent: Ino;
  readonly time: Instant;
}
