// RaidVolume: disks as a BlockVolume. It holds the newest root, takes disks out, and lets one
// writer at a time do its work; reading, writing, the journal and rebuilding are in files of their
// own.
//
// States of a volume: open; failed (an uncertain write had no redundancy left, or another writer
// has the volume: every write from then on fails with VOLUME_FAILED and the first cause; reads go
// on). States of a member: see volume-root.ts. A disk that fails a write or a flush is taken out
// at once: a root with the old volume state, and without the disk, is written before anything else
// is, so that no mount to come believes what it missed.
//
// Invariants: writes, flushes, roots, and changes of members never overlap (#exclusive); a root
// that carries a new volume state is written only after a flush of all disks; a root number is
// used once, and not while an older write to its slots is in flight.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  LABEL_EPOCH_OFFSET,
  LABEL_MAGIC,
  LABEL_MAGIC_OFFSET,
  LABEL_WRITER_OFFSET,
  ROOT_COPIES,
} from '../../assembly/layout/label.ts';
import { VOLUME_ROOT_BLOCKS } from '../../assembly/layout/volume-root.ts';
import { VOLUME_STATE_SIZE } from '../../assembly/layout/volume-state.ts';
import { assert } from '../base/assert.ts';
import type { Clock, Logger, Prng, ThreadPool } from '../base/env.ts';
import { StorageError } from '../base/errors.ts';
import type { Io, Step, Task } from '../base/task.ts';
import { all, isPromise, wait } from '../base/task.ts';
import type { Instant, Vbn } from '../base/units.ts';
import type {
  BlockRead,
  BlockVolume,
  BlockWrite,
  Liveness,
  StripeSpan,
} from '../device/block-volume.ts';
import type { Disk } from '../device/device.ts';
import type { Front, Label } from '../format/label.ts';
import { encodeLabel } from '../format/label.ts';
import type { Member, RaidKind, VolumeRoot } from '../format/volume-root.ts';
import { encodeVolumeRoot } from '../format/volume-root.ts';
import type { Arena } from '../kernels/arena.ts';
import type { KernelExports } from '../kernels/exports.ts';
import type { Failure, RaidCore, RaidStats } from './core.ts';
import { collect, flushMembers, newStats, stepIo } from './core.ts';
import { rootDbn } from './format.ts';
import { Geometry } from './geometry.ts';
import { Hasher } from './hasher.ts';
import { Journal, readJournal, replayInMemory, replayInPlace } from './journal.ts';
import { MemberDisk, type Outcome, WritesInFlight } from './member-disk.ts';
import type { MountPlan } from './mount.ts';
import { faultsTolerated, planMount } from './mount.ts';
import type { ConfirmPointer } from './reader.ts';
import { Reader } from './reader.ts';
import { prepareDisk, rebuildMember } from './rebuild.ts';
import { ScratchPool, scratchCount } from './scratch.ts';
import { readLabel, surveyDisk } from './survey.ts';
import { Writer } from './writer.ts';

export interface RaidOptions {
  readonly disks: readonly Disk[];
  readonly arena: Arena;
  readonly kernels: KernelExports;
  readonly pool: ThreadPool;
  readonly env: {
    readonly clock: Clock;
    readonly prng: Prng;
    readonly logger?: Logger | undefined;
  };
  readonly readOnly?: boolean | undefined;
  readonly degraded?: boolean | undefined;
  /** Runs before a mount for writing changes anything: what it throws leaves the disks as they
   *  are. */
  readonly beforeClaim?: ((volume: RaidVolume) => Step<void>) | undefined;
}

/** What `status` says of a member. */
export interface MemberStatus extends Member {
  readonly index: number;
  /** The device's name; undefined where it is missing. */
  readonly name: string | undefined;
}

export class RaidVolume implements BlockVolume {
  readonly isReadOnly: boolean;
  readonly uuid: string;
  readonly raid: RaidKind;
  readonly front: Front;
  /** Of this mount: roots and journal entries carry it. */
  readonly epoch: number;
  readonly stats: RaidStats = newStats();
  readonly #options: RaidOptions;
  readonly #core: RaidCore;
  readonly #reader: Reader;
  readonly #writer: Writer;
  readonly #journal: Journal;
  readonly #label: Label;
  #root: VolumeRoot;
  #number: number;
  #failure: { readonly cause: unknown } | undefined;
  #current: Task<unknown> | undefined;
  #isClosed = false;

