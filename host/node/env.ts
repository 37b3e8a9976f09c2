// The real world's clock, randomness and log, for Node, Deno and Bun.

import { randomFillSync } from 'node:crypto';
import process from 'node:process';
import { clearTimeout, setTimeout } from 'node:timers';
import type { Clock, Logger, Prng, TimerHandle } from '../base/env.ts';
import type { Instant } from '../base/units.ts';

/** How far (ms) the fine clock may be from the system's before it is set again. */
const DRIFT_MS_MAX = 4;
/** The longest delay that timers take (2^31 - 1 ms, 24 days). */
const DELAY_MS_MAX = 2147483647;
const RANDOM_WORDS = 256;
const NANOSECONDS = 1e9;

export interface NodeEnv {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger: Logger;
}

/** `log: 'console'` writes warnings to stderr; default 'silent'. */
export function nodeEnv(options: { readonly log?: 'silent' | 'console' } = {}): NodeEnv {
  const logger = options.log === 'console' ? consoleLogger : silentLogger;
  return { clock: new NodeClock(), prng: new CryptoPrng(), logger };
}

/** Wall time in nanoseconds: the system's clock gives the milliseconds, process.hrtime what lies
 *  between them. Where the two part (the clock was set, the machine slept), the system's counts. */
class NodeClock implements Clock {
  #wallMs = 0;
  #ticks: [number, number] = [0, 0];

  constructor() {
    this.#anchor();
  }

  now(): Instant {
    let [seconds, nanoseconds] = process.hrtime(this.#ticks);
    const elapsedMs = seconds * 1000 + nanoseconds / 1e6;
    if (Math.abs(this.#wallMs + elapsedMs - Date.now()) > DRIFT_MS_MAX) {
      this.#anchor();
      seconds = 0;
      nanoseconds = 0;
    }
    const wallSeconds = Math.floor(this.#wallMs / 1000);
    seconds += wallSeconds;
    nanoseconds += (this.#wallMs - wallSeconds * 1000) * 1e6;
    if (nanoseconds >= NANOSECONDS) {
      seconds++;
      nanoseconds -= NANOSECONDS;
    }
    return { seconds, nanoseconds };
  }

  monotonicMs(): number {
    return performance.now();
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    const timer = setTimeout(callback, Math.min(delayMs, DELAY_MS_MAX));
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  }

  #anchor(): void {
    this.#wallMs = Date.now();
    this.#ticks = process.hrtime();
  }
}

class CryptoPrng implements Prng {
  #words = new Uint32Array(RANDOM_WORDS);
  #used = RANDOM_WORDS;

  u32(): number {
    if (this.#used === RANDOM_WORDS) {
      randomFillSync(this.#words);
      this.#used = 0;
    }
    return this.#words[this.#used++] as number;
  }
}

const silentLogger: Logger = { warn() {}, info() {} };

const consoleLogger: Logger = {
  warn(message, detail) {
    if (detail === undefined) console.warn(`waferfs: ${message}`);
    else console.warn(`waferfs: ${message}`, detail);
  },
  info() {},
};
