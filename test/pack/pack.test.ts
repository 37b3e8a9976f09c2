// The package as a user gets it: packed, installed into an empty folder, it runs the README's first
// program and `wafer --help` on Node and Deno, and its portable core in a bare context and in
// workerd. What works in the checkout and not in the archive (a file left out, a wrong export) is
// lost on all.
//
// @timeout 15m

import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { skip } from '../runner/skip.ts';
import {
  commandsFrom,
  exportsOf,
  filesBelow,
  firstProgram,
  install,
  output,
  pack,
  promisedOutput,
  run,
} from './steps.ts';
import { writeWorkerConfig } from './worker-config.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const work = mkdtempSync(join(tmpdir(), 'wafer-pack-'));
test.after(() => rmSync(work, { recursive: true, force: true }));

const archive = pack(root, join(work, 'archive'));
const home = join(work, 'home');
const unreachable = install(home, [archive]);
const installed = join(home, 'node_modules/waferfs');
const main = join(installed, 'dist/host/cli/main.js');
const portable = join(installed, 'dist/host/index.js');

/** A test that needs the installed package. */
function installedTest(name: string, body: () => void): void {
  if (unreachable === undefined) test(name, body);
  else skip(test, name, unreachable);
}

/** A test that needs a runtime from npm; `body` gets its command. */
function runtimeTest(
  name: string,
  runtime: string,
  bin: string,
  body: (bin: string) => void,
): void {
  const folder = join(work, runtime);
  const why = unreachable ?? install(folder, [runtime]);
  if (why === undefined) test(name, () => body(join(folder, 'node_modules/.bin', bin)));
  else skip(test, name, why);
}

/** Runs the README's first program as it stands; it prints what its comments say. */
function runFirstProgram(command: string, options: readonly string[]): void {
  const program = firstProgram(readFileSync(join(installed, 'README.md'), 'utf8'));
  const path = join(home, 'program.mjs');
  writeFileSync(path, program);
  rmSync(join(home, 'app.wafer'), { force: true });
  const promised = promisedOutput(program);
  assert.ok(promised.length > 0);
  assert.is(output(run(command, [...options, path], home)), promised);
}

installedTest('every export leads to a file, and nothing of the house is packed', () => {
  const files = filesBelow(installed, '');
  const leaves: string[] = [];
  const collect = (value: unknown) => {
    if (typeof value === 'string') leaves.push(value);
    else for (const inner of Object.values(value as object)) collect(inner);
  };
  collect(exportsOf(installed));
  assert.ok(leaves.length >= 4);
  for (const leaf of leaves) assert.ok(files.includes(leaf.replace('./', '')), leaf);
  for (const name of ['LICENSE', 'FORMAT.md', 'README.md']) assert.ok(files.includes(name), name);
  const ofTheHouse = /^(dist\/)?((test|bench)\/|host\/cli\/demo\/)|tsconfig|\.asc$/;
  assert.equal(
    files.filter((name) => ofTheHouse.test(name)),
    [],
  );
});

installedTest('the first program of the README, on Node', () => {
  runFirstProgram(process.execPath, []);
});

installedTest('wafer --help, on Node', () => {
  const text = output(run(join(home, 'node_modules/.bin/wafer'), ['--help'], home));
  assert.match(text, /create/);
});

installedTest('the commands of the README, one after the other', () => {
  const folder = join(work, 'commands');
  mkdirSync(join(folder, 'src/old'), { recursive: true });
  writeFileSync(join(folder, 'src/a.ts'), 'const a = 1;\n');
  const readme = readFileSync(join(installed, 'README.md'), 'utf8');
  const commands = commandsFrom(readme, 'wafer create');
  assert.ok(commands.length > 10);
  for (const [command, ...parameters] of commands) {
    assert.is(command, 'wafer');
    output(run(join(home, 'node_modules/.bin/wafer'), parameters, folder));
  }
  assert.is(readFileSync(join(folder, 'copy/a.ts'), 'utf8'), 'const a = 1;\n');
});

installedTest('publint finds nothing', () => {
  const publint = join(root, 'node_modules/.bin/publint');
  output(run(publint, ['run', archive, '--strict'], root));
});

installedTest('the portable core in a bare context', () => {
  const script = fileURLToPath(new URL('bare-context.js', import.meta.url));
  const options = ['--experimental-vm-modules', '--no-warnings', script, portable];
  assert.match(output(run(process.execPath, options, home)), /portable: ok/);
});

runtimeTest('the first program of the README and wafer --help, on Deno', 'deno', 'deno', (deno) => {
  runFirstProgram(deno, ['run', '-A', '--node-modules-dir=manual']);
  assert.match(output(run(deno, ['run', '-A', main, '--help'], home)), /create/);
});

runtimeTest('the portable core in workerd', 'workerd', 'workerd', (workerd) => {
  const config = writeWorkerConfig(installed, join(work, 'worker'));
  const result = run(workerd, ['test', config], work);
  assert.match(output(result) + result.stderr, /portable: ok/);
});

test.run();
