// Checks what the scan makes of every kind of cut, flip, stale and missing copy: all records, the
// end of the log, or damage. It matters because the two errors here are the worst a log can make:
// to take damage for the end loses acknowledged calls in silence, to take the end for damage
// refuses a mount.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE, SECTOR_SIZE } from '../../assembly/layout/block.ts';
import { FLUSH_HEADER_SIZE, LOG_HALVES_OFFSET } from '../../assembly/layout/log.ts';
import { isStorageError } from '../../host/base/errors.ts';
import { runSync } from '../../host/base/task.ts';
import type { MemoryNvram } from '../../host/device/memory-nvram.ts';
import type { LogScan } from '../../host/nvlog/scan.ts';
import { SEQUENCE_JUMP } from '../../host/nvlog/scan.ts';
import { append, bodyOf, create, logRootOf, mount, newMemory, openLog, rootOf } from './world.ts';

const SIZE = LOG_HALVES_OFFSET + 2 * 16 * BLOCK_SIZE;
const test = suite('log scan');
const memory = newMemory();
const FIRST = SEQUENCE_JUMP + 1;
/** The root that `create` begins with. */
const ROOT = rootOf(1, SEQUENCE_JUMP);

function scanOf(nvrams: readonly (MemoryNvram | undefined)[], root = ROOT): LogScan {
  return runSync(openLog(nvrams, memory).scan(root));
}

function checkRecords(scan: LogScan, sizes: readonly number[], first = FIRST): void {
  assert.equal(
    scan.records.map((record) => record.sequence),
    sizes.map((_, index) => first + index),
  );
  for (const [index, record] of scan.records.entries()) {
    assert.equal(record.body, bodyOf(record.sequence, sizes[index] as number));
    assert.is(record.kind, 3);
  }
}

/** Three flushes: 2 records, 1 record, 3 records. Returns devices and where each flush starts. */
const SIZES = [100, 5000, 40, 1, 0, 700];
function threeFlushes(copyCount: number): { nvrams: MemoryNvram[]; starts: number[] } {
  const { nvrams, log } = create(copyCount, SIZE, memory);
  const starts: number[] = [];
  for (const group of [SIZES.slice(0, 2), SIZES.slice(2, 3), SIZES.slice(3)]) {
    starts.push(LOG_HALVES_OFFSET + log.halfUsedBytes);
    for (const size of group) append(log, size);
    log.flush().startSync();
  }
  starts.push(LOG_HALVES_OFFSET + log.halfUsedBytes);
  return { nvrams, starts };
}

function damaged(nvram: MemoryNvram, offset: number, mask: Uint8Array): MemoryNvram {
  const twin = nvram.clone();
  twin.corrupt(offset, mask);
  return twin;
}

/** The device with zeros from one offset to another. */
function zeroed(nvram: MemoryNvram, from: number, to: number): MemoryNvram {
  const mask = new Uint8Array(nvram.sizeBytes);
  nvram.readSync(0, mask);
  return damaged(nvram, from, mask.subarray(from, to));
}

test('whole log', () => {
  for (const copyCount of [1, 2, 3]) {
    const { nvrams } = threeFlushes(copyCount);
    const scan = scanOf(nvrams);
    checkRecords(scan, SIZES);
    assert.is(scan.damage, undefined);
    assert.is(scan.flushCount, 3);
  }
});

test('records that the root contains are left out', () => {
  const { nvrams } = threeFlushes(1);
  for (let contained = 0; contained <= SIZES.length; contained++) {
    const scan = scanOf(nvrams, rootOf(1, SEQUENCE_JUMP + contained));
    checkRecords(scan, SIZES.slice(contained), FIRST + contained);
    assert.is(scan.damage, undefined);
  }
});

test('every cut of the last flush is the end of the log; with a copy nothing is lost', () => {
  const { nvrams, starts } = threeFlushes(2);
  const [whole, other] = nvrams as [MemoryNvram, MemoryNvram];
  const [, , from, to] = starts as [number, number, number, number];
  const dataEnd = from + FLUSH_HEADER_SIZE + 32 + 8 + 32 + 32 + 704;
  for (let cut = from; cut < to; cut += SECTOR_SIZE) {
    const torn = zeroed(whole, cut, to);
    const scan = scanOf([torn]);
    checkRecords(scan, cut < dataEnd ? SIZES.slice(0, 3) : SIZES);
    assert.is(scan.damage, undefined, `cut at ${cut}`);
    checkRecords(scanOf([torn, other]), SIZES);
    checkRecords(scanOf([other, torn]), SIZES);
  }
});

