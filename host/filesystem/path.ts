// Path resolution, as part of a message's LOAD: from a path to a directory, a name in it, and the
// inode that the name leads to. Iterative, with bounds on symbolic links and on the path's length.

import {
  DIRECTORY_KIND_DIRECTORY,
  DIRECTORY_KIND_SYMLINK,
} from '../../assembly/layout/directory.ts';
import { INO_ROOT } from '../../assembly/layout/image-root.ts';
import { FsError } from '../base/errors.ts';
import type { Ino } from '../base/units.ts';
import { inodeMode, inodeParent, inodeSizeBytes } from '../format/inode.ts';
import { lookup } from './directory.ts';
import { isDirectoryMode } from './effects.ts';
import { copyOut, loadRead } from './file-data.ts';
import type { Access } from './file-node.ts';
import { NAME_SIZE_MAX, SYMLINK_SIZE_MAX, SYMLINKS_MAX } from './operations.ts';
import { readDirectory, type Scope } from './scope.ts';

/** Components of a path, links expanded. */
const COMPONENTS_MAX = 1 << 15;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface Resolved {
  /** Directory of the last component; the directory itself where `name` is undefined. */
  readonly directory: Ino;
  /** Last component; undefined where it is '', '.' or '..'. */
  readonly name: Uint8Array | undefined;
  /** Last component as written; '' for '/'. */
  readonly lastComponent: string;
  /** What it leads to; 0 = nothing. */
  readonly ino: Ino;
  /** DIRECTORY_KIND_* of it; 0 = nothing. */
  readonly kind: number;
  /** The path ended in '/'. What that means is the call's to say. */
  readonly hasSlash: boolean;
}

/** LOAD: what `path` means. ENOENT for a missing directory on the way, ENOTDIR, ELOOP,
 *  ENAMETOOLONG, EINVAL for a NUL; a missing last component is an answer (ino 0). */
export function resolve(scope: Scope, access: Access, path: string, followLast: boolean): Resolved {
  if (path === '') throw new FsError('ENOENT');
  if (path.includes('\0')) throw new FsError('EINVAL');
  let components = split(path);
  let hasSlash = path.endsWith('/');
  let at = directoryResolved(INO_ROOT, '');
  let links = 0;
  for (let next = 0; ; ) {
    const component = components[next++];
    if (component === undefined) return { ...at, hasSlash };
    const isLast = next === components.length;
    if (at.kind !== DIRECTORY_KIND_DIRECTORY)
      throw new FsError(at.ino === 0 ? 'ENOENT' : 'ENOTDIR');
    const directory = at.ino;
    const found = step(scope, access, directory, component);
    if (found.kind === DIRECTORY_KIND_SYMLINK && (!isLast || followLast)) {
      if (++links > SYMLINKS_MAX) throw new FsError('ELOOP');
      const target = readLink(scope, access, found.ino);
      if (isLast) hasSlash ||= target.endsWith('/');
      components = [...split(target), ...components.slice(next)];
      if (components.length > COMPONENTS_MAX) throw new FsError('ENAMETOOLONG');
      next = 0;
      at = directoryResolved(target.startsWith('/') ? INO_ROOT : directory, '');
      continue;
    }
    if (isLast) return { ...found, hasSlash };
    at = found;
  }
}

function split(path: string): string[] {
  const components: string[] = [];
  for (let from = 0; from < path.length; ) {
    const slash = path.indexOf('/', from);
    const to = slash < 0 ? path.length : slash;
    if (to > from) components.push(path.slice(from, to));
    from = to + 1;
  }
  return components;
}

/** Longer names are left to the platform's encoder, whose calls cost more than such a loop. */
const SHORT_NAME_MAX = 64;

/** A name as UTF-8. */
function encodeName(name: string): Uint8Array {
  if (name.length > SHORT_NAME_MAX) return encoder.encode(name);
  const bytes = new Uint8Array(name.length);
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code > 0x7f) return encoder.encode(name);
    bytes[at] = code;
  }
  return bytes;
}

function directoryResolved(ino: Ino, lastComponent: string): Resolved {
  return {
    directory: ino,
    name: undefined,
    lastComponent,
    ino,
    kind: DIRECTORY_KIND_DIRECTORY,
    hasSlash: false,
  };
}

function step(scope: Scope, access: Access, directory: Ino, component: string): Resolved {
  if (component === '.') return directoryResolved(directory, component);
  if (component === '..') {
    const at = scope.image.inodeAddress(access, directory);
    if (at === 0) throw new FsError('EIO');
    return directoryResolved(inodeParent(scope.view, at), component);
  }
  const name = encodeName(component);
  if (name.length > NAME_SIZE_MAX) throw new FsError('ENAMETOOLONG');
  const found = lookup(readDirectory(scope, access, directory), name);
  return {
    directory,
    name,
    lastComponent: component,
    ino: found?.ino ?? 0,
    kind: found?.kind ?? 0,
    hasSlash: false,
  };
}

/** LOAD: as `resolve`, of what must be there; 'x/' only if x is a directory. */
export function resolveExisting(
  scope: Scope,
  access: Access,
  path: string,
  followLast: boolean,
): Resolved {
  const resolved = resolve(scope, access, path, followLast || path.endsWith('/'));
  if (resolved.ino === 0) throw new FsError('ENOENT');
  if (resolved.hasSlash && resolved.kind !== DIRECTORY_KIND_DIRECTORY) throw new FsError('ENOTDIR');
  return resolved;
}

/** LOAD: as `resolve`, of a place for something that is no directory. */
export function resolveVacant(scope: Scope, access: Access, path: string): Resolved {
  const resolved = resolve(scope, access, path, false);
  if (resolved.ino !== 0) throw new FsError('EEXIST');
  if (resolved.hasSlash) throw new FsError('ENOENT');
  return resolved;
}

/** LOAD: the target of a symbolic link. */
export function readLink(scope: Scope, access: Access, ino: Ino): string {
  const at = scope.image.inodeAddress(access, ino);
  if (at === 0) throw new FsError('EIO');
  const size = inodeSizeBytes(scope.view, at);
  if (size > SYMLINK_SIZE_MAX || isDirectoryMode(inodeMode(scope.view, at))) {
    throw new FsError('EIO');
  }
  const node = scope.image.node(access, ino);
  loadRead(access, node, 0, size);
  const bytes = new Uint8Array(size);
  copyOut(scope, node, bytes, 0);
  return decoder.decode(bytes);
}
