// Short programs on a fixture (worlds.ts), told to any file system that is shaped as node:fs. What
// they return must be the same everywhere.

import type { AnyFs } from './worlds.ts';
import { outcome } from './worlds.ts';

/** `at` gives the path of a name in the fixture. */
export type Story = (fs: AnyFs, at: (name: string) => string) => unknown;

/** Calls with more to them. */
const MORE: Record<string, Story> = {
  'readFile encodings': async (fs, at) => {
    const bytes = Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0xff, 0xc3, 0x28, 0xf0, 0x9f, 0x98, 0x80]);
    await fs.promises.writeFile(at('x'), bytes);
    const texts = [];
    for (const encoding of [
      'utf8',
      'UTF-8',
      'hex',
      'base64',
      'base64url',
      'latin1',
      'binary',
      'ascii',
      'utf16le',
      'ucs2',
    ]) {
      texts.push(await fs.promises.readFile(at('x'), encoding));
    }
    return texts;
  },
  'writeFile encodings': async (fs, at) => {
    const texts: [string, string][] = [
      ['é😀\ud800x', 'utf8'],
      ['é😀', 'latin1'],
      ['é😀', 'ascii'],
      ['é😀', 'utf16le'],
      ['616263zz', 'hex'],
      ['616', 'hex'],
      ['YWJj', 'base64'],
      ['-_-_ \n YQ==YQ', 'base64url'],
    ];
    const read = [];
    for (const [text, encoding] of texts) {
      await fs.promises.writeFile(at('x'), text, encoding);
      read.push(await fs.promises.readFile(at('x')));
    }
    return read;
  },
  'writeFile views': async (fs, at) => {
    const memory = Uint8Array.from({ length: 32 }, (_, index) => index).buffer;
    const read = [];
    for (const view of [new Uint16Array(memory, 4, 3), new DataView(memory, 5, 7)]) {
      await fs.promises.writeFile(at('x'), view);
      read.push(await fs.promises.readFile(at('x')));
    }
    return read;
  },
  'writeFile iterables': async (fs, at) => {
    await fs.promises.writeFile(at('x'), ['a', Buffer.from('b'), 'é']);
    await fs.promises.appendFile(
      at('x'),
      (async function* () {
        yield 'c';
        yield new Uint8Array([100]);
      })(),
    );
    await fs.promises.writeFile(at('y'), new Set(['61', '62']), 'hex');
    return [await fs.promises.readFile(at('x')), await fs.promises.readFile(at('y'))];
  },
  'writeFile iterable fails': (fs, at) =>
    fs.promises.writeFile(
      at('x'),
      (function* () {
        yield 'before';
        throw new Error('in the middle');
      })(),
    ),
  'paths as bytes and URLs': async (fs, at) => {
    await fs.promises.writeFile(Buffer.from(at('é b')), '1');
    const url = new URL(`file://${at('é b')}`);
    return [await fs.promises.readFile(url, 'utf8'), (await fs.promises.stat(url)).size];
  },
  'readdir encodings': async (fs, at) => {
    await fs.promises.writeFile(at('dir/é'), '');
    return [
      await fs.promises.readdir(at('dir'), 'buffer'),
      await fs.promises.readdir(at('dir'), { encoding: 'hex', withFileTypes: true }),
      await fs.promises.readlink(at('link'), 'buffer'),
      await fs.promises.realpath(at('link'), { encoding: 'buffer' }),
    ];
  },
  'readdir recursive': async (fs, at) => {
    await fs.promises.mkdir(at('dir/sub/deep/er'), { recursive: true });
    await fs.promises.writeFile(at('dir/sub/deep/file'), '');
    const names = await fs.promises.readdir(at('dir'), { recursive: true });
    const entries = await fs.promises.readdir(at('dir'), { recursive: true, withFileTypes: true });
    const full = entries.map((entry: AnyFs) => `${entry.parentPath} ${entry.name}`);
    return [names.sort(), full.sort()];
  },
  'opendir read and close': async (fs, at) => {
    const dir = await fs.promises.opendir(at('dir'), { bufferSize: 1 });
    const names = [(await dir.read()).name, (await dir.read()).name, await dir.read()];
    await dir.close();
    const late = await dir.close().catch((error: Error) => error);
    return [dir.path, names.sort(), late];
  },
  'mkdir -p returns the first': async (fs, at) => [
    await fs.promises.mkdir(at('one/two/three'), { recursive: true }),
    await fs.promises.mkdir(at('one/two/four'), { recursive: true }),
    await fs.promises.mkdir(at('one/two'), { recursive: true }),
    await fs.promises.mkdir(at('dirlink/a/b'), { recursive: true }),
  ],
  mkdtemp: async (fs, at) => {
    const path = await fs.promises.mkdtemp(at('tmp-'));
    const { mode } = await fs.promises.stat(path);
    await fs.promises.rmdir(path);
    return [path.length, mode];
  },
  'mkdtemp missing': async (fs, at) => {
    const error = await fs.promises.mkdtemp(at('missing/tmp-')).catch((error: Error) => error);
    return [error.code, error.syscall, error.path.length];
  },
  'rm -r': (fs, at) => fs.promises.rm(at('dir'), { recursive: true }),
  'rm -r link': (fs, at) => fs.promises.rm(at('dirlink'), { recursive: true }),
  'rm -rf missing': (fs, at) => fs.promises.rm(at('missing'), { recursive: true, force: true }),
  'copyFile modes': async (fs, at) => {
    await fs.promises.chmod(at('file'), 0o4751);
    await fs.promises.copyFile(at('file'), at('copy'));
    await fs.promises.copyFile(at('empty'), at('copy2'));
    await fs.promises.copyFile(at('file'), at('hard'));
  },
  'copyFile large': async (fs, at) => {
    await fs.promises.writeFile(at('x'), Buffer.alloc(2_500_000, 'abcdefg'));
    await fs.promises.writeFile(at('y'), Buffer.alloc(3_000_000, 'old'));
    await fs.promises.copyFile(at('x'), at('y'));
    return (await fs.promises.readFile(at('x'))).equals(await fs.promises.readFile(at('y')));
  },
  'cp -r': (fs, at) => fs.promises.cp(at('dir'), at('copied/here'), { recursive: true }),
  'cp -r onto': (fs, at) => fs.promises.cp(at('dir'), at('hollow'), { recursive: true }),
  'cp -r into itself': (fs, at) => fs.promises.cp(at('dir'), at('dir/sub/x'), { recursive: true }),
  'cp -r file onto dir': (fs, at) => fs.promises.cp(at('file'), at('dir'), { recursive: true }),
  'cp -r dir onto file': (fs, at) => fs.promises.cp(at('dir'), at('file'), { recursive: true }),
  'cp no force': (fs, at) => fs.promises.cp(at('file'), at('empty'), { force: false }),
  'cp errorOnExist': (fs, at) =>
    fs.promises.cp(at('file'), at('empty'), { force: false, errorOnExist: true }),
  'cp filter': (fs, at) => {
    const filter = async (source: string) => !source.endsWith('inner');
    return fs.promises.cp(at('dir'), at('new'), { recursive: true, filter });
  },
  'cp links': async (fs, at) => {
    await fs.promises.symlink('inner', at('dir/relative'));
    await fs.promises.cp(at('dir'), at('new'), { recursive: true });
    await fs.promises.cp(at('dir'), at('new2'), { recursive: true, verbatimSymlinks: true });
  },
  'cp dereference': (fs, at) => fs.promises.cp(at('link'), at('new'), { dereference: true }),
  'cp times': async (fs, at) => {
    await fs.promises.utimes(at('file'), 1000, 2000);
    await fs.promises.cp(at('file'), at('new'), { preserveTimestamps: true });
    return (await fs.promises.stat(at('new'))).mtimeMs;
  },
  times: async (fs, at) => {
    const seen = [];
    const pairs = [
      [1, 2],
      ['3', '4'],
      [new Date(5000), new Date(1_700_000_000_123)],
      [0, 7.25],
    ];
    for (const [atime, mtime] of pairs) {
      await fs.promises.utimes(at('file'), atime, mtime);
      const stats = await fs.promises.stat(at('file'));
      seen.push([stats.atimeMs, stats.mtime, stats.atime.getTime()]);
    }
    await fs.promises.lutimes(at('link'), 1, 2);
    seen.push((await fs.promises.lstat(at('link'))).mtimeMs);
    const big = await fs.promises.stat(at('file'), { bigint: true });
    return [seen, big.mtimeMs, big.mtimeNs, big.mtime, typeof big.size, big.isFile()];
  },
  'a long path of names': async (fs, at) => {
    const path = `deep/${'d'.repeat(100)}/${'e'.repeat(255)}/${'é'.repeat(127)}`;
    await fs.promises.mkdir(at(path), { recursive: true });
    await fs.promises.writeFile(at(`${path}/f`), 'deep');
    return fs.promises.readFile(at(`${path}/f`), 'utf8');
  },
  '40 links': async (fs, at) => {
    const seen = [];
    await fs.promises.symlink('file', at('l1'));
    for (let index = 2; index <= 42; index++) {
      await fs.promises.symlink(`l${index - 1}`, at(`l${index}`));
    }
    for (const index of [39, 40, 41]) {
      seen.push(await fs.promises.readFile(at(`l${index}`)).catch((error: Error) => error));
    }
    return seen;
  },
  'realpath over 40 links': async (fs, at) => {
    const seen = [];
    await fs.promises.symlink('file', at('l1'));
    for (let index = 2; index <= 41; index++) {
      await fs.promises.symlink(`l${index - 1}`, at(`l${index}`));
    }
    for (const index of [39, 40, 41]) {
      seen.push(await fs.promises.realpath(at(`l${index}`)).catch((error: Error) => error));
    }
    return seen;
  },
  'what is cut off is zero when it comes back': async (fs, at) => {
    await fs.promises.writeFile(at('x'), 'x'.repeat(9000));
    await fs.promises.truncate(at('x'), 100);
    await fs.promises.truncate(at('x'), 9000);
    await fs.promises.truncate(at('file'), 3);
    const handle = await fs.promises.open(at('file'), 'r+');
    await handle.write('!', 6000);
    await handle.close();
    const read = [await fs.promises.readFile(at('x')), await fs.promises.readFile(at('file'))];
    return read.map((bytes) => [bytes.length, bytes.filter((byte: number) => byte !== 0).length]);
  },
  'a directory that moved has another parent': async (fs, at) => {
    await fs.promises.rename(at('dir/sub'), at('hollow/sub'));
    return [
      await fs.promises.readdir(at('hollow/sub/..')),
      await outcome(() => fs.promises.rename(at('hollow'), at('hollow/sub/x'))),
      await outcome(() => fs.promises.rename(at('dir'), at('hollow/sub/dir'))),
      await fs.promises.readdir(at('hollow/sub/dir/../..')),
    ];
  },
  'symlink of nothing and too long': async (fs, at) => [
    await fs.promises.symlink('', at('x')).catch((error: AnyFs) => error.code),
    await fs.promises.symlink('x'.repeat(4096), at('x')).catch((error: AnyFs) => error.code),
    await fs.promises.symlink('x'.repeat(4095), at('x')),
  ],
};

