// Random histories of changes, snapshots, deletions, rollbacks, remounts and crashes, compared
// with a model that keeps a copy of the tree for each snapshot, and with a brute-force walk of
// all pointers. A snapshot that changes, or a block lost or leaked by the snapshot tree's rules,
// is the worst there is.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isFsError } from '../../host/base/errors.ts';
import { below, chance, pick, SeededPrng } from '../../host/base/prng.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';
import { compare } from '../oracle/tree.ts';
import { makeWorkload, Session } from '../oracle/workload.ts';
import { World } from './small-world.ts';

const test = suite('snapshots against the model');

interface Kept {
  readonly name: string;
  readonly model: ModelFileSystem;
  holds: number;
}

/** One random history. */
class Story {
  readonly #seed: number;
  readonly #prng: SeededPrng;
  readonly #world: World;
  #model: ModelFileSystem;
  #sessions: { real: Session; model: Session };
  #kept: Kept[] = [];
  #count = 0;
  #step = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.#prng = new SeededPrng(seed);
    const geometry = pick(this.#prng, [
      { columns: 1, stripes: 16384 },
      { columns: 5, stripes: 3000 },
      { columns: 1, stripes: 120_000 },
      { columns: 3, stripes: 40_000 },
    ]);
    this.#world = new World({ ...geometry, seed, hasLog: chance(this.#prng, 0.7) });
    this.#model = new ModelFileSystem({ now: this.#world.now });
    this.#sessions = this.#newSessions();
  }

  #newSessions() {
    return { real: new Session(this.#world.operations), model: new Session(this.#model) };
  }

  get #where(): string {
    return `seed ${this.#seed}, step ${this.#step}`;
  }

  run(steps: number): void {
    const next = makeWorkload(this.#prng, { writeSizeMax: 60_000, sparse: this.#seed % 2 === 0 });
    const weight = 0.02 + 0.02 * below(this.#prng, 8);
    for (this.#step = 0; this.#step < steps; this.#step++) {
      this.#world.ticks++;
      if (chance(this.#prng, weight)) this.#snapshotStep();
      else {
        const request = next();
        const expected = this.#sessions.model.apply(request).driveSync();
        const actual = this.#sessions.real.apply(request).driveSync();
        assert.equal(actual, expected, `${this.#where}: ${JSON.stringify(request)}`);
      }
      if (chance(this.#prng, 0.03)) this.#world.cp(chance(this.#prng, 0.5));
      if (chance(this.#prng, 0.01)) this.#mountAgain();
      if (chance(this.#prng, 0.01)) this.#check();
    }
    this.#check();
    this.#world.settle();
    this.#check();
    for (const { name, holds } of this.#kept) {
      for (let i = 0; i < holds; i++) this.#world.hold(name, -1).driveSync();
      this.#world.delete(name).driveSync();
    }
    this.#kept = [];
    this.#world.settle();
    this.#check();
    const { snapshots, summaryCount } = this.#world.accounts();
    assert.is(snapshots.length, 0, this.#where);
    assert.ok(summaryCount < 40, `${this.#where}: ${summaryCount} blocks are held by volume files`);
  }

  #snapshotStep(): void {
    const prng = this.#prng;
    const world = this.#world;
    const one = this.#kept.length === 0 ? undefined : pick(prng, this.#kept);
    const what = below(prng, 10);
    if (one === undefined || what < 4) {
      const name = `s${this.#count++}`;
      // With nothing dirty it is one log record, else a CP.
      if (chance(prng, 0.5)) world.cp();
      world.create(name).driveSync();
      // An unlinked open file is in the image, but has no name there.
      this.#kept.push({ name, model: this.#model.clone({ isReadOnly: true }), holds: 0 });
    } else if (what < 7) {
      this.#delete(one);
    } else if (what === 7) {
      const change = one.holds > 0 && chance(prng, 0.5) ? -1 : 1;
      world.hold(one.name, change).driveSync();
      one.holds += change;
    } else {
      world.rollback(one.name).driveSync();
      this.#model = one.model.clone({ isReadOnly: false });
      this.#sessions = this.#newSessions();
    }
  }

  #delete(one: Kept): void {
    const task = this.#world.delete(one.name);
    if (one.holds > 0) {
      assert.throws(
        () => task.driveSync(),
        (error: unknown) => isFsError(error) && error.code === 'EBUSY',
      );
      return;
    }
    task.driveSync();
    this.#kept = this.#kept.filter((other) => other !== one);
    // Sometimes all of it at once; else slice by slice with the CPs that come.
    if (chance(this.#prng, 0.3)) this.#world.settle();
  }

  #mountAgain(): void {
    const { core } = this.#world;
    // Without a log a crash loses what no CP has.
    if (core.log !== undefined && chance(this.#prng, 0.6)) this.#world.crash();
    else this.#world.remount();
    this.#model = this.#model.clone();
    this.#sessions = this.#newSessions();
  }

  #check(): void {
    const world = this.#world;
    const { operations } = world;
    assert.is(compare(operations, this.#model).driveSync(), undefined, this.#where);
    const names = world.snapshots.list().map(({ name }) => name);
    assert.equal(
      names,
      this.#kept.map(({ name }) => name),
      this.#where,
    );
    for (const { name, model } of this.#kept) {
      const difference = compare(world.at(name), model).driveSync();
      assert.is(difference, undefined, `${this.#where}, snapshot ${name}`);
    }
    world.cp();
    assert.equal(world.accounts().problems, [], this.#where);
  }
}

const first = Number(process.env['SEED'] ?? 1);
const seeds = Number(process.env['SEEDS'] ?? 10);
for (let seed = first; seed < first + seeds; seed++) {
  test(`[I-2, I-6] seed ${seed}: every snapshot stays, and no block is lost or leaked`, () => {
    new Story(seed).run(600);
  });
}

test.run();
