// Replay as mounts meet it: on a volume of real (memory) disks, with its log, with a disk that is
// gone, with a log that does not fit, and with a crash in the middle. What a mount must never do is
// to lose an entry that was acknowledged, or to go on as if nothing were wrong.

import { createHash } from 'node:crypto';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { isFsError, isStorageError, type StorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync, type Task } from '../../host/base/task.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { encodeRecord, type Request } from '../../host/filesystem/requests.ts';
import { RecordWriter } from '../../host/format/record.ts';
import { closeEngine, type Engine } from '../../host/volume/engine.ts';
import {
  contentsOf,
  digestOf,
  format,
  LOG_BYTES,
  mount,
  operationsOf,
  problemOf,
  type Setup,
} from '../world/engine.ts';
import { RecordingWorld } from '../world/recorder.ts';

const SETUP: Setup = { name: 'none', raid: 'none', diskCount: 3, blockCount: 3000, logCopies: 1 };
const options = { read: true, write: true, create: true };
const encode = (text: string) => new TextEncoder().encode(text);

/** Set by newVolume. */
let dataFirst = 0;

interface Devices {
  readonly disks: readonly MemoryDisk[];
  readonly nvrams: readonly MemoryNvram[];
}

function newVolume(world?: RecordingWorld): { devices: Devices; engine: Engine } {
  const { blockCount, diskCount } = SETUP;
  const numbers = Array.from({ length: diskCount }, (_, index) => index);
  const log = { name: 'log', sizeBytes: LOG_BYTES };
  const devices = {
    disks: numbers.map((index) => {
      const disk = { name: `disk-${index}`, blockCount };
      return world?.disk(disk) ?? new MemoryDisk(disk);
    }),
    nvrams: [world?.nvram(log) ?? new MemoryNvram(log)],
  };
  runSync(format(devices, SETUP, { arena: 'replay' }));
  const engine = runSync(mount(devices, { arena: 'replay' }));
  dataFirst = engine.raid.front.dataFirst;
  return { devices, engine };
}

/** What the devices hold now, as after a crash. */
function copyOf({ disks, nvrams }: Devices): Devices {
  return { disks: disks.map((disk) => disk.clone()), nvrams: nvrams.map((one) => one.clone()) };
}

/** Mounts; devices stay as they are if `readOnly`. */
function mountAgain(devices: Devices, readOnly = false): Engine {
  return runSync(mount(devices, { arena: 'replay-2', readOnly }));
}

/** Of all data and the log; labels and roots in front of the disks are a mount's own. */
function hashOf({ disks, nvrams }: Devices): string {
  const hash = createHash('sha256');
  for (const disk of disks) {
    const bytes = new Uint8Array((disk.blockCount - dataFirst) * 4096);
    disk.readSync(dataFirst, [bytes]);
    hash.update(bytes);
  }
  for (const nvram of nvrams) {
    const bytes = new Uint8Array(nvram.sizeBytes);
    nvram.readSync(0, bytes);
    hash.update(bytes);
  }
  return hash.digest('hex');
}

const done = <T>(task: Task<T>): T => task.driveSync();
const treeOf = (engine: Engine) => digestOf(runSync(contentsOf(engine)));
const at = (path: string) => ({ path, followLast: true });

