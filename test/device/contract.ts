// The contract suite of disks and NVRAM: every implementation of device.ts passes the same tests.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { InvariantError } from '../../host/base/assert.ts';
import { isEqualBytes, isZeroBytes } from '../../host/base/bytes.ts';
import { isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import type { Disk, Nvram } from '../../host/device/device.ts';

/** Opens a device of `blockCount` blocks, and the same content again after it was closed. */
export interface DeviceMaker<Device> {
  make(blockCount: number): Device;
  reopen(device: Device): Device;
}

/** Both kinds of device as one: transfers of whole blocks at a block number. */
interface BlockDevice {
  read(block: number, views: readonly Uint8Array[]): Promise<void> | void;
  readSync(block: number, views: readonly Uint8Array[]): void;
  write(block: number, views: readonly Uint8Array[]): Promise<void> | void;
  writeSync(block: number, views: readonly Uint8Array[]): void;
  flush(): Promise<void> | void;
  flushSync(): void;
  close(): Promise<void> | void;
}

const BLOCK_COUNT = 4096;

export function testDisk(name: string, maker: DeviceMaker<Disk>): void {
  const test = suite(`disk: ${name}`);
  addTests(test, maker);

  test('length grows as written, up to the highest block', async () => {
    const disk = maker.make(BLOCK_COUNT);
    assert.is(disk.blockCount, BLOCK_COUNT);
    assert.is(disk.lengthBlocks(), 0);
    await disk.write(7, [filled(1, 1)]);
    assert.is(disk.lengthBlocks(), 8);
    disk.writeSync(2, [filled(1, 2)]);
    assert.is(disk.lengthBlocks(), 8);
    disk.writeSync(BLOCK_COUNT - 1, [filled(1, 3)]);
    assert.is(disk.lengthBlocks(), BLOCK_COUNT);
    await disk.close();
  });
  test.run();
}

export function testNvram(name: string, maker: DeviceMaker<Nvram>): void {
  const test = suite(`nvram: ${name}`);
  const asBlocks = (nvram: Nvram): BlockDevice & { nvram: Nvram } => ({
    nvram,
    read: (block, views) => {
      const whole = new Uint8Array(views.reduce((sum, view) => sum + view.length, 0));
      const scatter = () => {
        let offset = 0;
        for (const view of views) {
          view.set(whole.subarray(offset, offset + view.length));
          offset += view.length;
        }
      };
      const pending = nvram.read(block * BLOCK_SIZE, whole);
      return pending === undefined ? scatter() : pending.then(scatter);
    },
    readSync: (block, views) => {
      let offset = block * BLOCK_SIZE;
      for (const view of views) {
        nvram.readSync(offset, view);
        offset += view.length;
      }
    },
    write: (block, views) => nvram.write(block * BLOCK_SIZE, views),
    writeSync: (block, views) => nvram.writeSync(block * BLOCK_SIZE, views),
    flush: () => nvram.flush(),
    flushSync: () => nvram.flushSync(),
    close: () => nvram.close(),
  });
  addTests(test, {
    make: (blockCount) => asBlocks(maker.make(blockCount)),
    reopen: (device) => asBlocks(maker.reopen(device.nvram)),
  });

  test('size is as asked for', async () => {
    const nvram = maker.make(16);
    assert.is(nvram.sizeBytes, 16 * BLOCK_SIZE);
    await nvram.close();
  });
  test.run();
}

function addTests<Device extends BlockDevice>(
  test: ReturnType<typeof suite>,
  maker: DeviceMaker<Device>,
): void {
  addTransferTests(test, maker);
  addTogetherTests(test, maker);
  addLifeTests(test, maker);
}

function addTransferTests<Device extends BlockDevice>(
  test: ReturnType<typeof suite>,
  maker: DeviceMaker<Device>,
): void {
  test('reads back what was written; all else is zeros', async () => {
    const device = maker.make(BLOCK_COUNT);
    await device.write(5, [filled(2, 1)]);
    const view = dirty(6);
    await device.read(3, [view]);
    assert.equal(view.subarray(2 * BLOCK_SIZE, 4 * BLOCK_SIZE), filled(2, 1));
    assert.ok(isZeroBytes(view.subarray(0, 2 * BLOCK_SIZE)), 'before');
    assert.ok(isZeroBytes(view.subarray(4 * BLOCK_SIZE)), 'behind, where nothing was ever written');
    const last = dirty(1);
    device.readSync(BLOCK_COUNT - 1, [last]);
    assert.ok(isZeroBytes(last));
    await device.close();
  });

  test('scatters and gathers over many views, in shared memory too', async () => {
    const device = maker.make(BLOCK_COUNT);
    const count = 2500; // more than two writev calls take
    const shared = new SharedArrayBuffer(count * BLOCK_SIZE);
    const source = new SeededPrng(1).bytes(count * BLOCK_SIZE);
    new Uint8Array(shared).set(source);
    await device.write(10, split(new Uint8Array(shared), [1, 3, 1]));
    const sync = dirty(count);
    device.readSync(10, split(sync, [1]));
    assert.ok(isEqualBytes(sync, source), 'sync read of async write');

    source.reverse();
    device.writeSync(1000, split(source, [2, 1]));
    new Uint8Array(shared).fill(0xee);
    await device.read(1000, split(new Uint8Array(shared), [1, 1, 7]));
    assert.ok(isEqualBytes(new Uint8Array(shared), source), 'async read of sync write');
    await device.close();
  });
}

/** Many operations at once, and both forms of them in turn. */
function addTogetherTests<Device extends BlockDevice>(
  test: ReturnType<typeof suite>,
  maker: DeviceMaker<Device>,
): void {
  test('many operations at once', async () => {
    const device = maker.make(BLOCK_COUNT);
    const prng = new SeededPrng(2);
    const places = prng.shuffle(Array.from({ length: 300 }, (_, index) => index * 3));
    await Promise.all(places.map((place) => device.write(place, [filled(2, place)])));
    await Promise.all([
      device.flush(),
      ...places.map(async (place) => {
        const view = dirty(3);
        await device.read(place, split(view, [1]));
        assert.equal(view.subarray(0, 2 * BLOCK_SIZE), filled(2, place));
        assert.ok(isZeroBytes(view.subarray(2 * BLOCK_SIZE)));
      }),
    ]);
    await device.close();
  });

  test('sync calls between async ones: random operations against a model', async () => {
    const prng = new SeededPrng(3);
    const device = maker.make(64);
    const model = new Uint8Array(64 * BLOCK_SIZE);
    for (let round = 0; round < 200; round++) {
      const block = prng.below(60);
      const count = 1 + prng.below(4);
      const range = [block * BLOCK_SIZE, (block + count) * BLOCK_SIZE] as const;
      const isSync = prng.chance(0.5);
      if (prng.chance(0.5)) {
        const data = prng.bytes(count * BLOCK_SIZE);
        model.set(data, range[0]);
        if (isSync) device.writeSync(block, split(data, [1]));
        else await device.write(block, split(data, [1]));
      } else {
        const view = dirty(count);
        if (isSync) device.readSync(block, [view]);
        else await device.read(block, [view]);
        assert.ok(isEqualBytes(view, model.subarray(...range)), `round ${round}, block ${block}`);
      }
      if (prng.chance(0.1)) await device.flush();
      if (prng.chance(0.1)) device.flushSync();
    }
    await device.close();
  });
}

/** What a device refuses, and what closing does. */
function addLifeTests<Device extends BlockDevice>(
  test: ReturnType<typeof suite>,
  maker: DeviceMaker<Device>,
): void {
  test('keeps its content over close and reopen', async () => {
    let device = maker.make(BLOCK_COUNT);
    await device.write(1, [filled(1, 1)]);
    device.writeSync(3, [filled(1, 3)]);
    await device.flush();
    await device.close();
    device = maker.reopen(device);
    const view = dirty(4);
    device.readSync(0, [view]);
    const expected = new Uint8Array(4 * BLOCK_SIZE);
    expected.set(filled(1, 1), BLOCK_SIZE);
    expected.set(filled(1, 3), 3 * BLOCK_SIZE);
    assert.equal(view, expected);
    await device.close();
  });

  test('transfers out of range or off the blocks are refused as our own bugs', async () => {
    const device = maker.make(16);
    const isBug = (error: unknown) => error instanceof InvariantError;
    const bad: [number, Uint8Array[]][] = [
      [16, [dirty(1)]],
      [15, [dirty(1), dirty(1)]],
      [-1, [dirty(1)]],
      [0.5, [dirty(1)]],
      [0, [new Uint8Array(100)]],
      [0, []],
    ];
    for (const [block, views] of bad) {
      for (const kind of ['read', 'write'] as const) {
        if (kind === 'read' && views.length === 0) continue;
        assert.ok(isBug(await failureOf(() => device[kind](block, views))), `${kind} ${block}`);
        assert.ok(isBug(await failureOf(() => device[`${kind}Sync`](block, views))), `${kind}Sync`);
      }
    }
    await device.close();
  });

  test('a closed device refuses everything; what was under way ends well', async () => {
    const device = maker.make(BLOCK_COUNT);
    const written = Promise.all([
      device.write(0, [filled(64, 1)]),
      device.write(70, [filled(9, 2)]),
    ]);
    const closed = device.close();
    await written;
    await closed;
    await device.close();
    const attempts = [
      () => device.read(0, [dirty(1)]),
      () => device.readSync(0, [dirty(1)]),
      () => device.write(0, [dirty(1)]),
      () => device.writeSync(0, [dirty(1)]),
      () => device.flush(),
      () => device.flushSync(),
    ];
    for (const attempt of attempts) {
      assert.ok(isStorageError(await failureOf(attempt), 'VOLUME_CLOSED'), String(attempt));
    }
    const again = maker.reopen(device);
    const view = dirty(9);
    again.readSync(70, [view]);
    assert.equal(view, filled(9, 2));
    await again.close();
  });
}

/** What `attempt` throws or rejects with; undefined if it does not. */
export async function failureOf(attempt: () => unknown): Promise<unknown> {
  try {
    await attempt();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** `count` blocks whose content depends on `seed`. */
export function filled(count: number, seed: number): Uint8Array {
  return new SeededPrng(seed).bytes(count * BLOCK_SIZE);
}

/** `count` blocks that are not zeros, to read into. */
export function dirty(count: number): Uint8Array {
  return new Uint8Array(count * BLOCK_SIZE).fill(0xdd);
}

/** Views over all of `bytes`, of as many blocks as `counts` says, over and over. */
function split(bytes: Uint8Array, counts: readonly number[]): Uint8Array[] {
  const views: Uint8Array[] = [];
  for (let offset = 0; offset < bytes.length; ) {
    const count = counts[views.length % counts.length] as number;
    views.push(bytes.subarray(offset, offset + count * BLOCK_SIZE));
    offset += count * BLOCK_SIZE;
  }
  return views;
}
