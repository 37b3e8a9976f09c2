// A worker thread that takes one piece of the board and holds on to it, without a sign, until the
// word at GATE opens; then it does the piece, and what else is free.

import { workerData } from 'node:worker_threads';
import { attachKernels } from '../../host/kernels/instantiate.ts';
import { JobBoard } from '../../host/kernels/job-board.ts';
import type { KernelTask, KernelWorkerData } from '../../host/node/kernel-worker.ts';

/** In the arena's first page, which is nobody's: 1 while a piece is held, or was. */
export const HELD = 1024;
/** 1 = go on. */
export const GATE = 1028;
/** Should the test die, the thread must not stay. */
export const HOLD_MS_MAX = 20_000;

let attached: ReturnType<typeof attachKernels> | undefined;

export default function work(task: KernelTask): number {
  const { memory, module } = workerData as KernelWorkerData;
  attached ??= attachKernels(memory, module);
  const board = new JobBoard(attached.kernels, task.board);
  const words = new Int32Array(memory.buffer);
  const index = Array.from({ length: board.jobCount }, (_, i) => i).findLast((i) =>
    board.take(i, task.thread),
  );
  if (index === undefined) return 0;
  Atomics.store(words, HELD / 4, 1);
  Atomics.notify(words, HELD / 4);
  Atomics.wait(words, GATE / 4, 0, HOLD_MS_MAX);
  board.work(index);
  return 1 + board.workAll(task.thread);
}
