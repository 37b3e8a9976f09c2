// Sync calls while async calls, group commits and CPs are under way (ENGINE 16), over devices that
// complete late and out of order, and over real files. A sync call finishes in its turn what others
// have begun; if it left anything half done, data would be lost or a promise would hang for ever.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { below, chance, pick, SeededPrng } from '../../host/base/prng.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { SparseBytes } from '../../host/device/sparse-bytes.ts';
import { type OpenOptions, Volume } from '../../host/node.ts';
import { diskBlocksFor } from '../../host/raid/format.ts';
import type { Devices } from '../../host/volume/engine.ts';
import { bytesOf } from '../oracle/workload.ts';
import { shuffled } from '../world/shuffled.ts';
import { freshPath, removeScratch, SMALL } from './files.ts';

const test = suite('sync calls');
const SEED = Number(process.env['SEED'] ?? Date.now() % 100_000);
console.log(`seed ${SEED}`);
test.after(removeScratch);

const OPTIONS: OpenOptions = { cacheSize: '8MiB' };
const FILES = 10;
const LOG_BYTES = 6 << 20;

/** A volume that can be opened again and again. */
interface World {
  readonly name: string;
  /** Makes it on the first call. */
  open(): Promise<Volume>;
}

function memoryWorld(raid: 'none' | 'raid4', prng: SeededPrng): World {
  const disks = raid === 'none' ? 1 : 3;
  const blockCount = diskBlocksFor({
    raid,
    diskCount: disks,
    usableBlocks: (32 << 20) / BLOCK_SIZE,
  });
  const images = Array.from({ length: disks + 1 }, () => new SparseBytes());
  let isMade = false;
  return {
    name: `memory, ${raid}`,
    async open() {
      const schedule = shuffled(prng);
      const options = (index: number) => ({ schedule, image: images[index] as SparseBytes });
      const devices: Devices = {
        disks: Array.from({ length: disks }, (_, index) => {
          return new MemoryDisk({ blockCount, name: `disk ${index}`, ...options(index) });
        }),
        nvram: new MemoryNvram({ sizeBytes: LOG_BYTES, name: 'log', ...options(disks) }),
      };
      if (isMade) return await Volume.open(devices, OPTIONS);
      isMade = true;
      return await Volume.create(devices, { ...OPTIONS, raid });
    },
  };
}

function fileWorld(raid: 'none' | 'raid4'): World {
  const where = freshPath('sync');
  let isMade = false;
  return {
    name: `files, ${raid}`,
    async open() {
      if (isMade) return await Volume.open(where, OPTIONS);
      isMade = true;
      return await Volume.create(where, {
        ...SMALL,
        size: '32MiB',
        disks: raid === 'none' ? 1 : 3,
      });
    },
  };
}

/** What a file may hold: the outcome of any call that is under way, or of the last ones
 *  acknowledged. Two calls of which neither waited for the other may take effect in either order,
 *  as with node:fs. */
class Expected {
  versions: { readonly bytes: Uint8Array; isDone: boolean }[];

  constructor(first: Uint8Array) {
    this.versions = [{ bytes: first, isDone: true }];
  }

  /** A call begins; gives what is to be called when it is acknowledged. */
  begin(bytes: Uint8Array): () => void {
    const over = this.versions.filter(({ isDone }) => isDone);
    const version = { bytes, isDone: false };
    this.versions.push(version);
    return () => {
      version.isDone = true;
      this.versions = this.versions.filter((other) => !over.includes(other));
    };
  }

  has(bytes: Uint8Array): boolean {
    return this.versions.some((version) => Buffer.compare(version.bytes, bytes) === 0);
  }
}

class Story {
  readonly #prng: SeededPrng;
  readonly #volume: Volume;
  /** Files written by async calls, and by sync calls. */
  readonly #late: Expected[];
  readonly #now: Uint8Array[];
  readonly #promises: Promise<unknown>[] = [];
  /** Some of the promises that are open. */
  #open = 0;
  #snapshotCount = 0;
  syncCallsBesideOthers = 0;

  constructor(prng: SeededPrng, volume: Volume, late: Expected[], now: Uint8Array[]) {
    this.#prng = prng;
    this.#volume = volume;
    this.#late = late;
    this.#now = now;
  }

