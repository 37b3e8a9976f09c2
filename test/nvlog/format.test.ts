// Checks the log's codecs: what is written is read back, and whatever else stands on the medium
// gives an answer or a typed error. It matters because a mount reads these bytes first, after
// every crash.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  FLUSH_CRC_OFFSET,
  FLUSH_HEADER_SIZE,
  FLUSH_MAGIC,
  LOG_CRC_OFFSET,
  LOG_HALVES_OFFSET,
  LOG_HEADER_SIZE,
  RECORD_CRC_OFFSET,
  RECORD_HEADER_SIZE,
} from '../../assembly/layout/log.ts';
import { isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import type { FlushHeader, LogHeader } from '../../host/format/log.ts';
import {
  decodeFlushHeader,
  decodeLogHeader,
  decodeRecords,
  encodeFlush,
  encodeLogHeader,
  encodeRecord,
  flushBytesOf,
} from '../../host/format/log.ts';
import { NvLog } from '../../host/nvlog/nv-log.ts';
import {
  append,
  create,
  FLUSH_BYTES,
  mount,
  newMemory,
  newNvram,
  openLog,
  rootOf,
  UUID,
  word,
} from './world.ts';

const test = suite('log format');
const memory = newMemory();
const [at] = memory.staging;
const { u8, view } = memory.arena;
const GEOMETRY = { halfBytes: 16 * BLOCK_SIZE, flushBytesMax: FLUSH_BYTES };
const HEADER: LogHeader = {
  copy: 1,
  volumeUuid: UUID,
  areaBytes: LOG_HALVES_OFFSET + 2 * GEOMETRY.halfBytes,
  ...GEOMETRY,
};
const FLUSH: FlushHeader = {
  cycle: 2 ** 40,
  index: 2,
  recordCount: 3,
  recordBytes: 0,
  firstSequence: 2 ** 33 + 5,
  durableUpTo: 2 ** 33 + 4,
  timeline: word(1),
  cpNumber: 12,
  imageChecksum: word(2),
};
const BODIES = [Uint8Array.of(1, 2, 3), new Uint8Array(0), new Uint8Array(5000).fill(9)];

/** A flush of BODIES at `at`. */
function putFlush(): FlushHeader {
  let recordBytes = 0;
  for (const [index, body] of BODIES.entries()) {
    const record = at + FLUSH_HEADER_SIZE + recordBytes;
    u8.set(body, record + RECORD_HEADER_SIZE);
    const sequence = FLUSH.firstSequence + index;
    recordBytes += encodeRecord(memory, record, sequence, index, 7, body.length);
  }
  const header = { ...FLUSH, recordBytes };
  assert.is(encodeFlush(memory, at, header), flushBytesOf(recordBytes));
  return header;
}

test('area header round trip, and each byte matters', () => {
  encodeLogHeader(memory, at, HEADER);
  assert.equal(decodeLogHeader(memory, at), HEADER);
  for (let offset = 0; offset < LOG_HEADER_SIZE; offset++) {
    u8[at + offset]! ^= 0x10;
    assert.throws(() => decodeLogHeader(memory, at), isStorageError, `byte ${offset}`);
    u8[at + offset]! ^= 0x10;
  }
});

test('flush round trip, and each byte up to the end of the records matters', () => {
  const header = putFlush();
  assert.equal(decodeFlushHeader(memory, at, FLUSH_BYTES), header);
  const records = decodeRecords(memory, at, header, 0);
  assert.equal(
    records,
    BODIES.map((body, kind) => ({ sequence: FLUSH.firstSequence + kind, kind, flags: 7, body })),
  );
  assert.is(decodeRecords(memory, at, header, FLUSH.firstSequence)?.length, 2);
  const paddingBytes = new Set(
    [3, 4, 5, 6, 7].map((pad) => FLUSH_HEADER_SIZE + RECORD_HEADER_SIZE + pad),
  );
  for (let offset = 0; offset < FLUSH_HEADER_SIZE + header.recordBytes; offset++) {
    if (paddingBytes.has(offset)) continue;
    u8[at + offset]! ^= 0x10;
    const found = decodeFlushHeader(memory, at, FLUSH_BYTES);
    const isWhole = found !== undefined && decodeRecords(memory, at, found, 0) !== undefined;
    assert.is(isWhole, false, `byte ${offset}`);
    u8[at + offset]! ^= 0x10;
  }
});

test('records of one flush are none in another, even with the same numbers', () => {
  const header = putFlush();
  const old = u8.slice(at, at + flushBytesOf(header.recordBytes));
  for (const change of [{ cycle: 5 }, { index: 3 }, { cpNumber: 13 }, { timeline: word(9) }]) {
    putFlush();
    const other = { ...header, ...change };
    encodeFlush(memory, at, other);
    u8.set(old.subarray(FLUSH_HEADER_SIZE), at + FLUSH_HEADER_SIZE);
    assert.equal(decodeFlushHeader(memory, at, FLUSH_BYTES), other);
    assert.is(decodeRecords(memory, at, other, 0), undefined, JSON.stringify(change));
  }
});

test('a newer version is told from damage', () => {
  encodeLogHeader(memory, at, HEADER);
  view.setUint32(at + 4, 2, true);
  view.setUint32(at + LOG_CRC_OFFSET, memory.crc32c(at, LOG_CRC_OFFSET, 0), true);
  assert.throws(
    () => decodeLogHeader(memory, at),
    (error: unknown) => isStorageError(error, 'VERSION_TOO_NEW'),
  );
});

/** Random damage: bits, words that mean something, stretches; checksums mended half of the time. */
function mutate(prng: SeededPrng, from: number, length: number): void {
  const special = [0, 1, 0xff, 0x7fffffff, 0xffffffff, 4096, FLUSH_BYTES, FLUSH_MAGIC];
  for (let count = 1 + prng.below(4); count > 0; count--) {
    const address = from + prng.below(length - 8);
    const kind = prng.below(4);
    if (kind === 0) u8[address]! ^= 1 << prng.below(8);
    else if (kind === 1) view.setUint32(address & ~3, prng.pick(special), true);
    else if (kind === 2) u8.fill(prng.below(256), address, address + 1 + prng.below(8));
    else u8.copyWithin(address, from + prng.below(length - 64), from + prng.below(length));
  }
}

function mendFlush(): void {
  let crc = memory.crc32c(at, FLUSH_CRC_OFFSET, 0);
  view.setUint32(at + FLUSH_CRC_OFFSET, crc, true);
  for (let record = at + FLUSH_HEADER_SIZE; record < at + FLUSH_BYTES - RECORD_HEADER_SIZE; ) {
    crc = memory.crc32c(record, RECORD_CRC_OFFSET, crc);
    view.setUint32(record + RECORD_CRC_OFFSET, crc, true);
    const bodyBytes = view.getUint32(record + 4, true);
    if (bodyBytes > FLUSH_BYTES) break;
    record += RECORD_HEADER_SIZE + Math.ceil(bodyBytes / 8) * 8;
  }
}

test('fuzz: decoders answer or throw typed errors, within the buffer', () => {
  const seed = Number(process.env['SEED'] ?? 1);
  const count = Number(process.env['FUZZ'] ?? 20000);
  const prng = new SeededPrng(seed);
  let whole = 0;
  for (let input = 0; input < count; input++) {
    u8.fill(0, at, at + FLUSH_BYTES);
    putFlush();
    mutate(prng, at, prng.chance(0.7) ? FLUSH_HEADER_SIZE + 80 : 6000);
    if (prng.chance(0.7)) mendFlush();
    const header = decodeFlushHeader(memory, at, FLUSH_BYTES);
    if (header === undefined) continue;
    assert.ok(flushBytesOf(header.recordBytes) <= FLUSH_BYTES);
    const records = decodeRecords(memory, at, header, 0);
    if (records === undefined) continue;
    whole++;
    const bytes = records.reduce((sum, record) => sum + record.body.length, 0);
    assert.ok(bytes <= header.recordBytes);
    assert.is(records.length, header.recordCount);
  }
  for (let input = 0; input < count; input++) {
    encodeLogHeader(memory, at, HEADER);
    mutate(prng, at, 72);
    view.setUint32(at + LOG_CRC_OFFSET, memory.crc32c(at, LOG_CRC_OFFSET, 0), true);
    try {
      const header = decodeLogHeader(memory, at);
      assert.ok(LOG_HALVES_OFFSET + 2 * header.halfBytes <= header.areaBytes);
      assert.ok(2 * header.flushBytesMax <= header.halfBytes);
    } catch (error) {
      if (!isStorageError(error)) throw error;
    }
  }
  console.log(`\nseed ${seed}: ${2 * count} inputs, ${whole} flushes still whole`);
});

test('fuzz: a scan of a mutated area gives records of the log, a typed error, or damage', () => {
  const prng = new SeededPrng(Number(process.env['SEED'] ?? 1));
  const size = LOG_HALVES_OFFSET + 2 * 8 * BLOCK_SIZE;
  const { nvrams, log } = create(2, size, memory);
  const bodies = new Map<number, Uint8Array>();
  for (const bytes of [100, 2000, 5000]) {
    append(log, bytes);
    log.flush().startSync();
  }
  const root = rootOf(1, log.lastSequence - 3);
  for (const { sequence, body } of runSync(openLog(nvrams, memory).scan(root)).records) {
    bodies.set(sequence, body);
  }
  assert.is(bodies.size, 3);
  for (let input = 0; input < 1500; input++) {
    const twins = nvrams.map((nvram) => nvram.clone());
    for (const twin of twins) {
      for (let count = prng.below(3); count > 0; count--) {
        const offset = prng.below(size - 64);
        twin.corrupt(offset, prng.bytes(1 + prng.below(64)));
      }
    }
    try {
      const scan = runSync(openLog(twins, memory).scan(root));
      for (const { sequence, body } of scan.records) assert.equal(body, bodies.get(sequence));
    } catch (error) {
      if (!isStorageError(error)) throw error;
    }
  }
});

test('on a blank device only the header and the end are written, and the log works', () => {
  const size = LOG_HALVES_OFFSET + 2 * 64 * BLOCK_SIZE;
  const nvram = newNvram(size);
  const written: number[] = [];
  const writeSync = nvram.writeSync.bind(nvram);
  nvram.writeSync = (offset, views) => {
    for (const view of views) {
      for (let at = 0; at < view.length; at += BLOCK_SIZE) written.push(offset + at);
    }
    writeSync(offset, views);
  };
  runSync(NvLog.format([nvram], memory, { volumeUuid: UUID, isBlank: true }));
  assert.ok(written.includes(size - BLOCK_SIZE), 'it has its size');
  assert.ok(written.length < 8, `${written.length} blocks`);
  const { log } = mount([nvram], memory, rootOf(0, 0));
  for (let count = 0; count < 5; count++) append(log, 3000);
  log.flush().startSync();
  const last = log.lastSequence;
  const { records } = runSync(openLog([nvram], memory).scan(rootOf(1, last - 5)));
  assert.is(records.at(-1)?.sequence, last);
  // Without the promise everything is written: something may stand there.
  written.length = 0;
  runSync(NvLog.format([nvram], memory, { volumeUuid: UUID }));
  assert.is(new Set(written).size, size / BLOCK_SIZE);
});

test.run();
