// A stretch of seeds, for the tests: all must be without a violation, and every fault must have
// fired.

import * as assert from 'uvu/assert';
import { FaultCounts } from './faults.ts';
import { Run } from './run.ts';

/** Fixed seeds, and as many that nobody has seen. */
export async function search(seeds: { readonly from: number; readonly count: number }) {
  const fresh = Math.floor(Math.random() * 2 ** 40);
  const faults = new FaultCounts();
  const sums = { seeds: 0, crashPoints: 0, nested: 0, calls: 0, replayed: 0 };
  for (let index = 0; index < seeds.count; index++) {
    const seed = index % 2 === 0 ? seeds.from + index / 2 : fresh + index;
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
  console.log(`${faults.table()}\n  ${JSON.stringify(sums)}, fresh seeds from ${fresh}`);
  assert.equal(faults.missing, [], 'every fault fires');
  return sums;
}
