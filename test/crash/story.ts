// A story: what a volume goes through while it is recorded, and what a crash at any moment of it
// may leave.
//
// It is told in batches. The calls of a batch are under way together; the next one begins when all
// are answered. Calls take effect in some order (that of the log); which, only their outcomes tell.
// A batch is few calls, so all orders are tried on the model, and those kept that give the outcomes
// seen. After a crash there may be what any beginning of such an order leaves, as long as it has
// all that were answered. The one exception is a snapshot made by a CP, which is lost if the CP is,
// though changes after it may be in the log.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { isFsError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync, type Step, Task, wait } from '../../host/base/task.ts';
import type { OpenFile } from '../../host/filesystem/operations.ts';
import { REFERENCE_SIZE_MIN } from '../../host/filesystem/references.ts';
import { rollBack } from '../../host/filesystem/rollback.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import type { Engine } from '../../host/volume/engine.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';
import { listTree, type TreeEntry } from '../oracle/tree.ts';
import {
  bytesOf,
  type Data,
  makeWorkload,
  type Outcome,
  type Request,
  Session,
} from '../oracle/workload.ts';
import {
  type Contents,
  contentsOf,
  digestOf,
  operationsOf,
  type TestClock,
} from '../world/engine.ts';

/** A call of the story. */
export type Call =
  | { readonly op: 'request'; readonly request: Request; readonly isSync: boolean }
  /** Through a handle that stays open, to a file that keeps its name. */
  | { readonly op: 'patch'; readonly file: number; readonly position: number; readonly data: Data }
  | { readonly op: 'cut'; readonly file: number; readonly size: number }
  | { readonly op: 'snapshot'; readonly name: string }
  | { readonly op: 'delete'; readonly name: string }
  | { readonly op: 'rollback'; readonly name: string };

const FILES = ['/file-0', '/file-1', '/file-2', '/ballast'];
/** Number of the ballast in FILES, and stripes of it that are written at once. */
const BALLAST = 3;
const BALLAST_STEP = 15;
const HANDLE_OPTIONS = { read: true, write: true };

/** The whole state that users see, as the model has it. */
export class ModelState {
  readonly model: ModelFileSystem;
  readonly snapshots: Map<string, ModelFileSystem>;

  constructor(model: ModelFileSystem, snapshots: ReadonlyMap<string, ModelFileSystem>) {
    this.model = model;
    this.snapshots = new Map(snapshots);
  }

  clone(): ModelState {
    return new ModelState(this.model.clone(), this.snapshots);
  }

  contents(): Contents {
    const snapshots = new Map<string, readonly TreeEntry[]>();
    for (const [name, model] of this.snapshots) snapshots.set(name, frozenTree(model));
    return { tree: runSync(listTree(this.model)), snapshots };
  }

  /** Does a call; gives the state after it (this one, or a new one) and the outcome. */
  apply(call: Call): { state: ModelState; outcome: Outcome } {
    switch (call.op) {
      case 'request':
        return { state: this, outcome: new Session(this.model).apply(call.request).driveSync() };
      case 'snapshot':
        this.snapshots.set(call.name, this.model.clone());
        return { state: this, outcome: DONE };
      case 'delete':
        this.snapshots.delete(call.name);
        return { state: this, outcome: DONE };
      case 'rollback': {
        const model = this.snapshots.get(call.name) as ModelFileSystem;
        return { state: new ModelState(model.clone(), this.snapshots), outcome: DONE };
      }
      default:
        runSync(this.#patch(call));
        return { state: this, outcome: DONE };
    }
  }

  *#patch(call: Extract<Call, { op: 'patch' | 'cut' }>): Step<void> {
    const file = yield* wait(this.model.open(FILES[call.file] as string, HANDLE_OPTIONS).asIo());
    yield* change(this.model, file, call);
    yield* wait(this.model.close(file).asIo());
  }
}

const DONE: Outcome = { value: '' };
const trees = new WeakMap<ModelFileSystem, readonly TreeEntry[]>();

/** Of a model that never changes again. */
function frozenTree(model: ModelFileSystem): readonly TreeEntry[] {
  let tree = trees.get(model);
  if (tree === undefined) {
    tree = runSync(listTree(model));
    trees.set(model, tree);
  }
  return tree;
}

type Writable = Pick<ModelFileSystem, 'write' | 'truncate'>;

function* change(
  fs: Writable,
  file: OpenFile,
  call: Extract<Call, { op: 'patch' | 'cut' }>,
): Step<void> {
  if (call.op === 'cut') yield* wait(fs.truncate({ file }, call.size).asIo());
  else yield* wait(fs.write(file, bytesOf(call.data), call.position).asIo());
}

/** What some calls of a batch, done in some order, leave. */
interface Possible {
  /** Bit i: call i is in it. */
  readonly mask: number;
  readonly contents: Contents;
  readonly digest: string;
}