  #content(): Uint8Array {
    const limit = pick(this.#prng, [100, 5000, 30_000, 120_000, 500_000]);
    return bytesOf({ length: below(this.#prng, limit), seed: 1 + this.#prng.u32() });
  }

  #track(promise: Promise<unknown>, onDone: () => void = () => {}): void {
    this.#open++;
    this.#promises.push(
      promise.then(() => {
        this.#open--;
        onDone();
      }),
    );
  }

  async run(steps: number): Promise<void> {
    for (let step = 0; step < steps; step++) {
      const dice = below(this.#prng, 100);
      if (dice < 35) this.#writeLater();
      else if (dice < 50) this.#readLater();
      else if (dice < 57) this.#track(this.#volume.sync());
      else if (dice < 60) this.#track(this.#volume.snapshots.create(`s${this.#snapshotCount++}`));
      else if (dice < 90) this.#callNow();
      else await this.#turns();
    }
    await Promise.all(this.#promises);
  }

  async #turns(): Promise<void> {
    if (chance(this.#prng, 0.5)) await new Promise(setImmediate);
    else for (let turn = below(this.#prng, 30); turn > 0; turn--) await undefined;
  }

  #writeLater(): void {
    const index = below(this.#prng, FILES);
    const bytes = this.#content();
    const done = (this.#late[index] as Expected).begin(bytes);
    this.#track(this.#volume.fs.promises.writeFile(`/late-${index}`, bytes), done);
  }

  #readLater(): void {
    const index = below(this.#prng, FILES);
    const before = [...(this.#late[index] as Expected).versions];
    this.#track(
      this.#volume.fs.promises.readFile(`/late-${index}`).then((bytes) => {
        const { versions } = this.#late[index] as Expected;
        const isKnown = [...before, ...versions].some((v) => Buffer.compare(v.bytes, bytes) === 0);
        assert.ok(isKnown, `late-${index}: async read of ${bytes.length} bytes`);
      }),
    );
  }

  #callNow(): void {
    const { fs } = this.#volume;
    if (this.#open > 0) this.syncCallsBesideOthers++;
    const index = below(this.#prng, FILES);
    switch (below(this.#prng, 5)) {
      case 0: {
        const bytes = this.#content();
        fs.writeFileSync(`/now-${index}`, bytes);
        this.#now[index] = bytes;
        return this.#checkNow(index);
      }
      case 1:
        return this.#checkNow(index);
      case 2: {
        const expected = this.#late[index] as Expected;
        const bytes = fs.readFileSync(`/late-${index}`);
        assert.ok(expected.has(bytes), `late-${index}: sync read of ${bytes.length} bytes`);
        return;
      }
      case 3: {
        const expected = this.#late[index] as Expected;
        const { size } = fs.statSync(`/late-${index}`);
        const isKnown = expected.versions.some(({ bytes }) => bytes.length === size);
        assert.ok(isKnown || size === 0, `late-${index}: size ${size}`);
        return;
      }
      default: {
        const names = fs.readdirSync('/').sort();
        assert.equal(names, namesExpected(), 'readdirSync');
      }
    }
  }

  #checkNow(index: number): void {
    const { fs } = this.#volume;
    const bytes = this.#now[index] as Uint8Array;
    assert.is(fs.statSync(`/now-${index}`).size, bytes.length);
    assert.is(Buffer.compare(fs.readFileSync(`/now-${index}`), bytes), 0, `now-${index}`);
  }
}

function namesExpected(): string[] {
  const numbers = Array.from({ length: FILES }, (_, index) => index);
  return numbers.flatMap((index) => [`late-${index}`, `now-${index}`]).sort();
}

async function checkAll(volume: Volume, late: Expected[], now: Uint8Array[]): Promise<void> {
  for (let index = 0; index < FILES; index++) {
    const a = await volume.fs.promises.readFile(`/late-${index}`);
    assert.ok((late[index] as Expected).has(a), `late-${index}`);
    // One of several that were open together: from now on it is this one.
    late[index] = new Expected(a);
    const b = volume.fs.readFileSync(`/now-${index}`);
    assert.is(Buffer.compare(b, now[index] as Uint8Array), 0, `now-${index}`);
  }
  const report = await volume.verify();
  assert.equal(report.problems, []);
}

async function story(world: World, prng: SeededPrng, lives: number): Promise<void> {
  let volume = await world.open();
  const late = Array.from({ length: FILES }, () => new Expected(new Uint8Array(0)));
  const now = Array.from({ length: FILES }, () => new Uint8Array(0));
  for (let index = 0; index < FILES; index++) {
    volume.fs.writeFileSync(`/late-${index}`, '');
    volume.fs.writeFileSync(`/now-${index}`, '');
  }
  let count = 0;
  for (let life = 0; life < lives; life++) {
    const tale = new Story(prng, volume, late, now);
    await tale.run(120);
    count += tale.syncCallsBesideOthers;
    await checkAll(volume, late, now);
    for (const { name } of await volume.snapshots.list()) await volume.snapshots.delete(name);
    await volume.close();
    // Nothing is in memory now.
    volume = await world.open();
    await checkAll(volume, late, now);
  }
  await volume.close();
  assert.ok(count > lives * 10, 'sync calls came upon others');
}

for (const raid of ['none', 'raid4'] as const) {
  for (let round = 0; round < 4; round++) {
    test(`beside async calls, group commits and CPs: memory, ${raid}, ${round}`, async () => {
      const prng = new SeededPrng(SEED + round);
      await story(memoryWorld(raid, prng), prng, 4);
    });
  }
  test(`beside async calls, group commits and CPs: files, ${raid}`, async () => {
    await story(fileWorld(raid), new SeededPrng(SEED + 100), 4);
  });
}

test('a sync call whose room others hold finishes them', async () => {
  // The files are cold: writes into their middle wait for blocks, and hold frames, space and log.
  const world = fileWorld('none');
  let volume = await world.open();
  const bytes = bytesOf({ length: 150_000, seed: 7 });
  for (let index = 0; index < 40; index++) volume.fs.writeFileSync(`/cold-${index}`, bytes);
  await volume.close();
  volume = await world.open();
  const patch = bytesOf({ length: 30_000, seed: 9 });
  const files = await Promise.all(
    Array.from({ length: 40 }, (_, index) => volume.fs.promises.open(`/cold-${index}`, 'r+')),
  );
  const writes = files.map((file) => file.write(patch, 0, patch.length, 1001));
  volume.fs.writeFileSync('/now', bytes);
  assert.is(Buffer.compare(volume.fs.readFileSync('/now'), bytes), 0);
  await Promise.all(writes);
  await Promise.all(files.map((file) => file.close()));
  bytes.set(patch, 1001);
  for (let index = 0; index < 40; index++) {
    assert.is(Buffer.compare(volume.fs.readFileSync(`/cold-${index}`), bytes), 0, `cold-${index}`);
  }
  await volume.close();
});

test('[ENGINE 16] during a rollback: it ends first, and the calls that it waits for', async () => {
  for (const raid of ['none', 'raid4'] as const) {
    const world = memoryWorld(raid, new SeededPrng(SEED + 300));
    let volume = await world.open();
    const bytes = bytesOf({ length: 200_000, seed: 7 });
    for (let i = 0; i < 6; i++) volume.fs.writeFileSync(`/f${i}`, bytes);
    await volume.snapshots.create('first');
    await volume.close();
    // The files are cold: calls on them wait.
    volume = await world.open();
    for (let round = 0; round < 12; round++) {
      const { fs } = volume;
      const files = await Promise.all(
        Array.from({ length: 6 }, (_, i) => fs.promises.open(`/f${i}`, 'r+')),
      );
      const patch = bytesOf({ length: 50_000, seed: 100 + round });
      const writes = files.map((file) => file.write(patch, 0, patch.length, 1001 + round));
      const rollback = volume.rollback('first');
      for (let turn = 0; turn < round * 3; turn++) await undefined;
      fs.writeFileSync('/now', `${round}`);
      assert.is(Buffer.compare(fs.readFileSync('/f3'), bytes), 0, 'rolled back');
      await Promise.all([...writes, rollback]);
      await Promise.all(files.map((file) => file.close().catch(() => {})));
      assert.is(fs.readFileSync('/now', 'utf8'), `${round}`);
    }
    assert.equal((await volume.verify()).problems, []);
    await volume.close();
  }
});

test('calls of one turn: async first, sync beside it, in any order of kinds', async () => {
  const prng = new SeededPrng(SEED + 200);
  const volume = await memoryWorld('none', prng).open();
  const { fs } = volume;
  for (let round = 0; round < 60; round++) {
    const text = `${round} `.repeat(1 + below(prng, 5000));
    const cp = chance(prng, 0.5) ? volume.sync() : undefined;
    const write = fs.promises.writeFile('/a', text);
    if (chance(prng, 0.3)) await undefined;
    fs.writeFileSync('/b', text);
    const more = fs.promises.writeFile('/c', text);
    assert.is(fs.readFileSync('/b', 'utf8'), text);
    assert.equal(fs.readdirSync('/').includes('b'), true);
    await write;
    assert.is(fs.readFileSync('/a', 'utf8'), text);
    await more;
    assert.is(fs.statSync('/c').size, text.length);
    await cp;
  }
  assert.equal((await volume.verify()).problems, []);
  await volume.close();
});

test.run();
