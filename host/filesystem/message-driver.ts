// Messages: one file-system request each (DESIGN §3). The driver admits a message, runs LOAD until
// nothing is missing, runs MODIFY in the same turn, logs what it did, and waits for the group commit.
//
// A message that finds all it needs in memory is done in the turn it came. One that must wait keeps the
// blocks it found (pinned), and holds its conflict keys: later messages with a key in common wait for it
// (ENGINE 15), so that calls on one file take effect in the order they were made.

import { InvariantError } from '../base/assert.ts';
import { FsError, StorageError } from '../base/errors.ts';
import { type Io, type Step, Task, wait } from '../base/task.ts';
import { RecordWriter } from '../format/record.ts';
import type { Core } from './core.ts';
import type { Access } from './file-node.ts';
import { Load } from './load.ts';
import { encodeRecord, type Request } from './requests.ts';

/** Something of which only one message at a time is under way: 'i' + ino, or 'd' + ino + name. */
export type ConflictKey = string;

/** What a message may come to need, at most (ENGINE 13). */
export interface Demand {
  /** Blocks that become dirty: each takes a frame, and space at the next CP. */
  readonly blocks: number;
  /** Bytes of its log record's body; 0 = not logged. */
  readonly logBytes: number;
  /** May use what is kept for removals. */
  readonly isRemoval: boolean;
}

export interface Message<T> {
  /** undefined for a message that only reads. */
  readonly demand: Demand | undefined;
  /** Finds all that `modify` needs, through `access`; throws FsError for what cannot be done. */
  load(access: Access): void;
  /** Known after a complete LOAD. */
  keys(): readonly ConflictKey[];
  /** Changes memory only; cannot fail. Only after a complete `load` in the same turn. */
  modify(): T;
  /** What modify did, for the log; asked after `modify`. */
  requests(): readonly Request[];
}

/** Frames that a message which reads may pin while it waits. */
const READ_FRAMES = 300;
/** Dirty share of dirtyMax at which a CP is begun. */
const CP_TRIGGER = 0.5;
/** CPs without any gain after which a message for which space is missing gives up. */
const BARREN_CPS_MAX = 3;

/** A message that waits, and the conflict keys it has. */
interface Holder {
  isReleased: boolean;
  keys: readonly ConflictKey[];
  /** Those who had one of the keys before. */
  before: readonly Holder[];
  readonly self: Self;
  waiting: (() => void)[];
}

/** The task that runs a message, once it exists. */
interface Self {
  task: Task<unknown> | undefined;
}

interface Deferred {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

export interface DriverHooks {
  /** Frees zombies' blocks until there is no more to free, or a CP is due. */
  reclaim(): Step<void>;
}

export class MessageDriver {
  readonly #core: Core;
  readonly #hooks: DriverHooks;
  readonly #writer = new RecordWriter();
  /** Last unfinished message that waits, by key. */
  readonly #holders = new Map<ConflictKey, Holder>();
  /** Messages waiting for admission, in order. */
  #queue: object[] = [];
  /** Resolved when a message gives room back; and when a reader gives frames back. */
  #released: Deferred | undefined;
  #readersReleased: Deferred | undefined;
  messageCount = 0;
  /** Messages that have begun and are not answered. */
  activeCount = 0;
  waitCount = 0;
  /** Messages that wait with what they were promised: room of their own, or frames to read into. */
  readonly #promised = new Set<Self>();

  constructor(core: Core, hooks: DriverHooks) {
    this.#core = core;
    this.#hooks = hooks;
  }

  run<T>(message: Message<T>): Task<T> {
    const self: Self = { task: undefined };
    const task = new Task(this.#run(message, self));
    self.task = task;
    return task;
  }

  /** As part of another Step. */
  *step<T>(message: Message<T>): Step<T> {
    return yield* wait(this.run(message).asIo());
  }

  *#run<T>(message: Message<T>, self: Self): Step<T> {
    const core = this.#core;
    core.refuseIfUnusable();
    while (core.barrier !== undefined) yield* wait(core.barrier.asIo());
    this.messageCount++;
    this.activeCount++;
    try {
      return yield* this.#runAdmitted(message, self);
    } finally {
      this.activeCount--;
      if (this.activeCount === 0) this.#drained?.resolve();
    }
  }

  /** Waits until no message is under way. The caller holds new ones off (Core.barrier). */
  drain(): Io<void> {
    return {
      start: () => {
        if (this.activeCount === 0) return undefined;
        this.#drained = deferred();
        return this.#drained.promise;
      },
      startSync: () => {
        if (this.activeCount > 0) {
          throw new StorageError('UNSUPPORTED_FEATURE', 'a sync call came during a rollback', {
            hint: 'await the rollback first',
          });
        }
      },
    };
  }
  #drained: Deferred | undefined;

