// The witness: sees at which moment each call takes effect, and has the model do the same call in
// that same moment. So there is nothing to guess: every outcome must be the model's, a call must
// take effect between its beginning and its answer, and the states that there were, one after each
// change, stand in the order in which the log has them.
//
// What it looks at is the engine's own claim: the turn of MODIFY for messages, the freeze of the CP
// that takes a snapshot, the exchange of images for a rollback. A claim that is wrong shows, in
// outcomes that are not the model's, or after a crash, in a state that never was.
//
// After a crash there must be one of these states, not older than the newest that was answered for.
// The one exception are snapshots that a CP makes: they are lost if the CP is, though changes that
// came after it are in the log.

import { isFsError } from '../../host/base/errors.ts';
import type { Io, Step } from '../../host/base/task.ts';
import type { Message } from '../../host/filesystem/message-driver.ts';
import type { SnapshotAction } from '../../host/filesystem/snapshots.ts';
import type { Pointer } from '../../host/format/pointer.ts';
import type { Engine } from '../../host/volume/engine.ts';
import type { Outcome } from '../oracle/workload.ts';
import { type Call, say } from './calls.ts';
import { LiveModel, type Version } from './model.ts';

/** A call under way, and what became of it. */
export interface Running {
  readonly call: Call;
  readonly client: number;
  /** What the model said when it took effect; undefined until then. */
  expected: Outcome | undefined;
  /** What the model said when it last could not be done. */
  refused: Outcome | undefined;
  /** The state that it left, where it changed something. */
  change: Change | undefined;
}

/** One step from state to state. */
export interface Change {
  readonly version: Version;
  readonly call: Call;
  /** World position when it was made, and from when on it may not be lost. */
  readonly madeAt: number;
  answeredAt: number;
  isAnswered: boolean;
  /** The snapshot that a CP made, which is lost with it. */
  readonly snapshotOfCp: string | undefined;
}

export class WitnessError extends Error {}

export interface WitnessOptions {
  readonly base: Version;
  /** What may be found until the mount is over: where only the process died, a power cut that
   *  comes now takes what was written and not flushed. */
  readonly before: ReadonlyMap<string, Version>;
  readonly mountedAt: number;
  readonly position: () => number;
  /** What was answered may be lost, until it is synced. */
  readonly isRelaxed: boolean;
  /** The only log has failed: what is not done yet may be refused. */
  readonly mayRefuse: () => boolean;
}

export class Witness {
  readonly changes: Change[] = [];
  readonly model: LiveModel;
  readonly #options: WitnessOptions;
  /** The call whose first message is to come. */
  #beginning: Running | undefined;
  readonly #rollbacks: Running[] = [];
  /** The call whose steps run now, where it asks for something of a CP. */
  #acting: Running | undefined;
  /** What was wrong, seen within the engine's own turns. */
  problem: Error | undefined;

  constructor(engine: Engine, options: WitnessOptions) {
    this.#options = options;
    const { clock } = engine.fs.core.env;
    this.model = new LiveModel(options.base, () => clock.now());
    this.#watchMessages(engine);
    this.#watchSnapshots(engine);
  }

  get newest(): Version {
    return this.changes.at(-1)?.version ?? this.#options.base;
  }

  /** Runs `start`, which begins a call: its first message is this call's. */
  begin<T>(client: number, call: Call, start: (running: Running) => T): T {
    const nothing = { expected: undefined, refused: undefined, change: undefined };
    const running: Running = { call, client, ...nothing };
    if (call.op === 'rollback') this.#rollbacks.push(running);
    // Closing is no message: it is done at once.
    if (call.op === 'close') running.expected = this.model.apply(call);
    this.#beginning = running;
    try {
      return start(running);
    } finally {
      this.#beginning = undefined;
    }
  }

