// What holds of every codec and parser, whatever is put into it: what is written is read back as it
// was, what is shown is understood again, a path means one place. Fuzzing feeds them bytes from
// below; these come from above, and shrink to the smallest case that fails.

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { INODE_SIZE } from '../../assembly/layout/inode.ts';
import { SNAPSHOT_ENTRY_SIZE } from '../../assembly/layout/snapshot.ts';
import { VOLUME_STATE_SIZE } from '../../assembly/layout/volume-state.ts';
import { formatAddress, NAME_PATTERN, parseAddress } from '../../host/cli/address.ts';
import { formatCount, formatSize, isoTime, parseSize } from '../../host/cli/text.ts';
import { decodeRequests, encodeRecord, type Request } from '../../host/filesystem/requests.ts';
import { decodeJournalHeader, encodeJournalHeader } from '../../host/format/journal.ts';
import { decodeLabel, encodeLabel, frontOf } from '../../host/format/label.ts';
import { getPointer, pointerProblem, setPointer } from '../../host/format/pointer.ts';
import { RecordWriter } from '../../host/format/record.ts';
import { decodeSnapshot, encodeSnapshot } from '../../host/format/snapshot.ts';
import { decodeVolumeRoot, encodeVolumeRoot } from '../../host/format/volume-root.ts';
import { getInstant, getU64, setInstant, setU64 } from '../../host/format/words.ts';
import { decodeXattrs, encodeXattrs, withoutXattr, withXattr } from '../../host/format/xattr.ts';
import { decode, encode, isEncoding } from '../../host/fs/encoding.ts';
import { joined } from './mutate.ts';
import { hasher } from './targets/samples.ts';

const { hash } = hasher;
const RUNS = Number(process.env['RUNS'] ?? 300);

function holds<T>(name: string, arbitrary: fc.Arbitrary<T>, check: (value: T) => void): void {
  test(name, () => {
    fc.assert(
      fc.property(arbitrary, (value) => check(value)),
      { numRuns: RUNS },
    );
  });
}

/** Plain objects, as the codecs make them. */
function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

const u8 = fc.integer({ min: 0, max: 255 });
const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const u64 = fc.maxSafeNat();
const vbn = fc.integer({ min: 1, max: 2 ** 32 - 1 });
const instant = record({
  seconds: fc.maxSafeInteger(),
  nanoseconds: fc.integer({ min: 0, max: 999_999_999 }),
});
const uuid = fc.uuid();
const pointer = record({
  vbn,
  kind: fc.integer({ min: 1, max: 9 }),
  checksumLow: u32,
  checksumHigh: u32,
});
const bytes = (maxLength: number) => fc.uint8Array({ maxLength });
const name = fc.uint8Array({ minLength: 1, maxLength: 255 });
/** Any text that UTF-8 can hold. */
const text = fc.string({ unit: 'binary', maxLength: 60 });
const snapshotName = fc.stringMatching(NAME_PATTERN, { maxLength: 40 });

holds('numbers and times are read as they were written', fc.tuple(u64, instant), ([n, time]) => {
  const view = new DataView(new ArrayBuffer(32));
  setU64(view, 1, n);
  setInstant(view, 9, time);
  assert.is(getU64(view, 1), n);
  assert.equal(getInstant(view, 9), time);
});

holds('pointers are read as they were written, and are in order', pointer, (value) => {
  const view = new DataView(new ArrayBuffer(16));
  setPointer(view, 0, value);
  assert.equal(getPointer(view, 0), value);
  assert.is(pointerProblem(view, 0), undefined);
});

const features = record({
  incompatible: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  readOnly: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  compatible: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
});

holds(
  'labels',
  record({
    raid: fc.constantFrom('none' as const, 'raid4' as const, 'dp' as const),
    features,
    volumeUuid: uuid,
    diskUuid: uuid,
    created: instant,
    index: u32,
    group: fc.integer({ min: 0, max: 65_535 }),
    column: fc.integer({ min: 0, max: 17 }),
    blockCount: fc.integer({ min: 100_000, max: 2 ** 48 - 1 }),
    epoch: u64,
    writer: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    front: record({ journalBlocks: fc.nat(2_000), logBlocks: fc.nat(20_000) }).map((sizes) =>
      frontOf(sizes),
    ),
  }),
  (label) => assert.equal(decodeLabel(encodeLabel(label, hash), hash), label),
);

