// One crash point: a state in which a crash can leave the devices is built, mounted, compared with
// the states that there were, and verified. Sometimes the recovery is cut in turn, up to three
// deep, and must come to the same.

import { SECTOR_SIZE } from '../../assembly/layout/block.ts';
import { isEqualBytes } from '../../host/base/bytes.ts';
import { isStorageError } from '../../host/base/errors.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import { type Fate, KEEP } from '../../host/device/crash.ts';
import type { SparseBytes } from '../../host/device/sparse-bytes.ts';
import type { Engine } from '../../host/volume/engine.ts';
import { firstDifference } from '../oracle/tree.ts';
import { type Contents, contentsOf, digestOf, letGo, mount, problemOf } from '../world/engine.ts';
import { type Cut, type Devices, RecordingWorld, type Variant } from '../world/recorder.ts';
import { Adversary, type Victims } from './adversary.ts';
import type { FaultCounts, FaultName } from './faults.ts';
import { Version } from './model.ts';
import type { SimSetup } from './setup.ts';

/** A crash after which something is wrong. */
export class Violation extends Error {}

export interface Crash {
  readonly label: string;
  readonly devices: Devices;
  /** Records the recovery. */
  readonly world: RecordingWorld;
  /** What was written and not flushed is there, and can be lost yet. */
  readonly isProcessDeath: boolean;
}

/** Draws what becomes of the writes that no flush has covered. `images`: of devices that are back
 *  with old contents. */
export function crashOf(
  cut: Cut,
  prng: SeededPrng,
  how: { faults: FaultCounts; images?: ReadonlyMap<string, SparseBytes> | undefined },
): Crash {
  const world = new RecordingWorld();
  const { faults, images = new Map<string, SparseBytes>() } = how;
  const kind = prng.below(12);
  const [kept, ...others] = [...cut.variants(prng, { randomCount: 0 })] as [Variant];
  if (kind === 0) {
    faults.note('process death');
    const devices = cut.materialise(kept, { world, images, isProcessDeath: true });
    return { label: 'process death', devices, world, isProcessDeath: true };
  }
  const isRandom = kind < 7 || others.length === 0;
  const variant = withoutIdle(cut, isRandom ? cut.random(prng) : prng.pick<Variant>(others));
  noteFates(cut, variant, faults);
  const devices = cut.materialise(variant, { world, images });
  return { label: variant.label, devices, world, isProcessDeath: false };
}

/** A write that a sync call has overtaken, and that lands late, gives sectors the bytes that they
 *  have: it changes nothing (ENGINE 5 counts on that). */
function withoutIdle(cut: Cut, variant: Variant): Variant {
  const fates = cut.writes.map(({ deviceName, write }, index) => {
    const bytes = new Uint8Array(write.bytes.length);
    cut.durableImage(deviceName)?.read(write.offsetBytes, bytes);
    return isEqualBytes(bytes, write.bytes) ? KEEP : (variant.fates[index] as Fate);
  });
  return { label: variant.label, fates };
}

const TORN = new Map<Fate['kind'], FaultName>([
  ['keep', 'write kept'],
  ['drop', 'write dropped'],
  ['prefix', 'write torn: prefix'],
  ['suffix', 'write torn: suffix'],
  ['mixture', 'write torn: mixture'],
  ['zeros', 'write torn: zeros'],
]);

function noteFates(cut: Cut, { fates }: Variant, faults: FaultCounts): void {
  const dropped = new Set<string>();
  let isReordered = false;
  cut.writes.forEach(({ deviceName }, index) => {
    const fate = fates[index] as Fate;
    faults.note(TORN.get(fate.kind) as FaultName);
    if (fate.kind === 'drop') dropped.add(deviceName);
    else isReordered ||= dropped.has(deviceName);
    const isInSector = 'sectors' in fate && fate.sectors % SECTOR_SIZE !== 0;
    if (deviceName.startsWith('log') && isInSector) faults.note('log torn within a sector');
  });
  if (isReordered) faults.note('write reordered');
}

/** What a recovery came to; and what the next one may come to if this one does not reach its
 *  end. */
export interface Found {
  readonly base: Version;
  readonly before: ReadonlyMap<string, Version>;
}

export interface CheckCounts {
  crashPoints: number;
  mounts: number;
  replayed: number;
  nested: number;
}

export interface CheckParts {
  readonly setup: SimSetup;
  readonly prng: SeededPrng;
  readonly counts: CheckCounts;
  readonly faults: FaultCounts;
  readonly victims: Victims;
}

type Mountable = ReturnType<Adversary['strike']>['devices'];

const DEPTHS: readonly FaultName[] = [
  'recovery cut, once',
  'recovery cut, twice',
  'recovery cut, three times',
];

export class CrashCheck {
  readonly #parts: CheckParts;
  readonly #adversary: Adversary;

  constructor(parts: CheckParts) {
    this.#parts = parts;
    this.#adversary = new Adversary(parts.prng.fork(), parts.faults);
  }

