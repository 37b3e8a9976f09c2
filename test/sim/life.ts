// One life of a volume: it is mounted on devices of a recording world, users make calls on it, and
// everything that happens is on record, so that it can be ended at any moment afterwards.

import { isFsError, isStorageError } from '../../host/base/errors.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import { type Io, runSync, type Step, Task, wait } from '../../host/base/task.ts';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { OpenFile } from '../../host/filesystem/operations.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import { type Engine, type EngineOptions, openEngine } from '../../host/volume/engine.ts';
import { Volume } from '../../host/volume/volume.ts';
import type { Outcome } from '../oracle/workload.ts';
import {
  contentsOf,
  digestOf,
  engineOptions,
  letGo,
  mount,
  operationsOf,
  problemOf,
} from '../world/engine.ts';
import type { Devices, RecordingWorld } from '../world/recorder.ts';
import type { Victims } from './adversary.ts';
import { type Call, type CallMaker, type FileCall, performFileCall, say } from './calls.ts';
import { differenceOf, foundVersion } from './crash-point.ts';
import type { FaultCounts } from './faults.ts';
import type { Version } from './model.ts';
import type { SimSetup } from './setup.ts';
import type { VirtualTime } from './virtual-time.ts';
import { type Change, type Running, Witness, WitnessError } from './witness.ts';

/** A volume on an engine that was mounted here. */
class SimVolume extends Volume {
  constructor(engine: Engine, { instance, env }: EngineOptions) {
    super({ engine, instance, env, names: [], onClosed: () => {} });
  }
}

export interface LifeParts {
  readonly setup: SimSetup;
  readonly prng: SeededPrng;
  readonly time: VirtualTime;
  readonly world: RecordingWorld;
  readonly devices: Devices;
  readonly base: Version;
  readonly before: ReadonlyMap<string, Version>;
  readonly maker: CallMaker;
  /** Numbers of calls that are left out, to see whether a failure needs them. */
  readonly skip: ReadonlySet<number>;
  /** Makes a new disk for the world. */
  readonly makeDisk: () => MemoryDisk;
  readonly faults: FaultCounts;
  readonly victims: Victims;
  /** Told what happens, for the one who looks for a mistake. */
  readonly tell: (event: string) => void;
}

export class Life {
  readonly #parts: LifeParts;
  readonly #slots = new Map<number, OpenFile>();
  #volume!: SimVolume;
  #engine!: Engine;
  #witness!: Witness;
  #callsLeft: number;
  #rollbacks = 0;
  #active = 0;
  #failure: unknown;
  callCount = 0;
  /** A disk that took the place of the victim: its name, and from where to where it was rebuilt. */
  replacement: { readonly name: string; readonly begunAt: number; doneAt: number } | undefined;
  /** World position at which the mount was over. */
  mountedAt = 0;

  constructor(parts: LifeParts) {
    this.#parts = parts;
    this.#callsLeft = parts.setup.callsPerLife;
  }

  get witness(): Witness {
    return this.#witness;
  }

