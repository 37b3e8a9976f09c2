// Very many files in one directory, and a file of 100 GiB, in a child process with a cache of 64
// MiB: its memory stays bounded, and a mount reads as little afterwards as before. What grows
// with the contents of a volume makes it unusable for those who need it most. WAFER_SCALE_FILES
// sets another number of files than a million. @timeout 10m

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

const test = suite('scale');

const MIB = 1 << 20;
const FILES = Number(process.env['WAFER_SCALE_FILES'] ?? 1_000_000);
/** The cache, and 300 MiB: Node itself, and what JavaScript has of names and calls in flight. */
const MEMORY_MAX = (64 + 300) * MIB;
/** Blocks that a mount may read more on a volume with files in it: paths of the trees it looks
 *  into. */
const MOUNT_BLOCKS_MAX = 16;

const child = fileURLToPath(new URL('scale-child.js', import.meta.url));

interface Measured {
  readonly rssMax: number;
  readonly empty: number;
  readonly full: number;
  readonly sparseBlocks: number;
  readonly removalMessages: number;
}

test(`${FILES} files in one directory, 100 GiB in one file, within bounded memory`, () => {
  const directory = mkdtempSync(join(tmpdir(), 'wafer-scale-'));
  try {
    const ran = spawnSync(process.execPath, [child, directory, String(FILES)], {
      encoding: 'utf8',
    });
    assert.is(ran.status, 0, ran.stderr);
    const measured = JSON.parse(ran.stdout) as Measured;
    assert.ok(measured.rssMax <= MEMORY_MAX, `${Math.ceil(measured.rssMax / MIB)} MiB resident`);
    const { empty, full } = measured;
    assert.ok(full <= empty + MOUNT_BLOCKS_MAX, `a mount reads ${full} blocks, not ${empty}`);
    // 65 blocks of data, each with lowest and middle indirect blocks at most; in units of 512
    // bytes.
    assert.ok(measured.sparseBlocks / 8 <= 65 * 3 + 8, `${measured.sparseBlocks / 8} blocks`);
    assert.ok(measured.removalMessages <= 2, `${measured.removalMessages} messages for one unlink`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

test.run();
