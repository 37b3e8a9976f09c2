// A worker thread that breaks down once, in the middle of a piece of planeAndNot, in the way that
// the word at BREAK_WAY says; from then on it works. It leaves a wrong byte, as a death half-way
// does.

import { workerData } from 'node:worker_threads';
import { attachKernels } from '../../host/kernels/instantiate.ts';
import { JobBoard } from '../../host/kernels/job-board.ts';
import type { KernelTask, KernelWorkerData } from '../../host/node/kernel-worker.ts';

/** In the arena's first page, which is nobody's: WAY_*, 0 once it has happened. */
export const BREAK_WAY = 1024;
export const WAY_EXIT = 1;
export const WAY_THROW = 2;

let attached: ReturnType<typeof attachKernels> | undefined;

export default function work(task: KernelTask): number {
  const { memory, module } = workerData as KernelWorkerData;
  attached ??= attachKernels(memory, module);
  const { kernels } = attached;
  const board = new JobBoard(kernels, task.board);
  const words = new Int32Array(memory.buffer);
  const way = Atomics.load(words, BREAK_WAY / 4);
  if (way === 0) return board.workAll(task.thread);
  for (let index = board.jobCount - 1; index >= 0; index--) {
    // As the picture in host/kernels/job-board.ts: state, kernel, arguments.
    const [, kernel, destination] = new Uint32Array(task.board, 32 * index, 3);
    if (Object.keys(kernels)[kernel!] !== 'planeAndNot') continue;
    if (!board.take(index, task.thread)) continue;
    new Uint8Array(memory.buffer)[destination!]! ^= 255;
    Atomics.store(words, BREAK_WAY / 4, 0);
    if (way === WAY_EXIT) process.exit(7);
    throw new Error('broken on purpose');
  }
  return 0;
}
