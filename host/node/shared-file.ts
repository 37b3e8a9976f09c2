// A host file that several devices share: a one-file volume has its log inside of its disk.
//
// Closing is the dangerous part: a descriptor closed under a transfer that waits in the thread pool
// can be given to another file, which the transfer would then hit. So the descriptor is counted by
// its users and by the transfers under way, and closes when both are gone.
//
// A failed fdatasync is final. Linux reports a lost page once, marks it clean and would let the
// next fdatasync succeed; so after one failure every later flush fails too, until the file is
// reopened. It reports it once to each descriptor. So sync calls, which may flush beside a flush
// under way and cannot wait for what that is told, have a descriptor of their own.

import {
  closeSync,
  constants,
  fdatasync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  openSync,
  readv,
  readvSync,
  writev,
  writevSync,
} from 'node:fs';
import { assert } from '../base/assert.ts';
import { zeroBytes } from '../base/bytes.ts';
import { StorageError } from '../base/errors.ts';

/** Views that one readv or writev takes (IOV_MAX of Linux and macOS). */
const VIEWS_MAX = 1024;

export interface SharedFileOptions {
  /** Makes the file, which must not exist; default false. */
  readonly isNew?: boolean;
  readonly isReadOnly?: boolean;
}

type Callback = (error: NodeJS.ErrnoException | null, count: number) => void;

export class SharedFile {
  readonly path: string;
  readonly isReadOnly: boolean;
  #fd: number;
  #syncFd: number;
  #userCount = 0;
  #transferCount = 0;
  #flushError: StorageError | undefined;
  #behind: Promise<void> | undefined;
  #onClosed: (() => void)[] = [];

