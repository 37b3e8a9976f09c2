// Memory of the write path, reserved once: parity of a tetris and the list of blocks it is made
// from.
//
// A scratch is pinned by its owner, and by each operation on it from start to completion: a write
// overtaken by a sync call still reads its parity, a job on a worker thread still writes it. It is
// free when nobody holds it. One scratch more is kept for sync calls, which end within the turn, so
// that they never have to wait for the event loop.

import { BLOCK_SIZE, DATA_COLUMNS_MAX, TETRIS_STRIPES } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import type { Io, Step } from '../base/task.ts';
import { wait } from '../base/task.ts';
import type { Address } from '../base/units.ts';
import type { Arena } from '../kernels/arena.ts';
import { lasting } from './member-disk.ts';

const PARITY_BYTES = TETRIS_STRIPES * BLOCK_SIZE;
const LIST_BYTES = TETRIS_STRIPES * DATA_COLUMNS_MAX * 4;
const SCRATCH_BYTES = PARITY_BYTES + LIST_BYTES;

/** Scratches by size of the arena: 1/32 of it, but 3 (780 KiB) at least and 9 (2.3 MiB) at most. */
export function scratchCount(arenaBytes: number): number {
  return Math.min(9, Math.max(3, Math.floor(arenaBytes / 32 / SCRATCH_BYTES)));
}

export class Scratch {
  /** TETRIS_STRIPES blocks. */
  readonly parity: Address;
  /** TETRIS_STRIPES x DATA_COLUMNS_MAX addresses. */
  readonly list: Address;
  readonly #freed: () => void;
  #pins = 0;

  constructor(arena: Arena, freed: () => void) {
    this.parity = arena.reserve(PARITY_BYTES, BLOCK_SIZE);
    this.list = arena.reserve(LIST_BYTES);
    this.#freed = freed;
  }

  get isFree(): boolean {
    return this.#pins === 0;
  }

  pin(): void {
    this.#pins++;
  }

  unpin(): void {
    assert(this.#pins > 0, 'the scratch is pinned');
    this.#pins--;
    if (this.#pins === 0) this.#freed();
  }

  /** `io`, holding this scratch while its asynchronous form is under way. */
  during<T>(io: Io<T>): Io<T> {
    return {
      start: () => {
        this.pin();
        return lasting(
          () => io.start(),
          () => this.unpin(),
        );
      },
      startSync: () => io.startSync(),
    };
  }
}

export class ScratchPool {
  readonly #scratches: Scratch[];
  readonly #spare: Scratch;
  #waiting: (() => void)[] = [];

  constructor(arena: Arena, count: number) {
    assert(count >= 2, 'one for sync calls, one for the others', count);
    const freed = () => this.#wake();
    this.#scratches = Array.from({ length: count - 1 }, () => new Scratch(arena, freed));
    this.#spare = new Scratch(arena, freed);
  }

  /** Up to `wanted` scratches, one at least, each pinned for the caller, who unpins them. */
  *acquire(wanted: number): Step<Scratch[]> {
    for (;;) {
      const taken = this.#take(wanted);
      if (taken.length > 0) return taken;
      // Nothing is taken by the Io itself: overtaken, it would take it for nobody.
      const spare = yield* wait(this.#freedOrSpare());
      if (spare === undefined) continue;
      assert(spare.isFree, 'sync calls leave the spare scratch free');
      spare.pin();
      return [spare];
    }
  }

  #freedOrSpare(): Io<Scratch | undefined> {
    return {
      start: () => new Promise((resolve) => this.#waiting.push(() => resolve(undefined))),
      startSync: () => this.#spare,
    };
  }

  #take(wanted: number): Scratch[] {
    const free = this.#scratches.filter((scratch) => scratch.isFree).slice(0, wanted);
    for (const scratch of free) scratch.pin();
    return free;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