  /** The steps of a call that asks for something of a CP. */
  *acting<T>(running: Running, step: Step<T>): Step<T> {
    let resume = () => step.next();
    for (;;) {
      this.#acting = running;
      let next: IteratorResult<Io, T>;
      try {
        next = resume();
      } finally {
        this.#acting = undefined;
      }
      if (next.done === true) return next.value;
      try {
        const value = yield next.value;
        resume = () => step.next(value);
      } catch (error) {
        resume = () => step.throw(error);
      }
    }
  }

  /** A call was answered, at this moment. */
  answered(running: Running, outcome: Outcome): void {
    this.refuseProblem();
    const { call, expected, refused, change } = running;
    if (call.op === 'rollback') this.#rollbacks.splice(this.#rollbacks.indexOf(running), 1);
    const wanted = expected ?? refused ?? this.#immediate(call);
    const isRefused =
      'error' in outcome &&
      expected === undefined &&
      (outcome.error === 'ENOSPC' || (outcome.error === 'EROFS' && this.#options.mayRefuse()));
    if (!isRefused && JSON.stringify(wanted) !== JSON.stringify(outcome)) {
      const what = `${JSON.stringify(outcome)} instead of ${JSON.stringify(wanted)}`;
      throw new WitnessError(`${say(call)} gave ${what}`);
    }
    if (change !== undefined) change.isAnswered = true;
    if (change !== undefined && !this.#options.isRelaxed) {
      change.answeredAt = Math.min(change.answeredAt, this.#options.position());
    }
  }

  /** What a sync that is called now makes durable: all that was answered. */
  promised(): readonly Change[] {
    return this.changes.filter((change) => change.isAnswered);
  }

  /** It is durable from now on. */
  synced(changes: readonly Change[]): void {
    const position = this.#options.position();
    for (const change of changes) change.answeredAt = Math.min(change.answeredAt, position);
  }

  refuseProblem(): void {
    if (this.problem !== undefined) throw this.problem;
  }

  /** What fails before there is any message: names that are not there, or are. */
  #immediate(call: Call): Outcome {
    const { snapshots } = this.model;
    if (call.op === 'sync') return { value: '' };
    if (call.op === 'request' && call.request.op === 'sync') return { value: '' };
    if (call.op === 'snapshot') return { error: 'EEXIST' };
    if (call.op === 'delete' && (snapshots.get(call.name)?.holds ?? 0) > 0) {
      return { error: 'EBUSY' };
    }
    if (call.op === 'hold' && snapshots.has(call.name)) return { error: 'INVALID_ARGUMENT' };
    return { error: 'ENOENT' };
  }

  /** For the one who looks for a mistake: what was changed when, around a moment. */
  story(position: number): string[] {
    const { mountedAt } = this.#options;
    const lines = this.changes.map(({ call, madeAt, answeredAt, version }) => {
      return `state ${version.number} at ${madeAt}, answered ${answeredAt}: ${say(call)}`;
    });
    const near = this.changes.findLastIndex(({ madeAt }) => madeAt < position);
    return [`mounted at ${mountedAt}`, ...lines.slice(Math.max(0, near - 6), near + 6)];
  }

  /** Digests of all that a crash right after the first `position` events may leave, with the
   *  state that each stands for. */
  allowedAt(position: number): ReadonlyMap<string, Version> {
    const { base, before, mountedAt } = this.#options;
    if (position < mountedAt) return before;
    const first = this.changes.findLastIndex(({ answeredAt }) => answeredAt <= position);
    const made = this.changes.findLastIndex(({ madeAt }) => madeAt < position);
    const last = Math.max(first, made);
    const allowed = new Map<string, Version>();
    for (let index = first; index <= last; index++) {
      const version = index < 0 ? base : (this.changes[index] as Change).version;
      for (const without of this.#lostSnapshots(index, position)) {
        allowed.set(version.digest(without), version);
      }
    }
    return allowed;
  }

  /** Sets of snapshots that CPs made which may be gone although later changes are there. */
  #lostSnapshots(index: number, position: number): ReadonlySet<string>[] {
    const names: string[] = [];
    for (const { snapshotOfCp, answeredAt } of this.changes.slice(0, index + 1)) {
      if (snapshotOfCp !== undefined && answeredAt > position) names.push(snapshotOfCp);
    }
    return Array.from({ length: names.length + 1 }, (_, kept) => new Set(names.slice(kept)));
  }

  /** The model does it now. */
  #effect(running: Running, how: { isChange: boolean; snapshotOfCp?: string }): void {
    const { call } = running;
    running.expected = this.model.apply(call);
    if ('error' in running.expected) {
      this.#report(`${say(call)} took effect, the model says ${running.expected.error}`);
      return;
    }
    if (!how.isChange) return;
    running.change = {
      version: this.model.freeze(this.newest.number + 1),
      call,
      madeAt: this.#options.position(),
      answeredAt: Number.POSITIVE_INFINITY,
      isAnswered: false,
      snapshotOfCp: how.snapshotOfCp,
    };
    this.changes.push(running.change);
  }

