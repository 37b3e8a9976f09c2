// Every verb is run on a fake volume: what it prints as JSON, line by line against a schema, what
// it exits with, and what it changes. Scripts live by these lines and codes, so they are pinned
// here.

import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { InterruptedError } from '../../host/cli/failure.ts';
import { changeFake, fakeEngine } from './fake-volume.ts';
import type { Case } from './verbs.ts';
import { CASES, checkLines, DISK, matches } from './verbs.ts';
import type { Ran, Setup } from './wafer.ts';
import { photograph, runWafer } from './wafer.ts';

function wafer(argv: readonly string[], setup?: Setup): Promise<Ran> {
  return runWafer(async () => fakeEngine(), argv, setup);
}

/** A volume with some files in it, in a directory that is removed at the end. */
function withVolume(use: (where: string, directory: string) => Promise<void>) {
  return async () => {
    const directory = fs.mkdtempSync(join(tmpdir(), 'waferfs-cli-'));
    try {
      const where = join(directory, 'tank');
      await wafer(['create', where, '--size', '1GiB', '--disks', '3']);
      fs.mkdirSync(join(where, 'files/dir/sub'), { recursive: true });
      fs.writeFileSync(join(where, 'files/dir/a'), 'alpha');
      fs.symlinkSync('a', join(where, 'files/dir/link'));
      await wafer(['snapshot', 'create', where, 'monday']);
      fs.writeFileSync(join(directory, 'host'), 'from the host');
      await use(where, directory);
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  };
}

const json = suite('--json');

for (const [verb, one] of Object.entries(CASES)) {
  json(
    verb,
    withVolume(async (where, directory) => {
      for (const argv of one.before?.(where, directory) ?? []) await wafer(argv);
      await checkLines(() => wafer([...one.argv(where, directory), '--json']), one);
    }),
  );
}

json(
  'verify with problems',
  withVolume(async (where) => {
    changeFake(where, (state) => {
      state.problems = [{ kind: 'leaked-block', message: 'block 7 is used by nothing', vbn: 7 }];
    });
    const verify = { ...(CASES.verify as Case), items: 1 };
    await checkLines(() => wafer(['verify', where, '--json']), verify, 3);
  }),
);

json('every verb that the program has is pinned here', async () => {
  const help = await wafer(['--help']);
  const verbs = [...help.stdout.matchAll(/^ {2}([a-z]+)(?: |$)/gm)]
    .map((match) => match[1] as string)
    .filter((verb) => verb !== 'help');
  const pinned = new Set(Object.keys(CASES).map((verb) => verb.split(' ')[0]));
  assert.equal(new Set(verbs), pinned);
});

json(
  'the disks of a status are as those of disk list',
  withVolume(async (where) => {
    const { lines } = await wafer(['status', where, '--json']);
    const disks = lines[0]?.disks as unknown[] | undefined;
    assert.is(disks?.length, 3);
    for (const disk of disks ?? []) matches(disk, DISK);
  }),
);

json('errors are lines too', async () => {
  const ran = await wafer(['status', '/nowhere/at/all', '--json']);
  assert.is(ran.code, 4);
  assert.is(ran.lines.length, 1);
  matches(ran.lines[0], 'type:string code:string message:string hint:string');
  assert.is(ran.lines[0]?.code, 'NOT_A_VOLUME');
  const usage = await wafer(['statu', 'x', '--json']);
  assert.is(usage.code, 2);
  assert.is(usage.lines[0]?.code, 'INVALID_ARGUMENT');
  assert.match(String(usage.lines[0]?.hint), /Did you mean status/);
});

const dryRun = suite('--dry-run');

for (const [verb, one] of Object.entries(CASES)) {
  if (!one.isChanging) continue;
  dryRun(
    verb,
    withVolume(async (where, directory) => {
      for (const argv of one.before?.(where, directory) ?? []) await wafer(argv);
      const before = photograph(directory);
      const dry = await wafer([...one.argv(where, directory), '--json', '--dry-run']);
      assert.is(dry.code, 0, dry.stdout);
      matches(dry.lines.at(-1), `type:string warnings:[] ${one.result}`);
      assert.is(dry.lines.at(-1)?.dryRun, true);
      assert.equal(photograph(directory), before);
      const real = await wafer([...one.argv(where, directory), '--json']);
      assert.is(real.lines.at(-1)?.dryRun, false);
      assert.not.equal(photograph(directory), before);
    }),
  );
}

const usage = suite('usage');

const WRONG: [string[], RegExp][] = [
  [['snapshoot'], /Did you mean snapshot/],
  [['snapshot', 'creat', 'v', 'n'], /Did you mean create/],
  [['status', 'v', '--jsno'], /Did you mean --json/],
  [['status', 'v', 'extra'], /too many arguments/],
  [['status'], /missing required argument/],
  [['create', 'v'], /required option '--size/],
  [['create', 'v', '--size', '10G'], /no known unit: G/],
  [['create', 'v', '--size', '1GiB', '--raid', 'raid9'], /Allowed choices/],
  [['create', 'v', '--size', '1GiB', '--disks', '0'], /from 1 to 40/],
  [['snapshot'], /needs a subverb/],
  [['snapshot', 'create', 'v', '../x'], /no name for a snapshot/],
  [['ls', 'tank'], /names no path/],
  [['put', 'only-one'], /needs a source and a target/],
  [['put', '/etc/hosts', 'v@monday:/'], /cannot be changed/],
  [['rm', 'vv:/'], /cannot be removed/],
  [['rm', 'vv:/a', 'ww:/b'], /not in the same volume/],
  [['mkdir', '-m', '9', 'vv:/a'], /must be octal/],
];

for (const [argv, expected] of WRONG) {
  usage(argv.join(' '), async () => {
    const ran = await wafer(argv);
    assert.is(ran.code, 2, ran.stderr);
    assert.is(ran.stdout, '');
    assert.match(ran.stderr, expected);
    assert.match(ran.stderr, /hint:/);
  });
}

usage('help and version are results', async () => {
  const help = await wafer(['--help']);
  assert.is(help.code, 0);
  assert.match(help.stdout, /Exit codes/);
  assert.is(help.stderr, '');
  const verb = await wafer(['put', '--help']);
  assert.is(verb.code, 0);
  assert.match(verb.stdout, /--dry-run/);
  assert.is((await wafer(['--version'])).stdout, '1.2.3\n');
  const nothing = await wafer([]);
  assert.is(nothing.code, 2);
  assert.match(nothing.stderr, /Usage: wafer/);
});

const exits = suite('exit codes');

exits(
  '1 for what failed, and where nothing is there',
  withVolume(async (where, directory) => {
    assert.is((await wafer(['cat', `${where}:/nothing`])).code, 1);
    assert.is((await wafer(['cat', `${where}:/dir`])).code, 1);
    assert.is((await wafer(['rm', `${where}:/dir`])).code, 1);
    assert.is((await wafer(['rm', '-f', `${where}:/nothing`])).code, 0);
    assert.is((await wafer(['rm', `${where}@monday:/dir/a`])).code, 1);
    assert.is((await wafer(['rollback', where, 'friday'])).code, 1);
    const put = await wafer(['put', join(directory, 'missing'), `${where}:/`]);
    assert.is(put.code, 1);
    assert.match(put.stderr, /ENOENT/);
    assert.match(put.stdout, /1 failed/);
  }),
);

exits(
  '4 for a volume that is locked, with the holder, and 4 for none',
  withVolume(async (where) => {
    fs.writeFileSync(join(where, 'lock'), `${process.ppid}`);
    const ran = await wafer(['mkdir', `${where}:/x`]);
    assert.is(ran.code, 4);
    assert.match(ran.stderr, /VOLUME_LOCKED/);
    assert.ok(ran.stderr.includes(`process ${process.ppid} `));
    assert.is((await wafer(['ls', `${where}:/`])).code, 0, 'readers need no lock');
    assert.is((await wafer(['ls', `${where}-not:/`])).code, 4);
  }),
);

exits(
  '5 for no space, and the volume is closed',
  withVolume(async (where, directory) => {
    changeFake(where, (state) => {
      state.fault = 'ENOSPC';
    });
    fs.writeFileSync(join(directory, 'host'), 'x');
    const ran = await wafer(['put', join(directory, 'host'), `${where}:/`, '--json']);
    assert.is(ran.code, 5);
    assert.is(ran.lines.at(-1)?.code, 'ENOSPC');
    assert.not(fs.existsSync(join(where, 'lock')));
  }),
);

exits(
  'a bug is told as a bug',
  withVolume(async (where) => {
    changeFake(where, (state) => {
      state.fault = 'BUG';
    });
    const ran = await wafer(['mkdir', `${where}:/x`, '--json']);
    assert.is(ran.code, 1);
    assert.is(ran.lines.at(-1)?.code, 'INTERNAL');
    assert.match(String(ran.lines.at(-1)?.message), /not a function/);
  }),
);

exits(
  '130 where it was interrupted, and the volume is closed',
  withVolume(async (where, directory) => {
    const controller = new AbortController();
    fs.mkdirSync(join(directory, 'many'));
    for (let at = 0; at < 200; at++) fs.writeFileSync(join(directory, 'many', `${at}`), 'x');
    const running = wafer(['put', join(directory, 'many'), `${where}:/`], {
      signal: controller.signal,
    });
    setImmediate(() => controller.abort(new InterruptedError('interrupted')));
    const ran = await running;
    assert.is(ran.code, 130);
    assert.match(ran.stderr, /interrupted/);
    assert.not(fs.existsSync(join(where, 'lock')));
    const names = fs.existsSync(join(where, 'files/many'))
      ? fs.readdirSync(join(where, 'files/many'))
      : [];
    assert.ok(names.length < 200);
  }),
);

const people = suite('for people');

people(
  'results on stdout, warnings and bars on stderr',
  withVolume(async (where, directory) => {
    fs.writeFileSync(join(directory, 'host'), 'from the host');
    const put = await wafer(['put', join(directory, 'host'), `${where}:/dir`], { isTTY: true });
    assert.match(put.stdout, /^1 file, 0 directories, 13 B in /);
    assert.match(put.stderr, /put {2}13 B/);
    const quiet = await wafer(['put', join(directory, 'host'), `${where}:/dir`]);
    assert.is(quiet.stderr, '');
    assert.is((await wafer(['cat', `${where}:/dir/host`])).stdout, 'from the host');
    assert.is((await wafer(['ls', `${where}:/dir`])).stdout, 'a\nhost\nlink\nsub/\n');
    assert.match((await wafer(['ls', '-l', `${where}:/dir`])).stdout, /^-rw.* 5 .* a$/m);
    assert.match((await wafer(['ls', '-l', `${where}:/dir`])).stdout, /link -> a$/m);
    assert.is((await wafer(['ls', '-R', `${where}:/`])).stdout.split('\n').length, 6);
    await wafer(['disk', 'fail', where, 'disk-00']);
    const status = await wafer(['status', where]);
    assert.match(status.stderr, /warning: a disk has failed/);
    assert.match(status.stdout, /state +degraded/);
    assert.match(status.stdout, /disk-00 .*failed/);
  }),
);

people(
  'colors only where they are wanted; hostile names are shown as what they are',
  withVolume(async (where) => {
    fs.writeFileSync(join(where, 'files/\u001b[31mred'), '');
    const plain = await wafer(['ls', `${where}:/`]);
    assert.not.match(plain.stdout, /\u001b/);
    assert.match(plain.stdout, /\\u\{1b\}\[31mred/);
    assert.not.match((await wafer(['status', where])).stdout, /\u001b/);
    assert.match((await wafer(['status', where], { color: true })).stdout, /\u001b\[/);
  }),
);

people(
  'put and get place things as cp -r does',
  withVolume(async (where, directory) => {
    const host = join(directory, 'tree');
    fs.mkdirSync(join(host, 'in'), { recursive: true });
    fs.writeFileSync(join(host, 'in/f'), 'f');
    const inside = (path: string) => fs.existsSync(join(where, 'files', path));
    const put = async (...argv: string[]) =>
      assert.is((await wafer(['put', ...argv])).code, 0, argv.join(' '));
    await put(host, `${where}:/dir`);
    assert.ok(inside('dir/tree/in/f'), 'into a directory that is there');
    await put(host, `${where}:/renamed`);
    assert.ok(inside('renamed/in/f'), 'under a new name');
    await put(`${host}/.`, `${where}:/contents/`);
    assert.ok(inside('contents/in/f'), 'the contents alone, into a new directory');
    await put(host, join(host, 'in/f'), `${where}:/both`);
    assert.ok(inside('both/tree/in/f') && inside('both/f'), 'several into a new directory');
    await put(join(host, 'in/f'), `${where}:/dir/a`);
    assert.is(fs.readFileSync(join(where, 'files/dir/a'), 'utf8'), 'f', 'over a file');
    const got = join(directory, 'got');
    assert.is((await wafer(['get', `${where}:/renamed`, got])).code, 0);
    assert.ok(fs.existsSync(join(got, 'in/f')), 'under a new name');
    assert.is((await wafer(['get', `${where}:/renamed/in/f`, got])).code, 0);
    assert.ok(fs.existsSync(join(got, 'f')), 'a file into a directory');
    assert.is((await wafer(['get', `${where}:/`, join(directory, 'all')])).code, 0);
    assert.ok(fs.existsSync(join(directory, 'all/renamed/in/f')), 'all of a volume');
    assert.is((await wafer(['put', host, host, `${where}:/dir/a`])).code, 2);
    assert.is((await wafer(['get', `${where}:/`, join(got, 'f/below')])).code, 1);
  }),
);

for (const one of [json, dryRun, usage, exits, people]) one.run();
