// Damages of volumes without redundancy, over every region of disks and log: a read gives what the
// model has or an error with a name, and only what was hit may fail. A file system that hands out
// wrong bytes is worse than one that hands out none.
//
// @timeout 15m

import { test } from 'uvu';
import { testVolumes } from './suite.ts';

testVolumes([
  { name: 'none-1', raid: 'none', diskCount: 1, blockCount: 3200, logCopies: 1, rounds: 1800 },
  { name: 'none-2', raid: 'none', diskCount: 2, blockCount: 2200, logCopies: 1, rounds: 1800 },
  {
    name: 'none-1-closed',
    raid: 'none',
    diskCount: 1,
    blockCount: 3200,
    logCopies: 1,
    isClosed: true,
    rounds: 1300,
  },
]);

test.run();
