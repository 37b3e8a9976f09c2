// A bit plane in memory: one page of words for each map block that has a bit set. 32 MiB for 1 TiB
// of blocks in use.

import { BITS_PER_BLOCK, BLOCK_SIZE } from '../../../assembly/layout/block.ts';

export const WORDS_PER_PAGE = BLOCK_SIZE >> 2;

export class Plane {
  readonly #pages = new Map<number, Uint32Array>();
  count = 0;

  /** The words of page `index`; undefined where all are zero. */
  page(index: number): Uint32Array | undefined {
    return this.#pages.get(index);
  }

  /** Indexes of the pages that are there. */
  pages(): Iterable<number> {
    return this.#pages.keys();
  }

  has(bit: number): boolean {
    const page = this.#pages.get(Math.floor(bit / BITS_PER_BLOCK));
    if (page === undefined) return false;
    const at = bit % BITS_PER_BLOCK;
    return (((page[at >>> 5] as number) >>> (at & 31)) & 1) === 1;
  }

  /** Sets a bit; false if it was set. */
  add(bit: number): boolean {
    const page = this.#makePage(Math.floor(bit / BITS_PER_BLOCK));
    const at = bit % BITS_PER_BLOCK;
    const word = page[at >>> 5] as number;
    const mask = 1 << (at & 31);
    if ((word & mask) !== 0) return false;
    page[at >>> 5] = word | mask;
    this.count++;
    return true;
  }

  /** Sets all bits that are set in a map block: 1024 words of `u32` from `at` on. */
  unite(index: number, u32: Uint32Array, at: number): void {
    let page = this.#pages.get(index);
    for (let word = 0; word < WORDS_PER_PAGE; word++) {
      const bits = u32[at + word] as number;
      if (bits === 0) continue;
      page ??= this.#makePage(index);
      const before = page[word] as number;
      page[word] = before | bits;
      this.count += popcount(bits & ~before);
    }
  }

  #makePage(index: number): Uint32Array {
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint32Array(WORDS_PER_PAGE);
      this.#pages.set(index, page);
    }
    return page;
  }
}

export function popcount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/** Where a page of bits differs: calls `note` with each run of bits that `difference` gives as set,
 *  runs ending at page ends. */
export function eachRun(
  index: number,
  difference: (word: number) => number,
  note: (first: number, count: number) => void,
): void {
  let first = -1;
  const base = index * BITS_PER_BLOCK;
  for (let word = 0; word < WORDS_PER_PAGE; word++) {
    const bits = difference(word);
    if (bits === 0 && first < 0) continue;
    for (let bit = 0; bit < 32; bit++) {
      const isSet = ((bits >>> bit) & 1) === 1;
      const at = base + word * 32 + bit;
      if (isSet && first < 0) first = at;
      if (isSet || first < 0) continue;
      note(first, at - first);
      first = -1;
    }
  }
  if (first >= 0) note(first, base + BITS_PER_BLOCK - first);
}
