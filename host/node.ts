// waferfs on Node, Deno and Bun: volumes in files, with a lock and threads. Everything of the
// portable API is here too.

import { existsSync, rmSync } from 'node:fs';

import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { StorageError } from './base/errors.ts';
import { Task } from './base/task.ts';
import { type KernelInstance, recycleKernels } from './kernels/instantiate.ts';
import { nodeEnv } from './node/env.ts';
import { acquireLock } from './node/lock.ts';
import { createThreadPool } from './node/piscina-pool.ts';
import {
  createDiskFile,
  createFiles,
  openFiles,
  openFilesToInspect,
  pathsOf,
  pathsOfExisting,
  type VolumePaths,
} from './node/volume-files.ts';
import { closeDevices, type Devices } from './volume/engine.ts';
import { type InspectedStructure, type InspectOptions, inspectVolume } from './volume/inspect.ts';
import { type CreateOptions, checkCreate, checkOpen, type OpenOptions } from './volume/options.ts';
import {
  formatDevices,
  mountDevices,
  type PlatformParts,
  Volume as PortableVolume,
  VolumeDisks,
  type VolumeParts,
  type WorkOptions,
} from './volume/volume.ts';

export * from './index.ts';
export { FileDisk } from './node/file-disk.ts';
export { FileNvram } from './node/file-nvram.ts';
export { acquireLock, type LockHolder, readLock } from './node/lock.ts';
export { createThreadPool } from './node/piscina-pool.ts';
export { SharedFile } from './node/shared-file.ts';

/** A path, a file URL, or devices. */
export type Where = string | URL | Devices;

function isPath(where: Where): where is string | URL {
  return typeof where === 'string' || where instanceof URL;
}

/** A volume in files: see the portable Volume for what it can do. */
export class Volume extends PortableVolume {
  override readonly disks: FileDisks;
  /** Undefined for devices that the caller gave: what they still do is not known here. */
  #instance: KernelInstance | undefined;

  private constructor(parts: VolumeParts, paths: VolumePaths | undefined) {
    super(parts);
    this.disks = new FileDisks(parts, paths);
    // A reader's mounts come and go, each with its own.
    if (paths !== undefined && parts.reader === undefined) this.#instance = parts.instance;
  }

  override async close(): Promise<void> {
    await super.close();
    // All files are closed, after their last transfer, and the threads have ended.
    const instance = this.#instance;
    this.#instance = undefined;
    if (instance !== undefined) recycleKernels(instance);
  }

  /** Makes a volume at a path and opens it: one file with one disk, a directory with more.
   *  @throws StorageError INVALID_ARGUMENT where something is there already. */
  static override async create(where: Where, options: CreateOptions = {}): Promise<Volume> {
    if (!isPath(where)) {
      const checked = checkCreate({ disks: where.disks.length, ...options });
      await formatDevices(where, checked, 0, platform());
      return new Volume(await mountDevices(where, checked, platform()), undefined);
    }
    const checked = checkCreate(options);
    const paths = pathsOf(where, checked.diskCount > 1);
    const { devices, logBlocks, undo } = createFiles(paths, checked);
    try {
      await formatDevices(devices, checked, logBlocks, { ...platform(), areBlank: true });
      const { nvram = [] } = devices;
      await new Task(closeDevices([...devices.disks, nvram].flat())).result();
    } catch (error) {
      undo();
      throw error;
    }
    return Volume.open(where, openOptionsOf(options));
  }

  /** Opens the volume at a path. @throws StorageError NOT_A_VOLUME, VOLUME_LOCKED, … */
  static override async open(where: Where, options: OpenOptions = {}): Promise<Volume> {
    const checked = checkOpen(options);
    if (!isPath(where)) {
      return new Volume(await mountDevices(where, checked, platform()), undefined);
    }
    const paths = pathsOfExisting(where);
    const lock = checked.readOnly ? undefined : acquireLock(paths.lock);
    try {
      const { devices, names } = openFiles(paths, checked.readOnly);
      const parts = await mountDevices(devices, checked, {
        ...platform(),
        onClosed: () => lock?.release(),
      });
      const memberNames = parts.engine.raid.members.map(
        (member) => names.get(member.name ?? '') ?? `disk-${String(member.index).padStart(2, '0')}`,
      );
      return new Volume({ ...parts, names: memberNames }, paths);
    } catch (error) {
      lock?.release();
      throw error;
    }
  }
}

function openOptionsOf(options: CreateOptions): OpenOptions {
  const { cacheSize, durability, env } = options;
  return {
    ...(cacheSize === undefined ? {} : { cacheSize }),
    ...(durability === undefined ? {} : { durability }),
    ...(env === undefined ? {} : { env }),
  };
}

function platform(): PlatformParts {
  return {
    env: nodeEnv(),
    makePool: (instance) => createThreadPool(instance, { threads: availableParallelism() }),
  };
}

/** The disks of a volume in files: replacing one makes its file. */
export class FileDisks extends VolumeDisks {
  readonly #paths: VolumePaths | undefined;
  readonly #parts: VolumeParts;

  constructor(parts: VolumeParts, paths: VolumePaths | undefined) {
    super(parts);
    this.#parts = parts;
    this.#paths = paths;
  }

  /** A new file in place of a failed disk, rebuilt before this returns. Without `file` it is made
   *  beside the others, with a name of its own. */
  async replace(
    disk: string,
    options: WorkOptions & { readonly file?: string } = {},
  ): Promise<{ readonly rebuiltBlockCount: number }> {
    const index = this.indexOf(disk);
    const paths = this.#paths;
    if (paths === undefined || !paths.isDirectory) {
      throw new StorageError('INVALID_ARGUMENT', 'the volume is not a directory of disk files', {
        hint: 'use replaceWith and give the device',
      });
    }
    const member = this.#parts.engine.raid.members[index];
    const path = options.file ?? freshPath(paths, member?.name, disk);
    const device = createDiskFile(path, member?.blockCount ?? 0);
    try {
      return await this.replaceWith(disk, device);
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    }
  }
}

/** A path that nothing stands at: the old disk's name with a number. */
function freshPath(paths: VolumePaths, old: string | undefined, disk: string): string {
  const directory = old === undefined ? paths.where : dirname(old);
  const stem = (old === undefined ? disk : basename(old)).replace(/(-r\d+)?(\.wafer)?$/, '');
  for (let count = 1; ; count++) {
    const path = join(directory, `${stem}-r${count}.wafer`);
    if (!existsSync(path)) return path;
  }
}

/** Decodes what lies in a volume's files, field by field, without opening the volume: works on one
 *  that does not open, and on one disk or log file alone. Reads only. @throws StorageError
 *  NOT_A_VOLUME where there is nothing to look at. */
export async function* inspect(
  where: string | URL,
  options: InspectOptions = {},
): AsyncGenerator<InspectedStructure> {
  const files = openFilesToInspect(where);
  try {
    yield* inspectVolume(files, options);
  } finally {
    for (const device of [...files.disks, ...files.logs]) await device.close();
  }
}
