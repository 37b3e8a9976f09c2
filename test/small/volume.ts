// The volume of small workloads: made once, begun on again and again, and recovered after a crash.

import { assert } from '../../host/base/assert.ts';
import { runSync, type Step, Task, wait } from '../../host/base/task.ts';
import { rollBack } from '../../host/filesystem/rollback.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import { closeEngine, type Engine } from '../../host/volume/engine.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';
import { listTree, type TreeEntry } from '../oracle/tree.ts';
import { type Outcome, Session } from '../oracle/workload.ts';
import { Recording } from '../world/crashes.ts';
import {
  type Contents,
  contentsOf,
  digestOf,
  type EngineDevices,
  format,
  LOG_BYTES,
  mount,
  operationsOf,
  problemOf,
  type Setup,
  TestClock,
  writeAfter,
} from '../world/engine.ts';
import {
  applyTo,
  Blocks,
  copyImage,
  emptyImage,
  type Image,
  ImageDisk,
  ImageNvram,
  type Reads,
} from '../world/images.ts';
import { BEGINNING, type Operation, SLOT } from './alphabet.ts';

export const SETUPS = {
  none: { name: 'none', raid: 'none', diskCount: 1, blockCount: 640, logCopies: 1 },
  raid4: { name: 'raid4', raid: 'raid4', diskCount: 3, blockCount: 512, logCopies: 2 },
} as const satisfies Record<string, Setup>;

export type SetupName = keyof typeof SETUPS;

const BLOCK_SIZE = 4096;

/** Devices of a setup over images: disks first, then copies of the log. */
export function devicesOver(
  setup: Setup,
  images: readonly Image[],
  how: { readonly reads?: Reads; readonly recorder?: Recording },
): EngineDevices {
  const make = images.map((image, device) => ({ device, image, ...how }));
  return {
    disks: make.slice(0, setup.diskCount).map((options) => new ImageDisk(options)),
    nvrams: make.slice(setup.diskCount).map((options) => new ImageNvram(options)),
  };
}

/** What users see, as the model has it. */
export class SmallModel {
  #model: ModelFileSystem;
  #session: Session;
  #isHandleStale = false;
  readonly #snapshots: Map<string, ModelFileSystem>;
  readonly #trees: Map<ModelFileSystem, readonly TreeEntry[]>;
  readonly #clock: TestClock;

  constructor(clock: TestClock, from?: SmallModel) {
    this.#clock = clock;
    const now = () => clock.now();
    this.#model = from === undefined ? new ModelFileSystem({ now }) : from.#model.clone({ now });
    this.#snapshots = new Map(from === undefined ? [] : from.#snapshots);
    this.#trees = from === undefined ? new Map() : from.#trees;
    this.#session = new Session(this.#model);
  }

