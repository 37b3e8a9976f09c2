// Calls on names: making, removing, renaming, linking, listing.

import type { FsErrorCode } from '../base/errors.ts';
import { FsError, isFsError } from '../base/errors.ts';
import { below } from '../base/prng.ts';
import type { Step, Task } from '../base/task.ts';
import type { DirectoryCursor, DirectoryEntry, FileKind } from '../filesystem/operations.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, SYMLINKS_MAX } from '../filesystem/operations.ts';
import { systemError } from './argument-errors.ts';
import type { EncodingOption, Mode, PathLike } from './arguments.ts';
import {
  absolute,
  checkBoolean,
  checkInteger,
  checkMode,
  checkObject,
  checkOptions,
  pathText,
} from './arguments.ts';
import type { Call, Place } from './call.ts';
import { action, at, call, composed } from './call.ts';
import type { FsContext } from './descriptor.ts';
import { Dirent } from './dirent.ts';
import { decode, encode } from './encoding.ts';
import { asHostBytes } from './globals.ts';

export interface EncodingOptions {
  readonly encoding?: EncodingOption | undefined;
}

export interface MkdirOptions {
  readonly recursive?: boolean | undefined;
  readonly mode?: Mode | undefined;
}

export interface ReaddirOptions extends EncodingOptions {
  readonly withFileTypes?: boolean | undefined;
  readonly recursive?: boolean | undefined;
}

export interface RmOptions {
  readonly force?: boolean | undefined;
  readonly recursive?: boolean | undefined;
  /** Checked and not used: nothing here fails only for a while. */
  readonly maxRetries?: number | undefined;
  readonly retryDelay?: number | undefined;
}

export type Name = string | Uint8Array;
export type ReaddirResult = Name[] | Dirent<Name>[];

/** Entries taken from a directory at once. */
const PAGE_ENTRIES = 1024;
const MKDTEMP_LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
const MKDTEMP_LENGTH = 6;
/** 62^6 names: that many taken in a row means something else is wrong. */
const MKDTEMP_TRIES_MAX = 100;

/** A name in the encoding that was asked for. */
export function namedIn(encoding: EncodingOption | undefined): (name: string) => Name {
  if (encoding === 'buffer') return (name) => asHostBytes(encode(name, 'utf8'));
  if (!encoding || encoding === 'utf8' || encoding === 'utf-8') return (name) => name;
  return (name) => decode(encode(name, 'utf8'), encoding);
}

export function joined(directory: string, name: string): string {
  return directory.endsWith('/') ? directory + name : `${directory}/${name}`;
}

export function nameCalls(context: FsContext) {
  const { operations, umask } = context;

  return {
    mkdir(path: PathLike, options?: MkdirOptions | Mode | null): Call<string | undefined> {
      const { recursive = false, mode } =
        typeof options === 'object' && options !== null ? options : { mode: options ?? undefined };
      const text = pathText(path);
      checkBoolean(recursive, 'options.recursive');
      const bits = checkMode(mode, 'mode', 0o777) & 0o7777 & ~umask;
      if (recursive) return composed(mkdirAll(context, text, bits));
      const where = { syscall: 'mkdir', path: text };
      return call(operations.mkdir(absolute(text, where), bits), where, () => undefined);
    },

    mkdtemp(prefix: PathLike, options?: EncodingOptions | string | null): Call<Name> {
      const { encoding } = checkOptions(options);
      const text = pathText(prefix, 'prefix');
      return composed(mkdtempSteps(context, text, namedIn(encoding)));
    },

    rmdir(path: PathLike): Call<void> {
      const where = { syscall: 'rmdir', path: pathText(path) };
      return action(operations.rmdir(absolute(where.path, where)), where);
    },

    unlink(path: PathLike): Call<void> {
      const where = { syscall: 'unlink', path: pathText(path) };
      return action(operations.unlink(absolute(where.path, where)), where);
    },

    rm(path: PathLike, options?: RmOptions): Call<void> {
      const text = pathText(path);
      return composed(rmSteps(context, text, checkRmOptions(options)));
    },

    rename(oldPath: PathLike, newPath: PathLike): Call<void> {
      const path = pathText(oldPath, 'oldPath');
      const where = { syscall: 'rename', path, dest: pathText(newPath, 'newPath') };
      const task = operations.rename(absolute(path, where), absolute(where.dest, where));
      return action(task, where);
    },

    ...linkCalls(context),

    readdir(path: PathLike, options?: ReaddirOptions | string | null): Call<ReaddirResult> {
      const checked = checkOptions<ReaddirOptions>(options);
      const text = pathText(path);
      return composed(
        checked.recursive ? readdirAll(context, text, checked) : readdirOne(context, text, checked),
      );
    },
  };
}

