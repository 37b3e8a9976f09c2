// Reading for verify: from the medium, past the buffer cache, many blocks at once in ascending
// order of vbn. Only a block that this run has read already may come from the cache.
//
// The frames are the cache's, taken as for any load; blocks worth it (`keeps`) stay there.
// Checksums are computed here too: verify relies on nobody below.

import { BLOCK_SIZE } from '../../../assembly/layout/block.ts';
import { StorageError } from '../../base/errors.ts';
import type { Step } from '../../base/task.ts';
import type { Address } from '../../base/units.ts';
import type { BlockRead } from '../../device/block-volume.ts';
import { checksumHex, type Pointer } from '../../format/pointer.ts';
import type { Block } from '../block-cache.ts';
import { blockProblem } from '../block-check.ts';
import type { Core } from '../core.ts';
import { HASH_BATCH } from '../core.ts';
import { Plane } from './plane.ts';

/** Something that needs a block. */
export interface Wanted {
  readonly pointer: Pointer;
}

export interface Readers<T> {
  /** The block is at `address`, until this returns. */
  visit(item: T, address: Address): void;
  /** It cannot be had. */
  fail(item: T, error: Error): void;
  /** Whether the block stays in the cache. */
  keeps(item: T): boolean;
}

interface Loading<T> {
  readonly item: T;
  readonly block: Block;
  readonly read: BlockRead;
}

/** Share of the cache's frames that one call to the volume may take. */
const WINDOW_SHARE = 1 / 8;

export class BlockReader {
  /** Blocks read with one call at most. */
  readonly window: number;
  bytesRead = 0;
  readonly #core: Core;
  readonly #seen = new Plane();

  constructor(core: Core) {
    this.#core = core;
    const share = Math.floor(core.cache.frameCount * WINDOW_SHARE);
    this.window = Math.max(1, Math.min(HASH_BATCH, share));
  }

  /** Reads all of `items`, in whatever order is best. */
  *each<T extends Wanted>(items: readonly T[], readers: Readers<T>): Step<void> {
    const sorted = [...items].sort((a, b) => a.pointer.vbn - b.pointer.vbn);
    for (let next = 0; next < sorted.length; ) {
      this.#core.cache.beginTurn();
      const batch: Loading<T>[] = [];
      while (next < sorted.length && batch.length < this.window) {
        const item = sorted[next] as T;
        if (!this.#isCached(item, readers)) {
          const loading = this.#start(item);
          if (loading === undefined) break;
          batch.push(loading);
        }
        next++;
      }
      if (batch.length > 0) yield* this.#read(batch, readers);
      else if (next < sorted.length) {
        throw new StorageError('INVALID_ARGUMENT', 'the cache has no frame left for verify', {
          hint: 'open the volume with a larger cacheSize',
        });
      }
    }
  }

  #isCached<T extends Wanted>(item: T, readers: Readers<T>): boolean {
    if (!this.#seen.has(item.pointer.vbn)) return false;
    const block = this.#core.cache.peek(item.pointer);
    if (block?.kind !== item.pointer.kind) return false;
    readers.visit(item, block.address);
    return true;
  }

  #start<T extends Wanted>(item: T): Loading<T> | undefined {
    const block = this.#core.cache.startLoad();
    if (block === undefined) return undefined;
    const { vbn, checksumLow, checksumHigh } = item.pointer;
    return { item, block, read: { vbn, checksumLow, checksumHigh, address: block.address } };
  }

  *#read<T extends Wanted>(batch: readonly Loading<T>[], readers: Readers<T>): Step<void> {
    const { volume, cache } = this.#core;
    let done = 0;
    try {
      yield* volume.read(batch.map(({ read }) => read));
      this.bytesRead += batch.length * BLOCK_SIZE;
      const problems = this.#check(batch);
      for (const [index, { item, block }] of batch.entries()) {
        const problem = problems[index];
        if (problem === undefined) readers.visit(item, block.address);
        else readers.fail(item, problem);
        this.#finish(item.pointer, block, problem === undefined && readers.keeps(item));
        done++;
      }
    } finally {
      for (const { block } of batch.slice(done)) cache.abandonLoad(block);
    }
  }

  #finish(pointer: Pointer, block: Block, keeps: boolean): void {
    const { cache, arena, volume } = this.#core;
    this.#seen.add(pointer.vbn);
    // What the cache holds was checked: everything above relies on it.
    const isSound =
      keeps && blockProblem(arena, pointer, block.address, volume.vbnLimit) === undefined;
    if (isSound) cache.finishLoad(block, pointer);
    else cache.abandonLoad(block);
  }

  /** By place in the batch: what is wrong with a block. */
  #check(batch: readonly Loading<Wanted>[]): (Error | undefined)[] {
    const { arena, kernels, hashList, hashSums } = this.#core;
    for (const [index, { read }] of batch.entries()) {
      arena.u32[(hashList >>> 2) + index] = read.address;
    }
    kernels.xxhash64Blocks(hashList, batch.length, hashSums);
    return batch.map(({ item, read }, index) => {
      if (read.error !== undefined) return read.error;
      const { vbn, checksumLow, checksumHigh } = item.pointer;
      const low = arena.u32[(hashSums >>> 2) + 2 * index] as number;
      const high = arena.u32[(hashSums >>> 2) + 2 * index + 1] as number;
      if (low === checksumLow && high === checksumHigh) return undefined;
      return new StorageError('BAD_CHECKSUM', `block ${vbn} is not what its pointer says`, {
        detail: {
          vbn,
          expected: checksumHex(checksumLow, checksumHigh),
          actual: checksumHex(low, high),
        },
      });
    });
  }
}
