// Damages some of the last 64 KiB of a log, a bit at a time and cut by cut, with the leftovers of
// earlier rounds behind. Every bit and every cut is too much for each day: `npm run small -- log`
// does them all. A log that took a flipped bit for its end would lose answered calls in silence.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { LastBytes } from './last-bytes.ts';

const test = suite('last bytes of the log');
/** Primes, so that all places in a header come up. */
const FLIP_STRIDE = 997;
const CUT_STRIDE = 131;

test('flipped bits: lost nowhere with a copy, never unseen before a later flush', () => {
  const log = new LastBytes();
  log.flips(0, FLIP_STRIDE);
  assert.ok(log.scanCount > 1000);
});

test('cuts: nothing lost with a copy; the end of the log, or damage before a later flush', () => {
  const log = new LastBytes();
  log.cuts(0, CUT_STRIDE);
  assert.ok(log.scanCount > 2000);
});

test.run();
