// Operations on open files and whole files: opening, reading, writing, cutting.

import { BLOCK_SIZE, KIND_DIRECTORY } from '../../assembly/layout/block.ts';
import {
  DIRECTORY_KIND_DIRECTORY,
  DIRECTORY_KIND_SYMLINK,
} from '../../assembly/layout/directory.ts';
import { FsError } from '../base/errors.ts';
import { type Step, Task, wait } from '../base/task.ts';
import type { Ino } from '../base/units.ts';
import { FILE_SIZE_MAX, inodeGeneration, inodeMode, inodeSizeBytes } from '../format/inode.ts';
import type { Core } from './core.ts';
import { isDirectoryMode } from './effects.ts';
import { copyOut, loadRead } from './file-data.ts';
import type { Access } from './file-node.ts';
import { Handle, handleOf } from './handle.ts';
import { refuse } from './image-access.ts';
import type { Message } from './message-driver.ts';
import {
  CHANGE_DEMAND,
  CREATE_DEMAND,
  TRUNCATE_DEMAND,
  writeDemand,
  writeFileDemand,
} from './messages.ts';
import { NameOperations } from './name-operations.ts';
import {
  type AttributeChange,
  MESSAGE_SIZE_MAX,
  type OpenFile,
  type OpenOptions,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  type Target,
  type WriteFileOptions,
} from './operations.ts';
import { type Resolved, resolve } from './path.ts';
import {
  ReferenceMessage,
  type ReferenceOptions,
  type ReferenceTarget,
} from './reference-message.ts';
import { REFERENCE_SIZE_MIN } from './references.ts';
import { changeRequest, type FileRequest } from './requests.ts';
import type { Scope } from './scope.ts';

/** Whole files of more than this go by reference, once there is a log. */
const WRITE_FILE_MAX = 4 * REFERENCE_SIZE_MIN;

export abstract class FileOperations extends NameOperations {
  open(path: string, options: OpenOptions): Task<OpenFile> {
    if (options.create !== true && options.truncate !== true) {
      return this.runRead((scope, access) => {
        const resolved = this.#resolveOpen(scope, access, path, options);
        if (resolved.ino === 0) throw new FsError('ENOENT');
        this.#refuseKind(resolved, options);
        const at = this.inodeOf(scope, access, resolved.ino);
        return this.#handle(scope, resolved.ino, inodeGeneration(scope.view, at), options);
      });
    }
    if (this.isReadOnly && options.write) return new Task(refuse<OpenFile>('EROFS'));
    return this.runChange(CREATE_DEMAND, (scope, access) => {
      const resolved = this.#resolveOpen(scope, access, path, options);
      const requests = this.#planOpen(scope, access, resolved, options);
      const created = requests.find((request) => request.kind === 'create');
      const ino = created?.ino ?? resolved.ino;
      const generation =
        created?.generation ?? inodeGeneration(scope.view, this.inodeOf(scope, access, ino));
      return { requests, finish: () => this.#handle(scope, ino, generation, options) };
    });
  }

  #resolveOpen(scope: Scope, access: Access, path: string, options: OpenOptions): Resolved {
    const follow = options.noFollow !== true && !(options.create === true && options.exclusive);
    if (options.create === true && path.endsWith('/')) {
      resolve(scope, access, path, false);
      throw new FsError('EISDIR');
    }
    const resolved = resolve(scope, access, path, follow || path.endsWith('/'));
    if (options.create === true && resolved.hasSlash) throw new FsError('EISDIR');
    return resolved;
  }