  /** Gives the state that was found, to go on from. */
  check(crash: Crash, allowed: ReadonlyMap<string, Version>, depth = 0): Found {
    const { prng, victims } = this.#parts;
    const { devices, said } = this.#adversary.strike(crash.devices, victims);
    try {
      if (prng.chance(0.08)) this.#read(crash, devices, allowed);
      return this.#checkStruck(crash, devices, allowed, depth);
    } catch (error) {
      if (said === '') throw error;
      throw new Violation(`${said}: ${(error as Error).message}`, { cause: error });
    }
  }

  #checkStruck(
    crash: Crash,
    devices: Mountable,
    allowed: ReadonlyMap<string, Version>,
    depth: number,
  ): Found {
    const { prng, counts, victims } = this.#parts;
    const { world, isProcessDeath } = crash;
    const begun = world.position;
    const engine = this.#mount(devices, false);
    const { contents, version } = this.#compare(engine, allowed);
    const problem = runSync(problemOf(engine));
    if (problem !== undefined) throw new Violation(problem);
    const recovered = world.position;
    letGo(engine);
    counts.crashPoints++;
    // The next recovery comes to the same. But what nobody was answered for may stand on a victim
    // alone, which can be gone by then; and where only the process died, it may not be durable.
    const isFinal = !isProcessDeath && victims.disk === undefined && victims.log === undefined;
    const found = new Map([[digestOf(contents), version]]);
    const before = isFinal ? found : allowed;
    if (depth < DEPTHS.length && prng.chance(depth === 0 ? 0.08 : 0.4)) {
      const span = { begun, recovered };
      this.#cutRecovery(world, span, before, depth);
    }
    return { base: foundVersion(version, contents), before };
  }

  #compare(
    engine: Engine,
    allowed: ReadonlyMap<string, Version>,
  ): { contents: Contents; version: Version } {
    const contents = runSync(contentsOf(engine));
    const version = allowed.get(digestOf(contents));
    if (version === undefined) throw new Violation(differenceOf(contents, [...allowed.values()]));
    return { contents, version };
  }

  /** A reader sees the same, and changes nothing. */
  #read(crash: Crash, devices: Mountable, allowed: ReadonlyMap<string, Version>): void {
    const { position } = crash.world;
    const engine = this.#mount(devices, true);
    this.#compare(engine, allowed);
    letGo(engine);
    if (crash.world.position !== position) throw new Violation('a reader wrote');
    this.#parts.faults.note('reader');
  }

  #mount(devices: Mountable, readOnly: boolean): Engine {
    const { setup, counts, faults, victims } = this.#parts;
    counts.mounts++;
    const { arenaBytes } = setup;
    const open = ({ disks, nvrams }: Mountable) =>
      runSync(mount({ disks, nvrams }, { arena: 'cut', arenaBytes, readOnly }));
    let engine: Engine;
    try {
      engine = open(devices);
    } catch (error) {
      // A disk that is back as it was may be shorter than what was written to it: that is refused,
      // by name, and without it the volume is there.
      const isShort = isStorageError(error, 'DISK_TRUNCATED');
      if (!isShort || error.detail?.['disk'] !== victims.disk) throw error;
      faults.note('disk: too short, refused');
      const disks = devices.disks.filter(({ name }) => name !== victims.disk);
      engine = open({ ...devices, disks });
    }
    counts.replayed += engine.replay.appliedCount;
    return engine;
  }

  #cutRecovery(
    world: RecordingWorld,
    { begun, recovered }: { begun: number; recovered: number },
    found: ReadonlyMap<string, Version>,
    depth: number,
  ): void {
    const { prng, counts, faults } = this.#parts;
    counts.nested++;
    faults.note(DEPTHS[depth] as FaultName);
    const positions = world.cutPositions(begun).filter((position) => position < recovered);
    if (positions.length === 0) return;
    const cut = world.cutAt(prng.pick(positions));
    const crash = crashOf(cut, prng, { faults });
    try {
      this.check(crash, found, depth + 1);
    } catch (error) {
      const where = `recovery ${depth + 1} cut at ${cut.position} of ${recovered}`;
      const text = `${where} (${crash.label}): ${(error as Error).message}`;
      throw new Violation(text, { cause: error });
    }
  }
}

/** The state without the snapshots that were lost. */
export function foundVersion(version: Version, contents: Contents): Version {
  const names = new Set([...contents.snapshots.keys()].map((name) => name.split(' ')[0]));
  const kept = [...version.snapshots].filter(([name]) => names.has(name));
  return new Version(0, version.model, new Map(kept));
}

/** In words, from the newest state allowed. */
export function differenceOf(actual: Contents, allowed: readonly Version[]): string {
  const wanted = (allowed.at(-1) as Version).contents;
  const names = (contents: Contents) => [...contents.snapshots.keys()].sort().join(', ');
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
