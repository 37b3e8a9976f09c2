// Faults that tests can order from memory devices, and how little an almost empty one costs. A
// fault that does not happen as ordered makes the damage tests pass for nothing.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE, SECTOR_SIZE } from '../../assembly/layout/block.ts';
import { isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import type { Fault, Operation } from '../../host/device/faults.ts';
import { microtask } from '../../host/device/memory-device.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { SparseBytes } from '../../host/device/sparse-bytes.ts';
import { failureOf } from './contract.ts';

const test = suite('faults');

const full = (byte: number, blocks = 1) => new Uint8Array(blocks * BLOCK_SIZE).fill(byte);

function newDisk(isCrashable = true): MemoryDisk {
  const disk = new MemoryDisk({ name: 'memory-0', blockCount: 64, isCrashable });
  for (let dbn = 0; dbn < 8; dbn++) disk.writeSync(dbn, [full(dbn + 1)]);
  disk.flushSync();
  return disk;
}

/** The first byte of blocks 0..9. */
function firstBytes(disk: MemoryDisk): number[] {
  const view = full(0, 10);
  disk.readSync(0, [view]);
  return Array.from({ length: 10 }, (_, dbn) => view[dbn * BLOCK_SIZE] as number);
}

const operations: Record<Operation, (disk: MemoryDisk) => Promise<void> | void> = {
  read: (disk) => disk.read(1, [full(0)]),
  write: (disk) => disk.write(1, [full(9)]),
  flush: (disk) => disk.flush(),
};

async function outcomes(disk: MemoryDisk, operation: Operation, count: number): Promise<string> {
  let text = '';
  for (let index = 0; index < count; index++) {
    const failure = await failureOf(() => operations[operation](disk));
    if (failure !== undefined) assert.ok(isStorageError(failure, 'DISK_FAILED'), String(failure));
    text += failure === undefined ? '.' : 'x';
  }
  return text;
}

test('the n-th operation fails, as often as asked for, alone of its kind', async () => {
  for (const operation of ['read', 'write', 'flush'] as const) {
    for (const other of ['read', 'write', 'flush'] as const) {
      const disk = newDisk();
      disk.inject({ operation, action: 'fail', nth: 3, times: 2 });
      assert.is(await outcomes(disk, other, 6), operation === other ? '..xx..' : '......');
    }
    const disk = newDisk();
    disk.inject({ operation, action: 'fail' });
    assert.is(await outcomes(disk, operation, 3), 'x..', 'the next one');
    disk.inject({ operation, action: 'fail', times: Infinity });
    assert.is(await outcomes(disk, operation, 3), 'xxx');
    disk.clearFaults();
    assert.is(await outcomes(disk, operation, 3), '...');
  }
});

test('faults also reject promises', async () => {
  const disk = new MemoryDisk({ blockCount: 8, schedule: microtask });
  disk.inject({ operation: 'write', action: 'fail' });
  const pending = disk.write(0, [full(1)]);
  assert.instance(pending, Promise);
  assert.ok(isStorageError(await failureOf(() => pending), 'DISK_FAILED'));
});

test('what failed, lost and misdirected writes leave behind', async () => {
  const cases: [Fault, boolean, number[]][] = [
    [{ operation: 'write', action: 'fail' }, true, [1, 2, 3, 4, 5, 6, 7, 8, 0, 0]],
    [{ operation: 'write', action: 'apply-and-fail' }, true, [1, 9, 3, 4, 5, 6, 7, 8, 0, 0]],
    [{ operation: 'write', action: 'lose' }, false, [1, 2, 3, 4, 5, 6, 7, 8, 0, 0]],
    [
      { operation: 'write', action: { kind: 'misdirect', bytes: 7 * BLOCK_SIZE } },
      false,
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 0],
    ],
  ];
  for (const isCrashable of [true, false]) {
    for (const [fault, doesFail, expected] of cases) {
      const disk = newDisk(isCrashable);
      disk.inject(fault);
      const failure = await failureOf(() => disk.write(1, [full(9)]));
      assert.is(failure !== undefined, doesFail, String(fault.action));
      assert.equal(firstBytes(disk), expected, String(fault.action));
      if (isCrashable) {
        disk.flushSync();
        assert.equal(firstBytes(disk.snapshotDurable()), expected, 'durable too');
      }
    }
  }
});

test('a misdirected read gives another place; once', () => {
  const disk = newDisk();
  disk.inject({ operation: 'read', action: { kind: 'misdirect', bytes: -BLOCK_SIZE } });
  const view = full(0);
  disk.readSync(4, [view]);
  assert.equal(view, full(4));
  disk.readSync(4, [view]);
  assert.equal(view, full(5));
});

