// Operations on one image: calls become messages.

import { DIRECTORY_KIND_DIRECTORY, DIRECTORY_KIND_SYMLINK } from '../../assembly/layout/directory.ts';
import {
  INODE_ATIME_OFFSET,
  INODE_BTIME_OFFSET,
  INODE_CTIME_OFFSET,
  INODE_FLAG_ZOMBIE,
  INODE_GID_OFFSET,
  INODE_MTIME_OFFSET,
  INODE_UID_OFFSET,
} from '../../assembly/layout/inode.ts';
import { BLOCK_SIZE, KIND_DIRECTORY } from '../../assembly/layout/block.ts';
import { InvariantError } from '../base/assert.ts';
import { FsError } from '../base/errors.ts';
import { type Step, Task, wait } from '../base/task.ts';
import type { Address, Ino } from '../base/units.ts';
import {
  FILE_SIZE_MAX,
  inodeBlocks,
  inodeFlags,
  inodeGeneration,
  inodeLinks,
  inodeMode,
  inodeSizeBytes,
} from '../format/inode.ts';
import { getInstant } from '../format/words.ts';
import { listXattrs } from '../format/xattr.ts';
import { type DirectoryEntry as RawEntry, leavesAhead, readEntries } from './directory.ts';
import { isDirectoryMode, xattrBlock } from './effects.ts';
import { copyOut, loadRead, planCut } from './file-data.ts';
import type { Access } from './file-node.ts';
import type { Core } from './core.ts';
import type { FileSystem } from './file-system.ts';
import { Handle, handleOf } from './handle.ts';
import type { Image } from './image.ts';
import { Inodes } from './inodes.ts';
import { MISSING } from './load.ts';
import {
  CHANGE_DEMAND,
  ChangeMessage,
  CREATE_DEMAND,
  inoKey,
  type Plan,
  ReadMessage,
  RENAME_DEMAND,
  TRUNCATE_DEMAND,
  UNLINK_DEMAND,
  writeDemand,
  writeFileDemand,
  XATTR_DEMAND,
} from './messages.ts';
import {
  type AttributeChange,
  type Attributes,
  type DirectoryCursor,
  type DirectoryEntry,
  type DirectoryPage,
  type FileKind,
  MESSAGE_SIZE_MAX,
  NAME_SIZE_MAX,
  type OpenFile,
  type OpenOptions,
  type Operations,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  type StatFs,
  SYMLINK_SIZE_MAX,
  type Target,
} from './operations.ts';
import { REFERENCE_SIZE_MIN } from './references.ts';
import { NO_STRIPES, ReferenceMessage } from './reference-message.ts';
import { readLink, type Resolved, resolve, resolveExisting, resolveVacant } from './path.ts';
import {
  CHANGE_ATIME,
  CHANGE_GID,
  CHANGE_MODE,
  CHANGE_MTIME,
  CHANGE_UID,
  type CreateRequest,
  type FileRequest,
  type TruncateRequest,
} from './requests.ts';
import { readDirectory, type Scope } from './scope.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);
/** Leaves of a directory fetched at once. */
const LEAVES_AHEAD = 64;
/** Files up to this size are written in one message with their creation; larger ones, once there is a
 *  log, are created first, and their data goes by reference. */
const WRITE_FILE_MAX = 4 * REFERENCE_SIZE_MIN;

export class ImageOperations implements Operations {
  readonly isReadOnly: boolean;
  readonly #fs: FileSystem;
  /** The image; asked anew each time, since a rollback replaces the active one. */
  readonly #image: () => Image;
  #scope: Scope | undefined;

  constructor(fs: FileSystem, image: () => Image, isReadOnly: boolean) {
    this.#fs = fs;
    this.#image = image;
    this.isReadOnly = isReadOnly;
  }

