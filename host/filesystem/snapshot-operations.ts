// What users do with snapshots: take, list, hold, delete, roll back. Taking one with nothing dirty,
// and holding, releasing and deleting, is one log record (ENGINE 28); otherwise it is a CP.

import {
  IMAGE_ROOT_ACTIVE_MAP_OFFSET,
  IMAGE_ROOT_CP_OFFSET,
} from '../../assembly/layout/image-root.ts';
import { INODE_SIZE } from '../../assembly/layout/inode.ts';
import { SNAPSHOT_NAME_SIZE_MAX } from '../../assembly/layout/snapshot.ts';
import { InvariantError } from '../base/assert.ts';
import { FsError, StorageError } from '../base/errors.ts';
import { type Step, wait } from '../base/task.ts';
import type { SnapshotEntry } from '../format/snapshot.ts';
import { getU64 } from '../format/words.ts';
import type { Core } from './core.ts';
import type { FileSystem } from './file-system.ts';
import { Image } from './image.ts';
import type { Demand, Message } from './message-driver.ts';
import {
  REQUEST_SIZE_MAX,
  type Request,
  type SnapshotChangeRequest,
  type SnapshotRequest,
} from './requests.ts';
import { SNAPSHOTS_MAX } from './snapshot-table.ts';
import { CreateSnapshot } from './snapshots.ts';

const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** INVALID_ARGUMENT unless `name` can be a snapshot's or clone's. */
export function checkSnapshotName(name: string): void {
  if (
    typeof name === 'string' &&
    name.length <= SNAPSHOT_NAME_SIZE_MAX &&
    NAME_PATTERN.test(name)
  ) {
    return;
  }
  throw new StorageError('INVALID_ARGUMENT', `'${String(name)}' cannot be a snapshot's name`, {
    hint: 'letters, digits, and . _ - after the first character; at most 255',
    detail: { name },
  });
}

export class SnapshotOperations {
  readonly #fs: FileSystem;
  readonly #images = new Map<number, Image>();

  constructor(fs: FileSystem) {
    this.#fs = fs;
  }

  list(): SnapshotEntry[] {
    return this.#fs.core.snapshots.list();
  }

  /** The snapshot of this name. @throws FsError ENOENT. */
  get(name: string): SnapshotEntry {
    const entry = this.#fs.core.snapshots.byName(name);
    if (entry === undefined) throw new FsError('ENOENT', { syscall: 'snapshot', path: name });
    return entry;
  }

  /** Takes a snapshot of all that was modified until now. @throws EEXIST, INVALID_ARGUMENT. */
  *create(name: string): Step<SnapshotEntry> {
    checkSnapshotName(name);
    const { core } = this.#fs;
    core.refuseIfUnusable();
    if (core.isReadOnly) throw new FsError('EROFS', { syscall: 'snapshot', path: name });
    if (core.snapshots.byName(name) !== undefined) {
      throw new FsError('EEXIST', { syscall: 'snapshot', path: name });
    }
    if (core.snapshots.freeSlot() >= SNAPSHOTS_MAX) {
      throw new FsError('ENOSPC', { syscall: 'snapshot', path: name });
    }
    if (isClean(core)) {
      const taken = yield* this.#fs.driver.step(new TakeSnapshot(core, name));
      if (taken !== undefined) return taken;
    }
    yield* this.#untilFreeToAct();
    const action = new CreateSnapshot(core, name);
    yield* wait(this.#fs.runAction(action).asIo());
    if (action.entry === undefined) {
      throw new FsError('EEXIST', { syscall: 'snapshot', path: name });
    }
    return action.entry;
  }

  /** There is room for what a snapshot keeps from the next CP on, and no CP is being planned. */
  *#untilFreeToAct(): Step<void> {
    for (;;) {
      yield* this.#fs.driver.step(new RoomMessage(this.#fs.core, undefined));
      const { planning } = this.#fs;
      if (planning === undefined) return;
      yield* wait(planning.asIo());
    }
  }

