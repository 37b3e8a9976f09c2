// Every decoder of bytes from a medium, fed with structures whose fields were changed and whose
// checksums were mended: a typed error or a value, in bounded time and memory. Checksums keep rot
// away from decoders, not somebody who makes a volume to deceive.
//
// @timeout 3m

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  BLOCK_SIZE,
  KIND_IMAGE_ROOT,
  KIND_INDIRECT,
  KIND_INODES,
} from '../../assembly/layout/block.ts';
import { INODE_SIZE } from '../../assembly/layout/inode.ts';
import { JOURNAL_MAGIC } from '../../assembly/layout/journal.ts';
import {
  FLUSH_CRC_OFFSET,
  FLUSH_HEADER_SIZE,
  FLUSH_SIZE_MAX,
  LOG_CRC_OFFSET,
  LOG_HEADER_SIZE,
  RECORD_CHECKSUM_OFFSET,
  RECORD_CRC_OFFSET,
  RECORD_HEADER_SIZE,
} from '../../assembly/layout/log.ts';
import { SNAPSHOT_ENTRY_SIZE } from '../../assembly/layout/snapshot.ts';
import { VOLUME_ROOT_SIZE } from '../../assembly/layout/volume-root.ts';
import { isStorageError, StorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { blockProblem } from '../../host/filesystem/block-check.ts';
import {
  DIRECTORY_START,
  entryCount,
  lookup,
  planInsert,
  planRemove,
  readEntries,
} from '../../host/filesystem/directory.ts';
import { checkDirectory } from '../../host/filesystem/directory-check.ts';
import { decodeRequests, encodeRecord, type Request } from '../../host/filesystem/requests.ts';
import { sealEnvelope } from '../../host/format/envelope.ts';
import { decodeInode } from '../../host/format/inode.ts';
import { decodeJournalHeader } from '../../host/format/journal.ts';
import { decodeLabel } from '../../host/format/label.ts';
import {
  decodeFlushHeader,
  decodeLogHeader,
  decodeRecords,
  flushBytesOf,
  recordBytesOf,
} from '../../host/format/log.ts';
import { RecordWriter } from '../../host/format/record.ts';
import { decodeSnapshot } from '../../host/format/snapshot.ts';
import { decodeVolumeRoot } from '../../host/format/volume-root.ts';
import { decodeVolumeState } from '../../host/format/volume-state.ts';
import { decodeXattrs } from '../../host/format/xattr.ts';
import { createKernels } from '../../host/kernels/instantiate.ts';
import { LogMemory } from '../../host/nvlog/log-memory.ts';
import { Geometry } from '../../host/raid/geometry.ts';
import { Hasher } from '../../host/raid/hasher.ts';
import { FakeBlocks, bytes as utf8 } from '../filesystem/directory-fake.ts';
import { type Base, build } from './base.ts';
import { mutate } from './mutate.ts';
import { type Layout, layoutOf, type Region } from './places.ts';

/** ROUNDS in the environment: a long run. */
const { SEED = '1', ROUNDS = '2000' } = process.env;
/** Milliseconds that all inputs of one decoder may take on average: hangs, not slowness. */
const INPUT_MS_MAX = 50;
const HEAP_BYTES_MAX = 256 * 1024 * 1024;

const { arena, kernels } = createKernels({ arenaBytes: 8 * 1024 * 1024, shared: false });
const hasher = new Hasher(arena, kernels);
const log = new LogMemory(arena, kernels);
const at = arena.reserve(BLOCK_SIZE, BLOCK_SIZE);

let base: Base;
let layout: Layout;
test.before(() => {
  base = build({
    name: 'decoders',
    raid: 'raid4',
    diskCount: 3,
    blockCount: 800,
    logCopies: 1,
    isCrowded: true,
  });
  layout = layoutOf(base);
});

/** For decoders that answer instead of throwing. */
const REFUSED = new StorageError('BAD_MAGIC', 'refused');

function diskBytes(device: number, dbn: number, count = 1): Uint8Array {
  const bytes = new Uint8Array(count * BLOCK_SIZE);
  base.devices.disks[device]?.readSync(dbn, [bytes]);
  return bytes;
}

/** Some blocks of a region. */
function blocksOf(region: Region): Uint8Array[] {
  const places = (layout.places.get(region) ?? []).slice(0, 12);
  return places.map(({ device, block }) => diskBytes(device, block));
}

/** Feeds a decoder; `decode` returns whether it took the input for good. */
function fuzz(
  name: string,
  samples: () => readonly Uint8Array[],
  decode: (input: Uint8Array) => void,
  options: { mend?: (input: Uint8Array) => void; end?: number; isCut?: boolean } = {},
): void {
  test(`${name}: only typed errors`, () => {
    const seeds = samples();
    assert.ok(seeds.length > 0, 'there is a sample');
    for (const sample of seeds) decode(sample.slice());
    const prng = new SeededPrng(Number(SEED));
    let refused = 0;
    const start = process.hrtime.bigint();
    for (let round = 0; round < Number(ROUNDS); round++) {
      let input = prng.pick(seeds).slice();
      mutate(prng, input, options.end);
      if (options.isCut === true && prng.chance(0.2))
        input = input.slice(0, prng.below(input.length));
      options.mend?.(input);
      try {
        decode(input);
      } catch (error) {
        if (!isStorageError(error)) throw new Error(`round ${round}`, { cause: error });
        refused++;
      }
    }
    const ms = Number(process.hrtime.bigint() - start) / 1e6;
    assert.ok(ms < INPUT_MS_MAX * Number(ROUNDS), `${ms} ms`);
    assert.ok(process.memoryUsage().heapUsed < HEAP_BYTES_MAX, 'memory is bounded');
    console.log(`  ${name}: ${ROUNDS} inputs, ${refused} refused`);
    assert.ok(refused > 0, 'some are refused');
  });
}

function seal(bytes: Uint8Array): void {
  if (bytes.length < 24) return;
  bytes.fill(0, 16, 24);
  if (bytes.length <= VOLUME_ROOT_SIZE) sealEnvelope(bytes, hasher.hash);
}

fuzz(
  'label',
  () => [diskBytes(0, 0), diskBytes(2, 1)],
  (input) => decodeLabel(input, hasher.hash),
  {
    mend: seal,
    end: 200,
  },
);

fuzz(
  'volume root',
  () => [diskBytes(0, layout.newestRoot[0] as number, 2)],
  (input) => {
    const root = decodeVolumeRoot(input, hasher.hash);
    const geometry = new Geometry(root.members, root.ranges, root.groupCount);
    for (const vbn of [0, 1, 1024, 2 ** 32, 2 ** 47]) geometry.find(vbn);
  },
  { mend: seal },
);

fuzz(
  'journal header',
  () =>
    blocksOf('journal').filter(
      (block) => new DataView(block.buffer).getUint32(0, true) === JOURNAL_MAGIC,
    ),
  (input) => decodeJournalHeader(input, hasher.hash),
  { mend: seal, end: 300 },
);

fuzz(
  'volume state',
  () => [diskBytes(0, layout.newestRoot[0] as number, 2).slice(128, 128 + 2048)],
  (input) => decodeVolumeState(input),
  { end: 1200 },
);

function nvramBytes(offset: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  base.devices.nvrams[0]?.readSync(offset, bytes);
  return bytes;
}

fuzz(
  'log header',
  () => [nvramBytes(0, LOG_HEADER_SIZE)],
  (input) => {
    arena.u8.set(input, at);
    decodeLogHeader(log, at);
  },
  {
    end: 60,
    mend: (input) => {
      arena.u8.set(input, at);
      const crc = log.crc32c(at, LOG_CRC_OFFSET, 0);
      new DataView(input.buffer).setUint32(LOG_CRC_OFFSET, crc, true);
    },
  },
);

/** Checksums of the flush in the staging buffer, as far as its records can be followed. */
function mendFlush(): void {
  const [flush] = log.staging;
  const { view } = arena;
  let crc = log.crc32c(flush, FLUSH_CRC_OFFSET, 0);
  view.setUint32(flush + FLUSH_CRC_OFFSET, crc, true);
  const end = flush + FLUSH_SIZE_MAX;
  for (let record = flush + FLUSH_HEADER_SIZE; record + RECORD_HEADER_SIZE <= end; ) {
    const bodyBytes = view.getUint32(record + 4, true);
    if (bodyBytes === 0 || record + recordBytesOf(bodyBytes) > end) return;
    log.xxhash64(record + RECORD_HEADER_SIZE, bodyBytes, record + RECORD_CHECKSUM_OFFSET);
    crc = log.crc32c(record, RECORD_CRC_OFFSET, crc);
    view.setUint32(record + RECORD_CRC_OFFSET, crc, true);
    record += recordBytesOf(bodyBytes);
  }
}

let flushesTaken = 0;
fuzz(
  'flush and records',
  () =>
    layout.flushes.map((blocks) =>
      nvramBytes((blocks[0] as number) * BLOCK_SIZE, blocks.length * BLOCK_SIZE),
    ),
  (input) => {
    const [flush] = log.staging;
    arena.u8.fill(0, flush, flush + 65536);
    arena.u8.set(input, flush);
    mendFlush();
    const header = decodeFlushHeader(log, flush, FLUSH_SIZE_MAX);
    const records =
      header !== undefined && flushBytesOf(header.recordBytes) <= FLUSH_SIZE_MAX
        ? decodeRecords(log, flush, header, 0)
        : undefined;
    if (records === undefined) throw REFUSED;
    flushesTaken++;
    for (const { body } of records) decodeRequests(body);
  },
  { end: 400 },
);

const TIME = { seconds: 1, nanoseconds: 2 };
const NAME = utf8('name');
const REQUESTS: Request[] = [
  {
    kind: 'create',
    directory: 1,
    name: NAME,
    ino: 20,
    generation: 1,
    mode: 0o100644,
    uid: 1,
    gid: 2,
    time: TIME,
    target: new Uint8Array(0),
    seedLow: 3,
    seedHigh: 4,
  },
  {
    kind: 'truncate',
    ino: 20,
    generation: 1,
    sizeBytes: 9,
    time: TIME,
    zombie: 21,
    zombieGeneration: 1,
  },
  { kind: 'link', directory: 1, name: NAME, ino: 20, generation: 1, time: TIME },
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
  { kind: 'xattr', ino: 20, generation: 1, name: NAME, value: NAME, isRemoval: false, time: TIME },
  { kind: 'snapshot', cp: 3, id: 4, name: 'monday', time: TIME },
  { kind: 'snapshotChange', id: 4, holds: 1, name: 'monday', isDeleted: true },
  {
    kind: 'reference',
    ino: 20,
    generation: 1,
    fbn: 0,
    pointers: [{ vbn: 5, kind: 1, checksumLow: 1, checksumHigh: 2 }],
    time: TIME,
  },
  { kind: 'write', ino: 20, generation: 1, position: 5, time: TIME, data: utf8('some data') },
];

fuzz(
  'record bodies',
  () => {
    const bodies = REQUESTS.map((request) => [request]);
    return [...bodies, REQUESTS].map((requests) =>
      Uint8Array.from(Buffer.concat(encodeRecord(new RecordWriter(), requests))),
    );
  },
  (input) => {
    for (const request of decodeRequests(input)) assert.type(request.kind, 'string');
  },
  { isCut: true },
);

fuzz(
  'snapshot entry',
  () =>
    blocksOf('snapshot table').flatMap((block) => [
      block.slice(0, SNAPSHOT_ENTRY_SIZE),
      block.slice(SNAPSHOT_ENTRY_SIZE, 2 * SNAPSHOT_ENTRY_SIZE),
    ]),
  (input) => decodeSnapshot(input),
  { end: 400 },
);

fuzz(
  'xattr block',
  () => blocksOf('xattr block'),
  (input) => decodeXattrs(input),
  { end: 64 },
);

const VBN_LIMIT = 8192;
for (const [region, kind, end] of [
  ['image root', KIND_IMAGE_ROOT, 896],
  ['inode block', KIND_INODES, BLOCK_SIZE],
  ['indirect block', KIND_INDIRECT, 256],
] as const) {
  fuzz(
    region,
    () => blocksOf(region),
    (input) => {
      arena.u8.set(input, at);
      const pointer = { vbn: 9, kind, checksumLow: 0, checksumHigh: 0 };
      const problem = blockProblem(arena, pointer, at, VBN_LIMIT);
      if (problem !== undefined) throw problem;
      if (kind !== KIND_INODES) return;
      for (let offset = 0; offset < BLOCK_SIZE; offset += INODE_SIZE) {
        const inode = decodeInode(arena.view, at + offset);
        assert.ok(inode.sizeBytes <= Number.MAX_SAFE_INTEGER);
        for (const { vbn } of [...inode.pointers, inode.xattr]) assert.ok(vbn < VBN_LIMIT);
      }
    },
    { end },
  );
}

/** A directory of two levels, with nodes in the free list, as one piece of bytes. */
function directoryBlocks(): FakeBlocks {
  const blocks = new FakeBlocks(24).initialize();
  for (let index = 0; index < 300; index++) blocks.insert(utf8(`entry ${index}`), 16 + index, 8);
  for (let index = 0; index < 300; index += 2) blocks.remove(utf8(`entry ${index}`));
  return blocks;
}

fuzz(
  'directory nodes',
  () => [directoryBlocks().u8],
  (input) => {
    const blocks = directoryBlocks();
    blocks.u8.set(input);
    const problems = checkDirectory(blocks);
    const name = utf8('entry 7');
    for (const read of [
      () => entryCount(blocks),
      () => lookup(blocks, name),
      () => planInsert(blocks, name),
      () => planRemove(blocks, name),
      () => list(blocks),
    ]) {
      try {
        read();
      } catch (error) {
        if (!isStorageError(error)) throw error;
        assert.ok(problems.length > 0, `the check finds ${error.message}`);
      }
    }
    if (problems.length > 0) throw REFUSED;
  },
);

function list(blocks: FakeBlocks): void {
  let cursor = DIRECTORY_START;
  for (let page = 0; page < 64; page++) {
    const { entries, next } = readEntries(blocks, cursor, 100);
    assert.ok(entries.length <= 100 + 4096);
    if (next === undefined) return;
    cursor = next;
  }
  throw new Error('a listing without end');
}

test('flushes with mended checksums are taken as well', () => {
  assert.ok(flushesTaken > Number(ROUNDS) / 20, `${flushesTaken} were`);
});

test.run();
