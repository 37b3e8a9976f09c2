// Forged volumes: one block is changed, and all checksums up to the volume root are made right
// again, so that nothing but the checks of content stands between the block and the file system.

import { BLOCK_SIZE, POINTER_CHECKSUM_OFFSET } from '../../assembly/layout/block.ts';
import { VOLUME_ROOT_SIZE, VOLUME_ROOT_STATE_OFFSET } from '../../assembly/layout/volume-root.ts';
import { VOLUME_STATE_SIZE } from '../../assembly/layout/volume-state.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import { sealEnvelope } from '../../host/format/envelope.ts';
import { createKernels } from '../../host/kernels/instantiate.ts';
import { Hasher } from '../../host/raid/hasher.ts';
import type { Devices } from '../damage/base.ts';
import type { Layout, Link, Region } from '../damage/places.ts';
import { mutate } from './mutate.ts';

const { arena, kernels } = createKernels({ arenaBytes: 128 * 1024, shared: false });
const hasher = new Hasher(arena, kernels);

/** Where the structures of a block of this kind end; most of a block is often empty. */
const ENDS: Partial<Record<Region, number>> = {
  'image root': 896,
  'snapshot table': 2048,
  'xattr block': 256,
  'area table': 64,
};

export const FORGED: readonly (Region | 'volume state')[] = [
  'volume state',
  'image root',
  'inode block',
  'indirect block',
  'directory block',
  'xattr block',
  'inode map',
  'active map',
  'summary map',
  'area table',
  'snapshot table',
];

/** Changes a block of `region` on the one disk of `devices`; says what. */
export function forge(
  devices: Devices,
  layout: Layout,
  region: Region | 'volume state',
  prng: SeededPrng,
): string {
  const [disk] = devices.disks as [MemoryDisk];
  const shift = layout.imageRoot.block - layout.imageRootVbn;
  if (region === 'volume state') {
    mendRoot(disk, layout, (root) => {
      const state = root.subarray(
        VOLUME_ROOT_STATE_OFFSET,
        VOLUME_ROOT_STATE_OFFSET + VOLUME_STATE_SIZE,
      );
      mutate(prng, state, { end: 1200 });
    });
    return region;
  }
  const { block } = prng.pick(layout.places.get(region) ?? []);
  const bytes = new Uint8Array(BLOCK_SIZE);
  disk.readSync(block, [bytes]);
  mutate(prng, bytes, { end: ENDS[region] ?? BLOCK_SIZE });
  disk.writeSync(block, [bytes]);
  mend(disk, layout, { vbn: block - shift, shift, bytes });
  return `${region}, block ${block}`;
}

/** Puts the checksum of a block to its pointer, and so on up. */
function mend(
  disk: MemoryDisk,
  layout: Layout,
  from: { vbn: number; shift: number; bytes: Uint8Array },
): void {
  const { shift } = from;
  let { vbn, bytes } = from;
  for (;;) {
    const { low, high } = hasher.block(bytes);
    const { parent, offset } = layout.links.get(vbn) as Link;
    const put = (view: DataView, at: number) => {
      view.setUint32(at + POINTER_CHECKSUM_OFFSET, low, true);
      view.setUint32(at + POINTER_CHECKSUM_OFFSET + 4, high, true);
    };
    if (parent === 0) {
      mendRoot(disk, layout, (root) => {
        put(new DataView(root.buffer), VOLUME_ROOT_STATE_OFFSET + offset);
      });
      return;
    }
    bytes = new Uint8Array(BLOCK_SIZE);
    disk.readSync(parent + shift, [bytes]);
    put(new DataView(bytes.buffer), offset);
    disk.writeSync(parent + shift, [bytes]);
    vbn = parent;
  }
}

function mendRoot(disk: MemoryDisk, layout: Layout, change: (root: Uint8Array) => void): void {
  const [first] = layout.newestRoot as [number];
  const root = new Uint8Array(VOLUME_ROOT_SIZE);
  disk.readSync(first, [root]);
  change(root);
  root.fill(0, 16, 24);
  sealEnvelope(root, hasher.hash);
  disk.writeSync(first, [root, root]);
}
