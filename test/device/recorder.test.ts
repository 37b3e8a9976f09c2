// The recording world against the devices that it records, and on a tiny engine with and without a
// flush. If a past moment is rebuilt wrongly, the crash tests of the engine check histories that
// never happened and miss those that do.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import type { Fate } from '../../host/device/crash.ts';
import { DROP, KEEP } from '../../host/device/crash.ts';
import { microtask } from '../../host/device/memory-device.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { MemoryNvram } from '../../host/device/memory-nvram.ts';
import type { Cut, Devices } from '../world/recorder.ts';
import { RecordingWorld } from '../world/recorder.ts';
import { shuffled } from '../world/shuffled.ts';

const test = suite('recording world');
const BLOCKS = 32;
const full = (byte: number, blocks = 1) => new Uint8Array(blocks * BLOCK_SIZE).fill(byte);

function contentOf(device: MemoryDisk | MemoryNvram): Uint8Array {
  const view = new Uint8Array(BLOCKS * BLOCK_SIZE);
  if (device instanceof MemoryDisk) device.readSync(0, [view]);
  else device.readSync(0, view);
  return view;
}

function materialised(cut: Cut, fate: Fate): Uint8Array[] {
  const { disks, nvrams } = cut.materialise({ label: '', fates: cut.writes.map(() => fate) });
  return [...disks, ...nvrams].map(contentOf);
}

test('every past moment is what the devices say of themselves at that moment', async () => {
  const prng = new SeededPrng(1);
  const schedule = shuffled(new SeededPrng(2));
  const world = new RecordingWorld();
  const disks = [0, 1].map((index) =>
    world.disk({ name: `disk-${index}`, blockCount: BLOCKS, schedule }),
  );
  const nvram = world.nvram({ name: 'log', sizeBytes: BLOCKS * BLOCK_SIZE, schedule });
  const devices = [...disks, nvram];
  const crashAll = (fate: Fate) =>
    devices.map((device) => contentOf(device.crashWith(device.pendingWrites().map(() => fate))));
  const moments: { position: number; dropped: Uint8Array[]; kept: Uint8Array[] }[] = [];
  const pending: unknown[] = [];
  for (let round = 0; round < 250; round++) {
    const device = prng.pick(devices);
    const count = 1 + prng.below(3);
    const block = prng.below(BLOCKS - count + 1);
    const place = device instanceof MemoryDisk ? block : block * BLOCK_SIZE;
    if (prng.chance(0.2)) pending.push(device.flush());
    else pending.push(device.write(place, [prng.bytes(count * BLOCK_SIZE)]));
    if (prng.chance(0.5)) await Promise.resolve();
    if (prng.chance(0.1)) await Promise.all(pending);
    if (prng.chance(0.2)) {
      moments.push({ position: world.position, dropped: crashAll(DROP), kept: crashAll(KEEP) });
    }
  }
  await Promise.all(pending);
  assert.ok(moments.length > 30);
  // In random order, so that going back is tried too.
  for (const { position, dropped, kept } of prng.shuffle(moments)) {
    const cut = world.cutAt(position);
    assert.equal(materialised(cut, DROP), dropped, `dropped at ${position}`);
    assert.equal(materialised(cut, KEEP), kept, `kept at ${position}`);
  }
  const pendingCount = devices.flatMap((device) => device.pendingWrites()).length;
  assert.is(world.cutAt(world.position).writes.length, pendingCount);
});

/** Commits that were acknowledged at a position. */
interface Acknowledged {
  readonly position: number;
  readonly commits: number;
}

/** A tiny engine: writes data to the disk, then a commit record to the log. */
function runEngine(world: RecordingWorld, hasFlush: boolean): Acknowledged[] {
  const disk = world.disk({ name: 'disk-0', blockCount: BLOCKS });
  const nvram = world.nvram({ name: 'log', sizeBytes: BLOCKS * BLOCK_SIZE });
  const promises = [{ position: 0, commits: 0 }];
  for (let commit = 1; commit <= 5; commit++) {
    disk.writeSync(commit, [full(commit)]);
    if (hasFlush) disk.flushSync();
    nvram.writeSync(commit * BLOCK_SIZE, [full(commit)]);
    nvram.flushSync();
    promises.push({ position: world.position, commits: commit });
  }
  return promises;
}

