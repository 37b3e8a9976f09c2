// The public shape of the face: what `volume.fs` is. It follows node:fs (files and directories),
// with what a volume adds: times to the nanosecond (an Instant or a bigint for a TimeLike) and
// xattrs. What is read comes as Buffer where the host has Buffer, else as Uint8Array.

import type { Mode, PathLike, TimeLike, WriteData } from './arguments.ts';
import type { AttributeOptions, StatOptions, XattrOptions } from './attribute-calls.ts';
import type { constants, OpenFlags } from './constants.ts';
import type { ReadFileOptions, WriteFileOptions, WriteSource } from './content-calls.ts';
import type { CopyOptions } from './copy.ts';
import type { Dir, OpendirOptions } from './directory.ts';
import type { Dirent } from './dirent.ts';
import type { Encoding } from './encoding.ts';
import type { FileHandle } from './file-handle.ts';
import type { MkdirOptions, RmOptions } from './name-calls.ts';
import type { BigIntStats, Stats, StatsFs } from './stats.ts';
import type { ReadOptions, WriteOptions } from './transfer.ts';

type Bytes = Uint8Array;
/** Options by which text is asked for. */
type TextOptions<O> = Encoding | (Omit<O, 'encoding'> & { readonly encoding: Encoding });
type BytesOptions<O> = 'buffer' | (Omit<O, 'encoding'> & { readonly encoding: 'buffer' });
type NameOptions = Encoding | { readonly encoding?: Encoding | null | undefined } | null;
type DirectoryOptions = { readonly recursive?: boolean | undefined };
type PlainStat = StatOptions & { readonly bigint?: false | undefined };
type BigStat = StatOptions & { readonly bigint: true };
type MaybeStat = StatOptions & { readonly throwIfNoEntry: false };
type WriteSettings = WriteFileOptions | Encoding | null;

/** fs.promises. */
export interface FsPromises {
  readonly constants: typeof constants;

  access(path: PathLike, mode?: number): Promise<void>;
  appendFile(
    file: PathLike | FileHandle,
    data: WriteSource,
    options?: WriteSettings,
  ): Promise<void>;
  chmod(path: PathLike, mode: Mode): Promise<void>;
  chown(path: PathLike, uid: number, gid: number): Promise<void>;
  copyFile(source: PathLike, destination: PathLike, mode?: number): Promise<void>;
  cp(source: PathLike, destination: PathLike, options?: CopyOptions): Promise<void>;
  lchmod(path: PathLike, mode: Mode): Promise<void>;
  lchown(path: PathLike, uid: number, gid: number): Promise<void>;
  link(existingPath: PathLike, newPath: PathLike): Promise<void>;
  lstat(path: PathLike, options?: PlainStat): Promise<Stats>;
  lstat(path: PathLike, options: BigStat): Promise<BigIntStats>;
  lstat(path: PathLike, options?: StatOptions): Promise<Stats | BigIntStats>;
  lutimes(path: PathLike, atime: TimeLike, mtime: TimeLike): Promise<void>;
  /** Recursive: gives the first directory that was made, if any was. */
  mkdir(path: PathLike, options?: MkdirOptions | Mode | null): Promise<string | undefined>;
  mkdtemp(prefix: PathLike, options?: NameOptions): Promise<string>;
  mkdtemp(prefix: PathLike, options: BytesOptions<object>): Promise<Bytes>;
  open(path: PathLike, flags?: OpenFlags | null, mode?: Mode | null): Promise<FileHandle>;
  opendir(path: PathLike, options?: OpendirOptions | Encoding | null): Promise<Dir>;
  readdir(
    path: PathLike,
    options?: NameOptions | (DirectoryOptions & { readonly withFileTypes?: false | undefined }),
  ): Promise<string[]>;
  readdir(
    path: PathLike,
    options: DirectoryOptions & { readonly withFileTypes: true; readonly encoding?: Encoding },
  ): Promise<Dirent[]>;
  readdir(
    path: PathLike,
    options: BytesOptions<DirectoryOptions & { readonly withFileTypes?: false }>,
  ): Promise<Bytes[]>;
  readFile(file: PathLike | FileHandle, options: TextOptions<ReadFileOptions>): Promise<string>;
  readFile(
    file: PathLike | FileHandle,
    options?: (ReadFileOptions & { readonly encoding?: null | 'buffer' | undefined }) | null,
  ): Promise<Bytes>;
  readFile(
    file: PathLike | FileHandle,
    options?: ReadFileOptions | string | null,
  ): Promise<string | Bytes>;
  readlink(path: PathLike, options?: NameOptions): Promise<string>;
  readlink(path: PathLike, options: BytesOptions<object>): Promise<Bytes>;
  realpath(path: PathLike, options?: NameOptions): Promise<string>;
  realpath(path: PathLike, options: BytesOptions<object>): Promise<Bytes>;
  rename(oldPath: PathLike, newPath: PathLike): Promise<void>;
  rm(path: PathLike, options?: RmOptions): Promise<void>;
  rmdir(path: PathLike): Promise<void>;
  stat(path: PathLike, options?: PlainStat): Promise<Stats>;
  stat(path: PathLike, options: BigStat): Promise<BigIntStats>;
  stat(path: PathLike, options?: StatOptions): Promise<Stats | BigIntStats>;
  statfs(path: PathLike, options?: PlainStat): Promise<StatsFs>;
  statfs(path: PathLike, options: BigStat): Promise<StatsFs<bigint>>;
  symlink(target: PathLike, path: PathLike, type?: string | null): Promise<void>;
  truncate(path: PathLike, length?: number | null): Promise<void>;
  unlink(path: PathLike): Promise<void>;
  utimes(path: PathLike, atime: TimeLike, mtime: TimeLike): Promise<void>;
  writeFile(file: PathLike | FileHandle, data: WriteSource, options?: WriteSettings): Promise<void>;

