// The oracle of the file system: Operations in the most naive way that is right. An inode is a
// plain object in a Map, a directory is a Map of names, a file is a Map of 4 KiB blocks that are
// never changed in place (so that a clone may share them). Nothing here is fast or durable.
//
// What the letter of Operations leaves open is decided as Linux decides it:
//   - directories have 2 + (number of subdirectories) links;
//   - reads never change a time (no atime); creating sets all four; a change of a directory's
//     entries sets its mtime and ctime; write of at least one byte, truncate (to the same size
//     too) and an open that truncates set mtime and ctime; link, unlink, rename, change, xattrs
//     set the inode's ctime; rename onto the same inode does nothing at all;
//   - 'x/' and 'x/.' demand that x is a directory, and 'link/' follows the link when it is looked
//     up, not when it is created, removed or renamed;
//   - the order of checks is the kernel's, so that the code is the same where two would fit;
//   - on a read-only image a call that would change something fails with EROFS after its lookups.
//
// Permissions are not checked: the caller is root. The clock is injected and read once a call.

import type { FsErrorCode } from '../../host/base/errors.ts';
import { FsError } from '../../host/base/errors.ts';
import type { Step } from '../../host/base/task.ts';
import { Task } from '../../host/base/task.ts';
import type { Instant } from '../../host/base/units.ts';
import type {
  AttributeChange,
  Attributes,
  DirectoryCursor,
  DirectoryPage,
  FileKind,
  OpenFile,
  OpenOptions,
  Operations,
  StatFs,
  Target,
  WriteFileOptions,
} from '../../host/filesystem/operations.ts';
import * as contract from '../../host/filesystem/operations.ts';
import { digestTree, dumpTree } from './tree.ts';

const BLOCK_SIZE = 4096;
/** Files end at 2^53 - 1. */
export const FILE_SIZE_MAX = Number.MAX_SAFE_INTEGER;
/** Names and values of all xattrs of one file, each with 8 bytes of overhead: a bound that is
 *  surely beyond one block; workloads stay far below. */
const XATTRS_SIZE_MAX = BLOCK_SIZE;
const XATTR_NAME_SIZE_MAX = 255;
const ROOT_INO = 1;
const MODEL_BLOCKS = 1 << 20;
const MODEL_FILES = 1 << 20;

const encoder = new TextEncoder();

interface Entry {
  readonly ino: number;
  /** Position in the order of readdir; never given twice. */
  readonly sequence: number;
}

interface Inode {
  readonly ino: number;
  readonly kind: FileKind;
  mode: number;
  uid: number;
  gid: number;
  links: number;
  size: number;
  atime: Instant;
  mtime: Instant;
  ctime: Instant;
  btime: Instant;
  /** Of a file. */
  blocks: Map<number, Uint8Array>;
  /** Of a directory. */
  entries: Map<string, Entry>;
  parent: number;
  /** Of a symlink. */
  content: string;
  xattrs: Map<string, Uint8Array>;
  opens: number;
}

interface ModelOpenFile extends OpenFile {
  isClosed: boolean;
}

/** Where a path leads. `name` is '', '.' or '..' where the last component names no entry. */
interface Place {
  readonly parent: Inode;
  readonly name: string;
  readonly inode: Inode | undefined;
  /** The path ends in a slash. */
  readonly slash: boolean;
}

function fail(code: FsErrorCode): never {
  throw new FsError(code);
}

function* computed<T>(compute: () => T): Step<T> {
  return compute();
}

/** A Task that is settled at once. */
function immediate<T>(compute: () => T): Task<T> {
  return Task.start(computed(compute));
}

const KIND_BITS = {
  file: contract.S_IFREG,
  directory: contract.S_IFDIR,
  symlink: contract.S_IFLNK,
} as const;

/** A name as its UTF-8 bytes will read: lone surrogates become U+FFFD. */
function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd');
}

function isNormal(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..';
}

export interface ModelOptions {
  readonly now?: () => Instant;
  readonly isReadOnly?: boolean;
}

