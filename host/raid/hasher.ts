// xxHash64 of bytes that may lie outside of the arena: structures of a disk's front, and journal
// blocks on the heap. Bytes are copied into a small buffer in the arena and hashed there, in one
// turn.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { VOLUME_ROOT_SIZE } from '../../assembly/layout/volume-root.ts';
import { assert } from '../base/assert.ts';
import type { Address } from '../base/units.ts';
import type { Checksum, Hash } from '../format/envelope.ts';
import type { Arena } from '../kernels/arena.ts';
import type { KernelExports } from '../kernels/exports.ts';

/** Blocks of arena whose checksums are had in one kernel call. */
const BATCH_BLOCKS = 256;

/** Takes 2 blocks + 3 KiB of the arena. */
export class Hasher {
  readonly #arena: Arena;
  readonly #kernels: KernelExports;
  readonly #buffer: Address;
  readonly #list: Address;
  readonly #sums: Address;

  constructor(arena: Arena, kernels: KernelExports) {
    this.#arena = arena;
    this.#kernels = kernels;
    this.#buffer = arena.reserve(VOLUME_ROOT_SIZE);
    this.#list = arena.reserve(BATCH_BLOCKS * 4);
    this.#sums = arena.reserve(BATCH_BLOCKS * 8);
  }

  /** Of at most VOLUME_ROOT_SIZE bytes. */
  readonly hash: Hash = (bytes) => {
    assert(bytes.length <= VOLUME_ROOT_SIZE, 'bytes fit the buffer', bytes.length);
    this.#arena.u8.set(bytes, this.#buffer);
    this.#kernels.xxhash64(this.#buffer, bytes.length, this.#sums);
    return this.#sum(0);
  };

  /** Of blocks in the arena. Calls `found` for each, in order. */
  blocks(
    addresses: readonly Address[],
    found: (index: number, low: number, high: number) => void,
  ): void {
    const { u32 } = this.#arena;
    for (let first = 0; first < addresses.length; first += BATCH_BLOCKS) {
      const count = Math.min(BATCH_BLOCKS, addresses.length - first);
      for (let index = 0; index < count; index++) {
        u32[this.#list / 4 + index] = addresses[first + index] as Address;
      }
      this.#kernels.xxhash64Blocks(this.#list, count, this.#sums);
      for (let index = 0; index < count; index++) {
        const at = this.#sums / 4 + 2 * index;
        found(first + index, u32[at] as number, u32[at + 1] as number);
      }
    }
  }

  /** Of one block, wherever it lies. */
  block(bytes: Uint8Array): Checksum {
    assert(bytes.length === BLOCK_SIZE, 'it is a block', bytes.length);
    return this.hash(bytes);
  }

  #sum(index: number): Checksum {
    const at = this.#sums / 4 + 2 * index;
    return { low: this.#arena.u32[at] as number, high: this.#arena.u32[at + 1] as number };
  }
}
