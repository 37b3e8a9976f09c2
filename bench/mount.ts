// Mounting: a volume of 1 GiB and of 1 TiB, closed cleanly, and after a crash just before a
// consistency point (a copy of the files of a volume that goes on).
//
//   node dist/bench/mount.js [--smoke]

import { copyFileSync } from 'node:fs';
import { join } from 'node:path';
import { Volume } from '../host/node.ts';
import { median } from './figures.ts';
import { benchSize, type OwnGroup, runSuite } from './harness.ts';
import { digestOfFile, fillFile, KIB, MIB, Stamped, timed, workFolder } from './workload.ts';

const size = benchSize();
const isReal = size === 'real';
const folder = workFolder();
const LOG_BYTES = isReal ? 64 * MIB : 16 * MIB;
const ROUNDS = isReal ? 5 : 1;
const FILE_BYTES = isReal ? 64 * MIB : 256 * KIB;
/** So large that the log is what fills first. */
const sizes = { logSize: LOG_BYTES, cacheSize: isReal ? '512MiB' : '128MiB' };

function cleanGroup(volumeSize: string): OwnGroup {
  return {
    name: `mount, ${volumeSize}`,
    unit: 'ms',
    async measure() {
      const path = join(folder, `clean-${volumeSize}`);
      const first = await Volume.create(path, { size: volumeSize, ...sizes });
      await fillFile(first.fs, '/file', FILE_BYTES);
      await first.close();
      const times: number[] = [];
      let result = '';
      for (let round = 0; round < ROUNDS; round++) {
        const start = performance.now();
        const volume = await Volume.open(path);
        times.push(performance.now() - start);
        result = await digestOfFile(volume.fs, '/file');
        await volume.close();
      }
      return [{ case: 'waferfs', kind: 'ours', value: median(times), result }];
    },
  };
}

/** Small files, until one more would cause a consistency point: the log holds all that it comes to
 *  hold between two of them. Then the machine stops. */
function fillLog(volume: Volume): number {
  const blocks = new Stamped(1);
  const before = volume.stats().consistencyPointCount;
  const cps = () => volume.stats().consistencyPointCount - before;
  let count = 0;
  const write = () => {
    volume.fs.writeFileSync(`/small-${count}`, blocks.get(0, count));
    count++;
  };
  while (cps() === 0) write();
  // A few less than it took.
  const first = count;
  while (count < 2 * first - Math.ceil(first / 50)) write();
  if (cps() > 1) throw new Error('the log has no room for what should be replayed');
  return count;
}

function crashGroup(volumeSize: string): OwnGroup {
  return {
    name: `mount after a crash just before a consistency point, ${volumeSize}`,
    unit: 'ms',
    async measure() {
      const path = join(folder, `crash-${volumeSize}`);
      const crashed = await Volume.create(path, { size: volumeSize, ...sizes });
      await fillFile(crashed.fs, '/file', FILE_BYTES);
      await crashed.sync();
      const count = fillLog(crashed);
      const copies = Array.from({ length: ROUNDS }, (_, round) => `${path}-${round}`);
      for (const copy of copies) copyFileSync(path, copy);
      await crashed.close();
      const times: number[] = [];
      let replayed = 0;
      let result = '';
      for (const copy of copies) {
        let volume: Volume | undefined;
        times.push(await timed(async () => (volume = await Volume.open(copy))));
        const there = volume as Volume;
        replayed = there.stats().replayedRecordCount;
        result = `${there.fs.readdirSync('/').length} ${await digestOfFile(there.fs, '/file')}`;
        if (!result.startsWith(`${count + 1} `)) throw new Error(`lost files: ${result}`);
        await there.close();
      }
      console.log(`  ${replayed} of ${count} records replayed`);
      return [{ case: 'waferfs', kind: 'ours', value: median(times), result }];
    },
  };
}

await runSuite(
  'mount',
  ['1GiB', '1TiB'].flatMap((volumeSize) => [
    () => cleanGroup(volumeSize),
    () => crashGroup(volumeSize),
  ]),
  size,
);
