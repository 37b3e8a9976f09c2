// The log: headers, flushes with their records, requests in the records, and the scan over a whole
// area. Checksums and CRCs are mended along the chain.

import { BLOCK_SIZE } from '../../../assembly/layout/block.ts';
import {
  FLUSH_CRC_OFFSET,
  FLUSH_HEADER_SIZE,
  FLUSH_SIZE_MAX,
  LOG_CRC_OFFSET,
  LOG_HEADER_SIZE,
  RECORD_CHECKSUM_OFFSET,
  RECORD_CRC_OFFSET,
  RECORD_HEADER_SIZE,
} from '../../../assembly/layout/log.ts';
import { decodeRequests, encodeRecord, type Request } from '../../../host/filesystem/requests.ts';
import {
  decodeFlushHeader,
  decodeLogHeader,
  decodeRecords,
  encodeFlush,
  encodeLogHeader,
  encodeRecord as encodeRecordHeader,
  flushBytesOf,
  recordBytesOf,
} from '../../../host/format/log.ts';
import { RecordWriter } from '../../../host/format/record.ts';
import { FLUSH, LOG, RECORD } from '../../../host/volume/inspect/structures.ts';
import { joined } from '../mutate.ts';
import { ensureSame, placesOf, refused, type Target, utf8 } from '../target.ts';
import { arena, at, log, nvramBytes, volume } from './samples.ts';

const header: Target = {
  name: 'log-header',
  sources: ['format/log.js'],
  samples: () => [nvramBytes(0, LOG_HEADER_SIZE)],
  places: placesOf(LOG),
  end: 60,
  mend(input) {
    arena.u8.set(input, at);
    const view = new DataView(input.buffer, input.byteOffset);
    view.setUint32(LOG_CRC_OFFSET, log.crc32c(at, LOG_CRC_OFFSET, 0), true);
  },
  decode(input) {
    arena.u8.set(input, at);
    const decoded = decodeLogHeader(log, at);
    encodeLogHeader(log, at, decoded);
    ensureSame(arena.bytes(at, LOG_HEADER_SIZE), input, 'a header is written as it was read');
    return undefined;
  },
};

/** Makes the checksums of a flush right, as far as its records can be followed. */
export function mendFlush(input: Uint8Array): void {
  const flush = stage(input);
  const end = flush + input.length;
  const { view } = arena;
  let crc = log.crc32c(flush, FLUSH_CRC_OFFSET, 0);
  view.setUint32(flush + FLUSH_CRC_OFFSET, crc, true);
  for (let record = flush + FLUSH_HEADER_SIZE; record + RECORD_HEADER_SIZE <= end; ) {
    const bodyBytes = view.getUint32(record + 4, true);
    if (bodyBytes === 0 || record + recordBytesOf(bodyBytes) > end) break;
    log.xxhash64(record + RECORD_HEADER_SIZE, bodyBytes, record + RECORD_CHECKSUM_OFFSET);
    crc = log.crc32c(record, RECORD_CRC_OFFSET, crc);
    view.setUint32(record + RECORD_CRC_OFFSET, crc, true);
    record += recordBytesOf(bodyBytes);
  }
  input.set(arena.bytes(flush, input.length));
}

/** Puts an input where the codecs work, with zeros behind it. */
function stage(input: Uint8Array): number {
  const [flush] = log.staging;
  arena.u8.set(input, flush);
  arena.u8.fill(0, flush + input.length, flush + input.length + 2 * BLOCK_SIZE);
  return flush;
}

/** A flush of some records, as it is written. */
function flushOf(bodies: readonly Uint8Array[]): Uint8Array {
  const [flush] = log.staging;
  let next = flush + FLUSH_HEADER_SIZE;
  bodies.forEach((body, index) => {
    arena.u8.set(body, next + RECORD_HEADER_SIZE);
    next += encodeRecordHeader(log, next, 9 + index, 1, 0, body.length);
  });
  const bytes = encodeFlush(log, flush, {
    cycle: 3,
    index: 2,
    recordCount: bodies.length,
    recordBytes: next - flush - FLUSH_HEADER_SIZE,
    firstSequence: 9,
    durableUpTo: 8,
    timeline: { low: 1, high: 2 },
    cpNumber: 4,
    imageChecksum: { low: 5, high: 6 },
  });
  return arena.bytes(flush, bytes).slice();
}

