// Which entries of the stripe journal a mount replays, row by row, with entries made by hand. One
// too few leaves a write hole; one too many brings an old parity back over a newer one.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { runSync } from '../../host/base/task.ts';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import { encodeJournalHeader } from '../../host/format/journal.ts';
import { Hasher } from '../../host/raid/hasher.ts';
import type { RaidVolume } from '../../host/raid/raid-volume.ts';
import { fillBlock, format, newArena, newDisks, open } from './helpers.ts';

const REGION_BLOCKS = 32;

interface Entry {
  readonly region: number;
  readonly sequence: number;
  readonly durable: number;
  readonly seed: number;
  readonly disks?: readonly number[];
  readonly epochOffset?: number;
  readonly uuid?: string;
  /** Copies whose block is torn. */
  readonly torn?: readonly number[];
}

/** Puts entries of one block each (dbn 200 of column 0) on the disks, mounts, and gives the volume
 *  and the seed whose bytes that block then has (0: none of them). */
function mounted(entries: readonly Entry[], options: { readOnly?: boolean } = {}) {
  const disks = newDisks({ count: 3, blockCount: 512 });
  format(disks, 'raid4');
  const { epoch, uuid, front } = open(disks);
  for (const entry of entries) put(disks, entry, { epoch, uuid, first: front.journalFirst });
  const volume = open(disks, options);
  const block = new Uint8Array(BLOCK_SIZE);
  disks[0]?.readSync(200, [block]);
  const expected = new Uint8Array(BLOCK_SIZE);
  const seeds = entries
    .map(({ seed }) => seed)
    .filter((seed) => {
      fillBlock(expected, seed);
      return block.every((byte, at) => byte === expected[at]);
    });
  return { volume, seed: seeds[0] ?? 0, disks };
}

function put(
  disks: readonly MemoryDisk[],
  entry: Entry,
  volume: { epoch: number; uuid: string; first: number },
): void {
  const { arena, kernels } = newArena('put');
  const { hash } = new Hasher(arena, kernels);
  const block = new Uint8Array(BLOCK_SIZE);
  fillBlock(block, entry.seed);
  const { sequence, durable } = entry;
  const records = [{ dbn: 200, group: 0, column: 0, checksum: hash(block) }];
  const epoch = volume.epoch + (entry.epochOffset ?? 0);
  const volumeUuid = entry.uuid ?? volume.uuid;
  const header = encodeJournalHeader({ volumeUuid, epoch, sequence, durable, records }, hash);
  (entry.disks ?? [0, 1]).forEach((disk, copy) => {
    const body =
      entry.torn?.includes(copy) === true ? block.map((byte, at) => (at < 512 ? byte : 0)) : block;
    disks[disk]?.writeSync(volume.first + entry.region * REGION_BLOCKS, [header, body]);
  });
}

function expect(entries: readonly Entry[], seed: number, replayed: number): RaidVolume {
  const result = mounted(entries);
  assert.is(result.volume.stats.replayed, replayed);
  assert.is(result.seed, seed);
  return result.volume;
}

test('an entry is replayed, from either copy', () => {
  expect([{ region: 1, sequence: 1, durable: 0, seed: 5 }], 5, 1);
  expect([{ region: 1, sequence: 1, durable: 0, seed: 5, disks: [2] }], 5, 1);
  expect([{ region: 3, sequence: 1, durable: 0, seed: 5, torn: [0] }], 5, 1);
});

test('an entry that is whole nowhere was never flushed', () => {
  expect([{ region: 1, sequence: 1, durable: 0, seed: 5, torn: [0, 1] }], 0, 0);
});

test('the last two entries, in order of their numbers and not of their regions', () => {
  const entries = [
    { region: 2, sequence: 8, durable: 7, seed: 8 },
    { region: 3, sequence: 9, durable: 7, seed: 9 },
  ];
  expect(entries, 9, 2);
  expect(
    entries.map((entry) => ({ ...entry, region: 5 - entry.region })),
    9,
    2,
  );
});

test('an old entry left over in its region is not brought back', () => {
  // 11 survived because its region was skipped; 12 and 13 were overwritten.
  const entries = [
    { region: 0, sequence: 14, durable: 12, seed: 14 },
    { region: 1, sequence: 11, durable: 9, seed: 11 },
    { region: 2, sequence: 15, durable: 13, seed: 15 },
  ];
  expect(entries, 15, 2);
  expect(
    [
      { region: 1, sequence: 11, durable: 9, seed: 11 },
      { region: 2, sequence: 13, durable: 12, seed: 13, torn: [0, 1] },
    ],
    0,
    0,
  );
});

test('entries of another epoch or volume do not count', () => {
  expect([{ region: 1, sequence: 1, durable: 0, seed: 5, epochOffset: -1 }], 0, 0);
  expect([{ region: 1, sequence: 1, durable: 0, seed: 5, epochOffset: 1 }], 0, 0);
  expect(
    [{ region: 1, sequence: 1, durable: 0, seed: 5, uuid: '00000000-0000-4000-8000-000000000000' }],
    0,
    0,
  );
});

test('after a mount for writing no entry counts any more', () => {
  const { disks } = mounted([{ region: 1, sequence: 1, durable: 0, seed: 5 }]);
  assert.is(open(disks).stats.replayed, 0);
});

test('a read-only mount has entries in memory and writes nothing', () => {
  const { volume, seed, disks } = mounted([{ region: 1, sequence: 1, durable: 0, seed: 5 }], {
    readOnly: true,
  });
  assert.is(seed, 0);
  assert.is(volume.stats.writeCalls, 0);
  const { arena, kernels } = newArena('put');
  const { hash } = new Hasher(arena, kernels);
  const block = new Uint8Array(BLOCK_SIZE);
  fillBlock(block, 5);
  const { low, high } = hash(block);
  const reader = open(disks, { readOnly: true });
  const vbn = (reader.spans[0]?.columns[0] as number) + 200 - reader.front.dataFirst;
  const request: {
    vbn: number;
    checksumLow: number;
    checksumHigh: number;
    address: number;
    error?: Error;
  } = {
    vbn,
    checksumLow: low,
    checksumHigh: high,
    address: 3 * 1024 * 1024,
  };
  runSync(reader.read([request]));
  assert.is(request.error, undefined);
  assert.is(reader.stats.mismatches, 0);
});

test.run();
