// The kernels once more, as naively as they can be said: bit by bit, byte by byte, on a plain copy
// of the memory. Independent of host/kernels/oracle.ts, which is itself under test: no shared code,
// and where there is a choice of algorithm, another one.

import { AREA_STRIPES, BLOCK_SIZE } from '../../assembly/layout/block.ts';
import type { KernelExports } from '../../host/kernels/exports.ts';

function u32At(memory: Uint8Array, address: number): number {
  return Number(littleEndian(memory, address, 4));
}

function littleEndian(memory: Uint8Array, address: number, size: number): bigint {
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = value * 256n + BigInt(memory[address + i]!);
  return value;
}

function store(memory: Uint8Array, address: number, size: number, value: bigint): void {
  for (let i = 0; i < size; i++) memory[address + i] = Number((value >> BigInt(8 * i)) & 0xffn);
}

function bit(memory: Uint8Array, plane: number, index: number): boolean {
  return Math.floor(memory[plane + Math.floor(index / 8)]! / 2 ** (index % 8)) % 2 === 1;
}

function setBit(memory: Uint8Array, plane: number, index: number, value: boolean): void {
  const at = plane + Math.floor(index / 8);
  memory[at] = memory[at]! + (Number(value) - Number(bit(memory, plane, index))) * 2 ** (index % 8);
}

/** xxHash64, seed 0, from the text of its specification; every step modulo 2^64. */
export function xxhash64Of(input: Uint8Array): bigint {
  const u64 = (value: bigint) => BigInt.asUintN(64, value);
  const left = (value: bigint, count: number) =>
    u64(value * 2n ** BigInt(count)) + value / 2n ** BigInt(64 - count);
  const p1 = 11400714785074694791n;
  const p2 = 14029467366897019727n;
  const p3 = 1609587929392839161n;
  const p4 = 9650029242287828579n;
  const p5 = 2870177450012600261n;
  const step = (lane: bigint, word: bigint) => u64(left(u64(lane + u64(word * p2)), 31) * p1);
  let lanes = [p1 + p2, p2, 0n, -p1].map(u64);
  let at = 0;
  while (input.length - at >= 32) {
    lanes = lanes.map((lane, i) => step(lane, littleEndian(input, at + i * 8, 8)));
    at += 32;
  }
  let sum = p5;
  if (input.length >= 32) {
    sum = u64(lanes.reduce((total, lane, i) => total + left(lane, [1, 7, 12, 18][i]!), 0n));
    for (const lane of lanes) sum = u64((sum ^ step(0n, lane)) * p1 + p4);
  }
  sum = u64(sum + BigInt(input.length));
  while (input.length - at >= 8) {
    sum = u64(left(sum ^ step(0n, littleEndian(input, at, 8)), 27) * p1 + p4);
    at += 8;
  }
  while (input.length - at >= 4) {
    sum = u64(left(sum ^ u64(littleEndian(input, at, 4) * p1), 23) * p2 + p3);
    at += 4;
  }
  while (at < input.length) sum = u64(left(sum ^ u64(BigInt(input[at++]!) * p5), 11) * p1);
  sum = u64((sum ^ (sum / 2n ** 33n)) * p2);
  sum = u64((sum ^ (sum / 2n ** 29n)) * p3);
  return sum ^ (sum / 2n ** 32n);
}

/** CRC-32C as the division of polynomials that it is, bit by bit, continued from `crc`. */
export function crc32cOf(input: Uint8Array, crc = 0): number {
  let rest = BigInt(crc) ^ 0xffffffffn;
  for (const byte of input) {
    for (let i = 0; i < 8; i++) {
      const out = (rest & 1n) ^ BigInt((byte >> i) & 1);
      rest = (rest >> 1n) ^ (out === 1n ? 0x82f63b78n : 0n);
    }
  }
  return Number(rest ^ 0xffffffffn);
}

/** Kernels over a copy of the memory; the same arguments and results as KernelExports. */
export type NaiveKernels = {
  [Name in Exclude<keyof KernelExports, 'layoutFingerprint'>]: (
    memory: Uint8Array,
    ...args: number[]
  ) => number;
};

type Numbers5 = [number, number, number, number, number];

const plane =
  (truth: (a: boolean, b: boolean) => boolean) =>
  (memory: Uint8Array, ...args: number[]): number => {
    const [destination, a, b, length] = args as Numbers5;
    for (let i = 0; i < 8 * length; i++) {
      setBit(memory, destination, i, truth(bit(memory, a, i), bit(memory, b, i)));
    }
    return 0;
  };

