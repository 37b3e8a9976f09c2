// The log's codecs: area header, flush header, records. They work in place, on bytes in the arena,
// since that is where the checksum kernels look. What is on a medium may be anything: a decoder
// checks every length and count before it uses it, and the answer to a bad flush is `undefined`,
// since telling damage from the end of the log takes the scan (host/nvlog/scan.ts).

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  FLUSH_CP_OFFSET,
  FLUSH_CRC_OFFSET,
  FLUSH_CYCLE_OFFSET,
  FLUSH_DURABLE_OFFSET,
  FLUSH_HEADER_SIZE,
  FLUSH_IMAGE_CHECKSUM_OFFSET,
  FLUSH_INDEX_OFFSET,
  FLUSH_MAGIC,
  FLUSH_MAGIC_OFFSET,
  FLUSH_RECORD_BYTES_OFFSET,
  FLUSH_RECORD_COUNT_OFFSET,
  FLUSH_RESERVED_OFFSET,
  FLUSH_SEQUENCE_OFFSET,
  FLUSH_SIZE_MAX,
  FLUSH_SIZE_OFFSET,
  FLUSH_TIMELINE_OFFSET,
  FLUSH_VERSION_OFFSET,
  LOG_AREA_BYTES_OFFSET,
  LOG_COPY_OFFSET,
  LOG_CRC_OFFSET,
  LOG_FLUSH_BYTES_OFFSET,
  LOG_HALF_BYTES_OFFSET,
  LOG_HALVES,
  LOG_HALVES_OFFSET,
  LOG_HEADER_SIZE,
  LOG_MAGIC,
  LOG_MAGIC_OFFSET,
  LOG_RESERVED_OFFSET,
  LOG_SIZE_OFFSET,
  LOG_UUID_OFFSET,
  LOG_VERSION,
  LOG_VERSION_OFFSET,
  RECORD_BODY_BYTES_OFFSET,
  RECORD_CHECKSUM_OFFSET,
  RECORD_CRC_OFFSET,
  RECORD_FLAGS_OFFSET,
  RECORD_HEADER_SIZE,
  RECORD_KIND_OFFSET,
  RECORD_MAGIC,
  RECORD_MAGIC_OFFSET,
  RECORD_SEQUENCE_OFFSET,
} from '../../assembly/layout/log.ts';
import { copyBytes, zeroBytes } from '../base/bytes.ts';
import { StorageError } from '../base/errors.ts';
import type { Address } from '../base/units.ts';
import type { Arena } from '../kernels/arena.ts';
import { getU64, setU64 } from './words.ts';

/** A u64 that is not a number to count with: a checksum or a random id. */
export interface Word64 {
  readonly low: number;
  readonly high: number;
}

export function isSameWord64(a: Word64, b: Word64): boolean {
  return a.low === b.low && a.high === b.high;
}

/** The checksum kernels as the codecs need them. */
export interface LogChecksums {
  readonly arena: Arena;
  /** CRC-32C of the bytes at an address, continued from `crc`. */
  crc32c(address: Address, length: number, crc: number): number;
  /** Puts the xxHash64 of the bytes at an address to `out` (8-byte aligned). */
  xxhash64(address: Address, length: number, out: Address): void;
  /** 8 bytes for a hash. */
  readonly scratch: Address;
}

export interface LogHeader {
  /** Which of the copies this is. */
  readonly copy: number;
  /** 16 bytes. */
  readonly volumeUuid: Uint8Array;
  readonly areaBytes: number;
  readonly halfBytes: number;
  readonly flushBytesMax: number;
}

export interface FlushHeader {
  /** Which filling of a half it is in, and its place there. */
  readonly cycle: number;
  readonly index: number;
  readonly recordCount: number;
  readonly recordBytes: number;
  readonly firstSequence: number;
  /** All up to this was durable when the flush was begun. */
  readonly durableUpTo: number;
  readonly timeline: Word64;
  readonly cpNumber: number;
  readonly imageChecksum: Word64;
}

/** A record, read back. */
export interface LogRecord {
  readonly sequence: number;
  readonly kind: number;
  readonly flags: number;
  readonly body: Uint8Array;
}

/** Sequence numbers, cycles and CP numbers of the log stay below this: sums of two are exact. */
export const LOG_NUMBER_LIMIT = 2 ** 52;

/** Flushes of the largest size that a half has room for, at least: one, and once more for a sync
 *  call that takes it over. */
