// A volume's files: which there are, how they are made and opened, and the lock beside them.
//
//   several disks   tank/disk-00.wafer …, tank/log.wafer (log-1.wafer … on RAID), tank/lock
//   one file        app.wafer (labels, log and disk in it), app.wafer.lock
//
// Identity is in the labels, never in names: every *.wafer file of the directory is looked at.

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { LABEL_BLOCKS_OFFSET, LABEL_COPIES, LABEL_MAGIC } from '../../assembly/layout/label.ts';
import { LOG_MAGIC, LOG_MAGIC_OFFSET } from '../../assembly/layout/log.ts';
import { StorageError } from '../base/errors.ts';
import type { Disk } from '../device/device.ts';
import { getU64 } from '../format/words.ts';
import { diskBlocksFor } from '../raid/format.ts';
import type { Devices, NewNvram } from '../volume/engine.ts';
import type { CheckedCreate } from '../volume/options.ts';
import { FileDisk } from './file-disk.ts';
import { FileNvram } from './file-nvram.ts';
import { SharedFile, syncDirectorySync } from './shared-file.ts';

export interface VolumePaths {
  readonly where: string;
  readonly lock: string;
  readonly isDirectory: boolean;
}

/** Paths of a volume that is to be made, or is there. */
export function pathsOf(where: string | URL, isDirectory: boolean): VolumePaths {
  if (typeof where !== 'string' && where.protocol !== 'file:') {
    throw new StorageError('INVALID_ARGUMENT', `${where.href} is no file`);
  }
  const path = typeof where === 'string' ? where : fileURLToPath(where);
  if (path === '') throw new StorageError('INVALID_ARGUMENT', 'the path of the volume is empty');
  if (path.includes('\0')) throw new StorageError('INVALID_ARGUMENT', 'the path has a NUL in it');
  return { where: path, lock: isDirectory ? join(path, 'lock') : `${path}.lock`, isDirectory };
}

/** Whether a volume that exists is a directory. @throws NOT_A_VOLUME where there is nothing. */
export function pathsOfExisting(where: string | URL): VolumePaths {
  const { where: path } = pathsOf(where, false);
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats === undefined) {
    throw new StorageError('NOT_A_VOLUME', `there is nothing at ${path}`, { detail: { path } });
  }
  return pathsOf(path, stats.isDirectory());
}

const diskName = (index: number) => `disk-${String(index).padStart(2, '0')}.wafer`;
const logName = (copy: number) => (copy === 0 ? 'log.wafer' : `log-${copy}.wafer`);
const LOG_PATTERN = /^log(-\d+)?\.wafer$/;
const DISK_PATTERN = /\.wafer$/;
/** 2^40 blocks: more than any label of this format may say. */
const DISK_BLOCKS_MAX = 2 ** 40;

export interface MadeFiles {
  readonly devices: Devices;
  /** Blocks of the log in the front of the disk. */
  readonly logBlocks: number;
  /** Removes what was made: creation failed. */
  undo(): void;
}