  /** All of it, to the end of its calls, and perhaps closed. */
  async run(): Promise<void> {
    const { setup, time, prng } = this.#parts;
    await this.#mount();
    try {
      const clients = Array.from({ length: setup.clients }, (_, client) => this.#client(client));
      await this.#over(Promise.all(clients).then(() => {}));
      const end = this.#engine.fs.core.isReadOnly ? 10 : prng.below(10);
      if (end < 3) await this.#over(this.#close());
      else if (end < 5) await this.#usurp();
    } catch (error) {
      // The only log may fail in the end as well, and then closing says so.
      if (!isStorageError(error, 'DISK_FAILED') || this.#engine.log?.isFailed !== true) throw error;
    } finally {
      letGo(this.#engine);
      time.stop();
    }
  }

  async #mount(): Promise<void> {
    const { setup, time, devices, world, prng } = this.#parts;
    const options = engineOptions(devices, {
      arena: 'life',
      arenaBytes: setup.arenaBytes,
      clock: time,
      seed: prng.u32(),
      isRelaxed: setup.isRelaxed,
    });
    let engine: Engine | undefined;
    await this.#over(
      new Task(openEngine(options)).promise().then((mounted) => {
        engine = mounted;
      }),
    );
    this.#engine = engine as unknown as Engine;
    this.mountedAt = world.position;
    const position = () => world.position;
    const { isRelaxed } = setup;
    const { mountedAt } = this;
    const mayRefuse = () => this.#engine.fs.core.isReadOnly;
    const base = this.#stateFound();
    const { before } = this.#parts;
    const witnessed = { base, before, mountedAt, position, isRelaxed, mayRefuse };
    this.#witness = new Witness(this.#engine, witnessed);
    this.#volume = new SimVolume(this.#engine, options);
    this.#meddle();
  }

  /** The state that this mount found. It need not be the one that the check of the crash found: a
   *  change that nobody was answered for may stand on a victim alone, which was struck there and
   *  is not here, or the other way round. */
  #stateFound(): Version {
    const { base, before } = this.#parts;
    if (before.size === 1) return base;
    const contents = runSync(contentsOf(this.#engine));
    const version = before.get(digestOf(contents));
    if (version === undefined) {
      throw new WitnessError(`the next mount: ${differenceOf(contents, [...before.values()])}`);
    }
    // The calls to come find nothing in memory, as if nobody had looked.
    this.#engine.fs.core.cache.forgetClean();
    return foundVersion(version, contents);
  }

  /** Takes resources away, once each, in some lives: frames, log room, space. */
  #meddle(): void {
    const { prng, faults } = this.#parts;
    const { core } = this.#engine.fs;
    const { cache, log } = core;
    const nth = (probability: number) => (prng.chance(probability) ? 1 + prng.below(30) : 0);
    let [frame, room, space] = [nth(0.3), nth(0.3), nth(0.2)];
    const startLoad = cache.startLoad.bind(cache);
    cache.startLoad = () => {
      // CPs and rollbacks have frames of their own.
      const isKept = core.isPlanning || core.barrier !== undefined;
      if (isKept || --frame !== 0) return startLoad();
      faults.note('no frame');
      return undefined;
    };
    const available = core.blocksAvailable.bind(core);
    core.blocksAvailable = (reserve) => {
      if (--space !== 0) return available(reserve);
      faults.note('no space');
      return -1_000_000;
    };
    if (log === undefined) return;
    const reserve = log.reserve.bind(log);
    log.reserve = (bytes) => {
      if (--room === 0) {
        faults.note('no log room');
        return false;
      }
      const isReserved = reserve(bytes);
      if (!isReserved) faults.note('log full');
      return isReserved;
    };
  }

  /** Lets time pass until `work` is done. */
  async #over(work: Promise<void>): Promise<void> {
    let isOver = false;
    const fail = (error: unknown) => {
      this.#failure ??= error;
    };
    work.then(() => {
      isOver = true;
    }, fail);
    await this.#parts.time.run(() => isOver || this.#failure !== undefined);
    if (this.#failure !== undefined) throw this.#failure;
  }

  async #close(): Promise<void> {
    const promised = this.#witness.promised();
    await this.#volume.close();
    this.#witness.synced(promised);
  }

