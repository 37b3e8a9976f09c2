// Random calls on the file system and on the naive model, one after the other, with CPs and
// remounts in between: the outcomes of each call and the whole trees must be equal. Everything else
// stands on this.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import { FileSystem } from '../../host/filesystem/file-system.ts';
import { ImageOperations } from '../../host/filesystem/image-operations.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';
import { compare } from '../oracle/tree.ts';
import { makeWorkload, Session } from '../oracle/workload.ts';
import { BlockStore, testParts } from './memory-volume.ts';

const test = suite('file system against the model');

interface Geometry {
  readonly columns: number;
  readonly stripes: number;
  readonly arenaBytes: number;
}

const GEOMETRIES: readonly Geometry[] = [
  { columns: 1, stripes: 16384, arenaBytes: 8 << 20 },
  { columns: 5, stripes: 4000, arenaBytes: 8 << 20 },
  { columns: 3, stripes: 40000, arenaBytes: 16 << 20 },
];

/** A clock for both sides that stands still within one call. */
class SharedClock {
  ticks = 0;
  now = () => ({ seconds: 1_700_000_000 + this.ticks, nanoseconds: 0 });
}

function operationsOf(fs: FileSystem): ImageOperations {
  return new ImageOperations(fs, () => fs.core.image, false);
}

function story(seed: number, count: number): void {
  const prng = new SeededPrng(seed);
  const geometry = GEOMETRIES[seed % GEOMETRIES.length] as Geometry;
  const clock = new SharedClock();
  const store = new BlockStore();
  const parts = () => {
    const made = testParts({ store, ...geometry, seed }).parts;
    return { ...made, env: { ...made.env, clock: { ...made.env.clock, now: clock.now } } };
  };
  let fs = runSync(FileSystem.format(parts()));
  fs.start();
  let model = new ModelFileSystem({ now: clock.now });
  const next = makeWorkload(prng, { writeSizeMax: 100_000, sparse: seed % 2 === 0 });
  let sessions = { real: new Session(operationsOf(fs)), model: new Session(model) };
  for (let step = 0; step < count; step++) {
    clock.ticks++;
    const request = next();
    const expected = sessions.model.apply(request).driveSync();
    const actual = sessions.real.apply(request).driveSync();
    assert.equal(actual, expected, `seed ${seed}, step ${step}: ${JSON.stringify(request)}`);
    if (prng.u32() % 40 === 0) fs.requestCp()?.driveSync();
    if (prng.u32() % 200 === 0) {
      runSync(fs.close());
      fs = runSync(FileSystem.mount(parts()));
      fs.start();
      model = model.clone();
      sessions = { real: new Session(operationsOf(fs)), model: new Session(model) };
    }
    if (prng.u32() % 100 === 0) {
      const difference = compare(operationsOf(fs), model).driveSync();
      assert.is(difference, undefined, `seed ${seed}, step ${step}`);
    }
  }
  assert.is(compare(operationsOf(fs), model).driveSync(), undefined, `seed ${seed}, at the end`);
}

const first = Number(process.env['SEED'] ?? 1);
const seeds = Number(process.env['SEEDS'] ?? 12);
for (let seed = first; seed < first + seeds; seed++) {
  test(`[I-1] seed ${seed}: calls, CPs and remounts equal the model`, () => story(seed, 1200));
}

test.run();