const HANDLES: Record<string, Story> = {
  'read forms': async (fs, at) => {
    const handle = await fs.promises.open(at('file'));
    const seen = [];
    seen.push(await handle.read(Buffer.alloc(4)));
    seen.push(await handle.read(Buffer.alloc(4, 46), 1, 2));
    seen.push(await handle.read(Buffer.alloc(4), 0, 4, 0));
    seen.push(await handle.read({ buffer: Buffer.alloc(3), position: 2 }));
    seen.push(await handle.read(Buffer.alloc(3), { offset: 1, length: 1, position: null }));
    seen.push((await handle.read()).bytesRead);
    seen.push(await handle.read(Buffer.alloc(3)));
    seen.push(await handle.read(new Uint16Array(2), 0, 3, 4));
    seen.push(await handle.readv([Buffer.alloc(2), Buffer.alloc(30)], 3));
    seen.push(await handle.readv([Buffer.alloc(2)]));
    await handle.close();
    return seen;
  },
  'read errors': async (fs, at) => {
    const handle = await fs.promises.open(at('file'));
    const calls: unknown[][] = [
      [5],
      [Buffer.alloc(0)],
      [Buffer.alloc(2), -1],
      [Buffer.alloc(2), 1, 2],
      [Buffer.alloc(2), 3],
      [Buffer.alloc(2), 0, -1],
      [Buffer.alloc(2), 1.5],
      [Buffer.alloc(2), 'x'],
      ['text'],
      [[]],
      [{ buffer: 'x' }],
      [null],
      [Buffer.alloc(2), 0, 0],
    ];
    const seen = [];
    for (const call of calls) seen.push(await outcome(() => handle.read(...call)));
    seen.push(await outcome(() => handle.readv('x')), await outcome(() => handle.readv(['x'])));
    seen.push(await outcome(() => handle.write('x')), await outcome(() => handle.truncate(1)));
    await handle.close();
    return seen;
  },
  'write forms': async (fs, at) => {
    const handle = await fs.promises.open(at('x'), 'w+');
    const seen = [];
    seen.push(await handle.write('abc'));
    seen.push(await handle.write(Buffer.from('DEFG'), 1, 2));
    seen.push(await handle.write('zz', 1));
    seen.push(await handle.write('6162', null, 'hex'));
    seen.push(await handle.write(Buffer.from('123'), { offset: 1, position: 20 }));
    seen.push(await handle.writev([Buffer.from('a'), new Uint8Array([66, 67])], 30));
    seen.push(await handle.writev([Buffer.from('--')]));
    seen.push(await handle.writev([]));
    seen.push(await handle.write(Buffer.alloc(0)));
    seen.push(await handle.readFile(), (await handle.stat()).size);
    await handle.close();
    return seen;
  },
  'write errors': async (fs, at) => {
    const handle = await fs.promises.open(at('x'), 'w');
    const calls: unknown[][] = [
      [5],
      [{}],
      [undefined],
      [null],
      [Buffer.alloc(2), 3],
      [Buffer.alloc(2), 1, 2],
      [Buffer.alloc(2), 0, -1],
      [Buffer.alloc(2), -1],
      [Buffer.alloc(2), 1.5],
      ['abc', 0, 'hex'],
    ];
    const seen = [];
    for (const call of calls) seen.push(await outcome(() => handle.write(...call)));
    seen.push(await outcome(() => handle.writev('x')));
    seen.push(await outcome(() => handle.read(Buffer.alloc(1))));
    seen.push(await outcome(() => handle.readFile()));
    seen.push(await outcome(() => handle.writeFile(5)));
    seen.push(await outcome(() => handle.truncate(1.5)), await outcome(() => handle.chmod('z')));
    await handle.close();
    return seen;
  },
  append: async (fs, at) => {
    const handle = await fs.promises.open(at('file'), 'a+');
    const seen = [];
    seen.push(await handle.read(Buffer.alloc(3)));
    await handle.write('END', 0);
    seen.push(await handle.read(Buffer.alloc(3)));
    await handle.write('more');
    seen.push(await handle.read(Buffer.alloc(3)));
    await handle.writeFile('whole');
    await handle.appendFile('last');
    await handle.close();
    return [seen, await fs.promises.readFile(at('file'), 'utf8')];
  },
  'whole files by handle': async (fs, at) => {
    const handle = await fs.promises.open(at('file'), 'r+');
    const seen = [];
    await handle.read(Buffer.alloc(6));
    seen.push(await handle.readFile('utf8'));
    seen.push(await handle.readFile('utf8'));
    await handle.writeFile('tail');
    await handle.truncate(13);
    await handle.writeFile(['a', 'b']);
    seen.push(await fs.promises.readFile(handle, 'utf8'));
    await fs.promises.writeFile(handle, 'X');
    await fs.promises.appendFile(handle, 'Y');
    await handle.truncate();
    await handle.write('after', 3);
    await handle.close();
    return [seen, await fs.promises.readFile(at('file'), 'utf8')];
  },
  'attributes by handle': async (fs, at) => {
    const handle = await fs.promises.open(at('file'), 'r+');
    await handle.chmod(0o604);
    await handle.chown(0, 0);
    await handle.utimes(1, 2);
    await handle.sync();
    await handle.datasync();
    const stats = await handle.stat();
    const big = await handle.stat({ bigint: true });
    await handle.close();
    return [stats, stats.mtimeMs, stats.mtime, big.mtimeNs];
  },
  closed: async (fs, at) => {
    const handle = await fs.promises.open(at('file'), 'r+');
    await handle.close();
    const seen: unknown[] = [handle.fd, await handle.close()];
    const calls = [
      'read',
      'readv',
      'readFile',
      'write',
      'writev',
      'writeFile',
      'appendFile',
      'stat',
      'truncate',
      'utimes',
      'chmod',
      'chown',
      'sync',
      'datasync',
    ];
    for (const call of calls) seen.push(await outcome(() => handle[call]()));
    return seen;
  },
  'unlinked and renamed while open': async (fs, at) => {
    const handle = await fs.promises.open(at('dir/inner'), 'r+');
    await fs.promises.rename(at('dir/inner'), at('moved'));
    await handle.write('1');
    await fs.promises.unlink(at('moved'));
    await handle.write('2');
    const stats = await handle.stat();
    const { bytesRead, buffer } = await handle.read(Buffer.alloc(10), 0, 10, 0);
    await handle.close();
    return [stats, bytesRead, buffer];
  },
  'directory by handle': async (fs, at) => {
    const handle = await fs.promises.open(at('dir'));
    const seen = [await handle.stat(), await outcome(() => handle.read(Buffer.alloc(1)))];
    seen.push(await outcome(() => handle.readFile()), await outcome(() => handle.truncate()));
    await handle.close();
    return seen;
  },
  'by number': (fs, at) => {
    const fd = fs.openSync(at('x'), 'w+');
    fs.writeSync(fd, 'hello');
    fs.writeSync(fd, Buffer.from('__'), 0, 1, 1);
    const buffer = Buffer.alloc(8);
    const count = fs.readSync(fd, buffer, 2, 4, 0);
    const end = fs.readSync(fd, buffer);
    fs.writeFileSync(fd, '+tail');
    fs.appendFileSync(fd, '+more');
    fs.ftruncateSync(fd, 12);
    fs.fsyncSync(fd);
    const { size } = fs.fstatSync(fd);
    const rest = fs.readFileSync(fd, 'utf8');
    fs.closeSync(fd);
    return [count, end, buffer, size, rest, fs.readFileSync(at('x'), 'latin1')];
  },
};

export const STORIES: Readonly<Record<string, Story>> = { ...MORE, ...HANDLES };
