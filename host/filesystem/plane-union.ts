// The union of many snapshots' planes, for one map block. It is made a few planes at a time, and
// none of them is kept: the frames that it takes do not grow with the number of snapshots, of
// which a thousand can be side by side (each made from a rollback to one and the same).

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import { zeroBytes } from '../base/bytes.ts';
import type { Address } from '../base/units.ts';
import type { Block } from './block-cache.ts';
import type { Core } from './core.ts';
import type { Access } from './file-node.ts';
import { MISSING } from './load.ts';

/** Planes that one attempt asks for at most. */
const MISSES_MAX = 32;

export class PlaneUnion {
  readonly #core: Core;
  readonly #mapIndex: number;
  #left: readonly number[];
  /** The union so far, in a frame of its own; undefined where it is empty. */
  #block: Block | undefined;

  constructor(core: Core, ids: readonly number[], mapIndex: number) {
    this.#core = core;
    this.#left = ids;
    this.#mapIndex = mapIndex;
  }

  /** LOAD: goes on where the last attempt missed planes; throws MISSING while there are any. */
  load(access: Access): void {
    const { snapshots, kernels } = this.#core;
    const passing: Access = { miss: (pointer) => access.miss(pointer), found() {} };
    const left: number[] = [];
    for (const id of this.#left) {
      if (left.length >= MISSES_MAX) {
        left.push(id);
        continue;
      }
      try {
        const plane = snapshots.plane(id).find(passing, 0, this.#mapIndex);
        if (plane === undefined) continue;
        const { address } = this.#own();
        kernels.planeOr(address, address, plane.address, BLOCK_SIZE);
      } catch (error) {
        if (error !== MISSING) throw error;
        left.push(id);
      }
    }
    this.#left = left;
    if (left.length > 0) throw MISSING;
  }

  #own(): Block {
    if (this.#block === undefined) {
      const { cache, arena } = this.#core;
      this.#block = cache.startLoad();
      assert(this.#block !== undefined, 'a CP has frames of its own');
      const { address } = this.#block;
      zeroBytes(arena.u8, address, address + BLOCK_SIZE);
    }
    return this.#block;
  }

  /** Adds the bits of these words. */
  add(words: Uint32Array): void {
    const { u32 } = this.#core.arena;
    const at = this.#own().address >>> 2;
    for (let word = 0; word < words.length; word++) {
      u32[at + word] = (u32[at + word] as number) | (words[word] as number);
    }
  }

  /** 0 where it is empty. */
  get address(): Address {
    return this.#block?.address ?? 0;
  }

  /** Gives the frame back. */
  drop(): void {
    if (this.#block !== undefined) this.#core.cache.abandonLoad(this.#block);
    this.#block = undefined;
  }
}
