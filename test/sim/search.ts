// A stretch of seeds, for the tests: all must be without a violation, and every fault must have
// fired. A seed takes about 1.6 seconds of one core, and has at least 100 crash points.

import * as assert from 'uvu/assert';
import { FaultCounts } from './faults.ts';
import { Run } from './run.ts';

export interface SearchSeeds {
  /** Fixed seeds, the same in every run: with `rare`, they fire every fault. */
  readonly from: number;
  readonly count: number;
  /** Fixed seeds in addition, of which each has faults that are rare. */
  readonly rare: readonly number[];
  /** How many that nobody has seen. */
  readonly freshCount: number;
}

export async function search({ from, count, rare, freshCount }: SearchSeeds) {
  const first = Math.floor(Math.random() * 2 ** 40);
  const stretch = (start: number, length: number) =>
    Array.from({ length }, (_, index) => start + index);
  const faults = new FaultCounts();
  const sums = { seeds: 0, crashPoints: 0, nested: 0, calls: 0, replayed: 0 };
  const fixed = [...stretch(from, count), ...rare];
  for (const seed of fixed) await runSeed(seed, faults, sums);
  const { missing } = faults;
  for (const seed of stretch(first, freshCount)) await runSeed(seed, faults, sums);
  console.log(`${faults.table()}\n  ${JSON.stringify(sums)}, fresh seeds from ${first}`);
  assert.equal(missing, [], 'every fault that is demanded fires in the fixed seeds');
  return sums;
}

async function runSeed(
  seed: number,
  faults: FaultCounts,
  sums: { seeds: number; crashPoints: number; nested: number; calls: number; replayed: number },
): Promise<void> {
  const report = await new Run(seed).run();
  const { problem, counts, events, setup } = report;
  if (problem !== undefined) {
    console.log(events.map((event) => `  | ${event}`).join('\n'));
    const again = `npm run sim -- --seed ${seed}`;
    assert.unreachable(`seed ${seed} (${setup.name}): ${problem.message}; again: ${again}`);
  }
  faults.add(report.faults.toJSON());
  sums.seeds++;
  sums.crashPoints += counts.crashPoints;
  sums.nested += counts.nested;
  sums.calls += counts.calls;
  sums.replayed += counts.replayed;
}
