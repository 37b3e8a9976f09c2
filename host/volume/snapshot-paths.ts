// `/.snapshot/NAME/…`: the snapshots seen from inside the active file system. The name resolves at
// the root of the volume only, is never listed, and everything below it is read-only (EROFS).

import { FsError } from '../base/errors.ts';
import { type Step, Task, wait } from '../base/task.ts';
import type {
  AttributeChange,
  Attributes,
  DirectoryCursor,
  DirectoryPage,
  OpenFile,
  OpenOptions,
  Operations,
  StatFs,
  Target,
  WriteFileOptions,
} from '../filesystem/operations.ts';

const PREFIX = /^\/+\.snapshot(?:\/+([^/]+)(.*))?\/*$/s;

/** How the wrapper finds a snapshot's operations. @throws ENOENT. */
export type FindSnapshot = (name: string) => Operations;

/** Operations that send paths below /.snapshot to the snapshot they name. */
export class SnapshotPaths implements Operations {
  readonly isReadOnly: boolean;
  readonly #active: Operations;
  readonly #find: FindSnapshot;
  /** Whose an open file is. */
  readonly #owners = new WeakMap<OpenFile, Operations>();

  constructor(active: Operations, find: FindSnapshot) {
    this.#active = active;
    this.#find = find;
    this.isReadOnly = active.isReadOnly;
  }

  /** The operations that a path is for, and the path there; the directory /.snapshot itself shows
   *  the root directory's attributes and is empty. */
  #route(path: string): { operations: Operations; path: string } {
    if (!path.includes('.snapshot')) return { operations: this.#active, path };
    const match = PREFIX.exec(path);
    if (match === null) return { operations: this.#active, path };
    if (match[1] === undefined) throw new FsError('ENOENT');
    return { operations: this.#find(match[1]), path: match[2] === '' ? '/' : (match[2] as string) };
  }

  #target<T>(target: Target, call: (operations: Operations, target: Target) => Task<T>): Task<T> {
    if ('file' in target) return call(this.#owners.get(target.file) ?? this.#active, target);
    if (!target.path.includes('.snapshot')) return call(this.#active, target);
    return new Task(
      this.#routed(target.path, (operations, path) => call(operations, { ...target, path })),
    );
  }

  *#routed<T>(path: string, call: (operations: Operations, path: string) => Task<T>): Step<T> {
    const route = this.#route(path);
    return yield* wait(call(route.operations, route.path).asIo());
  }

  /** A call on one path. */
  #path<T>(path: string, call: (operations: Operations, path: string) => Task<T>): Task<T> {
    if (!path.includes('.snapshot')) return call(this.#active, path);
    return new Task(this.#routed(path, call));
  }

  /** A call on two paths, which must be of one file system. */
  #paths(
    first: string,
    second: string,
    call: (operations: Operations, first: string, second: string) => Task<void>,
  ): Task<void> {
    if (!first.includes('.snapshot') && !second.includes('.snapshot')) {
      return call(this.#active, first, second);
    }
    return new Task(this.#bothRouted(first, second, call));
  }

  *#bothRouted(
    first: string,
    second: string,
    call: (operations: Operations, first: string, second: string) => Task<void>,
  ): Step<void> {
    const a = this.#route(first);
    const b = this.#route(second);
    if (a.operations !== b.operations) throw new FsError('EXDEV');
    yield* wait(call(a.operations, a.path, b.path).asIo());
  }

  attributes(target: Target): Task<Attributes> {
    return this.#target(target, (operations, at) => operations.attributes(at));
  }

  open(path: string, options: OpenOptions): Task<OpenFile> {
    if (!path.includes('.snapshot')) return this.#active.open(path, options);
    return new Task(this.#open(path, options));
  }

  *#open(path: string, options: OpenOptions): Step<OpenFile> {
    const route = this.#route(path);
    const file = yield* wait(route.operations.open(route.path, options).asIo());
    this.#owners.set(file, route.operations);
    return file;
  }

  #of(file: OpenFile): Operations {
    return this.#owners.get(file) ?? this.#active;
  }
  close(file: OpenFile): Task<void> {
    return this.#of(file).close(file);
  }
  read(file: OpenFile, target: Uint8Array, position: number): Task<number> {
    return this.#of(file).read(file, target, position);
  }
  write(file: OpenFile, data: Uint8Array, position: number): Task<number> {
    return this.#of(file).write(file, data, position);
  }
  writeFile(path: string, data: Uint8Array, options: WriteFileOptions): Task<void> {
    return this.#path(path, (operations, at) => operations.writeFile(at, data, options));
  }
  readFile(target: Target): Task<Uint8Array> {
    return this.#target(target, (operations, at) => operations.readFile(at));
  }
  truncate(target: Target, sizeBytes: number): Task<void> {
    return this.#target(target, (operations, at) => operations.truncate(at, sizeBytes));
  }
  change(target: Target, change: AttributeChange): Task<void> {
    return this.#target(target, (operations, at) => operations.change(at, change));
  }
  mkdir(path: string, mode: number): Task<void> {
    return this.#path(path, (operations, at) => operations.mkdir(at, mode));
  }
  symlink(content: string, path: string): Task<void> {
    return this.#path(path, (operations, at) => operations.symlink(content, at));
  }
  readlink(path: string): Task<string> {
    return this.#path(path, (operations, at) => operations.readlink(at));
  }
  link(existing: string, path: string): Task<void> {
    return this.#paths(existing, path, (operations, a, b) => operations.link(a, b));
  }
  unlink(path: string): Task<void> {
    return this.#path(path, (operations, at) => operations.unlink(at));
  }
  rmdir(path: string): Task<void> {
    return this.#path(path, (operations, at) => operations.rmdir(at));
  }
  rename(from: string, to: string): Task<void> {
    return this.#paths(from, to, (operations, a, b) => operations.rename(a, b));
  }
  readdir(target: Target, max: number, cursor?: DirectoryCursor): Task<DirectoryPage> {
    return this.#target(target, (operations, at) => operations.readdir(at, max, cursor));
  }
  listXattrs(target: Target): Task<readonly string[]> {
    return this.#target(target, (operations, at) => operations.listXattrs(at));
  }
  getXattr(target: Target, name: string): Task<Uint8Array> {
    return this.#target(target, (operations, at) => operations.getXattr(at, name));
  }
  setXattr(target: Target, name: string, value: Uint8Array): Task<void> {
    return this.#target(target, (operations, at) => operations.setXattr(at, name, value));
  }
  removeXattr(target: Target, name: string): Task<void> {
    return this.#target(target, (operations, at) => operations.removeXattr(at, name));
  }
  statfs(): Task<StatFs> {
    return this.#active.statfs();
  }
  sync(): Task<void> {
    return this.#active.sync();
  }
}
