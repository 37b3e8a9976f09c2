// The golden volume: a small RAID volume with one of everything, cut off with records in its log.
// Made by a fixed workload with a fixed clock and fixed randomness; `node
// dist/test/golden/make-volume.js` makes it anew where the format is allowed to change, which after
// a release it is not.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { gunzipSync, gzipSync } from 'node:zlib';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { ImageOperations } from '../../host/filesystem/image-operations.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import { InlinePool } from '../../host/kernels/inline-pool.ts';
import { createKernels } from '../../host/kernels/instantiate.ts';
import { diskBlocksFor } from '../../host/raid/format.ts';
import {
  type Engine,
  type EngineOptions,
  formatEngine,
  openEngine,
} from '../../host/volume/engine.ts';
import { type Request, Session } from '../oracle/workload.ts';

export interface GoldenDevices {
  readonly disks: readonly MemoryDisk[];
  readonly nvram: MemoryNvram;
}

const PATH = fileURLToPath(new URL('../../../test/golden/volume.bin.gz', import.meta.url));
const ARENA_SIZE = 12 * 1024 * 1024;
const LOG_SIZE = 6 * 1024 * 1024;
const DISKS = 3;
const USABLE_BLOCKS = 4096;

/** Opens, or makes, the engine over devices. All in the turn: nothing happens behind the caller. */
export function engineOptions(devices: GoldenDevices): EngineOptions {
  const instance = createKernels({ arenaBytes: ARENA_SIZE });
  let ticks = 0;
  const clock = {
    now: () => ({ seconds: 1_767_225_600 + ticks++, nanoseconds: 5 }),
    monotonicMs: () => ticks,
    after: () => ({ cancel() {} }),
  };
  const env = {
    clock,
    prng: new SeededPrng(2026),
    logger: { info() {}, warn() {} },
    pool: new InlinePool(instance.kernels),
  };
  return { devices, instance, env, readOnly: false, degraded: false, isRelaxed: false };
}

export function openGolden(devices: GoldenDevices): Engine {
  return runSync(openEngine(engineOptions(devices)));
}

/** The devices as the workload leaves them, not closed. */
export function makeGolden(): GoldenDevices {
  const blockCount = diskBlocksFor({
    raid: 'raid4',
    diskCount: DISKS,
    usableBlocks: USABLE_BLOCKS,
  });
  const devices = {
    disks: Array.from(
      { length: DISKS },
      (_, index) => new MemoryDisk({ name: `disk-0${index}`, blockCount }),
    ),
    nvram: new MemoryNvram({ name: 'log', sizeBytes: LOG_SIZE }),
  };
  runSync(formatEngine({ ...engineOptions(devices), raid: 'raid4', logBlocks: 0 }));
  workload(openGolden(devices));
  return devices;
}

const CREATE = {
  read: true,
  write: true,
  create: true,
  exclusive: false,
  truncate: true,
  mode: 0o640,
};

function workload({ fs, raid }: Engine): void {
  const session = new Session(new ImageOperations(fs, () => fs.core.image, false));
  const snapshots = new SnapshotOperations(fs);
  const run = (request: Request) => {
    const outcome = session.apply(request).driveSync();
    if ('error' in outcome) throw new Error(`${JSON.stringify(request)}: ${outcome.error}`);
  };
  const write = (path: string, length: number, seed: number) => {
    run({ op: 'writeFile', path, data: { length, seed }, options: CREATE });
  };
  for (const path of ['/many', '/few', '/few/deep']) run({ op: 'mkdir', path, mode: 0o755 });
  for (let index = 0; index < 400; index++) write(`/many/file-${index}`, 0, 0);
  // An interior node, and a free one where a leaf fell empty.
  for (let index = 0; index < 397; index++) run({ op: 'unlink', path: `/many/file-${index}` });
  write('/few/inline', 60, 1);
  write('/few/small', 9000, 2);
  write('/few/deep/sparse', 3000, 3);
  const where = { path: '/few/deep/sparse', followLast: true };
  run({ op: 'truncate', where, size: 50_000_000 });
  run({ op: 'setXattr', where, name: 'user.origin', data: { length: 40, seed: 4 } });
  run({ op: 'setXattr', where, name: 'user.é', data: { length: 0, seed: 0 } });
  run({ op: 'symlink', content: 'few/small', path: '/link' });
  run({ op: 'link', existing: '/few/small', path: '/few/deep/second' });
  runSync(snapshots.create('first'));
  write('/few/small', 9000, 5);
  runSync(snapshots.create('second'));
  // Zeros fill the volume and cost nothing here. Where every other block of them is replaced,
  // stripes are half full, and what is written there later goes through the journal.
  for (let index = 0; index < 11; index++) write(`/zeros-${index}`, 1_000_000, 0);
  fs.requestCp(true)?.driveSync();
  for (let index = 0; index < 3; index++) {
    const options = { ...CREATE, create: false, truncate: false };
    run({ op: 'open', slot: 0, path: `/zeros-${index}`, options });
    for (let fbn = 0; fbn < 240; fbn++) {
      // Of 64 blocks the even ones, of the next 64 the odd ones: those are the other column's.
      if (((fbn ^ (fbn >> 6)) & 1) === 1) continue;
      run({ op: 'write', slot: 0, position: fbn * 4096, data: { length: 4096, seed: 0 } });
    }
    run({ op: 'close', slot: 0 });
    fs.requestCp(true)?.driveSync();
  }
  for (let index = 0; index < 4; index++) fs.requestCp(true)?.driveSync();
  for (let index = 0; index < 40 && raid.stats.stripesJournaled === 0; index++) {
    write(`/late-${index}`, 100_000, 0);
    fs.requestCp(true)?.driveSync();
  }
  if (raid.stats.stripesJournaled === 0) throw new Error('nothing went through the journal');
  // These are in the log only.
  write('/few/logged', 5000, 6);
  run({ op: 'rename', from: '/link', to: '/few/link' });
  runSync(snapshots.hold('first', 1));
}

