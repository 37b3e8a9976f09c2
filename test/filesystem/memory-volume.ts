// A block volume in memory, without disks: for tests of the file system alone. Keeps every block
// written by vbn, and refuses what the contract forbids: reading what was never written,
// overwriting a block that the last two roots refer to is the caller's to check by mounting an
// older root.

import { AREA_STRIPES, BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { VOLUME_STATE_SIZE } from '../../assembly/layout/volume-state.ts';
import { StorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { type Step, wait } from '../../host/base/task.ts';
import type { Instant } from '../../host/base/units.ts';
import type {
  BlockRead,
  BlockVolume,
  BlockWrite,
  Liveness,
} from '../../host/device/block-volume.ts';
import type { CoreEnv } from '../../host/filesystem/core.ts';
import {
  FILE_SYSTEM_SCRATCH_SIZE,
  FileSystem,
  type FileSystemParts,
} from '../../host/filesystem/file-system.ts';
import { InlinePool } from '../../host/kernels/inline-pool.ts';
import { createKernels } from '../../host/kernels/instantiate.ts';

/** Blocks and roots: what survives a remount. */
export class BlockStore {
  readonly blocks = new Map<number, Uint8Array>();
  state: Uint8Array = new Uint8Array(VOLUME_STATE_SIZE);
  readonly states: Uint8Array[] = [];
}

export class MemoryVolume implements BlockVolume {
  readonly vbnLimit: number;
  readonly blockCount: number;
  readonly spans;
  readonly isReadOnly = false;
  readonly store: BlockStore;
  /** Every wait takes a microtask, so that messages overlap. */
  readonly isAsync: boolean;
  readonly #u8: Uint8Array;
  readCount = 0;
  writeCount = 0;

  constructor(options: {
    u8: Uint8Array;
    store: BlockStore;
    stripes: number;
    columns?: number;
    isAsync?: boolean;
  }) {
    const columns = options.columns ?? 1;
    const pitch = Math.ceil(options.stripes / AREA_STRIPES) * AREA_STRIPES;
    this.#u8 = options.u8;
    this.store = options.store;
    this.isAsync = options.isAsync ?? false;
    this.blockCount = options.stripes * columns;
    this.spans = [
      {
        group: 0,
        stripeCount: options.stripes,
        columns: Array.from({ length: columns }, (_, index) => AREA_STRIPES + index * pitch),
        hasParity: columns > 1,
      },
    ];
    this.vbnLimit = AREA_STRIPES + columns * pitch;
  }

  get state(): Uint8Array {
    return this.store.state;
  }

  *#pause(): Step<void> {
    if (!this.isAsync) return;
    yield* wait({ start: () => Promise.resolve(), startSync: () => undefined });
  }

  *read(requests: readonly BlockRead[]): Step<void> {
    yield* this.#pause();
    for (const request of requests) {
      this.readCount++;
      const bytes = this.store.blocks.get(request.vbn);
      if (bytes === undefined) {
        request.error = new StorageError('BAD_CHECKSUM', `block ${request.vbn} was never written`);
      } else {
        this.#u8.set(bytes, request.address);
      }
    }
  }

  *write(writes: readonly BlockWrite[], _liveness: Liveness): Step<void> {
    yield* this.#pause();
    for (const { vbn, address } of writes) {
      this.writeCount++;
      this.store.blocks.set(vbn, this.#u8.slice(address, address + BLOCK_SIZE));
    }
  }

  *flush(): Step<void> {
    yield* this.#pause();
  }

  *writeRoot(state: Uint8Array, _time: Instant): Step<void> {
    yield* this.#pause();
    this.store.state = state.slice();
    this.store.states.push(this.store.state);
  }

  isWriteInFlight(): boolean {
    return false;
  }
  isAvailable(): boolean {
    return true;
  }
  *close(): Step<void> {}
}

/** A clock that goes on by a microsecond at each look, and never fires timers. */
export function testEnv(seed: number): CoreEnv {
  let ticks = 0;
  return {
    clock: {
      now: () => ({
        seconds: 1_700_000_000 + ticks++,
        nanoseconds: (ticks * 1000) % 1_000_000_000,
      }),
      monotonicMs: () => ticks,
      after: () => ({ cancel() {} }),
    },
    prng: new SeededPrng(seed),
    logger: { warn() {}, info() {} },
    pool: new InlinePool(createKernels({ arenaBytes: 1 << 18, kernels: 'oracle' }).kernels),
  };
}

export interface TestVolume {
  readonly parts: FileSystemParts;
  readonly volume: MemoryVolume;
}

/** The parts of a file system over a store, on an arena of its own. */
export function testParts(options: {
  store: BlockStore;
  stripes?: number;
  columns?: number;
  arenaBytes?: number;
  isAsync?: boolean;
  seed?: number;
}): TestVolume {
  const { arena, kernels } = createKernels({ arenaBytes: options.arenaBytes ?? 8 << 20 });
  const scratch = arena.reserve(FILE_SYSTEM_SCRATCH_SIZE);
  const frames = arena.seal();
  const volume = new MemoryVolume({
    u8: arena.u8,
    store: options.store,
    stripes: options.stripes ?? 8192,
    columns: options.columns ?? 1,
    isAsync: options.isAsync ?? false,
  });
  return {
    parts: { volume, arena, kernels, env: testEnv(options.seed ?? 1), frames, scratch },
    volume,
  };
}

export { FileSystem };
