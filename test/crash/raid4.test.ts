// As cuts.test.ts, on four disks with parity and two copies of the log; now and then one of the disks
// and one of the copies are lost in the crash, and the rest must do as well.

import { suite } from 'uvu';
import { testCuts } from './test-cuts.ts';

const test = suite('the engine on RAID 4 cut everywhere');
testCuts(test, 'raid4', { batchCount: 160, torn: 1 });
test.run();
