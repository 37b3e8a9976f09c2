// Random workloads over a small name space, as plain data: the same requests are applied to a file
// system and to its model, and their outcomes compared. The weights themselves are random (swarm
// testing): each workload leaves some operations and sizes out and does others far too often.

import { createHash } from 'node:crypto';
import type { Prng } from '../../host/base/env.ts';
import { FsError, isFsError } from '../../host/base/errors.ts';
import { below, chance, fillRandom, pick, SeededPrng } from '../../host/base/prng.ts';
import type { Step } from '../../host/base/task.ts';
import { Task, wait } from '../../host/base/task.ts';
import type { Instant } from '../../host/base/units.ts';
import type {
  AttributeChange,
  Attributes,
  OpenFile,
  OpenOptions,
  Operations,
  Target,
} from '../../host/filesystem/operations.ts';
import { S_IFDIR, S_IFMT } from '../../host/filesystem/operations.ts';
import { ModelFileSystem } from './model-file-system.ts';
import { listDirectory } from './tree.ts';

/** Bytes to write: `length` of them, made from `seed`; zeros where that is 0. */
export interface Data {
  readonly length: number;
  readonly seed: number;
}

/** By path, or by the number of an open file. */
export type Where =
  | { readonly path: string; readonly followLast: boolean }
  | { readonly slot: number };

export type Request =
  | { readonly op: 'open'; slot: number; path: string; options: OpenOptions }
  | { readonly op: 'close'; slot: number }
  | { readonly op: 'read'; slot: number; position: number; length: number }
  | { readonly op: 'write'; slot: number; position: number; data: Data }
  | { readonly op: 'writeFile'; path: string; data: Data; options: OpenOptions }
  | { readonly op: 'readFile'; where: Where }
  | { readonly op: 'truncate'; where: Where; size: number }
  | { readonly op: 'change'; where: Where; change: AttributeChange }
  | { readonly op: 'attributes'; where: Where }
  | { readonly op: 'mkdir'; path: string; mode: number }
  | { readonly op: 'symlink'; content: string; path: string }
  | { readonly op: 'readlink'; path: string }
  | { readonly op: 'link'; existing: string; path: string }
  | { readonly op: 'unlink'; path: string }
  | { readonly op: 'rmdir'; path: string }
  | { readonly op: 'rename'; from: string; to: string }
  | { readonly op: 'readdir'; path: string }
  | { readonly op: 'listXattrs'; where: Where }
  | { readonly op: 'getXattr'; where: Where; name: string }
  | { readonly op: 'setXattr'; where: Where; name: string; data: Data }
  | { readonly op: 'removeXattr'; where: Where; name: string }
  | { readonly op: 'statfs' }
  | { readonly op: 'sync' };

type Op = Request['op'];

/** What a request gave, in a form that two file systems share (no inode numbers). */
export type Outcome = { readonly value: string } | { readonly error: string };

export interface WorkloadOptions {
  /** Longest single write; 200 KiB by default. */
  readonly writeSizeMax?: number;
  /** Whether files may end far out (up to 2^40): holes over many levels of the tree. */
  readonly sparse?: boolean;
  /** Open files at one time; 4 by default, 0 = operations by path only. */
  readonly slots?: number;
}

const OPS: readonly (readonly [Op, number])[] = [
  ['open', 8],
  ['close', 4],
  ['read', 3],
  ['write', 16],
  ['writeFile', 14],
  ['readFile', 3],
  ['truncate', 7],
  ['change', 5],
  ['attributes', 2],
  ['mkdir', 9],
  ['symlink', 4],
  ['readlink', 1],
  ['link', 5],
  ['unlink', 7],
  ['rmdir', 3],
  ['rename', 10],
  ['readdir', 2],
  ['listXattrs', 1],
  ['getXattr', 1],
  ['setXattr', 4],
  ['removeXattr', 2],
  ['statfs', 1],
  ['sync', 1],
];

/** What is never left out: without it a workload does nothing. */
const ALWAYS: readonly Op[] = ['mkdir', 'writeFile', 'open'];

const NAMES = ['a', 'b', 'c', 'd', 'éü', 'f'.repeat(255), '😀', 'h'];
const XATTR_NAMES = ['user.a', 'user.bb', 'user.é'];

/** An endless workload. */
export function makeWorkload(prng: Prng, options: WorkloadOptions = {}): () => Request {
  const slots = options.slots ?? 4;
  const weights = OPS.map(([op, weight]) => {
    if (slots === 0 && (op === 'open' || op === 'close')) return 0;
    if (slots === 0 && (op === 'read' || op === 'write')) return 0;
    if (ALWAYS.includes(op)) return weight;
    return chance(prng, 0.15) ? 0 : weight * (1 + below(prng, 4));
  });
  const maker = new RequestMaker(prng, options, slots);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return () => {
    let left = below(prng, total);
    const index = weights.findIndex((weight) => {
      left -= weight;
      return left < 0;
    });
    return maker.make((OPS[index] as (typeof OPS)[number])[0]);
  };
}

