// Which disks make up a volume: missing, stale, foreign, doubled, truncated, diverged, too new, in
// any order. Believing the wrong disk is the quietest way to lose data, so every row has its code,
// and a refusal changes nothing.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  LABEL_INCOMPATIBLE_OFFSET,
  LABEL_READ_ONLY_OFFSET,
  LABEL_VERSION_OFFSET,
} from '../../assembly/layout/label.ts';
import type { StorageErrorCode } from '../../host/base/errors.ts';
import { isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { SparseBytes } from '../../host/device/sparse-bytes.ts';
import type { Label } from '../../host/format/label.ts';
import { decodeLabel, encodeLabel } from '../../host/format/label.ts';
import type { RaidKind } from '../../host/format/volume-root.ts';
import { formatVolume, rootDbn } from '../../host/raid/format.ts';
import { Hasher } from '../../host/raid/hasher.ts';
import { inspectFront } from '../../host/raid/inspect.ts';
import type { OpenOptions } from './helpers.ts';
import {
  clock,
  cpOf,
  format,
  Model,
  newArena,
  newDisks,
  open,
  readBlocks,
  stateOf,
  testSeed,
} from './helpers.ts';

const SEED = testSeed();
const BLOCKS = 512;

function made(raid: RaidKind, count: number, seed = 7) {
  const disks = newDisks({ count, blockCount: BLOCKS });
  format(disks, raid, { seed });
  const model = new Model(new SeededPrng(SEED));
  advance(disks, model);
  return { disks, model };
}

/** One more CP on these disks. */
function advance(disks: readonly MemoryDisk[], model: Model, options: OpenOptions = {}): void {
  const volume = open(disks, options);
  model.write(volume, 20, 100);
  model.commit(volume, 5);
}

function contents(disks: readonly MemoryDisk[]): string {
  return disks
    .map((disk) => {
      const bytes = new Uint8Array(disk.blockCount * BLOCK_SIZE);
      disk.readSync(0, [bytes]);
      let sum = 0;
      for (const byte of bytes) sum = (Math.imul(sum, 31) + byte) | 0;
      return sum;
    })
    .join();
}

/** Opening is refused with this code, and no disk was changed. */
function refused(
  code: StorageErrorCode,
  disks: readonly MemoryDisk[],
  options: OpenOptions = {},
): void {
  const before = contents(disks);
  assert.throws(
    () => open(disks, options),
    (error: unknown) => {
      if (!isStorageError(error)) throw error;
      assert.is(error.code, code, error.message);
      assert.ok(error.hint.length > 0);
      return true;
    },
  );
  assert.is(contents(disks), before, `${code}: nothing was changed`);
}

/** A copy that goes its own way. */
function fork(disk: MemoryDisk): MemoryDisk {
  return disk.clone();
}

function editLabels(
  disk: MemoryDisk,
  edit: (label: Label) => Label,
  patch?: (view: DataView) => void,
): void {
  const { arena, kernels } = newArena('edit');
  const { hash } = new Hasher(arena, kernels);
  for (const copy of [0, 1]) {
    const bytes = new Uint8Array(BLOCK_SIZE);
    disk.readSync(copy, [bytes]);
    const changed = encodeLabel(edit(decodeLabel(bytes, hash)), hash);
    if (patch !== undefined) {
      const view = new DataView(changed.buffer);
      patch(view);
      view.setBigUint64(16, 0n);
      const { low, high } = hash(changed);
      view.setUint32(16, low, true);
      view.setUint32(20, high, true);
    }
    disk.writeSync(copy, [changed]);
  }
}

test('reordered disks open, under whatever names', () => {
  for (const [raid, count] of [
    ['none', 3],
    ['raid4', 4],
  ] as const) {
    const { disks, model } = made(raid, count);
    const volume = open(new SeededPrng(SEED).shuffle([...disks]));
    assert.is(cpOf(volume), 1);
    assert.equal(readBlocks(volume, model.live), []);
  }
});

test('no volume, no disk, garbage', () => {
  refused('NOT_A_VOLUME', newDisks({ count: 2, blockCount: 64 }));
  const noise = newDisks({ count: 1, blockCount: 64 });
  noise[0]?.writeSync(0, [new SeededPrng(SEED).bytes(64 * BLOCK_SIZE)]);
  refused('NOT_A_VOLUME', noise);
  refused('NOT_A_VOLUME', newDisks({ count: 1, blockCount: 1 }));
  refused('INVALID_ARGUMENT', []);
});

test('a disk without a label is left out, with a warning', () => {
  const { disks, model } = made('raid4', 4);
  disks[1]?.writeSync(0, [new Uint8Array(2 * BLOCK_SIZE)]);
  const warnings: string[] = [];
  const volume = open(disks, { warnings });
  assert.equal(readBlocks(volume, model.live), []);
  assert.ok(warnings.some((text) => text.includes('memory-1') && text.includes('no label')));
});

test('one torn label copy does no harm, whichever', () => {
  for (const copy of [0, 1]) {
    const { disks } = made('none', 1);
    disks[0]?.corrupt(copy * BLOCK_SIZE + 300, Uint8Array.of(1));
    assert.is(cpOf(open(disks)), 1);
    assert.is(cpOf(open(disks)), 1);
  }
});

test('foreign and doubled disks are refused', () => {
  const { disks } = made('raid4', 4);
  const other = made('none', 1, 8).disks[0] as MemoryDisk;
  refused('DISK_FOREIGN', [...disks, other]);
  refused('DISK_FOREIGN', [...disks.slice(0, 3), other]);
  refused('DISK_DUPLICATE', [...disks, fork(disks[2] as MemoryDisk)]);
});

test('too new, unknown features', () => {
  const newer = made('none', 1).disks;
  editLabels(
    newer[0] as MemoryDisk,
    (label) => label,
    (view) => view.setUint32(LABEL_VERSION_OFFSET, 2, true),
  );
  refused('VERSION_TOO_NEW', newer);
  const unknown = made('raid4', 3).disks;
  for (const disk of unknown) {
    editLabels(
      disk,
      (label) => label,
      (view) => view.setUint8(LABEL_INCOMPATIBLE_OFFSET + 3, 1),
    );
  }
  refused('UNSUPPORTED_FEATURE', unknown);
  refused('UNSUPPORTED_FEATURE', unknown, { readOnly: true });
  const unwritable = made('none', 1).disks;
  editLabels(
    unwritable[0] as MemoryDisk,
    (label) => label,
    (view) => view.setUint8(LABEL_READ_ONLY_OFFSET, 1),
  );
  refused('UNSUPPORTED_FEATURE', unwritable);
  assert.is(cpOf(open(unwritable, { readOnly: true })), 1);
});

test('a truncated disk is refused', () => {
  for (const raid of ['none', 'raid4'] as const) {
    const { disks } = made(raid, 3);
    const whole = disks[0] as MemoryDisk;
    const bytes = new Uint8Array(60 * BLOCK_SIZE);
    whole.readSync(0, [bytes]);
    const image = new SparseBytes();
    image.write(0, bytes);
    const short = new MemoryDisk({ name: 'short', blockCount: BLOCKS, image });
    refused('DISK_TRUNCATED', [short, ...disks.slice(1)]);
    refused('DISK_TRUNCATED', [short, ...disks.slice(1)], { readOnly: true });
  }
});

test('missing disks: within parity, beyond it, and half', () => {
  const { disks, model } = made('raid4', 4);
  const warnings: string[] = [];
  const volume = open(disks.slice(1), { readOnly: true, warnings });
  assert.equal(readBlocks(volume, model.live), []);
  assert.ok(warnings.some((text) => text.includes('degraded')));
  refused('RAID_DEGRADED_BEYOND_PARITY', disks.slice(2));
  refused('RAID_DEGRADED_BEYOND_PARITY', disks.slice(2), { degraded: true });
  refused('RAID_DEGRADED_BEYOND_PARITY', disks.slice(2), { readOnly: true });
  const mirror = made('raid4', 2);
  for (const index of [0, 1]) {
    const half = [mirror.disks[index] as MemoryDisk];
    refused('DISK_MISSING', half);
    assert.equal(readBlocks(open(half, { readOnly: true }), mirror.model.live), []);
  }
  const half = mirror.disks.slice(0, 1);
  assert.equal(readBlocks(open(half, { degraded: true }), mirror.model.live), []);
  assert.is(cpOf(open(half)), 1, 'once said is enough');
  const plain = made('none', 3);
  refused('DISK_MISSING', plain.disks.slice(1));
  assert.ok(
    readBlocks(open(plain.disks.slice(1), { readOnly: true }), plain.model.live).length > 0,
  );
});

test('a disk that was away is stale: not believed, and not counted', () => {
  const { disks, model } = made('raid4', 4);
  advance(disks.slice(1), model);
  const warnings: string[] = [];
  const volume = open(disks, { warnings });
  assert.is(volume.members[0]?.state, 'failed');
  assert.is(volume.stats.replayed, 0);
  assert.equal(readBlocks(volume, model.live), []);
  assert.ok(warnings.some((text) => text.includes('memory-0 is stale')));
  refused('RAID_DEGRADED_BEYOND_PARITY', [disks[0], disks[2], disks[3]] as MemoryDisk[]);
  runSync(open(disks).replaceDisk(0, disks[0] as MemoryDisk));
  const rest = [disks[0], disks[2], disks[3]] as MemoryDisk[];
  assert.equal(readBlocks(open(rest), model.live), []);
});

test('an old copy of a disk, put in its place, is stale', () => {
  const { disks, model } = made('raid4', 3);
  const old = fork(disks[0] as MemoryDisk);
  advance(disks, model);
  advance(disks, model);
  // Active in the winner's list, but what it holds is old: above all its share of parity.
  const volume = open([old, ...disks.slice(1)]);
  assert.is(volume.members[0]?.state, 'failed');
  assert.is(cpOf(volume), 3);
  assert.equal(readBlocks(volume, model.live), []);
  assert.is(volume.stats.mismatches, 0);
  const plain = made('none', 2);
  const before = fork(plain.disks[1] as MemoryDisk);
  advance(plain.disks, plain.model);
  const pair = [plain.disks[0] as MemoryDisk, before];
  refused('DISK_MISSING', pair);
  open(pair, { degraded: true });
  assert.ok(open(pair).isDegraded, 'nor is it taken back');
  assert.not(open(plain.disks).isDegraded, 'the real one is');
});

test('sides that went on apart are diverged, in every way of going apart', () => {
  for (const laps of [
    [1, 1],
    [2, 1],
    [1, 3],
  ] as const) {
    const { disks, model } = made('raid4', 2);
    disks.forEach((disk, index) => {
      const side = new Model(new SeededPrng(index));
      side.cp = model.cp;
      for (let lap = 0; lap < (laps[index] as number); lap++)
        advance([disk], side, { degraded: true });
    });
    refused('DIVERGED', disks);
    refused('DIVERGED', [...disks].reverse(), { degraded: true });
    assert.is(cpOf(open([disks[1] as MemoryDisk])), 1 + laps[1], 'one side alone opens');
  }
  // One disk fails while the volume is open; it is then opened alone.
  const { disks, model } = made('raid4', 2);
  const volume = open(disks);
  (disks[1] as MemoryDisk).isDead = true;
  model.write(volume, 5, 100);
  model.commit(volume, 0);
  (disks[1] as MemoryDisk).isDead = false;
  const side = new Model(new SeededPrng(5));
  side.cp = 1;
  advance([disks[1] as MemoryDisk], side, { degraded: true });
  refused('DIVERGED', disks);
  const plain = made('none', 2).disks;
  for (const disk of plain) advance([disk], new Model(new SeededPrng(1)), { degraded: true });
  refused('DIVERGED', plain);
});

test('a root that reached one disk only is no side of its own', () => {
  const { disks, model } = made('raid4', 2);
  // The epoch root of a mount reaches disk 0, and then power goes.
  const before = fork(disks[1] as MemoryDisk);
  open(disks);
  // Labels are durable everywhere by then.
  const labels = new Uint8Array(2 * BLOCK_SIZE);
  disks[1]?.readSync(0, [labels]);
  before.writeSync(0, [labels]);
  const [ahead, behind] = [disks[0] as MemoryDisk, before];
  assert.equal(readBlocks(open([fork(ahead), fork(behind)]), model.live), []);
  advance([behind], model, { degraded: true });
  const volume = open([ahead, behind]);
  assert.is(volume.members[0]?.state, 'failed', 'stale, not diverged');
  assert.is(cpOf(volume), 2);
});

test('damaged root slots: the other copy, the other disk, the root before', () => {
  const { disks, model } = made('none', 1);
  const disk = disks[0] as MemoryDisk;
  const { root, front } = open(disks);
  const at = rootDbn(front, root.number) * BLOCK_SIZE;
  disk.corrupt(at + 3000, Uint8Array.of(9));
  assert.is(open(disks, { readOnly: true }).root.number, root.number, 'the second copy');
  disk.corrupt(at + 2 * BLOCK_SIZE + 3000, Uint8Array.of(9));
  assert.is(open(disks, { readOnly: true }).root.number, root.number - 1, 'the root before');
  assert.equal(readBlocks(open(disks, { readOnly: true }), model.live), []);
  const all = new Uint8Array(32 * BLOCK_SIZE).fill(1);
  disk.corrupt(8 * BLOCK_SIZE, all);
  refused('BAD_CHECKSUM', disks);
});

test('an old label under a writer is damage, not another writer', () => {
  for (const [raid, count] of [
    ['none', 1],
    ['raid4', 3],
  ] as const) {
    const { disks } = made(raid, count);
    const disk = disks[0] as MemoryDisk;
    const old = new Uint8Array(BLOCK_SIZE);
    disk.readSync(0, [old]);
    const volume = open(disks);
    disk.writeSync(0, [old]);
    runSync(volume.checkEpoch());
  }
});

test('a second writer makes the first one stop', () => {
  const { disks, model } = made('raid4', 3);
  const first = open(disks);
  runSync(first.checkEpoch());
  const second = open(disks, { name: 'second', seed: 12 });
  assert.throws(
    () => runSync(first.checkEpoch()),
    (error: unknown) => isStorageError(error, 'VOLUME_LOCKED'),
  );
  assert.throws(
    () => model.commit(first, 0),
    (error: unknown) => isStorageError(error, 'VOLUME_FAILED'),
  );
  runSync(second.writeRoot(stateOf(9), clock.now()));
  assert.is(cpOf(open(disks)), 9);
});

test('a rebuild cut in the middle leaves a disk that is not trusted', () => {
  const { disks, model } = made('raid4', 4);
  const rest = disks.slice(1);
  const fresh = new MemoryDisk({ name: 'fresh', blockCount: BLOCKS });
  const volume = open(rest);
  fresh.inject({
    operation: 'write',
    action: 'fail',
    nth: 4,
    times: Infinity,
    range: { offsetBytes: 100 * BLOCK_SIZE, sizeBytes: 400 * BLOCK_SIZE },
  });
  fresh.inject({
    operation: 'write',
    action: 'fail',
    range: { offsetBytes: 192 * BLOCK_SIZE, sizeBytes: BLOCK_SIZE },
  });
  assert.throws(
    () => runSync(volume.replaceDisk(0, fresh)),
    (error: unknown) => isStorageError(error, 'DISK_FAILED'),
  );
  fresh.clearFaults();
  const again = open([fresh, ...rest]);
  assert.is(again.members[0]?.state, 'rebuilding');
  assert.equal(readBlocks(again, model.live), []);
  refused('RAID_DEGRADED_BEYOND_PARITY', [fresh, ...rest.slice(1)]);
  runSync(again.replaceDisk(0, fresh));
  assert.equal(readBlocks(open([fresh, ...rest.slice(1)]), model.live), []);
});

test('inspect finds every structure of a front, whole or not', () => {
  const { disks, model } = made('raid4', 3);
  advance(disks, model);
  const { arena, kernels } = newArena('edit');
  const { hash } = new Hasher(arena, kernels);
  const disk = disks[1] as MemoryDisk;
  disk.corrupt(BLOCK_SIZE + 99, Uint8Array.of(1));
  const { labels, roots, journal } = runSync(inspectFront(disk, hash));
  assert.is(labels[0]?.value?.index, 1);
  assert.is(labels[1]?.error?.code, 'BAD_CHECKSUM');
  assert.is(roots.length, 16);
  const numbers = roots.flatMap(({ value }) => (value === undefined ? [] : [value.number]));
  assert.equal(numbers.sort(), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
  assert.is(roots.filter(({ error }) => error?.code === 'BAD_MAGIC').length, 6);
  assert.is(journal.length, 4);
  assert.ok(journal.some(({ value }) => (value?.records.length ?? 0) > 1));
  const [empty] = newDisks({ count: 1, blockCount: 1 }) as [MemoryDisk];
  assert.is(runSync(inspectFront(empty, hash)).labels[0]?.error?.code, 'BAD_MAGIC');
});

test('replaceDisk and failDisk refuse what would lose data', () => {
  const { disks } = made('raid4', 3);
  const volume = open(disks);
  const code = (run: () => void, expected: StorageErrorCode) =>
    assert.throws(run, (error: unknown) => isStorageError(error, expected));
  const spare = () => new MemoryDisk({ blockCount: BLOCKS });
  code(
    () => runSync(volume.replaceDisk(0, new MemoryDisk({ blockCount: 100 }))),
    'INVALID_ARGUMENT',
  );
  code(() => runSync(volume.replaceDisk(0, disks[1] as MemoryDisk)), 'DISK_DUPLICATE');
  code(
    () => runSync(volume.replaceDisk(0, made('none', 1, 9).disks[0] as MemoryDisk)),
    'DISK_FOREIGN',
  );
  code(() => runSync(volume.failDisk(7)), 'INVALID_ARGUMENT');
  runSync(volume.failDisk(0));
  code(() => runSync(volume.failDisk(1)), 'INVALID_ARGUMENT');
  code(() => runSync(volume.replaceDisk(1, spare())), 'INVALID_ARGUMENT');
  runSync(volume.replaceDisk(0, spare()));
  assert.not(volume.isDegraded);
});

test('format refuses what cannot be', () => {
  const code = (
    count: number,
    raid: string,
    blockCount: number,
    extra: object,
    expected: StorageErrorCode,
  ) => {
    const { arena, kernels } = newArena('edit');
    const env = { clock, prng: new SeededPrng(1) };
    const disks = newDisks({ count, blockCount });
    const options = {
      disks,
      raid: raid as RaidKind,
      env,
      arena,
      kernels,
      initialState: stateOf(0),
      ...extra,
    };
    assert.throws(
      () => runSync(formatVolume(options)),
      (error: unknown) => isStorageError(error, expected),
    );
    assert.ok(
      disks.every((disk) => disk.lengthBlocks() === 0),
      'nothing was written',
    );
  };
  code(4, 'dp', 512, {}, 'UNSUPPORTED_FEATURE');
  code(1, 'raid4', 512, {}, 'INVALID_ARGUMENT');
  code(18, 'raid4', 512, {}, 'INVALID_ARGUMENT');
  code(0, 'none', 512, {}, 'INVALID_ARGUMENT');
  code(2, 'raid5', 512, {}, 'INVALID_ARGUMENT');
  code(1, 'none', 100, {}, 'INVALID_ARGUMENT');
  code(2, 'raid4', 512, { journalBlocks: 30 }, 'INVALID_ARGUMENT');
  code(2, 'raid4', 512, { journalBlocks: 130 }, 'INVALID_ARGUMENT');
});

test.run();
