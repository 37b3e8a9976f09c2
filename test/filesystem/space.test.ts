// A full volume: ENOSPC comes at the call and changes nothing, removals still work, and what was
// removed can be used again, with and without snapshots. A CP that runs out of space, or a block
// that is lost at each cycle, would end a volume's life.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isFsError } from '../../host/base/errors.ts';
import { below, chance, fillRandom, pick, SeededPrng } from '../../host/base/prng.ts';
import type { OpenOptions, Operations } from '../../host/filesystem/operations.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';
import { compare } from '../oracle/tree.ts';
import { makeWorkload, Session } from '../oracle/workload.ts';
import { sameBytes, World, type WorldOptions } from './small-world.ts';

const test = suite('space');

const CREATE: OpenOptions = { read: true, write: true, create: true };

function filled(length: number, seed: number): Uint8Array {
  return fillRandom(new SeededPrng(seed), new Uint8Array(length));
}

function isNoSpace(error: unknown): boolean {
  return isFsError(error) && error.code === 'ENOSPC';
}

/** Writes files of `size` until ENOSPC; gives how many there are. */
function fill(world: World, prefix: string, size: number): number {
  const { operations } = world;
  for (let i = 0; ; i++) {
    world.ticks++;
    try {
      operations.writeFile(`/${prefix}${i}`, filled(size, i + 1), CREATE).driveSync();
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      return i;
    }
  }
}

const GEOMETRIES: readonly WorldOptions[] = [
  { stripes: 2048, hasLog: true },
  { stripes: 512, columns: 4, hasLog: true },
  { stripes: 1100, columns: 3, hasLog: false },
  { stripes: 600, columns: 7, hasLog: true },
];

for (const geometry of GEOMETRIES) {
  const name = `${geometry.stripes} stripes x ${geometry.columns ?? 1}, log ${geometry.hasLog}`;

  test(`${name}: filled and emptied, again and again, without losing a block`, () => {
    const world = new World(geometry);
    const { operations } = world;
    const blocksFree = () => operations.statfs().driveSync().blocksFree;
    let before: number | undefined;
    for (const size of [300, 1_000_000, 100]) {
      operations.mkdir('/d', 0o755).driveSync();
      const count = fill(world, 'd/f', size);
      assert.ok(count > 0 && blocksFree() < 400, `files of ${size} bytes: full`);
      for (let i = 0; i < count; i++) {
        if (i % 97 === 0) {
          const bytes = operations.readFile({ path: `/d/f${i}` }).driveSync();
          sameBytes(bytes, filled(size, i + 1));
        }
        operations.unlink(`/d/f${i}`).driveSync();
      }
      // What a write that came too late made of its file.
      const left = operations.readdir({ path: '/d' }, 10).driveSync().entries;
      for (const entry of left) operations.unlink(`/d/${entry.name}`).driveSync();
      operations.rmdir('/d').driveSync();
      world.settle();
      assert.equal(world.accounts().problems, [], `files of ${size} bytes`);
      before ??= blocksFree();
      // The inode file keeps its indirect blocks.
      assert.ok(
        blocksFree() >= before - 4 - before / 256,
        `${size} bytes: ${blocksFree()} free, not ${before}`,
      );
    }
  });

  test(`${name}: on a full volume names go, files are cut, and the space comes back`, () => {
    const world = new World(geometry);
    const { operations } = world;
    const large = operations.open('/large', CREATE).driveSync();
    operations.write(large, filled(2_000_000, 5), 0).driveSync();
    fill(world, 'a', 30_000);
    fill(world, 'b', 2000);
    fill(world, 'c', 10);
    // The last of what there is goes by changes that take least.
    for (let i = 0; i < 50; i++) {
      try {
        operations.change({ path: `/a0` }, { mode: i }).driveSync();
      } catch (error) {
        if (!isNoSpace(error)) throw error;
      }
    }
    operations.truncate({ path: '/large' }, 100).driveSync();
    operations.unlink('/a0').driveSync();
    world.cp();
    assert.equal(world.accounts().problems, []);
    operations.writeFile('/again', filled(1_000_000, 9), CREATE).driveSync();
    sameBytes(operations.readFile({ path: '/again' }).driveSync(), filled(1_000_000, 9));
    world.settle();
    assert.equal(world.accounts().problems, []);
  });

  test(`${name}: filled with snapshots held, freed by deleting them`, () => {
    const world = new World(geometry);
    const { operations } = world;
    fill(world, 'a', 50_000);
    operations.unlink('/a0').driveSync();
    world.settle();
    world.create('one').driveSync();
    let removed = 1;
    // Each removal costs space now: nothing comes back, and the path to each name is kept twice.
    for (; removed < 5000; removed++) {
      try {
        operations.unlink(`/a${removed}`).driveSync();
        world.cp();
        if (removed % 3 === 0) world.create(`s${removed}`).driveSync();
      } catch (error) {
        if (isNoSpace(error)) break;
        if (isFsError(error) && error.code === 'ENOENT') break;
        throw error;
      }
    }
    for (let i = 0; i < 20; i++) {
      try {
        world.create(`last${i}`).driveSync();
      } catch (error) {
        if (!isNoSpace(error)) throw error;
      }
      world.cp(true);
    }
    assert.equal(world.accounts().problems, []);
    for (const { name: snapshot } of world.snapshots.list()) world.delete(snapshot).driveSync();
    world.settle();
    assert.equal(world.accounts().problems, []);
    operations.writeFile('/again', filled(200_000, 9), CREATE).driveSync();
    world.cp();
    assert.equal(world.accounts().problems, []);
  });

  test(`${name}: when the last block is gone, names go, and then snapshots`, () => {
    const world = new World(geometry);
    const { operations } = world;
    for (let i = 0; i < 1600; i++)
      operations.writeFile(`/n${i}`, filled(10, i), CREATE).driveSync();
    world.create('one').driveSync();
    fill(world, 'a', 30_000);
    fill(world, 'b', 10);
    // Each of these takes a block or two, for the snapshot has the old ones: until there is none.
    const exhaust = (count: number, call: (i: number) => void) => {
      let isDone = 0;
      for (let i = 0; i < count; i++) {
        try {
          call(i);
          isDone++;
          if (i % 8 === 0) world.cp(true);
        } catch (error) {
          if (!isNoSpace(error)) throw error;
        }
      }
      world.cp(true);
      return isDone;
    };
    const touch = (i: number) =>
      operations.change({ path: `/n${(i % 100) * 16 + 15}` }, { mode: i % 512 }).driveSync();
    exhaust(200, touch);
    assert.is(exhaust(3, touch), 0, 'not one more change');
    const removed = exhaust(1500, (i) =>
      operations.unlink(`/n${(i % 100) * 16 + Math.floor(i / 100)}`).driveSync(),
    );
    assert.ok(removed >= 10, `${removed} names removed`);
    exhaust(30, (i) => world.create(`more${i}`).driveSync());
    assert.is(world.core.failure, undefined);
    assert.equal(world.accounts().problems, []);
    for (const { name: snapshot } of world.snapshots.list()) world.delete(snapshot).driveSync();
    world.settle();
    assert.equal(world.accounts().problems, []);
    touch(1);
    operations.writeFile('/again', filled(50_000, 9), CREATE).driveSync();
    world.cp();
    assert.equal(world.accounts().problems, []);
  });
}

