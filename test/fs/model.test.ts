// Checks the oracle's own tools: clones, the comparison of trees, the random workloads. It matters
// because a comparison that overlooks something, or a workload that hits nothing, makes every crash
// test that stands on it worthless.

import * as assert from 'node:assert/strict';
import { suite } from 'uvu';
import { SeededPrng } from '../../host/base/prng.ts';
import type { Task } from '../../host/base/task.ts';
import type { OpenOptions } from '../../host/filesystem/operations.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';
import { compare } from '../oracle/tree.ts';
import { makeWorkload, Session } from '../oracle/workload.ts';

const WRITE: OpenOptions = { read: false, write: true, create: true };
const CLOCK = () => ({ seconds: 5, nanoseconds: 0 });

function done<T>(task: Task<T>): T {
  return task.driveSync();
}

function makeTree(): ModelFileSystem {
  const model = new ModelFileSystem({ now: CLOCK });
  done(model.mkdir('/d', 0o755));
  done(model.writeFile('/d/f', new Uint8Array(10_000).fill(7), WRITE));
  done(model.link('/d/f', '/g'));
  done(model.link('/d/f', '/h'));
  done(model.writeFile('/i', new Uint8Array(10_000).fill(7), WRITE));
  done(model.symlink('d/f', '/s'));
  done(model.setXattr({ path: '/g' }, 'user.a', new Uint8Array([1, 2])));
  return model;
}

const trees = suite('model: clone and compare');

trees('a clone is equal and independent', () => {
  const model = makeTree();
  const before = model.dump();
  const copy = model.clone();
  assert.equal(copy.dump(), before);
  const file = done(copy.open('/g', { read: true, write: true }));
  done(copy.write(file, new Uint8Array(9), 4090));
  done(copy.truncate({ path: '/i' }, 1));
  done(copy.unlink('/s'));
  done(copy.mkdir('/d/new', 0o700));
  done(copy.removeXattr({ path: '/g' }, 'user.a'));
  assert.equal(model.dump(), before);
  assert.notEqual(copy.digest(), model.digest());
});

trees('a clone has no unlinked files', () => {
  const model = makeTree();
  const file = done(model.open('/i', { read: true, write: false }));
  done(model.unlink('/i'));
  assert.equal(done(model.read(file, new Uint8Array(3), 0)), 3);
  const { filesFree } = done(model.clone().statfs());
  done(model.close(file));
  assert.equal(done(model.statfs()).filesFree, filesFree);
});

const CHANGES: Record<string, (model: ModelFileSystem) => Task<unknown>> = {
  'one byte': (model) => {
    const file = done(model.open('/i', { read: false, write: true }));
    return model.write(file, new Uint8Array([8]), 5000);
  },
  'one byte of zeros at the end': (model) => model.truncate({ path: '/i' }, 10_001),
  mode: (model) => model.change({ path: '/d' }, { mode: 0o754 }),
  uid: (model) => model.change({ path: '/i' }, { uid: 1 }),
  gid: (model) => model.change({ path: '/s', followLast: false }, { gid: 1 }),
  atime: (model) => model.change({ path: '/i' }, { atime: { seconds: 5, nanoseconds: 1 } }),
  mtime: (model) => model.change({ path: '/i' }, { mtime: { seconds: -5, nanoseconds: 0 } }),
  'a new file': (model) => model.writeFile('/d/new', new Uint8Array(0), WRITE),
  'a lost file': (model) => model.unlink('/d/f'),
  'a new directory': (model) => model.mkdir('/d/new', 0o755),
  'a link elsewhere': (model) => {
    done(model.unlink('/s'));
    return model.symlink('d/g', '/s');
  },
  'an xattr more': (model) => model.setXattr({ path: '/d' }, 'user.b', new Uint8Array()),
  'an xattr changed': (model) => model.setXattr({ path: '/g' }, 'user.a', new Uint8Array([1])),
  'an xattr lost': (model) => model.removeXattr({ path: '/h' }, 'user.a'),
  'a hard link to another inode with the same content': (model) => {
    done(model.unlink('/h'));
    return model.link('/i', '/h');
  },
  'a file for a directory': (model) => {
    done(model.unlink('/d/f'));
    done(model.rmdir('/d'));
    return model.writeFile('/d', new Uint8Array(0), WRITE);
  },
};

