// What open gives: Node's FileHandle. Calls begin in the order in which they are made; close waits
// for those under way, and what comes after it fails as Node's does ("file closed").

import type { Step } from '../base/task.ts';
import { Task } from '../base/task.ts';
import type { OpenFile } from '../filesystem/operations.ts';
import { errorWithCode } from './argument-errors.ts';
import type { Mode, TimeLike, WriteData } from './arguments.ts';
import { checkInteger, checkMode, checkOptions, checkTime, checkViews } from './arguments.ts';
import type { StatOptions } from './attribute-calls.ts';
import { ownerChange, statsMaker } from './attribute-calls.ts';
import type { Call } from './call.ts';
import { action, call, toPromise } from './call.ts';
import type { ReadFileOptions, WriteFileOptions, WriteSource } from './content-calls.ts';
import { decodedBy, writeWhole } from './content-calls.ts';
import type { Descriptor, FsContext } from './descriptor.ts';
import { readAt, readRest, readVector, writeAt, writeVector } from './descriptor.ts';
import type { Encoding } from './encoding.ts';
import type { BigIntStats, Stats } from './stats.ts';
import type { ReadOptions, WriteOptions } from './transfer.ts';
import { positionOf, readTransfer, writeTransfer } from './transfer.ts';

const READ = { syscall: 'read' };
const WRITE = { syscall: 'write' };

/** A transfer of nothing. */
const NO_BYTES = Task.start(
  (function* (): Step<number> {
    return 0;
  })(),
);

/** An open file. Closed files fail with EBADF. */
export class FileHandle {
  readonly #context: FsContext;
  readonly #descriptor: Descriptor;
  /** Calls under way that did not end in their own turn. */
  readonly #pending = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;
  #isClosed = false;

  /** Made by open only. */
  constructor(context: FsContext, descriptor: Descriptor) {
    this.#context = context;
    this.#descriptor = descriptor;
  }

  /** Its number; -1 once closed. Not one of the host's. */
  get fd(): number {
    return this.#isClosed ? -1 : this.#descriptor.fd;
  }

