// One seed: a volume is made, and lives several lives, each of which ends in a crash.

import { createHash } from 'node:crypto';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { MemoryNvram } from '../../host/device/memory-nvram.ts';
import type { SparseBytes } from '../../host/device/sparse-bytes.ts';
import { format, LOG_BYTES } from '../world/engine.ts';
import { type Cut, type Devices, RecordingWorld } from '../world/recorder.ts';
import { Adversary, type Victims } from './adversary.ts';
import { goBeyond } from './beyond.ts';
import { CallMaker } from './calls.ts';
import { type CheckCounts, CrashCheck, crashOf, type Found, Violation } from './crash-point.ts';
import { FaultCounts } from './faults.ts';
import { Life } from './life.ts';
import { LiveModel, type Version } from './model.ts';
import { drawSetup, type SimSetup } from './setup.ts';
import { VirtualTime } from './virtual-time.ts';

export interface RunReport {
  readonly seed: number;
  readonly setup: SimSetup;
  readonly counts: CheckCounts & { calls: number; events: number };
  readonly faults: FaultCounts;
  /** Of all that happened, in order: the same for the same seed. */
  readonly digest: string;
  readonly problem: Error | undefined;
  /** The newest events, the last one last. */
  readonly events: readonly string[];
}

interface Scheduled {
  readonly world: RecordingWorld;
  readonly scheduled: Devices;
  readonly makeDisk: () => MemoryDisk;
}

/** What the next life begins with. */
interface Next {
  readonly devices: Devices;
  readonly found: Found;
}

const EVENTS_KEPT = 60;
/** Crash points in one seed. */
const CRASH_POINTS = 100;

export interface RunOptions {
  /** Numbers of calls to leave out. */
  readonly skip?: ReadonlySet<number>;
  /** Nothing fails but by crashes. */
  readonly isHarmless?: boolean;
}

export class Run {
  readonly #setup: SimSetup;
  readonly #prng: SeededPrng;
  readonly #events: string[] = [];
  readonly #faults = new FaultCounts();
  #diskNext = 10;
  #victims: Victims = { disk: undefined, log: undefined };
  readonly #digest = createHash('sha256');
  readonly #counts = { crashPoints: 0, mounts: 0, replayed: 0, nested: 0, calls: 0, events: 0 };

  readonly #options: RunOptions;
  readonly #versions: Version[] = [];

