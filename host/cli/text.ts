// Numbers as people write and read them. Arguments are exact: a size that is no whole number of
// bytes, or a unit that could mean two things (10G), is refused rather than guessed.

import { StorageError } from '../base/errors.ts';
import type { Instant } from '../base/units.ts';

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
const UNITS: Readonly<Record<string, bigint>> = {
  '': 1n,
  B: 1n,
  kB: 1000n,
  KB: 1000n,
  MB: 1000n ** 2n,
  GB: 1000n ** 3n,
  TB: 1000n ** 4n,
  PB: 1000n ** 5n,
  KiB: 1024n,
  MiB: 1024n ** 2n,
  GiB: 1024n ** 3n,
  TiB: 1024n ** 4n,
  PiB: 1024n ** 5n,
};
const DIGITS_MAX = 30;

/** "10GiB", "1.5 TB", "4096" in bytes, up to 2^53 - 1; else INVALID_ARGUMENT. */
export function parseSize(text: string): number {
  const match = /^(\d+)(?:\.(\d+))?\s*([A-Za-z]*)$/.exec(text.trim());
  if (match === null || text.length > DIGITS_MAX) throw badSize(text, 'is no size');
  const [, whole = '', fraction = '', name = ''] = match;
  const unit = Object.hasOwn(UNITS, name) ? UNITS[name] : undefined;
  if (unit === undefined) throw badSize(text, `has no known unit: ${name}`);
  const scale = 10n ** BigInt(fraction.length);
  const scaled = BigInt(whole + fraction) * unit;
  if (scaled % scale !== 0n) throw badSize(text, 'is no whole number of bytes');
  const bytes = scaled / scale;
  if (bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw badSize(text, 'is over 2^53 bytes');
  return Number(bytes);
}

function badSize(text: string, why: string): StorageError {
  return new StorageError('INVALID_ARGUMENT', `the size '${text}' ${why}`, {
    hint: 'write sizes as 10GiB, 512MiB, 1.5TB or a number of bytes',
  });
}

/** A whole number in `min`..`max`; else INVALID_ARGUMENT. */
export function parseCount(
  text: string,
  bounds: { readonly name: string; readonly min: number; readonly max: number },
): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= bounds.min && value <= bounds.max) return value;
  throw new StorageError(
    'INVALID_ARGUMENT',
    `${bounds.name} must be a number from ${bounds.min} to ${bounds.max}, not '${text}'`,
  );
}

/** "1.5 GiB": at most four characters of number. */
export function formatSize(bytes: number): string {
  let value = bytes;
  let index = 0;
  // 1023.95 would be rounded to 1024.0.
  while (value >= 1023.95 && index < BINARY_UNITS.length - 1) {
    value /= 1024;
    index++;
  }
  const digits = index === 0 || value >= 99.95 ? 0 : 1;
  return `${value.toFixed(digits)} ${BINARY_UNITS[index]}`;
}

/** 1234567 as "1,234,567"; the same whatever the locale. */
export function formatCount(count: number): string {
  return String(Math.trunc(count)).replace(/\B(?=(\d{3})+$)/g, ',');
}

/** "1 file", "2,000 files", "1 directory", "2 directories". */
export function formatCounted(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`;
  const plural = noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`;
  return `${formatCount(count)} ${plural}`;
}

export function formatDuration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return `${(ms / 1000).toFixed(1)} s`;
}

/** ISO 8601 with nanoseconds; as seconds since 1970 ("@123.000000004") beyond the years of Date. */
export function isoTime(timeNs: bigint): string {
  const nanoseconds = ((timeNs % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  const seconds = (timeNs - nanoseconds) / 1_000_000_000n;
  const fraction = String(nanoseconds).padStart(9, '0');
  const date = new Date(Number(seconds) * 1000);
  if (Number.isNaN(date.getTime())) return `@${seconds}.${fraction}`;
  return date.toISOString().replace(/\.000Z$/, `.${fraction}Z`);
}

export function isoInstant(time: Instant): string {
  return isoTime(BigInt(time.seconds) * 1_000_000_000n + BigInt(time.nanoseconds));
}

/** As ls -l shows it: "-rwxr-xr-x". */
export function formatMode(kind: string, mode: number): string {
  const types: Readonly<Record<string, string>> = { directory: 'd', symlink: 'l', file: '-' };
  const triple = (bits: number, isSpecial: boolean, letter: string) => {
    const execute = bits & 1 ? (isSpecial ? letter : 'x') : isSpecial ? letter.toUpperCase() : '-';
    return `${bits & 4 ? 'r' : '-'}${bits & 2 ? 'w' : '-'}${execute}`;
  };
  return [
    types[kind] ?? '?',
    triple(mode >> 6, (mode & 0o4000) !== 0, 's'),
    triple(mode >> 3, (mode & 0o2000) !== 0, 's'),
    triple(mode, (mode & 0o1000) !== 0, 't'),
  ].join('');
}