export class ModelFileSystem implements Operations {
  /** May be set at any time: the same tree, read-only from then on. */
  isReadOnly: boolean;
  readonly #now: () => Instant;
  #inodes = new Map<number, Inode>();
  #inoNext = ROOT_INO;
  #sequenceNext = 1;

  constructor(options: ModelOptions = {}) {
    this.isReadOnly = options.isReadOnly ?? false;
    let ticks = 0;
    this.#now = options.now ?? (() => ({ seconds: 1_700_000_000 + ticks++, nanoseconds: 0 }));
    const root = this.#newInode('directory', 0o755, this.#now());
    root.links = 2;
  }

  /** The same tree, independent from now on, without open files (as after a crash or a mount):
   *  what was unlinked and only open is gone. Costs the number of inodes, entries and blocks. */
  clone(options: ModelOptions = {}): ModelFileSystem {
    const copy = new ModelFileSystem({ now: this.#now, isReadOnly: this.isReadOnly, ...options });
    copy.#inodes = new Map();
    for (const inode of this.#inodes.values()) {
      if (inode.links === 0) continue;
      copy.#inodes.set(inode.ino, {
        ...inode,
        blocks: new Map(inode.blocks),
        entries: new Map(inode.entries),
        xattrs: new Map(inode.xattrs),
        opens: 0,
      });
    }
    copy.#inoNext = this.#inoNext;
    copy.#sequenceNext = this.#sequenceNext;
    return copy;
  }

  /** The whole tree, a line for each path; `digest` is its hash. */
  dump(): string {
    return dumpTree(this, { dataRanges: (path) => this.dataRanges(path) });
  }

  digest(): string {
    return digestTree(this, { dataRanges: (path) => this.dataRanges(path) });
  }

  /** Ranges of a file that may hold something else than zeros, in ascending order. */
  dataRanges(path: string): { readonly start: number; readonly end: number }[] {
    const inode = this.#existing(path, true);
    return [...inode.blocks.keys()]
      .sort((a, b) => a - b)
      .map((fbn) => ({
        start: fbn * BLOCK_SIZE,
        end: Math.min(inode.size, (fbn + 1) * BLOCK_SIZE),
      }));
  }

  // Calls by name.

