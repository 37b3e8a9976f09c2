// The kernels in plain TypeScript: the same face, the same contract checks, no cleverness. They run
// wherever there is no WebAssembly to be trusted (env.kernels = 'oracle'), and the simulator holds
// the WebAssembly builds against them: the same seed gives the same image with either.

import { AREA_STRIPES, BLOCK_SIZE, DATA_COLUMNS_MAX } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import type { Address } from '../base/units.ts';
import type { Arena } from './arena.ts';
import type { KernelExports } from './exports.ts';
import { layoutFingerprintExpected } from './fingerprint.ts';

const SOURCES_MAX = 17;
const NO_DISK = 0xffffffff;

/** The kernels on `arena`. */
export function createOracle(arena: Arena): KernelExports {
  return {
    layoutFingerprint: layoutFingerprintExpected,
    ...bytesOf(arena),
    ...planesOf(arena),
    ...checksumsOf(arena),
    ...mapOf(arena),
  };
}

function checkAddress(address: Address, alignment: number): void {
  assert(address !== 0, 'address is not 0');
  assert(address % alignment === 0, 'address is aligned', address, alignment);
}

function checkBytes(arena: Arena, address: Address, length: number): void {
  assert(address !== 0, 'address is not 0');
  assert(
    address + length <= arena.sizeBytes,
    'range ends in memory',
    address + length,
    arena.sizeBytes,
  );
}

function checkVectors(arena: Arena, address: Address, length: number): void {
  checkBytes(arena, address, length);
  assert(
    address % 16 === 0 && length % 16 === 0,
    'address and length are multiples of 16',
    address,
    length,
  );
}

/** The u32s at an address, without copying. */
function words(arena: Arena, address: Address, count: number): Uint32Array {
  checkAddress(address, 4);
  return new Uint32Array(arena.memory.buffer, address, count);
}

/** XOR of `sources` (0 = zeros) into destination. */
function xorInto(arena: Arena, destination: Address, sources: Uint32Array, length: number): void {
  const sum = new Uint8Array(length);
  for (const source of sources) {
    if (source === 0) continue;
    const bytes = arena.bytes(source, length);
    for (let i = 0; i < length; i++) sum[i]! ^= bytes[i]!;
  }
  arena.u8.set(sum, destination);
}

function bytesOf(arena: Arena): Pick<KernelExports, 'xor' | 'isZero' | 'tetris'> {
  return {
    xor(destination, list, count, length) {
      assert(count >= 1 && count <= SOURCES_MAX, '1 to 17 sources', count);
      const sources = words(arena, list, count);
      checkVectors(arena, destination, length);
      for (const source of sources) checkVectors(arena, source, length);
      xorInto(arena, destination, sources, length);
    },
    isZero(address, length) {
      checkVectors(arena, address, length);
      return arena.bytes(address, length).every((byte) => byte === 0) ? 1 : 0;
    },
    tetris(list, columns, stripes, parity, sums) {
      assert(columns >= 1 && columns <= DATA_COLUMNS_MAX, '1 to 16 columns', columns);
      assert(sums % 8 === 0, 'sums is aligned', sums);
      checkVectors(arena, parity, stripes * BLOCK_SIZE);
      const blocks = words(arena, list, columns * stripes);
      blocks.forEach((block, index) => {
        assert(block % 16 === 0, 'block is aligned', block);
        if (sums === 0 || block === 0) return;
        arena.view.setBigUint64(sums + 8 * index, xxhash64Of(arena, block, BLOCK_SIZE), true);
      });
      for (let stripe = 0; stripe < stripes; stripe++) {
        const row = blocks.subarray(stripe * columns, (stripe + 1) * columns);
        xorInto(arena, parity + stripe * BLOCK_SIZE, row, BLOCK_SIZE);
      }
    },
  };
}

function bitOf(arena: Arena, plane: Address, bit: number): number {
  return (arena.u8[plane + Math.floor(bit / 8)]! >> (bit % 8)) & 1;
}

