// The kernels as a good programmer writes them in TypeScript, 32 bits at a time: what the
// WebAssembly must beat. (host/kernels/oracle.ts is slower on purpose.)

/** destination := XOR of the sources; 32-bit words. */
export function xorPlain(destination: Uint32Array, sources: readonly Uint32Array[]): void {
  const [first, ...others] = sources as [Uint32Array, ...Uint32Array[]];
  destination.set(first);
  for (const source of others) {
    for (let i = 0; i < destination.length; i++) destination[i] = destination[i]! ^ source[i]!;
  }
}

export function andNotPlain(destination: Uint32Array, a: Uint32Array, b: Uint32Array): void {
  for (let i = 0; i < destination.length; i++) destination[i] = a[i]! & ~b[i]!;
}

export function popcountPlain(a: Uint32Array): number {
  let count = 0;
  for (let i = 0; i < a.length; i++) count += popcount32(a[i]!);
  return count;
}

export function andNotPopcountPlain(a: Uint32Array, b: Uint32Array): number {
  let count = 0;
  for (let i = 0; i < a.length; i++) count += popcount32(a[i]! & ~b[i]!);
  return count;
}

function popcount32(word: number): number {
  let v = word - ((word >>> 1) & 0x55555555);
  v = (v & 0x33333333) + ((v >>> 2) & 0x33333333);
  return Math.imul((v + (v >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc;
});

export function crc32cPlain(bytes: Uint8Array): number {
  let crc = ~0;
  for (let i = 0; i < bytes.length; i++) {
    crc = (crc >>> 8) ^ crcTable[(crc ^ bytes[i]!) & 0xff]!;
  }
  return ~crc >>> 0;
}

const MASK = 0xffffffffffffffffn;
const PRIME_1 = 0x9e3779b185ebca87n;
const PRIME_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME_3 = 0x165667b19e3779f9n;
const PRIME_4 = 0x85ebca77c2b2ae63n;

function rotl(value: bigint, count: bigint): bigint {
  return ((value << count) | (value >> (64n - count))) & MASK;
}

function round(lane: bigint, input: bigint): bigint {
  return (rotl((lane + input * PRIME_2) & MASK, 31n) * PRIME_1) & MASK;
}

/** xxHash64 of whole 32-byte stripes, with BigInt: the only 64-bit integers that JavaScript has. */
export function xxhash64Plain(words: BigUint64Array): bigint {
  let a = (PRIME_1 + PRIME_2) & MASK;
  let b = PRIME_2;
  let c = 0n;
  let d = -PRIME_1 & MASK;
  for (let i = 0; i < words.length; i += 4) {
    a = round(a, words[i]!);
    b = round(b, words[i + 1]!);
    c = round(c, words[i + 2]!);
    d = round(d, words[i + 3]!);
  }
  let hash = (rotl(a, 1n) + rotl(b, 7n) + rotl(c, 12n) + rotl(d, 18n)) & MASK;
  for (const lane of [a, b, c, d]) hash = ((hash ^ round(0n, lane)) * PRIME_1 + PRIME_4) & MASK;
  hash = (hash + BigInt(8 * words.length)) & MASK;
  hash = ((hash ^ (hash >> 33n)) * PRIME_2) & MASK;
  hash = ((hash ^ (hash >> 29n)) * PRIME_3) & MASK;
  return hash ^ (hash >> 32n);
}
