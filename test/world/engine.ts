// Small engines over devices that tests made: formatted, mounted, read and verified thousands of
// times in one process, on little memory.
//
// What makes a mount cheap: a log with small flushes, so that its scan reads little; an arena that
// is used again, of which only what is reserved is cleared; disks of a few hundred blocks.

import { createHash } from 'node:crypto';
import { zeroBytes } from '../../host/base/bytes.ts';
import type { Clock } from '../../host/base/env.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { type Step, wait } from '../../host/base/task.ts';
import type { Disk, Nvram } from '../../host/device/device.ts';
import { ImageOperations } from '../../host/filesystem/image-operations.ts';
import type { Operations } from '../../host/filesystem/operations.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import { verify } from '../../host/filesystem/verify/verify.ts';
import { Arena } from '../../host/kernels/arena.ts';
import { InlinePool } from '../../host/kernels/inline-pool.ts';
import { createKernels, type KernelInstance } from '../../host/kernels/instantiate.ts';
import { createOracle } from '../../host/kernels/oracle.ts';
import {
  type Engine,
  type EngineOptions,
  formatEngine,
  openEngine,
} from '../../host/volume/engine.ts';
import { listTree, type TreeEntry } from '../oracle/tree.ts';

/** What a volume of the test stands on. */
export interface Setup {
  readonly name: string;
  readonly raid: 'none' | 'raid4';
  readonly diskCount: number;
  /** Blocks of each disk, its front included. */
  readonly blockCount: number;
  readonly logCopies: number;
  /** The disk that is not there once the volume was made. */
  readonly missing?: number;
}

/** Largest flush of a log of this size, which has room for two of them in each half. */
const flushBytesOf = (logBytes: number) => (logBytes - 8192) / 4;
const logBytesFor = (flushBytes: number) => 8192 + 4 * flushBytes;
export const LOG_BYTES = logBytesFor(96 * 1024);
/** For writes of up to 128 KiB that find no whole stripes. */
export const LARGE_LOG_BYTES = logBytesFor(192 * 1024);
const ARENA_BYTES = 8 * 1024 * 1024;
/** More than is reserved of it; the rest are frames, which need not be clean. */
const ARENA_RESERVED = 2 * 1024 * 1024;

/** A clock that is moved by hand, so that both sides see one time. Never fires timers. */
export class TestClock implements Clock {
  ticks = 0;
  now() {
    return { seconds: 1_700_000_000 + this.ticks, nanoseconds: 5 };
  }
  monotonicMs(): number {
    return this.ticks;
  }
  after() {
    return { cancel() {} };
  }
}

const memories = new Map<string, KernelInstance>();

/** An arena whose memory the next call with the same name uses again. */
export function instanceOf(
  name: string,
  options: Pick<MountOptions, 'arenaBytes' | 'kernels'> = {},
): KernelInstance {
  const { arenaBytes = ARENA_BYTES, kernels = 'wasm' } = options;
  const key = `${name} ${kernels} ${arenaBytes}`;
  let made = memories.get(key);
  if (made === undefined) {
    // Nobody shares it, and plain memory is faster to copy.
    made = createKernels({ arenaBytes, kernels, shared: false });
    memories.set(key, made);
  }
  zeroBytes(made.arena.u8, 0, ARENA_RESERVED);
  const arena = new Arena(made.arena.memory);
  return kernels === 'oracle'
    ? { ...made, arena, kernels: createOracle(arena) }
    : { ...made, arena };
}

export interface EngineDevices {
  readonly disks: readonly Disk[];
  readonly nvrams: readonly (Nvram | undefined)[];
}

/** Ends a mount as a crash does: nothing of it goes on in the background. */
export function letGo(engine: Engine): void {
  engine.fs.isQuiet = true;
  engine.fs.core.isClosed = true;
}

export interface MountOptions {
  readonly arena: string;
  readonly clock?: Clock;
  readonly seed?: number;
  readonly readOnly?: boolean;
  readonly isRelaxed?: boolean;
  readonly arenaBytes?: number;
  readonly kernels?: 'wasm' | 'oracle';
}

export function engineOptions(devices: EngineDevices, options: MountOptions): EngineOptions {
  const instance = instanceOf(options.arena, options);
  const log = devices.nvrams.find((nvram) => nvram !== undefined);
  return {
    devices: { disks: devices.disks, nvram: devices.nvrams },
    instance,
    env: {
      clock: options.clock ?? new TestClock(),
      prng: new SeededPrng(options.seed ?? 1),
      logger: { info() {}, warn() {} },
      pool: new InlinePool(instance.kernels),
    },
    readOnly: options.readOnly ?? false,
    degraded: true,
    isRelaxed: options.isRelaxed ?? false,
    logFlushBytesMax: flushBytesOf(log?.sizeBytes ?? LOG_BYTES),
  };
}

export function format(devices: EngineDevices, setup: Setup, options: MountOptions): Step<void> {
  return formatEngine({ ...engineOptions(devices, options), raid: setup.raid, logBlocks: 0 });
}

export function mount(devices: EngineDevices, options: MountOptions): Step<Engine> {
  return openEngine(engineOptions(devices, options));
}

export function operationsOf(engine: Engine): ImageOperations {
  return new ImageOperations(engine.fs, () => engine.fs.core.image, engine.raid.isReadOnly);
}

/** Everything that users see of a volume. */
export interface Contents {
  readonly tree: readonly TreeEntry[];
  readonly snapshots: ReadonlyMap<string, readonly TreeEntry[]>;
}

export function* contentsOf(engine: Engine): Step<Contents> {
  const tree = yield* listTree(operationsOf(engine));
  const table = new SnapshotOperations(engine.fs);
  const snapshots = new Map<string, TreeEntry[]>();
  for (const { name, id, holds } of table.list()) {
    const image: Operations = new ImageOperations(engine.fs, () => table.image(id), true);
    snapshots.set(heldName(name, holds), yield* listTree(image));
  }
  return { tree, snapshots };
}

/** A snapshot as users see it: its name, and what keeps it. */
export function heldName(name: string, holds: number): string {
  return holds === 0 ? name : `${name} (held ${holds})`;
}

/** Equal texts are equal contents. */
export function digestOf(contents: Contents): string {
  const names = [...contents.snapshots.keys()].sort();
  const parts = [contents.tree, ...names.map((name) => contents.snapshots.get(name))];
  const text = `${JSON.stringify(names)}${JSON.stringify(parts)}`;
  return createHash('sha256').update(text).digest('hex').slice(0, 24);
}

/** The first problem that verify has; undefined where there is none. */
export function* problemOf(engine: Engine): Step<string | undefined> {
  const report = yield* verify(engine.fs, {});
  if (report.problemCount === 0) return undefined;
  return `verify: ${report.problemCount} problems, first: ${report.problems[0]?.message}`;
}

/** A change after recovery, to see that life goes on. */
export function* writeAfter(engine: Engine, text: string): Step<void> {
  const data = new TextEncoder().encode(text.repeat(700));
  const options = { read: false, write: true, create: true, truncate: true };
  yield* wait(operationsOf(engine).writeFile('/after', data, options).asIo());
}