test('every cut of an earlier flush is damage; with a copy nothing is lost', () => {
  const { nvrams, starts } = threeFlushes(2);
  const [whole, other] = nvrams as [MemoryNvram, MemoryNvram];
  const [, from, to] = starts as [number, number, number];
  const dataEnd = from + FLUSH_HEADER_SIZE + 32 + 40;
  for (let cut = from; cut < dataEnd; cut += SECTOR_SIZE) {
    const torn = zeroed(whole, cut, to);
    const scan = scanOf([torn]);
    checkRecords(scan, SIZES.slice(0, 2));
    assert.is(scan.damage?.reason, 'lost');
    assert.is(scan.damage?.half, 0);
    assert.is(scan.damage?.position, from - LOG_HALVES_OFFSET);
    assert.is(scan.damage?.firstSequence, FIRST + 2);
    assert.is(scan.damage?.durableUpTo, FIRST + 2);
    checkRecords(scanOf([torn, other]), SIZES);
    checkRecords(scanOf([other, torn]), SIZES);
  }
});

test('every flipped bit: lost nowhere with two copies, never unseen before a later flush', () => {
  const { nvrams, starts } = threeFlushes(2);
  const [whole, other] = nvrams as [MemoryNvram, MemoryNvram];
  const [, second, third] = starts as [number, number, number];
  const ranges: [number, number, boolean][] = [
    [second, second + FLUSH_HEADER_SIZE + 32 + 40, true],
    [third, third + FLUSH_HEADER_SIZE + 32 + 1, false],
  ];
  for (const [from, to, hasLater] of ranges) {
    for (let at = from; at < to; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const rotten = damaged(whole, at, Uint8Array.of(1 << bit));
        const scan = scanOf([rotten]);
        checkRecords(scan, SIZES.slice(0, hasLater ? 2 : 3));
        assert.is(scan.damage?.reason, hasLater ? 'lost' : undefined, `bit ${bit} of ${at}`);
        checkRecords(scanOf(bit % 2 === 0 ? [rotten, other] : [other, rotten]), SIZES);
      }
    }
  }
});

test('a lost first flush of a half is damage', () => {
  const { nvrams, starts } = threeFlushes(1);
  const [from, to] = starts as [number, number];
  const scan = scanOf([zeroed(nvrams[0] as MemoryNvram, from, to)]);
  checkRecords(scan, []);
  assert.is(scan.damage?.reason, 'lost');
  assert.is(scan.damage?.position, 0);
});

function unreadable(nvram: MemoryNvram, ...offsets: number[]): MemoryNvram {
  const twin = nvram.clone();
  for (const offsetBytes of offsets) {
    const range = { offsetBytes, sizeBytes: BLOCK_SIZE };
    twin.inject({ operation: 'read', action: 'fail', times: Number.POSITIVE_INFINITY, range });
  }
  return twin;
}

test('a block that cannot be read costs its flush and no other', () => {
  const { nvrams, starts } = threeFlushes(2);
  const [first, second] = nvrams as [MemoryNvram, MemoryNvram];
  const [start0, start1, start2, end] = starts as [number, number, number, number];
  const halfBytes = (SIZE - LOG_HALVES_OFFSET) / 2;
  const table: [string, MemoryNvram[], number, string | undefined][] = [
    ['header', [unreadable(first, 0)], 6, undefined],
    ['far behind the end', [unreadable(first, end + BLOCK_SIZE)], 6, undefined],
    ['each copy elsewhere', [unreadable(first, start0), unreadable(second, start1)], 6, undefined],
    ['in the middle', [unreadable(first, start1)], 2, 'lost'],
    ['the last flush', [unreadable(first, start2)], 3, 'unreadable'],
    [
      'the last flush, of both',
      [unreadable(first, start2), unreadable(second, start2)],
      3,
      'unreadable',
    ],
    ['the last flush, of one', [unreadable(first, start2), second], 6, undefined],
    ['behind the end', [unreadable(first, end)], 6, 'unreadable'],
    ['the other half', [unreadable(first, LOG_HALVES_OFFSET + halfBytes)], 6, 'unreadable'],
  ];
  for (const [name, copies, count, reason] of table) {
    const scan = scanOf(copies);
    assert.is(scan.damage?.reason, reason, name);
    checkRecords(scan, SIZES.slice(0, count));
  }
});

test('a log of which nothing can be read is not an empty one', () => {
  const isDead = (sizeBytes: number) => {
    const { nvrams } = create(1, sizeBytes, memory);
    const log = openLog(nvrams, memory);
    (nvrams[0] as MemoryNvram).isDead = true;
    return runSync(log.scan(ROOT)).damage?.reason;
  };
  assert.is(isDead(SIZE), 'unreadable');
  // Of a larger one not every block is tried.
  assert.throws(
    () => isDead(4 * SIZE),
    (error: unknown) => isStorageError(error, 'DISK_FAILED'),
  );
});