/** Makes the files of a new volume. Nothing that is there is overwritten: INVALID_ARGUMENT. */
export function createFiles(paths: VolumePaths, options: CheckedCreate): MadeFiles {
  const { raid, diskCount, sizeBytes, logSizeBytes } = options;
  const made: string[] = [];
  const isOneFile = !paths.isDirectory;
  const logBlocks = isOneFile ? logSizeBytes / BLOCK_SIZE : 0;
  const usableBlocks = sizeBytes / BLOCK_SIZE;
  const blockCount = diskBlocksFor({ raid, diskCount, usableBlocks, logBlocks });
  const undo = () => {
    for (const path of made.reverse()) rmSync(path, { force: true });
  };
  const make = (path: string): SharedFile => {
    if (existsSync(path)) {
      throw new StorageError('INVALID_ARGUMENT', `${path} is there already`, {
        hint: 'choose another path, or remove it first',
        detail: { path },
      });
    }
    const file = new SharedFile(path, { isNew: true });
    made.push(path);
    return file;
  };
  try {
    if (isOneFile) {
      const file = make(paths.where);
      const disk = new FileDisk({ file, blockCount, name: paths.where });
      return {
        devices: { disks: [disk], nvramInFront: windowOf(file, paths.where) },
        logBlocks,
        undo,
      };
    }
    mkdirSync(paths.where, { recursive: true });
    const disks = Array.from({ length: diskCount }, (_, index) => {
      const path = join(paths.where, diskName(index));
      return new FileDisk({ file: make(path), blockCount, name: path });
    });
    const nvram = Array.from({ length: raid === 'none' ? 1 : 2 }, (_, copy) => {
      const path = join(paths.where, logName(copy));
      return new FileNvram({
        file: make(path),
        offsetBytes: 0,
        sizeBytes: logSizeBytes,
        name: path,
      });
    });
    syncDirectorySync(paths.where);
    return { devices: { disks, nvram }, logBlocks, undo };
  } catch (error) {
    undo();
    throw error;
  }
}

function windowOf(file: SharedFile, name: string): NonNullable<Devices['nvramInFront']> {
  return ({ logFirst, logBlocks }) =>
    new FileNvram({
      file,
      offsetBytes: logFirst * BLOCK_SIZE,
      sizeBytes: logBlocks * BLOCK_SIZE,
      name: `${name} (log)`,
    });
}

export interface OpenedFiles {
  readonly devices: Devices;
  /** Names of the disks by path, for commands. */
  readonly names: ReadonlyMap<string, string>;
}

/** Opens the files of a volume. @throws NOT_A_VOLUME where there is no disk among them. */
export function openFiles(paths: VolumePaths, isReadOnly: boolean): OpenedFiles {
  if (!paths.isDirectory) {
    const file = openFile(paths.where, isReadOnly);
    const disk = diskOver(file, paths.where);
    const devices = { disks: [disk], nvramInFront: windowOf(file, paths.where) };
    return { devices, names: new Map([[paths.where, basename(paths.where)]]) };
  }
  const files = readdirSync(paths.where).sort();
  const diskFiles = files.filter((name) => DISK_PATTERN.test(name) && !LOG_PATTERN.test(name));
  if (diskFiles.length === 0) {
    throw new StorageError('NOT_A_VOLUME', `${paths.where} has no disk files`, {
      detail: { path: paths.where },
    });
  }
  const logFiles = files.filter((name) => LOG_PATTERN.test(name));
  if (logFiles.length === 0) {
    throw new StorageError('DISK_MISSING', `${paths.where} has no log file`, {
      hint: 'bring back the log file that belongs to the disks',
      detail: { path: paths.where },
    });
  }
  const names = new Map<string, string>();
  const disks = diskFiles.map((name) => {
    const path = join(paths.where, name);
    names.set(path, name.replace(DISK_PATTERN, ''));
    return diskOver(openFile(path, isReadOnly), path);
  });
  const nvram = logFiles.map((name) => {
    const path = join(paths.where, name);
    const file = openFile(path, isReadOnly);
    const sizeBytes = Math.floor(file.sizeBytes() / BLOCK_SIZE) * BLOCK_SIZE;
    return new FileNvram({ file, offsetBytes: 0, sizeBytes, name: path });
  });
  if (isReadOnly) return { devices: { disks, nvram }, names };
  const newNvram = (sizeBytes: number) => newLogFile(paths.where, sizeBytes);
  return { devices: { disks, nvram, newNvram }, names };
}

/** A file for a copy of the log that is missing. It gets its name when it is whole: a crash before
 *  that leaves a file that nobody looks at, and that the next one to come here replaces. */
function newLogFile(where: string, sizeBytes: number): NewNvram {
  let copy = 0;
  while (existsSync(join(where, logName(copy)))) copy++;
  const path = join(where, logName(copy));
  const unfinished = `${path}.new`;
  rmSync(unfinished, { force: true });
  const file = hostCall(path, () => new SharedFile(unfinished, { isNew: true }));
  const nvram = new FileNvram({ file, offsetBytes: 0, sizeBytes, name: path });
  return {
    nvram,
    keep: () => {
      hostCall(path, () => renameSync(unfinished, path));
      syncDirectorySync(where);
    },
    drop: () => {
      void nvram.close();
      rmSync(unfinished, { force: true });
    },
  };
}