holds(
  'headers of the stripe journal',
  record({
    volumeUuid: uuid,
    epoch: u64,
    sequence: fc.integer({ min: 2 ** 40, max: 2 ** 53 - 1 }),
    durable: fc.nat(),
    records: fc.array(
      record({
        dbn: fc.integer({ min: 0, max: 2 ** 48 - 1 }),
        group: u8,
        column: fc.integer({ min: 0, max: 17 }),
        checksum: record({ low: u32, high: u32 }),
      }),
      { maxLength: 252 },
    ),
  }),
  (header) => assert.equal(decodeJournalHeader(encodeJournalHeader(header, hash), hash), header),
);

/** Members of one group, a range on each of its data columns. */
const tables = fc
  .uniqueArray(fc.integer({ min: 0, max: 15 }), { minLength: 1, maxLength: 12 })
  .chain((columns) =>
    record({
      uuids: fc.array(uuid, { minLength: columns.length, maxLength: columns.length }),
      count: fc.integer({ min: 1, max: 90_000 }),
      epoch: u64,
      state: fc.constantFrom('active' as const, 'failed' as const, 'rebuilding' as const),
      columns: fc.constant(columns),
    }),
  );

holds(
  'volume roots',
  record({
    tables,
    features,
    uuid,
    epoch: u64,
    number: u64,
    time: instant,
    created: instant,
    journalSequence: u64,
    state: fc.uint8Array({ minLength: VOLUME_STATE_SIZE, maxLength: VOLUME_STATE_SIZE }),
  }),
  ({ tables: { uuids, count, epoch, state, columns }, ...rest }) => {
    const members = columns.map((column, index) => ({
      uuid: uuids[index] as string,
      group: 0,
      column,
      state,
      blockCount: 100_000,
      dbnHigh: 64,
      epoch,
    }));
    const ranges = columns.map((column, index) => ({
      vbnFirst: 1024 + index * 98_304,
      dbnFirst: 64,
      count,
      group: 0,
      column,
    }));
    const root = { raid: 'raid4' as const, groupCount: 1, members, ranges, ...rest };
    assert.equal(decodeVolumeRoot(encodeVolumeRoot(root, hash), hash), root);
  },
);

holds(
  'snapshot entries',
  record({
    id: u64,
    parent: u64,
    owner: u32,
    holds: u32,
    name: text,
    time: instant,
    cp: u64,
    blocks: u64,
    imageRoot: pointer.map((value) => ({ ...value, kind: 6 })),
    isDeleted: fc.boolean(),
    plane: fc.uint8Array({ minLength: INODE_SIZE, maxLength: INODE_SIZE }),
  }),
  (entry) => {
    const block = new Uint8Array(SNAPSHOT_ENTRY_SIZE);
    encodeSnapshot(block, entry);
    assert.equal(decodeSnapshot(block), entry);
  },
);

const file = { ino: u64, generation: u32 };
const request: fc.Arbitrary<Request> = fc.oneof(
  record({
    kind: fc.constant('create' as const),
    directory: u64,
    name,
    ...file,
    mode: u32,
    uid: u32,
    gid: u32,
    time: instant,
    target: bytes(300),
    seedLow: u32,
    seedHigh: u32,
  }),
  record({
    kind: fc.constant('truncate' as const),
    ...file,
    sizeBytes: u64,
    time: instant,
    zombie: u64,
    zombieGeneration: u32,
  }),
  record({
    kind: fc.constant('change' as const),
    ...file,
    mask: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    atime: instant,
    mtime: instant,
    time: instant,
  }),
  record({
    kind: fc.constant('unlink' as const),
    directory: u64,
    name,
    ino: u64,
    time: instant,
    isOpen: fc.boolean(),
  }),
  record({
    kind: fc.constant('xattr' as const),
    ...file,
    name,
    value: bytes(900),
    isRemoval: fc.boolean(),
    time: instant,
  }),
  record({
    kind: fc.constant('snapshot' as const),
    cp: u64,
    id: u64,
    name: text,
    time: instant,
  }),
  record({
    kind: fc.constant('reference' as const),
    ...file,
    fbn: u64,
    pointers: fc.array(pointer, { maxLength: 20 }),
    time: instant,
  }),
);

