// Replay of the same log as a swarm and in order: on disks that take 5 ms for each request, one
// after the other; on disks in memory; and on files. The cache is empty, as after a crash.
//
// Each entry overwrites a few bytes within a block of some file, so that the file's inode and the
// block must be read.
//
//   node dist/bench/replay.js [--smoke]

import { closeSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SeededPrng } from '../host/base/prng.ts';
import { type Step, Task } from '../host/base/task.ts';
import type { Disk } from '../host/device/device.ts';
import { MemoryDisk } from '../host/device/memory-disk.ts';
import { MemoryNvram } from '../host/device/memory-nvram.ts';
import { FILE_SYSTEM_SCRATCH_SIZE, FileSystem } from '../host/filesystem/file-system.ts';
import { ImageOperations } from '../host/filesystem/image-operations.ts';
import { InlinePool } from '../host/kernels/inline-pool.ts';
import { createKernels } from '../host/kernels/instantiate.ts';
import { FileDisk } from '../host/node/file-disk.ts';
import { SharedFile } from '../host/node/shared-file.ts';
import { LogMemory } from '../host/nvlog/log-memory.ts';
import { NvLog } from '../host/nvlog/nv-log.ts';
import { RaidVolume } from '../host/raid/raid-volume.ts';
import { replaySequentially } from '../host/replay/sequential.ts';
import { replaySwarm } from '../host/replay/swarm.ts';
import { uuidBytes } from '../host/volume/engine.ts';
import { scanRootOf } from '../host/volume/log-adapter.ts';
import { Volume } from '../host/volume/volume.ts';
import { benchSize, type Measured, type OwnGroup, runSuite } from './harness.ts';
import { BLOCK, inFlight, MIB, randomBlocks, workFolder } from './workload.ts';

const size = benchSize();
const isReal = size === 'real';
/** Seven of them hold data. */
const DISKS = 8;
const LATENCY_MS = 5;
const CACHE_BYTES = isReal ? 512 * MIB : 64 * MIB;
const FILE_BYTES = 5000;
const SAMPLES = 16;
const LANES = 256;
const SLOW = `${DISKS} disks of ${LATENCY_MS} ms a request`;

const env = {
  clock: {
    now: () => ({ seconds: 1_700_000_000, nanoseconds: 0 }),
    monotonicMs: () => performance.now(),
    // No CP comes of itself: all entries are in one log.
    after: () => ({ cancel() {} }),
  },
  prng: new SeededPrng(1),
  logger: { info() {}, warn() {} },
};

interface Crashed {
  readonly disks: readonly MemoryDisk[];
  readonly nvram: MemoryNvram;
  readonly entryCount: number;
}

/** A volume with files, closed to new ones by a crash when its log had so many entries. */
async function crash(entryCount: number): Promise<Crashed> {
  const fileCount = Math.min(entryCount, 20_000);
  const blockCount = Math.ceil((fileCount * 2 + 10_000) / DISKS / 1024 + 4) * 1024;
  const disks = Array.from(
    { length: DISKS },
    (_, index) => new MemoryDisk({ blockCount, name: `disk-${index}` }),
  );
  const nvram = new MemoryNvram({ sizeBytes: 128 * MIB, name: 'log' });
  const devices = { disks, nvram };
  const volume = await Volume.create(devices, { raid: 'raid4', cacheSize: CACHE_BYTES, env });
  const { promises } = volume.fs;
  const data = new Uint8Array(FILE_BYTES).fill(1);
  const name = (index: number) => `/${index % 100}/${index}`;
  for (let index = 0; index < 100; index++) await promises.mkdir(`/${index}`);
  await inFlight(LANES, fileCount, (index) => promises.writeFile(name(index), data));
  await volume.sync();
  await volume.sync();
  const next = randomBlocks(fileCount);
  const handles = new Map<number, Awaited<ReturnType<typeof promises.open>>>();
  // Many at a time: each flush of the log takes a block at least.
  await inFlight(LANES, entryCount, async (entry) => {
    const file = entry < fileCount ? entry : next();
    let handle = handles.get(file);
    if (handle === undefined) {
      handle = await promises.open(name(file), 'r+');
      handles.set(file, handle);
    }
    await handle.write(new Uint8Array(10).fill(entry), 0, 10, 100 + (entry % 1000));
  });
  const crashed = {
    disks: disks.map((disk) => disk.clone()),
    nvram: nvram.clone(),
    entryCount,
  };
  for (const handle of handles.values()) await handle.close();
  await volume.close();
  return crashed;
}