  *#runAdmitted<T>(message: Message<T>, self: Self): Step<T> {
    const core = this.#core;
    const { demand } = message;
    if (demand !== undefined) {
      if (core.isReadOnly) throw new FsError('EROFS');
      yield* this.#admit(demand);
      this.#promised.add(self);
    }
    let sequence = 0;
    let result: T;
    let isLogged = false;
    try {
      yield* this.#load(message, self);
      core.refuseIfUnusable();
      result = this.#modify(message);
      const requests = demand === undefined ? [] : message.requests();
      if (demand !== undefined && core.log !== undefined && requests.length > 0) {
        sequence = core.log.append(encodeRecord(this.#writer, requests), demand.logBytes);
        isLogged = true;
      }
    } finally {
      this.#promised.delete(self);
      if (demand !== undefined) this.#release(demand, isLogged);
    }
    if (demand === undefined) return result;
    core.noteModified();
    if (core.dirtyLoad > core.dirtyMax * CP_TRIGGER || core.log?.wantsCp === true) core.requestCp();
    if (sequence !== 0 && core.log !== undefined && !core.isRelaxed) {
      yield* wait(core.log.commit(sequence));
    }
    return result;
  }

  #modify<T>(message: Message<T>): T {
    try {
      return message.modify();
    } catch (error) {
      // Half a change may be in memory: nothing of it may reach a CP.
      this.#core.fail(error);
      throw error;
    }
  }

  // LOAD.

  *#load<T>(message: Message<T>, self: Self): Step<void> {
    const { cache } = this.#core;
    const load = new Load(cache);
    cache.beginTurn();
    if (this.#attempt(load, message) && !this.#isHeld(message)) return;
    yield* this.#loadSlowly(message, load, self);
  }

  #attempt<T>(load: Load, message: Message<T>): boolean {
    try {
      return load.attempt((access) => message.load(access));
    } catch (error) {
      if (error instanceof InvariantError) this.#core.fail(error);
      throw error;
    }
  }

  *#loadSlowly<T>(message: Message<T>, load: Load, self: Self): Step<void> {
    const core = this.#core;
    const holder: Holder = { isReleased: false, keys: [], before: [], self, waiting: [] };
    load.isWaiting = true;
    this.waitCount++;
    const frames = message.demand === undefined ? READ_FRAMES : 0;
    yield* this.#admitFrames(frames);
    this.#promised.add(self);
    try {
      for (;;) {
        core.refuseIfUnusable();
        core.cache.beginTurn();
        if (this.#attempt(load, message)) {
          const before = this.#hold(holder, message.keys());
          if (before === undefined) return;
          load.pinFound();
          yield* wait(this.#untilReleased(before));
          continue;
        }
        load.pinFound();
        const failures = yield* wait(core.fetcher.fetch([...load.missing]));
        for (const { pointer, error } of failures) load.fail(pointer, error);
      }
    } finally {
      load.unpin();
      this.#letGo(holder);
      core.reservations.frames -= frames;
      this.#readersReleased?.resolve();
      this.#readersReleased = undefined;
    }
  }

  #isHeld<T>(message: Message<T>): boolean {
    if (this.#holders.size === 0) return false;
    return message.keys().some((key) => this.#holders.has(key));
  }

  /** Takes the keys, behind who has them; gives one that must finish first, if any. */
  #hold(holder: Holder, keys: readonly ConflictKey[]): Holder | undefined {
    const isSame = keys.length === holder.keys.length && keys.every((k, i) => k === holder.keys[i]);
    if (!isSame) {
      this.#letGo(holder);
      holder.isReleased = false;
      holder.keys = keys;
      const before: Holder[] = [];
      for (const key of keys) {
        const other = this.#holders.get(key);
        if (other !== undefined && other !== holder) before.push(other);
        this.#holders.set(key, holder);
      }
      holder.before = before;
    }
    return holder.before.find((other) => !other.isReleased);
  }

  #letGo(holder: Holder): void {
    if (holder.isReleased) return;
    holder.isReleased = true;
    for (const key of holder.keys) {
      if (this.#holders.get(key) === holder) this.#holders.delete(key);
    }
    const { waiting } = holder;
    holder.waiting = [];
    for (const wake of waiting) wake();
  }

