// 20,000 files with everything that file trees can hold go into a real six-disk volume and out of
// it again, and are equal: whole, in a snapshot, after a disk is lost. It is the promise of `put`
// and `get`, at a size at which directories split and many consistency points pass.
//
// @timeout 10m

import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { loadEngine } from '../../host/cli/engine.ts';
import type { TreeRoot } from '../../host/cli/transfer/compare.ts';
import { compareTrees } from '../../host/cli/transfer/compare.ts';
import { fsSide } from '../../host/cli/transfer/fs-side.ts';
import { hostSide } from '../../host/cli/transfer/host-side.ts';
import { Volume } from '../../host/node.ts';
import type { NastyTree } from './nasty-tree.ts';
import { makeNastyTree, removeTree } from './nasty-tree.ts';
import { runWafer } from './wafer.ts';

const FILES = 20_000;
const SEED = Number(process.env.SEED ?? 20_260_101);
const isRoot = process.getuid?.() === 0;
const directory = fs.mkdtempSync(join(tmpdir(), 'waferfs-acceptance-'));
const original = join(directory, 'original');
const where = join(directory, 'tank');
let made: NastyTree;

const story = suite('20,000 files');

/** Runs a verb; gives the result's line. */
async function wafer(...argv: string[]): Promise<Record<string, unknown>> {
  const ran = await runWafer(loadEngine, [...argv, '--json'], { isRoot });
  const last = ran.lines.at(-1) ?? {};
  assert.is(ran.code, 0, JSON.stringify(last));
  return last;
}

async function equalToOriginal(copy: TreeRoot): Promise<void> {
  const result = await compareTrees({ side: hostSide(), path: original }, copy, { owners: isRoot });
  assert.equal(result.differences, []);
  assert.is(result.files, made.files + made.hardLinks);
}

async function withVolume(readOnly: boolean, use: (volume: Volume) => Promise<void>) {
  const volume = await Volume.open(where, { readOnly });
  try {
    await use(volume);
  } finally {
    await volume.close();
  }
}

story.before(() => {
  console.log(`seed ${SEED}`);
  fs.mkdirSync(original);
  made = makeNastyTree(original, FILES, SEED);
});

story.after(() => removeTree(directory));

story('go in, all of them', async () => {
  assert.is(made.files, FILES);
  await wafer('create', where, '--disks', '6', '--size', '1GiB');
  const put = await wafer('put', original, `${where}:/`);
  assert.is(put.files, made.files);
  assert.is(put.directories, made.directories + 1);
  assert.is(put.symlinks, made.symlinks);
  assert.is(put.hardLinks, made.hardLinks);
  assert.is(put.failed, 0);
  const status = await wafer('status', where);
  // And the root.
  assert.is(status.fileCount, made.files + made.directories + 1 + made.symlinks + 1);
  assert.is((await wafer('verify', where)).problems, 0);
});

story('are equal inside', async () => {
  await withVolume(true, async (volume) => {
    await equalToOriginal({ side: fsSide(volume.fs.promises), path: '/original' });
  });
});

story('stay as they are in a snapshot, with nanoseconds and xattrs beside', async () => {
  await wafer('snapshot', 'create', where, 'as-it-was');
  await withVolume(false, async ({ fs: inside }) => {
    const path = '/original/names/-rf';
    await inside.promises.utimes(path, 1_234_567_890_123_456_789n, -1n);
    await inside.promises.setxattr(path, 'user.kind', 'odd');
    await inside.promises.rm('/original/bulk-0', { recursive: true });
    await inside.promises.rename('/original/deep', '/original/names/deep');
  });
  await withVolume(true, async (volume) => {
    const path = '/original/names/-rf';
    const stats = await volume.fs.promises.stat(path, { bigint: true });
    assert.equal([stats.atimeNs, stats.mtimeNs], [1_234_567_890_123_456_789n, -1n]);
    assert.is(String(await volume.fs.promises.getxattr(path, 'user.kind')), 'odd');
    assert.not(volume.fs.existsSync('/original/bulk-0'));
    await equalToOriginal({ side: fsSide(volume.at('as-it-was').fs.promises), path: '/original' });
  });
});

story('come back by a rollback, and out again with a disk lost, equal', async () => {
  await wafer('rollback', where, 'as-it-was');
  fs.rmSync(join(where, 'disk-02.wafer'));
  const out = join(directory, 'out');
  const got = await wafer('get', `${where}:/original`, out);
  assert.is(got.files, made.files);
  assert.is(got.hardLinks, made.hardLinks);
  assert.is(got.failed, 0);
  await equalToOriginal({ side: hostSide(), path: out });
  const sparse = fs.statSync(join(out, 'sizes/sparse'));
  assert.ok(sparse.blocks * 512 < 100_000, 'holes stay holes');
  assert.is((await wafer('verify', where)).problems, 0);
});

story.run();
