// Checks that thousands of calls give the same results, the same errors (code, number, text,
// syscall, paths) and the same trees on node:fs in a temporary directory and on the face over the
// model. It matters because programs written for node:fs must not notice the difference; and
// because the model, the oracle of everything else, is held to a real kernel here.

import * as assert from 'node:assert/strict';
import { suite } from 'uvu';
import type { Story as Run } from './stories.ts';
import { STORIES } from './stories.ts';
import type { AnyFs } from './worlds.ts';
import { listing, makeFixture, makeWorlds, outcome } from './worlds.ts';

const worlds = makeWorlds();
const BOTH = [worlds.real, worlds.ours];
let caseNumber = 0;
/** A fixture that no case has changed yet, and what it looks like. */
let fixture: { root: string; pristine: string } | undefined;

function freshFixture(): { root: string; pristine: string } {
  if (fixture !== undefined) return fixture;
  const root = `${worlds.root}/${caseNumber++}`;
  for (const fs of BOTH) makeFixture(fs, root);
  fixture = { root, pristine: listing(worlds.real, root) };
  return fixture;
}

/** Runs the same thing in both worlds, each time on a fresh fixture; gives the difference, if
 *  any. */
async function difference(what: string, run: Run): Promise<string[]> {
  const { root, pristine } = freshFixture();
  const at = (name: string) => (name === '' ? '' : `${root}/${name}`);
  const seen: string[] = [];
  for (const fs of BOTH) {
    const result = await outcome(() => run(fs, at));
    const after = listing(fs, root);
    if (after !== pristine) fixture = undefined;
    seen.push(`${result}\n${after}`);
  }
  if (fixture === undefined) for (const fs of BOTH) fs.rmSync(root, { recursive: true });
  if (seen[1] === seen[0]) return [];
  return [`${what.replaceAll(LONG, 'LONG')}\n  ours: ${seen[1]}\n  node: ${seen[0]}`];
}

/** All differences are shown, not only the first. */
function assertNone(differences: readonly string[]): void {
  if (differences.length > 0) assert.fail(differences.join('\n'));
}

const LONG = 'n'.repeat(256);
const TARGETS = [
  'file',
  'empty',
  'dir',
  'hollow',
  'link',
  'dirlink',
  'dangling',
  'loop',
  'slashlink',
  'hard',
  'missing',
  'missing/x',
  'file/x',
  'dir/inner',
  'dirlink/inner',
  '',
  'file/',
  'dir/',
  'link/',
  'dirlink/',
  'dangling/',
  'missing/',
  'dir/.',
  'dir/sub/..',
  'file/..',
  '.',
  LONG,
  `dir/${LONG}`,
  'loop/x',
  './/dir//inner',
  'link/x',
  'dangling/x',
  'dangling/x/y',
];