function linkCalls(context: FsContext) {
  const { operations } = context;

  return {
    link(existingPath: PathLike, newPath: PathLike): Call<void> {
      const path = pathText(existingPath, 'existingPath');
      const where = { syscall: 'link', path, dest: pathText(newPath, 'newPath') };
      const task = operations.link(absolute(path, where), absolute(where.dest, where));
      return action(task, where);
    },

    /** `type` matters on Windows only and is not looked at. */
    symlink(target: PathLike, path: PathLike, _type?: string | null): Call<void> {
      const content = pathText(target, 'target');
      const where = { syscall: 'symlink', path: content, dest: pathText(path) };
      return action(operations.symlink(content, absolute(where.dest, where)), where);
    },

    readlink(path: PathLike, options?: EncodingOptions | string | null): Call<Name> {
      const { encoding } = checkOptions(options);
      const where = { syscall: 'readlink', path: pathText(path, 'oldPath') };
      return call(operations.readlink(absolute(where.path, where)), where, namedIn(encoding));
    },

    realpath(path: PathLike, options?: EncodingOptions | string | null): Call<Name> {
      const { encoding } = checkOptions(options);
      return composed(realpathSteps(context, pathText(path), namedIn(encoding)));
    },
  };
}

/** Makes `path` and every missing directory on the way; gives the first one made. */
function* mkdirAll(
  { operations }: FsContext,
  path: string,
  mode: number,
): Step<string | undefined> {
  const where = { syscall: 'mkdir', path };
  const whole = absolute(path, where);
  const names = whole.split('/').filter((name) => name !== '');
  const prefix = (count: number) =>
    count === names.length ? whole : `/${names.slice(0, count).join('/')}`;
  let first: string | undefined;
  /** So many components lead somewhere already: nothing that is missing below is made again. */
  let known = 0;
  for (let count = names.length; ; ) {
    const code = yield* attempted(operations.mkdir(prefix(count), mode), where, MKDIR_CODES);
    if (code === 'ENOENT') {
      // What is known to be there leads nowhere: a dangling link. The code is Node's.
      if (count - 1 <= known) throw new FsError('ENOTDIR', { ...where, path: prefix(known) });
      count--;
      continue;
    }
    if (code === undefined) first ??= prefix(count);
    if (count === names.length) {
      if (code === 'EEXIST') yield* checkDirectory(operations, prefix(count), where);
      return first;
    }
    known = count++;
  }
}

const MKDIR_CODES: readonly FsErrorCode[] = ['EEXIST', 'ENOENT'];

function* checkDirectory(
  operations: FsContext['operations'],
  path: string,
  where: Place,
): Step<void> {
  const { mode } = yield* at(where, operations.attributes({ path, followLast: true }));
  if ((mode & S_IFMT) !== S_IFDIR) throw new FsError('EEXIST', where);
}

/** The code that the operation failed with, where it is one of `codes`; undefined where it did not
 *  fail. */
function* attempted(
  task: Task<void>,
  where: Place,
  codes: readonly FsErrorCode[],
): Step<FsErrorCode | undefined> {
  try {
    yield* at(where, task);
    return undefined;
  } catch (error) {
    if (isFsError(error) && codes.includes(error.code)) return error.code;
    throw error;
  }
}