  /** Finds the volume on the disks, replays its stripe journal, and (unless read-only) takes it
   *  over with a new epoch. Reserves arena: 0.9 MiB of 8 MiB, 2 MiB of 64 MiB, at most 2.5 MiB.
   *  @throws StorageError as planMount; on refusal nothing has been changed. */
  static *open(options: RaidOptions): Step<RaidVolume> {
    const { arena, kernels, disks } = options;
    if (disks.length === 0) throw new StorageError('INVALID_ARGUMENT', 'a volume has disks');
    const hasher = new Hasher(arena, kernels);
    const surveyIos = disks.map((disk) => stepIo(() => surveyDisk(disk, hasher.hash)));
    const surveys = yield* wait(all(surveyIos));
    const plan = planMount(surveys, {
      readOnly: options.readOnly === true,
      degraded: options.degraded === true,
    });
    for (const warning of plan.warnings) options.env.logger?.warn(warning);
    const volume = new RaidVolume(options, plan, hasher);
    const { beforeClaim } = options;
    if (beforeClaim !== undefined && !volume.isReadOnly) yield* beforeClaim(volume);
    yield* volume.#begin();
    return volume;
  }

  private constructor(options: RaidOptions, plan: MountPlan, hasher: Hasher) {
    const { arena, kernels, pool, env } = options;
    const { root, label } = plan;
    this.#options = options;
    this.#root = root;
    this.#number = root.number;
    this.isReadOnly = options.readOnly === true;
    this.uuid = root.uuid;
    this.raid = root.raid;
    this.front = label.front;
    this.epoch = this.isReadOnly ? root.epoch : plan.epochMax + 1;
    this.#label = { ...label, epoch: this.epoch, writer: random64(env.prng) };
    const inFlight = new WritesInFlight();
    const members = plan.members.map(
      (member, index) => new MemberDisk(index, member, plan.disks[index], inFlight),
    );
    this.#core = {
      arena,
      kernels,
      pool,
      hasher,
      scratches: new ScratchPool(arena, scratchCount(arena.sizeBytes)),
      geometry: new Geometry(root.members, root.ranges, root.groupCount),
      members,
      inFlight,
      front: label.front,
      volumeUuid: root.uuid,
      epoch: this.epoch,
      isReadOnly: this.isReadOnly,
      stats: this.stats,
      zeroBlock: arena.reserve(BLOCK_SIZE, BLOCK_SIZE),
      replacing: { group: -1, stripes: new Set(), writes: 0 },
      overlay: new Map(),
      drop: (failures) => this.#drop(failures),
      checkEpoch: () => this.checkEpoch(),
      settled: () => this.#settled(),
    };
    this.#journal = new Journal(this.#core);
    this.#reader = new Reader(this.#core);
    this.#writer = new Writer(this.#core, this.#journal);
  }

  get vbnLimit(): Vbn {
    return this.#core.geometry.vbnLimit;
  }

  get blockCount(): number {
    return this.#core.geometry.blockCount;
  }

  get spans(): readonly StripeSpan[] {
    return this.#core.geometry.spans;
  }

  get state(): Uint8Array {
    return this.#root.state;
  }

  /** The newest root: for `inspect` and `status`. */
  get root(): VolumeRoot {
    return this.#root;
  }

  get members(): readonly MemberStatus[] {
    return this.#core.members.map((member) => ({
      ...this.#describe(member),
      index: member.index,
      name: member.disk?.name,
    }));
  }

  /** Whether a disk is missing, failed or not rebuilt yet. */
  get isDegraded(): boolean {
    return this.#core.members.some(({ isUsable, state }) => !isUsable && state !== 'spare');
  }

  /** Set by the owner of the tree; without it, what was reconstructed is not written back. */
  set confirmPointer(confirm: ConfirmPointer | undefined) {
    this.#reader.confirmPointer = confirm;
  }

  *read(requests: readonly BlockRead[]): Step<void> {
    this.#checkOpen();
    yield* this.#reader.read(requests);
  }

  *write(writes: readonly BlockWrite[], liveness: Liveness): Step<void> {
    if (writes.length === 0) return;
    yield* this.#exclusive(() => this.#orStop(this.#writeBlocks(writes, liveness)));
  }

  /** vbns that are free to this mount may hold another writer's data: so this too needs the
   *  epoch. */
  *#writeBlocks(writes: readonly BlockWrite[], liveness: Liveness): Step<void> {
    yield* this.checkEpoch();
    yield* this.#writer.write(writes, liveness);
  }

  *flush(): Step<void> {
    yield* this.#exclusive(() => this.#orStop(this.#flushAll()));
  }

  *writeRoot(state: Uint8Array, time: Instant): Step<void> {
    assert(state.length === VOLUME_STATE_SIZE, 'state has its size', state.length);
    const copy = state.slice();
    yield* this.#exclusive(() => this.#orStop(this.#commit(copy, time)));
  }

  isWriteInFlight(vbn: Vbn, count: number): boolean {
    const { geometry, inFlight } = this.#core;
    if (inFlight.isEmpty) return false;
    for (const extent of geometry.extents) {
      const from = Math.max(vbn, extent.vbnFirst);
      const to = Math.min(vbn + count, extent.vbnFirst + extent.count);
      if (from >= to) continue;
      const dbn = from - extent.vbnFirst + extent.dbnFirst;
      if (inFlight.has(extent.group, dbn, to - from)) return true;
    }
    return false;
  }

  isAvailable(vbn: Vbn): boolean {
    const extent = this.#core.geometry.find(vbn);
    if (extent === undefined) return false;
    const group = this.#core.geometry.groups[extent.group];
    return group?.parity !== -1 || this.#core.members[extent.member]?.isUsable === true;
  }

  /** Whether this mount still is the volume's writer; asked before each flush of the log, and here
   *  before each write of blocks or roots.
   *  @throws StorageError VOLUME_LOCKED (and the volume fails) where another one has taken over. */
  *checkEpoch(): Step<void> {
    if (this.isReadOnly) return;
    for (const member of this.#core.members) {
      if (!member.isUsable) continue;
      if (yield* wait(this.#isOurLabel(member))) return;
      const { label } = yield* readLabel(member.disk as Disk, this.#core.hasher.hash);
      // Who takes the volume over has a larger epoch, or ours by chance: an older label is one that
      // the disk lost or brought back, and says nothing.
      if (label === undefined || label.epoch < this.epoch) continue;
      if (label.epoch === this.epoch && label.writer === this.#label.writer) return;
      const message = `another program opened the volume for writing (epoch ${label.epoch})`;
      throw this.#fail(
        new StorageError('VOLUME_LOCKED', message, { detail: { epoch: label.epoch } }),
      );
    }
    throw this.#fail(new StorageError('DISK_FAILED', 'no label can be read any more'));
  }

  /** Whether a disk's label names this writer, by the bytes alone: this is asked before each flush
   *  of the log. Anything else is looked at in full. */
  #isOurLabel(member: MemberDisk): Io<boolean> {
    const startSync = () => {
      const bytes = new Uint8Array(BLOCK_SIZE);
      return member.read(0, [bytes]).startSync() === undefined && this.#namesUs(bytes);
    };
    if (member.disk?.isCached === true) return { start: startSync, startSync };
    return {
      start: () => {
        // Taken while it is read into: another flush may ask at the same time.
        const bytes = this.#labelBytes ?? new Uint8Array(BLOCK_SIZE);
        this.#labelBytes = undefined;
        const finish = (failure: Error | undefined) => {
          const isOurs = failure === undefined && this.#namesUs(bytes);
          this.#labelBytes = bytes;
          return isOurs;
        };
        const outcome = member.read(0, [bytes]).start();
        return isPromise(outcome) ? outcome.then(finish) : finish(outcome);
      },
      startSync,
    };
  }
  #labelBytes: Uint8Array | undefined;

  #namesUs(label: Uint8Array): boolean {
    const view = new DataView(label.buffer);
    return (
      view.getUint32(LABEL_MAGIC_OFFSET, true) === LABEL_MAGIC &&
      view.getBigUint64(LABEL_EPOCH_OFFSET, true) === BigInt(this.epoch) &&
      view.getBigUint64(LABEL_WRITER_OFFSET, true) === this.#label.writer
    );
  }

  /** Takes a member out, as if it had failed. */
  *failDisk(index: number): Step<void> {
    const member = this.#member(index);
    yield* this.#exclusive(() => {
      this.#checkExpendable(member);
      return this.#drop([
        { member, error: new StorageError('DISK_FAILED', 'taken out by command') },
      ]);
    });
  }

  /** Puts `disk` in the place of a member, and rebuilds its contents from the others. Until it is
   *  complete, also after a crash, it is not trusted. Writes wait meanwhile.
   *  @throws StorageError INVALID_ARGUMENT, DISK_DUPLICATE, DISK_FOREIGN, DISK_FAILED. */
  *replaceDisk(index: number, disk: Disk): Step<void> {
    const member = this.#member(index);
    yield* this.#exclusive(() => this.#replace(member, disk));
  }

  *close(): Step<void> {
    if (this.#isClosed) return;
    yield* wait(this.#settled());
    this.#isClosed = true;
    const inPlace = this.#core.members.flatMap(({ disk }) => (disk === undefined ? [] : [disk]));
    for (const disk of new Set([...this.#options.disks, ...inPlace])) {
      yield* wait({ start: () => disk.close(), startSync: () => closeLater(disk) });
    }
  }

  // Mounting

  *#begin(): Step<void> {
    const core = this.#core;
    const blocks = this.raid === 'none' ? [] : yield* readJournal(core, this.#root);
    if (this.isReadOnly) {
      replayInMemory(core, blocks);
      return;
    }
    // The claim comes first: a writer before us sees it and stops.
    this.#markFailed(yield* this.#writeLabels());
    this.#markFailed(yield* replayInPlace(core, blocks));
    yield* this.#writeRoots(this.#root.state, this.#options.env.clock.now(), 0);
  }

  /** Both copies, the second once the first is durable; the second's flush is that of the root to
   *  come. */
  *#writeLabels(): Step<Failure[]> {
    const core = this.#core;
    const members = core.members.filter(({ isUsable }) => isUsable);
    const failures: Failure[] = [];
    const first: number[] = [];
    for (const { disk } of members) {
      first.push((yield* readLabel(disk as Disk, core.hasher.hash)).worse);
    }
    const write = (copies: readonly number[]) =>
      all(
        members.map((member, i) => member.write(copies[i] as number, [this.#encodeLabel(member)])),
      );
    collect(members, yield* wait(write(first)), failures);
    failures.push(...(yield* flushMembers(core, members)));
    collect(members, yield* wait(write(first.map((copy) => 1 - copy))), failures);
    return failures;
  }

  #encodeLabel(member: MemberDisk): Uint8Array {
    const { uuid, group, column, blockCount, index } = member;
    const label = { ...this.#label, diskUuid: uuid, group, column, blockCount, index };
    return encodeLabel(label, this.#core.hasher.hash);
  }

  // Roots and members

  *#commit(state: Uint8Array, time: Instant): Step<void> {
    yield* this.#flushAll();
    yield* this.#writeRoots(state, time, this.#journal.durableSequence);
  }

  *#flushAll(): Step<void> {
    yield* this.#drop(yield* flushMembers(this.#core, this.#core.members));
    this.#journal.flushed();
  }

  /** Writes a root to all active disks; again, without those that failed, until none does. */
  *#writeRoots(state: Uint8Array, time: Instant, journalSequence: number): Step<void> {
    for (;;) {
      yield* this.checkEpoch();
      const number = yield* this.#nextNumber();
      let root = this.#rootOf({ state, time, journalSequence, number });
      const targets = this.#core.members.filter(({ isUsable }) => isUsable);
      const io = this.#rootIo(targets, root, (again) => {
        root = again;
      });
      this.stats.writeCalls += targets.length;
      const failures: Failure[] = [];
      collect(targets, yield* wait(io), failures);
      const written = targets.filter((member) => !failures.some((f) => f.member === member));
      failures.push(...(yield* flushMembers(this.#core, written)));
      this.stats.roots++;
      if (failures.length === 0) {
        this.#root = root;
        return;
      }
      // Ends: each round takes a member out, or throws.
      this.#markFailed(failures);
    }
  }

  /** Writes a root to its slots. A sync call that overtakes this writes it to other slots, under
   *  another number: those that are being written may hold anything after a power cut, even if the
   *  same bytes were durable there (`moved` is told; ENGINE 5). */
  #rootIo(
    targets: readonly MemberDisk[],
    root: VolumeRoot,
    moved: (root: VolumeRoot) => void,
  ): Io<Outcome[]> {
    const write = (what: VolumeRoot) => {
      const bytes = encodeVolumeRoot(what, this.#core.hasher.hash);
      const views = new Array<Uint8Array>(ROOT_COPIES).fill(bytes);
      const dbn = rootDbn(this.front, what.number);
      return all(targets.map((member) => member.write(dbn, views)));
    };
    let isBegun = false;
    return {
      start: () => {
        isBegun = true;
        return write(root).start();
      },
      startSync: () => {
        const number = isBegun ? this.#freeNumber() : undefined;
        const what = number === undefined ? root : { ...root, number };
        moved(what);
        return write(what).startSync();
      },
    };
  }

  *#nextNumber(): Step<number> {
    for (;;) {
      const number = this.#freeNumber();
      if (number !== undefined) return number;
      yield* wait(this.#core.inFlight.completion());
    }
  }

  /** The next number whose slots have no write in flight; undefined where all have. */
  #freeNumber(): number | undefined {
    const { inFlight, members } = this.#core;
    const blocks = ROOT_COPIES * VOLUME_ROOT_BLOCKS;
    const groups = [...new Set(members.map(({ group }) => group))];
    for (let tries = 0; tries < 7; tries++) {
      const dbn = rootDbn(this.front, this.#number + 1 + tries);
      if (groups.some((group) => inFlight.has(group, dbn, blocks))) continue;
      this.#number += 1 + tries;
      return this.#number;
    }
    return undefined;
  }

  #rootOf(part: Pick<VolumeRoot, 'state' | 'time' | 'journalSequence' | 'number'>): VolumeRoot {
    const members = this.#core.members.map((member) => this.#describe(member));
    return { ...this.#root, ...part, epoch: this.epoch, members };
  }

  #describe(member: MemberDisk): Member {
    const { uuid, group, column, state, blockCount, dbnHighDurable, epoch } = member;
    const dbnHigh = dbnHighDurable;
    return {
      uuid,
      group,
      column,
      state,
      blockCount,
      dbnHigh,
      epoch: state === 'active' ? this.epoch : epoch,
    };
  }

  /** Takes members out in memory. Throws, and the volume has failed, when no redundancy is left. */
  #markFailed(failures: readonly Failure[]): void {
    for (const { member, error } of failures) {
      if (member.state !== 'active') continue;
      this.#options.env.logger?.warn(`${member.name} failed and is taken out: ${error.message}`, {
        disk: member.name,
      });
      const tolerated = faultsTolerated(this.raid);
      if (tolerated === 0) {
        const message = `${member.name} failed, and nothing stands in for it`;
        throw this.#fail(
          new StorageError('DISK_FAILED', message, { cause: error, detail: { disk: member.name } }),
        );
      }
      member.state = 'failed';
      member.epoch = this.epoch;
      const lacking = this.#core.members.filter(
        (other) => other.group === member.group && !other.isUsable,
      );
      if (lacking.length > tolerated) {
        const names = lacking.map(({ name }) => name).join(', ');
        const message = `${names} failed: more than parity covers`;
        throw this.#fail(
          new StorageError('RAID_DEGRADED_BEYOND_PARITY', message, { cause: error }),
        );
      }
    }
  }

  /** Takes members out, and tells all others before anything more is written. */
  *#drop(failures: readonly Failure[]): Step<void> {
    if (failures.length === 0) return;
    this.#markFailed(failures);
    yield* this.#writeRoots(
      this.#root.state,
      this.#options.env.clock.now(),
      this.#root.journalSequence,
    );
  }

  *#replace(member: MemberDisk, disk: Disk): Step<void> {
    const core = this.#core;
    if (member.state === 'active' && member.disk !== undefined) this.#checkExpendable(member);
    if (faultsTolerated(this.raid) === 0) {
      throw new StorageError(
        'INVALID_ARGUMENT',
        'a volume without parity has nothing to rebuild from',
      );
    }
    const uuid = yield* prepareDisk(core, member, disk, this.#options.env.prng);
    member.disk = disk;
    member.state = 'rebuilding';
    member.uuid = uuid;
    member.isDirty = false;
    member.dbnHigh = 0;
    member.dbnHighCompleted = 0;
    member.dbnHighDurable = 0;
    for (const copy of [0, 1]) {
      yield* this.#orFail(member, member.write(copy, [this.#encodeLabel(member)]));
      yield* this.#orFail(member, member.flush());
    }
    // From here on a mount knows the disk, and does not trust it.
    yield* this.#writeRoots(
      this.#root.state,
      this.#options.env.clock.now(),
      this.#root.journalSequence,
    );
    yield* rebuildMember(core, member, (io) => this.#orFail(member, io));
    yield* this.#orFail(member, member.flush());
    member.state = 'active';
    yield* this.#writeRoots(
      this.#root.state,
      this.#options.env.clock.now(),
      this.#root.journalSequence,
    );
  }

  /** Runs an Io on a disk that is being rebuilt; its failure ends the rebuild, and only that. */
  *#orFail(member: MemberDisk, io: Io<Error | undefined>): Step<void> {
    const error = yield* wait(io);
    if (error === undefined) return;
    member.state = 'failed';
    throw new StorageError('DISK_FAILED', `${member.name} failed while it was rebuilt`, {
      cause: error,
    });
  }

  #checkExpendable(member: MemberDisk): void {
    const others = this.#core.members.filter(
      (other) => other !== member && other.group === member.group,
    );
    const lacking = others.filter(({ isUsable, state }) => !isUsable && state !== 'spare').length;
    if (lacking < faultsTolerated(this.raid)) return;
    throw new StorageError(
      'INVALID_ARGUMENT',
      `${member.name} cannot be spared: the volume would be lost`,
    );
  }

  #member(index: number): MemberDisk {
    const member = this.#core.members[index];
    if (member === undefined)
      throw new StorageError('INVALID_ARGUMENT', `there is no disk ${index}`);
    return member;
  }

  // One at a time

  /** Runs `body` after everything before it has ended; a sync call drives what is under way. */
  *#exclusive<T>(body: () => Step<T>): Step<T> {
    while (this.#current?.isSettled === false) yield* wait(this.#settled());
    this.#checkWritable();
    return yield* wait(stepIo(body, (task) => (this.#current = task)));
  }

  /** Waits for the end of what is under way, whatever becomes of it: its owner hears of that. */
  #settled(): Io<void> {
    const task = this.#current;
    return {
      start: () =>
        new Promise((resolve) => (task === undefined ? resolve() : task.onSettled(resolve))),
      startSync: () => {
        try {
          task?.driveSync();
        } catch (error) {
          // Reported to the one who waits for the task; unless it is a call from within the task.
          if (task?.isSettled !== true) throw error;
        }
      },
    };
  }

  /** What ends in the middle leaves stripes that only the journal can mend: the volume has
   *  failed. */
  *#orStop(step: Step<void>): Step<void> {
    try {
      yield* step;
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  #fail<T>(cause: T): T {
    this.#failure ??= { cause };
    return cause;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StorageError('VOLUME_CLOSED', 'the volume is closed');
  }

  #checkWritable(): void {
    this.#checkOpen();
    assert(!this.isReadOnly, 'the volume is open for writing');
    if (this.#failure !== undefined) {
      throw new StorageError('VOLUME_FAILED', 'the volume failed', this.#failure);
    }
  }
}

function random64(prng: Prng): bigint {
  return (BigInt(prng.u32()) << 32n) | BigInt(prng.u32());
}

/** `close` has no sync twin; nothing waits for it. */
function closeLater(disk: Disk): void {
  const result = disk.close();
  if (result instanceof Promise) result.catch(() => {});
}