/** Random calls near the end of space: each is done, or refused and changes nothing. */
function fullStory(seed: number): void {
  const prng = new SeededPrng(seed);
  const world = new World({ ...pick(prng, GEOMETRIES), seed });
  const model = new ModelFileSystem({ now: world.now });
  const fillers: string[] = [];
  // Ever smaller files, until not even the smallest goes in.
  for (let i = 0, size = 400_000; size > 100; i++) {
    world.ticks++;
    const write = (fs: Operations) =>
      fs.writeFile(`/filler${i}`, filled(size, i), CREATE).driveSync();
    try {
      write(world.operations);
    } catch (error) {
      if (!isNoSpace(error)) throw error;
      size = Math.floor(size / 4);
      continue;
    }
    write(model);
    fillers.push(`/filler${i}`);
  }
  const next = makeWorkload(prng, { writeSizeMax: 200_000, sparse: true, slots: 0 });
  let refused = 0;
  const sessions = { real: new Session(world.operations), model: new Session(model) };
  for (let step = 0; step < 500; step++) {
    world.ticks++;
    const request = next();
    const actual = sessions.real.apply(request).driveSync();
    if ('error' in actual && actual.error === 'ENOSPC') {
      refused++;
      if (chance(prng, 0.1)) {
        const difference = compare(world.operations, model).driveSync();
        assert.is(difference, undefined, `seed ${seed}, step ${step}: ${JSON.stringify(request)}`);
      }
      if (chance(prng, 0.03) && fillers.length > 1) {
        const path = fillers.splice(below(prng, fillers.length), 1)[0] as string;
        for (const fs of [world.operations, model]) fs.unlink(path).driveSync();
      }
      continue;
    }
    const expected = sessions.model.apply(request).driveSync();
    assert.equal(actual, expected, `seed ${seed}, step ${step}: ${JSON.stringify(request)}`);
    if (chance(prng, 0.02)) world.cp();
    if (chance(prng, 0.01))
      world
        .create(`s${step}`)
        .promise()
        .catch(() => {});
    if (chance(prng, 0.02)) {
      const [oldest] = world.snapshots.list();
      if (oldest !== undefined) world.delete(oldest.name).driveSync();
    }
  }
  assert.is(compare(world.operations, model).driveSync(), undefined, `seed ${seed}`);
  world.settle();
  assert.equal(world.accounts().problems, [], `seed ${seed}`);
  assert.is(world.core.failure, undefined);
  if (process.env['SEEDS'] !== undefined) console.log(`seed ${seed}: ${refused} refused`);
}

const first = Number(process.env['SEED'] ?? 1);
const seeds = Number(process.env['SEEDS'] ?? 8);
for (let seed = first; seed < first + seeds; seed++) {
  test(`seed ${seed}: random calls on a nearly full volume`, () => fullStory(seed));
}

test.run();
