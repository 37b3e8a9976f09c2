// What a process takes for a volume at rest: prints, as JSON, the memory that importing waferfs and
// opening a volume added, without what of the arena was touched, and the threads that were started.
//
//   node dist/bench/rest.js VOLUME

import { readdirSync, readFileSync } from 'node:fs';

interface Region {
  readonly bytes: number;
  readonly residentBytes: number;
}

/** Memory mappings of this process, where the system tells (Linux). */
function regions(): Region[] {
  const text = readFileSync('/proc/self/smaps', 'utf8');
  const found: Region[] = [];
  for (const block of text.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m)) {
    const bytes = 1024 * Number(/^Size: +(\d+)/m.exec(block)?.[1] ?? 0);
    const residentBytes = 1024 * Number(/^Rss: +(\d+)/m.exec(block)?.[1] ?? 0);
    found.push({ bytes, residentBytes });
  }
  return found;
}

const ARENA = 64 * 1024 * 1024;
/** The arena is a mapping of its own, a little larger than asked for; nothing else is so large. */
const isArena = ({ bytes }: Region) => bytes >= ARENA && bytes < 1.25 * ARENA;

function residentBytes(): number {
  globalThis.gc?.();
  const all = regions();
  return all.reduce((sum, region) => sum + (isArena(region) ? 0 : region.residentBytes), 0);
}

const threadCount = () => readdirSync('/proc/self/task').length;

const before = residentBytes();
const threadsBefore = threadCount();
const { Volume } = await import('../host/node.ts');
const volume = await Volume.open(process.argv[2] as string);
const mebibytes = (residentBytes() - before) / 1024 / 1024;
const threads = threadCount() - threadsBefore;
await volume.close();
console.log(JSON.stringify({ mebibytes, threads }));