export const LOG_FLUSHES_MIN = 2;

/** Bytes that a record with such a body takes. */
export function recordBytesOf(bodyBytes: number): number {
  return RECORD_HEADER_SIZE + Math.ceil(bodyBytes / 8) * 8;
}

/** Bytes that a flush with so many bytes of records takes. */
export function flushBytesOf(recordBytes: number): number {
  return Math.ceil((FLUSH_HEADER_SIZE + recordBytes) / BLOCK_SIZE) * BLOCK_SIZE;
}

/** Writes a whole header block at `at`. */
export function encodeLogHeader(checksums: LogChecksums, at: Address, header: LogHeader): void {
  const { u8, view } = checksums.arena;
  u8.fill(0, at, at + LOG_HEADER_SIZE);
  view.setUint32(at + LOG_MAGIC_OFFSET, LOG_MAGIC, true);
  view.setUint32(at + LOG_VERSION_OFFSET, LOG_VERSION, true);
  view.setUint32(at + LOG_SIZE_OFFSET, LOG_HEADER_SIZE, true);
  view.setUint32(at + LOG_COPY_OFFSET, header.copy, true);
  u8.set(header.volumeUuid, at + LOG_UUID_OFFSET);
  setU64(view, at + LOG_AREA_BYTES_OFFSET, header.areaBytes);
  setU64(view, at + LOG_HALF_BYTES_OFFSET, header.halfBytes);
  view.setUint32(at + LOG_FLUSH_BYTES_OFFSET, header.flushBytesMax, true);
  const crc = checksums.crc32c(at, LOG_CRC_OFFSET, 0);
  view.setUint32(at + LOG_CRC_OFFSET, crc, true);
}

/** The header at `at`.
 *  @throws StorageError BAD_MAGIC, BAD_CHECKSUM (also for contents that cannot be),
 *  VERSION_TOO_NEW. */
export function decodeLogHeader(checksums: LogChecksums, at: Address): LogHeader {
  const { u8, view } = checksums.arena;
  if (view.getUint32(at + LOG_MAGIC_OFFSET, true) !== LOG_MAGIC) {
    throw new StorageError('BAD_MAGIC', 'this is no header of a log');
  }
  const expected = view.getUint32(at + LOG_CRC_OFFSET, true);
  const actual = checksums.crc32c(at, LOG_CRC_OFFSET, 0);
  if (actual !== expected) {
    throw new StorageError('BAD_CHECKSUM', 'the header of the log is damaged', {
      detail: { expected, actual },
    });
  }
  const version = view.getUint32(at + LOG_VERSION_OFFSET, true);
  if (version > LOG_VERSION) {
    throw new StorageError('VERSION_TOO_NEW', `the log has version ${version}`, {
      detail: { version, supported: LOG_VERSION },
    });
  }
  const header: LogHeader = {
    copy: view.getUint32(at + LOG_COPY_OFFSET, true),
    volumeUuid: u8.slice(at + LOG_UUID_OFFSET, at + LOG_UUID_OFFSET + 16),
    areaBytes: getU64(view, at + LOG_AREA_BYTES_OFFSET),
    halfBytes: getU64(view, at + LOG_HALF_BYTES_OFFSET),
    flushBytesMax: view.getUint32(at + LOG_FLUSH_BYTES_OFFSET, true),
  };
  const isSound =
    version === LOG_VERSION &&
    view.getUint32(at + LOG_SIZE_OFFSET, true) === LOG_HEADER_SIZE &&
    isZero(u8, at + LOG_RESERVED_OFFSET, at + LOG_CRC_OFFSET) &&
    isLogGeometry(header);
  if (isSound) return header;
  throw new StorageError('BAD_CHECKSUM', 'the header of the log holds what cannot be', {
    detail: { version, ...header, volumeUuid: undefined },
  });
}

/** Whether these sizes can be those of a log. */
export function isLogGeometry(geometry: Omit<LogHeader, 'copy' | 'volumeUuid'>): boolean {
  const { areaBytes, halfBytes, flushBytesMax } = geometry;
  return (
    halfBytes % BLOCK_SIZE === 0 &&
    flushBytesMax % BLOCK_SIZE === 0 &&
    flushBytesMax >= BLOCK_SIZE &&
    flushBytesMax <= FLUSH_SIZE_MAX &&
    flushBytesMax * LOG_FLUSHES_MIN <= halfBytes &&
    areaBytes < LOG_NUMBER_LIMIT &&
    LOG_HALVES_OFFSET + LOG_HALVES * halfBytes <= areaBytes
  );
}

