// One crash test, for the files that say of which volume.

import type { Test } from 'uvu';
import * as assert from 'uvu/assert';
import { SeededPrng } from '../../host/base/prng.ts';
import { cutEverywhere, newCounts, recordStory, type SetupName } from './cutter.ts';

export function testCuts(
  test: Test,
  setup: SetupName,
  how: { readonly batchCount: number; readonly torn: number },
): void {
  const seed = Number(process.env['SEED'] ?? 1);
  test(`[N-1, N-10, N-11, I-1] ${setup}: what was answered survives, seed ${seed}`, async () => {
    const recording = await recordStory(setup, { seed, batchCount: how.batchCount });
    console.log(`  ${setup}, seed ${seed}: ${recording.stats}`);
    const counts = newCounts();
    const prng = new SeededPrng(seed);
    const rates = { nested: 0.04, goOn: 0.05, without: 0.05 };
    await cutEverywhere(recording, { counts, prng, torn: how.torn, ...rates });
    const { cuts, variants, mounts, nested, replayed, degraded, wentOn } = counts;
    console.log(
      `  ${cuts} cuts, ${variants} variants, ${mounts} mounts, ${replayed} records replayed`,
    );
    console.log(`  ${nested} recoveries cut, ${degraded} with less redundancy, ${wentOn} went on`);
    assert.ok(recording.changeCount >= 200, 'the story is long enough');
    assert.ok(cuts > 500 && nested > 100 && replayed > 2000 && wentOn > 50);
  });
}
