// Deterministic random numbers: tests, crash simulation and whatever must be repeatable from a
// seed. xoshiro128** (Blackman and Vigna), seeded by splitmix32. Not for secrets. The functions
// take any Prng, so that code which is given one by its environment uses the same helpers.

import { assert } from './assert.ts';
import type { Prng } from './env.ts';

/** An integer 0..limit-1; limit 1..2^53. */
export function below(prng: Prng, limit: number): number {
  assert(limit >= 1 && limit <= 2 ** 53, 'limit is in 1..2^53', limit);
  if (limit <= 2 ** 32) return Math.floor((prng.u32() / 2 ** 32) * limit);
  const fraction = ((prng.u32() >>> 11) * 2 ** 32 + prng.u32()) / 2 ** 53;
  return Math.floor(fraction * limit);
}

/** True with the given probability, 0..1. */
export function chance(prng: Prng, probability: number): boolean {
  return prng.u32() / 2 ** 32 < probability;
}

/** One element of a list that is not empty. */
export function pick<T>(prng: Prng, list: readonly T[]): T {
  return list[below(prng, list.length)] as T;
}

/** Shuffles in place (Fisher and Yates) and returns the list. */
export function shuffle<T>(prng: Prng, list: T[]): T[] {
  for (let last = list.length - 1; last > 0; last--) {
    const other = below(prng, last + 1);
    const value = list[last] as T;
    list[last] = list[other] as T;
    list[other] = value;
  }
  return list;
}

/** Fills `bytes` with random ones and returns them. */
export function fillRandom(prng: Prng, bytes: Uint8Array): Uint8Array {
  let word = 0;
  for (let index = 0; index < bytes.length; index++) {
    if ((index & 3) === 0) word = prng.u32();
    bytes[index] = word & 0xff;
    word >>>= 8;
  }
  return bytes;
}

/** A stream of numbers that the seed (any integer below 2^53) determines. */
export class SeededPrng implements Prng {
  readonly seed: number;
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number) {
    assert(Number.isSafeInteger(seed) && seed >= 0, 'seed is an integer below 2^53', seed);
    this.seed = seed;
    let state = (seed ^ Math.imul(Math.floor(seed / 2 ** 32), 0x9e3779b1)) | 0;
    const next = () => {
      state = (state + 0x9e3779b9) | 0;
      let word = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
      word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
      return word ^ (word >>> 15);
    };
    // splitmix32 is a bijection, so its four words are not all zero, which xoshiro could not leave.
    this.#a = next();
    this.#b = next();
    this.#c = next();
    this.#d = next();
  }

  u32(): number {
    const product = Math.imul(this.#b, 5);
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0;
    const shifted = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= shifted;
    this.#d = (this.#d << 11) | (this.#d >>> 21);
    return result;
  }

  below(limit: number): number {
    return below(this, limit);
  }

  chance(probability: number): boolean {
    return chance(this, probability);
  }

  pick<T>(list: readonly T[]): T {
    return pick(this, list);
  }

  shuffle<T>(list: T[]): T[] {
    return shuffle(this, list);
  }

  /** `length` random bytes. */
  bytes(length: number): Uint8Array {
    return fillRandom(this, new Uint8Array(length));
  }

  /** A stream of its own: what is drawn from it does not shift what this one gives. */
  fork(): SeededPrng {
    return new SeededPrng(this.u32());
  }
}
