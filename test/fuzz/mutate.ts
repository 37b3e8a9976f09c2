// Changes to bytes that know something of structures: fields get the values at which codecs go
// wrong, parts are copied, moved, taken from another input, cut, made longer.

import type { SeededPrng } from '../../host/base/prng.ts';

/** A field of a structure: where a number may stand. */
export interface Place {
  readonly offset: number;
  readonly size: number;
}

export interface MutateOptions {
  /** Where the structure ends; most changes are made below. */
  readonly end?: number;
  /** Its fields. */
  readonly places?: readonly Place[];
  /** Whether the input may get another length, up to so many bytes. */
  readonly lengthMax?: number;
  /** Pieces that mean something to the decoder. */
  readonly tokens?: readonly Uint8Array[];
  /** Another input, of which parts are taken. */
  readonly other?: Uint8Array;
}

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
const PIECE_MAX = 64;

/** Gives `bytes` with a few changes; made in place where the length stays. */
export function mutate(
  prng: SeededPrng,
  bytes: Uint8Array,
  options: MutateOptions = {},
): Uint8Array {
  let result = bytes;
  for (let left = 1 + prng.below(3); left > 0; left--) result = change(prng, result, options);
  return result;
}

function change(prng: SeededPrng, bytes: Uint8Array, options: MutateOptions): Uint8Array {
  const { end = bytes.length, lengthMax, tokens = [] } = options;
  if (lengthMax !== undefined && prng.chance(0.3)) return resize(prng, bytes, lengthMax, tokens);
  if (bytes.length === 0) return bytes;
  // Headers are small, and matter most.
  const reach = prng.pick([128, end, end, bytes.length]);
  const limit = Math.max(1, Math.min(reach, bytes.length));
  const kind = prng.below(12);
  if (kind < 6) setField(prng, bytes, limit, options);
  else if (kind < 8) overwrite(prng, bytes, limit, options);
  else if (kind === 8) {
    const at = prng.below(limit);
    bytes[at] = (bytes[at] as number) ^ (1 << prng.below(8));
  } else if (kind === 9) {
    const from = prng.below(limit);
    const size = 1 + prng.below(Math.min(PIECE_MAX, limit - from));
    bytes.copyWithin(prng.below(bytes.length - size + 1), from, from + size);
  } else if (kind === 10) {
    const from = prng.below(limit);
    bytes.fill(prng.pick([0, 255, 1]), from, from + 1 + prng.below(PIECE_MAX));
  } else {
    const from = prng.below(limit);
    bytes.set(prng.bytes(Math.min(1 + prng.below(32), bytes.length - from)), from);
  }
  return bytes;
}

/** A part of another input, or a token, over what stands there. */
function overwrite(
  prng: SeededPrng,
  bytes: Uint8Array,
  limit: number,
  { other, tokens = [] }: MutateOptions,
): void {
  const at = prng.below(limit);
  const room = bytes.length - at;
  if (tokens.length > 0 && prng.chance(0.5)) {
    bytes.set(prng.pick(tokens).subarray(0, room), at);
    return;
  }
  if (other === undefined || other.length === 0) return;
  // Mostly the same field, as it is there.
  const from = at < other.length && prng.chance(0.8) ? at : prng.below(other.length);
  const size = 1 + prng.below(prng.pick([8, PIECE_MAX, 1024]));
  bytes.set(other.subarray(from, from + Math.min(size, room)), at);
}

function resize(
  prng: SeededPrng,
  bytes: Uint8Array,
  lengthMax: number,
  tokens: readonly Uint8Array[],
): Uint8Array {
  const at = prng.below(bytes.length + 1);
  const kind = prng.below(4);
  if (kind === 0) return bytes.slice(0, at);
  if (kind === 1) return joined([bytes.subarray(0, at), bytes.subarray(at + 1 + prng.below(16))]);
  const piece =
    kind === 2 && tokens.length > 0 ? prng.pick(tokens) : prng.bytes(1 + prng.below(16));
  const result = joined([bytes.subarray(0, at), piece, bytes.subarray(at)]);
  return result.length > lengthMax ? result.slice(0, lengthMax) : result;
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

function setField(
  prng: SeededPrng,
  bytes: Uint8Array,
  limit: number,
  { places = [] }: MutateOptions,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let size = prng.pick([1, 2, 4, 4, 8, 8]);
  let at = prng.below(Math.max(1, Math.floor(limit / size))) * size;
  if (places.length > 0 && prng.chance(0.8)) {
    const place = prng.pick(places);
    at = place.offset;
    size = [1, 2, 4, 8].includes(place.size) ? place.size : 1;
    if (place.size > 8) at += prng.below(place.size);
  }
  if (at + size > view.byteLength) return;
  const value = BigInt.asUintN(8 * size, valueFor(prng, get(view, at, size)));
  if (size === 8) view.setBigUint64(at, value, true);
  else if (size === 4) view.setUint32(at, Number(value), true);
  else if (size === 2) view.setUint16(at, Number(value), true);
  else view.setUint8(at, Number(value));
}

function get(view: DataView, at: number, size: number): bigint {
  if (size === 8) return view.getBigUint64(at, true);
  if (size === 4) return BigInt(view.getUint32(at, true));
  return BigInt(size === 2 ? view.getUint16(at, true) : view.getUint8(at));
}

/** Something for a field that holds `old`: an edge, near it, near the old one, or anything. */
function valueFor(prng: SeededPrng, old: bigint): bigint {
  const kind = prng.below(10);
  if (kind < 5) return prng.pick(VALUES);
  if (kind === 5) return -prng.pick(VALUES) - 1n;
  if (kind === 6) return BigInt(prng.u32());
  if (kind === 7) return 1n << BigInt(prng.below(64));
  if (kind === 8) return old + BigInt(prng.below(9)) - 4n;
  return prng.chance(0.5) ? old * 2n : old / 2n;
}
