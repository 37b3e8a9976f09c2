// Every kernel in every build, and the TypeScript oracle, against naive bit-by-bit code on random
// calls, the whole memory compared after each. Parity, checksums and planes are what all data hangs
// on, and five implementations of them must be one.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SeededPrng } from '../../host/base/prng.ts';
import type { KernelExports } from '../../host/kernels/exports.ts';
import { type NaiveKernels, naive } from '../oracle/kernels.ts';
import { CASES, MEMORY_FIRST, MEMORY_LIMIT, Plan } from './cases.ts';
import { createVariants } from './variants.ts';

const SEED = Number(process.env['SEED'] ?? 20_240_601);
const CASE_COUNT = 80;
const NAMES = Object.keys(CASES) as (keyof NaiveKernels)[];
const variants = createVariants(MEMORY_LIMIT);

for (const [variant, { arena, kernels }] of Object.entries(variants)) {
  const test = suite(`kernels: ${variant} (seed ${SEED})`);
  for (const name of NAMES) {
    test(name, () => {
      const prng = new SeededPrng(SEED);
      for (let round = 0; round < CASE_COUNT; round++) {
        const args = CASES[name](new Plan(prng, arena.u8));
        if (name === 'crc32c') kernels.crc32cTable(args[3]!);
        const expected = arena.u8.slice();
        const resultExpected = naive[name](expected, ...args);
        const result = (kernels[name] as (...args: number[]) => number | undefined)(...args);
        const call = `${name}(${args.join(', ')}), round ${round}, seed ${SEED}`;
        assert.is(result ?? 0, resultExpected, `result of ${call}`);
        if (Buffer.compare(arena.u8, expected) !== 0) {
          const at = arena.u8.findIndex((byte, index) => byte !== expected[index]);
          assert.unreachable(`${call}: byte ${at} is ${arena.u8[at]}, not ${expected[at]}`);
        }
      }
    });
  }
  test.run();
}

const vectors = suite('kernels: published vectors');
const text = (words: string) => new TextEncoder().encode(words);
const counting = Uint8Array.from({ length: 32 }, (_, index) => index);

/** From the test suites of xxHash and of Go's implementation. */
const XXHASH64: [Uint8Array, bigint][] = [
  [text(''), 0xef46db3751d8e999n],
  [text('a'), 0xd24ec4f1a98c6e5bn],
  [text('as'), 0x1c330fb2d66be179n],
  [text('asd'), 0x631c37ce72a97393n],
  [text('asdf'), 0x415872f599cea71en],
  [text('abc'), 0x44bc2cf5ad770999n],
  [text('Nobody inspects the spammish repetition'), 0xfbcea83c8a378bf1n],
  [text('Call me Ishmael. Some years ago--never mind how long precisely-'), 0x02a2e85470d6fd96n],
];
/** RFC 3720, appendix B.4. */
const CRC32C: [Uint8Array, number][] = [
  [text(''), 0],
  [text('123456789'), 0xe3069283],
  [new Uint8Array(32), 0x8a9136aa],
  [new Uint8Array(32).fill(255), 0x62a8ab43],
  [counting, 0x46dd794e],
  [counting.slice().reverse(), 0x113fdb5c],
];

for (const [variant, { arena, kernels }] of Object.entries(variants)) {
  vectors(variant, () => {
    const out = MEMORY_FIRST;
    const table = out + 8;
    const at = table + 8192;
    kernels.crc32cTable(table);
    for (const [input, expected] of XXHASH64) {
      arena.u8.set(input, at);
      kernels.xxhash64(at, input.length, out);
      assert.is(arena.view.getBigUint64(out, true), expected, `xxHash64 of ${input.length} bytes`);
    }
    for (const [input, expected] of CRC32C) {
      arena.u8.set(input, at);
      assert.is(
        kernels.crc32c(at, input.length, 0, table),
        expected,
        `CRC of ${input.length} bytes`,
      );
      const begun = kernels.crc32c(at, input.length >> 1, 0, table);
      const rest = input.length - (input.length >> 1);
      assert.is(
        kernels.crc32c(at + (input.length >> 1), rest, begun, table),
        expected,
        'continued',
      );
    }
  });
}
vectors.run();

const contract = suite('kernels: contract');
const A = MEMORY_FIRST;

/** Calls against the contract: each must stop, with nothing done. */
const BROKEN: Record<string, (kernels: KernelExports) => void> = {
  'xor: no source': (k) => k.xor(A, A + 64, 0, 16),
  'xor: 18 sources': (k) => k.xor(A, A + 64, 18, 16),
  'xor: destination 0': (k) => k.xor(0, A + 64, 1, 16),
  'xor: length not of whole vectors': (k) => k.xor(A, A + 64, 1, 24),
  'xor: source 0': (k) => k.xor(A, A + 256, 1, 16),
  'planeOr: unaligned': (k) => k.planeOr(A, A + 8, A + 32, 16),
  'planeOr: beyond the end': (k) => k.planeOr(A, A, MEMORY_LIMIT, 16),
  'planePopcount: wraps round': (k) => k.planePopcount(0xfffffff0, 32),
  'planeFind: value 2': (k) => k.planeFind(A, 0, 10, 2),
  'xxhash64: out unaligned': (k) => k.xxhash64(A, 10, A + 20),
  'tetris: 17 columns': (k) => k.tetris(A, 17, 1, A + 4096, 0),
  'tetris: 0 columns': (k) => k.tetris(A, 0, 1, A + 4096, 0),
  'crc32c: table 0': (k) => k.crc32c(A, 10, 0, 0),
};

for (const variant of Object.keys(variants)) {
  contract(`calls against the contract trap: ${variant}`, () => {
    for (const [name, call] of Object.entries(BROKEN)) {
      const { arena, kernels } = createVariants(MEMORY_LIMIT)[variant]!;
      const isThrown = (error: Error) => {
        return variant === 'oracle'
          ? error.name === 'InvariantError' || error.name === 'RangeError'
          : error.name === 'KernelTrapError';
      };
      assert.throws(() => call(kernels), isThrown, name);
      // The debug build keeps its assertion texts in the first page, which is nobody's.
      const bytes = arena.u8.subarray(MEMORY_FIRST);
      assert.ok(
        bytes.every((byte) => byte === 0),
        `${name} wrote`,
      );
      // A trapped instance stays dead.
      if (variant !== 'oracle') assert.throws(() => kernels.isZero(A, 16), isThrown, name);
    }
  });
}

for (const [variant, { arena, kernels }] of Object.entries(variants)) {
  contract(`searches read nothing beyond the last word: ${variant}`, () => {
    // The plane ends where the memory does; a read beyond it traps.
    for (let wordCount = 2; wordCount < 40; wordCount += 2) {
      const plane = MEMORY_LIMIT - 8 * wordCount;
      for (const value of [0, 1]) {
        arena.u8.fill(value === 0 ? 255 : 0, plane);
        const limit = 64 * wordCount - 3;
        assert.is(kernels.planeFind(plane, 1, limit, value), limit);
        assert.is(kernels.planeRuns(plane, 1, limit, A, 9), 1 - value);
      }
    }
  });
}
contract.run();
