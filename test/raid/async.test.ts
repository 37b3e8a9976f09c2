// Writes and reads under way at once, completed in any order, with sync calls that overtake them.
// An overtaken write lands at any later time: it must never land on bytes that were written after
// it.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import type { KernelJob, ThreadPool } from '../../host/base/env.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync, Task } from '../../host/base/task.ts';
import type { BlockRead, BlockWrite } from '../../host/device/block-volume.ts';
import type { Fate } from '../../host/device/crash.ts';
import { microtask, type Schedule } from '../../host/device/memory-device.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { runJob } from '../../host/kernels/inline-pool.ts';
import { createKernels } from '../../host/kernels/instantiate.ts';
import { formatVolume } from '../../host/raid/format.ts';
import { RaidVolume } from '../../host/raid/raid-volume.ts';
import { shuffled } from '../world/shuffled.ts';
import type { Block } from './helpers.ts';
import {
  allVbns,
  clock,
  cpOf,
  fillBlock,
  format,
  newDisks,
  open,
  readBlocks,
  stateOf,
  testSeed,
} from './helpers.ts';

const SEED = testSeed();
const STEPS = 200;
const STRIPES = 48;
const FRAMES = 600;

class World {
  readonly prng: SeededPrng;
  readonly disks: MemoryDisk[];
  readonly instance = createKernels({ arenaBytes: 5 * 1024 * 1024 });
  readonly volume: RaidVolume;
  readonly live = new Map<number, Block>();
  readonly first: number;
  readonly sum: number;
  /** Frames and stripes that something under way uses. */
  readonly busyFrames = new Set<number>();
  readonly busyStripes = new Set<number>();
  overtaken = 0;

  constructor(seed: number, pool?: ThreadPool, given?: Schedule) {
    this.prng = new SeededPrng(seed);
    const schedule = given ?? shuffled(this.prng.fork());
    this.disks = [0, 1, 2, 3].map(
      (index) => new MemoryDisk({ name: `memory-${index}`, blockCount: 448, schedule }),
    );
    const { arena, kernels } = this.instance;
    const env = { clock, prng: this.prng };
    const { disks } = this;
    const inline: ThreadPool = {
      threads: 1,
      jobCount: 0,
      run: async () => [],
      close: async () => {},
    };
    runSync(formatVolume({ disks, raid: 'raid4', env, arena, kernels, initialState: stateOf(0) }));
    this.volume = runSync(RaidVolume.open({ disks, arena, kernels, pool: pool ?? inline, env }));
    this.sum = arena.reserve(8);
    this.first = arena.reserve(FRAMES * BLOCK_SIZE, BLOCK_SIZE);
  }

  stripeOf(vbn: number): number {
    return vbn % 1024;
  }

  frame(): number {
    for (;;) {
      const frame = this.first + this.prng.below(FRAMES) * BLOCK_SIZE;
      if (!this.busyFrames.has(frame)) return frame;
    }
  }

  /** Blocks to write, at places that no write under way is near: as the allocator chooses. */
  choose(count: number): { writes: BlockWrite[]; blocks: Map<number, Block> } {
    const free = allVbns(this.volume).filter((vbn) => {
      const stripe = this.stripeOf(vbn);
      if (stripe >= STRIPES || this.busyStripes.has(stripe)) return false;
      return !this.live.has(vbn) && !this.volume.isWriteInFlight(vbn, 1);
    });
    return this.prepare(this.prng.shuffle(free).slice(0, count));
  }

  prepare(vbns: readonly number[]): { writes: BlockWrite[]; blocks: Map<number, Block> } {
    const blocks = new Map<number, Block>();
    const writes: BlockWrite[] = [];
    const { arena, kernels } = this.instance;
    for (const vbn of vbns) {
      const address = this.frame();
      this.busyFrames.add(address);
      const seed = this.prng.u32();
      fillBlock(arena.bytes(address, BLOCK_SIZE), seed);
      kernels.xxhash64(address, BLOCK_SIZE, this.sum);
      blocks.set(vbn, {
        seed,
        low: arena.u32[this.sum / 4] as number,
        high: arena.u32[this.sum / 4 + 1] as number,
      });
      writes.push({ vbn, address });
    }
    return { writes, blocks };
  }

  readonly liveness = {
    isLive: (vbn: number, count: number) => {
      for (let at = vbn; at < vbn + count; at++) if (this.live.has(at)) return true;
      return false;
    },
  };