  /** Opens `path`. Errors: the host's, as `openSync` throws them (ENOENT, EEXIST, EACCES, ...). */
  constructor(path: string, options: SharedFileOptions = {}) {
    const { isNew = false, isReadOnly = false } = options;
    assert(!(isNew && isReadOnly), 'a new file is writable');
    const access = isReadOnly ? constants.O_RDONLY : constants.O_RDWR;
    const creation = isNew ? constants.O_CREAT | constants.O_EXCL : 0;
    this.path = path;
    this.isReadOnly = isReadOnly;
    this.#fd = openSync(path, access | creation, 0o666);
    try {
      this.#syncFd = isReadOnly ? this.#fd : openSync(path, access);
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** One more user; each calls `release` once. */
  acquire(): this {
    assert(this.#fd >= 0, 'file is open');
    this.#userCount++;
    return this;
  }

  /** The last one closes the descriptor, once nothing is under way: then the promise resolves. */
  release(): Promise<void> | void {
    assert(this.#userCount > 0, 'file has users', this.#userCount);
    this.#userCount--;
    if (this.#userCount > 0) return;
    if (this.#transferCount === 0) return this.#close();
    return new Promise((resolve) => this.#onClosed.push(resolve));
  }

  /** Runs a call that may have to wait before its transfer begins: closing waits for it too. */
  async holding(call: () => Promise<void>): Promise<void> {
    this.#transferCount++;
    try {
      await call();
    } finally {
      this.#transferEnded();
    }
  }

  sizeBytes(): number {
    try {
      return fstatSync(this.#fd).size;
    } catch (error) {
      throw this.#failure('fstat', error);
    }
  }

  /** Fills the views from `position` on; what lies beyond the end of the file is zeros. */
  read(position: number, views: readonly Uint8Array[]): Promise<void> {
    return this.#transfer('read', position, views);
  }

  readSync(position: number, views: readonly Uint8Array[]): void {
    this.#transferSync('read', position, views);
  }

  write(position: number, views: readonly Uint8Array[]): Promise<void> {
    return this.#transfer('write', position, views);
  }

  writeSync(position: number, views: readonly Uint8Array[]): void {
    this.#transferSync('write', position, views);
  }

  flush(): Promise<void> {
    if (this.#flushError !== undefined) return Promise.reject(this.#flushError);
    const flushed = this.#fdatasync();
    if (this.#behind === undefined) return flushed;
    // An error of the medium is reported once, perhaps to that one.
    return Promise.all([flushed, this.#behind]).then(() => undefined);
  }

  /** Flushes for the sake of time alone: the host begins to write out what it holds, and the flush
   *  that somebody waits for has less to do. */
  async flushBehind(): Promise<void> {
    if (this.#flushError !== undefined || this.#behind !== undefined) return;
    this.#behind = this.#fdatasync();
    try {
      await this.#behind;
    } catch {
      // Every later flush fails with it.
    }
    this.#behind = undefined;
  }

  #fdatasync(): Promise<void> {
    this.#transferCount++;
    return new Promise((resolve, reject) => {
      fdatasync(this.#fd, (error) => {
        this.#transferEnded();
        if (error === null) resolve();
        else reject(this.#flushFailed(error));
      });
    });
  }

  flushSync(): void {
    if (this.#flushError !== undefined) throw this.#flushError;
    try {
      fdatasyncSync(this.#syncFd);
    } catch (error) {
      throw this.#flushFailed(error);
    }
  }

  #transfer(kind: 'read' | 'write', position: number, views: readonly Uint8Array[]): Promise<void> {
    const remaining = new Remaining(views);
    const vector = kind === 'read' ? readv : writev;
    this.#transferCount++;
    return new Promise((resolve, reject) => {
      const settle = (error?: unknown) => {
        this.#transferEnded();
        if (error === undefined) resolve();
        else reject(this.#failure(kind, error));
      };
      const proceed = () => {
        const batch = remaining.batch();
        if (batch.length === 0) return settle();
        vector(this.#fd, batch, position + remaining.doneBytes, ended);
      };
      const ended: Callback = (error, count) => {
        if (error !== null) return settle(error);
        if (count > 0) {
          remaining.advance(count);
          return proceed();
        }
        if (kind === 'write') return settle(new Error('the host wrote nothing'));
        remaining.fillZeros();
        return settle();
      };
      try {
        proceed();
      } catch (error) {
        settle(error);
      }
    });
  }

  #transferSync(kind: 'read' | 'write', position: number, views: readonly Uint8Array[]): void {
    const remaining = new Remaining(views);
    const vector = kind === 'read' ? readvSync : writevSync;
    try {
      for (let batch = remaining.batch(); batch.length > 0; batch = remaining.batch()) {
        const count = vector(this.#fd, batch, position + remaining.doneBytes);
        if (count > 0) remaining.advance(count);
        else if (kind === 'write') throw new Error('the host wrote nothing');
        else return remaining.fillZeros();
      }
    } catch (error) {
      throw this.#failure(kind, error);
    }
  }

  #transferEnded(): void {
    this.#transferCount--;
    if (this.#transferCount === 0 && this.#userCount === 0) this.#close();
  }

  #close(): void {
    const fds = new Set([this.#fd, this.#syncFd]);
    this.#fd = -1;
    this.#syncFd = -1;
    for (const fd of fds) {
      // Everything that had to be durable was flushed; an error of close says nothing new.
      try {
        closeSync(fd);
      } catch {}
    }
    for (const listener of this.#onClosed) listener();
    this.#onClosed = [];
  }

  #failure(operation: string, cause: unknown): StorageError {
    const code = (cause as NodeJS.ErrnoException).code ?? '';
    const reason = code === 'ENOSPC' || code === 'EDQUOT' ? 'the host file system is full, ' : '';
    const text = cause instanceof Error ? cause.message : String(cause);
    return new StorageError('DISK_FAILED', `${this.path}: ${operation} failed: ${reason}${text}`, {
      cause,
      detail: { path: this.path, operation, hostCode: code },
    });
  }

  #flushFailed(cause: unknown): StorageError {
    this.#flushError ??= this.#failure('flush', cause);
    return this.#flushError;
  }
}

/** What is left of a transfer: hosts may stop short, and take VIEWS_MAX views at a time. */
export class Remaining {
  doneBytes = 0;
  readonly #views: readonly Uint8Array[];
  /** The first view that is not done, and how much of it is. */
  #index = 0;
  #offset = 0;

  constructor(views: readonly Uint8Array[]) {
    this.#views = views;
  }

  /** The next views; none when all is done. */
  batch(): readonly Uint8Array[] {
    const isWhole = this.#index === 0 && this.#offset === 0;
    if (isWhole && this.#views.length <= VIEWS_MAX) return this.#views;
    const batch = this.#views.slice(this.#index, this.#index + VIEWS_MAX);
    const first = batch[0];
    if (first !== undefined && this.#offset > 0) batch[0] = first.subarray(this.#offset);
    return batch;
  }

  advance(count: number): void {
    this.doneBytes += count;
    let left = this.#offset + count;
    let view = this.#views[this.#index];
    while (view !== undefined && left >= view.length) {
      left -= view.length;
      view = this.#views[++this.#index];
    }
    assert(view !== undefined || left === 0, 'host moved what was asked for', left);
    this.#offset = left;
  }

  fillZeros(): void {
    let offset = this.#offset;
    for (let index = this.#index; index < this.#views.length; index++) {
      zeroBytes(this.#views[index] as Uint8Array, offset);
      offset = 0;
    }
  }
}

/** Makes names created in a directory durable. Windows cannot and need not. */
export function syncDirectorySync(path: string): void {
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['EISDIR', 'EPERM', 'EACCES'].includes(code)) return;
    throw error;
  }
  try {
    fsyncSync(fd);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (!['EINVAL', 'EPERM', 'ENOTSUP'].includes(code)) throw error;
  } finally {
    closeSync(fd);
  }
}
