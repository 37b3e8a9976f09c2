// The many forms in which read and write say from where, to where and how much.

import { invalidType, invalidValue, outOfRange } from './argument-errors.ts';
import { bytesOf, checkInteger, checkObject } from './arguments.ts';
import { asHostBytes } from './globals.ts';

export interface ReadOptions<B extends ArrayBufferView = ArrayBufferView> {
  readonly buffer?: B | undefined;
  readonly offset?: number | null | undefined;
  readonly length?: number | null | undefined;
  readonly position?: number | bigint | null | undefined;
}

export interface WriteOptions {
  readonly offset?: number | null | undefined;
  readonly length?: number | null | undefined;
  readonly position?: number | null | undefined;
}

/** What is to be read. */
export interface ReadTransfer {
  readonly buffer: ArrayBufferView;
  /** The part of the buffer to fill. */
  readonly target: Uint8Array;
  /** null: at the handle's own position. */
  readonly position: number | null;
}

export interface WriteTransfer {
  readonly bytes: Uint8Array;
  readonly position: number | null;
}

const READ_BUFFER_SIZE = 16384;

/** read(buffer, offset, length, position), read(buffer, options), read(options). */
export function readTransfer(
  bufferOrOptions: unknown,
  offsetOrOptions: unknown,
  length: unknown,
  position: unknown,
): ReadTransfer {
  if (!ArrayBuffer.isView(bufferOrOptions)) {
    if (bufferOrOptions !== undefined && bufferOrOptions !== null) {
      checkObject(bufferOrOptions, 'options');
    }
    const options = (bufferOrOptions ?? {}) as ReadOptions;
    const { buffer = asHostBytes(new Uint8Array(READ_BUFFER_SIZE)) } = options;
    if (!ArrayBuffer.isView(buffer)) {
      throw invalidType('buffer', 'an instance of Buffer, TypedArray, or DataView', buffer);
    }
    return checkedRead(buffer, options.offset, options.length, options.position);
  }
  if (typeof offsetOrOptions === 'object' && offsetOrOptions !== null) {
    const options = offsetOrOptions as ReadOptions;
    return checkedRead(bufferOrOptions, options.offset, options.length, options.position);
  }
  return checkedRead(bufferOrOptions, offsetOrOptions, length, position);
}

function checkedRead(
  buffer: ArrayBufferView,
  offset: unknown,
  length: unknown,
  position: unknown,
): ReadTransfer {
  const start = checkInteger(offset ?? 0, 'offset', 0);
  const count = Number(length ?? buffer.byteLength - start);
  const bytes = viewOf(buffer);
  if (count !== 0) {
    if (bytes.length === 0) throw invalidValue('buffer', buffer, 'is empty and cannot be written');
    if (count < 0) throw outOfRange('length', '>= 0', count);
    if (start + count > bytes.length) {
      throw outOfRange('length', `<= ${bytes.length - start}`, count);
    }
  }
  const isWhole = start === 0 && count === bytes.length;
  const target = isWhole ? bytes : bytes.subarray(start, start + count);
  return { buffer, target, position: positionOf(position) };
}

/** write(buffer, offset, length, position), write(buffer, options), write(text, position,
 *  encoding). */
export function writeTransfer(
  data: unknown,
  offsetOrOptions: unknown,
  length: unknown,
  position: unknown,
): WriteTransfer {
  if (typeof data === 'string') {
    checkHex(data, length);
    const encoding = typeof length === 'string' ? length : 'utf8';
    return { bytes: bytesOf(data, encoding), position: positionOf(offsetOrOptions) };
  }
  const bytes = bytesOf(data, null, 'buffer');
  if (typeof offsetOrOptions === 'object' && offsetOrOptions !== null) {
    const options = offsetOrOptions as WriteOptions;
    return checkedWrite(bytes, options.offset, options.length, options.position);
  }
  return checkedWrite(bytes, offsetOrOptions, length, position);
}

function checkedWrite(
  bytes: Uint8Array,
  offset: unknown,
  length: unknown,
  position: unknown,
): WriteTransfer {
  if (bytes.length === 0) return { bytes, position: positionOf(position) };
  const start = checkInteger(offset ?? 0, 'offset', 0);
  const count = typeof length === 'number' ? length : bytes.length - start;
  if (start > bytes.length) throw outOfRange('offset', `<= ${bytes.length}`, start);
  if (count > bytes.length - start) {
    throw outOfRange('length', `<= ${bytes.length - start}`, count);
  }
  if (count < 0) throw outOfRange('length', '>= 0', count);
  const isWhole = start === 0 && count === bytes.length;
  return {
    bytes: isWhole ? bytes : bytes.subarray(start, start + count),
    position: positionOf(position),
  };
}

function checkHex(text: string, encoding: unknown): void {
  if (typeof encoding !== 'string' || encoding.toLowerCase() !== 'hex') return;
  if (text.length % 2 === 0) return;
  throw invalidValue('encoding', encoding, `is invalid for data of length ${text.length}`);
}

/** Where; null for everything that is no place: the handle's own position is meant. */
export function positionOf(position: unknown): number | null {
  const place = typeof position === 'bigint' ? Number(position) : position;
  return Number.isSafeInteger(place) && (place as number) >= 0 ? (place as number) : null;
}

export function viewOf(view: ArrayBufferView): Uint8Array {
  return view instanceof Uint8Array
    ? view
    : new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}
