// Snapshots: taking one when nothing is dirty and when 64 MiB are; with one and with a thousand
// there; of a volume of 1 GiB and of 1 TiB; rolling back; deleting. The bound is a flush of the
// same disk, or the writing of what is dirty.
//
//   node dist/bench/snapshot.js [--smoke] [--files N]

import { fdatasyncSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type CreateOptions, Volume } from '../host/node.ts';
import { median } from './figures.ts';
import { benchSize, type Measured, type OwnGroup, runSuite } from './harness.ts';
import {
  BLOCK,
  digestOfFile,
  fillFile,
  inFlight,
  KIB,
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
const ROUNDS = isReal ? 20 : 2;
const FILES = numberOption('files', isReal ? 10_000 : 20);
const MANY = isReal ? 1000 : 10;
const small: CreateOptions = isReal ? {} : { logSize: '16MiB', cacheSize: '16MiB' };
let serial = 0;

function create(volumeSize: string, options: CreateOptions = {}): Promise<Volume> {
  return Volume.create(join(folder, `volume-${serial++}`), {
    size: volumeSize,
    ...small,
    ...options,
  });
}

async function makeFiles(volume: Volume, count: number): Promise<void> {
  const blocks = new Stamped(64);
  await inFlight(64, count, (index, lane) =>
    volume.fs.promises.writeFile(`/file-${index}`, blocks.get(lane, index).subarray(0, 100)),
  );
  await volume.sync();
}

const rawFd = openSync(join(folder, 'raw'), 'w+');
writeSync(rawFd, Buffer.alloc(BLOCK));

/** A block and a flush, on the same disk. */
function flushOnce(stamp: number): void {
  writeSync(rawFd, Buffer.alloc(BLOCK, stamp & 0xff), 0, BLOCK, 0);
  fdatasyncSync(rawFd);
}

/** Times of `ROUNDS` snapshots, and of as many flushes in turn with them. */
async function timesOfSnapshots(volume: Volume, names: string) {
  const ours: number[] = [];
  const flushes: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(await timed(() => volume.snapshots.create(`${names}-${round}`)));
    flushes.push(await timed(() => flushOnce(round)));
  }
  return { ours: median(ours), flush: median(flushes) };
}

interface Setting {
  readonly label: string;
  readonly volumeSize: string;
  readonly fileCount: number;
  readonly snapshotCount: number;
}

function cleanGroup({ label, volumeSize, fileCount, snapshotCount }: Setting): OwnGroup {
  return {
    name: `clean snapshot, ${label}`,
    unit: 'ms',
    async measure() {
      const volume = await create(volumeSize);
      await makeFiles(volume, fileCount);
      for (let i = 0; i < snapshotCount; i++) await volume.snapshots.create(`before-${i}`);
      await volume.sync();
      await timesOfSnapshots(volume, 'warm-up');
      const { ours, flush } = await timesOfSnapshots(volume, 'timed');
      const { length } = await volume.snapshots.list();
      await volume.close();
      return [
        { case: 'waferfs', kind: 'ours', value: ours, result: String(length) },
        { case: 'one flush', kind: 'bound', value: flush },
      ];
    },
  };
}

const DIRTY_BYTES = isReal ? 64 * MIB : 256 * KIB;

/** Dirties the whole file in memory, in blocks. */
async function dirty(volume: Volume, round: number): Promise<void> {
  const blocks = new Stamped(64);
  const handle = await volume.fs.promises.open('/file', 'r+');
  await inFlight(64, DIRTY_BYTES / BLOCK, (index, lane) =>
    handle.write(blocks.get(lane, round * 2 ** 20 + index), 0, BLOCK, index * BLOCK),
  );
  await handle.close();
}

function writeRaw(round: number): void {
  const piece = Buffer.alloc(Math.min(MIB, DIRTY_BYTES), round + 1);
  for (let at = 0; at < DIRTY_BYTES; at += piece.length) {
    writeSync(rawFd, piece, 0, piece.length, at);
  }
  fdatasyncSync(rawFd);
  writeSync(rawFd, piece, 0, BLOCK, 0);
  fdatasyncSync(rawFd);
}

