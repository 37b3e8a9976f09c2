// What a call was given, checked and brought into the form that Operations takes. Checks come in
// Node's order with Node's errors (argument-errors.ts).

import { FsError } from '../base/errors.ts';
import type { Instant } from '../base/units.ts';
import {
  abortError,
  invalidType,
  invalidValue,
  outOfRange,
  typeErrorWithCode,
} from './argument-errors.ts';
import type { Encoding } from './encoding.ts';
import { encode, isEncoding } from './encoding.ts';

/** A path: text, its UTF-8 bytes, or a file: URL. Relative ones start at '/'. */
export type PathLike = string | Uint8Array | URL;
/** Permission bits: a number, or octal digits. */
export type Mode = number | string;
/** A point in time: seconds (a number or its text), a Date, an exact Instant, or nanoseconds. */
export type TimeLike = number | string | Date | Instant | bigint;
/** What may be written: text, or any view on memory. */
export type WriteData = string | ArrayBufferView;
export type EncodingOption = Encoding | 'buffer' | null;

const strictDecoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const PATH_TYPES = 'of type string or an instance of Buffer or URL';
const NULL_BYTES = 'must be a string, Uint8Array, or URL without null bytes';

/** The path as text, as it stands in errors. */
export function pathText(path: unknown, name = 'path'): string {
  if (typeof path === 'string') {
    if (path.includes('\0')) throw invalidValue(name, path, NULL_BYTES);
    return path;
  }
  if (path instanceof Uint8Array) {
    if (path.includes(0)) throw invalidValue(name, path, NULL_BYTES);
    try {
      return strictDecoder.decode(path.slice());
    } catch {
      // Names are UTF-8 here; no name can be these bytes.
      throw new FsError('EINVAL');
    }
  }
  if (isUrl(path)) return pathText(pathOfUrl(path), name);
  throw invalidType(name, PATH_TYPES, path);
}

/** The path for Operations: absolute. `where` is what the error says where there is no path. */
export function absolute(path: string, where: { syscall?: string; path?: string }): string {
  if (path.charCodeAt(0) === 47) return path;
  if (path === '') throw new FsError('ENOENT', where);
  return `/${path}`;
}

function isUrl(value: unknown): value is URL {
  const url = value as { href?: string; protocol?: string; auth?: unknown; path?: unknown } | null;
  if (typeof value !== 'object' || !url?.href || !url.protocol) return false;
  return url.auth === undefined && url.path === undefined;
}

function pathOfUrl(url: URL): string {
  if (url.protocol !== 'file:') {
    throw typeErrorWithCode('ERR_INVALID_URL_SCHEME', 'The URL must be of scheme file');
  }
  if (url.hostname !== '') {
    const text = 'File URL host must be "localhost" or empty on linux';
    throw typeErrorWithCode('ERR_INVALID_FILE_URL_HOST', text);
  }
  if (/%2f/i.test(url.pathname)) {
    const text = 'File URL path must not include encoded / characters';
    throw typeErrorWithCode('ERR_INVALID_FILE_URL_PATH', text);
  }
  return decodeURIComponent(url.pathname);
}

export function checkInteger(
  value: unknown,
  name: string,
  min: number = Number.MIN_SAFE_INTEGER,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number') throw invalidType(name, 'of type number', value);
  if (!Number.isInteger(value)) throw outOfRange(name, 'an integer', value);
  if (value < min || value > max) throw outOfRange(name, `>= ${min} && <= ${max}`, value);
  return value;
}

export function checkBoolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalidType(name, 'of type boolean', value);
  return value;
}

export function checkObject(value: unknown, name: string): void {
  if (value === null || Array.isArray(value) || typeof value !== 'object') {
    throw invalidType(name, 'of type object', value);
  }
}

/** Permission bits of `value`; `fallback` where it is absent. */
export function checkMode(value: unknown, name: string, fallback?: number): number {
  let mode = value ?? fallback;
  if (typeof mode === 'string') {
    if (!/^[0-7]+$/.test(mode)) {
      throw invalidValue(name, mode, 'must be a 32-bit unsigned integer or an octal string');
    }
    mode = Number.parseInt(mode, 8);
  }
  return checkInteger(mode, name, 0, 2 ** 32 - 1);
}

export function checkOwner(value: unknown, name: string): number {
  return checkInteger(value, name, -1, 2 ** 32 - 1);
}

