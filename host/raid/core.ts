// What the parts of RAID share: the disks, where blocks are, memory, counters, and the one way to
// take a disk out. RaidVolume makes it; reader, writer, journal and rebuild work on it.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import type { ThreadPool } from '../base/env.ts';
import type { Io, Step } from '../base/task.ts';
import { all, runSync, Task, wait } from '../base/task.ts';
import type { Address, Dbn } from '../base/units.ts';
import type { Front } from '../format/label.ts';
import type { Arena } from '../kernels/arena.ts';
import type { KernelExports } from '../kernels/exports.ts';
import type { Geometry, Group } from './geometry.ts';
import type { Hasher } from './hasher.ts';
import type { MemberDisk, Outcome, WritesInFlight } from './member-disk.ts';
import { RUN_BLOCKS_MAX } from './member-disk.ts';
import type { ScratchPool } from './scratch.ts';

/** Counters since open. */
export interface RaidStats {
  blocksRead: number;
  blocksWritten: number;
  parityBlocksWritten: number;
  zeroBlocksWritten: number;
  /** Device calls. */
  readCalls: number;
  writeCalls: number;
  flushCalls: number;
  /** Stripes written whole, and those written through the journal. */
  stripesFull: number;
  stripesJournaled: number;
  /** Blocks that did not match their checksum, or that a disk did not give. */
  mismatches: number;
  /** Blocks had from redundancy, and those of them written back. */
  reconstructed: number;
  repaired: number;
  /** Blocks that could not be had at all. */
  unreadable: number;
  /** Blocks that the journal's replay wrote. */
  replayed: number;
  /** Parity jobs given to the thread pool. */
  poolJobs: number;
  roots: number;
}

export function newStats(): RaidStats {
  return {
    blocksRead: 0,
    blocksWritten: 0,
    parityBlocksWritten: 0,
    zeroBlocksWritten: 0,
    readCalls: 0,
    writeCalls: 0,
    flushCalls: 0,
    stripesFull: 0,
    stripesJournaled: 0,
    mismatches: 0,
    reconstructed: 0,
    repaired: 0,
    unreadable: 0,
    replayed: 0,
    poolJobs: 0,
    roots: 0,
  };
}

export interface RaidCore {
  readonly arena: Arena;
  readonly kernels: KernelExports;
  readonly pool: ThreadPool;
  readonly hasher: Hasher;
  readonly scratches: ScratchPool;
  readonly geometry: Geometry;
  readonly members: readonly MemberDisk[];
  readonly inFlight: WritesInFlight;
  readonly front: Front;
  readonly volumeUuid: string;
  readonly epoch: number;
  readonly isReadOnly: boolean;
  readonly stats: RaidStats;
  /** A block of zeros in the arena. */
  readonly zeroBlock: Address;
  /** Stripes in place of which blocks are being replaced under their parity: nothing can be
   *  reconstructed there until `settled`. `writes` counts such batches. */
  readonly replacing: { group: number; stripes: ReadonlySet<Dbn>; writes: number };
  /** Blocks of the journal that a read-only volume has in memory instead of in place. */
  readonly overlay: Map<number, Uint8Array>;
  /** Takes disks out after a failed write or flush, and makes that durable, before anything else is
   *  written. Throws when no redundancy is left. */
  drop(failures: readonly Failure[]): Step<void>;
  /** @throws StorageError VOLUME_LOCKED where another writer has taken over. */
  checkEpoch(): Step<void>;
  /** Waits until the write under way, if there is one, has ended. */
  settled(): Io<void>;
}

export interface Failure {
  readonly member: MemberDisk;
  readonly error: Error;
}

/** A Step as one Io: a task of its own where it is awaited, run in the turn where it is not. (A
 *  task that a sync call makes and then drives would start its first device call twice, and leave
 *  one of them in flight.) `started` is told of the task. */
export function stepIo<T>(make: () => Step<T>, started: (task: Task<T>) => void = () => {}): Io<T> {
  let task: Task<T> | undefined;
  return {
    start: () => {
      task = Task.start(make());
      started(task);
      return task.result();
    },
    startSync: () => (task === undefined ? runSync(make()) : task.driveSync()),
  };
}

/** Names a block of a member in maps. */
export function placeKey(member: number, dbn: Dbn): number {
  return member * 2 ** 46 + dbn;
}

/** Consecutive blocks of one disk to write, gathered block by block. */
export class Run {
  readonly member: MemberDisk;
  readonly dbn: Dbn;
  count = 0;
  readonly #views: { address: Address; length: number }[] = [];

  constructor(member: MemberDisk, dbn: Dbn) {
    this.member = member;
    this.dbn = dbn;
  }

  add(address: Address): void {
    const last = this.#views.at(-1);
    if (last !== undefined && last.address + last.length === address) last.length += BLOCK_SIZE;
    else this.#views.push({ address, length: BLOCK_SIZE });
    this.count++;
  }

