// Small durable things: files of 4 KiB created one at a time and together, and 4 KiB overwritten in
// a file of 256 MiB, against the databases and the file system that would do it otherwise.
//
//   node dist/bench/create.js [--smoke]

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Unit } from './figures.ts';
import { benchSize, type Measured, type OwnGroup, runSuite } from './harness.ts';
import {
  hostFiles,
  IN_FLIGHT,
  lmdb,
  type Store,
  sqlite,
  waferBlocks,
  waferFiles,
} from './stores.ts';
import { BLOCK, inTurns, KIB, MIB, randomBlocks, Stamped, timed, workFolder } from './workload.ts';

const size = benchSize();
const isReal = size === 'real';
const folder = workFolder();
const options = isReal
  ? { size: '2GiB', cacheSize: '256MiB', logSize: '256MiB' }
  : { size: '64MiB', cacheSize: '16MiB', logSize: '16MiB' };
/** Calls in flight together, puts in a transaction. */
const TOGETHER = IN_FLIGHT;
const blocks = new Stamped(TOGETHER);

/** What each case of a group does in one round, and how many puts that is. */
interface Work {
  readonly count: number;
  readonly rounds: number;
  run(store: Store, round: number): Promise<void> | void;
}

async function measure(
  stores: readonly (Store | undefined)[],
  work: Work,
  items: readonly number[],
) {
  const there = stores.filter((store) => store !== undefined);
  const speeds = await inTurns(
    work.rounds,
    there.map((store) => async (round: number) => {
      const ms = await timed(() => work.run(store, round));
      return work.count / (ms / 1000);
    }),
  );
  const measured: Measured[] = [];
  for (const [index, store] of there.entries()) {
    const hash = createHash('sha256');
    for (const item of items) hash.update(store.get(item));
    const result = hash.digest('hex');
    measured.push({ case: store.name, kind: store.kind, value: speeds[index]!, result });
    await store.close();
  }
  return measured;
}

/** Puts items, each with bytes of its own. */
async function put(
  store: Store,
  isTogether: boolean,
  items: readonly number[],
  stamp: number,
): Promise<void> {
  for (let done = 0; done < items.length; done += TOGETHER) {
    const some = items.slice(done, done + TOGETHER);
    const bytes = (_item: number, index: number) => blocks.get(index, stamp + done + index);
    if (isTogether) await store.putTogether(some, bytes);
    else await store.putEach(some, bytes);
  }
}

const sequence = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
const unit: Unit = '/s';

function createGroup(isTogether: boolean): OwnGroup {
  const label = isTogether ? `${TOGETHER} together` : 'one at a time';
  const count = isTogether ? (isReal ? 32 * TOGETHER : TOGETHER) : isReal ? 1000 : 10;
  const rounds = isReal ? 5 : 1;
  const run = (store: Store, round: number): Promise<void> =>
    put(
      store,
      isTogether,
      sequence(count).map((index) => round * count + index),
      0,
    );
  const path = (name: string) => join(folder, `create-${isTogether}-${name}`);
  return {
    name: `durable create of 4 KiB files, ${label}`,
    unit,
    measure: async () =>
      measure(
        [
          await waferFiles(path('wafer'), options),
          await sqlite(path('sqlite'), size),
          await lmdb(path('lmdb'), size),
          hostFiles(path('files')),
        ],
        { count, rounds, run },
        sequence(count * rounds),
      ),
  };
}

const FILE_BLOCKS = (isReal ? 256 * MIB : 256 * KIB) / BLOCK;

async function filled(store: Store | undefined): Promise<Store | undefined> {
  if (store !== undefined) await put(store, true, sequence(FILE_BLOCKS), 0);
  return store;
}

function overwriteGroup(isTogether: boolean): OwnGroup {
  const label = isTogether ? `${TOGETHER} together` : 'one at a time';
  const count = isTogether ? (isReal ? 32 * TOGETHER : TOGETHER) : isReal ? 1000 : 10;
  const run = (store: Store, round: number): Promise<void> => {
    // The same places and bytes in every store.
    const next = randomBlocks(FILE_BLOCKS, round);
    return put(store, isTogether, sequence(count).map(next), (round + 1) * 2 ** 24);
  };
  const path = (name: string) => join(folder, `overwrite-${isTogether}-${name}`);
  return {
    name: `durable 4 KiB overwrite in a 256 MiB file, ${label}`,
    unit,
    measure: async () =>
      measure(
        [
          await filled(await waferBlocks(path('wafer'), options)),
          await filled(await lmdb(path('lmdb'), size)),
        ],
        { count, rounds: isReal ? 5 : 1, run },
        sequence(FILE_BLOCKS),
      ),
  };
}

await runSuite(
  'create',
  [
    () => createGroup(false),
    () => createGroup(true),
    () => overwriteGroup(false),
    () => overwriteGroup(true),
  ],
  size,
);
