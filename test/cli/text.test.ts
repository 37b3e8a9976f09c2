// Sizes, times, names and addresses as they are read and written. A size misread by a factor, or an
// address split in the wrong place, makes or removes the wrong thing.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { isStorageError } from '../../host/base/errors.ts';
import { lastName, parseAddress } from '../../host/cli/address.ts';
import {
  formatCount,
  formatCounted,
  formatMode,
  formatSize,
  isoTime,
  parseSize,
} from '../../host/cli/text.ts';
import { instantOf } from '../../host/cli/transfer/fs-side.ts';
import { isPlainName, printableName } from '../../host/cli/transfer/names.ts';
import { floorMicroseconds, utimesText } from '../../host/cli/transfer/side.ts';

function refuses(act: () => unknown, what: string): void {
  try {
    act();
  } catch (error) {
    assert.ok(isStorageError(error, 'INVALID_ARGUMENT'), what);
    return;
  }
  assert.unreachable(`${what} was accepted`);
}

const sizes = suite('sizes');

sizes('are exact', () => {
  const table: [string, number][] = [
    ['0', 0],
    ['4096', 4096],
    ['10GiB', 10_737_418_240],
    ['10 GiB', 10_737_418_240],
    ['1.5TiB', 1_649_267_441_664],
    ['0.1GB', 100_000_000],
    ['1kB', 1000],
    ['7PiB', 7_881_299_347_898_368],
    ['9007199254740991', 9_007_199_254_740_991],
  ];
  for (const [text, bytes] of table) assert.is(parseSize(text), bytes, text);
});

sizes('that are no sizes are refused', () => {
  const bad = ['', '-1', '1e9', '10G', '10gib', '0.3B', '0.1KiB', '8PiB', '9007199254740992', 'x'];
  for (const text of [...bad, '1.', '.5MiB', '1 2', '9'.repeat(40), '1constructor']) {
    refuses(() => parseSize(text), text);
  }
});

sizes('for people', () => {
  const table: [number, string][] = [
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [150 * 1024 * 1024, '150 MiB'],
    [1024 ** 3 - 1, '1.0 GiB'],
    [3 * 1024 ** 5, '3.0 PiB'],
  ];
  for (const [bytes, text] of table) assert.is(formatSize(bytes), text);
  assert.is(formatCount(1_234_567), '1,234,567');
  assert.is(formatCount(999), '999');
  assert.is(formatCounted(2, 'directory'), '2 directories');
  assert.is(formatCounted(1, 'directory'), '1 directory');
  assert.is(formatMode('directory', 0o1777), 'drwxrwxrwt');
  assert.is(formatMode('file', 0o4644), '-rwSr--r--');
});

const times = suite('times');

times('have nanoseconds, before 1970 too', () => {
  assert.is(isoTime(0n), '1970-01-01T00:00:00.000000000Z');
  assert.is(isoTime(1n), '1970-01-01T00:00:00.000000001Z');
  assert.is(isoTime(-1n), '1969-12-31T23:59:59.999999999Z');
  assert.is(isoTime(1_700_000_000_123_456_789n), '2023-11-14T22:13:20.123456789Z');
  assert.is(isoTime(9_223_372_036_854_775_807n * 1_000_000_000n), `@9223372036854775807.000000000`);
  assert.equal(instantOf(-1n), { seconds: -1, nanoseconds: 999_999_999 });
  assert.equal(instantOf(1_500_000_000n), { seconds: 1, nanoseconds: 500_000_000 });
  assert.is(floorMicroseconds(-1n), -1n);
  assert.is(floorMicroseconds(1999n), 1n);
  assert.is(utimesText(-1_500_000_000n), '-1.5000005');
  assert.is(utimesText(1_999n), '0.0000015');
});

const addresses = suite('addresses');

addresses('split at the first ":/" and the last "@" before it', () => {
  const table: [string, string, string | undefined, string][] = [
    ['tank:/a/b', 'tank', undefined, '/a/b'],
    ['tank@monday:/a', 'tank', 'monday', '/a'],
    ['tank@a@b:/x', 'tank@a', 'b', '/x'],
    ['/srv/tank:/', '/srv/tank', undefined, '/'],
    ['C:/tank:/x', 'C:/tank', undefined, '/x'],
    ['./user@host/tank:/x', './user@host/tank', undefined, '/x'],
    ['./user@host/tank@s:/x', './user@host/tank', 's', '/x'],
    ['tank:/a:/b', 'tank', undefined, '/a:/b'],
    ['tank:/a@b', 'tank', undefined, '/a@b'],
    ['ab:/x', 'ab', undefined, '/x'],
  ];
  for (const [text, volume, name, path] of table) {
    assert.equal(parseAddress(text), { volume, name, path }, text);
  }
});

addresses('that are none are refused', () => {
  const bad = ['', 'tank', 'tank:', 'tank:a', 'C:/x', '@s:/x', 'tank@:/x', 'tank@-x:/', 'v:/a\0b'];
  for (const text of [...bad, `tank@${'n'.repeat(256)}:/`]) {
    refuses(() => parseAddress(text), JSON.stringify(text));
  }
});

addresses('last names', () => {
  const table: [string, string | undefined][] = [
    ['/a/b', 'b'],
    ['a', 'a'],
    ['/a/b/', 'b'],
    ['/', undefined],
    ['.', undefined],
    ['a/..', undefined],
    ['a/.', undefined],
    ['', undefined],
  ];
  for (const [path, name] of table) assert.is(lastName(path), name, path);
});

const names = suite('names');

names('plain and printable', () => {
  for (const name of ['a', '...', '..a', ' ', '\n', '\\', '-']) assert.ok(isPlainName(name), name);
  for (const name of ['', '.', '..', '/', 'a/b', '/a', 'a\0']) assert.not(isPlainName(name), name);
  assert.is(printableName('a\u001b[2J\n\u202eé😀'), 'a\\u{1b}[2J\\u{a}\\u{202e}é😀');
});

for (const one of [sizes, times, addresses, names]) one.run();
