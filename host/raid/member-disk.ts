// A disk in its place in a RAID group, and the registry of writes under way.
//
// A device error is a result here, not an exception: it takes out the disk, and the caller decides
// what that means. Writes are in the registry from their start to their completion, by group and
// dbn: where a synchronous call takes an asynchronous write over, the old write still reaches the
// medium at some time, and until then neither its block nor its stripe may be given other bytes
// (ENGINE 5).

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { assert, InvariantError } from '../base/assert.ts';
import { isStorageError, StorageError } from '../base/errors.ts';
import type { Io } from '../base/task.ts';
import { isPromise } from '../base/task.ts';
import type { Dbn } from '../base/units.ts';
import type { Disk } from '../device/device.ts';
import type { Member, MemberState } from '../format/volume-root.ts';

/** What an operation on a device gives: undefined when it was done. */
export type Outcome = Error | undefined;

/** Blocks that one device call transfers at most. */
export const RUN_BLOCKS_MAX = 1024;

interface FlightRun {
  readonly group: number;
  readonly dbn: Dbn;
  readonly count: number;
}

export class WritesInFlight {
  readonly #runs = new Set<FlightRun>();
  #waiting: (() => void)[] = [];

  /** Registers a write; the result ends it. */
  begin(run: FlightRun): () => void {
    this.#runs.add(run);
    return () => {
      this.#runs.delete(run);
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const resolve of waiting) resolve();
    };
  }

  has(group: number, dbn: Dbn, count: number): boolean {
    for (const run of this.#runs) {
      if (run.group === group && dbn < run.dbn + run.count && run.dbn < dbn + count) return true;
    }
    return false;
  }

  get isEmpty(): boolean {
    return this.#runs.size === 0;
  }

  /** Waits until one more write is complete. A sync call cannot: only the event loop completes
   *  it. */
  completion(): Io<void> {
    return {
      start: () => new Promise((resolve) => this.#waiting.push(resolve)),
      startSync: () => {
        throw new StorageError('VOLUME_FAILED', 'a sync call came upon a write still in flight', {
          hint: 'await the asynchronous calls under way, then call again',
        });
      },
    };
  }
}

export class MemberDisk {
  readonly index: number;
  readonly group: number;
  readonly column: number;
  readonly blockCount: number;
  /** The device; undefined where it is missing. */
  disk: Disk | undefined;
  uuid: string;
  state: MemberState;
  /** Epoch of the last root that it took part in. */
  epoch: number;
  /** dbns from here on were never written; and the part of it that a flush has covered. */
  dbnHigh: Dbn;
  dbnHighDurable: Dbn;
  /** The part of it whose writes were completed: what a flush that begins now covers. */
  dbnHighCompleted: Dbn;
  /** Whether something was written since the start of the last flush. */
  isDirty = false;
  readonly #inFlight: WritesInFlight;

  constructor(index: number, member: Member, disk: Disk | undefined, inFlight: WritesInFlight) {
    this.index = index;
    this.group = member.group;
    this.column = member.column;
    this.blockCount = member.blockCount;
    this.disk = disk;
    this.uuid = member.uuid;
    this.state = member.state;
    this.epoch = member.epoch;
    // What was written after the last root is not in it, but in the file.
    const length = disk === undefined ? 0 : Math.min(disk.lengthBlocks(), member.blockCount);
    this.dbnHigh = Math.max(member.dbnHigh, length);
    this.dbnHighDurable = member.dbnHigh;
    this.dbnHighCompleted = this.dbnHigh;
    this.#inFlight = inFlight;
  }

  get name(): string {
    return this.disk?.name ?? `disk ${this.index}`;
  }

  /** Whether its contents count and can be had. */
  get isUsable(): boolean {
    return this.state === 'active' && this.disk !== undefined;
  }

  read(dbn: Dbn, views: readonly Uint8Array[]): Io<Outcome> {
    const disk = this.#device();
    return guarded(
      () => disk.read(dbn, views),
      () => disk.readSync(dbn, views),
    );
  }

  /** Reads into memory of its own: a read that a sync call has overtaken ends up nowhere. */
  fetch(dbn: Dbn, count: number): Io<Uint8Array | Error> {
    const disk = this.#device();
    return {
      start: () => {
        const bytes = new Uint8Array(count * BLOCK_SIZE);
        const outcome = guarded(() => disk.read(dbn, [bytes]), nothing).start();
        return isPromise(outcome) ? outcome.then((error) => error ?? bytes) : (outcome ?? bytes);
      },
      startSync: () => {
        const bytes = new Uint8Array(count * BLOCK_SIZE);
        return guarded(nothing, () => disk.readSync(dbn, [bytes])).startSync() ?? bytes;
      },
    };
  }

  write(dbn: Dbn, views: readonly Uint8Array[]): Io<Outcome> {
    const disk = this.#device();
    const count = views.reduce((sum, view) => sum + view.length, 0) / BLOCK_SIZE;
    assert(dbn + count <= this.blockCount, 'write ends on the disk', dbn + count, this.blockCount);
    const begin = () => {
      this.isDirty = true;
      this.dbnHigh = Math.max(this.dbnHigh, dbn + count);
    };
    const completed = () => {
      this.dbnHighCompleted = Math.max(this.dbnHighCompleted, dbn + count);
    };
    return guarded(
      () => {
        begin();
        const end = this.#inFlight.begin({ group: this.group, dbn, count });
        return lasting(
          () => disk.write(dbn, views),
          () => {
            completed();
            end();
          },
        );
      },
      () => {
        begin();
        disk.writeSync(dbn, views);
        completed();
      },
    );
  }

  flush(): Io<Outcome> {
    const disk = this.#device();
    const begin = () => {
      this.isDirty = false;
      return this.dbnHighCompleted;
    };
    const covered = (high: Dbn) => {
      this.dbnHighDurable = Math.max(this.dbnHighDurable, high);
    };
    return guarded(
      () => {
        const high = begin();
        const result = disk.flush();
        return isPromise(result) ? result.then(() => covered(high)) : covered(high);
      },
      () => {
        const high = begin();
        disk.flushSync();
        covered(high);
      },
    );
  }

  #device(): Disk {
    assert(this.disk !== undefined, 'the disk is there', this.index);
    return this.disk;
  }
}

/** Calls `end` when `run` has ended, however it does. */
export function lasting<T>(run: () => Promise<T> | T, end: () => void): Promise<T> | T {
  let result: Promise<T> | T;
  try {
    result = run();
  } catch (error) {
    end();
    throw error;
  }
  if (isPromise(result)) return result.finally(end);
  end();
  return result;
}

/** An Io whose device errors are its result. */
export function guarded(start: () => Promise<void> | void, startSync: () => void): Io<Outcome> {
  return {
    start: () => {
      try {
        const result = start();
        return isPromise(result) ? result.then(nothing, deviceError) : undefined;
      } catch (error) {
        return deviceError(error);
      }
    },
    startSync: () => {
      try {
        startSync();
        return undefined;
      } catch (error) {
        return deviceError(error);
      }
    },
  };
}

/** Our bugs, and calls that a device does not have, are not failures of the disk. */
function deviceError(error: unknown): Error {
  if (error instanceof InvariantError || isStorageError(error, 'UNSUPPORTED_FEATURE')) throw error;
  return error instanceof Error ? error : new Error(String(error));
}

function nothing(): undefined {}
