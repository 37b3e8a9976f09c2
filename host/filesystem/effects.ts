// What requests do: for each kind a LOAD, which reads all that the effect will touch and refuses
// what cannot be (FsError), and a MODIFY, which changes memory only and cannot fail. Live messages
// and replay run the same code; only the choice of inode numbers and times is the message's.

import { BLOCK_SIZE, KIND_DATA, KIND_DIRECTORY } from '../../assembly/layout/block.ts';
import {
  DIRECTORY_KIND_DIRECTORY,
  DIRECTORY_KIND_FILE,
  DIRECTORY_KIND_SYMLINK,
} from '../../assembly/layout/directory.ts';
import { INO_ROOT } from '../../assembly/layout/image-root.ts';
import {
  INODE_ATIME_OFFSET,
  INODE_CTIME_OFFSET,
  INODE_GID_OFFSET,
  INODE_LINKS_OFFSET,
  INODE_MODE_OFFSET,
  INODE_MTIME_OFFSET,
  INODE_PARENT_OFFSET,
  INODE_UID_OFFSET,
} from '../../assembly/layout/inode.ts';
import { assert } from '../base/assert.ts';
import { FsError } from '../base/errors.ts';
import type { Address, Ino, Instant } from '../base/units.ts';
import {
  inodeLinks,
  inodeMode,
  inodeParent,
  inodeSizeBytes,
  setInodeSizeBytes,
} from '../format/inode.ts';
import { setInstant, setU64 } from '../format/words.ts';
import { encodeXattrs, withoutXattr, withXattr } from '../format/xattr.ts';
import {
  initializeDirectory,
  insert,
  isEmpty,
  lookup,
  planInsert,
  planRemove,
  remove,
  replace,
} from './directory.ts';
import { copyIn, cutDirect, cutToZombie, loadWrite, planCut } from './file-data.ts';
import { type Access, LEVEL_XATTR, PRESENT } from './file-node.ts';
import { MESSAGE_SIZE_MAX, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './operations.ts';
import {
  CHANGE_ATIME,
  CHANGE_GID,
  CHANGE_MODE,
  CHANGE_MTIME,
  CHANGE_UID,
  type ChangeRequest,
  type CreateRequest,
  type FileRequest,
  type LinkRequest,
  type ReferenceRequest,
  type RenameRequest,
  type TruncateRequest,
  type UnlinkRequest,
  type WriteRequest,
  type XattrRequest,
} from './requests.ts';
import { changeDirectory, readDirectory, type Scope } from './scope.ts';

/** Hard links that an inode can have. */
const LINKS_MAX = 0xffff_fffe;

export function isDirectoryMode(mode: number): boolean {
  return (mode & S_IFMT) === S_IFDIR;
}

export function directoryKindOf(mode: number): number {
  if (isDirectoryMode(mode)) return DIRECTORY_KIND_DIRECTORY;
  return (mode & S_IFMT) === S_IFLNK ? DIRECTORY_KIND_SYMLINK : DIRECTORY_KIND_FILE;
}

export function loadRequest(scope: Scope, access: Access, request: FileRequest): void {
  switch (request.kind) {
    case 'create':
      return loadCreate(scope, access, request);
    case 'write':
      return loadWriteRequest(scope, access, request);
    case 'reference':
      return loadReference(scope, access, request);
    case 'truncate':
      return loadTruncate(scope, access, request);
    case 'change':
      scope.inodes.address(access, request.ino, request.generation);
      return;
    case 'link':
      return loadLink(scope, access, request);
    case 'unlink':
      return loadUnlink(scope, access, request);
    case 'rename':
      return loadRename(scope, access, request);
    case 'xattr':
      return loadXattr(scope, access, request);
  }
}

export function modifyRequest(scope: Scope, request: FileRequest): void {
  switch (request.kind) {
    case 'create':
      return modifyCreate(scope, request);
    case 'write':
      return modifyWrite(scope, request);
    case 'reference':
      return modifyReference(scope, request);
    case 'truncate':
      return modifyTruncate(scope, request);
    case 'change':
      return modifyChange(scope, request);
    case 'link':
      return modifyLink(scope, request);
    case 'unlink':
      return modifyUnlink(scope, request);
    case 'rename':
      return modifyRename(scope, request);
    case 'xattr':
      return modifyXattr(scope, request);
  }
}

/** LOAD: the directory's inode, which must be a directory. */
function loadDirectory(scope: Scope, access: Access, ino: Ino): Address {
  const at = scope.image.inodeAddress(access, ino);
  if (at === 0 || inodeMode(scope.view, at) === 0) throw new FsError('ENOENT');
  if (!isDirectoryMode(inodeMode(scope.view, at))) throw new FsError('ENOTDIR');
  // A directory that was removed while somebody was in it takes no new names.
  if (inodeLinks(scope.view, at) === 0) throw new FsError('ENOENT');
  return at;
}

function loadInsert(scope: Scope, access: Access, directory: Ino, name: Uint8Array): void {
  loadDirectory(scope, access, directory);
  const plan = planInsert(readDirectory(scope, access, directory), name);
  if (plan === 'exists') throw new FsError('EEXIST');
  if (plan === 'full') throw new FsError('ENOSPC');
}

function touchDirectory(scope: Scope, ino: Ino, time: Instant, linkChange: number): void {
  const at = scope.image.changeInode(ino);
  setInstant(scope.view, at + INODE_MTIME_OFFSET, time);
  setInstant(scope.view, at + INODE_CTIME_OFFSET, time);
  if (linkChange !== 0) addLinks(scope, at, linkChange);
}

function addLinks(scope: Scope, at: Address, change: number): void {
  const links = inodeLinks(scope.view, at) + change;
  assert(links >= 0, 'link count is not negative', links);
  scope.view.setUint32(at + INODE_LINKS_OFFSET, links, true);
}

function loadCreate(scope: Scope, access: Access, r: CreateRequest): void {
  loadInsert(scope, access, r.directory, r.name);
  scope.inodes.loadFor(access, r.ino);
}

function modifyCreate(scope: Scope, r: CreateRequest): void {
  const isDirectory = isDirectoryMode(r.mode);
  scope.inodes.create(r.ino, {
    generation: r.generation,
    mode: r.mode,
    links: isDirectory ? 2 : 1,
    uid: r.uid,
    gid: r.gid,
    parent: isDirectory ? r.directory : 0,
    time: r.time,
  });
  const node = scope.image.keptNode(r.ino, isDirectory ? KIND_DIRECTORY : KIND_DATA);
  if (isDirectory) {
    initializeDirectory(changeDirectory(scope, r.ino), { low: r.seedLow, high: r.seedHigh });
  } else if (r.target.length > 0) {
    copyIn(scope, node, r.target, 0);
  }
  insert(changeDirectory(scope, r.directory), r.name, r.ino, directoryKindOf(r.mode));
  touchDirectory(scope, r.directory, r.time, isDirectory ? 1 : 0);
}

function loadWriteRequest(scope: Scope, access: Access, r: WriteRequest): void {
  const at = scope.inodes.address(access, r.ino, r.generation);
  if ((inodeMode(scope.view, at) & S_IFMT) !== S_IFREG) throw new FsError('EINVAL');
  if (r.position + r.data.length > Number.MAX_SAFE_INTEGER) throw new FsError('EFBIG');
  assert(r.data.length <= MESSAGE_SIZE_MAX, 'a message moves at most 1 MiB', r.data.length);
  loadWrite(scope, access, scope.image.node(access, r.ino), r.position, r.data.length);
}

function modifyWrite(scope: Scope, r: WriteRequest): void {
  const node = scope.image.keptNode(r.ino, KIND_DATA);
  copyIn(scope, node, r.data, r.position);
  const at = scope.image.changeInode(r.ino);
  setInstant(scope.view, at + INODE_MTIME_OFFSET, r.time);
  setInstant(scope.view, at + INODE_CTIME_OFFSET, r.time);
}

function loadReference(scope: Scope, access: Access, r: ReferenceRequest): void {
  const at = scope.inodes.address(access, r.ino, r.generation);
  if ((inodeMode(scope.view, at) & S_IFMT) !== S_IFREG) throw new FsError('EINVAL');
  const length = r.pointers.length * BLOCK_SIZE;
  loadWrite(scope, access, scope.image.node(access, r.ino), r.fbn * BLOCK_SIZE, length);
}

function modifyReference(scope: Scope, r: ReferenceRequest): void {
  const node = scope.image.keptNode(r.ino, KIND_DATA);
  node.grow(r.fbn + r.pointers.length - 1);
  r.pointers.forEach((pointer, index) => {
    scope.takeBlock(pointer.vbn);
    node.setPlaced(r.fbn + index, pointer);
  });
  const at = scope.image.changeInode(r.ino);
  const end = (r.fbn + r.pointers.length) * BLOCK_SIZE;
  if (end > inodeSizeBytes(scope.view, at)) setInodeSizeBytes(scope.view, at, end);
  setInstant(scope.view, at + INODE_MTIME_OFFSET, r.time);
  setInstant(scope.view, at + INODE_CTIME_OFFSET, r.time);
}

function loadTruncate(scope: Scope, access: Access, r: TruncateRequest): void {
  const at = scope.inodes.address(access, r.ino, r.generation);
  if ((inodeMode(scope.view, at) & S_IFMT) !== S_IFREG) throw new FsError('EINVAL');
  planCut(scope, access, scope.image.node(access, r.ino), r.sizeBytes);
  if (r.zombie !== 0) scope.inodes.loadRemove(access, r.zombie);
}

function modifyTruncate(scope: Scope, r: TruncateRequest): void {
  const node = scope.image.keptNode(r.ino, KIND_DATA);
  const plan = planCut(scope, PRESENT, node, r.sizeBytes);
  assert(plan.size === r.sizeBytes, 'a cut fits its message', plan.size, r.sizeBytes);
  if (plan.needsZombie) {
    assert(r.zombie !== 0, 'a cut has its zombie inode', r.ino);
    scope.inodes.create(r.zombie, {
      generation: r.zombieGeneration,
      mode: S_IFREG,
      links: 0,
      uid: 0,
      gid: 0,
      parent: 0,
      time: r.time,
    });
    cutToZombie(scope, node, plan, scope.image.keptNode(r.zombie, KIND_DATA));
    scope.inodes.enqueue(r.zombie);
  } else {
    cutDirect(scope, node, r.sizeBytes);
  }
  const at = scope.image.changeInode(r.ino);
  setInstant(scope.view, at + INODE_MTIME_OFFSET, r.time);
  setInstant(scope.view, at + INODE_CTIME_OFFSET, r.time);
}

function modifyChange(scope: Scope, r: ChangeRequest): void {
  const at = scope.image.changeInode(r.ino);
  const { view } = scope;
  if (r.mask & CHANGE_MODE) {
    const type = inodeMode(view, at) & S_IFMT;
    view.setUint32(at + INODE_MODE_OFFSET, type | (r.mode & 0o7777), true);
  }
  if (r.mask & CHANGE_UID) view.setUint32(at + INODE_UID_OFFSET, r.uid, true);
  if (r.mask & CHANGE_GID) view.setUint32(at + INODE_GID_OFFSET, r.gid, true);
  if (r.mask & CHANGE_ATIME) setInstant(view, at + INODE_ATIME_OFFSET, r.atime);
  if (r.mask & CHANGE_MTIME) setInstant(view, at + INODE_MTIME_OFFSET, r.mtime);
  setInstant(view, at + INODE_CTIME_OFFSET, r.time);
}

function loadLink(scope: Scope, access: Access, r: LinkRequest): void {
  const at = scope.inodes.address(access, r.ino, r.generation);
  if (isDirectoryMode(inodeMode(scope.view, at))) throw new FsError('EPERM');
  if (inodeLinks(scope.view, at) === 0) throw new FsError('ENOENT');
  if (inodeLinks(scope.view, at) >= LINKS_MAX) throw new FsError('EMLINK');
  loadInsert(scope, access, r.directory, r.name);
}

function modifyLink(scope: Scope, r: LinkRequest): void {
  const at = scope.image.changeInode(r.ino);
  addLinks(scope, at, 1);
  setInstant(scope.view, at + INODE_CTIME_OFFSET, r.time);
  const kind = directoryKindOf(inodeMode(scope.view, at));
  insert(changeDirectory(scope, r.directory), r.name, r.ino, kind);
  touchDirectory(scope, r.directory, r.time, 0);
}

/** LOAD: a file or empty directory that loses its name `ino`. */
function loadVictim(scope: Scope, access: Access, ino: Ino): void {
  const at = scope.image.inodeAddress(access, ino);
  if (at === 0 || inodeMode(scope.view, at) === 0) throw new FsError('EIO');
  if (isDirectoryMode(inodeMode(scope.view, at))) {
    if (!isEmpty(readDirectory(scope, access, ino))) throw new FsError('ENOTEMPTY');
  }
  scope.inodes.loadRemove(access, ino);
}

function loadUnlink(scope: Scope, access: Access, r: UnlinkRequest): void {
  loadDirectory(scope, access, r.directory);
  const directory = readDirectory(scope, access, r.directory);
  const found = lookup(directory, r.name);
  if (found === undefined || found.ino !== r.ino) throw new FsError('ENOENT');
  loadVictim(scope, access, r.ino);
}

/** MODIFY: takes a name out of a directory. */
function removeName(scope: Scope, directory: Ino, name: Uint8Array): void {
  remove(changeDirectory(scope, directory), name);
  scope.names.forget(directory, name);
}

function modifyUnlink(scope: Scope, r: UnlinkRequest): void {
  removeName(scope, r.directory, r.name);
  const wasDirectory = dropName(scope, r.ino, r.time, r.isOpen);
  touchDirectory(scope, r.directory, r.time, wasDirectory ? -1 : 0);
}

/** MODIFY: an inode loses a name; without a last one it goes. Returns whether it is a directory. */
function dropName(scope: Scope, ino: Ino, time: Instant, isOpen: boolean): boolean {
  const at = scope.image.changeInode(ino);
  const isDirectory = isDirectoryMode(inodeMode(scope.view, at));
  addLinks(scope, at, isDirectory ? -2 : -1);
  setInstant(scope.view, at + INODE_CTIME_OFFSET, time);
  if (inodeLinks(scope.view, at) === 0) scope.inodes.remove(ino, isOpen);
  return isDirectory;
}

function loadRename(scope: Scope, access: Access, r: RenameRequest): void {
  loadDirectory(scope, access, r.fromDirectory);
  const fromDirectory = readDirectory(scope, access, r.fromDirectory);
  const found = lookup(fromDirectory, r.fromName);
  if (found === undefined || found.ino !== r.ino) throw new FsError('ENOENT');
  planRemove(fromDirectory, r.fromName);
  const at = scope.image.inodeAddress(access, r.ino);
  if (at === 0) throw new FsError('EIO');
  const isDirectory = isDirectoryMode(inodeMode(scope.view, at));
  loadDirectory(scope, access, r.toDirectory);
  // Neither into itself nor, as Linux says it, over a directory that it lies in.
  if (isDirectory) refuseAncestor(scope, access, r.ino, r.toDirectory, 'EINVAL');
  if (r.victim !== 0) refuseAncestor(scope, access, r.victim, r.fromDirectory, 'ENOTEMPTY');
  if (r.victim === 0) return loadInsert(scope, access, r.toDirectory, r.toName);
  lookup(readDirectory(scope, access, r.toDirectory), r.toName);
  const victim = scope.image.inodeAddress(access, r.victim);
  if (victim === 0) throw new FsError('EIO');
  const isVictimDirectory = isDirectoryMode(inodeMode(scope.view, victim));
  if (isDirectory && !isVictimDirectory) throw new FsError('ENOTDIR');
  if (!isDirectory && isVictimDirectory) throw new FsError('EISDIR');
  loadVictim(scope, access, r.victim);
}

/** Fails with `code` if `ino` is `directory` or above it: follows the parents up. */
function refuseAncestor(
  scope: Scope,
  access: Access,
  ino: Ino,
  directory: Ino,
  code: 'EINVAL' | 'ENOTEMPTY',
): void {
  let at = directory;
  for (let steps = 0; at !== INO_ROOT; steps++) {
    if (at === ino) throw new FsError(code);
    // A chain longer than there are inodes is a circle: damage.
    const address = scope.image.inodeAddress(access, at);
    if (address === 0 || steps > scope.inodes.usedCount) throw new FsError('EIO');
    at = inodeParent(scope.view, address);
  }
}

function modifyRename(scope: Scope, r: RenameRequest): void {
  const mode = inodeMode(scope.view, scope.image.inodeAddress(PRESENT, r.ino));
  const isDirectory = isDirectoryMode(mode);
  let linksTo = isDirectory ? 1 : 0;
  removeName(scope, r.fromDirectory, r.fromName);
  if (r.victim === 0) {
    insert(changeDirectory(scope, r.toDirectory), r.toName, r.ino, directoryKindOf(mode));
  } else {
    replace(changeDirectory(scope, r.toDirectory), r.toName, r.ino, directoryKindOf(mode));
    scope.names.forget(r.toDirectory, r.toName);
    if (dropName(scope, r.victim, r.time, r.isVictimOpen)) linksTo--;
  }
  touchDirectory(scope, r.fromDirectory, r.time, isDirectory ? -1 : 0);
  touchDirectory(scope, r.toDirectory, r.time, linksTo);
  const at = scope.image.changeInode(r.ino);
  setInstant(scope.view, at + INODE_CTIME_OFFSET, r.time);
  if (isDirectory) setU64(scope.view, at + INODE_PARENT_OFFSET, r.toDirectory);
}

/** The bytes of a file's xattr block, undefined if it has none. */
export function xattrBlock(scope: Scope, access: Access, ino: Ino): Uint8Array | undefined {
  const block = scope.image.node(access, ino).find(access, LEVEL_XATTR, 0);
  if (block === undefined) return undefined;
  return scope.u8.subarray(block.address, block.address + BLOCK_SIZE);
}

function loadXattr(scope: Scope, access: Access, r: XattrRequest): void {
  scope.inodes.address(access, r.ino, r.generation);
  const block = xattrBlock(scope, access, r.ino);
  if (r.isRemoval) {
    if (withoutXattr(block, r.name) === undefined) throw new FsError('ENODATA');
  } else if (withXattr(block, r.name, r.value) === 'full') {
    throw new FsError('ENOSPC');
  }
}

function modifyXattr(scope: Scope, r: XattrRequest): void {
  const before = xattrBlock(scope, PRESENT, r.ino);
  const mode = inodeMode(scope.view, scope.image.changeInode(r.ino));
  const kind = isDirectoryMode(mode) ? KIND_DIRECTORY : KIND_DATA;
  const node = scope.image.keptNode(r.ino, kind);
  const xattrs = r.isRemoval ? withoutXattr(before, r.name) : withXattr(before, r.name, r.value);
  assert(xattrs !== undefined && xattrs !== 'full', 'LOAD saw that the change can be made', r.ino);
  if (xattrs.length === 0) {
    node.cut(LEVEL_XATTR, 0);
  } else {
    // Values are views of the block itself: it is made anew elsewhere first.
    const bytes = new Uint8Array(BLOCK_SIZE);
    encodeXattrs(bytes, xattrs);
    scope.u8.set(bytes, node.change(LEVEL_XATTR, 0, false).address);
  }
  setInstant(scope.view, scope.image.changeInode(r.ino) + INODE_CTIME_OFFSET, r.time);
}
