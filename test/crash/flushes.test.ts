// Each flush of the engine is taken away in turn, and the crash test must find it out: a flush that
// nobody would miss is one too many, or one that is not tested.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SeededPrng } from '../../host/base/prng.ts';
import { cutEverywhere, newCounts, recordStory, type SetupName, Violation } from './cutter.ts';
import type { FlushName } from './devices.ts';

const test = suite('flushes');
const SEED = Number(process.env['SEED'] ?? 1);

const FLUSHES: readonly (readonly [FlushName, SetupName, string])[] = [
  ['log', 'none', 'of the log, before calls are answered'],
  ['reference', 'none', 'of data written by reference, before the log flush that names it'],
  ['data', 'none', "of a CP's blocks, before its root"],
  ['root', 'none', "of a CP's root, before the log is recycled"],
  ['label', 'none', "of a label's first copy, before the second, at mount"],
  ['journal', 'degraded', 'of the stripe journal, before blocks are written in place'],
  ['replay', 'degraded', 'of what the stripe journal put in place, before the root that voids it'],
];

for (const [lost, setup, text] of FLUSHES) {
  test(`without the flush ${text} (${lost}), a crash does harm`, async () => {
    const counts = newCounts();
    const prng = new SeededPrng(SEED);
    let found: unknown;
    try {
      const recording = await recordStory(setup, { seed: SEED, batchCount: 60, lost });
      const nested = lost === 'label' || lost === 'replay' ? 1 : 0;
      const rates = { nested, goOn: 0, without: 0 };
      const disksOnly = setup === 'degraded';
      await cutEverywhere(recording, { counts, prng, torn: 3, ...rates, lost, disksOnly });
    } catch (error) {
      found = error;
    }
    assert.ok(
      found instanceof Violation,
      `${counts.mounts} mounts, and nothing was wrong: ${found}`,
    );
    console.log(`  ${lost}: found after ${counts.mounts} mounts`);
    if (process.env['VERBOSE'] !== undefined) console.log(String(found));
  });
}

test.run();
