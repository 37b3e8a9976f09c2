// Random CPs are cut at every device event, each time with random fates (kept, dropped, torn) for
// all writes that no flush covered; every cut is mounted, with all disks and with one fewer.
// Nothing live may be lost, nor may a disk lost after the mount take anything along: the write
// hole is closed.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { SeededPrng } from '../../host/base/prng.ts';
import type { DeviceObserver } from '../../host/device/memory-device.ts';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { RaidVolume } from '../../host/raid/raid-volume.ts';
import { cpOf, format, Model, newDisks, open, readBlocks, testSeed } from './helpers.ts';

const SEED = testSeed();

/** Calls `cut` at every event of every disk while `isArmed`. */
class Cutter implements DeviceObserver {
  isArmed = false;
  events = 0;
  cut: (event: number) => void = () => {};

  writeStarted(): void {
    this.#event();
  }

  writeCompleted(): void {
    this.#event();
  }

  flushed(): void {
    this.#event();
  }

  #event(): void {
    if (!this.isArmed) return;
    this.isArmed = false;
    this.cut(this.events++);
    this.isArmed = true;
  }
}

interface Totals {
  cuts: number;
  replayed: number;
  nested: number;
}

/** All that must be there: one of two images, and what was flushed on top of the older one. */
function check(volume: RaidVolume, model: Model, where: string): void {
  const cp = cpOf(volume);
  const image = model.images.get(cp);
  assert.ok(image !== undefined && cp >= model.cp, `${where}: CP ${cp}, committed ${model.cp}`);
  assert.equal(readBlocks(volume, image), [], `${where}: lost blocks of CP ${cp}`);
  if (cp === model.cp)
    assert.equal(readBlocks(volume, model.flushed), [], `${where}: lost what was flushed`);
}

function without<T>(list: readonly T[], index: number): T[] {
  return list.filter((_, other) => other !== index);
}

/** Crashes, mounts, checks; then each way of losing one disk more. */
function crashAndCheck(
  disks: readonly MemoryDisk[],
  how: { model: Model; prng: SeededPrng; isRedundant: boolean; where: string; totals: Totals },
): void {
  const { model, prng, isRedundant, where, totals } = how;
  totals.cuts++;
  const crash = (list: readonly MemoryDisk[], observer?: DeviceObserver) =>
    list.map((disk) => disk.crash(prng, observer === undefined ? {} : { observer }));
  const crashed = crash(disks);
  const lost = prng.below(disks.length);
  check(
    open(
      crashed.map((disk) => disk.clone()),
      { readOnly: true, name: 'crash' },
    ),
    model,
    `${where}, read-only`,
  );
  if (isRedundant) {
    // The disk is lost in the crash: the others must replay without it.
    const rest = without(
      crashed.map((disk) => disk.clone()),
      lost,
    );
    check(
      open(rest, { name: 'crash', degraded: true }),
      model,
      `${where}, disk ${lost} lost in it`,
    );
  }
  if (prng.chance(0.3)) {
    // The mount itself is cut somewhere; what is left is mounted below.
    const cutter = new Cutter();
    let again: MemoryDisk[] | undefined;
    const stop = prng.below(70);
    const twins = crashed.map((disk) => disk.crash(prng, { observer: cutter }));
    cutter.cut = (event) => {
      if (event === stop) again = crash(twins);
    };
    cutter.isArmed = true;
    open(twins, { name: 'crash' });
    cutter.isArmed = false;
    if (again !== undefined) {
      totals.nested++;
      const what = `${where}, cut again at event ${stop} of the mount`;
      check(open(again, { name: 'crash' }), model, what);
      const left = isRedundant ? without(again, lost) : again;
      check(
        open(left, { readOnly: true, name: 'crash' }),
        model,
        `${what}, then disk ${lost} lost`,
      );
    }
  }
  const volume = open(crashed, { name: 'crash' });
  totals.replayed += volume.stats.replayed;
  check(volume, model, where);
  if (!isRedundant) return;
  const after = open(without(crashed, lost), { readOnly: true, name: 'crash' });
  check(after, model, `${where}, disk ${lost} lost after the mount`);
}

function history(options: {
  count: number;
  missing: number | undefined;
  seed: number;
  raid: 'raid4' | 'none';
}) {
  const { count, missing, seed, raid } = options;
  const cutter = new Cutter();
  const all = newDisks({ count, blockCount: 448, isCrashable: true, observer: cutter });
  format(all, raid);
  const disks = missing === undefined ? all : without(all, missing);
  const prng = new SeededPrng(seed);
  const model = new Model(prng.fork());
  const totals: Totals = { cuts: 0, replayed: 0, nested: 0 };
  // A disk that a test takes out is not there after the crash either.
  cutter.cut = (event) => {
    const where = `${raid} of ${count}, missing ${missing}, seed ${seed}, event ${event}`;
    const isRedundant = raid === 'raid4' && missing === undefined;
    crashAndCheck(disks, { model, prng, isRedundant, where, totals });
  };
  let volume = open(disks, { degraded: true });
  model.write(volume, 30, 40);
  model.commit(volume, 15);
  model.write(volume, 10, 40);
  model.commit(volume, 10);
  // A new epoch begins with the journal of the old one still there.
  volume = open(disks);
  cutter.isArmed = true;
  for (let cp = 0; cp < 2; cp++) {
    model.write(volume, 12, 40);
    if (cp === 1) model.flush(volume);
    model.write(volume, 8, 40);
    model.commit(volume, 14);
  }
  // All is freed, and rests; then the same stripes are written whole, with old entries about.
  cutter.isArmed = false;
  model.commit(volume, Infinity);
  model.commit(volume, 0);
  cutter.isArmed = true;
  model.write(volume, 36, 40);
  model.flush(volume);
  model.commit(volume, 10);
  cutter.isArmed = false;
  assert.equal(readBlocks(volume, model.live), []);
  return { totals, stats: volume.stats };
}

test('none: every cut leaves the old image or the new one', () => {
  for (const count of [1, 2]) {
    const { totals } = history({ raid: 'none', count, missing: undefined, seed: SEED });
    assert.ok(totals.cuts > 30);
  }
});

test('raid4: every cut, healthy; no stripe is left with a hole', () => {
  for (const count of [2, 4]) {
    const { totals, stats } = history({
      raid: 'raid4',
      count,
      missing: undefined,
      seed: SEED + count,
    });
    console.log(
      `  ${count} disks: ${totals.cuts} cuts, ${totals.nested} nested, ${totals.replayed} replayed`,
    );
    assert.ok(totals.cuts > 60);
    if (count > 2)
      assert.ok(stats.stripesJournaled > 5 && totals.replayed > 50 && totals.nested > 5);
  }
});

test('raid4: every cut while a data disk is missing', () => {
  for (const [count, missing] of [
    [4, 1],
    [3, 0],
  ] as const) {
    const { totals } = history({ raid: 'raid4', count, missing, seed: SEED + 10 });
    assert.ok(totals.cuts > 80 && totals.replayed > 50);
  }
});

test('raid4: every cut while the parity disk is missing', () => {
  const { totals } = history({ raid: 'raid4', count: 4, missing: 3, seed: SEED + 11 });
  assert.ok(totals.cuts > 50);
});

test.run();
