// Volumes to be damaged: built once in memory, by the same calls on the engine and on the model, up
// to a crash that leaves records in the log; kept as images of their devices, as they are at the
// end and as they were at some moments before (for what a disk gives that lost a write).

import { isFsError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync, synchronously, type Task } from '../../host/base/task.ts';
import type { Disk, Nvram } from '../../host/device/device.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { ImageOperations } from '../../host/filesystem/image-operations.ts';
import type { Operations } from '../../host/filesystem/operations.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import { Arena } from '../../host/kernels/arena.ts';
import { InlinePool } from '../../host/kernels/inline-pool.ts';
import { createKernels, type KernelInstance } from '../../host/kernels/instantiate.ts';
import {
  closeEngine,
  type Engine,
  type EngineOptions,
  formatEngine,
  openEngine,
} from '../../host/volume/engine.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';

/** What a volume stands on. */
export interface Setup {
  readonly name: string;
  readonly raid: 'none' | 'raid4';
  readonly diskCount: number;
  /** Blocks of each disk, its front included. */
  readonly blockCount: number;
  readonly logCopies: number;
  /** Closed at the end: nothing is left in the log. */
  readonly isClosed?: boolean;
  /** Filled, and some blocks freed again: no stripe is empty, so the stripe journal is used. */
  readonly isCrowded?: boolean;
}

/** Disks first, then the copies of the log. */
export interface Devices {
  readonly disks: readonly MemoryDisk[];
  readonly nvrams: readonly MemoryNvram[];
}

export interface Base {
  readonly setup: Setup;
  readonly devices: Devices;
  /** The same devices at moments before, the oldest first. */
  readonly moments: readonly Devices[];
  /** What users must see: the active file system after each record of the log, the whole of it
   *  last; and the snapshots by name. */
  readonly states: readonly ModelFileSystem[];
  readonly snapshots: ReadonlyMap<string, ModelFileSystem>;
  /** The active file system at each of the moments. */
  readonly commits: readonly ModelFileSystem[];
}

const LOG_BYTES = 4.5 * 1024 * 1024;
const ARENA_BYTES = 8 * 1024 * 1024;
/** More than what is reserved before the frames, which need not be zero. */
const RESERVED_BYTES = 4 * 1024 * 1024;
export const BIG_DIRECTORY_ENTRIES = 300;

let instance: KernelInstance | undefined;

/** The one arena that all mounts of a process use, one after the other. */
function nextInstance(): KernelInstance {
  instance ??= createKernels({ arenaBytes: ARENA_BYTES, shared: false });
  instance.arena.u8.fill(0, 0, RESERVED_BYTES);
  return { ...instance, arena: new Arena(instance.arena.memory) };
}

let ticks = 0;
/** Stands still while the engine and the model do one call. */
const clock = {
  now: () => ({ seconds: 1_700_000_000 + ticks, nanoseconds: 5 }),
  monotonicMs: () => ticks,
  after: () => ({ cancel() {} }),
};

export interface MountOptions {
  readonly readOnly?: boolean;
  readonly seed?: number;
}

function optionsFor(
  devices: { readonly disks: readonly Disk[]; readonly nvrams: readonly (Nvram | undefined)[] },
  options: MountOptions,
): EngineOptions {
  const fresh = nextInstance();
  return {
    devices: { disks: devices.disks, nvram: devices.nvrams },
    instance: fresh,
    env: {
      clock,
      prng: new SeededPrng(options.seed ?? 1),
      logger: { info() {}, warn() {} },
      pool: new InlinePool(fresh.kernels),
    },
    readOnly: options.readOnly ?? false,
    degraded: true,
    isRelaxed: false,
  };
}

/** Mounts in this turn. The engine mounted before must be let go of: they share their memory. */
export function mount(
  devices: { readonly disks: readonly Disk[]; readonly nvrams: readonly (Nvram | undefined)[] },
  options: MountOptions = {},
): Engine {
  const engine = synchronously(() => runSync(openEngine(optionsFor(devices, options))));
  const { frameCount } = engine.fs.core.cache;
  if (frameCount < (ARENA_BYTES - RESERVED_BYTES) / 4096) throw new Error('more is reserved');
  return engine;
}

/** Ends a mount as a crash does: nothing of it goes on in the background. */
export function letGo(engine: Engine): void {
  engine.fs.isQuiet = true;
  engine.fs.core.isClosed = true;
}

