// Reading by pointer: the pointer's checksum decides what is right.
//
// 1. Requests are mapped, sorted by disk and dbn, and adjacent ones read by one device call,
//    straight into their frames, all disks at once; then every block is hashed.
// 2. What did not match or was not given is read once more, alone: a bad sector need not take its
//    neighbours along, and a misdirected read does not happen twice.
// 3. What is still wrong, or lies on a missing disk, is reconstructed: the XOR of the stripe's
//    other blocks and its parity, which must match the pointer as well. Where a batch of the write
//    path is replacing blocks in the stripe, data and parity do not belong together: wait for it,
//    then read them (again). The bytes returned are right or the request has an error, never
//    anything else.
// 4. A block of a working disk that was reconstructed is written back, if the owner of the tree
//    finds the pointer in a held image (`confirmPointer`; without that hook nothing is repaired:
//    the caller may hold an old pointer, whose vbn is about to be given to new data) and no write
//    is in flight in its stripe. A repair writes a copy: the frame is the caller's again when
//    `read` returns.
//
// A frame is not trusted while an asynchronous read into it, overtaken by a sync call, is still
// under way: it would put back what the medium has. If that is wrong, the sync call gets an error.

import { BLOCK_SIZE, DATA_COLUMNS_MAX } from '../../assembly/layout/block.ts';
import { isStorageError, StorageError } from '../base/errors.ts';
import type { Io, Step } from '../base/task.ts';
import { all, wait } from '../base/task.ts';
import type { Address, Dbn, Vbn } from '../base/units.ts';
import type { BlockRead } from '../device/block-volume.ts';
import type { RaidCore } from './core.ts';
import { fetchBlocks, placeKey, stripeMembers } from './core.ts';
import type { MemberDisk, Outcome } from './member-disk.ts';
import { lasting, RUN_BLOCKS_MAX } from './member-disk.ts';

/** Finds out whether a pointer (vbn and checksum) is in an image that is held at this moment. */
export type ConfirmPointer = (vbn: Vbn, checksumLow: number, checksumHigh: number) => boolean;

/** Stripes that are reconstructed at once: 4 MiB of other blocks on the heap. */
const RECONSTRUCT_STRIPES = 64;
/** How often a reconstruction that a write came across is tried. */
const RECONSTRUCT_TRIES = 4;

interface Request {
  readonly read: BlockRead;
  readonly member: MemberDisk;
  readonly dbn: Dbn;
  /** What is wrong; undefined when the frame holds the block. */
  problem: Error | undefined;
}

export class Reader {
  confirmPointer: ConfirmPointer | undefined;
  readonly #core: RaidCore;
  /** Copies of a stripe's blocks, and the list of their addresses: used within a turn. */
  readonly #blocks: Address;
  readonly #list: Address;
  /** Frames that asynchronous reads under way will still write to. */
  readonly #filling = new Map<Address, number>();

  constructor(core: RaidCore) {
    this.#core = core;
    this.#blocks = core.arena.reserve((DATA_COLUMNS_MAX + 1) * BLOCK_SIZE, BLOCK_SIZE);
    this.#list = core.arena.reserve((DATA_COLUMNS_MAX + 1) * 4);
  }

  *read(reads: readonly BlockRead[]): Step<void> {
    const requests = this.#map(reads);
    const present = requests.filter(({ problem }) => problem === undefined);
    yield* this.#readRuns(present);
    this.#verify(present);
    const again = present.filter(({ problem }) => problem !== undefined);
    if (again.length > 0) yield* this.#readAgain(again);
    let bad = requests.filter(({ problem }) => problem !== undefined);
    for (let first = 0; first < bad.length; first += RECONSTRUCT_STRIPES) {
      yield* this.#reconstruct(bad.slice(first, first + RECONSTRUCT_STRIPES));
    }
    bad = bad.filter(({ problem }) => problem !== undefined);
    this.#core.stats.unreadable += bad.length;
    for (const { read, problem } of bad) read.error = problem as Error;
  }

