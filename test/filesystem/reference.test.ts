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
