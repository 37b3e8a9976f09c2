// Trees of everything awkward go from the host into a volume and out again, and must be equal;
// names and links that lead out of the target must be refused. Import and export are what users
// trust with their data, and what an attacker who made the volume aims at.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { compareTrees } from '../../host/cli/transfer/compare.ts';
import { copyTrees } from '../../host/cli/transfer/copy.ts';
import { fsSide } from '../../host/cli/transfer/fs-side.ts';
import { dataRuns, HOLE_BLOCK_SIZE } from '../../host/cli/transfer/holes.ts';
import { hostSide } from '../../host/cli/transfer/host-side.ts';
import type { Side } from '../../host/cli/transfer/side.ts';
import { childPath } from '../../host/cli/transfer/side.ts';
import { fakeTree } from './fake-volume.ts';
import { makeNastyTree, removeTree } from './nasty-tree.ts';

const isRoot = process.getuid?.() === 0;

function withDirectory(run: (directory: string) => Promise<void> | void) {
  return async () => {
    const directory = fs.mkdtempSync(join(tmpdir(), 'waferfs-transfer-'));
    try {
      await run(directory);
    } finally {
      removeTree(directory);
    }
  };
}

function make(directory: string, ...names: string[]): string {
  const path = join(directory, ...names);
  fs.mkdirSync(path, { recursive: true });
  return path;
}

const roundTrip = suite('round trip');

for (const native of [true, false]) {
  for (const procFs of [true, false]) {
    const title = `${native ? 'own' : 'plain'} fs, ${procFs ? 'with' : 'without'} /proc`;
    roundTrip(
      `nasty tree: ${title}`,
      withDirectory(async (directory) => {
        const original = make(directory, 'original');
        const made = makeNastyTree(original, 200);
        const inside = fsSide(fakeTree(make(directory, 'volume'), native, () => {}));
        const host = hostSide({ procFs });
        const options = { owners: isRoot };
        const put = await copyTrees(host, [{ path: original, as: 't' }], inside, '/', options);
        assert.equal(put.problems, []);
        assert.is(put.files, made.files);
        assert.is(put.directories, made.directories + 1);
        assert.is(put.symlinks, made.symlinks);
        assert.is(put.hardLinks, made.hardLinks);
        assert.ok(put.holeBytes > 14_000_000, `${put.holeBytes} bytes of holes`);
        const out = make(directory, 'out');
        const got = await copyTrees(inside, [{ path: '/t', as: 't' }], host, out, options);
        assert.equal(got.problems, []);
        assert.equal({ ...got }, { ...put });
        const compared = await compareTrees(
          { side: host, path: original },
          { side: host, path: join(out, 't') },
          options,
        );
        assert.equal(compared.differences, []);
        assert.is(compared.files, made.files + made.hardLinks);
        // Sparse where it was: 12 MB of size, some blocks of data.
        const sparse = fs.statSync(join(out, 't/sizes/sparse'));
        assert.is(sparse.size, 12_345_678);
        assert.ok(sparse.blocks * 512 < 100_000);
      }),
    );
  }
}

roundTrip(
  'a second copy over the first changes what differs, and nothing outside',
  withDirectory(async (directory) => {
    const host = hostSide();
    const original = make(directory, 'original');
    makeNastyTree(original, 100);
    const out = make(directory, 'out');
    const item = { path: original, as: 't' };
    await copyTrees(host, [item], host, out, { owners: isRoot });
    // A name in the way that leads out of the target: replaced, not written through.
    const outside = join(directory, 'outside');
    fs.writeFileSync(outside, 'untouched');
    fs.rmSync(join(out, 't/sizes/4096'));
    fs.linkSync(outside, join(out, 't/sizes/4096'));
    fs.rmSync(join(out, 't/sizes/4097'));
    fs.symlinkSync(outside, join(out, 't/sizes/4097'));
    const again = await copyTrees(host, [item], host, out, { owners: isRoot });
    assert.equal(again.problems, []);
    assert.is(fs.readFileSync(outside, 'utf8'), 'untouched');
    const trees = [original, join(out, 't')].map((path) => ({ side: host, path }));
    const compared = await compareTrees(trees[0]!, trees[1]!, { owners: isRoot });
    assert.equal(compared.differences, []);
  }),
);

