// Stores that keep named blocks of 4 KiB durably: a waferfs volume, files with fsync, and the
// databases that people take for it. One face for all, so that the suites measure the same work.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  promises,
  readFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { CreateOptions } from '../host/node.ts';
import { Volume } from '../host/node.ts';
import { type BenchCase, type BenchSize, loadPeer } from './harness.ts';
import { inFlight } from './workload.ts';

/** Bytes for an item, the `index`-th of the call. */
export type Bytes = (item: number, index: number) => Buffer;

export interface Store {
  readonly name: string;
  readonly kind: BenchCase['kind'];
  /** Each durable before the next is begun. */
  putEach(items: readonly number[], bytes: Bytes): Promise<void> | void;
  /** The same as fast as the store can: in flight together, or in one transaction. */
  putTogether(items: readonly number[], bytes: Bytes): Promise<void> | void;
  get(item: number): Uint8Array;
  close(): Promise<void> | void;
}

/** Calls of `putTogether` under way at one time. */
export const IN_FLIGHT = 256;

const nameOf = (item: number): string => `file-${String(item).padStart(7, '0')}`;

/** A file in a volume for each item. */
export async function waferFiles(path: string, options: CreateOptions): Promise<Store> {
  const volume = await Volume.create(path, options);
  const { fs } = volume;
  await fs.promises.mkdir('/d');
  const putAll = (lanes: number) => (items: readonly number[], bytes: Bytes) =>
    inFlight(lanes, items.length, (i) => {
      const item = items[i] as number;
      return fs.promises.writeFile(`/d/${nameOf(item)}`, bytes(item, i));
    });
  return {
    name: 'waferfs',
    kind: 'ours',
    putEach: putAll(1),
    putTogether: putAll(IN_FLIGHT),
    get: (item) => fs.readFileSync(`/d/${nameOf(item)}`),
    close: () => volume.close(),
  };
}

/** A block in one large file of a volume for each item. */
export async function waferBlocks(path: string, options: CreateOptions): Promise<Store> {
  const volume = await Volume.create(path, options);
  const handle = await volume.fs.promises.open('/file', 'w+');
  const fd = volume.fs.openSync('/file', 'r');
  const putAll = (lanes: number) => (items: readonly number[], bytes: Bytes) =>
    inFlight(lanes, items.length, (i) => {
      const item = items[i] as number;
      const block = bytes(item, i);
      return handle.write(block, 0, block.length, item * block.length);
    });
  return {
    name: 'waferfs',
    kind: 'ours',
    putEach: putAll(1),
    putTogether: putAll(IN_FLIGHT),
    get(item) {
      const block = Buffer.alloc(4096);
      volume.fs.readSync(fd, block, 0, block.length, item * block.length);
      return block;
    },
    async close() {
      await handle.close();
      volume.fs.closeSync(fd);
      await volume.close();
    },
  };
}

/** Files of the host, each with its own fsync. */
export function hostFiles(path: string): Store {
  mkdirSync(path);
  const pathOf = (item: number) => join(path, nameOf(item));
  return {
    name: 'node:fs + fsync',
    kind: 'peer',
    putEach(items, bytes) {
      for (const [index, item] of items.entries()) {
        const fd = openSync(pathOf(item), 'w');
        writeSync(fd, bytes(item, index));
        fsyncSync(fd);
        closeSync(fd);
      }
    },
    putTogether: (items, bytes) =>
      inFlight(IN_FLIGHT, items.length, async (i) => {
        const item = items[i] as number;
        const handle = await promises.open(pathOf(item), 'w');
        await handle.write(bytes(item, i));
        await handle.sync();
        await handle.close();
      }),
    get: (item) => readFileSync(pathOf(item)),
    close() {},
  };
}

interface Statement {
  run(...values: unknown[]): unknown;
  get(...values: unknown[]): { readonly data: Uint8Array };
}
interface Database {
  pragma(text: string): unknown;
  exec(text: string): unknown;
  prepare(text: string): Statement;
  transaction<A extends unknown[]>(action: (...args: A) => void): (...args: A) => void;
  close(): void;
}

/** SQLite, WAL and FULL. Undefined where it is not installed. */
export async function sqlite(path: string, size: BenchSize): Promise<Store | undefined> {
  const peer = await loadPeer<{ default: new (path: string) => Database }>('better-sqlite3', size);
  if (peer === undefined) return undefined;
  const database = new peer.default(path);
  database.pragma('journal_mode = WAL');
  database.pragma('synchronous = FULL');
  database.exec('CREATE TABLE files (name TEXT PRIMARY KEY, data BLOB) WITHOUT ROWID');
  const insert = database.prepare('INSERT OR REPLACE INTO files VALUES (?, ?)');
  const select = database.prepare('SELECT data FROM files WHERE name = ?');
  const putAll = (items: readonly number[], bytes: Bytes): void => {
    for (const [index, item] of items.entries()) insert.run(nameOf(item), bytes(item, index));
  };
  return {
    name: 'better-sqlite3',
    kind: 'peer',
    putEach: putAll,
    putTogether: database.transaction(putAll),
    get: (item) => select.get(nameOf(item)).data,
    close: () => database.close(),
  };
}

interface Lmdb {
  put(key: number, value: Uint8Array): Promise<boolean>;
  getBinary(key: number): Uint8Array;
  close(): Promise<void>;
}

/** LMDB; a put is answered when it is flushed. Undefined where it is not installed. */
export async function lmdb(path: string, size: BenchSize): Promise<Store | undefined> {
  const peer = await loadPeer<{ open(options: object): Lmdb }>('lmdb', size);
  if (peer === undefined) return undefined;
  const database = peer.open({ path, encoding: 'binary', overlappingSync: false });
  return {
    name: 'lmdb',
    kind: 'peer',
    async putEach(items, bytes) {
      for (const [index, item] of items.entries()) await database.put(item, bytes(item, index));
    },
    async putTogether(items, bytes) {
      await Promise.all(items.map((item, index) => database.put(item, bytes(item, index))));
    },
    get: (item) => database.getBinary(item),
    close: () => database.close(),
  };
}
