// cp: copies a file, a link or (recursive) a tree within the volume, as Node's fs.cp does.

import { FsError, isFsError } from '../base/errors.ts';
import type { Io, Step } from '../base/task.ts';
import { wait } from '../base/task.ts';
import type { Attributes, Operations } from '../filesystem/operations.ts';
import { S_IFDIR, S_IFLNK, S_IFMT } from '../filesystem/operations.ts';
import { invalidType, systemError, typeErrorWithCode } from './argument-errors.ts';
import type { PathLike } from './arguments.ts';
import { absolute, checkBoolean, checkInteger, checkObject, pathText } from './arguments.ts';
import type { Call } from './call.ts';
import { at, composed } from './call.ts';
import { copyFileSteps } from './content-calls.ts';
import type { FsContext } from './descriptor.ts';
import { joined, listNames } from './name-calls.ts';

export interface CopyOptions {
  /** Copy what links lead to. */
  readonly dereference?: boolean | undefined;
  /** With force: false, fail where the destination is there. */
  readonly errorOnExist?: boolean | undefined;
  /** What is not to be copied: false. May give a promise where the call is asynchronous. */
  readonly filter?:
    | ((source: string, destination: string) => boolean | Promise<boolean>)
    | undefined;
  /** Replace files that are there; true by default. */
  readonly force?: boolean | undefined;
  /** As for copyFile. */
  readonly mode?: number | undefined;
  readonly preserveTimestamps?: boolean | undefined;
  readonly recursive?: boolean | undefined;
  /** Leave relative links relative. */
  readonly verbatimSymlinks?: boolean | undefined;
}

const DEFAULTS = {
  dereference: false,
  errorOnExist: false,
  force: true,
  preserveTimestamps: false,
  recursive: false,
  verbatimSymlinks: false,
};

type Checked = CopyOptions & typeof DEFAULTS;

interface Pair {
  readonly source: string;
  readonly dest: string;
}

/** Copies `source` to `dest`; parents of `dest` are made. */
export function cp(
  context: FsContext,
  source: PathLike,
  dest: PathLike,
  options?: CopyOptions,
): Call<void> {
  const checked = checkCopyOptions(options);
  const pair = { source: pathText(source, 'src'), dest: pathText(dest, 'dest') };
  return composed(copySteps(context, pair, checked));
}

function checkCopyOptions(options: CopyOptions | undefined): Checked {
  if (options === undefined) return DEFAULTS;
  checkObject(options, 'options');
  const checked = { ...DEFAULTS, ...options } as Checked;
  for (const name of Object.keys(DEFAULTS) as (keyof typeof DEFAULTS)[]) {
    checkBoolean(checked[name], `options.${name}`);
  }
  if (checked.mode !== undefined) checkInteger(checked.mode, 'mode', 0, 7);
  if (checked.dereference && checked.verbatimSymlinks) {
    const text = 'cannot be used in combination with option "verbatimSymlinks"';
    throw typeErrorWithCode('ERR_INCOMPATIBLE_OPTION_PAIR', `Option "dereference" ${text}`);
  }
  if (checked.filter !== undefined && typeof checked.filter !== 'function') {
    throw invalidType('options.filter', 'of type function', checked.filter);
  }
  return checked;
}

/** A tree is walked with a stack of pairs; a directory's mode is set when it is made, but so that
 *  it can be filled, which here needs no permission at all. */
function* copySteps(context: FsContext, first: Pair, options: Checked): Step<void> {
  const { operations } = context;
  const stack: Pair[] = [first];
  for (let pair = stack.pop(); pair !== undefined; pair = stack.pop()) {
    if (options.filter !== undefined) {
      if (!(yield* wait(filtering(options.filter, pair)))) continue;
    }
    const source = yield* lookUp(operations, pair.source, options);
    if (source === undefined) throw missing(pair.source, options);
    const dest = yield* lookUp(operations, pair.dest, options);
    checkPair(pair, source, dest);
    if (pair === first) yield* makeParents(context, pair.dest);
    const kind = source.mode & S_IFMT;
    if (kind === S_IFDIR) {
      if (!options.recursive) {
        const text = `${pair.source} is a directory (not copied)`;
        throw copyError('EISDIR', text, pair.source);
      }
      yield* copyDirectory(operations, pair, source, dest);
      for (const name of (yield* listNames(context, pair.source)).reverse()) {
        stack.push({ source: joined(pair.source, name), dest: joined(pair.dest, name) });
      }
    } else if (kind === S_IFLNK) {
      yield* copyLink(operations, pair, dest, options);
    } else {
      yield* copyOneFile(operations, pair, source, dest, options);
    }
  }
}

function filtering(filter: NonNullable<CopyOptions['filter']>, pair: Pair): Io<boolean> {
  return {
    start: () => filter(pair.source, pair.dest),
    startSync: () => filter(pair.source, pair.dest) === true,
  };
}

function* lookUp(
  operations: Operations,
  path: string,
  { dereference }: Checked,
): Step<Attributes | undefined> {
  const where = { syscall: dereference ? 'stat' : 'lstat', path };
  try {
    const target = { path: absolute(path, where), followLast: dereference };
    return yield* at(where, operations.attributes(target));
  } catch (error) {
    if (isFsError(error, 'ENOENT')) return undefined;
    throw error;
  }
}

