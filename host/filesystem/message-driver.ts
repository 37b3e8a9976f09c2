// Messages: one file-system request each. The driver admits a message, runs LOAD until nothing is
// missing, runs MODIFY in the same turn, logs what it did, and waits for the group commit.
//
// A message that finds all it needs in memory is done in the turn it came. One that must wait keeps
// the blocks it found (pinned), and stands in the queue of each of its conflict keys, by the order
// of calls: it goes on when nobody who was called earlier stands before it (ENGINE 15). Keys that
// are known from the call itself (an open file's) are queued for at once, others as soon as LOAD
// has found them.
//
// Why this ends: a message waits only for earlier calls; room is promised in the order of calls, so
// that those before it have theirs; and one that only reads keeps no frames while it waits for
// others. A message whose first way turns out to be barred comes for room a second time, in its old
// place: it takes back what later calls were promised and have not used, for these may be waiting
// for it.

import { assert, InvariantError } from '../base/assert.ts';
import { FsError, isFsError } from '../base/errors.ts';
import { type Io, type Step, Task, wait } from '../base/task.ts';
import { RecordWriter } from '../format/record.ts';
import type { Core, LogPort, Reserve } from './core.ts';
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
  /** Makes room itself: may use the last of what is kept, and waits for nobody's turn. */
  readonly isRelease?: boolean;
}

export interface Message<T> {
  /** undefined for a message that only reads. */
  readonly demand: Demand | undefined;
  /** Finds all that `modify` needs, through `access`; throws FsError for what cannot be done. */
  load(access: Access): void;
  /** Known from the call. */
  earlyKeys?(): readonly ConflictKey[];
  /** Known so far: all of them after a complete LOAD. */
  keys(): readonly ConflictKey[];
  /** Changes memory only; cannot fail. Only after a complete `load` in the same turn. */
  modify(): T;
  /** What modify did, for the log; asked after `modify`. */
  requests(): readonly Request[];
  /** The same call done in another way, with a demand of its own: when `load` threw BARRED. */
  readonly otherWay?: Message<T>;
}

/** Thrown by LOAD: this way is not open now, the message's other way is to be taken. */
export const BARRED = Symbol('barred');

/** Frames that a message which reads may pin while it waits. */
const READ_FRAMES = 300;
/** Dirty share of dirtyMax at which a CP is begun. */
const CP_TRIGGER = 0.5;
/** CPs without any gain after which a message for which space is missing gives up. */
const BARREN_CPS_MAX = 3;
/** Looks at what nobody can change: a bug, if it comes to that. */
const IDLE_ROUNDS_MAX = 100;

/** A message, its place in the order of calls, and the conflict keys it queues for. */
interface Self {
  /** The task that runs it, once it exists. */
  task: Task<unknown> | undefined;
  readonly number: number;
  /** Only reads: two of these do not wait for each other. */
  readonly isShared: boolean;
  keys: readonly ConflictKey[];
  /** Resolved when it has left the queues. */
  left: Deferred | undefined;
  /** What it was promised and has not used or lost. */
  room: Demand | undefined;
  /** What it found while it waited. */
  load: Load | undefined;
  /** What it was promised to read into. */
  frames: number;
  /** Resolved when it is the next to be admitted. */
  turn: Deferred | undefined;
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
  /** Of messages that are done at once. */
  readonly #first: Load;
  /** Messages that wait, by conflict key, in the order of calls. */
  readonly #queues = new Map<ConflictKey, Self[]>();
  /** Messages waiting for admission, in the order of calls. */
  readonly #queue: Self[] = [];
  /** Resolved when a message or a CP gives room back. */
  #released: Deferred | undefined;
  messageCount = 0;
  waitCount = 0;
  /** Messages that are in their LOAD, or will be in it again. */
  readonly #underWay = new Set<Self>();

  constructor(core: Core, hooks: DriverHooks) {
    this.#core = core;
    this.#first = new Load(core.cache);
    this.#hooks = hooks;
  }

