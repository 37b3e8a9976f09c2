// Options of Volume.create and Volume.open: checked here, once. Unknown ones are INVALID_ARGUMENT,
// so that a misspelt option never goes unnoticed.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import type { Clock, Logger, Prng, ThreadPool } from '../base/env.ts';
import { StorageError } from '../base/errors.ts';
import { GIB, KIB, MIB } from '../base/units.ts';

export type RaidOption = 'none' | 'raid4' | 'dp';

/** What a volume takes from its surroundings; each has a default. */
export interface VolumeEnv {
  readonly clock?: Clock;
  readonly prng?: Prng;
  readonly logger?: Logger;
  readonly pool?: ThreadPool;
  /** 'wasm' (default), or 'oracle': plain TypeScript instead; or a compiled module, for hosts that
   *  do not compile at run time. */
  readonly kernels?: 'wasm' | 'oracle' | WebAssembly.Module;
}

export interface OpenOptions {
  /** Bytes, or text such as '64MiB': the arena, with the buffer cache in it. Fixed at open. */
  readonly cacheSize?: number | string;
  /** 'durable' (default): a change is answered when it is on the log device. 'relaxed': at once,
   *  and not logged: a consistency point makes it durable (fsync, sync and close run one), and what
   *  a crash takes is a suffix. */
  readonly durability?: 'durable' | 'relaxed';
  readonly readOnly?: boolean;
  /** Opens although the disks that are missing could form a volume of their own. */
  readonly degraded?: boolean;
  readonly env?: VolumeEnv;
}

export interface CreateOptions extends OpenOptions {
  /** Usable space in bytes, or text such as '10GiB'; parity excluded. */
  readonly size?: number | string;
  readonly disks?: number;
  readonly raid?: RaidOption;
  readonly spares?: number;
  readonly logSize?: number | string;
}

export const CACHE_SIZE_MIN = 8 * MIB;
const CACHE_SIZE_MAX = 4 * GIB - 64 * KIB;
const CACHE_SIZE_DEFAULT = 64 * MIB;
export const LOG_SIZE_MIN = 6 * MIB;
const LOG_SIZE_DEFAULT = 64 * MIB;
const SIZE_DEFAULT = GIB;
/** 2,048 blocks: less has no room for maps and a file. */
export const VOLUME_SIZE_MIN = 8 * MIB;
const VOLUME_SIZE_MAX = 16 * 1024 * GIB - GIB;
export const DISKS_MAX = 17;

const OPEN_KEYS = ['cacheSize', 'durability', 'readOnly', 'degraded', 'env'];
const CREATE_KEYS = [...OPEN_KEYS, 'size', 'disks', 'raid', 'spares', 'logSize'];

export interface CheckedOpen {
  readonly cacheSizeBytes: number;
  readonly isRelaxed: boolean;
  readonly readOnly: boolean;
  readonly degraded: boolean;
  readonly env: VolumeEnv;
}

export interface CheckedCreate extends CheckedOpen {
  readonly sizeBytes: number;
  readonly diskCount: number;
  readonly raid: 'none' | 'raid4';
  readonly logSizeBytes: number;
}

export function checkOpen(options: OpenOptions, keys = OPEN_KEYS): CheckedOpen {
  for (const key of Object.keys(options)) {
    if (!keys.includes(key)) throw invalid(`there is no option '${key}'`, { option: key });
  }
  const { durability = 'durable' } = options;
  if (durability !== 'durable' && durability !== 'relaxed') {
    throw invalid(`durability is 'durable' or 'relaxed', not '${String(durability)}'`);
  }
  return {
    cacheSizeBytes: sizeOption(options.cacheSize, 'cacheSize', {
      defaultBytes: CACHE_SIZE_DEFAULT,
      min: CACHE_SIZE_MIN,
      max: CACHE_SIZE_MAX,
    }),
    isRelaxed: durability === 'relaxed',
    readOnly: flagOption(options.readOnly, 'readOnly'),
    degraded: flagOption(options.degraded, 'degraded'),
    env: options.env ?? {},
  };
}

export function checkCreate(options: CreateOptions): CheckedCreate {
  const open = checkOpen(options, CREATE_KEYS);
  const diskCount = options.disks ?? 1;
  if (!Number.isInteger(diskCount) || diskCount < 1 || diskCount > DISKS_MAX) {
    throw invalid(`disks is 1 to ${DISKS_MAX}, not ${String(diskCount)}`, { disks: diskCount });
  }
  if (options.spares !== undefined && options.spares !== 0) {
    throw new StorageError('UNSUPPORTED_FEATURE', 'spare disks are not built yet');
  }
  return {
    ...open,
    sizeBytes: sizeOption(options.size, 'size', {
      defaultBytes: SIZE_DEFAULT,
      min: VOLUME_SIZE_MIN,
      max: VOLUME_SIZE_MAX,
    }),
    diskCount,
    raid: raidOption(options.raid, diskCount),
    logSizeBytes: sizeOption(options.logSize, 'logSize', {
      defaultBytes: LOG_SIZE_DEFAULT,
      min: LOG_SIZE_MIN,
      max: CACHE_SIZE_MAX,
    }),
  };
}

/** One disk `none`, more `raid4`, until double parity is built. */
function raidOption(raid: RaidOption | undefined, diskCount: number): 'none' | 'raid4' {
  const kind = raid ?? (diskCount === 1 ? 'none' : 'raid4');
  if (kind === 'dp') {
    throw new StorageError('UNSUPPORTED_FEATURE', 'double parity is not built yet', {
      hint: "use raid: 'raid4'",
    });
  }
  if (kind !== 'none' && kind !== 'raid4') {
    throw invalid(`raid is 'none', 'raid4' or 'dp', not '${String(kind)}'`);
  }
  if (kind === 'raid4' && diskCount < 2) throw invalid('raid4 takes two disks or more');
  return kind;
}

function flagOption(value: boolean | undefined, name: string): boolean {
  if (value !== undefined && typeof value !== 'boolean') throw invalid(`${name} is true or false`);
  return value ?? false;
}

function sizeOption(
  value: number | string | undefined,
  name: string,
  limits: { defaultBytes: number; min: number; max: number },
): number {
  const bytes = value === undefined ? limits.defaultBytes : parseSize(value, name);
  if (bytes < limits.min || bytes > limits.max) {
    throw invalid(`${name} is ${limits.min} to ${limits.max} bytes, not ${bytes}`, {
      [name]: bytes,
    });
  }
  return Math.ceil(bytes / BLOCK_SIZE) * BLOCK_SIZE;
}

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KiB: KIB,
  MiB: MIB,
  GiB: GIB,
  TiB: 1024 * GIB,
};

/** Bytes of a number, or of text such as '10GiB'. */
export function parseSize(value: number | string, name: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([A-Za-z]*)$/.exec(String(value));
  const unit = match === null ? undefined : UNITS[match[2] as string];
  const bytes = match === null || unit === undefined ? Number.NaN : Number(match[1]) * unit;
  if (!Number.isSafeInteger(Math.round(bytes))) {
    throw invalid(`${name} is a size such as 10GiB, not '${String(value)}'`);
  }
  return Math.round(bytes);
}

function invalid(message: string, detail: Readonly<Record<string, unknown>> = {}): StorageError {
  return new StorageError('INVALID_ARGUMENT', message, { detail });
}