export const naive: NaiveKernels = {
  xor(memory, ...args) {
    const [destination, list, count, length] = args as Numbers5;
    for (let i = 0; i < length; i++) {
      let sum = 0;
      for (let s = 0; s < count; s++) sum ^= memory[u32At(memory, list + 4 * s) + i]!;
      memory[destination + i] = sum;
    }
    return 0;
  },
  isZero(memory, address = 0, length = 0) {
    for (let i = 0; i < length; i++) if (memory[address + i] !== 0) return 0;
    return 1;
  },
  planeOr: plane((a, b) => a || b),
  planeAnd: plane((a, b) => a && b),
  planeAndNot: plane((a, b) => a && !b),
  planePopcount(memory, a = 0, length = 0) {
    let count = 0;
    for (let i = 0; i < 8 * length; i++) if (bit(memory, a, i)) count++;
    return count;
  },
  planeAndNotPopcount(memory, a = 0, b = 0, length = 0) {
    let count = 0;
    for (let i = 0; i < 8 * length; i++) if (bit(memory, a, i) && !bit(memory, b, i)) count++;
    return count;
  },
  planeFind(memory, a = 0, from = 0, limit = 0, value = 0) {
    for (let i = from; i < limit; i++) if (bit(memory, a, i) === (value === 1)) return i;
    return limit;
  },
  planeRuns(memory, ...args) {
    const [a, from, limit, out, outMax] = args as Numbers5;
    const runs: [number, number][] = [];
    for (let i = from; i < limit; i++) {
      if (!bit(memory, a, i)) continue;
      if (i > from && bit(memory, a, i - 1)) runs[runs.length - 1]![1]++;
      else runs.push([i, 1]);
    }
    runs.slice(0, outMax).forEach(([first, count], index) => {
      store(memory, out + 8 * index, 4, BigInt(first));
      store(memory, out + 8 * index + 4, 4, BigInt(count));
    });
    return Math.min(runs.length, outMax);
  },
  areaFreeCounts(memory, a = 0, b = 0, count = 0, out = 0) {
    for (let area = 0; area < count; area++) {
      let free = 0;
      for (let i = area * AREA_STRIPES; i < (area + 1) * AREA_STRIPES; i++) {
        if (!bit(memory, a, i) && !bit(memory, b, i)) free++;
      }
      store(memory, out + 2 * area, 2, BigInt(free));
    }
    return 0;
  },
  xxhash64(memory, address = 0, length = 0, out = 0) {
    store(memory, out, 8, xxhash64Of(memory.slice(address, address + length)));
    return 0;
  },
  xxhash64Blocks(memory, list = 0, count = 0, out = 0) {
    for (let i = 0; i < count; i++) {
      naive.xxhash64(memory, u32At(memory, list + 4 * i), BLOCK_SIZE, out + 8 * i);
    }
    return 0;
  },
  crc32c: (memory, address = 0, length = 0, crc = 0) =>
    crc32cOf(memory.slice(address, address + length), crc),
  crc32cTable(memory, table = 0) {
    for (let t = 0; t < 8; t++) {
      for (let byte = 0; byte < 256; byte++) {
        // The pure remainder, without the inversions at both ends.
        const message = Uint8Array.of(byte, ...new Array<number>(t).fill(0));
        const entry = (crc32cOf(message, 0xffffffff) ^ 0xffffffff) >>> 0;
        store(memory, table + 1024 * t + 4 * byte, 4, BigInt(entry));
      }
    }
    return 0;
  },
  tetris(memory, ...args) {
    const [list, columns, stripes, parity, sums] = args as Numbers5;
    for (let stripe = 0; stripe < stripes; stripe++) {
      const sum = new Uint8Array(BLOCK_SIZE);
      for (let column = 0; column < columns; column++) {
        const entry = stripe * columns + column;
        const block = u32At(memory, list + 4 * entry);
        if (block === 0) continue;
        for (let i = 0; i < BLOCK_SIZE; i++) sum[i] = sum[i]! ^ memory[block + i]!;
        if (sums !== 0) naive.xxhash64(memory, block, BLOCK_SIZE, sums + 8 * entry);
      }
      memory.set(sum, parity + stripe * BLOCK_SIZE);
    }
    return 0;
  },
  mapBlocks(memory, ...args) {
    const [ranges, rangeCount, vbns, count, out] = args as Numbers5;
    let missing = 0;
    for (let i = 0; i < count; i++) {
      const vbn = u32At(memory, vbns + 4 * i);
      const found: [number, number][] = [];
      for (let r = 0; r < rangeCount; r++) {
        const [first, blocks, disk, dbn] = [0, 4, 8, 12].map((o) =>
          u32At(memory, ranges + 16 * r + o),
        ) as [number, number, number, number];
        if (first <= vbn && vbn < first + blocks) found.push([disk, dbn + vbn - first]);
      }
      const [disk, dbn] = found[0] ?? [0xffffffff, 0xffffffff];
      if (found.length === 0) missing++;
      store(memory, out + 8 * i, 4, BigInt(disk));
      store(memory, out + 8 * i + 4, 4, BigInt(dbn));
    }
    return missing;
  },
};