holds('requests, several in a record', fc.array(request, { maxLength: 5 }), (requests) => {
  const body = joined(encodeRecord(new RecordWriter(), requests));
  assert.equal(decodeRequests(body), requests);
});

const attribute = record({
  name: fc.uint8Array({ minLength: 1, maxLength: 20 }),
  value: bytes(40),
});

holds('extended attributes are a map, in order', fc.array(attribute, { maxLength: 40 }), (list) => {
  const model = new Map<string, Uint8Array>();
  let block: Uint8Array | undefined;
  for (const { name: key, value } of list) {
    const next = withXattr(block, key, value);
    if (next === 'full') continue;
    block ??= new Uint8Array(BLOCK_SIZE);
    encodeXattrs(block, next);
    model.set(Buffer.from(key).toString('hex'), value);
  }
  const found = block === undefined ? [] : decodeXattrs(block);
  const hex = found.map((one) => Buffer.from(one.name).toString('hex'));
  assert.equal(hex, [...model.keys()].sort());
  for (const one of found) {
    assert.equal(one.value, model.get(Buffer.from(one.name).toString('hex')));
    const left = withoutXattr(block, one.name);
    assert.is(left?.length, found.length - 1);
  }
});

const volumePath = fc.string({ unit: 'grapheme', minLength: 2, maxLength: 20 });
const inside = fc.string({ unit: 'grapheme', maxLength: 30 }).map((path) => `/${path}`);

holds(
  'addresses of a volume',
  record({
    volume: volumePath,
    name: fc.option(snapshotName, { nil: undefined }),
    path: inside,
  }),
  (address) => {
    // What the syntax cannot say: a volume that looks like an address itself.
    if (/:\/|@|\0/.test(address.volume) || address.path.includes('\0')) return;
    assert.equal(parseAddress(formatAddress(address)), address);
  },
);

holds('sizes in bytes', u64, (size) => {
  assert.is(parseSize(String(size)), size);
  assert.match(formatSize(size), /^\d{1,4}(\.\d)? ([KMGTP]i)?B$/);
  assert.is(Number(formatCount(size).replaceAll(',', '')), size);
});

holds('a size is the same in any unit', fc.tuple(fc.nat(1_000), fc.nat(3)), ([count, power]) => {
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  assert.is(parseSize(`${count}${units[power]}`), count * 1024 ** (power + 1));
});

holds(
  'times are shown in order',
  fc.tuple(fc.bigInt(0n, 2n ** 61n), fc.bigInt(1n, 2n ** 40n)),
  (pair) => {
    const [first, more] = pair;
    assert.ok(isoTime(first) < isoTime(first + more), `${first} and ${first + more}`);
  },
);

const ENCODINGS = ['utf8', 'utf16le', 'latin1', 'ascii', 'hex', 'base64', 'base64url'] as const;

holds("encodings are Buffer's", fc.tuple(bytes(100), fc.constantFrom(...ENCODINGS)), (pair) => {
  const [data, encoding] = pair;
  assert.is(decode(data, encoding), Buffer.from(data).toString(encoding));
});

/** (Beyond ASCII, Node's base64 looks at halves of characters.) */
const ascii = fc.string({ unit: 'binary-ascii', maxLength: 60 });
const encoded = fc.oneof(
  fc.tuple(text, fc.constantFrom(...ENCODINGS.slice(0, 4))),
  fc.tuple(ascii, fc.constantFrom(...ENCODINGS)),
);

holds('and back', encoded, ([string, encoding]) => {
  assert.equal(Buffer.from(encode(string, encoding)), Buffer.from(string, encoding));
});

test('no word of the language is an encoding', () => {
  for (const word of ['constructor', 'CONSTRUCTOR', '__proto__', 'toString', 'VALUEOF']) {
    assert.is(isEncoding(word), false, word);
  }
});

test.run();
