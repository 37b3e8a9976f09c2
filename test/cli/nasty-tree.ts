// Makes a tree of everything that file trees can hold and tools trip over: for the round trips of
// put and get, small in the unit tests, 20,000 files in the acceptance test. Everything follows
// from the seed.

import fs from 'node:fs';
import { join } from 'node:path';

import { utimesText } from '../../host/cli/transfer/side.ts';

export interface NastyTree {
  /** Regular files made, further names of one not counted. */
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  readonly hardLinks: number;
}

const ODD_NAMES = [
  ' leading and trailing ',
  '-rf',
  '--',
  '~',
  '*',
  '?',
  'a"b\'c`d$e',
  'new\nline',
  'tab\tand\u0001control',
  '\\back\\slash',
  'colon:slash-free',
  '.hidden',
  '...',
  'CON',
  'été-composed',
  'e\u0301te\u0301-combining',
  'ﷺ-ligature',
  '𝕱𝖗𝖆𝖐𝖙𝖚𝖗',
  '😀👩‍👩‍👧‍👦🏳️‍🌈',
  'עברית-\u202eright-to-left',
  '漢字かな',
  'legitimate-\ufffd-replacement',
  '@name',
  'volume.wafer@monday:',
  'n'.repeat(255),
  // 85 characters of three bytes: 255 bytes.
  '界'.repeat(85),
];
const FILE_MODES = [0o644, 0o600, 0o755, 0o400, 0o444, 0o4755, 0o2711, 0o1644, 0o777];
const DIRECTORY_MODES = [0o755, 0o700, 0o1777, 0o2775, 0o711];
const DEPTH = 100;
const FILES_PER_DIRECTORY = 40;

/** Fills `root`, a directory that is there and empty, with about `fileCount` files. */
export function makeNastyTree(root: string, fileCount: number, seed = 1): NastyTree {
  return new Maker(root, seed).run(fileCount);
}

class Maker {
  readonly #root: string;
  #state: number;
  #files = 0;
  #directories = 0;
  #symlinks = 0;
  #hardLinks = 0;
  /** Set when all is made: what is added to a directory changes its time. */
  readonly #later: (() => void)[] = [];

  constructor(root: string, seed: number) {
    this.#root = root;
    this.#state = seed >>> 0 || 1;
  }

  run(fileCount: number): NastyTree {
    this.#names();
    this.#deep();
    this.#symbolicLinks();
    this.#sizes();
    this.#times();
    this.#modes();
    this.#bulk(fileCount - this.#files);
    for (const act of this.#later.reverse()) act();
    return {
      files: this.#files,
      directories: this.#directories,
      symlinks: this.#symlinks,
      hardLinks: this.#hardLinks,
    };
  }

  /** xorshift32. */
  #random(below: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % below;
  }

