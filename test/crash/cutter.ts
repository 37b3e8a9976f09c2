// Records a story, and cuts it: after every device write, with fates for all that no flush covered.

import { BLOCK_SIZE, SECTOR_SIZE } from '../../assembly/layout/block.ts';
import { isEqualBytes } from '../../host/base/bytes.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync, Task } from '../../host/base/task.ts';
import type { Fate } from '../../host/device/crash.ts';
import { DROP, KEEP } from '../../host/device/crash.ts';
import type { Disk } from '../../host/device/device.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { Front } from '../../host/format/label.ts';
import type { Engine } from '../../host/volume/engine.ts';
import { closeEngine } from '../../host/volume/engine.ts';
import { firstDifference } from '../oracle/tree.ts';
import {
  type Contents,
  contentsOf,
  digestOf,
  type EngineDevices,
  format,
  LARGE_LOG_BYTES,
  mount,
  problemOf,
  type Setup,
  TestClock,
  writeAfter,
} from '../world/engine.ts';
import {
  type Cut,
  type CutWrite,
  type Devices,
  RecordingWorld,
  type Variant,
} from '../world/recorder.ts';
import { shuffled } from '../world/shuffled.ts';
import { type FlushName, FlushTap, TappedDisk, TappedNvram } from './devices.ts';
import { allowedAt, type Batch, Story, type StoryOptions, say } from './story.ts';

/** What was done, for the record. */
export interface Counts {
  cuts: number;
  variants: number;
  mounts: number;
  nested: number;
  replayed: number;
  degraded: number;
  wentOn: number;
}

export function newCounts(): Counts {
  return { cuts: 0, variants: 0, mounts: 0, nested: 0, replayed: 0, degraded: 0, wentOn: 0 };
}

/** A story as it happened. */
export interface Recording {
  readonly setup: Setup;
  readonly seed: number;
  readonly world: RecordingWorld;
  readonly front: Front;
  /** World position from which on it is to be cut. */
  readonly begun: number;
  readonly batches: readonly Batch[];
  readonly changeCount: number;
  readonly stats: string;
}

function devicesOf(made: Devices, setup: Setup, tap: FlushTap): EngineDevices {
  return {
    disks: presentOf(made.disks, setup).map((disk) => new TappedDisk(disk, tap)),
    nvrams: made.nvrams.map((nvram) => new TappedNvram(nvram, tap)),
  };
}

function presentOf<T extends Disk>(disks: readonly T[], setup: Setup): T[] {
  return disks.filter((_, index) => index !== setup.missing);
}

const SETUPS = {
  none: { name: 'none', raid: 'none', diskCount: 1, blockCount: 1500, logCopies: 1 },
  raid4: { name: 'raid4', raid: 'raid4', diskCount: 4, blockCount: 448, logCopies: 2 },
  degraded: {
    name: 'raid4 without a data disk',
    raid: 'raid4',
    diskCount: 4,
    blockCount: 448,
    logCopies: 2,
    missing: 1,
  },
} as const satisfies Record<string, Setup>;

export type SetupName = keyof typeof SETUPS;

/** A story on one of the setups, recorded. RAID volumes have hardly an empty stripe. */
export function recordStory(
  name: SetupName,
  options: { seed: number; batchCount: number; lost?: FlushName },
): Promise<Recording> {
  const setup = SETUPS[name];
  const columns = setup.raid === 'none' ? 1 : setup.diskCount - 1;
  const ballastStripes = setup.raid === 'none' ? 0 : 240;
  const limits = { writeSizeMax: 9000, snapshotsMax: 3, columns, ballastStripes };
  return record(setup, { ...options, ...limits });
}

