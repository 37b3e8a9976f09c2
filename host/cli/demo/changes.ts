// Changes to a tree that can be looked up again after a crash.

import { errorCode } from '../transfer/side.ts';
import type { TreeFs } from '../volume-face.ts';
import { holds, payload } from './payload.ts';

/** Of the files met, each so-manieth is changed, and the one after it removed. */
const EVERY = 20;
const ADDED = 200;
const ADDED_DIRECTORY = '/added';
const IN_FLIGHT = 32;

export interface ChangeCounts {
  readonly changed: number;
  readonly added: number;
  readonly removed: number;
}

export class ChangedFiles {
  readonly #fs: TreeFs;
  readonly #signal: AbortSignal;
  /** Numbers of payloads, by path. */
  readonly #contents = new Map<string, number>();
  readonly #removed: string[] = [];

  constructor(fs: TreeFs, signal: AbortSignal) {
    this.#fs = fs;
    this.#signal = signal;
  }

  /** Changes files below `root`, removes others, adds a directory of new ones. */
  async make(root: string): Promise<ChangeCounts> {
    let met = 0;
    const jobs: (() => Promise<void>)[] = [];
    const waiting = [root];
    for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
      for (const entry of await this.#fs.readdir(at, { withFileTypes: true })) {
        const path = `${at}/${entry.name}`;
        if (entry.isDirectory()) waiting.push(path);
        if (!entry.isFile() || !(await this.#hasOneName(path))) continue;
        const turn = met++ % EVERY;
        if (turn === 0) jobs.push(() => this.#write(path, 'w'));
        if (turn === 1) jobs.push(() => this.#remove(path));
      }
    }
    await this.#fs.mkdir(ADDED_DIRECTORY, { mode: 0o755 });
    for (let at = 0; at < ADDED; at++) {
      jobs.push(() => this.#write(`${ADDED_DIRECTORY}/file-${at}`, 'wx'));
    }
    for (let first = 0; first < jobs.length; first += IN_FLIGHT) {
      this.#signal.throwIfAborted();
      await Promise.all(jobs.slice(first, first + IN_FLIGHT).map((job) => job()));
    }
    const changed = this.#contents.size - ADDED;
    return { changed, added: ADDED, removed: this.#removed.length };
  }

  /** Paths at which a change is not what it was. */
  async check(fs: TreeFs): Promise<string[]> {
    const wrong: string[] = [];
    for (const [path, number] of this.#contents) {
      if (!(await isThere(fs, path)) || !(await holds(fs, path, payload(number)))) wrong.push(path);
    }
    for (const path of this.#removed) if (await isThere(fs, path)) wrong.push(path);
    return wrong;
  }

  /** A file of several names would be changed under those too. */
  async #hasOneName(path: string): Promise<boolean> {
    return (await this.#fs.lstat(path, { bigint: true })).nlink === 1n;
  }

  async #write(path: string, flag: string): Promise<void> {
    const number = 1_000_000 + this.#contents.size;
    this.#contents.set(path, number);
    await this.#fs.writeFile(path, payload(number), { flag, mode: 0o644 });
  }

  async #remove(path: string): Promise<void> {
    this.#removed.push(path);
    await this.#fs.unlink(path);
  }
}

async function isThere(fs: TreeFs, path: string): Promise<boolean> {
  try {
    await fs.lstat(path, { bigint: true });
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}