/** The options object of a call that takes an encoding or options. */
export function checkOptions<O extends { encoding?: unknown; signal?: unknown }>(
  options: O | string | null | undefined,
): Partial<O> & { encoding?: EncodingOption } {
  if (options === null || options === undefined || typeof options === 'function') return {};
  const checked = typeof options === 'string' ? { encoding: options } : options;
  if (typeof checked !== 'object') {
    throw invalidType('options', 'one of type string or object', options);
  }
  const { encoding } = checked;
  if (encoding && encoding !== 'buffer' && !isEncoding(encoding)) {
    throw invalidValue('encoding', encoding, 'is invalid encoding');
  }
  checkSignal((checked as O).signal);
  return checked as Partial<O> & { encoding?: EncodingOption };
}

function checkSignal(signal: unknown): asserts signal is AbortSignal | undefined {
  if (signal === undefined) return;
  if (signal === null || typeof signal !== 'object' || !('aborted' in signal)) {
    throw invalidType('options.signal', 'an instance of AbortSignal', signal);
  }
}

export function checkAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortError(signal.reason);
}

/** The bytes of a view, or of a text. */
export function bytesOf(
  data: unknown,
  encoding: string | null | undefined,
  name = 'data',
): Uint8Array {
  if (data instanceof Uint8Array) return data;
  if (typeof data === 'string') return encode(data, encoding || 'utf8');
  return viewBytes(data, name);
}

function viewBytes(data: unknown, name: string): Uint8Array {
  if (ArrayBuffer.isView(data)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  throw invalidType(name, 'of type string or an instance of Buffer, TypedArray, or DataView', data);
}

export function checkViews(value: unknown): readonly ArrayBufferView[] {
  if (!Array.isArray(value) || !value.every((item) => ArrayBuffer.isView(item))) {
    throw invalidType('buffers', 'an ArrayBufferView[]', value);
  }
  return value;
}

const NS_PER_SECOND = 1_000_000_000n;
const US_PER_SECOND = 1_000_000;
/** What 64 bits of seconds may hold is more than a double can count. */
const SECONDS_MAX = 2 ** 43;

/** A time as an Instant. Seconds are taken to the microsecond (a double holds no more for our
 *  days), Dates to the millisecond; Instants and bigint nanoseconds are exact. */
export function checkTime(time: unknown, name = 'time'): Instant {
  if (typeof time === 'string' && !Number.isNaN(Number(time)) && time.trim() !== '') {
    return checkTime(Number(time), name);
  }
  if (typeof time === 'number' && Number.isFinite(time)) {
    return fromUnits(time, US_PER_SECOND, name);
  }
  if (typeof time === 'bigint') {
    let nanoseconds = time % NS_PER_SECOND;
    if (nanoseconds < 0n) nanoseconds += NS_PER_SECOND;
    const seconds = Number((time - nanoseconds) / NS_PER_SECOND);
    return checkSeconds({ seconds, nanoseconds: Number(nanoseconds) }, name);
  }
  if (typeof time === 'object' && time !== null) {
    const { seconds, nanoseconds } = time as Partial<Instant>;
    if (seconds !== undefined && nanoseconds !== undefined) {
      checkInteger(seconds, `${name}.seconds`, -SECONDS_MAX, SECONDS_MAX);
      checkInteger(nanoseconds, `${name}.nanoseconds`, 0, 999_999_999);
      return { seconds, nanoseconds };
    }
    const ms = (time as { getTime?: () => number }).getTime?.();
    if (ms !== undefined && Number.isFinite(ms)) return fromUnits(ms / 1000, 1000, name);
  }
  throw invalidType(name, 'an instance of Date or an Time in seconds', time);
}

/** Seconds rounded to 1/`unitsPerSecond`. */
function fromUnits(value: number, unitsPerSecond: number, name: string): Instant {
  let seconds = Math.floor(value);
  let units = Math.round((value - seconds) * unitsPerSecond);
  if (units === unitsPerSecond) {
    units = 0;
    seconds++;
  }
  return checkSeconds({ seconds, nanoseconds: units * (1e9 / unitsPerSecond) }, name);
}

function checkSeconds(instant: Instant, name: string): Instant {
  checkInteger(instant.seconds, name, -SECONDS_MAX, SECONDS_MAX);
  return instant;
}
