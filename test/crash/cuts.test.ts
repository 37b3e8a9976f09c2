// A story of several hundred calls is cut after every device write, and mounted: all that was
// answered must be there, nothing half done, and life must go on. It is the promise that all others
// stand on.

import { suite } from 'uvu';
import { testCuts } from './test-cuts.ts';

const test = suite('the engine cut everywhere');
testCuts(test, 'none', { batchCount: 190, torn: 2 });
test.run();