function* mkdtempSteps(
  { operations, prng }: FsContext,
  prefix: string,
  named: (name: string) => Name,
): Step<Name> {
  for (let tries = 1; ; tries++) {
    let path = prefix;
    for (let index = 0; index < MKDTEMP_LENGTH; index++) {
      path += MKDTEMP_LETTERS.charAt(below(prng, MKDTEMP_LETTERS.length));
    }
    const where = { syscall: 'mkdtemp', path };
    const task = operations.mkdir(absolute(path, where), 0o700);
    const isTaken = (yield* attempted(task, where, ['EEXIST'])) !== undefined;
    if (!isTaken) return named(path);
    if (tries >= MKDTEMP_TRIES_MAX) throw new FsError('EEXIST', where);
  }
}

function checkRmOptions(options: RmOptions | undefined): RmOptions {
  if (options === undefined) return {};
  checkObject(options, 'options');
  const { recursive = false, force = false, retryDelay = 100, maxRetries = 0 } = options;
  checkBoolean(recursive, 'options.recursive');
  checkInteger(retryDelay, 'options.retryDelay', 0, 2 ** 31 - 1);
  checkInteger(maxRetries, 'options.maxRetries', 0, 2 ** 32 - 1);
  checkBoolean(force, 'options.force');
  return { recursive, force };
}

function* rmSteps({ operations }: FsContext, path: string, options: RmOptions): Step<void> {
  const where = { syscall: 'lstat', path };
  let isDirectory: boolean;
  try {
    const target = { path: absolute(path, where), followLast: false };
    isDirectory = ((yield* at(where, operations.attributes(target))).mode & S_IFMT) === S_IFDIR;
  } catch (error) {
    if (options.force && isFsError(error, 'ENOENT')) return;
    throw error;
  }
  if (!isDirectory) {
    yield* at({ syscall: 'unlink', path }, operations.unlink(absolute(path, where)));
  } else if (options.recursive) {
    yield* removeTree(operations, absolute(path, where));
  } else {
    const context = { code: 'EISDIR', errno: 21, message: 'is a directory', syscall: 'rm', path };
    throw systemError('ERR_FS_EISDIR', 'Path is a directory', context);
  }
}

const SOMEBODY_WAS_FASTER: readonly FsErrorCode[] = ['ENOENT'];

/** Empties directories from the leaves up. A directory is listed again until it is empty, so that
 *  neither its size nor the depth of the tree costs memory for more than one page a level. */
function* removeTree(operations: FsContext['operations'], root: string): Step<void> {
  const stack = [root];
  // 'a/b/..' leads nowhere once b is removed. Node joins the names that it finds there as path.join
  // does, and is content with a root that it cannot find any more.
  const base = withoutDots(root);
  while (stack.length > 0) {
    const path = stack[stack.length - 1] as string;
    const parent = path === root ? base : path;
    const entries = yield* entriesIfThere(operations, path);
    for (const { name, kind } of entries) {
      const child = joined(parent, name);
      if (kind === 'directory') stack.push(child);
      else {
        const where = { syscall: 'unlink', path: child };
        yield* attempted(operations.unlink(child), where, SOMEBODY_WAS_FASTER);
      }
    }
    if (entries.length > 0) continue;
    const where = { syscall: 'rmdir', path };
    yield* attempted(operations.rmdir(path), where, SOMEBODY_WAS_FASTER);
    stack.pop();
  }
}

/** The first entries of a directory; none where it is gone. */
function* entriesIfThere(
  operations: FsContext['operations'],
  path: string,
): Step<readonly DirectoryEntry[]> {
  const scan = { syscall: 'scandir', path };
  try {
    const page = yield* at(scan, operations.readdir({ path, followLast: false }, PAGE_ENTRIES));
    return page.entries;
  } catch (error) {
    if (isFsError(error, 'ENOENT')) return [];
    throw error;
  }
}

/** An absolute path without '.' and '..', by its text alone. */
function withoutDots(path: string): string {
  const names: string[] = [];
  for (const name of path.split('/')) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  }
  return `/${names.join('/')}`;
}