roundTrip(
  'contents alone, and several sources with one file between them',
  withDirectory(async (directory) => {
    const host = hostSide();
    const a = make(directory, 'a');
    const b = make(directory, 'b');
    fs.writeFileSync(join(a, 'x'), 'shared');
    fs.linkSync(join(a, 'x'), join(b, 'y'));
    const out = make(directory, 'out');
    fs.chmodSync(out, 0o750);
    const result = await copyTrees(host, [{ path: a }, { path: b, as: 'b' }], host, out);
    assert.is(result.hardLinks, 1);
    assert.is(fs.statSync(join(out, 'x')).ino, fs.statSync(join(out, 'b/y')).ino);
    assert.is(fs.statSync(out).mode & 0o777, 0o750, 'the target itself stays as it was');
  }),
);

roundTrip(
  'special files are counted, names that are not UTF-8 are reported, the rest is carried',
  withDirectory(async (directory) => {
    const host = hostSide();
    const original = make(directory, 'original');
    fs.writeFileSync(join(original, 'plain'), 'x');
    fs.writeFileSync(Buffer.concat([Buffer.from(`${original}/`), Buffer.from([0xff, 0x41])]), 'x');
    const server = net.createServer().listen(join(original, 'socket'));
    await new Promise((resolve) => server.once('listening', resolve));
    const out = make(directory, 'out');
    const result = await copyTrees(host, [{ path: original }], host, out);
    server.close();
    assert.is(result.files, 1);
    assert.is(result.skipped, 1);
    assert.is(result.failed, 1);
    assert.equal(result.problems.map((problem) => problem.code).sort(), ['EILSEQ', 'SPECIAL_FILE']);
    assert.equal(fs.readdirSync(out), ['plain']);
  }),
);

roundTrip(
  'a dry run counts the same and changes nothing',
  withDirectory(async (directory) => {
    const host = hostSide();
    const original = make(directory, 'original');
    makeNastyTree(original, 80);
    const out = make(directory, 'out');
    const items = [{ path: original, as: 't' }];
    const dry = await copyTrees(host, items, host, out, { dryRun: true });
    assert.equal(fs.readdirSync(out), []);
    const real = await copyTrees(host, items, host, out);
    assert.equal({ ...dry, holeBytes: 0 }, { ...real, holeBytes: 0 });
  }),
);

roundTrip(
  'deeper than a path may be long, on the host',
  withDirectory(async (directory) => {
    const host = hostSide();
    const original = make(directory, 'original');
    // 40 x 200 characters: twice PATH_MAX.
    let place = await host.enterRoot(original);
    for (let depth = 0; depth < 40; depth++) {
      const path = childPath(place, 'n'.repeat(200));
      await host.mkdir(path);
      const below = await host.enter(path);
      place.leave();
      place = below;
    }
    place.leave();
    const out = make(directory, 'out');
    try {
      const result = await copyTrees(host, [{ path: original, as: 't' }], host, out);
      assert.equal(result.problems, []);
      assert.is(result.directories, 41);
      const trees = [original, join(out, 't')].map((path) => ({ side: host, path }));
      assert.is((await compareTrees(trees[0]!, trees[1]!)).differenceCount, 0);
    } finally {
      execFileSync('rm', ['-rf', original, out]);
    }
  }),
);

const refused = suite('refused');

