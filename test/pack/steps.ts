// What the pack test is made of: packing, installing into an empty folder, running there.

import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const STEP_TIMEOUT_MS = 240_000;

/** What a registry that cannot be reached makes npm say. */
const UNREACHABLE = /ENOTFOUND|ECONNREFUSED|ECONNRESET|ETIMEDOUT|EAI_AGAIN|ENOTCACHED|ERR_SOCKET/;

/** The environment without what `npm test` put there: it would direct an npm in another folder to
 *  this project. Settings (registry, cache, proxy) stay. */
function environment(): NodeJS.ProcessEnv {
  const entries = Object.entries(process.env).filter(([name]) => {
    return !/^npm_(package|lifecycle|command|node|config_local_prefix)/.test(name);
  });
  return { ...Object.fromEntries(entries), NO_COLOR: '1' };
}

export function run(
  command: string,
  parameters: readonly string[],
  folder: string,
): SpawnSyncReturns<string> {
  return spawnSync(command, parameters, {
    cwd: folder,
    encoding: 'utf8',
    env: environment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: STEP_TIMEOUT_MS,
  });
}

function npm(parameters: readonly string[], folder: string): SpawnSyncReturns<string> {
  return run('npm', parameters, folder);
}

/** Output of a step that must succeed. */
export function output(result: SpawnSyncReturns<string>): string {
  if (result.status === 0) return result.stdout;
  const cause = result.error?.message ?? result.signal ?? `exit code ${result.status}`;
  throw new Error(`${cause}\n${result.stdout}\n${result.stderr}`);
}

/** `npm pack` of the project in `root`; gives the path of the archive. What is built already is
 *  packed as it is: the scripts do not run. */
export function pack(root: string, folder: string): string {
  mkdirSync(folder, { recursive: true });
  output(npm(['pack', '--ignore-scripts', '--pack-destination', folder], root));
  const archive = readdirSync(folder).find((name) => name.endsWith('.tgz'));
  if (archive === undefined) throw new Error('npm pack made no archive');
  return join(folder, archive);
}

/** Installs packages into a new folder, from npm's cache where it has them; no script of theirs
 *  runs. Gives why not, where the registry cannot be reached. */
export function install(folder: string, packages: readonly string[]): string | undefined {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{ "private": true, "type": "module" }\n');
  const options = ['--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline'];
  const result = npm(['install', ...options, ...packages], folder);
  if (result.status !== 0 && UNREACHABLE.test(result.stderr)) {
    return `the registry cannot be reached (${UNREACHABLE.exec(result.stderr)?.[0]})`;
  }
  output(result);
  return undefined;
}

/** The first program of a README: its first block of JavaScript or TypeScript. */
export function firstProgram(readme: string): string {
  const program = /^```(?:js|mjs|ts)\n([\s\S]*?)^```$/m.exec(readme)?.[1];
  if (program === undefined) throw new Error('README.md has no program');
  return program;
}

/** What a program says that it prints: its comments "// → text", in order. */
export function promisedOutput(program: string): string {
  return [...program.matchAll(/\/\/ → (.*)$/gm)].map(([, text]) => `${text}\n`).join('');
}

/** The commands of a README's block that begins with `first`, each as words. */
export function commandsFrom(readme: string, first: string): string[][] {
  const block = readme.slice(readme.indexOf(`\n${first}`)).split('```')[0] ?? '';
  const lines = block.split('\n').map((line) => line.replace(/ +#.*$/, ''));
  return lines.filter((line) => line !== '').map((line) => line.split(' '));
}

/** All files below `folder` that end in `suffix`, relative to it, with slashes. */
export function filesBelow(folder: string, suffix: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith(suffix))
    .sort();
}

/** Where the exports of an installed package lead. */
export function exportsOf(folder: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).exports;
}

/** The ES module that a package of one entry, seen from `folder`, is imported by. */
export function entryOf(name: string, folder: string): string {
  for (let up = folder; ; up = dirname(up)) {
    const home = join(up, 'node_modules', name);
    if (existsSync(home)) {
      const { exports, module } = JSON.parse(readFileSync(join(home, 'package.json'), 'utf8'));
      return join(home, exports?.import ?? exports?.['.']?.import ?? module ?? 'index.js');
    }
    if (up === dirname(up)) throw new Error(`${name} is not installed`);
  }
}