  /** One more, or one less, reason to keep it. */
  *hold(name: string, change: 1 | -1): Step<void> {
    yield* this.#change(name, (entry) => {
      if (entry.holds + change < 0) {
        throw new StorageError('INVALID_ARGUMENT', `snapshot '${name}' is not held`, {
          detail: { name },
        });
      }
      return { holds: entry.holds + change, isDeleted: false };
    });
  }

  /** Hides it at once; its blocks are freed in the background. @throws EBUSY if it is held. */
  *delete(name: string): Step<void> {
    const deleted = yield* this.#change(name, (entry) => {
      if (entry.holds > 0) throw new FsError('EBUSY', { syscall: 'snapshot', path: name });
      return { holds: 0, isDeleted: true };
    });
    this.#images.delete(deleted.id);
    this.#fs.wakeBackground();
  }

  *#change(name: string, decide: Decide): Step<SnapshotEntry> {
    const { core } = this.#fs;
    for (;;) {
      core.refuseIfUnusable();
      if (core.isReadOnly) throw new FsError('EROFS', { syscall: 'snapshot', path: name });
      const entry = this.get(name);
      decide(entry);
      if (isCommitted(core, entry)) {
        const change = new ChangeSnapshot(core, () => this.get(name), decide);
        const changed = yield* this.#fs.driver.step(change);
        if (changed !== undefined) return changed;
      }
      const { committing } = this.#fs;
      if (committing !== undefined) yield* wait(committing.asIo());
    }
  }

  /** The image of a snapshot, to be read. @throws ENOENT if it is gone. */
  image(id: number): Image {
    const entry = this.#fs.core.snapshots.get(id);
    if (entry === undefined || entry.isDeleted) throw new FsError('ENOENT');
    let image = this.#images.get(id);
    if (image === undefined) {
      const { cache, reservations: ledger } = this.#fs.core;
      const { imageRoot: rootPointer } = entry;
      image = new Image({ cache, ledger, root: undefined, rootPointer, isReadOnly: true });
      this.#images.set(id, image);
    }
    return image;
  }
}

/** Nothing was modified since the last CP, that one is durable, and no other has looked at the
 *  snapshots that it shields from. */
function isClean(core: Core): boolean {
  return (
    core.log !== undefined &&
    core.cache.dirtyCount === 0 &&
    core.reservations.frees.length === 0 &&
    core.isCommitted &&
    !core.isPlanning
  );
}

/** Whether a durable root, or a record that follows it, has this snapshot. One that a CP has just
 *  made is lost with the CP; a record of what became of it would then have nothing to change. */
function isCommitted(core: Core, entry: SnapshotEntry): boolean {
  return core.isCommitted || entry.cp !== core.state.cp;
}

/** What becomes of a snapshot, or throws why that cannot be. */
type Decide = (entry: SnapshotEntry) => { readonly holds: number; readonly isDeleted: boolean };

const DEMAND: Demand = { blocks: 16, logBytes: REQUEST_SIZE_MAX, isRemoval: true };
const CHANGE_DEMAND: Demand = { ...DEMAND, blocks: 4, isRelease: true };

abstract class SnapshotMessage<T, R extends Request> implements Message<T> {
  readonly demand: Demand = DEMAND;
  protected readonly core: Core;
  protected request: R | undefined;

  constructor(core: Core, request: R | undefined) {
    this.core = core;
    this.request = request;
  }
  load(): void {}
  keys(): readonly string[] {
    return [];
  }
  abstract modify(): T;
  requests(): readonly Request[] {
    return this.request === undefined ? [] : [this.request];
  }
}

/** A snapshot of the image that the last root has. */
class TakeSnapshot extends SnapshotMessage<SnapshotEntry | undefined, SnapshotRequest> {
  readonly #name: string;

