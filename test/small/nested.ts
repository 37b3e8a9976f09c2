// Crashes in recovery from crashes, some deep: what the first crash left is mounted, the mount is
// cut after each of its writes, what that left is mounted, and so on. Whatever the depth, there
// must be what the first mount found.

import { Crashes, Recording } from '../world/crashes.ts';
import type { Image } from '../world/images.ts';
import type { Operation } from './alphabet.ts';
import { type Counts, SmallWorld, Violation } from './cuts.ts';
import type { SetupName, Verdict } from './volume.ts';

export interface NestedCounts extends Counts {
  /** Crashes that stood so deep: the first is one in the recovery from a workload's. */
  readonly byDepth: number[];
}

export function newNestedCounts(): NestedCounts {
  return { workloads: 0, cuts: 0, mounts: 0, byDepth: [] };
}

export interface NestedOptions {
  readonly counts: NestedCounts;
  readonly depth: number;
  /** Of the images that a crash of one mount leaves, how many are gone into. */
  readonly width: number;
}

export class NestedCrashes {
  readonly #world: SmallWorld;
  readonly #options: NestedOptions;

  constructor(setup: SetupName, options: NestedOptions) {
    this.#world = new SmallWorld(setup);
    this.#options = options;
  }

  /** Crashes after the operations, as they are: all answered, nothing committed since.
   *  @throws Violation */
  run(operations: readonly Operation[]): void {
    this.#options.counts.workloads++;
    this.#world.forget();
    const { volume, blocks } = this.#world;
    const recording = new Recording();
    const { engine, clock } = volume.begin(recording);
    for (const operation of operations) {
      clock.ticks++;
      engine.apply(operation);
    }
    engine.retire();
    const { events } = recording;
    const crashes = new Crashes(volume.images, events, blocks);
    for (const { images } of crashes.between(events.length, events.length, 'none')) {
      this.#cutRecovery(images, this.#judge(images), ['the end']);
    }
  }

  #cutRecovery(images: readonly Image[], wanted: Verdict, path: readonly string[]): void {
    const { counts, depth, width } = this.#options;
    const where = path.join('; recovery cut ');
    if (wanted.problem !== undefined) throw new Violation(`${where}: ${wanted.problem}`);
    if (path.length > depth) return;
    const recorder = new Recording();
    this.#world.volume.recover(images, { recorder }).engine.retire();
    const { events } = recorder;
    const crashes = new Crashes(images, events, this.#world.blocks);
    const deeper: { images: readonly Image[]; label: string }[] = [];
    for (const { images: left, label } of crashes.between(0, events.length, 'few')) {
      counts.cuts++;
      counts.byDepth[path.length - 1] = (counts.byDepth[path.length - 1] ?? 0) + 1;
      const mountsBefore = counts.mounts;
      const verdict = this.#judge(left);
      if (verdict.problem !== undefined || verdict.digest !== wanted.digest) {
        throw new Violation(
          `${where}; recovery cut ${label()}: ${verdict.problem ?? 'other contents'}`,
        );
      }
      // What agrees with another one goes the same way from here on.
      if (counts.mounts > mountsBefore) deeper.push({ images: left, label: label() });
    }
    const step = Math.max(1, deeper.length / width);
    for (let at = 0; at < deeper.length; at += step) {
      const next = deeper[Math.floor(at)] as (typeof deeper)[number];
      this.#cutRecovery(next.images, wanted, [...path, next.label]);
    }
  }

  #judge(images: readonly Image[]): Verdict {
    return this.#world.judge(images, this.#options.counts);
  }
}