  /** A second writer takes the volume while this one is stopped: this one must stop for good. */
  async #usurp(): Promise<void> {
    const { devices, time, faults } = this.#parts;
    const first = this.#engine;
    await this.#over(this.#volume.sync());
    await this.#over(time.pause(1e6));
    // Its log may be gone, and a disk may be new, of which the second one knows nothing.
    if (first.fs.core.isReadOnly || this.replacement !== undefined) return;
    // Closing devices is the first one's business.
    const second = runSync(mount(devices, { arena: 'second', clock: time }));
    const data = new Uint8Array(5000);
    const options = { read: false, write: true, create: true, truncate: true };
    const { isRelaxed } = this.#parts.setup;
    const late = operationsOf(first).writeFile('/late', data, options).promise();
    // A relaxed volume answers before it knows.
    const calls = [isRelaxed ? late.then(() => this.#volume.sync()) : late];
    const outcomes = Promise.allSettled(calls);
    await this.#over(outcomes.then(() => {}));
    for (const outcome of await outcomes) {
      const isRefused =
        outcome.status === 'rejected' &&
        (isStorageError(outcome.reason, 'VOLUME_LOCKED') ||
          isStorageError(outcome.reason, 'VOLUME_FAILED'));
      if (!isRefused) throw new WitnessError('a writer goes on after another one took over');
    }
    const digest = digestOf(runSync(contentsOf(second)));
    const isSame = digest === this.#witness.newest.digest(new Set());
    if (!isSame) throw new WitnessError('what a second writer found is not what the first left');
    const problem = runSync(problemOf(second));
    if (problem !== undefined) throw new WitnessError(`beside a second writer: ${problem}`);
    letGo(second);
    faults.note('second writer');
  }

  async #client(client: number): Promise<void> {
    const { setup, time, prng, maker, skip } = this.#parts;
    while (this.#callsLeft > 0 && this.#failure === undefined) {
      this.#callsLeft--;
      // Drawn for each call apart, so that what is left out does not change the others.
      const own = prng.fork();
      if (setup.thinkUs > 0) await time.pause(own.below(setup.thinkUs));
      const names = [...this.#witness.model.snapshots.keys()];
      const call = maker.make(client, names);
      if (skip.has(maker.madeCount) || !this.#isPossible(call)) continue;
      if (call.op === 'open' && this.#slots.has(call.slot)) {
        await this.#make(client, { op: 'close', slot: call.slot }, own);
      }
      await this.#make(client, call, own);
      if (own.chance(setup.cps)) this.#engine.fs.requestCp(own.chance(0.3));
      if (own.chance(0.03)) await this.#replace();
    }
  }

  /** Puts a new disk in the place of the victim, and rebuilds it beside what goes on. */
  async #replace(): Promise<void> {
    const { victims, world, makeDisk, tell, faults } = this.#parts;
    const { raid } = this.#engine;
    if (victims.disk === undefined || this.replacement !== undefined || this.#active > 0) return;
    const index = raid.members.findIndex(
      ({ name, state }) => name === victims.disk || name === undefined || state !== 'active',
    );
    if (index < 0) return;
    const disk = makeDisk();
    this.replacement = {
      name: disk.name,
      begunAt: world.position,
      doneAt: Number.POSITIVE_INFINITY,
    };
    tell(`${disk.name} in the place of member ${index}`);
    await new Task(raid.replaceDisk(index, disk)).promise();
    tell(`${disk.name} is rebuilt`);
    this.replacement.doneAt = world.position;
    faults.note('disk replaced');
  }

  #isPossible(call: Call): boolean {
    if (call.op === 'open') return true;
    return !('slot' in call) || this.#slots.has(call.slot);
  }

  async #make(client: number, call: Call, prng: SeededPrng): Promise<void> {
    const { setup, tell } = this.#parts;
    const witness = this.#witness;
    this.callCount++;
    if (call.op === 'rollback') this.#rollbacks++;
    const promised = witness.promised();
    const isSynchronous =
      this.#rollbacks === 0 &&
      call.op !== 'sync' &&
      call.op !== 'rollback' &&
      prng.chance(setup.sync);
    if (isSynchronous && this.#active > 0)
      this.#parts.faults.note('sync call beside calls under way');
    if (isSynchronous && this.#parts.world.isWriting) this.#parts.faults.note('late write');
    this.#active++;
    tell(`${client}: ${say(call)}${isSynchronous ? ' (sync)' : ''}`);
    await new Promise<void>((resolve) => {
      witness.begin(client, call, (running) => {
        const task = new Task(this.#perform(running));
        task.onSettled(() => {
          this.#answer(running, task, promised);
          resolve();
        });
        if (isSynchronous) task.driveSync();
      });
    });
    this.#active--;
    if (call.op === 'rollback') this.#rollbacks--;
  }

  #answer(running: Running, task: Task<Outcome>, promised: readonly Change[]): void {
    const { tell } = this.#parts;
    const { call, client } = running;
    try {
      const outcome = task.result() as Outcome;
      tell(`${client}: -> ${JSON.stringify(outcome)}`);
      if (isSync(call) && 'value' in outcome) this.#witness.synced(promised);
      this.#witness.answered(running, outcome);
    } catch (error) {
      this.#failure ??= error;
    }
  }

  *#perform(running: Running): Step<Outcome> {
    const { call } = running;
    try {
      return yield* this.#steps(running);
    } catch (error) {
      if (isFsError(error)) return { error: error.code };
      if (isStorageError(error, 'INVALID_ARGUMENT') && call.op === 'hold')
        return { error: error.code };
      // The log is gone, and so is what would make it wait.
      const isLogGone = this.#engine.fs.core.isReadOnly || this.#engine.log?.isFailed === true;
      if (isSync(call) && isStorageError(error) && isLogGone) {
        return { error: 'EROFS' };
      }
      throw error;
    }
  }

  *#steps(running: Running): Step<Outcome> {
    const { call } = running;
    const table = new SnapshotOperations(this.#engine.fs);
    switch (call.op) {
      case 'snapshot':
        yield* this.#witness.acting(running, table.create(call.name));
        return DONE;
      case 'delete':
        yield* this.#witness.acting(running, table.delete(call.name));
        return DONE;
      case 'hold':
        yield* this.#witness.acting(running, table.hold(call.name, call.change));
        return DONE;
      case 'rollback':
        yield* wait(promised(() => this.#volume.rollback(call.name)));
        this.#slots.clear();
        return DONE;
      case 'sync':
        yield* wait(promised(() => this.#volume.sync()));
        return DONE;
      default:
        return yield* wait(this.#onFile(call).asIo());
    }
  }

  #onFile(call: FileCall): Task<Outcome> {
    return performFileCall(operationsOf(this.#engine), call, {
      get: (slot) => this.#slots.get(slot) ?? 'EBADF',
      set: (slot, file) => {
        if (file === undefined) this.#slots.delete(slot);
        else this.#slots.set(slot, file);
      },
    });
  }
}

function isSync(call: Call): boolean {
  return call.op === 'sync' || (call.op === 'request' && call.request.op === 'sync');
}

const DONE: Outcome = { value: '' };

/** Of what has no sync twin. */
function promised(start: () => Promise<void>): Io<void> {
  return {
    start,
    startSync: () => {
      throw new Error('never made synchronously');
    },
  };
}
