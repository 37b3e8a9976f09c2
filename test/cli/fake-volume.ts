// A volume that is no volume: a host directory behind the interfaces of volume-face.ts, so that the
// command line is tested without the engine. `where` holds volume.json, lock, files/ and
// snapshots/NAME/. Faults are put into volume.json by the tests.

import fs from 'node:fs';
import * as host from 'node:fs/promises';
import { lstat, open, readdir, readlink } from 'node:fs/promises';
import { join } from 'node:path';

import { FsError, StorageError } from '../../host/base/errors.ts';
import { copyTrees } from '../../host/cli/transfer/copy.ts';
import { hostSide } from '../../host/cli/transfer/host-side.ts';
import { utimesText } from '../../host/cli/transfer/side.ts';
import type {
  CliVolume,
  CreateOptions,
  DiskInfo,
  Engine,
  InspectedStructure,
  OpenOptions,
  SnapshotInfo,
  TreeAttributes,
  TreeFs,
  VerifyProblem,
  VolumeImage,
  VolumeStats,
  VolumeStatus,
} from '../../host/cli/volume-face.ts';

interface FakeState {
  raid: 'none' | 'raid4' | 'dp';
  sizeBytes: number;
  disks: DiskInfo[];
  holds: Record<string, number>;
  problems: VerifyProblem[];
  /** Code with which the next modifying call fails. */
  fault?: 'ENOSPC' | 'EIO' | 'BUG' | 'SIGINT';
}

const UUID = '01234567-89ab-cdef-0123-456789abcdef';
const TIME = { seconds: 1_700_000_000, nanoseconds: 123_456_789 };

/** What a module given to the main job exports. */
export async function loadEngine(): Promise<Engine> {
  return fakeEngine();
}

/** `native`: with setAttributes, as waferfs has it; else only what node:fs has. */
export function fakeEngine(options: { native?: boolean } = {}): Engine {
  const native = options.native ?? true;
  return {
    create: async (where, create) => createFake(where, create, native),
    open: async (where, open) => openFake(where, open, native),
    inspect: (where) => inspectFake(where),
  };
}

/** Changes volume.json. */
export function changeFake(where: string, change: (state: FakeState) => void): void {
  const state = loadState(where);
  change(state);
  saveState(where, state);
}

function createFake(where: string, options: CreateOptions, native: boolean): CliVolume {
  if (options.raid === 'dp') {
    throw new StorageError('UNSUPPORTED_FEATURE', 'double parity is not built yet');
  }
  if (fs.existsSync(where)) throw new StorageError('INVALID_ARGUMENT', `${where} exists already`);
  const raid = options.raid ?? (options.disks === 1 ? 'none' : 'raid4');
  fs.mkdirSync(join(where, 'files'), { recursive: true });
  fs.mkdirSync(join(where, 'snapshots'));
  const disks = Array.from({ length: options.disks }, (_, index): DiskInfo => {
    const name = `disk-${String(index).padStart(2, '0')}`;
    const role = raid === 'raid4' && index === options.disks - 1 ? 'parity' : 'data';
    const sizeBytes = Math.ceil(options.sizeBytes / options.disks);
    return {
      name,
      file: `${name}.wafer`,
      uuid: `${UUID.slice(0, -1)}${index}`,
      role,
      state: 'active',
      sizeBytes,
      lengthBytes: 1_048_576,
    };
  });
  saveState(where, { raid, sizeBytes: options.sizeBytes, disks, holds: {}, problems: [] });
  return openFake(where, {}, native);
}

function openFake(where: string, options: OpenOptions, native: boolean): CliVolume {
  if (!fs.existsSync(join(where, 'volume.json'))) {
    throw new StorageError('NOT_A_VOLUME', `${where} is not a volume`);
  }
  return new FakeVolume(where, options.readOnly ?? false, native);
}

async function* inspectFake(where: string): AsyncGenerator<InspectedStructure> {
  const { disks } = loadState(where);
  for (const disk of disks) {
    const isFailed = disk.state === 'failed';
    yield {
      structure: 'label',
      file: disk.file,
      offsetBytes: 0,
      fields: [
        { name: 'magic', offsetBytes: 0, sizeBytes: 4, value: '574c424c' },
        { name: 'uuid', offsetBytes: 16, sizeBytes: 16, value: disk.uuid },
      ],
      problems: isFailed ? ['checksum is not that of its bytes'] : [],
    };
  }
}

function loadState(where: string): FakeState {
  return JSON.parse(fs.readFileSync(join(where, 'volume.json'), 'utf8')) as FakeState;
}

