// Checks what node:fs cannot be compared with: exact times, xattrs, read-only images, calls under
// way while others are made, sync calls among async ones. It matters because here the face
// promises more than Node's, and the order of calls on one handle is what programs silently rely
// upon.

import * as assert from 'node:assert/strict';
import { suite } from 'uvu';
import { SeededPrng } from '../../host/base/prng.ts';
import { createFs } from '../../host/fs/create-fs.ts';
import type { VolumeFs } from '../../host/fs/types.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';
import { slowOperations } from './slow-operations.ts';
import { STORIES } from './stories.ts';
import { listing, makeFixture, outcome } from './worlds.ts';

function makeFs(model = new ModelFileSystem()): VolumeFs {
  return createFs(model, { prng: new SeededPrng(1) });
}

function makeSlowFs(model = new ModelFileSystem()): VolumeFs {
  return createFs(slowOperations(model), { prng: new SeededPrng(1) });
}

const slow = suite('face: on operations that take time');
for (const [name, story] of Object.entries(STORIES)) {
  slow(name, async () => {
    const seen: string[] = [];
    for (const fs of [makeFs(), makeSlowFs()]) {
      makeFixture(fs, '/f');
      const at = (path: string): string => `/f/${path}`;
      const result = await outcome(() => story(fs, at));
      seen.push(`${result}\n${listing(fs, '/f')}`);
    }
    assert.equal(seen[1], seen[0]);
  });
}

slow('calls on a handle keep their order', async () => {
  const fs = makeSlowFs();
  const handle = await fs.promises.open('/x', 'w+');
  await Promise.all(['one ', 'two ', 'three '].map((text) => handle.write(text)));
  const parts = [Buffer.alloc(4), Buffer.alloc(4)];
  const again = await fs.promises.open('/x');
  const reads = await Promise.all(parts.map((part) => again.read(part)));
  assert.equal(String(reads[0]?.buffer), 'one ');
  assert.equal(String(reads[1]?.buffer), 'two ');
  assert.equal(await fs.promises.readFile('/x', 'utf8'), 'one two three ');
  await again.close();
  await handle.close();
});

slow('a sync call on a number follows the async ones before it', async () => {
  const fs = makeSlowFs();
  const handle = await fs.promises.open('/x', 'w+');
  const first = handle.write('first');
  fs.writeSync(handle.fd, ' second');
  assert.equal((await first).bytesWritten, 5);
  assert.equal(fs.readFileSync('/x', 'utf8'), 'first second');
  await handle.close();
});

slow('a failed call leaves the position to the next', async () => {
  const fs = makeSlowFs();
  fs.writeFileSync('/x', 'abcdef');
  const handle = await fs.promises.open('/x', 'r+');
  const bad = handle.write(Buffer.alloc(1), 0, 1, Number.MAX_SAFE_INTEGER);
  const good = handle.read(Buffer.alloc(2));
  await assert.rejects(bad, { code: 'EFBIG', syscall: 'write' });
  assert.equal(String((await good).buffer), 'ab');
  await handle.close();
});

slow('close waits for what is under way', async () => {
  const fs = makeSlowFs();
  const handle = await fs.promises.open('/x', 'w');
  const writing = handle.write('still there');
  const closing = handle.close();
  assert.equal(handle.close(), closing);
  await closing;
  assert.equal((await writing).bytesWritten, 11);
  assert.equal(handle.fd, -1);
  assert.equal(fs.readFileSync('/x', 'utf8'), 'still there');
});

slow('close waits for a source that is still coming', async () => {
  const fs = makeSlowFs();
  const handle = await fs.promises.open('/x', 'w');
  const source = (async function* () {
    yield 'one ';
    yield 'two';
  })();
  const writing = handle.writeFile(source);
  await handle.close();
  await writing;
  assert.equal(fs.readFileSync('/x', 'utf8'), 'one two');
});

slow('sync calls work while async ones are under way', async () => {
  const fs = makeSlowFs();
  const made = fs.promises.mkdir('/a/b/c', { recursive: true });
  const written = fs.promises.writeFile('/file', 'async');
  fs.writeFileSync('/other', 'sync');
  assert.deepEqual(fs.readdirSync('/'), ['other']);
  assert.equal(await made, '/a');
  await written;
  assert.deepEqual(fs.readdirSync('/'), ['a', 'file', 'other']);
});
slow.run();

const exact = suite('face: beyond node:fs');

