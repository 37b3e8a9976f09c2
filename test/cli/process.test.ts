// The program as a process: signals, a reader that goes away, and that help loads no engine. A
// shell sees exit codes and half-closed pipes that no test within a process can see.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { changeFake } from './fake-volume.ts';

const FAKE_MAIN = fileURLToPath(new URL('./fake-main.js', import.meta.url));
const MAIN = fileURLToPath(new URL('../../host/cli/main.js', import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a script; `leaveAfter`: the reader of stdout goes after so many bytes. */
function node(script: string, argv: readonly string[], leaveAfter?: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [script, ...argv], { stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.on('error', reject);
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString('latin1');
      if (leaveAfter !== undefined && stdout.length >= leaveAfter) child.stdout.destroy();
    });
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString();
    });
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

function withVolume(use: (where: string, directory: string) => Promise<void>) {
  return async () => {
    const directory = fs.mkdtempSync(join(tmpdir(), 'waferfs-process-'));
    try {
      const where = join(directory, 'tank');
      assert.is((await node(FAKE_MAIN, ['create', where, '--size', '1GiB'])).code, 0);
      await use(where, directory);
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  };
}

const test = suite('process');

test(
  'SIGINT under way: 130, told, and the volume closed',
  withVolume(async (where, directory) => {
    const many = join(directory, 'many');
    fs.mkdirSync(many);
    for (let at = 0; at < 300; at++) fs.writeFileSync(join(many, `${at}`), 'x');
    changeFake(where, (state) => {
      state.fault = 'SIGINT';
    });
    const ended = await node(FAKE_MAIN, ['put', many, `${where}:/`, '--json']);
    assert.is(ended.code, 130, ended.stderr);
    assert.match(ended.stdout, /"type":"error","code":"INTERRUPTED"/);
    assert.not(fs.existsSync(join(where, 'lock')));
    assert.ok(fs.readdirSync(join(where, 'files/many')).length < 300);
  }),
);

test(
  'a reader that goes away ends it quietly',
  withVolume(async (where) => {
    fs.writeFileSync(join(where, 'files/large'), Buffer.alloc(20_000_000, 'x'));
    const ended = await node(FAKE_MAIN, ['cat', `${where}:/large`], 100_000);
    assert.is(ended.code, 0);
    assert.is(ended.stderr, '');
    const all = await node(FAKE_MAIN, ['cat', `${where}:/large`]);
    assert.is(all.stdout.length, 20_000_000);
  }),
);

test('help and version come without the engine', async () => {
  const help = await node(MAIN, ['--help']);
  assert.is(help.code, 0, help.stderr);
  assert.match(help.stdout, /snapshot/);
  const version = await node(MAIN, ['--version']);
  assert.match(version.stdout, /^\d+\.\d+\.\d+/);
});

test.run();
