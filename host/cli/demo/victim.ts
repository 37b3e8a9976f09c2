// The child that is killed: writes numbered files, and reports each over a pipe once the volume has
// acknowledged it. Arguments: the module that loads the engine, the volume.

import { writeSync } from 'node:fs';

import type { Engine } from '../volume-face.ts';
import { INBOX, inboxPath, payload } from './payload.ts';

const WRITERS = 16;
/** Far more than the parent waits for: it ends in any case. */
const FILES_MAX = 100_000;

const [engineUrl, where] = process.argv.slice(2) as [string, string];
const { loadEngine } = (await import(engineUrl)) as { loadEngine: () => Promise<Engine> };
const volume = await (await loadEngine()).open(where, {});
const fs = volume.fs.promises;
await fs.mkdir(INBOX, { recursive: true });

let next = 0;
async function write(): Promise<void> {
  while (next < FILES_MAX) {
    const number = next++;
    await fs.writeFile(inboxPath(number), payload(number), { flag: 'wx', mode: 0o644 });
    // Straight into the pipe: what was reported cannot be lost with this process.
    writeSync(1, `${number}\n`);
  }
}
await Promise.all(Array.from({ length: WRITERS }, write));
await volume.close();
