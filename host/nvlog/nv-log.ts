// The log: what makes an acknowledged call survive a crash before the next consistency point.
//
// A message reserves room at its admission; in its MODIFY turn it appends its record, which
// cannot fail, and takes its sequence number. Records gather in a staging buffer.
// commit(sequence) waits until all up to it is on every copy that works: one vectored write and
// one flush for all that has gathered, while further records gather in the other buffer (group
// commit).
//
// States: open (nothing but `scan`) → scanned → writing, with the first rootCommitted → failed.
// No record is taken before that first root, whose logSequence is this log's lastSequence: so
// what an earlier life has left in the area, seen or not, is below the root (scan.ts says why it
// matters).
//
// Two halves: records go to one until a CP freezes what it will write and calls switchHalf; from
// then on to the other, while the CP runs. When the CP's root is durable (rootCommitted) the
// first half is recycled. What has gathered and was not flushed when halves are switched goes to
// the new half with what follows. That is right: before the new root is durable, the old one is
// replayed onto from both halves without a gap; afterwards those records are below its
// logSequence and skipped, or dropped if they are still unflushed then. Whoever waits for them is
// answered by the flush or by rootCommitted, whichever is first.
//
// Invariants:
// - Flushes are begun one after the other; sequence numbers in the area ascend without a gap. No
//   byte of a half is written twice in one filling.
// - A sync call that takes over a flush under way writes it again behind the first place, not
//   over it: a power cut may leave anything in sectors that are being written, even if the same
//   bytes were durable there. Room for that is kept.
// - A staging buffer with a write under way keeps its bytes, and a half with one is not filled
//   again, even if a sync call has overtaken the write (ENGINE 5, 16).
// - gathered + reserved records fit in one flush, and used + gathered + reserved flushes (each
//   reservation as if it were flushed alone, and twice) in the half: so a reserved append cannot
//   fail.
// - There is always a buffer to append to: an asynchronous flush is begun only when the other one
//   is unused, and one that is driven synchronously gives its own back before the turn ends.

import { FLUSH_HEADER_SIZE, LOG_HALVES, RECORD_HEADER_SIZE } from '../../assembly/layout/log.ts';
import { assert } from '../base/assert.ts';
import { StorageError } from '../base/errors.ts';
import type { Io, Step } from '../base/task.ts';
import { all, runSync, Task, wait } from '../base/task.ts';
import type { Nvram } from '../device/device.ts';
import type { LogHeader, Word64 } from '../format/log.ts';
import { flushBytesOf, LOG_FLUSHES_MIN, recordBytesOf } from '../format/log.ts';
import type { LogFormatOptions } from './area.ts';
import { formatLog, openArea } from './area.ts';
import type { LogCopies } from './copies.ts';
import { areaOffsetOf } from './copies.ts';
import type { LogMemory } from './log-memory.ts';
import type { LogScan, LogScanRoot } from './scan.ts';
import { scanLog } from './scan.ts';
import type { LogBody } from './staging.ts';
import { StagingBuffer } from './staging.ts';
import { Waiters } from './waiters.ts';

export interface LogHooks {
  /** Runs before each flush is written: the epoch check of ENGINE 10. What has gathered when it
   *  ends, also what came meanwhile, is flushed in that turn. If it throws, the log fails. */
  readonly beforeFlush?: () => Step<void>;
  /** A copy went out. Called in the middle of things: note it, act later. */
  readonly onCopyFailed?: (copy: number, error: unknown) => void;
  /** The log failed: nothing more will become durable by it, a CP is due (ENGINE 21). As above. */
  readonly onFailed?: (error: unknown) => void;
}

export interface LogOpenOptions extends LogHooks {
  /** 16 bytes; a copy with another one is left out. */
  readonly volumeUuid: Uint8Array;
}

/** A durable root, for what follows it. */
export interface LogRoot {
  readonly timeline: Word64;
  readonly cpNumber: number;
  /** Checksum of the pointer to its image root. */
  readonly imageChecksum: Word64;
  /** Sequence number of the last record that it contains. */
  readonly logSequence: number;
}