const ONE_PATH: Record<string, Run> = {
  'access F': (fs, at) => fs.promises.access(at('*')),
  'access X': (fs, at) => fs.promises.access(at('*'), fs.constants.X_OK),
  appendFile: (fs, at) => fs.promises.appendFile(at('*'), '+more'),
  chmod: (fs, at) => fs.promises.chmod(at('*'), 0o640),
  chown: (fs, at) => fs.promises.chown(at('*'), 0, 0),
  lchown: (fs, at) => fs.promises.lchown(at('*'), 0, 0),
  lstat: (fs, at) => fs.promises.lstat(at('*')),
  mkdir: (fs, at) => fs.promises.mkdir(at('*')),
  'mkdir mode': (fs, at) => fs.promises.mkdir(at('*'), { mode: '777' }),
  'mkdir -p': (fs, at) => fs.promises.mkdir(at('*'), { recursive: true }),
  'open r': async (fs, at) => (await fs.promises.open(at('*'))).close(),
  'open r+': async (fs, at) => (await fs.promises.open(at('*'), 'r+')).close(),
  'open w': async (fs, at) => (await fs.promises.open(at('*'), 'w', 0o600)).close(),
  'open wx': async (fs, at) => (await fs.promises.open(at('*'), 'wx')).close(),
  'open a+': async (fs, at) => (await fs.promises.open(at('*'), 'a+')).close(),
  'open directory': async (fs, at) =>
    (await fs.promises.open(at('*'), fs.constants.O_DIRECTORY)).close(),
  'open nofollow': async (fs, at) =>
    (await fs.promises.open(at('*'), fs.constants.O_NOFOLLOW | fs.constants.O_RDWR)).close(),
  'open trunc': async (fs, at) => (await fs.promises.open(at('*'), fs.constants.O_TRUNC)).close(),
  opendir: async (fs, at) => {
    const names = [];
    for await (const entry of await fs.promises.opendir(at('*'))) names.push(entry.name);
    return names.sort();
  },
  readdir: (fs, at) => fs.promises.readdir(at('*')),
  'readdir types': (fs, at) => fs.promises.readdir(at('*'), { withFileTypes: true }),
  readFile: (fs, at) => fs.promises.readFile(at('*')),
  'readFile text': (fs, at) => fs.promises.readFile(at('*'), 'utf8'),
  'readFile a+': (fs, at) => fs.promises.readFile(at('*'), { flag: 'a+', encoding: 'hex' }),
  readlink: (fs, at) => fs.promises.readlink(at('*')),
  realpath: (fs, at) => fs.promises.realpath(at('*')),
  rm: (fs, at) => fs.promises.rm(at('*')),
  'rm -f': (fs, at) => fs.promises.rm(at('*'), { force: true }),
  rmdir: (fs, at) => fs.promises.rmdir(at('*')),
  stat: (fs, at) => fs.promises.stat(at('*')),
  statfs: async (fs, at) => Object.keys(await fs.promises.statfs(at('*'))),
  'truncate 3': (fs, at) => fs.promises.truncate(at('*'), 3),
  'truncate 20': (fs, at) => fs.promises.truncate(at('*'), 20),
  unlink: (fs, at) => fs.promises.unlink(at('*')),
  utimes: (fs, at) => fs.promises.utimes(at('*'), 1, 2),
  lutimes: (fs, at) => fs.promises.lutimes(at('*'), 1, 2),
  writeFile: (fs, at) => fs.promises.writeFile(at('*'), 'new'),
  'writeFile r+': (fs, at) => fs.promises.writeFile(at('*'), 'new', { flag: 'r+' }),
  'writeFile wx': (fs, at) => fs.promises.writeFile(at('*'), 'new', { flag: 'wx', mode: 0o600 }),
  'writeFile r': (fs, at) => fs.promises.writeFile(at('*'), 'new', { flag: 'r' }),
  'writeFile flush': (fs, at) => fs.promises.writeFile(at('*'), 'new', { flush: true }),
  cp: (fs, at) => fs.promises.cp(at('*'), at('copy/deep')),

  accessSync: (fs, at) => fs.accessSync(at('*')),
  existsSync: (fs, at) => fs.existsSync(at('*')),
  lstatSync: (fs, at) => fs.lstatSync(at('*')),
  'lstatSync quiet': (fs, at) => fs.lstatSync(at('*'), { throwIfNoEntry: false }),
  'statSync quiet': (fs, at) => fs.statSync(at('*'), { throwIfNoEntry: false }),
  mkdirSync: (fs, at) => fs.mkdirSync(at('*')),
  'mkdirSync -p': (fs, at) => fs.mkdirSync(at('*'), { recursive: true }),
  openSync: (fs, at) => fs.closeSync(fs.openSync(at('*'), 'a')),
  readdirSync: (fs, at) => fs.readdirSync(at('*')),
  readFileSync: (fs, at) => fs.readFileSync(at('*')),
  'readFileSync text': (fs, at) => fs.readFileSync(at('*'), 'utf8'),
  readlinkSync: (fs, at) => fs.readlinkSync(at('*')),
  rmdirSync: (fs, at) => fs.rmdirSync(at('*')),
  rmSync: (fs, at) => fs.rmSync(at('*')),
  statSync: (fs, at) => fs.statSync(at('*')),
  truncateSync: (fs, at) => fs.truncateSync(at('*'), 4),
  unlinkSync: (fs, at) => fs.unlinkSync(at('*')),
  writeFileSync: (fs, at) => fs.writeFileSync(at('*'), 'sync'),
  appendFileSync: (fs, at) => fs.appendFileSync(at('*'), 'sync'),
};

/** Here Node's sync and async forms differ from each other (ENOENT, ENOTDIR): ours are alike. */
const DIFFERENT = ['mkdirSync -p dangling/x', 'mkdirSync -p dangling/x/y'];

