// The thread pool of Node, Deno and Bun: piscina's worker threads on the arena's shared memory.
//
// A call of `run` whose estimated cost is below break-even runs on the calling thread at once.
// Above it, the jobs are cut into pieces and put on a board (host/kernels/job-board.ts); workers
// are told of the board and take pieces from one shared list, as does the calling thread, at once
// and in its turn. So a worker that is slow to come only leaves more to the others: a call never
// takes longer than on one thread, but for the message.
//
//   cold ──first call above break-even──▶ starting ──workers answered──▶ ready ──close──▶ closed
//
// Cold and starting, everything runs on the calling thread; nobody waits for a thread to start.
// What a job costs is estimated, and the estimate corrected by what was measured on the calling
// thread. Where the threads lost time instead of saving it (busy cores), the next calls stay on one
// thread: one call at first, twice as many each time that it happens again.
//
// Invariant: when `run` settles, no worker works on that call's jobs any more. It waits for those
// that have taken a piece, and for no others. A worker that dies or traps in the middle of a piece
// leaves it taken; the calling thread does it again. Pieces that cannot be done again (they
// overwrite what they read) are the calling thread's from the start.

import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import type { Piscina } from 'piscina';
import { assert } from '../base/assert.ts';
import type { KernelJob, ThreadPool } from '../base/env.ts';
import { InlinePool, runJob } from '../kernels/inline-pool.ts';
import type { KernelInstance } from '../kernels/instantiate.ts';
import { JobBoard } from '../kernels/job-board.ts';
import { cutJob, isRepeatable, jobCostNs } from '../kernels/job-cost.ts';
import type { KernelTask, KernelWorkerData } from './kernel-worker.ts';

export interface PiscinaPoolOptions {
  /** Threads that may work at one time, the calling one included. Default: the cores, at most 8. */
  readonly threads?: number;
  /** Calls estimated below this many milliseconds stay on the calling thread. */
  readonly breakEvenMs?: number;
  /** Another worker file: for tests. */
  readonly workerFile?: URL;
}

/** Memory bandwidth is used up before this many threads. */
const THREADS_MAX = 8;
const BREAK_EVEN_MS = 1;
/** Pieces for each thread: what one thread has left when the others are done is at most a piece. */
const PIECES_PER_THREAD = 8;
/** Smaller pieces cost more to take than they even out. */
const PIECE_MS_MIN = 0.1;
/** Messages to workers that were not answered, for each worker; above, calls stay on their
 *  thread. */
const MESSAGES_PER_WORKER_MAX = 4;
/** Idle workers end after this long. */
const IDLE_MS_MAX = 10_000;
/** Estimates below this are not worth correcting: the clock is too coarse. */
const MEASURED_NS_MIN = 50_000;
/** Weight of the newest measurement. */
const MEASURED_WEIGHT = 0.2;
/** Calls above break-even that stay on one thread after threads lost time, at most. */
const PENALTY_MAX = 64;
/** The calling thread's number on every board; workers follow. */
const CALLER = 1;

/** A pool for these kernels: of threads where the arena is shared, else inline. */
export function createThreadPool(
  instance: KernelInstance,
  options: PiscinaPoolOptions = {},
): ThreadPool {
  const threads = options.threads ?? Math.min(availableParallelism(), THREADS_MAX);
  if (instance.variant !== 'shared' || threads < 2) return new InlinePool(instance.kernels);
  return new PiscinaPool(instance, { ...options, threads });
}

export class PiscinaPool implements ThreadPool {
  readonly threads: number;
  readonly #instance: KernelInstance;
  readonly #breakEvenNs: number;
  readonly #workerFile: URL;
  #jobCount = 0;
  #piscina: Piscina<KernelTask, number> | undefined;
  #starting: Promise<void> | undefined;
  #isReady = false;
  #isClosed = false;
  #messagesPending = 0;
  /** Measured time on one thread divided by the estimate. */
  #costFactor = 1;
  /** Calls that still stay on one thread, and how many will the next time. */
  #penalty = 0;
  #penaltyNext = 1;
  readonly #running = new Set<Promise<unknown>>();

  /** @param instance kernels of the shared build. */
  constructor(
    instance: KernelInstance,
    options: PiscinaPoolOptions & { readonly threads: number },
  ) {
    assert(instance.variant === 'shared', 'kernels are on shared memory', instance.variant);
    assert(options.threads >= 2, 'a pool has threads', options.threads);
    this.threads = options.threads;
    this.#instance = instance;
    this.#breakEvenNs = (options.breakEvenMs ?? BREAK_EVEN_MS) * 1e6;
    this.#workerFile = options.workerFile ?? new URL('./kernel-worker.js', import.meta.url);
  }

  /** Pieces that workers did. */
  get jobCount(): number {
    return this.#jobCount;
  }