/** Completes a flush whose records (bodies and checksums of bodies) stand in their places:
 *  writes the header at `at`, the CRCs of the records, the zeros up to whole blocks.
 *  @returns the bytes of the flush. */
export function encodeFlush(checksums: LogChecksums, at: Address, header: FlushHeader): number {
  const { u8, view } = checksums.arena;
  u8.fill(0, at, at + FLUSH_HEADER_SIZE);
  view.setUint32(at + FLUSH_MAGIC_OFFSET, FLUSH_MAGIC, true);
  view.setUint32(at + FLUSH_VERSION_OFFSET, LOG_VERSION, true);
  view.setUint32(at + FLUSH_SIZE_OFFSET, FLUSH_HEADER_SIZE, true);
  setU64(view, at + FLUSH_CYCLE_OFFSET, header.cycle);
  view.setUint32(at + FLUSH_INDEX_OFFSET, header.index, true);
  view.setUint32(at + FLUSH_RECORD_COUNT_OFFSET, header.recordCount, true);
  view.setUint32(at + FLUSH_RECORD_BYTES_OFFSET, header.recordBytes, true);
  setU64(view, at + FLUSH_SEQUENCE_OFFSET, header.firstSequence);
  setU64(view, at + FLUSH_DURABLE_OFFSET, header.durableUpTo);
  setWord64(view, at + FLUSH_TIMELINE_OFFSET, header.timeline);
  setU64(view, at + FLUSH_CP_OFFSET, header.cpNumber);
  setWord64(view, at + FLUSH_IMAGE_CHECKSUM_OFFSET, header.imageChecksum);
  let crc = checksums.crc32c(at, FLUSH_CRC_OFFSET, 0);
  view.setUint32(at + FLUSH_CRC_OFFSET, crc, true);
  const end = at + FLUSH_HEADER_SIZE + header.recordBytes;
  for (let record = at + FLUSH_HEADER_SIZE; record < end; ) {
    crc = checksums.crc32c(record, RECORD_CRC_OFFSET, crc);
    view.setUint32(record + RECORD_CRC_OFFSET, crc, true);
    record += recordBytesOf(view.getUint32(record + RECORD_BODY_BYTES_OFFSET, true));
  }
  const flushBytes = flushBytesOf(header.recordBytes);
  zeroBytes(u8, end, at + flushBytes);
  return flushBytes;
}

/** The flush header at `at`, if there is one that is whole and can be. */
export function decodeFlushHeader(
  checksums: LogChecksums,
  at: Address,
  flushBytesMax: number,
): FlushHeader | undefined {
  const { u8, view } = checksums.arena;
  if (view.getUint32(at + FLUSH_MAGIC_OFFSET, true) !== FLUSH_MAGIC) return undefined;
  const crc = checksums.crc32c(at, FLUSH_CRC_OFFSET, 0);
  if (view.getUint32(at + FLUSH_CRC_OFFSET, true) !== crc) return undefined;
  const header: FlushHeader = {
    cycle: getU64(view, at + FLUSH_CYCLE_OFFSET),
    index: view.getUint32(at + FLUSH_INDEX_OFFSET, true),
    recordCount: view.getUint32(at + FLUSH_RECORD_COUNT_OFFSET, true),
    recordBytes: view.getUint32(at + FLUSH_RECORD_BYTES_OFFSET, true),
    firstSequence: getU64(view, at + FLUSH_SEQUENCE_OFFSET),
    durableUpTo: getU64(view, at + FLUSH_DURABLE_OFFSET),
    timeline: getWord64(view, at + FLUSH_TIMELINE_OFFSET),
    cpNumber: getU64(view, at + FLUSH_CP_OFFSET),
    imageChecksum: getWord64(view, at + FLUSH_IMAGE_CHECKSUM_OFFSET),
  };
  const isSound =
    view.getUint32(at + FLUSH_VERSION_OFFSET, true) === LOG_VERSION &&
    view.getUint32(at + FLUSH_SIZE_OFFSET, true) === FLUSH_HEADER_SIZE &&
    isZero(u8, at + FLUSH_RESERVED_OFFSET, at + FLUSH_CRC_OFFSET) &&
    flushBytesOf(header.recordBytes) <= flushBytesMax &&
    header.recordCount > 0 &&
    header.recordCount * RECORD_HEADER_SIZE <= header.recordBytes &&
    header.cycle < LOG_NUMBER_LIMIT &&
    header.cpNumber < LOG_NUMBER_LIMIT &&
    header.firstSequence > 0 &&
    header.firstSequence + header.recordCount <= LOG_NUMBER_LIMIT &&
    header.durableUpTo >= header.firstSequence - 1 &&
    header.durableUpTo < LOG_NUMBER_LIMIT;
  return isSound ? header : undefined;
}

