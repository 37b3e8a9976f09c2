// Durable commits through volume.fs: 4 KiB writes at random places of a file, so many in flight at
// a time; beside them the same bytes by writev and fdatasync, in as many copies. In a burst that
// fits in a log half; sustained over several consistency points; and what the slowest calls take
// while a consistency point runs or a snapshot is deleted.
//
//   node dist/bench/commit.js [--smoke]

import { join } from 'node:path';
import { Volume } from '../host/node.ts';
import { percentile } from './figures.ts';
import { type BenchSize, benchSize, type Measured, type OwnGroup, runSuite } from './harness.ts';
import { openRawLog, type RawLog } from './raw.ts';
import {
  BLOCK,
  digestOfFile,
  fillFile,
  inFlight,
  inTurns,
  MIB,
  randomBlocks,
  Stamped,
  timed,
  workFolder,
} from './workload.ts';

interface Layout {
  readonly name: string;
  readonly options: { readonly disks: number };
  /** Of the log. */
  readonly copies: number;
}

const LAYOUTS: readonly Layout[] = [
  { name: 'one file', options: { disks: 1 }, copies: 1 },
  { name: 'raid4 of six', options: { disks: 6 }, copies: 2 },
];

interface Sizes {
  readonly logSize: string;
  readonly cacheSize: string;
}
const WIDE: Sizes = { logSize: '256MiB', cacheSize: '512MiB' };
const DEFAULTS: Sizes = { logSize: '64MiB', cacheSize: '64MiB' };
const SMALL: Sizes = { logSize: '16MiB', cacheSize: '16MiB' };
const RAW = 'writev + fdatasync';

type Handle = Awaited<ReturnType<Volume['fs']['promises']['open']>>;

const size: BenchSize = benchSize();
const isReal = size === 'real';
const FILE_BYTES = isReal ? 64 * MIB : MIB;
const folder = workFolder();
let serial = 0;

/** A volume with a file in it, and the raw files beside it. */
class Bench {
  readonly layout: Layout;
  readonly volume: Volume;
  readonly raw: RawLog;
  readonly blocks = new Stamped(256);
  readonly #handle: Handle;
  readonly #next = randomBlocks(FILE_BYTES / BLOCK);
  #stamp = 0;

  private constructor(layout: Layout, volume: Volume, raw: RawLog, handle: Handle) {
    this.layout = layout;
    this.volume = volume;
    this.raw = raw;
    this.#handle = handle;
  }

  static async open(layout: Layout, options: Sizes): Promise<Bench> {
    const where = join(folder, `volume-${serial++}`);
    const sizes = isReal ? options : SMALL;
    const volume = await Volume.create(where, { size: '1GiB', ...layout.options, ...sizes });
    await fillFile(volume.fs, '/file', FILE_BYTES);
    await volume.sync();
    const handle = await volume.fs.promises.open('/file', 'r+');
    const paths = Array.from({ length: layout.copies }, (_, copy) => `${where}-raw-${copy}`);
    return new Bench(layout, volume, openRawLog(paths, isReal ? 64 * MIB : 4 * MIB), handle);
  }

