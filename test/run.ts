// npm test: runs every test file and sums up. See test/runner/ for what counts as passed.
//
//   node dist/test/run.js [NAME...] [--jobs N] [--timeout SECONDS] [--dir COMPILED]
//
// NAME picks the files whose name contains it ("raid", "runner/judge"). The list of tests is the
// list of sources in test/, so a file that was not compiled is a failure, and a compiled file whose
// source has gone is not run. --dir runs the .test.js files of a folder instead.

import { existsSync, readdirSync } from 'node:fs';
import { join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { killAll, runFiles, summaryLine, type TestFile } from './runner/run-files.ts';

/** Two cores are what the least of our machines has. */
const JOB_COUNT = 2;

/** All files below `folder` that end in `suffix`, as names without it. */
function namesIn(folder: string, suffix: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).slice(0, -suffix.length))
    .map((name) => name.split(sep).join('/'));
}

function findFiles(folder: string | undefined): TestFile[] {
  const compiled = folder === undefined ? fileURLToPath(new URL('.', import.meta.url)) : folder;
  const sources = resolve(compiled, '../../test');
  const isProject = folder === undefined && existsSync(sources);
  const names = isProject ? namesIn(sources, '.test.ts') : namesIn(compiled, '.test.js');
  return names.map((name) => ({ name, path: resolve(compiled, `${name}.test.js`) }));
}

function positive(option: string, text: string): number {
  const value = Number(text);
  if (Number.isFinite(value) && value > 0) return value;
  throw new Error(`--${option} takes a number above 0, not "${text}"`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      jobs: { type: 'string' },
      timeout: { type: 'string' },
      dir: { type: 'string' },
    },
  });
  const all = findFiles(values.dir);
  const isWanted = ({ name }: TestFile) => positionals.some((part) => name.includes(part));
  const files = positionals.length === 0 ? all : all.filter(isWanted);
  if (files.length === 0) throw new Error('no test file matches');
  const jobCount = values.jobs === undefined ? JOB_COUNT : positive('jobs', values.jobs);
  const print = (line: string) => console.log(line);
  const timeout = values.timeout;
  const limit = timeout === undefined ? {} : { timeoutSeconds: positive('timeout', timeout) };
  const summary = await runFiles(files, { jobCount, print, ...limit });
  console.log(`\n${summaryLine(summary)}`);
  process.exitCode = summary.failed === 0 ? 0 : 1;
}

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    killAll();
    process.exit(130);
  });
}

try {
  await main();
} catch (error) {
  console.error((error as Error).message);
  console.log('0 passed, 1 failed');
  process.exitCode = 2;
}
