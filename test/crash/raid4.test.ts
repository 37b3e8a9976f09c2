// As cuts.test.ts, on four disks with parity and two copies of the log: what was answered must be
// there after every cut. Parity and journal are what a crash can tear without anybody seeing it.

import { suite } from 'uvu';
import { testCuts } from './test-cuts.ts';

const test = suite('the engine on RAID 4 cut everywhere');
testCuts(test, 'raid4', { batchCount: 160, torn: 1 });
test.run();