/** A disk that answers one request after the other, each after LATENCY_MS. */
function slowly(disk: Disk): Disk {
  let last: Promise<void> = Promise.resolve();
  return {
    name: disk.name,
    blockCount: disk.blockCount,
    lengthBlocks: () => disk.lengthBlocks(),
    read: (dbn, views) => {
      last = last
        .then(() => new Promise<void>((resolve) => setTimeout(resolve, LATENCY_MS)))
        .then(() => disk.readSync(dbn, views));
      return last;
    },
    readSync: (dbn, views) => disk.readSync(dbn, views),
    write: (dbn, views) => disk.write(dbn, views),
    writeSync: (dbn, views) => disk.writeSync(dbn, views),
    flush: () => disk.flush(),
    flushSync: () => disk.flushSync(),
    close: () => disk.close(),
  };
}

/** The disks as files. */
function asFiles(disks: readonly MemoryDisk[], folder: string): Disk[] {
  return disks.map((disk) => {
    const path = join(folder, disk.name);
    const file = openSync(path, 'w');
    const block = new Uint8Array(BLOCK);
    for (let dbn = 0; dbn < disk.lengthBlocks(); dbn++) {
      disk.readSync(dbn, [block]);
      writeSync(file, block, 0, BLOCK, dbn * BLOCK);
    }
    closeSync(file);
    return new FileDisk({ file: new SharedFile(path), blockCount: disk.blockCount });
  });
}

type Way = 'waferfs swarm' | 'in order';

/** Mounts with an empty cache and replays: entries a second, and what the files hold then. */
async function replay(disks: readonly Disk[], crashed: Crashed, way: Way) {
  const { entryCount } = crashed;
  const { arena, kernels } = createKernels({ arenaBytes: CACHE_BYTES });
  const pool = new InlinePool(kernels);
  const run = <T>(step: Step<T>): Promise<T> => new Task(step).promise();
  const volume = await run(RaidVolume.open({ disks, arena, kernels, pool, env, readOnly: true }));
  const memory = new LogMemory(arena, kernels);
  const scratch = arena.reserve(FILE_SYSTEM_SCRATCH_SIZE);
  const parts = { volume, arena, kernels, env: { ...env, pool }, frames: arena.seal(), scratch };
  const fs = await run(FileSystem.mount(parts));
  const nvlog = await run(
    NvLog.open([crashed.nvram.clone()], memory, { volumeUuid: uuidBytes(volume.uuid) }),
  );
  const { records } = await run(nvlog.scan(scanRootOf(fs.core.state)));
  const startMs = performance.now();
  if (way === 'in order') await run(replaySequentially(fs, records));
  else await run(replaySwarm(fs, records));
  if (records.length < entryCount) throw new Error(`${records.length} entries are in the log`);
  const perSecond = (records.length / (performance.now() - startMs)) * 1000;
  return { perSecond, result: `${records.length} ${await sampleOf(fs)}` };
}

/** Contents and times of some files. */
async function sampleOf(fs: FileSystem): Promise<string> {
  const operations = new ImageOperations(fs, () => fs.core.image, true);
  const texts: string[] = [];
  for (let index = 0; index < SAMPLES; index++) {
    const target = { path: `/${index}/${index}`, followLast: true };
    const bytes = await operations.readFile(target).promise();
    const { mtime } = await operations.attributes(target).promise();
    texts.push(`${bytes.join('')} ${mtime.seconds}`);
  }
  return texts.join(' ');
}

/** How long a log is, as the groups' names say it. */
const LENGTHS = {
  short: isReal ? 1000 : 60,
  middle: isReal ? 10_000 : 120,
  long: isReal ? 100_000 : 200,
} as const;
type Length = keyof typeof LENGTHS;

function group(length: Length, kind: string, disksOf: (crashed: Crashed) => Disk[]): OwnGroup {
  const entryCount = LENGTHS[length];
  return {
    name: `replay of a ${length} log, ${kind}`,
    unit: '/s',
    async measure() {
      const crashed = await crash(entryCount);
      console.log(`  ${entryCount} entries`);
      const measured: Measured[] = [];
      for (const way of ['waferfs swarm', 'in order'] as const) {
        const { perSecond, result } = await replay(disksOf(crashed), crashed, way);
        const case_ = { case: way, kind: way === 'in order' ? 'peer' : 'ours' } as const;
        measured.push({ ...case_, value: perSecond, result });
      }
      return measured;
    },
  };
}

const folder = workFolder();
const inMemory = ({ disks }: Crashed): Disk[] => disks.map((disk) => disk.clone());
const slow = (crashed: Crashed): Disk[] => inMemory(crashed).map(slowly);
const inFiles = ({ disks }: Crashed): Disk[] => asFiles(disks, folder);

const lengths: readonly Length[] = ['short', 'middle', 'long'];
await runSuite(
  'replay',
  [
    ...lengths.slice(0, 2).map((length) => () => group(length, SLOW, slow)),
    ...lengths.map((length) => () => group(length, `${DISKS} disks in memory`, inMemory)),
    ...lengths.map((length) => () => group(length, `${DISKS} disks in files`, inFiles)),
  ],
  size,
);