function hostCall<T>(path: string, call: () => T): T {
  try {
    return call();
  } catch (error) {
    throw new StorageError('DISK_FAILED', `${path} cannot be made`, {
      cause: error,
      detail: { path },
    });
  }
}

function openFile(path: string, isReadOnly: boolean): SharedFile {
  try {
    return new SharedFile(path, { isReadOnly });
  } catch (error) {
    throw new StorageError('DISK_FAILED', `${path} cannot be opened`, {
      cause: error,
      detail: { path },
    });
  }
}

/** A disk offers what its label says, else what its file has. RAID checks the label as a whole; a
 *  size that is wrong here is refused there. */
function diskOver(file: SharedFile, path: string): FileDisk {
  let blockCount = Math.max(1, Math.floor(file.sizeBytes() / BLOCK_SIZE));
  for (let copy = 0; copy < LABEL_COPIES; copy++) {
    const bytes = new Uint8Array(BLOCK_SIZE);
    file.readSync(copy * BLOCK_SIZE, [bytes]);
    const view = new DataView(bytes.buffer);
    if (view.getUint32(0, true) !== LABEL_MAGIC) continue;
    const blocks = getU64(view, LABEL_BLOCKS_OFFSET);
    if (blocks > blockCount && blocks < DISK_BLOCKS_MAX) blockCount = blocks;
  }
  return new FileDisk({ file, blockCount, name: path });
}

/** A fresh file for a disk that is replaced, as large as the one before. */
export function createDiskFile(path: string, blockCount: number): FileDisk {
  const file = new SharedFile(path, { isNew: true });
  syncDirectorySync(dirname(path));
  return new FileDisk({ file, blockCount, name: path });
}

export interface InspectedFiles {
  readonly disks: readonly FileDisk[];
  readonly logs: readonly FileNvram[];
  readonly logOf: (
    disk: Disk,
    place: { readonly offsetBytes: number; readonly sizeBytes: number },
  ) => FileNvram;
}

/** Files to be looked at, read-only: a volume, whole or broken, or one disk or log file alone. What
 *  a file is, its first bytes say. */
export function openFilesToInspect(where: string | URL): InspectedFiles {
  const { where: path, isDirectory } = pathsOfExisting(where);
  const names = isDirectory
    ? readdirSync(path)
        .filter((name) => DISK_PATTERN.test(name))
        .map((name) => join(path, name))
    : [path];
  if (names.length === 0) {
    throw new StorageError('NOT_A_VOLUME', `${path} has no disk files`, { detail: { path } });
  }
  const files = new Map(names.sort().map((name) => [name, openFile(name, true)]));
  const disks: FileDisk[] = [];
  const logs: FileNvram[] = [];
  for (const [name, file] of files) {
    const sizeBytes = Math.floor(file.sizeBytes() / BLOCK_SIZE) * BLOCK_SIZE;
    if (isLogFile(file)) logs.push(new FileNvram({ file, offsetBytes: 0, sizeBytes, name }));
    else disks.push(diskOver(file, name));
  }
  const logOf: InspectedFiles['logOf'] = (disk, place) => {
    const file = files.get(disk.name);
    if (file === undefined) throw new StorageError('DISK_FAILED', `${disk.name} is not open`);
    return new FileNvram({ file, ...place, name: `${disk.name} (log)` });
  };
  return { disks, logs, logOf };
}

function isLogFile(file: SharedFile): boolean {
  const bytes = new Uint8Array(BLOCK_SIZE);
  file.readSync(0, [bytes]);
  return new DataView(bytes.buffer).getUint32(LOG_MAGIC_OFFSET, true) === LOG_MAGIC;
}