function saveState(where: string, state: FakeState): void {
  fs.writeFileSync(join(where, 'volume.json'), JSON.stringify(state));
}

class FakeVolume implements CliVolume {
  readonly fs: { readonly promises: TreeFs };
  readonly #where: string;
  readonly #readOnly: boolean;
  readonly #native: boolean;

  constructor(where: string, readOnly: boolean, native: boolean) {
    this.#where = where;
    this.#readOnly = readOnly;
    this.#native = native;
    if (!readOnly) takeLock(where);
    this.fs = { promises: this.#tree(join(where, 'files'), readOnly) };
  }

  #tree(root: string, readOnly: boolean): TreeFs {
    return fakeTree(root, this.#native, () => {
      if (readOnly) throw new FsError('EROFS');
      const state = loadState(this.#where);
      if (state.fault === 'BUG') throw new TypeError('undefined is not a function');
      if (state.fault === 'SIGINT') {
        // Once: a second one ends the process on the spot.
        changeFake(this.#where, (changed) => {
          delete changed.fault;
        });
        process.kill(process.pid, 'SIGINT');
      } else if (state.fault !== undefined) throw new FsError(state.fault, { syscall: 'write' });
    });
  }

  #snapshot(name: string): string {
    const path = join(this.#where, 'snapshots', name);
    if (!fs.existsSync(path)) throw new FsError('ENOENT', { syscall: 'snapshot', path: name });
    return path;
  }

  at(name: string): VolumeImage {
    return { fs: { promises: this.#tree(this.#snapshot(name), true) } };
  }

  readonly snapshots = {
    create: async (name: string): Promise<SnapshotInfo> => {
      const path = join(this.#where, 'snapshots', name);
      if (fs.existsSync(path)) throw new FsError('EEXIST', { syscall: 'snapshot', path: name });
      await copyHost(join(this.#where, 'files'), path);
      return this.#info(name);
    },
    list: async (): Promise<readonly SnapshotInfo[]> =>
      fs.readdirSync(join(this.#where, 'snapshots')).map((name) => this.#info(name)),
    delete: async (name: string): Promise<void> => {
      const path = this.#snapshot(name);
      if ((loadState(this.#where).holds[name] ?? 0) > 0) {
        throw new StorageError('SNAPSHOT_BUSY', `${name} is held`);
      }
      fs.rmSync(path, { recursive: true });
    },
    hold: async (name: string): Promise<void> => this.#addHold(name, 1),
    release: async (name: string): Promise<void> => this.#addHold(name, -1),
  };

  #addHold(name: string, count: number): void {
    this.#snapshot(name);
    changeFake(this.#where, (state) => {
      state.holds[name] = (state.holds[name] ?? 0) + count;
    });
  }

  #info(name: string): SnapshotInfo {
    const holdCount = loadState(this.#where).holds[name] ?? 0;
    return { name, id: 1, createdAt: TIME, holdCount, blockCount: 7 };
  }

  async rollback(name: string): Promise<void> {
    const path = this.#snapshot(name);
    fs.rmSync(join(this.#where, 'files'), { recursive: true });
    await copyHost(path, join(this.#where, 'files'));
  }

  async status(): Promise<VolumeStatus> {
    const state = loadState(this.#where);
    const isDegraded = state.disks.some((disk) => disk.state === 'failed');
    return {
      uuid: UUID,
      state: isDegraded ? 'degraded' : 'healthy',
      formatVersion: 1,
      raid: state.raid,
      createdAt: TIME,
      epoch: 3,
      consistencyPoint: 17,
      sizeBytes: state.sizeBytes,
      usedBytes: 40_960,
      freeBytes: state.sizeBytes - 40_960,
      snapshotBytes: 4096,
      fileCount: 5,
      snapshotCount: fs.readdirSync(join(this.#where, 'snapshots')).length,
      logSizeBytes: 67_108_864,
      replayedRecordCount: 0,
      replay: {
        entryCount: 0,
        waitCount: 0,
        redeliveryCount: 0,
        skipCount: 0,
        loadedBlockCount: 0,
        initiateMs: 0,
        loadMs: 0,
        modifyMs: 0,
        commitMs: 0,
      },
      disks: state.disks,
      warnings: isDegraded ? ['a disk has failed'] : [],
    };
  }

  async verify(): Promise<{
    problems: readonly VerifyProblem[];
    problemCount: number;
    blockCount: number;
    inodeCount: number;
    directoryCount: number;
    snapshotCount: number;
  }> {
    const { problems } = loadState(this.#where);
    return {
      problems,
      problemCount: problems.length,
      blockCount: 10,
      inodeCount: 5,
      directoryCount: 2,
      snapshotCount: 1,
    };
  }

  readonly disks = {
    list: async (): Promise<readonly DiskInfo[]> => loadState(this.#where).disks,
    fail: async (disk: string): Promise<void> => this.#setDisk(disk, 'failed'),
    replace: async (disk: string): Promise<{ rebuiltBlockCount: number }> => {
      this.#setDisk(disk, 'active');
      return { rebuiltBlockCount: 10 };
    },
  };

  #setDisk(name: string, to: DiskInfo['state']): void {
    changeFake(this.#where, (state) => {
      if (!state.disks.some((disk) => disk.name === name)) {
        throw new StorageError('INVALID_ARGUMENT', `there is no disk ${name}`);
      }
      state.disks = state.disks.map((disk) => (disk.name === name ? { ...disk, state: to } : disk));
    });
  }

  stats(): VolumeStats {
    return {
      replayedRecordCount: 0,
      reconstructedBlockCount: 0,
      repairedBlockCount: 0,
      poolJobCount: 0,
    };
  }

  async close(): Promise<void> {
    if (!this.#readOnly) fs.rmSync(join(this.#where, 'lock'));
  }
}

function takeLock(where: string): void {
  const lock = join(where, 'lock');
  if (fs.existsSync(lock)) {
    const holder = Number(fs.readFileSync(lock, 'utf8'));
    if (isAlive(holder)) {
      throw new StorageError('VOLUME_LOCKED', `${where} is open in process ${holder}`);
    }
  }
  fs.writeFileSync(lock, `${process.pid}`);
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as { code?: string }).code !== 'ESRCH';
  }
}

/** node:fs/promises below `root`; `beforeChange` may refuse. */
export function fakeTree(root: string, native: boolean, beforeChange: () => void): TreeFs {
  const at = (path: string) => join(root, path);
  const changing =
    <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      beforeChange();
      return call(...args);
    };
  const tree: TreeFs = {
    lstat: (path, options) => lstat(at(path), options),
    stat: (path, options) => host.stat(at(path), options),
    readdir: (path, options) => readdir(at(path), options),
    readlink: (path) => readlink(at(path)),
    open: async (path, flags, mode) => {
      if (flags !== 'r') beforeChange();
      return open(at(path), flags, mode);
    },
    writeFile: changing((path, data, options) => writeWhole(root, at(path), data, options)),
    mkdir: changing((path, options) => host.mkdir(at(path), options)),
    symlink: changing((content, path) => host.symlink(content, at(path))),
    link: changing((existing, path) => host.link(at(existing), at(path))),
    unlink: changing((path) => host.unlink(at(path))),
    rmdir: changing((path) => host.rmdir(at(path))),
    chmod: changing((path, mode) => host.chmod(at(path), mode)),
    lchown: changing((path, uid, gid) => host.lchown(at(path), uid, gid)),
    lutimes: changing((path, atime, mtime) => host.lutimes(at(path), atime, mtime)),
  };
  if (!native) return tree;
  return {
    ...tree,
    setAttributes: changing((path, attributes) => setAttributes(at(path), attributes)),
  };
}

let temporaryCount = 0;

/** All or nothing, as a message is. */
async function writeWhole(
  root: string,
  path: string,
  data: Uint8Array,
  options: { flag: string; mode: number; attributes?: TreeAttributes },
): Promise<void> {
  const temporary = `${root}-${process.pid}-${temporaryCount++}`;
  await host.writeFile(temporary, data, { mode: options.mode });
  if (options.attributes !== undefined) await setAttributes(temporary, options.attributes);
  if (options.flag !== 'wx') return host.rename(temporary, path);
  try {
    await host.link(temporary, path);
  } finally {
    await host.unlink(temporary);
  }
}

async function setAttributes(path: string, attributes: TreeAttributes): Promise<void> {
  const { uid, gid, mode, atime, mtime } = attributes;
  if (uid !== undefined && gid !== undefined) await host.lchown(path, uid, gid);
  if (atime !== undefined && mtime !== undefined) {
    const text = (time: { seconds: number; nanoseconds: number }) =>
      utimesText(BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds));
    await host.lutimes(path, text(atime), text(mtime));
  }
  if (mode !== undefined) await host.chmod(path, mode);
}

async function copyHost(from: string, to: string): Promise<void> {
  const side = hostSide();
  fs.mkdirSync(to);
  await copyTrees(side, [{ path: from }], side, to, { owners: process.getuid?.() === 0 });
}
