// Changes to bytes that know something of structures: fields of the usual sizes get the values at
// which codecs go wrong, parts are copied, moved, cut.

import type { SeededPrng } from '../../host/base/prng.ts';

const VALUES = [
  0n,
  1n,
  2n,
  7n,
  16n,
  17n,
  255n,
  256n,
  4095n,
  4096n,
  4097n,
  0xffffn,
  0x10000n,
  0x7fff_ffffn,
  0x8000_0000n,
  0xffff_ffffn,
  0x1_0000_0000n,
  0xffff_ffff_ffffn,
  0x1f_ffff_ffff_ffffn,
  0x20_0000_0000_0000n,
  0x7fff_ffff_ffff_ffffn,
  0xffff_ffff_ffff_ffffn,
];

/** Changes `bytes` in a few places, mostly below `end`, where the structure is. */
export function mutate(prng: SeededPrng, bytes: Uint8Array, end = bytes.length): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // Headers are small, and matter most.
  const reach = prng.pick([128, end, end, bytes.length]);
  const limit = Math.max(1, Math.min(reach, bytes.length));
  for (let left = 1 + prng.below(3); left > 0; left--) {
    const kind = prng.below(10);
    if (kind < 6) setField(prng, view, limit);
    else if (kind === 6) {
      const at = prng.below(limit);
      bytes[at] = (bytes[at] as number) ^ (1 << prng.below(8));
    } else if (kind === 7) {
      const from = prng.below(limit);
      const size = 1 + prng.below(Math.min(64, limit - from));
      bytes.copyWithin(prng.below(bytes.length - size + 1), from, from + size);
    } else if (kind === 8) {
      const from = prng.below(limit);
      bytes.fill(prng.pick([0, 255, 1]), from, from + 1 + prng.below(64));
    } else {
      const from = prng.below(limit);
      bytes.set(prng.bytes(Math.min(1 + prng.below(32), bytes.length - from)), from);
    }
  }
}

function setField(prng: SeededPrng, view: DataView, limit: number): void {
  const size = prng.pick([1, 2, 4, 4, 8, 8]);
  const at = prng.below(Math.max(1, Math.floor(limit / size))) * size;
  if (at + size > view.byteLength) return;
  let value = prng.pick(VALUES);
  if (prng.chance(0.2)) value = BigInt(prng.u32());
  if (size === 8) return view.setBigUint64(at, value, true);
  const bits = BigInt(8 * size);
  if (prng.chance(0.2)) value = -value - 1n;
  const number = Number(BigInt.asUintN(Number(bits), value));
  if (size === 1) view.setUint8(at, number);
  else if (size === 2) view.setUint16(at, number, true);
  else view.setUint32(at, number, true);
}