exact('times to the nanosecond', async () => {
  const fs = makeFs();
  await fs.promises.writeFile('/x', '');
  const times: [bigint, bigint][] = [
    [0n, 1n],
    [1_700_000_000_123_456_789n, -1n],
    [-1_500_000_001n, 999_999_999n],
  ];
  for (const [atime, mtime] of times) {
    await fs.promises.utimes('/x', atime, mtime);
    const stats = await fs.promises.stat('/x', { bigint: true });
    assert.equal(stats.atimeNs, atime);
    assert.equal(stats.mtimeNs, mtime);
  }
  await fs.promises.utimes('/x', { seconds: -2, nanoseconds: 5 }, { seconds: 3, nanoseconds: 7 });
  const stats = fs.statSync('/x', { bigint: true });
  assert.equal(stats.atimeNs, -1_999_999_995n);
  assert.equal(stats.mtimeNs, 3_000_000_007n);
});

exact('negative seconds are before 1970, not now', async () => {
  const fs = makeFs();
  fs.writeFileSync('/x', '');
  await fs.promises.utimes('/x', -1.5, new Date(-1));
  const stats = fs.statSync('/x');
  assert.equal(stats.atimeMs, -1500);
  assert.equal(stats.mtime.getTime(), -1);
});

exact('dates survive a round trip to the millisecond', async () => {
  const fs = makeFs();
  fs.writeFileSync('/x', '');
  for (const ms of [1, 999, 1_700_000_000_001, 1_700_000_000_999, 4_102_444_800_123]) {
    fs.utimesSync('/x', new Date(ms), new Date(ms));
    assert.equal(fs.statSync('/x').mtime.getTime(), ms);
    assert.equal(fs.statSync('/x', { bigint: true }).mtimeNs, BigInt(ms) * 1_000_000n);
  }
});

exact('dates of Stats are the same object each time, and may be set', () => {
  const fs = makeFs();
  const stats = fs.statSync('/');
  assert.equal(stats.mtime, stats.mtime);
  assert.ok('mtime' in stats);
  const other = new Date(5);
  stats.mtime = other;
  assert.equal(stats.mtime, other);
});

exact('wrong times', async () => {
  const fs = makeFs();
  fs.writeFileSync('/x', '');
  const bad = [
    new Date(Number.NaN),
    { seconds: 1, nanoseconds: 1e9 },
    { seconds: 0.5, nanoseconds: 0 },
    2n ** 90n,
    2 ** 60,
  ];
  for (const time of bad) {
    await assert.rejects(fs.promises.utimes('/x', time as never, 0), /ERR_|time/);
  }
});

exact('setAttributes changes several attributes at once, of a link itself', async () => {
  const fs = makeFs();
  fs.writeFileSync('/x', '');
  fs.symlinkSync('x', '/l');
  const time = { seconds: -2, nanoseconds: 5 };
  await fs.promises.setAttributes('/x', { mode: 0o104751, uid: 7, atime: 9n, mtime: time });
  const file = fs.statSync('/x', { bigint: true });
  assert.equal(file.mode, 0o104751n);
  assert.deepEqual([file.uid, file.gid], [7n, 0n]);
  assert.deepEqual([file.atimeNs, file.mtimeNs], [9n, -1_999_999_995n]);
  fs.setAttributesSync('/l', { gid: 8, mtime: time });
  const link = fs.lstatSync('/l', { bigint: true });
  assert.deepEqual([link.gid, link.mtimeNs], [8n, -1_999_999_995n]);
  assert.equal(fs.statSync('/x', { bigint: true }).gid, 0n);
  const missing = { code: 'ENOENT', syscall: 'setattr', path: '/no' };
  await assert.rejects(fs.promises.setAttributes('/no', { mode: 0 }), missing);
  for (const bad of [null, { mode: -1 }, { uid: 0.5 }, { mtime: 2n ** 90n }]) {
    await assert.rejects(fs.promises.setAttributes('/x', bad as never), /ERR_|type|range/);
  }
});

exact(
  'writeFile gives its attributes with the content, and nothing of it where it fails',
  async () => {
    const fs = makeFs();
    const mtime = 1_700_000_000_123_456_789n;
    const attributes = { mode: 0o640, uid: 3, gid: 4, atime: 5n, mtime };
    for (const flag of ['w', 'wx', 'a', 'r+']) {
      const path = `/${flag}`;
      if (flag === 'r+') fs.writeFileSync(path, 'content');
      await fs.promises.writeFile(path, 'content', { flag, attributes });
      const stats = fs.statSync(path, { bigint: true });
      assert.deepEqual([stats.mode, stats.uid, stats.gid], [0o100640n, 3n, 4n], flag);
      assert.deepEqual([stats.atimeNs, stats.mtimeNs, stats.size], [5n, mtime, 7n], flag);
    }
    const handle = await fs.promises.open('/w', 'w');
    await handle.writeFile('x', { attributes: { gid: 9 } });
    await handle.close();
    assert.equal(fs.statSync('/w').gid, 9);
    const again = fs.promises.writeFile('/wx', 'other', { flag: 'wx', attributes: { mode: 0 } });
    await assert.rejects(again, { code: 'EEXIST', syscall: 'open' });
    assert.equal(fs.statSync('/wx').mode, 0o100640);
    const bad = { attributes: { mtime: {} } } as never;
    await assert.rejects(fs.promises.writeFile('/bad', 'x', bad), /ERR_|time/);
    assert.ok(!fs.existsSync('/bad'));
  },
);