test('a lost flush makes nothing durable, the next one does', () => {
  const disk = newDisk();
  disk.writeSync(0, [full(9)]);
  disk.inject({ operation: 'flush', action: 'lose' });
  disk.flushSync();
  assert.is(firstBytes(disk.snapshotDurable())[0], 1);
  disk.flushSync();
  assert.is(firstBytes(disk.snapshotDurable())[0], 9);
});

test('a latent error strikes reads of its range until the range is written', async () => {
  const disk = newDisk();
  const range = { offsetBytes: 3 * BLOCK_SIZE + SECTOR_SIZE, sizeBytes: SECTOR_SIZE };
  disk.inject({ operation: 'read', action: 'fail', times: Infinity, range, isHealedByWrite: true });
  const readOf = (dbn: number, blocks: number) =>
    failureOf(() => disk.read(dbn, [full(0, blocks)]));
  assert.is(await readOf(0, 3), undefined);
  assert.is(await readOf(4, 3), undefined);
  assert.ok(await readOf(3, 1));
  assert.ok(await readOf(0, 8));
  disk.writeSync(4, [full(9)]);
  assert.ok(await readOf(3, 1), 'written elsewhere');
  disk.writeSync(3, [full(9)]);
  assert.is(await readOf(0, 8), undefined);
});

test('corrupt flips exactly the bits asked for, durably', () => {
  const disk = newDisk();
  disk.corrupt(2 * BLOCK_SIZE + 10, new Uint8Array([0x01, 0, 0x80]));
  const expected = full(3);
  expected[10] = 3 ^ 0x01;
  expected[12] = 3 ^ 0x80;
  for (const one of [disk, disk.snapshotDurable()]) {
    const view = full(0);
    one.readSync(2, [view]);
    assert.equal(view, expected);
  }
});

test('a dead device fails everything, keeps what was durable, and can come back', async () => {
  const disk = newDisk();
  disk.isDead = true;
  for (const operation of ['read', 'write', 'flush'] as const) {
    assert.is(await outcomes(disk, operation, 2), 'xx');
  }
  assert.equal(firstBytes(disk.snapshotDurable()).slice(0, 3), [1, 2, 3]);
  disk.isDead = false;
  assert.equal(firstBytes(disk).slice(0, 3), [1, 2, 3]);
});

test('a disk of 1 TiB with little in it costs little', () => {
  const blockCount = 2 ** 28;
  const disk = new MemoryDisk({ blockCount });
  for (let place = 0; place < 100; place++) {
    disk.writeSync(Math.floor((blockCount / 100) * (place + 1)) - 1, [full(place + 1)]);
  }
  disk.writeSync(1000, [full(0, 1000)]);
  assert.is(disk.lengthBlocks(), blockCount);
  assert.ok(disk.memoryBytes <= 100 * BLOCK_SIZE, `${disk.memoryBytes} bytes`);
  const view = full(0);
  disk.readSync(blockCount - 1, [view]);
  assert.equal(view, full(100));
});

test('sparse bytes and their clones: random operations against plain arrays', () => {
  const prng = new SeededPrng(6);
  const size = 100_000;
  const adopted: { data: Uint8Array; copy: Uint8Array }[] = [];
  const pairs = [{ sparse: new SparseBytes(), model: new Uint8Array(size) }];
  for (let round = 0; round < 2000; round++) {
    const { sparse, model } = prng.pick(pairs);
    const offset = prng.chance(0.5) ? prng.below(size) : prng.below(24) * BLOCK_SIZE;
    const length = prng.below(Math.min(40_000, size - offset) + 1);
    const choice = prng.below(10);
    if (choice === 0 && pairs.length < 8) {
      pairs.push({ sparse: sparse.clone(), model: model.slice() });
    } else if (choice < 6) {
      const data = prng.chance(0.3) ? new Uint8Array(length) : prng.bytes(length);
      if (prng.chance(0.5)) sparse.write(offset, data);
      else sparse.adopt(offset, data);
      model.set(data, offset);
      adopted.push({ data, copy: data.slice() });
    } else {
      const view = new Uint8Array(length).fill(0xdd);
      sparse.read(offset, view);
      const isSame = view.every((byte, index) => byte === model[offset + index]);
      assert.ok(isSame, `round ${round}`);
    }
  }
  for (const { data, copy } of adopted) {
    assert.is(Buffer.compare(data, copy), 0, 'what was given is never changed');
  }
});

test.run();
