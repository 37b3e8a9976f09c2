// The copies of the log (ENGINE 19): as many Nvrams with the same content as faults are tolerated,
// and one. A copy that fails once is out until the log is opened again; DISK_FAILED is the only
// error that takes out a copy, any other one is passed on.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { LOG_HALVES_OFFSET } from '../../assembly/layout/log.ts';
import { assert } from '../base/assert.ts';
import { zeroBytes } from '../base/bytes.ts';
import { isStorageError } from '../base/errors.ts';
import type { Io, Step } from '../base/task.ts';
import { isPromise, wait } from '../base/task.ts';
import type { Nvram } from '../device/device.ts';

/** Faults tolerated are two at most, so copies three. */
export const LOG_COPIES_MAX = 3;
/** A copy with more unreadable blocks than this is out: its device is, and each try takes time. */
const UNREADABLE_MAX = 64;

/** What happens around a write, however it is driven and whenever it ends. */
export interface WriteEvents {
  begun(): void;
  /** Its completion was seen: from now on the bytes may change. */
  ended(): void;
  /** It met an error that is not the copy's. */
  broken(error: unknown): void;
}

export class LogCopies {
  readonly #nvrams: (Nvram | undefined)[];
  readonly #errors: unknown[] = [];
  /** By copy: blocks that could not be read, by their offset. */
  readonly #unreadable: Map<number, unknown>[] = [];
  /** Told once of each copy that fails. */
  onFailed: (copy: number, error: unknown) => void = () => {};

  /** A place without an Nvram is a copy that is missing. */
  constructor(nvrams: readonly (Nvram | undefined)[]) {
    const count = nvrams.length;
    assert(count >= 1 && count <= LOG_COPIES_MAX, 'a log has one to three copies', count);
    this.#nvrams = [...nvrams];
  }

  /** One more, which has what the others have. */
  add(nvram: Nvram): void {
    assert(this.#nvrams.length < LOG_COPIES_MAX, 'a log has one to three copies');
    this.#nvrams.push(nvram);
  }

  /** Numbers of the copies that work. */
  live(): number[] {
    return [...this.#nvrams.keys()].filter((copy) => this.isLive(copy));
  }

  isLive(copy: number): boolean {
    return this.#nvrams[copy] !== undefined && this.#errors[copy] === undefined;
  }

  nvram(copy: number): Nvram {
    const nvram = this.#nvrams[copy];
    assert(nvram !== undefined, 'the copy is there', copy);
    return nvram;
  }

  /** Why each copy is out; undefined for those that are not, or are missing. */
  errors(): readonly unknown[] {
    return this.#nvrams.map((_, copy) => this.#errors[copy]);
  }

  /** Takes a copy out. */
  drop(copy: number, error: unknown): void {
    if (!this.isLive(copy)) return;
    this.#errors[copy] = error;
    this.onFailed(copy, error);
  }

  /** Fills `view` from a copy; false if the copy is or goes out. One bad sector does not take out
   *  the rest of the copy: blocks that cannot be read are zeros, and `errorAt` knows them. */
  *read(copy: number, offsetBytes: number, view: Uint8Array): Step<boolean> {
    if (!this.isLive(copy)) return false;
    if ((yield* this.#tryRead(copy, offsetBytes, view)) === undefined) return true;
    for (let at = 0; at < view.length; at += BLOCK_SIZE) {
      const block = view.subarray(at, at + BLOCK_SIZE);
      const error = yield* this.#tryRead(copy, offsetBytes + at, block);
      if (error === undefined) continue;
      zeroBytes(block);
      const unreadable = this.#unreadable[copy] ?? new Map<number, unknown>();
      this.#unreadable[copy] = unreadable;
      unreadable.set(offsetBytes + at, error);
      if (unreadable.size <= UNREADABLE_MAX) continue;
      this.drop(copy, error);
      return false;
    }
    return true;
  }

  /** Why the block at an offset of a copy could not be read; undefined where it could. */
  errorAt(copy: number, offsetBytes: number): unknown {
    return this.#unreadable[copy]?.get(offsetBytes);
  }

  *#tryRead(copy: number, offsetBytes: number, view: Uint8Array): Step<unknown> {
    const nvram = this.nvram(copy);
    try {
      yield* wait({
        start: () => nvram.read(offsetBytes, view),
        startSync: () => nvram.readSync(offsetBytes, view),
      });
      return undefined;
    } catch (error) {
      if (!isStorageError(error, 'DISK_FAILED')) throw error;
      return error;
    }
  }

  /** @throws StorageError UNSUPPORTED_FEATURE if the copy has no sync twins. */
  checkSync(copy: number): void {
    try {
      this.nvram(copy).flushSync();
    } catch (error) {
      if (!isStorageError(error, 'DISK_FAILED')) throw error;
      this.drop(copy, error);
    }
  }

  /** Writes `bytes` to one copy and flushes it. A copy that fails goes out; the Io itself throws
   *  only what is not the copy's failure. */
  write(copy: number, offsetBytes: number, bytes: Uint8Array, events: WriteEvents): Io<void> {
    const nvram = this.nvram(copy);
    const views = [bytes];
    const failed = (error: unknown) => {
      if (isStorageError(error, 'DISK_FAILED')) this.drop(copy, error);
      else events.broken(error);
      events.ended();
      if (!isStorageError(error, 'DISK_FAILED')) throw error;
    };
    return {
      start: () => {
        events.begun();
        try {
          const written = nvram.write(offsetBytes, views);
          const flushed = isPromise<void>(written)
            ? written.then(() => nvram.flush())
            : nvram.flush();
          if (isPromise<void>(flushed)) return flushed.then(() => events.ended(), failed);
          return events.ended();
        } catch (error) {
          return failed(error);
        }
      },
      startSync: () => {
        events.begun();
        try {
          nvram.writeSync(offsetBytes, views);
          nvram.flushSync();
          events.ended();
        } catch (error) {
          failed(error);
        }
      },
    };
  }
}

/** Where a position in a half lies in the area. */
export function areaOffsetOf(half: number, position: number, halfBytes: number): number {
  return LOG_HALVES_OFFSET + half * halfBytes + position;
}
