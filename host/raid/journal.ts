// The stripe journal closes the write hole. A stripe in which something lives cannot be written in
// one atomic step: were its parity to land without its data, or the reverse, a live neighbour
// could no longer be reconstructed. So the new blocks and the new parity go here first, on as many
// disks as faults are tolerated, plus one; are flushed; and only then in place.
//
// On disk: JOURNAL_REGIONS regions; an entry (header and blocks) takes one. In memory: the sequence
// number of the last entry, the region it took, and up to which sequence all is durable in place.
//
// When is an entry replayed? Replaying is idempotent, but an entry that is old must never come back
// over newer data. At mount, under the winning root R, the entries that count are those
//
//   (a) of R's epoch: a mount for writing replays, flushes, and only then commits a root of a new
//       epoch, so that no entry of an older epoch is needed or believed any more. Disks that were
//       not there, and come back with old entries, are not members of R, and are not read;
//   (b) above R.journalSequence: a root that ends a CP is written after a flush of all disks, and
//       says that all entries so far are durable in place. A root that only takes out a disk
//       changes nothing here: entries under way stay valid;
//   (c) above the `durable` of every header found: an entry is written after all but its immediate
//       predecessor were flushed in place (the flush that makes entry k durable makes the in-place
//       writes of k - 1 durable as well). So at most the last two entries count, both are whole,
//       and they are replayed in order. Without (c) an entry that survived in a region, while its
//       successors were overwritten in theirs, would bring back an old parity.
//
// Between two entries of a stripe, can the stripe be written without the journal? Only when it is
// empty. It was not when the entry was written, and what lived then lives (resting frees included)
// until a later root is committed, which voids the entry by (b). An entry that is not whole on any
// disk was torn, never flushed, and nothing of it went in place.
//
// A region is given to a new entry when the one before it in that region is durable in place, and
// no write to it is in flight (one overtaken by a sync call could land on the new entry).

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { JOURNAL_RECORDS_MAX, JOURNAL_REGIONS } from '../../assembly/layout/journal.ts';
import { isStorageError } from '../base/errors.ts';
import type { Io, Step } from '../base/task.ts';
import { all, wait } from '../base/task.ts';
import type { Address, Dbn } from '../base/units.ts';
import type { JournalHeader, JournalRecord } from '../format/journal.ts';
import { decodeJournalHeader, encodeJournalHeader } from '../format/journal.ts';
import type { Front } from '../format/label.ts';
import type { VolumeRoot } from '../format/volume-root.ts';
import type { Failure, RaidCore } from './core.ts';
import { collect, flushMembers, placeKey, stripeMembers } from './core.ts';
import type { Group } from './geometry.ts';
import type { MemberDisk, Outcome } from './member-disk.ts';

/** Faults that a group with row parity tolerates, plus one. */
const COPIES = 2;

export interface JournalBlock {
  readonly dbn: Dbn;
  readonly column: number;
  readonly address: Address;
}

/** Blocks that one entry takes at most. */
export function entryBlocksMax(front: Front): number {
  return Math.min(JOURNAL_RECORDS_MAX, regionBlocks(front) - 1);
}

function regionBlocks(front: Front): number {
  return Math.floor(front.journalBlocks / JOURNAL_REGIONS);
}

export class Journal {
  readonly #core: RaidCore;
  #region = 0;
  #sequence = 0;
  /** Entries whose in-place writes are done, and those whose are flushed too. */
  #done = 0;
  #durable = 0;

  constructor(core: RaidCore) {
    this.#core = core;
  }

  /** For the root that ends a CP: after a flush of all disks everything in place is durable. */
  get durableSequence(): number {
    return this.#durable;
  }

  /** To be called after each flush of all disks. */
  flushed(): void {
    this.#durable = this.#done;
  }

  /** To be called when the entry written last is in place. */
  placed(): void {
    this.#done = this.#sequence;
  }