/** Why there is no room: 'staging' goes away with a flush, 'half' with a root. */
export type LogShortage = 'none' | 'staging' | 'half' | 'closed';

export interface LogStats {
  readonly flushCount: number;
  /** Bytes flushed, of one copy. */
  readonly byteCount: number;
  readonly recordCount: number;
  /** Records of the largest flush. */
  readonly groupRecordCountMax: number;
}

interface Half {
  readonly index: number;
  usedBytes: number;
  /** Kept for the flush under way: its place, and one for a sync call that takes it over. */
  spareBytes: number;
  cycle: number;
  flushCount: number;
  /** Of the last record in it. */
  lastSequence: number;
  /** Flushes begun and not ended, and writes whose completion was not seen. */
  inFlight: number;
  /** Its records are below the durable root. */
  isFree: boolean;
}

/** Lets all that is under way in this turn append before a flush is begun. (To begin at once
 *  when much has gathered, so as to hash the rest beside the write, was measured and loses: two
 *  flushes of half the size take much longer than one.) */
const GATHER: Io<void> = { start: () => Promise.resolve(), startSync: () => {} };

export class NvLog {
  readonly halfBytes: number;
  readonly flushBytesMax: number;
  readonly #area: LogHeader & { readonly numbers: Set<number> };
  readonly #copies: LogCopies;
  readonly #memory: LogMemory;
  readonly #hooks: LogHooks;
  readonly #halves: readonly [Half, Half];
  readonly #buffers: readonly [StagingBuffer, StagingBuffer];
  readonly #waiters = new Waiters();
  #half: Half;
  #gathering: StagingBuffer;
  #scan: LogScan | undefined;
  #root: LogRoot | undefined;
  #failure: { readonly error: unknown } | undefined;
  #lastSequence = 0;
  #durableSequence = 0;
  /** Flushing goes on until all up to this is durable. */
  #wantedSequence = 0;
  #cycleLimit = 0;
  /** Flushing that goes on beyond the turn in which it was begun. */
  #task: Task<void> | undefined;
  #isFlushing = false;
  #isSyncPossible = false;
  #reservedRecordBytes = 0;
  #reservedFlushBytes = 0;
  #conditions: { isMet(): boolean; resolve(): void }[] = [];
  #stats = { flushCount: 0, byteCount: 0, recordCount: 0, groupRecordCountMax: 0 };

  /** Makes an empty log; see formatLog. */
  static format(
    nvrams: readonly (Nvram | undefined)[],
    memory: LogMemory,
    options: LogFormatOptions,
  ): Step<void> {
    return formatLog(nvrams, memory, options);
  }

  /** Finds the copies; see openArea for what is thrown. `copyErrors` says which of them are out. */
  static *open(
    nvrams: readonly (Nvram | undefined)[],
    memory: LogMemory,
    options: LogOpenOptions,
  ): Step<NvLog> {
    const { copies, header, numbers } = yield* openArea(nvrams, memory, options.volumeUuid);
    return new NvLog(copies, memory, { ...header, numbers }, options);
  }

  private constructor(
    copies: LogCopies,
    memory: LogMemory,
    area: LogHeader & { readonly numbers: Set<number> },
    hooks: LogHooks,
  ) {
    this.#area = area;
    this.halfBytes = area.halfBytes;
    this.flushBytesMax = area.flushBytesMax;
    this.#copies = copies;
    this.#memory = memory;
    this.#hooks = hooks;
    this.#halves = [newHalf(0), newHalf(1)];
    const [first, second] = memory.staging;
    this.#buffers = [new StagingBuffer(memory, first), new StagingBuffer(memory, second)];
    this.#half = this.#halves[0];
    this.#gathering = this.#buffers[0];
    copies.onFailed = (copy, error) => this.#copyFailed(copy, error);
  }

  /** Bytes that a record's body may have. */
  get bodyBytesMax(): number {
    return this.flushBytesMax - FLUSH_HEADER_SIZE - RECORD_HEADER_SIZE;
  }

  /** Sequence number last given out. Before the first root: what that root must say. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** All up to this is on every copy that works, or in a durable root. */
  get durableSequence(): number {
    return this.#durableSequence;
  }

