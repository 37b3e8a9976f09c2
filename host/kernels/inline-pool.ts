// The thread pool of hosts without threads: everything runs on the calling thread, in its turn.

import { assert } from '../base/assert.ts';
import type { KernelJob, ThreadPool } from '../base/env.ts';
import type { KernelExports } from './exports.ts';

/** Runs one job on this thread. */
export function runJob(kernels: KernelExports, job: KernelJob): number {
  const kernel = kernels[job.kernel as keyof KernelExports] as
    | ((...args: readonly number[]) => number | undefined)
    | undefined;
  assert(kernel !== undefined, 'kernel exists', job.kernel);
  return kernel(...job.args) ?? 0;
}

export class InlinePool implements ThreadPool {
  readonly threads = 1;
  readonly jobCount = 0;
  readonly #kernels: KernelExports;

  constructor(kernels: KernelExports) {
    this.#kernels = kernels;
  }

  async run(jobs: readonly KernelJob[]): Promise<readonly number[]> {
    return jobs.map((job) => runJob(this.#kernels, job));
  }

  async close(): Promise<void> {}
}