  /** Starts the workers now, instead of at the first call above break-even; settles when they have
   *  answered. */
  start(): Promise<void> {
    assert(!this.#isClosed, 'pool is open');
    this.#starting ??= this.#startWorkers();
    return this.#starting;
  }

  async run(jobs: readonly KernelJob[]): Promise<readonly number[]> {
    assert(!this.#isClosed, 'pool is open');
    const estimateNs = jobs.reduce((sum, job) => sum + jobCostNs(job), 0);
    const costNs = estimateNs * this.#costFactor;
    if (costNs < this.#breakEvenNs) return this.#runInline(jobs, estimateNs);
    const running = this.#hasWorkers()
      ? this.#runOnBoard(jobs, estimateNs)
      : this.#runInline(jobs, estimateNs);
    this.#running.add(running);
    try {
      // Workers' messages arrive between turns of the event loop only, which this call has held up
      // for a while: without this, a chain of such calls would never see a worker answer.
      const [results] = await Promise.all([running, setImmediate()]);
      return results;
    } finally {
      this.#running.delete(running);
    }
  }

  /** Ends the workers, after the calls that are under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.allSettled(this.#running);
    await this.#piscina?.destroy();
  }

  async #runInline(jobs: readonly KernelJob[], estimateNs: number): Promise<readonly number[]> {
    const startMs = performance.now();
    const results = jobs.map((job) => runJob(this.#instance.kernels, job));
    if (estimateNs >= MEASURED_NS_MIN) {
      const factor = ((performance.now() - startMs) * 1e6) / estimateNs;
      this.#costFactor += MEASURED_WEIGHT * (factor - this.#costFactor);
    }
    return results;
  }

  /** Learns from a call that took `elapsedNs` with all threads. */
  #judge(estimateNs: number, elapsedNs: number): void {
    if (elapsedNs <= estimateNs * this.#costFactor) {
      this.#penaltyNext = 1;
      return;
    }
    this.#penalty = this.#penaltyNext;
    this.#penaltyNext = Math.min(2 * this.#penaltyNext, PENALTY_MAX);
  }

  /** Whether there are workers to help; gets them going if not. */
  #hasWorkers(): boolean {
    if (this.#penalty > 0) {
      this.#penalty--;
      return false;
    }
    if (this.#isReady) {
      return this.#messagesPending < MESSAGES_PER_WORKER_MAX * (this.threads - 1);
    }
    // Whatever is wrong with threads here, the calling thread does the work.
    this.start().catch(() => {});
    return false;
  }

  async #startWorkers(): Promise<void> {
    const { Piscina } = await import('piscina');
    if (this.#isClosed) return;
    const { arena, module } = this.#instance;
    const workerData = { memory: arena.memory, module } as KernelWorkerData;
    const piscina = new Piscina<KernelTask, number>({
      filename: this.#workerFile.href,
      minThreads: 0,
      maxThreads: this.threads - 1,
      concurrentTasksPerWorker: MESSAGES_PER_WORKER_MAX,
      idleTimeout: IDLE_MS_MAX,
      atomics: 'sync',
      workerData,
    });
    // The error of a worker between two tasks: nothing is lost, the next task starts another one.
    piscina.on('error', () => {});
    const board = new SharedArrayBuffer(0);
    this.#piscina = piscina;
    const greetings = Array.from({ length: this.threads - 1 }, () =>
      piscina.run({ board, thread: CALLER + 1 }),
    );
    // Where workers cannot start at all, these fail or stay unanswered, and the pool stays inline.
    await Promise.all(greetings);
    this.#isReady = true;
  }

  async #runOnBoard(jobs: readonly KernelJob[], estimateNs: number): Promise<readonly number[]> {
    const startMs = performance.now();
    const pieceNs = Math.max(estimateNs / (this.threads * PIECES_PER_THREAD), PIECE_MS_MIN * 1e6);
    const pieces: KernelJob[] = [];
    /** For each piece, the job that it is of. */
    const owners: number[] = [];
    jobs.forEach((job, index) => {
      for (const piece of cutJob(job, pieceNs)) {
        pieces.push(piece);
        owners.push(index);
      }
    });
    const board = JobBoard.post(this.#instance.kernels, pieces);
    const own = pieces.flatMap((piece, index) =>
      isRepeatable(piece, this.#instance.arena.u32) ? [] : [index],
    );
    for (const index of own) board.take(index, CALLER);
    const workers = this.#callWorkers(
      board,
      Math.min(this.threads - 1, pieces.length - own.length - 1),
    );
    let ownCount = 0;
    try {
      for (const index of own) board.work(index);
      ownCount = own.length + board.workAll(CALLER);
    } catch (error) {
      // Before the caller may use the memory again, the others must have stopped.
      for (let index = 0; index < pieces.length; index++) board.take(index, CALLER);
      await this.#settleTaken(board, workers);
      throw error;
    }
    const redone = await this.#settleTaken(board, workers);
    for (const index of redone) board.work(index);
    this.#judge(estimateNs, (performance.now() - startMs) * 1e6);
    this.#jobCount += pieces.length - ownCount - redone.length;
    const results: number[] = jobs.map(() => 0);
    owners.forEach((owner, index) => {
      results[owner] = (results[owner]! + board.result(index)) >>> 0;
    });
    return results;
  }

  /** Tells `count` workers of the board; for each a promise that settles, without failing, when
   *  it has finished or is gone. */
  #callWorkers(board: JobBoard, count: number): Promise<void>[] {
    const piscina = this.#piscina!;
    const done = () => {
      this.#messagesPending--;
    };
    return Array.from({ length: Math.max(0, count) }, (_, index) => {
      this.#messagesPending++;
      return piscina.run({ board: board.buffer, thread: CALLER + 1 + index }).then(done, done);
    });
  }

  /** Waits for the workers that have taken pieces; returns the pieces that they left unfinished,
   *  now the caller's. */
  async #settleTaken(board: JobBoard, workers: readonly Promise<void>[]): Promise<number[]> {
    const left: number[] = [];
    for (let index = 0; index < board.jobCount; index++) {
      const thread = board.takenBy(index);
      if (thread <= CALLER) continue;
      await workers[thread - CALLER - 1];
      if (board.take(index, CALLER, thread)) left.push(index);
    }
    return left;
  }
}
