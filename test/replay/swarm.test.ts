// The swarm at work: what is delivered, what is read at one time, who waits for whom and for how
// long. Replay in order gives the same volume, only a hundred times later: so what is checked here
// is that nobody waits who need not, and that everybody waits who must.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { decodeRequests } from '../../host/filesystem/requests.ts';
import type { TransactionBlock, TransactionState } from '../../host/replay/transaction-block.ts';
import { HeldDisks, settled } from './held-disks.ts';
import {
  difference,
  GEOMETRY,
  lastDisks,
  makeWreck,
  type Outcome,
  type ReplayOptions,
  replayAsSwarm,
  replayInOrder,
  type Scene,
  type Wreck,
} from './world.ts';

const COUNT = 1000;
const DIRECTORIES = 50;
/** Reads as large as the swarm likes, so that a round is one wait. */
const limits = { readBlocksMax: 1 << 20, readsPerDisk: 1 << 20 };

const nameOf = (index: number) => `/d${index % DIRECTORIES}/file-${index}`;
const write = { read: false, create: true, write: true };

function makeFiles({ run, operations }: Scene): void {
  for (let index = 0; index < DIRECTORIES; index++) run(operations.mkdir(`/d${index}`, 0o755));
  for (let index = 0; index < COUNT; index++) {
    run(operations.writeFile(nameOf(index), new Uint8Array(9000).fill(index), write));
  }
}

/** One entry a file: a few bytes within a block, which must be read, as the inode must. */
function overwriteFiles({ run, operations }: Scene): void {
  for (let index = 0; index < COUNT; index++) {
    const file = run(operations.open(nameOf(index), { read: true, write: true }));
    run(operations.write(file, new Uint8Array(10).fill(index + 1), 5000));
  }
}

/** The default cache. */
const WIDE = { ...GEOMETRY, arenaBytes: 64 << 20 };

let made: Wreck | undefined;

function independent(): Wreck {
  made ??= makeWreck(WIDE, makeFiles, overwriteFiles);
  return made;
}

/** Each entry needs the one before it. */
function makeChain({ run, operations }: Scene): void {
  run(operations.mkdir('/a', 0o755));
  run(operations.mkdir('/a/b', 0o755));
  run(operations.mkdir('/a/b/c', 0o755));
  run(operations.writeFile('/a/b/c/file', new Uint8Array(100).fill(1), write));
  const file = run(operations.open('/a/b/c/file', { read: true, write: true }));
  run(operations.write(file, new Uint8Array(5000).fill(2), 50));
  run(operations.truncate({ file }, 300));
  run(operations.change({ file }, { mode: 0o600 }));
  run(operations.rename('/a/b/c/file', '/a/b/c/other'));
  run(operations.unlink('/a/b/c/other'));
  run(operations.rmdir('/a/b/c'));
  run(operations.rmdir('/a/b'));
}

/** The second of these is loaded when the first still waits for data. */
function changeTwice({ run, operations }: Scene): void {
  const file = run(operations.open(nameOf(0), { read: true, write: true }));
  run(operations.write(file, new Uint8Array(10).fill(9), 5000));
  run(operations.change({ file }, { mode: 0o600 }));
}

interface Change {
  readonly block: TransactionBlock;
  readonly from: TransactionState | undefined;
  readonly to: TransactionState;
}

/** Replays with the disks held, and notes every change of a message's state. */
function begin(wreck: Wreck, options: ReplayOptions = {}) {
  const disks = new HeldDisks();
  const changes: Change[] = [];
  const states = new Map<TransactionBlock, TransactionState>();
  const observe = (block: TransactionBlock) => {
    changes.push({ block, from: states.get(block), to: block.state });
    states.set(block, block.state);
  };
  const { schedule } = disks;
  const outcome = replayAsSwarm(wreck, { schedule, observe, limits, ...options });
  const inState = (state: TransactionState) =>
    [...states].filter(([, now]) => now === state).map(([block]) => block);
  return { disks, changes, states, inState, outcome };
}

async function finish(run: { disks: HeldDisks; outcome: Promise<Outcome> }): Promise<Outcome> {
  const { disks, outcome } = run;
  let isDone = false;
  void outcome.finally(() => {
    isDone = true;
  });
  while (!isDone) await disks.drain();
  return outcome;
}

test('[N-2] the whole swarm is at the file system before a single read is done', async () => {
  const wreck = independent();
  const run = begin(wreck);
  await settled();
  assert.is(run.states.size, COUNT);
  assert.is(run.inState('NEW').length, 0, 'all were looked at');
  assert.is(run.changes.filter(({ to }) => to === 'NEW').length, COUNT, 'each was delivered once');
  await finish(run);
});

test('[N-3] LOADs run in parallel, on all disks, in no more rounds than one alone', async () => {
  const wreck = independent();
  const run = begin(wreck);
  await settled();
  const stored = run.inState('LOAD').length;
  assert.ok(stored >= 900, `${stored} of ${COUNT} messages in LOAD at once`);
  // The inode file's indirect block, its blocks, and then data on every disk.
  let rounds = 0;
  let busyMax = 0;
  while (run.inState('DONE').length < COUNT) {
    busyMax = Math.max(busyMax, run.disks.busyDisks.length);
    assert.ok(run.disks.release(), 'something is under way');
    await settled();
    rounds++;
  }
  assert.is(busyMax, GEOMETRY.columns, 'all disks are busy at one time');
  assert.ok(rounds <= 1 + 2, `${rounds} rounds of reads for entries of depth 1`);
  const { report } = await finish(run);
  assert.is(report?.readRounds, rounds);
  assert.ok((report?.loadingMax ?? 0) >= 900, `${report?.loadingMax} in LOAD at once`);
});

