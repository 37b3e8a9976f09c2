// A whole file of up to 1 MiB is one message, also where its data goes past the log by reference:
// after a crash at any moment it is as it was, or as it was to be. A program that replaces its
// settings with writeFile relies on it.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { runSync } from '../../host/base/task.ts';
import { verify } from '../../host/filesystem/verify/verify.ts';
import { World } from './small-world.ts';

const SIZES = [300_000, 512 * 1024, 1024 * 1024];
const NEW = { read: false, write: true, create: true, truncate: true };

function bytes(size: number, salt: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, at) => (at * 31 + (at >> 9) + salt) & 255);
}

const test = suite('whole files by reference');

for (const size of SIZES) {
  test(`${size} bytes, new, over another and over a short one: one message each`, () => {
    const world = new World({ hasLog: true, stripes: 4096, columns: 4 });
    const { operations } = world;
    let messages = world.fs.driver.messageCount;
    const write = (path: string, data: Uint8Array, options = NEW) => {
      operations.writeFile(path, data, options).driveSync();
      assert.is(world.fs.driver.messageCount, ++messages);
    };
    write('/short', bytes(10, 1));
    for (const [path, salt] of [
      ['/new', 2],
      ['/new', 3],
      ['/short', 4],
    ] as const) {
      write(path, bytes(size, salt));
      assert.equal(operations.readFile({ path }).driveSync(), bytes(size, salt));
      messages = world.fs.driver.messageCount;
    }
    // Not cut: the end stays.
    write('/new', bytes(size - 5000, 5), {
      read: false,
      write: true,
      create: true,
      truncate: false,
    });
    const mixed = bytes(size, 3);
    mixed.set(bytes(size - 5000, 5));
    world.crash();
    assert.equal(world.operations.readFile({ path: '/new' }).driveSync(), mixed);
    assert.equal(world.operations.readFile({ path: '/short' }).driveSync(), bytes(size, 4));
    world.cp();
    const { problems } = runSync(verify(world.fs, {}));
    assert.equal(problems, []);
  });
}

test('attributes are of the same message, whatever the size', () => {
  const world = new World({ hasLog: true, stripes: 4096, columns: 4 });
  const mtime = { seconds: -7, nanoseconds: 8 };
  const attributes = { mode: 0o1751, uid: 5, mtime };
  for (const size of [0, 100, 100_000, 300_000, 1024 * 1024, 3_000_000]) {
    const path = `/${size}`;
    const before = world.fs.driver.messageCount;
    world.operations.writeFile(path, bytes(size, 6), { ...NEW, attributes }).driveSync();
    const messages = world.fs.driver.messageCount - before;
    if (size <= 1024 * 1024) assert.is(messages, 1);
    world.crash();
    const found = world.operations.attributes({ path }).driveSync();
    assert.equal([found.mode & 0o7777, found.uid, found.mtime], [0o1751, 5, mtime]);
    assert.is(found.sizeBytes, size);
  }
});

test('what cannot be written changes nothing', () => {
  const world = new World({ hasLog: true, stripes: 4096, columns: 4 });
  const { operations } = world;
  operations.mkdir('/dir', 0o755).driveSync();
  operations.writeFile('/there', bytes(9, 1), NEW).driveSync();
  const data = bytes(300_000, 2);
  const exclusive = { ...NEW, exclusive: true };
  const codeOf = (path: string, options: typeof NEW) => {
    try {
      operations.writeFile(path, data, options).driveSync();
      return 'none';
    } catch (error) {
      return (error as { code: string }).code;
    }
  };
  assert.is(codeOf('/dir', NEW), 'EISDIR');
  assert.is(codeOf('/no/file', NEW), 'ENOENT');
  assert.is(codeOf('/there', exclusive), 'EEXIST');
  assert.is(operations.readFile({ path: '/there' }).driveSync().length, 9);
});

test.run();
