// npm run sim: looks for mistakes in simulated worlds, one a seed.
//
//   --seed S             runs one seed, and prints all that is known of it
//   --from S --seeds N   runs a stretch; --quiet prints failures only, and ends at the first
//   --hours H, --seconds S   searches for so long on --jobs J processes (2), each on seeds of its
//                        own, from the end of what RUNS.md has on, and adds a line to that file
//   --shrink             with --seed: leaves out calls and faults while the seed still fails
//
// Ends with 1 where a seed failed.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { appendFileSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { FaultCounts } from './faults.ts';
import { Run, type RunReport } from './run.ts';
import { shrink } from './shrink.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    from: { type: 'string' },
    seeds: { type: 'string' },
    hours: { type: 'string' },
    seconds: { type: 'string' },
    jobs: { type: 'string', default: '2' },
    quiet: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    /** For the processes of a search: milliseconds since the epoch at which to end. */
    until: { type: 'string' },
  },
});

/** Seeds of one process of a search are so far from those of the next. */
const JOB_SEEDS = 1_000_000;
const RUNS = fileURLToPath(new URL('../../../test/sim/RUNS.md', import.meta.url));

interface Sums {
  seeds: number;
  crashPoints: number;
  failed: number;
  faults: Record<string, number>;
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync('git', args, { encoding: 'utf8' }).trim();
    const isChanged = git('status', '--porcelain', '--untracked-files=no') !== '';
    return `${git('rev-parse', '--short', 'HEAD')}${isChanged ? ' with changes' : ''}`;
  } catch {
    return 'unknown';
  }
}

function print(report: RunReport): void {
  const { seed, setup, counts, digest, problem } = report;
  console.log(`seed ${seed}: ${setup.name}, ${JSON.stringify(counts)}, ${digest}`);
  if (problem === undefined) return;
  console.log(`  ${JSON.stringify(setup)}`);
  for (const event of report.events) console.log(`  | ${event}`);
  console.log(`seed ${seed} failed at commit ${commit()}: ${problem.message}`);
  console.log(`again: npm run sim -- --seed ${seed}   (STACKS=1 in the environment: with stacks)`);
  for (let cause: unknown = problem; cause instanceof Error; cause = cause.cause) {
    console.log(`  ${cause.stack}`);
  }
}

/** A stretch of seeds, one after the other. */
async function runSeeds(from: number, count: number, until: number): Promise<Sums> {
  const faults = new FaultCounts();
  const sums = { seeds: 0, crashPoints: 0, failed: 0 };
  for (let seed = from; seed < from + count && Date.now() < until; seed++) {
    const report = await new Run(seed).run();
    sums.seeds++;
    sums.crashPoints += report.counts.crashPoints;
    faults.add(report.faults.toJSON());
    if (report.problem !== undefined) sums.failed++;
    if (!values.quiet || report.problem !== undefined) print(report);
    if (sums.failed > 0 && values.quiet) break;
  }
  return { ...sums, faults: faults.toJSON() };
}

/** One process of a search; its last line has its sums. */
function startJob(from: number, until: number): { child: ChildProcess; sums: Promise<Sums> } {
  const self = fileURLToPath(import.meta.url);
  const args = ['--from', String(from), '--quiet', '--until', String(until)];
  const child = spawn(process.execPath, ['--enable-source-maps', self, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout?.on('data', (chunk) => {
    output += chunk;
  });
  const sums = new Promise<Sums>((resolve) => {
    child.on('close', () => {
      const lines = output.trimEnd().split('\n');
      const last = lines.pop() ?? '';
      if (lines.length > 0) console.log(lines.join('\n'));
      try {
        resolve(JSON.parse(last) as Sums);
      } catch {
        console.log(last);
        resolve({ seeds: 0, crashPoints: 0, failed: 1, faults: {} });
      }
    });
  });
  return { child, sums };
}

/** The first seed that no search has had. */
function nextSeed(): number {
  const ends = [...readFileSync(RUNS, 'utf8').matchAll(/^\| .* \| \d+ to (\d+) \|/gm)];
  return Math.max(0, ...ends.map(([, end]) => Number(end))) + 1;
}

async function search(seconds: number): Promise<boolean> {
  const jobs = Number(values.jobs);
  const from = values.from === undefined ? nextSeed() : Number(values.from);
  const until = Date.now() + seconds * 1000;
  const started = Array.from({ length: jobs }, (_, job) => startJob(from + job * JOB_SEEDS, until));
  const results = await Promise.all(started.map(({ sums }) => sums));
  const faults = new FaultCounts();
  const total = { seeds: 0, crashPoints: 0, failed: 0 };
  for (const sums of results) {
    total.seeds += sums.seeds;
    total.crashPoints += sums.crashPoints;
    total.failed += sums.failed;
    faults.add(sums.faults);
  }
  console.log(faults.table());
  const result = total.failed === 0 ? 'no violation' : `${total.failed} violations`;
  console.log(`${total.seeds} seeds, ${total.crashPoints} crash points: ${result}`);
  const ranges = results.map((sums, job) => {
    const first = from + job * JOB_SEEDS;
    const cells = [commit(), `${first} to ${first + Math.max(1, sums.seeds) - 1}`];
    const outcome = sums.failed === 0 ? 'no violation' : `${sums.failed} violations`;
    return `| ${[...cells, sums.seeds, sums.crashPoints, outcome].join(' | ')} |\n`;
  });
  appendFileSync(RUNS, ranges.join(''));
  return total.failed === 0;
}

async function main(): Promise<boolean> {
  const { seed, hours, seconds, until } = values;
  if (seed !== undefined) {
    if (values.shrink) return await shrink(Number(seed), print);
    const { failed } = await runSeeds(Number(seed), 1, Number.POSITIVE_INFINITY);
    return failed === 0;
  }
  if (hours !== undefined || seconds !== undefined) {
    return await search(3600 * Number(hours ?? 0) + Number(seconds ?? 0));
  }
  const from = Number(values.from ?? 1);
  const count = until === undefined ? Number(values.seeds ?? 10) : JOB_SEEDS;
  const sums = await runSeeds(from, count, Number(until ?? Number.POSITIVE_INFINITY));
  if (until !== undefined) console.log(JSON.stringify(sums));
  return sums.failed === 0;
}

process.exitCode = (await main()) ? 0 : 1;