class RequestMaker {
  readonly #prng: Prng;
  readonly #slots: number;
  readonly #writeSizeMax: number;
  readonly #sparse: boolean;
  readonly #names: readonly string[];
  /** Weights of the size classes of `#size`. */
  readonly #sizeLimits: readonly number[];
  /** A model of its own: what exists, so that most requests find something. */
  readonly #session = new Session(new ModelFileSystem());
  readonly #known: string[] = [];
  readonly #directories: string[] = [''];
  readonly #openSlots = new Set<number>();

  constructor(prng: Prng, options: WorkloadOptions, slots: number) {
    this.#prng = prng;
    this.#slots = slots;
    this.#writeSizeMax = options.writeSizeMax ?? 200 * 1024;
    this.#sparse = options.sparse ?? false;
    this.#names = NAMES.slice(0, 2 + below(prng, NAMES.length - 1));
    const limits = [1, 129, 130, 4096, 4097, 9000, 32 * 1024 + 2, 70 * 1024, this.#writeSizeMax];
    this.#sizeLimits = limits.filter((limit) => limit <= this.#writeSizeMax && chance(prng, 0.6));
  }

  make(op: Op): Request {
    const usesSlot = op === 'read' || op === 'write' || op === 'close';
    const request = this.#make(usesSlot && this.#openSlots.size === 0 ? 'open' : op);
    const outcome = this.#session.apply(withoutData(request)).driveSync();
    this.#learn(request, 'error' in outcome ? outcome.error : undefined);
    return request;
  }

  #learn(request: Request, error: string | undefined): void {
    const paths = [];
    if ('path' in request) paths.push(request.path);
    if (request.op === 'rename') paths.push(request.to);
    for (const path of paths) {
      if (error === 'ENOENT' || error === 'ENOTDIR') forget(this.#known, path);
      if (error === undefined) remember(this.#prng, this.#known, path);
      if (error !== undefined) continue;
      if (request.op === 'mkdir') remember(this.#prng, this.#directories, path);
      if (request.op === 'unlink' || request.op === 'rmdir') forget(this.#known, path);
      if (request.op === 'rmdir') forget(this.#directories, path);
    }
    if (request.op === 'rename' && error === undefined) {
      forget(this.#known, request.from);
      if (forget(this.#directories, request.from)) this.#directories.push(request.to);
    }
    if (request.op === 'open' && error === undefined) this.#openSlots.add(request.slot);
    else if (request.op === 'open' || request.op === 'close') this.#openSlots.delete(request.slot);
  }

  #make(op: Op): Request {
    switch (op) {
      case 'open':
        return {
          op,
          slot: below(this.#prng, Math.max(1, this.#slots)),
          path: this.#path(),
          options: this.#openOptions(),
        };
      case 'close':
        return { op, slot: this.#slot() };
      case 'read':
        return { op, slot: this.#slot(), position: this.#position(), length: this.#size() };
      case 'write':
        return { op, slot: this.#slot(), position: this.#position(), data: this.#data() };
      case 'writeFile':
        return { op, path: this.#path(), data: this.#data(), options: this.#writeFileOptions() };
      case 'truncate':
        return { op, where: this.#where(), size: this.#position() };
      case 'change':
        return { op, where: this.#where(), change: this.#change() };
      case 'mkdir':
        return { op, path: this.#path(true), mode: pick(this.#prng, [0o755, 0o700, 0o1777]) };
      case 'symlink':
        return { op, content: this.#linkContent(), path: this.#path(true) };
      case 'link':
        return { op, existing: this.#path(), path: this.#path(true) };
      case 'rename':
        return { op, from: this.#path(), to: this.#path(chance(this.#prng, 0.5)) };
      case 'unlink':
      case 'rmdir':
      case 'readlink':
      case 'readdir': {
        const isLong = chance(this.#prng, 0.01);
        return { op, path: this.#path() + (isLong ? `/${'n'.repeat(256)}` : '') };
      }
      case 'readFile':
      case 'attributes':
      case 'listXattrs':
        return { op, where: this.#where() };
      case 'getXattr':
      case 'removeXattr':
        return { op, where: this.#where(), name: pick(this.#prng, XATTR_NAMES) };
      case 'setXattr': {
        const data = { length: below(this.#prng, 300), seed: this.#prng.u32() };
        return { op, where: this.#where(), name: pick(this.#prng, XATTR_NAMES), data };
      }
      case 'statfs':
      case 'sync':
        return { op };
    }
  }

  /** One that may be open; now and then one that is not. */
  #slot(): number {
    if (this.#openSlots.size === 0 || chance(this.#prng, 0.02)) {
      return below(this.#prng, Math.max(1, this.#slots));
    }
    return pick(this.#prng, [...this.#openSlots]);
  }

  #path(isNew = false): string {
    const isKnown = this.#known.length > 0 && chance(this.#prng, isNew ? 0.15 : 0.7);
    let path = isKnown
      ? pick(this.#prng, this.#known)
      : `${pick(this.#prng, this.#directories)}/${pick(this.#prng, this.#names)}`;
    if (chance(this.#prng, 0.01)) path += '/';
    if (chance(this.#prng, 0.01)) path += '/..';
    return path;
  }

  #linkContent(): string {
    const path = this.#path();
    return chance(this.#prng, 0.5) ? path : path.slice(1);
  }

  #where(): Where {
    if (this.#slots > 0 && chance(this.#prng, 0.3)) return { slot: this.#slot() };
    return { path: this.#path(), followLast: chance(this.#prng, 0.7) };
  }

  #size(): number {
    const limit = this.#sizeLimits.length === 0 ? 300 : pick(this.#prng, this.#sizeLimits);
    if (chance(this.#prng, 0.2)) return Math.min(limit, this.#writeSizeMax);
    if (chance(this.#prng, 0.3)) return below(this.#prng, limit) & ~4095;
    return below(this.#prng, limit + 1);
  }

  #position(): number {
    if (this.#sparse && chance(this.#prng, 0.05)) {
      return below(this.#prng, 2 ** (15 + below(this.#prng, 26)));
    }
    const position = this.#size() + (chance(this.#prng, 0.2) ? this.#size() : 0);
    return chance(this.#prng, 0.2) ? position + below(this.#prng, 3) : position;
  }

  #data(): Data {
    return { length: this.#size(), seed: chance(this.#prng, 0.1) ? 0 : this.#prng.u32() };
  }

  #openOptions(): OpenOptions {
    const flag = (probability: number) => chance(this.#prng, probability);
    const write = flag(0.8);
    return {
      read: !write || flag(0.6),
      write,
      append: write && flag(0.2),
      create: write && flag(0.7),
      exclusive: flag(0.1),
      truncate: write && flag(0.2),
      directory: !write && flag(0.2),
      noFollow: flag(0.1),
      mode: pick(this.#prng, [0o644, 0o600, 0o755, 0o4711]),
    };
  }

  #writeFileOptions(): OpenOptions {
    const exclusive = chance(this.#prng, 0.1);
    const create = exclusive || chance(this.#prng, 0.9);
    return { read: false, write: true, create, exclusive, truncate: true, mode: 0o644 };
  }

  #change(): AttributeChange {
    const change: { -readonly [Key in keyof AttributeChange]: AttributeChange[Key] } = {};
    const time = (): Instant => ({
      seconds: below(this.#prng, 2 ** 33) - 2 ** 31,
      nanoseconds: below(this.#prng, 1e9),
    });
    if (chance(this.#prng, 0.5)) change.mode = below(this.#prng, 0o10000);
    if (chance(this.#prng, 0.3)) change.uid = this.#prng.u32();
    if (chance(this.#prng, 0.3)) change.gid = below(this.#prng, 70000);
    if (chance(this.#prng, 0.3)) change.atime = time();
    if (chance(this.#prng, 0.3) || Object.keys(change).length === 0) change.mtime = time();
    return change;
  }
}

const REMEMBERED_MAX = 12;
/** Longer paths are not built upon. */
const PATH_LENGTH_MAX = 1200;

function remember(prng: Prng, paths: string[], path: string): void {
  if (path.length > PATH_LENGTH_MAX || path.endsWith('/') || path.endsWith('/..')) return;
  if (paths.includes(path)) return;
  if (paths.length < REMEMBERED_MAX) paths.push(path);
  else paths[1 + below(prng, paths.length - 1)] = path;
}

function forget(paths: string[], path: string): boolean {
  const index = paths.indexOf(path);
  if (index >= 0) paths.splice(index, 1);
  return index >= 0;
}

/** The same request with zeros for random bytes, which nobody will look at. */
function withoutData(request: Request): Request {
  if (!('data' in request)) return request;
  return { ...request, data: { length: request.data.length, seed: 0 } };
}

export function bytesOf({ length, seed }: Data): Uint8Array {
  const bytes = new Uint8Array(length);
  return seed === 0 ? bytes : fillRandom(new SeededPrng(seed), bytes);
}

/** Applies requests to one file system, keeping its open files. After a crash: a new one. */
export class Session {
  readonly #operations: Operations;
  readonly #files = new Map<number, OpenFile>();

  constructor(operations: Operations) {
    this.#operations = operations;
  }

  /** Never fails but for what no file system may do: throw something else than an FsError. */
  apply(request: Request): Task<Outcome> {
    return Task.start(this.#outcome(request));
  }

  *#outcome(request: Request): Step<Outcome> {
    try {
      return { value: yield* this.#perform(request) };
    } catch (error) {
      if (isFsError(error)) return { error: error.code };
      throw error;
    }
  }

  *#perform(request: Request): Step<string> {
    const fs = this.#operations;
    switch (request.op) {
      case 'open':
        return yield* this.#open(request.slot, request.path, request.options);
      case 'close':
        return yield* this.#close(request.slot);
      case 'read': {
        const buffer = new Uint8Array(request.length);
        const file = this.#file(request.slot);
        const count = yield* wait(fs.read(file, buffer, request.position).asIo());
        return `${count} ${hash(buffer.subarray(0, count))}`;
      }
      case 'write': {
        const file = this.#file(request.slot);
        return String(yield* wait(fs.write(file, bytesOf(request.data), request.position).asIo()));
      }
      case 'writeFile':
        return yield* nothing(fs.writeFile(request.path, bytesOf(request.data), request.options));
      case 'readFile':
        return yield* this.#readFile(this.#target(request.where));
      case 'truncate':
        return yield* nothing(fs.truncate(this.#target(request.where), request.size));
      case 'change':
        return yield* nothing(fs.change(this.#target(request.where), request.change));
      case 'attributes':
        return describe(yield* wait(fs.attributes(this.#target(request.where)).asIo()));
      case 'mkdir':
        return yield* nothing(fs.mkdir(request.path, request.mode));
      case 'symlink':
        return yield* nothing(fs.symlink(request.content, request.path));
      case 'readlink':
        return yield* wait(fs.readlink(request.path).asIo());
      case 'link':
        return yield* nothing(fs.link(request.existing, request.path));
      case 'unlink':
        return yield* nothing(fs.unlink(request.path));
      case 'rmdir':
        return yield* nothing(fs.rmdir(request.path));
      case 'rename':
        return yield* nothing(fs.rename(request.from, request.to));
      case 'readdir': {
        const entries = yield* listDirectory(fs, request.path);
        return entries
          .map(({ name, kind }) => `${kind} ${name}`)
          .sort()
          .join('\n');
      }
      default:
        return yield* this.#performXattr(request);
    }
  }

  *#performXattr(
    request: Extract<Request, { op: `${string}Xattr${string}` | 'statfs' | 'sync' }>,
  ): Step<string> {
    const fs = this.#operations;
    if (request.op === 'sync') return yield* nothing(fs.sync());
    if (request.op === 'statfs') {
      const { blockSizeBytes } = yield* wait(fs.statfs().asIo());
      return String(blockSizeBytes);
    }
    const target = this.#target(request.where);
    switch (request.op) {
      case 'listXattrs':
        return [...(yield* wait(fs.listXattrs(target).asIo()))].sort().join('\n');
      case 'getXattr':
        return hash(yield* wait(fs.getXattr(target, request.name).asIo()));
      case 'setXattr':
        return yield* nothing(fs.setXattr(target, request.name, bytesOf(request.data)));
      case 'removeXattr':
        return yield* nothing(fs.removeXattr(target, request.name));
    }
  }

  /** A file that is too big to be read whole is not. */
  *#readFile(target: Target): Step<string> {
    const { sizeBytes } = yield* wait(this.#operations.attributes(target).asIo());
    if (sizeBytes > 2 ** 24) return 'big';
    return hash(yield* wait(this.#operations.readFile(target).asIo()));
  }

  *#open(slot: number, path: string, options: OpenOptions): Step<string> {
    if (this.#files.has(slot)) yield* this.#close(slot);
    this.#files.set(slot, yield* wait(this.#operations.open(path, options).asIo()));
    return '';
  }

  *#close(slot: number): Step<string> {
    const file = this.#file(slot);
    this.#files.delete(slot);
    return yield* nothing(this.#operations.close(file));
  }

  #file(slot: number): OpenFile {
    const file = this.#files.get(slot);
    if (file === undefined) throw new FsError('EBADF');
    return file;
  }

  #target(where: Where): Target {
    return 'slot' in where ? { file: this.#file(where.slot) } : where;
  }
}

function* nothing(task: Task<void>): Step<string> {
  yield* wait(task.asIo());
  return '';
}

function describe(attributes: Attributes): string {
  const { mode, links, uid, gid, sizeBytes } = attributes;
  const times = [attributes.atime, attributes.mtime, attributes.ctime, attributes.btime];
  const size = (mode & S_IFMT) === S_IFDIR ? 0 : sizeBytes;
  const time = ({ seconds, nanoseconds }: Instant) => `${seconds}+${nanoseconds}`;
  return [mode.toString(8), links, uid, gid, size, ...times.map(time)].join(' ');
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}
