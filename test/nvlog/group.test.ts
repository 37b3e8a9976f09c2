// Checks group commit: order of answers, grouping, overtaking by sync calls, copies that fail,
// room. It matters because an answer that comes too early is a lost call, and one that never
// comes is a hang.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { LOG_HALVES_OFFSET } from '../../assembly/layout/log.ts';
import { StorageError } from '../../host/base/errors.ts';
import type { Io, Step } from '../../host/base/task.ts';
import { runSync, Task, wait } from '../../host/base/task.ts';
import type { MemoryNvram } from '../../host/device/memory-nvram.ts';
import type { NvLog } from '../../host/nvlog/nv-log.ts';
import { SEQUENCE_JUMP } from '../../host/nvlog/scan.ts';
import {
  append,
  create,
  FLUSH_BYTES,
  logRootOf,
  newMemory,
  openLog,
  rootOf,
  turn,
} from './world.ts';

const HALF_BLOCKS = 16;
const SIZE = LOG_HALVES_OFFSET + 2 * HALF_BLOCKS * BLOCK_SIZE;
const FIRST = SEQUENCE_JUMP + 1;
const test = suite('log group commit');
const memory = newMemory();

/** A device whose completions wait until they are let go. */
class Manual {
  #queue: (() => void)[] = [];
  isHeld = false;
  readonly schedule = (complete: () => void): void => {
    this.#queue.push(complete);
    if (!this.isHeld) void Promise.resolve().then(() => this.#run());
  };

  get length(): number {
    return this.#queue.length;
  }

  /** Lets `count` operations complete, and what follows on them begin. */
  async release(count = Number.POSITIVE_INFINITY): Promise<void> {
    for (let done = 0; done < count; done++) {
      await turn();
      const complete = this.#queue.shift();
      if (complete === undefined) return;
      complete();
    }
    await turn();
  }

  #run(): void {
    while (!this.isHeld && this.#queue.length > 0) (this.#queue.shift() as () => void)();
  }
}

function start<T>(io: Io<T>): Promise<T> {
  return Promise.resolve(io.start());
}

/** The sequence numbers that a scan for the root of `create` finds. */
function found(
  nvrams: readonly (MemoryNvram | undefined)[],
  root = rootOf(1, SEQUENCE_JUMP),
): number[] {
  const scan = runSync(openLog(nvrams, newMemory()).scan(root));
  assert.is(scan.damage, undefined);
  return scan.records.map((record) => record.sequence);
}

function upTo(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Commits `count` records of 100 bytes; `answers` gets their numbers as they are answered. */
function commitMany(log: NvLog, count: number, answers: number[]): void {
  for (let index = 0; index < count; index++) {
    const sequence = append(log, 100);
    void start(log.commit(sequence)).then(() => answers.push(sequence));
  }
}

test('records of one turn share a flush; those that come meanwhile the next', async () => {
  const manual = new Manual();
  const { log, nvrams } = create(1, SIZE, memory, { schedule: manual.schedule });
  manual.isHeld = true;
  const answers: number[] = [];
  commitMany(log, 10, answers);
  await turn();
  assert.is(manual.length, 1, 'one write is under way');
  commitMany(log, 5, answers);
  assert.equal(answers, []);
  await manual.release(1);
  assert.equal(answers, [], 'written is not flushed');
  await manual.release(1);
  assert.equal(answers, upTo(FIRST, FIRST + 9));
  await manual.release();
  assert.equal(answers, upTo(FIRST, FIRST + 14));
  assert.is(log.stats.flushCount, 2);
  assert.is(log.stats.groupRecordCountMax, 10);
  assert.equal(
    found(nvrams.map((nvram) => nvram.snapshotDurable({ schedule: (go) => go() }))),
    upTo(FIRST, FIRST + 14),
  );
});

test('answers come in the order of sequence numbers, however they are asked for', async () => {
  const { log } = create(2, SIZE, memory, { schedule: (complete) => setImmediate(complete) });
  const answers: number[] = [];
  const sequences = upTo(0, 7).map(() => append(log, 10));
  const asked = [5, 0, 7, 2, 2, 6, 1, 3, 4].map((index) => sequences[index] as number);
  await Promise.all(
    asked.map((sequence) => start(log.commit(sequence)).then(() => answers.push(sequence))),
  );
  assert.equal(
    answers,
    asked.toSorted((a, b) => a - b),
  );
});

test('a flush is durable on all copies before it is answered', async () => {
  const held = new Manual();
  const { log, nvrams } = create(2, SIZE, memory, { schedule: held.schedule });
  held.isHeld = true;
  const answers: number[] = [];
  commitMany(log, 1, answers);
  await turn();
  assert.is(held.length, 2, 'both copies at once');
  await held.release(3);
  assert.equal(answers, []);
  await held.release(1);
  assert.equal(answers, [FIRST]);
  for (const nvram of nvrams) {
    assert.equal(found([nvram.snapshotDurable({ schedule: (go) => go() })]), [FIRST]);
  }
});

test('a sync call takes over the flush under way, and flushes the rest', async () => {
  const manual = new Manual();
  const { log, nvrams } = create(2, SIZE, memory, { schedule: manual.schedule });
  manual.isHeld = true;
  const answers: number[] = [];
  commitMany(log, 3, answers);
  await turn();
  commitMany(log, 2, answers);
  const sequence = append(log, 300);
  log.commit(sequence).startSync();
  assert.is(log.durableSequence, sequence);
  const durable = nvrams.map((nvram) => nvram.snapshotDurable({ schedule: (go) => go() }));
  for (const nvram of durable) assert.equal(found([nvram]), upTo(FIRST, sequence));
  // The overtaken writes are still under way: their buffer must keep its bytes, which the device
  // asserts at completion, while sync calls go on with the other one.
  for (let round = 0; round < 5; round++) {
    append(log, 2000);
    log.flush().startSync();
  }
  await turn();
  assert.equal(answers, upTo(FIRST, FIRST + 4));
  await manual.release();
  manual.isHeld = false;
  commitMany(log, 2, answers);
  await turn();
  const last = log.lastSequence;
  assert.is(log.durableSequence, last);
  assert.equal(
    found(nvrams.map((nvram) => nvram.snapshotDurable({ schedule: (go) => go() }))),
    upTo(FIRST, last),
  );
});

test('an async flush waits for the buffer that an overtaken write still uses', async () => {
  const manual = new Manual();
  const { log } = create(1, SIZE, memory, { schedule: manual.schedule });
  manual.isHeld = true;
  const answers: number[] = [];
  commitMany(log, 1, answers);
  await turn();
  log.flush().startSync();
  commitMany(log, 1, answers);
  await turn();
  assert.is(manual.length, 1, 'no second write while both buffers would be in use');
  commitMany(log, 1, answers);
  await manual.release();
  assert.equal(answers, upTo(FIRST, FIRST + 2));
});

test('a half with an overtaken write under way is not filled again', async () => {
  const manual = new Manual();
  const { log, nvrams } = create(1, SIZE, memory, { schedule: manual.schedule });
  manual.isHeld = true;
  append(log, 10);
  void start(log.flush());
  await turn();
  const { logSequence } = log.switchHalf();
  log.flush().startSync();
  log.rootCommitted(logRootOf(2, logSequence));
  assert.is(log.canSwitch, false);
  // A sync CP goes on with the half that it has, and recycles it.
  for (let cp = 3; cp < 40; cp++) {
    const from = log.lastSequence + 1;
    for (let round = 0; round < 3; round++) {
      append(log, 3000);
      log.flush().startSync();
    }
    const durable = nvrams.map((nvram) => nvram.snapshotDurable({ schedule: (go) => go() }));
    assert.equal(found(durable, rootOf(cp - 1, from - 1)), upTo(from, log.lastSequence));
    log.rootCommitted(logRootOf(cp, log.lastSequence));
    assert.is(log.halfUsedBytes, 0);
  }
  await manual.release();
  assert.is(log.canSwitch, true);
});

test('one copy fails: dropped, told once, nothing lost; all fail: the log does', async () => {
  const failed: number[] = [];
  let failures = 0;
  const { log, nvrams } = create(2, SIZE, memory, {
    hooks: { onCopyFailed: (copy) => failed.push(copy), onFailed: () => failures++ },
  });
  const [first, second] = nvrams as [MemoryNvram, MemoryNvram];
  append(log, 10);
  await start(log.flush());
  first.inject({ operation: 'write', action: 'fail', times: Number.POSITIVE_INFINITY });
  for (const io of [log.flush, log.flush]) {
    append(log, 20);
    await start(io.call(log));
  }
  assert.equal(failed, [0]);
  assert.is(failures, 0);
  assert.equal(found([second.clone()]), upTo(FIRST, FIRST + 2));
  assert.equal(found([first.clone(), second.clone()]), upTo(FIRST, FIRST + 2));
  second.inject({ operation: 'flush', action: 'fail' });
  const sequence = append(log, 30);
  const waits = [start(log.commit(sequence)), start(log.waitForRoom(FLUSH_BYTES / 2))];
  for (const result of await Promise.allSettled(waits.slice(0, 1))) {
    assert.is(result.status, 'rejected');
    assert.is((result as PromiseRejectedResult).reason.code, 'DISK_FAILED');
  }
  assert.equal(failed, [0, 1]);
  assert.is(failures, 1);
  assert.is(log.isFailed, true);
  assert.is(log.reserve(1), false);
  assert.throws(() => log.commit(sequence).startSync(), /DISK_FAILED/);
  // The CP that is forced now makes it durable after all.
  log.rootCommitted(logRootOf(2, sequence));
  log.commit(sequence).startSync();
});

test('a copy without sync twins: refused, and the flush under way goes on', async () => {
  const manual = new Manual();
  const { log, nvrams } = create(1, SIZE, memory, { schedule: manual.schedule });
  const [nvram] = nvrams as [MemoryNvram];
  const refuse = () => {
    throw new StorageError('UNSUPPORTED_FEATURE', 'no sync twins');
  };
  Object.assign(nvram, { flushSync: refuse, writeSync: refuse });
  manual.isHeld = true;
  const answers: number[] = [];
  commitMany(log, 1, answers);
  await turn();
  assert.throws(() => log.flush().startSync(), /UNSUPPORTED_FEATURE/);
  await manual.release();
  assert.equal(answers, [FIRST]);
  assert.is(log.isFailed, false);
});

test("beforeFlush runs before each flush; its failure is the log's", async () => {
  let checks = 0;
  let isFenced = false;
  function* beforeFlush(): Step<void> {
    checks++;
    yield* wait({ start: () => turn(), startSync: () => {} });
    if (isFenced) throw new StorageError('VOLUME_FAILED', 'another writer has the volume');
  }
  const { log, nvrams } = create(1, SIZE, memory, { hooks: { beforeFlush } });
  append(log, 10);
  await start(log.flush());
  append(log, 10);
  const pending = start(log.flush());
  await Promise.resolve();
  log.flush().startSync();
  await pending;
  assert.ok(checks >= 2);
  isFenced = true;
  append(log, 10);
  const result = await start(log.flush()).then(
    () => undefined,
    (error) => error,
  );
  assert.match(result.message, 'VOLUME_FAILED');
  assert.is(log.isFailed, true);
  assert.equal(found(nvrams.map((nvram) => nvram.clone())), [FIRST, FIRST + 1]);
});

test('relaxed: nothing is written until asked for, or until the buffer is full', async () => {
  const { log } = create(1, SIZE, memory);
  append(log, 6000);
  append(log, 6000);
  await turn();
  assert.is(log.stats.flushCount, 0);
  assert.is(log.shortageOf(6000), 'staging');
  assert.is(log.reserve(6000), false);
  await start(log.waitForRoom(6000));
  assert.is(log.stats.flushCount, 1);
  append(log, 6000);
  append(log, 6000);
  log.waitForRoom(6000).startSync();
  assert.is(log.stats.flushCount, 2);
  append(log, 10);
  runSync(log.close());
  assert.is(log.durableSequence, log.lastSequence);
});

test('relaxed: a root that has all that has gathered makes room, without a flush', async () => {
  for (const isSync of [false, true]) {
    const { log } = create(1, SIZE, memory);
    append(log, 6000);
    append(log, 6000);
    log.rootCommitted(logRootOf(2, log.lastSequence));
    const room = log.waitForRoom(6000);
    if (isSync) room.startSync();
    else await start(room);
    assert.is(log.stats.flushCount, 0);
    append(log, 6000);
    await start(log.flush());
    assert.is(log.durableSequence, log.lastSequence);
  }
});

test('a full half: callers wait for the root, and go on in order', async () => {
  const { log, nvrams } = create(1, SIZE, memory);
  let cp = 1;
  let done = 0;
  let waits = 0;
  const writer = async (): Promise<void> => {
    for (let round = 0; round < 40; round++) {
      while (!log.reserve(3000)) {
        if (log.shortageOf(3000) === 'half') waits++;
        await start(log.waitForRoom(3000));
      }
      await start(log.commit(log.append(1, [new Uint8Array(3000)], 3000)));
      done++;
    }
  };
  const writers = [writer(), writer(), writer()];
  for (let round = 0; done < 120; round++) {
    assert.ok(round < 1000, 'writers go on');
    for (let pause = 0; pause < 10; pause++) await turn();
    if (!log.canSwitch) continue;
    const { logSequence } = log.switchHalf();
    await turn();
    log.rootCommitted(logRootOf(++cp, logSequence));
  }
  await Promise.all(writers);
  assert.ok(waits > 0, 'the half was full');
  const root = rootOf(cp, log.lastSequence - 2);
  assert.equal(
    found(
      nvrams.map((nvram) => nvram.clone()),
      { ...root },
    ).length,
    2,
  );
});

test('reservations: a reserved append never fails, whatever happens meanwhile', () => {
  const { log } = create(1, SIZE, memory);
  const sizes: number[] = [];
  while (log.reserve(100)) sizes.push(100);
  assert.is(log.shortageOf(100), 'half');
  assert.is(sizes.length, HALF_BLOCKS / 2, 'each may be flushed alone, and twice');
  for (const size of sizes) {
    log.append(1, [new Uint8Array(size)], size);
    log.flush().startSync();
  }
  assert.is(log.halfUsedBytes, (HALF_BLOCKS / 2) * BLOCK_SIZE);
  for (let left = HALF_BLOCKS / 2; left > 1; left--) {
    append(log, 100);
    log.flush().startSync();
  }
  assert.is(log.shortageOf(100), 'half');
  assert.is(log.halfUsedBytes, (HALF_BLOCKS - 1) * BLOCK_SIZE);
  assert.is(log.isHalfFull, true);
  const { logSequence } = log.switchHalf();
  log.rootCommitted(logRootOf(2, logSequence));
  assert.is(log.reserve(log.bodyBytesMax), true);
  assert.is(log.shortageOf(0), 'staging');
  log.release(log.bodyBytesMax);
  assert.is(log.halfUsedBytes, 0);
  assert.throws(() => log.reserve(log.bodyBytesMax + 1), /INVALID_ARGUMENT/);
  assert.throws(() => log.waitForRoom(1e9).startSync(), /INVALID_ARGUMENT/);
});

test('a body written in place, smaller than reserved', () => {
  const { log, nvrams } = create(1, SIZE, memory);
  log.reserve(1000);
  log.append(
    9,
    (address) => {
      memory.arena.u8.set([1, 2, 3], address);
      return 3;
    },
    1000,
    0xffffffff,
  );
  log.flush().startSync();
  const scan = runSync(openLog(nvrams, newMemory()).scan(rootOf(1, SEQUENCE_JUMP)));
  assert.equal(scan.records, [
    { sequence: FIRST, kind: 9, flags: 0xffffffff, body: Uint8Array.of(1, 2, 3) },
  ]);
});

test('a task that waits for a commit can be driven', async () => {
  const manual = new Manual();
  const { log } = create(1, SIZE, memory, { schedule: manual.schedule });
  manual.isHeld = true;
  const sequence = append(log, 10);
  function* message(): Step<string> {
    yield* wait(log.commit(sequence));
    return 'done';
  }
  const task = Task.start(message());
  await turn();
  assert.is(task.isSettled, false);
  assert.is(task.driveSync(), 'done');
  await manual.release();
});

test.run();
