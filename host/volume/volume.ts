// The volume: what a program opens. The one place where the engine's parts meet the face.
//
// Portable: over devices that the caller gives. host/node.ts adds paths, file disks, locks and
// threads.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { VOLUME_FORMAT_VERSION } from '../../assembly/layout/volume-root.ts';
import { StorageError } from '../base/errors.ts';
import { platformClock, platformPrng, silentLogger } from '../base/platform.ts';
import { type Step, Task } from '../base/task.ts';
import type { Instant } from '../base/units.ts';
import { MemoryDisk } from '../device/memory-disk.ts';
import { MemoryNvram } from '../device/memory-nvram.ts';
import type { Image } from '../filesystem/image.ts';
import { ImageOperations } from '../filesystem/image-operations.ts';
import type { Operations } from '../filesystem/operations.ts';
import { rollBack } from '../filesystem/rollback.ts';
import { SnapshotOperations } from '../filesystem/snapshot-operations.ts';
import { type VerifyReport, verify } from '../filesystem/verify/verify.ts';
import type { SnapshotEntry } from '../format/snapshot.ts';
import { createFs } from '../fs/create-fs.ts';
import type { VolumeFs } from '../fs/types.ts';
import { InlinePool } from '../kernels/inline-pool.ts';
import { createKernels, type KernelInstance } from '../kernels/instantiate.ts';
import { diskBlocksFor } from '../raid/format.ts';
import { Hasher } from '../raid/hasher.ts';
import {
  closeDevices,
  closeEngine,
  type Devices,
  dropEngine,
  type Engine,
  type EngineEnv,
  type EngineOptions,
  formatEngine,
  openEngine,
} from './engine.ts';
import {
  CACHE_SIZE_MIN,
  type CheckedCreate,
  type CheckedOpen,
  type CreateOptions,
  checkCreate,
  checkOpen,
  type OpenOptions,
} from './options.ts';
import { Reader, ReaderOperations } from './reader.ts';
import { SnapshotPaths } from './snapshot-paths.ts';

export interface SnapshotInfo {
  readonly name: string;
  readonly id: number;
  readonly createdAt: Instant;
  readonly holdCount: number;
  /** Blocks in its plane. */
  readonly blockCount: number;
}

export interface DiskInfo {
  /** Stands for the disk in commands, such as "disk-02". */
  readonly name: string;
  readonly file: string;
  readonly uuid: string;
  readonly role: 'data' | 'parity' | 'spare';
  readonly state: 'active' | 'failed' | 'missing' | 'rebuilding' | 'spare';
  readonly sizeBytes: number;
  /** Bytes that were ever written to, from its start. */
  readonly lengthBytes: number;
}

/** What bringing back the log did when the volume was opened: see README "After a crash". */
export interface ReplayStatus {
  readonly entryCount: number;
  /** Entries that could not be loaded before others were done, and were delivered again. */
  readonly waitCount: number;
  readonly redeliveryCount: number;
  /** Entries left out, since a disk that they need is missing. */
  readonly skipCount: number;
  readonly loadedBlockCount: number;
  /** Milliseconds: making the swarm, waiting for disks, in memory, and the commit after it. */
  readonly initiateMs: number;
  readonly loadMs: number;
  readonly modifyMs: number;
  readonly commitMs: number;
}

export interface VolumeStatus {
  readonly uuid: string;
  /** 'read-only': it came to be so; not said where it was opened so. */
  readonly state: 'healthy' | 'degraded' | 'read-only' | 'failed';
  readonly formatVersion: number;
  readonly raid: 'none' | 'raid4' | 'dp';
  readonly createdAt: Instant;
  /** Counts mounts for writing. */
  readonly epoch: number;
  /** Number of the newest consistency point. */
  readonly consistencyPoint: number;
  /** Usable space; used + free = size. */
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  /** The part of used that only snapshots (and volume files) hold. */
  readonly snapshotBytes: number;
  /** Files, directories (the root too) and symbolic links. */
  readonly fileCount: number;
  readonly snapshotCount: number;
  readonly logSizeBytes: number;
  /** Records that this mount brought back from the log. */
  readonly replayedRecordCount: number;
  readonly replay: ReplayStatus;
  readonly disks: readonly DiskInfo[];
  readonly warnings: readonly string[];
}

