// Write allocation. Runs only in a CP: `prepare` (LOAD: opens areas until enough free blocks are at
// hand; needs their map blocks in memory) and `take` (in the freeze turn).
//
// Order of preference (ENGINE 4, 39): empty stripes before stripes with live blocks, areas below
// the high-water mark while a fifth there is free, the emptiest area first. Stripes are filled
// whole, up to TETRIS_STRIPES at once, and within a tetris consecutive blocks of a file lie on one
// disk, so that they are read back with one request.
//
// Not to be had: blocks set in a map, blocks freed by this CP or the one before (they rest, ENGINE
// 7), blocks that a log record names (ENGINE 20), blocks with a write in flight (ENGINE 5).

import {
  AREA_STRIPES,
  AREA_STRIPES_SHIFT,
  BITS_PER_BLOCK_SHIFT,
  TETRIS_STRIPES,
} from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import type { Vbn } from '../base/units.ts';
import type { BlockVolume, Liveness } from '../device/block-volume.ts';
import type { Area, Areas } from './areas.ts';
import type { BitPages } from './bit-pages.ts';
import type { Access, FileNode } from './file-node.ts';

const WORDS = AREA_STRIPES / 32;
/** Chunks in a map block, as a shift. */
const CHUNKS_SHIFT = BITS_PER_BLOCK_SHIFT - AREA_STRIPES_SHIFT;

/** An area being filled: what is free in it, by stripe. */
interface OpenArea {
  readonly area: Area;
  /** Free bits: WORDS words a column. */
  readonly free: Uint32Array;
  /** Stripes to fill, in order: all of their free blocks are to be had. */
  readonly stripes: number[];
  next: number;
  blocksLeft: number;
  /** Whether these are stripes that hold nothing. */
  readonly isEmptyStripes: boolean;
}

export interface AllocatorMaps {
  readonly active: FileNode;
  readonly summary: FileNode;
  readonly u32: Uint32Array;
  /** Blocks that must not be used although no map has them. */
  readonly resting: readonly BitPages[];
}

export class Allocator {
  readonly #areas: Areas;
  readonly #volume: BlockVolume;
  #open: OpenArea[] = [];
  /** Areas that had no empty stripe when last looked at; a free in one clears it. */
  readonly #noEmptyStripe = new Set<number>();
  /** Stripes handed out since the last claim that held nothing: first column's vbn. */
  #emptyTaken = new Set<Vbn>();
  /** Areas opened since the last closeAreas: id x 2 for their empty stripes, + 1 for the others. */
  readonly #claimed = new Set<number>();
  /** Free blocks of stripes that were begun and not needed in full. */
  #leftover: Vbn[] = [];
  /** Areas from here on were never used. */
  #areaHigh = 0;

  constructor(areas: Areas, volume: BlockVolume) {
    this.#areas = areas;
    this.#volume = volume;
    for (let id = 0; id < areas.count; id++)
      if ((areas.used[id] as number) > 0) this.#areaHigh = id + 1;
  }

