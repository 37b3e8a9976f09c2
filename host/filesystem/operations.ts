// What a file system can be asked: the calls that the node:fs-shaped face (host/fs/) is made of.
// Each returns a Task: awaited for an async call, driven to its end in the same turn for a sync
// call. An Operations object is one image: the active file system, or a snapshot (read-only,
// EROFS).
//
// Paths are absolute, '/'-separated; '', '.' and '..' components are resolved here, symbolic links
// too (at most SYMLINKS_MAX, then ELOOP). Failures are FsErrors with a code only: the face adds
// syscall, path and dest. Names are compared as UTF-8 bytes; a component over 255 bytes is
// ENAMETOOLONG, a path with a NUL byte is EINVAL.

import type { Task } from '../base/task.ts';
import type { Ino, Instant } from '../base/units.ts';

export const SYMLINKS_MAX = 40;
export const NAME_SIZE_MAX = 255;
export const SYMLINK_SIZE_MAX = 4095;
/** Bytes that one message moves: larger calls are a sequence of messages (ENGINE 12). */
export const MESSAGE_SIZE_MAX = 1024 * 1024;

/** POSIX type bits of a mode. */
export const S_IFMT = 0o170000;
export const S_IFREG = 0o100000;
export const S_IFDIR = 0o040000;
export const S_IFLNK = 0o120000;

export type FileKind = 'file' | 'directory' | 'symlink';

/** An inode as seen from outside. Sizes in bytes; blocks in blocks of 4096 bytes. */
export interface Attributes {
  readonly ino: Ino;
  readonly generation: number;
  readonly mode: number;
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly blocks: number;
  readonly atime: Instant;
  readonly mtime: Instant;
  readonly ctime: Instant;
  readonly btime: Instant;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly ino: Ino;
  readonly kind: FileKind;
}

/** An open file. Stays usable after unlink; ESTALE after a rollback; EBADF after close. */
export interface OpenFile {
  readonly ino: Ino;
  readonly generation: number;
  readonly readable: boolean;
  readonly writable: boolean;
  /** Every write goes to the end of the file. */
  readonly append: boolean;
  readonly isClosed: boolean;
}

/** A file by name or by handle. */
export type Target =
  | { readonly path: string; readonly followLast?: boolean }
  | { readonly file: OpenFile };

export interface OpenOptions {
  readonly read: boolean;
  readonly write: boolean;
  readonly append?: boolean;
  readonly create?: boolean;
  /** With create: EEXIST if the name is there. */
  readonly exclusive?: boolean;
  readonly truncate?: boolean;
  /** ENOTDIR unless a directory. */
  readonly directory?: boolean;
  /** ELOOP if the last component is a symbolic link. */
  readonly noFollow?: boolean;
  /** Permission bits for a file that is created. */
  readonly mode?: number;
}

/** `attributes`: what the file has at the end, in the same message where it is one. */
export interface WriteFileOptions extends OpenOptions {
  readonly attributes?: AttributeChange;
}

export interface AttributeChange {
  /** Permission bits, 0..0o7777. */
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly atime?: Instant;
  readonly mtime?: Instant;
}

export interface StatFs {
  readonly blockSizeBytes: number;
  readonly blocks: number;
  /** Free for a message now or after zombies and resting frees have been waited for. */
  readonly blocksFree: number;
  readonly files: number;
  readonly filesFree: number;
}

export interface DirectoryPage {
  readonly entries: readonly DirectoryEntry[];
  /** Give it to the next call; undefined at the end. Survives changes of the directory. */
  readonly next?: DirectoryCursor;
}
/** Opaque; three u32. */
export type DirectoryCursor = readonly [number, number, number];

export interface Operations {
  readonly isReadOnly: boolean;

  attributes(target: Target): Task<Attributes>;
  open(path: string, options: OpenOptions): Task<OpenFile>;
  close(file: OpenFile): Task<void>;
  /** Reads up to target.length bytes at `position`; returns how many (fewer only at the end). */
  read(file: OpenFile, target: Uint8Array, position: number): Task<number>;
  /** Writes all of `data` at `position` (ignored for append); a prefix, in steps of
   *  MESSAGE_SIZE_MAX, survives a crash in the middle. */
  write(file: OpenFile, data: Uint8Array, position: number): Task<number>;
  /** A whole file: opened, cut, written, in one message where it is not over MESSAGE_SIZE_MAX. */
  writeFile(path: string, data: Uint8Array, options: WriteFileOptions): Task<void>;
  /** A whole file's bytes, in fresh memory. */
  readFile(target: Target): Task<Uint8Array>;
  truncate(target: Target, sizeBytes: number): Task<void>;
  change(target: Target, change: AttributeChange): Task<void>;

  mkdir(path: string, mode: number): Task<void>;
  symlink(content: string, path: string): Task<void>;
  readlink(path: string): Task<string>;
  link(existing: string, path: string): Task<void>;
  unlink(path: string): Task<void>;
  rmdir(path: string): Task<void>;
  rename(from: string, to: string): Task<void>;
  /** Entries from `cursor` on (from the start without), at most `max`, in no promised order. */
  readdir(target: Target, max: number, cursor?: DirectoryCursor): Task<DirectoryPage>;

  listXattrs(target: Target): Task<readonly string[]>;
  /** ENODATA if there is none. */
  getXattr(target: Target, name: string): Task<Uint8Array>;
  /** ENOSPC if all of the file's xattrs do not fit into one block. */
  setXattr(target: Target, name: string, value: Uint8Array): Task<void>;
  removeXattr(target: Target, name: string): Task<void>;

  statfs(): Task<StatFs>;
  /** Everything acknowledged before is durable afterwards (a no-op where durability is
   *  'durable'). */
  sync(): Task<void>;
}
