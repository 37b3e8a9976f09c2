// Where good inputs come from: a small volume with everything in it, and the memory in which the
// codecs work.

import { BLOCK_SIZE } from '../../../assembly/layout/block.ts';
import { createKernels } from '../../../host/kernels/instantiate.ts';
import { LogMemory } from '../../../host/nvlog/log-memory.ts';
import { Hasher } from '../../../host/raid/hasher.ts';
import { type Base, build } from '../../damage/base.ts';
import { type Layout, layoutOf, type Region } from '../../damage/places.ts';

export const { arena, kernels } = createKernels({ arenaBytes: 8 * 1024 * 1024, shared: false });
export const hasher = new Hasher(arena, kernels);
export const log = new LogMemory(arena, kernels);
/** A block of the arena. */
export const at = arena.reserve(BLOCK_SIZE, BLOCK_SIZE);

let known: { readonly base: Base; readonly layout: Layout } | undefined;

/** The volume: one disk, so that a block's place follows from its number. */
export function volume(): { readonly base: Base; readonly layout: Layout } {
  if (known === undefined) {
    const setup = { name: 'fuzz', raid: 'none', diskCount: 1, blockCount: 3200 } as const;
    const base = build({ ...setup, logCopies: 1 });
    known = { base, layout: layoutOf(base) };
  }
  return known;
}

export function diskBytes(dbn: number, count = 1): Uint8Array {
  const bytes = new Uint8Array(count * BLOCK_SIZE);
  volume().base.devices.disks[0]?.readSync(dbn, [bytes]);
  return bytes;
}

export function nvramBytes(offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  volume().base.devices.nvrams[0]?.readSync(offset, bytes);
  return bytes;
}

const BLOCKS_MAX = 12;

/** Some blocks of a region. */
export function blocksOf(region: Region): Uint8Array[] {
  const places = volume().layout.places.get(region) ?? [];
  return places.slice(0, BLOCKS_MAX).map(({ block }) => diskBytes(block));
}

/** The block whose pointer stands at a place of the block `parent`. */
export function blockAt(parent: number, offset: number): number {
  for (const [vbn, link] of volume().layout.links) {
    if (link.parent === parent && link.offset === offset) return vbn;
  }
  throw new Error(`no block at ${offset} of ${parent}`);
}