  constructor(core: Core, name: string) {
    super(core, undefined);
    this.#name = name;
  }

  /** Nothing where something was modified since it was asked for: then a CP must take it. */
  modify(): SnapshotEntry | undefined {
    const { core } = this;
    if (!isClean(core) || core.snapshots.byName(this.#name) !== undefined) return undefined;
    const id = core.state.snapshotNext;
    const time = core.env.clock.now();
    this.request = { kind: 'snapshot', cp: core.state.cp, id, name: this.#name, time };
    return addSnapshotOfRoot(core, this.request);
  }
}

/** Does nothing, where there is room for a snapshot. */
class RoomMessage extends SnapshotMessage<void, SnapshotRequest> {
  modify(): void {}
}

class ChangeSnapshot extends SnapshotMessage<SnapshotEntry | undefined, SnapshotChangeRequest> {
  override readonly demand = CHANGE_DEMAND;
  readonly #find: () => SnapshotEntry;
  readonly #decide: Decide;
  #entry: SnapshotEntry | undefined;

  constructor(core: Core, find: () => SnapshotEntry, decide: Decide) {
    super(core, undefined);
    this.#find = find;
    this.#decide = decide;
  }

  /** Decided in the turn of MODIFY: others may have changed it since it was asked for. */
  override load(): void {
    const entry = this.#find();
    const { holds, isDeleted } = this.#decide(entry);
    const { id, name } = entry;
    this.#entry = entry;
    this.request = { kind: 'snapshotChange', id, holds, name, isDeleted };
  }

  /** Nothing where a CP has made another snapshot of this name, and is not durable yet. */
  modify(): SnapshotEntry | undefined {
    if (!isCommitted(this.core, this.#entry as SnapshotEntry)) {
      this.request = undefined;
      return undefined;
    }
    applySnapshotRequest(this.core, this.request as SnapshotChangeRequest);
    return this.#entry;
  }
}

function addSnapshotOfRoot(core: Core, request: SnapshotRequest): SnapshotEntry {
  const { image, state, arena } = core;
  const plane = image.root.address + IMAGE_ROOT_ACTIVE_MAP_OFFSET;
  const entry: SnapshotEntry = {
    id: request.id,
    parent: state.parent,
    owner: 0,
    holds: 0,
    name: request.name,
    time: request.time,
    // After a rollback the image is an older one than the CP that made it the active one.
    cp: getU64(arena.view, image.root.address + IMAGE_ROOT_CP_OFFSET),
    blocks: core.maps.activeCount,
    imageRoot: image.rootPointer,
    isDeleted: false,
    plane: arena.u8.slice(plane, plane + INODE_SIZE),
  };
  core.snapshots.add(entry);
  state.snapshotNext = entry.id + 1;
  state.parent = entry.id;
  return entry;
}

/** LOAD, for replay. Throws InvariantError where the record does not fit the state. */
export function checkSnapshotRequest(
  core: Core,
  request: SnapshotRequest | SnapshotChangeRequest,
): void {
  if (request.kind === 'snapshot') {
    // The record says which image it means; replay has changed none yet.
    if (request.cp !== core.state.cp || core.cache.dirtyCount > 0) {
      throw new InvariantError(`a snapshot of CP ${request.cp} on CP ${core.state.cp}`);
    }
  } else if (core.snapshots.get(request.id) === undefined) {
    throw new InvariantError(`a change of snapshot ${request.id}, which is not there`);
  }
}

/** MODIFY, for replay. */
export function applySnapshotRequest(
  core: Core,
  request: SnapshotRequest | SnapshotChangeRequest,
): void {
  if (request.kind === 'snapshot') {
    addSnapshotOfRoot(core, request);
    return;
  }
  core.snapshots.update(request.id, (entry) => {
    entry.holds = request.holds;
    entry.name = request.name;
    entry.isDeleted = request.isDeleted;
  });
}
