// The log's share of the arena: two staging buffers, of which one gathers records while the other
// is on its way to the copies; before that the scan reads through them. All memory that the log
// ever takes is reserved here, while the volume is put together.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { FLUSH_SIZE_MAX } from '../../assembly/layout/log.ts';
import { assert } from '../base/assert.ts';
import type { Address } from '../base/units.ts';
import type { LogChecksums } from '../format/log.ts';
import type { Arena } from '../kernels/arena.ts';
import type { KernelExports } from '../kernels/exports.ts';
import { CRC32C_TABLE_SIZE } from '../kernels/exports.ts';

const HASH_SIZE = 8;

export class LogMemory implements LogChecksums {
  readonly arena: Arena;
  /** Bytes in a staging buffer: the largest flush that this log can have. */
  readonly flushBytesMax: number;
  readonly staging: readonly [Address, Address];
  readonly scratch: Address;
  readonly #kernels: KernelExports;
  readonly #table: Address;

  /** Reserves 2 x flushBytesMax and some 8 KiB of an arena that is not sealed. */
  constructor(arena: Arena, kernels: KernelExports, flushBytesMax: number = FLUSH_SIZE_MAX) {
    assert(flushBytesMax % BLOCK_SIZE === 0, 'a flush is whole blocks', flushBytesMax);
    assert(flushBytesMax >= BLOCK_SIZE, 'a flush has a block', flushBytesMax);
    assert(flushBytesMax <= FLUSH_SIZE_MAX, 'a flush is bounded', flushBytesMax, FLUSH_SIZE_MAX);
    this.arena = arena;
    this.flushBytesMax = flushBytesMax;
    this.staging = [
      arena.reserve(flushBytesMax, BLOCK_SIZE),
      arena.reserve(flushBytesMax, BLOCK_SIZE),
    ];
    this.#kernels = kernels;
    this.#table = arena.reserve(CRC32C_TABLE_SIZE);
    this.scratch = arena.reserve(HASH_SIZE);
    kernels.crc32cTable(this.#table);
  }

  crc32c(address: Address, length: number, crc: number): number {
    return this.#kernels.crc32c(address, length, crc, this.#table) >>> 0;
  }

  xxhash64(address: Address, length: number, out: Address): void {
    this.#kernels.xxhash64(address, length, out);
  }
}