function countOf(bytes: Uint8Array): number {
  let count = 0;
  for (let byte of bytes) {
    for (; byte !== 0; byte &= byte - 1) count++;
  }
  return count;
}

type PlaneKernels =
  | 'planeOr'
  | 'planeAnd'
  | 'planeAndNot'
  | 'planePopcount'
  | 'planeAndNotPopcount'
  | 'planeFind'
  | 'planeRuns'
  | 'areaFreeCounts';

function planesOf(arena: Arena): Pick<KernelExports, PlaneKernels> {
  type Combine = (a: number, b: number) => number;
  const combined = (a: Address, b: Address, length: number, combine: Combine): Uint8Array => {
    checkVectors(arena, a, length);
    checkVectors(arena, b, length);
    const others = arena.bytes(b, length);
    return arena.bytes(a, length).map((byte, i) => combine(byte, others[i]!));
  };
  const store =
    (combine: Combine) => (destination: Address, a: Address, b: Address, length: number) => {
      checkVectors(arena, destination, length);
      arena.u8.set(combined(a, b, length, combine), destination);
    };
  const find = (a: Address, from: number, limit: number, value: number): number => {
    checkAddress(a, 16);
    assert(value === 0 || value === 1, 'value is a bit', value);
    for (let bit = from; bit < limit; bit++) if (bitOf(arena, a, bit) === value) return bit;
    return limit;
  };
  return {
    planeOr: store((a, b) => a | b),
    planeAnd: store((a, b) => a & b),
    planeAndNot: store((a, b) => a & ~b),
    planePopcount(a, length) {
      checkVectors(arena, a, length);
      return countOf(arena.bytes(a, length));
    },
    planeAndNotPopcount: (a, b, length) => countOf(combined(a, b, length, (x, y) => x & ~y)),
    planeFind: find,
    planeRuns(a, from, limit, out, outMax) {
      const pairs = words(arena, out, 2 * outMax);
      let count = 0;
      for (let bit = from; count < outMax; count++) {
        const first = find(a, bit, limit, 1);
        if (first >= limit) break;
        bit = find(a, first, limit, 0);
        pairs[2 * count] = first;
        pairs[2 * count + 1] = bit - first;
      }
      return count;
    },
    areaFreeCounts(a, b, count, out) {
      checkAddress(out, 2);
      const areaBytes = AREA_STRIPES / 8;
      const held = combined(a, b, count * areaBytes, (x, y) => x | y);
      for (let i = 0; i < count; i++) {
        const used = countOf(held.subarray(i * areaBytes, (i + 1) * areaBytes));
        arena.view.setUint16(out + 2 * i, AREA_STRIPES - used, true);
      }
    },
  };
}

const PRIME_1 = 0x9e3779b185ebca87n;
const PRIME_2 = 0xc2b2ae3d27d4eb4fn;
const PRIME_3 = 0x165667b19e3779f9n;
const PRIME_4 = 0x85ebca77c2b2ae63n;
const PRIME_5 = 0x27d4eb2f165667c5n;
const MASK = 0xffffffffffffffffn;

function rotl(value: bigint, count: bigint): bigint {
  return ((value << count) | (value >> (64n - count))) & MASK;
}

function round(lane: bigint, input: bigint): bigint {
  return (rotl((lane + input * PRIME_2) & MASK, 31n) * PRIME_1) & MASK;
}