  /** Several attributes in one call, all or none; of a symbolic link itself. Exact times. */
  setAttributes(path: PathLike, attributes: AttributeOptions): Promise<void>;
  getxattr(path: PathLike, name: string, options?: XattrOptions): Promise<Bytes>;
  setxattr(path: PathLike, name: string, value: WriteData, options?: XattrOptions): Promise<void>;
  listxattr(path: PathLike, options?: XattrOptions): Promise<string[]>;
  removexattr(path: PathLike, name: string, options?: XattrOptions): Promise<void>;
}

/** A path, or the number of an open file of this VolumeFs. */
type PathOrFd = PathLike | number;

/** What node:fs offers for files and directories, on one image of a volume. Every caller is the
 *  owner: modes and owners are kept and given back, and never refuse anything. */
export interface VolumeFs {
  readonly promises: FsPromises;
  readonly constants: typeof constants;

  accessSync(path: PathLike, mode?: number): void;
  appendFileSync(file: PathOrFd, data: WriteData, options?: WriteSettings): void;
  chmodSync(path: PathLike, mode: Mode): void;
  chownSync(path: PathLike, uid: number, gid: number): void;
  closeSync(fd: number): void;
  copyFileSync(source: PathLike, destination: PathLike, mode?: number): void;
  cpSync(source: PathLike, destination: PathLike, options?: CopyOptions): void;
  existsSync(path: PathLike): boolean;
  fstatSync(fd: number, options?: PlainStat): Stats;
  fstatSync(fd: number, options: BigStat): BigIntStats;
  fsyncSync(fd: number): void;
  ftruncateSync(fd: number, length?: number | null): void;
  lchownSync(path: PathLike, uid: number, gid: number): void;
  linkSync(existingPath: PathLike, newPath: PathLike): void;
  lstatSync(path: PathLike, options?: PlainStat): Stats;
  lstatSync(path: PathLike, options: BigStat): BigIntStats;
  lstatSync(path: PathLike, options: MaybeStat): Stats | BigIntStats | undefined;
  lutimesSync(path: PathLike, atime: TimeLike, mtime: TimeLike): void;
  mkdirSync(path: PathLike, options?: MkdirOptions | Mode | null): string | undefined;
  mkdtempSync(prefix: PathLike, options?: NameOptions): string;
  openSync(path: PathLike, flags?: OpenFlags | null, mode?: Mode | null): number;
  opendirSync(path: PathLike, options?: OpendirOptions | Encoding | null): Dir;
  readdirSync(
    path: PathLike,
    options?: NameOptions | (DirectoryOptions & { readonly withFileTypes?: false | undefined }),
  ): string[];
  readdirSync(
    path: PathLike,
    options: DirectoryOptions & { readonly withFileTypes: true; readonly encoding?: Encoding },
  ): Dirent[];
  readFileSync(file: PathOrFd, options: TextOptions<ReadFileOptions>): string;
  readFileSync(
    file: PathOrFd,
    options?: (ReadFileOptions & { readonly encoding?: null | 'buffer' | undefined }) | null,
  ): Bytes;
  readlinkSync(path: PathLike, options?: NameOptions): string;
  readSync(
    fd: number,
    buffer: ArrayBufferView,
    offset?: number | null | ReadOptions,
    length?: number | null,
    position?: number | bigint | null,
  ): number;
  realpathSync(path: PathLike, options?: NameOptions): string;
  renameSync(oldPath: PathLike, newPath: PathLike): void;
  rmSync(path: PathLike, options?: RmOptions): void;
  rmdirSync(path: PathLike): void;
  statSync(path: PathLike, options?: PlainStat): Stats;
  statSync(path: PathLike, options: BigStat): BigIntStats;
  statSync(path: PathLike, options: MaybeStat): Stats | BigIntStats | undefined;
  statfsSync(path: PathLike, options?: PlainStat): StatsFs;
  statfsSync(path: PathLike, options: BigStat): StatsFs<bigint>;
  symlinkSync(target: PathLike, path: PathLike, type?: string | null): void;
  truncateSync(path: PathLike, length?: number | null): void;
  unlinkSync(path: PathLike): void;
  utimesSync(path: PathLike, atime: TimeLike, mtime: TimeLike): void;
  writeFileSync(file: PathOrFd, data: WriteData, options?: WriteSettings): void;
  writeSync(
    fd: number,
    data: WriteData,
    offset?: number | null | WriteOptions,
    length?: number | string | null,
    position?: number | null,
  ): number;

  setAttributesSync(path: PathLike, attributes: AttributeOptions): void;
  getxattrSync(path: PathLike, name: string, options?: XattrOptions): Bytes;
  setxattrSync(path: PathLike, name: string, value: WriteData, options?: XattrOptions): void;
  listxattrSync(path: PathLike, options?: XattrOptions): string[];
  removexattrSync(path: PathLike, name: string, options?: XattrOptions): void;
}