  #report(text: string): void {
    this.problem ??= new WitnessError(text);
  }

  #watchMessages({ fs }: Engine): void {
    const { driver } = fs;
    const run = driver.run.bind(driver);
    driver.run = (message) => {
      const running = this.#beginning ?? this.#acting;
      // What else is begun in this turn is the engine's own work.
      this.#beginning = undefined;
      this.#acting = undefined;
      return run(running === undefined ? message : this.#witnessed(message, running));
    };
  }

  #witnessed<T>(message: Message<T>, running: Running): Message<T> {
    if (message.otherWay !== undefined) this.#witnessed(message.otherWay, running);
    const load = message.load.bind(message);
    const modify = message.modify.bind(message);
    message.load = (access) => {
      try {
        load(access);
      } catch (error) {
        if (isFsError(error)) this.#refused(running, error.code);
        throw error;
      }
    };
    message.modify = () => {
      const result = modify();
      const { op } = running.call;
      const isOfSnapshot = op === 'snapshot' || op === 'hold' || op === 'delete';
      // Nothing was done yet, and is tried again.
      const isPart = isOfSnapshot && result === undefined;
      // What logs nothing has changed nothing, and promises nothing.
      if (!isPart) this.#effect(running, { isChange: message.requests().length > 0 });
      return result;
    };
    return message;
  }

  /** A call could not be done as things are: nor can the model. */
  #refused(running: Running, code: string): void {
    if (code === 'EIO' || code === 'ENOSPC' || code === 'EROFS') return;
    running.refused = this.model.apply(running.call);
    if (!('error' in running.refused)) {
      this.#report(`${say(running.call)} failed with ${code}, the model can do it`);
    }
  }

  #watchSnapshots({ fs }: Engine): void {
    const runAction = fs.runAction.bind(fs);
    fs.runAction = (action: SnapshotAction) => {
      const running = this.#acting;
      const placed = action.imagePlaced.bind(action);
      action.imagePlaced = (image) => {
        placed(image);
        const { entry } = action as { entry?: { name: string } };
        if (running !== undefined && entry !== undefined) {
          this.#effect(running, { isChange: true, snapshotOfCp: entry.name });
        }
      };
      return runAction(action);
    };
    const setImage = fs.setImage.bind(fs);
    fs.setImage = (root, pointer) => {
      setImage(root, pointer);
      const { snapshots } = fs.core;
      const running = this.#rollbacks.find(({ call, expected }) => {
        const image = 'name' in call ? snapshots.byName(call.name)?.imageRoot : undefined;
        return expected === undefined && image !== undefined && isSamePointer(image, pointer);
      });
      if (running === undefined) this.#report('a rollback that nobody asked for');
      else this.#effect(running, { isChange: true });
    };
  }
}

function isSamePointer(a: Pointer, b: Pointer): boolean {
  return a.vbn === b.vbn && a.checksumLow === b.checksumLow && a.checksumHigh === b.checksumHigh;
}
