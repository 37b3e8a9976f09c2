// Writing to free vbns, with parity (ENGINE 4).
//
// Writes are gathered by stripe. What becomes of a stripe depends on what else is in it:
//
//   no parity   (`none`, or the parity disk is gone) the blocks go in place, nothing else changes.
//   empty       (nothing lives in it) written whole: columns without a block as zeros, parity from
//               what is in memory. A crash in the middle tears nothing that anybody needs.
//   live        through the stripe journal (see journal.ts), then in place.
//
// Parity of a live stripe. Blocks being overwritten are free: no pointer says what they hold.
// Parity is there for the live neighbours, and what it says about them must survive whatever those
// blocks, or the neighbours, have become on the medium. So
//
//   parity' = parity ^ (old ^ new of each column written)
//
// The neighbours are not read. Let S be the XOR of all columns as they are on the medium and
// parity: zero where all is well. Writing changes column and parity by the same amount, so S stays
// what it was. If a neighbour has rotted, its loss can be made good from the new parity exactly as
// from the old one; computing parity from the neighbours instead would have made the rot final,
// and their checksums are not at hand to see it. If a free block rotted (S is not zero), its
// neighbours could not be reconstructed before, and cannot after: their checksums say so, and a
// scrub, which knows them, makes parity anew. In no case is anything wrong returned.
//
// Where an old block or old parity cannot be had (its disk is missing, or the sector does not
// read), the stripe's parity can give back only that very block, which is free: no neighbour
// depends on it. There, and only there, parity is made from all columns: new ones from memory, the
// others as they are. A block for a missing column exists in the parity alone; a missing column
// that is live and not written falls under the first rule, which keeps its contents in the parity.

import {
  BLOCK_SIZE,
  DATA_COLUMNS_MAX,
  PARITY_COLUMN,
  TETRIS_STRIPES,
} from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import { zeroBytes } from '../base/bytes.ts';
import type { KernelJob } from '../base/env.ts';
import { StorageError } from '../base/errors.ts';
import type { Io, Step } from '../base/task.ts';
import { wait } from '../base/task.ts';
import type { Address, Dbn } from '../base/units.ts';
import type { BlockWrite, Liveness } from '../device/block-volume.ts';
import type { RaidCore, Run } from './core.ts';
import { fetchBlocks, placeKey, RunList, writeRuns } from './core.ts';
import type { Extent, Group } from './geometry.ts';
import type { Journal, JournalBlock } from './journal.ts';
import { entryBlocksMax } from './journal.ts';
import type { MemberDisk } from './member-disk.ts';
import { lasting } from './member-disk.ts';
import type { Scratch } from './scratch.ts';

/** Parity work of one wave that is worth other threads: about 0.5 ms. */
const POOL_BYTES_MIN = 4 * 1024 * 1024;

/** Blocks to write to one stripe: a frame for each column, 0 where there is none. */
interface Stripe {
  readonly dbn: Dbn;
  readonly frames: Address[];
  count: number;
}

export class Writer {
  readonly #core: RaidCore;
  readonly #journal: Journal;
  /** Old blocks of a stripe, and addresses to XOR: used within a turn. */
  readonly #blocks: Address;
  readonly #list: Address;

  constructor(core: RaidCore, journal: Journal) {
    this.#core = core;
    this.#journal = journal;
    this.#blocks = core.arena.reserve(DATA_COLUMNS_MAX * BLOCK_SIZE, BLOCK_SIZE);
    this.#list = core.arena.reserve((DATA_COLUMNS_MAX + 1) * 4);
  }

  *write(writes: readonly BlockWrite[], liveness: Liveness): Step<void> {
    const byGroup = this.#gather(writes);
    for (const group of this.#core.geometry.groups) {
      const stripes = byGroup[group.index] as Stripe[];
      if (stripes.length === 0) continue;
      yield* this.#waitForFlights(group, stripes);
      const parity = this.#core.members[group.parity];
      if (parity?.isUsable !== true) {
        yield* this.#writeInPlace(group, stripes);
        continue;
      }
      const { whole, live } = this.#divide(group, stripes, liveness);
      yield* this.#writeWhole(group, whole);
      yield* this.#writeLive(group, live);
    }
    this.#core.stats.blocksWritten += writes.length;
  }