  apply(operation: Operation): Outcome {
    switch (operation.op) {
      case 'snapshot':
        if (this.#snapshots.has(operation.name)) return { error: 'EEXIST' };
        this.#snapshots.set(operation.name, this.#model.clone());
        return DONE;
      case 'delete':
        return this.#snapshots.delete(operation.name) ? DONE : { error: 'ENOENT' };
      case 'rollback': {
        const model = this.#snapshots.get(operation.name);
        if (model === undefined) return { error: 'ENOENT' };
        this.#model = model.clone({ now: () => this.#clock.now() });
        this.#session = new Session(this.#model);
        this.#isHandleStale = true;
        return DONE;
      }
      case 'cp':
      case 'reclaim':
        return DONE;
      default:
        if (this.#isHandleStale && usesHandle(operation)) return { error: 'ESTALE' };
        return this.#session.apply(operation).driveSync();
    }
  }

  contents(): Contents {
    const snapshots = new Map<string, readonly TreeEntry[]>();
    for (const [name, model] of this.#snapshots) {
      let tree = this.#trees.get(model);
      if (tree === undefined) {
        tree = runSync(listTree(model));
        if (model === this.#snapshots.get('old')) this.#trees.set(model, tree);
      }
      snapshots.set(name, tree);
    }
    return { tree: runSync(listTree(this.#model)), snapshots };
  }
}

const DONE: Outcome = { value: '' };

function usesHandle(operation: Operation): boolean {
  if ('slot' in operation) return true;
  return 'where' in operation && 'slot' in operation.where;
}

/** The engine's side of it. */
export class SmallEngine {
  readonly engine: Engine;
  readonly #session: Session;
  readonly #snapshots: SnapshotOperations;

  constructor(engine: Engine) {
    this.engine = engine;
    this.#session = new Session(operationsOf(engine));
    this.#snapshots = new SnapshotOperations(engine.fs);
  }

  apply(operation: Operation): Outcome {
    return new Task(this.#attempt(operation)).driveSync();
  }

  *#attempt(operation: Operation): Step<Outcome> {
    try {
      return yield* this.#perform(operation);
    } catch (error) {
      const { code } = error as { code?: unknown };
      if (typeof code !== 'string') throw error;
      return { error: code };
    }
  }

  *#perform(operation: Operation): Step<Outcome> {
    const { fs } = this.engine;
    switch (operation.op) {
      case 'snapshot':
        yield* this.#snapshots.create(operation.name);
        return DONE;
      case 'delete':
        yield* this.#snapshots.delete(operation.name);
        return DONE;
      case 'rollback': {
        this.#snapshots.get(operation.name);
        const task = new Task(rollBack(fs, operation.name));
        fs.core.barrier = task;
        task.onSettled(() => {
          fs.core.barrier = undefined;
        });
        yield* wait(task.asIo());
        return DONE;
      }
      case 'cp': {
        const task = fs.requestCp(true);
        if (task !== undefined) yield* wait(task.asIo());
        return DONE;
      }
      case 'reclaim':
        yield* this.#reclaim();
        return DONE;
      default:
        return yield* wait(this.#session.apply(operation).asIo());
    }
  }

  *#reclaim(): Step<void> {
    const { fs } = this.engine;
    yield* fs.zombies.work();
    for (let round = 0; ; round++) {
      assert(round < 20, 'work in the background comes to its end');
      const task = fs.requestCp(true) ?? fs.runAction(NOTHING);
      yield* wait(task.asIo());
      if (fs.core.snapshots.nextDeleted() === undefined) return;
    }
  }

  /** It will do nothing any more: its memory is used again. */
  retire(): void {
    this.engine.fs.isQuiet = true;
    this.engine.fs.core.isClosed = true;
  }
}

const nothing = () => {};
const NOTHING = {
  newSlot: undefined,
  plan: nothing,
  freeze: nothing,
  imagePlaced: nothing,
  updateState: nothing,
};

/** What comes of a crash: what is there, or why nothing is. */
export interface Verdict {
  readonly digest: string;
  readonly problem: string | undefined;
}

/** The volume that workloads begin on. */
export class SmallVolume {
  readonly setup: Setup;
  readonly images: readonly Image[];
  readonly blocks = new Blocks();
  readonly #model: SmallModel;

  constructor(name: SetupName) {
    this.setup = SETUPS[name];
    const { diskCount, blockCount, logCopies } = this.setup;
    const images = [
      ...Array.from({ length: diskCount }, () => emptyImage(blockCount)),
      ...Array.from({ length: logCopies }, () => emptyImage(LOG_BYTES / BLOCK_SIZE)),
    ];
    const recorder = new Recording();
    const devices = devicesOver(this.setup, images, { recorder });
    runSync(format(devices, this.setup, { arena: 'small' }));
    const clock = new TestClock();
    const engine = new SmallEngine(runSync(mount(devices, { arena: 'small', clock })));
    this.#model = new SmallModel(clock);
    for (const operation of BEGINNING) {
      const [found, wanted] = [engine.apply(operation), this.#model.apply(operation)];
      assert(JSON.stringify(found) === JSON.stringify(wanted), 'the volume begins well', found);
      clock.ticks++;
    }
    runSync(closeEngine(engine.engine));
    for (const event of recorder.events) {
      if (!('write' in event)) continue;
      const { write } = event;
      applyTo(images[write.device] as Image, write, { kind: 'keep' }, this.blocks);
    }
    this.images = images.map(copyImage);
  }

  /** A mount of it, with its model, whose clocks are one; /a is open on both sides. */
  begin(recorder: Recording): { engine: SmallEngine; model: SmallModel; clock: TestClock } {
    const clock = new TestClock();
    clock.ticks = 1000;
    const model = new SmallModel(clock, this.#model);
    const devices = devicesOver(this.setup, this.images, { recorder });
    const engine = new SmallEngine(runSync(mount(devices, { arena: 'small', clock })));
    const options = { read: true, write: true };
    for (const side of [engine, model]) side.apply({ op: 'open', slot: SLOT, path: '/a', options });
    return { engine, model, clock };
  }

  /** Mounts what a crash left, and looks at everything. `recorder` is told what the mount wrote. */
  recover(images: readonly Image[], how: { reads?: Reads; recorder?: Recording } = {}) {
    const devices = devicesOver(this.setup, images, how);
    const engine = new SmallEngine(runSync(mount(devices, { arena: 'small' })));
    const contents = runSync(contentsOf(engine.engine));
    const problem = runSync(problemOf(engine.engine));
    return { engine, contents, problem };
  }

  /** The same as a verdict, with life going on after it. */
  judge(images: readonly Image[], reads: Reads, goesOn: boolean): Verdict {
    try {
      const { engine, contents, problem } = this.recover(images, { reads });
      if (goesOn && problem === undefined) runSync(writeAfter(engine.engine, 'after'));
      engine.retire();
      return { digest: digestOf(contents), problem };
    } catch (error) {
      return { digest: '', problem: String((error as Error).stack) };
    }
  }
}
