// What opendir gives: a directory read entry by entry, as Node's Dir. It is read page by page, in
// no promised order, without being held in memory; it stays readable while entries come and go.

import type { Step } from '../base/task.ts';
import type { DirectoryCursor, OpenFile } from '../filesystem/operations.ts';
import { errorWithCode } from './argument-errors.ts';
import type { EncodingOption, PathLike } from './arguments.ts';
import { absolute, checkInteger, checkOptions, pathText } from './arguments.ts';
import type { Call } from './call.ts';
import { action, at, composed, resultOf, toPromise } from './call.ts';
import type { FsContext } from './descriptor.ts';
import { Dirent } from './dirent.ts';
import type { Name } from './name-calls.ts';
import { joined, namedIn } from './name-calls.ts';

export interface OpendirOptions {
  readonly encoding?: EncodingOption | undefined;
  /** Entries taken at once; 32 by default. */
  readonly bufferSize?: number | undefined;
  readonly recursive?: boolean | undefined;
}

const BUFFER_ENTRIES = 32;

/** A directory under way: where its entries are named, and what is left of it. */
interface Level {
  readonly path: string;
  readonly file: OpenFile;
  cursor: DirectoryCursor | undefined;
  isAtEnd: boolean;
}

export class Dir<N extends Name = string> {
  readonly path: string;
  readonly #context: FsContext;
  readonly #bufferSize: number;
  readonly #isRecursive: boolean;
  readonly #named: (name: string) => Name;
  /** The directory under way. */
  #level: Level;
  #buffer: Dirent<Name>[] = [];
  /** Paths of subdirectories still to be read (recursive only). */
  readonly #subdirectories: string[] = [];
  #isClosed = false;

  /** Made by opendir only. */
  constructor(context: FsContext, path: string, file: OpenFile, options: OpendirOptions) {
    this.#context = context;
    this.path = path;
    this.#bufferSize = options.bufferSize ?? BUFFER_ENTRIES;
    this.#isRecursive = options.recursive ?? false;
    this.#named = namedIn(options.encoding);
    this.#level = { path, file, cursor: undefined, isAtEnd: false };
  }

  /** The next entry; null at the end. */
  read(): Promise<Dirent<N> | null> {
    try {
      this.#checkOpen();
    } catch (error) {
      return Promise.reject(error);
    }
    return toPromise(composed(this.#next()));
  }

  readSync(): Dirent<N> | null {
    this.#checkOpen();
    return resultOf(() => composed(this.#next()));
  }

  close(): Promise<void> {
    try {
      return toPromise(this.#closing());
    } catch (error) {
      return Promise.reject(error);
    }
  }

  closeSync(): void {
    resultOf(() => this.#closing());
  }

  /** All entries; closes the directory at the end. */
  async *entries(): AsyncGenerator<Dirent<N>, void, undefined> {
    try {
      for (let next = await this.read(); next !== null; next = await this.read()) yield next;
    } finally {
      await this.close();
    }
  }

  [Symbol.asyncIterator](): AsyncGenerator<Dirent<N>, void, undefined> {
    return this.entries();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isClosed) await this.close();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw errorWithCode('ERR_DIR_CLOSED', 'Directory handle was closed');
  }

  #closing(): Call<void> {
    this.#checkOpen();
    this.#isClosed = true;
    return action(this.#context.operations.close(this.#level.file), { syscall: 'close' });
  }

  *#next(): Step<Dirent<N> | null> {
    while (this.#buffer.length === 0) {
      if (!(yield* this.#fill())) return null;
    }
    return this.#buffer.shift() as Dirent<N>;
  }

  /** Takes one page more; false at the end of everything. */
  *#fill(): Step<boolean> {
    if (this.#level.isAtEnd) {
      const path = this.#subdirectories.pop();
      if (path === undefined) return false;
      yield* this.#enter(path);
    }
    const level = this.#level;
    const where = { syscall: 'scandir', path: level.path };
    const { operations } = this.#context;
    const task = operations.readdir({ file: level.file }, this.#bufferSize, level.cursor);
    const page = yield* at(where, task);
    level.cursor = page.next;
    level.isAtEnd = page.next === undefined;
    this.#buffer = page.entries.map(({ name, kind }) => {
      const isEntered = this.#isRecursive && kind === 'directory';
      if (isEntered) this.#subdirectories.push(joined(level.path, name));
      return new Dirent(this.#named(name), kind, level.path);
    });
    return true;
  }

  *#enter(path: string): Step<void> {
    const file = yield* openDirectory(this.#context, path);
    const done = this.#level;
    this.#level = { path, file, cursor: undefined, isAtEnd: false };
    yield* at({ syscall: 'close' }, this.#context.operations.close(done.file));
  }
}

function* openDirectory({ operations }: FsContext, path: string): Step<OpenFile> {
  const where = { syscall: 'opendir', path };
  const options = { read: true, write: false, directory: true };
  return yield* at(where, operations.open(absolute(path, where), options));
}

/** Opens a directory for reading. */
export function opendir(
  context: FsContext,
  path: PathLike,
  options?: OpendirOptions | string | null,
): Call<Dir<Name>> {
  const text = pathText(path);
  const checked = checkOptions<OpendirOptions>(options);
  checkInteger(checked.bufferSize ?? BUFFER_ENTRIES, 'options.bufferSize', 1, 2 ** 32 - 1);
  return composed(opendirSteps(context, text, checked));
}

function* opendirSteps(context: FsContext, path: string, options: OpendirOptions): Step<Dir<Name>> {
  return new Dir<Name>(context, path, yield* openDirectory(context, path), options);
}
