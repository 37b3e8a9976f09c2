// A volume in memory against memfs, ZenFS and agentfs-sdk: files of 4 KiB, 100 in a directory.
// waferfs does it with checksums and copy-on-write, and (durable) with its log.
//
//   node dist/bench/memory.js [--smoke]

import { createHash } from 'node:crypto';
import { type BenchCase, type BenchGroup, benchSize, type OwnGroup, runSuite } from './harness.ts';
import { type MemoryFs, type OpenFile, openAll } from './memory-fs.ts';
import { BLOCK, inTurns, Stamped, timed } from './workload.ts';

const size = benchSize();
const isReal = size === 'real';
/** Files in a directory, and operations of one run. */
const FILES = isReal ? 100 : 10;
const DIRECTORIES = isReal ? 10 : 1;
const ROUNDS = isReal ? 5 : 1;
const blocks = new Stamped(FILES);

const directoryOf = (index: number) => `/dir-${index}`;
const fileOf = (directory: number, index: number) => `${directoryOf(directory)}/file-${index}`;

/** `FILES` times `call`, awaited one by one where it gives promises; gives what the last one
 *  gave. */
async function each(fs: MemoryFs, call: (index: number) => unknown): Promise<unknown> {
  let last: unknown;
  if (fs.isSync) for (let index = 0; index < FILES; index++) last = call(index);
  else for (let index = 0; index < FILES; index++) last = await call(index);
  return last;
}

async function makeFiles(fs: MemoryFs, directory: number): Promise<void> {
  await fs.mkdir(directoryOf(directory));
  await each(fs, (i) => fs.create(fileOf(directory, i), blocks.get(i, directory * FILES + i)));
}

async function digestOf(fs: MemoryFs, directories: number): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(BLOCK);
  for (let directory = 0; directory < directories; directory++) {
    const names = [...(await fs.readdir(directoryOf(directory)))].sort();
    for (const name of names) {
      await (await fs.open(`${directoryOf(directory)}/${name}`)).read(buffer);
      hash.update(`${name}\0`).update(buffer);
    }
  }
  return hash.digest('hex');
}

const faceName = (isSync: boolean) => (isSync ? 'sync' : 'promises');

/** Creating, or unlinking what was created, in new directories each round. */
function lifeGroup(what: 'create' | 'unlink', isSync: boolean): OwnGroup {
  return {
    name: `${what}, ${faceName(isSync)}`,
    unit: '/s',
    async measure() {
      const all = await openAll(isSync, size);
      const run = (fs: MemoryFs) => async (round: number) => {
        let ms = 0;
        const first = round * DIRECTORIES;
        for (let directory = first; directory < first + DIRECTORIES; directory++) {
          const createMs = await timed(() => makeFiles(fs, directory));
          const unlink = () => each(fs, (index) => fs.unlink(fileOf(directory, index)));
          ms += what === 'create' ? createMs : await timed(unlink);
        }
        return (FILES * DIRECTORIES) / (ms / 1000);
      };
      const speeds = await inTurns(ROUNDS, all.map(run));
      const measured = [];
      for (const [index, fs] of all.entries()) {
        const result = await digestOf(fs, ROUNDS * DIRECTORIES);
        measured.push({ case: fs.name, kind: fs.kind, value: speeds[index]!, result });
        await fs.close();
      }
      return measured;
    },
  };
}

type Operation = 'read' | 'stat' | 'readdir' | 'overwrite';

/** What one run does to a file system, and what came of it. */
async function caseOf(fs: MemoryFs, what: Operation): Promise<BenchCase> {
  for (let directory = 0; directory < DIRECTORIES; directory++) await makeFiles(fs, directory);
  const files: OpenFile[] = [];
  for (let index = 0; index < FILES; index++) {
    files.push(await fs.open(fileOf(index % DIRECTORIES, index)));
  }
  const buffer = Buffer.alloc(BLOCK);
  let turn = 0;
  let last: unknown;
  const calls: Record<Operation, (index: number) => unknown> = {
    read: (index) => (files[index] as OpenFile).read(buffer),
    stat: (index) => fs.stat(fileOf(index % DIRECTORIES, index)),
    readdir: (index) => fs.readdir(directoryOf(index % DIRECTORIES)),
    overwrite: (index) => (files[index] as OpenFile).write(blocks.get(index, turn++)),
  };
  const call = calls[what];
  return {
    name: fs.name,
    kind: fs.kind,
    async run() {
      last = await each(fs, call);
    },
    result() {
      if (what === 'stat') return String((last as { size: number }).size);
      if (what === 'readdir') return [...(last as string[])].sort().join();
      return what === 'read' ? buffer : String(turn);
    },
  };
}

async function repeatedGroup(what: Operation, isSync: boolean): Promise<BenchGroup> {
  const all = await openAll(isSync, size);
  const cases: BenchCase[] = [];
  for (const fs of all) cases.push(await caseOf(fs, what));
  return {
    name: `${what}, ${faceName(isSync)}`,
    operations: FILES,
    reset() {},
    cases,
    async close() {
      for (const fs of all) await fs.close();
    },
  };
}

await runSuite(
  'memory',
  [false, true].flatMap((isSync) => [
    () => lifeGroup('create', isSync),
    ...(['read', 'stat', 'readdir', 'overwrite'] as const).map(
      (what) => () => repeatedGroup(what, isSync),
    ),
    () => lifeGroup('unlink', isSync),
  ]),
  size,
);