/** Counters since the volume was opened. */
export interface VolumeStats {
  readonly replayedRecordCount: number;
  readonly reconstructedBlockCount: number;
  readonly repairedBlockCount: number;
  /** Blocks read from and written to disks. */
  readonly readBlockCount: number;
  readonly writtenBlockCount: number;
  /** Kernel jobs that ran on a worker thread. */
  readonly poolJobCount: number;
  readonly consistencyPointCount: number;
  readonly logFlushCount: number;
  readonly logRecordCount: number;
  readonly messageCount: number;
}

export interface WorkOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** What a volume stands on; made by `create` and `open`. */
export interface VolumeParts {
  /** A reader's is replaced by a newer mount: see reader.ts. */
  engine: Engine;
  readonly reader?: Reader | undefined;
  readonly instance: KernelInstance;
  readonly env: EngineEnv;
  readonly names: readonly string[];
  /** Ran after the devices are closed: the lock, threads. */
  readonly onClosed: () => Promise<void> | void;
}

/** A crash-safe, write-anywhere file system on disks.
 *
 *  ```ts
 *  const volume = await Volume.create(memoryDevices({ size: '64MiB' }));
 *  await volume.fs.promises.writeFile('/a', 'hello');
 *  await volume.snapshots.create('monday');
 *  await volume.close();
 *  ```
 */
export class Volume {
  /** Shaped as node:fs: `fs.promises`, and the sync calls. */
  readonly fs: VolumeFs;
  readonly snapshots: VolumeSnapshots;
  readonly disks: VolumeDisks;
  readonly #parts: VolumeParts;
  #snapshots: { readonly engine: Engine; readonly operations: SnapshotOperations } | undefined;
  readonly #views = new Map<number, VolumeFs>();
  #closing: Promise<void> | undefined;

  protected constructor(parts: VolumeParts) {
    this.#parts = parts;
    const { reader, env } = parts;
    if (reader !== undefined) {
      reader.onMounted = (engine) => {
        parts.engine = engine;
      };
    }
    const active = this.#operationsOf(
      ({ fs }) =>
        () =>
          fs.core.image,
    );
    const paths = new SnapshotPaths(active, (name) => this.#operationsAt(name));
    this.fs = createFs(paths, { prng: env.prng });
    this.snapshots = new VolumeSnapshots(() => this.#snapshotOperations);
    this.disks = new VolumeDisks(parts);
  }

  /** Makes an empty volume over devices, and opens it.
   *  @throws StorageError INVALID_ARGUMENT, UNSUPPORTED_FEATURE, DISK_FAILED. */
  static async create(devices: Devices, options: CreateOptions = {}): Promise<Volume> {
    const checked = checkCreate({ disks: devices.disks.length, ...options });
    await formatDevices(devices, checked, 0);
    return new Volume(await mountDevices(devices, checked, {}));
  }

  /** Opens the volume that is on devices.
   *  @throws StorageError NOT_A_VOLUME, DISK_MISSING, and others: see README "Errors". */
  static async open(devices: Devices, options: OpenOptions = {}): Promise<Volume> {
    return new Volume(await mountDevices(devices, checkOpen(options), {}));
  }

  /** A snapshot's tree, read-only. @throws ENOENT if there is none. */
  at(name: string): { readonly fs: VolumeFs } {
    const { id } = this.#snapshotOperations.get(name);
    let fs = this.#views.get(id);
    if (fs === undefined) {
      fs = createFs(this.#operationsAt(name), { prng: this.#parts.env.prng });
      this.#views.set(id, fs);
    }
    return { fs };
  }

  #operationsAt(name: string): Operations {
    const { id } = this.#snapshotOperations.get(name);
    const imageOf = () => {
      const operations = this.#snapshotOperations;
      return () => operations.image(id);
    };
    return this.#operationsOf(imageOf, true);
  }

  /** Operations on an image of the engine; of a reader's, on that of its newest mount. */
  #operationsOf(imageOf: (engine: Engine) => () => Image, isReadOnly = false): Operations {
    const make = (engine: Engine) =>
      new ImageOperations(engine.fs, imageOf(engine), isReadOnly || engine.raid.isReadOnly);
    const { reader, engine } = this.#parts;
    return reader === undefined ? make(engine) : new ReaderOperations(reader, make);
  }