exact('xattrs', async () => {
  const fs = makeFs();
  fs.writeFileSync('/x', '');
  fs.symlinkSync('x', '/l');
  await fs.promises.setxattr('/l', 'user.a', 'text');
  await fs.promises.setxattr('/l', 'user.b', new Uint8Array([1]), { follow: false });
  assert.deepEqual(await fs.promises.listxattr('/x'), ['user.a']);
  assert.deepEqual(fs.listxattrSync('/l', { follow: false }), ['user.b']);
  assert.equal(String(await fs.promises.getxattr('/x', 'user.a')), 'text');
  await fs.promises.removexattr('/x', 'user.a');
  const where = { code: 'ENODATA', syscall: 'getxattr', path: '/x' };
  await assert.rejects(fs.promises.getxattr('/x', 'user.a'), where);
});

exact('a read-only image refuses every change with EROFS', async () => {
  const model = new ModelFileSystem();
  makeFixture(makeFs(model), '/f');
  const before = model.dump();
  model.isReadOnly = true;
  const fs = makeFs(model).promises;
  const changes: [string, () => Promise<unknown>][] = [
    ['open', () => fs.writeFile('/f/file', 'x')],
    ['open', () => fs.open('/f/new', 'w')],
    ['open', () => fs.truncate('/f/file')],
    ['mkdir', () => fs.mkdir('/f/new')],
    ['unlink', () => fs.unlink('/f/file')],
    ['rmdir', () => fs.rmdir('/f/hollow')],
    ['rename', () => fs.rename('/f/file', '/f/new')],
    ['link', () => fs.link('/f/file', '/f/new')],
    ['symlink', () => fs.symlink('x', '/f/new')],
    ['chmod', () => fs.chmod('/f/file', 0)],
    ['utime', () => fs.utimes('/f/file', 1, 1)],
    ['setxattr', () => fs.setxattr('/f/file', 'user.a', '')],
    ['access', () => fs.access('/f/file', fs.constants.W_OK)],
  ];
  for (const [syscall, change] of changes) await assert.rejects(change, { code: 'EROFS', syscall });
  assert.equal(await fs.readFile('/f/file', 'utf8'), 'hello world');
  model.isReadOnly = false;
  assert.equal(model.dump(), before);
});

exact('numbers of files are not those of the host, the lowest free first', async () => {
  const fs = makeFs();
  fs.writeFileSync('/x', '');
  const [a, b] = [fs.openSync('/x'), fs.openSync('/x')];
  assert.ok(a >= 2 ** 30);
  fs.closeSync(a);
  assert.equal(fs.openSync('/x'), a);
  assert.equal(b, a + 1);
  assert.throws(() => fs.readSync(b + 1, Buffer.alloc(1)), { code: 'EBADF', syscall: 'read' });
});

exact('relative paths start at the root', () => {
  const fs = makeFs();
  fs.mkdirSync('a');
  fs.writeFileSync('a/x', '1');
  assert.equal(fs.readFileSync('/a/x', 'utf8'), '1');
  assert.throws(() => fs.statSync('missing'), { path: 'missing' });
});

exact('the umask is an option', async () => {
  const fs = createFs(new ModelFileSystem(), { prng: new SeededPrng(1), umask: 0o027 });
  await fs.promises.writeFile('/x', '');
  await fs.promises.mkdir('/d');
  await fs.promises.appendFile('/y', '', { mode: 0o777 });
  assert.equal(fs.statSync('/x').mode & 0o777, 0o640);
  assert.equal(fs.statSync('/d').mode & 0o777, 0o750);
  assert.equal(fs.statSync('/y').mode & 0o777, 0o750);
});

exact('promises is an own enumerable property, as on node:fs', () => {
  assert.ok(Object.keys(makeFs()).includes('promises'));
});

exact('a name that is no UTF-8 is refused', async () => {
  const path = Buffer.from([0x2f, 0xff]);
  await assert.rejects(makeFs().promises.stat(path), { code: 'EINVAL' });
});

exact('errors carry their own keys only', () => {
  const fs = makeFs();
  try {
    fs.statSync('/missing');
    assert.fail('it is missing');
  } catch (error) {
    assert.deepEqual(Object.keys(error as Error).sort(), ['code', 'errno', 'path', 'syscall']);
  }
});
exact.run();
