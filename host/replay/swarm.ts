// Swarm replay (seed 000): the log's entries are delivered to the file system all at once, as a
// swarm of messages, whose blocks are fetched from all disks in parallel.
//
// The initiator is the log's side. It makes a transaction block of each entry, finds out who comes
// before whom (conflicts.ts), and delivers the swarm. Messages that the file system gives back,
// since they cannot LOAD before others are done, it delivers again after those. The file system's
// side is load-modify.ts, the way to the disks retrieval.ts.
//
// PANIC. The first message has nothing before it, and one that was delivered again has nothing left
// before it. If such a one cannot LOAD for want of something that another should have made, log and
// root do not belong together: replay stops, alerts the operator, and nothing was written.
//
// Replay changes memory only. The CP after it makes that durable; until then the log keeps its
// entries, so a crash replays all of them onto the same root. While entries are left out there is
// no such CP: the volume is read-only, and a later mount replays all of the log (ENGINE 22).

import { InvariantError } from '../base/assert.ts';
import { isStorageError } from '../base/errors.ts';
import { type Step, wait } from '../base/task.ts';
import type { Ino } from '../base/units.ts';
import type { FileSystem } from '../filesystem/file-system.ts';
import { ReplayTarget } from '../filesystem/replay-target.ts';
import { decodeRequests } from '../filesystem/requests.ts';
import { linkConflicts } from './conflicts.ts';
import { type Initiator, LoadModify } from './load-modify.ts';
import { panic, skipped } from './problems.ts';
import type { RetrievalLimits } from './retrieval.ts';
import { type ReplayRecord, TransactionBlock } from './transaction-block.ts';

/** Entries left out that are named one by one. */
const NAMED_MAX = 16;

/** What a replay did. */
export interface SwarmReport {
  readonly entryCount: number;
  /** Entries applied: all but those left out. */
  readonly appliedCount: number;
  /** Messages that could not LOAD before others were done; deliveries after the first; entries left
   *  out. */
  readonly waitCount: number;
  readonly redeliveryCount: number;
  readonly skipCount: number;
  /** Messages that were in LOAD at one time. */
  readonly loadingMax: number;
  readonly loadedBlockCount: number;
  /** The longest chain of reads that had to wait for one another. */
  readonly readRounds: number;
  /** Milliseconds: making the swarm, waiting for disks (LOAD), and in memory (MODIFY). */
  readonly initiateMs: number;
  readonly loadMs: number;
  readonly modifyMs: number;
  /** ENTRY_SKIPPED for each entry that was left out, of many the first. */
  readonly skipped: readonly Error[];
}

export interface SwarmOptions {
  /** Is told each change of a message's state. */
  readonly observe?: (block: TransactionBlock) => void;
  readonly limits?: RetrievalLimits;
}

/** Applies `records`, in the order of the log, to `fs`. Entries whose part of the volume is not
 *  there are left out, and the file system is read-only then.
 *  @throws StorageError REPLAY_PANIC; ENTRY_SKIPPED: an entry needs a block that is damaged;
 *  DISK_MISSING: a part of the inode file is not there (but not if the volume is read-only anyway);
 *  INVALID_ARGUMENT: the cache is too small. Nothing was written. */
export function* replaySwarm(
  fs: FileSystem,
  records: Iterable<ReplayRecord>,
  options: SwarmOptions = {},
): Step<SwarmReport> {
  const { core } = fs;
  const { clock } = core.env;
  const startMs = clock.monotonicMs();
  const swarm = new Swarm(new ReplayTarget(core), records, options);
  const initiateMs = clock.monotonicMs() - startMs;
  const times = { initiateMs, loadMs: 0, modifyMs: 0 };
  const time = (phase: 'loadMs' | 'modifyMs', fromMs: number) => {
    times[phase] += clock.monotonicMs() - fromMs;
  };
  try {
    for (;;) {
      const turnMs = clock.monotonicMs();
      const isDone = swarm.work();
      time('modifyMs', turnMs);
      if (isDone) break;
      const waitMs = clock.monotonicMs();
      yield* swarm.wait();
      time('loadMs', waitMs);
    }
  } catch (error) {
    yield* swarm.abandon();
    if (isStorageError(error, 'REPLAY_PANIC')) {
      const { message, detail, hint } = error;
      core.env.logger.warn(message, { ...detail, hint });
    }
    throw error;
  }
  yield* swarm.finish();
  return swarm.report(times);
}

