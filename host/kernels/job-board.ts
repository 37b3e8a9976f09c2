// The board: kernel jobs in a small shared buffer, from which threads take their work.
//
//            u32     u32       5 x u32      u32
//        ┌───────┬────────┬─────────────┬────────┐
//   job  │ state │ kernel │  arguments  │ result │
//        └───────┴────────┴─────────────┴────────┘
//
//   state   FREE ──take──▶ number of the thread that took it ──▶ DONE
//
// `kernel` is the kernel's place among the module's exports, the same in every instance. A job is
// taken by compare-and-exchange, so by one thread only; the store of DONE makes its results visible
// to whoever loads it. A thread that dies leaves its number behind: its job is free for the taking
// as soon as the thread is known to be gone. A thread that comes late finds nothing FREE and
// touches nothing, so nobody waits for it.

import { assert } from '../base/assert.ts';
import type { KernelJob } from '../base/env.ts';
import type { KernelExports } from './exports.ts';
import { runJob } from './inline-pool.ts';

const JOB_WORDS = 8;
const KERNEL_WORD = 1;
const ARGS_WORD = 2;
const ARGS_MAX = 5;
const RESULT_WORD = 7;

const FREE = 0;
const DONE = -1;

export class JobBoard {
  /** What crosses to the other threads. */
  readonly buffer: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #kernels: KernelExports;
  readonly #names: readonly string[];

  /** The board in a buffer that `post` made. */
  constructor(kernels: KernelExports, buffer: SharedArrayBuffer) {
    this.buffer = buffer;
    this.#words = new Int32Array(buffer);
    this.#kernels = kernels;
    this.#names = Object.keys(kernels);
  }

  /** A new board with these jobs. */
  static post(kernels: KernelExports, jobs: readonly KernelJob[]): JobBoard {
    const board = new JobBoard(kernels, new SharedArrayBuffer(jobs.length * JOB_WORDS * 4));
    jobs.forEach((job, index) => {
      const kernel = board.#names.indexOf(job.kernel);
      assert(kernel >= 0, 'kernel exists', job.kernel);
      assert(job.args.length <= ARGS_MAX, 'at most 5 arguments', job.args.length);
      board.#words[index * JOB_WORDS + KERNEL_WORD] = kernel;
      board.#words.set(job.args, index * JOB_WORDS + ARGS_WORD);
    });
    return board;
  }

  get jobCount(): number {
    return this.#words.length / JOB_WORDS;
  }

  /** Takes the job for `thread` (1 and up) if it is still `from`. */
  take(index: number, thread: number, from = FREE): boolean {
    return Atomics.compareExchange(this.#words, index * JOB_WORDS, from, thread) === from;
  }

  /** The thread that took the job and has not finished it; 0 = free or done. */
  takenBy(index: number): number {
    return Math.max(0, Atomics.load(this.#words, index * JOB_WORDS));
  }

  /** Runs a job that this thread has taken. */
  work(index: number): void {
    const at = index * JOB_WORDS;
    const kernel = this.#names[this.#words[at + KERNEL_WORD]!]!;
    const words = this.#words.subarray(at + ARGS_WORD, at + ARGS_WORD + ARGS_MAX);
    const args = Array.from(words, (word) => word >>> 0);
    this.#words[at + RESULT_WORD] = runJob(this.#kernels, { kernel, args });
    Atomics.store(this.#words, at, DONE);
  }

  /** Takes and runs what is free, until nothing is; returns how many. */
  workAll(thread: number): number {
    let count = 0;
    for (let index = 0; index < this.jobCount; index++) {
      if (!this.take(index, thread)) continue;
      this.work(index);
      count++;
    }
    return count;
  }

  result(index: number): number {
    assert(Atomics.load(this.#words, index * JOB_WORDS) === DONE, 'job is done');
    return this.#words[index * JOB_WORDS + RESULT_WORD]! >>> 0;
  }
}
