// Headers of stripe journal entries: bytes <-> plain objects. See assembly/layout/journal.ts.

import { DIAGONAL_COLUMN } from '../../assembly/layout/block.ts';
import {
  JOURNAL_COUNT_OFFSET,
  JOURNAL_DURABLE_OFFSET,
  JOURNAL_EPOCH_OFFSET,
  JOURNAL_MAGIC,
  JOURNAL_RECORD_CHECKSUM_OFFSET,
  JOURNAL_RECORD_COLUMN_OFFSET,
  JOURNAL_RECORD_DBN_HIGH_OFFSET,
  JOURNAL_RECORD_DBN_LOW_OFFSET,
  JOURNAL_RECORD_GROUP_OFFSET,
  JOURNAL_RECORD_SIZE,
  JOURNAL_RECORDS_MAX,
  JOURNAL_RECORDS_OFFSET,
  JOURNAL_SEQUENCE_OFFSET,
  JOURNAL_SIZE,
  JOURNAL_UUID_OFFSET,
  JOURNAL_VERSION,
} from '../../assembly/layout/journal.ts';
import { assert } from '../base/assert.ts';
import type { Dbn } from '../base/units.ts';
import type { Checksum, Envelope, Hash } from './envelope.ts';
import {
  checkEnvelope,
  checkZero,
  damaged,
  getUuid,
  openEnvelope,
  sealEnvelope,
  setUuid,
  viewOf,
} from './envelope.ts';
import { getU64, setU64 } from './words.ts';

/** A block of an entry: where it belongs and what it must hold. */
export interface JournalRecord {
  readonly dbn: Dbn;
  readonly group: number;
  readonly column: number;
  readonly checksum: Checksum;
}

export interface JournalHeader {
  readonly volumeUuid: string;
  readonly epoch: number;
  readonly sequence: number;
  /** Entries up to this sequence number were durable in place when this one was written. */
  readonly durable: number;
  readonly records: readonly JournalRecord[];
}

export const JOURNAL_ENVELOPE: Envelope = {
  name: 'journal header',
  magic: JOURNAL_MAGIC,
  version: JOURNAL_VERSION,
  sizeBytes: JOURNAL_SIZE,
};

export function encodeJournalHeader(header: JournalHeader, hash: Hash): Uint8Array {
  assert(header.records.length <= JOURNAL_RECORDS_MAX, 'records fit', header.records.length);
  const bytes = openEnvelope(JOURNAL_ENVELOPE);
  const view = viewOf(bytes);
  view.setUint32(JOURNAL_COUNT_OFFSET, header.records.length, true);
  setUuid(view, JOURNAL_UUID_OFFSET, header.volumeUuid);
  setU64(view, JOURNAL_EPOCH_OFFSET, header.epoch);
  setU64(view, JOURNAL_SEQUENCE_OFFSET, header.sequence);
  setU64(view, JOURNAL_DURABLE_OFFSET, header.durable);
  header.records.forEach((record, index) => {
    const at = JOURNAL_RECORDS_OFFSET + index * JOURNAL_RECORD_SIZE;
    view.setUint32(at + JOURNAL_RECORD_DBN_LOW_OFFSET, record.dbn % 2 ** 32, true);
    view.setUint16(at + JOURNAL_RECORD_DBN_HIGH_OFFSET, Math.floor(record.dbn / 2 ** 32), true);
    view.setUint8(at + JOURNAL_RECORD_GROUP_OFFSET, record.group);
    view.setUint8(at + JOURNAL_RECORD_COLUMN_OFFSET, record.column);
    view.setUint32(at + JOURNAL_RECORD_CHECKSUM_OFFSET, record.checksum.low, true);
    view.setUint32(at + JOURNAL_RECORD_CHECKSUM_OFFSET + 4, record.checksum.high, true);
  });
  return sealEnvelope(bytes, hash);
}

/** @throws StorageError BAD_MAGIC, BAD_CHECKSUM, VERSION_TOO_NEW. */
export function decodeJournalHeader(bytes: Uint8Array, hash: Hash): JournalHeader {
  const view = checkEnvelope(bytes, JOURNAL_ENVELOPE, hash);
  const name = JOURNAL_ENVELOPE.name;
  const count = view.getUint32(JOURNAL_COUNT_OFFSET, true);
  if (count > JOURNAL_RECORDS_MAX) throw damaged(name, `it lists ${count} blocks`);
  checkZero(view, JOURNAL_RECORDS_OFFSET + count * JOURNAL_RECORD_SIZE, JOURNAL_SIZE, name);
  const records: JournalRecord[] = [];
  for (let index = 0; index < count; index++) records.push(getRecord(view, index));
  const header: JournalHeader = {
    volumeUuid: getUuid(view, JOURNAL_UUID_OFFSET),
    epoch: getU64(view, JOURNAL_EPOCH_OFFSET),
    sequence: getU64(view, JOURNAL_SEQUENCE_OFFSET),
    durable: getU64(view, JOURNAL_DURABLE_OFFSET),
    records,
  };
  const isSane = Number.isFinite(header.epoch) && header.durable < header.sequence;
  if (!isSane || !Number.isFinite(header.sequence))
    throw damaged(name, 'its numbers are impossible');
  return header;
}

function getRecord(view: DataView, index: number): JournalRecord {
  const at = JOURNAL_RECORDS_OFFSET + index * JOURNAL_RECORD_SIZE;
  const column = view.getUint8(at + JOURNAL_RECORD_COLUMN_OFFSET);
  if (column > DIAGONAL_COLUMN) throw damaged(JOURNAL_ENVELOPE.name, `it lists column ${column}`);
  return {
    dbn:
      view.getUint16(at + JOURNAL_RECORD_DBN_HIGH_OFFSET, true) * 2 ** 32 +
      view.getUint32(at + JOURNAL_RECORD_DBN_LOW_OFFSET, true),
    group: view.getUint8(at + JOURNAL_RECORD_GROUP_OFFSET),
    column,
    checksum: {
      low: view.getUint32(at + JOURNAL_RECORD_CHECKSUM_OFFSET, true),
      high: view.getUint32(at + JOURNAL_RECORD_CHECKSUM_OFFSET + 4, true),
    },
  };
}