function possibleOf(mask: number, contents: Contents): Possible {
  return { mask, contents, digest: digestOf(contents) };
}

export interface Batch {
  readonly calls: readonly Call[];
  /** World positions: where it began, and where each call was answered (Infinity: it changed
   *  nothing, so that nothing was promised; what it saw of others may be lost yet). */
  readonly begun: number;
  readonly answered: number[];
  possible: readonly Possible[];
}

/** All contents, by digest, that a crash at `position` may leave. */
export function allowedAt(batches: readonly Batch[], position: number): Map<string, Contents> {
  const batch = batches.findLast(({ begun }) => begun <= position) as Batch;
  let must = 0;
  batch.answered.forEach((at, index) => {
    if (at <= position) must |= 1 << index;
  });
  const allowed = new Map<string, Contents>();
  for (const { mask, digest, contents } of batch.possible) {
    if ((mask & must) === must) allowed.set(digest, contents);
  }
  return allowed;
}

export interface StoryOptions {
  readonly seed: number;
  readonly batchCount: number;
  readonly writeSizeMax: number;
  readonly snapshotsMax: number;
  /** Data columns, and stripes in which ballast is laid. */
  readonly columns: number;
  readonly ballastStripes: number;
}

/** Whoever tells it: mounts anew, and says where in the world it is. */
export interface Stage {
  readonly clock: TestClock;
  position(): number;
  /** Closes the volume, as far as that leaves the devices open, and mounts it again. */
  remount(engine: Engine): Promise<Engine>;
}

export class Story {
  readonly batches: Batch[] = [];
  /** Where the part that is worth cutting begins. */
  begun = 0;
  /** Calls that changed something. */
  changeCount = 0;
  /** Calls that the volume had no space for. */
  refusedCount = 0;
  #state: ModelState;
  #engine: Engine;
  readonly #stage: Stage;
  readonly #prng: SeededPrng;
  readonly #options: StoryOptions;
  readonly #next: () => Request;
  #files: OpenFile[] = [];
  #orphans: OpenFile[] = [];
  #snapshotNext = 0;
  readonly #cps: Promise<void>[] = [];

  constructor(engine: Engine, stage: Stage, options: StoryOptions) {
    this.#engine = engine;
    this.#stage = stage;
    this.#options = options;
    this.#prng = new SeededPrng(options.seed);
    this.#next = makeWorkload(this.#prng.fork(), { slots: 0, writeSizeMax: options.writeSizeMax });
    const model = new ModelFileSystem({ now: () => stage.clock.now() });
    this.#state = new ModelState(model, new Map());
  }

  get engine(): Engine {
    return this.#engine;
  }

