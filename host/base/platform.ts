// The host's clock and randomness, for a volume that is given none: on browsers, edge runtimes, and
// wherever host/node/ is not. All globals are captured once, when the module loads. The simulator
// and the tests never come here: they give their own (host/base/env.ts).

import type { Clock, Logger, Prng, TimerHandle } from './env.ts';

interface Globals {
  readonly crypto?: { getRandomValues(words: Uint32Array): Uint32Array };
  readonly setTimeout?: (callback: () => void, delayMs: number) => unknown;
  readonly clearTimeout?: (timer: unknown) => void;
}

const globals = globalThis as unknown as Globals;
const HostDate = globalThis.Date;
const crypto = globals.crypto;
const { setTimeout: startTimer, clearTimeout: stopTimer } = globals;

export const platformClock: Clock = {
  now: () => {
    const ms = HostDate.now();
    const seconds = Math.floor(ms / 1000);
    return { seconds, nanoseconds: (ms - seconds * 1000) * 1_000_000 };
  },
  monotonicMs: () => HostDate.now(),
  after: (delayMs, callback): TimerHandle => {
    if (startTimer === undefined) return { cancel() {} };
    const timer = startTimer(callback, delayMs);
    (timer as { unref?: () => void }).unref?.();
    return { cancel: () => stopTimer?.(timer) };
  },
};

/** From crypto where the host has it; else from the clock, which is enough for ids that need only
 *  be different. */
export const platformPrng: Prng = {
  u32: () => {
    if (crypto !== undefined) return crypto.getRandomValues(new Uint32Array(1))[0] as number;
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + HostDate.now()) >>> 0;
    return state;
  },
};
let state = 0x9e3779b9;

export const silentLogger: Logger = { warn() {}, info() {} };
