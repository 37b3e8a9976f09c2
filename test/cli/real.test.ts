// Every verb is run on a real volume in files: the lines that it prints, what it changes and what a
// dry run leaves, and how volumes that are locked, degraded, torn or no volumes are told of. The
// fake volume shows that the command line is right; this shows that it and the engine fit together.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { loadEngine } from '../../host/cli/engine.ts';
import { CASES, checkLines } from './verbs.ts';
import type { Ran, Setup } from './wafer.ts';
import { photograph, runWafer } from './wafer.ts';

const MAIN = fileURLToPath(new URL('../../host/cli/main.js', import.meta.url));
const SMALL = ['--size', '64MiB', '--log-size', '6MiB'];

function wafer(argv: readonly string[], setup?: Setup): Promise<Ran> {
  return runWafer(loadEngine, argv, setup);
}

async function ok(...argv: string[]): Promise<Ran> {
  const ran = await wafer(argv);
  assert.is(ran.code, 0, `${argv.join(' ')}: ${ran.stderr}${ran.stdout}`);
  return ran;
}

function withDirectory(use: (directory: string) => Promise<void>) {
  return async () => {
    const directory = fs.mkdtempSync(join(tmpdir(), 'waferfs-real-'));
    try {
      await use(directory);
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  };
}

/** What verbs.ts says that a volume has, in a directory that is removed at the end. */
function withVolume(use: (where: string, directory: string) => Promise<void>) {
  return withDirectory(async (directory) => {
    const where = join(directory, 'tank');
    const tree = join(directory, 'dir');
    fs.mkdirSync(join(tree, 'sub'), { recursive: true });
    fs.writeFileSync(join(tree, 'a'), 'alpha');
    fs.symlinkSync('a', join(tree, 'link'));
    fs.writeFileSync(join(directory, 'host'), 'from the host');
    await ok('create', where, '--disks', '3', ...SMALL);
    await ok('put', tree, `${where}:/`);
    await ok('snapshot', 'create', where, 'monday');
    await use(where, directory);
  });
}

const json = suite('real: --json and --dry-run');

for (const [verb, one] of Object.entries(CASES)) {
  json(
    verb,
    withVolume(async (where, directory) => {
      for (const argv of one.before?.(where, directory) ?? []) await ok(...argv);
      const argv = [...one.argv(where, directory), '--json'];
      if (one.isChanging === true) {
        const before = photograph(directory);
        await checkLines(() => wafer([...argv, '--dry-run']), { ...one, items: one.items ?? 0 });
        assert.equal(photograph(directory), before);
      }
      await checkLines(() => wafer(argv), one);
      if (verb === 'create') return;
      await checkLines(() => wafer(['verify', where, '--json']), CASES.verify as never);
    }),
  );
}

const changes = suite('real: what the verbs do');

changes(
  'put, change, roll back, get, for one disk and for three',
  withDirectory(async (directory) => {
    const tree = join(directory, 'tree');
    fs.mkdirSync(join(tree, 'in'), { recursive: true });
    fs.writeFileSync(join(tree, 'in/large'), Buffer.alloc(3_000_000, 'large '));
    fs.writeFileSync(join(tree, 'f'), 'one');
    for (const disks of ['1', '3']) {
      const where = join(directory, `volume-${disks}`);
      await ok('create', where, '--disks', disks, ...SMALL);
      await ok('put', `${tree}/.`, `${where}:/`);
      await ok('snapshot', 'create', where, 'monday');
      fs.writeFileSync(join(directory, 'f'), 'two');
      await ok('put', join(directory, 'f'), `${where}:/`);
      await ok('rm', '-r', `${where}:/in`);
      assert.is((await ok('cat', `${where}:/f`)).stdout, 'two');
      assert.is((await ok('cat', `${where}@monday:/f`)).stdout, 'one');
      assert.is((await ok('ls', `${where}:/`)).stdout, 'f\n');
      const out = join(directory, `out-${disks}`);
      await ok('get', `${where}@monday:/`, out);
      assert.is(
        fs.readFileSync(join(out, 'in/large')).compare(fs.readFileSync(join(tree, 'in/large'))),
        0,
      );
      await ok('rollback', where, 'monday');
      assert.is((await ok('cat', `${where}:/f`)).stdout, 'one');
      assert.is((await ok('cat', `${where}:/in/large`)).stdout.length, 3_000_000);
      await ok('snapshot', 'delete', where, 'monday');
      assert.is((await wafer(['cat', `${where}@monday:/f`])).code, 1);
      await ok('verify', where);
    }
  }),
);

changes(
  'a disk fails, is missed, is replaced, and the volume is whole again',
  withVolume(async (where) => {
    await ok('disk', 'fail', where, 'disk-01');
    const degraded = await ok('status', where);
    assert.match(degraded.stderr, /warning: .*disk-01.wafer is stale and is left out: .*degraded/);
    assert.match(degraded.stdout, /state +degraded/);
    assert.match(degraded.stdout, /disk-01 +data +failed/);
    assert.is((await ok('cat', `${where}:/dir/a`)).stdout, 'alpha');
    const second = await wafer(['disk', 'fail', where, 'disk-02']);
    assert.is(second.code, 2);
    await ok('mkdir', `${where}:/while-degraded`);
    await ok('disk', 'replace', where, 'disk-01');
    assert.match((await ok('status', where)).stderr, /disk-01.wafer is no member .*any more/);
    fs.rmSync(join(where, 'disk-01.wafer'));
    const whole = await ok('status', where);
    assert.is(whole.stderr, '');
    assert.match(whole.stdout, /state +healthy/);
    // The new disk stands in for another one.
    fs.rmSync(join(where, 'disk-00.wafer'));
    assert.is((await ok('cat', `${where}:/dir/a`)).stdout, 'alpha');
    assert.is((await ok('ls', `${where}:/`)).stdout, 'dir/\nwhile-degraded/\n');
    await ok('verify', where);
  }),
);

changes(
  'interrupted, it closes the volume, and what was copied is whole',
  withVolume(async (where, directory) => {
    const many = join(directory, 'many');
    fs.mkdirSync(many);
    for (let at = 0; at < 500; at++) fs.writeFileSync(join(many, `${at}`), 'x'.repeat(at));
    const controller = new AbortController();
    const running = wafer(['put', many, `${where}:/`], { signal: controller.signal });
    const watching = setInterval(() => {
      if (fs.existsSync(join(where, 'lock'))) controller.abort(new Error('enough'));
    }, 1);
    const { code } = await running.finally(() => clearInterval(watching));
    assert.is(code, 1);
    assert.not(fs.existsSync(join(where, 'lock')));
    await ok('verify', where);
    await ok('put', many, `${where}:/`);
    assert.is((await ok('ls', `${where}:/many`)).stdout.split('\n').length, 501);
  }),
);

changes(
  'inspect shows every structure, of files alone, and what is damaged',
  withVolume(async (where) => {
    const names = async (...argv: string[]) => {
      const { lines } = await wafer(['inspect', ...argv, '--json']);
      return new Set(lines.map(({ structure }) => structure));
    };
    const all = await names(where, '--all');
    const expected = 'label volume-root log-header image-root inode-block directory-node';
    for (const name of expected.split(' ')) assert.ok(all.has(name), `${name} of ${[...all]}`);
    assert.ok((await names(join(where, 'disk-01.wafer'))).has('volume-root'));
    assert.ok((await names(join(where, 'log.wafer'))).has('log-header'));
    const inode = await wafer(['inspect', where, '--ino', '16']);
    assert.match(inode.stdout, /^inode .*\n.* mode +\d+$/m);
    assert.is((await wafer(['inspect', where, '--vbn', '16000'])).code, 2);
    const fd = fs.openSync(join(where, 'disk-00.wafer'), 'r+');
    fs.writeSync(fd, 'damage', 200);
    fs.closeSync(fd);
    const damaged = await wafer(['inspect', where]);
    assert.is(damaged.code, 3);
    assert.match(damaged.stdout, /label .*disk-00(.|\n)*problem: /);
  }),
);

const refusals = suite('real: what is refused');

refusals(
  'a locked volume names its holder; readers go on',
  withVolume(async (where) => {
    const engine = await loadEngine();
    const volume = await engine.open(where, {});
    try {
      const ran = await wafer(['mkdir', `${where}:/x`]);
      assert.is(ran.code, 4);
      assert.match(ran.stderr, /VOLUME_LOCKED/);
      assert.ok(ran.stderr.includes(`${process.pid}`), ran.stderr);
      await volume.fs.promises.mkdir('/by-the-writer', {});
      assert.match((await ok('ls', `${where}:/`)).stdout, /dir\//);
    } finally {
      await volume.close();
    }
    assert.match((await ok('ls', `${where}:/`)).stdout, /by-the-writer/);
  }),
);

/** What was done to the volume, and the exit code and text that it brings. */
const BROKEN: Record<string, [(where: string) => void, number, RegExp]> = {
  'no volume': [(where) => fs.rmSync(where, { recursive: true }), 4, /NOT_A_VOLUME/],
  'two disks missing': [
    (where) => {
      fs.rmSync(join(where, 'disk-00.wafer'));
      fs.rmSync(join(where, 'disk-01.wafer'));
    },
    4,
    /RAID_DEGRADED_BEYOND_PARITY|DISK_MISSING/,
  ],
  'a disk twice': [
    (where) => fs.copyFileSync(join(where, 'disk-00.wafer'), join(where, 'disk-09.wafer')),
    4,
    /DISK_DUPLICATE/,
  ],
  'all labels gone': [
    (where) => {
      for (const name of fs.readdirSync(where)) fs.truncateSync(join(where, name), 0);
    },
    4,
    /NOT_A_VOLUME/,
  ],
  'the log missing': [
    (where) => {
      fs.rmSync(join(where, 'log.wafer'));
      fs.rmSync(join(where, 'log-1.wafer'));
    },
    4,
    /DISK_MISSING/,
  ],
};

for (const [name, [breakIt, code, text]] of Object.entries(BROKEN)) {
  refusals(
    name,
    withVolume(async (where, directory) => {
      breakIt(where);
      const before = photograph(directory);
      for (const argv of [
        ['status', where],
        ['mkdir', `${where}:/x`],
      ]) {
        const ran = await wafer(argv);
        assert.is(ran.code, code, ran.stderr);
        assert.match(ran.stderr, text);
        assert.match(ran.stderr, /hint: \w/);
      }
      assert.equal(photograph(directory), before);
    }),
  );
}

refusals(
  'names, sizes, and places that are taken',
  withVolume(async (where, directory) => {
    assert.is((await wafer(['create', where, ...SMALL])).code, 2);
    assert.is((await wafer(['create', join(directory, 'host'), ...SMALL])).code, 2);
    const tiny = await wafer(['create', `${where}-2`, '--size', '4KiB']);
    assert.is(tiny.code, 2);
    const double = await wafer(['create', `${where}-2`, '--disks', '4', '--raid', 'dp', ...SMALL]);
    assert.match(double.stderr, /UNSUPPORTED_FEATURE/);
    assert.not(fs.existsSync(`${where}-2`));
    const again = await wafer(['snapshot', 'create', where, 'monday']);
    assert.match(again.stderr, /EEXIST/);
    assert.is((await wafer(['rollback', where, 'friday'])).code, 1);
    await ok('snapshot', 'hold', where, 'monday');
    const held = await wafer(['snapshot', 'delete', where, 'monday']);
    assert.is(held.code, 1);
    assert.match(held.stderr, /EBUSY.*\n.*snapshot release/);
  }),
);

refusals(
  'a volume that is full: 5, and usable again after a removal',
  withVolume(async (where, directory) => {
    const large = join(directory, 'large');
    fs.mkdirSync(large);
    for (let at = 0; at < 10; at++) {
      fs.writeFileSync(join(large, `${at}`), Buffer.alloc(10_000_000, `${at}`));
    }
    const full = await wafer(['put', large, `${where}:/`]);
    assert.is(full.code, 5, full.stderr);
    assert.match(full.stderr, /ENOSPC/);
    assert.is((await ok('cat', `${where}:/dir/a`)).stdout, 'alpha');
    await ok('verify', where);
    await ok('rm', '-r', `${where}:/large`);
    await ok('put', join(large, '1'), `${where}:/`);
    await ok('verify', where);
  }),
);

/** Runs the program as a process. */
function node(...argv: string[]): Promise<{ code: number | null; stdout: Buffer; stderr: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [MAIN, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    const stdout: Buffer[] = [];
    let stderr = '';
    child.on('error', reject);
    child.stdout.on('data', (data: Buffer) => stdout.push(data));
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    child.on('close', (code) => resolve({ code, stdout: Buffer.concat(stdout), stderr }));
  });
}

const processes = suite('real: as a process');

/** Files of volumes that this process has open. */
function openFiles(directory: string): string[] {
  return fs
    .readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return fs.readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return '';
      }
    })
    .filter((path) => path.startsWith(directory));
}

