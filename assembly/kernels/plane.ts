// Bit planes: set algebra, counting, searching. Bit i is bit (i & 7) of byte i >> 3, so a u64 read
// little-endian has bit i of the plane at bit (i & 63) of word i >> 6.
//
// Bytes moved for L bytes of plane: or, and, and-not read 2L and write L; popcount reads L; the
// fused and-not + popcount reads 2L and writes nothing. From DRAM the bound is memory bandwidth;
// hot, the algebra is bound by the store port (one vector a cycle), counting by i64.popcnt (one a
// cycle; faster than any SIMD sequence without a vector popcount).

import { AREA_STRIPES, AREA_STRIPES_SHIFT } from "../layout/block.ts";
import { checkAddress, checkVectors } from "./check";

if (AREA_STRIPES != 1 << AREA_STRIPES_SHIFT) ERROR("AREA_STRIPES and its shift drifted");
if ((AREA_STRIPES & 127) != 0) ERROR("an area is a whole number of vectors");

const OR = 0;
const AND = 1;
const AND_NOT = 2;

export function planeOr(destination: usize, a: usize, b: usize, length: u32): void {
  combine(destination, a, b, length, OR);
}

export function planeAnd(destination: usize, a: usize, b: usize, length: u32): void {
  combine(destination, a, b, length, AND);
}

export function planeAndNot(destination: usize, a: usize, b: usize, length: u32): void {
  combine(destination, a, b, length, AND_NOT);
}

// @ts-ignore: decorator
@inline
function combine(destination: usize, a: usize, b: usize, length: u32, operation: i32): void {
  checkVectors(destination, length);
  checkVectors(a, length);
  checkVectors(b, length);
  const end = a + length;
  if (ASC_FEATURE_SIMD) {
    const wholeEnd = a + (length & ~63);
    for (; a < wholeEnd; a += 64, b += 64, destination += 64) {
      v128.store(destination, vector(v128.load(a), v128.load(b), operation));
      v128.store(destination, vector(v128.load(a, 16), v128.load(b, 16), operation), 16);
      v128.store(destination, vector(v128.load(a, 32), v128.load(b, 32), operation), 32);
      v128.store(destination, vector(v128.load(a, 48), v128.load(b, 48), operation), 48);
    }
  }
  for (; a < end; a += 16, b += 16, destination += 16) {
    store<u64>(destination, word(load<u64>(a), load<u64>(b), operation));
    store<u64>(destination, word(load<u64>(a, 8), load<u64>(b, 8), operation), 8);
  }
}

// @ts-ignore: decorator
@inline
function vector(a: v128, b: v128, operation: i32): v128 {
  if (operation == OR) return v128.or(a, b);
  if (operation == AND) return v128.and(a, b);
  return v128.andnot(a, b);
}

// @ts-ignore: decorator
@inline
function word(a: u64, b: u64, operation: i32): u64 {
  if (operation == OR) return a | b;
  if (operation == AND) return a & b;
  return a & ~b;
}

export function planePopcount(a: usize, length: u32): u32 {
  checkVectors(a, length);
  const end = a + length;
  const wholeEnd = a + (length & ~63);
  let even: u64 = 0, odd: u64 = 0;
  for (; a < wholeEnd; a += 64) {
    even += popcnt(load<u64>(a)) + popcnt(load<u64>(a, 16));
    odd += popcnt(load<u64>(a, 8)) + popcnt(load<u64>(a, 24));
    even += popcnt(load<u64>(a, 32)) + popcnt(load<u64>(a, 48));
    odd += popcnt(load<u64>(a, 40)) + popcnt(load<u64>(a, 56));
  }
  for (; a < end; a += 8) even += popcnt(load<u64>(a));
  return <u32>(even + odd);
}

export function planeAndNotPopcount(a: usize, b: usize, length: u32): u32 {
  checkVectors(a, length);
  checkVectors(b, length);
  const end = a + length;
  const wholeEnd = a + (length & ~31);
  let even: u64 = 0, odd: u64 = 0;
  for (; a < wholeEnd; a += 32, b += 32) {
    even += popcnt(load<u64>(a) & ~load<u64>(b));
    odd += popcnt(load<u64>(a, 8) & ~load<u64>(b, 8));
    even += popcnt(load<u64>(a, 16) & ~load<u64>(b, 16));
    odd += popcnt(load<u64>(a, 24) & ~load<u64>(b, 24));
  }
  for (; a < end; a += 8, b += 8) even += popcnt(load<u64>(a) & ~load<u64>(b));
  return <u32>(even + odd);
}

/** Reads no word beyond the one that holds bit limit - 1. */
export function planeFind(a: usize, from: u32, limit: u32, value: u32): u32 {
  checkAddress(a, 16);
  assert(value <= 1, "value is a bit");
  return find(a, from, limit, value == 1 ? 0 : -1);
}

