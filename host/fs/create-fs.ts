// The face of a file system: an object shaped as node:fs, made from Operations.
//
// A call is written once, as what makes a Call (attribute-calls, name-calls, content-calls, copy,
// directory): it checks its arguments, starts a task and says how its result and its errors are
// shaped. Here the calls get their forms: promises reject where the synchronous form throws.

import type { Prng } from '../base/env.ts';
import { isFsError } from '../base/errors.ts';
import type { Operations } from '../filesystem/operations.ts';
import type { PathLike, WriteData } from './arguments.ts';
import { checkInteger, checkOptions } from './arguments.ts';
import type { StatOptions } from './attribute-calls.ts';
import { attributeCalls, statsMaker } from './attribute-calls.ts';
import type { Call } from './call.ts';
import { action, call, promised, resultOf, synchronous } from './call.ts';
import { constants } from './constants.ts';
import type { ReadFileOptions, WriteFileOptions, WriteSource } from './content-calls.ts';
import {
  checkWriteOptions,
  contentCalls,
  decodedBy,
  isIterable,
  writeToDescriptor,
} from './content-calls.ts';
import type { CopyOptions } from './copy.ts';
import { cp } from './copy.ts';
import type { FsContext } from './descriptor.ts';
import { DescriptorTable, readAt, readRest, writeAt } from './descriptor.ts';
import type { OpendirOptions } from './directory.ts';
import { opendir } from './directory.ts';
import { FileHandle } from './file-handle.ts';
import { nameCalls } from './name-calls.ts';
import { readTransfer, writeTransfer } from './transfer.ts';
import type { FsPromises, VolumeFs } from './types.ts';

export interface FsOptions {
  /** For the names that mkdtemp makes. */
  readonly prng: Prng;
  /** Bits taken from the mode of files and directories that are created; 0o022 by default. */
  readonly umask?: number;
}

const UMASK = 0o022;

const READ = { syscall: 'read' };
const WRITE = { syscall: 'write' };
const FSTAT = { syscall: 'fstat' };
const FSYNC = { syscall: 'fsync' };
const FTRUNCATE = { syscall: 'ftruncate' };
const CLOSE = { syscall: 'close' };

/** The face of `operations`. Permissions are not checked. */
export function createFs(operations: Operations, options: FsOptions): VolumeFs {
  const context: FsContext = {
    operations,
    prng: options.prng,
    umask: checkInteger(options.umask ?? UMASK, 'options.umask', 0, 0o777),
    descriptors: new DescriptorTable(),
  };
  const calls = {
    ...attributeCalls(context),
    ...nameCalls(context),
    ...contentCalls(context),
    cp: (source: PathLike, dest: PathLike, how?: CopyOptions) => cp(context, source, dest, how),
    opendir: (path: PathLike, how?: OpendirOptions | string | null) => opendir(context, path, how),
  };
  const fs = { promises: promisesOf(context, calls), constants, ...synchronousOf(context, calls) };
  // Overloads say more of the results than the calls' own types do.
  return fs as unknown as VolumeFs;
}

type Calls = ReturnType<typeof attributeCalls> &
  ReturnType<typeof nameCalls> &
  ReturnType<typeof contentCalls> & {
    cp: (source: PathLike, dest: PathLike, how?: CopyOptions) => Call<void>;
    opendir: (path: PathLike, how?: OpendirOptions | string | null) => Call<unknown>;
  };

type ForEach<Form> = { [Name in keyof Calls]: Form };

function promisesOf(context: FsContext, calls: Calls): FsPromises {
  const all = Object.fromEntries(
    Object.entries(calls).map(([name, make]) => [name, promised(make as never)]),
  ) as ForEach<(...args: never[]) => Promise<unknown>>;

  const openCall = promised(calls.open);
  const open: FsPromises['open'] = async (path, flags, mode) =>
    new FileHandle(context, await openCall(path, flags, mode));

  const writer =
    (name: 'writeFile' | 'appendFile', flag: string) =>
    (
      file: PathLike | FileHandle,
      data: WriteSource,
      options?: WriteFileOptions | string | null,
    ): Promise<void> => {
      if (file instanceof FileHandle) return file.writeFile(data, options);
      if (isIterable(data)) return writeAll(open, file, data, options, flag);
      return all[name](file as never, data as never, options as never) as Promise<void>;
    };

  const promises = {
    ...all,
    constants,
    open,
    writeFile: writer('writeFile', 'w'),
    appendFile: writer('appendFile', 'a'),
    readFile: (file: PathLike | FileHandle, options?: ReadFileOptions | string | null) =>
      file instanceof FileHandle
        ? file.readFile(options)
        : all.readFile(file as never, options as never),
  };
  return promises as unknown as FsPromises;
}

