// A short run of `npm run torture`: a process that writes is killed at random moments, and all that
// it reported as acknowledged must be there, whole. This is what a crash-safe volume promises its
// users.

import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { scratchDirectory, torture } from './rounds.ts';

const test = suite('torture');
const ROUNDS = 16;

test('what was acknowledged before a SIGKILL is there after it', async () => {
  const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
  console.log(`seed ${seed}`);
  const directory = scratchDirectory(tmpdir());
  try {
    const figures = await torture({ rounds: ROUNDS, seed, directory, roundsAVolume: ROUNDS / 2 });
    assert.is(figures.rounds, ROUNDS);
    assert.ok(figures.acknowledged > ROUNDS, 'the children did something');
    assert.ok(figures.replayed > 0, 'the log brought something back');
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test.run();
