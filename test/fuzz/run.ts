// npm run fuzz: every decoder, long.
//
//   node dist/test/fuzz/run.js [TARGET...] [--inputs N] [--seconds T] [--seed S] [--record]
//   node dist/test/fuzz/run.js [TARGET...] --coverage [--inputs N] [--seed S]
//
// Each target runs in a process of its own, whose young generation is large enough to see what one
// input allocates. --seconds bounds the time of each target. --record appends the result to
// test/fuzz/RUNS.md. --coverage prints how much of the decoders' branches the inputs reach, and the
// branches that they do not.

import { execFileSync, fork } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { printCoverage } from './coverage.ts';
import { fuzz, lineOf, type Result, textOf } from './fuzzer.ts';
import { wantedOf } from './target.ts';

const INPUTS = 1_000_000;
const COVERAGE_INPUTS = 20_000;
/** MiB: more than an input may allocate, so that a call is measured without a collection. */
const YOUNG_MB = 64;
const RUNS = fileURLToPath(new URL('../../../test/fuzz/RUNS.md', import.meta.url));

interface Options {
  readonly inputs: number;
  readonly seed: number;
  readonly seconds: number;
}

/** In the process of its own. */
async function runOne(name: string, options: Options): Promise<void> {
  const { TARGETS } = await import('./targets/all.js');
  const target = TARGETS.find((other) => other.name === name);
  if (target === undefined) throw new Error(`there is no target ${name}`);
  const inputs = Math.ceil(options.inputs / (target.weight ?? 1));
  const result = await fuzz(target, { ...options, inputs });
  process.send?.(result);
  process.disconnect();
}

function runApart(name: string, { inputs, seed, seconds }: Options): Promise<Result> {
  const args = ['--child', name, '--inputs', `${inputs}`, '--seed', `${seed}`];
  const child = fork(fileURLToPath(import.meta.url), [...args, '--seconds', `${seconds}`], {
    execArgv: [`--min-semi-space-size=${YOUNG_MB}`, `--max-semi-space-size=${YOUNG_MB}`],
    serialization: 'advanced',
  });
  return new Promise((resolve, reject) => {
    child.on('message', (result) => resolve(result as Result));
    child.on('error', reject);
    // A message that came before has settled it.
    child.on('exit', (code, signal) => reject(new Error(`${name} died: ${signal ?? code}`)));
  });
}

function positive(text: string | undefined, otherwise: number): number {
  const value = text === undefined ? otherwise : Number(text);
  if (Number.isNaN(value) || value < 0) throw new Error(`"${text}" is no number`);
  return value;
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      inputs: { type: 'string' },
      seconds: { type: 'string' },
      seed: { type: 'string' },
      child: { type: 'string' },
      record: { type: 'boolean' },
      coverage: { type: 'boolean' },
    },
  });
  const seed = positive(values.seed, randomInt(2 ** 31));
  const seconds = positive(values.seconds, Number.POSITIVE_INFINITY);
  if (values.coverage === true) {
    const inputs = positive(values.inputs, COVERAGE_INPUTS);
    return await printCoverage(positionals, { inputs, seed });
  }
  const options = { inputs: positive(values.inputs, INPUTS), seed, seconds };
  if (values.child !== undefined) return await runOne(values.child, options);
  const { TARGETS } = await import('./targets/all.js');
  const wanted = wantedOf(TARGETS, positionals);
  console.log(`seed ${seed}`);
  const results: Result[] = [];
  for (const { name } of wanted) {
    const result = await runApart(name, options);
    console.log(lineOf(result));
    for (const finding of result.findings) console.log(textOf(finding));
    results.push(result);
  }
  const findings = results.reduce((count, result) => count + result.findings.length, 0);
  console.log(`${results.length} targets, ${findings} findings`);
  if (values.record === true) record(seed, results);
  process.exitCode = findings === 0 ? 0 : 1;
}

/** A row for each target. */
function record(seed: number, results: readonly Result[]): void {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
  for (const { target, inputs, accepted, slowestMs, mostBytes, findings } of results) {
    const figures = `${slowestMs.toFixed(0)} ms | ${Math.ceil(mostBytes / 1024)} KiB`;
    const found = findings.map(({ what }) => what).join('; ') || 'none';
    const row = [commit, seed, target, inputs, accepted, figures, found];
    appendFileSync(RUNS, `| ${row.join(' | ')} |\n`);
  }
}

await main();