/** Writes what an iterable gives, as it comes. */
async function writeAll(
  open: FsPromises['open'],
  path: PathLike,
  data: WriteSource,
  options: WriteFileOptions | string | null | undefined,
  flag: string,
): Promise<void> {
  const checked = checkWriteOptions(options, flag);
  const handle = await open(path, checked.flag, checked.mode ?? null);
  try {
    await handle.writeFile(data, checked);
  } finally {
    await handle.close();
  }
}

function synchronousOf(context: FsContext, calls: Calls) {
  const named = Object.fromEntries(
    Object.entries(calls).map(([name, make]) => [`${name}Sync`, synchronous(make as never)]),
  ) as { [Name in keyof Calls as `${Name}Sync`]: (...args: never[]) => unknown };

  return {
    ...named,
    ...synchronousByNumber(context, calls),
    statSync: unlessMissing(calls.stat),
    lstatSync: unlessMissing(calls.lstat),
    existsSync(path: PathLike): boolean {
      try {
        resultOf(() => calls.access(path));
        return true;
      } catch {
        // Whatever the reason: existsSync never throws.
        return false;
      }
    },
  };
}

function same<T>(value: T): T {
  return value;
}

/** stat's option throwIfNoEntry: undefined instead of ENOENT. */
function unlessMissing<R>(make: (path: PathLike, options?: StatOptions) => Call<R>) {
  return (path: PathLike, options?: StatOptions & { throwIfNoEntry?: boolean }): R | undefined => {
    try {
      return resultOf(() => make(path, options));
    } catch (error) {
      if (options?.throwIfNoEntry === false && isFsError(error, 'ENOENT')) return undefined;
      throw error;
    }
  };
}

/** The calls that take the number of an open file. */
function synchronousByNumber(context: FsContext, calls: Calls) {
  const { operations, descriptors } = context;
  const get = (fd: unknown, syscall: string) =>
    descriptors.get(checkInteger(fd, 'fd', 0, 2 ** 31 - 1), syscall);

  const writer =
    (make: Calls['writeFile'], flag: string) =>
    (file: PathLike | number, data: WriteData, options?: WriteFileOptions | string | null) => {
      if (typeof file !== 'number') return resultOf(() => make(file, data, options));
      const checked = checkWriteOptions(options, flag);
      const descriptor = get(file, 'write');
      return resultOf(() => writeToDescriptor(context, descriptor, data, checked));
    };

  return {
    openSync: (...args: Parameters<Calls['open']>) => resultOf(() => calls.open(...args)).fd,

    closeSync(fd: number): void {
      const descriptor = get(fd, 'close');
      descriptors.remove(descriptor);
      resultOf(() => action(operations.close(descriptor.file), CLOSE));
    },

    readSync(fd: number, buffer: unknown, offset: unknown, length: unknown, position: unknown) {
      checkInteger(fd, 'fd', 0, 2 ** 31 - 1);
      const transfer = readTransfer(buffer, offset, length, position);
      if (transfer.target.length === 0) return 0;
      const descriptor = get(fd, 'read');
      const { target, position: place } = transfer;
      return resultOf(() => call(readAt(context, descriptor, target, place), READ, same));
    },

    writeSync(fd: number, data: unknown, offset: unknown, length: unknown, position: unknown) {
      checkInteger(fd, 'fd', 0, 2 ** 31 - 1);
      const transfer = writeTransfer(data, offset, length, position);
      const descriptor = get(fd, 'write');
      const { bytes, position: place } = transfer;
      return resultOf(() => call(writeAt(context, descriptor, bytes, place), WRITE, same));
    },

    fstatSync(fd: number, options?: StatOptions) {
      const { file } = get(fd, 'fstat');
      const finish = statsMaker(options);
      return resultOf(() => call(operations.attributes({ file }), FSTAT, finish));
    },

    ftruncateSync(fd: number, length: number | null = 0): void {
      const size = Math.max(0, checkInteger(length ?? 0, 'len'));
      const { file } = get(fd, 'ftruncate');
      resultOf(() => action(operations.truncate({ file }, size), FTRUNCATE));
    },

    fsyncSync(fd: number): void {
      get(fd, 'fsync');
      resultOf(() => action(operations.sync(), FSYNC));
    },

    readFileSync(file: PathLike | number, options?: ReadFileOptions | string | null) {
      if (typeof file !== 'number') return resultOf(() => calls.readFile(file, options));
      const { encoding } = checkOptions<ReadFileOptions>(options);
      const descriptor = get(file, 'fstat');
      return resultOf(() => call(readRest(context, descriptor), READ, decodedBy(encoding)));
    },

    writeFileSync: writer(calls.writeFile, 'w'),
    appendFileSync: writer(calls.appendFile, 'a'),
  };
}
