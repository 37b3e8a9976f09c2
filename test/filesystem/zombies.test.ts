// Removing and cutting large files: a few blocks change in the call, whatever the file's size,
// and the blocks come back in the background, across CPs, mounts and crashes, each exactly once.
// Without that an unlink of 10 GiB would stop everybody for minutes, or a crash in it would leak
// the file for ever.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isFsError } from '../../host/base/errors.ts';
import { below, chance, fillRandom, SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import type { OpenFile, OpenOptions } from '../../host/filesystem/operations.ts';
import { sameBytes, World } from './small-world.ts';

const test = suite('zombies');

const MIB = 1 << 20;
const GIB = 1 << 30;
const CREATE: OpenOptions = { read: true, write: true, create: true };
/** Blocks that a removal or a cut may make dirty: paths of the tree, two inodes, a name. */
const CHANGED_MAX = 20;

function filled(length: number, seed: number): Uint8Array {
  return fillRandom(new SeededPrng(seed), new Uint8Array(length));
}

/** A file of 10 GiB with data here and there, in dense runs and single blocks. */
function makeLarge(world: World, path: string): OpenFile {
  const { operations } = world;
  const file = operations.open(path, CREATE).driveSync();
  const data = filled(MIB, 3);
  for (let at = 0; at < 10 * GIB; at += 256 * MIB) {
    operations.write(file, data, at).driveSync();
    operations.write(file, data.subarray(0, 5000), at + 77 * MIB + 11).driveSync();
    world.cp();
  }
  operations.write(file, new Uint8Array(1), 10 * GIB - 1).driveSync();
  world.cp();
  world.cp(true);
  return file;
}

/** What a call changes in memory, in blocks. */
function changedBy(world: World, call: () => void): number {
  const { cache } = world.core;
  const before = cache.dirtyCount;
  call();
  return cache.dirtyCount - before;
}

test('unlink of a file of 10 GiB changes a few blocks; all of it comes back', () => {
  const world = new World({ stripes: 40_000, hasLog: true });
  const { operations } = world;
  const before = world.accounts().activeCount;
  operations.close(makeLarge(world, '/large')).driveSync();
  const messages = world.fs.driver.messageCount;
  const changed = changedBy(world, () => operations.unlink('/large').driveSync());
  assert.ok(changed <= CHANGED_MAX, `${changed} blocks changed`);
  assert.is(world.fs.driver.messageCount - messages, 1, 'the rest is done in the background');
  assert.throws(
    () => operations.attributes({ path: '/large' }).driveSync(),
    (error: unknown) => isFsError(error) && error.code === 'ENOENT',
  );
  world.settle();
  const { problems, activeCount } = world.accounts();
  assert.equal(problems, []);
  assert.is(activeCount, before);
});

test('the zombie is mounted again at every CP of its end, cleanly and after a crash', () => {
  const world = new World({ stripes: 40_000, hasLog: true });
  const { operations } = world;
  const before = world.accounts().activeCount;
  operations.close(makeLarge(world, '/large')).driveSync();
  operations.unlink('/large').driveSync();
  world.cp();
  let mounts = 0;
  for (; world.core.inodes.zombieHead !== 0; mounts++) {
    assert.ok(mounts < 1000, 'it comes to an end');
    // Three steps of the worker, a CP, and the end.
    const work = world.fs.zombies.work();
    for (let step = 0, next = work.next(); step < 3 && next.done !== true; step++) {
      next = work.next(next.value.startSync());
    }
    world.cp();
    assert.equal(world.accounts().problems, [], `mount ${mounts}`);
    if (mounts % 2 === 0) world.crash();
    else world.remount();
  }
  assert.ok(mounts > 5, `${mounts} mounts`);
  world.settle();
  assert.is(world.accounts().activeCount, before);
});

test('a file that is unlinked while open can be used, and goes when it is closed', () => {
  const world = new World({ stripes: 16_384, hasLog: true });
  const { operations } = world;
  const before = world.accounts().activeCount;
  const file = operations.open('/a', CREATE).driveSync();
  const data = filled(3 * MIB, 4);
  operations.write(file, data, 0).driveSync();
  operations.unlink('/a').driveSync();
  world.settle();
  const read = new Uint8Array(data.length);
  operations.read(file, read, 0).driveSync();
  sameBytes(read, data);
  operations.write(file, filled(MIB, 5), 5 * MIB).driveSync();
  operations.truncate({ file }, 4 * MIB + 5).driveSync();
  operations.write(file, filled(100, 6), 0).driveSync();
  world.settle();
  assert.equal(world.accounts().problems, []);
  operations.close(file).driveSync();
  world.settle();
  assert.equal(world.accounts().problems, []);
  assert.is(world.accounts().activeCount, before);
});

test('what was open and without a name is gone after a crash', () => {
  const world = new World({ stripes: 16_384, hasLog: true });
  const { operations } = world;
  const before = world.accounts().activeCount;
  for (const size of [10, 9000, 3 * MIB]) {
    const file = operations.open('/a', CREATE).driveSync();
    operations.write(file, filled(size, 4), 0).driveSync();
    operations.unlink('/a').driveSync();
  }
  world.crash();
  world.settle();
  assert.equal(world.accounts().problems, []);
  assert.is(world.accounts().activeCount, before);
});

test('truncate of a dense file in its middle changes a few blocks', () => {
  const world = new World({ stripes: 40_000, hasLog: false });
  const { operations } = world;
  const file = operations.open('/dense', CREATE).driveSync();
  for (let at = 0; at < 64 * MIB; at += MIB) {
    operations.write(file, filled(MIB, at), at).driveSync();
  }
  world.cp();
  for (const size of [60 * MIB + 5, 33 * MIB, 9 * MIB - 1, 70_000, 4097]) {
    const changed = changedBy(world, () => operations.truncate({ file }, size).driveSync());
    assert.ok(changed <= CHANGED_MAX, `${changed} blocks changed at ${size}`);
    const { blocks, sizeBytes } = operations.attributes({ file }).driveSync();
    assert.is(sizeBytes, size);
    const data = Math.ceil(size / 4096);
    assert.is(blocks, data + Math.ceil(data / 256) + Math.ceil(data / 65_536), `blocks at ${size}`);
    world.settle();
    assert.equal(world.accounts().problems, []);
  }
});

/** Random writes far apart and cuts in the middle of what they make. */
function cutStory(seed: number): void {
  const prng = new SeededPrng(seed);
  const world = new World({ stripes: 16_384, seed, hasLog: chance(prng, 0.5) });
  const file = world.operations.open('/f', CREATE).driveSync();
  const limit = 2 ** (22 + below(prng, 20));
  for (let round = 0; round < 30; round++) {
    const { operations } = world;
    for (let i = 0; i < 12; i++) {
      const at = below(prng, limit);
      operations.write(file, filled(below(prng, 20_000), i), at).driveSync();
    }
    if (chance(prng, 0.5)) world.cp();
    operations.truncate({ file }, below(prng, limit)).driveSync();
    if (chance(prng, 0.3)) runSync(world.fs.zombies.work());
    // The walk counts each inode's blocks and compares them with what the inode says.
    world.cp();
    assert.equal(world.accounts().problems, [], `seed ${seed}, round ${round}`);
  }
  world.operations.truncate({ file }, 0).driveSync();
  assert.is(world.operations.attributes({ file }).driveSync().blocks, 0);
  world.settle();
  assert.equal(world.accounts().problems, [], `seed ${seed}`);
}

for (let seed = 1; seed <= 8; seed++) {
  test(`seed ${seed}: a sparse file's blocks are counted through cuts`, () => cutStory(seed));
}

test.run();