  /** `total` durable writes; the time that each took in `times`. */
  async write(lanes: number, total: number, times?: number[]): Promise<void> {
    await inFlight(lanes, total, async (_, lane) => {
      const block = this.blocks.get(lane, this.#stamp++);
      const start = performance.now();
      await this.#handle.write(block, 0, BLOCK, this.#next() * BLOCK);
      times?.push(performance.now() - start);
    });
  }

  async writeRaw(lanes: number, total: number, times?: number[]): Promise<void> {
    for (let done = 0; done < total; done += lanes) {
      const count = Math.min(lanes, total - done);
      const group = Array.from({ length: count }, (_, i) => this.blocks.get(i, this.#stamp++));
      const start = performance.now();
      await this.raw.commit(group);
      times?.push(performance.now() - start);
    }
  }

  digest(): Promise<string> {
    return digestOfFile(this.volume.fs, '/file');
  }

  async close(): Promise<void> {
    await this.#handle.close();
    await this.volume.close();
    this.raw.close();
  }
}

/** Volumes that groups share. */
const benches = new Map<Sizes, Bench>();

async function benchOf(layout: Layout, sizes: Sizes): Promise<Bench> {
  const there = benches.get(sizes);
  if (there?.layout === layout) return there;
  await there?.close();
  const bench = await Bench.open(layout, sizes);
  benches.set(sizes, bench);
  return bench;
}

/** Bursts, each after a consistency point: none falls into them. */
function burstGroup(layout: Layout, lanes: number): OwnGroup {
  const total = isReal ? (lanes === 1 ? 1000 : 8192) : 2 * lanes;
  return {
    name: `${layout.name}: burst of 4 KiB writes, ${lanes} in flight`,
    unit: '/s',
    async measure() {
      const bench = await benchOf(layout, WIDE);
      const perSecond = (ms: number) => total / (ms / 1000);
      const run = async () => {
        await bench.volume.sync();
        return perSecond(await timed(() => bench.write(lanes, total)));
      };
      const runRaw = async () => perSecond(await timed(() => bench.writeRaw(lanes, total)));
      const [ours, raw] = await inTurns(isReal ? 7 : 1, [run, runRaw]);
      return [
        { case: 'waferfs', kind: 'ours', value: ours!, result: await bench.digest() },
        { case: RAW, kind: 'bound', value: raw! },
      ];
    },
  };
}

function singleGroup(layout: Layout): OwnGroup {
  return {
    name: `${layout.name}: p50 of one write at a time`,
    unit: 'ms',
    async measure() {
      const bench = await benchOf(layout, WIDE);
      const run = async (write: 'write' | 'writeRaw') => {
        const times: number[] = [];
        await bench[write](1, isReal ? 1000 : 10, times);
        return percentile(times, 50);
      };
      const runs = [() => run('write'), () => run('writeRaw')];
      const [ours, raw] = await inTurns(isReal ? 5 : 1, runs);
      return [
        { case: 'waferfs', kind: 'ours', value: ours!, result: await bench.digest() },
        { case: RAW, kind: 'bound', value: raw! },
      ];
    },
  };
}

/** As the volume is by default, for so long that consistency points are part of it. */
function sustainedGroup(layout: Layout): OwnGroup {
  const total = isReal ? 100_000 : 200;
  return {
    name: `${layout.name}: sustained 4 KiB writes, 64 in flight`,
    unit: '/s',
    async measure() {
      const bench = await benchOf(layout, DEFAULTS);
      const before = bench.volume.stats().consistencyPointCount;
      const ms = await timed(() => bench.write(64, total));
      const cps = bench.volume.stats().consistencyPointCount - before;
      const rawMs = await timed(() => bench.writeRaw(64, total));
      console.log(`  ${layout.name}: ${total} writes over ${cps} consistency points`);
      return [
        { case: 'waferfs', kind: 'ours', value: total / (ms / 1000), result: await bench.digest() },
        { case: RAW, kind: 'bound', value: total / (rawMs / 1000) },
      ];
    },
  };
}

const LATENCY_LANES = 16;

/** Times of writes while `beside` goes on (none: while nothing does). */
async function timesBeside(bench: Bench, beside?: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  let isOver = false;
  const other = async (): Promise<void> => {
    while (!isOver && beside !== undefined) await beside();
  };
  const write = async (): Promise<void> => {
    await bench.write(LATENCY_LANES, isReal ? 20_000 : 64, times);
    isOver = true;
  };
  await Promise.all([other(), write()]);
  return times;
}

/** Takes a snapshot that holds blocks, and deletes it: its blocks are freed beside the writes. */
async function snapshotAndDelete({ volume }: Bench, name: string): Promise<void> {
  await volume.snapshots.create(name);
  await new Promise((resolve) => setTimeout(resolve, 20));
  await volume.snapshots.delete(name);
}

/** p99.9 with something beside, and p99 with nothing. */
function latencyGroup(
  layout: Layout,
  label: string,
  beside: (bench: Bench) => Promise<unknown>,
): OwnGroup {
  const row = (name: string, times: number[], percent: number): Measured => ({
    case: name,
    kind: name === 'with' ? 'ours' : 'bound',
    value: percentile(times, percent),
  });
  return {
    name: `${layout.name}: p99.9 of writes, 16 in flight, with ${label}; p99 without`,
    unit: 'ms',
    async measure() {
      const bench = await benchOf(layout, WIDE);
      await bench.volume.sync();
      const without = await timesBeside(bench);
      await bench.volume.sync();
      const times = await timesBeside(bench, () => beside(bench));
      const [first, ...others] = [row('with', times, 99.9), row('without', without, 99)];
      return [
        { ...first!, result: await bench.digest() },
        ...others,
        row('with: p50', times, 50),
        row('with: p99', times, 99),
        row('without: p50', without, 50),
        row('without: p99.9', without, 99.9),
      ];
    },
  };
}

let snapshots = 0;

await runSuite(
  'commit',
  LAYOUTS.flatMap((layout) => [
    ...[1, 16, 64, 256].map((lanes) => () => burstGroup(layout, lanes)),
    () => singleGroup(layout),
    () => sustainedGroup(layout),
    () => latencyGroup(layout, 'consistency points', ({ volume }) => volume.sync()),
    () => {
      const beside = (bench: Bench) => snapshotAndDelete(bench, `s${snapshots++}`);
      return latencyGroup(layout, 'a snapshot deletion', beside);
    },
  ]),
  size,
);
for (const bench of benches.values()) await bench.close();
