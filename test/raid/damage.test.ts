// Random damage to every region of the disks: labels, roots, journal, data and parity; flipped
// bytes, zeroed, misplaced and swapped blocks, unreadable ranges. Reads are compared with the
// model: repaired and refused are fine, wrong is not, and nothing but a StorageError may come out.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { RaidKind } from '../../host/format/volume-root.ts';
import { cpOf, format, Model, newDisks, open, readBlocks, testSeed } from './helpers.ts';

const SEED = testSeed();
const ROUNDS = 400;
const BLOCKS = 320;

function damage(disk: MemoryDisk, dataFirst: number, prng: SeededPrng): void {
  // The front as often as the data, of which there are 60 stripes.
  const dbn = prng.chance(0.5) ? prng.below(48) : dataFirst + prng.below(64);
  const block = new Uint8Array(BLOCK_SIZE);
  try {
    disk.readSync(dbn, [block]);
  } catch {
    // One of the ranges that cannot be read: zeros will do.
  }
  const kind = prng.below(5);
  if (kind === 0) {
    for (let count = 1 + prng.below(8); count > 0; count--) {
      disk.corrupt(dbn * BLOCK_SIZE + prng.below(BLOCK_SIZE), Uint8Array.of(1 + prng.below(255)));
    }
  } else if (kind === 1) disk.writeSync(dbn, [new Uint8Array(BLOCK_SIZE)]);
  else if (kind === 2) disk.writeSync(dataFirst + prng.below(64), [block]);
  else if (kind === 3) {
    const range = { offsetBytes: dbn * BLOCK_SIZE, sizeBytes: BLOCK_SIZE * (1 + prng.below(8)) };
    disk.inject({ operation: 'read', action: 'fail', times: Infinity, range });
  } else disk.writeSync(dbn, [prng.bytes(BLOCK_SIZE)]);
}

/** Counts over many damages of `hits` places of the disks that `choose` gives. */
function damages(
  raid: RaidKind,
  count: number,
  how: { hits: number; oneDisk: boolean; seed: number },
) {
  const disks = newDisks({ count, blockCount: BLOCKS, isCrashable: true });
  format(disks, raid);
  const volume = open(disks);
  const model = new Model(new SeededPrng(how.seed));
  for (let cp = 0; cp < 3; cp++) {
    model.write(volume, 40, 60);
    model.commit(volume, 20);
  }
  const prng = new SeededPrng(how.seed);
  const counts = { opened: 0, refused: 0, read: 0, lost: 0, repaired: 0 };
  for (let round = 0; round < ROUNDS; round++) {
    const twins = disks.map((disk) => disk.snapshotDurable());
    const one = prng.pick(twins);
    for (let hit = 0; hit < how.hits; hit++)
      damage(how.oneDisk ? one : prng.pick(twins), volume.front.dataFirst, prng);
    try {
      const again = open(twins, { readOnly: prng.chance(0.5) });
      again.confirmPointer = () => true;
      const image = model.images.get(cpOf(again));
      assert.ok(image !== undefined);
      counts.opened++;
      counts.lost += readBlocks(again, image).length;
      counts.read += image.size;
      counts.repaired += again.stats.repaired;
    } catch (error) {
      if (!isStorageError(error)) throw error;
      counts.refused++;
    }
  }
  console.log(`  ${raid} of ${count}, ${how.hits} hits: ${JSON.stringify(counts)}`);
  return counts;
}

test('raid4: damage of one disk loses nothing', () => {
  const { refused, lost, repaired } = damages('raid4', 4, { hits: 6, oneDisk: true, seed: SEED });
  assert.is(refused, 0);
  assert.is(lost, 0);
  assert.ok(repaired > 50);
});

test('raid4: damage all over is found', () => {
  const { read, lost } = damages('raid4', 3, { hits: 30, oneDisk: false, seed: SEED + 1 });
  assert.ok(lost > 0 && read > lost);
});

test('none: damage is found', () => {
  const { read, lost } = damages('none', 1, { hits: 9, oneDisk: true, seed: SEED + 2 });
  assert.ok(lost > 0 && read > lost);
});

test.run();
