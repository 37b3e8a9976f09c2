// What the log holds for a root: the scan at mount.
//
// First every block of both halves on every copy is looked at for flush headers. A flush counts
// only if it follows the mounted root, or the one before it (it was written while the mounted
// root's CP was under way): any other one is of another history, or contained in the root. Then
// the flushes are taken in the order of their sequence numbers from the root's on, each from any
// copy whose bytes are whole, as far as they go on without a gap.
//
// Where they break off there is either the end of the log or damage. Flushes are written one
// after the other, each when the one before it is durable on all copies that work. So a crash
// leaves one torn flush at most, and nothing after it. Hence the rule: every header that counts,
// wherever it is, says up to which sequence number all was durable when it was written. If the
// flushes reach as far as the largest of these, the log is whole and ends there. If not, records
// are lost that may have been acknowledged: damage, reported with its place, never taken for the
// end (ENGINE 18).
//
// Where the next flush would stand there may be a block that no copy can read. Then nobody knows
// whether the log ends there: that is damage too.
//
// Why old flushes do no harm, though a half is not erased when it is recycled:
// - A half is recycled when a root is durable that contains all its records: their sequence
//   numbers are up to the root's, and so is what they say was durable. The scan leaves both
//   aside.
// - A torn flush that one scan did not see and a later one sees (its copy was away) has sequence
//   numbers just above those that the first scan found. Therefore numbers are not used again
//   after a scan: the first root that is written afterwards says SEQUENCE_JUMP more, and no
//   record is taken before that root is durable.
// - After an older root was taken on purpose the timeline is a new one.
// - Old records inside of a torn new flush fail their CRC, which goes on from the flush header's,
//   where timeline, cycle and index stand.
// - A flush may stand in the log twice: written by a sync call again that could not wait for the
//   first write to end, or as the content of a file. So its place means nothing, and whichever is
//   whole is right: timeline and sequence numbers determine the content.
//
// Memory: the two staging buffers, a small object for each flush that counts, and the bodies of
// the records, together never more than the area. Time: each copy is read once, and what counts
// twice.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  FLUSH_HEADER_SIZE,
  FLUSH_SIZE_MAX,
  LOG_HALVES,
  RECORD_HEADER_SIZE,
} from '../../assembly/layout/log.ts';
import { assert } from '../base/assert.ts';
import { StorageError } from '../base/errors.ts';
import type { Step } from '../base/task.ts';
import type { Address } from '../base/units.ts';
import type { FlushHeader, LogRecord, Word64 } from '../format/log.ts';
import {
  decodeFlushHeader,
  decodeRecords,
  flushBytesOf,
  isSameWord64,
  lastSequenceOf,
} from '../format/log.ts';
import type { LogCopies } from './copies.ts';
import { areaOffsetOf } from './copies.ts';
import type { LogMemory } from './log-memory.ts';

/** More than the records of the flush that a crash can have hidden. */
export const SEQUENCE_JUMP = 1 << 20;
assert(SEQUENCE_JUMP > (FLUSH_SIZE_MAX - FLUSH_HEADER_SIZE) / RECORD_HEADER_SIZE, 'jump is enough');

/** The mounted root, as its volume state has it. */
export interface LogScanRoot {
  readonly timeline: Word64;
  readonly cpNumber: number;
  /** Checksum of the pointer to its image root; and that of the CP before. */
  readonly imageChecksum: Word64;
  readonly previousImageChecksum: Word64;
  /** Sequence number of the last record that the root contains. */
  readonly lastSequence: number;
}

export interface LogDamage {
  /** 'lost': records that were durable are not there. 'unreadable': there may be more records, in a
   *  block that no copy can read. 'other-root': the log follows a newer root than the mounted one,
   *  or another of the same number. */
  readonly reason: 'lost' | 'unreadable' | 'other-root';
  /** Where the flush that is lost stood, as far as known, or the one that follows the other
   *  root. */
  readonly half: number;
  readonly position: number;
  /** The first sequence number that is not there, and the one up to which all was durable. */
  readonly firstSequence: number;
  readonly durableUpTo: number;
  /** The CP that the flush which says so follows. */
  readonly cpNumber: number;
}

export interface LogScan {
  /** To be replayed, in order, without a gap, from lastSequence + 1 on; with damage: those
   *  before it. */
  readonly records: readonly LogRecord[];
  readonly damage: LogDamage | undefined;
  /** Flushes that the records stand in. */
  readonly flushCount: number;
  /** Larger than every sequence number of this timeline that was ever given out. */
  readonly sequenceLimit: number;
  /** Larger than every cycle that was seen. */
  readonly cycleLimit: number;
  /** The half that is filled next. */
  readonly nextHalf: number;
}

interface Geometry {
  readonly halfBytes: number;
  readonly flushBytesMax: number;
}

/** A flush header where it was found. */
interface Found {
  readonly copy: number;
  readonly half: number;
  readonly position: number;
  readonly header: FlushHeader;
}