/** A volume that names entries as it likes. */
function hostile(inner: Side, rename: (name: string) => string): Side {
  return new Proxy(inner, {
    get(target, key) {
      if (key === 'list') {
        return async (place: { path: string; leave(): void }) =>
          (await target.list(place)).map((entry) => ({ ...entry, name: rename(entry.name) }));
      }
      const value = Reflect.get(target, key) as unknown;
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

for (const name of ['..', '.', '', '../escaped', '/tmp/waferfs-escaped', 'a/b', 'a\0b']) {
  refused(
    `the name ${JSON.stringify(name)}`,
    withDirectory(async (directory) => {
      const original = make(directory, 'volume');
      fs.writeFileSync(join(original, 'evil'), 'evil');
      fs.writeFileSync(join(original, 'good'), 'good');
      const side = fsSide(fakeTree(original, true, () => {}));
      const out = make(directory, 'deep', 'out');
      const source = hostile(side, (given) => (given === 'evil' ? name : given));
      const result = await copyTrees(source, [{ path: '/' }], hostSide(), out);
      assert.is(result.failed, 1);
      assert.is(result.problems[0]?.code, 'EBADNAME');
      assert.equal(fs.readdirSync(out), ['good']);
      assert.equal(fs.readdirSync(join(directory, 'deep')), ['out']);
      assert.not(fs.existsSync('/tmp/waferfs-escaped'));
    }),
  );
}

refused(
  'a symbolic link in the place of a directory',
  withDirectory(async (directory) => {
    const original = make(directory, 'original');
    make(original, 'sub');
    fs.writeFileSync(join(original, 'sub/file'), 'x');
    const outside = make(directory, 'outside');
    const out = make(directory, 'out');
    fs.symlinkSync(outside, join(out, 'sub'));
    const result = await copyTrees(hostSide(), [{ path: original }], hostSide(), out);
    assert.is(result.problems[0]?.code, 'ENOTDIR');
    assert.equal(fs.readdirSync(outside), []);
  }),
);

for (const procFs of [true, false]) {
  refused(
    `a directory swapped for a symbolic link under way, ${procFs ? 'with' : 'without'} /proc`,
    withDirectory(async (directory) => {
      const original = make(directory, 'original');
      make(original, 'sub');
      fs.writeFileSync(join(original, 'sub/file'), 'x');
      const outside = make(directory, 'outside');
      const out = make(directory, 'out');
      // Swaps once the directory has been made and entered, before its file is written.
      const swapping = hostile(hostSide(), (name) => {
        if (name === 'file') {
          fs.renameSync(join(out, 'sub'), join(out, 'moved'));
          fs.symlinkSync(outside, join(out, 'sub'));
        }
        return name;
      });
      const target = hostSide({ procFs });
      const result = await copyTrees(swapping, [{ path: original }], target, out);
      assert.equal(fs.readdirSync(outside), []);
      if (procFs) assert.equal(fs.readdirSync(join(out, 'moved')), ['file']);
      else assert.is(result.problems[0]?.code, 'ELOOP');
    }),
  );
}

refused(
  'a hard link whose first name was led outside',
  withDirectory(async (directory) => {
    const original = make(directory, 'original');
    make(original, 'a');
    fs.writeFileSync(join(original, 'a/first'), 'x');
    make(original, 'b');
    fs.linkSync(join(original, 'a/first'), join(original, 'b/second'));
    const outside = make(directory, 'outside');
    fs.writeFileSync(join(outside, 'first'), 'secret');
    fs.writeFileSync(join(outside, 'second'), 'secret');
    const out = make(directory, 'out');
    const host = hostSide();
    const target = new Proxy(host, {
      get(side, key) {
        if (key !== 'link') return (Reflect.get(side, key) as () => void).bind(side);
        return (...args: Parameters<Side['link']>) => {
          const led = args[1][0] as string;
          fs.renameSync(join(out, led), join(out, 'moved'));
          fs.symlinkSync(outside, join(out, led));
          return side.link(...args);
        };
      },
    });
    const result = await copyTrees(host, [{ path: original }], target, out);
    assert.is(result.failed, 1);
    assert.ok(['ELOOP', 'ENOTDIR'].includes(result.problems[0]?.code as string));
  }),
);

const failures = suite('failures');

failures(
  'no space ends the transfer, leaves no half file and no open directory',
  withDirectory(async (directory) => {
    const original = make(directory, 'original');
    makeNastyTree(original, 100);
    let left = 150;
    const volume = make(directory, 'volume');
    const tree = fakeTree(volume, true, () => {
      if (left-- <= 0) throw Object.assign(new Error('ENOSPC: no space'), { code: 'ENOSPC' });
    });
    const before = fs.readdirSync('/proc/self/fd').length;
    const copying = copyTrees(hostSide(), [{ path: original, as: 't' }], fsSide(tree), '/');
    const error = await copying.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.is((error as { code: string }).code, 'ENOSPC');
    assert.is(fs.readdirSync('/proc/self/fd').length, before);
  }),
);

failures(
  'an aborted transfer stops with the reason',
  withDirectory(async (directory) => {
    const original = make(directory, 'original');
    makeNastyTree(original, 100);
    const out = make(directory, 'out');
    const controller = new AbortController();
    const copying = copyTrees(hostSide(), [{ path: original }], hostSide(), out, {
      signal: controller.signal,
      onProgress: ({ files }) => {
        if (files >= 20) controller.abort(new Error('enough'));
      },
    });
    const error = await copying.then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.is((error as Error).message, 'enough');
  }),
);

failures(
  'a file that cannot be read is one failure; what was begun of it is removed',
  withDirectory(async (directory) => {
    const original = make(directory, 'original');
    fs.writeFileSync(join(original, 'bad'), Buffer.alloc(3_000_000, 1));
    fs.writeFileSync(join(original, 'good'), 'good');
    const side = hostSide();
    const source = new Proxy(side, {
      get(target, key) {
        if (key !== 'openSource') return (Reflect.get(target, key) as () => void).bind(target);
        return (path: string) => {
          const file = target.openSource(path) as Awaited<ReturnType<Side['openSource']>>;
          return {
            attributes: file.attributes,
            read: (view: Uint8Array, position: number) => {
              if (position > 1_500_000) throw Object.assign(new Error('EIO'), { code: 'EIO' });
              return file.read(view, position);
            },
            close: () => file.close(),
          };
        };
      },
    });
    const out = make(directory, 'out');
    const result = await copyTrees(source, [{ path: original }], side, out);
    assert.is(result.failed, 1);
    assert.is(result.files, 1);
    assert.equal(fs.readdirSync(out), ['good']);
  }),
);

const compare = suite('compareTrees');

const CHANGES: [string, string, (tree: string) => void][] = [
  ['missing', 'names/-rf', (tree) => fs.rmSync(join(tree, 'names/-rf'))],
  ['extra', 'empty/new', (tree) => fs.writeFileSync(join(tree, 'empty/new'), '')],
  ['mode', 'sizes/128', (tree) => fs.chmodSync(join(tree, 'sizes/128'), 0o640)],
  ['size', 'sizes/128', (tree) => fs.truncateSync(join(tree, 'sizes/128'), 127)],
  ['time', 'sizes/128', (tree) => fs.utimesSync(join(tree, 'sizes/128'), 5, 5)],
  [
    'kind',
    'empty',
    (tree) => {
      fs.rmdirSync(join(tree, 'empty'));
      fs.writeFileSync(join(tree, 'empty'), '');
    },
  ],
  [
    'target',
    'links/dangling',
    (tree) => {
      fs.rmSync(join(tree, 'links/dangling'));
      fs.symlinkSync('elsewhere', join(tree, 'links/dangling'));
    },
  ],
  [
    'links',
    'links/second',
    (tree) => {
      const path = join(tree, 'links/second');
      const stats = fs.statSync(path);
      const content = fs.readFileSync(path);
      fs.rmSync(path);
      fs.writeFileSync(path, content);
      fs.chmodSync(path, stats.mode);
      fs.utimesSync(path, stats.atime, stats.mtime);
    },
  ],
  [
    'content',
    'sizes/3333333',
    (tree) => {
      const fd = fs.openSync(join(tree, 'sizes/3333333'), 'r+');
      const last = Buffer.alloc(1);
      fs.readSync(fd, last, 0, 1, 3_333_332);
      last[0] = (last[0] as number) ^ 1;
      fs.writeSync(fd, last, 0, 1, 3_333_332);
      fs.closeSync(fd);
    },
  ],
];

for (const [what, path, change] of CHANGES) {
  compare(
    `sees a difference of ${what}`,
    withDirectory(async (directory) => {
      const host = hostSide();
      const original = make(directory, 'original');
      makeNastyTree(original, 80);
      await copyTrees(host, [{ path: original, as: 'copy' }], host, directory);
      const copy = join(directory, 'copy');
      change(copy);
      const trees = [original, copy].map((at) => ({ side: host, path: at }));
      const { differences } = await compareTrees(trees[0]!, trees[1]!);
      const found = differences.filter((one) => one.what === what).map((one) => one.path);
      assert.ok(found.includes(path), JSON.stringify(differences));
    }),
  );
}

const holes = suite('holes');

holes('runs are what a block-by-block look finds', () => {
  let state = 12_345;
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 8) % below;
  };
  for (let round = 0; round < 200; round++) {
    const view = Buffer.alloc(random(6 * HOLE_BLOCK_SIZE));
    for (let count = random(6); count > 0 && view.length > 0; count--) {
      view[random(view.length)] = 1;
    }
    const isData = Array.from({ length: view.length }, () => false);
    for (const run of dataRuns(view)) isData.fill(true, run.start, run.end);
    for (let at = 0; at < view.length; at += HOLE_BLOCK_SIZE) {
      const block = view.subarray(at, at + HOLE_BLOCK_SIZE);
      const expected = block.length < HOLE_BLOCK_SIZE || block.some((byte) => byte !== 0);
      assert.ok(isData.slice(at, at + block.length).every((one) => one === expected));
    }
  }
});

holes('paths of children', () => {
  assert.is(childPath({ path: '/', leave() {} }, 'a'), '/a');
  assert.is(childPath({ path: '/a', leave() {} }, 'b'), '/a/b');
});

for (const one of [roundTrip, refused, failures, compare, holes]) one.run();
