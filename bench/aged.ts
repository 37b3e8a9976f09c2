// Age: random durable 4 KiB overwrites in a volume that is 90 % full and was overwritten at random
// for long, against the same in a fresh one.
//
//   node dist/bench/aged.js [--smoke] [--overwrites N]

import { join } from 'node:path';
import { Volume } from '../host/node.ts';
import { benchSize, type OwnGroup, runSuite } from './harness.ts';
import {
  BLOCK,
  digestOfFile,
  fillFile,
  inFlight,
  MIB,
  numberOption,
  randomBlocks,
  Stamped,
  timed,
  workFolder,
} from './workload.ts';

const size = benchSize();
const isReal = size === 'real';
const folder = workFolder();
const OVERWRITES = numberOption('overwrites', isReal ? 100_000 : 500);
const MEASURED = isReal ? 20_000 : 200;
const LANES = 64;
const VOLUME_BYTES = isReal ? 512 * MIB : 32 * MIB;
const options = { size: VOLUME_BYTES, ...(isReal ? {} : { logSize: '16MiB', cacheSize: '16MiB' }) };

/** A volume with one file; writes in random places of it, the same for all. */
async function makeVolume(name: string, disks: number, fileBytes: number) {
  const volume = await Volume.create(join(folder, name), { ...options, disks });
  await fillFile(volume.fs, '/file', fileBytes);
  await volume.sync();
  const handle = await volume.fs.promises.open('/file', 'r+');
  const next = randomBlocks(fileBytes / BLOCK);
  const blocks = new Stamped(LANES);
  let stamp = 1;
  return {
    overwrite: (count: number) =>
      inFlight(LANES, count, (_, lane) =>
        handle.write(blocks.get(lane, stamp++), 0, BLOCK, next() * BLOCK),
      ),
    status: () => volume.status(),
    async close() {
      await handle.close();
      const digest = await digestOfFile(volume.fs, '/file');
      await volume.close();
      return digest;
    },
  };
}

function agedGroup(name: string, disks: number): OwnGroup {
  return {
    name: `overwrites of an aged volume, ${name}`,
    unit: '/s',
    async measure() {
      const perSecond = (ms: number) => MEASURED / (ms / 1000);
      // What is kept for maps and removals is not to be had: 90 % of all, at the end.
      const aged = await makeVolume(`aged-${disks}`, disks, Math.floor(0.88 * VOLUME_BYTES));
      await aged.overwrite(OVERWRITES);
      const fresh = await makeVolume(`fresh-${disks}`, disks, VOLUME_BYTES / 8);
      const freshMs = await timed(() => fresh.overwrite(MEASURED));
      const agedMs = await timed(() => aged.overwrite(MEASURED));
      const { usedBytes, sizeBytes } = await aged.status();
      const percent = ((100 * usedBytes) / sizeBytes).toFixed(0);
      console.log(`  ${percent} % full, ${OVERWRITES} overwrites before`);
      await fresh.close();
      return [
        { case: 'aged', kind: 'ours', value: perSecond(agedMs), result: await aged.close() },
        { case: 'fresh', kind: 'bound', value: perSecond(freshMs) },
      ];
    },
  };
}

await runSuite('aged', [() => agedGroup('one file', 1), () => agedGroup('raid4 of six', 6)], size);
