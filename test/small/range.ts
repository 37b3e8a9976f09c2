// Runs a range of workloads, by their numbers.

import type { Tearing } from '../world/crashes.ts';
import { ALPHABET, workloadOf } from './alphabet.ts';
import { type Counts, SmallWorld, Violation } from './cuts.ts';
import type { SetupName } from './volume.ts';

export interface Range {
  readonly setup: SetupName;
  /** Operations of each workload. */
  readonly operations: number;
  readonly from: number;
  readonly count: number;
  readonly tearing: Tearing;
}

/** How many workloads of so many operations there are. */
export function workloadCount(operations: number): number {
  return ALPHABET.length ** operations;
}

/** Runs them all, in groups that differ in the last operation only; calls `onGroup` after each.
 *  Only the last operation is cut, and what the background does after it: what comes before was
 *  cut in the workload without it.
 *  @throws Violation that says how to run the workload again. */
export async function runRange(
  range: Range,
  counts: Counts,
  onGroup: (next: number) => void = () => {},
): Promise<void> {
  const { setup, operations, from, count, tearing } = range;
  const world = new SmallWorld(setup);
  const cutFrom = operations - 1;
  for (let number = from; number < from + count; number++) {
    const isNewGroup = number % ALPHABET.length === 0;
    if (isNewGroup) {
      world.forget();
      onGroup(number);
    }
    try {
      world.run(workloadOf(number, operations), { counts, tearing, cutFrom });
    } catch (error) {
      if (!(error instanceof Violation)) throw error;
      const again = [
        `--setup ${setup} --operations ${operations}`,
        `--from ${number} --count 1 --tearing ${tearing}`,
      ].join(' ');
      const text = `workload ${number}: ${error.message}\nagain: npm run small -- ${again}`;
      throw new Violation(text, { cause: error });
    }
    // What retired engines left under way ends.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export function sayCounts({ workloads, cuts, mounts }: Counts): string {
  return `${workloads} workloads, ${cuts} cuts, ${mounts} mounts`;
}
