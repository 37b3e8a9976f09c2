// Labels, volume roots and journal headers: what is encoded is decoded, every flipped byte is
// found, and mended nonsense gives a StorageError or a value that encodes to the same bytes.
// Whatever lies on a disk, opening it must end in an answer.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import type { Hash } from '../../host/format/envelope.ts';
import type { JournalHeader } from '../../host/format/journal.ts';
import { decodeJournalHeader, encodeJournalHeader } from '../../host/format/journal.ts';
import type { Label } from '../../host/format/label.ts';
import { decodeLabel, encodeLabel, frontOf } from '../../host/format/label.ts';
import type { VolumeRoot } from '../../host/format/volume-root.ts';
import { decodeVolumeRoot, encodeVolumeRoot } from '../../host/format/volume-root.ts';
import { newUuid } from '../../host/raid/format.ts';
import { Hasher } from '../../host/raid/hasher.ts';
import { newArena, stateOf, testSeed } from './helpers.ts';

const SEED = testSeed();
const ROUNDS = 4000;
const prng = new SeededPrng(SEED);
const { arena, kernels } = newArena('formats');
const { hash } = new Hasher(arena, kernels);
const time = { seconds: -5, nanoseconds: 999_999_999 };
const features = { incompatible: 1n << 63n, readOnly: 2n, compatible: 3n };

const label: Label = {
  raid: 'raid4',
  features,
  volumeUuid: newUuid(prng),
  diskUuid: newUuid(prng),
  created: time,
  index: 3,
  group: 1,
  column: 16,
  blockCount: 2 ** 40,
  epoch: 2 ** 50 + 1,
  writer: 0xfedcba9876543210n,
  front: frontOf({ journalBlocks: 128, logBlocks: 77 }),
};

const root: VolumeRoot = {
  raid: 'raid4',
  features,
  uuid: newUuid(prng),
  epoch: 7,
  number: 2 ** 45,
  time,
  created: time,
  groupCount: 1,
  journalSequence: 12,
  members: [0, 1, 16].map((column) => ({
    uuid: newUuid(prng),
    group: 0,
    column,
    state: column === 1 ? 'failed' : 'active',
    blockCount: 2 ** 34,
    dbnHigh: 2 ** 33 + 5,
    epoch: 6,
  })),
  ranges: [
    { vbnFirst: 1024, dbnFirst: 128, count: 1000, group: 0, column: 0 },
    { vbnFirst: 2048, dbnFirst: 128, count: 1000, group: 0, column: 1 },
    { vbnFirst: 2 ** 31, dbnFirst: 2 ** 33, count: 2 ** 30, group: 0, column: 0 },
  ],
  state: stateOf(42),
};

const header: JournalHeader = {
  volumeUuid: newUuid(prng),
  epoch: 3,
  sequence: 9,
  durable: 7,
  records: Array.from({ length: 252 }, (_, index) => ({
    dbn: 2 ** 47 + index,
    group: 0,
    column: index % 18,
    checksum: { low: 0xffffffff, high: index },
  })),
};

interface Codec<T> {
  readonly name: string;
  readonly value: T;
  readonly encode: (value: T, hash: Hash) => Uint8Array;
  readonly decode: (bytes: Uint8Array, hash: Hash) => T;
}

function checkCodec<T>({ name, value, encode, decode }: Codec<T>): void {
  const bytes = encode(value, hash);

  test(`${name}: round trip`, () => {
    assert.equal(decode(bytes, hash), value);
  });

  test(`${name}: every flipped byte is found`, () => {
    for (let at = 0; at < bytes.length; at += at < 256 ? 1 : 1 + prng.below(40)) {
      const damaged = bytes.slice();
      damaged[at] = (damaged[at] as number) ^ (1 + prng.below(255));
      assert.throws(
        () => decode(damaged, hash),
        (error: unknown) => isStorageError(error),
        `byte ${at}`,
      );
    }
    for (const length of [0, 3, 24, bytes.length - 1]) {
      const short = new Uint8Array(Math.max(4, length));
      short.set(bytes.subarray(0, length));
      assert.throws(
        () => decode(short, hash),
        (error: unknown) => isStorageError(error, 'BAD_MAGIC'),
      );
    }
  });

  test(`${name}: a newer version is told from damage`, () => {
    const newer = bytes.slice();
    newer[4] = 2;
    assert.throws(
      () => decode(newer, hash),
      (error: unknown) => isStorageError(error, 'BAD_CHECKSUM'),
    );
    assert.throws(
      () => decode(mend(newer), hash),
      (error: unknown) => isStorageError(error, 'VERSION_TOO_NEW'),
    );
  });

  test(`${name}: mended nonsense`, () => {
    let accepted = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const damaged = bytes.slice();
      for (let edits = 1 + prng.below(4); edits > 0; edits--) mutate(damaged);
      mend(damaged);
      let decoded: T;
      try {
        decoded = decode(damaged, hash);
      } catch (error) {
        if (!isStorageError(error)) throw error;
        continue;
      }
      accepted++;
      const again = encode(decoded, hash);
      const difference = damaged.findIndex(
        (byte, at) => byte !== again[at] && (at < 16 || at >= 24),
      );
      assert.is(difference, -1, `round ${round}: byte ${difference} is not looked at`);
    }
    assert.ok(accepted > 10, 'some nonsense is harmless');
  });
}

function mutate(bytes: Uint8Array): void {
  // The head and the tables' beginnings are where the meaning is.
  const at = prng.chance(0.7) ? 8 + prng.below(300) : prng.below(bytes.length);
  const values = [0, 1, 0x7f, 0x80, 0xff, prng.below(256)];
  bytes.fill(prng.pick(values), at, at + prng.pick([1, 1, 2, 4, 8]));
}

function mend(bytes: Uint8Array): Uint8Array {
  bytes.fill(0, 16, 24);
  const { low, high } = hash(bytes);
  const view = new DataView(bytes.buffer);
  view.setUint32(16, low, true);
  view.setUint32(20, high, true);
  return bytes;
}

checkCodec({ name: 'label', value: label, encode: encodeLabel, decode: decodeLabel });
checkCodec({
  name: 'volume root',
  value: root,
  encode: encodeVolumeRoot,
  decode: decodeVolumeRoot,
});
checkCodec({
  name: 'journal header',
  value: header,
  encode: encodeJournalHeader,
  decode: decodeJournalHeader,
});

test('uuids have their form', () => {
  for (let round = 0; round < 100; round++) {
    assert.match(
      newUuid(prng),
      /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
  }
});

test.run();