  /** Reads up to `length` bytes into `buffer` from `offset` on; at `position`, or at the handle's
   *  own position, which moves. */
  read<B extends ArrayBufferView>(
    buffer: B,
    offset?: number | null | ReadOptions,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: B }>;
  read<B extends ArrayBufferView = Uint8Array>(
    options?: ReadOptions<B>,
  ): Promise<{ bytesRead: number; buffer: B }>;
  read(
    bufferOrOptions?: ArrayBufferView | ReadOptions,
    offsetOrOptions?: number | null | ReadOptions,
    length?: number | null,
    position?: number | bigint | null,
  ): Promise<{ bytesRead: number; buffer: ArrayBufferView }> {
    return this.#run('read', () => {
      const transfer = readTransfer(bufferOrOptions, offsetOrOptions, length, position);
      const { buffer, target } = transfer;
      const task =
        target.length === 0
          ? NO_BYTES
          : readAt(this.#context, this.#descriptor, target, transfer.position);
      return call(task, READ, (bytesRead) => ({ bytesRead, buffer }));
    });
  }

  readv<B extends readonly ArrayBufferView[]>(
    buffers: B,
    position?: number | null,
  ): Promise<{ bytesRead: number; buffers: B }> {
    return this.#run('readv', () => {
      checkViews(buffers);
      const task = readVector(this.#context, this.#descriptor, buffers, positionOf(position));
      return call(task, READ, (bytesRead) => ({ bytesRead, buffers }));
    });
  }

  /** Everything from the handle's position on. */
  readFile(options: { encoding: Encoding } & ReadFileOptions): Promise<string>;
  readFile(encoding: Encoding): Promise<string>;
  readFile(options?: { encoding?: null | undefined } & ReadFileOptions): Promise<Uint8Array>;
  readFile(options?: ReadFileOptions | string | null): Promise<string | Uint8Array>;
  readFile(options?: ReadFileOptions | string | null): Promise<string | Uint8Array> {
    return this.#run('readFile', () => {
      const { encoding } = checkOptions<ReadFileOptions>(options);
      return call(readRest(this.#context, this.#descriptor), READ, decodedBy(encoding));
    });
  }

  /** Writes all of it: bytes (at `position`, or at the handle's own position, which moves), or text
   *  (`write(text, position, encoding)`). */
  write<B extends ArrayBufferView>(
    buffer: B,
    offset?: number | null | WriteOptions,
    length?: number | null,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: B }>;
  write(
    text: string,
    position?: number | null,
    encoding?: string | null,
  ): Promise<{ bytesWritten: number; buffer: string }>;
  write(
    data: WriteData,
    offset?: number | null | WriteOptions,
    length?: number | string | null,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffer: WriteData }> {
    return this.#run('write', () => {
      const transfer = writeTransfer(data, offset, length, position);
      const task =
        transfer.bytes.length === 0
          ? NO_BYTES
          : writeAt(this.#context, this.#descriptor, transfer.bytes, transfer.position);
      return call(task, WRITE, (bytesWritten) => ({ bytesWritten, buffer: data }));
    });
  }

  writev<B extends readonly ArrayBufferView[]>(
    buffers: B,
    position?: number | null,
  ): Promise<{ bytesWritten: number; buffers: B }> {
    return this.#run('writev', () => {
      checkViews(buffers);
      const task = writeVector(this.#context, this.#descriptor, buffers, positionOf(position));
      return call(task, WRITE, (bytesWritten) => ({ bytesWritten, buffers }));
    });
  }

  /** Writes all of `data` from the handle's position on; cuts nothing off. */
  writeFile(data: WriteSource, options?: WriteFileOptions | string | null): Promise<void> {
    const closed = this.#closedError('writeFile');
    if (closed !== undefined) return Promise.reject(closed);
    return this.#track(writeWhole(this.#context, this.#descriptor, data, options));
  }

  appendFile(data: WriteSource, options?: WriteFileOptions | string | null): Promise<void> {
    return this.writeFile(data, options);
  }

  stat(options?: StatOptions & { bigint?: false | undefined }): Promise<Stats>;
  stat(options: StatOptions & { bigint: true }): Promise<BigIntStats>;
  stat(options?: StatOptions): Promise<Stats | BigIntStats>;
  stat(options?: StatOptions): Promise<Stats | BigIntStats> {
    return this.#run('fstat', () => {
      const task = this.#context.operations.attributes({ file: this.#file });
      return call(task, { syscall: 'fstat' }, statsMaker(options));
    });
  }

  truncate(length: number | null = 0): Promise<void> {
    return this.#run('ftruncate', () => {
      const size = Math.max(0, checkInteger(length ?? 0, 'len'));
      const task = this.#context.operations.truncate({ file: this.#file }, size);
      return action(task, { syscall: 'ftruncate' });
    });
  }

  chmod(mode: Mode): Promise<void> {
    return this.#run('fchmod', () => {
      const change = { mode: checkMode(mode, 'mode') & 0o7777 };
      const task = this.#context.operations.change({ file: this.#file }, change);
      return action(task, { syscall: 'fchmod' });
    });
  }

  chown(uid: number, gid: number): Promise<void> {
    return this.#run('fchown', () => {
      const change = ownerChange(uid, gid);
      const task = this.#context.operations.change({ file: this.#file }, change);
      return action(task, { syscall: 'fchown' });
    });
  }

  utimes(atime: TimeLike, mtime: TimeLike): Promise<void> {
    return this.#run('futimes', () => {
      const change = { atime: checkTime(atime, 'atime'), mtime: checkTime(mtime, 'mtime') };
      const task = this.#context.operations.change({ file: this.#file }, change);
      return action(task, { syscall: 'futime' });
    });
  }

  sync(): Promise<void> {
    return this.#run('fsync', () => action(this.#context.operations.sync(), { syscall: 'fsync' }));
  }

  datasync(): Promise<void> {
    const where = { syscall: 'fdatasync' };
    return this.#run('fdatasync', () => action(this.#context.operations.sync(), where));
  }

  /** Waits for what is under way, then closes. A second call does nothing more. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  get #file(): OpenFile {
    return this.#descriptor.file;
  }

  async #close(): Promise<void> {
    while (this.#pending.size > 0) await Promise.allSettled(this.#pending);
    this.#isClosed = true;
    this.#context.descriptors.remove(this.#descriptor);
    await toPromise(action(this.#context.operations.close(this.#file), { syscall: 'close' }));
  }

  #closedError(name: string): Error | undefined {
    if (!this.#isClosed) return undefined;
    return Object.assign(errorWithCode('EBADF', 'file closed'), { syscall: name });
  }

  #run<R>(name: string, make: () => Call<R>): Promise<R> {
    let made: Call<R>;
    try {
      const closed = this.#closedError(name);
      if (closed !== undefined) throw closed;
      made = make();
    } catch (error) {
      return Promise.reject(error);
    }
    const promise = toPromise(made);
    return made.task.isSettled ? promise : this.#track(promise);
  }

  #track<R>(promise: Promise<R>): Promise<R> {
    const forget = () => this.#pending.delete(promise);
    this.#pending.add(promise);
    promise.then(forget, forget);
    return promise;
  }
}
