// All workloads of one operation are cut after each device write, with all that was not flushed
// kept, dropped or torn, and mounted; and so are mounts, and the mounts after these. Most crash
// bugs that were ever found in file systems need no more than three operations: `npm run small`
// runs the workloads of two and three.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Tearing } from '../world/crashes.ts';
import { ALPHABET, workloadOf } from './alphabet.ts';
import { newCounts, SmallWorld } from './cuts.ts';
import { NestedCrashes, newNestedCounts } from './nested.ts';
import { runRange, sayCounts, workloadCount } from './range.ts';
import type { SetupName } from './volume.ts';

const test = suite('small workloads');

const MOUNTS: readonly (readonly [SetupName, Tearing])[] = [
  ['none', 'many'],
  ['raid4', 'few'],
];

for (const [setup, tearing] of MOUNTS) {
  test(`[N-1, I-1] ${setup}: a mount, cut everywhere`, () => {
    const counts = newCounts();
    const world = new SmallWorld(setup);
    world.run([], { counts, tearing, cutFrom: 0, cutsMount: true });
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

test('[N-11] three crashes in a row: in recovery, and in the recovery from that', async () => {
  const counts = newNestedCounts();
  const crashes = new NestedCrashes('none', { counts, depth: 3, width: 2 });
  for (const number of [13, 48]) crashes.run(workloadOf(number, 1));
  console.log(`  ${sayCounts(counts)}, by depth ${counts.byDepth.join(' + ')}`);
  assert.ok(counts.byDepth.length === 3 && (counts.byDepth[2] as number) > 200);
  await new Promise((resolve) => setImmediate(resolve));
});

test.run();
