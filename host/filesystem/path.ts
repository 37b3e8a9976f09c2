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
import { encodeName } from './names.ts';
import { NAME_SIZE_MAX, SYMLINK_SIZE_MAX, SYMLINKS_MAX } from './operations.ts';
import { readDirectory, type Scope } from './scope.ts';

/** Components of a path, links expanded. */
const COMPONENTS_MAX = 1 << 15;

const decoder = new TextDecoder();

/** Where a path leads. */
export class Resolved {
  /** Directory of the last component; the directory itself where there is no name. */
  readonly directory: Ino;
  /** Last component as written; '' for '/'. */
  readonly lastComponent: string;
  /** What it leads to; 0 = nothing. */
  readonly ino: Ino;
  /** DIRECTORY_KIND_* of it; 0 = nothing. */
  readonly kind: number;
  /** The path ended in '/'. What that means is the call's to say. */
  readonly hasSlash: boolean;
  #name: Uint8Array | undefined;

  constructor(
    directory: Ino,
    lastComponent: string,
    ino: Ino,
    kind: number,
    hasSlash: boolean,
    name?: Uint8Array,
  ) {
    this.directory = directory;
    this.lastComponent = lastComponent;
    this.ino = ino;
    this.kind = kind;
    this.hasSlash = hasSlash;
    this.#name = name;
  }

  /** Last component in UTF-8; undefined where it is '', '.' or '..'. */
  get name(): Uint8Array | undefined {
    const { lastComponent } = this;
    if (lastComponent === '' || lastComponent === '.' || lastComponent === '..') return undefined;
    this.#name ??= encodeName(lastComponent);
    return this.#name;
  }
}

/** LOAD: what `path` means. ENOENT for a missing directory on the way, ENOTDIR, ELOOP,
 *  ENAMETOOLONG, EINVAL for a NUL; a missing last component is an answer (ino 0). */
export function resolve(scope: Scope, access: Access, path: string, followLast: boolean): Resolved {
  if (path === '') throw new FsError('ENOENT');
  if (path.includes('\0')) throw new FsError('EINVAL');
  let text = path;
  let hasSlash = path.charCodeAt(path.length - 1) === SLASH;
  let directory: Ino = INO_ROOT;
  let links = 0;
  let from = afterSlashes(text, 0);
  for (;;) {
    if (from === text.length) {
      return new Resolved(directory, '', directory, DIRECTORY_KIND_DIRECTORY, hasSlash);
    }
    const slash = text.indexOf('/', from);
    const to = slash < 0 ? text.length : slash;
    const next = slash < 0 ? to : afterSlashes(text, slash);
    const isLast = next === text.length;
    const found = step(scope, access, directory, text, from, to);
    if (found.kind === DIRECTORY_KIND_SYMLINK && (!isLast || followLast)) {
      if (++links > SYMLINKS_MAX) throw new FsError('ELOOP');
      const target = readLink(scope, access, found.ino);
      if (isLast) hasSlash ||= target.endsWith('/');
      text = `${target}/${text.slice(next)}`;
      checkComponents(text);
      if (target.startsWith('/')) directory = INO_ROOT;
      from = afterSlashes(text, 0);
      continue;
    }
    if (isLast) return resolved(directory, text.slice(from, to), found, hasSlash);
    if (found.kind !== DIRECTORY_KIND_DIRECTORY) {
      throw new FsError(found.ino === 0 ? 'ENOENT' : 'ENOTDIR');
    }
    directory = found.ino;
    from = next;
  }
}

function resolved(directory: Ino, last: string, found: Step, hasSlash: boolean): Resolved {
  const at = last === '.' || last === '..' ? found.ino : directory;
  return new Resolved(at, last, found.ino, found.kind, hasSlash, found.bytes);
}

const SLASH = 47;

function afterSlashes(path: string, from: number): number {
  let at = from;
  while (at < path.length && path.charCodeAt(at) === SLASH) at++;
  return at;
}

/** Links may not make a path longer and longer. */
function checkComponents(path: string): void {
  // A component takes two characters at least.
  if (path.length <= 2 * COMPONENTS_MAX) return;
  let count = 0;
  for (let at = afterSlashes(path, 0); at < path.length; count++) {
    const slash = path.indexOf('/', at);
    at = slash < 0 ? path.length : afterSlashes(path, slash);
  }
  if (count > COMPONENTS_MAX) throw new FsError('ENAMETOOLONG');
}

/** What a component leads to; ino and kind are 0 where that is nothing. */
interface Step {
  readonly ino: Ino;
  readonly kind: number;
  /** The component in UTF-8, where it was needed. */
  readonly bytes?: Uint8Array;
}

/** One component of a path, from `from` to `to`, in a directory. */
function step(
  scope: Scope,
  access: Access,
  directory: Ino,
  path: string,
  from: number,
  to: number,
): Step {
  const known = scope.names.find(directory, path, from, to);
  if (known !== undefined) return known;
  const component = path.slice(from, to);
  if (component === '.') return { ino: directory, kind: DIRECTORY_KIND_DIRECTORY };
  if (component === '..') {
    const at = scope.image.inodeAddress(access, directory);
    if (at === 0) throw new FsError('EIO');
    return { ino: inodeParent(scope.view, at), kind: DIRECTORY_KIND_DIRECTORY };
  }
  const bytes = encodeName(component);
  if (bytes.length > NAME_SIZE_MAX) throw new FsError('ENAMETOOLONG');
  const found = lookup(readDirectory(scope, access, directory), bytes);
  if (found === undefined) return { ino: 0, kind: 0, bytes };
  const { ino, kind } = found;
  scope.names.keep(directory, component, ino, kind);
  return { ino, kind, bytes };
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
