// What one seed draws before anything happens: the volume, the machine, the users, and how likely
// each thing is. The weights themselves are random, so that each run leaves some things out and
// does others far too often.

import type { SeededPrng } from '../../host/base/prng.ts';
import type { Setup } from '../world/engine.ts';
import { type CallWeights, drawCallWeights } from './calls.ts';

export interface SimSetup extends Setup {
  readonly seed: number;
  /** The buffer cache, with all else that the engine keeps in memory. */
  readonly arenaBytes: number;
  readonly isRelaxed: boolean;
  readonly clients: number;
  /** Mounts, each of which ends in a crash. */
  readonly lives: number;
  readonly callsPerLife: number;
  readonly calls: CallWeights;
  /** Probability that a call is made synchronously. */
  readonly sync: number;
  /** Probability that a CP is asked for after a call. */
  readonly cps: number;
  /** Microseconds, at most, that an operation of a disk takes; of the NVRAM; that a user
   *  thinks. */
  readonly diskUs: number;
  readonly nvramUs: number;
  readonly thinkUs: number;
}

const MIB = 1024 * 1024;

export function drawSetup(seed: number, prng: SeededPrng): SimSetup {
  const raid = prng.chance(0.45) ? 'none' : 'raid4';
  const diskCount = raid === 'none' ? prng.pick([1, 1, 1, 2]) : prng.pick([2, 3, 3, 4, 5]);
  const columns = raid === 'none' ? diskCount : diskCount - 1;
  const usable = prng.pick([800, 1000, 1400]);
  const front = raid === 'none' ? 40 : 168;
  return {
    name: `${raid} of ${diskCount}`,
    raid,
    diskCount,
    blockCount: front + Math.ceil(usable / columns / 64) * 64,
    logCopies: raid === 'none' ? 1 : 2,
    seed,
    arenaBytes: prng.pick([5, 6, 8]) * MIB,
    isRelaxed: prng.chance(0.15),
    clients: prng.pick([1, 2, 3, 5]),
    lives: prng.pick([2, 3, 4]),
    callsPerLife: prng.pick([8, 20, 40, 60]),
    calls: drawCallWeights(prng),
    sync: prng.pick([0, 0, 0.05, 0.3]),
    cps: prng.pick([0, 0.05, 0.2]),
    diskUs: prng.pick([10, 300, 2000]),
    nvramUs: prng.pick([5, 50, 2000]),
    thinkUs: prng.pick([0, 100, 2000]),
  };
}
