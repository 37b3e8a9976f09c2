// What a power cut does to a write that no flush has covered. Fates are plain values, so that a
// test can list them, choose them one by one, print them and do the same again.
//
// A device tears between sectors, never within one. Fates are drawn for each write on its own, so
// that a later write may be there and an earlier one not: that is reordering.

import { BLOCK_SIZE, SECTOR_SIZE } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import type { Prng } from '../base/env.ts';
import { below, chance, fillRandom, SeededPrng } from '../base/prng.ts';
import type { SparseBytes } from './sparse-bytes.ts';

/** A write that a crash may still undo. `bytes` belongs to the device: do not change it. */
export interface PendingWrite {
  readonly offsetBytes: number;
  readonly bytes: Uint8Array;
}

/** Counts are in sectors of the write, 1..n-1 of its n. */
export type Fate =
  | { readonly kind: 'keep' }
  | { readonly kind: 'drop' }
  /** The first sectors are new, the rest old. */
  | { readonly kind: 'prefix'; readonly sectors: number }
  /** The last sectors are new, the rest old. */
  | { readonly kind: 'suffix'; readonly sectors: number }
  /** Each sector is new or old, as the seed has it; at least one of each. */
  | { readonly kind: 'mixture'; readonly seed: number }
  /** The first sectors (0..n-1) are new, the rest zeros. */
  | { readonly kind: 'zeros'; readonly sectors: number }
  /** All are new but one (index 0..n-1), which is noise. */
  | { readonly kind: 'garbage'; readonly sector: number; readonly seed: number };

export const KEEP: Fate = { kind: 'keep' };
export const DROP: Fate = { kind: 'drop' };

export interface FateOptions {
  /** Unit of tearing in bytes; default SECTOR_SIZE. */
  readonly tearBytes?: number;
  /** Whether a sector may become noise; default false: most disks never do that. */
  readonly hasGarbage?: boolean;
}

/** Every way, up to symmetry, in which a write of `sizeBytes` can end: for exhaustive tests. */
export function fatesOf(sizeBytes: number, options: FateOptions = {}): Fate[] {
  const count = sectorCount(sizeBytes, options);
  const fates: Fate[] = [KEEP, DROP];
  if (count > 1) {
    const middle = count >> 1;
    const block = Math.min(BLOCK_SIZE / (options.tearBytes ?? SECTOR_SIZE), count - 1);
    for (const sectors of new Set([1, block, middle, count - 1])) {
      fates.push({ kind: 'prefix', sectors }, { kind: 'suffix', sectors });
    }
    if (count > 2) fates.push({ kind: 'mixture', seed: 1 }, { kind: 'mixture', seed: 2 });
    fates.push({ kind: 'zeros', sectors: middle });
  }
  fates.push({ kind: 'zeros', sectors: 0 });
  if (options.hasGarbage === true) {
    for (const sector of new Set([0, count >> 1, count - 1])) {
      fates.push({ kind: 'garbage', sector, seed: 1 });
    }
  }
  return fates;
}

/** A fate drawn at random: one third kept, one third dropped, one third torn. */
export function randomFate(prng: Prng, sizeBytes: number, options: FateOptions = {}): Fate {
  const whole = below(prng, 3);
  if (whole === 0) return KEEP;
  if (whole === 1) return DROP;
  const count = sectorCount(sizeBytes, options);
  const kind = below(prng, options.hasGarbage === true ? 5 : 4);
  if (kind === 4) return { kind: 'garbage', sector: below(prng, count), seed: prng.u32() };
  if (kind === 3 || count === 1) return { kind: 'zeros', sectors: below(prng, count) };
  if (kind === 2) return { kind: 'mixture', seed: prng.u32() };
  return { kind: kind === 0 ? 'prefix' : 'suffix', sectors: 1 + below(prng, count - 1) };
}

/** Does to `bytes` what is left of `write` after a crash. */
export function applyFate(
  bytes: SparseBytes,
  write: PendingWrite,
  fate: Fate,
  options: FateOptions = {},
): void {
  const size = options.tearBytes ?? SECTOR_SIZE;
  const count = sectorCount(write.bytes.length, options);
  const put = (from: number, to: number) => {
    const end = Math.min(to * size, write.bytes.length);
    bytes.adopt(write.offsetBytes + from * size, write.bytes.subarray(from * size, end));
  };
  switch (fate.kind) {
    case 'drop':
      return;
    case 'keep':
      return put(0, count);
    case 'prefix':
      return put(0, fate.sectors);
    case 'suffix':
      return put(count - fate.sectors, count);
    case 'mixture': {
      const mixed = new Uint8Array(write.bytes.length);
      bytes.read(write.offsetBytes, mixed);
      mix(mixed, write.bytes, { count, size, seed: fate.seed });
      return bytes.adopt(write.offsetBytes, mixed);
    }
    case 'zeros': {
      const rest = write.bytes.length - fate.sectors * size;
      put(0, fate.sectors);
      return bytes.write(write.offsetBytes + fate.sectors * size, new Uint8Array(rest));
    }
    case 'garbage': {
      put(0, count);
      const start = fate.sector * size;
      const noise = new Uint8Array(Math.min(size, write.bytes.length - start));
      fillRandom(new SeededPrng(fate.seed), noise);
      return bytes.write(write.offsetBytes + start, noise);
    }
  }
}

/** A fate as text, for messages of failed tests. */
export function describeFate(fate: Fate): string {
  const { kind, ...operands } = fate;
  return [kind, ...Object.values(operands)].join(' ');
}

/** Copies some sectors of `source`, at least one and not all of them, over `old`. */
function mix(
  old: Uint8Array,
  source: Uint8Array,
  sectors: { readonly count: number; readonly size: number; readonly seed: number },
): void {
  const { count, size } = sectors;
  assert(count > 1, 'a mixture has two sectors', count);
  const prng = new SeededPrng(sectors.seed);
  const sureNew = below(prng, count);
  const sureOld = (sureNew + 1 + below(prng, count - 1)) % count;
  for (let sector = 0; sector < count; sector++) {
    const isNew = chance(prng, 0.5);
    if (sector === sureOld || (!isNew && sector !== sureNew)) continue;
    const start = sector * size;
    old.set(source.subarray(start, start + size), start);
  }
}

function sectorCount(sizeBytes: number, options: FateOptions): number {
  assert(sizeBytes > 0, 'a write has bytes', sizeBytes);
  return Math.ceil(sizeBytes / (options.tearBytes ?? SECTOR_SIZE));
}
