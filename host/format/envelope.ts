// What label, volume root and journal header have in common: they begin with magic, version and
// size, and hold at byte 16 the xxHash64 of themselves with that field zero. These offsets are the
// same in every version to come, so that an old reader can tell a newer structure from a damaged
// one.

import { StorageError } from '../base/errors.ts';
import type { Instant } from '../base/units.ts';
import { checksumHex } from './pointer.ts';
import { getInstant } from './words.ts';

/** A 64-bit checksum as two unsigned words. */
export interface Checksum {
  readonly low: number;
  readonly high: number;
}

/** xxHash64 (seed 0) of some bytes: the kernel, wherever the bytes lie. */
export type Hash = (bytes: Uint8Array) => Checksum;

/** Feature bits: a reader that does not know one of the first set must refuse the volume, of the
 *  second must not write it, of the third may ignore it. */
export interface Features {
  readonly incompatible: bigint;
  readonly readOnly: bigint;
  readonly compatible: bigint;
}

export const NO_FEATURES: Features = { incompatible: 0n, readOnly: 0n, compatible: 0n };

const MAGIC_OFFSET = 0;
const VERSION_OFFSET = 4;
const SIZE_OFFSET = 8;
const CHECKSUM_OFFSET = 16;
const CHECKSUM_SIZE = 8;

export interface Envelope {
  readonly name: string;
  readonly magic: number;
  /** The newest version that this code reads. */
  readonly version: number;
  readonly sizeBytes: number;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Zeroed bytes with magic, version and size set. */
export function openEnvelope(envelope: Envelope): Uint8Array {
  const bytes = new Uint8Array(envelope.sizeBytes);
  const view = viewOf(bytes);
  view.setUint32(MAGIC_OFFSET, envelope.magic, true);
  view.setUint32(VERSION_OFFSET, envelope.version, true);
  view.setUint32(SIZE_OFFSET, envelope.sizeBytes, true);
  return bytes;
}

/** Sets the checksum; the last thing to do. */
export function sealEnvelope(bytes: Uint8Array, hash: Hash): Uint8Array {
  const { low, high } = hash(bytes);
  const view = viewOf(bytes);
  view.setUint32(CHECKSUM_OFFSET, low, true);
  view.setUint32(CHECKSUM_OFFSET + 4, high, true);
  return bytes;
}

/** Whether `bytes` begin with the magic of this structure: nothing else is checked. */
export function hasMagic(bytes: Uint8Array, envelope: Envelope): boolean {
  return viewOf(bytes).getUint32(MAGIC_OFFSET, true) === envelope.magic;
}

/** Checks what an envelope promises and gives a view of the structure.
 *  @throws StorageError BAD_MAGIC, BAD_CHECKSUM, VERSION_TOO_NEW. */
export function checkEnvelope(bytes: Uint8Array, envelope: Envelope, hash: Hash): DataView {
  const { name, sizeBytes } = envelope;
  if (bytes.length < sizeBytes || !hasMagic(bytes, envelope)) {
    throw new StorageError('BAD_MAGIC', `this is no ${name}`);
  }
  const view = viewOf(bytes);
  const size = view.getUint32(SIZE_OFFSET, true);
  const version = view.getUint32(VERSION_OFFSET, true);
  // A newer version may be larger or smaller than ours; what cannot be checked is damage.
  const isSizeSane =
    version > envelope.version ? size >= 24 && size <= bytes.length : size === sizeBytes;
  if (!isSizeSane || version === 0) throw damaged(name, `says version ${version}, ${size} bytes`);
  const copy = bytes.slice(0, size);
  copy.fill(0, CHECKSUM_OFFSET, CHECKSUM_OFFSET + CHECKSUM_SIZE);
  const { low, high } = hash(copy);
  const storedLow = view.getUint32(CHECKSUM_OFFSET, true);
  const storedHigh = view.getUint32(CHECKSUM_OFFSET + 4, true);
  if (low !== storedLow || high !== storedHigh) {
    throw new StorageError('BAD_CHECKSUM', `the checksum of the ${name} is wrong`, {
      detail: { expected: checksumHex(storedLow, storedHigh), actual: checksumHex(low, high) },
    });
  }
  if (version > envelope.version) {
    throw new StorageError('VERSION_TOO_NEW', `the ${name} has version ${version}`, {
      detail: { version, versionMax: envelope.version },
    });
  }
  return view;
}

/** Fails unless bytes [from, to) are zero, as reserved ones are. */
export function checkZero(view: DataView, from: number, to: number, name: string): void {
  // Words first: kilobytes of a root are zero, and a mount looks at all of its slots.
  let offset = from;
  while (offset + 4 <= to && view.getUint32(offset) === 0) offset += 4;
  for (; offset < to; offset++) {
    if (view.getUint8(offset) !== 0) throw damaged(name, `byte ${offset} is not zero`);
  }
}

/** A structure whose checksum is right and whose content is impossible: made by something else. */
export function damaged(name: string, what: string): StorageError {
  return new StorageError('BAD_MAGIC', `the ${name} is not as it must be: ${what}`);
}

/** The time at `offset`, if it is one. */
export function getTime(view: DataView, offset: number, name: string): Instant {
  const time = getInstant(view, offset);
  if (!Number.isSafeInteger(time.seconds) || time.nanoseconds >= 1e9) throw damaged(name, 'a time');
  return time;
}

export function getFeatures(view: DataView, offset: number): Features {
  return {
    incompatible: view.getBigUint64(offset, true),
    readOnly: view.getBigUint64(offset + 8, true),
    compatible: view.getBigUint64(offset + 16, true),
  };
}

export function setFeatures(view: DataView, offset: number, features: Features): void {
  view.setBigUint64(offset, features.incompatible, true);
  view.setBigUint64(offset + 8, features.readOnly, true);
  view.setBigUint64(offset + 16, features.compatible, true);
}

/** 16 bytes as 8-4-4-4-12 hex digits. */
export function getUuid(view: DataView, offset: number): string {
  let text = '';
  for (let index = 0; index < 16; index++) {
    if (index === 4 || index === 6 || index === 8 || index === 10) text += '-';
    text += view
      .getUint8(offset + index)
      .toString(16)
      .padStart(2, '0');
  }
  return text;
}

export function setUuid(view: DataView, offset: number, uuid: string): void {
  const digits = uuid.replaceAll('-', '');
  for (let index = 0; index < 16; index++) {
    view.setUint8(offset + index, Number.parseInt(digits.slice(2 * index, 2 * index + 2), 16));
  }
}
