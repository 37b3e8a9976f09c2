// Random histories of calls, CPs, snapshots, deletions, rollbacks and remounts: verify finds
// nothing wrong at any point, and its counts are right. If it cried wolf, nobody would believe it;
// and each of these runs is a check of the engine's own bookkeeping.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { below, chance, pick, SeededPrng } from '../../host/base/prng.ts';
import { runSync, Task } from '../../host/base/task.ts';
import { FileSystem } from '../../host/filesystem/file-system.ts';
import { ImageOperations } from '../../host/filesystem/image-operations.ts';
import { rollBack } from '../../host/filesystem/rollback.ts';
import { deletionEndOf } from '../../host/filesystem/snapshot-deletion.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import { type VerifyReport, verify } from '../../host/filesystem/verify/verify.ts';
import { makeWorkload, Session } from '../oracle/workload.ts';
import { BlockStore, testParts } from './memory-volume.ts';

const test = suite('verify of sound volumes');

const GEOMETRIES = [
  { columns: 1, stripes: 16384, arenaBytes: 8 << 20 },
  { columns: 5, stripes: 4000, arenaBytes: 8 << 20 },
  { columns: 3, stripes: 90000, arenaBytes: 16 << 20 },
] as const;

function expectSound(report: VerifyReport, where: string): void {
  const text = report.problems.map((p) => `${p.kind}: ${p.message} ${p.path ?? ''}`).join('\n');
  assert.is(report.problemCount, 0, `${where}\n${text}`);
}

/** One history: what it does between two calls. */
class History {
  readonly prng: SeededPrng;
  readonly store = new BlockStore();
  readonly #geometry: (typeof GEOMETRIES)[number];
  readonly #seed: number;
  fs: FileSystem;
  session: Session;
  #snapshots = 0;

  constructor(seed: number) {
    this.#seed = seed;
    this.prng = new SeededPrng(seed);
    this.#geometry = GEOMETRIES[seed % GEOMETRIES.length] as (typeof GEOMETRIES)[number];
    this.fs = runSync(FileSystem.format(this.#parts()));
    this.session = this.#start();
  }

  #parts() {
    return testParts({ store: this.store, ...this.#geometry, seed: this.#seed }).parts;
  }

  #start(): Session {
    this.fs.start();
    const { fs } = this;
    return new Session(new ImageOperations(fs, () => fs.core.image, false));
  }

  remount(): void {
    runSync(this.fs.close());
    this.fs = runSync(FileSystem.mount(this.#parts()));
    this.session = this.#start();
  }

  /** Something that changes more than one file. */
  disturb(): void {
    const snapshots = new SnapshotOperations(this.fs);
    const names = snapshots.list().map(({ name }) => name);
    switch (below(this.prng, 8)) {
      case 0:
      case 1:
        runSync(snapshots.create(`s${this.#snapshots++}`));
        break;
      case 2:
        if (names.length > 2) runSync(snapshots.delete(pick(this.prng, names)));
        break;
      case 3:
        if (names.length === 0) break;
        runSync(rollBack(this.fs, pick(this.prng, names)));
        this.session = this.#start();
        break;
      case 4:
        this.remount();
        break;
      default:
        this.fs.requestCp(chance(this.prng, 0.5))?.driveSync();
    }
  }
}

function story(seed: number, count: number): void {
  const history = new History(seed);
  const options = { writeSizeMax: 100_000, sparse: seed % 2 === 0 };
  const next = makeWorkload(history.prng, options);
  for (let step = 0; step < count; step++) {
    history.session.apply(next()).driveSync();
    if (chance(history.prng, 1 / 25)) history.disturb();
    if (!chance(history.prng, 1 / 150)) continue;
    const readData = chance(history.prng, 0.5);
    expectSound(runSync(verify(history.fs, { readData })), `seed ${seed}, step ${step}`);
  }
  history.remount();
  expectSound(runSync(verify(history.fs)), `seed ${seed}, at the end`);
}

const first = Number(process.env['SEED'] ?? 1);
const seeds = Number(process.env['SEEDS'] ?? 9);
for (let seed = first; seed < first + seeds; seed++) {
  test(`seed ${seed}: a history without damage has no problems`, () => story(seed, 900));
}

test('counts files, directories, links; data is read once, however many snapshots have it', () => {
  const history = new History(4);
  const operations = new ImageOperations(history.fs, () => history.fs.core.image, false);
  const session = new Session(operations);
  for (const path of ['/d', '/d/e']) session.apply({ op: 'mkdir', path, mode: 0o755 }).driveSync();
  session.apply({ op: 'symlink', content: 'target', path: '/d/link' }).driveSync();
  const report = runSync(verify(history.fs));
  expectSound(report, 'small');
  assert.is(report.directoryCount, 3);
  assert.is(report.symlinkCount, 1);
  assert.is(report.inodeCount, 4);
});

test('while a snapshot is being deleted, map block by map block', () => {
  const store = new BlockStore();
  // One column takes more than a map block: a little data reaches many of them.
  const { parts } = testParts({ store, stripes: 40_000, columns: 14, seed: 2 });
  const fs = runSync(FileSystem.format(parts));
  fs.start();
  const session = new Session(new ImageOperations(fs, () => fs.core.image, false));
  const snapshots = new SnapshotOperations(fs);
  const options = { read: true, write: true, create: true, truncate: true, mode: 0o644 };
  for (const seed of [1, 2]) {
    for (let file = 0; file < 6; file++) {
      const data = { length: 900_000, seed };
      session.apply({ op: 'writeFile', path: `/f${file}`, data, options }).driveSync();
    }
    runSync(snapshots.create(`s${seed}`));
  }
  runSync(snapshots.delete('s1'));
  fs.requestCp(true)?.driveSync();
  const { deleting, deleteCursor } = fs.core.state;
  assert.is(deleting, 1);
  assert.ok(deleteCursor > 0 && deleteCursor < deletionEndOf(fs.core), `cursor ${deleteCursor}`);
  fs.isQuiet = true;
  expectSound(runSync(verify(fs)), `cursor ${deleteCursor}`);
});

test('runs beside calls: they wait, and go on', async () => {
  const store = new BlockStore();
  const made = testParts({ store, stripes: 8192, isAsync: true, seed: 3 });
  const fs = await new Task(FileSystem.format(made.parts)).promise();
  fs.start();
  const session = new Session(new ImageOperations(fs, () => fs.core.image, false));
  const next = makeWorkload(new SeededPrng(3));
  for (let step = 0; step < 100; step++) await session.apply(next()).promise();
  const progress: number[] = [];
  const running = new Task(verify(fs, { onProgress: (done) => progress.push(done) })).promise();
  const calls: Promise<unknown>[] = [];
  for (let step = 0; step < 100; step++) calls.push(session.apply(next()).promise());
  const report = await running;
  expectSound(report, 'beside calls');
  assert.ok(progress.length > 0);
  await Promise.all(calls);
  expectSound(await new Task(verify(fs)).promise(), 'after them');
});

test('stops where it is asked to, and the file system goes on', () => {
  const history = new History(5);
  const next = makeWorkload(history.prng);
  for (let step = 0; step < 50; step++) history.session.apply(next()).driveSync();
  const stop = new Error('stop');
  const signal = {
    throwIfAborted() {
      throw stop;
    },
  };
  assert.throws(
    () => runSync(verify(history.fs, { signal })),
    (error: unknown) => error === stop,
  );
  for (let step = 0; step < 50; step++) history.session.apply(next()).driveSync();
  expectSound(runSync(verify(history.fs)), 'afterwards');
});

test.run();