  attributes(target: Target): Task<Attributes> {
    return immediate(() => this.#attributesOf(this.#targeted(target)));
  }

  open(path: string, options: OpenOptions): Task<OpenFile> {
    return immediate(() => this.#open(path, options));
  }

  mkdir(path: string, mode: number): Task<void> {
    return immediate(() => {
      const place = this.#walk(path, false);
      if (place.inode !== undefined) fail('EEXIST');
      this.#create(place, 'directory', mode);
    });
  }

  symlink(content: string, path: string): Task<void> {
    return immediate(() => {
      if (content === '') fail('ENOENT');
      if (encoder.encode(content).length > contract.SYMLINK_SIZE_MAX) fail('ENAMETOOLONG');
      const place = this.#vacant(path);
      const inode = this.#create(place, 'symlink', 0o777);
      inode.content = wellFormed(content);
      inode.size = encoder.encode(content).length;
    });
  }

  readlink(path: string): Task<string> {
    return immediate(() => {
      const inode = this.#existing(path, false);
      if (inode.kind !== 'symlink') fail('EINVAL');
      return inode.content;
    });
  }

  link(existing: string, path: string): Task<void> {
    return immediate(() => {
      const inode = this.#existing(existing, false);
      const place = this.#vacant(path);
      if (inode.kind === 'directory') fail('EPERM');
      const now = this.#change();
      this.#enter(place, inode, now);
      inode.links++;
      inode.ctime = now;
    });
  }

  unlink(path: string): Task<void> {
    return immediate(() => {
      const { parent, name, inode, slash } = this.#walk(path, false);
      if (!isNormal(name)) fail('EISDIR');
      if (inode === undefined) fail('ENOENT');
      if (inode.kind === 'directory') fail('EISDIR');
      if (slash) fail('ENOTDIR');
      const now = this.#change();
      this.#leave(parent, name, now);
      this.#dropLink(inode, now);
    });
  }

  rmdir(path: string): Task<void> {
    return immediate(() => {
      const { parent, name, inode } = this.#walk(path, false);
      if (name === '') fail('EBUSY');
      if (name === '.') fail('EINVAL');
      if (name === '..') fail('ENOTEMPTY');
      if (inode === undefined) fail('ENOENT');
      if (inode.kind !== 'directory') fail('ENOTDIR');
      if (inode.entries.size > 0) fail('ENOTEMPTY');
      const now = this.#change();
      this.#leave(parent, name, now);
      this.#removeDirectory(inode, parent, now);
    });
  }

  rename(from: string, to: string): Task<void> {
    return immediate(() => this.#rename(this.#walk(from, false), this.#walk(to, false)));
  }

  readdir(target: Target, max: number, cursor?: DirectoryCursor): Task<DirectoryPage> {
    return immediate(() => {
      const inode = this.#targeted(target);
      if (inode.kind !== 'directory') fail('ENOTDIR');
      const after = cursor === undefined ? 0 : cursor[0] * 2 ** 32 + cursor[1];
      const rest = [...inode.entries]
        .filter(([, entry]) => entry.sequence > after)
        .sort(([, a], [, b]) => a.sequence - b.sequence);
      const entries = rest
        .slice(0, max)
        .map(([name, { ino }]) => ({ name, ino, kind: this.#at(ino).kind }));
      const last = rest[max - 1]?.[1].sequence;
      if (last === undefined || rest.length <= max) return { entries };
      return { entries, next: [Math.floor(last / 2 ** 32), last >>> 0, 0] };
    });
  }

  // Calls on contents.

  close(file: OpenFile): Task<void> {
    return immediate(() => {
      const inode = this.#opened(file);
      (file as ModelOpenFile).isClosed = true;
      inode.opens--;
      this.#dropIfUnused(inode);
    });
  }

  read(file: OpenFile, target: Uint8Array, position: number): Task<number> {
    return immediate(() => {
      const inode = this.#opened(file);
      if (!file.readable) fail('EBADF');
      if (inode.kind === 'directory') fail('EISDIR');
      return readBlocks(inode, target, position);
    });
  }

  write(file: OpenFile, data: Uint8Array, position: number): Task<number> {
    return immediate(() => {
      const inode = this.#opened(file);
      if (!file.writable) fail('EBADF');
      if (data.length > 0) this.#write(inode, data, file.append ? inode.size : position);
      return data.length;
    });
  }

  writeFile(path: string, data: Uint8Array, options: WriteFileOptions): Task<void> {
    return immediate(() => {
      const file = this.#open(path, options);
      const inode = this.#opened(file);
      if (!file.writable) fail('EBADF');
      if (data.length > 0) this.#write(inode, data, file.append ? inode.size : 0);
      if (options.attributes !== undefined) this.#setAttributes(inode, options.attributes);
      inode.opens--;
    });
  }

  readFile(target: Target): Task<Uint8Array> {
    return immediate(() => {
      const inode = this.#targeted(target);
      if ('file' in target && !target.file.readable) fail('EBADF');
      if (inode.kind === 'directory') fail('EISDIR');
      if (inode.kind === 'symlink') fail('ELOOP');
      const data = new Uint8Array(inode.size);
      readBlocks(inode, data, 0);
      return data;
    });
  }

  truncate(target: Target, sizeBytes: number): Task<void> {
    return immediate(() => {
      const inode = this.#targeted(target);
      if ('file' in target && !target.file.writable) fail('EINVAL');
      if (inode.kind === 'directory') fail('EISDIR');
      if (inode.kind === 'symlink') fail('ELOOP');
      if (!(sizeBytes >= 0)) fail('EINVAL');
      if (sizeBytes > FILE_SIZE_MAX) fail('EFBIG');
      this.#cut(inode, sizeBytes, this.#change());
    });
  }

  // Calls on attributes.

  change(target: Target, change: AttributeChange): Task<void> {
    return immediate(() => {
      this.#setAttributes(this.#targeted(target), change);
    });
  }

  #setAttributes(inode: Inode, change: AttributeChange): void {
    inode.ctime = this.#change();
    if (change.mode !== undefined) inode.mode = change.mode & 0o7777;
    if (change.uid !== undefined) inode.uid = change.uid;
    if (change.gid !== undefined) inode.gid = change.gid;
    if (change.atime !== undefined) inode.atime = change.atime;
    if (change.mtime !== undefined) inode.mtime = change.mtime;
  }

  listXattrs(target: Target): Task<readonly string[]> {
    return immediate(() => [...this.#targeted(target).xattrs.keys()]);
  }

  getXattr(target: Target, name: string): Task<Uint8Array> {
    return immediate(() => {
      checkXattrName(name);
      const value = this.#targeted(target).xattrs.get(name) ?? fail('ENODATA');
      return value.slice();
    });
  }

  setXattr(target: Target, name: string, value: Uint8Array): Task<void> {
    return immediate(() => {
      checkXattrName(name);
      const inode = this.#targeted(target);
      const all = new Map(inode.xattrs).set(name, value.slice());
      let size = 0;
      for (const [key, bytes] of all) size += encoder.encode(key).length + bytes.length + 8;
      if (size > XATTRS_SIZE_MAX) fail('ENOSPC');
      inode.ctime = this.#change();
      inode.xattrs = all;
    });
  }

  removeXattr(target: Target, name: string): Task<void> {
    return immediate(() => {
      checkXattrName(name);
      const inode = this.#targeted(target);
      if (!inode.xattrs.has(name)) fail('ENODATA');
      inode.ctime = this.#change();
      inode.xattrs.delete(name);
    });
  }

  statfs(): Task<StatFs> {
    return immediate(() => {
      let used = 0;
      for (const inode of this.#inodes.values()) used += 1 + inode.blocks.size;
      return {
        blockSizeBytes: BLOCK_SIZE,
        blocks: MODEL_BLOCKS,
        blocksFree: Math.max(0, MODEL_BLOCKS - used),
        files: MODEL_FILES,
        filesFree: Math.max(0, MODEL_FILES - this.#inodes.size),
      };
    });
  }

  sync(): Task<void> {
    return immediate(() => {});
  }

  // Looking up.

  #at(ino: number): Inode {
    return this.#inodes.get(ino) as Inode;
  }

  /** Walks `path`. The last component need not exist; if it is a symlink it is followed where
   *  `followLast` says so. */
  #walk(path: string, followLast: boolean): Place {
    if (path === '') fail('ENOENT');
    if (path.includes('\0')) fail('EINVAL');
    const split = (text: string) => text.split('/').filter((name) => name !== '');
    let queue = split(wellFormed(path));
    let slash = path.endsWith('/');
    let parent = this.#at(ROOT_INO);
    let followed = 0;
    while (true) {
      const name = queue.shift();
      if (name === undefined) return { parent, name: '', inode: parent, slash };
      const isLast = queue.length === 0;
      if (parent.kind !== 'directory') fail('ENOTDIR');
      if (encoder.encode(name).length > contract.NAME_SIZE_MAX) fail('ENAMETOOLONG');
      const inode = this.#lookup(parent, name);
      const isFollowed = inode?.kind === 'symlink' && (!isLast || followLast);
      if (isFollowed) {
        if (++followed > contract.SYMLINKS_MAX) fail('ELOOP');
        if (isLast) slash ||= inode.content.endsWith('/');
        queue = [...split(inode.content), ...queue];
        if (inode.content.startsWith('/')) parent = this.#at(ROOT_INO);
        // '.' stands for a link to a place whose last component is already known.
        if (queue.length === 0) return { parent, name: '', inode: parent, slash };
      } else if (isLast) {
        return { parent, name, inode, slash };
      } else {
        parent = inode ?? fail('ENOENT');
      }
    }
  }

  #lookup(directory: Inode, name: string): Inode | undefined {
    if (name === '.') return directory;
    if (name === '..') return this.#at(directory.parent);
    const entry = directory.entries.get(name);
    return entry === undefined ? undefined : this.#at(entry.ino);
  }

  #existing(path: string, followLast: boolean): Inode {
    const { inode, slash } = this.#walk(path, followLast || path.endsWith('/'));
    if (inode === undefined) fail('ENOENT');
    if (slash && inode.kind !== 'directory') fail('ENOTDIR');
    return inode;
  }

  /** A place for something that is no directory. */
  #vacant(path: string): Place {
    const place = this.#walk(path, false);
    if (place.inode !== undefined) fail('EEXIST');
    if (place.slash) fail('ENOENT');
    return place;
  }

  #targeted(target: Target): Inode {
    if ('file' in target) return this.#opened(target.file);
    return this.#existing(target.path, target.followLast ?? true);
  }

  #opened(file: OpenFile): Inode {
    if (file.isClosed) fail('EBADF');
    return this.#inodes.get(file.ino) ?? fail('ESTALE');
  }

  // Changing.

  /** The time of a change; EROFS where there must be none. */
  #change(): Instant {
    if (this.isReadOnly) fail('EROFS');
    return this.#now();
  }

  #newInode(kind: FileKind, mode: number, now: Instant): Inode {
    const ino = this.#inoNext++;
    const inode: Inode = {
      ino,
      kind,
      mode: mode & 0o7777,
      uid: 0,
      gid: 0,
      links: 1,
      size: 0,
      atime: now,
      mtime: now,
      ctime: now,
      btime: now,
      blocks: new Map(),
      entries: new Map(),
      parent: ino,
      content: '',
      xattrs: new Map(),
      opens: 0,
    };
    this.#inodes.set(ino, inode);
    return inode;
  }

