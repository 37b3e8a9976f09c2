// All workloads of one operation, and some of two, are cut after each device write, with all that
// was not flushed kept, dropped or torn, and mounted. Most crash bugs that were ever found in file
// systems need no more than three operations: these are all there are of them.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ALPHABET } from './alphabet.ts';
import { newCounts, SmallWorld } from './cuts.ts';
import { runRange, sayCounts, workloadCount } from './range.ts';
import type { SetupName } from './volume.ts';

const test = suite('small workloads');

for (const setup of ['none', 'raid4'] as const satisfies readonly SetupName[]) {
  test(`[N-1, I-1] ${setup}: a mount, cut everywhere`, () => {
    const counts = newCounts();
    const world = new SmallWorld(setup);
    world.run([], { counts, tearing: 'many', cutFrom: 0, cutsMount: true });
    console.log(`  ${setup}: ${sayCounts(counts)}`);
    assert.ok(counts.cuts > 100);
  });
}

test('[N-1, I-1] all workloads of one operation', async () => {
  const counts = newCounts();
  const range = { setup: 'none', operations: 1, from: 0, tearing: 'few' } as const;
  await runRange({ ...range, count: workloadCount(1) }, counts);
  console.log(`  ${sayCounts(counts)}`);
  assert.is(counts.workloads, ALPHABET.length);
});

test.run();
