// A thousand snapshots, in a row and side by side; what one costs; how they are seen, held,
// deleted and rolled back to. Agents take one a step and roll back as often: none of it may grow
// with their number.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isFsError } from '../../host/base/errors.ts';
import { fillRandom, SeededPrng } from '../../host/base/prng.ts';
import type { OpenOptions } from '../../host/filesystem/operations.ts';
import { memoryDevices, Volume } from '../../host/volume/volume.ts';
import { sameBytes, World } from './small-world.ts';

const test = suite('many snapshots');

const CREATE: OpenOptions = { read: true, write: true, create: true, truncate: true };
const COUNT = 1000;
/** So many that their planes and roots are more blocks than the smallest cache has frames. */
const SIBLINGS = 450;

function filled(length: number, seed: number): Uint8Array {
  return fillRandom(new SeededPrng(seed), new Uint8Array(length));
}

/** `code` of what a call throws or rejects with. */
async function codeOf(call: () => unknown): Promise<string> {
  try {
    await call();
  } catch (error) {
    if (error instanceof Error && 'code' in error) return String(error.code);
    throw error;
  }
  return 'nothing';
}

test('1,000 snapshots in a row: each its own state, and all their space comes back', () => {
  const world = new World({ stripes: 16_384, hasLog: true });
  const write = (size: number, seed: number) =>
    world.operations.writeFile('/a', filled(size, seed), CREATE).driveSync();
  world.operations.writeFile('/kept', filled(100_000, 1), CREATE).driveSync();
  write(100, 1);
  world.settle();
  const before = world.accounts();
  for (let i = 0; i < COUNT; i++) {
    write(9000, i);
    // Every other one with nothing dirty: a log record alone.
    if (i % 2 === 0) world.cp();
    world.create(`s${i}`).driveSync();
    if (i === 500) world.crash();
  }
  assert.is(world.snapshots.list().length, COUNT);
  world.remount();
  assert.equal(
    world.snapshots.list().map(({ name }) => name),
    Array.from({ length: COUNT }, (_, i) => `s${i}`),
  );
  for (let i = 0; i < COUNT; i += 111) {
    sameBytes(world.at(`s${i}`).readFile({ path: '/a' }).driveSync(), filled(9000, i), `s${i}`);
  }
  // From the middle, from the ends: every kind of neighbour.
  const order = Array.from({ length: COUNT }, (_, i) => (i * 367) % COUNT);
  for (const i of order) world.delete(`s${i}`).driveSync();
  write(100, 1);
  world.settle();
  const { problems, activeCount, summaryCount, snapshots } = world.accounts();
  assert.equal(problems, []);
  assert.is(snapshots.length, 0);
  assert.is(activeCount, before.activeCount);
  // The table keeps its blocks: two entries each.
  assert.ok(summaryCount - before.summaryCount < COUNT / 2 + 10, `${summaryCount}`);
});

test('snapshots side by side, each from a rollback to one base, with the smallest cache', () => {
  const world = new World({ stripes: 16_384, columns: 5, hasLog: true });
  world.operations.writeFile('/a', filled(50_000, 0), CREATE).driveSync();
  world.create('base').driveSync();
  for (let i = 0; i < SIBLINGS; i++) {
    world.rollback('base').driveSync();
    world.operations.writeFile('/a', filled(5000, i + 1), CREATE).driveSync();
    world.create(`try${i}`).driveSync();
  }
  world.core.cache.forgetClean();
  world.rollback('base').driveSync();
  sameBytes(world.operations.readFile({ path: '/a' }).driveSync(), filled(50_000, 0));
  for (let i = 0; i < SIBLINGS; i += 77) {
    const bytes = world.at(`try${i}`).readFile({ path: '/a' }).driveSync();
    sameBytes(bytes, filled(5000, i + 1), `try${i}`);
  }
  world.core.cache.forgetClean();
  world.delete('try200').driveSync();
  world.settle();
  assert.is(world.core.failure, undefined);
});

