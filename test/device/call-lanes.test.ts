// Disks take some of Node's threads and leave the others to the log: never more calls at one time
// than there are lanes, in their order, and a call that fails gives its lane back. A lane that was
// lost would stop all writing for good; one too many, and commits wait for a consistency point.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { CallLanes } from '../../host/node/call-lanes.ts';

const test = suite('call lanes');

test('no more at a time than lanes, in order, whatever becomes of each', async () => {
  const lanes = new CallLanes(2);
  const begun: number[] = [];
  const ends: (() => void)[] = [];
  let running = 0;
  const calls = Array.from({ length: 9 }, (_, index) =>
    lanes.run(() => {
      begun.push(index);
      if (index % 3 === 2) throw new Error(`call ${index} throws`);
      running++;
      assert.ok(running <= 2, `${running} at a time`);
      return new Promise((resolve, reject) => {
        ends.push(() => {
          running--;
          if (index % 3 === 1) reject(new Error(`call ${index} fails`));
          else resolve();
        });
      });
    }),
  );
  const settled = Promise.allSettled(calls);
  assert.equal(begun, [0, 1]);
  while (begun.length < calls.length || running > 0) {
    ends.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(begun, [0, 1, 2, 3, 4, 5, 6, 7, 8]);
  for (const [index, { status }] of (await settled).entries()) {
    assert.is(status, index % 3 === 0 ? 'fulfilled' : 'rejected', `call ${index}`);
  }
  // Both lanes are free again.
  let count = 0;
  const hanging = () => new Promise<void>(() => count++);
  for (let call = 0; call < 3; call++) void lanes.run(hanging);
  assert.is(count, 2);
});

test.run();
