// The hash of names: HalfSipHash-2-4 with 64 bits of output, as assembly/layout/directory.ts states
// it. In plain TypeScript: names are short, and 32-bit words are what JavaScript computes fast. The
// result stands in `nameHash` until the next call, as two u32: a 64-bit number as an object or a
// bigint would cost more than the hash.

/** The halves of the last hash, u32 each. */
export const nameHash = { high: 0, low: 0 };

/** Hashes `length` bytes from `start` on, with the key (seedLow, seedHigh), into `nameHash`. */
export function hashName(
  bytes: Uint8Array,
  start: number,
  length: number,
  seedLow: number,
  seedHigh: number,
): void {
  let a = seedLow | 0;
  let b = seedHigh ^ 0xee;
  let c = seedLow ^ 0x6c796765;
  let d = seedHigh ^ 0x74656462;
  const words = length >>> 2;
  // One round more than there are whole words: the last word is the tail with the length on top.
  // After it come eight finishing rounds, the first half of the result after four of them.
  let at = start;
  for (let index = 0; index <= words; index++, at += 4) {
    const word = index < words ? wordAt(bytes, at) : lastWord(bytes, at, length);
    d ^= word;
    for (let round = 0; round < 2; round++) {
      a = (a + b) | 0;
      b = ((b << 5) | (b >>> 27)) ^ a;
      a = (a << 16) | (a >>> 16);
      c = (c + d) | 0;
      d = ((d << 8) | (d >>> 24)) ^ c;
      a = (a + d) | 0;
      d = ((d << 7) | (d >>> 25)) ^ a;
      c = (c + b) | 0;
      b = ((b << 13) | (b >>> 19)) ^ c;
      c = (c << 16) | (c >>> 16);
    }
    a ^= word;
  }
  c ^= 0xee;
  for (let round = 0; round < 8; round++) {
    if (round === 4) {
      nameHash.low = (b ^ d) >>> 0;
      b ^= 0xdd;
    }
    a = (a + b) | 0;
    b = ((b << 5) | (b >>> 27)) ^ a;
    a = (a << 16) | (a >>> 16);
    c = (c + d) | 0;
    d = ((d << 8) | (d >>> 24)) ^ c;
    a = (a + d) | 0;
    d = ((d << 7) | (d >>> 25)) ^ a;
    c = (c + b) | 0;
    b = ((b << 13) | (b >>> 19)) ^ c;
    c = (c << 16) | (c >>> 16);
  }
  nameHash.high = (b ^ d) >>> 0;
}

function wordAt(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at] as number) |
    ((bytes[at + 1] as number) << 8) |
    ((bytes[at + 2] as number) << 16) |
    ((bytes[at + 3] as number) << 24)
  );
}

function lastWord(bytes: Uint8Array, at: number, length: number): number {
  let word = length << 24;
  const tail = length & 3;
  if (tail > 2) word |= (bytes[at + 2] as number) << 16;
  if (tail > 1) word |= (bytes[at + 1] as number) << 8;
  if (tail > 0) word |= bytes[at] as number;
  return word;
}