function* realpathSteps(
  { operations }: FsContext,
  path: string,
  named: (name: string) => Name,
): Step<Name> {
  const where = { syscall: 'realpath', path };
  const split = (text: string) => text.split('/').filter((name) => name !== '' && name !== '.');
  let isDirectoryWanted = /\/\.?$/.test(path);
  let queue = split(absolute(path, where));
  let real: string[] = [];
  let followed = 0;
  let kind = S_IFDIR;
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    if (kind !== S_IFDIR) throw new FsError('ENOTDIR', where);
    if (name === '..') {
      real.pop();
      continue;
    }
    const child = `/${[...real, name].join('/')}`;
    const target = { path: child, followLast: false };
    kind = (yield* at(where, operations.attributes(target))).mode & S_IFMT;
    if (kind !== S_IFLNK) {
      real.push(name);
      continue;
    }
    if (++followed > SYMLINKS_MAX) throw new FsError('ELOOP', where);
    const content = yield* at(where, operations.readlink(child));
    if (queue.length === 0) isDirectoryWanted ||= /\/\.?$/.test(content);
    if (content.startsWith('/')) real = [];
    queue = [...split(content), ...queue];
    kind = S_IFDIR;
  }
  if (isDirectoryWanted && kind !== S_IFDIR) throw new FsError('ENOTDIR', where);
  return named(`/${real.join('/')}`);
}

/** All names, sorted by UTF-16 units. Without the entries: a directory may have a million. */
export function* listNames({ operations }: FsContext, path: string): Step<string[]> {
  const where = { syscall: 'scandir', path };
  const target = { path: absolute(path, where), followLast: true };
  const names: string[] = [];
  let cursor: DirectoryCursor | undefined;
  do {
    const page = yield* at(where, operations.readdir(target, PAGE_ENTRIES, cursor));
    for (const { name } of page.entries) names.push(name);
    cursor = page.next;
  } while (cursor !== undefined);
  return names.sort();
}

/** All entries, sorted by name (by UTF-16 units). */
function* listEntries({ operations }: FsContext, path: string): Step<DirectoryEntry[]> {
  const where = { syscall: 'scandir', path };
  const target = { path: absolute(path, where), followLast: true };
  const entries: DirectoryEntry[] = [];
  let cursor: DirectoryCursor | undefined;
  do {
    const page = yield* at(where, operations.readdir(target, PAGE_ENTRIES, cursor));
    for (const entry of page.entries) entries.push(entry);
    cursor = page.next;
  } while (cursor !== undefined);
  return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
}

function* readdirOne(
  context: FsContext,
  path: string,
  { encoding, withFileTypes }: ReaddirOptions,
): Step<ReaddirResult> {
  const named = namedIn(encoding);
  if (!withFileTypes) {
    const names: Name[] = yield* listNames(context, path);
    names.forEach((name, index) => {
      names[index] = named(name as string);
    });
    return names;
  }
  const entries = yield* listEntries(context, path);
  return entries.map(({ name, kind }) => new Dirent(named(name), kind, path));
}

/** Everything below `path`, without following links. Names are relative to it. */
function* readdirAll(
  context: FsContext,
  path: string,
  { encoding, withFileTypes }: ReaddirOptions,
): Step<ReaddirResult> {
  const named = namedIn(encoding);
  const found: { name: string; relative: string; kind: FileKind; parent: string }[] = [];
  const queue = [''];
  for (let directory = queue.pop(); directory !== undefined; directory = queue.pop()) {
    const parent = directory === '' ? path : joined(path, directory);
    for (const { name, kind } of yield* listEntries(context, parent)) {
      const relative = directory === '' ? name : `${directory}/${name}`;
      found.push({ name, relative, kind, parent });
      if (kind === 'directory') queue.push(relative);
    }
  }
  if (!withFileTypes) return found.map(({ relative }) => named(relative));
  return found.map(({ name, kind, parent }) => new Dirent(named(name), kind, parent));
}