  get #here(): Scope {
    const image = this.#image();
    const { core } = this.#fs;
    if (image === core.image) return core.scope;
    if (this.#scope?.image !== image) {
      const inodes = new Inodes(image, core.kernels);
      const { view, u8 } = core.arena;
      this.#scope = { image, inodes, view, u8, takeBlock: refuseBlock };
    }
    return this.#scope;
  }

  #read<T>(find: (scope: Scope, access: Access) => T, key?: string): Task<T> {
    // Looked up at each LOAD: a message that waits for a rollback finds another image after it.
    return this.#fs.driver.run(new ReadMessage((access) => find(this.#here, access), key));
  }

  #change<T>(
    demand: ChangeMessage<T>['demand'],
    plan: (scope: Scope, access: Access) => Plan<T>,
  ): Task<T> {
    return new Task(this.#changeStep(demand, plan));
  }

  *#changeStep<T>(
    demand: ChangeMessage<T>['demand'],
    plan: (scope: Scope, access: Access) => Plan<T>,
  ): Step<T> {
    if (this.isReadOnly) throw new FsError('EROFS');
    const message = new ChangeMessage(() => this.#here, demand, plan);
    return yield* wait(this.#fs.driver.run(message).asIo());
  }

  #now() {
    return this.#fs.core.env.clock.now();
  }

  // Finding.

  #find(scope: Scope, access: Access, target: Target): Ino {
    if ('file' in target) {
      const handle = handleOf(this.#fs.core, scope.image, target.file);
      scope.inodes.address(access, handle.ino, handle.generation);
      return handle.ino;
    }
    return resolveExisting(scope, access, target.path, target.followLast ?? true).ino;
  }

  /** Address of an inode that a name or handle led to. */
  #inode(scope: Scope, access: Access, ino: Ino): Address {
    const at = scope.image.inodeAddress(access, ino);
    if (at === 0 || inodeMode(scope.view, at) === 0) throw new FsError('EIO');
    return at;
  }

  attributes(target: Target): Task<Attributes> {
    return this.#read((scope, access) => {
      const ino = this.#find(scope, access, target);
      return attributesOf(scope.view, this.#inode(scope, access, ino), ino);
    });
  }

  readlink(path: string): Task<string> {
    return this.#read((scope, access) => {
      const { ino, kind } = resolveExisting(scope, access, path, false);
      if (kind !== DIRECTORY_KIND_SYMLINK) throw new FsError('EINVAL');
      return readLink(scope, access, ino);
    });
  }

  readdir(target: Target, max: number, cursor?: DirectoryCursor): Task<DirectoryPage> {
    return this.#read((scope, access) => {
      const ino = this.#find(scope, access, target);
      if (!isDirectoryMode(inodeMode(scope.view, this.#inode(scope, access, ino)))) {
        throw new FsError('ENOTDIR');
      }
      const blocks = readDirectory(scope, access, ino);
      const from = { high: cursor?.[0] ?? 0, low: cursor?.[1] ?? 0 };
      try {
        const { entries, next } = readEntries(blocks, from, max);
        const page = entries.map(entryOf);
        return next === undefined
          ? { entries: page }
          : { entries: page, next: [next.high, next.low, 0] as const };
      } catch (error) {
        if (error !== MISSING) throw error;
        // One leaf is missing; its neighbours will be next.
        const node = scope.image.node(access, ino);
        for (const fbn of leavesAhead(blocks, from, LEAVES_AHEAD)) quietly(() => node.find(access, 0, fbn));
        throw MISSING;
      }
    });
  }

  // Open files.

  open(path: string, options: OpenOptions): Task<OpenFile> {
    if (options.create !== true && options.truncate !== true) {
      return this.#read((scope, access) => {
        const resolved = this.#resolveOpen(scope, access, path, options);
        if (resolved.ino === 0) throw new FsError('ENOENT');
        this.#refuseKind(resolved, options);
        const at = this.#inode(scope, access, resolved.ino);
        return this.#handle(scope, resolved.ino, inodeGeneration(scope.view, at), options);
      });
    }
    if (this.isReadOnly && options.write) return new Task(refuse<OpenFile>('EROFS'));
    return this.#change(CREATE_DEMAND, (scope, access) => {
      const resolved = this.#resolveOpen(scope, access, path, options);
      const requests = this.#planOpen(scope, access, resolved, options);
      const created = requests.find((request) => request.kind === 'create');
      const ino = created?.ino ?? resolved.ino;
      const generation =
        created?.generation ?? inodeGeneration(scope.view, this.#inode(scope, access, ino));
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
  #planOpen(
    scope: Scope,
    access: Access,
    resolved: Resolved,
    options: OpenOptions,
  ): FileRequest[] {
    if (resolved.ino === 0) {
      if (options.create !== true) throw new FsError('ENOENT');
      return [this.#planCreate(scope, access, resolved, S_IFREG | ((options.mode ?? 0o666) & 0o7777))];
    }
    if (options.create === true && options.exclusive === true) throw new FsError('EEXIST');
    this.#refuseKind(resolved, options);
    if (options.truncate !== true) return [];
    return [this.#planTruncate(scope, access, resolved.ino, 0)];
  }

  #handle(scope: Scope, ino: Ino, generation: number, options: OpenOptions): Handle {
    const kind = options.directory === true ? KIND_DIRECTORY : undefined;
    const node = scope.image.keptNode(ino, kind);
    return new Handle(this.#fs.core, scope.image, node, generation, options);
  }

  close(file: OpenFile): Task<void> {
    return new Task(this.#close(file));
  }

  // biome-ignore lint/correctness/useYield: it is a Step like the others, which has nothing to wait for
  *#close(file: OpenFile): Step<void> {
    if (!(file instanceof Handle)) throw new FsError('EBADF');
    file.close();
    this.#fs.wakeBackground();
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
    return this.#read((scope, access) => {
      const handle = handleOf(this.#fs.core, scope.image, file);
      if (!handle.readable) throw new FsError('EBADF');
      const at = scope.inodes.address(access, handle.ino, handle.generation);
      if (isDirectoryMode(inodeMode(scope.view, at))) throw new FsError('EISDIR');
      const length = Math.min(target.length, inodeSizeBytes(scope.view, at) - position);
      if (length <= 0) return 0;
      loadRead(access, handle.node, position, length);
      return copyOut(scope, handle.node, target, position);
    }, inoKey(file.ino));
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
    return this.#read((scope, access) => {
      const ino = this.#find(scope, access, target);
      if ('file' in target && !target.file.readable) throw new FsError('EBADF');
      const at = this.#inode(scope, access, ino);
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
    });
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
    if (isByReference(this.#fs.core, file, data, position)) {
      return new Task(this.#writeReference(file, data, position));
    }
    return this.#writeLogged(file, data, position);
  }

  /** A write whose data is in the log. */
  #writeLogged(file: OpenFile, data: Uint8Array, position: number): Task<number> {
    return this.#change(writeDemand(data.length), (scope, access) => {
      const handle = handleOf(this.#fs.core, scope.image, file);
      if (!handle.writable) throw new FsError('EBADF');
      const at = scope.inodes.address(access, handle.ino, handle.generation);
      const where = handle.append ? inodeSizeBytes(scope.view, at) : position;
      if (where + data.length > FILE_SIZE_MAX) throw new FsError('EFBIG');
      const { ino, generation } = handle;
      const requests: FileRequest[] = [];
      if (data.length > 0) {
        requests.push({ kind: 'write', ino, generation, position: where, time: this.#now(), data });
      }
      return { requests, finish: () => data.length };
    });
  }

  /** Whole blocks of a large write, straight to their places; see references.ts. */
  *#writeReference(file: OpenFile, data: Uint8Array, position: number): Step<number> {
    if (this.isReadOnly) throw new FsError('EROFS');
    const { core, driver } = this.#fs;
    const whole = data.length - (data.length % BLOCK_SIZE);
    const scope = this.#here;
    const message = new ReferenceMessage(core, scope, {
      find: (access) => {
        const handle = handleOf(core, scope.image, file);
        if (!handle.writable) throw new FsError('EBADF');
        const at = scope.inodes.address(access, handle.ino, handle.generation);
        if (position + data.length > FILE_SIZE_MAX) throw new FsError('EFBIG');
        const isFile = (inodeMode(scope.view, at) & S_IFMT) === S_IFREG;
        if (!isFile) throw new FsError('EINVAL');
        return { ino: handle.ino, generation: handle.generation, time: this.#now() };
      },
      data: data.subarray(0, whole),
      position,
    });
    try {
      yield* driver.step(message);
    } catch (error) {
      if (error !== NO_STRIPES) throw error;
      return yield* wait(this.#writeLogged(file, data, position).asIo());
    }
    if (whole === data.length) return data.length;
    const tail = this.#writePart(file, data.subarray(whole), position + whole);
    return whole + (yield* wait(tail.asIo()));
  }

  writeFile(path: string, data: Uint8Array, options: OpenOptions): Task<void> {
    if (data.length > WRITE_FILE_MAX && this.#fs.core.log !== undefined) {
      return new Task(this.#writeLargeFile(path, data, options));
    }
    if (data.length > MESSAGE_SIZE_MAX) return new Task(this.#writeLargeFile(path, data, options));
    return this.#change(writeFileDemand(data.length), (scope, access) => {
      const resolved = this.#resolveOpen(scope, access, path, options);
      const requests = this.#planOpen(scope, access, resolved, options);
      const [first] = requests;
      const made = first?.kind === 'create' ? first : undefined;
      const ino = made?.ino ?? resolved.ino;
      const at = made === undefined ? this.#inode(scope, access, ino) : 0;
      const generation = made?.generation ?? inodeGeneration(scope.view, at);
      const isAppend = options.append === true && made === undefined && options.truncate !== true;
      const position = isAppend ? inodeSizeBytes(scope.view, at) : 0;
      if (data.length > 0) {
        requests.push({ kind: 'write', ino, generation, position, time: this.#now(), data });
      }
      return { requests, finish: () => undefined };
    });
  }

  *#writeLargeFile(path: string, data: Uint8Array, options: OpenOptions): Step<void> {
    const file = (yield* wait(this.open(path, options).asIo())) as Handle;
    try {
      yield* wait(this.write(file, data, 0).asIo());
    } finally {
      file.close();
    }
  }

  truncate(target: Target, sizeBytes: number): Task<void> {
    return new Task(this.#truncate(target, sizeBytes));
  }

  *#truncate(target: Target, sizeBytes: number): Step<void> {
    if (sizeBytes < 0 || !Number.isSafeInteger(sizeBytes)) throw new FsError('EINVAL');
    // A sparse file with a very large tail is cut in several messages, from its end.
    for (let isDone = false; !isDone; ) {
      isDone = yield* this.#changeStep(TRUNCATE_DEMAND, (scope, access) => {
        const ino = this.#find(scope, access, target);
        if ('file' in target && !target.file.writable) throw new FsError('EINVAL');
        const mode = inodeMode(scope.view, this.#inode(scope, access, ino));
        if (isDirectoryMode(mode)) throw new FsError('EISDIR');
        if ((mode & S_IFMT) === S_IFLNK) throw new FsError('ELOOP');
        const request = this.#planTruncate(scope, access, ino, sizeBytes);
        return { requests: [request], finish: () => request.sizeBytes === sizeBytes };
      });
    }
  }

  /** The request that cuts or extends a file. */
  #planTruncate(
    scope: Scope,
    access: Access,
    ino: Ino,
    sizeBytes: number,
  ): TruncateRequest {
    const at = this.#inode(scope, access, ino);
    const cut = planCut(scope, access, scope.image.node(access, ino), sizeBytes);
    const zombie = cut.needsZombie ? scope.inodes.choose(access) : 0;
    return {
      kind: 'truncate',
      ino,
      generation: inodeGeneration(scope.view, at),
      sizeBytes: cut.size,
      time: this.#now(),
      zombie,
      zombieGeneration: zombie === 0 ? 0 : scope.inodes.nextGeneration(access, zombie),
    };
  }

  change(target: Target, change: AttributeChange): Task<void> {
    return this.#change(CHANGE_DEMAND, (scope, access) => {
      const ino = this.#find(scope, access, target);
      const at = this.#inode(scope, access, ino);
      const time = this.#now();
      const mask =
        (change.mode === undefined ? 0 : CHANGE_MODE) |
        (change.uid === undefined ? 0 : CHANGE_UID) |
        (change.gid === undefined ? 0 : CHANGE_GID) |
        (change.atime === undefined ? 0 : CHANGE_ATIME) |
        (change.mtime === undefined ? 0 : CHANGE_MTIME);
      const request: FileRequest = {
        kind: 'change',
        ino,
        generation: inodeGeneration(scope.view, at),
        mask,
        mode: change.mode ?? 0,
        uid: change.uid ?? 0,
        gid: change.gid ?? 0,
        atime: change.atime ?? time,
        mtime: change.mtime ?? time,
        time,
      };
      return { requests: [request], finish: () => undefined };
    });
  }

  // Names.

  #planCreate(
    scope: Scope,
    access: Access,
    resolved: Resolved,
    mode: number,
    target: Uint8Array = NOTHING,
  ): CreateRequest {
    if (resolved.name === undefined || resolved.ino !== 0) throw new FsError('EEXIST');
    const isDirectory = isDirectoryMode(mode);
    const { prng } = this.#fs.core.env;
    const ino = scope.inodes.choose(access);
    return {
      kind: 'create',
      directory: resolved.directory,
      name: resolved.name,
      ino,
      generation: scope.inodes.nextGeneration(access, ino),
      mode,
      uid: 0,
      gid: 0,
      time: this.#now(),
      target,
      seedLow: isDirectory ? prng.u32() : 0,
      seedHigh: isDirectory ? prng.u32() : 0,
    };
  }

  #create(path: string, mode: number, target?: Uint8Array): Task<void> {
    return this.#change(CREATE_DEMAND, (scope, access) => {
      const resolved = isDirectoryMode(mode)
        ? resolve(scope, access, path, false)
        : resolveVacant(scope, access, path);
      const request = this.#planCreate(scope, access, resolved, mode, target);
      return { requests: [request], finish: () => undefined };
    });
  }

  mkdir(path: string, mode: number): Task<void> {
    return this.#create(path, S_IFDIR | (mode & 0o7777));
  }

  symlink(content: string, path: string): Task<void> {
    const target = encoder.encode(content);
    if (target.length === 0) return new Task(refuse<void>('ENOENT'));
    if (target.length > SYMLINK_SIZE_MAX) return new Task(refuse<void>('ENAMETOOLONG'));
    return this.#create(path, S_IFLNK | 0o777, target);
  }

  link(existing: string, path: string): Task<void> {
    return this.#change(CREATE_DEMAND, (scope, access) => {
      const from = resolveExisting(scope, access, existing, false);
      const to = resolveVacant(scope, access, path);
      if (to.name === undefined) throw new FsError('EEXIST');
      if (from.kind === DIRECTORY_KIND_DIRECTORY) throw new FsError('EPERM');
      const generation = inodeGeneration(scope.view, this.#inode(scope, access, from.ino));
      const request: FileRequest = {
        kind: 'link',
        directory: to.directory,
        name: to.name,
        ino: from.ino,
        generation,
        time: this.#now(),
      };
      return { requests: [request], finish: () => undefined };
    });
  }

  unlink(path: string): Task<void> {
    return this.#remove(path, false);
  }

  rmdir(path: string): Task<void> {
    return this.#remove(path, true);
  }

  #remove(path: string, isRmdir: boolean): Task<void> {
    return this.#change(UNLINK_DEMAND, (scope, access) => {
      const resolved = resolve(scope, access, path, false);
      const isDirectory = resolved.kind === DIRECTORY_KIND_DIRECTORY;
      if (resolved.name === undefined) {
        throw new FsError(isRmdir ? dotError(resolved.lastComponent) : 'EISDIR');
      }
      if (resolved.ino === 0) throw new FsError('ENOENT');
      if (isRmdir && !isDirectory) throw new FsError('ENOTDIR');
      if (!isRmdir && isDirectory) throw new FsError('EISDIR');
      if (!isRmdir && resolved.hasSlash) throw new FsError('ENOTDIR');
      const request: FileRequest = {
        kind: 'unlink',
        directory: resolved.directory,
        name: resolved.name,
        ino: resolved.ino,
        time: this.#now(),
        isOpen: this.#isOpen(scope, resolved.ino),
      };
      return { requests: [request], finish: () => this.#fs.wakeBackground() };
    });
  }

  #isOpen(scope: Scope, ino: Ino): boolean {
    return (scope.image.nodes.get(ino)?.openCount ?? 0) > 0;
  }

  rename(from: string, to: string): Task<void> {
    return this.#change(RENAME_DEMAND, (scope, access) => {
      const source = resolve(scope, access, from, false);
      const destination = resolve(scope, access, to, false);
      if (source.name === undefined || destination.name === undefined) throw new FsError('EBUSY');
      if (source.ino === 0) throw new FsError('ENOENT');
      const isDirectory = source.kind === DIRECTORY_KIND_DIRECTORY;
      const hasSlash = source.hasSlash || destination.hasSlash;
      if (!isDirectory && hasSlash) throw new FsError('ENOTDIR');
      if (destination.ino === source.ino) return { requests: [], finish: () => undefined };
      const request: FileRequest = {
        kind: 'rename',
        fromDirectory: source.directory,
        fromName: source.name,
        toDirectory: destination.directory,
        toName: destination.name,
        ino: source.ino,
        victim: destination.ino,
        time: this.#now(),
        isVictimOpen: this.#isOpen(scope, destination.ino),
      };
      return { requests: [request], finish: () => this.#fs.wakeBackground() };
    });
  }

  // Extended attributes.

  listXattrs(target: Target): Task<readonly string[]> {
    return this.#read((scope, access) => {
      const block = xattrBlock(scope, access, this.#find(scope, access, target));
      return listXattrs(block).map(({ name }) => decoder.decode(name.slice()));
    });
  }

  getXattr(target: Target, name: string): Task<Uint8Array> {
    return this.#read((scope, access) => {
      const block = xattrBlock(scope, access, this.#find(scope, access, target));
      const wanted = listXattrs(block).find((x) => decoder.decode(x.name.slice()) === name);
      if (wanted === undefined) throw new FsError('ENODATA');
      return wanted.value.slice();
    });
  }

  setXattr(target: Target, name: string, value: Uint8Array): Task<void> {
    return this.#changeXattr(target, name, value, false);
  }

  removeXattr(target: Target, name: string): Task<void> {
    return this.#changeXattr(target, name, NOTHING, true);
  }

  #changeXattr(target: Target, name: string, value: Uint8Array, isRemoval: boolean): Task<void> {
    return this.#change(XATTR_DEMAND, (scope, access) => {
      const bytes = encoder.encode(name);
      if (bytes.length === 0) throw new FsError('EINVAL');
      if (bytes.length > NAME_SIZE_MAX) throw new FsError('ERANGE');
      if (value.length > BLOCK_SIZE) throw new FsError('ENOSPC');
      const ino = this.#find(scope, access, target);
      const generation = inodeGeneration(scope.view, this.#inode(scope, access, ino));
      const time = this.#now();
      const request: FileRequest = {
        kind: 'xattr',
        ino,
        generation,
        name: bytes,
        value,
        isRemoval,
        time,
      };
      return { requests: [request], finish: () => undefined };
    });
  }

  // The whole.

  statfs(): Task<StatFs> {
    return this.#read(() => {
      const { core } = this.#fs;
      const free = core.blocksAvailable(false) + core.maps.restingCount;
      const blocksFree = Math.max(0, free);
      return {
        blockSizeBytes: BLOCK_SIZE,
        blocks: core.volume.blockCount,
        blocksFree,
        files: core.inodes.usedCount,
        filesFree: blocksFree,
      };
    });
  }

  sync(): Task<void> {
    return new Task(this.#sync());
  }

  *#sync(): Step<void> {
    const { core } = this.#fs;
    core.refuseIfUnusable();
    if (this.isReadOnly) return;
    if (core.log !== undefined) {
      yield* wait(core.log.commit(core.log.lastSequence));
      return;
    }
    const task = this.#fs.requestCp();
    if (task !== undefined) yield* wait(task.asIo());
  }
}

