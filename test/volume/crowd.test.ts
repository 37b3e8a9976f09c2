// Many calls in flight, in a cache and a log that hold few of them, come to an end, and without a
// consistency point for each. A call that waits for room that nobody gives hangs for ever; and room
// that is only promised is no reason to write. (After a hang nothing is under way: the file ends
// without totals.)

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { memoryDevices, Volume } from '../../host/index.ts';

const test = suite('many calls in flight');
const LANES = 32;
const FILES = 600;

for (const durability of ['relaxed', 'durable'] as const) {
  for (const bytes of [5000, 60_000]) {
    test(`${durability}, files of ${bytes} bytes`, async () => {
      const sizes = { size: '128MiB', logSize: '16MiB' };
      const options = { ...sizes, cacheSize: '16MiB', durability };
      const volume = await Volume.create(memoryDevices(sizes), options);
      const { promises } = volume.fs;
      const before = volume.stats().consistencyPointCount;
      let next = 0;
      const lane = async (): Promise<void> => {
        while (next < FILES) {
          const index = next++;
          await promises.writeFile(`/file-${index}`, new Uint8Array(bytes).fill(index));
          assert.is((await promises.stat(`/file-${index}`)).size, bytes);
          if (index % 3 === 0) await promises.unlink(`/file-${index}`);
        }
      };
      await Promise.all(Array.from({ length: LANES }, lane));
      const written = (FILES * bytes) / 1024 / 1024;
      const count = volume.stats().consistencyPointCount - before;
      assert.ok(count <= 10 + 2 * written, `${count} consistency points for ${written} MiB`);
      assert.is((await promises.readdir('/')).length, FILES - FILES / 3);
      await volume.close();
    });
  }
}

test.run();
