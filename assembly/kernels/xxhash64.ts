// xxHash64 (Yann Collet), seed 0: the checksum of every block and log payload.
//
// L bytes read, 8 written. Two 64-bit multiplications for each 8 bytes in four independent lanes:
// the multiplier (one a cycle) bounds it at 4 bytes a cycle, 12 GB/s at 3 GHz, just above one
// core's share of memory bandwidth. Hashing two blocks at once gains nothing: the multiplier is
// busy already.

import { BLOCK_SIZE } from "../layout/block.ts";
import { checkAddress, checkBytes } from "./check";

const PRIME_1: u64 = 0x9e3779b185ebca87;
const PRIME_2: u64 = 0xc2b2ae3d27d4eb4f;
const PRIME_3: u64 = 0x165667b19e3779f9;
const PRIME_4: u64 = 0x85ebca77c2b2ae63;
const PRIME_5: u64 = 0x27d4eb2f165667c5;

export function xxhash64(address: usize, length: u32, out: usize): void {
  checkBytes(address, length);
  checkAddress(out, 8);
  store<u64>(out, xxhash64Of(address, length));
}

export function xxhash64Blocks(list: usize, count: u32, out: usize): void {
  checkAddress(list, 4);
  checkAddress(out, 8);
  const end = list + (<usize>count << 2);
  for (; list < end; list += 4, out += 8) {
    const block: usize = load<u32>(list);
    checkAddress(block, 16);
    store<u64>(out, xxhash64Of(block, BLOCK_SIZE));
  }
}

export function xxhash64Of(address: usize, length: u32): u64 {
  const end = address + length;
  let p = address;
  let hash: u64;
  if (length >= 32) {
    let a: u64 = PRIME_1 + PRIME_2, b: u64 = PRIME_2, c: u64 = 0, d: u64 = 0 - PRIME_1;
    const wholeEnd = address + (length & ~31);
    for (; p < wholeEnd; p += 32) {
      a = round(a, load<u64>(p));
      b = round(b, load<u64>(p, 8));
      c = round(c, load<u64>(p, 16));
      d = round(d, load<u64>(p, 24));
    }
    hash = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18);
    hash = merge(merge(merge(merge(hash, a), b), c), d);
  } else {
    hash = PRIME_5;
  }
  return finish(hash + length, p, end);
}

/** The last 0..31 bytes, and the avalanche. */
function finish(hash: u64, p: usize, end: usize): u64 {
  for (; p + 8 <= end; p += 8) {
    hash = rotl(hash ^ round(0, load<u64>(p)), 27) * PRIME_1 + PRIME_4;
  }
  if (p + 4 <= end) {
    hash = rotl(hash ^ (<u64>load<u32>(p) * PRIME_1), 23) * PRIME_2 + PRIME_3;
    p += 4;
  }
  for (; p < end; p++) {
    hash = rotl(hash ^ (<u64>load<u8>(p) * PRIME_5), 11) * PRIME_1;
  }
  hash = (hash ^ (hash >> 33)) * PRIME_2;
  hash = (hash ^ (hash >> 29)) * PRIME_3;
  return hash ^ (hash >> 32);
}

// @ts-ignore: decorator
@inline
function round(lane: u64, input: u64): u64 {
  return rotl(lane + input * PRIME_2, 31) * PRIME_1;
}

// @ts-ignore: decorator
@inline
function merge(hash: u64, lane: u64): u64 {
  return (hash ^ round(0, lane)) * PRIME_1 + PRIME_4;
}