  /** Blocks that `take` can give without another `prepare`. */
  get preparedCount(): number {
    let count = this.#leftover.length;
    for (const open of this.#open) count += open.blocksLeft;
    return count;
  }

  /** Map blocks that taking all prepared blocks would change. */
  *preparedMapBlocks(): Generator<number> {
    for (const open of this.#open) {
      for (const column of open.area.span.columns) {
        yield (column + open.area.stripeFirst) >>> BITS_PER_BLOCK_SHIFT;
      }
    }
  }

  /** Opens areas until `count` blocks are prepared. Leaves by access.miss for a map block that is
   *  not in memory; then call it again. Returns false where the volume has no more. */
  prepare(access: Access, maps: AllocatorMaps, count: number): boolean {
    while (this.preparedCount < count) {
      const choice = this.#choose();
      if (choice === undefined) return false;
      this.#openArea(access, maps, choice.id, choice.emptyOnly);
    }
    return true;
  }

  /** As `prepare`, but of stripes that hold nothing: for writes outside of a CP, which must not
   *  share a stripe with a CP that is under way. False where there are too few. */
  prepareStripes(access: Access, maps: AllocatorMaps, count: number): boolean {
    while (this.#emptyPrepared() < count) {
      const choice = this.#choose();
      if (choice === undefined || !choice.emptyOnly) return false;
      this.#openArea(access, maps, choice.id, true);
    }
    return true;
  }

  #emptyPrepared(): number {
    let count = 0;
    for (const open of this.#open) if (open.isEmptyStripes) count += open.blocksLeft;
    return count;
  }

  /** `count` vbns in whole stripes that held nothing. What is left of the last stripe stays empty
   *  until a later CP. */
  takeStripes(count: number): Vbn[] {
    const vbns: Vbn[] = [];
    const kept = this.#leftover;
    while (vbns.length < count) {
      const index = this.#open.findIndex((open) => open.isEmptyStripes);
      const open = this.#open[index];
      assert(open !== undefined, 'stripes were prepared', count - vbns.length);
      this.#takeFrom(open, count - vbns.length, vbns);
      if (open.next === open.stripes.length) this.#open.splice(index, 1);
    }
    this.#leftover = kept;
    return vbns;
  }

  /** As `takeStripes`, but no more than fill stripes: up to `countMax` vbns. */
  takeWholeStripes(countMax: number): Vbn[] {
    const open = this.#open.find((area) => area.isEmptyStripes);
    const width = open?.area.span.columns.length ?? 1;
    return this.takeStripes(countMax - (countMax % width));
  }

  /** `count` vbns. Blocks that follow each other in the result lie together on disk. */
  take(count: number): Vbn[] {
    const vbns = this.#leftover.splice(0, count);
    while (vbns.length < count) {
      const open = this.#open[0];
      assert(open !== undefined, 'blocks were prepared', count - vbns.length, 0);
      this.#takeFrom(open, count - vbns.length, vbns);
      if (open.next === open.stripes.length) this.#open.shift();
    }
    return vbns;
  }

  /** After a CP is frozen: areas that are open are looked at afresh next time, for what was
   *  freed. */
  closeAreas(): void {
    this.#open = [];
    this.#leftover = [];
    this.#claimed.clear();
  }

  /** What is live, for the write of all blocks taken since the last claim: a stripe is empty only
   *  if it was handed out as such for this very write. */
  claimStripes(): Liveness {
    const empty = this.#emptyTaken;
    this.#emptyTaken = new Set();
    return {
      isLive: (vbn, count) => {
        for (let at = vbn; at < vbn + count; at++) if (!empty.has(this.#stripeKey(at))) return true;
        return false;
      },
    };
  }

  noteFree(vbn: Vbn): void {
    this.#noEmptyStripe.delete(this.#areas.idOf(vbn));
  }

  #stripeKey(vbn: Vbn): Vbn {
    const id = this.#areas.idOf(vbn);
    if (id < 0) return 0;
    const area = this.#areas.get(id);
    const stripe = area.stripeFirst + (vbn % AREA_STRIPES);
    return (area.span.columns[0] as Vbn) + stripe;
  }

  /** The area to open next: first those with empty stripes, then any with free blocks. */
  #choose(): { id: number; emptyOnly: boolean } | undefined {
    const { count } = this.#areas;
    let best = -1;
    let bestFree = 0;
    let freeBelow = 0;
    let blocksBelow = 0;
    for (let id = 0; id < this.#areaHigh; id++) {
      const blocks = this.#areas.blocks[id] as number;
      const free = blocks - (this.#areas.used[id] as number);
      freeBelow += free;
      blocksBelow += blocks;
      if (free <= bestFree || this.#claimed.has(id * 2) || this.#noEmptyStripe.has(id)) continue;
      best = id;
      bestFree = free;
    }
    const isBelowEnough = best >= 0 && freeBelow * 5 >= blocksBelow;
    if (!isBelowEnough && this.#areaHigh < count) {
      const id = this.#areaHigh++;
      return { id, emptyOnly: true };
    }
    if (best >= 0) return { id: best, emptyOnly: true };
    return this.#choosePartial();
  }

  #choosePartial(): { id: number; emptyOnly: boolean } | undefined {
    let best = -1;
    let bestFree = 0;
    for (let id = 0; id < this.#areaHigh; id++) {
      const free = (this.#areas.blocks[id] as number) - (this.#areas.used[id] as number);
      if (free <= bestFree || this.#claimed.has(id * 2 + 1)) continue;
      best = id;
      bestFree = free;
    }
    return best < 0 ? undefined : { id: best, emptyOnly: false };
  }

  #openArea(access: Access, maps: AllocatorMaps, id: number, emptyOnly: boolean): void {
    const area = this.#areas.get(id);
    const { columns } = area.span;
    const free = new Uint32Array(WORDS * columns.length);
    columns.forEach((column, index) => {
      const vbn = column + area.stripeFirst;
      this.#readFree(access, maps, vbn, free.subarray(index * WORDS, (index + 1) * WORDS), area);
    });
    // Nothing above changed anything: a miss leaves the allocator as it was.
    this.#claimed.add(emptyOnly ? id * 2 : id * 2 + 1);
    const resting = this.#maskResting(maps, area, free);
    const stripes: number[] = [];
    let blocksLeft = 0;
    for (let stripe = 0; stripe < area.stripeCount; stripe++) {
      const count = this.#freeInStripe(free, stripe, columns.length);
      const isEmpty = count === columns.length;
      if (count === 0 || isEmpty !== emptyOnly) continue;
      stripes.push(stripe);
      blocksLeft += count;
    }
    if (emptyOnly && stripes.length === 0 && !resting) this.#noEmptyStripe.add(id);
    if (stripes.length === 0) return;
    this.#open.push({ area, free, stripes, next: 0, blocksLeft, isEmptyStripes: emptyOnly });
  }

  #freeInStripe(free: Uint32Array, stripe: number, columnCount: number): number {
    let count = 0;
    const word = stripe >>> 5;
    const bit = stripe & 31;
    for (let column = 0; column < columnCount; column++) {
      count += ((free[column * WORDS + word] as number) >>> bit) & 1;
    }
    return count;
  }

  /** Free bits of the chunk that starts at `vbn`. */
  #readFree(access: Access, maps: AllocatorMaps, vbn: Vbn, out: Uint32Array, area: Area): void {
    const index = vbn >>> BITS_PER_BLOCK_SHIFT;
    const offset = ((vbn >>> AREA_STRIPES_SHIFT) & ((1 << CHUNKS_SHIFT) - 1)) * WORDS;
    const active = maps.active.find(access, 0, index);
    const summary = maps.summary.find(access, 0, index);
    const { u32 } = maps;
    for (let word = 0; word < WORDS; word++) {
      const held =
        (active === undefined ? 0 : (u32[(active.address >>> 2) + offset + word] as number)) |
        (summary === undefined ? 0 : (u32[(summary.address >>> 2) + offset + word] as number));
      const valid = area.stripeCount - word * 32;
      const mask = valid >= 32 ? 0xffffffff : valid <= 0 ? 0 : (1 << valid) - 1;
      out[word] = ~held & mask;
    }
  }

  /** Clears what rests or is being written; says whether anything was. */
  #maskResting(maps: AllocatorMaps, area: Area, free: Uint32Array): boolean {
    let any = false;
    area.span.columns.forEach((column, index) => {
      const first = column + area.stripeFirst;
      const out = free.subarray(index * WORDS, (index + 1) * WORDS);
      const offset = ((first >>> AREA_STRIPES_SHIFT) & ((1 << CHUNKS_SHIFT) - 1)) * WORDS;
      for (const pages of maps.resting) {
        const page = pages.page(first >>> BITS_PER_BLOCK_SHIFT);
        if (page === undefined) continue;
        any = true;
        for (let word = 0; word < WORDS; word++) {
          out[word] = (out[word] as number) & ~(page[offset + word] as number);
        }
      }
      if (!this.#volume.isWriteInFlight(first, area.stripeCount)) return;
      any = true;
      for (let stripe = 0; stripe < area.stripeCount; stripe++) {
        if (!this.#volume.isWriteInFlight(first + stripe, 1)) continue;
        out[stripe >>> 5] = (out[stripe >>> 5] as number) & ~(1 << (stripe & 31));
      }
    });
    return any;
  }

  /** Up to `count` blocks of the next tetris of an open area. */
  #takeFrom(open: OpenArea, count: number, vbns: Vbn[]): void {
    const { columns } = open.area.span;
    const chosen: number[] = [];
    let found = 0;
    while (open.next < open.stripes.length && found < count && chosen.length < TETRIS_STRIPES) {
      const stripe = open.stripes[open.next++] as number;
      chosen.push(stripe);
      found += this.#freeInStripe(open.free, stripe, columns.length);
    }
    let given = 0;
    const leftover: Vbn[] = [];
    columns.forEach((column, index) => {
      for (const stripe of chosen) {
        const isFree =
          ((open.free[index * WORDS + (stripe >>> 5)] as number) >>> (stripe & 31)) & 1;
        if (isFree === 0) continue;
        (given++ < count ? vbns : leftover).push(column + open.area.stripeFirst + stripe);
      }
    });
    this.#leftover = [...this.#leftover, ...leftover];
    open.blocksLeft -= found;
    if (open.isEmptyStripes) {
      for (const stripe of chosen) {
        this.#emptyTaken.add((columns[0] as Vbn) + open.area.stripeFirst + stripe);
      }
    }
  }
}