const onePath = suite('face: calls with one path as node:fs');
for (const [name, run] of Object.entries(ONE_PATH)) {
  onePath(name, async () => {
    const found = [];
    for (const target of TARGETS) {
      if (DIFFERENT.includes(`${name} ${target}`)) continue;
      const onTarget: Run = (fs, at) => run(fs, (path) => at(path === '*' ? target : path));
      found.push(...(await difference(`${name} ${target}`, onTarget)));
    }
    assertNone(found);
  });
}
onePath.run();

const TWO_PATHS: Record<string, (fs: AnyFs, from: string, to: string) => unknown> = {
  rename: (fs, from, to) => fs.promises.rename(from, to),
  link: (fs, from, to) => fs.promises.link(from, to),
  symlink: (fs, from, to) => fs.promises.symlink(from, to),
  copyFile: (fs, from, to) => fs.promises.copyFile(from, to),
  'copyFile excl': (fs, from, to) => fs.promises.copyFile(from, to, fs.constants.COPYFILE_EXCL),
};
const FROM = TARGETS.filter((name) => !['empty', 'dangling/', './/dir//inner'].includes(name));
const TO = [...FROM, 'new', 'new/', 'dir/new', 'dir/sub', 'dir/sub/new', 'hollow/', 'hollow/new'];

const DIRECTORIES = ['dir', 'hollow', 'dirlink', 'dir/', 'dirlink/', 'dir/.', 'dir/sub/..', '.'];

/** Where both paths are wrong, which error comes first is nobody's promise: a name that is too
 *  long, and no name at all, are tried with good ones only. Node's copyFile of a directory empties
 *  the destination before it fails; ours does not (see below). */
function isComparable(call: string, from: string, to: string): boolean {
  const isOdd = (name: string) => name === '' || name.endsWith(LONG);
  const isGood = (name: string) => ['file', 'dir', 'new'].includes(name);
  if (isOdd(from) && !isGood(to)) return false;
  if (isOdd(to) && !isGood(from)) return false;
  return !(call.startsWith('copyFile') && DIRECTORIES.includes(from));
}

const twoPaths = suite('face: calls with two paths as node:fs');
for (const [name, run] of Object.entries(TWO_PATHS)) {
  twoPaths(name, async () => {
    const found = [];
    for (const from of FROM) {
      for (const to of TO) {
        if (!isComparable(name, from, to)) continue;
        const onBoth: Run = (fs, at) => run(fs, at(from), at(to));
        found.push(...(await difference(`${name} ${from} ${to}`, onBoth)));
      }
    }
    assertNone(found);
  });
}
twoPaths('copyFile of a directory changes nothing', async () => {
  const fs = worlds.ours;
  const root = `${worlds.root}/directory-copy`;
  makeFixture(fs, root);
  const before = listing(fs, root);
  const error = await fs.promises.copyFile(`${root}/dir`, `${root}/file`).catch((e: Error) => e);
  assert.equal(error.code, 'EISDIR');
  assert.equal(listing(fs, root), before);
});
twoPaths.run();

