// The engine: where RAID, log and file system meet. Creates and mounts them over devices, in Steps.
//
// Mount (ENGINE 9, 10, 18): labels and roots, the writer's claim (a new epoch), the stripe journal,
// the image root and tables, the log; its records are replayed in memory, and a first CP makes them
// durable and begins the log anew. A reader does all of it in memory and writes nothing.

import { VOLUME_STATE_SIZE } from '../../assembly/layout/volume-state.ts';
import type { Clock, Logger, Prng, ThreadPool } from '../base/env.ts';
import { isStorageError, StorageError } from '../base/errors.ts';
import { type Step, wait } from '../base/task.ts';
import type { Disk, Nvram } from '../device/device.ts';
import {
  FILE_SYSTEM_SCRATCH_SIZE,
  FileSystem,
  type FileSystemParts,
} from '../filesystem/file-system.ts';
import type { Front } from '../format/label.ts';
import { decodeVolumeState, type VolumeState } from '../format/volume-state.ts';
import type { KernelInstance } from '../kernels/instantiate.ts';
import { LogMemory } from '../nvlog/log-memory.ts';
import { NvLog } from '../nvlog/nv-log.ts';
import type { LogDamage, LogScan } from '../nvlog/scan.ts';
import { formatVolume } from '../raid/format.ts';
import { faultsTolerated } from '../raid/mount.ts';
import { RaidVolume } from '../raid/raid-volume.ts';
import { replaySequentially } from '../replay/sequential.ts';
import { replaySwarm, type SwarmReport } from '../replay/swarm.ts';
import { LogAdapter, scanRootOf } from './log-adapter.ts';

/** Disks, and where the log lies: Nvrams of its own, or a window in the front of the disk (one-file
 *  volumes). A missing copy of the log is undefined. */
export interface Devices {
  readonly disks: readonly Disk[];
  readonly nvram?: Nvram | readonly (Nvram | undefined)[];
  readonly nvramInFront?: (front: Front) => Nvram;
  /** Makes the device of a copy of the log that is missing. */
  readonly newNvram?: (sizeBytes: number) => NewNvram;
}

/** A device that counts once `keep` was called; until then, and with `drop`, it was never there. */
export interface NewNvram {
  readonly nvram: Nvram;
  keep(): void;
  drop(): void;
}

export interface EngineEnv {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger: Logger;
  readonly pool: ThreadPool;
}

export interface EngineOptions {
  readonly devices: Devices;
  readonly instance: KernelInstance;
  readonly env: EngineEnv;
  readonly readOnly: boolean;
  readonly degraded: boolean;
  readonly isRelaxed: boolean;
  /** Bytes in the largest flush of the log, whole blocks; default FLUSH_SIZE_MAX. With less a log
   *  can be smaller, and no message may be larger. */
  readonly logFlushBytesMax?: number;
}

export interface Engine {
  readonly raid: RaidVolume;
  readonly log: NvLog | undefined;
  /** Copies of the log, one undefined where it is missing. */
  readonly nvrams: readonly (Nvram | undefined)[];
  readonly fs: FileSystem;
  /** What the replay of the log did. */
  readonly replay: ReplayReport;
  /** A reader's may not be: it leaves out what it cannot read, with a warning. */
  readonly isComplete: boolean;
  readonly warnings: readonly string[];
}

/** A replay, and the CP after it. */
export interface ReplayReport extends SwarmReport {
  readonly commitMs: number;
}

const NO_REPLAY: ReplayReport = {
  entryCount: 0,
  appliedCount: 0,
  waitCount: 0,
  redeliveryCount: 0,
  skipCount: 0,
  loadingMax: 0,
  loadedBlockCount: 0,
  readRounds: 0,
  initiateMs: 0,
  loadMs: 0,
  modifyMs: 0,
  commitMs: 0,
  skipped: [],
};

/** Writes an empty volume to the devices. They stay open; mount with `openEngine`. */
export function* formatEngine(
  options: EngineOptions & { raid: 'none' | 'raid4'; logBlocks: number; areBlank?: boolean },
): Step<void> {
  const { devices, instance, env, raid, logBlocks } = options;
  const { arena, kernels } = instance;
  yield* formatVolume({
    disks: devices.disks,
    raid,
    logBlocks,
    env,
    arena,
    kernels,
    initialState: new Uint8Array(VOLUME_STATE_SIZE),
  });
  const volume = yield* RaidVolume.open({
    disks: devices.disks,
    arena,
    kernels,
    pool: env.pool,
    env,
  });
  const memory = new LogMemory(arena, kernels, options.logFlushBytesMax);
  const nvrams = nvramsOf(devices, volume.front);
  // Who does not wait for the log does not profit from an area that is written beforehand.
  const isBlank = options.isRelaxed && options.areBlank === true;
  yield* NvLog.format(nvrams, memory, { volumeUuid: uuidBytes(volume.uuid), isBlank });
  const scratch = arena.reserve(FILE_SYSTEM_SCRATCH_SIZE);
  yield* FileSystem.format({ volume, arena, kernels, env, frames: arena.seal(), scratch });
  yield* closeWindows(devices, nvrams);
}

