// Forged volumes: something is changed, and all checksums up to the volume root, or along the log,
// are made right again, so that nothing but the checks of content stands between the bytes and the
// file system.

import {
  BLOCK_SIZE,
  POINTER_CHECKSUM_OFFSET,
  POINTER_FLAGS_OFFSET,
  POINTER_SIZE,
} from '../../assembly/layout/block.ts';
import { FLUSH_HEADER_SIZE } from '../../assembly/layout/log.ts';
import { VOLUME_ROOT_SIZE, VOLUME_ROOT_STATE_OFFSET } from '../../assembly/layout/volume-root.ts';
import { VOLUME_STATE_SIZE } from '../../assembly/layout/volume-state.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { sealEnvelope } from '../../host/format/envelope.ts';
import {
  FLUSH,
  IMAGE_ROOT,
  INODE,
  POINTER,
  RECORD,
  SNAPSHOT,
  type Structure,
  VOLUME_ROOT,
  VOLUME_STATE,
} from '../../host/volume/inspect/structures.ts';
import type { Devices } from '../damage/base.ts';
import type { Layout, Link, Region } from '../damage/places.ts';
import { type MutateOptions, mutate } from './mutate.ts';
import { placesOf } from './target.ts';
import { mendFlush } from './targets/log.ts';
import { hasher } from './targets/samples.ts';

/** How blocks are changed: where their fields are, and where their structures end. */
const HOW: Readonly<Partial<Record<Region, MutateOptions>>> = {
  'image root': { places: placesOf(IMAGE_ROOT), end: 896 },
  'inode block': { places: tablePlaces(INODE, 16) },
  'indirect block': { places: tablePlaces(POINTER, 16), end: 512 },
  'directory block': {},
  'xattr block': { end: 256 },
  'inode map': {},
  'active map': {},
  'summary map': {},
  'area table': { end: 64 },
  'snapshot table': { places: tablePlaces(SNAPSHOT, 4), end: 4096 },
};
const REGIONS = Object.keys(HOW) as Region[];
const STATE = { places: placesOf(VOLUME_STATE), end: 1200 };
const FLUSH_PLACES = [...placesOf(FLUSH), ...placesOf(RECORD, FLUSH_HEADER_SIZE)];
const ROOT = {
  places: placesOf(VOLUME_ROOT).filter(({ offset }) => offset < 128 || offset >= 2176),
};

function tablePlaces(structure: Structure, count: number) {
  return Array.from({ length: count }, (_, index) =>
    placesOf(structure, index * structure.sizeBytes),
  ).flat();
}

/** Changes something on the one disk of `devices`, or in the log; says what. */
export function forge(devices: Devices, layout: Layout, prng: SeededPrng): string {
  const [disk] = devices.disks as [MemoryDisk];
  const kind = prng.below(20);
  if (kind === 0) {
    mendRoot(disk, layout, (root) => void mutate(prng, root, ROOT));
    return 'volume root';
  }
  if (kind < 3) {
    mendRoot(disk, layout, (root) => void mutate(prng, stateOf(root), STATE));
    return 'volume state';
  }
  if (kind < 6) return forgeLog(devices.nvrams[0] as MemoryNvram, layout, prng);
  if (kind < 11) return redirect(disk, layout, prng);
  const region = prng.pick(REGIONS);
  const { block } = prng.pick(layout.places.get(region) ?? []);
  const shift = layout.imageRoot.block - layout.imageRootVbn;
  const bytes = read(disk, block);
  mutate(prng, bytes, HOW[region]);
  rewrite(disk, layout, block - shift, bytes);
  return `${region}, block ${block}`;
}

/** Leads a pointer to another block: what is expected there, or something else; with the contents
 *  as they are, or as a changed copy of what belongs there. */
function redirect(disk: MemoryDisk, layout: Layout, prng: SeededPrng): string {
  const shift = layout.imageRoot.block - layout.imageRootVbn;
  const vbns = [...layout.links.keys()];
  const from = prng.pick(vbns);
  const to = prng.pick(vbns);
  if (prng.chance(0.3)) {
    const bytes = read(disk, from + shift);
    mutate(prng, bytes);
    rewrite(disk, layout, to, bytes);
  }
  const pointer = changeSlot(disk, layout, to, () => {});
  const keepsKind = prng.chance(0.5);
  changeSlot(disk, layout, from, (slot) => {
    const flags = slot.slice(POINTER_FLAGS_OFFSET, POINTER_CHECKSUM_OFFSET);
    slot.set(pointer);
    if (keepsKind) slot.set(flags, POINTER_FLAGS_OFFSET);
  });
  return `the pointer to ${from} leads to ${to}`;
}

/** Changes the pointer to a block, mends what is above, and gives it. */
export function changeSlot(
  disk: MemoryDisk,
  layout: Layout,
  vbn: number,
  change: (slot: Uint8Array) => void,
): Uint8Array {
  const shift = layout.imageRoot.block - layout.imageRootVbn;
  const { parent, offset } = layout.links.get(vbn) as Link;
  let slot: Uint8Array | undefined;
  const apply = (bytes: Uint8Array) => {
    slot = bytes.subarray(offset, offset + POINTER_SIZE);
    change(slot);
  };
  if (parent === 0) mendRoot(disk, layout, (root) => apply(stateOf(root)));
  else {
    const bytes = read(disk, parent + shift);
    apply(bytes);
    rewrite(disk, layout, parent, bytes);
  }
  return (slot as unknown as Uint8Array).slice();
}

export function read(disk: MemoryDisk, dbn: number): Uint8Array {
  const bytes = new Uint8Array(BLOCK_SIZE);
  disk.readSync(dbn, [bytes]);
  return bytes;
}

function stateOf(root: Uint8Array): Uint8Array {
  return root.subarray(VOLUME_ROOT_STATE_OFFSET, VOLUME_ROOT_STATE_OFFSET + VOLUME_STATE_SIZE);
}

/** Gives a block other contents, and mends what is above. */
export function rewrite(disk: MemoryDisk, layout: Layout, vbn: number, bytes: Uint8Array): void {
  const shift = layout.imageRoot.block - layout.imageRootVbn;
  disk.writeSync(vbn + shift, [bytes]);
  mend(disk, layout, { vbn, bytes });
}

/** Puts the checksum of a block to its pointer, and so on up. */
function mend(disk: MemoryDisk, layout: Layout, from: { vbn: number; bytes: Uint8Array }): void {
  const shift = layout.imageRoot.block - layout.imageRootVbn;
  let { vbn, bytes } = from;
  // A bound, since what was led elsewhere may go in circles.
  for (let step = 0; step < 16; step++) {
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
    bytes = read(disk, parent + shift);
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

/** Changes a flush that is to be replayed, on its one copy. */
function forgeLog(nvram: MemoryNvram, layout: Layout, prng: SeededPrng): string {
  const blocks = prng.pick(layout.flushes);
  const offset = (blocks[0] as number) * BLOCK_SIZE;
  const bytes = new Uint8Array(blocks.length * BLOCK_SIZE);
  nvram.readSync(offset, bytes);
  mutate(prng, bytes, { places: FLUSH_PLACES, end: 400 });
  mendFlush(bytes);
  nvram.writeSync(offset, [bytes]);
  return `the flush at ${offset}`;
}
