// Fetching: the blocks that LOADs miss, of all messages of one turn together, so that the block
// volume can sort them by disk and read from all disks at once. A block that two messages miss is
// read once.

import { type Io, runSync, Task } from '../base/task.ts';
import type { Vbn } from '../base/units.ts';
import type { BlockRead, BlockVolume } from '../device/block-volume.ts';
import type { Pointer } from '../format/pointer.ts';
import type { Block, BlockCache } from './block-cache.ts';

/** What could not be read. */
export interface FetchFailure {
  readonly pointer: Pointer;
  readonly error: Error;
}

export type BlockCheck = (pointer: Pointer, address: number) => Error | undefined;

/** Blocks read with one call: bounds the frames that wait for a device. */
const BATCH_MAX = 1024;

export class Fetcher {
  readonly #cache: BlockCache;
  readonly #volume: BlockVolume;
  readonly #check: BlockCheck;
  #queue: Pointer[] = [];
  #scheduled: Promise<FetchFailure[]> | undefined;
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

  #start(pointers: readonly Pointer[]): Promise<FetchFailure[]> {
    const waits = new Set<Promise<FetchFailure[]>>();
    let isNew = false;
    for (const pointer of pointers) {
      const other = this.#underWay.get(pointer.vbn);
      if (other !== undefined && isSame(other.pointer, pointer)) {
        waits.add(other.done);
      } else {
        this.#queue.push(pointer);
        isNew = true;
      }
    }
    if (isNew) {
      // The batch starts when this turn is over: other messages of the turn join it.
      this.#scheduled ??= Promise.resolve().then(() => this.#runBatch());
      waits.add(this.#scheduled);
    }
    // A batch is shared: what others asked for in it is theirs to worry about.
    const isAsked = ({ pointer }: FetchFailure) => pointers.some((other) => isSame(other, pointer));
    return Promise.all(waits).then((lists) => lists.flat().filter(isAsked));
  }

  #runBatch(): Promise<FetchFailure[]> {
    const queue = this.#queue;
    this.#queue = [];
    const done = this.#scheduled as Promise<FetchFailure[]>;
    this.#scheduled = undefined;
    const unique = new Map<Vbn, Pointer>();
    for (const pointer of queue) unique.set(pointer.vbn, pointer);
    const pointers = [...unique.values()].sort((a, b) => a.vbn - b.vbn);
    for (const pointer of pointers) this.#underWay.set(pointer.vbn, { pointer, done });
    const finish = () => {
      for (const pointer of pointers) {
        if (this.#underWay.get(pointer.vbn)?.done === done) this.#underWay.delete(pointer.vbn);
      }
    };
    return new Task(this.#read(pointers)).promise().finally(finish);
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
    const missing = pointers.filter(
      (p) => this.#cache.find(p.vbn, p.checksumLow, p.checksumHigh) === undefined,
    );
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
