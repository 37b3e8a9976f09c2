// What the operations on an image have in common: running messages on it, finding inodes, and the
// requests that more than one call makes.

import { InvariantError } from '../base/assert.ts';
import { FsError } from '../base/errors.ts';
import { type Step, Task } from '../base/task.ts';
import type { Address, Ino } from '../base/units.ts';
import { inodeGeneration, inodeMode } from '../format/inode.ts';
import { isDirectoryMode } from './effects.ts';
import { planCut } from './file-data.ts';
import type { Access } from './file-node.ts';
import type { FileSystem } from './file-system.ts';
import { handleOf } from './handle.ts';
import type { Image } from './image.ts';
import { Inodes } from './inodes.ts';
import { ChangeMessage, type NoteFile, type Plan, ReadMessage } from './messages.ts';
import { NameCache } from './name-cache.ts';
import type { Target } from './operations.ts';
import { type Resolved, resolveExisting } from './path.ts';
import type { CreateRequest, TruncateRequest } from './requests.ts';
import type { Scope } from './scope.ts';

const NOTHING = new Uint8Array(0);

/** An image (the active one, or a snapshot's) and the ways to it. */
export abstract class ImageAccess {
  readonly isReadOnly: boolean;
  protected readonly fs: FileSystem;
  /** The image; asked anew each time, since a rollback replaces the active one. */
  readonly #image: () => Image;
  #scope: Scope | undefined;

  constructor(fs: FileSystem, image: () => Image, isReadOnly: boolean) {
    this.fs = fs;
    this.#image = image;
    this.isReadOnly = isReadOnly;
  }

  protected get here(): Scope {
    const image = this.#image();
    const { core } = this.fs;
    if (image === core.image) return core.scope;
    if (this.#scope?.image !== image) {
      const inodes = new Inodes(image, core.kernels);
      const { view, u8 } = core.arena;
      const names = new NameCache();
      this.#scope = { image, inodes, names, view, u8, takeBlock: refuseBlock };
    }
    return this.#scope;
  }

  /** `target`: what is read, where that is known; its calls take effect in the order they are
   *  made. */
  protected runRead<T>(
    find: (scope: Scope, access: Access, note: NoteFile) => T,
    target?: Target,
  ): Task<T> {
    // Looked up at each LOAD: a message that waits for a rollback finds another image after it.
    const load = (access: Access, note: NoteFile) => find(this.here, access, note);
    return this.fs.driver.run(new ReadMessage(load, fileOf(target)));
  }

  protected runChange<T>(
    demand: ChangeMessage<T>['demand'],
    plan: (scope: Scope, access: Access) => Plan<T>,
    target?: Target,
  ): Task<T> {
    if (this.isReadOnly) return new Task(refuse<T>('EROFS'));
    return this.fs.driver.run(this.changeMessage(demand, plan, target));
  }

  protected changeMessage<T>(
    demand: ChangeMessage<T>['demand'],
    plan: (scope: Scope, access: Access) => Plan<T>,
    target?: Target,
  ): ChangeMessage<T> {
    return new ChangeMessage(() => this.here, demand, plan, fileOf(target));
  }

  protected now() {
    return this.fs.core.env.clock.now();
  }

  // Finding.

  protected find(scope: Scope, access: Access, target: Target, note?: NoteFile): Ino {
    const ino = this.#resolve(scope, access, target);
    note?.(ino);
    return ino;
  }

  #resolve(scope: Scope, access: Access, target: Target): Ino {
    if ('file' in target) {
      const handle = handleOf(this.fs.core, scope.image, target.file);
      scope.inodes.address(access, handle.ino, handle.generation);
      return handle.ino;
    }
    return resolveExisting(scope, access, target.path, target.followLast ?? true).ino;
  }

  /** Address of an inode that a name or handle led to. */
  protected inodeOf(scope: Scope, access: Access, ino: Ino): Address {
    const at = scope.image.inodeAddress(access, ino);
    if (at === 0 || inodeMode(scope.view, at) === 0) throw new FsError('EIO');
    return at;
  }

  protected planCreate(
    scope: Scope,
    access: Access,
    resolved: Resolved,
    mode: number,
    target: Uint8Array = NOTHING,
  ): CreateRequest {
    if (resolved.name === undefined || resolved.ino !== 0) throw new FsError('EEXIST');
    const isDirectory = isDirectoryMode(mode);
    const { prng } = this.fs.core.env;
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
      time: this.now(),
      target,
      seedLow: isDirectory ? prng.u32() : 0,
      seedHigh: isDirectory ? prng.u32() : 0,
    };
  }

  /** The request that cuts or extends a file. */
  protected planTruncate(
    scope: Scope,
    access: Access,
    ino: Ino,
    sizeBytes: number,
  ): TruncateRequest {
    const at = this.inodeOf(scope, access, ino);
    const cut = planCut(scope, access, scope.image.node(access, ino), sizeBytes);
    const zombie = cut.needsZombie ? scope.inodes.choose(access) : 0;
    return {
      kind: 'truncate',
      ino,
      generation: inodeGeneration(scope.view, at),
      sizeBytes: cut.size,
      time: this.now(),
      zombie,
      zombieGeneration: zombie === 0 ? 0 : scope.inodes.nextGeneration(access, zombie),
    };
  }

  protected isOpen(scope: Scope, ino: Ino): boolean {
    return (scope.image.nodes.get(ino)?.openCount ?? 0) > 0;
  }
}

export function* refuse<T>(code: 'EROFS' | 'ENOENT' | 'ENAMETOOLONG'): Step<T> {
  throw new FsError(code);
}

function refuseBlock(vbn: number): never {
  throw new InvariantError(`a snapshot was given block ${vbn}`);
}

/** The open file that a target is: known from the call. */
function fileOf(target: Target | undefined): Ino | undefined {
  return target !== undefined && 'file' in target ? target.file.ino : undefined;
}
