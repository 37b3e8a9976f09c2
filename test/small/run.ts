// npm run small -- [--setup none|raid4] [--operations N] [--from NUMBER] [--count N]
//                  [--tearing none|few|many]
// npm run small -- recovery [--setup none|raid4] [--operations N] [--from NUMBER] [--count N]
// npm run small -- log
//
// All workloads of so many operations (or a range of them), cut after each device write; see
// alphabet.ts and cuts.ts. Or crashes in recovery, three deep, after such workloads; see nested.ts.
// Or every cut and every flipped bit of the last 64 KiB of a log; see ../nvlog/last-bytes.ts. Ends
// with code 1 at the first violation, and says how to repeat it.

import { parseArgs } from 'node:util';
import { LastBytes } from '../nvlog/last-bytes.ts';
import type { Tearing } from '../world/crashes.ts';
import { workloadOf } from './alphabet.ts';
import { newCounts } from './cuts.ts';
import { NestedCrashes, newNestedCounts } from './nested.ts';
import { runRange, sayCounts, workloadCount } from './range.ts';
import { SETUPS, type SetupName } from './volume.ts';

const GROUPS_PER_LINE = 9;
const TEARINGS: readonly string[] = ['none', 'few', 'many'];

const { values, positionals } = parseArgs({
  allowPositionals: true,
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

const begin = performance.now();
const seconds = () => `${((performance.now() - begin) / 1000).toFixed(0)} s`;

function rangeOf() {
  const operations = whole('operations', values.operations);
  const from = whole('from', values.from);
  const count = whole('count', values.count ?? String(workloadCount(operations) - from));
  const setup = oneOf<SetupName>('setup', values.setup, Object.keys(SETUPS));
  return { operations, from, count, setup };
}

async function runWorkloads(): Promise<void> {
  const { operations, from, count, setup } = rangeOf();
  const tearing = oneOf<Tearing>('tearing', values.tearing, TEARINGS);
  const counts = newCounts();
  const line = () => `${sayCounts(counts)}, ${seconds()}`;
  const range = { setup, operations, from, count, tearing };
  const last = from + count - 1;
  console.log(
    `${setup}: workloads ${from} to ${last} of ${operations} operations, ${tearing} torn`,
  );
  let groups = 0;
  try {
    await runRange(range, counts, (next) => {
      if (groups++ % GROUPS_PER_LINE === 0) console.log(`${next}: ${line()}`);
    });
    console.log(`no violation: ${line()}`);
  } catch (error) {
    console.error(`1 violation: ${line()}`);
    throw error;
  }
}

async function runRecovery(): Promise<void> {
  const { operations, from, count, setup } = rangeOf();
  const nested = newNestedCounts();
  const crashes = new NestedCrashes(setup, { counts: nested, depth: 3, width: 3 });
  const line = () => {
    const depths = nested.byDepth.join(' + ');
    return `${sayCounts(nested)}, by depth ${depths}, ${seconds()}`;
  };
  console.log(`${setup}: recovery after workloads ${from} to ${from + count - 1}`);
  for (let number = from; number < from + count; number++) {
    try {
      crashes.run(workloadOf(number, operations));
    } catch (error) {
      const again = `--setup ${setup} --operations ${operations} --from ${number} --count 1`;
      console.error(`again: npm run small -- recovery ${again}`);
      throw error;
    }
    if (number % GROUPS_PER_LINE === 0) console.log(`${number}: ${line()}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  console.log(`no violation: ${line()}`);
}

function runLog(): void {
  const log = new LastBytes();
  log.cuts(0, 1);
  console.log(`every cut: ${log.scanCount} scans, ${seconds()}`);
  for (let bit = 0; bit < 8; bit++) {
    log.flips(bit, 8);
    console.log(`bit ${bit} of every byte: ${log.scanCount} scans, ${seconds()}`);
  }
  console.log(`no violation: ${log.scanCount} scans, ${seconds()}`);
}

try {
  if (positionals[0] === 'log') runLog();
  else if (positionals[0] === 'recovery') await runRecovery();
  else await runWorkloads();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 1;
}