  async writeLater(): Promise<void> {
    const { writes, blocks } = this.choose(1 + this.prng.below(20));
    const stripes = writes.map(({ vbn }) => this.stripeOf(vbn));
    for (const stripe of stripes) this.busyStripes.add(stripe);
    await Task.start(this.volume.write(writes, this.liveness)).promise();
    for (const stripe of stripes) this.busyStripes.delete(stripe);
    for (const [vbn, block] of blocks) this.live.set(vbn, block);
    // Overtaken, the first writes may still be on their way: the frames must stay as they are.
    while (writes.some(({ vbn }) => this.volume.isWriteInFlight(vbn, 1))) await Promise.resolve();
    for (const { address } of writes) this.busyFrames.delete(address);
  }

  writeNow(): void {
    const { writes, blocks } = this.choose(1 + this.prng.below(20));
    runSync(this.volume.write(writes, this.liveness));
    for (const [vbn, block] of blocks) this.live.set(vbn, block);
    for (const { address } of writes) this.busyFrames.delete(address);
    if (allVbns(this.volume).some((vbn) => this.volume.isWriteInFlight(vbn, 1))) this.overtaken++;
  }

  writeAt(vbns: readonly number[]): void {
    const { writes, blocks } = this.prepare(vbns);
    runSync(this.volume.write(writes, this.liveness));
    for (const [vbn, block] of blocks) this.live.set(vbn, block);
  }

  reads(): { requests: BlockRead[]; check: () => void } {
    const chosen = this.prng.shuffle([...this.live]).slice(0, 10);
    const requests = chosen.map(([vbn, { low, high }]): BlockRead => {
      const address = this.frame();
      this.busyFrames.add(address);
      return { vbn, checksumLow: low, checksumHigh: high, address };
    });
    const expected = new Uint8Array(BLOCK_SIZE);
    const check = () => {
      requests.forEach(({ error, address, vbn }, index) => {
        assert.is(error, undefined, `vbn ${vbn}: ${error?.message}`);
        fillBlock(expected, (chosen[index] as [number, Block])[1].seed);
        assert.equal(this.instance.arena.bytes(address, BLOCK_SIZE), expected);
        this.busyFrames.delete(address);
      });
    };
    return { requests, check };
  }
}

async function run(
  seed: number,
  how: { missing?: number; pool?: ThreadPool } = {},
): Promise<World> {
  const world = new World(seed, how.pool);
  const { volume, prng } = world;
  if (how.missing !== undefined) runSync(volume.failDisk(how.missing));
  const pending = new Set<Promise<void>>();
  const keep = (promise: Promise<void>) => {
    const kept = promise.finally(() => pending.delete(kept));
    pending.add(kept);
  };
  for (let step = 0; step < STEPS; step++) {
    const kind = prng.below(10);
    if (kind < 4) keep(world.writeLater());
    else if (kind < 6) world.writeNow();
    else if (kind < 7) {
      const { requests, check } = world.reads();
      keep(Task.start(volume.read(requests)).promise().then(check));
    } else if (kind < 8) {
      const { requests, check } = world.reads();
      runSync(volume.read(requests));
      check();
    } else if (kind < 9) keep(Task.start(volume.flush()).promise());
    for (let turns = prng.below(prng.pick([2, 8, 30])); turns > 0; turns--) await Promise.resolve();
    if (world.live.size > 90 || step % 40 === 39) {
      await Promise.all(pending);
      for (const vbn of prng.shuffle([...world.live.keys()]).slice(0, 60)) world.live.delete(vbn);
      await Task.start(volume.writeRoot(stateOf(step), clock.now())).promise();
    }
  }
  await Promise.all(pending);
  // What was overtaken lands now, if it has not.
  for (let turns = 0; turns < 1000; turns++) await Promise.resolve();
  runSync(volume.writeRoot(stateOf(999), clock.now()));
  return world;
}

test('any order of completion, any sync call in between', async () => {
  let overtaken = 0;
  for (let seed = SEED; seed < SEED + 6; seed++) {
    const world = await run(seed);
    overtaken += world.overtaken;
    for (let lost = 0; lost < 4; lost++) {
      const rest = world.disks.filter((_, index) => index !== lost);
      const volume = open(rest, { readOnly: true });
      assert.equal(readBlocks(volume, world.live), [], `seed ${seed}, disk ${lost} lost`);
    }
  }
  console.log(`  ${overtaken} sync writes came upon writes under way`);
  assert.ok(overtaken > 10);
});