  /** Requests in order of disk and dbn. */
  #map(reads: readonly BlockRead[]): Request[] {
    const { geometry, members, stats } = this.#core;
    const requests: Request[] = [];
    for (const read of reads) {
      delete read.error;
      const extent = geometry.find(read.vbn);
      if (extent === undefined) {
        // A pointer is data from a disk: a wild one is damage, not a bug.
        read.error = new StorageError('BAD_CHECKSUM', `vbn ${read.vbn} is not in this volume`, {
          detail: { vbn: read.vbn },
        });
        stats.unreadable++;
        continue;
      }
      const member = members[extent.member] as MemberDisk;
      const dbn = read.vbn - extent.vbnFirst + extent.dbnFirst;
      const problem = member.isUsable ? undefined : missing(member, read.vbn, dbn);
      requests.push({ read, member, dbn, problem });
    }
    return requests.sort((a, b) => a.member.index - b.member.index || a.dbn - b.dbn);
  }

  *#readRuns(requests: readonly Request[]): Step<void> {
    const runs: Request[][] = [];
    for (const request of requests) {
      const run = runs.at(-1);
      const last = run?.at(-1);
      const continues = last?.member === request.member && last.dbn + 1 === request.dbn;
      if (continues && (run as Request[]).length < RUN_BLOCKS_MAX) (run as Request[]).push(request);
      else runs.push([request]);
    }
    yield* this.#issue(runs);
  }

  /** One device call per run; an error is the problem of all its requests. */
  *#issue(runs: readonly (readonly Request[])[]): Step<void> {
    const { stats } = this.#core;
    stats.readCalls += runs.length;
    const outcomes = yield* wait(all(runs.map((run) => this.#readIo(run))));
    outcomes.forEach((error, index) => {
      for (const request of runs[index] as readonly Request[]) {
        stats.blocksRead++;
        request.problem = error === undefined ? undefined : failed(request, error);
        if (error === undefined) this.#overlay(request);
      }
    });
  }

  #readIo(run: readonly Request[]): Io<Outcome> {
    const { member, dbn } = run[0] as Request;
    const io = member.read(dbn, this.#views(run));
    return {
      start: () => {
        for (const { read } of run) this.#fill(read.address, 1);
        return lasting(
          () => io.start(),
          () => {
            for (const { read } of run) this.#fill(read.address, -1);
          },
        );
      },
      startSync: () => io.startSync(),
    };
  }

  #fill(address: Address, change: number): void {
    const count = (this.#filling.get(address) ?? 0) + change;
    if (count === 0) this.#filling.delete(address);
    else this.#filling.set(address, count);
  }

  /** Frames of a run; neighbours in the arena make one view. */
  #views(run: readonly Request[]): Uint8Array[] {
    const views: { address: Address; length: number }[] = [];
    for (const { read } of run) {
      const last = views.at(-1);
      if (last !== undefined && last.address + last.length === read.address) {
        last.length += BLOCK_SIZE;
      } else {
        views.push({ address: read.address, length: BLOCK_SIZE });
      }
    }
    return views.map(({ address, length }) => this.#core.arena.bytes(address, length));
  }

  #overlay({ member, dbn, read }: Request): void {
    const bytes = this.#core.overlay.get(placeKey(member.index, dbn));
    if (bytes !== undefined) this.#core.arena.u8.set(bytes, read.address);
  }

  /** Hashes the frames of the requests without a problem. */
  #verify(requests: readonly Request[]): void {
    const filled = requests.filter(({ problem }) => problem === undefined);
    const addresses = filled.map(({ read }) => read.address);
    this.#core.hasher.blocks(addresses, (index, low, high) => {
      const request = filled[index] as Request;
      const { checksumLow, checksumHigh } = request.read;
      if (low !== checksumLow || high !== checksumHigh) request.problem = mismatch(request);
    });
    for (const { problem } of requests) if (problem !== undefined) this.#core.stats.mismatches++;
  }

  *#readAgain(requests: readonly Request[]): Step<void> {
    yield* this.#issue(requests.map((request) => [request]));
    this.#verify(requests);
  }

  *#reconstruct(requests: readonly Request[]): Step<void> {
    const { geometry, replacing } = this.#core;
    let open = requests.filter(({ member }) => {
      return (geometry.groups[member.group]?.parity ?? -1) >= 0;
    });
    for (let tries = 0; tries < RECONSTRUCT_TRIES && open.length > 0; tries++) {
      const isBeingReplaced = ({ member, dbn }: Request) =>
        replacing.group === member.group && replacing.stripes.has(dbn);
      while (open.some(isBeingReplaced)) yield* wait(this.#core.settled());
      const { writes } = replacing;
      const blocks = yield* fetchBlocks(
        this.#core,
        open.flatMap((request) => this.#others(request)),
      );
      const solved = open.filter((request) => this.#solve(request, blocks));
      yield* this.#repair(solved);
      open = open.filter(({ problem }) => problem !== undefined);
      if (writes === replacing.writes) return;
    }
  }

  /** The other blocks of a request's stripe. */
  #others({ member, dbn }: Request): { member: MemberDisk; dbn: Dbn }[] {
    const group = this.#core.geometry.groups[member.group];
    if (group === undefined) return [];
    return stripeMembers(this.#core, group)
      .filter((other) => other !== member)
      .map((other) => ({ member: other, dbn }));
  }

  /** Puts the block together in its frame, if all others are there and the result matches. */
  #solve(request: Request, blocks: ReadonlyMap<number, Uint8Array>): boolean {
    const { arena, kernels, hasher, stats } = this.#core;
    const { address, checksumLow, checksumHigh } = request.read;
    const others = this.#others(request);
    for (const [index, { member, dbn }] of others.entries()) {
      const bytes = blocks.get(placeKey(member.index, dbn));
      if (bytes === undefined) return false;
      const at = this.#blocks + index * BLOCK_SIZE;
      arena.u8.set(bytes, at);
      arena.u32[this.#list / 4 + index] = at;
    }
    if (this.#filling.has(address)) return false;
    kernels.xor(address, this.#list, others.length, BLOCK_SIZE);
    let isRight = false;
    hasher.blocks([address], (_, low, high) => {
      isRight = low === checksumLow && high === checksumHigh;
    });
    if (!isRight) return false;
    stats.reconstructed++;
    request.problem = undefined;
    return true;
  }

  /** Writes blocks back to the disks that had them wrong. A disk that refuses is left to the write
   *  path, which takes it out. */
  *#repair(requests: readonly Request[]): Step<void> {
    const { arena, inFlight, isReadOnly, stats } = this.#core;
    const { confirmPointer } = this;
    if (isReadOnly || confirmPointer === undefined || requests.length === 0) return;
    if (!(yield* this.#isOurs())) return;
    const repairs = requests.filter(({ member, dbn, read }) => {
      if (!member.isUsable || inFlight.has(member.group, dbn, 1)) return false;
      return confirmPointer(read.vbn, read.checksumLow, read.checksumHigh);
    });
    const ios = repairs.map(({ member, dbn, read }) =>
      member.write(dbn, [arena.bytes(read.address, BLOCK_SIZE).slice()]),
    );
    stats.writeCalls += ios.length;
    const outcomes = yield* wait(all(ios));
    for (const outcome of outcomes) if (outcome === undefined) stats.repaired++;
  }

  /** Whether no other writer has taken over, whose block a repair would destroy. */
  *#isOurs(): Step<boolean> {
    try {
      yield* this.#core.checkEpoch();
      return true;
    } catch (error) {
      if (isStorageError(error)) return false;
      throw error;
    }
  }
}

function detailOf(request: { member: MemberDisk; dbn: Dbn; read: BlockRead }) {
  return { vbn: request.read.vbn, disk: request.member.name, dbn: request.dbn };
}

function mismatch(request: Request): StorageError {
  const { member, dbn, read } = request;
  const message = `vbn ${read.vbn} (${member.name}, dbn ${dbn}) does not match its pointer`;
  return new StorageError('BAD_CHECKSUM', message, { detail: detailOf(request) });
}

function failed(request: Request, cause: Error): StorageError {
  const { member, dbn, read } = request;
  const message = `vbn ${read.vbn} cannot be read (${member.name}, dbn ${dbn})`;
  return new StorageError('DISK_FAILED', message, { detail: detailOf(request), cause });
}

function missing(member: MemberDisk, vbn: Vbn, dbn: Dbn): StorageError {
  const code = member.disk === undefined ? 'DISK_MISSING' : 'DISK_FAILED';
  return new StorageError(code, `vbn ${vbn} is on ${member.name}, which is not there`, {
    detail: { vbn, disk: member.name, dbn },
  });
}