/** Makes a volume, tells a story on it, closes it. All of it is in the world. */
async function record(
  setup: Setup,
  options: StoryOptions & { lost?: FlushName },
): Promise<Recording> {
  const prng = new SeededPrng(options.seed);
  const schedule = shuffled(prng.fork());
  const world = new RecordingWorld();
  const { raid, diskCount, blockCount, logCopies } = setup;
  const name = (index: number) => `disk-${index}`;
  const made: Devices = {
    disks: Array.from({ length: diskCount }, (_, i) =>
      world.disk({ blockCount, name: name(i), schedule }),
    ),
    nvrams: Array.from({ length: logCopies }, (_, i) =>
      world.nvram({ sizeBytes: LARGE_LOG_BYTES, name: `log-${i}`, schedule, tearBytes: 512 }),
    ),
  };
  const clock = new TestClock();
  const arena = `story ${raid}`;
  const bare = { disks: made.disks, nvrams: made.nvrams };
  await new Task(format(bare, setup, { arena, clock })).promise();
  const mountOptions = { arena, clock, seed: options.seed };
  const probe = await new Task(mount(bare, { ...mountOptions, readOnly: true })).promise();
  const { front } = probe.raid;
  const tap = new FlushTap(front, options.lost);
  const devices = devicesOf(made, setup, tap);
  const open = async () => {
    tap.beginMount();
    const engine = await new Task(mount(devices, mountOptions)).promise();
    tap.watch(engine);
    return engine;
  };
  const remount = async (engine: Engine) => {
    await new Task(closeEngine(engine)).promise();
    return await open();
  };
  const story = new Story(
    await open(),
    { clock, position: () => world.position, remount },
    options,
  );
  await story.tell();
  const { raid: last, log, fs } = story.engine;
  await new Task(closeEngine(story.engine)).promise();
  story.noteRest();
  const { stripesJournaled, stripesFull } = last.stats;
  const stats = [
    `${story.changeCount} changes, ${story.refusedCount} refused for space`,
    `${fs.core.cpCount} CPs and ${log?.stats.flushCount} log flushes since the last mount`,
    `${stripesJournaled} of ${stripesJournaled + stripesFull} stripes journaled`,
  ].join(', ');
  const { batches, changeCount, begun } = story;
  return { setup, seed: options.seed, world, front, begun, batches, changeCount, stats };
}

/** A crash after which something is wrong. */
export class Violation extends Error {}

export interface CutOptions {
  readonly counts: Counts;
  readonly prng: SeededPrng;
  /** Torn variants at each cut, beside all kept and all dropped. */
  readonly torn: number;
  /** Probabilities, of a variant. */
  readonly nested: number;
  readonly goOn: number;
  readonly without: number;
  /** Leaves cuts out that have nothing undecided on a disk. */
  readonly disksOnly?: boolean;
  readonly lost?: FlushName;
}

const KEPT = 'all kept';
const DROPPED = 'all dropped';

/** Variants of a cut: all kept, all dropped, and some torn ones. */
export function variantsOf(cut: Cut, prng: SeededPrng, torn: number): Variant[] {
  const { writes } = cut;
  const uniform = (label: string, fate: Fate): Variant => ({
    label,
    fates: writes.map(() => fate),
  });
  const variants: Variant[] = [uniform(KEPT, KEEP)];
  if (writes.length === 0) return variants;
  variants.push(uniform(DROPPED, DROP));
  const isWhole = ({ write }: CutWrite) => write.bytes.length === SECTOR_SIZE;
  const mixture = (one: CutWrite): Fate =>
    isWhole(one) ? DROP : { kind: 'mixture', seed: prng.u32() };
  const kinds: (() => Variant)[] = [
    () => uniform('all zeros', { kind: 'zeros', sectors: 0 }),
    () => ({ label: 'all mixtures', fates: writes.map(mixture) }),
    // One write kept, dropped or torn in one way, the others dropped or kept.
    () => prng.pick([...cut.variants(prng, { randomCount: 0 })].slice(2)),
    () => prng.pick([...cut.variants(prng, { randomCount: 0 })].slice(2)),
    () => cut.random(prng),
    () => cut.random(prng),
  ];
  for (const make of prng.shuffle(kinds).slice(0, torn)) variants.push(make());
  return withoutIdle(cut, variants);
}

/** A write that a sync call has overtaken, and that lands late, gives sectors the bytes that they
 *  have: it changes nothing (ENGINE 5 counts on that). */
