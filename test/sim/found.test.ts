// What the simulated world found in the engine, each as the shortest history that shows it, with
// the seed that found it first. They stay, so that nobody brings one back.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync, Task, wait } from '../../host/base/task.ts';
import { DROP } from '../../host/device/crash.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import * as raid from '../raid/helpers.ts';
import {
  contentsOf,
  format,
  LOG_BYTES,
  letGo,
  mount,
  problemOf,
  writeAfter,
} from '../world/engine.ts';
import { RecordingWorld } from '../world/recorder.ts';
import { VirtualTime } from './virtual-time.ts';

const test = suite('found');
const SETUP = { name: 'none', raid: 'none', diskCount: 1, blockCount: 900, logCopies: 1 } as const;

/** An empty volume whose devices take their time: the disk more than the log. */
function slowVolume() {
  const world = new RecordingWorld();
  const time = new VirtualTime();
  const schedule = (us: number) => (complete: () => void) => void time.in(us, complete);
  const disks = [world.disk({ blockCount: 900, name: 'disk', schedule: schedule(1000) })];
  const log = { sizeBytes: LOG_BYTES, name: 'log', schedule: schedule(10) };
  const nvrams = [world.nvram(log)];
  runSync(format({ disks, nvrams }, SETUP, { arena: 'found' }));
  const engine = runSync(mount({ disks, nvrams }, { arena: 'found', clock: time }));
  return { world, time, engine };
}

test('a snapshot is changed before the CP that makes it is durable (seed 18)', async () => {
  const { world, time, engine } = slowVolume();
  runSync(writeAfter(engine, 'here'));
  const table = new SnapshotOperations(engine.fs);
  const created = new Task(table.create('s'));
  await time.run(() => table.list().length > 0);
  assert.not(created.isSettled, 'its CP is under way');
  const deleted = new Task(table.delete('s'));
  const kept = world.position;
  await time.run(() => deleted.isSettled);
  const answered = world.position;
  letGo(engine);
  for (const position of world.cutPositions(kept)) {
    const cut = world.cutAt(position);
    for (const variant of cut.variants(new SeededPrng(1))) {
      // It could not be mounted: the record had no snapshot to change.
      const after = runSync(mount(cut.materialise(variant), { arena: 'cut' }));
      const { snapshots } = runSync(contentsOf(after));
      if (position >= answered) assert.is(snapshots.size, 0);
      assert.is(runSync(problemOf(after)), undefined);
      letGo(after);
    }
  }
});

test('a snapshot is held and deleted at one time (seed 34)', async () => {
  const { time, engine } = slowVolume();
  const table = new SnapshotOperations(engine.fs);
  runSync(table.create('s'));
  // They wait, as for a rollback, between being asked for and being done.
  const { core } = engine.fs;
  core.barrier = new Task(wait({ start: () => time.pause(100), startSync() {} }));
  core.barrier.onSettled(() => {
    core.barrier = undefined;
  });
  const calls = [new Task(table.hold('s', 1)), new Task(table.hold('s', 1))];
  const deleted = new Task(table.delete('s'));
  deleted.promise().catch(() => {});
  await time.run(() => [...calls, deleted].every((call) => call.isSettled));
  assert.throws(
    () => deleted.result(),
    (error: { code: string }) => error.code === 'EBUSY',
  );
  assert.is(table.get('s').holds, 2);
  letGo(engine);
});

/** So many roots, then one that a sync call overtakes, and one that follows; a crash takes what is
 *  not durable. */
async function overtakeRoot(before: number): Promise<void> {
  const world = new RecordingWorld();
  const time = new VirtualTime();
  const schedule = (complete: () => void) => void time.in(1000, complete);
  const disks = ['a', 'b'].map((name) => world.disk({ blockCount: 448, name, schedule }));
  raid.format(disks, 'none');
  const volume = raid.open(disks);
  for (let cp = 1; cp <= before; cp++) runSync(volume.writeRoot(raid.stateOf(cp), time.now()));
  const overtaken = new Task(volume.writeRoot(raid.stateOf(100), time.now()));
  await time.run(() => world.isWriting);
  overtaken.driveSync();
  assert.ok(world.isWriting, 'the root in the first slots lands late');
  runSync(volume.writeRoot(raid.stateOf(101), time.now()));
  const cut = world.cutAt(world.position);
  const fates = cut.writes.map(() => DROP);
  // It could not be mounted: a disk was shorter than the root said (DISK_TRUNCATED).
  const after = raid.open(cut.materialise({ label: 'all lost', fates }).disks);
  assert.is(raid.cpOf(after), 101);
}

test('a root counts a write that a sync call overtook as done (seed 548)', async () => {
  // One of them is the first in the last slots, behind which the disks are empty.
  for (let before = 0; before < 16; before++) await overtakeRoot(before);
});

test.run();
