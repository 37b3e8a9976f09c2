// What file devices add to the contract: sparse growth, files shared by disk and log, host errors,
// closing under transfers, flushes that failed. Here the real world can lose data behind our back.

import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { isZeroBytes } from '../../host/base/bytes.ts';
import type { StorageError } from '../../host/base/errors.ts';
import { isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync, Task } from '../../host/base/task.ts';
import { FileDisk } from '../../host/node/file-disk.ts';
import { FileNvram } from '../../host/node/file-nvram.ts';
import { Remaining, SharedFile, syncDirectorySync } from '../../host/node/shared-file.ts';
import { dirty, failureOf, filled } from './contract.ts';

const test = suite('file devices');
const directory = mkdtempSync(join(tmpdir(), 'waferfs-file-'));
const isLinux = process.platform === 'linux';
let pathCount = 0;

function freshPath(): string {
  return join(directory, `${pathCount++}.wafer`);
}

test('a new file must not exist, an old one must', () => {
  const path = freshPath();
  assert.throws(
    () => new SharedFile(path),
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );
  new SharedFile(path, { isNew: true }).acquire().release();
  assert.throws(
    () => new SharedFile(path, { isNew: true }),
    (error: NodeJS.ErrnoException) => error.code === 'EEXIST',
  );
  syncDirectorySync(directory);
});

test('a disk of 1 TiB is a small file until written, and sparse then', async () => {
  const path = freshPath();
  const blockCount = 2 ** 28;
  const disk = new FileDisk({ file: new SharedFile(path, { isNew: true }), blockCount });
  assert.is(statSync(path).size, 0);
  await disk.write(blockCount / 2, [filled(1, 1)]); // beyond 2^31 and 2^32 bytes
  assert.is(disk.lengthBlocks(), blockCount / 2 + 1);
  assert.ok(statSync(path).blocks * 512 <= 64 * 1024, 'sparse');
  const view = dirty(3);
  disk.readSync(blockCount / 2 - 1, [view]);
  assert.ok(isZeroBytes(view.subarray(0, BLOCK_SIZE)));
  assert.equal(view.subarray(BLOCK_SIZE, 2 * BLOCK_SIZE), filled(1, 1));
  assert.ok(isZeroBytes(view.subarray(2 * BLOCK_SIZE)));
  await disk.close();
});

test('reads over the end of a file that stops inside of a block', async () => {
  const path = freshPath();
  const disk = new FileDisk({ file: new SharedFile(path, { isNew: true }), blockCount: 100 });
  disk.writeSync(0, [filled(4, 1)]);
  truncateSync(path, 2 * BLOCK_SIZE + 1000);
  assert.is(disk.lengthBlocks(), 3, 'a part of a block is a block');
  const expected = new Uint8Array(5 * BLOCK_SIZE);
  expected.set(filled(4, 1).subarray(0, 2 * BLOCK_SIZE + 1000));
  for (const isSync of [true, false]) {
    const view = dirty(5);
    const views = [0, 1, 3].map((block, index) =>
      view.subarray(block * BLOCK_SIZE, ([1, 3, 5][index] as number) * BLOCK_SIZE),
    );
    if (isSync) disk.readSync(0, views);
    else await disk.read(0, views);
    assert.equal(view, expected);
  }
  await disk.close();
});

test('transfers go on after a host that stops short anywhere', () => {
  const prng = new SeededPrng(1);
  for (let round = 0; round < 300; round++) {
    const views = Array.from({ length: prng.below(5) * prng.below(800) }, () => dirty(0)).concat(
      Array.from({ length: 1 + prng.below(4) }, () => prng.bytes(1 + prng.below(50))),
    );
    prng.shuffle(views);
    const whole = Buffer.concat(views);
    const remaining = new Remaining(views);
    const moved: Uint8Array[] = [];
    let isCut = false;
    for (let batch = remaining.batch(); batch.length > 0 && !isCut; batch = remaining.batch()) {
      assert.ok(batch.length <= 1024, 'as many as a host takes');
      const offered = Buffer.concat(batch);
      const expected = whole.subarray(remaining.doneBytes, remaining.doneBytes + offered.length);
      assert.is(Buffer.compare(offered, expected), 0);
      const count = offered.length === 0 ? 0 : 1 + prng.below(offered.length);
      moved.push(offered.subarray(0, count));
      remaining.advance(count);
      isCut = prng.chance(0.1);
    }
    const done = Buffer.concat(moved).length;
    assert.is(remaining.doneBytes, done);
    if (!isCut) assert.is(done, whole.length);
    remaining.fillZeros();
    const after = Buffer.concat(views);
    assert.is(Buffer.compare(after.subarray(0, done), whole.subarray(0, done)), 0, 'what was done');
    assert.ok(isZeroBytes(after.subarray(done)), 'the rest is zeros');
  }
});

