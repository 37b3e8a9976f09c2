// The names of an image: every directory is read, every entry compared with the inode that it leads
// to; then links, parents and the zombie queue.
//
// Directories are taken in groups whose blocks are read together. One with more blocks than a group
// may have is read in the order of its tree, a block at a time.

import {
  DIRECTORY_KIND_DIRECTORY,
  DIRECTORY_KIND_FILE,
  DIRECTORY_KIND_SYMLINK,
} from '../../../assembly/layout/directory.ts';
import { INO_ROOT } from '../../../assembly/layout/image-root.ts';
import { isFsError, StorageError } from '../../base/errors.ts';
import type { Step } from '../../base/task.ts';
import type { Ino } from '../../base/units.ts';
import { checksumHex, type Pointer } from '../../format/pointer.ts';
import { DirectoryCheck } from '../directory-check.ts';
import type { Access } from '../file-node.ts';
import type { Image } from '../image.ts';
import { Load, MISSING } from '../load.ts';
import { readDirectory, type Scope } from '../scope.ts';
import {
  type InodeFacts,
  TYPE_DIRECTORY,
  TYPE_FILE,
  TYPE_FREE,
  TYPE_SYMLINK,
} from './inode-facts.ts';
import type { VerifyProblem } from './report.ts';
import type { Owner, VerifyContext } from './tree-walk.ts';

const KIND_TYPES: Readonly<Record<number, number>> = {
  [DIRECTORY_KIND_DIRECTORY]: TYPE_DIRECTORY,
  [DIRECTORY_KIND_FILE]: TYPE_FILE,
  [DIRECTORY_KIND_SYMLINK]: TYPE_SYMLINK,
};

/** Reads for one LOAD: a path from the image root to a directory's block, and then some. */
const ROUNDS_MAX = 64;
/** Problems for which a path is looked for: each costs a directory or more. */
const PATHS_MAX = 20;

const decoder = new TextDecoder();

export class NameCheck {
  readonly #context: VerifyContext;
  readonly #owner: Owner;
  readonly #scope: Scope;
  readonly #facts: InodeFacts;
  /** Some names were not found, for damage: links say nothing. */
  #isPartial = false;

  constructor(context: VerifyContext, owner: Owner, image: Image, facts: InodeFacts) {
    this.#context = context;
    this.#owner = owner;
    this.#facts = facts;
    // Directories are only read: that the rest is the active image's does not matter.
    this.#scope = { ...context.core.scope, image };
  }

  *run(): Step<void> {
    const { directories } = this.#facts;
    let group: Ino[] = [];
    let blocks = 0;
    for (const [ino, facts] of directories) {
      group.push(ino);
      blocks += facts.blocks + 1;
      if (blocks < this.#context.reader.window) continue;
      yield* this.#checkGroup(group);
      group = [];
      blocks = 0;
    }
    yield* this.#checkGroup(group);
    if (!this.#isPartial && !this.#owner.isPartial) {
      this.#checkLinks();
      this.#checkAncestors();
    }
  }

  // Reading.

  /** Runs `load` until it finds all it needs. What cannot be read is FsError EIO to it. */
  *#load<T>(load: (access: Access) => T): Step<T> {
    const { cache } = this.#context.core;
    const attempt = new Load(cache);
    attempt.isWaiting = true;
    let result: T | undefined;
    try {
      for (let round = 0; round < ROUNDS_MAX; round++) {
        cache.beginTurn();
        const isReady = attempt.attempt((access) => {
          result = load(access);
        });
        if (isReady) return result as T;
        attempt.pinFound();
        yield* this.#bring(attempt);
      }
    } finally {
      attempt.unpin();
    }
    throw new StorageError('INVALID_ARGUMENT', 'the cache is too small for verify', {
      hint: 'open the volume with a larger cacheSize',
    });
  }