export function close(engine: Engine): void {
  synchronously(() => runSync(closeEngine(engine)));
}

/** Runs a call of Operations in this turn. */
export function done<T>(call: () => Task<T>): T {
  return synchronously(() => call().driveSync());
}

export function operationsOf(engine: Engine, snapshot?: string): Operations {
  const { fs, raid } = engine;
  if (snapshot === undefined) return new ImageOperations(fs, () => fs.core.image, raid.isReadOnly);
  const table = new SnapshotOperations(fs);
  const { id } = table.get(snapshot);
  return new ImageOperations(fs, () => table.image(id), true);
}

/** Copies that cost next to nothing until they are written to, open, without faults. */
export function copyOf({ disks, nvrams }: Devices): Devices {
  return {
    disks: disks.map((disk) => disk.clone()),
    nvrams: nvrams.map((nvram) => nvram.clone()),
  };
}

// The story.

const encoder = new TextEncoder();
const CREATE = { read: false, write: true, create: true, truncate: true, mode: 0o640 };

/** Bytes that look like nothing else. */
function noise(seed: number, length: number): Uint8Array {
  return new SeededPrng(seed).bytes(length);
}

/** Calls on the engine, and the same on the model. */
class Both {
  readonly #engine: () => Operations;
  readonly model: ModelFileSystem;

  constructor(engine: () => Operations, model: ModelFileSystem) {
    this.#engine = engine;
    this.model = model;
  }