for (const [name, change] of Object.entries(CHANGES)) {
  trees(`the comparison sees ${name}`, () => {
    const [model, changed] = [makeTree(), makeTree()];
    assert.equal(done(compare(changed, model)), undefined);
    done(change(changed));
    assert.notEqual(done(compare(changed, model)), undefined);
    assert.notEqual(done(compare(model, changed)), undefined);
    assert.notEqual(changed.digest(), model.digest());
  });
}

trees('the comparison sees which names belong to one inode', () => {
  const [model, changed] = [makeTree(), makeTree()];
  for (const [fs, first, second] of [
    [model, '/b', '/c'],
    [changed, '/c', '/b'],
  ] as const) {
    done(fs.writeFile('/a', new Uint8Array(1), WRITE));
    done(fs.writeFile('/z', new Uint8Array(1), WRITE));
    done(fs.link('/a', first));
    done(fs.link('/z', second));
  }
  assert.match(done(compare(changed, model)) ?? '', /group|content/);
});

trees('the comparison sees far into a sparse file', () => {
  const [model, changed] = [makeTree(), makeTree()];
  for (const [fs, byte] of [
    [model, 1],
    [changed, 2],
  ] as const) {
    const file = done(fs.open('/big', { ...WRITE, read: true }));
    done(fs.write(file, new Uint8Array([byte]), 2 ** 40));
    done(fs.write(file, new Uint8Array([1]), 2 ** 41));
    const around = new Uint8Array(3);
    assert.equal(done(fs.read(file, around, 2 ** 40 - 1)), 3);
    assert.deepEqual([...around], [0, byte, 0]);
  }
  assert.match(done(compare(changed, model)) ?? '', /big: content/);
});
trees.run();

const workloads = suite('model: workloads');

workloads('are the same from the same seed', () => {
  const requests = (seed: number) => {
    const next = makeWorkload(new SeededPrng(seed), { sparse: true });
    return JSON.stringify(Array.from({ length: 300 }, next));
  };
  assert.equal(requests(1), requests(1));
  assert.notEqual(requests(1), requests(2));
});

workloads('hit: each operation succeeds and fails, and trees grow', () => {
  const seen = new Map<string, number>();
  let entries = 0;
  for (let seed = 1; seed <= 40; seed++) {
    const model = new ModelFileSystem();
    const session = new Session(model);
    const next = makeWorkload(new SeededPrng(seed), { sparse: seed % 2 === 0 });
    for (let count = 0; count < 250; count++) {
      const request = next();
      const outcome = done(session.apply(request));
      const key = `${request.op} ${'error' in outcome ? 'fails' : 'works'}`;
      seen.set(key, (seen.get(key) ?? 0) + 1);
    }
    entries += model.dump().split('\n').length;
    assert.equal(done(compare(model.clone(), model)), undefined);
  }
  const both = [
    'open',
    'read',
    'write',
    'writeFile',
    'readFile',
    'truncate',
    'change',
    'attributes',
    'mkdir',
    'symlink',
    'readlink',
    'link',
    'unlink',
    'rmdir',
    'rename',
    'readdir',
    'listXattrs',
    'getXattr',
    'setXattr',
    'removeXattr',
  ];
  for (const op of both) {
    assert.ok((seen.get(`${op} works`) ?? 0) >= 5, `${op} works`);
    assert.ok((seen.get(`${op} fails`) ?? 0) >= 5, `${op} fails`);
  }
  assert.ok(entries > 400, `${entries} entries`);
});
workloads.run();
