// One crash point: a state in which a crash can leave the devices is built, mounted, compared with
// the states that there were, and verified. Sometimes the recovery is cut in turn, up to three
// deep, and must come to the same.

import type { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import type { Engine } from '../../host/volume/engine.ts';
import { firstDifference } from '../oracle/tree.ts';
import { type Contents, contentsOf, digestOf, letGo, mount, problemOf } from '../world/engine.ts';
import { type Cut, type Devices, RecordingWorld, type Variant } from '../world/recorder.ts';
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

/** Draws what becomes of the writes that no flush has covered. */
export function crashOf(cut: Cut, prng: SeededPrng): Crash {
  const world = new RecordingWorld();
  const kind = prng.below(12);
  if (kind === 0) {
    const [kept] = [...cut.variants(prng, { randomCount: 0 })] as [Variant];
    const devices = cut.materialise(kept, { world, isProcessDeath: true });
    return { label: 'process death', devices, world, isProcessDeath: true };
  }
  const variant = kind < 7 ? cut.random(prng) : pickVariant(cut, prng);
  const devices = cut.materialise(variant, { world });
  return { label: variant.label, devices, world, isProcessDeath: false };
}

function pickVariant(cut: Cut, prng: SeededPrng): Variant {
  return prng.pick([...cut.variants(prng, { randomCount: 0 })]);
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

export class CrashCheck {
  readonly #setup: SimSetup;
  readonly #prng: SeededPrng;
  readonly #counts: CheckCounts;

  constructor(setup: SimSetup, prng: SeededPrng, counts: CheckCounts) {
    this.#setup = setup;
    this.#prng = prng;
    this.#counts = counts;
  }

  /** Gives the state that was found, to go on from. */
  check(crash: Crash, allowed: ReadonlyMap<string, Version>, depth = 0): Found {
    const { devices, world, isProcessDeath } = crash;
    const begun = world.position;
    const engine = this.#mount(devices);
    const contents = runSync(contentsOf(engine));
    const version = allowed.get(digestOf(contents));
    if (version === undefined) {
      throw new Violation(differenceOf(contents, [...allowed.values()]));
    }
    const problem = runSync(problemOf(engine));
    if (problem !== undefined) throw new Violation(problem);
    const recovered = world.position;
    letGo(engine);
    this.#counts.crashPoints++;
    const found = new Map([[digestOf(contents), version]]);
    if (depth < 3 && this.#prng.chance(depth === 0 ? 0.08 : 0.4)) {
      const span = { begun, recovered };
      this.#cutRecovery(world, span, isProcessDeath ? allowed : found, depth + 1);
    }
    return { base: foundVersion(version, contents), before: isProcessDeath ? allowed : found };
  }

  #mount({ disks, nvrams }: Devices): Engine {
    this.#counts.mounts++;
    const { arenaBytes } = this.#setup;
    const engine = runSync(mount({ disks, nvrams }, { arena: 'cut', arenaBytes }));
    this.#counts.replayed += engine.replay.appliedCount;
    return engine;
  }

  #cutRecovery(
    world: RecordingWorld,
    span: { begun: number; recovered: number },
    found: ReadonlyMap<string, Version>,
    depth: number,
  ): void {
    this.#counts.nested++;
    const { begun, recovered } = span;
    const positions = world.cutPositions(begun).filter((position) => position < recovered);
    const cut = world.cutAt(this.#prng.pick(positions));
    const crash = crashOf(cut, this.#prng);
    try {
      this.check(crash, found, depth);
    } catch (error) {
      const where = `recovery ${depth} cut at ${cut.position} of ${recovered}`;
      throw new Violation(`${where} (${crash.label}): ${(error as Error).message}`, {
        cause: error,
      });
    }
  }
}

/** The state without the snapshots that were lost. */
function foundVersion(version: Version, contents: Contents): Version {
  const names = new Set([...contents.snapshots.keys()].map((name) => name.split(' ')[0]));
  const kept = [...version.snapshots].filter(([name]) => names.has(name));
  return new Version(0, version.model, new Map(kept));
}

/** In words, from the newest state allowed. */
function differenceOf(actual: Contents, allowed: readonly Version[]): string {
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
