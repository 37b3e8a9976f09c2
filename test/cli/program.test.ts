// Every verb is run on a fake volume: what it prints as JSON, line by line against a schema, what
// it exits with, and what it changes. Scripts live by these lines and codes, so they are pinned
// here.

import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { InterruptedError } from '../../host/cli/failure.ts';
import { run } from '../../host/cli/program.ts';
import { changeFake, fakeEngine } from './fake-volume.ts';

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly lines: Record<string, unknown>[];
}

interface Setup {
  readonly signal?: AbortSignal;
  readonly isTTY?: boolean;
  readonly color?: boolean;
}

async function wafer(argv: readonly string[], setup: Setup = {}): Promise<Ran> {
  const written = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') => ({
    isTTY: setup.isTTY ?? false,
    write: (data: string | Uint8Array) => {
      written[name] += typeof data === 'string' ? data : Buffer.from(data).toString('latin1');
      return true;
    },
    once: () => undefined,
  });
  let time = 0;
  const world = {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    colors: pc.createColors(setup.color ?? false),
    signal: setup.signal ?? new AbortController().signal,
    isRoot: false,
    now: () => (time += 1000),
    engine: async () => fakeEngine(),
  };
  const code = await run(argv, world, '1.2.3');
  const isJson = argv.includes('--json');
  const lines = isJson
    ? written.stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    : [];
  return { code, ...written, lines };
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
      await use(where, directory);
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  };
}

// Schemas: "key:type", types as typeof has them, "?" for null too, [] for arrays, time and uuid.
const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number' && Number.isFinite(value),
  boolean: (value) => typeof value === 'boolean',
  'string?': (value) => value === null || typeof value === 'string',
  'number?': (value) => value === null || typeof value === 'number',
  '[]': (value) => Array.isArray(value),
  time: (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/.test(String(value)),
  uuid: (value) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(String(value)),
};

function matches(line: unknown, schema: string): void {
  const fields = schema.split(' ').map((field) => field.split(':') as [string, string]);
  const given = line as Record<string, unknown>;
  const expectedKeys = fields.map(([key]) => key).sort();
  assert.equal(Object.keys(given).sort(), expectedKeys, JSON.stringify(line));
  for (const [key, type] of fields) {
    assert.ok(TYPES[type]?.(given[key]), `${key} is no ${type}: ${JSON.stringify(given[key])}`);
  }
}

const DISK =
  'name:string file:string uuid:uuid role:string state:string sizeBytes:number lengthBytes:number';
const DRY = 'volume:string dryRun:boolean';
const COUNTS =
  'files:number directories:number symlinks:number hardLinks:number bytes:number ' +
  'holeBytes:number xattrs:number skipped:number failed:number';

interface Case {
  readonly argv: (where: string, directory: string) => string[];
  readonly items?: number;
  readonly item?: string;
  readonly result: string;
  readonly code?: number;
  /** Its dry run must leave every file of the volume as it is. */
  readonly isChanging?: boolean;
  readonly before?: (where: string, directory: string) => void;
}

