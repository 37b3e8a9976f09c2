// npm run sim: looks for mistakes in simulated worlds, one a seed.

import { parseArgs } from 'node:util';
import { Run, type RunReport } from './run.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string', default: '1' },
    seeds: { type: 'string', default: '10' },
    quiet: { type: 'boolean', default: false },
  },
});

function print(report: RunReport): void {
  const { seed, setup, counts, digest, problem } = report;
  console.log(`seed ${seed}: ${setup.name}, ${JSON.stringify(counts)}, ${digest}`);
  if (problem === undefined) return;
  console.log(`  ${JSON.stringify(setup)}`);
  for (const event of report.events) console.log(`  | ${event}`);
  console.log(`seed ${seed} failed: ${problem.stack}`);
  for (let cause = problem.cause as Error | undefined; cause; cause = cause.cause as Error) {
    console.log(`  because: ${cause.stack}`);
  }
}

const first = Number(values.seed ?? values.from);
const count = values.seed === undefined ? Number(values.seeds) : 1;
let failed = 0;
for (let seed = first; seed < first + count; seed++) {
  const report = await new Run(seed).run();
  if (!values.quiet || report.problem !== undefined) print(report);
  if (report.problem !== undefined) failed++;
  if (failed > 0 && values.quiet) break;
}
process.exitCode = failed > 0 ? 1 : 0;
