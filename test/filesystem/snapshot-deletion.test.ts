// A snapshot that spans many map blocks is deleted over several CPs, with changes and remounts in
// between: its plane must stay readable until the deletion is over, and every block must be
// accounted for. It was not: the plane's own blocks were freed, and used again, while later slices
// still read them.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import { FileSystem } from '../../host/filesystem/file-system.ts';
import { ImageOperations } from '../../host/filesystem/image-operations.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import { verify } from '../../host/filesystem/verify/verify.ts';
import { makeWorkload, Session } from '../oracle/workload.ts';
import { BlockStore, testParts } from './memory-volume.ts';

const test = suite('deletion of snapshots');

/** Fourteen columns of more than a map block each: a little data reaches many map blocks. */
const GEOMETRY = { stripes: 40_000, columns: 14 };

function story(seed: number): { slices: number } {
  const store = new BlockStore();
  const parts = () => testParts({ store, ...GEOMETRY, seed }).parts;
  let fs = runSync(FileSystem.format(parts()));
  const open = () => {
    fs.start();
    return {
      session: new Session(new ImageOperations(fs, () => fs.core.image, false)),
      snapshots: new SnapshotOperations(fs),
    };
  };
  let opened = open();
  const next = makeWorkload(new SeededPrng(seed), { writeSizeMax: 400_000, slots: 0 });
  let slices = 0;
  for (let step = 0; step < 240; step++) {
    opened.session.apply(next()).driveSync();
    if (step % 10 === 0) fs.requestCp()?.driveSync();
    if (step % 60 === 30) runSync(opened.snapshots.create(`s${step}`));
    if (step % 60 === 59) runSync(opened.snapshots.delete(`s${step - 29}`));
    if (fs.core.state.deleting !== 0) slices++;
    if (step % 7 === 3) {
      runSync(fs.close());
      fs = runSync(FileSystem.mount(parts()));
      opened = open();
    }
  }
  const { problems } = runSync(verify(fs));
  assert.equal(problems, [], `seed ${seed}`);
  return { slices };
}

test('[I-6] a plane stays readable until its snapshot is gone', () => {
  let slices = 0;
  for (let seed = 1; seed <= 5; seed++) slices += story(seed).slices;
  assert.ok(slices > 20, `the deletions took ${slices} steps: too few to show anything`);
});

test.run();