function dirtyGroup(): OwnGroup {
  return {
    name: 'snapshot with 64 MiB dirty',
    unit: 'ms',
    async measure() {
      // Relaxed, and room enough: nothing is written before the snapshot asks for it.
      const [cacheSize, logSize] = isReal ? ['1GiB', '512MiB'] : ['16MiB', '16MiB'];
      const options = { cacheSize, logSize, durability: 'relaxed' } as const;
      const volume = await create('4GiB', options);
      await fillFile(volume.fs, '/file', DIRTY_BYTES);
      await volume.sync();
      const ours: number[] = [];
      const raw: number[] = [];
      const rounds = isReal ? 5 : 1;
      for (let round = 0; round < rounds; round++) {
        const cps = volume.stats().consistencyPointCount;
        await dirty(volume, round);
        ours.push(await timed(() => volume.snapshots.create(`dirty-${round}`)));
        if (volume.stats().consistencyPointCount !== cps + 1) throw new Error('it was not dirty');
        raw.push(await timed(() => writeRaw(round)));
      }
      const result = await digestOfFile(volume.fs, '/file');
      await volume.close();
      return [
        { case: 'waferfs', kind: 'ours', value: median(ours), result },
        { case: 'writing it + 2 flushes', kind: 'bound', value: median(raw) },
      ];
    },
  };
}

/** Rolling back to a snapshot after random changes; the bound is the consistency point alone. */
function rollbackGroup(volumeSize: string): OwnGroup {
  return {
    name: `rollback, ${volumeSize}`,
    unit: 'ms',
    async measure() {
      const volume = await create(volumeSize);
      const fileBytes = isReal ? 16 * MIB : 256 * KIB;
      await fillFile(volume.fs, '/file', fileBytes);
      await volume.snapshots.create('base');
      const blocks = new Stamped(64);
      const next = randomBlocks(fileBytes / BLOCK);
      const times: number[] = [];
      const cps: number[] = [];
      for (let round = 0; round < (isReal ? 7 : 1); round++) {
        for (const list of [cps, times]) {
          const handle = await volume.fs.promises.open('/file', 'r+');
          await inFlight(64, 256, (index, lane) =>
            handle.write(blocks.get(lane, index), 0, BLOCK, next() * BLOCK),
          );
          await handle.close();
          const work = () => (list === cps ? volume.sync() : volume.rollback('base'));
          list.push(await timed(work));
        }
      }
      const result = await digestOfFile(volume.fs, '/file');
      await volume.close();
      return [
        { case: 'waferfs', kind: 'ours', value: median(times), result },
        { case: 'a consistency point', kind: 'bound', value: median(cps) },
      ];
    },
  };
}

/** What the caller waits for; the blocks are freed in the background. */
function deleteGroup(): OwnGroup {
  return {
    name: 'snapshot deletion, foreground',
    unit: 'ms',
    async measure() {
      const volume = await create('1GiB');
      const fileBytes = isReal ? 16 * MIB : 256 * KIB;
      const times: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        await fillFile(volume.fs, '/file', fileBytes);
        await volume.snapshots.create('base');
        await fillFile(volume.fs, '/file', fileBytes);
        await volume.sync();
        times.push(await timed(() => volume.snapshots.delete('base')));
      }
      const { length } = await volume.snapshots.list();
      await volume.close();
      const measured: Measured[] = [
        { case: 'waferfs', kind: 'ours', value: median(times), result: String(length) },
      ];
      return measured;
    },
  };
}

const GIB_SIZE = '1GiB';
const TIB_SIZE = '1TiB';
const settings: readonly Setting[] = [
  { label: GIB_SIZE, volumeSize: GIB_SIZE, fileCount: 1, snapshotCount: 0 },
  { label: 'many snapshots', volumeSize: GIB_SIZE, fileCount: 1, snapshotCount: MANY },
  { label: 'many files', volumeSize: '8GiB', fileCount: FILES, snapshotCount: 0 },
  { label: TIB_SIZE, volumeSize: TIB_SIZE, fileCount: 1, snapshotCount: 0 },
];
console.log(`many: ${MANY} snapshots, ${FILES} files`);

await runSuite(
  'snapshot',
  [
    ...settings.map((setting) => () => cleanGroup(setting)),
    dirtyGroup,
    () => rollbackGroup(GIB_SIZE),
    () => rollbackGroup(TIB_SIZE),
    deleteGroup,
  ],
  size,
);
