// The maps: which blocks are held, and by whom.
//
//   active map (a file of the image)   1 = the active file system holds the block
//   summary map (a volume file)        1 = snapshots, volume files or the log hold it, active not
//   neither                            free; if freed lately it rests for one more CP (ENGINE 7)
//
// Maps change in a CP's freeze turn only (ENGINE 24). A block that the active file system frees
// goes to the summary map if a neighbour in the snapshot tree (the active file system's parent, or
// a sibling) has it in its plane, else it is free (ENGINE 26); the neighbours' planes of a map
// block are united in one frame ("shield") before the freeze.

import {
  AREA_STRIPES_SHIFT,
  BITS_PER_BLOCK,
  BITS_PER_BLOCK_SHIFT,
  BLOCK_SHIFT,
  BLOCK_SIZE,
} from '../../assembly/layout/block.ts';
import { StorageError } from '../base/errors.ts';
import type { Address, Vbn } from '../base/units.ts';
import type { Areas } from './areas.ts';
import { BitPages } from './bit-pages.ts';
import { type FileNode, PRESENT } from './file-node.ts';

/** Entries (u16) in a block of the area table, as a shift. */
export const AREAS_PER_BLOCK_SHIFT = BLOCK_SHIFT - 1;

/** Chunks (one area's blocks on one column) in a map block. */
const CHUNKS_PER_BLOCK = 1 << (BITS_PER_BLOCK_SHIFT - AREA_STRIPES_SHIFT);

/** Maps, counts and trees agree, or the volume stops (ENGINE 11). Each was read with the right
 *  checksum, so where they do not there is a bug, or a volume made to deceive. */
export function agree(condition: boolean, what: string, number: number): void {
  if (condition) return;
  const message = `maps and trees contradict each other: ${what} (${number})`;
  throw new StorageError('BAD_MAGIC', message, { detail: { number } });
}

export interface MapFiles {
  active: FileNode;
  readonly summary: FileNode;
  readonly areaTable: FileNode;
}

export class VolumeMaps {
  readonly files: MapFiles;
  readonly areas: Areas;
  readonly #u32: Uint32Array;
  readonly #u16: Uint16Array;
  /** Freed by the CP being frozen, and by the one before. */
  restingNew = new BitPages();
  restingOld = new BitPages();
  /** Blocks set in the active map, and in the summary map. */
  activeCount = 0;
  summaryCount = 0;
  readonly #onFree: (vbn: Vbn) => void;

  constructor(options: {
    files: MapFiles;
    areas: Areas;
    u32: Uint32Array;
    u16: Uint16Array;
    onFree: (vbn: Vbn) => void;
  }) {
    this.files = options.files;
    this.areas = options.areas;
    this.#u32 = options.u32;
    this.#u16 = options.u16;
    this.#onFree = options.onFree;
  }

  /** Blocks of the area table with the areas of one map block. */
  areaBlocksOf(mapIndex: number): Set<number> {
    const blocks = new Set<number>();
    for (let chunk = 0; chunk < CHUNKS_PER_BLOCK; chunk++) {
      const id = this.areas.idOf(mapIndex * BITS_PER_BLOCK + (chunk << AREA_STRIPES_SHIFT));
      if (id >= 0) blocks.add(id >>> AREAS_PER_BLOCK_SHIFT);
    }
    return blocks;
  }

  get restingCount(): number {
    return this.restingNew.count + this.restingOld.count;
  }

  /** Newly allocated blocks of the image. */
  setActive(vbns: readonly Vbn[]): void {
    eachWord(vbns, (vbn, mask, count) => {
      const at = this.#wordOf(this.files.active, vbn);
      const word = this.#u32[at] as number;
      agree((word & mask) === 0, 'an allocated block was active', vbn);
      this.#u32[at] = word | mask;
      this.activeCount += count;
      this.#addUsed(vbn, count);
    });
  }