/** xxHash64, seed 0, as its specification words it. */
function xxhash64Of(arena: Arena, address: Address, length: number): bigint {
  const u64 = (at: Address) => arena.view.getBigUint64(at, true);
  const end = address + length;
  let p = address;
  let hash = PRIME_5;
  if (length >= 32) {
    const lanes = [(PRIME_1 + PRIME_2) & MASK, PRIME_2, 0n, -PRIME_1 & MASK];
    for (; p + 32 <= end; p += 32) {
      for (let i = 0; i < 4; i++) lanes[i] = round(lanes[i]!, u64(p + 8 * i));
    }
    const [a, b, c, d] = lanes as [bigint, bigint, bigint, bigint];
    hash = (rotl(a, 1n) + rotl(b, 7n) + rotl(c, 12n) + rotl(d, 18n)) & MASK;
    for (const lane of lanes) hash = ((hash ^ round(0n, lane)) * PRIME_1 + PRIME_4) & MASK;
  }
  hash = (hash + BigInt(length)) & MASK;
  for (; p + 8 <= end; p += 8) {
    hash = (rotl(hash ^ round(0n, u64(p)), 27n) * PRIME_1 + PRIME_4) & MASK;
  }
  if (p + 4 <= end) {
    const input = BigInt(arena.view.getUint32(p, true));
    hash = (rotl(hash ^ ((input * PRIME_1) & MASK), 23n) * PRIME_2 + PRIME_3) & MASK;
    p += 4;
  }
  for (; p < end; p++) {
    hash = (rotl(hash ^ ((BigInt(arena.u8[p]!) * PRIME_5) & MASK), 11n) * PRIME_1) & MASK;
  }
  hash = ((hash ^ (hash >> 33n)) * PRIME_2) & MASK;
  hash = ((hash ^ (hash >> 29n)) * PRIME_3) & MASK;
  return hash ^ (hash >> 32n);
}

const CRC32C_POLYNOMIAL = 0x82f63b78;

type ChecksumKernels = 'xxhash64' | 'xxhash64Blocks' | 'crc32c' | 'crc32cTable';

function checksumsOf(arena: Arena): Pick<KernelExports, ChecksumKernels> {
  const xxhash64 = (address: Address, length: number, out: Address) => {
    checkBytes(arena, address, length);
    checkAddress(out, 8);
    arena.view.setBigUint64(out, xxhash64Of(arena, address, length), true);
  };
  return {
    xxhash64,
    xxhash64Blocks(list, count, out) {
      words(arena, list, count).forEach((block, index) => {
        checkAddress(block, 16);
        xxhash64(block, BLOCK_SIZE, out + 8 * index);
      });
    },
    crc32c(address, length, crc, table) {
      checkBytes(arena, address, length);
      const entries = words(arena, table, 256);
      let held = ~crc;
      for (const byte of arena.bytes(address, length)) {
        held = (held >>> 8) ^ entries[(held ^ byte) & 0xff]!;
      }
      return ~held >>> 0;
    },
    crc32cTable(table) {
      const entries = words(arena, table, 8 * 256);
      for (let byte = 0; byte < 256; byte++) {
        let crc = byte;
        for (let i = 0; i < 8 * 8; i++) {
          crc = (crc >>> 1) ^ (crc & 1 ? CRC32C_POLYNOMIAL : 0);
          // Table t: the byte and t zero bytes.
          if (i % 8 === 7) entries[((i - 7) / 8) * 256 + byte] = crc;
        }
      }
    },
  };
}

function mapOf(arena: Arena): Pick<KernelExports, 'mapBlocks'> {
  return {
    mapBlocks(ranges, rangeCount, vbns, count, out) {
      const table = words(arena, ranges, 4 * rangeCount);
      const pairs = words(arena, out, 2 * count);
      let missing = 0;
      words(arena, vbns, count).forEach((vbn, index) => {
        let disk = NO_DISK;
        let dbn = NO_DISK;
        for (let i = 0; i < table.length; i += 4) {
          const offset = vbn - table[i]!;
          if (offset < 0 || offset >= table[i + 1]!) continue;
          disk = table[i + 2]!;
          dbn = table[i + 3]! + offset;
        }
        if (disk === NO_DISK) missing++;
        pairs[2 * index] = disk;
        pairs[2 * index + 1] = dbn;
      });
      return missing;
    },
  };
}