processes(
  'no file stays open after a volume is closed, or was refused',
  withDirectory(async (directory) => {
    if (!fs.existsSync('/proc/self/fd')) return;
    for (const disks of ['1', '3']) {
      const where = join(directory, `volume-${disks}`);
      await ok('create', where, '--disks', disks, ...SMALL);
      await ok('mkdir', `${where}:/x`);
      await ok('ls', `${where}:/`);
      assert.equal(openFiles(directory), []);
    }
    const torn = join(directory, 'volume-3');
    for (const name of fs.readdirSync(torn)) fs.truncateSync(join(torn, name), 8192);
    assert.not.equal((await wafer(['ls', `${torn}:/`])).code, 0);
    fs.truncateSync(join(directory, 'volume-1'), 65_536);
    assert.not.equal((await wafer(['ls', `${directory}/volume-1:/`])).code, 0);
    assert.equal(openFiles(directory), []);
  }),
);

processes(
  'bytes go through a pipe as they are; the process ends by itself',
  withVolume(async (where, directory) => {
    const bytes = Buffer.from(
      Array.from({ length: 300_000 }, (_, at) => (at * 7 + (at >> 8)) & 255),
    );
    fs.writeFileSync(join(directory, 'bytes'), bytes);
    const put = await node('put', join(directory, 'bytes'), `${where}:/`);
    assert.is(put.code, 0, put.stderr);
    const cat = await node('cat', `${where}:/bytes`);
    assert.is(cat.code, 0, cat.stderr);
    assert.is(cat.stdout.compare(bytes), 0);
    assert.is((await node('status', `${where}-not`)).code, 4);
  }),
);

for (const one of [json, changes, refusals, processes]) one.run();
