// Work that waits for devices is written once, as a generator (a Step) that yields Io values, and
// is driven in two ways: asynchronously, awaiting each Io, or synchronously, with the Io's sync
// twin. A sync call that needs the outcome of a task under way takes it over (driveSync): the Io
// that is pending is done again by its sync twin, with the same bytes, the generator runs on to its
// end in this very turn, and the late asynchronous completion is dropped (ENGINE 16). What the
// pending Io uses (frames, log ranges, vbns) is released by the Io's own completion, not by the
// task (ENGINE 5).

/** One wait. Doing it twice, even at once, must be harmless. */
export interface Io<T = unknown> {
  start(): Promise<T> | T;
  startSync(): T;
}

/** A computation that waits by `yield* wait(io)`. */
export type Step<T> = Generator<Io, T, unknown>;

/** Waits for `io` and returns what it gives. */
export function* wait<T>(io: Io<T>): Step<T> {
  return (yield io) as T;
}

/** All of `ios` at once (in order where driven synchronously). */
export function all<T>(ios: readonly Io<T>[]): Io<T[]> {
  return {
    start: () => startAll(ios),
    startSync: () => ios.map((io) => io.startSync()),
  };
}

/** Waits for every one of them, and only then fails with the first failure: nothing is left under
 *  way behind the caller's back. */
function startAll<T>(ios: readonly Io<T>[]): Promise<T[]> | T[] {
  const results: T[] = new Array(ios.length);
  const pending: Promise<void>[] = [];
  let failed = false;
  let failure: unknown;
  const fail = (error: unknown) => {
    if (!failed) failure = error;
    failed = true;
  };
  ios.forEach((io, index) => {
    try {
      const result = io.start();
      if (isPromise(result)) {
        pending.push(
          result.then((value) => {
            results[index] = value;
          }, fail),
        );
      } else {
        results[index] = result;
      }
    } catch (error) {
      fail(error);
    }
  });
  const finish = () => {
    if (failed) throw failure;
    return results;
  };
  return pending.length === 0 ? finish() : Promise.all(pending).then(finish);
}

export function isPromise<T>(value: Promise<T> | T): value is Promise<T> {
  return (
    typeof value === 'object' && value !== null && typeof (value as Promise<T>).then === 'function'
  );
}

/** Runs `step` to its end in this turn, with sync twins. */
export function runSync<T>(step: Step<T>): T {
  let next = step.next();
  while (next.done !== true) {
    let value: unknown;
    try {
      value = next.value.startSync();
    } catch (error) {
      next = step.throw(error);
      continue;
    }
    next = step.next(value);
  }
  return next.value;
}

type TaskState = 'running' | 'done' | 'failed';

/** How deep the caller is in `synchronously`. */
let synchronousDepth = 0;

/** Runs `call`, in which tasks that are started run to their end at once, with sync twins: so that
 *  a sync call starts nothing asynchronously only to overtake it. */
export function synchronously<T>(call: () => T): T {
  synchronousDepth++;
  try {
    return call();
  } finally {
    synchronousDepth--;
  }
}

/** A Step under way. Starts at once, in the caller's turn, and runs until its first real wait. */
export class Task<T> {
  /** Undefined: the task had ended when it was made. */
  readonly #step: Step<T> | undefined;
  #state: TaskState = 'running';
  #value: T | undefined;
  #error: unknown;
  #pending: Io | undefined;
  /** Counts waits; a completion of an older wait than this one is dropped. */
  #turn = 0;
  #advancing = false;
  #listeners: (() => void)[] | undefined;

  /** @param mode 'background': not run to its end by a sync call that happens to start it. */
  constructor(step: Step<T> | undefined, mode: 'call' | 'background' = 'call') {
    this.#step = step;
    if (step === undefined) return;
    if (synchronousDepth === 0 || mode === 'background') {
      this.#advance(() => step.next());
      return;
    }
    this.#advanceOnce(() => step.next());
    this.#driveToEnd();
  }