  #refuseKind(resolved: Resolved, options: OpenOptions): void {
    const isDirectory = resolved.kind === DIRECTORY_KIND_DIRECTORY;
    if (resolved.hasSlash && !isDirectory) throw new FsError('ENOTDIR');
    if (resolved.kind === DIRECTORY_KIND_SYMLINK) throw new FsError('ELOOP');
    if (!isDirectory && options.directory === true) throw new FsError('ENOTDIR');
    if (isDirectory && (options.write || options.truncate === true || options.create === true)) {
      throw new FsError('EISDIR');
    }
    if (this.isReadOnly && options.write) throw new FsError('EROFS');
  }

  /** What opening changes: the file is made, or cut. */
  #planOpen(scope: Scope, access: Access, resolved: Resolved, options: OpenOptions): FileRequest[] {
    if (resolved.ino === 0) {
      if (options.create !== true) throw new FsError('ENOENT');
      return [
        this.planCreate(scope, access, resolved, S_IFREG | ((options.mode ?? 0o666) & 0o7777)),
      ];
    }
    if (options.create === true && options.exclusive === true) throw new FsError('EEXIST');
    this.#refuseKind(resolved, options);
    if (options.truncate !== true) return [];
    return [this.planTruncate(scope, access, resolved.ino, 0)];
  }

  #handle(scope: Scope, ino: Ino, generation: number, options: OpenOptions): Handle {
    const kind = options.directory === true ? KIND_DIRECTORY : undefined;
    const node = scope.image.keptNode(ino, kind);
    return new Handle(this.fs.core, scope.image, node, generation, options);
  }

  close(file: OpenFile): Task<void> {
    return new Task(this.#close(file));
  }

  *#close(file: OpenFile): Step<void> {
    if (!(file instanceof Handle)) throw new FsError('EBADF');
    file.close();
    this.fs.wakeBackground();
  }

  read(file: OpenFile, target: Uint8Array, position: number): Task<number> {
    if (target.length <= MESSAGE_SIZE_MAX) return this.#readPart(file, target, position);
    return new Task(this.#readParts(file, target, position));
  }

  *#readParts(file: OpenFile, target: Uint8Array, position: number): Step<number> {
    let done = 0;
    while (done < target.length) {
      const part = target.subarray(done, done + MESSAGE_SIZE_MAX);
      const count = yield* wait(this.#readPart(file, part, position + done).asIo());
      done += count;
      if (count < part.length) break;
    }
    return done;
  }

  #readPart(file: OpenFile, target: Uint8Array, position: number): Task<number> {
    return this.runRead(
      (scope, access) => {
        const handle = handleOf(this.fs.core, scope.image, file);
        if (!handle.readable) throw new FsError('EBADF');
        const at = scope.inodes.address(access, handle.ino, handle.generation);
        if (isDirectoryMode(inodeMode(scope.view, at))) throw new FsError('EISDIR');
        const length = Math.min(target.length, inodeSizeBytes(scope.view, at) - position);
        if (length <= 0) return 0;
        loadRead(access, handle.node, position, length);
        return copyOut(scope, handle.node, target, position);
      },
      { file },
    );
  }

  readFile(target: Target): Task<Uint8Array> {
    return new Task(this.#readFile(target));
  }

  *#readFile(target: Target): Step<Uint8Array> {
    const first = yield* wait(this.#readSmall(target).asIo());
    if (first.bytes !== undefined) return first.bytes;
    // Too large for one message: through a handle, so that all parts are of the same file.
    const file =
      'file' in target
        ? target.file
        : yield* wait(this.open(target.path, { read: true, write: false }).asIo());
    try {
      const bytes = new Uint8Array(first.size);
      const count = yield* wait(this.read(file, bytes, 0).asIo());
      return count === bytes.length ? bytes : bytes.slice(0, count);
    } finally {
      if (!('file' in target)) file instanceof Handle && file.close();
    }
  }

  /** The bytes of a file of at most one message, else its size. */
  #readSmall(target: Target): Task<{ bytes: Uint8Array | undefined; size: number }> {
    return this.runRead((scope, access, note) => {
      const ino = this.find(scope, access, target, note);
      if ('file' in target && !target.file.readable) throw new FsError('EBADF');
      const at = this.inodeOf(scope, access, ino);
      const mode = inodeMode(scope.view, at);
      if (isDirectoryMode(mode)) throw new FsError('EISDIR');
      if ((mode & S_IFMT) === S_IFLNK) throw new FsError('ELOOP');
      const size = inodeSizeBytes(scope.view, at);
      if (size > MESSAGE_SIZE_MAX) return { bytes: undefined, size };
      const node = scope.image.node(access, ino);
      loadRead(access, node, 0, size);
      const bytes = new Uint8Array(size);
      copyOut(scope, node, bytes, 0);
      return { bytes, size };
    }, target);
  }

  write(file: OpenFile, data: Uint8Array, position: number): Task<number> {
    if (data.length <= MESSAGE_SIZE_MAX) return this.#writePart(file, data, position);
    return new Task(this.#writeParts(file, data, position));
  }

  *#writeParts(file: OpenFile, data: Uint8Array, position: number): Step<number> {
    for (let done = 0; done < data.length; done += MESSAGE_SIZE_MAX) {
      const part = data.subarray(done, done + MESSAGE_SIZE_MAX);
      yield* wait(this.#writePart(file, part, position + done).asIo());
    }
    return data.length;
  }

  #writePart(file: OpenFile, data: Uint8Array, position: number): Task<number> {
    if (this.isReadOnly) return new Task(refuse<number>('EROFS'));
    const isReference = isByReference(this.fs.core, file, data, position);
    const way = isReference ? this.#writeReference : this.#writeLogged;
    return this.fs.driver.run(way.call(this, file, data, position));
  }

  /** A write whose data is in the log. */
  #writeLogged(file: OpenFile, data: Uint8Array, position: number): Message<number> {
    return this.changeMessage(
      writeDemand(data.length),
      (scope, access) => {
        const handle = handleOf(this.fs.core, scope.image, file);
        if (!handle.writable) throw new FsError('EBADF');
        const at = scope.inodes.address(access, handle.ino, handle.generation);
        const where = handle.append ? inodeSizeBytes(scope.view, at) : position;
        if (where + data.length > FILE_SIZE_MAX) throw new FsError('EFBIG');
        const { ino, generation } = handle;
        const requests: FileRequest[] = [];
        if (data.length > 0) {
          requests.push({
            kind: 'write',
            ino,
            generation,
            position: where,
            time: this.now(),
            data,
          });
        }
        return { requests, finish: () => data.length };
      },
      { file },
    );
  }

  /** A large write, its whole blocks straight to their places; see references.ts. */
  #writeReference(file: OpenFile, data: Uint8Array, position: number): Message<number> {
    const find = (scope: Scope, access: Access): ReferenceTarget => {
      const handle = handleOf(this.fs.core, scope.image, file);
      if (!handle.writable) throw new FsError('EBADF');
      const { ino, generation } = handle;
      const at = scope.inodes.address(access, ino, generation);
      if (position + data.length > FILE_SIZE_MAX) throw new FsError('EFBIG');
      const isFile = (inodeMode(scope.view, at) & S_IFMT) === S_IFREG;
      if (!isFile) throw new FsError('EINVAL');
      return { ino, generation, time: this.now(), requests: [], after: [] };
    };
    const demand = { blocks: 0, logBytes: 0 };
    const otherWay = this.#writeLogged(file, data, position);
    const result = data.length;
    return this.#referenceTo(data, { result, position, file: file.ino, demand, find, otherWay });
  }

  #referenceTo<T>(
    data: Uint8Array,
    options: Omit<ReferenceOptions<T>, 'data' | 'tail'>,
  ): ReferenceMessage<T> {
    const whole = data.length - (data.length % BLOCK_SIZE);
    return new ReferenceMessage(this.fs.core, () => this.here, {
      ...options,
      data: data.subarray(0, whole),
      tail: data.subarray(whole),
    });
  }

  writeFile(path: string, data: Uint8Array, options: WriteFileOptions): Task<void> {
    if (data.length > MESSAGE_SIZE_MAX) return new Task(this.#writeLargeFile(path, data, options));
    if (this.isReadOnly) return new Task(refuse<void>('EROFS'));
    const isReference = data.length > WRITE_FILE_MAX && this.fs.core.log !== undefined;
    const way = isReference && !options.append ? this.#writeFileReference : this.#writeFileLogged;
    return this.fs.driver.run(way.call(this, path, data, options));
  }

  #writeFileLogged(path: string, data: Uint8Array, options: WriteFileOptions): Message<void> {
    const plan = (scope: Scope, access: Access) => {
      const file = this.#planWriteFile(scope, access, path, options);
      const { ino, generation, requests, after, isNew } = file;
      const isAppend = options.append === true && !isNew && options.truncate !== true;
      const position = isAppend ? inodeSizeBytes(scope.view, this.inodeOf(scope, access, ino)) : 0;
      const time = this.now();
      const write = { kind: 'write', ino, generation, position, time, data } as const;
      return {
        requests: [...requests, ...(data.length > 0 ? [write] : []), ...after],
        finish: () => undefined,
      };
    };
    return this.changeMessage(writeFileDemand(data.length), plan);
  }

  #writeFileReference(path: string, data: Uint8Array, options: WriteFileOptions): Message<void> {
    const find = (scope: Scope, access: Access): ReferenceTarget => ({
      ...this.#planWriteFile(scope, access, path, options),
      time: this.now(),
    });
    const demand = writeFileDemand(0);
    const otherWay = this.#writeFileLogged(path, data, options);
    const result = undefined;
    return this.#referenceTo<void>(data, { result, position: 0, demand, find, otherWay });
  }

  /** LOAD: what a whole file is written to, what makes or cuts it, what changes its attributes. */
  #planWriteFile(scope: Scope, access: Access, path: string, options: WriteFileOptions) {
    const resolved = this.#resolveOpen(scope, access, path, options);
    const requests = this.#planOpen(scope, access, resolved, options);
    const { attributes } = options;
    const change = (ino: Ino, generation: number) =>
      attributes === undefined ? [] : [changeRequest({ ino, generation }, attributes, this.now())];
    const [first] = requests;
    if (first?.kind === 'create') {
      const { ino, generation } = first;
      return { ino, generation, requests, after: change(ino, generation), isNew: true };
    }
    const { ino } = resolved;
    const generation = inodeGeneration(scope.view, this.inodeOf(scope, access, ino));
    return { ino, generation, requests, after: change(ino, generation), isNew: false };
  }

  *#writeLargeFile(path: string, data: Uint8Array, options: WriteFileOptions): Step<void> {
    const file = (yield* wait(this.open(path, options).asIo())) as Handle;
    try {
      yield* wait(this.write(file, data, 0).asIo());
      const { attributes } = options;
      if (attributes !== undefined) {
        yield* wait(this.changeAttributes({ file }, attributes).asIo());
      }
    } finally {
      file.close();
    }
  }

  protected changeAttributes(target: Target, change: AttributeChange): Task<void> {
    return this.runChange(
      CHANGE_DEMAND,
      (scope, access) => {
        const ino = this.find(scope, access, target);
        const generation = inodeGeneration(scope.view, this.inodeOf(scope, access, ino));
        const request = changeRequest({ ino, generation }, change, this.now());
        return { requests: [request], finish: () => undefined };
      },
      target,
    );
  }

  truncate(target: Target, sizeBytes: number): Task<void> {
    return new Task(this.#truncate(target, sizeBytes));
  }

  *#truncate(target: Target, sizeBytes: number): Step<void> {
    if (sizeBytes < 0 || !Number.isSafeInteger(sizeBytes)) throw new FsError('EINVAL');
    // A sparse file with a very large tail is cut in several messages, from its end.
    for (let isDone = false; !isDone; ) {
      const cut = this.runChange(
        TRUNCATE_DEMAND,
        (scope, access) => {
          const ino = this.find(scope, access, target);
          if ('file' in target && !target.file.writable) throw new FsError('EINVAL');
          const mode = inodeMode(scope.view, this.inodeOf(scope, access, ino));
          if (isDirectoryMode(mode)) throw new FsError('EISDIR');
          if ((mode & S_IFMT) === S_IFLNK) throw new FsError('ELOOP');
          const request = this.planTruncate(scope, access, ino, sizeBytes);
          return { requests: [request], finish: () => request.sizeBytes === sizeBytes };
        },
        target,
      );
      isDone = yield* wait(cut.asIo());
    }
  }
}

function isByReference(core: Core, file: OpenFile, data: Uint8Array, position: number): boolean {
  if (core.log === undefined || data.length < REFERENCE_SIZE_MIN) return false;
  return position % BLOCK_SIZE === 0 && !file.append;
}