/** First bit of [from, limit) whose word, XORed with `flip`, has it set; limit if there is none. */
function find(a: usize, from: u32, limit: u32, flip: u64): u32 {
  if (from >= limit) return limit;
  const base = a;
  // Address of the last word; at most 2^26 words.
  const last = base + (<usize>((limit - 1) >> 6) << 3);
  let p = base + (<usize>(from >> 6) << 3);
  let bits = (load<u64>(p) ^ flip) & (<u64>-1 << <u64>(from & 63));
  if (bits == 0) {
    p = skip(p + 8, last, flip);
    if (p > last) return limit;
    bits = load<u64>(p) ^ flip;
  }
  return min(<u32>((p - base) << 3) + <u32>ctz(bits), limit);
}

/** Address of the first word in p..last that differs from ~flip, or one beyond last. */
// @ts-ignore: decorator
@inline
function skip(p: usize, last: usize, flip: u64): usize {
  if (ASC_FEATURE_SIMD) {
    const flips = i64x2.splat(<i64>flip);
    // 128 bytes a turn: words p..p+120.
    while (p + 120 <= last) {
      const ab = v128.or(v128.xor(v128.load(p), flips), v128.xor(v128.load(p, 16), flips));
      const cd = v128.or(v128.xor(v128.load(p, 32), flips), v128.xor(v128.load(p, 48), flips));
      const ef = v128.or(v128.xor(v128.load(p, 64), flips), v128.xor(v128.load(p, 80), flips));
      const gh = v128.or(v128.xor(v128.load(p, 96), flips), v128.xor(v128.load(p, 112), flips));
      if (v128.any_true(v128.or(v128.or(ab, cd), v128.or(ef, gh)))) break;
      p += 128;
    }
  }
  while (p <= last && (load<u64>(p) ^ flip) == 0) p += 8;
  return p;
}

/** L bytes read, 8 bytes written for each run. Where a bit differs from the one before, a run
 *  begins or ends; those places are the set bits of word ^ (word << 1), taken one by one by ctz.
 *  They begin and end in turn, so no branch depends on the data but the end of the loop over a
 *  word. */
export function planeRuns(a: usize, from: u32, limit: u32, out: usize, outMax: u32): u32 {
  checkAddress(a, 16);
  checkAddress(out, 4);
  if (from >= limit || outMax == 0) return 0;
  const last = a + (<usize>((limit - 1) >> 6) << 3);
  const outEnd = out + (<usize>outMax << 3);
  const outFirst = out;
  let p = a + (<usize>(from >> 6) << 3);
  let below: u64 = (<u64>1 << <u64>(from & 63)) - 1;
  let first: u32 = 0;
  // All ones within a run, else zero.
  let inside: u64 = 0;
  while (p <= last) {
    let bits = load<u64>(p) & ~below;
    below = 0;
    // Bits from limit on count as clear.
    if (p == last) bits &= <u64>-1 >> <u64>((0 - limit) & 63);
    const wordFirst = <u32>((p - a) << 3);
    for (let edges = bits ^ ((bits << 1) | (inside & 1)); edges != 0; edges &= edges - 1) {
      const bit = wordFirst + <u32>ctz(edges);
      if (inside != 0) {
        store<u32>(out, first);
        store<u32>(out, bit - first, 4);
        out += 8;
        if (out == outEnd) return outMax;
      }
      first = bit;
      inside = ~inside;
    }
    p = skip(p + 8, last, inside);
  }
  if (inside != 0) {
    store<u32>(out, first);
    store<u32>(out, limit - first, 4);
    out += 8;
  }
  return <u32>((out - outFirst) >> 3);
}

/** 2 x 128 bytes read, 2 written for each area: popcnt-bound hot, memory-bound from DRAM. */
export function areaFreeCounts(a: usize, b: usize, count: u32, out: usize): void {
  checkAddress(a, 16);
  checkAddress(b, 16);
  checkAddress(out, 2);
  for (let i: u32 = 0; i < count; i++, out += 2) {
    const end = a + (AREA_STRIPES >> 3);
    let even: u64 = 0, odd: u64 = 0;
    for (; a < end; a += 32, b += 32) {
      even += popcnt(~(load<u64>(a) | load<u64>(b)));
      odd += popcnt(~(load<u64>(a, 8) | load<u64>(b, 8)));
      even += popcnt(~(load<u64>(a, 16) | load<u64>(b, 16)));
      odd += popcnt(~(load<u64>(a, 24) | load<u64>(b, 24)));
    }
    store<u16>(out, <u16>(even + odd));
  }
}
