// The disk information-retrieval process (seed 000, claim 1): the blocks that the messages of the
// swarm miss, collected, each of them once, sorted by disk, and read from all disks at once.
//
// Every disk has a queue of its own, and a few reads of it under way. When one of them is back, the
// messages that waited for it go on, whatever the other disks do.

import { type Io, type Step, wait } from '../base/task.ts';
import type { Vbn } from '../base/units.ts';
import { Columns } from '../filesystem/columns.ts';
import type { Core } from '../filesystem/core.ts';
import type { FetchFailure } from '../filesystem/fetcher.ts';
import type { Pointer } from '../format/pointer.ts';
import type { TransactionBlock } from './transaction-block.ts';

/** Blocks in one read, and reads of one disk under way. */
export interface RetrievalLimits {
  readonly readBlocksMax: number;
  readonly readsPerDisk: number;
}

/** Enough for neighbours to be read together and for the disk to have work, and few enough for
 *  messages to go on soon. */
const LIMITS: RetrievalLimits = { readBlocksMax: 256, readsPerDisk: 2 };

interface Wanted {
  readonly pointer: Pointer;
  /** Who waits for it, in which attempt. */
  readonly waiters: { readonly block: TransactionBlock; readonly attempt: number }[];
  /** Reads one after the other, up to and with this one. */
  readonly depth: number;
}

interface Read {
  readonly disk: DiskQueue;
  readonly wanted: readonly Wanted[];
  /** A sync call did it again, and was faster. */
  isOvertaken: boolean;
}

/** What is to be read of a disk: in sweeps from its first block to its last; what comes during one
 *  is for the next. */
interface DiskQueue {
  sweep: Wanted[];
  next: Wanted[];
  readonly reads: Set<Read>;
}

/** A block that was waited for is there, or cannot be had. */
export type OnArrived = (block: TransactionBlock, failure: FetchFailure | undefined) => void;

export class Retrieval {
  readonly #core: Core;
  readonly #limits: RetrievalLimits;
  readonly #columns: Columns;
  readonly #onArrived: OnArrived;
  readonly #disks: DiskQueue[];
  /** Everything that is wanted, queued or under way. */
  readonly #wanted = new Map<Vbn, Wanted>();
  #back: { readonly read: Read; readonly failures: readonly FetchFailure[] }[] = [];
  #wake: (() => void) | undefined;
  /** Blocks that were read, and the longest chain of reads that waited for each other. */
  loadedCount = 0;
  depthMax = 0;

  constructor(core: Core, onArrived: OnArrived, limits: RetrievalLimits = LIMITS) {
    this.#core = core;
    this.#limits = limits;
    this.#columns = new Columns(core.volume.spans);
    this.#onArrived = onArrived;
    this.#disks = Array.from({ length: this.#columns.count }, () => ({
      sweep: [],
      next: [],
      reads: new Set<Read>(),
    }));
  }

  /** Blocks that are queued or under way. */
  get wantedCount(): number {
    return this.#wanted.size;
  }

  /** `block` needs what `pointer` points to. */
  want(pointer: Pointer, block: TransactionBlock): void {
    const waiter = { block, attempt: block.attempt };
    const there = this.#wanted.get(pointer.vbn);
    // Another pointer to the same vbn: one of them is out of date; who waits for it asks again.
    if (there !== undefined) {
      there.waiters.push(waiter);
      return;
    }
    const wanted = { pointer, waiters: [waiter], depth: block.depth + 1 };
    this.#wanted.set(pointer.vbn, wanted);
    (this.#disks[this.#columns.indexOf(pointer.vbn)] as DiskQueue).next.push(wanted);
  }

  /** Gives every disk work that has none and could have some. */
  start(): void {
    for (const disk of this.#disks) {
      while (disk.reads.size < this.#limits.readsPerDisk) {
        const read = nextRead(disk, this.#limits.readBlocksMax);
        if (read === undefined) break;
        disk.reads.add(read);
        const fetch = this.#fetch(read).start() as Promise<readonly FetchFailure[]>;
        void fetch.then((failures) => this.#arrive(read, failures));
      }
    }
  }

  /** Waits until something has come, and gives it to those who waited for it. */
  next(): Io<void> {
    return {
      start: () => {
        if (this.#back.length > 0) return this.#deliver();
        return new Promise<void>((resolve) => {
          this.#wake = resolve;
        }).then(() => this.#deliver());
      },
      startSync: () => this.#nextSync(),
    };
  }

  /** Waits until no read is under way. */
  *settle(): Step<void> {
    while (this.#disks.some(({ reads }) => reads.size > 0)) yield* wait(this.next());
  }

  #fetch({ wanted }: Read): Io<readonly FetchFailure[]> {
    return this.#core.fetcher.fetch(wanted.map(({ pointer }) => pointer));
  }

  #arrive(read: Read, failures: readonly FetchFailure[]): void {
    if (read.isOvertaken) return;
    this.#back.push({ read, failures });
    this.#wake?.();
    this.#wake = undefined;
  }

  #nextSync(): void {
    this.start();
    for (const { reads } of this.#disks) {
      for (const read of reads) {
        if (this.#back.some((other) => other.read === read)) continue;
        read.isOvertaken = true;
        this.#back.push({ read, failures: this.#fetch(read).startSync() });
      }
    }
    this.#deliver();
  }

  #deliver(): void {
    const back = this.#back;
    this.#back = [];
    for (const { read, failures } of back) {
      read.disk.reads.delete(read);
      const failed = new Map(failures.map((failure) => [failure.pointer.vbn, failure]));
      this.loadedCount += read.wanted.length - failures.length;
      for (const wanted of read.wanted) {
        this.#wanted.delete(wanted.pointer.vbn);
        this.depthMax = Math.max(this.depthMax, wanted.depth);
        for (const { block, attempt } of wanted.waiters) {
          if (attempt !== block.attempt) continue;
          block.depth = Math.max(block.depth, wanted.depth);
          this.#onArrived(block, failed.get(wanted.pointer.vbn));
        }
      }
    }
  }
}

function nextRead(disk: DiskQueue, blocksMax: number): Read | undefined {
  if (disk.sweep.length === 0) {
    if (disk.next.length === 0) return undefined;
    // From the end: the first block of the disk comes last.
    disk.sweep = disk.next.sort((a, b) => b.pointer.vbn - a.pointer.vbn);
    disk.next = [];
  }
  const wanted = disk.sweep.splice(-blocksMax).reverse();
  return { disk, wanted, isOvertaken: false };
}
