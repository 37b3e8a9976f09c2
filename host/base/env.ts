// Everything that happens is injected: clock, randomness, logging, threads. The portable core knows
// only these interfaces; host/node/ implements them for real, the simulator for its world.

import type { Instant } from './units.ts';

export interface TimerHandle {
  cancel(): void;
}

export interface Clock {
  /** Wall time, for file times. */
  now(): Instant;
  /** Milliseconds from an arbitrary start, never going back. */
  monotonicMs(): number;
  /** Calls `callback` once, later; never keeps the process alive. */
  after(delayMs: number, callback: () => void): TimerHandle;
}

/** Source of random numbers, for ids and hash seeds (not for secrets). */
export interface Prng {
  /** An unsigned 32-bit integer. */
  u32(): number;
}

export interface Logger {
  warn(message: string, detail?: Readonly<Record<string, unknown>>): void;
  info(message: string, detail?: Readonly<Record<string, unknown>>): void;
}

/** A kernel call as it crosses threads: the export's name and its u32 arguments (arena addresses,
 *  counts). Shared memory holds all data. */
export interface KernelJob {
  readonly kernel: string;
  readonly args: readonly number[];
}

/** Runs kernel jobs; the inline pool on the calling thread, the piscina pool on worker threads. */
export interface ThreadPool {
  /** Threads that may work at one time, the calling one included. */
  readonly threads: number;
  /** Jobs that ran on another thread than the caller's, since the start. */
  readonly jobCount: number;
  /** Runs all jobs, in any order and in parallel; results in the order of the jobs. Jobs of one
   *  call must not write what another one reads. */
  run(jobs: readonly KernelJob[]): Promise<readonly number[]>;
  close(): Promise<void>;
}
