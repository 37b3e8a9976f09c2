// Randomness, byte helpers and clocks: known values, ranges, and what the interfaces promise. Every
// seeded test and every file time stands on them.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { copyBytes, isEqualBytes, isZeroBytes, zeroBytes } from '../../host/base/bytes.ts';
import { below, SeededPrng } from '../../host/base/prng.ts';
import { nodeEnv } from '../../host/node/env.ts';

const test = suite('env');

/** xoshiro128** as its authors write it, with BigInt, from the four words that the seed gives. */
function* oracle(seed: number): Generator<number> {
  const mask = 0xffffffffn;
  const rotl = (x: bigint, k: bigint) => ((x << k) | (x >> (32n - k))) & mask;
  let state = BigInt((seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b1)) >>> 0);
  const s: bigint[] = [];
  for (let word = 0; word < 4; word++) {
    state = (state + 0x9e3779b9n) & mask;
    let z = state;
    z = ((z ^ (z >> 16n)) * 0x21f0aaadn) & mask;
    z = ((z ^ (z >> 15n)) * 0x735a2d97n) & mask;
    s.push(z ^ (z >> 15n));
  }
  let [a, b, c, d] = s as [bigint, bigint, bigint, bigint];
  for (;;) {
    yield Number((rotl((b * 5n) & mask, 7n) * 9n) & mask);
    const t = (b << 9n) & mask;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= t;
    d = rotl(d, 11n);
  }
}

test('the seeded generator is xoshiro128**, and a seed gives the same for ever', () => {
  for (const seed of [0, 1, 12345, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1]) {
    const prng = new SeededPrng(seed);
    const words = oracle(seed);
    for (let draw = 0; draw < 200; draw++) {
      assert.is(prng.u32(), words.next().value, `seed ${seed}, draw ${draw}`);
    }
  }
});

test('helpers: ranges, evenness, permutations', () => {
  const prng = new SeededPrng(7);
  const counts = new Array(10).fill(0);
  for (let draw = 0; draw < 10_000; draw++) counts[prng.below(10)]++;
  for (const count of counts) assert.ok(count > 850 && count < 1150, counts.join(' '));
  let large = 0;
  for (let draw = 0; draw < 1000; draw++) {
    const value = below(prng, 2 ** 53);
    assert.ok(Number.isSafeInteger(value) && value >= 0);
    if (value >= 2 ** 52) large++;
  }
  assert.ok(large > 400 && large < 600, String(large));
  assert.is(below(prng, 1), 0);
  assert.throws(() => prng.below(0));
  const list = Array.from({ length: 50 }, (_, index) => index);
  const shuffled = prng.shuffle(list.slice());
  assert.not.equal(shuffled, list);
  assert.equal(
    shuffled.sort((a, b) => a - b),
    list,
  );
  const hits = Array.from({ length: 1000 }, () => prng.chance(0.25)).filter(Boolean).length;
  assert.ok(hits > 180 && hits < 320, String(hits));
  assert.is(new Set(prng.bytes(10_000)).size, 256);
  assert.is(prng.bytes(5).length, 5);
  const [one, other] = [new SeededPrng(1), new SeededPrng(1)];
  const fork = one.fork();
  fork.u32();
  other.fork();
  assert.is(one.u32(), other.u32(), 'drawing from a fork shifts nothing');
});

test('byte helpers: every length, alignment and place of a difference', () => {
  for (let offset = 0; offset < 5; offset++) {
    for (let length = 0; length < 14; length++) {
      const bytes = new Uint8Array(24).subarray(offset, offset + length);
      const other = new Uint8Array(length);
      assert.ok(isZeroBytes(bytes) && isEqualBytes(bytes, other));
      assert.not(isEqualBytes(bytes, new Uint8Array(length + 1)));
      for (let place = 0; place < length; place++) {
        bytes[place] = 0x80;
        assert.not(isZeroBytes(bytes), `${offset} ${length} ${place}`);
        assert.not(isEqualBytes(bytes, other) || isEqualBytes(other, bytes));
        bytes[place] = 0;
      }
    }
  }
});

test('the clock of Node: sound instants beside the system clock, monotonic time', () => {
  const { clock } = nodeEnv();
  let previousMs = clock.monotonicMs();
  let fine = 0;
  for (let look = 0; look < 2000; look++) {
    const before = Date.now();
    const { seconds, nanoseconds } = clock.now();
    const after = Date.now();
    assert.ok(Number.isInteger(seconds) && Number.isInteger(nanoseconds));
    assert.ok(nanoseconds >= 0 && nanoseconds < 1e9, String(nanoseconds));
    const ms = seconds * 1000 + nanoseconds / 1e6;
    assert.ok(ms >= before - 10 && ms <= after + 10, `${before} ${ms} ${after}`);
    if (nanoseconds % 1000 !== 0) fine++;
    const nowMs = clock.monotonicMs();
    assert.ok(nowMs >= previousMs);
    previousMs = nowMs;
  }
  assert.ok(fine > 1000, 'finer than microseconds');
});

test('timers fire once, can be cancelled', async () => {
  const { clock } = nodeEnv();
  let cancelled = 0;
  clock.after(1, () => cancelled++).cancel();
  await new Promise<void>((resolve) => {
    const keepAlive = setInterval(() => {}, 1000);
    clock.after(2, () => {
      clearInterval(keepAlive);
      resolve();
    });
  });
  assert.is(cancelled, 0);
});

test('zeroing and copying a range, and nothing beside it, in plain and in shared memory', () => {
  const size = 200_000;
  for (const buffer of [new ArrayBuffer(size), new SharedArrayBuffer(size)]) {
    for (const [from, to] of [
      [0, 0],
      [3, 40],
      [1, 257],
      [5, 65_541],
      [7, 65_542],
      [70_000, size - 1],
      [0, size],
    ] as const) {
      const bytes = new Uint8Array(buffer);
      bytes.set(new Uint8Array(size).fill(0xa5));
      assert.ok(copyBytes(bytes, from, to).every((byte) => byte === 0xa5));
      zeroBytes(bytes, from, to);
      assert.ok(isZeroBytes(bytes.subarray(from, to)), `${from} to ${to}`);
      const rest = bytes.reduce((sum, byte) => sum + (byte === 0xa5 ? 1 : 0), 0);
      assert.is(rest, size - (to - from), `${from} to ${to}`);
      assert.is(copyBytes(bytes, from, to).buffer.byteLength, to - from);
    }
  }
});

test('random numbers and the silent logger of Node', () => {
  const { prng, logger } = nodeEnv();
  const words = Array.from({ length: 600 }, () => prng.u32());
  assert.ok(words.every((word) => Number.isInteger(word) && word >= 0 && word < 2 ** 32));
  assert.ok(new Set(words).size > 590);
  assert.not.equal(words.slice(0, 256), words.slice(256, 512));
  const { warn } = console;
  const lines: unknown[] = [];
  console.warn = (...args) => lines.push(args);
  try {
    logger.warn('nobody hears this');
    nodeEnv({ log: 'console' }).logger.warn('heard', { disk: 1 });
  } finally {
    console.warn = warn;
  }
  assert.equal(lines, [['waferfs: heard', { disk: 1 }]]);
});

test.run();