// biome-ignore lint/correctness/useYield: a Step that fails at once
function* refuse<T>(code: 'EROFS' | 'ENOENT' | 'ENAMETOOLONG'): Step<T> {
  throw new FsError(code);
}

function refuseBlock(vbn: number): never {
  throw new InvariantError(`a snapshot was given block ${vbn}`);
}

function isByReference(core: Core, file: OpenFile, data: Uint8Array, position: number): boolean {
  if (core.log === undefined || data.length < REFERENCE_SIZE_MIN) return false;
  return position % BLOCK_SIZE === 0 && !file.append;
}

function quietly(action: () => void): void {
  try {
    action();
  } catch (error) {
    if (error !== MISSING) throw error;
  }
}

/** rmdir of '/', '.', '..': as Linux says it. */
function dotError(component: string): 'EBUSY' | 'EINVAL' | 'ENOTEMPTY' {
  if (component === '') return 'EBUSY';
  return component === '.' ? 'EINVAL' : 'ENOTEMPTY';
}

function entryOf(entry: RawEntry): DirectoryEntry {
  return { name: decoder.decode(entry.name), ino: entry.ino, kind: kindOf(entry.kind) };
}

function kindOf(kind: number): FileKind {
  if (kind === DIRECTORY_KIND_DIRECTORY) return 'directory';
  return kind === DIRECTORY_KIND_SYMLINK ? 'symlink' : 'file';
}

function attributesOf(view: DataView, at: Address, ino: Ino): Attributes {
  return {
    ino,
    generation: inodeGeneration(view, at),
    mode: inodeMode(view, at),
    links: (inodeFlags(view, at) & INODE_FLAG_ZOMBIE) !== 0 ? 0 : inodeLinks(view, at),
    uid: view.getUint32(at + INODE_UID_OFFSET, true),
    gid: view.getUint32(at + INODE_GID_OFFSET, true),
    sizeBytes: inodeSizeBytes(view, at),
    blocks: inodeBlocks(view, at),
    atime: getInstant(view, at + INODE_ATIME_OFFSET),
    mtime: getInstant(view, at + INODE_MTIME_OFFSET),
    ctime: getInstant(view, at + INODE_CTIME_OFFSET),
    btime: getInstant(view, at + INODE_BTIME_OFFSET),
  };
}