// The container: a line of JSON with the devices, then the blocks that are not zero, one after the
// other.

interface Content {
  readonly name: string;
  readonly blockCount: number;
  /** Blocks that the device has: from here on nothing was ever written. */
  readonly lengthBlocks: number;
  /** Blocks that are there, ascending. */
  readonly blocks: readonly number[];
}

export function packGolden({ disks, nvram }: GoldenDevices): Uint8Array {
  const contents: Content[] = [];
  const parts: Uint8Array[] = [];
  const add = (size: Omit<Content, 'blocks'>, read: (at: number, view: Uint8Array) => void) => {
    const blocks: number[] = [];
    for (let index = 0; index < size.blockCount; index++) {
      const bytes = new Uint8Array(BLOCK_SIZE);
      read(index, bytes);
      if (bytes.every((byte) => byte === 0)) continue;
      blocks.push(index);
      parts.push(bytes);
    }
    contents.push({ ...size, blocks });
  };
  for (const disk of disks) {
    const { name, blockCount } = disk;
    const size = { name, blockCount, lengthBlocks: disk.lengthBlocks() };
    add(size, (at, view) => disk.readSync(at, [view]));
  }
  const blockCount = LOG_SIZE / BLOCK_SIZE;
  const size = { name: nvram.name, blockCount, lengthBlocks: blockCount };
  add(size, (at, view) => nvram.readSync(at * BLOCK_SIZE, view));
  const head = new TextEncoder().encode(`${JSON.stringify(contents)}\n`);
  return gzipSync(Buffer.concat([head, ...parts]), { level: 9 });
}

function unpackGolden(packed: Uint8Array): GoldenDevices {
  const bytes = gunzipSync(packed);
  const end = bytes.indexOf(0x0a);
  const contents = JSON.parse(bytes.subarray(0, end).toString()) as Content[];
  let next = end + 1;
  const take = () => {
    next += BLOCK_SIZE;
    return bytes.subarray(next - BLOCK_SIZE, next);
  };
  const disks: MemoryDisk[] = [];
  let nvram: MemoryNvram | undefined;
  for (const { name, blockCount, lengthBlocks, blocks } of contents) {
    if (name === 'log') {
      const log = new MemoryNvram({ name, sizeBytes: blockCount * BLOCK_SIZE });
      for (const index of blocks) log.writeSync(index * BLOCK_SIZE, [take()]);
      log.flushSync();
      nvram = log;
      continue;
    }
    const disk = new MemoryDisk({ name, blockCount });
    disk.writeSync(lengthBlocks - 1, [new Uint8Array(BLOCK_SIZE)]);
    for (const index of blocks) disk.writeSync(index, [take()]);
    disk.flushSync();
    disks.push(disk);
  }
  if (nvram === undefined) throw new Error('the golden volume has no log');
  return { disks, nvram };
}

export function readGolden(): GoldenDevices {
  return unpackGolden(readFileSync(PATH));
}

export const GOLDEN_VOLUME_PATH = PATH;