  /** Nothing happens in it: a mount, a time of rest. */
  noteRest(): void {
    this.batches.push({
      calls: [],
      begun: this.#stage.position(),
      answered: [],
      possible: [possibleOf(0, this.#state.contents())],
    });
  }

  async tell(): Promise<void> {
    const { batchCount } = this.#options;
    const remountAt = new Set([batchCount >> 1, (batchCount * 3) >> 2]);
    this.noteRest();
    await this.#openFiles();
    await this.#layBallast();
    // What came before is not cut.
    this.noteRest();
    this.begun = this.#stage.position();
    this.changeCount = 0;
    for (let index = 0; index < batchCount; index++) {
      if (remountAt.has(index)) await this.#remount();
      const calls = this.#calls();
      if (this.#prng.chance(0.12)) this.#requestCp();
      await this.#run(calls);
      if (calls.some(({ op }) => op === 'rollback')) {
        this.#orphans = [];
        await this.#openFiles();
      }
      if (this.#prng.chance(0.03)) await this.#makeOrphan();
      if (this.#prng.chance(0.06)) this.#requestCp();
    }
    await Promise.all(this.#cps);
    this.noteRest();
  }

  /** Lays a block that stays into each of many stripes: then CPs find no empty ones, and must go
   *  through the stripe journal. Its file ends far out, so that listings pass over what is in
   *  it. */
  async #layBallast(): Promise<void> {
    const { ballastStripes, columns } = this.#options;
    for (let at = 0; at < ballastStripes; at += BALLAST_STEP) {
      const data = { length: BALLAST_STEP * BLOCK_SIZE, seed: this.#prng.u32() };
      await this.#run([{ op: 'patch', file: BALLAST, position: at * BLOCK_SIZE, data }]);
      const length = data.length * (columns - 1);
      if (length > 0) await this.#run([this.#writeFile('/temp', length)]);
      await this.#engine.fs.requestCp()?.promise();
      if (length > 0)
        await this.#run([
          { op: 'request', request: { op: 'unlink', path: '/temp' }, isSync: false },
        ]);
    }
    await this.#run([{ op: 'cut', file: BALLAST, size: 65 * 1024 * 1024 }]);
  }

  /** Goes on beside the messages to come. */
  #requestCp(): void {
    const task = this.#engine.fs.requestCp(this.#prng.chance(0.3));
    if (task !== undefined) this.#cps.push(task.promise());
  }

  async #remount(): Promise<void> {
    await Promise.all(this.#cps);
    this.noteRest();
    this.#engine = await this.#stage.remount(this.#engine);
    this.#orphans = [];
    this.noteRest();
    await this.#openFiles();
  }

  #isThere(path: string): boolean {
    return this.#state.contents().tree.some((entry) => entry.path === path);
  }

  /** The files that are written through handles; made where they are not there. */
  async #openFiles(): Promise<void> {
    this.#files = [];
    const operations = operationsOf(this.#engine);
    for (const path of FILES) {
      if (!this.#isThere(path)) await this.#run([this.#writeFile(path)]);
      this.#files.push(await operations.open(path, HANDLE_OPTIONS).result());
    }
  }

  #writeFile(path: string, length = 1 + this.#prng.below(9000)): Call {
    const data = { length, seed: this.#prng.u32() };
    const options = { read: false, write: true, create: true, truncate: true };
    return { op: 'request', request: { op: 'writeFile', path, data, options }, isSync: false };
  }

  /** A file that is open and has no name: nobody sees it, and after a crash it must be gone. */
  async #makeOrphan(): Promise<void> {
    const path = '/orphan';
    await this.#run([this.#writeFile(path)]);
    if (!this.#isThere(path)) return;
    const operations = operationsOf(this.#engine);
    const file = await operations.open(path, HANDLE_OPTIONS).result();
    await this.#run([{ op: 'request', request: { op: 'unlink', path }, isSync: false }]);
    await operations.write(file, this.#prng.bytes(5000), this.#prng.below(20_000)).result();
    this.#orphans.push(file);
    if (this.#orphans.length > 1)
      await operations.close(this.#orphans.shift() as OpenFile).result();
  }

  #calls(): Call[] {
    const prng = this.#prng;
    const names = [...this.#state.snapshots.keys()];
    if (names.length > 0 && prng.chance(0.04)) {
      const request = this.#next();
      const after: Call[] = prng.chance(0.5) ? [{ op: 'request', request, isSync: false }] : [];
      return [{ op: 'rollback', name: prng.pick(names) }, ...after];
    }
    const calls: Call[] = [];
    const count = prng.pick([1, 2, 3, 3]);
    for (let index = 0; index < count; index++) calls.push(this.#fileCall());
    if (prng.chance(0.12)) {
      const isFull = names.length >= this.#options.snapshotsMax;
      const name = `s${this.#snapshotNext++}`;
      const call: Call = isFull
        ? { op: 'delete', name: prng.pick(names) }
        : { op: 'snapshot', name };
      calls.splice(prng.below(calls.length + 1), 0, call);
    } else if (prng.chance(0.1)) {
      const request = this.#next();
      calls.push({ op: 'request', request, isSync: true });
    }
    return calls;
  }

  #fileCall(): Call {
    const prng = this.#prng;
    const file = prng.below(BALLAST);
    const { writeSizeMax } = this.#options;
    if (prng.chance(0.04)) {
      // By reference, where there are empty stripes for it.
      const data = { length: REFERENCE_SIZE_MIN + prng.below(4) * BLOCK_SIZE, seed: prng.u32() };
      return { op: 'patch', file, position: prng.below(8) * BLOCK_SIZE, data };
    }
    if (prng.chance(0.08)) return { op: 'cut', file, size: prng.below(3 * writeSizeMax) };
    if (prng.chance(0.3)) {
      const data = { length: 1 + prng.below(writeSizeMax), seed: prng.u32() };
      return { op: 'patch', file, position: prng.below(2 * writeSizeMax), data };
    }
    return { op: 'request', request: this.#next(), isSync: false };
  }

  /** Runs a batch, and finds out in which orders it may have taken effect. */
  async #run(calls: readonly Call[]): Promise<void> {
    const stage = this.#stage;
    stage.clock.ticks++;
    const begun = stage.position();
    const answered = calls.map(() => Number.POSITIVE_INFINITY);
    const tasks = calls.map((call, index) => {
      const task = new Task(this.#perform(call));
      task.onSettled(() => {
        answered[index] = stage.position();
      });
      if (call.op === 'request' && call.isSync) task.driveSync();
      return task;
    });
    const outcomes = await Promise.all(tasks.map((task) => task.promise()));
    const batch: Batch = { calls, begun, answered, possible: [] };
    await this.#explain(batch, outcomes);
    this.batches.push(batch);
    outcomes.forEach((outcome, index) => {
      if (isFull(outcome)) this.refusedCount++;
      if (answered[index] !== Number.POSITIVE_INFINITY) this.changeCount++;
    });
  }

  *#perform(call: Call): Step<Outcome> {
    try {
      return yield* this.#tryTo(call);
    } catch (error) {
      if (isFsError(error, 'ENOSPC')) return { error: error.code };
      throw error;
    }
  }

  *#tryTo(call: Call): Step<Outcome> {
    const { fs } = this.#engine;
    const table = new SnapshotOperations(fs);
    const operations = operationsOf(this.#engine);
    switch (call.op) {
      case 'request':
        return yield* wait(new Session(operations).apply(call.request).asIo());
      case 'snapshot':
        yield* table.create(call.name);
        return DONE;
      case 'delete':
        yield* table.delete(call.name);
        return DONE;
      case 'rollback':
        yield* this.#rollBack(call.name);
        return DONE;
      default:
        yield* change(operations, this.#files[call.file] as OpenFile, call);
        return DONE;
    }
  }

  /** As Volume.rollback does it. */
  *#rollBack(name: string): Step<void> {
    const { fs } = this.#engine;
    const task = new Task(rollBack(fs, name));
    fs.core.barrier = task;
    task.onSettled(() => {
      fs.core.barrier = undefined;
      fs.wakeBackground();
    });
    yield* wait(task.asIo());
  }

  async #explain(batch: Batch, outcomes: readonly Outcome[]): Promise<void> {
    const ends = new Map<string, ModelState>();
    const possible = new Map<string, Possible>();
    let effective = 0;
    for (const order of ordersOf(batch.calls)) {
      const steps = this.#follow(batch.calls, order, outcomes);
      if (steps === undefined) continue;
      for (const step of steps.possible) possible.set(`${step.mask} ${step.digest}`, step);
      ends.set(steps.possible.at(-1)?.digest as string, steps.end);
      effective |= steps.effective;
    }
    batch.answered.forEach((_, index) => {
      if ((effective & (1 << index)) === 0) batch.answered[index] = Number.POSITIVE_INFINITY;
    });
    if (ends.size === 0) {
      const said = batch.calls.map(
        (call, index) => `${say(call)} -> ${JSON.stringify(outcomes[index])}`,
      );
      throw new Error(`no order explains ${said.join('; ')}`);
    }
    let end = [...ends.values()][0] as ModelState;
    if (ends.size > 1) {
      const digest = digestOf(await new Task(contentsOf(this.#engine)).result());
      if (!ends.has(digest))
        throw new Error(`no order ends in what is there: ${batch.calls.map(say)}`);
      end = ends.get(digest) as ModelState;
    }
    this.#state = end;
    batch.possible = [...possible.values()];
  }

  /** What the beginnings of an order leave; undefined where its outcomes are not those seen. */
  #follow(
    calls: readonly Call[],
    order: readonly number[],
    outcomes: readonly Outcome[],
  ): { possible: Possible[]; end: ModelState; effective: number } | undefined {
    let state = this.#state.clone();
    let mask = 0;
    let effective = 0;
    let last = possibleOf(mask, state.contents());
    const possible: Possible[] = [last];
    const made: { bit: number; name: string }[] = [];
    for (const index of order) {
      const call = calls[index] as Call;
      // A full volume refuses the whole call.
      if (isFull(outcomes[index] as Outcome)) continue;
      const after = state.apply(call);
      if (JSON.stringify(after.outcome) !== JSON.stringify(outcomes[index])) return undefined;
      state = after.state;
      mask |= 1 << index;
      if (call.op === 'snapshot') made.push({ bit: 1 << index, name: call.name });
      const contents = state.contents();
      const next = possibleOf(mask, contents);
      if (next.digest !== last.digest) effective |= 1 << index;
      last = next;
      for (const { bit, name } of made) {
        const snapshots = new Map(contents.snapshots);
        snapshots.delete(name);
        possible.push(possibleOf(mask & ~bit, { tree: contents.tree, snapshots }));
      }
      possible.push(next);
    }
    return { possible, end: state, effective };
  }
}

function isFull(outcome: Outcome): boolean {
  return 'error' in outcome && outcome.error === 'ENOSPC';
}

/** All orders; a rollback holds off what comes after it, so it is first. */
function ordersOf(calls: readonly Call[]): number[][] {
  if (calls[0]?.op === 'rollback') return [calls.map((_, index) => index)];
  let orders: number[][] = [[]];
  calls.forEach((_, index) => {
    orders = orders.flatMap((order) =>
      Array.from({ length: order.length + 1 }, (_, at) => order.toSpliced(at, 0, index)),
    );
  });
  return orders;
}

export function say(call: Call): string {
  return JSON.stringify(call);
}
