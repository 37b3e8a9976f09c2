// The binary `wafer` on fake volumes, for the tests of the process.

import { main } from '../../host/cli/process.ts';
import { loadEngine } from './fake-volume.ts';

await main(loadEngine);
