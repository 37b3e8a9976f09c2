// Volumes made to lead `get` out of its target: names that climb, absolute ones, with NUL, one name
// for a symbolic link and a directory. Whoever copies from a volume that came from elsewhere must
// find nothing written or changed beside the target.

import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DIRECTORY_NAME_LENGTH_OFFSET,
  DIRECTORY_NAME_OFFSET,
} from '../../assembly/layout/directory.ts';
import { IMAGE_ROOT_INODE_FILE_OFFSET } from '../../assembly/layout/image-root.ts';
import {
  INODE_DATA_OFFSET,
  INODE_INLINE_SIZE,
  INODE_SIZE,
  INODE_SIZE_OFFSET,
  INODES_PER_BLOCK,
} from '../../assembly/layout/inode.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { type CopyProblem, copyTrees } from '../../host/cli/transfer/copy.ts';
import { fsSide } from '../../host/cli/transfer/fs-side.ts';
import { hostSide } from '../../host/cli/transfer/host-side.ts';
import { inodePointerAt } from '../../host/format/inode.ts';
import { createFs } from '../../host/fs/create-fs.ts';
import { copyOf, type Devices, letGo, mount, operationsOf } from '../damage/base.ts';
import { read, rewrite } from './forge.ts';
import { blockAt, volume } from './targets/samples.ts';

const { base, layout } = volume();
const shift = layout.imageRoot.block - layout.imageRootVbn;
/** As the volume was made. */
const INO_ROOT = 1;
const INO_DIR = 16;
const INO_SHORT_LINK = 26;

function inodeBlockOf(ino: number): number {
  const index = Math.floor(ino / INODES_PER_BLOCK);
  return blockAt(layout.imageRootVbn, inodePointerAt(IMAGE_ROOT_INODE_FILE_OFFSET, index));
}

function inodeAt(ino: number): number {
  return (ino % INODES_PER_BLOCK) * INODE_SIZE;
}

/** Gives an entry of a directory of one block another name, not longer than its own. */
function rename(devices: Devices, directory: number, from: string, to: string): void {
  const [disk] = devices.disks;
  if (disk === undefined) throw new Error('a disk is there');
  const vbn = blockAt(inodeBlockOf(directory), inodePointerAt(inodeAt(directory), 0));
  const block = Buffer.from(read(disk, vbn + shift));
  const name = block.lastIndexOf(from);
  const part = name - DIRECTORY_NAME_OFFSET;
  assert.is(block[part + DIRECTORY_NAME_LENGTH_OFFSET], from.length, 'the entry was found');
  block[part + DIRECTORY_NAME_LENGTH_OFFSET] = block.write(to, name, 'utf8');
  rewrite(disk, layout, vbn, Uint8Array.from(block));
}

/** Lets the symbolic link in the root lead elsewhere. */
function relink(devices: Devices, content: string): void {
  const [disk] = devices.disks;
  if (disk === undefined) throw new Error('a disk is there');
  const vbn = inodeBlockOf(INO_SHORT_LINK);
  const block = Buffer.from(read(disk, vbn + shift));
  const at = inodeAt(INO_SHORT_LINK);
  block.fill(0, at + INODE_DATA_OFFSET, at + INODE_DATA_OFFSET + INODE_INLINE_SIZE);
  const size = block.write(content, at + INODE_DATA_OFFSET, INODE_INLINE_SIZE);
  block.writeBigUInt64LE(BigInt(size), at + INODE_SIZE_OFFSET);
  rewrite(disk, layout, vbn, Uint8Array.from(block));
}

/** Copies all of a volume; gives what could not be copied. `outside` lies beside the target. */
async function get(
  change: (devices: Devices, outside: string) => void,
  check: (target: string, problems: readonly CopyProblem[]) => void,
): Promise<void> {
  const folder = fs.mkdtempSync(join(tmpdir(), 'waferfs-get-'));
  try {
    const target = join(folder, 'target');
    const outside = join(folder, 'outside');
    fs.mkdirSync(target);
    fs.mkdirSync(outside);
    const devices = copyOf(base.devices);
    change(devices, outside);
    const engine = mount(devices, { readOnly: true });
    const source = createFs(operationsOf(engine), { prng: new SeededPrng(1) }).promises;
    const { problems } = await copyTrees(fsSide(source), [{ path: '/' }], hostSide(), target);
    letGo(engine);
    assert.equal(fs.readdirSync(folder).sort(), ['outside', 'target']);
    assert.equal(fs.readdirSync(outside), []);
    assert.is(fs.readFileSync(join(target, 'inline'), 'utf8'), 'changed 2', 'the rest is there');
    check(target, problems);
  } finally {
    fs.rmSync(folder, { recursive: true, force: true });
  }
}

test('nothing is wrong where nothing was changed', async () => {
  await get(
    () => {},
    (_target, problems) => assert.equal(problems, []),
  );
});

for (const name of ['..', '.', '../..', '/etc', 'a/b', '../x', 'a\0b']) {
  const text = JSON.stringify(name);
  test(`a directory with a file named ${text} is damaged, the rest is copied`, async () => {
    await get(
      (devices) => rename(devices, INO_DIR, 'block', name),
      (target, problems) => {
        assert.equal(
          problems.map(({ path, code }) => `${path} ${code}`),
          ['dir BAD_MAGIC'],
        );
        assert.equal(fs.readdirSync(join(target, 'dir')), []);
      },
    );
  });
}

test('a symbolic link with the name of a directory leads nothing outside', async () => {
  await get(
    (devices, outside) => {
      relink(devices, outside);
      rename(devices, INO_ROOT, 'short-link', 'big');
    },
    (target, problems) => {
      // A name leads to one of the two, whichever is listed.
      assert.is(problems.length, 1, JSON.stringify(problems));
      assert.ok(fs.lstatSync(join(target, 'big')).isDirectory());
    },
  );
});

test.run();
