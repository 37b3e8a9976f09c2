// One life of a volume: it is mounted on devices of a recording world, users make calls on it, and
// everything that happens is on record, so that it can be ended at any moment afterwards.

import { isFsError, isStorageError } from '../../host/base/errors.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import { type Io, type Step, Task, wait } from '../../host/base/task.ts';
import type { OpenFile } from '../../host/filesystem/operations.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import { type Engine, type EngineOptions, openEngine } from '../../host/volume/engine.ts';
import { Volume } from '../../host/volume/volume.ts';
import type { Outcome } from '../oracle/workload.ts';
import { engineOptions, letGo, operationsOf } from '../world/engine.ts';
import type { Devices, RecordingWorld } from '../world/recorder.ts';
import { type Call, type CallMaker, type FileCall, performFileCall, say } from './calls.ts';
import type { Version } from './model.ts';
import type { SimSetup } from './setup.ts';
import type { VirtualTime } from './virtual-time.ts';
import { type Change, type Running, Witness } from './witness.ts';

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
  #failure: unknown;
  callCount = 0;
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
      if (prng.chance(0.3)) await this.#over(this.#close());
    } finally {
      letGo(this.#engine);
      time.stop();
    }
  }

  async #mount(): Promise<void> {
    const { setup, time, devices, world, base, before, prng } = this.#parts;
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
    const witnessed = { base, before, mountedAt, position, isRelaxed };
    this.#witness = new Witness(this.#engine, witnessed);
    this.#volume = new SimVolume(this.#engine, options);
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

  async #client(client: number): Promise<void> {
    const { setup, time, prng, maker } = this.#parts;
    while (this.#callsLeft > 0 && this.#failure === undefined) {
      this.#callsLeft--;
      if (setup.thinkUs > 0) await time.pause(prng.below(setup.thinkUs));
      const names = [...this.#witness.model.snapshots.keys()];
      const call = maker.make(client, names);
      if (!this.#isPossible(call)) continue;
      if (call.op === 'open' && this.#slots.has(call.slot)) {
        await this.#make(client, { op: 'close', slot: call.slot });
      }
      await this.#make(client, call);
      if (prng.chance(setup.cps)) this.#engine.fs.requestCp(prng.chance(0.3));
    }
  }

  #isPossible(call: Call): boolean {
    if (call.op === 'open') return true;
    return !('slot' in call) || this.#slots.has(call.slot);
  }

  async #make(client: number, call: Call): Promise<void> {
    const { setup, prng, tell } = this.#parts;
    const witness = this.#witness;
    this.callCount++;
    if (call.op === 'rollback') this.#rollbacks++;
    const promised = witness.promised();
    const isSync =
      this.#rollbacks === 0 &&
      call.op !== 'sync' &&
      call.op !== 'rollback' &&
      prng.chance(setup.sync);
    tell(`${client}: ${say(call)}${isSync ? ' (sync)' : ''}`);
    await new Promise<void>((resolve) => {
      witness.begin(client, call, (running) => {
        const task = new Task(this.#perform(running));
        task.onSettled(() => {
          this.#answer(running, task, promised);
          resolve();
        });
        if (isSync) task.driveSync();
      });
    });
    if (call.op === 'rollback') this.#rollbacks--;
  }

  #answer(running: Running, task: Task<Outcome>, promised: readonly Change[]): void {
    const { tell } = this.#parts;
    const { call, client } = running;
    try {
      const outcome = task.result() as Outcome;
      tell(`${client}: -> ${JSON.stringify(outcome)}`);
      const isSynced = call.op === 'sync' || (call.op === 'request' && call.request.op === 'sync');
      if (isSynced) this.#witness.synced(promised);
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
