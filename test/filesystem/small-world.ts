// A file system over a block store, with a log in memory, that can be closed, killed and mounted
// again: the world of the tests of snapshots, space, zombies and concurrency.

import { type Io, runSync, type Step, Task, wait } from '../../host/base/task.ts';
import type { Instant } from '../../host/base/units.ts';
import type { Core, LogPort } from '../../host/filesystem/core.ts';
import { FileSystem } from '../../host/filesystem/file-system.ts';
import { ImageOperations } from '../../host/filesystem/image-operations.ts';
import { rollBack } from '../../host/filesystem/rollback.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import type { VolumeState } from '../../host/format/volume-state.ts';
import { replaySwarm } from '../../host/replay/swarm.ts';
import { type Accounts, bruteForce } from './brute-force.ts';
import { BlockStore, type MemoryVolume, testParts } from './memory-volume.ts';

/** As assert.equal, which would print the difference of two large arrays for minutes. */
export function sameBytes(actual: Uint8Array, expected: Uint8Array, message = 'bytes'): void {
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  if (at < 0 && actual.length === expected.length) return;
  throw new Error(`${message}: ${actual.length} bytes, differ from ${expected.length} at ${at}`);
}

export interface LogRecord {
  readonly sequence: number;
  readonly body: Uint8Array;
}

/** A log without halves or limits: records are durable once they are committed. */
export class MemoryLog implements LogPort {
  readonly durable: LogRecord[];
  readonly #core: Core;
  #pending: LogRecord[] = [];
  lastSequence: number;
  wantsCp = false;

  constructor(core: Core, durable: LogRecord[]) {
    this.#core = core;
    this.durable = durable;
    this.lastSequence = durable.at(-1)?.sequence ?? core.state.logSequence;
  }

  reserve(): boolean {
    return true;
  }
  release(): void {}
  isFlushEnough(): boolean {
    return false;
  }
  waitForFlush(): Io<void> {
    return { start: () => undefined, startSync: () => undefined };
  }
  append(parts: readonly Uint8Array[]): number {
    const body = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    let at = 0;
    for (const part of parts) {
      body.set(part, at);
      at += part.length;
    }
    this.#pending.push({ sequence: ++this.lastSequence, body });
    return this.lastSequence;
  }
  commit(): Io<void> {
    return {
      start: () => new Task(this.#flush()).result(),
      startSync: () => runSync(this.#flush()),
    };
  }
  *#flush(): Step<void> {
    yield* this.#core.references.settle();
    this.durable.push(...this.#pending);
    this.#pending = [];
  }
  switchHalf(): number {
    return 0;
  }
  rootCommitted(state: VolumeState): void {
    const isNew = ({ sequence }: LogRecord) => sequence > state.logSequence;
    this.#pending = this.#pending.filter(isNew);
    this.durable.splice(0, this.durable.length, ...this.durable.filter(isNew));
  }
}

export interface WorldOptions {
  readonly stripes?: number;
  readonly columns?: number;
  readonly arenaBytes?: number;
  readonly isAsync?: boolean;
  readonly seed?: number;
  /** False: every change is durable with its CP only. */
  readonly hasLog?: boolean;
}

export class World {
  readonly #options: WorldOptions;
  store = new BlockStore();
  volume!: MemoryVolume;
  fs!: FileSystem;
  snapshots!: SnapshotOperations;
  #records: LogRecord[] = [];
  /** Seconds; the caller moves it on. */
  ticks = 0;
  readonly now = (): Instant => ({ seconds: 1_700_000_000 + this.ticks, nanoseconds: 0 });

  constructor(options: WorldOptions = {}) {
    this.#options = options;
    this.fs = runSync(FileSystem.format(this.#parts()));
    this.#begin();
  }

  #parts() {
    const { parts, volume } = testParts({ store: this.store, ...this.#options });
    this.volume = volume;
    return { ...parts, env: { ...parts.env, clock: { ...parts.env.clock, now: this.now } } };
  }

  #begin(): void {
    this.snapshots = new SnapshotOperations(this.fs);
    if (this.#options.hasLog === true) {
      runSync(replaySwarm(this.fs, [...this.#records]));
      this.fs.attachLog(new MemoryLog(this.fs.core, this.#records));
      this.fs.requestCp(true)?.driveSync();
    }
    this.fs.start();
  }

  get core(): Core {
    return this.fs.core;
  }

  get operations(): ImageOperations {
    return new ImageOperations(this.fs, () => this.fs.core.image, false);
  }

  /** A snapshot's tree. */
  at(name: string): ImageOperations {
    const { id } = this.snapshots.get(name);
    return new ImageOperations(this.fs, () => this.snapshots.image(id), true);
  }

  /** Closed and mounted again. */
  remount(): void {
    runSync(this.fs.close());
    this.#mount();
  }

  /** Dead, and mounted again: the old one's writes reach the store no more. */
  crash(): void {
    const old = this.store;
    this.store = new BlockStore();
    for (const [vbn, bytes] of old.blocks) this.store.blocks.set(vbn, bytes);
    this.store.state = old.state;
    this.#records = [...this.#records];
    this.#mount();
  }

  #mount(): void {
    this.fs = runSync(FileSystem.mount(this.#parts()));
    this.#begin();
  }

  cp(isForced = false): void {
    this.fs.requestCp(isForced)?.driveSync();
  }

  create(name: string): Task<unknown> {
    return new Task(this.snapshots.create(name));
  }
  delete(name: string): Task<void> {
    return new Task(this.snapshots.delete(name));
  }
  hold(name: string, change: 1 | -1): Task<void> {
    return new Task(this.snapshots.hold(name, change));
  }

  rollback(name: string): Task<void> {
    const { core } = this.fs;
    const task = new Task(rollBack(this.fs, name));
    if (!task.isSettled) {
      core.barrier = task;
      task.onSettled(() => {
        core.barrier = undefined;
        this.fs.wakeBackground();
      });
    }
    return task;
  }

  /** Drives everything that goes on in the background to its end: zombies, deletions, resting
   *  frees. */
  settle(): void {
    const { core } = this;
    runSync(this.fs.zombies.work());
    for (
      let step = 0;
      core.snapshots.nextDeleted() !== undefined || core.state.deleting !== 0;
      step++
    ) {
      if (step > 10_000) throw new Error('a deletion does not come to its end');
      core.requestCp(true)?.driveSync();
      if (core.snapshots.nextDeleted() !== undefined && core.maps.restingCount === 0) {
        new Task(this.#emptyCp()).driveSync();
      }
    }
    for (let step = 0; step < 3; step++) this.cp(true);
  }

  *#emptyCp(): Step<void> {
    const nothing = () => {};
    const action = { newSlot: undefined, plan: nothing, freeze: nothing };
    yield* wait(
      this.fs.runAction({ ...action, imagePlaced: nothing, updateState: nothing }).asIo(),
    );
  }

  /** What the newest root on disk says, walked by brute force. */
  accounts(): Accounts {
    return bruteForce(this.store, this.volume);
  }
}