/** Reads the log through; see above. */
export function scanLog(
  copies: LogCopies,
  memory: LogMemory,
  geometry: Geometry,
  root: LogScanRoot,
): Step<LogScan> {
  return new Scanner(copies, memory, geometry, root).run();
}

class Scanner {
  readonly #copies: LogCopies;
  readonly #memory: LogMemory;
  readonly #geometry: Geometry;
  readonly #root: LogScanRoot;
  readonly #windows: [Window, Window];
  /** Flushes that count and go beyond the root, by the first sequence number that is beyond it. */
  readonly #flushes = new Map<number, Found[]>();
  /** By half: the flush written last, whatever it follows; undefined where none was found. */
  readonly #ends: (Found | undefined)[] = [];
  #cycleMax = 0;
  #sequenceMax: number;
  /** The header that says most about what was durable; the one of the newest other root. */
  #durable: Found | undefined;
  #otherRoot: Found | undefined;

  constructor(copies: LogCopies, memory: LogMemory, geometry: Geometry, root: LogScanRoot) {
    this.#copies = copies;
    this.#memory = memory;
    this.#geometry = geometry;
    this.#root = root;
    this.#sequenceMax = root.lastSequence;
    const [first, second] = memory.staging;
    const size = Math.min(memory.flushBytesMax, geometry.halfBytes);
    const { halfBytes } = geometry;
    this.#windows = [
      new Window(copies, memory.arena.bytes(first, size), first, halfBytes),
      new Window(copies, memory.arena.bytes(second, size), second, halfBytes),
    ];
  }

  *run(): Step<LogScan> {
    for (const copy of this.#copies.live()) {
      for (let half = 0; half < LOG_HALVES; half++) yield* this.#survey(copy, half);
    }
    this.#checkCopies();
    const records: LogRecord[] = [];
    let flushCount = 0;
    let last = this.#root.lastSequence;
    let newest: Found | undefined;
    for (;;) {
      const flush = yield* this.#take(last, records);
      if (flush === undefined) break;
      newest = flush;
      last = lastSequenceOf(flush.header);
      flushCount++;
    }
    this.#checkCopies();
    return {
      records,
      damage: this.#damage(last, newest),
      flushCount,
      sequenceLimit: this.#sequenceMax + SEQUENCE_JUMP,
      cycleLimit: this.#cycleMax + 1,
      nextHalf: newest === undefined ? 0 : 1 - newest.half,
    };
  }

  /** No copy is no log: never the same as an empty one. */
  #checkCopies(): void {
    if (this.#copies.live().length > 0) return;
    const cause = this.#copies.errors().find((error) => error !== undefined);
    throw new StorageError('DISK_FAILED', 'no copy of the log can be read', { cause });
  }

  /** Looks at every block of a half for a header. */
  *#survey(copy: number, half: number): Step<void> {
    const { halfBytes } = this.#geometry;
    const window = this.#windowOf(copy);
    for (let position = 0; position + BLOCK_SIZE <= halfBytes; position += BLOCK_SIZE) {
      const at = yield* window.seek({ copy, half, position }, BLOCK_SIZE);
      if (at === undefined) return;
      const header = decodeFlushHeader(this.#memory, at, this.#geometry.flushBytesMax);
      if (header === undefined) continue;
      if (position + flushBytesOf(header.recordBytes) > halfBytes) continue;
      this.#note({ copy, half, position, header });
    }
  }

  #note(found: Found): void {
    const { header } = found;
    const root = this.#root;
    this.#cycleMax = Math.max(this.#cycleMax, header.cycle);
    const end = this.#ends[found.half];
    if (end === undefined || isLater(header, end.header)) this.#ends[found.half] = found;
    if (!isSameWord64(header.timeline, root.timeline)) return;
    const last = lastSequenceOf(header);
    this.#sequenceMax = Math.max(this.#sequenceMax, last, header.durableUpTo);
    if (!this.#counts(header)) {
      const cpNumber = this.#otherRoot?.header.cpNumber ?? root.cpNumber - 1;
      if (header.cpNumber > cpNumber) this.#otherRoot = found;
      return;
    }
    const durableUpTo = this.#durable?.header.durableUpTo ?? root.lastSequence;
    if (header.durableUpTo > durableUpTo) this.#durable = found;
    if (last <= root.lastSequence) return;
    const key = Math.max(header.firstSequence, root.lastSequence + 1);
    const same = this.#flushes.get(key);
    if (same === undefined) this.#flushes.set(key, [found]);
    else same.push(found);
  }

  /** Whether a flush follows the mounted root or the one before it. */
  #counts(header: FlushHeader): boolean {
    const root = this.#root;
    if (header.cpNumber === root.cpNumber) {
      return isSameWord64(header.imageChecksum, root.imageChecksum);
    }
    return (
      header.cpNumber === root.cpNumber - 1 &&
      isSameWord64(header.imageChecksum, root.previousImageChecksum)
    );
  }

  /** Adds the records of the flush that goes on from sequence number `last`, from the first copy
   *  that has it whole. */
  *#take(last: number, records: LogRecord[]): Step<Found | undefined> {
    const { flushBytesMax } = this.#geometry;
    for (const found of this.#flushes.get(last + 1) ?? []) {
      const { header } = found;
      const flushBytes = flushBytesOf(header.recordBytes);
      const at = yield* this.#windowOf(found.copy).seek(found, flushBytes);
      if (at === undefined) continue;
      // Read again: what was checked in the survey is not what stands here now, if a disk is bad.
      if (!isSameHeader(decodeFlushHeader(this.#memory, at, flushBytesMax), header)) continue;
      const more = decodeRecords(this.#memory, at, header, last);
      if (more === undefined) continue;
      for (const record of more) records.push(record);
      return found;
    }
    return undefined;
  }

  #damage(last: number, newest: Found | undefined): LogDamage | undefined {
    const told = this.#otherRoot ?? this.#durable;
    if (told === undefined) return this.#hiddenEnd(last);
    const { durableUpTo, cpNumber } = told.header;
    const what = { firstSequence: last + 1, durableUpTo, cpNumber };
    if (this.#otherRoot !== undefined) {
      return { reason: 'other-root', half: told.half, position: told.position, ...what };
    }
    if (durableUpTo <= last) return this.#hiddenEnd(last);
    const bad = this.#flushes.get(last + 1)?.[0];
    if (bad !== undefined)
      return { reason: 'lost', half: bad.half, position: bad.position, ...what };
    // Its header is lost too: it stood behind the last good one, or first in the half that tells.
    const isBehind = newest?.half === told.half;
    const end = isBehind ? newest.position + flushBytesOf(newest.header.recordBytes) : 0;
    return { reason: 'lost', half: told.half, position: end, ...what };
  }

  /** The next flush may stand where no copy can be read: behind the one written last, or at the
   *  start of the other half. */
  #hiddenEnd(last: number): LogDamage | undefined {
    const { halfBytes } = this.#geometry;
    const copies = this.#copies.live();
    const [first, second] = this.#ends;
    const end =
      first === undefined || (second && isLater(second.header, first.header)) ? second : first;
    const starts = Array.from({ length: LOG_HALVES }, (_, half) => ({ half, position: 0 }));
    const places = starts.filter(({ half }) => half !== end?.half);
    if (end !== undefined) {
      const position = end.position + flushBytesOf(end.header.recordBytes);
      if (position < halfBytes) places.push({ half: end.half, position });
    }
    const hidden = places.find(({ half, position }) => {
      const offset = areaOffsetOf(half, position, halfBytes);
      return copies.every((copy) => this.#copies.errorAt(copy, offset) !== undefined);
    });
    if (hidden === undefined) return undefined;
    const { cpNumber } = this.#root;
    return {
      reason: 'unreadable',
      ...hidden,
      firstSequence: last + 1,
      durableUpTo: last,
      cpNumber,
    };
  }

  #windowOf(copy: number): Window {
    return this.#windows[copy === 0 ? 0 : 1];
  }
}