test('a sync call by itself leaves nothing in flight', () => {
  const world = new World(SEED + 300);
  world.writeNow();
  world.writeNow();
  runSync(world.volume.writeRoot(stateOf(1), clock.now()));
  assert.is(world.overtaken, 0);
});

test('the same while degraded', async () => {
  for (let missing = 0; missing < 4; missing++) {
    const world = await run(SEED + 100 + missing, { missing });
    const volume = open(
      world.disks.filter((_, index) => index !== missing),
      { readOnly: true },
    );
    assert.equal(readBlocks(volume, world.live), [], `disk ${missing} missing`);
  }
});

test('what is on a missing disk is read while its stripe is being replaced', async () => {
  // A write of three stripes, each with a live block on the missing disk, is stopped after so many
  // completions; then that block is read, and the rest completes in any order.
  for (let round = 0; round < 240; round++) {
    const prng = new SeededPrng(SEED + round);
    const waiting: (() => void)[] = [];
    const schedule: Schedule = (complete) => void waiting.push(complete);
    const world = new World(SEED + round, undefined, schedule);
    const { volume } = world;
    const turns = async () => {
      for (let turn = 0; turn < 40; turn++) await Promise.resolve();
    };
    for (const vbn of [1024, 1025, 1026]) world.writeAt([vbn]);
    runSync(volume.failDisk(0));
    const { writes } = world.prepare([2048, 2049, 2050]);
    const write = Task.start(volume.write(writes, world.liveness)).promise();
    for (let stop = prng.below(16); stop > 0 && waiting.length > 0; stop--) {
      waiting.splice(prng.below(waiting.length), 1)[0]?.();
      await turns();
    }
    const { requests, check } = world.reads();
    const read = Task.start(volume.read(requests)).promise();
    while (waiting.length > 0) {
      waiting.splice(prng.below(waiting.length), 1)[0]?.();
      await turns();
    }
    await write;
    await read;
    check();
  }
});

test('two writes to a live stripe at once; one overtaken in the journal', async () => {
  const waiting: (() => void)[] = [];
  const world = new World(SEED + 400, undefined, (complete) => void waiting.push(complete));
  const { volume } = world;
  const turns = async () => {
    for (let turn = 0; turn < 40; turn++) await Promise.resolve();
  };
  world.writeAt([1024, 1030]);
  const parts = [[2048], [3072]].map((vbns) => world.prepare(vbns));
  const tasks = parts.map(({ writes }) => Task.start(volume.write(writes, world.liveness)));
  while (waiting.length > 0) {
    waiting.shift()?.();
    await turns();
  }
  for (const task of tasks) await task.promise();
  // The label and old blocks are read; the entry is on its way to the journal: then a sync call
  // takes over.
  const late = world.prepare([2054]);
  const task = Task.start(volume.write(late.writes, world.liveness));
  for (const _ of ['label', 'old blocks']) {
    for (const complete of waiting.splice(0)) complete();
    await turns();
  }
  assert.is(waiting.length, 2);
  assert.not(task.isSettled);
  runSync(volume.flush());
  assert.ok(volume.isWriteInFlight(2054, 1), 'the journal write still reads the frame');
  for (const complete of waiting.splice(0)) complete();
  await turns();
  await task.promise();
  assert.not(volume.isWriteInFlight(2054, 1));
  for (const { blocks } of [...parts, late]) {
    for (const [vbn, block] of blocks) world.live.set(vbn, block);
  }
  for (let lost = 0; lost < 4; lost++) {
    const rest = world.disks.filter((_, index) => index !== lost);
    assert.equal(readBlocks(open(rest, { readOnly: true }), world.live), [], `disk ${lost} lost`);
  }
});

test('a frame that an overtaken read will still fill is not trusted', async () => {
  const world = new World(SEED + 200);
  const { volume, disks, instance } = world;
  world.writeNow();
  const [vbn, { low, high, seed }] = [...world.live].find(([at]) => at < 2048) as [number, Block];
  const at = (vbn - 1024 + volume.front.dataFirst) * BLOCK_SIZE;
  disks[0]?.corrupt(at + 77, Uint8Array.of(4));
  const address = world.frame();
  const request = (): BlockRead => ({ vbn, checksumLow: low, checksumHigh: high, address });
  const later = request();
  const task = Task.start(volume.read([later]));
  const now = request();
  runSync(volume.read([now]));
  assert.ok(now.error, 'the late read would put the rot back');
  await task.promise();
  assert.is(later.error, undefined);
  const again = request();
  runSync(volume.read([again]));
  assert.is(again.error, undefined);
  const expected = new Uint8Array(BLOCK_SIZE);
  fillBlock(expected, seed);
  assert.equal(instance.arena.bytes(address, BLOCK_SIZE), expected);
});