const CASES: Readonly<Record<string, Case>> = {
  create: {
    argv: (where) => ['create', `${where}-2`, '--size', '10GiB', '--disks', '6'],
    result: 'volume:string uuid:string? raid:string? disks:number sizeBytes:number dryRun:boolean',
    isChanging: true,
  },
  status: {
    argv: (where) => ['status', where],
    result:
      'volume:string uuid:uuid state:string formatVersion:number raid:string createdAt:time ' +
      'epoch:number consistencyPoint:number sizeBytes:number usedBytes:number ' +
      'freeBytes:number snapshotBytes:number fileCount:number snapshotCount:number ' +
      'logSizeBytes:number replayedRecordCount:number disks:[]',
  },
  put: {
    argv: (where, directory) => ['put', join(directory, 'host'), `${where}:/new/`],
    before: (_where, directory) => fs.writeFileSync(join(directory, 'host'), 'from the host'),
    result: `${DRY} ms:number ${COUNTS}`,
    isChanging: true,
  },
  get: {
    argv: (where, directory) => ['get', `${where}@monday:/dir`, join(directory, 'out')],
    result: `${DRY} ms:number ${COUNTS}`,
    isChanging: true,
  },
  ls: {
    argv: (where) => ['ls', `${where}:/dir`],
    items: 3,
    item:
      'name:string path:string kind:string ino:number mode:number links:number uid:number ' +
      'gid:number sizeBytes:number allocatedBytes:number atime:time mtime:time ctime:time ' +
      'btime:time target:string?',
    result: 'volume:string entries:number',
  },
  cat: {
    argv: (where) => ['cat', `${where}:/dir/a`],
    items: 1,
    item: 'path:string offsetBytes:number base64:string',
    result: 'volume:string files:number bytes:number',
  },
  rm: {
    argv: (where) => ['rm', '-r', `${where}:/dir`],
    items: 1,
    item: 'path:string files:number directories:number',
    result: `${DRY} files:number directories:number`,
    isChanging: true,
  },
  mkdir: {
    argv: (where) => ['mkdir', '-p', `${where}:/x/y`],
    items: 1,
    item: 'path:string',
    result: `${DRY} directories:number`,
    isChanging: true,
  },
  'snapshot create': {
    argv: (where) => ['snapshot', 'create', where, 'tuesday'],
    result: `${DRY} snapshot:string ms:number`,
    isChanging: true,
  },
  'snapshot list': {
    argv: (where) => ['snapshot', 'list', where],
    items: 1,
    item: 'name:string id:number createdAt:time holds:number sizeBytes:number',
    result: 'volume:string snapshots:number',
  },
  'snapshot hold': {
    argv: (where) => ['snapshot', 'hold', where, 'monday'],
    result: `${DRY} snapshot:string ms:number`,
    isChanging: true,
  },
  'snapshot release': {
    argv: (where) => ['snapshot', 'release', where, 'monday'],
    result: `${DRY} snapshot:string ms:number`,
    isChanging: true,
  },
  'snapshot delete': {
    argv: (where) => ['snapshot', 'delete', where, 'monday'],
    result: `${DRY} snapshot:string ms:number`,
    isChanging: true,
  },
  rollback: {
    argv: (where) => ['rollback', where, 'monday'],
    before: (where) => fs.writeFileSync(join(where, 'files/new'), ''),
    result: `${DRY} snapshot:string ms:number`,
    isChanging: true,
  },
  'disk list': {
    argv: (where) => ['disk', 'list', where],
    items: 3,
    item: DISK,
    result: 'volume:string disks:number',
  },
  'disk fail': {
    argv: (where) => ['disk', 'fail', where, 'disk-01'],
    result: `${DRY} disk:string`,
    isChanging: true,
  },
  'disk replace': {
    argv: (where) => ['disk', 'replace', where, 'disk-01.wafer'],
    before: (where) =>
      changeFake(where, (state) => {
        state.disks = state.disks.map((disk) => ({ ...disk, state: 'failed' }));
      }),
    result: `${DRY} disk:string rebuiltBlocks:number`,
    isChanging: true,
  },
  verify: {
    argv: (where) => ['verify', where],
    before: (where) =>
      changeFake(where, (state) => {
        state.problems = [{ kind: 'leaked-block', message: 'block 7 is used by nothing', vbn: 7 }];
      }),
    items: 1,
    item: 'kind:string message:string vbn:number? ino:number? path:string? snapshot:string?',
    result:
      'volume:string problems:number blocks:number inodes:number directories:number ' +
      'snapshots:number',
    code: 3,
  },
  inspect: {
    argv: (where) => ['inspect', where],
    items: 3,
    item:
      'structure:string file:string offsetBytes:number vbn:number? ino:number? fields:[] ' +
      'problems:[]',
    result: 'where:string structures:number problems:number',
  },
};

const json = suite('--json');

for (const [verb, one] of Object.entries(CASES)) {
  json(
    verb,
    withVolume(async (where, directory) => {
      one.before?.(where, directory);
      const ran = await wafer([...one.argv(where, directory), '--json']);
      assert.is(ran.code, one.code ?? 0, ran.stdout + ran.stderr);
      assert.is(ran.stderr, '');
      const items = ran.lines.filter((line) => line.type === 'item');
      assert.is(items.length, one.items ?? 0);
      for (const item of items) matches(item, `type:string ${one.item}`);
      const result = ran.lines.at(-1) as Record<string, unknown>;
      assert.is(result.type, 'result');
      matches(result, `type:string warnings:[] ${one.result}`);
      const progress = ran.lines.filter((line) => line.type === 'progress');
      for (const line of progress) {
        matches(line, 'type:string what:string done:number total:number unit:string');
      }
      assert.is(items.length + progress.length + 1, ran.lines.length);
    }),
  );
}

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

/** Everything below, with contents: what a dry run must leave. */
function photograph(directory: string): string[] {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return `${path} ${entry.isFile() ? fs.readFileSync(path, 'utf8') : ''}`;
    })
    .sort();
}

for (const [verb, one] of Object.entries(CASES)) {
  if (!one.isChanging) continue;
  dryRun(
    verb,
    withVolume(async (where, directory) => {
      one.before?.(where, directory);
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