/** Blocks written to disks by taking a snapshot, with the next CP, on a volume of this size. */
async function snapshotCost(size: string): Promise<number[]> {
  const volume = await Volume.create(memoryDevices({ size, logSize: '8MiB' }), { size });
  const costs: number[] = [];
  for (let i = 0; i < 3; i++) {
    await volume.fs.promises.writeFile(`/a${i}`, filled(100_000, i));
    await volume.sync();
    const before = volume.stats();
    await volume.snapshots.create(`clean${i}`);
    const after = volume.stats();
    costs.push(after.writtenBlockCount - before.writtenBlockCount);
    assert.is(after.consistencyPointCount, before.consistencyPointCount, 'a log record alone');
    await volume.fs.promises.writeFile(`/b${i}`, filled(1000, i));
    const dirty = volume.stats().writtenBlockCount;
    await volume.snapshots.create(`dirty${i}`);
    costs.push(volume.stats().writtenBlockCount - dirty);
  }
  await volume.close();
  return costs;
}

test('a snapshot writes as many blocks on a volume of 1 TiB as on one of 1 GiB', async () => {
  const small = await snapshotCost('1GiB');
  const large = await snapshotCost('1TiB');
  assert.is(small[0], 0, 'with nothing dirty none but the log');
  // The maps' trees are higher there: one indirect block more in each of the two maps.
  large.forEach((cost, i) => {
    assert.ok(cost <= (small[i] as number) + 4, `${cost} blocks at 1 TiB, ${small[i]} at 1 GiB`);
  });
});

test('seen by at() and /.snapshot; held; deleted while open; stale after rollback', async () => {
  const devices = memoryDevices({ size: '64MiB', logSize: '8MiB' });
  const volume = await Volume.create(devices, { size: '64MiB' });
  const { promises } = volume.fs;
  await promises.mkdir('/d');
  await promises.writeFile('/d/a', 'monday');
  await volume.snapshots.create('monday');
  await promises.writeFile('/d/a', 'tuesday');
  await volume.snapshots.create('tuesday');
  await promises.writeFile('/d/a', 'now');
  const text = async (path: string) => String(await promises.readFile(path));
  assert.is(await text('/.snapshot/monday/d/a'), 'monday');
  assert.is(await text('/.snapshot/tuesday/d/a'), 'tuesday');
  assert.is(String(await volume.at('monday').fs.promises.readFile('/d/a')), 'monday');
  assert.is(volume.at('monday').fs.readFileSync('/d/a', 'utf8'), 'monday');
  assert.equal(await promises.readdir('/'), ['d']);
  assert.equal(await promises.readdir('/.snapshot/monday'), ['d']);
  const snapshot = volume.at('monday').fs.promises;
  assert.is(await codeOf(() => snapshot.writeFile('/x', '')), 'EROFS');
  assert.is(await codeOf(() => snapshot.unlink('/d/a')), 'EROFS');
  assert.is(await codeOf(() => promises.mkdir('/.snapshot/monday/x')), 'EROFS');
  assert.is(await codeOf(() => promises.readFile('/.snapshot/never/a')), 'ENOENT');
  assert.is(await codeOf(() => volume.at('never')), 'ENOENT');
  assert.is(await codeOf(() => volume.snapshots.create('monday')), 'EEXIST');
  assert.is(await codeOf(() => volume.snapshots.create('.hidden')), 'INVALID_ARGUMENT');
  assert.is(await codeOf(() => volume.snapshots.delete('never')), 'ENOENT');
  assert.is(await codeOf(() => volume.rollback('never')), 'ENOENT');

  await volume.snapshots.hold('monday');
  assert.is(await codeOf(() => volume.snapshots.delete('monday')), 'EBUSY');
  await volume.snapshots.release('monday');
  assert.is(await codeOf(() => volume.snapshots.release('monday')), 'INVALID_ARGUMENT');

  const old = await promises.open('/d/a');
  await volume.rollback('tuesday');
  assert.is(await codeOf(() => old.readFile()), 'ESTALE');
  await old.close();
  assert.is(await text('/d/a'), 'tuesday');
  assert.is(await text('/.snapshot/monday/d/a'), 'monday');

  const held = await snapshot.open('/d/a');
  await volume.snapshots.delete('monday');
  assert.is(await codeOf(() => held.readFile()), 'ENOENT');
  assert.is(await codeOf(() => snapshot.readFile('/d/a')), 'ENOENT');
  await held.close();
  await volume.snapshots.create('monday');
  assert.is(String(await volume.at('monday').fs.promises.readFile('/d/a')), 'tuesday');
  await volume.close();
});

test('no snapshot by a name that is none', () => {
  const world = new World({ stripes: 4096 });
  for (const name of ['', 'a/b', '-a', 'a b', 'x'.repeat(256)]) {
    assert.throws(
      () => world.create(name).driveSync(),
      (error: Error) => !isFsError(error),
      name,
    );
  }
});

test.run();