/** Windows into a disk were made here, and are in nobody else's hands; the others are the
 *  caller's. */
function* closeWindows(devices: Devices, nvrams: Engine['nvrams']): Step<void> {
  if (devices.nvram === undefined) yield* closeDevices(nvrams);
}

/** Lets go of a reader's mount: its devices stay open. */
export function dropEngine(engine: Engine, devices: Devices): Step<void> {
  return closeWindows(devices, engine.nvrams);
}

/** Mounts. The devices are the caller's to close if this fails. */
export function* openEngine(options: EngineOptions): Step<Engine> {
  const { devices, instance, env, readOnly, degraded } = options;
  const { arena, kernels } = instance;
  const { disks } = devices;
  const warnings: string[] = [];
  const logger: Logger = {
    info: (message, detail) => env.logger.info(message, detail),
    warn: (message, detail) => {
      warnings.push(message);
      env.logger.warn(message, detail);
    },
  };
  let nvrams: Engine['nvrams'] = [];
  let memory: LogMemory | undefined;
  try {
    const raid = yield* RaidVolume.open({
      disks,
      arena,
      kernels,
      pool: env.pool,
      env: { ...env, logger },
      readOnly,
      degraded,
      *beforeClaim(volume) {
        nvrams = nvramsOf(devices, volume.front);
        memory = new LogMemory(arena, kernels, options.logFlushBytesMax);
        yield* checkLog(volume, nvrams, memory);
      },
    });
    if (memory === undefined) nvrams = readableNvrams(devices, raid.front);
    memory ??= new LogMemory(arena, kernels, options.logFlushBytesMax);
    const parts = { raid, nvrams, memory, warnings };
    return yield* mountOn(parts, { ...options, env: { ...env, logger } });
  } catch (error) {
    yield* closeWindows(devices, nvrams);
    throw error;
  }
}

/** Refuses a log that is not this volume's, or damaged, before anything is written. What counts is
 *  the scan after the claim: until then a writer before us may have gone on. */
function* checkLog(volume: RaidVolume, nvrams: Engine['nvrams'], memory: LogMemory): Step<void> {
  const state = decodeVolumeState(volume.state);
  if (state.cp === 0) return;
  const log = yield* NvLog.open(nvrams, memory, { volumeUuid: uuidBytes(volume.uuid) });
  const { damage } = yield* log.scan(scanRootOf(state));
  if (damage !== undefined) throw damagedLog(damage);
}

interface MountParts {
  readonly raid: RaidVolume;
  readonly nvrams: Engine['nvrams'];
  readonly memory: LogMemory;
  readonly warnings: readonly string[];
}

function* mountOn(parts: MountParts, options: EngineOptions): Step<Engine> {
  const { raid, nvrams, memory, warnings } = parts;
  const { instance, env, readOnly } = options;
  const { arena, kernels } = instance;
  const { logger } = env;
  const scratch = arena.reserve(FILE_SYSTEM_SCRATCH_SIZE);
  const warnedBefore = warnings.length;
  const frames = arena.seal();
  const mount = () => mountTree(raid, { volume: raid, arena, kernels, env, frames, scratch });
  let fs = yield* mount();
  fs.core.isRelaxed = options.isRelaxed;
  const open = NvLog.open(nvrams, memory, {
    volumeUuid: uuidBytes(raid.uuid),
    beforeFlush: () => beforeLogFlush(fs, raid),
    onCopyFailed: (copy, error) => {
      logger.warn(`copy ${copy} of the log failed: ${String(error)}`);
      fs.requestCp(true);
    },
    // Whoever waits is answered by the CP; the volume fails if that fails too (ENGINE 21).
    onFailed: () => fs.stopWriting(),
  });
  const found = yield* openLog(open, fs.core.state, readOnly);
  if ('error' in found) {
    const { message } = found.error;
    logger.warn(`LOG_DAMAGED: without the log, what only it holds is missing: ${message}`);
    const none = { log: undefined, replay: NO_REPLAY, isComplete: false };
    return { raid, nvrams, fs, warnings, ...none };
  }
  const { log, scan } = found;
  const isTreeComplete = warnings.length === warnedBefore;
  warnOfLogCopies(log, raid, options.devices, logger);
  const warnedOfCopies = warnings.length;
  if (scan.damage !== undefined) {
    const error = damagedLog(scan.damage);
    if (!readOnly) throw error;
    logger.warn(error.message);
  }
  let replay: ReplayReport;
  try {
    replay = yield* replayLog(fs, log, scan, logger);
  } catch (error) {
    if (!readOnly || !ENTRY_PROBLEMS.some((code) => isStorageError(error, code))) throw error;
    fs = yield* mount();
    replay = yield* replayForLooking(fs, scan, logger);
  }
  const isComplete = isTreeComplete && warnings.length === warnedOfCopies;
  const engine = { raid, log, fs, replay, isComplete, warnings };
  // A reader's, or one that keeps its log as it is (ENGINE 22).
  if (fs.core.isReadOnly) return { ...engine, nvrams };
  const made = yield* remakeLogCopies(log, raid, options.devices, logger);
  fs.start();
  return { ...engine, nvrams: [...nvrams, ...made] };
}

