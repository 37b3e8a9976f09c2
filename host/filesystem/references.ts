// Large writes by reference (ENGINE 20): the data goes straight to its place on the disks, filling
// whole stripes, and the log record carries only the pointers.
//
//   LOAD     areas are prepared, the way to the pointers' slots is in memory
//   MODIFY   vbns are taken, checksums made, pointers entered; the blocks are clean and pinned
//   then     they are written and flushed, before any log flush that has the record (`settle`)
//
// The maps learn of the blocks at the next CP, as they do of everything. Until then they are
// "taken": no allocation gets them, nor does a replay's, which takes all vbns that the log names
// before it allocates anything. A vbn that a record names and that is freed again rests like any
// other, and so is not reused before the record's half is recycled.

import { BLOCK_SIZE, KIND_DATA } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import { type Io, type Step, Task, wait } from '../base/task.ts';
import type { Vbn } from '../base/units.ts';
import type { Liveness } from '../device/block-volume.ts';
import type { Pointer } from '../format/pointer.ts';
import { BitPages } from './bit-pages.ts';
import type { Block } from './block-cache.ts';
import type { Core } from './core.ts';

/** Writes from this size on go by reference, where they cover whole blocks. */
export const REFERENCE_SIZE_MIN = 64 * 1024;

/** Blocks that were given places outside of a CP, since the last one. */
export class TakenBlocks {
  readonly pages = new BitPages();
  readonly list: Vbn[] = [];

  add(vbn: Vbn): void {
    assert(!this.pages.has(vbn), 'a block is taken once', vbn);
    this.pages.add(vbn);
    this.list.push(vbn);
  }

  /** A CP is frozen, and has marked all of them in the maps. */
  take(): Vbn[] {
    this.pages.clear();
    return this.list.splice(0);
  }
}

/** Data on its way to the disks outside of a CP. */
export class ReferenceWrites {
  readonly #core: Core;
  readonly #underWay = new Set<Task<void>>();
  /** Writes begun, and how many of them are known to be durable. */
  #begunCount = 0;
  #durableCount = 0;

  constructor(core: Core) {
    this.#core = core;
  }

  /** MODIFY: blocks with their data get places, and are on their way. `data` is whole blocks. */
  begin(data: Uint8Array, vbns: readonly Vbn[], liveness: Liveness): Pointer[] {
    const { cache, arena } = this.#core;
    const blocks: Block[] = [];
    vbns.forEach((_, index) => {
      const block = cache.createDirty(0, 0);
      const from = index * BLOCK_SIZE;
      arena.u8.set(data.subarray(from, from + BLOCK_SIZE), block.address);
      blocks.push(block);
    });
    const pointers: Pointer[] = [];
    this.#core.hashBlocks(blocks, (block, index, checksumLow, checksumHigh) => {
      const pointer = { vbn: vbns[index] as Vbn, kind: KIND_DATA, checksumLow, checksumHigh };
      cache.enterClean(block, pointer);
      pointers.push(pointer);
    });
    this.#begunCount++;
    this.write(blocks, liveness);
    return pointers;
  }

  /** Blocks that have their places, and their checksums, are on their way there. No record names
   *  them but what `begin` made. */
  write(blocks: readonly Block[], liveness: Liveness): Task<void> {
    for (const block of blocks) this.#core.cache.pin(block);
    const task = new Task(this.#write(blocks, liveness), 'background');
    if (!task.isSettled) {
      this.#underWay.add(task);
      task.onSettled(() => this.#underWay.delete(task));
    }
    return task;
  }

  *#write(blocks: readonly Block[], liveness: Liveness): Step<void> {
    const { volume } = this.#core;
    try {
      // Not in the MODIFY turn, which only changes memory.
      yield* wait(NEXT_TURN);
      const writes = blocks.map(({ vbn, address }) => ({ vbn, address }));
      yield* volume.write(writes, liveness);
    } catch (error) {
      this.#core.fail(error);
      throw error;
    } finally {
      this.#core.unpinWritten(blocks);
    }
  }

  get isBusy(): boolean {
    return this.#underWay.size > 0;
  }

  /** Waits until everything that was begun is written. */
  *written(): Step<void> {
    for (const task of [...this.#underWay]) yield* wait(task.asIo());
  }

  /** Whether something was begun that is not durable. */
  get isUnflushed(): boolean {
    return this.#durableCount < this.#begunCount;
  }

  /** What was begun until now becomes durable. Two at a time are right: a sync call that overtakes
   *  one must not rely on the flush that the other has only begun. */
  *settle(): Step<void> {
    const count = this.#begunCount;
    if (this.#durableCount >= count) return;
    yield* this.written();
    yield* this.#core.volume.flush();
    this.#durableCount = Math.max(this.#durableCount, count);
  }
}

const NEXT_TURN: Io<void> = { start: () => Promise.resolve(), startSync: () => undefined };