function withoutIdle(cut: Cut, variants: Variant[]): Variant[] {
  const { disks, nvrams } = cut.materialise(variants[1] as Variant);
  const devices = new Map([...disks, ...nvrams].map((device) => [device.name, device]));
  const isIdle = cut.writes.map(({ deviceName, write }) => {
    const device = devices.get(deviceName);
    const bytes = new Uint8Array(write.bytes.length);
    if (device instanceof MemoryDisk) device.readSync(write.offsetBytes / BLOCK_SIZE, [bytes]);
    else device?.readSync(write.offsetBytes, bytes);
    return isEqualBytes(bytes, write.bytes);
  });
  return variants.map(({ label, fates }) => ({
    label,
    fates: fates.map((fate, index) => (isIdle[index] ? KEEP : fate)),
  }));
}

/** What crashes before left, where it is known that this one leaves the same: all kept is the same
 *  until a write begins, all dropped until a flush ends. */
class Known {
  #writes = new Set<unknown>();
  readonly #digests = new Map<string, string>();

  /** Says whether a write began since the last cut. */
  moveTo(cut: Cut): boolean {
    const writes = new Set<unknown>(cut.writes.map(({ write }) => write));
    const hasBegun = [...writes].some((write) => !this.#writes.has(write));
    if (hasBegun) this.#digests.delete(KEPT);
    if ([...this.#writes].some((write) => !writes.has(write))) this.#digests.delete(DROPPED);
    this.#writes = writes;
    return hasBegun;
  }

  find(label: string): string | undefined {
    return this.#digests.get(label);
  }

  note(label: string, digest: string): void {
    if (label === KEPT || label === DROPPED) this.#digests.set(label, digest);
  }
}

/** Cuts a recording everywhere. Throws a Violation at the first thing wrong. */
export async function cutEverywhere(recording: Recording, options: CutOptions): Promise<void> {
  const { world, begun } = recording;
  const known = new Known();
  for (const position of world.cutPositions(begun)) {
    const cut = world.cutAt(position);
    const torn = known.moveTo(cut) || options.prng.chance(0.3) ? options.torn : 0;
    const isOnDisk = cut.writes.some(({ deviceName }) => deviceName.startsWith('disk'));
    if (options.disksOnly === true && !isOnDisk) continue;
    options.counts.cuts++;
    for (const variant of variantsOf(cut, options.prng, torn)) {
      options.counts.variants++;
      const crash = new Crash(recording, cut, variant, options);
      try {
        known.note(variant.label, crash.check(known.find(variant.label)));
      } catch (error) {
        throw new Violation(`${crash.where}: ${message(error)}`, { cause: error });
      }
      // What the volume has left to do goes on, before its memory is used again.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** One crash, and what comes of it. */
class Crash {
  readonly #recording: Recording;
  readonly #cut: Cut;
  readonly #variant: Variant;
  readonly #options: CutOptions;

  constructor(recording: Recording, cut: Cut, variant: Variant, options: CutOptions) {
    this.#recording = recording;
    this.#cut = cut;
    this.#variant = variant;
    this.#options = options;
  }

  get where(): string {
    const { setup, seed, batches } = this.#recording;
    const { position } = this.#cut;
    const batch = batches.findLast(({ begun }) => begun <= position);
    const calls = batch?.calls.map(say).join('; ');
    const cut = `cut ${position}, ${this.#variant.label}`;
    return `${setup.name}, seed ${seed}, ${cut}, during [${calls}]`;
  }

  /** Gives the digest of what is there. */
  check(known: string | undefined): string {
    const { prng, nested, goOn } = this.#options;
    const allowed = allowedAt(this.#recording.batches, this.#cut.position);
    if (known !== undefined && allowed.has(known)) return known;
    // Before it is changed: what is left of the redundancy must do as well.
    if (prng.chance(this.#options.without)) this.#checkWithout(allowed);
    const world = new RecordingWorld();
    const devices = this.#cut.materialise(this.#variant, { world });
    const engine = this.#mount(devices);
    this.#options.counts.replayed += engine.replay.appliedCount;
    const found = this.#compare(engine, allowed);
    const mounted = world.position;
    if (prng.chance(goOn)) this.#goOn(engine, devices);
    if (prng.chance(nested)) this.#cutAgain(world, mounted, found);
    return [...found.keys()][0] as string;
  }

  #mount(
    devices: Devices,
    how: { readOnly?: boolean; without?: number; withoutLog?: number } = {},
  ) {
    const { counts, lost } = this.#options;
    const { setup, front } = this.#recording;
    counts.mounts++;
    const made = devicesOf(devices, setup, new FlushTap(front, lost));
    const disks = made.disks.filter((_, index) => index !== how.without);
    const nvrams = made.nvrams.map((nvram, copy) => (copy === how.withoutLog ? undefined : nvram));
    return runSync(mount({ disks, nvrams }, { arena: 'cut', readOnly: how.readOnly ?? false }));
  }

  /** The contents that are there, which must be allowed; and nothing else may be wrong. */
  #compare(engine: Engine, allowed: ReadonlyMap<string, Contents>): Map<string, Contents> {
    const contents = runSync(contentsOf(engine));
    const digest = digestOf(contents);
    if (!allowed.has(digest)) throw new Error(differenceOf(contents, [...allowed.values()]));
    const problem = runSync(problemOf(engine));
    if (problem !== undefined) throw new Error(problem);
    return new Map([[digest, contents]]);
  }

  /** Without one of the disks, where parity covers it, or without one copy of the log. */
  #checkWithout(allowed: ReadonlyMap<string, Contents>): void {
    const { prng, counts } = this.#options;
    const { setup } = this.#recording;
    const isRedundant = setup.raid === 'raid4' && setup.missing === undefined;
    const without = isRedundant ? prng.below(setup.diskCount) : undefined;
    const withoutLog = setup.logCopies > 1 ? prng.below(setup.logCopies) : undefined;
    if (without === undefined && withoutLog === undefined) return;
    const lost = {
      ...(without === undefined ? {} : { without }),
      ...(withoutLog === undefined ? {} : { withoutLog }),
    };
    counts.degraded++;
    for (const readOnly of [true, false]) {
      const devices = this.#cut.materialise(this.#variant);
      try {
        this.#compare(this.#mount(devices, { ...lost, readOnly }), allowed);
      } catch (error) {
        throw new Error(`without ${JSON.stringify(lost)}, readOnly ${readOnly}: ${message(error)}`);
      }
    }
  }

  /** Writes a file, closes, mounts again. */
  #goOn(engine: Engine, devices: Devices): void {
    this.#options.counts.wentOn++;
    try {
      runSync(writeAfter(engine, 'after'));
      const before = runSync(contentsOf(engine));
      runSync(closeEngine(engine));
      const again = this.#mount(devices);
      this.#compare(again, new Map([[digestOf(before), before]]));
      const isThere = before.tree.some(({ path }) => path === '/after');
      if (!isThere) throw new Error('the new file is not there');
    } catch (error) {
      throw new Error(`after recovery: ${message(error)}`);
    }
  }

  /** The recovery itself is cut; the next one must come to the same. */
  #cutAgain(world: RecordingWorld, mounted: number, found: Map<string, Contents>): void {
    const { prng, counts } = this.#options;
    const positions = world.cutPositions().filter((position) => position <= mounted);
    for (let round = 0; round < 3; round++) {
      counts.nested++;
      const position = prng.pick(positions);
      const cut = world.cutAt(position);
      const variants = variantsOf(cut, prng, 3);
      const variant = prng.pick(variants);
      try {
        this.#compare(this.#mount(cut.materialise(variant)), found);
      } catch (error) {
        throw new Error(
          `recovery cut at ${position} of ${mounted}, ${variant.label}: ${message(error)}`,
        );
      }
    }
  }
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** In words, from the allowed contents that are nearest: the last. */
function differenceOf(actual: Contents, allowed: readonly Contents[]): string {
  const wanted = allowed.at(-1) as Contents;
  const names = (contents: Contents) => [...contents.snapshots.keys()].sort().join(' ');
  const texts = [`none of ${allowed.length} allowed states`];
  if (names(actual) !== names(wanted))
    texts.push(`snapshots ${names(actual)}, not ${names(wanted)}`);
  const difference = firstDifference(actual.tree, wanted.tree);
  if (difference !== undefined) texts.push(difference);
  for (const [name, tree] of actual.snapshots) {
    const other = firstDifference(tree, wanted.snapshots.get(name) ?? []);
    if (other !== undefined) texts.push(`snapshot ${name}: ${other}`);
  }
  return texts.join('; ');
}