  do(call: (operations: Operations) => Task<unknown>): void {
    ticks++;
    done(() => call(this.#engine()));
    done(() => call(this.model));
  }

  file(path: string, data: Uint8Array): void {
    this.do((fs) => fs.writeFile(path, data, CREATE));
  }

  patch(path: string, position: number, data: Uint8Array): void {
    ticks++;
    for (const fs of [this.#engine(), this.model] as Operations[]) {
      const file = done(() => fs.open(path, { read: true, write: true }));
      done(() => fs.write(file, data, position));
      done(() => fs.close(file));
    }
  }
}

export function bigName(index: number): string {
  return `entry number ${index} of the large directory`;
}

/** Everything that a tree can have, small. */
function plant(both: Both): void {
  both.do((fs) => fs.mkdir('/dir', 0o755));
  both.do((fs) => fs.mkdir('/dir/sub', 0o700));
  both.do((fs) => fs.mkdir('/big', 0o755));
  both.file('/inline', encoder.encode('a few bytes'));
  both.file('/empty', new Uint8Array(0));
  both.file('/dir/block', noise(1, 4096));
  both.file('/dir/eight', noise(2, 32_000));
  both.file('/dir/sub/level-2', noise(3, 90_000));
  both.file('/dir/sub/level-3', noise(4, 10_000));
  both.patch('/dir/sub/level-3', 9 * 1024 * 1024, noise(5, 5_000));
  both.file('/dir/sub/by-reference', noise(6, 300_000));
  both.do((fs) => fs.symlink('dir/sub', '/short-link'));
  both.do((fs) => fs.symlink(`/${'long/'.repeat(60)}end`, '/dir/long-link'));
  both.do((fs) => fs.link('/dir/block', '/dir/sub/hard'));
  both.do((fs) => fs.setXattr({ path: '/dir/block' }, 'user.one', encoder.encode('1')));
  both.do((fs) => fs.setXattr({ path: '/dir/block' }, 'user.two', noise(7, 900)));
  both.do((fs) => fs.setXattr({ path: '/dir' }, 'user.directory', encoder.encode('x')));
  both.do((fs) => fs.change({ path: '/inline' }, { mode: 0o4711, uid: 7, gid: 8 }));
  for (let index = 0; index < BIG_DIRECTORY_ENTRIES; index++) {
    const path = `/big/${bigName(index)}`;
    if (index % 10 === 0) both.file(path, noise(100 + index, 40 * (index % 7)));
    else both.do((fs) => fs.link('/inline', path));
  }
}

/** Files of one block until there is no more space; then half of them go, so that few stripes fall
 *  empty: consecutive files lie in a column, 64 of them, then in the next. Twice, as the first time
 *  some stripes are left for the maps. */
function crowd(both: Both, commit: () => void): void {
  both.do((fs) => fs.mkdir('/crowd', 0o755));
  for (const round of ['a', 'b']) {
    let count = 0;
    try {
      for (; count < 2_000; count++) both.file(`/crowd/${round}${count}`, noise(count, 4_096));
    } catch (error) {
      if (!isFsError(error, 'ENOSPC')) throw error;
    }
    commit();
    for (let index = 0; index < count; index++) {
      if ((index + (index >> 6)) % 2 === 0) continue;
      both.do((fs) => fs.unlink(`/crowd/${round}${index}`));
    }
    commit();
    commit();
  }
}

function change(both: Both, round: number): void {
  both.file('/inline', encoder.encode(`changed ${round}`));
  both.patch('/dir/eight', 9_000, noise(200 + round, 3_000));
  both.patch('/dir/sub/level-2', 40_000, noise(300 + round, 20_000));
  both.patch('/dir/sub/level-3', 5 * 1024 * 1024, noise(400 + round, 6_000));
  both.do((fs) => fs.unlink(`/big/${bigName(10 * round + 1)}`));
  both.do((fs) => fs.rename(`/big/${bigName(10 * round + 2)}`, `/dir/renamed-${round}`));
  both.file(`/dir/new-${round}`, noise(500 + round, 12_345));
  both.do((fs) => fs.setXattr({ path: '/dir/block' }, 'user.two', noise(600 + round, 700)));
}

/** What only the log holds when the crash comes; gives the model after each record. */
function* tail(both: Both): Generator<ModelFileSystem> {
  yield both.model.clone();
  for (let index = 0; index < 5; index++) {
    both.file(`/dir/late-${index}`, noise(700 + index, 500 + 3_000 * index));
    yield both.model.clone();
    both.patch('/dir/block', 100 * index, noise(800 + index, 50));
    yield both.model.clone();
  }
  both.do((fs) => fs.unlink('/dir/new-1'));
  yield both.model.clone();
  both.do((fs) => fs.rename('/dir/late-1', '/dir/late-0'));
  yield both.model.clone();
  both.do((fs) => fs.mkdir('/late-dir', 0o755));
  yield both.model.clone();
  both.do((fs) => fs.truncate({ path: '/dir/sub/level-2' }, 50_000));
  yield both.model.clone();
  both.do((fs) => fs.setXattr({ path: '/late-dir' }, 'user.late', noise(9, 100)));
  yield both.model.clone();
  both.file('/late-dir/large', new Uint8Array(0));
  yield both.model.clone();
  // By reference: its blocks are on the disks, only their pointers are in the log.
  both.patch('/late-dir/large', 0, noise(10, 280_000));
  yield both.model.clone();
}

export function build(setup: Setup): Base {
  const devices: Devices = {
    disks: Array.from(
      { length: setup.diskCount },
      (_, index) => new MemoryDisk({ name: `disk-${index}`, blockCount: setup.blockCount }),
    ),
    nvrams: Array.from(
      { length: setup.logCopies },
      (_, index) => new MemoryNvram({ name: `log-${index}`, sizeBytes: LOG_BYTES }),
    ),
  };
  const { raid } = setup;
  const format = { ...optionsFor(devices, {}), raid, logBlocks: 0 };
  synchronously(() => runSync(formatEngine(format)));
  const moments: Devices[] = [copyOf(devices)];
  const engine = mount(devices);
  const model = new ModelFileSystem({ now: clock.now });
  const both = new Both(() => operationsOf(engine), model);
  const table = new SnapshotOperations(engine.fs);
  const snapshots = new Map<string, ModelFileSystem>();
  const commits: ModelFileSystem[] = [model.clone()];
  const commit = () => {
    synchronously(() => engine.fs.requestCp(true)?.driveSync());
    moments.push(copyOf(devices));
    commits.push(model.clone());
  };
  const takeSnapshot = (name: string) => {
    ticks++;
    synchronously(() => runSync(table.create(name)));
    snapshots.set(name, model.clone());
  };
  plant(both);
  commit();
  if (setup.isCrowded === true) {
    crowd(both, commit);
  }
  takeSnapshot('first');
  change(both, 0);
  commit();
  takeSnapshot('second');
  takeSnapshot('gone');
  change(both, 1);
  synchronously(() => runSync(table.delete('gone')));
  snapshots.delete('gone');
  commit();
  synchronously(() => runSync(engine.fs.quiesce()));
  change(both, 2);
  commit();
  commit();
  const states = setup.isClosed === true ? [model] : [...tail(both)];
  if (setup.isClosed === true) close(engine);
  else letGo(engine);
  return { setup, devices: copyOf(devices), moments, states, snapshots, commits };
}
