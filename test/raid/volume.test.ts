// Random blocks go to `none` and `raid4` volumes and come back: after reopening, with any one disk
// gone, failed or replaced, and with rot on the medium. It is the promise of RAID itself.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE, TETRIS_STRIPES } from '../../assembly/layout/block.ts';
import { isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import type { BlockRead, StripeSpan } from '../../host/device/block-volume.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { diskBlocksFor } from '../../host/raid/format.ts';
import type { RaidVolume } from '../../host/raid/raid-volume.ts';
import {
  allVbns,
  cpOf,
  format,
  framesOf,
  Model,
  newDisks,
  open,
  readBlocks,
  testSeed,
  writeBlocks,
} from './helpers.ts';

const SEED = testSeed();
const EMPTY = { isLive: () => false };

const columnsOf = (volume: RaidVolume) =>
  (volume.spans[0] as StripeSpan).columns as unknown as [number, number, number];

/** A volume with a few CPs of random blocks. */
function aged(raid: 'none' | 'raid4', count: number, seed: number) {
  const disks = newDisks({ count, blockCount: 1024 });
  format(disks, raid);
  const volume = open(disks);
  const model = new Model(new SeededPrng(seed));
  for (let cp = 0; cp < 5; cp++) {
    model.write(volume, 60, 100);
    model.write(volume, 20, 100);
    model.commit(volume, 30);
  }
  return { disks, volume, model };
}

test('vbns: columns start at multiples of 1024, 0 is in no range, mapping is one to one', () => {
  for (const [raid, count] of [
    ['none', 1],
    ['none', 3],
    ['raid4', 2],
    ['raid4', 6],
  ] as const) {
    const disks = newDisks({ count, blockCount: 1500 });
    format(disks, raid);
    const volume = open(disks);
    const vbns = allVbns(volume);
    assert.is(vbns.length, volume.blockCount);
    assert.is(new Set(vbns).size, vbns.length);
    assert.is(Math.max(...vbns) + 1, volume.vbnLimit);
    for (const { columns, stripeCount } of volume.spans) {
      assert.is(stripeCount % TETRIS_STRIPES, 0);
      for (const first of columns) assert.ok(first >= 1024 && first % 1024 === 0);
    }
    assert.not(volume.isAvailable(0));
    assert.ok(volume.isAvailable(1024));
    assert.not(volume.isAvailable(volume.vbnLimit));
  }
});

test('a disk as large as diskBlocksFor says offers what was asked for', () => {
  for (const [raid, diskCount] of [
    ['none', 1],
    ['none', 2],
    ['raid4', 2],
    ['raid4', 6],
  ] as const) {
    for (const usableBlocks of [1000, 5000, 70000]) {
      const blockCount = diskBlocksFor({ raid, diskCount, usableBlocks });
      const disks = newDisks({ count: diskCount, blockCount });
      format(disks, raid);
      const { blockCount: usable } = open(disks);
      assert.ok(usable >= usableBlocks && usable < usableBlocks + diskCount * TETRIS_STRIPES);
    }
  }
});

test('blocks come back, also after reopening, and the state with them', () => {
  for (const [raid, count] of [
    ['none', 1],
    ['none', 3],
    ['raid4', 2],
    ['raid4', 5],
  ] as const) {
    const { disks, volume, model } = aged(raid, count, SEED);
    assert.equal(readBlocks(volume, model.live), []);
    assert.is(volume.stats.reconstructed, 0);
    const again = open(disks);
    assert.is(cpOf(again), model.cp);
    assert.equal(readBlocks(again, model.live), []);
    assert.is(again.stats.mismatches, 0);
  }
});

test('raid4: every single disk can be lost', () => {
  for (const count of [2, 3, 6]) {
    const { disks, model } = aged('raid4', count, SEED + count);
    for (let lost = 0; lost < count; lost++) {
      const rest = disks.filter((_, index) => index !== lost);
      const volume = open(rest, { readOnly: true });
      assert.ok(volume.isDegraded);
      assert.equal(readBlocks(volume, model.live), [], `disk ${lost} of ${count} lost`);
      assert.is(volume.stats.reconstructed > 0, lost < count - 1);
    }
  }
});

test('raid4: writes while degraded survive, whichever disk is gone', () => {
  for (let lost = 0; lost < 5; lost++) {
    const { disks, model } = aged('raid4', 5, SEED + 10 + lost);
    const rest = disks.filter((_, index) => index !== lost);
    const volume = open(rest);
    for (let cp = 0; cp < 4; cp++) {
      model.write(volume, 50, 48);
      model.commit(volume, 30);
    }
    assert.equal(readBlocks(volume, model.live), []);
    assert.equal(readBlocks(open(rest), model.live), []);
  }
});

test('raid4: a disk that fails in the middle is taken out, and the work goes on', () => {
  for (let dead = 0; dead < 5; dead++) {
    const { disks, volume, model } = aged('raid4', 5, SEED + 20 + dead);
    (disks[dead] as MemoryDisk).isDead = true;
    model.write(volume, 60, 48);
    assert.is(volume.members[dead]?.state, 'failed');
    // The process dies before the CP ends, and the disk works again: it missed writes, and is out.
    (disks[dead] as MemoryDisk).isDead = false;
    const other = open(
      disks.map((disk) => disk.clone()),
      { name: 'second' },
    );
    assert.is(other.members[dead]?.state, 'failed');
    assert.is(cpOf(other), model.cp);
    assert.equal(readBlocks(other, model.images.get(model.cp) ?? new Map()), []);
    (disks[dead] as MemoryDisk).isDead = true;
    model.commit(volume, 20);
    assert.equal(readBlocks(volume, model.live), []);
    // It comes back with what it had: nobody believes it.
    (disks[dead] as MemoryDisk).isDead = false;
    const again = open(disks);
    assert.is(again.members[dead]?.state, 'failed');
    assert.equal(readBlocks(again, model.live), []);
    (disks[(dead + 1) % 5] as MemoryDisk).isDead = true;
    assert.throws(
      () => model.write(again, 60, 48),
      (error: unknown) => {
        return isStorageError(error, 'RAID_DEGRADED_BEYOND_PARITY');
      },
    );
    assert.throws(
      () => model.commit(again, 0),
      (error: unknown) => isStorageError(error, 'VOLUME_FAILED'),
    );
  }
});

test('raid4: a replaced disk is rebuilt, and then another one can be lost', () => {
  for (let lost = 0; lost < 4; lost++) {
    const { disks, model } = aged('raid4', 4, SEED + 30 + lost);
    const rest = disks.filter((_, index) => index !== lost);
    const volume = open(rest);
    model.write(volume, 40, 48);
    const fresh = new MemoryDisk({ name: 'fresh', blockCount: 1024 });
    runSync(volume.replaceDisk(lost, fresh));
    assert.not(volume.isDegraded);
    model.write(volume, 40, 48);
    model.commit(volume, 10);
    for (let other = 0; other < 4; other++) {
      const now = disks.map((disk, index) => (index === lost ? fresh : disk));
      now.splice(other, 1);
      const reader = open(now, { readOnly: true });
      assert.equal(readBlocks(reader, model.live), [], `replaced ${lost}, lost ${other}`);
    }
  }
});

test('raid4: rot and bad sectors are found, reconstructed, and repaired where allowed', () => {
  const { disks, model } = aged('raid4', 5, SEED + 40);
  const volume = open(disks);
  const prng = new SeededPrng(SEED + 41);
  // One column only: two bad blocks in a stripe are beyond parity.
  const victims = prng.shuffle([...model.live.keys()].filter((vbn) => vbn >= 2048 && vbn < 3072));
  const disk = disks[1] as MemoryDisk;
  victims.slice(0, 10).forEach((vbn, index) => {
    const offsetBytes = (vbn - 2048 + volume.front.dataFirst) * BLOCK_SIZE;
    if (index % 2 === 0)
      disk.corrupt(offsetBytes + prng.below(BLOCK_SIZE), Uint8Array.of(1 + prng.below(255)));
    else {
      const range = { offsetBytes, sizeBytes: BLOCK_SIZE };
      disk.inject({
        operation: 'read',
        action: 'fail',
        times: Infinity,
        range,
        isHealedByWrite: true,
      });
    }
  });
  assert.equal(readBlocks(volume, model.live), []);
  assert.is(volume.stats.reconstructed, 10);
  assert.is(volume.stats.repaired, 0, 'nobody confirmed a pointer');
  let asked = 0;
  volume.confirmPointer = (vbn, low, high) => {
    asked++;
    const block = model.live.get(vbn);
    return block?.low === low && block.high === high;
  };
  assert.equal(readBlocks(volume, model.live), []);
  assert.is(asked, 10);
  assert.is(volume.stats.repaired, 10);
  const { reconstructed } = volume.stats;
  assert.equal(readBlocks(volume, model.live), []);
  assert.is(volume.stats.reconstructed, reconstructed, 'all is well again');
});

test('a read-only volume repairs nothing', () => {
  const { disks, model } = aged('raid4', 3, SEED + 50);
  const [vbn] = [...model.live.keys()].filter((live) => live < 2048) as [number];
  const volume = open(disks, { readOnly: true });
  (disks[0] as MemoryDisk).corrupt(
    (vbn - 1024 + volume.front.dataFirst) * BLOCK_SIZE,
    Uint8Array.of(1),
  );
  volume.confirmPointer = () => true;
  assert.equal(readBlocks(volume, model.live), []);
  assert.is(volume.stats.reconstructed, 1);
  assert.is(volume.stats.repaired, 0);
});

test('a block beyond redundancy has an error that names it, and its neighbours are read', () => {
  const { disks, volume, model } = aged('none', 2, SEED + 60);
  const [vbn] = [...model.live.keys()].filter((live) => live < 2048) as [number];
  const dbn = vbn - 1024 + volume.front.dataFirst;
  (disks[0] as MemoryDisk).corrupt(dbn * BLOCK_SIZE + 5, Uint8Array.of(1));
  assert.equal(readBlocks(volume, model.live), [vbn]);
  const { low, high } = model.live.get(vbn) as { low: number; high: number };
  const request: BlockRead = {
    vbn,
    checksumLow: low,
    checksumHigh: high,
    address: framesOf(volume).at(0),
  };
  runSync(volume.read([request]));
  assert.ok(isStorageError(request.error, 'BAD_CHECKSUM'));
  assert.equal(request.error.detail, { vbn, disk: 'memory-0', dbn });
  (disks[0] as MemoryDisk).isDead = true;
  runSync(volume.read([request]));
  assert.ok(isStorageError(request.error, 'DISK_FAILED'));
  const wild: BlockRead = { ...request, vbn: 2 ** 40 };
  runSync(volume.read([wild]));
  assert.ok(isStorageError(wild.error, 'BAD_CHECKSUM'), 'a wild pointer is damage');
});

test('none: a missing disk takes its own vbns along and no others, and is taken back', () => {
  const { disks, model } = aged('none', 3, SEED + 70);
  const rest = [disks[0], disks[2]] as MemoryDisk[];
  const volume = open(rest, { degraded: true });
  const lost = readBlocks(volume, model.live);
  assert.ok(lost.length > 0 && lost.every((vbn) => vbn >= 2048 && vbn < 3072));
  assert.ok(lost.every((vbn) => !volume.isAvailable(vbn)) && volume.isAvailable(1024));
  runSync(volume.writeRoot(volume.state.slice(), { seconds: 0, nanoseconds: 0 }));
  const again = open(disks);
  assert.equal(readBlocks(again, model.live), []);
  assert.not(again.isDegraded);
});

test('full stripes need no read and no journal; adjacent blocks share device calls', () => {
  const disks = newDisks({ count: 5, blockCount: 1024 });
  format(disks, 'raid4');
  const volume = open(disks);
  const before = { ...volume.stats };
  const vbns = (volume.spans[0]?.columns ?? []).flatMap((first) =>
    Array.from({ length: 100 }, (_, stripe) => first + 10 + stripe),
  );
  const image = writeBlocks(volume, vbns, EMPTY, new SeededPrng(1));
  assert.is(volume.stats.stripesFull - before.stripesFull, 100);
  assert.is(volume.stats.stripesJournaled, 0);
  assert.is(volume.stats.readCalls, before.readCalls);
  assert.is(volume.stats.writeCalls - before.writeCalls, 5, 'one call for each disk');
  assert.equal(readBlocks(volume, image), []);
  assert.is(volume.stats.readCalls - before.readCalls, 4, 'one call for each data disk');
});

test('raid4: an empty stripe is written whole, a live one through the journal', () => {
  const disks = newDisks({ count: 4, blockCount: 1024 });
  format(disks, 'raid4');
  const volume = open(disks);
  const [a, b, c] = columnsOf(volume);
  const prng = new SeededPrng(2);
  const image = writeBlocks(volume, [a], EMPTY, prng);
  assert.is(volume.stats.stripesFull, 1);
  assert.is(volume.stats.zeroBlocksWritten, 2);
  const liveness = { isLive: (vbn: number, count: number) => vbn <= a && a < vbn + count };
  for (const [vbn, block] of writeBlocks(volume, [b, c, b + 1], liveness, prng))
    image.set(vbn, block);
  assert.is(volume.stats.stripesJournaled, 1);
  assert.is(volume.stats.stripesFull, 2);
  runSync(volume.flush());
  for (const lost of [0, 1, 2, 3]) {
    const rest = disks.filter((_, index) => index !== lost);
    assert.equal(readBlocks(open(rest, { readOnly: true, name: 'second' }), image), []);
  }
});

test('parity is not recomputed from a neighbour that has rotted', () => {
  const disks = newDisks({ count: 4, blockCount: 1024 });
  format(disks, 'raid4');
  const volume = open(disks);
  const [a, b] = columnsOf(volume);
  const prng = new SeededPrng(3);
  const image = writeBlocks(volume, [a], EMPTY, prng);
  (disks[0] as MemoryDisk).corrupt(volume.front.dataFirst * BLOCK_SIZE + 99, Uint8Array.of(255));
  const liveness = { isLive: (vbn: number, count: number) => vbn <= a && a < vbn + count };
  for (const [vbn, block] of writeBlocks(volume, [b], liveness, prng)) image.set(vbn, block);
  assert.is(volume.stats.stripesJournaled, 1);
  assert.equal(readBlocks(volume, image), [], 'the rotten neighbour is still reconstructed');
  assert.is(volume.stats.reconstructed, 1);
});

test('the same seed gives the same disks with WebAssembly and with the oracle', () => {
  const contents = (['wasm', 'oracle'] as const).map((kernels) => {
    const disks = newDisks({ count: 4, blockCount: 600 });
    format(disks, 'raid4', { kernels });
    const volume = open(disks, { kernels });
    const model = new Model(new SeededPrng(SEED + 80));
    for (let cp = 0; cp < 3; cp++) {
      model.write(volume, 40, 32);
      model.commit(volume, 20);
    }
    return disks.map((disk) => {
      const bytes = new Uint8Array(600 * BLOCK_SIZE);
      disk.readSync(0, [bytes]);
      return bytes;
    });
  });
  contents[0]?.forEach((bytes, index) => {
    const other = contents[1]?.[index] as Uint8Array;
    assert.ok(
      bytes.every((byte, at) => byte === other[at]),
      `disk ${index}`,
    );
  });
});

test.run();
