// Calls on the contents of files: opening, whole files, truncation, copies.

import type { FsErrorCode } from '../base/errors.ts';
import { FsError } from '../base/errors.ts';
import type { Step } from '../base/task.ts';
import type { Operations } from '../filesystem/operations.ts';
import { S_IFDIR, S_IFMT } from '../filesystem/operations.ts';
import type { Mode, PathLike, WriteData } from './arguments.ts';
import {
  absolute,
  bytesOf,
  checkAborted,
  checkBoolean,
  checkInteger,
  checkMode,
  checkOptions,
  pathText,
} from './arguments.ts';
import { type AttributeOptions, checkChange } from './attribute-calls.ts';
import type { Call, Place } from './call.ts';
import { action, at, call, composed, toPromise } from './call.ts';
import type { OpenFlags } from './constants.ts';
import { constants, flagBits, openOptions } from './constants.ts';
import type { Descriptor, FsContext } from './descriptor.ts';
import { PIECE_SIZE, readRest, writeAt } from './descriptor.ts';
import type { Encoding } from './encoding.ts';
import { decode } from './encoding.ts';
import { asHostBytes } from './globals.ts';

export interface ReadFileOptions {
  readonly encoding?: Encoding | 'buffer' | null | undefined;
  readonly flag?: OpenFlags | undefined;
  /** Looked at when the call begins. */
  readonly signal?: AbortSignal | undefined;
}

