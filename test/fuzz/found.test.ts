// What fuzzing found, case by case, as small as it could be made. Each took a program down, or was
// taken for what it is not, once.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE, POINTER_FLAGS_OFFSET } from '../../assembly/layout/block.ts';
import { IMAGE_ROOT_INODE_FILE_OFFSET } from '../../assembly/layout/image-root.ts';
import {
  INODE_LEVEL_OFFSET,
  INODE_SIZE,
  INODE_SIZE_OFFSET,
  INODES_PER_BLOCK,
} from '../../assembly/layout/inode.ts';
import { isFsError, isStorageError } from '../../host/base/errors.ts';
import { synchronously } from '../../host/base/task.ts';
import { inodePointerAt } from '../../host/format/inode.ts';
import {
  BIG_DIRECTORY_ENTRIES,
  bigName,
  copyOf,
  type Devices,
  done,
  letGo,
  mount,
  operationsOf,
} from '../damage/base.ts';
import { changeSlot, read, rewrite } from './forge.ts';
import { blockAt, volume } from './targets/samples.ts';

const { base, layout } = volume();
/** As the volume was made. */
const INO_OF_BLOCK = 21;
const shift = layout.imageRoot.block - layout.imageRootVbn;

/** The third block of the inode file, and the contents of /dir/block, whose inode is in another. */
function inodesAndData(): { readonly inodes: number; readonly data: number } {
  const inodeBlock = (index: number) =>
    blockAt(layout.imageRootVbn, inodePointerAt(IMAGE_ROOT_INODE_FILE_OFFSET, index));
  const inode = (INO_OF_BLOCK % INODES_PER_BLOCK) * INODE_SIZE;
  return { inodes: inodeBlock(2), data: blockAt(inodeBlock(1), inodePointerAt(inode, 0)) };
}

/** Makes the contents of a file a block of inodes of impossible files. */
function writeInodes(devices: Devices, inodes: number, data: number): void {
  const [disk] = devices.disks;
  if (disk === undefined) return;
  const bytes = read(disk, inodes + shift);
  for (let at = 0; at < bytes.length; at += INODE_SIZE) {
    bytes.fill(255, at + INODE_SIZE_OFFSET, at + INODE_SIZE_OFFSET + 8);
    bytes[at + INODE_LEVEL_OFFSET] = 200;
  }
  rewrite(disk, layout, data, bytes);
  const pointer = changeSlot(disk, layout, data, () => {});
  changeSlot(disk, layout, inodes, (slot) => slot.set(pointer));
}

/** Reads the contents, then looks at files of the block of inodes: what each gives. */
function look(devices: Devices): string {
  const engine = mount(devices, { readOnly: true });
  const fs = operationsOf(engine);
  done(() => fs.readFile({ path: '/dir/block' }));
  const found = new Set<string>();
  for (let index = 0; index < BIG_DIRECTORY_ENTRIES; index += 10) {
    try {
      done(() => fs.attributes({ path: `/big/${bigName(index)}` }));
      found.add('taken');
    } catch (error) {
      assert.ok(isFsError(error, 'EIO') && isStorageError(error.cause, 'BAD_MAGIC'), String(error));
      found.add('EIO');
    }
  }
  letGo(engine);
  return [...found].sort().join();
}

test('the contents of a file are not taken for inodes, by a pointer that calls them so', () => {
  const devices = copyOf(base.devices);
  const { inodes, data } = inodesAndData();
  writeInodes(devices, inodes, data);
  assert.is(look(devices), 'EIO,taken');
});

test('nor by one that says that they are inodes, though they are in memory as contents', () => {
  const devices = copyOf(base.devices);
  const { inodes, data } = inodesAndData();
  writeInodes(devices, inodes, data);
  const [disk] = devices.disks;
  if (disk !== undefined) {
    changeSlot(disk, layout, inodes, (slot) => {
      slot[POINTER_FLAGS_OFFSET] = 0x31;
    });
  }
  assert.is(look(devices), 'EIO,taken');
});

test('maps that contradict the trees stop the volume, with a code', () => {
  const devices = copyOf(base.devices);
  const [disk] = devices.disks;
  for (const { block } of layout.places.get('summary map') ?? []) {
    if (disk !== undefined) rewrite(disk, layout, block - shift, new Uint8Array(BLOCK_SIZE));
  }
  let stopped: unknown;
  try {
    const engine = mount(devices);
    letGo(engine);
    const fs = operationsOf(engine);
    done(() => fs.unlink('/dir/sub/level-3'));
    synchronously(() => engine.fs.requestCp(true)?.driveSync());
  } catch (error) {
    stopped = error;
  }
  assert.ok(isStorageError(stopped, 'BAD_MAGIC'), String(stopped));
});

test.run();
