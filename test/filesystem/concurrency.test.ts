// Many calls in flight at once on a slow volume with a cache so small that everything misses: none
// is lost, none waits for ever, and calls on one file take effect in the order they were made. A
// deadlock or a swapped pair of writes here would be a hang or a corrupted file in somebody's
// program.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isFsError } from '../../host/base/errors.ts';
import { below, chance, fillRandom, pick, SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import type { OpenFile, OpenOptions } from '../../host/filesystem/operations.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';
import { compare } from '../oracle/tree.ts';
import { type Request, Session } from '../oracle/workload.ts';
import { sameBytes, World } from './small-world.ts';

const test = suite('calls in flight');

const MIB = 1 << 20;
const CREATE: OpenOptions = { read: true, write: true, create: true };

/** Turns of the event loop within which everything in memory must have come to its end. */
const TURNS_MAX = 500;

/** The promise's value; fails where it does not come although nothing else is under way. */
async function ended<T>(promise: Promise<T> | T, what: string): Promise<T> {
  let isOver = false;
  const over = () => {
    isOver = true;
  };
  Promise.resolve(promise).then(over, over);
  for (let turn = 0; !isOver; turn++) {
    if (turn > TURNS_MAX) throw new Error(`${what}: never ends`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return await promise;
}

function filled(length: number, seed: number): Uint8Array {
  return fillRandom(new SeededPrng(seed), new Uint8Array(length));
}

/** A world whose volume answers one turn later, and nothing in the cache. */
function coldWorld(options: ConstructorParameters<typeof World>[0] = {}): World {
  return new World({ stripes: 16384, isAsync: true, hasLog: true, ...options });
}

function makeFile(world: World, path: string, bytes: Uint8Array): OpenFile {
  const { operations } = world;
  const file = operations.open(path, CREATE).driveSync();
  operations.write(file, bytes, 0).driveSync();
  world.cp();
  world.core.cache.forgetClean();
  return file;
}

test('a write that waits for readers to give their frames back goes on', async () => {
  const world = coldWorld();
  const { operations } = world;
  const files = Array.from({ length: 12 }, (_, i) => makeFile(world, `/r${i}`, filled(MIB, i + 1)));
  const target = makeFile(world, '/w', filled(100, 99));
  world.core.cache.forgetClean();
  const reads = files.map((file) => operations.read(file, new Uint8Array(MIB), 0).promise());
  const data = filled(MIB - 1, 7);
  const write = operations.write(target, data, 1).promise();
  await ended(Promise.all([...reads, write]), '12 reads and a write of 1 MiB');
  sameBytes(operations.readFile({ path: '/w' }).driveSync().subarray(1), data);
});

test('reads and writes of 1 MiB, far more than the smallest cache holds', async () => {
  const world = coldWorld({ stripes: 60_000 });
  const { operations } = world;
  const files = Array.from({ length: 24 }, (_, i) => makeFile(world, `/f${i}`, filled(MIB, i + 1)));
  const work: Promise<number>[] = [];
  const got = files.map(() => new Uint8Array(MIB));
  files.forEach((file, i) => {
    work.push(operations.read(file, got[i] as Uint8Array, 0).promise());
    work.push(operations.write(file, filled(MIB, 100 + i), 0).promise());
  });
  await ended(Promise.all(work), '24 reads and 24 writes');
  files.forEach((file, i) => {
    sameBytes(
      got[i] as Uint8Array,
      filled(MIB, i + 1),
      'a read gives what was there before the write after it',
    );
    const now = new Uint8Array(MIB);
    operations.read(file, now, 0).driveSync();
    sameBytes(now, filled(MIB, 100 + i));
  });
});

test('a read and a write larger than the whole cache', async () => {
  const world = coldWorld({ stripes: 40_000 });
  const { operations } = world;
  const data = filled(20 * MIB, 5);
  const file = operations.open('/large', CREATE).driveSync();
  await ended(operations.write(file, data, 0).promise(), 'a write of 20 MiB');
  const read = new Uint8Array(data.length);
  await ended(operations.read(file, read, 0).promise(), 'a read of 20 MiB');
  sameBytes(read, data);
});

test('[ENGINE 15] a write that misses a block comes before a later one that does not', async () => {
  const world = coldWorld();
  const { operations } = world;
  const file = makeFile(world, '/a', filled(64 * 4096, 1));
  // The inode and the indirect block are in memory, the data block is not.
  operations.read(file, new Uint8Array(1), 40 * 4096).driveSync();
  const first = operations.write(file, filled(10, 2), 5 * 4096 + 7).promise();
  const second = operations.write(file, filled(4096, 3), 5 * 4096).promise();
  await ended(Promise.all([first, second]), 'two writes');
  const block = new Uint8Array(4096);
  operations.read(file, block, 5 * 4096).driveSync();
  sameBytes(block, filled(4096, 3));
});

test('[ENGINE 15] a sync call comes after the earlier calls on its file', async () => {
  const world = coldWorld();
  const { operations } = world;
  const file = makeFile(world, '/a', filled(64 * 4096, 1));
  const calls: Promise<number>[] = [];
  for (let i = 0; i < 2000; i++) {
    calls.push(operations.write(file, filled(10, i + 2), 5 * 4096 + (i % 300)).promise());
  }
  operations.write(file, filled(4096, 1_000_000), 5 * 4096).driveSync();
  const block = new Uint8Array(4096);
  operations.read(file, block, 5 * 4096).driveSync();
  sameBytes(block, filled(4096, 1_000_000), 'seen by the sync read');
  await ended(Promise.all(calls), '2000 writes');
  operations.read(file, block, 5 * 4096).driveSync();
  sameBytes(block, filled(4096, 1_000_000), 'and afterwards');
});

/** Large writes find no empty stripes, and so go through the log: in `world` on `file`, among other
 *  calls that hold all the room there is and wait for the first. Gives what they come to. */
function barredWrites(world: World, file: OpenFile, other: OpenFile): Promise<unknown>[] {
  const { operations, core } = world;
  core.allocator.prepareStripes = () => false;
  core.cache.forgetClean();
  // By reference; the others are not at block boundaries.
  const calls: Promise<unknown>[] = [operations.write(file, filled(MIB, 2), 0).promise()];
  for (let i = 0; i < 6; i++) {
    calls.push(operations.write(file, filled(MIB - 1, 3 + i), 1).promise());
    calls.push(operations.write(other, filled(70_000, 3 + i), 1 + i).promise());
  }
  calls.push(operations.writeFile('/new', filled(MIB, 50), CREATE).promise());
  return calls;
}

test('[ENGINE 13] a call whose way is barred gets room in its old place', async () => {
  const world = coldWorld();
  const file = makeFile(world, '/a', filled(2 * MIB, 1));
  const other = makeFile(world, '/b', filled(2 * MIB, 1));
  await ended(Promise.all(barredWrites(world, file, other)), '14 writes');
  const expected = filled(2 * MIB, 1);
  expected.set(filled(MIB, 2));
  expected.set(filled(MIB - 1, 8), 1);
  sameBytes(world.operations.readFile({ file }).driveSync(), expected, 'all in order of calls');
  sameBytes(world.operations.readFile({ path: '/new' }).driveSync(), filled(MIB, 50));
  world.settle();
  assert.equal(world.accounts().problems, []);
});

test('[ENGINE 13] the same where a sync call drives them', async () => {
  for (let delay = 0; delay < 12; delay += 3) {
    const world = coldWorld({ seed: delay });
    const file = makeFile(world, '/a', filled(2 * MIB, 1));
    const other = makeFile(world, '/b', filled(2 * MIB, 1));
    const calls = barredWrites(world, file, other);
    for (let i = 0; i < delay; i++) await Promise.resolve();
    const expected = filled(2 * MIB, 1);
    expected.set(filled(MIB, 2));
    expected.set(filled(MIB - 1, 8), 1);
    sameBytes(world.operations.readFile({ file }).driveSync(), expected, `delay ${delay}`);
    await ended(Promise.all(calls), `14 writes, delay ${delay}`);
    world.settle();
    assert.equal(world.accounts().problems, [], `delay ${delay}`);
  }
});

/** Random calls by handle, all in flight; the model gets them in call order. */
async function handleStory(seed: number, count: number): Promise<void> {
  const prng = new SeededPrng(seed);
  const hasLog = chance(prng, 0.5);
  const world = coldWorld({ seed, hasLog, stripes: 8192 });
  const model = new ModelFileSystem({ now: world.now });
  const sessions = { real: new Session(world.operations), model: new Session(model) };
  const slots = 1 + below(prng, 12);
  for (let slot = 0; slot < slots; slot++) {
    const options = { read: true, write: true, create: true, append: chance(prng, 0.1) };
    const request: Request = { op: 'open', slot, path: `/f${slot % 8}`, options };
    sessions.model.apply(request).driveSync();
    sessions.real.apply(request).driveSync();
  }
  const sizes = [1, 100, 4096, 5000, 70_000, 300_000];
  const checks: Promise<void>[] = [];
  for (let i = 0; i < count; i++) {
    const request = handleRequest(prng, slots, pick(prng, sizes));
    const expected = sessions.model.apply(request).driveSync();
    const actual = sessions.real.apply(request).promise();
    checks.push(
      actual.then((outcome) => {
        assert.equal(outcome, expected, `seed ${seed}, call ${i}: ${JSON.stringify(request)}`);
      }),
    );
    if (chance(prng, 0.02)) world.core.cache.forgetClean();
    if (chance(prng, 0.02)) world.fs.requestCp();
    if (chance(prng, 0.01)) world.cp();
    if (chance(prng, 0.05)) await new Promise((resolve) => setImmediate(resolve));
  }
  await ended(Promise.all(checks), `seed ${seed}`);
  const difference = compare(world.operations, model, { ignoreTimes: true }).driveSync();
  assert.is(difference, undefined, `seed ${seed}`);
  world.settle();
  assert.equal(world.accounts().problems, [], `seed ${seed}`);
}

function handleRequest(prng: SeededPrng, slots: number, size: number): Request {
  const slot = below(prng, slots);
  const position = below(prng, 40) * 4096 + (chance(prng, 0.5) ? 0 : below(prng, 4096));
  switch (below(prng, 8)) {
    case 0:
    case 1:
    case 4:
      return { op: 'read', slot, position, length: size };
    case 2:
      return { op: 'truncate', where: { slot }, size: position };
    case 3:
      return {
        op: 'setXattr',
        where: { slot },
        name: 'user.a',
        data: { length: 50, seed: prng.u32() },
      };
    default:
      return { op: 'write', slot, position, data: { length: size, seed: 1 + below(prng, 1e9) } };
  }
}

for (let seed = 1; seed <= 8; seed++) {
  test(`seed ${seed}: calls on open files, in order`, () => handleStory(seed, 600));
}

/** Names in shared directories: calls on one name follow each other, all others are in flight. */
async function nameStory(seed: number, count: number): Promise<void> {
  const prng = new SeededPrng(seed);
  const world = coldWorld({ seed, hasLog: chance(prng, 0.5), columns: 3, stripes: 4096 });
  const model = new ModelFileSystem({ now: world.now });
  const { operations } = world;
  for (let i = 0; i < 4; i++) {
    for (const fs of [operations, model]) fs.mkdir(`/d${i}`, 0o755).driveSync();
  }
  const last = new Map<string, Promise<void>>();
  const names = Array.from({ length: 300 }, (_, i) => `/d${i % 4}/${'n'.repeat(i % 90)}${i}`);
  for (let i = 0; i < count; i++) {
    const path = pick(prng, names);
    const other = `${path}-moved`;
    const request = nameRequest(prng, path, other);
    const expected = new Session(model).apply(request).driveSync();
    const call = (last.get(path) ?? Promise.resolve()).then(async () => {
      const outcome = await new Session(operations).apply(request).promise();
      assert.equal(outcome, expected, `seed ${seed}, call ${i}: ${JSON.stringify(request)}`);
    });
    last.set(path, call);
    if (chance(prng, 0.02)) world.core.cache.forgetClean();
    if (chance(prng, 0.02)) world.fs.requestCp();
    if (chance(prng, 0.03)) await new Promise((resolve) => setImmediate(resolve));
  }
  await ended(Promise.all(last.values()), `seed ${seed}`);
  const difference = compare(operations, model, { ignoreTimes: true }).driveSync();
  assert.is(difference, undefined, `seed ${seed}`);
  world.settle();
  assert.equal(world.accounts().problems, [], `seed ${seed}`);
}

function nameRequest(prng: SeededPrng, path: string, other: string): Request {
  const data = { length: below(prng, 9000), seed: 1 + below(prng, 1e9) };
  switch (below(prng, 7)) {
    case 0:
      return { op: 'unlink', path };
    case 1:
      return { op: 'rename', from: path, to: other };
    case 2:
      return { op: 'rename', from: other, to: path };
    case 3:
      return { op: 'link', existing: path, path: other };
    case 4:
      return { op: 'readFile', where: { path, followLast: true } };
    default: {
      const options = { read: false, write: true, create: true, truncate: true };
      return { op: 'writeFile', path, data, options };
    }
  }
}

for (let seed = 1; seed <= 6; seed++) {
  test(`seed ${seed}: names made, moved and removed at once`, () => nameStory(seed, 1500));
}

test('snapshots between calls in flight show each call whole or not at all', async () => {
  const world = coldWorld({ seed: 3 });
  const { operations } = world;
  const length = 3 * 4096 + 500;
  const files = Array.from({ length: 8 }, (_, i) => makeFile(world, `/f${i}`, filled(length, 0)));
  const prng = new SeededPrng(3);
  const work: Promise<unknown>[] = [];
  const names: string[] = [];
  for (let i = 0; i < 400; i++) {
    const file = pick(prng, files);
    work.push(operations.write(file, new Uint8Array(length).fill(below(prng, 256)), 0).promise());
    if (i % 8 === 0) {
      const name = `s${i}`;
      names.push(name);
      work.push(world.create(name).promise());
    }
    if (chance(prng, 0.1)) world.core.cache.forgetClean();
    if (chance(prng, 0.1)) await new Promise((resolve) => setImmediate(resolve));
  }
  await ended(Promise.all(work), 'writes and snapshots');
  for (const name of names) {
    for (let i = 0; i < files.length; i++) {
      const bytes = world
        .at(name)
        .readFile({ path: `/f${i}` })
        .driveSync();
      const isOld = bytes[1] !== bytes[2];
      if (!isOld)
        assert.ok(
          bytes.every((byte) => byte === bytes[0]),
          `${name}, file ${i}`,
        );
    }
  }
  world.settle();
  assert.equal(world.accounts().problems, []);
});

async function snapshotDuringPlan(delay: number): Promise<void> {
  const world = coldWorld();
  const { operations, core } = world;
  for (const name of ['a', 'b', 'c']) {
    operations.writeFile(`/${name}`, filled(9000, name.charCodeAt(0)), CREATE).driveSync();
    if (name === 'a') world.create('first').driveSync();
  }
  operations.unlink('/c').driveSync();
  world.settle();
  core.cache.forgetClean();
  const first = core.snapshots.plane(world.snapshots.get('first').id);
  runSync(world.fs.loadUntilReady((access) => first.find(access, 0, 0)));
  runSync(world.fs.loadUntilReady((access) => core.maps.files.active.find(access, 0, 0)));
  runSync(world.fs.loadUntilReady((access) => core.maps.files.summary.find(access, 0, 0)));
  world.hold('first', 1).driveSync();
  // The CP has only the table to write. It finds some of what it needs in memory, and some not.
  const cp = world.fs.requestCp();
  assert.is(cp?.isSettled, false, 'it waits');
  for (let i = 0; i < delay; i++) await Promise.resolve();
  const taken = world.create('second').promise();
  const removed = operations.unlink('/b').promise();
  await ended(Promise.all([cp?.promise(), taken, removed]), 'a CP, a snapshot and an unlink');
  world.settle();
  assert.equal(world.accounts().problems, [], `delay ${delay}`);
}

test('a snapshot taken while a CP is being planned keeps what is removed right after', async () => {
  for (let delay = 0; delay < 20; delay++) await snapshotDuringPlan(delay);
});

test('a CP, a snapshot and calls asked for during a rollback come after it', async () => {
  for (let delay = 0; delay < 40; delay++) {
    const world = coldWorld({ seed: delay });
    const { operations } = world;
    operations.writeFile('/a', filled(50_000, 1), CREATE).driveSync();
    world.create('first').driveSync();
    operations.writeFile('/a', filled(60_000, 2), CREATE).driveSync();
    world.create('second').driveSync();
    operations.writeFile('/b', filled(60_000, 3), CREATE).driveSync();
    world.cp();
    world.core.cache.forgetClean();
    const rollback = world.rollback('first').promise();
    for (let i = 0; i < delay; i++) await Promise.resolve();
    const cp = world.fs.requestCp(true)?.promise();
    const taken = world.create('third').promise();
    const written = operations.writeFile('/c', filled(100, 4), CREATE).promise();
    await ended(Promise.all([rollback, cp, taken, written]), `delay ${delay}`);
    sameBytes(operations.readFile({ path: '/a' }).driveSync(), filled(50_000, 1));
    sameBytes(world.at('third').readFile({ path: '/a' }).driveSync(), filled(50_000, 1));
    world.settle();
    assert.equal(world.accounts().problems, [], `delay ${delay}`);
    world.crash();
    assert.equal(world.accounts().problems, [], `delay ${delay}, mounted again`);
  }
});

test('[ENGINE 16] a sync call during a rollback finishes it and what it waits for', async () => {
  for (let delay = 0; delay < 40; delay += 5) {
    const world = coldWorld({ seed: delay });
    const { operations } = world;
    const paths = Array.from({ length: 8 }, (_, i) => `/f${i}`);
    for (const path of paths) makeFile(world, path, filled(MIB, 1));
    world.create('first').driveSync();
    const files = paths.map((path) => operations.open(path, CREATE).driveSync());
    world.core.cache.forgetClean();
    // Some are in their LOAD, some wait for room.
    const writes = files.map((file) => operations.write(file, filled(MIB - 1, 2), 1).promise());
    const reads = paths.map((path) => operations.readFile({ path }).promise());
    const rollback = world.rollback('first').promise();
    for (let i = 0; i < delay; i++) await Promise.resolve();
    operations.writeFile('/now', filled(100, 4), CREATE).driveSync();
    sameBytes(operations.readFile({ path: '/f0' }).driveSync(), filled(MIB, 1), 'rolled back');
    await ended(Promise.all([...writes, ...reads, rollback]), `delay ${delay}`);
    world.settle();
    assert.equal(world.accounts().problems, [], `delay ${delay}`);
    world.crash();
    for (const path of paths) {
      sameBytes(world.operations.readFile({ path }).driveSync(), filled(MIB, 1), path);
    }
    sameBytes(world.operations.readFile({ path: '/now' }).driveSync(), filled(100, 4), '/now');
  }
});

test('ENOSPC, not silence, where only open files hold what could be freed', async () => {
  const world = coldWorld({ stripes: 2048, hasLog: false });
  const { operations } = world;
  const open = operations.open('/held', CREATE).driveSync();
  operations.write(open, filled(3 * MIB, 1), 0).driveSync();
  operations.unlink('/held').driveSync();
  let failure: unknown;
  for (let i = 0; i < 10 && failure === undefined; i++) {
    const file = await ended(operations.open(`/f${i}`, CREATE).promise(), 'open');
    const write = operations.write(file, filled(MIB, i), 0).promise();
    failure = await ended(
      write.then(
        () => undefined,
        (error) => error,
      ),
      `write ${i}`,
    );
  }
  assert.ok(isFsError(failure) && failure.code === 'ENOSPC', String(failure));
  operations.close(open).driveSync();
  world.settle();
  await ended(
    operations.writeFile('/more', filled(MIB, 5), CREATE).promise(),
    'a write after close',
  );
});

test('small writes on a nearly full volume: none fails for what others only reserved', async () => {
  const world = coldWorld({ stripes: 2048 });
  const { operations } = world;
  const files = Array.from({ length: 50 }, (_, i) => makeFile(world, `/f${i}`, filled(5000, i)));
  const { blocksFree } = operations.statfs().driveSync();
  makeFile(world, '/fill', filled((blocksFree - 250) * 4096, 1));
  const writes = files.map((file, i) => operations.write(file, filled(3000, 500 + i), 0).promise());
  await ended(Promise.all(writes), '50 writes');
});

test.run();