test('[ENGINE 5] an overtaken root is durable, whatever the late write tears', async () => {
  for (const raid of ['none', 'raid4'] as const) {
    const made = newDisks({ count: raid === 'none' ? 1 : 3, blockCount: 448, isCrashable: true });
    format(made, raid);
    const held: (() => void)[] = [];
    const schedule: Schedule = (complete) => void held.push(complete);
    const disks = made.map((disk) => disk.snapshotDurable({ schedule }));
    const volume = open(disks);
    const { rootFirst, rootBlocks } = volume.front;
    const isRoot = ({ offsetBytes }: { offsetBytes: number }) => {
      const dbn = offsetBytes / BLOCK_SIZE;
      return dbn >= rootFirst && dbn < rootFirst + rootBlocks;
    };
    const isUnderWay = () => disks.every((disk) => disk.pendingWrites().some(isRoot));
    const task = new Task(volume.writeRoot(stateOf(2), clock.now()));
    for (let step = 0; !isUnderWay(); step++) {
      assert.ok(step < 100 && !task.isSettled, 'a root is being written');
      held.shift()?.();
      await new Promise((resolve) => setImmediate(resolve));
    }
    task.driveSync();
    const gone: Fate = { kind: 'zeros', sectors: 0 };
    const crashed = disks.map((disk) => {
      const fates = disk.pendingWrites().map(() => gone);
      assert.ok(fates.length > 0, 'a write is still in flight');
      return disk.crashWith(fates, { schedule: microtask });
    });
    assert.is(cpOf(open(crashed)), 2, raid);
    for (const complete of held) complete();
    const after = disks.map((disk) => disk.snapshotDurable({ schedule: microtask }));
    assert.is(cpOf(open(after)), 2, `${raid}: the late write landed`);
  }
});

test('large full-stripe writes give their parity to the thread pool', async () => {
  const jobs: KernelJob[] = [];
  const instance = createKernels({ arenaBytes: 48 * 1024 * 1024 });
  const { arena, kernels } = instance;
  const pool: ThreadPool = {
    threads: 2,
    jobCount: 0,
    async run(given) {
      await Promise.resolve();
      jobs.push(...given);
      return given.map((job) => runJob(kernels, job));
    },
    async close() {},
  };
  const prng = new SeededPrng(SEED);
  const disks = [0, 1, 2, 3, 4, 5].map(
    (index) => new MemoryDisk({ name: `memory-${index}`, blockCount: 2048 }),
  );
  const env = { clock, prng };
  runSync(formatVolume({ disks, raid: 'raid4', env, arena, kernels, initialState: stateOf(0) }));
  const volume = runSync(RaidVolume.open({ disks, arena, kernels, pool, env }));
  const first = arena.reserve(2000 * BLOCK_SIZE, BLOCK_SIZE);
  const sum = arena.reserve(8);
  const image = new Map<number, Block>();
  const writes = (volume.spans[0]?.columns ?? []).flatMap((column, place) =>
    Array.from({ length: 400 }, (_, stripe): BlockWrite => {
      const address = first + (place * 400 + stripe) * BLOCK_SIZE;
      const seed = prng.u32();
      fillBlock(arena.bytes(address, BLOCK_SIZE), seed);
      kernels.xxhash64(address, BLOCK_SIZE, sum);
      image.set(column + stripe, {
        seed,
        low: arena.u32[sum / 4] as number,
        high: arena.u32[sum / 4 + 1] as number,
      });
      return { vbn: column + stripe, address };
    }),
  );
  await Task.start(volume.write(writes, { isLive: () => false })).promise();
  assert.is(volume.stats.poolJobs, jobs.length);
  assert.ok(jobs.length >= 4);
  runSync(volume.flush());
  for (let lost = 0; lost < 6; lost++) {
    const rest = disks.filter((_, index) => index !== lost);
    assert.equal(readBlocks(open(rest, { readOnly: true }), image), []);
  }
});

test.run();