  run<T>(message: Message<T>): Task<T> {
    const number = this.#numberNext++;
    return this.#runAtOnce(message, number) ?? this.#runInSteps(message, number);
  }

  #runInSteps<T>(message: Message<T>, number: number): Task<T> {
    const self = newSelf(number, message.demand === undefined);
    const task = new Task(this.#run(message, self));
    self.task = task;
    return task;
  }

  #numberNext = 1;

  /** As part of another Step. */
  *step<T>(message: Message<T>): Step<T> {
    return yield* wait(this.run(message).asIo());
  }

  // At once: what most messages come to. Undefined where there is a wait before MODIFY, with
  // nothing changed.

  #runAtOnce<T>(message: Message<T>, number: number): Task<T> | undefined {
    const core = this.#core;
    const { demand } = message;
    if (core.barrier !== undefined) return undefined;
    let hasRoom = false;
    let sequence = 0;
    let result: T;
    try {
      core.refuseIfUnusable();
      if (demand !== undefined) {
        if (core.isReadOnly) throw new FsError('EROFS');
        if (!this.#takeRoom(demand)) return undefined;
        hasRoom = true;
      }
      if (!this.#isReadyNow(message, number)) return undefined;
      this.messageCount++;
      result = this.#modify(message);
      if (demand !== undefined) sequence = this.#log(message, demand);
    } catch (error) {
      return Task.failed(error);
    } finally {
      if (hasRoom) this.#giveBack(demand as Demand, sequence !== 0);
    }
    if (demand === undefined) return Task.done(result);
    this.#noteModified();
    return sequence === 0 ? Task.done(result) : new Task(this.#answer(sequence, result));
  }

  /** Whether the message finds everything, and nobody stands before it. */
  #isReadyNow<T>(message: Message<T>, number: number): boolean {
    this.#core.cache.beginTurn();
    try {
      if (this.#queues.size === 0) return this.#attempt(this.#first, message);
      const self = newSelf(number, message.demand === undefined);
      if (this.#isHeld(message.earlyKeys?.() ?? [], self)) return false;
      return this.#attempt(this.#first, message) && !this.#isHeld(message.keys(), self);
    } catch (error) {
      if (error === BARRED) return false;
      throw error;
    }
  }

  *#answer<T>(sequence: number, result: T): Step<T> {
    yield* wait((this.#core.records as LogPort).commit(sequence));
    return result;
  }

  // In steps.

  *#run<T>(message: Message<T>, self: Self): Step<T> {
    const core = this.#core;
    core.refuseIfUnusable();
    while (core.barrier !== undefined) yield* wait(core.barrier.asIo());
    this.messageCount++;
    return yield* this.#runBegun(message, self);
  }

  /** Waits until no message is under way that has not yet done what it does. The caller holds new
   *  ones off (Core.barrier). */
  drain(): Io<void> {
    return {
      start: () => {
        if (this.#isIdle) return undefined;
        this.#drained = deferred();
        return this.#drained.promise;
      },
      startSync: () => {
        while (!this.#isIdle) {
          const before = [...this.#queue, ...this.#underWay];
          this.#drive(before);
          const after = new Set([...this.#queue, ...this.#underWay]);
          assert(!before.every((self) => after.has(self)), 'what is under way comes to its end');
        }
      },
    };
  }
  #drained: Deferred | undefined;

  get #isIdle(): boolean {
    return this.#queue.length === 0 && this.#underWay.size === 0;
  }

  *#runBegun<T>(message: Message<T>, self: Self): Step<T> {
    let sequence = 0;
    let result: T;
    try {
      const ready = yield* this.#makeReady(message, self);
      result = this.#modify(ready);
      if (!self.isShared) sequence = this.#log(ready, ready.demand as Demand);
    } finally {
      this.#underWay.delete(self);
      this.#leave(self);
      this.#returnRoom(self, sequence !== 0);
      if (this.#drained !== undefined && this.#isIdle) this.#drained.resolve();
    }
    if (self.isShared) return result;
    this.#noteModified();
    if (sequence !== 0) yield* wait((this.#core.records as LogPort).commit(sequence));
    return result;
  }

  /** MODIFY's turn: the record of what it did. Returns its number; 0 where there is none. */
  #log<T>(message: Message<T>, demand: Demand): number {
    const { records } = this.#core;
    if (records === undefined) return 0;
    const requests = message.requests();
    if (requests.length === 0) return 0;
    return records.append(encodeRecord(this.#writer, requests), demand.logBytes);
  }

  #noteModified(): void {
    const core = this.#core;
    core.noteModified();
    if (this.#isCpDue()) core.requestCp();
  }

  /** Gives the way that the message takes, which has room and finds everything. */
  *#makeReady<T>(message: Message<T>, self: Self): Step<Message<T>> {
    let way = message;
    for (;;) {
      const { demand } = way;
      if (demand !== undefined && self.room === undefined) yield* this.#promise(demand, way, self);
      try {
        yield* this.#load(way, self);
      } catch (error) {
        if (error !== BARRED || way.otherWay === undefined) throw error;
        this.#enter(self, way.keys());
        this.#returnRoom(self, false);
        way = way.otherWay;
        continue;
      }
      this.#core.refuseIfUnusable();
      if (self.room === demand) return way;
    }
  }

  #modify<T>(message: Message<T>): T {
    try {
      const result = message.modify();
      this.#core.image.dropIdle();
      return result;
    } catch (error) {
      // Half a change may be in memory: nothing of it may reach a CP.
      this.#core.fail(error);
      throw error;
    }
  }

  // LOAD.

  #attempt<T>(load: Load, message: Message<T>): boolean {
    try {
      return load.attempt((access) => message.load(access));
    } catch (error) {
      if (error instanceof InvariantError) this.#core.fail(error);
      throw error;
    }
  }

  /** Returns when all is found, or when the room of the message was taken back. */
  *#load<T>(message: Message<T>, self: Self): Step<void> {
    const core = this.#core;
    const load = new Load(core.cache);
    load.isWaiting = true;
    self.load = load;
    this.waitCount++;
    if (self.keys.length === 0) this.#enter(self, message.earlyKeys?.() ?? []);
    this.#underWay.add(self);
    try {
      for (;;) {
        core.refuseIfUnusable();
        if (self.room !== message.demand) return;
        if (self.isShared) {
          const first = this.#blocker(self);
          if (first !== undefined) {
            // Those before it may need the frames.
            load.unpin();
            this.#returnFrames(self);
            yield* wait(this.#untilLeft(first));
            continue;
          }
          if (self.frames === 0) yield* this.#admitFrames(self, READ_FRAMES);
        }
        const step = this.#tryLoad(load, message, self);
        if (step === 'ready') return;
        load.pinFound();
        if (step === 'blocked') {
          const first = this.#blocker(self);
          if (!self.isShared && first !== undefined) yield* wait(this.#untilLeft(first));
          continue;
        }
        const failures = yield* wait(core.fetcher.fetch([...load.missing]));
        for (const { pointer, error } of failures) load.fail(pointer, error);
      }
    } finally {
      load.unpin();
      self.load = undefined;
      this.#returnFrames(self);
    }
  }

  /** Runs LOAD once, and queues for the keys that it found. What fails while earlier calls are
   *  still to take effect may not fail after them. */
  #tryLoad<T>(load: Load, message: Message<T>, self: Self): 'ready' | 'blocked' | 'missing' {
    this.#core.cache.beginTurn();
    try {
      const isReady = this.#attempt(load, message);
      this.#enter(self, message.keys());
      if (!isReady) return 'missing';
    } catch (error) {
      if (isFsError(error) && this.#blocker(self) !== undefined) return 'blocked';
      throw error;
    }
    return this.#blocker(self) === undefined ? 'ready' : 'blocked';
  }

  // Conflicts.

  #conflicts(a: Self, b: Self): boolean {
    return a.number !== b.number && !(a.isShared && b.isShared);
  }

  #isHeld(keys: readonly ConflictKey[], self: Self): boolean {
    if (this.#queues.size === 0) return false;
    return keys.some((key) => {
      const queue = this.#queues.get(key) ?? [];
      return queue.some((other) => other.number < self.number && this.#conflicts(other, self));
    });
  }

  /** Queues for these keys instead of those it queued for. */
  #enter(self: Self, keys: readonly ConflictKey[]): void {
    if (keys.length === self.keys.length && keys.every((k, i) => k === self.keys[i])) return;
    this.#leaveQueues(self);
    self.keys = keys;
    for (const key of new Set(keys)) {
      let queue = this.#queues.get(key);
      if (queue === undefined) {
        queue = [];
        this.#queues.set(key, queue);
      }
      putInOrder(queue, self);
    }
  }

  /** One that was called earlier and stands before it. */
  #blocker(self: Self): Self | undefined {
    for (const key of self.keys) {
      const queue = this.#queues.get(key) as Self[];
      for (let at = queue.indexOf(self) - 1; at >= 0; at--) {
        const other = queue[at] as Self;
        if (this.#conflicts(other, self)) return other;
      }
    }
    return undefined;
  }

  #leaveQueues(self: Self): void {
    for (const key of new Set(self.keys)) {
      const queue = this.#queues.get(key) as Self[];
      queue.splice(queue.indexOf(self), 1);
      if (queue.length === 0) this.#queues.delete(key);
    }
    self.keys = [];
    self.left?.resolve();
    self.left = undefined;
  }

  #leave(self: Self): void {
    if (self.keys.length > 0) this.#leaveQueues(self);
  }

  #untilLeft(first: Self): Io<void> {
    return {
      start: () => {
        if (first.keys.length === 0) return undefined;
        first.left ??= deferred();
        return first.left.promise;
      },
      startSync: () => {
        // From the front, so that a long queue is not a deep stack.
        while (first.keys.length > 0) {
          let front = first;
          for (let next = this.#blocker(front); next !== undefined; next = this.#blocker(front)) {
            front = next;
          }
          this.#drive([front]);
          assert(front.keys.length === 0, 'who stands before another comes to its end');
        }
      },
    };
  }

  /** For a sync call: others that are under way, to their end. */
  #drive(others: Iterable<Self>): void {
    for (const { task } of others) {
      try {
        task?.driveSync();
      } catch {
        // Its own caller is told; here it only had to be over.
      }
    }
  }

  // Admission.

  *#promise<T>(demand: Demand, message: Message<T>, self: Self): Step<void> {
    if (this.#core.isReadOnly) throw new FsError('EROFS');
    if (!this.#takeRoom(demand)) yield* this.#admit(demand, message, self);
    self.room = demand;
  }

  /** Takes room, if there is some and nobody waits for any. */
  #takeRoom(demand: Demand): boolean {
    const mustQueue = this.#queue.length > 0 && demand.isRelease !== true;
    return !mustQueue && this.#reserve(demand);
  }

  *#admit<T>(demand: Demand, message: Message<T>, self: Self): Step<void> {
    this.#underWay.delete(self);
    // Calls that come later do not overtake it on its way to a key it knows.
    if (self.keys.length === 0) this.#enter(self, message.earlyKeys?.() ?? []);
    this.#takeBack(self);
    putInOrder(this.#queue, self);
    try {
      yield* this.#admitInTurn(demand, self);
    } finally {
      this.#queue.splice(this.#queue.indexOf(self), 1);
      this.#queue[0]?.turn?.resolve();
      this.wake();
    }
  }

  /** Later calls that have not run lose what they were promised, and the frames that they hold:
   *  they come for room again, after this one. */
  #takeBack(self: Self): void {
    for (const other of [...this.#underWay]) {
      if (other.number <= self.number || other.room?.isRelease === true) continue;
      other.load?.unpin();
      this.#returnFrames(other);
      this.#returnRoom(other, false);
    }
  }

  *#admitInTurn(demand: Demand, self: Self): Step<void> {
    const core = this.#core;
    const patience = new Patience();
    // A sync call has waited for all that it can: it does not queue.
    let isFirst = demand.isRelease === true;
    for (;;) {
      core.refuseIfUnusable();
      if (core.isReadOnly) throw new FsError('EROFS');
      if (!isFirst && this.#queue[0] !== self) {
        isFirst = (yield* wait(this.#turnOf(self))) === 'sync';
        continue;
      }
      if (this.#reserve(demand)) return;
      const available = core.blocksAvailable(reserveOf(demand));
      const isShort = available < demand.blocks;
      if (isShort) {
        // What others were promised and turn out not to need comes back when they end.
        const mayCome = core.blocksReclaimable + core.reservations.blocks;
        const isHopeless = available + mayCome < demand.blocks;
        const isAlone = core.reservations.blocks === 0;
        if (isHopeless || (isAlone && !patience.lasts(available, core.cpCount))) {
          throw new FsError('ENOSPC');
        }
        if (demand.isRelease !== true) yield* this.#hooks.reclaim();
      }
      if (
        !isShort &&
        demand.logBytes > 0 &&
        core.records?.isFlushEnough(demand.logBytes) === true
      ) {
        yield* wait(this.#flushed(self, core.records.waitForFlush(demand.logBytes)));
        continue;
      }
      const outcome = yield* wait(this.#roomMayCome(self, isShort));
      isFirst ||= outcome === 'sync';
      if (outcome === 'sync' && this.#reserve(demand)) return;
      if (outcome !== 'waited') patience.lose();
    }
  }

  /** Those behind the next one wait for their turn: what comes free is not looked at by all. */
  #turnOf(self: Self): Io<'waited' | 'sync'> {
    return {
      start: () => {
        self.turn = deferred();
        return self.turn.promise.then(() => 'waited' as const);
      },
      startSync: () => 'sync',
    };
  }

  /** A CP makes room of every kind; so does a message that ends. Where space is short a CP is run
   *  even with nothing dirty: what was freed lately rests until then. 'idle': nothing is under way
   *  that could give any. */
  #roomMayCome(self: Self, isShort: boolean): Io<'waited' | 'idle' | 'sync'> {
    const core = this.#core;
    return {
      start: () => {
        // Who was promised room needs nobody to come to its end; and most of what is promised comes
        // back. No CP for that, only for what is dirty.
        const isOthers = core.reservations.blocks > 0 && (isShort || !this.#isCpDue());
        if (isOthers) return this.#untilReleased().then(() => 'waited' as const);
        const task = core.requestCp(isShort);
        if (task?.isSettled === true) return 'waited';
        if (task === undefined && !this.#isAnybodyBusy()) return 'idle';
        return this.#untilReleased().then(() => 'waited' as const);
      },
      startSync: () => {
        this.#finishPromised(self);
        core.requestCp(isShort)?.driveSync();
        return 'sync';
      },
    };
  }

  #isCpDue(): boolean {
    const core = this.#core;
    return core.dirtyLoad > core.dirtyMax * CP_TRIGGER || core.log?.wantsCp === true;
  }

  #isAnybodyBusy(): boolean {
    const { reservations, references } = this.#core;
    return reservations.blocks > 0 || reservations.frames > 0 || references.isBusy;
  }

  #untilReleased(): Promise<void> {
    this.#released ??= deferred();
    return this.#released.promise;
  }

  #flushed(self: Self, flush: Io<void>): Io<void> {
    return {
      start: () => flush.start(),
      startSync: () => {
        this.#finishPromised(self);
        flush.startSync();
      },
    };
  }

  /** For a sync call: no turn will come in which those who hold the room that it lacks go on by
   *  themselves. */
  #finishPromised(self: Self): void {
    this.#takeBack(self);
    const hasAny = ({ room, frames }: Self) => room !== undefined || frames > 0;
    this.#drive([...this.#underWay].filter(hasAny));
  }

  /** Takes frames, space and log room, all or none. */
  #reserve(demand: Demand): boolean {
    const { reservations, records, cache } = this.#core;
    const core = this.#core;
    if (core.dirtyLoad + reservations.blocks + demand.blocks > core.dirtyMax) return false;
    const inUse = cache.dirtyCount + cache.pinnedCount + reservations.frames + core.cpFrames;
    if (inUse + reservations.blocks + demand.blocks > cache.frameCount) return false;
    if (core.blocksAvailable(reserveOf(demand)) < demand.blocks) return false;
    if (demand.logBytes > 0 && records !== undefined && !records.reserve(demand.logBytes)) {
      return false;
    }
    reservations.blocks += demand.blocks;
    return true;
  }

  /** A message's room is used, or given back. */
  #returnRoom(self: Self, isLogged: boolean): void {
    const { room } = self;
    if (room === undefined) return;
    self.room = undefined;
    this.#giveBack(room, isLogged);
  }