  /** A newly allocated block of a volume file. */
  setSummary(vbn: Vbn): void {
    agree(this.#set(this.files.summary, vbn), 'an allocated block was held', vbn);
    this.summaryCount++;
    this.#addUsed(vbn, 1);
  }

  /** The active file system gives blocks up; `shieldOf` gives the address of the united planes of
   *  its neighbours for a map block, 0 where there are none. */
  freeActive(vbns: readonly Vbn[], shieldOf: (mapIndex: number) => Address): void {
    eachWord(vbns, (vbn, mask, count) => {
      const at = this.#wordOf(this.files.active, vbn);
      const word = this.#u32[at] as number;
      agree((word & mask) === mask, 'a freed block was not active', vbn);
      this.#u32[at] = word & ~mask;
      this.activeCount -= count;
      const shield = shieldOf(vbn >>> BITS_PER_BLOCK_SHIFT);
      const offset = (vbn % BITS_PER_BLOCK) >>> 5;
      const held = shield === 0 ? 0 : mask & (this.#u32[(shield >>> 2) + offset] as number);
      if (held !== 0) this.#setSummaryWord(vbn, held);
      if (held !== mask) this.#restWord(vbn, mask & ~held);
    });
  }

  #setSummaryWord(vbn: Vbn, mask: number): void {
    const at = this.#wordOf(this.files.summary, vbn);
    const word = this.#u32[at] as number;
    agree((word & mask) === 0, 'an active block was in the summary map', vbn);
    this.#u32[at] = word | mask;
    this.summaryCount += popcount(mask);
  }

  /** A volume file gives a block up. */
  freeSummary(vbn: Vbn): void {
    agree(this.#clear(this.files.summary, vbn), 'a freed block was not in the summary map', vbn);
    this.summaryCount--;
    this.#rest(vbn);
  }

  /** Rollback, one map block (ENGINE 26): summary := (summary or (active and shield)) and not
   *  target. Blocks that only the active file system has are free then. Addresses; 0 = all
   *  clear. */
  rollBack(index: number, words: { active: number; target: number; shield: number }): void {
    const u32 = this.#u32;
    const at = (address: number, word: number) =>
      address === 0 ? 0 : (u32[(address >>> 2) + word] as number);
    const summary = this.files.summary.find(PRESENT, 0, index)?.address ?? 0;
    for (let word = 0; word < BITS_PER_BLOCK / 32; word++) {
      const active = at(words.active, word);
      const target = at(words.target, word);
      const shield = at(words.shield, word);
      const before = at(summary, word);
      const after = (before | (active & shield)) & ~target;
      let freed = active & ~target & ~shield;
      for (; freed !== 0; freed &= freed - 1) {
        this.#rest(index * BITS_PER_BLOCK + word * 32 + (31 - Math.clz32(freed & -freed)));
      }
      if (after === before) continue;
      const block = this.files.summary.change(0, index);
      u32[(block.address >>> 2) + word] = after;
      this.summaryCount += popcount(after) - popcount(before);
    }
  }

  /** What rested since the CP before the one just committed can be used again. */
  rotateResting(): void {
    this.restingOld = this.restingNew;
    this.restingNew = new BitPages();
  }

  #rest(vbn: Vbn): void {
    this.#restWord(vbn, 1 << (vbn & 31));
  }

  /** The blocks of `mask` in the word of 32 that has `vbn`. */
  #restWord(vbn: Vbn, mask: number): void {
    const count = popcount(mask);
    this.#addUsed(vbn, -count);
    this.restingNew.addWord(vbn, mask, count);
    this.#onFree(vbn);
  }

  #addUsed(vbn: Vbn, change: number): void {
    const id = this.areas.idOf(vbn);
    agree(id >= 0, 'the block is none of the volume', vbn);
    this.areas.used[id] = (this.areas.used[id] as number) + change;
    // Rewritten as a whole when it is placed, so the old contents are not needed.
    this.files.areaTable.change(0, id >>> AREAS_PER_BLOCK_SHIFT, false);
  }

  /** Fills the area table's dirty blocks from memory, before they are checksummed. */
  fillAreaTable(): void {
    for (const block of this.files.areaTable.dirty.values()) {
      if (block.level !== 0) continue;
      const first = block.index << AREAS_PER_BLOCK_SHIFT;
      const values = this.areas.used.subarray(first, first + (1 << AREAS_PER_BLOCK_SHIFT));
      const at = block.address >>> 1;
      this.#u16.fill(0, at, at + (BLOCK_SIZE >>> 1));
      this.#u16.set(values, at);
    }
  }

  /** Sets a bit; false if it was set. */
  #set(file: FileNode, vbn: Vbn): boolean {
    const at = this.#wordOf(file, vbn);
    const mask = 1 << (vbn & 31);
    const word = this.#u32[at] as number;
    this.#u32[at] = word | mask;
    return (word & mask) === 0;
  }

  #clear(file: FileNode, vbn: Vbn): boolean {
    const at = this.#wordOf(file, vbn);
    const mask = 1 << (vbn & 31);
    const word = this.#u32[at] as number;
    this.#u32[at] = word & ~mask;
    return (word & mask) !== 0;
  }

  #wordOf(file: FileNode, vbn: Vbn): number {
    const block = file.change(0, vbn >>> BITS_PER_BLOCK_SHIFT);
    return (block.address >>> 2) + ((vbn % BITS_PER_BLOCK) >>> 5);
  }
}

/** Calls `each` for the blocks of each word of 32 of a map, as far as they follow each other in
 *  `vbns`: its first vbn, the bits and their number. */
function eachWord(
  vbns: readonly Vbn[],
  each: (vbn: Vbn, mask: number, count: number) => void,
): void {
  for (let at = 0; at < vbns.length; ) {
    const vbn = vbns[at] as Vbn;
    const limit = Math.min(vbns.length - at, 32 - (vbn & 31));
    let count = 1;
    while (count < limit && vbns[at + count] === vbn + count) count++;
    each(vbn, (0xffffffff >>> (32 - count)) << (vbn & 31), count);
    at += count;
  }
}

function popcount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
