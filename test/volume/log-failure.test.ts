// What happens when the log's device fails while the volume is in use: calls under way are answered
// once a CP has made them durable, later ones are refused, and nothing acknowledged is lost
// (ENGINE 21).

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { memoryDevices, Volume } from '../../host/index.ts';

const test = suite('a log that fails');

for (const operation of ['write', 'flush'] as const) {
  test(`[N-1] its ${operation} fails: what waited is durable, then read-only`, async () => {
    const devices = memoryDevices({ size: '16MiB', logSize: '8MiB' });
    const nvram = devices.nvram as MemoryNvram;
    const volume = await Volume.create(devices, { cacheSize: '8MiB' });
    const { promises } = volume.fs;
    await promises.writeFile('/before', 'before');
    nvram.inject({ operation, action: 'fail', times: Number.MAX_SAFE_INTEGER });
    const names = ['/a', '/b', '/c'];
    await Promise.all(names.map((name) => promises.writeFile(name, name)));
    try {
      await promises.writeFile('/late', 'late');
      assert.unreachable('a change after the log failed');
    } catch (error) {
      assert.is((error as { code: string }).code, 'EROFS');
    }
    assert.is((await volume.status()).state, 'read-only');
    assert.is(await promises.readFile('/b', 'utf8'), '/b');
    nvram.clearFaults();
    const disks = (devices.disks as MemoryDisk[]).map((disk) => disk.clone());
    const again = await Volume.open({ disks, nvram: nvram.clone() }, { cacheSize: '8MiB' });
    for (const name of names) assert.is(await again.fs.promises.readFile(name, 'utf8'), name);
    assert.equal(again.fs.readdirSync('/'), ['a', 'b', 'before', 'c']);
    assert.is((await again.verify()).problemCount, 0);
    await again.close();
    await volume.close();
  });
}

test.run();
