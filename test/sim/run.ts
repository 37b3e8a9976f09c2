// One seed: a volume is made, and lives several lives, each of which ends in a crash.

import { createHash } from 'node:crypto';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import { format, LOG_BYTES } from '../world/engine.ts';
import { type Devices, RecordingWorld } from '../world/recorder.ts';
import { CallMaker } from './calls.ts';
import { type CheckCounts, CrashCheck, crashOf, type Found, Violation } from './crash-point.ts';
import { Life } from './life.ts';
import { LiveModel } from './model.ts';
import { drawSetup, type SimSetup } from './setup.ts';
import { VirtualTime } from './virtual-time.ts';

export interface RunReport {
  readonly seed: number;
  readonly setup: SimSetup;
  readonly counts: CheckCounts & { calls: number; events: number };
  /** Of all that happened, in order: the same for the same seed. */
  readonly digest: string;
  readonly problem: Error | undefined;
  /** The newest events, the last one last. */
  readonly events: readonly string[];
}

/** What the next life begins with. */
interface Next {
  readonly devices: Devices;
  readonly found: Found;
}

const EVENTS_KEPT = 60;
/** Crash points in one seed. */
const CRASH_POINTS = 100;

export class Run {
  readonly #setup: SimSetup;
  readonly #prng: SeededPrng;
  readonly #events: string[] = [];
  readonly #digest = createHash('sha256');
  readonly #counts = { crashPoints: 0, mounts: 0, replayed: 0, nested: 0, calls: 0, events: 0 };

  constructor(seed: number) {
    this.#prng = new SeededPrng(seed);
    this.#setup = drawSetup(seed, this.#prng.fork());
  }

  async run(): Promise<RunReport> {
    let problem: Error | undefined;
    const { stackTraceLimit } = Error;
    // Disks give errors by the thousand, and nobody looks at where they were made.
    Error.stackTraceLimit = process.env['STACKS'] === undefined ? 0 : 50;
    try {
      await this.#live();
    } catch (error) {
      problem = error instanceof Error ? error : new Error(String(error));
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
    return {
      seed: this.#setup.seed,
      setup: this.#setup,
      counts: this.#counts,
      digest: this.#digest.digest('hex').slice(0, 16),
      problem,
      events: this.#events,
    };
  }

  #tell(event: string): void {
    this.#digest.update(event).update('\n');
    this.#counts.events++;
    if (this.#events.push(event) > EVENTS_KEPT) this.#events.shift();
  }

  async #live(): Promise<void> {
    const { lives, calls } = this.#setup;
    const maker = new CallMaker(this.#prng.fork(), calls);
    let devices = this.#format();
    const empty = new LiveModel(undefined, () => EPOCH).freeze(0);
    let found: Found = { base: empty, before: new Map([[empty.digest(new Set()), empty]]) };
    let begun = 0;
    for (let number = 0; number < lives; number++) {
      const time = new VirtualTime(begun);
      const { world, scheduled } = this.#schedule(devices, time);
      const life = new Life({
        setup: this.#setup,
        prng: this.#prng.fork(),
        time,
        world,
        devices: scheduled,
        ...found,
        maker,
        tell: (event) => this.#tell(event),
      });
      this.#tell(`life ${number} begins`);
      await life.run();
      this.#counts.calls += life.callCount;
      begun = time.nowUs;
      ({ devices, found } = this.#crash(world, life, Math.ceil(CRASH_POINTS / lives)));
    }
  }

  #format(): Devices {
    const { diskCount, blockCount, logCopies } = this.#setup;
    const world = new RecordingWorld();
    const devices: Devices = {
      disks: Array.from({ length: diskCount }, (_, index) =>
        world.disk({ blockCount, name: `disk-${index}` }),
      ),
      nvrams: Array.from({ length: logCopies }, (_, index) =>
        world.nvram({ sizeBytes: LOG_BYTES, name: `log-${index}` }),
      ),
    };
    const { arenaBytes } = this.#setup;
    runSync(format(devices, this.#setup, { arena: 'cut', arenaBytes }));
    const { devices: made } = crashOf(world.cutAt(world.position), this.#prng);
    return made;
  }

  /** The same devices, recorded, taking their time. */
  #schedule(devices: Devices, time: VirtualTime): { world: RecordingWorld; scheduled: Devices } {
    const { diskUs, nvramUs } = this.#setup;
    const prng = this.#prng.fork();
    const world = new RecordingWorld();
    const schedule = (us: number) => (complete: () => void) =>
      void time.in(1 + prng.below(us), complete);
    const scheduled = {
      disks: devices.disks.map((disk) => world.adopt(disk, schedule(diskUs))),
      nvrams: devices.nvrams.map((nvram) => world.adopt(nvram, schedule(nvramUs))),
    };
    return { world, scheduled };
  }

  /** Crashes of one life; the last one is what the next life finds. */
  #crash(world: RecordingWorld, life: Life, count: number): Next {
    const prng = this.#prng;
    const check = new CrashCheck(this.#setup, prng.fork(), this.#counts);
    const positions = world.cutPositions();
    const chosen = Array.from({ length: count }, () => prng.pick(positions)).sort((a, b) => a - b);
    // The world goes on from one of them.
    const next = prng.below(count);
    let result: Next | undefined;
    for (const [index, position] of chosen.entries()) {
      const cut = world.cutAt(position);
      const crash = crashOf(cut, prng);
      const where = `crash at ${position} of ${world.position}, ${crash.label}`;
      try {
        const kept = index === next ? this.#copy(crash.devices) : undefined;
        const found = check.check(crash, life.witness.allowedAt(position));
        if (kept !== undefined) result = { devices: kept, found };
      } catch (error) {
        for (const line of life.witness.story(position)) this.#tell(line);
        throw new Violation(`${where}: ${(error as Error).message}`, { cause: error });
      }
    }
    this.#tell(`crash at ${chosen[next]} of ${world.position}`);
    return result as Next;
  }

  #copy(devices: Devices): Devices {
    return {
      disks: devices.disks.map((disk) => disk.clone()),
      nvrams: devices.nvrams.map((nvram) => nvram.clone()),
    };
  }
}

/** When volumes are made: the clock of world/engine.ts. */
const EPOCH = { seconds: 1_700_000_000, nanoseconds: 5 };