  #giveBack(room: Demand, isLogged: boolean): void {
    this.#core.reservations.blocks -= room.blocks;
    if (room.logBytes > 0 && !isLogged) this.#core.records?.release(room.logBytes);
    this.wake();
  }

  /** Room was given back: who waits for some looks again. */
  wake(): void {
    this.#released?.resolve();
    this.#released = undefined;
  }

  /** Frames for a message that only reads, once it must wait. */
  *#admitFrames(self: Self, frames: number): Step<void> {
    const { reservations, cache, cpFrames } = this.#core;
    const isTooMuch = () => {
      const inUse = cache.dirtyCount + cache.pinnedCount + reservations.frames + cpFrames;
      return inUse + reservations.blocks + frames > cache.frameCount;
    };
    while (isTooMuch()) {
      const isSync = yield* wait(this.#frameMayCome(self));
      if (isSync) break;
    }
    reservations.frames += frames;
    self.frames = frames;
  }

  #returnFrames(self: Self): void {
    if (self.frames === 0) return;
    this.#core.reservations.frames -= self.frames;
    self.frames = 0;
    this.wake();
  }

  #frameMayCome(self: Self): Io<boolean> {
    return {
      start: () => {
        const task = this.#core.requestCp();
        if (task?.isSettled === true) return false;
        // Nobody is under way who holds any: then it takes its chance with what there is.
        if (task === undefined && !this.#isAnybodyBusy()) return true;
        return this.#untilReleased().then(() => false);
      },
      startSync: () => {
        this.#finishPromised(self);
        return true;
      },
    };
  }
}

