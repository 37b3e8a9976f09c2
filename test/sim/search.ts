// A stretch of seeds, for the tests: all must be without a violation.

import * as assert from 'uvu/assert';
import { Run } from './run.ts';

/** Fixed seeds, and as many that nobody has seen. */
export async function search(seeds: { readonly from: number; readonly count: number }) {
  const fresh = Math.floor(Math.random() * 2 ** 40);
  const sums = { seeds: 0, crashPoints: 0, nested: 0, calls: 0, replayed: 0 };
  for (let index = 0; index < seeds.count; index++) {
    const seed = index % 2 === 0 ? seeds.from + index / 2 : fresh + index;
    const { problem, counts, events, setup } = await new Run(seed).run();
    if (problem !== undefined) {
      console.log(events.map((event) => `  | ${event}`).join('\n'));
      const again = `npm run sim -- --seed ${seed}`;
      assert.unreachable(`seed ${seed} (${setup.name}): ${problem.message}; again: ${again}`);
    }
    sums.seeds++;
    sums.crashPoints += counts.crashPoints;
    sums.nested += counts.nested;
    sums.calls += counts.calls;
    sums.replayed += counts.replayed;
  }
  console.log(`  ${JSON.stringify(sums)}, fresh seeds from ${fresh}`);
  return sums;
}
