// Every decoder of bytes and text from outside, fed with inputs that are wrong in ways that know
// the structure, checksums mended: a typed error or a value that holds, in bounded time and memory.
// Checksums keep rot away from decoders, not somebody who makes a volume to deceive.
//
// Two seeds: one that is always the same, and a fresh one. INPUTS and SEED are taken from the
// environment; the long run is `npm run fuzz`.

import { randomInt } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { fuzz, lineOf, textOf } from './fuzzer.ts';
import { TARGETS } from './targets/all.ts';

const { INPUTS = '1200', SEED } = process.env;
const SEEDS = SEED === undefined ? [1, randomInt(2 ** 31)] : [Number(SEED)];

for (const target of TARGETS) {
  test(`${target.name}: only typed errors`, async () => {
    const inputs = Math.ceil(Number(INPUTS) / (target.weight ?? 1));
    for (const seed of SEEDS) {
      const result = await fuzz(target, { inputs, seed });
      console.log(`  seed ${seed}: ${lineOf(result)}`);
      assert.is(result.findings.map(textOf).join('\n\n'), '', `seed ${seed}`);
      assert.ok(result.accepted > 0, 'good ones are taken');
      assert.ok(result.refused.size > 0, 'some are refused');
    }
  });
}

test.run();
