// Seeds of simulated worlds, half of them fixed and half of them fresh: volumes live, crash at
// every kind of moment, and come back. Whatever goes wrong with somebody's files should go wrong
// here first, where it can be done again.
// @timeout 15m

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { search } from './search.ts';

const test = suite('simulated worlds, part 2');

test('[N-1, N-10, N-11] no violation', async () => {
  const { crashPoints, nested } = await search({ from: 2000, count: 250 });
  assert.ok(crashPoints >= 25_000, 'enough crashes');
  assert.ok(nested >= 1000, 'recoveries were cut as well');
});

test.run();
