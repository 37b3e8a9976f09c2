// The same seed gives the same run, to the event. Without that no failure could be done again, and
// a search would find what nobody can look at.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Run } from './run.ts';

const test = suite('determinism');

test('[N-6] a seed run twice gives the same events and the same counts', async () => {
  for (const seed of [3, 5]) {
    const first = await new Run(seed).run();
    const second = await new Run(seed).run();
    assert.ok(first.counts.events > 10, 'something happened');
    assert.is(second.digest, first.digest, `seed ${seed}`);
    assert.equal(second.counts, first.counts, `seed ${seed}`);
  }
});

test.run();
