// A sparse set of vbns in memory: one page of bits for each map block that has any.

import { BITS_PER_BLOCK, BITS_PER_BLOCK_SHIFT } from '../../assembly/layout/block.ts';
import type { Vbn } from '../base/units.ts';

export class BitPages {
  readonly #pages = new Map<number, Uint32Array>();
  #count = 0;

  get count(): number {
    return this.#count;
  }

  #pageOf(vbn: Vbn): Uint32Array {
    const index = vbn >>> BITS_PER_BLOCK_SHIFT;
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Uint32Array(BITS_PER_BLOCK / 32);
      this.#pages.set(index, page);
    }
    return page;
  }

  add(vbn: Vbn): void {
    const page = this.#pageOf(vbn);
    const bit = vbn % BITS_PER_BLOCK;
    const word = page[bit >>> 5] as number;
    const mask = 1 << (bit & 31);
    if ((word & mask) !== 0) return;
    page[bit >>> 5] = word | mask;
    this.#count++;
  }

  /** The bits of `mask` in the word of 32 that has `vbn`; none of them was there. */
  addWord(vbn: Vbn, mask: number, count: number): void {
    const page = this.#pageOf(vbn);
    const at = (vbn % BITS_PER_BLOCK) >>> 5;
    page[at] = (page[at] as number) | mask;
    this.#count += count;
  }

  delete(vbn: Vbn): void {
    if (!this.has(vbn)) return;
    const page = this.#pages.get(vbn >>> BITS_PER_BLOCK_SHIFT) as Uint32Array;
    const bit = vbn % BITS_PER_BLOCK;
    page[bit >>> 5] = (page[bit >>> 5] as number) & ~(1 << (bit & 31));
    this.#count--;
  }

  has(vbn: Vbn): boolean {
    const page = this.#pages.get(vbn >>> BITS_PER_BLOCK_SHIFT);
    const bit = vbn % BITS_PER_BLOCK;
    return page !== undefined && (((page[bit >>> 5] as number) >>> (bit & 31)) & 1) === 1;
  }

  /** The words of a map block's bits, undefined where all are clear. */
  page(index: number): Uint32Array | undefined {
    return this.#pages.get(index);
  }

  clear(): void {
    this.#pages.clear();
    this.#count = 0;
  }
}
