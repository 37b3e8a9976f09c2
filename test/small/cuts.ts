// Runs a workload, beside its model, and cuts it: what the next mount finds must be what was there
// before or after the operation under way, and nothing may be wrong with it.

import { firstDifference } from '../oracle/tree.ts';
import { Crashes, Recording, type Tearing } from '../world/crashes.ts';
import type { Contents } from '../world/engine.ts';
import { digestOf } from '../world/engine.ts';
import { Blocks, type Image, Reads } from '../world/images.ts';
import { Verdicts } from '../world/verdicts.ts';
import { type Operation, say } from './alphabet.ts';
import { type SetupName, SmallVolume, type Verdict } from './volume.ts';

export interface Counts {
  workloads: number;
  /** Crashes tried. */
  cuts: number;
  /** Of these: mounted. The others agree with one of these in all that it read. */
  mounts: number;
}

export function newCounts(): Counts {
  return { workloads: 0, cuts: 0, mounts: 0 };
}

/** A crash after which something is wrong, or a call that gave something else than the model. */
export class Violation extends Error {}

/** A part of a recording, and what may be there after a crash in it. */
interface Phase {
  readonly from: number;
  readonly to: number;
  readonly allowed: ReadonlyMap<string, Contents>;
  readonly name: string;
}

export interface CutOptions {
  readonly counts: Counts;
  readonly tearing: Tearing;
  /** The first operation that is cut; those before it are of workloads that were cut before. */
  readonly cutFrom: number;
  /** The mount is cut too. */
  readonly cutsMount?: boolean;
}

/** Workloads on one setup. What is known of images is kept for workloads that begin alike. */
export class SmallWorld {
  readonly volume: SmallVolume;
  #blocks: Blocks;
  #verdicts!: Verdicts<Verdict>;

  constructor(setup: SetupName) {
    this.volume = new SmallVolume(setup);
    this.#blocks = this.volume.blocks;
    this.forget();
  }

  /** Blocks that were seen since the last `forget`. */
  get blocks(): Blocks {
    return this.#blocks;
  }

  /** Workloads that begin in another way follow. */
  forget(): void {
    const { setup } = this.volume;
    this.#blocks = new Blocks(this.volume.blocks);
    this.#verdicts = new Verdicts(this.volume.images.map((_, i) => i >= setup.diskCount));
  }

  /** @throws Violation */
  run(operations: readonly Operation[], options: CutOptions): void {
    options.counts.workloads++;
    const recording = new Recording();
    const phases = this.#perform(operations, recording, options);
    const crashes = new Crashes(this.volume.images, recording.events, this.#blocks);
    for (const { from, to, allowed, name } of phases) {
      for (const { images, label } of crashes.between(from, to, options.tearing)) {
        options.counts.cuts++;
        const verdict = this.judge(images, options.counts);
        if (verdict.problem === undefined && allowed.has(verdict.digest)) continue;
        throw new Violation(`${name}, cut ${label()}: ${this.#explain(images, verdict, allowed)}`);
      }
    }
  }

  #perform(
    operations: readonly Operation[],
    recording: Recording,
    options: CutOptions,
  ): readonly Phase[] {
    const { engine, model, clock } = this.volume.begin(recording);
    const phases: Phase[] = [];
    let before = model.contents();
    let digest = digestOf(before);
    if (options.cutsMount === true) {
      const allowed = new Map([[digest, before]]);
      phases.push({ from: 0, to: recording.events.length, allowed, name: 'mount' });
    }
    const all: readonly Operation[] = [...operations, { op: 'reclaim' }];
    all.forEach((operation, index) => {
      clock.ticks++;
      const from = recording.events.length;
      const [found, wanted] = [engine.apply(operation), model.apply(operation)];
      const name = `${all
        .slice(0, index + 1)
        .map(say)
        .join(' ')}`;
      if (JSON.stringify(found) !== JSON.stringify(wanted)) {
        const [a, b] = [JSON.stringify(found), JSON.stringify(wanted)];
        throw new Violation(`${name}: gave ${a}, the model ${b}`);
      }
      const after = model.contents();
      const next = digestOf(after);
      const allowed = new Map([
        [digest, before],
        [next, after],
      ]);
      [before, digest] = [after, next];
      const to = recording.events.length;
      if (index >= options.cutFrom) phases.push({ from, to, allowed, name });
    });
    // Everything is answered: nothing but the end is allowed.
    const to = recording.events.length;
    phases.push({ from: to, to, allowed: new Map([[digest, before]]), name: 'the end' });
    engine.retire();
    return phases;
  }

  /** What comes of an image, mounted where that is not known. */
  judge(images: readonly Image[], counts: Counts): Verdict {
    const known = this.#verdicts.find(images);
    if (known !== undefined) return known;
    counts.mounts++;
    const reads = new Reads();
    const verdict = this.volume.judge(images, reads, false);
    this.#verdicts.note(images, reads.places, verdict);
    return verdict;
  }

  /** In words, from the last of the allowed states. */
  #explain(
    images: readonly Image[],
    verdict: Verdict,
    allowed: ReadonlyMap<string, Contents>,
  ): string {
    if (verdict.problem !== undefined) return verdict.problem;
    const { contents, engine } = this.volume.recover(images);
    engine.retire();
    const wanted = [...allowed.values()].at(-1) as Contents;
    const names = (of: Contents) => [...of.snapshots.keys()].sort().join(' ');
    const texts = [`none of ${allowed.size} allowed states`];
    if (names(contents) !== names(wanted)) {
      texts.push(`snapshots '${names(contents)}', not '${names(wanted)}'`);
    }
    texts.push(firstDifference(contents.tree, wanted.tree) ?? '');
    for (const [name, tree] of contents.snapshots) {
      const difference = firstDifference(tree, wanted.snapshots.get(name) ?? []);
      if (difference !== undefined) texts.push(`snapshot ${name}: ${difference}`);
    }
    return texts.join('; ');
  }
}
