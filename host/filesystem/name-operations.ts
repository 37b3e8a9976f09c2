// Operations on names: making, linking, renaming and removing them, and listing directories.

import {
  DIRECTORY_KIND_DIRECTORY,
  DIRECTORY_KIND_SYMLINK,
} from '../../assembly/layout/directory.ts';
import { FsError } from '../base/errors.ts';
import { Task } from '../base/task.ts';
import { inodeGeneration, inodeMode } from '../format/inode.ts';
import { leavesAhead, type MakeEntry, readEntriesAs } from './directory.ts';
import { isDirectoryMode } from './effects.ts';
import { ImageAccess, refuse } from './image-access.ts';
import { MISSING } from './load.ts';
import { CREATE_DEMAND, RENAME_DEMAND, UNLINK_DEMAND } from './messages.ts';
import { decodeName } from './names.ts';
import {
  type DirectoryCursor,
  type DirectoryEntry,
  type DirectoryPage,
  type FileKind,
  S_IFDIR,
  S_IFLNK,
  SYMLINK_SIZE_MAX,
  type Target,
} from './operations.ts';
import { readLink, resolve, resolveExisting, resolveVacant } from './path.ts';
import type { FileRequest } from './requests.ts';
import { readDirectory } from './scope.ts';

const encoder = new TextEncoder();
/** Leaves of a directory fetched at once. */
const LEAVES_AHEAD = 64;

export abstract class NameOperations extends ImageAccess {
  readlink(path: string): Task<string> {
    return this.runRead((scope, access) => {
      const { ino, kind } = resolveExisting(scope, access, path, false);
      if (kind !== DIRECTORY_KIND_SYMLINK) throw new FsError('EINVAL');
      return readLink(scope, access, ino);
    });
  }

  readdir(target: Target, max: number, cursor?: DirectoryCursor): Task<DirectoryPage> {
    return this.runRead((scope, access) => {
      const ino = this.find(scope, access, target);
      if (!isDirectoryMode(inodeMode(scope.view, this.inodeOf(scope, access, ino)))) {
        throw new FsError('ENOTDIR');
      }
      const blocks = readDirectory(scope, access, ino);
      const from = { high: cursor?.[0] ?? 0, low: cursor?.[1] ?? 0 };
      try {
        const { entries, next } = readEntriesAs(blocks, from, max, entryOf);
        return next === undefined
          ? { entries }
          : { entries, next: [next.high, next.low, 0] as const };
      } catch (error) {
        if (error !== MISSING) throw error;
        // One leaf is missing; its neighbours will be next.
        const node = scope.image.node(access, ino);
        for (const fbn of leavesAhead(blocks, from, LEAVES_AHEAD))
          quietly(() => node.find(access, 0, fbn));
        throw MISSING;
      }
    });
  }

  #create(path: string, mode: number, target?: Uint8Array): Task<void> {
    return this.runChange(CREATE_DEMAND, (scope, access) => {
      const resolved = isDirectoryMode(mode)
        ? resolve(scope, access, path, false)
        : resolveVacant(scope, access, path);
      const request = this.planCreate(scope, access, resolved, mode, target);
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
    return this.runChange(CREATE_DEMAND, (scope, access) => {
      const from = resolveExisting(scope, access, existing, false);
      const to = resolveVacant(scope, access, path);
      if (to.name === undefined) throw new FsError('EEXIST');
      if (from.kind === DIRECTORY_KIND_DIRECTORY) throw new FsError('EPERM');
      const generation = inodeGeneration(scope.view, this.inodeOf(scope, access, from.ino));
      const request: FileRequest = {
        kind: 'link',
        directory: to.directory,
        name: to.name,
        ino: from.ino,
        generation,
        time: this.now(),
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
    return this.runChange(UNLINK_DEMAND, (scope, access) => {
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
        time: this.now(),
        isOpen: this.isOpen(scope, resolved.ino),
      };
      return { requests: [request], finish: () => this.fs.wakeBackground() };
    });
  }

  rename(from: string, to: string): Task<void> {
    return this.runChange(RENAME_DEMAND, (scope, access) => {
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
        time: this.now(),
        isVictimOpen: this.isOpen(scope, destination.ino),
      };
      return { requests: [request], finish: () => this.fs.wakeBackground() };
    });
  }
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

const entryOf: MakeEntry<DirectoryEntry> = (u8, first, length, ino, kind) => ({
  name: decodeName(u8, first, length),
  ino,
  kind: kindOf(kind),
});

function kindOf(kind: number): FileKind {
  if (kind === DIRECTORY_KIND_DIRECTORY) return 'directory';
  return kind === DIRECTORY_KIND_SYMLINK ? 'symlink' : 'file';
}