function* mountTree(raid: RaidVolume, parts: FileSystemParts): Step<FileSystem> {
  const fs = yield* orMissing(FileSystem.mount(parts), raid.isReadOnly);
  const { fetcher } = fs.core;
  raid.confirmPointer = (vbn, low, high) => fetcher.isStillMeant(vbn, low, high);
  return fs;
}

/** A writer without the tables or maps is told that a disk is missing, where that is why. */
function* orMissing<T>(step: Step<T>, isReadOnly: boolean): Step<T> {
  try {
    return yield* step;
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    if (!isReadOnly && isStorageError(cause, 'DISK_MISSING')) throw cause;
    throw error;
  }
}

/** What takes a log away without saying whose it is. */
const LOG_LOSSES = [
  'DISK_MISSING',
  'DISK_FAILED',
  'DISK_TRUNCATED',
  'BAD_MAGIC',
  'BAD_CHECKSUM',
] as const;

/** Opens the log and reads it through. A reader goes on without one: so what is on the disks can be
 *  saved. A writer does not: it would begin a new one over records that were durable. */
function* openLog(
  open: Step<NvLog>,
  state: VolumeState,
  readOnly: boolean,
): Step<{ readonly log: NvLog; readonly scan: LogScan } | { readonly error: StorageError }> {
  try {
    const log = yield* open;
    return { log, scan: yield* log.scan(scanRootOf(state)) };
  } catch (error) {
    if (!readOnly || !LOG_LOSSES.some((code) => isStorageError(error, code))) throw error;
    return { error: error as StorageError };
  }
}

/** A log with fewer copies than faults are tolerated, and one (ENGINE 19), goes on working. Who
 *  gave a single device, and no list, has one on purpose. */
function warnOfLogCopies(log: NvLog, raid: RaidVolume, devices: Devices, logger: Logger): void {
  if (!Array.isArray(devices.nvram)) return;
  const nvrams: readonly (Nvram | undefined)[] = devices.nvram;
  log.copyErrors.forEach((error, copy) => {
    if (error === undefined) return;
    const name = nvrams[copy]?.name ?? `copy ${copy}`;
    logger.warn(`${name}: this copy of the log is left out: ${String(error)}`);
  });
  const count = nvrams.filter((nvram) => nvram !== undefined).length;
  const expected = copiesExpected(raid);
  if (count < expected) logger.warn(`${count} of ${expected} copies of the log are there`);
}

const copiesExpected = (raid: RaidVolume) => faultsTolerated(raid.raid) + 1;

/** Copies of the log that are not there are made anew. Those that are there and left out are not
 *  touched: they may be somebody else's. Without room for one the volume goes on as it is. */
function* remakeLogCopies(
  log: NvLog,
  raid: RaidVolume,
  devices: Devices,
  logger: Logger,
): Step<Nvram[]> {
  const { nvram, newNvram } = devices;
  const made: Nvram[] = [];
  if (newNvram === undefined || !Array.isArray(nvram)) return made;
  const count = nvram.filter((copy) => copy !== undefined).length;
  for (let copy = count; copy < copiesExpected(raid); copy++) {
    let fresh: NewNvram | undefined;
    try {
      fresh = newNvram(log.areaBytes);
      yield* log.addCopy(fresh.nvram, fresh.keep);
      made.push(fresh.nvram);
      logger.warn(`${fresh.nvram.name}: this copy of the log was missing, and was made anew`);
    } catch (error) {
      fresh?.drop();
      if (!isStorageError(error, 'DISK_FAILED')) throw error;
      logger.warn(`a copy of the log is missing, and cannot be made anew: ${error.message}`);
    }
  }
  return made;
}