  *#bring(attempt: Load): Step<void> {
    const { reader, core } = this.#context;
    const wanted = new Map<string, { pointer: Pointer }>();
    for (const pointer of attempt.missing) {
      wanted.set(`${pointer.vbn}:${checksumHex(pointer.checksumLow, pointer.checksumHigh)}`, {
        pointer,
      });
    }
    const items = [...wanted.values()];
    yield* reader.each(items, {
      keeps: () => true,
      visit: () => {},
      fail: ({ pointer }, error) => attempt.fail(pointer, error),
    });
    for (const { pointer } of items) {
      if (core.cache.peek(pointer)?.kind === pointer.kind) continue;
      const message = `block ${pointer.vbn} cannot be relied on`;
      attempt.fail(pointer, new StorageError('BAD_MAGIC', message));
    }
    this.#context.pause();
  }

  *#checkGroup(group: readonly Ino[]): Step<void> {
    if (group.length > 1) yield* this.#load((access) => this.#find(access, group));
    for (const ino of group) {
      const problems = yield* this.#walk(ino, (target, kind) =>
        this.#checkEntry(ino, target, kind),
      );
      for (const { kind, message } of problems) {
        this.#isPartial = true;
        this.#owner.note(`directory-${kind}`, `directory ${ino}: ${message}`, { ino });
      }
      this.#context.pause();
    }
  }

  /** LOAD: all blocks of a group's directories; what cannot be read is left for the check to
   *  find. */
  #find(access: Access, group: readonly Ino[]): void {
    const { image } = this.#scope;
    let isMissing = false;
    for (const ino of group) {
      const blocks = this.#facts.directories.get(ino)?.blocks ?? 0;
      for (let fbn = 0; fbn < Math.min(blocks, this.#context.reader.window); fbn++) {
        try {
          image.node(access, ino).find(access, 0, fbn);
        } catch (error) {
          if (error === MISSING) isMissing = true;
          else if (!isFsError(error, 'EIO')) throw error;
          // Beyond a parent that is not there, all would miss the same block.
          if (fbn === 0) break;
        }
      }
    }
    if (isMissing) throw MISSING;
  }

  /** A whole directory, in steps that each load one block. Gives its problems. */
  *#walk(
    ino: Ino,
    onEntry: (ino: Ino, kind: number, name: Uint8Array) => void,
  ): Step<DirectoryCheck['problems']> {
    let access: Access | undefined;
    const proxy: Access = {
      miss: (pointer) => (access as Access).miss(pointer),
      found: (block) => (access as Access).found(block),
    };
    let check: DirectoryCheck | undefined;
    for (let isDone = false; !isDone; ) {
      isDone = yield* this.#load((now) => {
        access = now;
        try {
          check ??= new DirectoryCheck(readDirectory(this.#scope, proxy, ino), onEntry);
          return check.step();
        } catch (error) {
          if (!isFsError(error, 'EIO')) throw error;
          return check?.skip(messageOf(error)) ?? true;
        }
      });
    }
    if (check === undefined) this.#isPartial = true;
    return check?.problems ?? [];
  }

  // Comparing.

  #checkEntry(directory: Ino, ino: Ino, kind: number): void {
    const facts = this.#facts;
    const owner = this.#owner;
    const type = facts.type(ino);
    if (type === TYPE_FREE) {
      owner.note(
        'dangling-entry',
        `an entry of directory ${directory} leads to free inode ${ino}`,
        {
          ino: directory,
        },
      );
      return;
    }
    if (KIND_TYPES[kind] !== type) {
      owner.note(
        'entry-kind',
        `an entry of directory ${directory} is not of the kind of inode ${ino}`,
        {
          ino,
        },
      );
    }
    if (facts.isZombie(ino)) {
      owner.note('zombie-named', `inode ${ino} was removed and has a name`, { ino });
    }
    const isSecond = facts.names(ino) > 0;
    facts.addName(ino, directory);
    const child = facts.directories.get(ino);
    if (child === undefined) return;
    const parent = facts.directories.get(directory);
    if (parent !== undefined) parent.subdirectories++;
    if (isSecond || ino === INO_ROOT) {
      owner.note('directory-twice', `directory ${ino} has more than one name`, { ino });
    } else if (child.parent !== directory) {
      const message = `directory ${ino} lies in ${directory} and says ${child.parent}`;
      owner.note('directory-parent', message, { ino });
    }
  }

  #checkLinks(): void {
    const facts = this.#facts;
    if (facts.type(INO_ROOT) !== TYPE_DIRECTORY) {
      this.#owner.note('inode', 'inode 1 is no directory', { ino: INO_ROOT });
    } else if (facts.directories.get(INO_ROOT)?.parent !== INO_ROOT) {
      this.#owner.note('directory-parent', 'the root is not its own parent', { ino: INO_ROOT });
    }
    for (const ino of facts.all()) {
      const directory = facts.directories.get(ino);
      const isNamed = facts.names(ino) > 0 || ino === INO_ROOT || facts.isZombie(ino);
      if (!isNamed) {
        const what = directory === undefined ? 'inode' : 'directory';
        this.#owner.note('unreachable', `${what} ${ino} is in use and has no name`, { ino });
        continue;
      }
      const found = directory === undefined ? facts.names(ino) : 2 + directory.subdirectories;
      const wanted = facts.isZombie(ino) ? 0 : found;
      if (facts.links(ino) === wanted) continue;
      const message = `inode ${ino} says ${facts.links(ino)} links and has ${wanted}`;
      this.#owner.note('link-count', message, { ino });
    }
  }

  /** The directories that have names must lead up to the root. */
  #checkAncestors(): void {
    const facts = this.#facts;
    const settled = new Set<Ino>([INO_ROOT]);
    for (const start of facts.directories.keys()) {
      const path = new Set<Ino>();
      let at = start;
      while (!settled.has(at) && !path.has(at) && facts.names(at) > 0) {
        path.add(at);
        at = facts.parentOf(at);
      }
      if (path.has(at)) {
        this.#owner.note('directory-cycle', `directory ${at} lies within itself`, { ino: at });
      }
      for (const ino of path) settled.add(ino);
      settled.add(at);
    }
  }

  // Paths.

  /** Gives the problems of this image their paths. */
  *findPaths(problems: readonly VerifyProblem[]): Step<void> {
    let left = PATHS_MAX;
    for (const problem of problems) {
      if (problem.ino === undefined || problem.path !== undefined || left-- === 0) continue;
      const path = yield* this.#pathOf(problem.ino);
      if (path !== undefined) problem.path = path;
    }
  }

  *#pathOf(ino: Ino): Step<string | undefined> {
    const names: string[] = [];
    const seen = new Set<Ino>();
    let at = ino;
    while (at !== INO_ROOT) {
      if (seen.has(at) || this.#facts.names(at) === 0) return undefined;
      seen.add(at);
      const directory = this.#facts.parentOf(at);
      let found: Uint8Array | undefined;
      const wanted = at;
      yield* this.#walk(directory, (target, _kind, name) => {
        if (target === wanted) found ??= name;
      });
      if (found === undefined) return undefined;
      names.unshift(decoder.decode(found));
      at = directory;
    }
    return `/${names.join('/')}`;
  }
}

function messageOf(error: unknown): string {
  const cause = (error as Error).cause;
  return cause instanceof Error ? cause.message : (error as Error).message;
}