/** Commits found; throws where one is there without its data. */
function recoverEngine({ disks, nvrams }: Devices): number {
  const data = contentOf(disks[0] as MemoryDisk);
  const log = contentOf(nvrams[0] as MemoryNvram);
  const blockOf = (bytes: Uint8Array, block: number) =>
    bytes.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE);
  let commits = 0;
  while (blockOf(log, commits + 1).every((byte) => byte === commits + 1)) {
    commits++;
    if (!blockOf(data, commits).every((byte) => byte === commits)) throw new Error('data is lost');
  }
  return commits;
}

function sweep(hasFlush: boolean): { variants: number; violations: string[] } {
  const world = new RecordingWorld();
  const promises = runEngine(world, hasFlush);
  const violations: string[] = [];
  const prng = new SeededPrng(3);
  let variants = 0;
  for (const position of world.cutPositions()) {
    const cut = world.cutAt(position);
    const promised = promises.filter((one) => one.position <= position).at(-1)?.commits as number;
    for (const variant of cut.variants(prng)) {
      variants++;
      try {
        const commits = recoverEngine(cut.materialise(variant));
        if (commits < promised) violations.push(`${position}: ${variant.label}: commit lost`);
      } catch (error) {
        violations.push(`${position}: ${variant.label}: ${(error as Error).message}`);
      }
    }
  }
  return { variants, violations };
}

test('a sweep over all cuts is quiet with the flush, and finds that it is missing', () => {
  const sound = sweep(true);
  assert.equal(sound.violations, []);
  assert.ok(sound.variants > 100, `${sound.variants} variants`);
  const { violations } = sweep(false);
  assert.ok(violations.some((text) => text.includes('data is lost')));
});

test('cut positions: after each write begun and each flush done', () => {
  const world = new RecordingWorld();
  const disk = world.disk({ name: 'disk-0', blockCount: BLOCKS });
  disk.writeSync(0, [full(1)]); // events 1, 2
  disk.writeSync(1, [full(2)]); // 3, 4
  disk.flushSync(); // 5
  assert.equal(world.cutPositions(), [0, 1, 3, 5]);
  assert.equal(world.cutPositions(3), [3, 5]);
  assert.equal(
    [0, 1, 3, 5].map((position) => world.cutAt(position).writes.length),
    [0, 1, 2, 0],
  );
});

test('variants: each fate of each write, labels that tell them apart', () => {
  const world = new RecordingWorld();
  const disk = world.disk({ name: 'disk-0', blockCount: BLOCKS });
  disk.writeSync(0, [full(1)]);
  disk.writeSync(1, [full(2)]);
  const cut = world.cutAt(world.position);
  const variants = [...cut.variants(new SeededPrng(4), { randomCount: 0 })];
  assert.is(new Set(variants.map((variant) => variant.label)).size, variants.length);
  const kinds = new Set(variants.map(({ fates }) => fates.map((fate) => fate.kind).join()));
  for (const kind of ['keep,keep', 'drop,drop', 'keep,drop', 'drop,keep', 'prefix,keep']) {
    assert.ok(kinds.has(kind), kind);
  }
  for (let dbn = 2; dbn < 30; dbn++) disk.writeSync(dbn, [full(3)]);
  const many = [...world.cutAt(world.position).variants(new SeededPrng(5))];
  assert.ok(many.length < 400, `bounded: ${many.length}`);
});

test('crash during recovery: devices of a cut are recorded in their turn', () => {
  const world = new RecordingWorld();
  const disk = world.disk({ name: 'disk-0', blockCount: BLOCKS });
  disk.writeSync(0, [full(1)]);
  disk.flushSync();
  const recovery = new RecordingWorld();
  const cut = world.cutAt(world.position);
  const again = cut.materialise({ label: '', fates: [] }, { world: recovery, schedule: microtask });
  const [recovered] = again.disks as [MemoryDisk];
  recovered.writeSync(1, [full(2)]);
  recovered.flushSync();
  recovered.writeSync(0, [full(3)]);
  const states = recovery
    .cutPositions()
    .map((position) =>
      materialised(recovery.cutAt(position), DROP).map((bytes) => [bytes[0], bytes[BLOCK_SIZE]]),
    );
  assert.equal(states, [[[1, 0]], [[1, 0]], [[1, 2]], [[1, 2]]]);
  assert.is(contentOf(disk)[BLOCK_SIZE], 0, 'the first world is as it was');
});

test.run();