  /** Stripes of each group, in ascending order of dbn. */
  #gather(writes: readonly BlockWrite[]): Stripe[][] {
    const { geometry } = this.#core;
    const maps = geometry.groups.map(() => new Map<Dbn, Stripe>());
    for (const { vbn, address } of writes) {
      const extent = geometry.find(vbn);
      assert(extent !== undefined, 'vbn is in the volume', vbn);
      const { group, columnIndex, vbnFirst, dbnFirst } = extent as Extent;
      const dbn = vbn - vbnFirst + dbnFirst;
      const map = maps[group] as Map<Dbn, Stripe>;
      let stripe = map.get(dbn);
      if (stripe === undefined) {
        const { length } = (geometry.groups[group] as Group).columns;
        stripe = { dbn, frames: new Array<Address>(length).fill(0), count: 0 };
        map.set(dbn, stripe);
      }
      assert(stripe.frames[columnIndex] === 0, 'a vbn is written once', vbn);
      stripe.frames[columnIndex] = address;
      stripe.count++;
    }
    return maps.map((map) => [...map.values()].sort((a, b) => a.dbn - b.dbn));
  }

  /** A stripe with a write in flight, overtaken by a sync call, gets no other bytes before that
   *  write has landed. The allocator avoids such stripes; here is the backstop. */
  *#waitForFlights(group: Group, stripes: readonly Stripe[]): Step<void> {
    const { inFlight } = this.#core;
    const isBusy = ({ dbn }: Stripe) => inFlight.has(group.index, dbn, 1);
    while (!inFlight.isEmpty && stripes.some(isBusy)) yield* wait(inFlight.completion());
  }

  #divide(group: Group, stripes: readonly Stripe[], liveness: Liveness) {
    const whole: Stripe[] = [];
    const live: Stripe[] = [];
    const isLive = this.#livenessByTetris(group, liveness);
    for (const stripe of stripes) {
      const lives = stripe.frames.some(
        (frame, column) => frame === 0 && isLive(column, stripe.dbn),
      );
      (lives ? live : whole).push(stripe);
    }
    return { whole, live };
  }

  /** Asks for a whole tetris of a column first: most are empty, or the stripe at hand is full. */
  #livenessByTetris(group: Group, liveness: Liveness): (column: number, dbn: Dbn) => boolean {
    const { geometry } = this.#core;
    const known = new Map<number, boolean>();
    return (column, dbn) => {
      const vbn = geometry.vbnAt(group, column, dbn);
      if (vbn === 0) return false;
      const first = dbn - (dbn % TETRIS_STRIPES);
      const key = first * DATA_COLUMNS_MAX + column;
      let lives = known.get(key);
      if (lives === undefined) {
        const extent = geometry.find(vbn) as Extent;
        const from = Math.max(first, extent.dbnFirst);
        const to = Math.min(first + TETRIS_STRIPES, extent.dbnFirst + extent.count);
        lives = liveness.isLive(vbn - (dbn - from), to - from);
        known.set(key, lives);
      }
      return lives && liveness.isLive(vbn, 1);
    };
  }

  *#writeInPlace(group: Group, stripes: readonly Stripe[]): Step<void> {
    const list = new RunList();
    for (let column = 0; column < group.columns.length; column++) {
      const member = this.#core.members[group.columns[column] as number] as MemberDisk;
      for (const { dbn, frames } of stripes) {
        const frame = frames[column] as Address;
        if (frame === 0) continue;
        // Nothing stands in for a missing disk here.
        if (!member.isUsable) throw unwritable(member);
        list.add(member, dbn, frame);
      }
    }
    yield* this.#issue(list.runs, undefined);
  }

  // Stripes written whole

  *#writeWhole(group: Group, stripes: readonly Stripe[]): Step<void> {
    this.#core.stats.stripesFull += stripes.length;
    for (let first = 0; first < stripes.length; ) {
      const wanted = Math.ceil((stripes.length - first) / TETRIS_STRIPES);
      const scratches = yield* this.#core.scratches.acquire(wanted);
      try {
        const wave = stripes.slice(first, first + scratches.length * TETRIS_STRIPES);
        yield* wait(this.#parityIo(group, wave, scratches));
        yield* this.#issue(this.#wholeRuns(group, wave, scratches), scratches);
        first += wave.length;
      } finally {
        for (const scratch of scratches) scratch.unpin();
      }
    }
  }

  /** Parity of each stripe of a wave; 64 stripes to a scratch. */
  #parityIo(group: Group, wave: readonly Stripe[], scratches: readonly Scratch[]): Io<unknown> {
    const { kernels, pool, stats, arena } = this.#core;
    const columns = group.columns.length;
    const jobs: KernelJob[] = [];
    scratches.forEach(({ list, parity }, index) => {
      const part = wave.slice(index * TETRIS_STRIPES, (index + 1) * TETRIS_STRIPES);
      part.forEach(({ frames }, s) => arena.u32.set(frames, list / 4 + s * columns));
      if (part.length > 0)
        jobs.push({ kernel: 'tetris', args: [list, columns, part.length, parity, 0] });
    });
    const startSync = () => {
      for (const { args } of jobs)
        kernels.tetris(...(args as [number, number, number, number, number]));
    };
    const isLarge = wave.length * columns * BLOCK_SIZE >= POOL_BYTES_MIN;
    if (!isLarge || pool.threads < 2) return { start: startSync, startSync };
    const start = () => {
      stats.poolJobs += jobs.length;
      for (const scratch of scratches) scratch.pin();
      return lasting(
        () => pool.run(jobs),
        () => {
          for (const scratch of scratches) scratch.unpin();
        },
      );
    };
    return { start, startSync };
  }

  #wholeRuns(group: Group, wave: readonly Stripe[], scratches: readonly Scratch[]): Run[] {
    const { members, stats, zeroBlock } = this.#core;
    const list = new RunList();
    for (let column = 0; column < group.columns.length; column++) {
      const member = members[group.columns[column] as number] as MemberDisk;
      for (const { dbn, frames } of wave) {
        const frame = frames[column] as Address;
        if (frame === 0) stats.zeroBlocksWritten++;
        list.add(member, dbn, frame === 0 ? zeroBlock : frame);
      }
    }
    const parity = members[group.parity] as MemberDisk;
    wave.forEach(({ dbn }, index) => {
      const scratch = scratches[Math.floor(index / TETRIS_STRIPES)] as Scratch;
      list.add(parity, dbn, scratch.parity + (index % TETRIS_STRIPES) * BLOCK_SIZE);
    });
    stats.parityBlocksWritten += wave.length;
    return list.runs;
  }

  // Stripes in which something lives

  *#writeLive(group: Group, stripes: readonly Stripe[]): Step<void> {
    this.#core.stats.stripesJournaled += stripes.length;
    const blocksMax = entryBlocksMax(this.#core.front);
    for (let first = 0; first < stripes.length; ) {
      let count = 0;
      let blocks = 0;
      for (const stripe of stripes.slice(first, first + TETRIS_STRIPES)) {
        blocks += stripe.count + 1;
        if (blocks > blocksMax) break;
        count++;
      }
      assert(count > 0, 'a stripe fits a journal entry', blocksMax);
      yield* this.#writeBatch(group, stripes.slice(first, first + count));
      first += count;
    }
  }

  *#writeBatch(group: Group, stripes: readonly Stripe[]): Step<void> {
    const { scratches, replacing } = this.#core;
    const [scratch] = (yield* scratches.acquire(1)) as [Scratch];
    try {
      yield* this.#updateParity(group, stripes, scratch);
      const list = this.#liveBlocks(group, stripes, scratch);
      yield* this.#journal.append(group, list, (io) => {
        return scratch.during(this.#holding(group, stripes, io));
      });
      replacing.writes++;
      replacing.group = group.index;
      replacing.stripes = new Set(stripes.map(({ dbn }) => dbn));
      yield* this.#issue(this.#liveRuns(group, list), [scratch]);
      this.#journal.placed();
    } finally {
      replacing.stripes = NO_STRIPES;
      scratch.unpin();
    }
  }

  /** A write to the journal reads the frames too: while it is in flight, so are its stripes. */
  #holding<T>(group: Group, stripes: readonly Stripe[], io: Io<T>): Io<T> {
    const { inFlight } = this.#core;
    return {
      start: () => {
        const ends = stripes.map(({ dbn }) =>
          inFlight.begin({ group: group.index, dbn, count: 1 }),
        );
        return lasting(
          () => io.start(),
          () => {
            for (const end of ends) end();
          },
        );
      },
      startSync: () => io.startSync(),
    };
  }

  *#updateParity(group: Group, stripes: readonly Stripe[], scratch: Scratch): Step<void> {
    const olds = yield* fetchBlocks(
      this.#core,
      stripes.flatMap((stripe) => this.#places(group, stripe, true)),
    );
    const isComplete = (stripe: Stripe) =>
      this.#places(group, stripe, true).every(({ member, dbn }) =>
        olds.has(placeKey(member.index, dbn)),
      );
    const incomplete = stripes.filter((stripe) => !isComplete(stripe));
    const others = yield* fetchBlocks(
      this.#core,
      incomplete.flatMap((stripe) => this.#places(group, stripe, false)),
    );
    stripes.forEach((stripe, index) => {
      const parity = scratch.parity + index * BLOCK_SIZE;
      const isReplaced = !incomplete.includes(stripe);
      this.#xorStripe(group, stripe, { parity, isReplaced, blocks: isReplaced ? olds : others });
    });
  }

  /** The blocks that new parity is made from: old parity and what the new blocks overwrite, or all
   *  columns that are not written. */
  #places(group: Group, stripe: Stripe, isReplaced: boolean): { member: MemberDisk; dbn: Dbn }[] {
    const { members } = this.#core;
    const indexes = group.columns.filter(
      (_, column) => (stripe.frames[column] !== 0) === isReplaced,
    );
    if (isReplaced) indexes.push(group.parity);
    return indexes.map((index) => ({ member: members[index] as MemberDisk, dbn: stripe.dbn }));
  }

  #xorStripe(
    group: Group,
    stripe: Stripe,
    how: { parity: Address; isReplaced: boolean; blocks: ReadonlyMap<number, Uint8Array> },
  ): void {
    const { arena } = this.#core;
    // Parity itself first, then at most 16 copies: 17 sources, and again with the new blocks.
    const copies: Address[] = [];
    zeroBytes(arena.u8, how.parity, how.parity + BLOCK_SIZE);
    for (const { member, dbn } of this.#places(group, stripe, how.isReplaced)) {
      const bytes = how.blocks.get(placeKey(member.index, dbn));
      if (bytes === undefined) throw unwritable(member);
      if (member.column === PARITY_COLUMN) {
        arena.u8.set(bytes, how.parity);
        continue;
      }
      const copy = this.#blocks + copies.length * BLOCK_SIZE;
      arena.u8.set(bytes, copy);
      copies.push(copy);
    }
    this.#xorInto(how.parity, copies);
    this.#xorInto(
      how.parity,
      stripe.frames.filter((frame) => frame !== 0),
    );
  }

  #xorInto(destination: Address, sources: readonly Address[]): void {
    const { arena, kernels } = this.#core;
    arena.u32.set([destination, ...sources], this.#list / 4);
    kernels.xor(destination, this.#list, sources.length + 1, BLOCK_SIZE);
  }

  /** New blocks and parity of a batch, stripe by stripe. */
  #liveBlocks(group: Group, stripes: readonly Stripe[], scratch: Scratch): JournalBlock[] {
    const { members, stats } = this.#core;
    stats.parityBlocksWritten += stripes.length;
    return stripes.flatMap(({ dbn, frames }, index) => {
      const blocks: JournalBlock[] = [];
      frames.forEach((address, columnIndex) => {
        const { column } = members[group.columns[columnIndex] as number] as MemberDisk;
        if (address !== 0) blocks.push({ dbn, column, address });
      });
      blocks.push({ dbn, column: PARITY_COLUMN, address: scratch.parity + index * BLOCK_SIZE });
      return blocks;
    });
  }

  #liveRuns(group: Group, blocks: readonly JournalBlock[]): Run[] {
    const { members } = this.#core;
    const list = new RunList();
    for (const { dbn, column, address } of blocks) {
      const member = members.find((m) => m.group === group.index && m.column === column);
      list.add(member as MemberDisk, dbn, address);
    }
    return list.runs;
  }

  /** Writes runs and takes out the disks that failed. */
  *#issue(runs: readonly Run[], scratches: readonly Scratch[] | undefined): Step<void> {
    const hold = <T>(io: Io<T>) =>
      (scratches ?? []).reduce((held, scratch) => scratch.during(held), io);
    yield* this.#core.drop(yield* writeRuns(this.#core, runs, hold));
  }
}

const NO_STRIPES: ReadonlySet<Dbn> = new Set();

/** Nothing has been written when this is thrown. */
function unwritable(member: MemberDisk): StorageError {
  return new StorageError(
    'RAID_DEGRADED_BEYOND_PARITY',
    `${member.name} is needed for this write, and is not to be had`,
    {
      detail: { disk: member.name },
    },
  );
}