/** Arguments that are wrong. Messages are Node's. */
const WRONG: Record<string, Run> = {};
const BAD_PATHS: unknown[] = [
  undefined,
  null,
  5,
  true,
  {},
  [],
  () => {},
  'a\0b',
  Buffer.from('a\0b'),
  Symbol('s'),
  10n,
  new URL('http://example.com/x'),
  new URL('file:///a%2fb'),
  new URL('file://host/x'),
];
const PATH_METHODS = [
  'stat',
  'lstat',
  'readFile',
  'readdir',
  'mkdir',
  'unlink',
  'rmdir',
  'rm',
  'readlink',
  'realpath',
  'open',
  'access',
  'truncate',
  'opendir',
  'mkdtemp',
  'statfs',
];
for (const method of PATH_METHODS) {
  BAD_PATHS.forEach((path, index) => {
    WRONG[`${method} bad path ${index}`] = (fs) => fs.promises[method](path);
  });
}
for (const method of ['rename', 'link', 'symlink', 'copyFile', 'cp']) {
  BAD_PATHS.forEach((path, index) => {
    WRONG[`${method} bad first ${index}`] = (fs, at) => fs.promises[method](path, at('new'));
    WRONG[`${method} bad second ${index}`] = (fs, at) => fs.promises[method](at('file'), path);
  });
}
[undefined, null, 'x', '9', -1, 1.5, 2 ** 32, {}, '0o7', NaN, Infinity].forEach((mode, index) => {
  WRONG[`chmod mode ${index}`] = (fs, at) => fs.promises.chmod(at('file'), mode);
  WRONG[`mkdir mode ${index}`] = (fs, at) => fs.promises.mkdir(at('made'), { mode });
});
['zz', 1.5, 2 ** 31, {}, true, '', 'R', [], -(2 ** 40)].forEach((flag, index) => {
  WRONG[`open flags ${index}`] = (fs, at) => fs.promises.open(at('missing'), flag);
  WRONG[`readFile flag ${index}`] = (fs, at) => fs.promises.readFile(at('missing'), { flag });
});
const BAD_OPTIONS = [5, true, Symbol('s'), { encoding: 'nope' }, 'nope', { signal: 5 }, 7n];
BAD_OPTIONS.forEach((options, index) => {
  for (const method of ['readFile', 'readdir', 'readlink', 'realpath']) {
    WRONG[`${method} options ${index}`] = (fs, at) => fs.promises[method](at('link'), options);
  }
  WRONG[`writeFile options ${index}`] = (fs, at) => fs.promises.writeFile(at('file'), 'x', options);
});
[undefined, null, 5, {}, true, () => {}, new ArrayBuffer(4), 3n].forEach((data, index) => {
  WRONG[`writeFile data ${index}`] = (fs, at) => fs.promises.writeFile(at('file'), data);
  WRONG[`writeFileSync data ${index}`] = (fs, at) => fs.writeFileSync(at('file'), data);
});
[undefined, null, {}, 'x', NaN, true].forEach((time, index) => {
  WRONG[`utimes time ${index}`] = async (fs, at) => {
    await fs.promises.utimes(at('file'), 1, time);
    return (await fs.promises.stat(at('file'))).mtimeMs;
  };
});
[undefined, null, -2, 1.5, 2 ** 32, '0', {}, -1, 0].forEach((owner, index) => {
  WRONG[`chown uid ${index}`] = (fs, at) => fs.promises.chown(at('file'), owner, 0);
  WRONG[`chown gid ${index}`] = (fs, at) => fs.promises.chown(at('file'), 0, owner);
});
[null, 1.5, '4', -3, 2 ** 60, NaN, {}].forEach((size, index) => {
  // Node takes null for 0 in truncateSync only.
  if (size === null) return;
  WRONG[`truncate size ${index}`] = (fs, at) => fs.promises.truncate(at('file'), size);
});
[null, 5, 'x', { recursive: 1 }, { force: 'x' }, { retryDelay: -1 }, { maxRetries: 1.5 }].forEach(
  (options, index) => {
    WRONG[`rm options ${index}`] = (fs, at) => fs.promises.rm(at('file'), options);
  },
);
WRONG['mkdir recursive'] = (fs, at) => fs.promises.mkdir(at('x'), { recursive: 'yes' });
WRONG['writeFile flush'] = (fs, at) => fs.promises.writeFile(at('x'), '', { flush: 1 });
WRONG.lchmod = (fs, at) => fs.promises.lchmod(at('file'), 0o600);
WRONG.aborted = (fs, at) => fs.promises.readFile(at('file'), { signal: AbortSignal.abort('why') });
[
  null,
  5,
  { force: 1 },
  { mode: 9 },
  { filter: 1 },
  { dereference: true, verbatimSymlinks: true },
].forEach((options, index) => {
  WRONG[`cp options ${index}`] = (fs, at) => fs.promises.cp(at('file'), at('new'), options);
});
[-1, 1.5, '3', null, undefined, 2 ** 31, {}].forEach((fd, index) => {
  WRONG[`fstatSync ${index}`] = (fs) => fs.fstatSync(fd);
  WRONG[`readSync ${index}`] = (fs) => fs.readSync(fd, Buffer.alloc(1));
});
WRONG['readSync closed'] = (fs) => fs.readSync(2 ** 31 - 1, Buffer.alloc(1));
WRONG['fstatSync closed'] = (fs) => fs.fstatSync(2 ** 31 - 1);
WRONG['closeSync closed'] = (fs) => fs.closeSync(2 ** 31 - 1);

const wrong = suite('face: wrong arguments as node:fs');
wrong('messages and codes', async () => {
  const found = [];
  for (const [name, run] of Object.entries(WRONG)) found.push(...(await difference(name, run)));
  assertNone(found);
});
wrong.run();

const more = suite('face: whole stories as node:fs');
for (const [name, run] of Object.entries(STORIES)) {
  more(name, async () => assertNone(await difference(name, run)));
}
more.after(() => worlds.remove());
more.run();