  constructor(seed: number, options: RunOptions = {}) {
    this.#options = options;
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
      faults: this.#faults,
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
    this.#victims = this.#drawVictims(devices);
    const empty = new LiveModel(undefined, () => EPOCH).freeze(0);
    let found: Found = { base: empty, before: new Map([[empty.digest(new Set()), empty]]) };
    let begun = 0;
    for (let number = 0; number < lives; number++) {
      const time = new VirtualTime(begun);
      const { world, scheduled, makeDisk } = this.#schedule(devices, time);
      const adversary = new Adversary(this.#prng.fork(), this.#faults);
      adversary.plague(scheduled, this.#victims, { world, time });
      const life = new Life({
        setup: this.#setup,
        faults: this.#faults,
        victims: this.#victims,
        prng: this.#prng.fork(),
        time,
        world,
        devices: scheduled,
        ...found,
        maker,
        skip: this.#options.skip ?? new Set(),
        makeDisk,
        tell: (event) => this.#tell(event),
      });
      this.#tell(`life ${number} begins`);
      const isLast = number === lives - 1;
      if (isLast) this.#perhapsFailLog(scheduled, adversary);
      await life.run();
      this.#versions.push(...life.witness.changes.map(({ version }) => version));
      this.#counts.calls += life.callCount;
      begun = time.nowUs;
      const count = Math.ceil(CRASH_POINTS / lives);
      ({ devices, found } = this.#crash({ world, life, longAgo: devices }, count));
      this.#versions.push(found.base, ...found.before.values());
    }
    this.#goBeyond(devices);
  }

  /** The end of a run, which need not be a good one. */
  #goBeyond(devices: Devices): void {
    if (this.#options.isHarmless === true) return;
    const versions = this.#versions;
    const parts = { setup: this.#setup, prng: this.#prng.fork(), faults: this.#faults, versions };
    this.#tell(goBeyond(devices, parts));
  }

  /** Where there is one copy only. */
  #perhapsFailLog({ nvrams }: Devices, adversary: Adversary): void {
    const { raid } = this.#setup;
    if (raid !== 'none' || this.#options.isHarmless === true || !this.#prng.chance(0.3)) return;
    adversary.failLog(nvrams[0] as MemoryNvram);
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
    const { devices: made } = crashOf(world.cutAt(world.position), this.#prng, {
      faults: this.#faults,
    });
    return made;
  }

  /** The same devices, recorded, taking their time. */
  #schedule(devices: Devices, time: VirtualTime): Scheduled {
    const { diskUs, nvramUs } = this.#setup;
    const prng = this.#prng.fork();
    const world = new RecordingWorld();
    const schedule = (us: number) => (complete: () => void) =>
      void time.in(1 + prng.below(us), complete);
    const slow = prng.chance(0.2) ? prng.pick(devices.disks) : undefined;
    if (slow !== undefined) this.#faults.note('disk: slow');
    const scheduled = {
      disks: devices.disks.map((disk) =>
        world.adopt(disk, schedule(disk === slow ? 50 * diskUs : diskUs)),
      ),
      nvrams: devices.nvrams.map((nvram) => world.adopt(nvram, schedule(nvramUs))),
    };
    const makeDisk = () =>
      world.disk({
        name: `disk-${this.#diskNext++}`,
        blockCount: this.#setup.blockCount,
        schedule: schedule(diskUs),
      });
    return { world, scheduled, makeDisk };
  }

  /** Devices of a group that may fail; a volume without redundancy has none to spare. */
  #drawVictims(devices: Devices): Victims {
    const prng = this.#prng;
    const { raid } = this.#setup;
    if (raid === 'none' || prng.chance(0.25) || this.#options.isHarmless === true)
      return { disk: undefined, log: undefined };
    const disk = prng.chance(0.85) ? prng.pick(devices.disks).name : undefined;
    return { disk, log: prng.chance(0.7) ? prng.pick(devices.nvrams).name : undefined };
  }

  /** Crashes of one life; one of them is what the next life finds. */
  #crash(past: { world: RecordingWorld; life: Life; longAgo: Devices }, count: number): Next {
    const { world, life } = past;
    const prng = this.#prng;
    const faults = this.#faults;
    const shared = { setup: this.#setup, counts: this.#counts, faults };
    const victimsAt = (position: number) => this.#victimsAt(position, life);
    const adversary = new Adversary(prng.fork(), faults);
    const positions = world.cutPositions();
    const chosen = Array.from({ length: count }, () => prng.pick(positions)).sort((a, b) => a - b);
    // The world goes on from one of them.
    const next = prng.below(count);
    const lately = new Map<string, SparseBytes>();
    let result: Next | undefined;
    for (const [index, position] of chosen.entries()) {
      const cut = world.cutAt(position);
      const victims = victimsAt(position);
      const check = new CrashCheck({ ...shared, prng: prng.fork(), victims });
      const images = adversary.oldImages(victims, { longAgo: past.longAgo, lately });
      const crash = crashOf(cut, prng, { faults, images });
      this.#noteMoment(cut, life);
      const old = images === undefined ? '' : `${[...images.keys()].join(', ')} old, `;
      try {
        const kept = index === next ? this.#copy(crash.devices) : undefined;
        const found = check.check(crash, life.witness.allowedAt(position));
        // One that is back as it was stays away from the next life.
        const stays = (name: string) => images?.has(name) !== true || name !== victims.disk;
        if (kept !== undefined) {
          const disks = kept.disks.filter(({ name }) => stays(name));
          result = { devices: { ...kept, disks }, found };
        }
      } catch (error) {
        for (const line of life.witness.story(position)) this.#tell(line);
        const where = `crash at ${position} of ${world.position}, ${old}${crash.label}`;
        throw new Violation(`${where}: ${(error as Error).message}`, { cause: error });
      }
      for (const name of [victims.disk, victims.log]) {
        const image = name === undefined ? undefined : cut.durableImage(name);
        if (name !== undefined && image !== undefined) lately.set(name, image);
      }
    }
    this.#tell(`crash at ${chosen[next]} of ${world.position}`);
    this.#victims = victimsAt(chosen[next] as number);
    return result as Next;
  }

  /** A disk that was rebuilt stands in for the one that it replaced, and may fail in its turn. */
  #victimsAt(position: number, { replacement }: Life): Victims {
    const isReplaced = replacement !== undefined && replacement.doneAt <= position;
    return isReplaced ? { ...this.#victims, disk: replacement.name } : this.#victims;
  }

  #noteMoment(cut: Cut, life: Life): void {
    if (cut.position < life.mountedAt) this.#faults.note('crash in a mount');
    else if (cut.writes.some(({ deviceName }) => deviceName.startsWith('disk'))) {
      this.#faults.note('crash in a CP');
    }
    const { replacement } = life;
    if (replacement === undefined || cut.position < replacement.begunAt) return;
    if (cut.position < replacement.doneAt) this.#faults.note('crash in a rebuild');
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
