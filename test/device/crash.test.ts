// What a power cut may do to memory devices: every fate of a write, and what flushes promise. All
// crash tests of the engine stand on this model: a promise too strong here hides a lost flush
// there.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE, SECTOR_SIZE } from '../../assembly/layout/block.ts';
import { InvariantError } from '../../host/base/assert.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import type { Fate } from '../../host/device/crash.ts';
import { DROP, fatesOf, KEEP } from '../../host/device/crash.ts';
import type { Schedule } from '../../host/device/memory-device.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { failureOf } from './contract.ts';

const test = suite('crash');
const SECTORS = BLOCK_SIZE / SECTOR_SIZE;

const full = (byte: number, blocks = 1) => new Uint8Array(blocks * BLOCK_SIZE).fill(byte);

function newDisk(schedule?: Schedule): MemoryDisk {
  return new MemoryDisk({ name: 'memory-0', blockCount: 64, isCrashable: true, schedule });
}

function contentOf(disk: MemoryDisk, dbn: number, blocks = 1): Uint8Array {
  const view = new Uint8Array(blocks * BLOCK_SIZE);
  disk.readSync(dbn, [view]);
  return view;
}

/** The first byte of every sector, as a string of hexadecimal digits; '?' where bytes differ. */
function sectorsOf(disk: MemoryDisk, dbn: number, blocks = 1): string {
  const content = contentOf(disk, dbn, blocks);
  let text = '';
  for (let start = 0; start < content.length; start += SECTOR_SIZE) {
    const sector = content.subarray(start, start + SECTOR_SIZE);
    const first = sector[0] as number;
    text += sector.every((byte) => byte === first) ? first.toString(16) : '?';
  }
  return text;
}

/** A schedule whose operations are completed by number, in the order wished for. */
function manual(): { schedule: Schedule; complete: (index: number) => void } {
  const waiting: (() => void)[] = [];
  return {
    schedule: (complete) => waiting.push(complete),
    complete: (index) => (waiting[index] as () => void)(),
  };
}

/** A disk with block 0 full of 1, durable, and 2 written over it, not flushed. */
function diskWithPending(): MemoryDisk {
  const disk = newDisk();
  disk.writeSync(0, [full(1)]);
  disk.flushSync();
  disk.writeSync(0, [full(2)]);
  return disk;
}

test('each fate leaves what it says', () => {
  const cases: [Fate, string][] = [
    [KEEP, '22222222'],
    [DROP, '11111111'],
    [{ kind: 'prefix', sectors: 1 }, '21111111'],
    [{ kind: 'prefix', sectors: 7 }, '22222221'],
    [{ kind: 'suffix', sectors: 3 }, '11111222'],
    [{ kind: 'zeros', sectors: 5 }, '22222000'],
    [{ kind: 'zeros', sectors: 0 }, '00000000'],
    [{ kind: 'garbage', sector: 6, seed: 1 }, '222222?2'],
  ];
  const disk = diskWithPending();
  for (const [fate, expected] of cases) {
    assert.is(sectorsOf(disk.crashWith([fate]), 0), expected, fate.kind);
  }
  const mixtures = new Set<string>();
  for (let seed = 0; seed < 50; seed++) {
    mixtures.add(sectorsOf(disk.crashWith([{ kind: 'mixture', seed }]), 0));
  }
  assert.ok(mixtures.size > 30, `mixtures differ: ${mixtures.size}`);
  for (const mixture of mixtures) assert.match(mixture, /^(?=.*1)(?=.*2)[12]{8}$/);
});

test('the list of fates holds each kind, and each can be applied', () => {
  const disk = diskWithPending();
  const results = fatesOf(BLOCK_SIZE, { hasGarbage: true }).map((fate) =>
    sectorsOf(disk.crashWith([fate]), 0),
  );
  for (const expected of ['22222222', '11111111', '21111111', '22221111', '22222221', '11111112']) {
    assert.ok(results.includes(expected), expected);
  }
  assert.ok(results.includes('22220000') && results.includes('00000000'), 'zeros');
  assert.ok(
    results.some((result) => result.includes('?')),
    'garbage',
  );
  assert.is(new Set(results.filter((result) => !result.includes('?'))).size, results.length - 3);
  assert.not(fatesOf(BLOCK_SIZE).some((fate) => fate.kind === 'garbage'));
});

test('at random all of it happens, and only between sectors', () => {
  const disk = diskWithPending();
  const prng = new SeededPrng(1);
  const seen = new Set<string>();
  for (let round = 0; round < 400; round++) seen.add(sectorsOf(disk.crash(prng), 0));
  assert.ok(seen.has('11111111') && seen.has('22222222'), 'dropped, kept');
  const has = (pattern: RegExp) => [...seen].some((result) => pattern.test(result));
  assert.ok(has(/^2+1+$/) && has(/^1+2+$/) && has(/^2+0+$/) && has(/12+1/), 'torn');
  assert.not(has(/\?/), 'no garbage unless asked for');
  const noise = new SeededPrng(2);
  let noisy = 0;
  for (let round = 0; round < 100; round++) {
    if (sectorsOf(disk.crash(noise, { hasGarbage: true }), 0).includes('?')) noisy++;
  }
  assert.ok(noisy > 0, 'garbage');
});

