// npm run bench [-- SUITE...] [--smoke] [options of suites]: the suites one after the other, each
// in a process of its own; then bench/RESULTS.md from all results that there are.
//
// --smoke: small sizes, no peers installed, nothing written.

import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { resultsText } from './goals.ts';
import { type BenchReport, benchSize, resultsFolder } from './harness.ts';

const SUITES = [
  'kernels',
  'log',
  'commit',
  'create',
  'memory',
  'tree',
  'snapshot',
  'mount',
  'replay',
  'aged',
] as const;

/** Options of suites that take a number. */
const NUMBER_OPTIONS = ['--overwrites', '--files'];

interface Arguments {
  readonly suites: readonly string[];
  readonly options: readonly string[];
}

function parse(args: readonly string[]): Arguments {
  const suites: string[] = [];
  const options: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const word = args[at] as string;
    if (NUMBER_OPTIONS.includes(word)) options.push(word, args[++at] ?? '');
    else if (word === '--smoke') options.push(word);
    else if ((SUITES as readonly string[]).includes(word)) suites.push(word);
    else throw new Error(`no suite or option "${word}"; the suites are ${SUITES.join(', ')}`);
  }
  return { suites: suites.length > 0 ? suites : SUITES, options };
}

/** Exit code of a suite. */
function runSuiteProcess(suite: string, options: readonly string[]): Promise<number> {
  const file = fileURLToPath(new URL(`${suite}.js`, import.meta.url));
  const child = spawn(process.execPath, [file, ...options], { stdio: 'inherit' });
  const stop = (): void => {
    child.kill('SIGTERM');
  };
  process.once('SIGTERM', stop);
  return new Promise((resolve) => {
    child.on('error', () => resolve(1));
    child.on('exit', (code) => {
      process.removeListener('SIGTERM', stop);
      resolve(code ?? 1);
    });
  });
}

function readReports(): BenchReport[] {
  const files = SUITES.map((suite) => new URL(`${suite}.json`, resultsFolder));
  return files
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, 'utf8')) as BenchReport);
}

async function main(): Promise<void> {
  const { suites, options } = parse(process.argv.slice(2));
  const failed: string[] = [];
  for (const suite of suites) {
    console.log(`\n== ${suite}`);
    if ((await runSuiteProcess(suite, options)) !== 0) failed.push(suite);
  }
  if (benchSize() === 'real') {
    writeFileSync(new URL('../RESULTS.md', resultsFolder), resultsText(readReports()));
    console.log('\nbench/RESULTS.md was made anew');
  }
  if (failed.length > 0) {
    console.error(`failed: ${failed.join(', ')}`);
    process.exitCode = 1;
  }
}

try {
  await main();
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}
