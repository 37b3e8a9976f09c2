// npm run small -- [--setup none|raid4] [--operations N] [--from NUMBER] [--count N]
//                  [--tearing none|few|many]
//
// All workloads of so many operations (or a range of them), cut after each device write; see
// alphabet.ts and cuts.ts. Ends with code 1 at the first violation, and says how to repeat it.

import { parseArgs } from 'node:util';
import type { Tearing } from '../world/crashes.ts';
import { newCounts } from './cuts.ts';
import { runRange, sayCounts, workloadCount } from './range.ts';
import { SETUPS, type SetupName } from './volume.ts';

const GROUPS_PER_LINE = 54;
const TEARINGS: readonly string[] = ['none', 'few', 'many'];

const { values } = parseArgs({
  options: {
    setup: { type: 'string', default: 'none' },
    operations: { type: 'string', default: '2' },
    from: { type: 'string', default: '0' },
    count: { type: 'string' },
    tearing: { type: 'string', default: 'few' },
  },
});

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`--${name} takes a whole number, not "${text}"`);
}

function oneOf<T extends string>(name: string, text: string, choices: readonly string[]): T {
  if (choices.includes(text)) return text as T;
  throw new Error(`--${name} takes one of ${choices.join(', ')}, not "${text}"`);
}

const operations = whole('operations', values.operations);
const from = whole('from', values.from);
const count = whole('count', values.count ?? String(workloadCount(operations) - from));
const setup = oneOf<SetupName>('setup', values.setup, Object.keys(SETUPS));
const tearing = oneOf<Tearing>('tearing', values.tearing, TEARINGS);
const counts = newCounts();
const begin = performance.now();
const line = () => `${sayCounts(counts)}, ${((performance.now() - begin) / 1000).toFixed(0)} s`;
const range = { setup, operations, from, count, tearing };
const last = from + count - 1;
console.log(`${setup}: workloads ${from} to ${last} of ${operations} operations, ${tearing} torn`);
try {
  let groups = 0;
  await runRange(range, counts, (next) => {
    if (groups++ % GROUPS_PER_LINE === 0) console.log(`${next}: ${line()}`);
  });
  console.log(`no violation: ${line()}`);
} catch (error) {
  console.error((error as Error).message);
  console.error(`1 violation: ${line()}`);
  process.exitCode = 1;
}