/** The initiator. */
class Swarm implements Initiator {
  readonly #target: ReplayTarget;
  readonly #blocks: TransactionBlock[] = [];
  readonly #files: LoadModify;
  readonly #observe: ((block: TransactionBlock) => void) | undefined;
  /** What goes to the zombie queue, by entry. */
  readonly #queued: { readonly index: number; readonly inos: readonly Ino[] }[] = [];
  readonly #skipped: TransactionBlock[] = [];
  #waitCount = 0;
  #redeliveryCount = 0;

  constructor(target: ReplayTarget, records: Iterable<ReplayRecord>, options: SwarmOptions) {
    this.#target = target;
    this.#observe = options.observe;
    for (const record of records) {
      const requests = decodeRequests(record.body);
      this.#blocks.push(new TransactionBlock(record, this.#blocks.length, requests));
    }
    linkConflicts(this.#blocks);
    this.#files = new LoadModify(target, this.#blocks, this, options.limits);
    for (const block of this.#blocks) this.changed(block);
  }

  /** One turn. Whether all is done. */
  work(): boolean {
    this.#files.work();
    if (this.#files.isDone) return true;
    if (this.#files.retrieval.wantedCount > 0) return false;
    throw new InvariantError('the swarm goes on until all of it is done');
  }

  *wait(): Step<void> {
    yield* wait(this.#files.retrieval.next());
  }

  /** Nothing of it is wanted any more; nothing is under way when this returns. */
  *abandon(): Step<void> {
    this.#files.abandon();
    yield* this.#files.retrieval.settle();
    this.#target.abandon();
  }

  *finish(): Step<void> {
    const { core } = this.#target;
    yield* this.#files.retrieval.settle();
    if (this.#skipped.length > 0) core.isReadOnly = true;
    if (core.isReadOnly) {
      this.#target.abandon();
      return;
    }
    this.#queued.sort((a, b) => a.index - b.index);
    yield* this.#target.finish(this.#queued.flatMap(({ inos }) => inos));
  }

  // What the file system says.

  changed(block: TransactionBlock): void {
    this.#observe?.(block);
  }

  waits(block: TransactionBlock, reason: Error): void {
    if (block.index === 0 || block.isRedelivered) throw panic(block, reason);
    this.#waitCount++;
    // Nothing is known to be before it, and yet something is missing: all that is, then.
    if (block.beforeCount === 0) block.isAfterAll = true;
    this.#deliverAgainIfTime(block);
  }

  settled(block: TransactionBlock, queued: readonly Ino[]): void {
    if (queued.length > 0) this.#queued.push({ index: block.index, inos: queued });
    if (block.state === 'SKIP') this.#skipped.push(block);
    for (const other of block.after) this.#deliverAgainIfTime(other);
    const oldest = this.#files.oldest;
    if (oldest?.isAfterAll === true) this.#deliverAgainIfTime(oldest);
  }

  /** Its prerequisite event has happened: all those before it have completed LOAD and MODIFY. */
  #deliverAgainIfTime(block: TransactionBlock): void {
    if (block.state !== 'WAIT' || block.beforeCount > 0) return;
    if (block.isAfterAll && block !== this.#files.oldest) return;
    block.isRedelivered = true;
    this.#redeliveryCount++;
    this.#files.deliverAgain(block);
  }

  report(times: Pick<SwarmReport, 'initiateMs' | 'loadMs' | 'modifyMs'>): SwarmReport {
    const { retrieval, loadingMax } = this.#files;
    const left = this.#skipped.sort((a, b) => a.index - b.index);
    return {
      entryCount: this.#blocks.length,
      appliedCount: this.#blocks.length - left.length,
      waitCount: this.#waitCount,
      redeliveryCount: this.#redeliveryCount,
      skipCount: left.length,
      loadingMax,
      loadedBlockCount: retrieval.loadedCount,
      readRounds: retrieval.depthMax,
      ...times,
      skipped: left.slice(0, NAMED_MAX).map((block) => skipped(block, block.reason as Error)),
    };
  }
}