  get #snapshotOperations(): SnapshotOperations {
    const { engine } = this.#parts;
    if (this.#snapshots?.engine !== engine) {
      this.#snapshots = { engine, operations: new SnapshotOperations(engine.fs) };
    }
    return this.#snapshots.operations;
  }

  /** The active file system becomes what it was at the snapshot; all snapshots stay. Open handles
   *  give ESTALE. @throws ENOENT. */
  async rollback(name: string): Promise<void> {
    const { fs } = this.#parts.engine;
    const { core } = fs;
    this.#snapshotOperations.get(name);
    while (core.barrier !== undefined) await core.barrier.promise();
    const task = new Task(rollBack(fs, name));
    if (!task.isSettled) {
      core.barrier = task;
      task.onSettled(() => {
        core.barrier = undefined;
        fs.wakeBackground();
      });
    }
    await task.result();
  }

  /** Makes everything acknowledged so far durable, and commits it to the disks. */
  async sync(): Promise<void> {
    const { fs } = this.#parts.engine;
    fs.core.refuseIfUnusable();
    await fs.requestCp()?.promise();
  }

  /** @throws StorageError VOLUME_CLOSED. */
  async status(): Promise<VolumeStatus> {
    const { isClosed } = this.#parts.engine.fs.core;
    if (isClosed) throw new StorageError('VOLUME_CLOSED', 'the volume is closed');
    return statusOf(this.#parts, await this.disks.list());
  }

  stats(): VolumeStats {
    const { engine, env } = this.#parts;
    const { raid, log, fs } = engine;
    return {
      replayedRecordCount: engine.replay.appliedCount,
      reconstructedBlockCount: raid.stats.reconstructed,
      repairedBlockCount: raid.stats.repaired,
      readBlockCount: raid.stats.blocksRead,
      writtenBlockCount: raid.stats.blocksWritten,
      poolJobCount: env.pool.jobCount,
      consistencyPointCount: fs.core.cpCount,
      logFlushCount: log?.stats.flushCount ?? 0,
      logRecordCount: log?.stats.recordCount ?? 0,
      messageCount: fs.driver.messageCount,
    };
  }

  /** Walks everything from the roots and names what does not fit. Finds, never mends. */
  async verify(options: WorkOptions = {}): Promise<VerifyReport> {
    await this.sync();
    for (;;) {
      const { engine, reader } = this.#parts;
      const report = await new Task(verify(engine.fs, options)).result();
      if (report.problemCount === 0 || reader === undefined) return report;
      // A writer beside us may have given away what was walked.
      if (!(await new Task(reader.leave(engine)).result())) return report;
    }
  }

  /** Commits everything and lets go of the devices. Safe to call twice. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const { engine, env, onClosed } = this.#parts;
    const { core } = engine.fs;
    while (core.barrier !== undefined) await core.barrier.promise().catch(() => {});
    try {
      await new Task(closeEngine(engine)).result();
    } finally {
      await env.pool.close();
      await onClosed();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

export class VolumeSnapshots {
  readonly #now: () => SnapshotOperations;

  constructor(now: () => SnapshotOperations) {
    this.#now = now;
  }

  get #operations(): SnapshotOperations {
    return this.#now();
  }

  /** Takes a snapshot of everything acknowledged so far. @throws EEXIST, INVALID_ARGUMENT. */
  async create(name: string): Promise<SnapshotInfo> {
    return infoOf(await new Task(this.#operations.create(name)).result());
  }
  /** Oldest first. */
  async list(): Promise<SnapshotInfo[]> {
    return this.#operations.list().map(infoOf);
  }
  /** Gone for users at once; its blocks are freed in the background. @throws ENOENT, EBUSY. */
  async delete(name: string): Promise<void> {
    await new Task(this.#operations.delete(name)).result();
  }
  /** While it is held it cannot be deleted. */
  async hold(name: string): Promise<void> {
    await new Task(this.#operations.hold(name, 1)).result();
  }
  async release(name: string): Promise<void> {
    await new Task(this.#operations.hold(name, -1)).result();
  }
}

function infoOf(entry: SnapshotEntry): SnapshotInfo {
  return {
    name: entry.name,
    id: entry.id,
    createdAt: entry.time,
    holdCount: entry.holds,
    blockCount: entry.blocks,
  };
}

export class VolumeDisks {
  readonly #parts: VolumeParts;

  constructor(parts: VolumeParts) {
    this.#parts = parts;
  }

  async list(): Promise<DiskInfo[]> {
    const { raid } = this.#parts.engine;
    return raid.members.map((member) => ({
      name: this.#nameOf(member.index),
      file: member.name ?? '',
      uuid: member.uuid,
      role: member.column < 16 ? 'data' : 'parity',
      state: member.name === undefined && member.state === 'active' ? 'missing' : member.state,
      sizeBytes: member.blockCount * BLOCK_SIZE,
      lengthBytes: member.dbnHigh * BLOCK_SIZE,
    }));
  }

  #nameOf(index: number): string {
    return this.#parts.names[index] ?? `disk-${String(index).padStart(2, '0')}`;
  }

  /** Number of the member that a command means. @throws INVALID_ARGUMENT. */
  indexOf(disk: string): number {
    const { members } = this.#parts.engine.raid;
    const index = members.findIndex(
      (member) => this.#nameOf(member.index) === disk || member.uuid === disk,
    );
    if (index >= 0) return index;
    const names = members.map((member) => this.#nameOf(member.index)).join(', ');
    throw new StorageError('INVALID_ARGUMENT', `the volume has no disk '${disk}'`, {
      hint: `its disks are ${names}`,
    });
  }

  /** Takes a disk out, as if it had failed. @throws where too little redundancy would be left. */
  async fail(disk: string): Promise<void> {
    await new Task(this.#parts.engine.raid.failDisk(this.indexOf(disk))).result();
  }

  /** Puts a new device in the place of a disk, and rebuilds its contents before it returns. */
  async replaceWith(
    disk: string,
    device: Devices['disks'][number],
  ): Promise<{ readonly rebuiltBlockCount: number }> {
    const { raid } = this.#parts.engine;
    const index = this.indexOf(disk);
    await new Task(raid.replaceDisk(index, device)).result();
    return { rebuiltBlockCount: raid.members[index]?.dbnHigh ?? 0 };
  }
}

function statusOf(parts: VolumeParts, disks: readonly DiskInfo[]): VolumeStatus {
  const { engine } = parts;
  const { raid, fs, log } = engine;
  const { core } = fs;
  const sizeBytes = core.volume.blockCount * BLOCK_SIZE;
  const used = core.maps.activeCount + core.maps.summaryCount;
  const usedBytes = used * BLOCK_SIZE;
  return {
    uuid: raid.uuid,
    state: stateOf(parts),
    formatVersion: VOLUME_FORMAT_VERSION,
    raid: raid.raid,
    createdAt: raid.root.created,
    epoch: raid.epoch,
    consistencyPoint: core.state.cp,
    sizeBytes,
    usedBytes,
    freeBytes: sizeBytes - usedBytes,
    snapshotBytes: core.maps.summaryCount * BLOCK_SIZE,
    // 16 numbers are never given out, but for the root directory's.
    fileCount: core.inodes.usedCount - 15,
    snapshotCount: core.snapshots.visibleCount,
    logSizeBytes: (log?.halfBytes ?? 0) * 2,
    replayedRecordCount: engine.replay.appliedCount,
    replay: replayStatusOf(engine),
    disks,
    warnings: engine.warnings,
  };
}

function replayStatusOf({ replay }: Engine): ReplayStatus {
  const { entryCount, waitCount, redeliveryCount, skipCount, loadedBlockCount } = replay;
  const { initiateMs, loadMs, modifyMs, commitMs } = replay;
  const counts = { entryCount, waitCount, redeliveryCount, skipCount, loadedBlockCount };
  return { ...counts, initiateMs, loadMs, modifyMs, commitMs };
}

function stateOf({ engine }: VolumeParts): VolumeStatus['state'] {
  if (engine.fs.core.failure !== undefined) return 'failed';
  // Not because it was opened so: how the volume is does not depend on who looks.
  if (engine.fs.core.isReadOnly && !engine.raid.isReadOnly) return 'read-only';
  return engine.raid.isDegraded ? 'degraded' : 'healthy';
}

// Making parts, here and in host/node.ts.

/** For checksums of roots: two pages of WebAssembly. */
const SURVEY_ARENA_BYTES = 2 * 65536;

/** What the platform adds to plain devices. */
export interface PlatformParts {
  readonly env?: Partial<EngineEnv>;
  readonly makePool?: (instance: KernelInstance) => EngineEnv['pool'];
  readonly names?: readonly string[];
  readonly onClosed?: () => Promise<void> | void;
  /** To be formatted: the devices were made just now, and hold zeros. */
  readonly areBlank?: boolean;
}

/** Devices in memory get an arena that is not shared: copies into and out of such memory take half
 *  the time, and next to memory there is nothing that threads could hide. */
function instanceFor(checked: CheckedOpen, arenaBytes: number, devices: Devices): KernelInstance {
  const { kernels } = checked.env;
  const isInMemory = devices.disks.every((disk) => disk instanceof MemoryDisk);
  const options = { arenaBytes, shared: isInMemory ? false : undefined };
  if (kernels instanceof WebAssembly.Module) return createKernels({ ...options, module: kernels });
  return createKernels({ ...options, kernels });
}

function envFor(
  checked: CheckedOpen,
  platform: PlatformParts,
  instance: KernelInstance,
): EngineEnv {
  const { env } = checked;
  return {
    clock: env.clock ?? platform.env?.clock ?? platformClock,
    prng: env.prng ?? platform.env?.prng ?? platformPrng,
    logger: env.logger ?? platform.env?.logger ?? silentLogger,
    pool: env.pool ?? platform.makePool?.(instance) ?? new InlinePool(instance.kernels),
  };
}

/** Writes an empty volume to devices, which stay open. */
export async function formatDevices(
  devices: Devices,
  checked: CheckedCreate,
  logBlocks: number,
  platform: PlatformParts = {},
): Promise<void> {
  const instance = instanceFor(checked, CACHE_SIZE_MIN, devices);
  const env = { ...envFor(checked, platform, instance), pool: new InlinePool(instance.kernels) };
  const { raid, isRelaxed } = checked;
  const { areBlank = false } = platform;
  const options = { devices, instance, env, raid, logBlocks, isRelaxed, areBlank };
  await new Task(formatEngine({ ...options, readOnly: false, degraded: false })).result();
}

/** Mounts a volume; closes the devices where that fails. */
export async function mountDevices(
  devices: Devices,
  checked: CheckedOpen,
  platform: PlatformParts,
): Promise<VolumeParts> {
  const instance = instanceFor(checked, checked.cacheSizeBytes, devices);
  const env = envFor(checked, platform, instance);
  const { readOnly, degraded, isRelaxed } = checked;
  const options = { devices, instance, env, readOnly, degraded, isRelaxed };
  const { names = [], onClosed = () => {} } = platform;
  try {
    if (!readOnly) {
      const engine = await new Task(openEngine(options)).result();
      return { engine, instance, env, names, onClosed };
    }
    const reader = await new Task(openReader(checked, options)).result();
    return { engine: reader.engine, reader, instance, env, names, onClosed };
  } catch (error) {
    const { nvram = [] } = devices;
    await new Task(closeDevices([...devices.disks, nvram].flat())).result();
    await env.pool.close();
    throw error;
  }
}

/** The first mount has the arena and the pool that were made for it, later ones each their own
 *  arena. */
function openReader(checked: CheckedOpen, options: EngineOptions): Step<Reader> {
  const { devices } = options;
  let first: EngineOptions | undefined = options;
  const { arena, kernels } = instanceFor(checked, SURVEY_ARENA_BYTES, devices);
  return Reader.open({
    disks: devices.disks,
    hash: new Hasher(arena, kernels).hash,
    mount: () => {
      const parts = first ?? remountOptions(checked, options);
      first = undefined;
      return openEngine(parts);
    },
    drop: (engine) => dropEngine(engine, devices),
  });
}

function remountOptions(checked: CheckedOpen, options: EngineOptions): EngineOptions {
  const { devices } = options;
  const instance = instanceFor(checked, checked.cacheSizeBytes, devices);
  return { ...options, instance, env: { ...options.env, pool: new InlinePool(instance.kernels) } };
}

/** Devices in memory for a volume of `size` usable bytes: on every runtime. */
export function memoryDevices(options: CreateOptions = {}): Devices {
  const { sizeBytes, diskCount, raid, logSizeBytes } = checkCreate(options);
  const blockCount = diskBlocksFor({ raid, diskCount, usableBlocks: sizeBytes / BLOCK_SIZE });
  const name = (index: number) => `memory-${index}`;
  return {
    disks: Array.from(
      { length: diskCount },
      (_, index) => new MemoryDisk({ blockCount, name: name(index) }),
    ),
    nvram: new MemoryNvram({ sizeBytes: logSizeBytes, name: 'memory-log' }),
  };
}