  /** Makes blocks durable here. `wrap` is put around each write of them. */
  *append(
    group: Group,
    blocks: readonly JournalBlock[],
    wrap: (io: Io<Outcome>) => Io<Outcome>,
  ): Step<void> {
    const core = this.#core;
    const first = yield* this.#nextRegion(group);
    this.#sequence++;
    const bytes = this.#header(group, blocks);
    const views = [bytes, ...blocks.map(({ address }) => core.arena.bytes(address, BLOCK_SIZE))];
    const usable = stripeMembers(core, group).filter((member) => member.isUsable);
    const copies = usable.map((_, index) => usable[(this.#sequence + index) % usable.length]);
    const targets = copies.slice(0, COPIES) as MemberDisk[];
    core.stats.writeCalls += targets.length;
    const ios = targets.map((member) => wrap(member.write(first, views)));
    const failures: Failure[] = [];
    collect(targets, yield* wait(all(ios)), failures);
    const working = core.members.filter((member) => !failures.some((f) => f.member === member));
    failures.push(...(yield* flushMembers(core, working)));
    yield* core.drop(failures);
    this.flushed();
  }

  #header(group: Group, blocks: readonly JournalBlock[]): Uint8Array {
    const { hasher, volumeUuid, epoch } = this.#core;
    const records: JournalRecord[] = [];
    const addresses = blocks.map(({ address }) => address);
    hasher.blocks(addresses, (index, low, high) => {
      const { dbn, column } = blocks[index] as JournalBlock;
      records.push({ dbn, column, group: group.index, checksum: { low, high } });
    });
    const header = { volumeUuid, epoch, sequence: this.#sequence, durable: this.#durable, records };
    return encodeJournalHeader(header, hasher.hash);
  }

  /** First dbn of a region that may be overwritten. */
  *#nextRegion(group: Group): Step<Dbn> {
    const { inFlight, front } = this.#core;
    const count = regionBlocks(front);
    for (;;) {
      // Not the last one: that entry may not be durable in place yet.
      for (let step = 1; step < JOURNAL_REGIONS; step++) {
        const region = (this.#region + step) % JOURNAL_REGIONS;
        const first = front.journalFirst + region * count;
        if (inFlight.has(group.index, first, count)) continue;
        this.#region = region;
        return first;
      }
      yield* wait(inFlight.completion());
    }
  }
}

interface Copy {
  readonly member: MemberDisk;
  readonly first: Dbn;
}

interface Entry {
  readonly header: JournalHeader;
  readonly copies: Copy[];
}

/** A block to be put in place, from the journal. */
export interface ReplayBlock {
  readonly member: MemberDisk;
  readonly dbn: Dbn;
  readonly bytes: Uint8Array;
}

/** The blocks that are to be put in place under `root`, in order. Writes nothing. */
export function* readJournal(core: RaidCore, root: VolumeRoot): Step<ReplayBlock[]> {
  const entries = yield* findEntries(core, root);
  const headers = entries.map(({ header }) => header);
  const durable = Math.max(root.journalSequence, ...headers.map((header) => header.durable));
  const wanted = entries.filter(({ header }) => header.sequence > durable);
  wanted.sort((a, b) => a.header.sequence - b.header.sequence);
  const blocks: ReplayBlock[] = [];
  for (const entry of wanted) blocks.push(...(yield* readEntry(core, entry)));
  return blocks;
}

/** All valid headers of the root's epoch, each with the places where it was found. */
function* findEntries(core: RaidCore, root: VolumeRoot): Step<Entry[]> {
  const { front } = core;
  const count = regionBlocks(front);
  if (count === 0) return [];
  const copies: Copy[] = [];
  for (const member of core.members.filter(({ isUsable }) => isUsable)) {
    for (let region = 0; region < JOURNAL_REGIONS; region++) {
      copies.push({ member, first: front.journalFirst + region * count });
    }
  }
  const results = yield* wait(all(copies.map(({ member, first }) => member.fetch(first, 1))));
  const entries = new Map<number, Entry>();
  results.forEach((bytes, index) => {
    const header = bytes instanceof Uint8Array ? tryHeader(core, bytes) : undefined;
    if (header?.epoch !== root.epoch || header.volumeUuid !== root.uuid) return;
    const entry = entries.get(header.sequence) ?? { header, copies: [] };
    entries.set(header.sequence, entry);
    entry.copies.push(copies[index] as Copy);
  });
  return [...entries.values()];
}

/** The header, or undefined for what is none: most regions hold nothing, or something torn. */
function tryHeader(core: RaidCore, bytes: Uint8Array): JournalHeader | undefined {
  try {
    const header = decodeJournalHeader(bytes, core.hasher.hash);
    return header.records.length <= entryBlocksMax(core.front) ? header : undefined;
  } catch (error) {
    if (isStorageError(error, 'BAD_MAGIC') || isStorageError(error, 'BAD_CHECKSUM'))
      return undefined;
    throw error;
  }
}

/** An entry's blocks, each from whichever copy has it right; none where one cannot be had. */
function* readEntry(core: RaidCore, entry: Entry): Step<ReplayBlock[]> {
  const { records } = entry.header;
  const blocks: (ReplayBlock | undefined)[] = records.map(() => undefined);
  const good: boolean[] = records.map(() => false);
  for (const { member, first } of entry.copies) {
    const bytes = yield* wait(member.fetch(first + 1, Math.max(1, records.length)));
    if (!(bytes instanceof Uint8Array)) continue;
    records.forEach((record, index) => {
      const block = bytes.subarray(index * BLOCK_SIZE, (index + 1) * BLOCK_SIZE);
      const { low, high } = core.hasher.block(block);
      if (good[index] || low !== record.checksum.low || high !== record.checksum.high) return;
      good[index] = true;
      blocks[index] = placeOf(core, record, block);
    });
  }
  if (good.includes(false)) return [];
  return blocks.filter((block) => block !== undefined);
}

/** Where a record belongs; undefined for a column whose disk is gone, or that does not exist. */
function placeOf(
  core: RaidCore,
  record: JournalRecord,
  bytes: Uint8Array,
): ReplayBlock | undefined {
  const member = core.members.find(
    ({ group, column, isUsable }) => isUsable && group === record.group && column === record.column,
  );
  const isData = member !== undefined && record.dbn >= core.front.dataFirst;
  if (!isData || record.dbn >= member.blockCount) return undefined;
  return { member, dbn: record.dbn, bytes };
}

/** Puts blocks in place and flushes; gives the disks that failed. Idempotent: a crash in the
 *  middle is followed by the same. No root may be written before it has ended: that would void the
 *  entries. */
export function* replayInPlace(core: RaidCore, blocks: readonly ReplayBlock[]): Step<Failure[]> {
  const failures: Failure[] = [];
  if (blocks.length === 0) return failures;
  for (const { member, dbn, bytes } of blocks) {
    core.stats.writeCalls++;
    collect([member], [yield* wait(member.write(dbn, [bytes]))], failures);
  }
  core.stats.replayed += blocks.length;
  const working = core.members.filter((member) => !failures.some((f) => f.member === member));
  failures.push(...(yield* flushMembers(core, working)));
  return failures;
}

/** Keeps blocks in memory instead: for read-only volumes. At most two entries, so a few MiB. */
export function replayInMemory(core: RaidCore, blocks: readonly ReplayBlock[]): void {
  for (const { member, dbn, bytes } of blocks) core.overlay.set(placeKey(member.index, dbn), bytes);
}