/** How long a message waits for space once nobody else was promised any: while CPs bring some. */
class Patience {
  #best = Number.NEGATIVE_INFINITY;
  #cpCount = -1;
  #barren = 0;

  lasts(available: number, cpCount: number): boolean {
    if (cpCount !== this.#cpCount) this.#barren++;
    this.#cpCount = cpCount;
    if (available > this.#best) {
      this.#best = available;
      this.#barren = 0;
    }
    return this.#barren <= BARREN_CPS_MAX;
  }

  lose(): void {
    this.#barren++;
    assert(this.#barren < IDLE_ROUNDS_MAX, 'somebody gives back the room that is missing');
  }
}

function newSelf(number: number, isShared: boolean): Self {
  return {
    task: undefined,
    number,
    isShared,
    keys: [],
    left: undefined,
    room: undefined,
    load: undefined,
    frames: 0,
    turn: undefined,
  };
}

/** Into a queue in the order of calls; most come last. */
function putInOrder(queue: Self[], self: Self): void {
  let at = queue.length;
  while (at > 0 && (queue[at - 1] as Self).number > self.number) at--;
  queue.splice(at, 0, self);
}

function reserveOf(demand: Demand): Reserve {
  if (demand.isRelease === true) return 'release';
  return demand.isRemoval ? 'removal' : 'none';
}

function deferred(): Deferred {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