function missing(path: string, { dereference }: Checked): FsError {
  return new FsError('ENOENT', { syscall: dereference ? 'stat' : 'lstat', path });
}

const COPY_ERRORS = {
  EINVAL: ['ERR_FS_CP_EINVAL', 'Invalid src or dest', 22],
  EEXIST: ['ERR_FS_CP_EEXIST', 'Target already exists', 17],
  EISDIR: ['ERR_FS_EISDIR', 'Path is a directory', 21],
  DIR_TO_NON_DIR: ['ERR_FS_CP_DIR_TO_NON_DIR', 'Cannot overwrite non-directory with directory', 21],
  NON_DIR_TO_DIR: ['ERR_FS_CP_NON_DIR_TO_DIR', 'Cannot overwrite directory with non-directory', 20],
} as const;

function copyError(kind: keyof typeof COPY_ERRORS, message: string, path: string): Error {
  const [code, text, errno] = COPY_ERRORS[kind];
  const name = errno === 21 ? 'EISDIR' : errno === 20 ? 'ENOTDIR' : kind;
  return systemError(code, text, { code: name, errno, message, syscall: 'cp', path });
}

function checkPair(pair: Pair, source: Attributes, dest: Attributes | undefined): void {
  const isDirectory = (source.mode & S_IFMT) === S_IFDIR;
  if (dest !== undefined) {
    const isOntoDirectory = (dest.mode & S_IFMT) === S_IFDIR;
    if (source.ino === dest.ino) {
      throw copyError('EINVAL', 'src and dest cannot be the same', pair.dest);
    }
    if (isDirectory && !isOntoDirectory) {
      const text = `cannot overwrite non-directory ${pair.dest} with directory ${pair.source}`;
      throw copyError('DIR_TO_NON_DIR', text, pair.dest);
    }
    if (!isDirectory && isOntoDirectory) {
      const text = `cannot overwrite directory ${pair.dest} with non-directory ${pair.source}`;
      throw copyError('NON_DIR_TO_DIR', text, pair.dest);
    }
  }
  if (isDirectory && isBelow(pair.dest, pair.source)) {
    const text = `cannot copy ${pair.source} to a subdirectory of self ${pair.dest}`;
    throw copyError('EINVAL', text, pair.dest);
  }
}

/** Path resolved without looking at the volume: '.', '..' and double slashes taken out. */
function resolved(path: string): string[] {
  const names: string[] = [];
  for (const name of path.split('/')) {
    if (name === '..') names.pop();
    else if (name !== '' && name !== '.') names.push(name);
  }
  return names;
}

function isBelow(path: string, ancestor: string): boolean {
  const names = resolved(path);
  return resolved(ancestor).every((name, index) => names[index] === name);
}

function parentOf(path: string): string {
  return `/${resolved(path).slice(0, -1).join('/')}`;
}

function* makeParents({ operations, umask }: FsContext, path: string): Step<void> {
  const names = resolved(path);
  for (let count = 1; count < names.length; count++) {
    const parent = `/${names.slice(0, count).join('/')}`;
    try {
      yield* at({ syscall: 'mkdir', path: parent }, operations.mkdir(parent, 0o777 & ~umask));
    } catch (error) {
      if (!isFsError(error, 'EEXIST')) throw error;
    }
  }
}

function* copyDirectory(
  operations: Operations,
  { dest }: Pair,
  source: Attributes,
  existing: Attributes | undefined,
): Step<void> {
  if (existing !== undefined) return;
  const where = { syscall: 'mkdir', path: dest };
  yield* at(where, operations.mkdir(absolute(dest, where), source.mode & 0o7777));
}

function* copyLink(
  operations: Operations,
  { source, dest }: Pair,
  existing: Attributes | undefined,
  { verbatimSymlinks }: Checked,
): Step<void> {
  const reading = { syscall: 'readlink', path: source };
  let content = yield* at(reading, operations.readlink(absolute(source, reading)));
  if (!verbatimSymlinks && !content.startsWith('/')) {
    content = `/${resolved(`${parentOf(source)}/${content}`).join('/')}`;
  }
  const where = { syscall: 'symlink', path: content, dest };
  const path = absolute(dest, where);
  // A file in the way is left, as Node leaves it: EEXIST.
  if (existing !== undefined && (existing.mode & S_IFMT) === S_IFLNK) {
    yield* at({ syscall: 'unlink', path: dest }, operations.unlink(path));
  }
  yield* at(where, operations.symlink(content, path));
}

function* copyOneFile(
  operations: Operations,
  { source, dest }: Pair,
  from: Attributes,
  existing: Attributes | undefined,
  options: Checked,
): Step<void> {
  if (existing !== undefined) {
    if (!options.force) {
      if (!options.errorOnExist) return;
      throw copyError('EEXIST', `${dest} already exists`, dest);
    }
    const where = { syscall: 'unlink', path: dest };
    yield* at(where, operations.unlink(absolute(dest, where)));
  }
  yield* copyFileSteps(operations, source, dest, options.mode ?? 0);
  if (!options.preserveTimestamps) return;
  const where = { syscall: 'utime', path: dest };
  const target = { path: absolute(dest, where), followLast: true };
  const { atime, mtime } = from;
  yield* at(where, operations.change(target, { atime, mtime }));
}
