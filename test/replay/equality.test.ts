// Random logs full of dependencies, replayed in order and as swarms whose reads complete in
// whatever order: the volume after the next CP must be the same to the byte. A swarm that mixed up
// two entries would lose or invent somebody's data after a crash, and nobody would see it.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SeededPrng } from '../../host/base/prng.ts';
import { Task } from '../../host/base/task.ts';
import { makeWorkload, Session } from '../oracle/workload.ts';
import { shuffled } from '../world/shuffled.ts';
import {
  difference,
  GEOMETRY,
  makeWreck,
  replayAsSwarm,
  replayInOrder,
  type Wreck,
} from './world.ts';

const FIRST = Number(process.env['SEED'] ?? 1);
const SEEDS = Number(process.env['SEEDS'] ?? 12);
const INTERLEAVINGS = 6;

/** A name space small enough to collide all the time, half of it there before the log begins. */
function randomWreck(seed: number): Wreck {
  const prng = new SeededPrng(seed);
  const next = makeWorkload(prng, { writeSizeMax: 60_000, sparse: seed % 3 === 0 });
  let session: Session | undefined;
  const steps = (count: number) => (scene: Parameters<Parameters<typeof makeWreck>[1]>[0]) => {
    session ??= new Session(scene.operations);
    const { snapshots } = scene;
    if (session !== undefined && scene.records.length === 0 && seed % 4 === 0 && count < 200) {
      scene.run(new Task(snapshots.create('clean')));
    }
    for (let step = 0; step < count; step++) {
      const request = next();
      scene.run((session as Session).apply(request));
    }
  };
  return makeWreck(GEOMETRY, steps(400), steps(150));
}

for (let seed = FIRST; seed < FIRST + SEEDS; seed++) {
  test(`[N-10] seed ${seed}: every interleaving gives the image of replay in order`, async () => {
    const wreck = randomWreck(seed);
    assert.ok(wreck.records.length > 20, `seed ${seed}: ${wreck.records.length} entries`);
    const expected = replayInOrder(wreck);
    for (let round = 0; round < INTERLEAVINGS; round++) {
      const prng = new SeededPrng(seed * 1000 + round);
      const schedule = shuffled(prng);
      const limits = { readBlocksMax: 1 + prng.below(4), readsPerDisk: 1 + prng.below(4) };
      const { store } = await replayAsSwarm(wreck, { schedule: () => schedule, limits });
      assert.is(difference(store, expected.store), undefined, `seed ${seed}, round ${round}`);
    }
  });
}

test.run();