/** Sequence number of a flush's last record. */
export function lastSequenceOf(header: FlushHeader): number {
  return header.firstSequence + header.recordCount - 1;
}

/** Puts a record's header at `at`, all but its CRC, which encodeFlush adds; its body stands behind.
 *  Takes no object: this runs once for each message.
 *  @returns the bytes of the record. */
export function encodeRecord(
  checksums: LogChecksums,
  at: Address,
  sequence: number,
  kind: number,
  flags: number,
  bodyBytes: number,
): number {
  const { u8, view } = checksums.arena;
  const body = at + RECORD_HEADER_SIZE;
  const recordBytes = recordBytesOf(bodyBytes);
  for (let pad = body + bodyBytes; pad < at + recordBytes; pad++) u8[pad] = 0;
  view.setUint16(at + RECORD_MAGIC_OFFSET, RECORD_MAGIC, true);
  view.setUint16(at + RECORD_KIND_OFFSET, kind, true);
  view.setUint32(at + RECORD_BODY_BYTES_OFFSET, bodyBytes, true);
  setU64(view, at + RECORD_SEQUENCE_OFFSET, sequence);
  checksums.xxhash64(body, bodyBytes, at + RECORD_CHECKSUM_OFFSET);
  view.setUint32(at + RECORD_FLAGS_OFFSET, flags, true);
  return recordBytes;
}

/** The records of the flush at `at` whose header was decoded, copied out; those with a sequence
 *  number up to `skipTo` are checked and left out. undefined if anything is not whole. */
export function decodeRecords(
  checksums: LogChecksums,
  at: Address,
  header: FlushHeader,
  skipTo: number,
): LogRecord[] | undefined {
  const { u8, view } = checksums.arena;
  const end = at + FLUSH_HEADER_SIZE + header.recordBytes;
  let crc = view.getUint32(at + FLUSH_CRC_OFFSET, true);
  let record = at + FLUSH_HEADER_SIZE;
  const records: LogRecord[] = [];
  for (let index = 0; index < header.recordCount; index++) {
    if (record + RECORD_HEADER_SIZE > end) return undefined;
    crc = checksums.crc32c(record, RECORD_CRC_OFFSET, crc);
    const sequence = getU64(view, record + RECORD_SEQUENCE_OFFSET);
    const bodyBytes = view.getUint32(record + RECORD_BODY_BYTES_OFFSET, true);
    const isSound =
      view.getUint16(record + RECORD_MAGIC_OFFSET, true) === RECORD_MAGIC &&
      view.getUint32(record + RECORD_CRC_OFFSET, true) === crc &&
      sequence === header.firstSequence + index &&
      record + recordBytesOf(bodyBytes) <= end;
    if (!isSound) return undefined;
    const body = record + RECORD_HEADER_SIZE;
    checksums.xxhash64(body, bodyBytes, checksums.scratch);
    const actual = getWord64(view, checksums.scratch);
    if (!isSameWord64(actual, getWord64(view, record + RECORD_CHECKSUM_OFFSET))) return undefined;
    if (sequence > skipTo) {
      records.push({
        sequence,
        kind: view.getUint16(record + RECORD_KIND_OFFSET, true),
        flags: view.getUint32(record + RECORD_FLAGS_OFFSET, true),
        body: copyBytes(u8, body, body + bodyBytes),
      });
    }
    record += recordBytesOf(bodyBytes);
  }
  return record === end ? records : undefined;
}

function getWord64(view: DataView, at: Address): Word64 {
  return { low: view.getUint32(at, true), high: view.getUint32(at + 4, true) };
}

function setWord64(view: DataView, at: Address, word: Word64): void {
  view.setUint32(at, word.low, true);
  view.setUint32(at + 4, word.high, true);
}

function isZero(u8: Uint8Array, from: Address, to: Address): boolean {
  for (let at = from; at < to; at++) if (u8[at] !== 0) return false;
  return true;
}