/** A staging buffer with a stretch of a half in it. */
class Window {
  readonly #copies: LogCopies;
  readonly #bytes: Uint8Array;
  readonly #address: Address;
  readonly #halfBytes: number;
  #copy = -1;
  #half = -1;
  #start = 0;
  #end = 0;

  constructor(copies: LogCopies, bytes: Uint8Array, address: Address, halfBytes: number) {
    this.#copies = copies;
    this.#bytes = bytes;
    this.#address = address;
    this.#halfBytes = halfBytes;
  }

  /** Address of `length` bytes of a half, read if need be; undefined if the copy is out. */
  *seek(
    place: { readonly copy: number; readonly half: number; readonly position: number },
    length: number,
  ): Step<Address | undefined> {
    const { copy, half, position } = place;
    if (!this.#copies.isLive(copy)) return undefined;
    const isHere =
      copy === this.#copy &&
      half === this.#half &&
      position >= this.#start &&
      position + length <= this.#end;
    if (!isHere) {
      const size = Math.min(this.#bytes.length, this.#halfBytes - position);
      assert(length <= size, 'the window holds it', length, size);
      this.#end = 0;
      const offset = areaOffsetOf(half, position, this.#halfBytes);
      if (!(yield* this.#copies.read(copy, offset, this.#bytes.subarray(0, size))))
        return undefined;
      this.#copy = copy;
      this.#half = half;
      this.#start = position;
      this.#end = position + size;
    }
    return this.#address + position - this.#start;
  }
}

/** Whether flush `a` of a half was written after `b`. */
function isLater(a: FlushHeader, b: FlushHeader): boolean {
  return a.cycle > b.cycle || (a.cycle === b.cycle && a.index > b.index);
}

function isSameHeader(a: FlushHeader | undefined, b: FlushHeader): boolean {
  return (
    a !== undefined &&
    a.cycle === b.cycle &&
    a.index === b.index &&
    a.firstSequence === b.firstSequence &&
    a.recordCount === b.recordCount &&
    a.recordBytes === b.recordBytes
  );
}
