// The log as it lies in one copy: headers, and every flush that is whole, with its records.

import { BLOCK_SIZE } from '../../../assembly/layout/block.ts';
import {
  FLUSH_HEADER_SIZE,
  LOG_HALVES,
  LOG_HALVES_OFFSET,
  LOG_HEADER_COPIES,
  LOG_HEADER_SIZE,
  RECORD_BODY_BYTES_OFFSET,
  RECORD_HEADER_SIZE,
} from '../../../assembly/layout/log.ts';
import { isStorageError } from '../../base/errors.ts';
import type { Nvram } from '../../device/device.ts';
import { decodeRequests } from '../../filesystem/requests.ts';
import {
  decodeFlushHeader,
  decodeLogHeader,
  decodeRecords,
  type FlushHeader,
  flushBytesOf,
  type LogHeader,
  type LogRecord,
  recordBytesOf,
} from '../../format/log.ts';
import type { LogMemory } from '../../nvlog/log-memory.ts';
import { FieldList, type Inspected, viewOf } from './decode.ts';
import { FLUSH, LOG, RECORD } from './structures.ts';

/** A structure and where in the log it begins. */
export interface InLog extends Inspected {
  readonly offsetBytes: number;
}

/** Characters of a record's body, as JSON, that are shown. */
const BODY_SHOWN_MAX = 4096;

/** All headers, then, where `withRecords`, all flushes of both halves, as they lie. */
export async function* inspectLog(
  nvram: Nvram,
  memory: LogMemory,
  withRecords: boolean,
): AsyncGenerator<InLog> {
  let header: LogHeader | undefined;
  for (let copy = 0; copy < LOG_HEADER_COPIES; copy++) {
    const offsetBytes = copy * LOG_HEADER_SIZE;
    const bytes = await read(nvram, offsetBytes, LOG_HEADER_SIZE);
    if (bytes === undefined) continue;
    const list = new FieldList(viewOf(bytes));
    list.structure(LOG, 0, '');
    memory.arena.u8.set(bytes, memory.staging[0]);
    try {
      header ??= decodeLogHeader(memory, memory.staging[0]);
    } catch (error) {
      if (!isStorageError(error)) throw error;
      list.problems.push(error.message);
    }
    yield { ...list.done(LOG.name), offsetBytes };
  }
  if (header === undefined || !withRecords) return;
  for (let half = 0; half < LOG_HALVES; half++) {
    yield* inspectHalf(nvram, memory, header, LOG_HALVES_OFFSET + half * header.halfBytes);
  }
}

async function* inspectHalf(
  nvram: Nvram,
  memory: LogMemory,
  header: LogHeader,
  first: number,
): AsyncGenerator<InLog> {
  const [at] = memory.staging;
  const limit = first + header.halfBytes;
  for (let offset = first; offset < limit; ) {
    const block = await read(nvram, offset, BLOCK_SIZE);
    if (block !== undefined) memory.arena.u8.set(block, at);
    const most = Math.min(header.flushBytesMax, limit - offset, memory.flushBytesMax);
    const flush = block === undefined ? undefined : decodeFlushHeader(memory, at, most);
    const size = flush === undefined ? BLOCK_SIZE : flushBytesOf(flush.recordBytes);
    if (flush !== undefined) {
      const bytes = await read(nvram, offset, size);
      if (bytes !== undefined) yield* inspectFlush(memory, flush, bytes, offset);
    }
    offset += size;
  }
}

function* inspectFlush(
  memory: LogMemory,
  flush: FlushHeader,
  bytes: Uint8Array,
  offsetBytes: number,
): Generator<InLog> {
  const [at] = memory.staging;
  memory.arena.u8.set(bytes, at);
  const list = new FieldList(viewOf(bytes));
  list.structure(FLUSH, 0, '');
  const records = decodeRecords(memory, at, flush, 0);
  if (records === undefined) list.problems.push('its records are not whole');
  yield { ...list.done(FLUSH.name), offsetBytes };
  let position = FLUSH_HEADER_SIZE;
  for (const record of records ?? []) {
    const size = recordBytesOf(record.body.length);
    const inspected = inspectRecord(bytes.subarray(position, position + size), record);
    yield { ...inspected, offsetBytes: offsetBytes + position };
    position += size;
  }
  const end = FLUSH_HEADER_SIZE + flush.recordBytes;
  if (end === bytes.length) return;
  const padding = new FieldList(viewOf(bytes.subarray(end)));
  padding.plain('zeros', 0, bytes.length - end, 'zero');
  yield { ...padding.done('flush-padding'), offsetBytes: offsetBytes + end };
}

/** A record's header, its body as the requests that it holds, its padding. */
function inspectRecord(bytes: Uint8Array, record: LogRecord): Inspected {
  const view = viewOf(bytes);
  const list = new FieldList(view);
  list.structure(RECORD, 0, '');
  const bodyBytes = view.getUint32(RECORD_BODY_BYTES_OFFSET, true);
  const end = RECORD_HEADER_SIZE + bodyBytes;
  let body = '';
  try {
    body = requestsText(record.body);
  } catch (error) {
    if (!isStorageError(error)) throw error;
    list.problems.push(error.message);
  }
  list.add('body', RECORD_HEADER_SIZE, bodyBytes, body);
  list.plain('padding', end, bytes.length - end, 'zero');
  return list.done(RECORD.name);
}

const decoder = new TextDecoder();

/** Requests as JSON; names as text, data as its length. */
function requestsText(body: Uint8Array): string {
  const text = JSON.stringify(decodeRequests(body), (key, value) => {
    if (!(value instanceof Uint8Array)) return value;
    return key === 'data' || key === 'value' ? `${value.length} bytes` : decoder.decode(value);
  });
  return text.length > BODY_SHOWN_MAX ? `${text.slice(0, BODY_SHOWN_MAX)}…` : text;
}

/** Bytes of a device; undefined where it does not give them. */
async function read(
  nvram: Nvram,
  offsetBytes: number,
  sizeBytes: number,
): Promise<Uint8Array | undefined> {
  if (offsetBytes + sizeBytes > nvram.sizeBytes) return undefined;
  const bytes = new Uint8Array(sizeBytes);
  try {
    await nvram.read(offsetBytes, bytes);
  } catch (error) {
    if (!isStorageError(error, 'DISK_FAILED')) throw error;
    return undefined;
  }
  return bytes;
}