export interface WriteFileOptions {
  readonly encoding?: Encoding | 'buffer' | null | undefined;
  readonly mode?: Mode | undefined;
  readonly flag?: OpenFlags | undefined;
  /** What the file has at the end; exact times. Where the file is cut first and is not over 1 MiB,
   *  all of it is one message: after a crash there is the file as it was, or this one. */
  readonly attributes?: AttributeOptions | undefined;
  /** Whether to sync afterwards. */
  readonly flush?: boolean | null | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What writeFile takes: data, or an iterable of data. */
export type WriteSource = WriteData | Iterable<WriteData> | AsyncIterable<WriteData>;

const READ: Place = { syscall: 'read' };
const WRITE: Place = { syscall: 'write' };
const FILE_MODE = 0o666;
const NOTHING = new Uint8Array(0);

/** How the bytes of a whole file are given: as a Buffer, or as text. */
export function decodedBy(
  encoding: string | null | undefined,
): (bytes: Uint8Array) => Uint8Array | string {
  if (!encoding || encoding === 'buffer') return asHostBytes;
  return (bytes) => decode(bytes, encoding);
}

/** Codes that come from the writing, not from the opening, of a file written in one call. */
const WRITE_CODES: readonly FsErrorCode[] = ['EBADF', 'EFBIG', 'EIO', 'ENOSPC'];

export function contentCalls(context: FsContext) {
  const { operations } = context;

  return {
    open(path: PathLike, flags?: OpenFlags | null, mode?: Mode | null): Call<Descriptor> {
      const text = pathText(path);
      const bits = flagBits(flags);
      return composed(openSteps(context, text, bits, checkMode(mode, 'mode', FILE_MODE)));
    },

    readFile(path: PathLike, options?: ReadFileOptions | string | null): Call<string | Uint8Array> {
      const { encoding, flag, signal } = checkOptions<ReadFileOptions>(options);
      checkAborted(signal);
      const text = pathText(path);
      const bits = flagBits(flag || 'r');
      if (bits !== constants.O_RDONLY) {
        return composed(readFileSteps(context, text, bits, encoding));
      }
      const where = (code: FsErrorCode): Place =>
        code === 'EISDIR' || code === 'EIO' ? READ : { syscall: 'open', path: text };
      const target = { path: absolute(text, { syscall: 'open', path: text }), followLast: true };
      return call(operations.readFile(target), where, decodedBy(encoding));
    },

    /** Of data; iterables are for promises.writeFile alone. */
    writeFile(
      path: PathLike,
      data: WriteData,
      options?: WriteFileOptions | string | null,
    ): Call<void> {
      const checked = checkWriteOptions(options, 'w');
      const bytes = bytesOf(data, checked.encoding);
      checkAborted(checked.signal);
      return writePath(context, pathText(path), bytes, checked);
    },

    appendFile(
      path: PathLike,
      data: WriteData,
      options?: WriteFileOptions | string | null,
    ): Call<void> {
      const checked = checkWriteOptions(options, 'a');
      const bytes = bytesOf(data, checked.encoding);
      checkAborted(checked.signal);
      return writePath(context, pathText(path), bytes, checked);
    },

    truncate(path: PathLike, length: number | null = 0): Call<void> {
      const where = { syscall: 'open', path: pathText(path) };
      const size = Math.max(0, checkInteger(length ?? 0, 'len'));
      const target = { path: absolute(where.path, where), followLast: true };
      const place = (code: FsErrorCode) =>
        WRITE_CODES.includes(code) ? { syscall: 'ftruncate' } : where;
      return action(operations.truncate(target, size), place);
    },

    copyFile(source: PathLike, destination: PathLike, mode: number = 0): Call<void> {
      const path = pathText(source, 'src');
      const dest = pathText(destination, 'dest');
      const bits = checkInteger(mode ?? 0, 'mode', 0, 7);
      return composed(copyFileSteps(operations, path, dest, bits));
    },
  };
}

export function checkWriteOptions(
  options: WriteFileOptions | string | null | undefined,
  flag: string,
) {
  const checked = checkOptions<WriteFileOptions>(options);
  const { flush, attributes } = checked;
  checkBoolean(flush ?? false, 'options.flush');
  return {
    ...checked,
    flag: checked.flag || flag,
    attributes: attributes === undefined ? undefined : checkChange(attributes),
  };
}

type CheckedWriteOptions = ReturnType<typeof checkWriteOptions>;

function* openSteps(
  { operations, descriptors, umask }: FsContext,
  path: string,
  bits: number,
  mode: number,
): Step<Descriptor> {
  const where = { syscall: 'open', path };
  if (descriptors.isFull) throw new FsError('EMFILE', where);
  const options = openOptions(bits, mode & 0o7777 & ~umask);
  const file = yield* at(where, operations.open(absolute(path, where), options));
  return descriptors.add(file);
}

/** Closes the file whatever becomes of `steps`. */
function* closing<T>(context: FsContext, descriptor: Descriptor, steps: Step<T>): Step<T> {
  try {
    return yield* steps;
  } finally {
    context.descriptors.remove(descriptor);
    yield* at({ syscall: 'close' }, context.operations.close(descriptor.file));
  }
}

function* readFileSteps(
  context: FsContext,
  path: string,
  bits: number,
  encoding: string | null | undefined,
): Step<string | Uint8Array> {
  const descriptor = yield* openSteps(context, path, bits, FILE_MODE);
  const bytes = yield* closing(context, descriptor, at(READ, readRest(context, descriptor)));
  return decodedBy(encoding)(bytes);
}

/** A file that is cut first goes as one operation; everything else is opened, written and
 *  closed. */
function writePath(
  context: FsContext,
  path: string,
  bytes: Uint8Array,
  options: CheckedWriteOptions,
): Call<void> {
  const { mode, flush, attributes } = options;
  const bits = flagBits(options.flag);
  const permissions = checkMode(mode, 'mode', FILE_MODE) & 0o7777;
  const open = openOptions(bits, permissions & ~context.umask);
  if (!open.write || !open.truncate || flush) {
    const descriptor = openSteps(context, path, bits, permissions);
    return composed(writeSteps(context, descriptor, bytes, options));
  }
  const place = { syscall: 'open', path };
  const task = context.operations.writeFile(absolute(path, place), bytes, {
    ...open,
    ...(attributes === undefined ? {} : { attributes }),
  });
  return action(task, (code) => (WRITE_CODES.includes(code) ? WRITE : place));
}

function* writeSteps(
  context: FsContext,
  opening: Step<Descriptor>,
  bytes: Uint8Array,
  options: CheckedWriteOptions,
): Step<void> {
  const descriptor = yield* opening;
  yield* closing(context, descriptor, writeAndSync(context, descriptor, bytes, options));
}

function* writeAndSync(
  context: FsContext,
  descriptor: Descriptor,
  bytes: Uint8Array,
  { flush, attributes }: Partial<CheckedWriteOptions>,
): Step<void> {
  const { operations } = context;
  const { file } = descriptor;
  if (bytes.length > 0) yield* at(WRITE, writeAt(context, descriptor, bytes, null));
  if (attributes !== undefined) {
    yield* at({ syscall: 'setattr' }, operations.change({ file }, attributes));
  }
  if (flush) yield* at({ syscall: 'fsync' }, operations.sync());
}

/** Writes data to an open file, from its position on. */
export function writeToDescriptor(
  context: FsContext,
  descriptor: Descriptor,
  data: WriteData,
  options: CheckedWriteOptions,
): Call<void> {
  const bytes = bytesOf(data, options.encoding);
  return composed(writeAndSync(context, descriptor, bytes, options));
}

/** The same, also of an iterable. */
export async function writeWhole(
  context: FsContext,
  descriptor: Descriptor,
  data: WriteSource,
  options: WriteFileOptions | string | null | undefined,
): Promise<void> {
  const checked = checkWriteOptions(options, 'w');
  const { encoding, signal } = checked;
  if (!isIterable(data)) {
    checkAborted(signal);
    return toPromise(writeToDescriptor(context, descriptor, data, checked));
  }
  checkAborted(signal);
  for await (const part of data) {
    checkAborted(signal);
    const bytes = bytesOf(part, encoding);
    await toPromise(composed(writeAndSync(context, descriptor, bytes, {})));
  }
  await toPromise(composed(writeAndSync(context, descriptor, NOTHING, checked)));
}

/** An iterable of data, as against data itself. */
export function isIterable(data: unknown): data is Iterable<WriteData> | AsyncIterable<WriteData> {
  if (typeof data !== 'object' || data === null || ArrayBuffer.isView(data)) return false;
  return Symbol.iterator in data || Symbol.asyncIterator in data;
}

/** Copies bytes and permission bits, piece by piece: a crash may leave a prefix. */
export function* copyFileSteps(
  operations: Operations,
  path: string,
  dest: string,
  mode: number,
): Step<void> {
  const where = { syscall: 'copyfile', path, dest };
  if ((mode & constants.COPYFILE_FICLONE_FORCE) !== 0) throw new FsError('ENOTSUP', where);
  const from = { path: absolute(path, where), followLast: true };
  const source = yield* at(where, operations.attributes(from));
  if ((source.mode & S_IFMT) === S_IFDIR) throw new FsError('EISDIR', where);
  const exclusive = (mode & constants.COPYFILE_EXCL) !== 0;
  const bits = source.mode & 0o7777;
  const to = absolute(dest, where);
  const open = { read: false, write: true, create: true, exclusive, mode: bits };
  const target = yield* at(where, operations.open(to, open));
  try {
    if (target.ino === source.ino) return;
    yield* at(where, operations.truncate({ file: target }, 0));
    const input = yield* at(where, operations.open(from.path, { read: true, write: false }));
    try {
      const buffer = new Uint8Array(Math.min(PIECE_SIZE, source.sizeBytes));
      for (let done = 0, count = -1; count !== 0 && buffer.length > 0; done += count) {
        count = yield* at(where, operations.read(input, buffer, done));
        const piece = buffer.subarray(0, count);
        if (count > 0) yield* at(where, operations.write(target, piece, done));
      }
    } finally {
      yield* at(where, operations.close(input));
    }
    yield* at(where, operations.change({ file: target }, { mode: bits }));
  } finally {
    yield* at(where, operations.close(target));
  }
}
