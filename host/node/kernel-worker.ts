// A worker thread of the piscina pool: the same kernels on the same memory. It is told of a board
// and takes jobs from it until none is free.

import { workerData } from 'node:worker_threads';
import type { KernelExports } from '../kernels/exports.ts';
import { attachKernels } from '../kernels/instantiate.ts';
import { JobBoard } from '../kernels/job-board.ts';

export interface KernelWorkerData {
  readonly memory: WebAssembly.Memory;
  readonly module: WebAssembly.Module;
}

export interface KernelTask {
  readonly board: SharedArrayBuffer;
  /** This thread's number on the board. */
  readonly thread: number;
}

let kernels: KernelExports | undefined;

/** Works at the board; returns how many jobs it did. */
export default function work(task: KernelTask): number {
  const { memory, module } = workerData as KernelWorkerData;
  kernels ??= attachKernels(memory, module).kernels;
  try {
    return new JobBoard(kernels, task.board).workAll(task.thread);
  } catch (error) {
    // A trap: the instance is done for, the next task gets a new one.
    kernels = undefined;
    throw error;
  }
}
