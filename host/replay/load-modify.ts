// The file system's side of the swarm: takes messages that are delivered to it through LOAD, all of
// them in parallel, and through MODIFY, each as soon as it is loaded and those before it are done.
//
// A message that cannot LOAD while entries before it are still to be done is given back to the
// initiator, which delivers it again after them. One whose blocks lie on a disk that is not there
// is left out; one that needs a block which is damaged ends the replay.
//
// Frames. A message that waits pins the blocks that it found. How many may is bounded: new ones are
// taken only while there are frames; and where MODIFYs have used them up, the youngest give theirs
// back and begin anew. The oldest is always taken, and needs nobody: so it always goes on.

import { InvariantError } from '../base/assert.ts';
import { FsError, isStorageError, StorageError } from '../base/errors.ts';
import type { Ino } from '../base/units.ts';
import { Load } from '../filesystem/load.ts';
import { framesMax, type ReplayTarget } from '../filesystem/replay-target.ts';
import type { Pointer } from '../format/pointer.ts';
import { inosOf, SkippedKeys } from './conflicts.ts';
import { cacheTooSmall, checkRoom, panic, unreadable } from './problems.ts';
import { type OnArrived, Retrieval, type RetrievalLimits } from './retrieval.ts';
import type { TransactionBlock, TransactionState } from './transaction-block.ts';

/** Frames kept for reads and for the MODIFY of any one message, which moves 1 MiB at most. */
const FRAMES_KEPT = 640;
/** Of a small cache, this share. */
const KEPT_SHARE = 1 / 4;

/** Beyond those, frames that there must be for another message to be taken. */
const FRAMES_SPARE = 64;

/** Messages under way at one time: enough for all disks to be busy. Each LOAD that comes too early,
 *  before what it has in common with others is there, is work for nothing. */
const UNDER_WAY_MAX = 2048;

/** What the file system tells the initiator. */
export interface Initiator {
  /** The message cannot LOAD for want of what others are to do first. */
  waits(block: TransactionBlock, reason: Error): void;
  /** It was applied, or is left out. `queued`: what the zombie queue gets of it in the end. */
  settled(block: TransactionBlock, queued: readonly Ino[]): void;
  /** Its state has changed. */
  changed(block: TransactionBlock): void;
}

export class LoadModify {
  readonly retrieval: Retrieval;
  readonly #target: ReplayTarget;
  readonly #initiator: Initiator;
  readonly #skipped = new SkippedKeys();
  /** The swarm, in the order of the log. */
  readonly #blocks: readonly TransactionBlock[];
  /** Index of the first that is not settled; of the first that was never looked at. */
  #oldest = 0;
  #unseen = 0;
  /** NEW ones that were looked at before: delivered again, or out of frames. */
  readonly #again: TransactionBlock[] = [];
  /** Messages that can go on. */
  #ready: TransactionBlock[] = [];
  readonly #framesKept: number;
  /** In LOAD; and in LOAD or MODIFY. */
  #loadingCount = 0;
  #underWayCount = 0;
  /** Messages that were in LOAD at one time. */
  loadingMax = 0;

  constructor(
    target: ReplayTarget,
    blocks: readonly TransactionBlock[],
    initiator: Initiator,
    limits?: RetrievalLimits,
  ) {
    this.#target = target;
    this.#blocks = blocks;
    this.#initiator = initiator;
    this.#framesKept = Math.min(FRAMES_KEPT, target.core.cache.frameCount * KEPT_SHARE);
    const onArrived: OnArrived = (block, failure) => {
      if (failure !== undefined) block.load?.fail(failure.pointer, failure.error);
      if (--block.missingCount === 0) this.#ready.push(block);
    };
    this.retrieval = new Retrieval(target.core, onArrived, limits);
  }

  get isDone(): boolean {
    return this.#oldest === this.#blocks.length;
  }

  /** The first that is neither applied nor left out. */
  get oldest(): TransactionBlock | undefined {
    return this.#blocks[this.#oldest];
  }

  /** The initiator delivers a message again. */
  deliverAgain(block: TransactionBlock): void {
    this.#set(block, 'NEW');
    this.#again.push(block);
  }

  /** One turn: everything goes on that can, and the disks get what is missing. */
  work(): void {
    do {
      const ready = this.#ready;
      this.#ready = [];
      for (const block of ready) {
        // It may have had to give its frames back meanwhile.
        if (block.state === 'LOAD' || block.state === 'MODIFY') this.#attempt(block);
      }
    } while (this.#ready.length > 0 || this.#take());
    this.retrieval.start();
  }

  /** Looks at another message, if frames allow it. */
  #take(): boolean {
    const { oldest } = this;
    if (oldest === undefined) return false;
    const room = this.#target.framesFree - this.retrieval.wantedCount - this.#framesKept;
    const isRoom = room > FRAMES_SPARE && this.#underWayCount < UNDER_WAY_MAX;
    const block = isRoom ? this.#nextNew() : oldest;
    if (block === undefined || block.state !== 'NEW') return false;
    this.#attempt(block);
    return true;
  }

