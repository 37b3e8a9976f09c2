// Damages of volumes with parity and two copies of the log: within the redundancy nothing is lost,
// and what was repaired stays right; beyond it only what was hit fails, with an error that has a
// name.
//
// @timeout 15m

import { test } from 'uvu';
import { testVolumes } from './suite.ts';

testVolumes([
  { name: 'raid4-4', raid: 'raid4', diskCount: 4, blockCount: 1400, logCopies: 2, rounds: 2200 },
  {
    name: 'raid4-3-crowded',
    raid: 'raid4',
    diskCount: 3,
    blockCount: 800,
    logCopies: 2,
    isCrowded: true,
    rounds: 1800,
  },
  {
    name: 'raid4-3-closed',
    raid: 'raid4',
    diskCount: 3,
    blockCount: 2400,
    logCopies: 2,
    isClosed: true,
    rounds: 1400,
  },
]);

test.run();