test('log and disk in one file: each in its window; the last one closes it', async () => {
  const path = freshPath();
  const file = new SharedFile(path, { isNew: true });
  const disk = new FileDisk({ file, blockCount: 64 });
  const nvram = new FileNvram({ file, offsetBytes: 8 * BLOCK_SIZE, sizeBytes: 16 * BLOCK_SIZE });
  await Task.start(nvram.prepare()).promise();
  assert.is(statSync(path).size, 24 * BLOCK_SIZE);
  assert.is(disk.lengthBlocks(), 24);
  await nvram.write(15 * BLOCK_SIZE, [filled(1, 1)]);
  disk.writeSync(24, [filled(1, 2)]);
  disk.writeSync(7, [filled(1, 3)]);
  const view = dirty(18);
  disk.readSync(7, [view]);
  assert.equal(view.subarray(0, BLOCK_SIZE), filled(1, 3));
  assert.ok(isZeroBytes(view.subarray(BLOCK_SIZE, 16 * BLOCK_SIZE)));
  assert.equal(view.subarray(16 * BLOCK_SIZE, 17 * BLOCK_SIZE), filled(1, 1));
  assert.equal(view.subarray(17 * BLOCK_SIZE), filled(1, 2));
  await disk.close();
  await disk.close();
  nvram.readSync(15 * BLOCK_SIZE, view.subarray(0, BLOCK_SIZE));
  await nvram.close();
});

test('prepare writes the whole log once, by sync calls too', () => {
  const path = freshPath();
  const sizeBytes = 2 * 1024 * 1024 + 3 * BLOCK_SIZE;
  const file = new SharedFile(path, { isNew: true });
  const nvram = new FileNvram({ file, offsetBytes: 0, sizeBytes });
  runSync(nvram.prepare());
  assert.is(statSync(path).size, sizeBytes);
  if (isLinux) assert.ok(statSync(path).blocks * 512 >= sizeBytes, 'not sparse');
  assert.ok(isZeroBytes(readFileSync(path)));
  void nvram.close();
});

test('a file closes after its last transfer, so that no transfer hits another file', async () => {
  const path = freshPath();
  const disk = new FileDisk({ file: new SharedFile(path, { isNew: true }), blockCount: 4096 });
  const writes = Array.from({ length: 40 }, (_, index) =>
    disk.write(index * 64, [filled(64, index)]),
  );
  const closed = disk.close();
  assert.instance(closed, Promise, 'transfers are under way');
  // If the descriptor were closed by now, these files would get its number, and the data.
  const others = Array.from({ length: 8 }, () => freshPath());
  const descriptors = others.map((other) => openSync(other, 'w+'));
  await Promise.all(writes);
  await closed;
  for (const descriptor of descriptors) closeSync(descriptor);
  for (const other of others) assert.is(statSync(other).size, 0);
  const again = new FileDisk({ file: new SharedFile(path), blockCount: 4096 });
  const view = dirty(64);
  for (let index = 0; index < 40; index++) {
    again.readSync(index * 64, [view]);
    assert.equal(view, filled(64, index));
  }
  const result = again.close();
  assert.is(result, undefined, 'nothing is under way: closed at once');
});

test('errors of the host: DISK_FAILED with cause, path and reason, async and sync', async () => {
  const path = freshPath();
  writeFileSync(path, filled(4, 1));
  const file = new SharedFile(path, { isReadOnly: true });
  const readOnly = new FileDisk({ file, blockCount: 8 });
  const attempts: [() => unknown, RegExp][] = [
    [() => readOnly.write(0, [dirty(1)]), /write failed/],
    [() => readOnly.writeSync(0, [dirty(1)]), /write failed/],
  ];
  if (existsSync('/dev/full')) {
    const full = new FileDisk({ file: new SharedFile('/dev/full'), blockCount: 8 });
    attempts.push(
      [() => full.write(0, [dirty(1)]), /host file system is full/],
      [() => full.writeSync(0, [dirty(1)]), /host file system is full/],
    );
  }
  for (const [attempt, text] of attempts) {
    const failure = (await failureOf(attempt)) as StorageError;
    assert.ok(isStorageError(failure, 'DISK_FAILED'), String(failure));
    assert.match(failure.message, text);
    assert.match(failure.message, failure.detail.path as string);
    assert.instance(failure.cause, Error);
  }
  const view = dirty(4);
  await readOnly.read(0, [view]);
  assert.equal(view, filled(4, 1), 'still readable, and unchanged');
  await readOnly.close();
});

test('a flush that nobody waits for fails those that somebody does', async () => {
  if (!existsSync('/dev/full')) return console.log('skipped: no device here whose flush fails');
  const file = new SharedFile('/dev/full').acquire();
  const behind = file.flushBehind(); // fdatasync is not for this device
  const beside = await failureOf(() => file.flush());
  await behind;
  assert.is(await failureOf(() => file.flush()), beside);
  assert.is(await failureOf(() => file.flushSync()), beside);
  await file.release();

  const sound = new SharedFile(freshPath(), { isNew: true }).acquire();
  const order: string[] = [];
  const first = sound.flushBehind().then(() => order.push('behind'));
  await sound.flush().then(() => order.push('flush'));
  await first;
  assert.is(order.length, 2);
  await sound.release();
});

test('after a flush failed, no later one claims success', async () => {
  if (!existsSync('/dev/full')) return console.log('skipped: no device here whose flush fails');
  const disk = new FileDisk({ file: new SharedFile('/dev/full'), blockCount: 8 });
  const first = await failureOf(() => disk.flush()); // fdatasync is not for this device
  assert.ok(isStorageError(first, 'DISK_FAILED'), String(first));
  assert.is(await failureOf(() => disk.flush()), first);
  assert.is(await failureOf(() => disk.flushSync()), first);
  await disk.close();
});

test.after(() => rmSync(directory, { recursive: true }));
test.run();