  /** Bytes of the current half that are written, or will be with the next flush. */
  get halfUsedBytes(): number {
    return this.#half.usedBytes + this.#gathering.flushBytes;
  }

  /** Whether a record of the largest size must wait for a root. */
  get isHalfFull(): boolean {
    return this.shortageOf(this.bodyBytesMax) === 'half';
  }

  get isFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** Why each copy is out; undefined for those that work or were not given. */
  get copyErrors(): readonly unknown[] {
    return this.#copies.errors();
  }

  get stats(): LogStats {
    return { ...this.#stats };
  }

  /** What is to be replayed onto `root`. Reads only; may be done again until the first root. */
  *scan(root: LogScanRoot): Step<LogScan> {
    assert(this.#root === undefined, 'nothing was appended yet');
    const scan = yield* scanLog(this.#copies, this.#memory, this, root);
    this.#scan = scan;
    this.#lastSequence = scan.sequenceLimit;
    this.#durableSequence = scan.sequenceLimit;
    this.#wantedSequence = scan.sequenceLimit;
    this.#cycleLimit = scan.cycleLimit;
    return scan;
  }

  /** A CP's root (or the first root of a mount) is durable. Recycles the half whose records it
   *  contains, answers who waited for them. */
  rootCommitted(root: LogRoot): void {
    if (this.#root === undefined) this.#begin(root);
    assert(root.logSequence <= this.#lastSequence, 'root is of this log', root.logSequence);
    this.#root = root;
    for (const half of this.#halves) {
      if (half.lastSequence > root.logSequence) continue;
      half.isFree = half !== this.#half;
      // A CP that could not switch halves, as the other one had a write under way, recycles its
      // own.
      if (!half.isFree && half.inFlight === 0 && half.usedBytes > 0) this.#refill(half);
    }
    // What has gathered and is in the root needs no flush, and so none would ever make room for
    // more.
    const { recordCount, inFlight, lastSequence } = this.#gathering;
    if (recordCount > 0 && inFlight === 0 && lastSequence <= root.logSequence) {
      this.#gathering.clear();
    }
    this.#becameDurable(root.logSequence);
  }

  /** Bytes of each copy. */
  get areaBytes(): number {
    return this.#area.areaBytes;
  }

  /** A copy that is missing is made anew, and from now on gets what the others get. Only between a
   *  mount's first root and its first record: then the log is empty, what is in the others is below
   *  the root, and nothing has to be carried over that could be stale or torn. `keep` is called
   *  when the new one is whole and durable, and before it counts. */
  *addCopy(nvram: Nvram, keep: () => void): Step<void> {
    const { halfBytes, volumeUuid, numbers } = this.#area;
    const isEmpty = this.#root?.logSequence === this.#lastSequence && !this.#isFlushing;
    assert(isEmpty && this.#gathering.recordCount === 0, 'the log is empty', this.#lastSequence);
    let number = 0;
    while (numbers.has(number)) number++;
    const places: (Nvram | undefined)[] = new Array(number).fill(undefined);
    yield* formatLog([...places, nvram], this.#memory, { volumeUuid, halfBytes });
    keep();
    numbers.add(number);
    this.#copies.add(nvram);
  }

  /** Whether the other half can be filled: it is recycled, and no write to it is under way. */
  get canSwitch(): boolean {
    const other = this.#halves[1 - this.#half.index] as Half;
    return this.#root !== undefined && other.isFree && other.inFlight === 0;
  }

  /** In a CP's freeze turn: records appended from now on go to the other half. A CP that goes on
   *  without (not canSwitch) is right too, its root then recycles only what nothing was appended
   *  to since.
   *  @returns what the CP's volume state says: the last sequence number that it contains, and
   *  the half that takes the records after it. */
  switchHalf(): { readonly logSequence: number; readonly half: number } {
    assert(this.canSwitch, 'the other half is free');
    this.#half = this.#halves[1 - this.#half.index] as Half;
    this.#half.isFree = false;
    this.#refill(this.#half);
    this.#changed();
    return { logSequence: this.#lastSequence, half: this.#half.index };
  }

  /** What keeps a record with such a body from being reserved. */
  shortageOf(bodyBytesMax: number): LogShortage {
    this.#checkBody(bodyBytesMax);
    if (this.#root === undefined || this.#failure !== undefined) return 'closed';
    const recordBytes = recordBytesOf(bodyBytesMax);
    const { usedBytes, spareBytes } = this.#half;
    const pending =
      this.#gathering.flushBytes + this.#reservedFlushBytes + flushBytesOf(recordBytes);
    const promised = usedBytes + spareBytes + LOG_FLUSHES_MIN * pending;
    if (promised > this.halfBytes) return 'half';
    const staged = this.#gathering.recordBytes + this.#reservedRecordBytes;
    return FLUSH_HEADER_SIZE + staged + recordBytes > this.flushBytesMax ? 'staging' : 'none';
  }

  /** Takes room for one record whose body has up to `bodyBytesMax` bytes; false if there is none
   *  now. Must be followed by one `append` or `release` with the same figure. */
  reserve(bodyBytesMax: number): boolean {
    if (this.shortageOf(bodyBytesMax) !== 'none') return false;
    const recordBytes = recordBytesOf(bodyBytesMax);
    this.#reservedRecordBytes += recordBytes;
    this.#reservedFlushBytes += flushBytesOf(recordBytes);
    return true;
  }

  /** Gives a reservation back. */
  release(bodyBytesMax: number): void {
    this.#unreserve(bodyBytesMax);
    this.#changed();
  }

  /** Waits until `reserve` is worth trying again. A shortage of staging is helped by a flush;
   *  one of the half by the CP that the caller forces. A sync caller drives that CP itself, and
   *  whatever message holds reservations: what no flush can help is an invariant broken. Fails
   *  when the log has. */
  waitForRoom(bodyBytesMax: number): Io<void> {
    const isMet = () => {
      const shortage = this.shortageOf(bodyBytesMax);
      if (shortage === 'staging') this.#want(this.#lastSequence);
      return shortage === 'none' || this.#failure !== undefined;
    };
    return {
      start: () => {
        if (isMet()) return this.#checkFailure();
        return this.#until(isMet).then(() => this.#checkFailure());
      },
      startSync: () => {
        this.#checkFailure();
        if (this.shortageOf(bodyBytesMax) === 'staging') this.#flushSync(this.#lastSequence);
        const shortage = this.shortageOf(bodyBytesMax);
        assert(shortage === 'none', 'a sync caller drives what holds the room', shortage);
      },
    };
  }

  /** Adds a record, in this turn, on a reservation of `bodyBytesMax`. `kind` is a u16, `flags` a
   *  u32.
   *  @returns its sequence number. */
  append(kind: number, body: LogBody, bodyBytesMax: number, flags = 0): number {
    assert(kind >= 0 && kind <= 0xffff, 'kind is a u16', kind);
    this.#unreserve(bodyBytesMax);
    const sequence = this.#lastSequence + 1;
    this.#gathering.append(sequence, kind, flags, body, bodyBytesMax);
    this.#lastSequence = sequence;
    this.#changed();
    return sequence;
  }

  /** Waits until all up to `sequence` is durable; answered in the order of sequence numbers. Driven
   *  synchronously it takes over the flush under way and flushes the rest in this turn.
   *  Fails with the log's failure; synchronously also with UNSUPPORTED_FEATURE, harmlessly. */
  commit(sequence: number): Io<void> {
    assert(sequence <= this.#lastSequence, 'the record is there', sequence, this.#lastSequence);
    return {
      start: () => {
        if (sequence <= this.#durableSequence) return;
        this.#checkFailure();
        this.#want(sequence);
        return this.#waiters.add(sequence);
      },
      startSync: () => {
        if (sequence <= this.#durableSequence) return;
        this.#checkFailure();
        this.#flushSync(sequence);
      },
    };
  }

  /** Commits all there is. */
  flush(): Io<void> {
    return this.commit(this.#lastSequence);
  }

  /** Flushes, and waits for writes that sync calls have overtaken: then the Nvrams may be
   *  closed. */
  *close(): Step<void> {
    if (this.#failure === undefined) yield* wait(this.flush());
    const isMet = () => this.#buffers.every((buffer) => buffer.inFlight === 0);
    yield* wait({ start: () => (isMet() ? undefined : this.#until(isMet)), startSync: () => {} });
  }

  /** The first root of this life: see SEQUENCE_JUMP. */
  #begin(root: LogRoot): void {
    assert(this.#scan !== undefined, 'the log was scanned');
    assert(root.logSequence === this.#lastSequence, 'the first root jumps', root.logSequence);
    for (const half of this.#halves) half.isFree = true;
    this.#half = this.#halves[this.#scan.nextHalf] as Half;
    this.#half.isFree = false;
    this.#refill(this.#half);
    this.#scan = undefined;
  }

  /** Starts a half from its beginning. */
  #refill(half: Half): void {
    assert(half.inFlight === 0, 'no write to the half is under way', half.inFlight);
    half.usedBytes = 0;
    half.flushCount = 0;
    half.lastSequence = 0;
    half.cycle = this.#cycleLimit++;
  }

  #checkBody(bodyBytesMax: number): void {
    if (bodyBytesMax >= 0 && bodyBytesMax <= this.bodyBytesMax) return;
    throw new StorageError(
      'INVALID_ARGUMENT',
      `a log record of ${bodyBytesMax} bytes is too large`,
      {
        detail: { bodyBytesMax, limit: this.bodyBytesMax },
      },
    );
  }

  #unreserve(bodyBytesMax: number): void {
    const recordBytes = recordBytesOf(bodyBytesMax);
    assert(this.#reservedRecordBytes >= recordBytes, 'room was reserved', bodyBytesMax);
    this.#reservedRecordBytes -= recordBytes;
    this.#reservedFlushBytes -= flushBytesOf(recordBytes);
  }

  #checkFailure(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Sees to it that flushing goes on until all up to `sequence` is durable. */
  #want(sequence: number): void {
    this.#wantedSequence = Math.max(this.#wantedSequence, sequence);
    if (this.#isFlushing || this.#wantedSequence <= this.#durableSequence) return;
    this.#isFlushing = true;
    const task = Task.start(this.#flushWanted());
    this.#task = task;
    task.onSettled(() => {
      this.#task = undefined;
      this.#isFlushing = false;
    });
  }

  /** All up to `sequence`, in this turn. */
  #flushSync(sequence: number): void {
    this.#checkSync();
    this.#wantedSequence = Math.max(this.#wantedSequence, sequence);
    if (this.#task !== undefined) {
      this.#task.driveSync();
    } else {
      assert(!this.#isFlushing, 'a flush does not wait for itself');
      this.#isFlushing = true;
      try {
        runSync(this.#flushWanted());
      } finally {
        this.#isFlushing = false;
      }
    }
    assert(this.#durableSequence >= sequence, 'flushed', this.#durableSequence, sequence);
  }

  /** Learns once whether the copies have sync twins, before a flush under way is touched. */
  #checkSync(): void {
    if (this.#isSyncPossible) return;
    for (const copy of this.#copies.live()) this.#copies.checkSync(copy);
    this.#checkFailure();
    this.#isSyncPossible = true;
  }

  *#flushWanted(): Step<void> {
    try {
      yield* wait(GATHER);
      while (this.#wantedSequence > this.#durableSequence) yield* this.#flushOnce();
    } catch (error) {
      this.#fail(error);
      throw error;
    }
  }

  /** One flush: all that has gathered, to all copies. */
  *#flushOnce(): Step<void> {
    this.#checkFailure();
    const buffer = this.#gathering;
    const other = buffer === this.#buffers[0] ? this.#buffers[1] : this.#buffers[0];
    yield* wait(this.#whenUnused(other));
    // Last: nothing may be appended between it and the seal.
    if (this.#hooks.beforeFlush !== undefined) yield* this.#hooks.beforeFlush();
    if (buffer.recordCount === 0) return this.#assertNothingWanted();
    const half = this.#half;
    const bytes = this.#seal(buffer, half);
    const { lastSequence, recordCount } = buffer;
    // Driven synchronously the other buffer may still be in use; then this one comes back at once.
    if (other.inFlight === 0) {
      other.clear();
      this.#gathering = other;
    }
    half.inFlight++;
    this.#changed();
    try {
      yield* wait(this.#write(buffer, half, bytes));
    } finally {
      half.inFlight--;
      half.spareBytes = 0;
    }
    this.#checkFailure();
    if (this.#gathering === buffer) buffer.clear();
    this.#stats.flushCount++;
    this.#stats.byteCount += bytes.length;
    this.#stats.recordCount += recordCount;
    this.#stats.groupRecordCountMax = Math.max(this.#stats.groupRecordCountMax, recordCount);
    this.#becameDurable(lastSequence);
  }

  /** Completes the flush in `buffer`, and keeps its room. */
  #seal(buffer: StagingBuffer, half: Half): Uint8Array {
    const root = this.#root as LogRoot;
    const bytes = buffer.seal({
      cycle: half.cycle,
      index: half.flushCount,
      durableUpTo: this.#durableSequence,
      timeline: root.timeline,
      cpNumber: root.cpNumber,
      imageChecksum: root.imageChecksum,
    });
    half.flushCount++;
    half.lastSequence = buffer.lastSequence;
    half.spareBytes = LOG_FLUSHES_MIN * bytes.length;
    return bytes;
  }

  /** Takes the next `length` bytes of a half. */
  #place(half: Half, length: number): number {
    const position = half.usedBytes;
    half.usedBytes += length;
    half.spareBytes -= length;
    assert(half.usedBytes <= this.halfBytes, 'the half holds it', half.usedBytes, this.halfBytes);
    return areaOffsetOf(half.index, position, this.halfBytes);
  }

  /** Writes a sealed flush to all copies: behind what the half has, and once more behind that
   *  where a sync call takes over. */
  #write(buffer: StagingBuffer, half: Half, bytes: Uint8Array): Io<unknown> {
    const events = {
      begun: () => {
        buffer.inFlight++;
        half.inFlight++;
      },
      ended: () => {
        buffer.inFlight--;
        half.inFlight--;
        this.#changed();
      },
      broken: (error: unknown) => this.#fail(error),
    };
    const write = () => {
      const offset = this.#place(half, bytes.length);
      return all(
        this.#copies.live().map((copy) => this.#copies.write(copy, offset, bytes, events)),
      );
    };
    return { start: () => write().start(), startSync: () => write().startSync() };
  }

  /** A write from a buffer that a sync call has overtaken is waited for; but not by a sync call,
   *  which does not need the other buffer. */
  #whenUnused(buffer: StagingBuffer): Io<void> {
    const isMet = () => buffer.inFlight === 0;
    return {
      start: () => (isMet() ? undefined : this.#until(isMet)),
      startSync: () => {},
    };
  }

  #assertNothingWanted(): void {
    const { length } = this.#copies.live();
    assert(this.#wantedSequence <= this.#durableSequence, 'what is wanted has gathered', length);
  }

  #becameDurable(sequence: number): void {
    this.#durableSequence = Math.max(this.#durableSequence, sequence);
    this.#waiters.settle(this.#durableSequence);
    this.#changed();
  }

  #copyFailed(copy: number, error: unknown): void {
    this.#hooks.onCopyFailed?.(copy, error);
    if (this.#copies.live().length === 0) this.#fail(error);
  }

  #fail(error: unknown): void {
    if (this.#failure !== undefined) return;
    this.#failure = { error };
    this.#waiters.fail(error);
    this.#changed();
    this.#hooks.onFailed?.(error);
  }

  #until(isMet: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#conditions.push({ isMet, resolve });
    });
  }

  #changed(): void {
    if (this.#conditions.length === 0) return;
    const conditions = this.#conditions;
    this.#conditions = [];
    for (const condition of conditions) {
      if (condition.isMet()) condition.resolve();
      else this.#conditions.push(condition);
    }
  }
}

function newHalf(index: number): Half {
  assert(index < LOG_HALVES, 'there are two halves', index);
  const half = { index, usedBytes: 0, spareBytes: 0, cycle: 0, flushCount: 0, lastSequence: 0 };
  return { ...half, inFlight: 0, isFree: false };
}