  #untilReleased(holder: Holder): Io<void> {
    return {
      start: () => {
        if (holder.isReleased) return undefined;
        return new Promise<void>((resolve) => holder.waiting.push(resolve));
      },
      startSync: () => {
        if (holder.isReleased) return;
        try {
          holder.self.task?.driveSync();
        } catch {
          // Its own caller is told; here it only had to be over.
        }
      },
    };
  }

  // Admission.

  *#admit(demand: Demand): Step<void> {
    if (this.#queue.length === 0 && this.#reserve(demand)) return;
    const ticket = {};
    this.#queue.push(ticket);
    try {
      yield* this.#admitInTurn(demand, ticket);
    } finally {
      this.#queue = this.#queue.filter((other) => other !== ticket);
      this.#wake();
    }
  }

  *#admitInTurn(demand: Demand, ticket: object): Step<void> {
    const core = this.#core;
    let barren = 0;
    let best = Number.NEGATIVE_INFINITY;
    for (;;) {
      core.refuseIfUnusable();
      if (this.#queue[0] === ticket && this.#reserve(demand)) return;
      const available = core.blocksAvailable(demand.isRemoval);
      const isShort = available < demand.blocks;
      if (isShort) {
        if (available > best) barren = 0;
        best = Math.max(best, available);
        const isHopeless = available + core.blocksReclaimable < demand.blocks;
        if (isHopeless || barren++ > BARREN_CPS_MAX) throw new FsError('ENOSPC');
        yield* this.#hooks.reclaim();
      }
      if (!isShort && demand.logBytes > 0 && core.log?.isFlushEnough(demand.logBytes) === true) {
        yield* wait(this.#flushed(core.log.waitForFlush(demand.logBytes)));
        continue;
      }
      const isSync = yield* wait(this.#roomMayCome(isShort));
      // A sync call has waited for all that it can: it does not queue.
      if (isSync && this.#reserve(demand)) return;
    }
  }

  /** A CP makes room of every kind; so does a message that ends. Where space is short a CP is run even
   *  with nothing dirty: what was freed lately rests until then. */
  #roomMayCome(isShort: boolean): Io<boolean> {
    const core = this.#core;
    return {
      start: async () => {
        const task = core.requestCp(isShort);
        this.#released ??= deferred();
        if (task === undefined) await this.#released.promise;
        else await Promise.race([task.promise(), this.#released.promise]);
        return false;
      },
      startSync: () => {
        this.#finishPromised();
        core.requestCp(isShort)?.driveSync();
        return true;
      },
    };
  }

  #flushed(flush: Io<void>): Io<void> {
    return {
      start: () => flush.start(),
      startSync: () => {
        this.#finishPromised();
        flush.startSync();
      },
    };
  }

  /** For a sync call: no turn will come in which those who hold the room that it lacks go on by
   *  themselves. */
  #finishPromised(): void {
    for (const { task } of [...this.#promised]) {
      try {
        task?.driveSync();
      } catch {
        // Its own caller is told; here it only had to be over.
      }
    }
  }

  /** Takes frames, space and log room, all or none. */
  #reserve(demand: Demand): boolean {
    const { reservations, log, cache } = this.#core;
    const core = this.#core;
    if (core.dirtyLoad + reservations.blocks + demand.blocks > core.dirtyMax) return false;
    const inUse = cache.dirtyCount + cache.pinnedCount + reservations.frames + core.cpFrames;
    if (inUse + reservations.blocks + demand.blocks > cache.frameCount) return false;
    if (core.blocksAvailable(demand.isRemoval) < demand.blocks) return false;
    if (demand.logBytes > 0 && log !== undefined && !log.reserve(demand.logBytes)) return false;
    reservations.blocks += demand.blocks;
    return true;
  }

  #release(demand: Demand, isLogged: boolean): void {
    this.#core.reservations.blocks -= demand.blocks;
    if (demand.logBytes > 0 && !isLogged) this.#core.log?.release(demand.logBytes);
    this.#wake();
  }

  #wake(): void {
    if (this.#queue.length === 0) return;
    this.#released?.resolve();
    this.#released = undefined;
  }

  /** Frames for a message that only reads, once it must wait. */
  *#admitFrames(frames: number): Step<void> {
    const { reservations, cache, cpFrames } = this.#core;
    while (
      frames > 0 &&
      reservations.frames > 0 &&
      cache.dirtyCount + reservations.frames + frames + cpFrames > cache.frameCount
    ) {
      const isSync = yield* wait(this.#frameMayCome());
      if (isSync) break;
    }
    reservations.frames += frames;
  }

  #frameMayCome(): Io<boolean> {
    return {
      start: async () => {
        this.#readersReleased ??= deferred();
        await this.#readersReleased.promise;
        return false;
      },
      startSync: () => true,
    };
  }
}

function deferred(): Deferred {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
