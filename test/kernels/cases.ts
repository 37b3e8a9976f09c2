// Random calls of every kernel: a plan of the memory, its contents, the arguments. The same cases
// serve every variant.

import { AREA_STRIPES, BLOCK_SIZE } from '../../assembly/layout/block.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import type { NaiveKernels } from '../oracle/kernels.ts';

/** The memory that cases use: from the end of the first page on. */
export const MEMORY_FIRST = 65536;
export const MEMORY_LIMIT = 8 * 65536;

export class Plan {
  readonly prng: SeededPrng;
  readonly memory: Uint8Array;
  #next = MEMORY_FIRST;

  /** @param memory what the case may fill; of MEMORY_LIMIT bytes. */
  constructor(prng: SeededPrng, memory: Uint8Array) {
    this.prng = prng;
    this.memory = memory;
  }

  /** Room at a random address of this alignment and no larger one's, with untouched bytes
   *  around. */
  take(length: number, alignment: number): number {
    const gap = this.prng.below(4) * alignment;
    const address = Math.ceil((this.#next + 1) / alignment) * alignment + gap;
    this.#next = address + length;
    if (this.#next >= MEMORY_LIMIT) throw new Error('case needs more memory');
    return address;
  }

  /** Room with contents of one of several kinds, as planes and blocks have them. */
  filled(length: number, alignment: number): number {
    const address = this.take(length, alignment);
    const bytes = this.memory.subarray(address, address + length);
    const kind = this.prng.below(6);
    if (kind === 0) bytes.fill(0);
    else if (kind === 1) bytes.fill(255);
    else if (kind === 2) bytes.set(this.prng.bytes(length));
    else this.#fillRuns(bytes, kind === 3 ? 3 : kind === 4 ? 200 : 3000);
    return address;
  }

  /** Alternating runs of set and clear bits of random lengths. */
  #fillRuns(bytes: Uint8Array, bitsMax: number): void {
    bytes.fill(0);
    let value = this.prng.chance(0.5);
    for (let bit = 0; bit < 8 * bytes.length; value = !value) {
      const end = Math.min(8 * bytes.length, bit + 1 + this.prng.below(bitsMax));
      for (; bit < end; bit++) if (value) bytes[bit >> 3]! |= 1 << (bit & 7);
    }
  }

  words(values: readonly number[]): number {
    const address = this.take(4 * values.length, 4);
    const view = new DataView(this.memory.buffer, this.memory.byteOffset);
    values.forEach((value, index) => view.setUint32(address + 4 * index, value, true));
    return address;
  }

  /** A multiple of 16: none, few (the tails of the unrolled loops), some. */
  length(): number {
    const { prng } = this;
    return 16 * (prng.chance(0.1) ? 0 : prng.chance(0.5) ? 1 + prng.below(20) : prng.below(140));
  }
}

type MakeCase = (plan: Plan) => number[];

const combine: MakeCase = (plan) => {
  const length = plan.length();
  const a = plan.filled(length, 16);
  const b = plan.filled(length, 16);
  return [plan.prng.pick([a, b, plan.take(length, 16)]), a, b, length];
};

/** A range of bits of a plane, mostly not on word boundaries. */
function bits(plan: Plan): { a: number; from: number; limit: number } {
  const length = plan.length() + 16;
  const a = plan.filled(length, 16);
  const limit = plan.prng.below(8 * length + 1);
  // Often near the end, where bits from limit on must not count, and now and then beyond it.
  const near = Math.max(0, limit + 2 - plan.prng.below(plan.prng.pick([6, 70])));
  return { a, from: plan.prng.chance(0.4) ? near : plan.prng.below(limit + 1), limit };
}

export const CASES: { [Name in keyof NaiveKernels]: MakeCase } = {
  xor(plan) {
    const count = 1 + plan.prng.below(17);
    const length = plan.length();
    const sources = Array.from({ length: count }, () => plan.filled(length, 16));
    const isInPlace = plan.prng.chance(0.3);
    const destination = isInPlace ? plan.prng.pick(sources) : plan.take(length, 16);
    return [destination, plan.words(sources), count, length];
  },
  isZero(plan) {
    const length = plan.length();
    const address = plan.take(length, 16);
    plan.memory.fill(0, address, address + length);
    // At most one bit, anywhere.
    if (length > 0 && plan.prng.chance(0.7)) {
      plan.memory[address + plan.prng.below(length)] = 1 << plan.prng.below(8);
    }
    return [address, length];
  },
  planeOr: combine,
  planeAnd: combine,
  planeAndNot: combine,
  planePopcount(plan) {
    const length = plan.length();
    return [plan.filled(length, 16), length];
  },
  planeAndNotPopcount(plan) {
    const length = plan.length();
    return [plan.filled(length, 16), plan.filled(length, 16), length];
  },
  planeFind(plan) {
    const { a, from, limit } = bits(plan);
    return [a, from, limit, plan.prng.below(2)];
  },
  planeRuns(plan) {
    const { a, from, limit } = bits(plan);
    const outMax = plan.prng.pick([0, 1, 5, 10_000]);
    return [a, from, limit, plan.take(8 * outMax, 4), outMax];
  },
  areaFreeCounts(plan) {
    const count = plan.prng.below(20);
    const length = (count * AREA_STRIPES) / 8;
    return [plan.filled(length, 16), plan.filled(length, 16), count, plan.take(2 * count, 2)];
  },
  xxhash64(plan) {
    const length = plan.prng.below(plan.prng.pick([40, 100, 5000]));
    return [plan.filled(length, 1), length, plan.take(8, 8)];
  },
  xxhash64Blocks(plan) {
    const blocks = Array.from({ length: plan.prng.below(5) }, () => plan.filled(BLOCK_SIZE, 16));
    return [plan.words(blocks), blocks.length, plan.take(8 * blocks.length, 8)];
  },
  crc32c(plan) {
    const length = plan.prng.below(plan.prng.pick([20, 1000]));
    const table = plan.take(8192, 4);
    return [plan.filled(length, 1), length, plan.prng.u32(), table];
  },
  crc32cTable: (plan) => [plan.take(8192, 4)],
  tetris(plan) {
    const columns = 1 + plan.prng.below(16);
    const stripes = plan.prng.below(1 + 32 / columns);
    const blocks = Array.from({ length: columns * stripes }, () =>
      plan.prng.chance(0.2) ? 0 : plan.filled(BLOCK_SIZE, 16),
    );
    const parity = plan.take(stripes * BLOCK_SIZE, 16);
    const sums = plan.prng.chance(0.3) ? 0 : plan.take(8 * blocks.length, 8);
    return [plan.words(blocks), columns, stripes, parity, sums];
  },
  mapBlocks(plan) {
    const { prng } = plan;
    const rangeCount = prng.below(8);
    const ranges: number[] = [];
    // The last vbns of all must work too.
    let vbn = prng.chance(0.2) ? 0xfffff000 : 1;
    for (let i = 0; i < rangeCount && vbn < 0xffffff00; i++) {
      vbn += prng.chance(0.5) ? 0 : prng.below(50);
      const count = 1 + prng.below(60);
      ranges.push(vbn, count, prng.below(16), prng.u32() >>> 1);
      vbn += count;
    }
    const first = Math.max(0, (ranges[0] ?? 5) - 3);
    const vbns = Array.from({ length: prng.below(200) }, () =>
      prng.chance(0.05) ? prng.u32() : first + prng.below(400),
    );
    const out = plan.take(8 * vbns.length, 4);
    return [plan.words(ranges), ranges.length / 4, plan.words(vbns), vbns.length, out];
  },
};
