// A relaxed volume answers in memory and logs nothing: what a consistency point has made durable is
// there after a crash, as a whole, and what came later is gone as a whole. A record of a change
// whose predecessors were not logged would be replayed onto a tree that never had them.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SeededPrng } from '../../host/base/prng.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { Volume } from '../../host/index.ts';

const test = suite('relaxed durability');
const OPTIONS = { cacheSize: '16MiB', durability: 'relaxed' } as const;
const CRASHES = 8;

async function created() {
  const disk = new MemoryDisk({ blockCount: 16 * 1024, isCrashable: true });
  const nvram = new MemoryNvram({ sizeBytes: 16 * 1024 * 1024, isCrashable: true });
  const volume = await Volume.create({ disks: [disk], nvram }, { size: '32MiB', ...OPTIONS });
  return { disk, nvram, volume };
}

type World = Awaited<ReturnType<typeof created>>;

/** Opens what a power cut leaves now, and closes it again. */
async function afterCrash(
  { disk, nvram }: World,
  seed: number,
  look: (volume: Volume) => Promise<void> | void,
): Promise<void> {
  const prng = new SeededPrng(seed);
  const options = { hasGarbage: true };
  const devices = { disks: [disk.crash(prng, options)], nvram: nvram.crash(prng, options) };
  const volume = await Volume.open(devices, { cacheSize: '16MiB' });
  assert.is(volume.stats().replayedRecordCount, 0, `seed ${seed}`);
  assert.is((await volume.verify()).problemCount, 0, `seed ${seed}`);
  await look(volume);
  await volume.close();
}

for (const how of ['fsync', 'fsyncSync', 'volume.sync'] as const) {
  test(`${how} makes all before it durable, and a crash takes all after it`, async () => {
    const world = await created();
    const { volume } = world;
    const { promises: fs } = volume.fs;
    // Small, in the message; and large, by reference.
    const large = new SeededPrng(1).bytes(200_000);
    await fs.mkdir('/d');
    await fs.writeFile('/d/small', 'before');
    await fs.writeFile('/d/large', large);
    await fs.writeFile('/gone', 'before');
    for (let seed = 1; seed <= CRASHES; seed++) {
      await afterCrash(world, seed, ({ fs: found }) => assert.equal(found.readdirSync('/'), []));
    }
    if (how === 'volume.sync') await volume.sync();
    else {
      const fd = volume.fs.openSync('/d/small', 'r+');
      if (how === 'fsyncSync') volume.fs.fsyncSync(fd);
      else await (await fs.open('/d/small', 'r+')).sync();
    }
    await fs.writeFile('/d/small', 'after');
    await fs.writeFile('/d/large', large.subarray(0, 150_000));
    await fs.writeFile('/d/new', large);
    await fs.unlink('/gone');
    assert.is(volume.stats().logRecordCount, 0);
    for (let seed = 1; seed <= CRASHES; seed++) {
      await afterCrash(world, seed, ({ fs: found }) => {
        assert.equal(found.readdirSync('/'), ['d', 'gone']);
        assert.equal(found.readdirSync('/d'), ['large', 'small']);
        assert.is(found.readFileSync('/d/small', 'utf8'), 'before');
        assert.ok(Buffer.from(large).equals(found.readFileSync('/d/large')));
      });
    }
    await volume.close();
  });
}

test.run();
