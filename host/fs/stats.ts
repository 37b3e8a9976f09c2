// What stat and statfs give. The four dates are made when they are asked for: most callers of stat
// look at one of them or none.

import type { Instant } from '../base/units.ts';
import type { Attributes, StatFs } from '../filesystem/operations.ts';
import { S_IFMT } from '../filesystem/operations.ts';
import { constants } from './constants.ts';
import { dateFromMs } from './globals.ts';

const BLOCK_SIZE = 4096;
/** st_blocks counts units of 512 bytes. */
const UNITS_PER_BLOCK = 8;
/** 'WAFE': what statfs gives as the kind of file system. */
const STATFS_TYPE = 0x57414645;
const NS_PER_MS = 1_000_000n;
const NS_PER_SECOND = 1_000_000_000n;

type Count = number | bigint;

abstract class StatsBase {
  abstract readonly mode: Count;
  abstract readonly atimeMs: Count;
  abstract readonly mtimeMs: Count;
  abstract readonly ctimeMs: Count;
  abstract readonly birthtimeMs: Count;

  #is(type: number): boolean {
    return (Number(this.mode) & S_IFMT) === type;
  }

  isFile(): boolean {
    return this.#is(constants.S_IFREG);
  }

  isDirectory(): boolean {
    return this.#is(constants.S_IFDIR);
  }

  isSymbolicLink(): boolean {
    return this.#is(constants.S_IFLNK);
  }

  isBlockDevice(): boolean {
    return this.#is(constants.S_IFBLK);
  }

  isCharacterDevice(): boolean {
    return this.#is(constants.S_IFCHR);
  }

  isFIFO(): boolean {
    return this.#is(constants.S_IFIFO);
  }

  isSocket(): boolean {
    return this.#is(constants.S_IFSOCK);
  }

  get atime(): Date {
    return this.#date('atime', this.atimeMs);
  }
  set atime(value: Date) {
    this.#keep('atime', value);
  }

  get mtime(): Date {
    return this.#date('mtime', this.mtimeMs);
  }
  set mtime(value: Date) {
    this.#keep('mtime', value);
  }

  get ctime(): Date {
    return this.#date('ctime', this.ctimeMs);
  }
  set ctime(value: Date) {
    this.#keep('ctime', value);
  }

  get birthtime(): Date {
    return this.#date('birthtime', this.birthtimeMs);
  }
  set birthtime(value: Date) {
    this.#keep('birthtime', value);
  }

  #date(name: string, ms: Count): Date {
    return this.#keep(name, dateFromMs(Number(ms)));
  }

  /** From now on an own property, so that the same Date is given each time. */
  #keep(name: string, value: Date): Date {
    const shape = { value, enumerable: true, configurable: true, writable: true };
    Object.defineProperty(this, name, shape);
    return value;
  }
}

for (const name of ['atime', 'mtime', 'ctime', 'birthtime']) {
  Object.defineProperty(StatsBase.prototype, name, { enumerable: true });
}

function msOf({ seconds, nanoseconds }: Instant): number {
  return seconds * 1000 + nanoseconds / 1e6;
}

export class Stats extends StatsBase {
  readonly dev: number;
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly rdev: number;
  readonly blksize: number;
  readonly ino: number;
  readonly size: number;
  /** Units of 512 bytes. */
  readonly blocks: number;
  readonly atimeMs: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly birthtimeMs: number;

  constructor(attributes: Attributes) {
    super();
    this.dev = 0;
    this.mode = attributes.mode;
    this.nlink = attributes.links;
    this.uid = attributes.uid;
    this.gid = attributes.gid;
    this.rdev = 0;
    this.blksize = BLOCK_SIZE;
    this.ino = attributes.ino;
    this.size = attributes.sizeBytes;
    this.blocks = attributes.blocks * UNITS_PER_BLOCK;
    this.atimeMs = msOf(attributes.atime);
    this.mtimeMs = msOf(attributes.mtime);
    this.ctimeMs = msOf(attributes.ctime);
    this.birthtimeMs = msOf(attributes.btime);
  }
}

function nsOf({ seconds, nanoseconds }: Instant): bigint {
  return BigInt(seconds) * NS_PER_SECOND + BigInt(nanoseconds);
}

/** The same with bigints, and times to the nanosecond. */
export class BigIntStats extends StatsBase {
  readonly dev: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly rdev: bigint;
  readonly blksize: bigint;
  readonly ino: bigint;
  readonly size: bigint;
  readonly blocks: bigint;
  readonly atimeMs: bigint;
  readonly mtimeMs: bigint;
  readonly ctimeMs: bigint;
  readonly birthtimeMs: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly birthtimeNs: bigint;

  constructor(attributes: Attributes) {
    super();
    this.dev = 0n;
    this.mode = BigInt(attributes.mode);
    this.nlink = BigInt(attributes.links);
    this.uid = BigInt(attributes.uid);
    this.gid = BigInt(attributes.gid);
    this.rdev = 0n;
    this.blksize = BigInt(BLOCK_SIZE);
    this.ino = BigInt(attributes.ino);
    this.size = BigInt(attributes.sizeBytes);
    this.blocks = BigInt(attributes.blocks * UNITS_PER_BLOCK);
    this.atimeNs = nsOf(attributes.atime);
    this.mtimeNs = nsOf(attributes.mtime);
    this.ctimeNs = nsOf(attributes.ctime);
    this.birthtimeNs = nsOf(attributes.btime);
    this.atimeMs = this.atimeNs / NS_PER_MS;
    this.mtimeMs = this.mtimeNs / NS_PER_MS;
    this.ctimeMs = this.ctimeNs / NS_PER_MS;
    this.birthtimeMs = this.birthtimeNs / NS_PER_MS;
  }
}

/** What statfs gives; of numbers or, where asked for, of bigints. */
export interface StatsFs<N extends Count = number> {
  readonly type: N;
  readonly bsize: N;
  readonly blocks: N;
  readonly bfree: N;
  readonly bavail: N;
  readonly files: N;
  readonly ffree: N;
}

export function toStatsFs(space: StatFs): StatsFs {
  return {
    type: STATFS_TYPE,
    bsize: space.blockSizeBytes,
    blocks: space.blocks,
    bfree: space.blocksFree,
    bavail: space.blocksFree,
    files: space.files,
    ffree: space.filesFree,
  };
}

export function toBigIntStatsFs(space: StatFs): StatsFs<bigint> {
  const entries = Object.entries(toStatsFs(space)).map(([key, value]) => [key, BigInt(value)]);
  return Object.fromEntries(entries) as StatsFs<bigint>;
}