  static start<T>(step: Step<T>): Task<T> {
    return new Task(step);
  }

  /** A task that has ended with `value`: what needs no wait needs no generator. */
  static done<T>(value: T): Task<T> {
    const task = new Task<T>(undefined);
    task.#state = 'done';
    task.#value = value;
    return task;
  }

  /** A task that has failed. */
  static failed<T>(error: unknown): Task<T> {
    const task = new Task<T>(undefined);
    task.#state = 'failed';
    task.#error = error;
    return task;
  }

  get isSettled(): boolean {
    return this.#state !== 'running';
  }

  /** The value, when done in this very turn; a promise of it otherwise. Throws what it failed
   *  with. */
  result(): Promise<T> | T {
    if (this.#state === 'running') return this.promise();
    return this.#settled();
  }

  promise(): Promise<T> {
    return new Promise((resolve, reject) => {
      this.onSettled(() => {
        if (this.#state === 'done') resolve(this.#value as T);
        else reject(this.#error);
      });
    });
  }

  /** Calls `listener` once the task has ended, now if it has. */
  onSettled(listener: () => void): void {
    if (this.#state !== 'running') listener();
    else if (this.#listeners === undefined) this.#listeners = [listener];
    else this.#listeners.push(listener);
  }

  /** Finishes the task in this turn. */
  driveSync(): T {
    // The generator is on the stack below us: its own synchronous part called back into itself.
    if (this.#advancing) throw new Error('a task cannot drive itself');
    this.#driveToEnd();
    return this.#settled();
  }

  #driveToEnd(): void {
    const step = this.#step as Step<T>;
    while (this.#state === 'running') {
      const io = this.#pending as Io;
      this.#turn++;
      this.#pending = undefined;
      this.#advanceOnce(() => {
        let value: unknown;
        try {
          value = io.startSync();
        } catch (error) {
          return step.throw(error);
        }
        return step.next(value);
      });
    }
  }

  /** An Io that waits for this task: for another task's Step. */
  asIo(): Io<T> {
    return { start: () => this.result(), startSync: () => this.driveSync() };
  }

  #settled(): T {
    if (this.#state === 'failed') throw this.#error;
    return this.#value as T;
  }

  /** One step of the generator; leaves the Io it waits for in #pending. */
  #advanceOnce(resume: () => IteratorResult<Io, T>): void {
    this.#advancing = true;
    try {
      const next = resume();
      this.#advancing = false;
      if (next.done === true) this.#settle('done', next.value, undefined);
      else this.#pending = next.value;
    } catch (error) {
      this.#advancing = false;
      this.#settle('failed', undefined, error);
    }
  }

  /** Steps until a wait that is really pending. */
  #advance(resume: () => IteratorResult<Io, T>): void {
    const step = this.#step as Step<T>;
    this.#advanceOnce(resume);
    while (this.#state === 'running') {
      const turn = ++this.#turn;
      let started: unknown;
      try {
        started = (this.#pending as Io).start();
      } catch (error) {
        if (turn !== this.#turn) return;
        this.#advanceOnce(() => step.throw(error));
        continue;
      }
      if (turn !== this.#turn) {
        // start() itself ran code that took this task over.
        if (isPromise(started)) started.then(nothing, nothing);
        return;
      }
      if (!isPromise(started)) {
        const value = started;
        this.#advanceOnce(() => step.next(value));
        continue;
      }
      started.then(
        (value) => {
          if (turn === this.#turn && this.#state === 'running')
            this.#advance(() => step.next(value));
        },
        (error) => {
          if (turn === this.#turn && this.#state === 'running')
            this.#advance(() => step.throw(error));
        },
      );
      return;
    }
  }

  #settle(state: TaskState, value: T | undefined, error: unknown): void {
    this.#state = state;
    this.#value = value;
    this.#error = error;
    this.#pending = undefined;
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (listeners !== undefined) for (const listener of listeners) listener();
  }
}

function nothing(): void {}