test('roots: which flushes count', () => {
  const { nvrams } = threeFlushes(1);
  const next = rootOf(2, FIRST + 1);
  checkRecords(scanOf(nvrams, next), SIZES.slice(2), FIRST + 2);
  const table: [string, Parameters<typeof rootOf>, string | undefined][] = [
    ['two CPs later', [3, FIRST + 1], undefined],
    ['another timeline', [1, SEQUENCE_JUMP, 2], undefined],
    ['a root older than the log', [0, 0], 'other-root'],
  ];
  for (const [name, parameters, damage] of table) {
    const scan = scanOf(nvrams, rootOf(...parameters));
    assert.equal(scan.records, [], name);
    assert.is(scan.damage?.reason, damage, name);
  }
  const other = { ...ROOT, imageChecksum: { low: 1, high: 2 } };
  assert.is(scanOf(nvrams, other).damage?.reason, 'other-root');
});

test('both halves: records before and after a switch, in either state of the root', () => {
  const { nvrams, log } = create(1, SIZE, memory);
  append(log, 10);
  log.flush().startSync();
  append(log, 20);
  const { logSequence, half } = log.switchHalf();
  assert.is(logSequence, FIRST + 1);
  assert.is(half, 1);
  append(log, 30);
  log.flush().startSync();
  append(log, 40);
  log.flush().startSync();
  const sizes = [10, 20, 30, 40];
  checkRecords(scanOf(nvrams), sizes);
  checkRecords(scanOf(nvrams, rootOf(2, logSequence)), sizes.slice(2), FIRST + 2);
  const [nvram] = nvrams as [MemoryNvram];
  const torn = zeroed(nvram, LOG_HALVES_OFFSET, LOG_HALVES_OFFSET + BLOCK_SIZE);
  assert.is(scanOf([torn]).damage?.reason, 'lost');
  checkRecords(scanOf([torn], rootOf(2, logSequence)), sizes.slice(2), FIRST + 2);
  log.rootCommitted(logRootOf(2, logSequence));
  append(log, 50);
  log.flush().startSync();
  checkRecords(scanOf(nvrams, rootOf(2, logSequence)), [30, 40, 50], FIRST + 2);
  assert.is(scanOf(nvrams).damage?.reason, 'other-root');
});

test('a torn flush that one mount did not see does no harm to the next', () => {
  // Life 1: a flush reaches copy 1 only. Life 2, without copy 1, writes another history.
  const { nvrams, log } = create(2, SIZE, memory);
  append(log, 10);
  log.flush().startSync();
  const stale0 = (nvrams[0] as MemoryNvram).clone();
  append(log, 20);
  append(log, 21);
  log.flush().startSync();
  const stale1 = (nvrams[1] as MemoryNvram).clone();
  const second = mount([stale0, undefined], memory, ROOT);
  checkRecords(second.scan, [10]);
  const before = second.log.lastSequence;
  append(second.log, 30);
  second.log.flush().startSync();
  // Life 3 has both copies; the root is the one that life 2 began with.
  const scan = scanOf([stale0, stale1], rootOf(2, before));
  checkRecords(scan, [30], before + 1);
  assert.is(scan.damage, undefined);
  // Had life 2 written nothing, the record of life 1 would still not come back.
  checkRecords(scanOf([nvrams[0] as MemoryNvram, stale1], rootOf(2, before)), []);
});

test('headers of the area: which copies are used', () => {
  const { nvrams } = threeFlushes(2);
  const [whole, other] = nvrams as [MemoryNvram, MemoryNvram];
  const first = zeroed(whole, 0, BLOCK_SIZE);
  checkRecords(scanOf([first]), SIZES);
  const both = zeroed(whole, 0, 2 * BLOCK_SIZE);
  checkRecords(scanOf([both, other]), SIZES);
  assert.throws(
    () => scanOf([both]),
    (error: { code: string }) => error.code === 'BAD_MAGIC',
  );
  const rotten = damaged(damaged(whole, 40, Uint8Array.of(1)), BLOCK_SIZE + 40, Uint8Array.of(1));
  assert.throws(
    () => scanOf([rotten]),
    (error: { code: string }) => error.code === 'BAD_CHECKSUM',
  );
  const foreign = openLog([other, whole.clone()], memory);
  assert.equal(foreign.copyErrors, [undefined, undefined]);
  const twice = openLog([whole, whole.clone()], memory);
  assert.is((twice.copyErrors[1] as { code: string }).code, 'DISK_DUPLICATE');
  whole.isDead = true;
  checkRecords(scanOf([whole, other]), SIZES);
});

test.run();