const FLUSH_SAMPLE_MAX = 16_384;

const flush: Target = {
  name: 'flush',
  sources: ['format/log.js'],
  samples: () => {
    const real = volume()
      .layout.flushes.map((blocks) =>
        nvramBytes((blocks[0] as number) * BLOCK_SIZE, blocks.length * BLOCK_SIZE),
      )
      .filter(({ length }) => length <= FLUSH_SAMPLE_MAX)
      .slice(0, 4);
    return [...real, flushOf(BODIES), flushOf([utf8('one'), utf8('two'), new Uint8Array(900)])];
  },
  places: [...placesOf(FLUSH), ...placesOf(RECORD, FLUSH_HEADER_SIZE)],
  end: 400,
  lengthMax: FLUSH_SAMPLE_MAX,
  mend: mendFlush,
  decode(input) {
    const flush = stage(input);
    const decoded = decodeFlushHeader(log, flush, FLUSH_SIZE_MAX);
    if (decoded === undefined) throw refused('no flush');
    if (flushBytesOf(decoded.recordBytes) > input.length) throw refused('cut off');
    const records = decodeRecords(log, flush, decoded, 0);
    if (records === undefined) throw refused('its records are not whole');
    for (const { body } of records) decodeRequests(body);
    return `${Math.min(4, records.length)} records`;
  },
};

const TIME = { seconds: 1, nanoseconds: 2 };
const NAME = utf8('name');
const FILE = { ino: 20, generation: 1 };
const REQUESTS: readonly Request[] = [
  {
    kind: 'create',
    directory: 1,
    name: NAME,
    ...FILE,
    mode: 0o100644,
    uid: 1,
    gid: 2,
    time: TIME,
    target: utf8('target'),
    seedLow: 3,
    seedHigh: 4,
  },
  { kind: 'truncate', ...FILE, sizeBytes: 9, time: TIME, zombie: 21, zombieGeneration: 1 },
  {
    kind: 'change',
    ...FILE,
    mask: 31,
    mode: 0o644,
    uid: 1,
    gid: 2,
    atime: TIME,
    mtime: TIME,
    time: TIME,
  },
  { kind: 'link', directory: 1, name: NAME, ...FILE, time: TIME },
  { kind: 'unlink', directory: 1, name: NAME, ino: 20, time: TIME, isOpen: true },
  {
    kind: 'rename',
    fromDirectory: 1,
    fromName: NAME,
    toDirectory: 2,
    toName: utf8('other'),
    ino: 20,
    victim: 0,
    time: TIME,
    isVictimOpen: false,
  },
  { kind: 'xattr', ...FILE, name: NAME, value: NAME, isRemoval: false, time: TIME },
  { kind: 'snapshot', cp: 3, id: 4, name: 'monday', time: TIME },
  { kind: 'snapshotChange', id: 4, holds: 1, name: 'monday', isDeleted: true },
  {
    kind: 'reference',
    ...FILE,
    fbn: 0,
    pointers: [
      { vbn: 5, kind: 1, checksumLow: 1, checksumHigh: 2 },
      { vbn: 6, kind: 1, checksumLow: 3, checksumHigh: 4 },
    ],
    time: TIME,
  },
  { kind: 'write', ...FILE, position: 5, time: TIME, data: utf8('some data') },
];

function bodyOf(requests: readonly Request[]): Uint8Array {
  return joined(encodeRecord(new RecordWriter(), requests));
}

const BODIES = [...REQUESTS.map((request) => [request]), REQUESTS].map(bodyOf);

const requests: Target = {
  name: 'requests',
  sources: [
    'filesystem/requests.js:decodeRequests,decodeRequest,decodeOther,decodeSnapshotRequest,' +
      'decodePointers',
    'format/record.js',
  ],
  samples: () => BODIES,
  tokens: BODIES,
  lengthMax: 2048,
  decode(input) {
    const decoded = decodeRequests(input);
    // encodeRecord carries the data of one write, and no record has more.
    if (decoded.filter(({ kind }) => kind === 'write').length > 1) return 'writes';
    ensureSame(bodyOf(decoded), input, 'requests are written as they were read');
    return decoded
      .slice(0, 3)
      .map(({ kind }) => kind)
      .join(' ');
  },
};

export const LOG_TARGETS: readonly Target[] = [header, flush, requests];
