// One story of scale in a process of its own, so that its memory is its own: a directory of very
// many files, a file of 100 GiB, and a removal, on real files. Prints what it measured as one
// line of JSON. Arguments: directory, number of files.

import { Volume } from '../../host/node.ts';

const MIB = 1 << 20;
const GIB = 1 << 30;
/** Calls in flight. */
const IN_FLIGHT = 512;

const [directory, countText] = process.argv.slice(2) as [string, string];
const count = Number(countText);
const where = `${directory}/scale.wafer`;
const options = { cacheSize: '64MiB', durability: 'relaxed' } as const;

function check(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

async function forMany(limit: number, call: (index: number) => Promise<unknown>): Promise<void> {
  for (let first = 0; first < limit; first += IN_FLIGHT) {
    const length = Math.min(IN_FLIGHT, limit - first);
    await Promise.all(Array.from({ length }, (_, i) => call(first + i)));
  }
}

const nameOf = (index: number) => `/many/file-${(index * 7919) % count}`;

async function makeFiles(volume: Volume): Promise<void> {
  const { promises } = volume.fs;
  await promises.mkdir('/many');
  await forMany(count, (i) => promises.writeFile(nameOf(i), 'x'));
  for (let i = 0; i < count; i += Math.floor(count / 500)) {
    check((await promises.stat(nameOf(i))).size === 1, `${nameOf(i)} is there`);
  }
  const names = await promises.readdir('/many');
  check(names.length === count, `${names.length} names, not ${count}`);
  const seen = new Uint8Array(count);
  for (const name of names) seen[Number(name.slice('file-'.length))] = 1;
  check(!seen.includes(0), 'each name once');
}

async function makeSparse(volume: Volume): Promise<number> {
  const { promises } = volume.fs;
  const file = await promises.open('/sparse', 'w+');
  const data = new Uint8Array(4096).fill(7);
  // Data at 64 places, and at the end; holes between.
  for (let i = 0; i < 64; i++) await file.write(data, 0, data.length, i * 1600 * MIB);
  await file.truncate(100 * GIB);
  await file.write(data, 0, data.length, 100 * GIB - data.length);
  const read = new Uint8Array(2 * data.length);
  for (let i = 0; i < 64; i++) {
    await file.read(read, 0, read.length, i * 1600 * MIB);
    check(read[4095] === 7 && read[4096] === 0, `data and hole at ${i}`);
  }
  const { size, blocks } = await file.stat();
  await file.close();
  check(size === 100 * GIB, 'its size');
  return blocks;
}

async function removeSome(volume: Volume): Promise<number> {
  const { promises } = volume.fs;
  const removed = Math.floor(count / 10);
  await forMany(removed, (i) => promises.unlink(nameOf(i)));
  let left = 0;
  for await (const { name } of await promises.opendir('/many', { bufferSize: 1000 })) {
    check(name.startsWith('file-'), name);
    left++;
  }
  check(left === count - removed, 'the others stay');
  const before = volume.stats();
  await promises.unlink('/sparse');
  return volume.stats().messageCount - before.messageCount;
}

async function main(): Promise<void> {
  let volume = await Volume.create(where, { ...options, size: '4GiB' });
  const empty = await readAtMount(volume);
  volume = await Volume.open(where, options);
  await makeFiles(volume);
  const sparseBlocks = await makeSparse(volume);
  const full = await readAtMount(volume);
  volume = await Volume.open(where, options);
  const removalMessages = await removeSome(volume);
  await volume.close();
  // The most that was ever resident, by the system's account.
  const rssMax = process.resourceUsage().maxRSS * 1024;
  const result = { rssMax, empty, full, sparseBlocks, removalMessages };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}

/** Closes the volume, and gives the blocks that a mount reads and the first stat. */
async function readAtMount(volume: Volume): Promise<number> {
  await volume.close();
  const again = await Volume.open(where, options);
  await again.fs.promises.stat('/');
  const { readBlockCount } = again.stats();
  await again.close();
  return readBlockCount;
}

await main();
