// The world of the tests of replay: a volume of several disks as a crash left it, and its log, to
// be replayed as often as one likes, in order or as a swarm, with the disks' reads completing in an
// order that a seed chooses or a test decides.

import { runSync, type Step, Task, wait } from '../../host/base/task.ts';
import type { BlockRead } from '../../host/device/block-volume.ts';
import type { Schedule } from '../../host/device/memory-device.ts';
import { Columns } from '../../host/filesystem/columns.ts';
import { FileSystem } from '../../host/filesystem/file-system.ts';
import { ImageOperations } from '../../host/filesystem/image-operations.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import { replaySequentially } from '../../host/replay/sequential.ts';
import { replaySwarm, type SwarmOptions, type SwarmReport } from '../../host/replay/swarm.ts';
import { BlockStore, MemoryVolume, testParts } from '../filesystem/memory-volume.ts';
import { type LogRecord, MemoryLog } from '../filesystem/small-world.ts';

export interface Geometry {
  readonly columns: number;
  /** Blocks of each. */
  readonly stripes: number;
  readonly arenaBytes: number;
}

export const GEOMETRY: Geometry = { columns: 5, stripes: 8192, arenaBytes: 16 << 20 };

/** What a crash left: the blocks of the last CP, and the log after it. */
export interface Wreck {
  readonly geometry: Geometry;
  readonly store: BlockStore;
  readonly records: readonly LogRecord[];
}

/** Reads of each disk complete when `schedule` says so. */
class DisksVolume extends MemoryVolume {
  schedule: ((disk: number) => Schedule) | undefined;
  /** Disks that are not there. */
  readonly missing = new Set<number>();
  /** What was read, in order; and what was written until replay was over. */
  readonly readVbns: number[] = [];
  writesBeforeCommit = 0;
  #columns: Columns | undefined;

  diskOf(vbn: number): number {
    this.#columns ??= new Columns(this.spans);
    return this.#columns.indexOf(vbn);
  }

  override *read(requests: readonly BlockRead[]): Step<void> {
    const schedule = this.schedule?.(this.diskOf(requests[0]?.vbn ?? 0));
    yield* wait({
      start: () => (schedule === undefined ? undefined : new Promise<void>(schedule)),
      startSync: () => undefined,
    });
    for (const { vbn } of requests) this.readVbns.push(vbn);
    yield* super.read(requests);
  }

  override isAvailable(vbn?: number): boolean {
    return vbn === undefined || !this.missing.has(this.diskOf(vbn));
  }
}

interface Mounted {
  readonly fs: FileSystem;
  readonly volume: DisksVolume;
}

function partsOf(geometry: Geometry, store: BlockStore, ticks: { now: number }) {
  const { parts } = testParts({ store, ...geometry, seed: 1 });
  const volume = new DisksVolume({ u8: parts.arena.u8, store, ...geometry });
  const now = () => ({ seconds: 1_700_000_000 + ticks.now, nanoseconds: 0 });
  const env = { ...parts.env, clock: { ...parts.env.clock, now } };
  return { parts: { ...parts, volume, env }, volume };
}

/** Makes a wreck: `before` runs and is committed, what `after` does is in the log only. */
export function makeWreck(
  geometry: Geometry,
  before: (scene: Scene) => void,
  after: (scene: Scene) => void,
): Wreck {
  const store = new BlockStore();
  const scene = new Scene(geometry, store);
  before(scene);
  scene.fs.requestCp(true)?.driveSync();
  scene.log();
  const { cpCount } = scene.fs.core;
  after(scene);
  if (scene.fs.core.cpCount !== cpCount) throw new Error('a CP came between: a smaller workload');
  return { geometry, store, records: scene.records };
}

/** A file system at work. */
export class Scene {
  readonly fs: FileSystem;
  readonly operations: ImageOperations;
  readonly snapshots: SnapshotOperations;
  readonly records: LogRecord[] = [];
  readonly #ticks = { now: 0 };

  constructor(geometry: Geometry, store: BlockStore) {
    this.fs = runSync(FileSystem.format(partsOf(geometry, store, this.#ticks).parts));
    this.operations = new ImageOperations(this.fs, () => this.fs.core.image, false);
    this.snapshots = new SnapshotOperations(this.fs);
  }

  /** From here on changes are logged. */
  log(): void {
    this.fs.attachLog(new MemoryLog(this.fs.core, this.records));
  }

  /** One call, driven to its end; then the clock moves on. */
  readonly run = <T>(task: Task<T>): T => {
    const result = task.driveSync();
    this.#ticks.now++;
    return result;
  };
}

export interface Outcome {
  /** The volume after the CP that follows the replay. */
  readonly store: BlockStore;
  readonly report: SwarmReport | undefined;
  readonly fs: FileSystem;
  readonly volume: DisksVolume;
}

export interface ReplayOptions extends SwarmOptions {
  /** By disk: when its reads complete. Default: at once. */
  readonly schedule?: (disk: number) => Schedule;
  readonly missing?: readonly number[];
  readonly records?: readonly LogRecord[];
}

function mountWreck(wreck: Wreck, options: ReplayOptions): Mounted {
  const store = copyOf(wreck.store);
  const { parts, volume } = partsOf(wreck.geometry, store, { now: 1_000_000 });
  const fs = runSync(FileSystem.mount(parts));
  volume.schedule = options.schedule;
  for (const disk of options.missing ?? []) volume.missing.add(disk);
  return { fs, volume };
}

function copyOf(store: BlockStore): BlockStore {
  const copy = new BlockStore();
  for (const [vbn, bytes] of store.blocks) copy.blocks.set(vbn, bytes);
  copy.state = store.state;
  return copy;
}

/** Replays in order, and commits. */
export function replayInOrder(wreck: Wreck): Outcome {
  const { fs, volume } = mountWreck(wreck, {});
  runSync(replaySequentially(fs, wreck.records));
  fs.requestCp(true)?.driveSync();
  return { store: volume.store, report: undefined, fs, volume };
}

/** Replays as a swarm, and commits. */
export async function replayAsSwarm(wreck: Wreck, options: ReplayOptions = {}): Promise<Outcome> {
  const { fs, volume } = mountWreck(wreck, options);
  const records = options.records ?? wreck.records;
  volume.readVbns.length = 0;
  const report = await new Task(replaySwarm(fs, records, options)).result();
  volume.writesBeforeCommit = volume.writeCount;
  await fs.requestCp(true)?.result();
  return { store: volume.store, report, fs, volume };
}

/** Where two volumes differ; undefined: nowhere. */
export function difference(a: BlockStore, b: BlockStore): string | undefined {
  if (!Buffer.from(a.state).equals(b.state)) return 'the roots differ';
  for (const vbn of new Set([...a.blocks.keys(), ...b.blocks.keys()])) {
    const left = a.blocks.get(vbn);
    const right = b.blocks.get(vbn);
    if (left === undefined || right === undefined) return `block ${vbn} is in one of them only`;
    if (!Buffer.from(left).equals(right)) return `block ${vbn} differs`;
  }
  return undefined;
}

/** By entry: the disk of the last block that it reads when it is alone: that of its data. */
export function lastDisks(wreck: Wreck): number[] {
  const { fs, volume } = mountWreck(wreck, {});
  return wreck.records.map((record) => {
    fs.core.cache.forgetClean();
    runSync(replaySequentially(fs, [record]));
    return volume.diskOf(volume.readVbns.at(-1) as number);
  });
}
