// Text from outside: addresses, sizes, names, paths, lock files.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatAddress, lastName, NAME_PATTERN, parseAddress } from '../../../host/cli/address.ts';
import { parseCount, parseSize } from '../../../host/cli/text.ts';
import { isPlainName, printableName } from '../../../host/cli/transfer/names.ts';
import { readLock } from '../../../host/node/lock.ts';
import { parseSize as parseOptionSize } from '../../../host/volume/options.ts';
import { ensure, refused, type Target, utf8 } from '../target.ts';

const decoder = new TextDecoder();

/** Text of bytes; what is no UTF-8 becomes halves of surrogate pairs, as JavaScript has them. */
export function textOf(input: Uint8Array): string {
  return decoder.decode(input.slice()).replaceAll('\ufffd', '\ud800');
}

const address: Target = {
  name: 'address',
  sources: ['cli/address.js'],
  samples: () =>
    ['tank:/a/b', 'tank@monday:/', 'C:/tank.wafer:/x', './a@b/c:/d', '@x:/', 'tank', ''].map(utf8),
  tokens: [':/', '@', '/', '\\', '\0', '..', '.', 'ü', 'a'.repeat(300)].map(utf8),
  lengthMax: 1024,
  decode(input) {
    const text = textOf(input);
    lastName(text);
    const parsed = parseAddress(text);
    ensure(parsed.path.startsWith('/') && !parsed.path.includes('\0'), 'a path is absolute');
    ensure(parsed.name === undefined || NAME_PATTERN.test(parsed.name), 'a name is one');
    ensure(formatAddress(parsed) === text, 'an address is written as it was read');
    const again = parseAddress(formatAddress(parsed));
    ensure(JSON.stringify(again) === JSON.stringify(parsed), 'it means the same again');
    return parsed.name === undefined ? 'active' : 'named';
  },
};

const size: Target = {
  name: 'size',
  sources: ['cli/text.js:parseSize,badSize,parseCount', 'volume/options.js:parseSize'],
  samples: () => ['10GiB', '1.5 TB', '4096', '0', '0.25KiB', '9007199254740991'].map(utf8),
  tokens: ['.', ' ', 'B', 'kB', 'PiB', '9', '0'.repeat(40), 'e9', '-', '+', 'constructor'].map(
    utf8,
  ),
  lengthMax: 200,
  decode(input) {
    const text = textOf(input);
    // One of the two may refuse what the other takes: units differ. Neither takes nonsense.
    const bytes = [parseSize, (other: string) => parseOptionSize(other, 'size'), count]
      .map((parse) => attempt(() => parse(text)))
      .filter((value) => value !== undefined);
    for (const value of bytes) ensure(Number.isSafeInteger(value) && value >= 0, `a size ${value}`);
    if (bytes.length === 0) throw refused('no size');
    return `${bytes.length} parsers`;
  },
};

function count(text: string): number {
  return parseCount(text, { name: 'count', min: 0, max: 40 });
}

/** undefined where it is refused for what it must be refused for. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act();
  } catch (error) {
    if ((error as { code?: string }).code !== 'INVALID_ARGUMENT') throw error;
    return undefined;
  }
}

const names: Target = {
  name: 'name',
  sources: ['cli/transfer/names.js'],
  samples: () => ['plain', '..', '.', 'a/b', 'n\u0001', '\u202eright'].map(utf8),
  tokens: ['..', '/', '\0', '\u2066', '\u009f', '\n'].map(utf8),
  lengthMax: 600,
  decode(input) {
    const text = textOf(input);
    ensure(
      !/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(printableName(text)),
      'shown',
    );
    if (!isPlainName(text)) throw refused('no plain name');
    const resolved = join('/target', text);
    ensure(resolved === `/target/${text}`, 'a plain name stays in its directory');
    return undefined;
  },
};

let directory: string | undefined;

/** A folder that goes with the process. */
function scratch(): string {
  if (directory === undefined) {
    const made = mkdtempSync(join(tmpdir(), 'waferfs-fuzz-'));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    directory = made;
  }
  return directory;
}

const HOLDER = {
  pid: 1,
  startTime: 5,
  bootId: 'b',
  host: 'h',
  command: 'node',
  token: '0123456789abcdef',
};

const lock: Target = {
  name: 'lock-file',
  sources: ['node/lock.js:readLock,parseHolder'],
  samples: () =>
    [HOLDER, { ...HOLDER, startTime: null, bootId: null }].map((holder) =>
      utf8(`${JSON.stringify(holder)}\n`),
    ),
  tokens: ['null', '{}', '[', '"__proto__":', '1e999', '-1', '"../../x"', '\\u0000'].map(utf8),
  lengthMax: 4096,
  decode(input) {
    const path = join(scratch(), 'lock');
    writeFileSync(path, input);
    const holder = readLock(path);
    ensure(holder !== undefined, 'the file is there');
    if (holder === undefined || holder === 'unknown') throw refused('no lock');
    ensure(/^[0-9a-f]{16}$/.test(holder.token), 'a token can be part of a name');
    ensure(Number.isSafeInteger(holder.pid) && holder.pid > 0, 'a process has a number');
    return undefined;
  },
};

export const TEXT_TARGETS: readonly Target[] = [address, size, names, lock];