  #create(place: Place, kind: FileKind, mode: number): Inode {
    const now = this.#change();
    // An open directory that was removed takes no new entries; no path leads into one.
    const inode = this.#newInode(kind, mode, now);
    this.#enter(place, inode, now);
    if (kind === 'directory') {
      inode.links = 2;
      inode.parent = place.parent.ino;
      place.parent.links++;
    }
    return inode;
  }

  #enter(place: { parent: Inode; name: string }, inode: Inode, now: Instant): void {
    place.parent.entries.set(place.name, { ino: inode.ino, sequence: this.#sequenceNext++ });
    place.parent.mtime = now;
    place.parent.ctime = now;
  }

  #leave(parent: Inode, name: string, now: Instant): void {
    parent.entries.delete(name);
    parent.mtime = now;
    parent.ctime = now;
  }

  #dropLink(inode: Inode, now: Instant): void {
    inode.links--;
    inode.ctime = now;
    this.#dropIfUnused(inode);
  }

  #removeDirectory(inode: Inode, parent: Inode, now: Instant): void {
    parent.links--;
    inode.links = 0;
    inode.ctime = now;
    this.#dropIfUnused(inode);
  }

  #dropIfUnused(inode: Inode): void {
    if (inode.links === 0 && inode.opens === 0) this.#inodes.delete(inode.ino);
  }

  #open(path: string, options: OpenOptions): OpenFile {
    const { create = false, exclusive = false, truncate = false, directory = false } = options;
    const follow = !(options.noFollow ?? false) && !(create && exclusive);
    if (create && path.endsWith('/')) this.#refuseSlash(path);
    const place = this.#walk(path, follow || path.endsWith('/'));
    if (create && place.slash) fail('EISDIR');
    let inode = place.inode;
    if (inode === undefined) {
      if (!create) fail('ENOENT');
      inode = this.#create(place, 'file', options.mode ?? 0o666);
    } else {
      if (create && exclusive) fail('EEXIST');
      if (place.slash && inode.kind !== 'directory') fail('ENOTDIR');
      if (inode.kind === 'symlink') fail('ELOOP');
      if (directory && inode.kind !== 'directory') fail('ENOTDIR');
      if (inode.kind === 'directory' && (options.write || create || truncate)) fail('EISDIR');
      if (options.write && this.isReadOnly) fail('EROFS');
      if (truncate) this.#cut(inode, 0, this.#change());
    }
    inode.opens++;
    const file: ModelOpenFile = {
      ino: inode.ino,
      generation: 1,
      readable: options.read,
      writable: options.write,
      append: options.append ?? false,
      isClosed: false,
    };
    return file;
  }

  /** open(create) of 'x/': never a file, whatever x is. */
  #refuseSlash(path: string): never {
    this.#walk(path, false);
    fail('EISDIR');
  }

  #rename(from: Place, to: Place): void {
    if (!isNormal(from.name) || !isNormal(to.name)) fail('EBUSY');
    const inode = from.inode ?? fail('ENOENT');
    const target = to.inode;
    const isDirectory = inode.kind === 'directory';
    if (!isDirectory && (from.slash || to.slash)) fail('ENOTDIR');
    if (this.#isWithin(to.parent, inode)) fail('EINVAL');
    if (target !== undefined && this.#isWithin(from.parent, target)) fail('ENOTEMPTY');
    if (target === inode) return;
    if (target !== undefined) {
      if (isDirectory && target.kind !== 'directory') fail('ENOTDIR');
      if (!isDirectory && target.kind === 'directory') fail('EISDIR');
      if (target.entries.size > 0) fail('ENOTEMPTY');
    }
    const now = this.#change();
    this.#leave(from.parent, from.name, now);
    if (target !== undefined) {
      this.#leave(to.parent, to.name, now);
      if (isDirectory) this.#removeDirectory(target, to.parent, now);
      else this.#dropLink(target, now);
    }
    this.#enter(to, inode, now);
    inode.ctime = now;
    if (isDirectory) {
      from.parent.links--;
      to.parent.links++;
      inode.parent = to.parent.ino;
    }
  }

  /** Whether `inode` is `ancestor` or lies below it. */
  #isWithin(inode: Inode, ancestor: Inode): boolean {
    for (let at = inode; ; at = this.#at(at.parent)) {
      if (at === ancestor) return true;
      if (at.ino === ROOT_INO) return false;
    }
  }

  #write(inode: Inode, data: Uint8Array, position: number): void {
    if (!(position >= 0)) fail('EINVAL');
    if (position + data.length > FILE_SIZE_MAX) fail('EFBIG');
    const now = this.#change();
    for (let done = 0; done < data.length; ) {
      const at = position + done;
      const fbn = Math.floor(at / BLOCK_SIZE);
      const offset = at % BLOCK_SIZE;
      const piece = data.subarray(done, done + BLOCK_SIZE - offset);
      const block = inode.blocks.get(fbn)?.slice() ?? new Uint8Array(BLOCK_SIZE);
      block.set(piece, offset);
      inode.blocks.set(fbn, block);
      done += piece.length;
    }
    inode.size = Math.max(inode.size, position + data.length);
    inode.mtime = now;
    inode.ctime = now;
  }

  #cut(inode: Inode, size: number, now: Instant): void {
    for (const [fbn, block] of inode.blocks) {
      const kept = size - fbn * BLOCK_SIZE;
      if (kept <= 0) inode.blocks.delete(fbn);
      else if (kept < BLOCK_SIZE) inode.blocks.set(fbn, block.slice().fill(0, kept));
    }
    inode.size = size;
    inode.mtime = now;
    inode.ctime = now;
  }

  #attributesOf(inode: Inode): Attributes {
    return {
      ino: inode.ino,
      generation: 1,
      mode: KIND_BITS[inode.kind] | inode.mode,
      links: inode.links,
      uid: inode.uid,
      gid: inode.gid,
      sizeBytes: inode.size,
      blocks: inode.blocks.size,
      atime: inode.atime,
      mtime: inode.mtime,
      ctime: inode.ctime,
      btime: inode.btime,
    };
  }
}

function readBlocks(inode: Inode, target: Uint8Array, position: number): number {
  if (!(position >= 0)) fail('EINVAL');
  const count = Math.max(0, Math.min(target.length, inode.size - position));
  target.fill(0, 0, count);
  for (let done = 0; done < count; ) {
    const at = position + done;
    const offset = at % BLOCK_SIZE;
    const length = Math.min(count - done, BLOCK_SIZE - offset);
    const block = inode.blocks.get(Math.floor(at / BLOCK_SIZE));
    if (block !== undefined) target.set(block.subarray(offset, offset + length), done);
    done += length;
  }
  return count;
}

function checkXattrName(name: string): void {
  const size = encoder.encode(name).length;
  if (size === 0 || size > XATTR_NAME_SIZE_MAX) fail('ERANGE');
}