  #bytes(count: number): Buffer {
    const bytes = Buffer.allocUnsafe(count);
    for (let at = 0; at < count; at++) bytes[at] = this.#random(256) | (at % 7 === 0 ? 1 : 0);
    return bytes;
  }

  #file(path: string, content: Uint8Array, mode = 0o644): void {
    fs.writeFileSync(path, content);
    fs.chmodSync(path, mode);
    this.#files++;
  }

  #directory(...names: string[]): string {
    const path = join(this.#root, ...names);
    fs.mkdirSync(path);
    this.#directories++;
    return path;
  }

  #time(path: string, microseconds: bigint): void {
    const text = utimesText(microseconds * 1000n);
    fs.lutimesSync(path, text, text);
  }

  #names(): void {
    const path = this.#directory('names');
    for (const name of ODD_NAMES) this.#file(join(path, name), this.#bytes(10));
    const directories = this.#directory('directory-names');
    for (const name of ODD_NAMES) {
      fs.mkdirSync(join(directories, name));
      this.#directories++;
    }
  }

  #deep(): void {
    let path = this.#directory('deep');
    for (let depth = 0; depth < DEPTH; depth++) {
      path = join(path, `level-${depth}`);
      fs.mkdirSync(path);
      this.#directories++;
      const at = path;
      this.#later.push(() => this.#time(at, BigInt(1_000_000_000_000_001 + depth)));
    }
    this.#file(join(path, 'bottom'), this.#bytes(100));
  }

  #symbolicLinks(): void {
    const path = this.#directory('links');
    this.#file(join(path, 'first'), this.#bytes(5000));
    const symlinks = {
      dangling: 'nowhere/at/all',
      absolute: '/etc/passwd',
      upwards: '../../../../../..',
      itself: 'itself',
      'to-directory': '../names',
      'to-file': 'first',
      'non-ascii-é': 'ziel-ü-😀',
      long: 'x'.repeat(4000),
    };
    for (const [name, content] of Object.entries(symlinks)) {
      fs.symlinkSync(content, join(path, name));
      this.#time(join(path, name), 1_234_567_890_123_456n);
      this.#symlinks++;
    }
    const other = this.#directory('links-elsewhere');
    for (const to of [join(path, 'second'), join(other, 'third'), join(other, 'fourth')]) {
      fs.linkSync(join(path, 'first'), to);
      this.#hardLinks++;
    }
    this.#directory('empty');
  }

  #sizes(): void {
    const path = this.#directory('sizes');
    for (const size of [0, 1, 127, 128, 129, 4095, 4096, 4097, 8192, 65_536, 1_048_576]) {
      this.#file(join(path, `${size}`), this.#bytes(size));
    }
    for (const size of [1_048_577, 3_333_333]) this.#file(join(path, `${size}`), this.#bytes(size));
    this.#file(join(path, 'zeros-short'), Buffer.alloc(1000));
    this.#file(join(path, 'zeros'), Buffer.alloc(20_000));
    const islands = Buffer.alloc(300_000);
    this.#bytes(3000).copy(islands, 100_000);
    this.#file(join(path, 'islands'), islands);
    const fd = fs.openSync(join(path, 'sparse'), 'w');
    fs.writeSync(fd, this.#bytes(5000), 0, 5000, 5_000_000);
    fs.writeSync(fd, this.#bytes(5000), 0, 5000, 8_000_001);
    fs.ftruncateSync(fd, 12_345_678);
    fs.closeSync(fd);
    fs.closeSync(fs.openSync(join(path, 'all-hole'), 'w'));
    // A multiple of the block size: nothing of it is written at all.
    fs.truncateSync(join(path, 'all-hole'), 611 * 4096);
    this.#files += 2;
  }

  #times(): void {
    const path = this.#directory('times');
    const times = [
      -1_234_567_890_123_456n,
      -1n,
      0n,
      1n,
      999_999n,
      1_700_000_000_123_457n,
      1_700_000_000_999_999n,
      4_102_444_800_000_001n,
    ];
    for (const time of times) {
      this.#file(join(path, `${time}`), this.#bytes(3));
      this.#time(join(path, `${time}`), time);
    }
    this.#later.push(() => this.#time(path, -1_500_000n));
  }

  #modes(): void {
    const path = this.#directory('modes');
    const isRoot = process.getuid?.() === 0;
    for (const mode of isRoot ? [0, ...FILE_MODES] : FILE_MODES) {
      this.#file(join(path, `file-${mode.toString(8)}`), this.#bytes(4), mode);
    }
    for (const mode of DIRECTORY_MODES) {
      const directory = this.#directory('modes', `directory-${mode.toString(8)}`);
      this.#later.push(() => fs.chmodSync(directory, mode));
    }
    const readOnly = this.#directory('modes', 'read-only');
    this.#file(join(readOnly, 'inside'), this.#bytes(5));
    this.#later.push(() => fs.chmodSync(readOnly, 0o555));
    if (isRoot) fs.lchownSync(join(path, 'file-644'), 12_345, 54_321);
  }

  #bulk(count: number): void {
    let path = '';
    for (let at = 0; at < count; at++) {
      if (at % FILES_PER_DIRECTORY === 0) {
        path = this.#directory(`bulk-${at / FILES_PER_DIRECTORY}`);
      }
      const size = this.#random(50) === 0 ? this.#random(100_000) : this.#random(3000);
      const file = join(path, `file-${at}-${'x'.repeat(this.#random(60))}`);
      this.#file(file, this.#bytes(size), FILE_MODES[this.#random(FILE_MODES.length)] as number);
      if (at % 3 === 0) this.#time(file, BigInt(this.#random(2 ** 31)) * 1_000_000n + 7n);
    }
  }
}

/** Makes every directory below removable again (for users other than root), and removes it all. */
export function removeTree(root: string): void {
  if (!fs.existsSync(root)) return;
  const waiting = [root];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    fs.chmodSync(path, 0o700);
    for (const entry of fs.readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory()) waiting.push(join(path, entry.name));
    }
  }
  fs.rmSync(root, { recursive: true, force: true });
}
