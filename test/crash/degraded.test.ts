// As cuts.test.ts, while a disk is missing: then a stripe torn by the crash takes blocks of the
// missing disk along, unless the stripe journal mends it.

import { suite } from 'uvu';
import { testCuts } from './test-cuts.ts';

const test = suite('the degraded engine cut everywhere');
testCuts(test, 'degraded', { batchCount: 160, torn: 1 });
test.run();