  views(arena: Arena): Uint8Array[] {
    return this.#views.map(({ address, length }) => arena.bytes(address, length));
  }
}

/** Gathers blocks, given in ascending order of dbn for each disk, into runs. */
export class RunList {
  readonly runs: Run[] = [];
  readonly #open = new Map<MemberDisk, Run>();

  add(member: MemberDisk, dbn: Dbn, address: Address): void {
    let run = this.#open.get(member);
    if (run === undefined || run.dbn + run.count !== dbn || run.count === RUN_BLOCKS_MAX) {
      run = new Run(member, dbn);
      this.#open.set(member, run);
      this.runs.push(run);
    }
    run.add(address);
  }
}

/** Device calls of one `all`. */
const CALLS_MAX = 256;

/** Writes runs, all disks at once; gives the disks that failed. `wrap` is put around each Io. */
export function* writeRuns(
  core: RaidCore,
  runs: readonly Run[],
  wrap: (io: Io<Outcome>) => Io<Outcome> = same,
): Step<Failure[]> {
  const failures: Failure[] = [];
  for (let first = 0; first < runs.length; first += CALLS_MAX) {
    const part = runs.slice(first, first + CALLS_MAX).filter((run) => run.member.isUsable);
    core.stats.writeCalls += part.length;
    const ios = part.map((run) => wrap(run.member.write(run.dbn, run.views(core.arena))));
    collect(
      part.map((run) => run.member),
      yield* wait(all(ios)),
      failures,
    );
  }
  return failures;
}

/** Flushes all disks that were written to; gives those that failed. */
export function* flushMembers(core: RaidCore, members: readonly MemberDisk[]): Step<Failure[]> {
  const dirty = members.filter((member) => member.isUsable && member.isDirty);
  core.stats.flushCalls += dirty.length;
  const failures: Failure[] = [];
  collect(dirty, yield* wait(all(dirty.map((member) => member.flush()))), failures);
  return failures;
}

/** Adds the members whose outcome is an error, each once. */
export function collect(
  members: readonly MemberDisk[],
  outcomes: readonly Outcome[],
  failures: Failure[],
): void {
  outcomes.forEach((error, index) => {
    const member = members[index] as MemberDisk;
    if (error === undefined || failures.some((failure) => failure.member === member)) return;
    failures.push({ member, error });
  });
}

/** Reads single blocks, coalesced into runs, all disks at once. A block that could not be read is
 *  missing in the result, whose keys are placeKey's. */
export function* fetchBlocks(
  core: RaidCore,
  places: readonly { readonly member: MemberDisk; readonly dbn: Dbn }[],
): Step<Map<number, Uint8Array>> {
  const sorted = [...places].sort((a, b) => a.member.index - b.member.index || a.dbn - b.dbn);
  const runs: { member: MemberDisk; dbn: Dbn; count: number }[] = [];
  for (const { member, dbn } of sorted) {
    const last = runs.at(-1);
    if (last?.member === member && last.dbn + last.count === dbn) last.count++;
    else if (member.isUsable) runs.push({ member, dbn, count: 1 });
  }
  core.stats.readCalls += runs.length;
  const results = yield* wait(all(runs.map((run) => run.member.fetch(run.dbn, run.count))));
  const blocks = new Map<number, Uint8Array>();
  for (const [index, result] of results.entries()) {
    const { member, dbn, count } = runs[index] as (typeof runs)[number];
    if (!(result instanceof Uint8Array)) {
      yield* fetchSingly(core, { member, dbn, count }, blocks);
      continue;
    }
    for (let block = 0; block < count; block++) {
      const at = block * BLOCK_SIZE;
      putBlock(core, blocks, member.index, dbn + block, result.subarray(at, at + BLOCK_SIZE));
    }
  }
  return blocks;
}

/** After a run that failed: the bad sector need not take its neighbours along. */
function* fetchSingly(
  core: RaidCore,
  run: { member: MemberDisk; dbn: Dbn; count: number },
  blocks: Map<number, Uint8Array>,
): Step<void> {
  if (run.count === 1) return;
  for (let dbn = run.dbn; dbn < run.dbn + run.count; dbn++) {
    core.stats.readCalls++;
    const result = yield* wait(run.member.fetch(dbn, 1));
    if (result instanceof Uint8Array) putBlock(core, blocks, run.member.index, dbn, result);
  }
}

function putBlock(
  core: RaidCore,
  blocks: Map<number, Uint8Array>,
  member: number,
  dbn: Dbn,
  bytes: Uint8Array,
): void {
  const key = placeKey(member, dbn);
  blocks.set(key, core.overlay.get(key) ?? bytes);
}

/** All members of a group that hold a part of a stripe, parity included. */
export function stripeMembers(core: RaidCore, group: Group): MemberDisk[] {
  const indexes = group.parity < 0 ? group.columns : [...group.columns, group.parity];
  return indexes.map((index) => core.members[index] as MemberDisk);
}

function same<T>(value: T): T {
  return value;
}