/** What a record refers to is on the disks before it counts; and the volume is still ours. */
function* beforeLogFlush(fs: FileSystem, raid: RaidVolume): Step<void> {
  const { references } = fs.core;
  // Records go on gathering meanwhile, and will be in the flush too.
  do {
    yield* references.settle();
    yield* raid.checkEpoch();
  } while (references.isUnflushed);
}

/** Applies the log, and commits that: unless entries had to be left out, which keeps the log as it
 *  is (ENGINE 22). */
function* replayLog(fs: FileSystem, log: NvLog, scan: LogScan, logger: Logger): Step<ReplayReport> {
  const { core } = fs;
  const { clock } = core.env;
  const report = yield* replaySwarm(fs, scan.records);
  for (const error of report.skipped) logger.warn(error.message);
  if (report.skipCount > 0) {
    const { skipCount, entryCount } = report;
    logger.warn(`${skipCount} of ${entryCount} log entries are left out: the volume is read-only`);
  }
  if (core.isReadOnly) return { ...report, commitMs: 0 };
  const startMs = clock.monotonicMs();
  fs.attachLog(new LogAdapter(log));
  const task = fs.requestCp(true);
  if (task !== undefined) yield* wait(task.asIo());
  return { ...report, commitMs: clock.monotonicMs() - startMs };
}

/** An entry that cannot be applied. */
const ENTRY_PROBLEMS = ['REPLAY_PANIC', 'ENTRY_SKIPPED'] as const;

/** For somebody who only looks, at a volume whose log cannot be applied: what it was before the
 *  first entry that cannot be, so that the state is one that there was. */
function* replayForLooking(fs: FileSystem, scan: LogScan, logger: Logger): Step<ReplayReport> {
  const { recordCount, stopped } = yield* replaySequentially(fs, scan.records, { stops: true });
  if (stopped !== undefined) logger.warn(stopped.message);
  return { ...NO_REPLAY, entryCount: scan.records.length, appliedCount: recordCount };
}

function damagedLog(damage: LogDamage): StorageError {
  const { reason, firstSequence, durableUpTo, half, position } = damage;
  const message = {
    lost: `log entries ${firstSequence} to ${durableUpTo} were durable and cannot be read`,
    unreadable: `what follows log entry ${firstSequence - 1} cannot be read, if anything does`,
    'other-root': 'the log follows a newer root than the one that was found',
  }[reason];
  return new StorageError('LOG_DAMAGED', message, { detail: { half, position, reason } });
}

/** Commits everything and closes the devices. */
export function* closeEngine(engine: Engine): Step<void> {
  const { fs, log, raid } = engine;
  try {
    yield* fs.close();
    const isKept = fs.core.volume.isReadOnly || engine.replay.skipCount > 0;
    if (log !== undefined && !isKept && fs.core.failure === undefined) {
      yield* log.close();
    }
  } finally {
    yield* raid.close();
    yield* closeDevices(engine.nvrams);
  }
}

/** Lets go of devices. Closing twice does no harm. */
export function* closeDevices(devices: readonly (Pick<Disk, 'close'> | undefined)[]): Step<void> {
  for (const device of devices) {
    yield* wait({ start: () => device?.close(), startSync: () => void device?.close() });
  }
}

/** The same for a reader, to whom a log that is not there is one that cannot be read. */
function readableNvrams(devices: Devices, front: Front): readonly (Nvram | undefined)[] {
  try {
    return nvramsOf(devices, front);
  } catch (error) {
    if (!isStorageError(error, 'DISK_MISSING')) throw error;
    return [undefined];
  }
}

function nvramsOf(devices: Devices, front: Front): readonly (Nvram | undefined)[] {
  const { nvram } = devices;
  if (nvram !== undefined) return Array.isArray(nvram) ? nvram : [nvram as Nvram];
  if (devices.nvramInFront === undefined || front.logBlocks === 0) {
    throw new StorageError('DISK_MISSING', "the volume's log is not there", {
      hint: 'bring back the log file that belongs to the disks',
    });
  }
  return [devices.nvramInFront(front)];
}

export function uuidBytes(uuid: string): Uint8Array {
  const hex = uuid.replaceAll('-', '');
  return Uint8Array.from({ length: 16 }, (_, i) =>
    Number.parseInt(hex.slice(2 * i, 2 * i + 2), 16),
  );
}
