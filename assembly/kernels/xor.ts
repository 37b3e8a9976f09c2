// XOR parity.
//
// Bytes moved for n sources of L bytes: n x L read, L written once. One pass: a chunk of 128 bytes
// of the destination stays in 8 vector registers while every source is folded in, so that no
// partial sum goes to memory, and the destination may be one of the sources. The bound is the load
// ports when hot (two 16-byte loads a cycle) and memory bandwidth from DRAM, where n streams of
// ascending addresses are what prefetchers like.

import { checkAddress, checkVectors } from "./check";

/** 16 data columns and one parity. */
const SOURCES_MAX: u32 = 17;

export function xor(destination: usize, list: usize, count: u32, length: u32): void {
  checkVectors(destination, length);
  checkAddress(list, 4);
  assert(count >= 1 && count <= SOURCES_MAX, "1 to 17 sources");
  for (let i: u32 = 0; i < count; i++) checkVectors(load<u32>(list + (<usize>i << 2)), length);
  xorSources(destination, list, count, length);
}

/** As `xor`; a source at address 0 counts as zeros. */
export function xorSources(destination: usize, list: usize, count: u32, length: u32): void {
  const listEnd = list + (<usize>count << 2);
  let offset: usize = 0;
  if (ASC_FEATURE_SIMD) {
    const whole: usize = length & ~127;
    for (; offset < whole; offset += 128) {
      let a = i64x2.splat(0), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
      for (let entry = list; entry < listEnd; entry += 4) {
        const base: usize = load<u32>(entry);
        if (base == 0) continue;
        const source = base + offset;
        a = v128.xor(a, v128.load(source));
        b = v128.xor(b, v128.load(source, 16));
        c = v128.xor(c, v128.load(source, 32));
        d = v128.xor(d, v128.load(source, 48));
        e = v128.xor(e, v128.load(source, 64));
        f = v128.xor(f, v128.load(source, 80));
        g = v128.xor(g, v128.load(source, 96));
        h = v128.xor(h, v128.load(source, 112));
      }
      const to = destination + offset;
      v128.store(to, a);
      v128.store(to, b, 16);
      v128.store(to, c, 32);
      v128.store(to, d, 48);
      v128.store(to, e, 64);
      v128.store(to, f, 80);
      v128.store(to, g, 96);
      v128.store(to, h, 112);
    }
  } else {
    const whole: usize = length & ~63;
    for (; offset < whole; offset += 64) {
      let a: u64 = 0, b: u64 = 0, c: u64 = 0, d: u64 = 0;
      let e: u64 = 0, f: u64 = 0, g: u64 = 0, h: u64 = 0;
      for (let entry = list; entry < listEnd; entry += 4) {
        const base: usize = load<u32>(entry);
        if (base == 0) continue;
        const source = base + offset;
        a ^= load<u64>(source);
        b ^= load<u64>(source, 8);
        c ^= load<u64>(source, 16);
        d ^= load<u64>(source, 24);
        e ^= load<u64>(source, 32);
        f ^= load<u64>(source, 40);
        g ^= load<u64>(source, 48);
        h ^= load<u64>(source, 56);
      }
      const to = destination + offset;
      store<u64>(to, a);
      store<u64>(to, b, 8);
      store<u64>(to, c, 16);
      store<u64>(to, d, 24);
      store<u64>(to, e, 32);
      store<u64>(to, f, 40);
      store<u64>(to, g, 48);
      store<u64>(to, h, 56);
    }
  }
  for (; offset < length; offset += 8) {
    let sum: u64 = 0;
    for (let entry = list; entry < listEnd; entry += 4) {
      const base: usize = load<u32>(entry);
      if (base != 0) sum ^= load<u64>(base + offset);
    }
    store<u64>(destination + offset, sum);
  }
}

/** L bytes read at most; stops at the first chunk that is not zero. */
export function isZero(address: usize, length: u32): u32 {
  checkVectors(address, length);
  const end = address + length;
  const wholeEnd = address + (length & ~127);
  let p = address;
  for (; p < wholeEnd; p += 128) if (!isZeroChunk(p)) return 0;
  for (; p < end; p += 8) if (load<u64>(p) != 0) return 0;
  return 1;
}

/** Whether 128 bytes are zero. */
// @ts-ignore: decorator
@inline
function isZeroChunk(p: usize): bool {
  if (ASC_FEATURE_SIMD) {
    const ab = v128.or(v128.load(p), v128.load(p, 16));
    const cd = v128.or(v128.load(p, 32), v128.load(p, 48));
    const ef = v128.or(v128.load(p, 64), v128.load(p, 80));
    const gh = v128.or(v128.load(p, 96), v128.load(p, 112));
    return !v128.any_true(v128.or(v128.or(ab, cd), v128.or(ef, gh)));
  } else {
    let any: u64 = 0;
    for (let i: usize = 0; i < 128; i += 32) {
      any |= load<u64>(p + i) | load<u64>(p + i, 8) | load<u64>(p + i, 16) | load<u64>(p + i, 24);
    }
    return any == 0;
  }
}