function errorOf(action: () => unknown): StorageError {
  try {
    action();
  } catch (error) {
    if (isStorageError(error)) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}

/** Puts an entry into the log as it stands, whatever it says. */
function forge(engine: Engine, requests: readonly Request[]): void {
  const { log } = engine.fs.core;
  if (log === undefined) throw new Error('the volume has a log');
  assert.ok(log.reserve(8192));
  const sequence = log.append(encodeRecord(new RecordWriter(), requests), 8192);
  log.commit(sequence).startSync();
}

test('[N-1] every request since the last CP is in the log, and is on the disks at the next', () => {
  const { devices, engine } = newVolume();
  const operations = operationsOf(engine);
  const blank = copyOf(devices);
  done(operations.mkdir('/a', 0o755));
  done(operations.writeFile('/a/b', encode('text'), options));
  done(operations.symlink('/a', '/c'));
  done(operations.link('/a/b', '/d'));
  done(operations.rename('/d', '/e'));
  done(operations.truncate(at('/e'), 2));
  done(operations.change(at('/e'), { mode: 0o600 }));
  done(operations.setXattr(at('/e'), 'user.x', encode('y')));
  done(operations.unlink('/c'));
  const { nvrams } = blank;
  const { disks } = devices;
  assert.is(hashOf({ disks, nvrams }), hashOf(blank), 'the disks are as they were');

  const again = mountAgain(copyOf(devices));
  assert.is(again.replay.entryCount, 9);
  assert.is(again.replay.appliedCount, 9);
  assert.is(treeOf(again), treeOf(engine));

  engine.fs.requestCp(true)?.driveSync();
  const committed = mountAgain(copyOf(devices));
  assert.is(committed.replay.entryCount, 0, 'the log is not needed for it any more');
  assert.is(treeOf(committed), treeOf(engine));
});

const FILES = 6;
const nameOf = (index: number) => `/file-${index}`;

/** Files all over the disks, each of which is changed in the log, within a block; and more that
 *  depends on that, or does not. */
function spreadVolume(): { devices: Devices; tree: string } {
  const { devices, engine } = newVolume();
  const operations = operationsOf(engine);
  for (let index = 0; index < FILES; index++) {
    const data = new Uint8Array(1000 * 1000).fill(index + 1);
    for (let part = 0; part < 2; part++) {
      const name = part === 0 ? nameOf(index) : `/filler-${index}`;
      done(operations.writeFile(name, data, options));
      engine.fs.requestCp(true)?.driveSync();
    }
  }
  engine.fs.requestCp(true)?.driveSync();
  for (let index = 0; index < FILES; index++) {
    const file = done(operations.open(nameOf(index), options));
    done(operations.write(file, encode('changed'), 5000));
    done(operations.change({ file }, { mode: 0o600 + index }));
    done(operations.writeFile(`/new-${index}`, encode('new'), options));
  }
  return { devices, tree: treeOf(engine) };
}

const without = ({ disks, nvrams }: Devices, missing: number): Devices => ({
  disks: disks.filter((_, index) => index !== missing),
  nvrams,
});

test('[N-7] entries of a missing disk are left out, told, and replayed when it is back', () => {
  const { devices, tree } = spreadVolume();
  let skippedSomewhere = 0;
  let refusedSomewhere = 0;
  for (let missing = 0; missing < SETUP.diskCount; missing++) {
    const copy = copyOf(devices);
    let engine: Engine;
    try {
      engine = mountAgain(without(copy, missing));
    } catch (error) {
      // The maps or the inode file are on it.
      assert.ok(isStorageError(error, 'DISK_MISSING'), String(error));
      refusedSomewhere++;
      assert.is(treeOf(mountAgain(copyOf(copy))), tree, 'the log was kept');
      continue;
    }
    const { replay, warnings, fs } = engine;
    if (replay.skipCount > 0) {
      skippedSomewhere++;
      assert.is(replay.appliedCount + replay.skipCount, 3 * FILES);
      // With each write goes the change of its file that depends on it, and nothing else.
      assert.is(replay.skipCount % 2, 0);
      assert.ok(replay.skipped.every((error) => isStorageError(error, 'ENTRY_SKIPPED')));
      assert.is(
        warnings.filter((text) => text.startsWith('ENTRY_SKIPPED')).length,
        replay.skipCount,
      );
      assert.ok(fs.core.isReadOnly);
      const before = hashOf(copy);
      for (let index = 0; index < FILES; index++) {
        assert.is(done(operationsOf(engine).readFile(at(`/new-${index}`))).length, 3);
      }
      assert.throws(
        () => done(operationsOf(engine).mkdir('/more', 0o755)),
        (error: unknown) => isFsError(error, 'EROFS'),
      );
      runSync(closeEngine(engine));
      assert.is(hashOf(copyOf(copy)), before, 'nothing is committed, and the log stays');
    }
    const whole = mountAgain(copyOf(copy));
    if (replay.skipCount > 0) assert.is(whole.replay.appliedCount, 3 * FILES);
    assert.is(treeOf(whole), tree);
    assert.is(runSync(problemOf(whole)), undefined);
  }
  assert.ok(skippedSomewhere > 0, 'a disk has data only');
  assert.ok(refusedSomewhere > 0, 'a disk has the inode file or the maps');
});

/** A mount for writing panics at this entry, and changes nothing; one for looking shows what there
 *  was before it. */
function assertPanic(devices: Devices, entry: { sequence: number; tree: string }): void {
  const before = hashOf(devices);
  const error = errorOf(() => mountAgain(devices));
  assert.is(error.code, 'REPLAY_PANIC');
  assert.is(error.detail['sequence'], entry.sequence);
  assert.ok(typeof error.detail['reason'] === 'string' && error.detail['reason'] !== '');
  assert.match(error.hint, 'readOnly');
  assert.is(hashOf(devices), before, 'nothing was changed');
  const looking = mountAgain(devices, true);
  assert.is(treeOf(looking), entry.tree);
  assert.ok(looking.warnings.some((text) => text.startsWith('REPLAY_PANIC')));
  assert.is(hashOf(devices), before);
}

const time = { seconds: 1, nanoseconds: 0 };
const writeTo = (ino: number, generation: number): Request => ({
  kind: 'write',
  ino,
  generation,
  position: 0,
  time,
  data: encode('forged'),
});

test('[N-8] panic: the first message cannot LOAD for want of something before it', () => {
  const { devices, engine } = newVolume();
  const tree = treeOf(engine);
  forge(engine, [writeTo(77, 1)]);
  const sequence = engine.fs.core.log?.lastSequence ?? 0;
  done(operationsOf(engine).mkdir('/later', 0o755));
  assertPanic(devices, { sequence, tree });
});

test('[N-9] panic: a message that was delivered again cannot LOAD either', () => {
  const { devices, engine } = newVolume();
  done(operationsOf(engine).writeFile('/file', encode('text'), options));
  done(operationsOf(engine).mkdir('/more', 0o755));
  const { ino } = done(operationsOf(engine).attributes(at('/file')));
  const tree = treeOf(engine);
  // Waits for the file, and then it is another one.
  forge(engine, [writeTo(ino, 12345)]);
  const sequence = engine.fs.core.log?.lastSequence ?? 0;
  done(operationsOf(engine).mkdir('/later', 0o755));
  assertPanic(devices, { sequence, tree });
});

test('[N-9] panic: nothing in the log makes what a message in the middle needs', () => {
  const { devices, engine } = newVolume();
  done(operationsOf(engine).mkdir('/more', 0o755));
  const tree = treeOf(engine);
  forge(engine, [writeTo(78, 1)]);
  const sequence = engine.fs.core.log?.lastSequence ?? 0;
  done(operationsOf(engine).mkdir('/later', 0o755));
  assertPanic(devices, { sequence, tree });
});

test('[N-11] a crash at any write of a replay, or of the CP after it, changes nothing', () => {
  const { devices, tree } = spreadVolume();
  const prng = new SeededPrng(11);
  const world = new RecordingWorld();
  const recorded = {
    disks: devices.disks.map((disk) => recordedDisk(world, disk)),
    nvrams: devices.nvrams.map((nvram) => recordedNvram(world, nvram)),
  };
  const start = world.position;
  assert.is(treeOf(mountAgain(recorded)), tree);
  const positions = world.cutPositions(start);
  assert.ok(positions.length > 20, `${positions.length} moments`);
  let replayedAgain = 0;
  for (const position of positions) {
    const cut = world.cutAt(position);
    const variants = [...cut.variants(prng, { randomCount: 1 })];
    const variant = prng.pick(variants);
    const engine = mountAgain(cut.materialise(variant));
    assert.is(treeOf(engine), tree, `cut at ${position}, ${variant.label}`);
    assert.is(runSync(problemOf(engine)), undefined);
    if (engine.replay.appliedCount > 0) replayedAgain++;
  }
  assert.ok(replayedAgain > 0);
  assert.ok(replayedAgain < positions.length, 'after the root nothing is applied again');
});

function recordedDisk(world: RecordingWorld, disk: MemoryDisk): MemoryDisk {
  const made = world.disk({ name: disk.name, blockCount: disk.blockCount });
  const block = new Uint8Array(4096);
  for (let dbn = 0; dbn < disk.lengthBlocks(); dbn++) {
    disk.readSync(dbn, [block]);
    if (block.some((byte) => byte !== 0)) made.writeSync(dbn, [block]);
  }
  made.flushSync();
  return made;
}

function recordedNvram(world: RecordingWorld, nvram: MemoryNvram): MemoryNvram {
  const made = world.nvram({ name: nvram.name, sizeBytes: nvram.sizeBytes });
  const bytes = new Uint8Array(nvram.sizeBytes);
  nvram.readSync(0, bytes);
  made.writeSync(0, [bytes]);
  made.flushSync();
  return made;
}

test.run();