test('[N-3] MODIFY changes memory only: replay writes nothing', async () => {
  const wreck = independent();
  const run = begin(wreck);
  const { volume } = await finish(run);
  assert.is(volume.writesBeforeCommit, 0);
  assert.ok(volume.writeCount > COUNT, 'the CP after it writes');
});

test('[N-3] a block that many messages need is read once', async () => {
  const wreck = independent();
  const { report, volume } = await replayAsSwarm(wreck);
  // An inode block has 16 inodes; each message needs that and one block of data.
  assert.is(new Set(volume.readVbns).size, volume.readVbns.length);
  assert.ok((report?.loadedBlockCount ?? 0) < COUNT * 1.2, `${report?.loadedBlockCount} blocks`);
});

const LEGAL: Record<string, readonly TransactionState[]> = {
  none: ['NEW'],
  NEW: ['LOAD', 'MODIFY', 'WAIT', 'SKIP', 'DONE'],
  LOAD: ['MODIFY', 'WAIT', 'SKIP', 'DONE', 'NEW'],
  MODIFY: ['LOAD', 'WAIT', 'SKIP', 'DONE', 'NEW'],
  WAIT: ['NEW'],
  SKIP: [],
  DONE: [],
};

test('[N-4] transaction blocks point to their entries, and go through their states', async () => {
  const wreck = makeWreck(WIDE, makeFiles, (scene) => {
    makeChain(scene);
    changeTwice(scene);
  });
  const run = begin(wreck);
  await finish(run);
  for (const { block, from, to } of run.changes) {
    assert.ok(LEGAL[from ?? 'none']?.includes(to), `${from} -> ${to}`);
    assert.is(block.record, wreck.records[block.index]);
    assert.equal(block.requests, decodeRequests(block.record.body));
  }
  for (const state of ['NEW', 'LOAD', 'MODIFY', 'WAIT', 'DONE']) {
    assert.ok(
      run.changes.some(({ to }) => to === state),
      `some message is in ${state}`,
    );
  }
  assert.is(run.inState('DONE').length, wreck.records.length);
});

test('[N-5] independent messages never wait; dependent ones do, and no longer', async () => {
  const free = await finish(begin(independent()));
  assert.is(free.report?.waitCount, 0);
  const wreck = makeWreck(GEOMETRY, () => {}, makeChain);
  const run = begin(wreck);
  const { report } = await finish(run);
  assert.ok((report?.waitCount ?? 0) >= 5, `${report?.waitCount} of a chain wait`);
  const done = run.changes.filter(({ to }) => to === 'DONE').map(({ block }) => block.index);
  assert.equal(done, [...wreck.records.keys()], 'a chain is done in its order');
  const depth = wreck.records.length;
  assert.ok((report?.readRounds ?? 0) <= depth + 2, `${report?.readRounds} rounds`);
});

test('[N-5] one disk stands still: all that do not need it are done meanwhile', async () => {
  const wreck = independent();
  const needs = lastDisks(wreck);
  const slow = 3;
  const run = begin(wreck);
  // What all need, the inode file, first.
  for (let round = 0; round < 2; round++) {
    await settled();
    run.disks.release();
  }
  await run.disks.drain((disk) => disk !== slow);
  const done = new Set(run.inState('DONE').map(({ index }) => index));
  const free = needs.map((disk) => disk !== slow);
  assert.equal(
    wreck.records.map((_, index) => done.has(index)),
    free,
    'those that need the disk, and no others, are not done',
  );
  assert.ok(free.filter((isFree) => isFree).length > COUNT / 2);
  assert.ok(free.includes(false));
  await finish(run);
});

test('[N-6] a message that waits is delivered again after what it waits for', async () => {
  const wreck = makeWreck(WIDE, makeFiles, (scene) => {
    makeChain(scene);
    overwriteFiles(scene);
  });
  const run = begin(wreck);
  const { report, store } = await finish(run);
  const waited = run.changes.filter(({ to }) => to === 'WAIT');
  assert.is(waited.length, report?.waitCount);
  assert.is(report?.redeliveryCount, report?.waitCount);
  for (const { block } of waited) {
    const again = run.changes.findIndex(
      (change) => change.block === block && change.from === 'WAIT' && change.to === 'NEW',
    );
    assert.ok(again > 0, 'it was delivered again');
    const done = run.changes.slice(0, again).filter(({ to }) => to === 'DONE');
    const names = done.map((change) => change.block);
    const isBefore = (other: TransactionBlock) => other.after.includes(block);
    const before = run.inState('DONE').filter(isBefore);
    assert.ok(before.length > 0);
    for (const other of before) assert.ok(names.includes(other), 'its prerequisite was done');
  }
  assert.is(difference(store, replayInOrder(wreck).store), undefined);
});

test.run();