  #nextNew(): TransactionBlock | undefined {
    for (let block = this.#again.pop(); block !== undefined; block = this.#again.pop()) {
      if (block.state === 'NEW') return block;
    }
    while (this.#unseen < this.#blocks.length) {
      const block = this.#blocks[this.#unseen++] as TransactionBlock;
      if (block.state === 'NEW') return block;
    }
    return undefined;
  }

  /** LOAD; and MODIFY, in the same turn, if it finds all and is next. */
  #attempt(block: TransactionBlock): void {
    if (block.isAfterAll && block !== this.oldest) {
      this.#giveBack(block, new InvariantError('it comes after all that is before it'));
      return;
    }
    if (block.beforeCount === 0 && !this.#skipped.isEmpty && this.#skipped.has(block)) {
      this.#skip(block, new Error('it depends on an entry that is left out'));
      return;
    }
    const { cache } = this.#target.core;
    if (block.load === undefined) {
      block.load = new Load(cache);
      block.load.isWaiting = true;
    }
    cache.beginTurn();
    let isReady: boolean;
    try {
      isReady = block.load.attempt((access) => this.#target.load(access, block.requests));
    } catch (error) {
      this.#cannotLoad(block, error as Error);
      return;
    }
    if (!isReady) {
      this.#fetch(block, block.load);
    } else if (block.beforeCount > 0) {
      block.load.pinFoundOnly();
      this.#set(block, 'MODIFY');
    } else {
      this.#modify(block);
    }
  }

  #fetch(block: TransactionBlock, load: Load): void {
    const { volume } = this.#target.core;
    const gone = load.missing.find(({ vbn }) => !volume.isAvailable(vbn));
    if (gone !== undefined) {
      const cause = new StorageError('DISK_MISSING', `vbn ${gone.vbn} is on a missing disk`);
      block.unavailable = cause;
      this.#cannotLoad(block, new FsError('EIO', { cause }));
      return;
    }
    load.pinFoundOnly();
    this.#set(block, 'LOAD');
    block.missingCount = load.missing.length;
    for (const pointer of load.missing) this.retrieval.want(pointer, block);
  }

  /** A message is looked at anew, later or not at all: what it found is not needed. */
  #drop(block: TransactionBlock): void {
    block.load?.unpin();
    block.attempt++;
    block.missingCount = 0;
  }

  #giveBack(block: TransactionBlock, reason: Error): void {
    this.#drop(block);
    this.#set(block, 'WAIT');
    this.#initiator.waits(block, reason);
  }

  /** While others before it are not done, whatever stands in its way may go away. */
  #cannotLoad(block: TransactionBlock, error: Error): void {
    const cause = isStorageError(error) ? error : error.cause;
    const isUnreadable = isStorageError(cause);
    if (block.beforeCount > 0 || (!isUnreadable && this.#skipped.isEmpty)) {
      this.#giveBack(block, error);
      return;
    }
    if (!isUnreadable) return this.#skip(block, error);
    if (cause !== block.unavailable) throw unreadable(block, cause);
    this.#refuseWithoutInodes(block, cause);
    this.#skip(block, cause);
  }

  /** Nothing is left out where the inode file is gone: the volume cannot be written at all. */
  #refuseWithoutInodes(block: TransactionBlock, cause: StorageError): void {
    const { core } = this.#target;
    if (core.volume.isReadOnly) return;
    const load = new Load(core.cache);
    const isGone = ({ vbn }: Pointer) => !core.volume.isAvailable(vbn);
    const isThere = inosOf(block).every((ino) => {
      load.attempt((access) => core.inodes.loadFor(access, ino));
      return !load.missing.some(isGone);
    });
    if (isThere) return;
    throw new StorageError('DISK_MISSING', 'part of the inode file is on a missing disk', {
      cause,
    });
  }

  #skip(block: TransactionBlock, reason: Error): void {
    this.#drop(block);
    block.reason = reason;
    this.#skipped.add(block);
    this.#settle(block, 'SKIP', []);
  }

  #modify(block: TransactionBlock): void {
    const target = this.#target;
    block.load?.unpin();
    block.load = undefined;
    this.#makeRoom(framesMax(block.requests));
    let queued: readonly Ino[];
    try {
      queued = target.modify(block.requests);
    } catch (error) {
      // Half a change may be in memory: nothing of it may reach a CP.
      target.core.fail(error);
      throw panic(block, error as Error);
    }
    this.#settle(block, 'DONE', queued);
  }

  /** Frames for a MODIFY: the youngest give theirs back. */
  #makeRoom(frames: number): void {
    const target = this.#target;
    checkRoom(target);
    let at = this.#unseen;
    while (target.framesFree < frames && --at > this.#oldest) {
      const block = this.#blocks[at] as TransactionBlock;
      if (block.state !== 'LOAD' && block.state !== 'MODIFY') continue;
      this.#drop(block);
      this.deliverAgain(block);
    }
    if (target.framesFree < frames) throw cacheTooSmall(target);
  }

  #settle(block: TransactionBlock, state: 'DONE' | 'SKIP', queued: readonly Ino[]): void {
    block.load = undefined;
    this.#set(block, state);
    while (this.#blocks[this.#oldest]?.isSettled === true) this.#oldest++;
    for (const other of block.after) {
      other.depth = Math.max(other.depth, block.depth);
      if (--other.beforeCount === 0 && other.state === 'MODIFY') this.#ready.push(other);
    }
    this.#initiator.settled(block, queued);
  }

  #set(block: TransactionBlock, state: TransactionState): void {
    if (block.state === state) return;
    if (block.state === 'LOAD') this.#loadingCount--;
    if (state === 'LOAD') this.#loadingCount++;
    if (block.state === 'LOAD' || block.state === 'MODIFY') this.#underWayCount--;
    if (state === 'LOAD' || state === 'MODIFY') this.#underWayCount++;
    this.loadingMax = Math.max(this.loadingMax, this.#loadingCount);
    block.state = state;
    this.#initiator.changed(block);
  }

  /** The swarm ends before its time: nobody needs any blocks. */
  abandon(): void {
    for (const block of this.#blocks) this.#drop(block);
  }
}