test('fates are drawn for each write on its own: later kept, earlier dropped, and so on', () => {
  const disk = newDisk();
  for (let dbn = 0; dbn < 3; dbn++) disk.writeSync(dbn, [full(dbn + 1)]);
  const prng = new SeededPrng(3);
  const seen = new Set<string>();
  for (let round = 0; round < 500; round++) {
    const crashed = disk.crash(prng);
    const states = [0, 1, 2].map((dbn) => {
      const sectors = sectorsOf(crashed, dbn);
      if (sectors === String(dbn + 1).repeat(SECTORS)) return 'k';
      return sectors === '0'.repeat(SECTORS) ? 'd' : 't';
    });
    seen.add(states.join(''));
  }
  assert.is(seen.size, 27, [...seen].join(' '));
});

test('what a flush covered survives every crash', () => {
  const disk = newDisk();
  disk.writeSync(0, [full(1)]);
  disk.writeSync(1, [full(2)]);
  disk.flushSync();
  assert.is(disk.pendingWrites().length, 0);
  disk.writeSync(1, [full(3)]);
  const prng = new SeededPrng(4);
  for (let round = 0; round < 50; round++) assert.equal(contentOf(disk.crash(prng), 0), full(1));
  assert.equal(contentOf(disk.snapshotDurable(), 1), full(2));
  assert.equal(contentOf(disk.crashWith([KEEP]), 1), full(3));
  assert.equal(contentOf(disk, 1), full(3), 'the old device is as it was');
});

test('a flush covers only writes that were complete when it started', async () => {
  const { schedule, complete } = manual();
  const disk = newDisk(schedule);
  const done = [
    disk.write(0, [full(1)]), // complete before the flush starts
    disk.write(1, [full(2)]), // in flight when it starts, complete before it ends
    disk.write(2, [full(3)]), // never complete
  ];
  complete(0);
  done.push(disk.flush());
  done.push(disk.write(3, [full(4)])); // after the flush started
  complete(1);
  complete(4);
  complete(3);
  await Promise.all(done.filter((_, index) => index !== 2));
  assert.equal(
    disk.pendingWrites().map((write) => write.offsetBytes / BLOCK_SIZE),
    [1, 3, 2],
  );
  const crashed = disk.snapshotDurable();
  assert.equal(
    [0, 1, 2, 3].map((dbn) => sectorsOf(crashed, dbn)[0]),
    ['1', '0', '0', '0'],
  );
});

test('flushes that overlap never bring older bytes back', async () => {
  const { schedule, complete } = manual();
  const disk = newDisk(schedule);
  disk.writeSync(0, [full(1)]);
  const first = disk.flush();
  disk.writeSync(0, [full(2)]);
  const second = disk.flush();
  complete(1);
  complete(0);
  await Promise.all([first, second]);
  assert.equal(contentOf(disk.snapshotDurable(), 0), full(2));
});

test('a write takes effect when it completes, and late ones overwrite', async () => {
  const { schedule, complete } = manual();
  const disk = newDisk(schedule);
  const late = disk.write(0, [full(1)]);
  assert.equal(contentOf(disk, 0), full(0));
  disk.writeSync(0, [full(2)]);
  complete(0);
  await late;
  assert.equal(contentOf(disk, 0), full(1));
});

test('views that change before completion are found', async () => {
  const { schedule, complete } = manual();
  const disk = newDisk(schedule);
  const view = full(1);
  const write = disk.write(0, [view]);
  view[100] = 0;
  complete(0);
  assert.instance(await failureOf(() => write), InvariantError);
});

test('operations under way at a crash never reach the new device', async () => {
  const { schedule, complete } = manual();
  const disk = newDisk(schedule);
  const write = disk.write(0, [full(1)]);
  const crashed = disk.crashWith([DROP]);
  complete(0);
  await write;
  disk.writeSync(1, [full(2)]);
  assert.equal(contentOf(crashed, 0, 2), full(0, 2));
  crashed.writeSync(2, [full(3)]);
  assert.equal(contentOf(disk, 2), full(0), 'nor the other way');
});

test('clone: the next process sees complete writes, and a power cut still takes them', () => {
  const { schedule } = manual();
  const disk = newDisk(schedule);
  disk.writeSync(0, [full(1)]);
  disk.flushSync();
  disk.writeSync(0, [full(2)]);
  void disk.write(1, [full(3)]);
  disk.close();
  const twin = disk.clone();
  assert.equal(contentOf(twin, 0), full(2));
  assert.equal(contentOf(twin, 1), full(0));
  assert.equal(contentOf(twin.snapshotDurable(), 0), full(1));
  twin.flushSync();
  assert.equal(contentOf(twin.snapshotDurable(), 0), full(2));
});

test('NVRAM is torn at any byte', () => {
  const nvram = new MemoryNvram({ sizeBytes: 4 * BLOCK_SIZE, isCrashable: true });
  nvram.writeSync(BLOCK_SIZE, [full(7)]);
  const lengths = new Set<number>();
  const prng = new SeededPrng(5);
  for (let round = 0; round < 200; round++) {
    const view = new Uint8Array(BLOCK_SIZE);
    nvram.crash(prng).readSync(BLOCK_SIZE, view);
    lengths.add(view.filter((byte) => byte === 7).length);
  }
  assert.ok([...lengths].filter((length) => length % SECTOR_SIZE !== 0).length > 50);
});

test.run();
