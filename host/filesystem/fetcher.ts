// Fetching: the blocks that LOADs miss, of all messages of one turn together, sorted, and from all
// disks at once. A block that two messages miss is read once. Each disk's part is a read of its
// own: who needs nothing of a slow disk does not wait for it.

import { type Io, runSync, Task } from '../base/task.ts';
import type { Vbn } from '../base/units.ts';
import type { BlockRead, BlockVolume } from '../device/block-volume.ts';
import type { Pointer } from '../format/pointer.ts';
import type { Block, BlockCache, BlockCheck } from './block-cache.ts';
import { Columns } from './columns.ts';

/** What could not be read. */
export interface FetchFailure {
  readonly pointer: Pointer;
  readonly error: Error;
}

/** Blocks read with one call: bounds the frames that wait for a device. */
const BATCH_MAX = 1024;

export class Fetcher {
  readonly #cache: BlockCache;
  readonly #volume: BlockVolume;
  readonly #check: BlockCheck;
  readonly #queue: Pointer[] = [];
  #scheduled: Promise<ReadonlyMap<Vbn, Promise<FetchFailure[]>>> | undefined;
  readonly #columns: Columns;
  /** Reads under way, by vbn. */
  readonly #underWay = new Map<Vbn, { pointer: Pointer; done: Promise<FetchFailure[]> }>();
  /** Blocks that the volume is reading, and the CP in which their pointers were found. */
  readonly #reading = new Map<Vbn, { pointer: Pointer; cp: number }>();
  readonly #cpNow: () => number;
  fetchedCount = 0;

  constructor(
    cache: BlockCache,
    volume: BlockVolume,
    options: { check: BlockCheck; cpNow: () => number },
  ) {
    this.#cache = cache;
    this.#volume = volume;
    this.#check = options.check;
    this.#cpNow = options.cpNow;
    this.#columns = new Columns(volume.spans);
  }

  /** Whether a reconstructed block may be written back (ENGINE 6). Its pointer was found in an
   *  image that was held when the read began; a block freed by the next CP rests for one more, so
   *  until the CP after next its vbn cannot have been given to anything else. */
  isStillMeant(vbn: Vbn, checksumLow: number, checksumHigh: number): boolean {
    const read = this.#reading.get(vbn);
    if (read === undefined || this.#cpNow() > read.cp + 1) return false;
    return read.pointer.checksumLow === checksumLow && read.pointer.checksumHigh === checksumHigh;
  }

  /** Brings blocks into the cache; gives those that could not be had. Blocks for which no frame was
   *  free are neither: the caller asks again. */
  fetch(pointers: readonly Pointer[]): Io<readonly FetchFailure[]> {
    return {
      start: () => this.#start(pointers),
      startSync: () => this.#readSync(pointers),
    };
  }

  async #start(pointers: readonly Pointer[]): Promise<FetchFailure[]> {
    const waits = new Set<Promise<FetchFailure[]>>();
    const fresh: Vbn[] = [];
    for (const pointer of pointers) {
      const other = this.#underWay.get(pointer.vbn);
      if (other !== undefined && isSame(other.pointer, pointer)) {
        waits.add(other.done);
      } else {
        this.#queue.push(pointer);
        fresh.push(pointer.vbn);
      }
    }
    if (fresh.length > 0) {
      // The batch starts when this turn is over: other messages of the turn join it.
      this.#scheduled ??= Promise.resolve().then(() => this.#runBatch());
      const reads = await this.#scheduled;
      for (const vbn of fresh) waits.add(reads.get(vbn) as Promise<FetchFailure[]>);
    }
    // A read is shared: what others asked for in it is theirs to worry about.
    const isAsked = ({ pointer }: FetchFailure) => pointers.some((other) => isSame(other, pointer));
    const lists = await Promise.all(waits);
    return lists.flat().filter(isAsked);
  }

  /** Begins a read on each disk; gives by block when it is over. */
  #runBatch(): ReadonlyMap<Vbn, Promise<FetchFailure[]>> {
    this.#scheduled = undefined;
    const unique = new Map<Vbn, Pointer>();
    for (const pointer of this.#queue.splice(0)) unique.set(pointer.vbn, pointer);
    const parts = new Map<number, Pointer[]>();
    for (const pointer of [...unique.values()].sort((a, b) => a.vbn - b.vbn)) {
      const column = this.#columns.indexOf(pointer.vbn);
      const part = parts.get(column);
      if (part === undefined) parts.set(column, [pointer]);
      else part.push(pointer);
    }
    const reads = new Map<Vbn, Promise<FetchFailure[]>>();
    for (const part of parts.values()) {
      const done = this.#runRead(part);
      for (const { vbn } of part) reads.set(vbn, done);
    }
    return reads;
  }

  async #runRead(pointers: readonly Pointer[]): Promise<FetchFailure[]> {
    const done = new Task(this.#read(pointers)).promise();
    for (const pointer of pointers) this.#underWay.set(pointer.vbn, { pointer, done });
    try {
      return await done;
    } finally {
      for (const pointer of pointers) {
        if (this.#underWay.get(pointer.vbn)?.done === done) this.#underWay.delete(pointer.vbn);
      }
    }
  }

  *#read(pointers: readonly Pointer[]) {
    const failures: FetchFailure[] = [];
    for (let first = 0; first < pointers.length; first += BATCH_MAX) {
      const batch = this.#allot(pointers.slice(first, first + BATCH_MAX));
      if (batch.length === 0) continue;
      for (const { pointer } of batch)
        this.#reading.set(pointer.vbn, { pointer, cp: this.#cpNow() });
      try {
        yield* this.#volume.read(batch.map((item) => item.read));
      } catch (error) {
        for (const item of batch) item.read.error = error as Error;
      }
      for (const item of batch) this.#finish(item, failures);
    }
    return failures;
  }

  #readSync(pointers: readonly Pointer[]): FetchFailure[] {
    const missing = pointers.filter((pointer) => this.#cache.peek(pointer) === undefined);
    return runSync(this.#read(missing));
  }

  #allot(pointers: readonly Pointer[]): Allotted[] {
    const batch: Allotted[] = [];
    for (const pointer of pointers) {
      const block = this.#cache.startLoad();
      if (block === undefined) break;
      const { vbn, checksumLow, checksumHigh } = pointer;
      const read: BlockRead = { vbn, checksumLow, checksumHigh, address: block.address };
      batch.push({ pointer, block, read });
    }
    return batch;
  }

  #finish(item: Allotted, failures: FetchFailure[]): void {
    const { pointer, block, read } = item;
    this.#reading.delete(pointer.vbn);
    const error = read.error ?? this.#check(pointer, block.address);
    if (error !== undefined) {
      this.#cache.abandonLoad(block);
      failures.push({ pointer, error });
      return;
    }
    this.fetchedCount++;
    this.#cache.finishLoad(block, pointer);
  }
}

interface Allotted {
  readonly pointer: Pointer;
  readonly block: Block;
  readonly read: BlockRead;
}

function isSame(a: Pointer, b: Pointer): boolean {
  return a.vbn === b.vbn && a.checksumLow === b.checksumLow && a.checksumHigh === b.checksumHigh;
}
