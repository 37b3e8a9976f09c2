// Seeds of simulated worlds, most of them fixed and some of them fresh: volumes live, crash at
// every kind of moment, and come back. Whatever goes wrong with somebody's files should go wrong
// here first, where it can be done again. (57 seeds, about 90 seconds of a core; `npm run sim`
// searches for as long as it is told.)
// @timeout 15m

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { search } from './search.ts';

const test = suite('simulated worlds, part 1');

// 2041: a copy of the log ignores flushes.
const SEEDS = { from: 1000, count: 41, rare: [2041], freshCount: 15 };

test('[N-1, N-10, N-11] no violation', async () => {
  const { crashPoints, nested } = await search(SEEDS);
  assert.ok(crashPoints >= 5700, 'enough crashes');
  assert.ok(nested >= 400, 'recoveries were cut as well');
});

test.run();
