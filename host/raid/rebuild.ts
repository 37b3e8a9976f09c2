// Filling a disk that takes a member's place: each of its blocks is the XOR of the stripe's others.
//
// Nothing is known here of what lives where, so all stripes up to the highest one ever written are
// rebuilt, and what the other disks give is taken as it is: a block that was wrong makes a wrong
// one, which its pointer's checksum finds when it is read. A stripe that cannot be read on another
// disk is left out: as many blocks are lost as on that disk.

import { BLOCK_SIZE, TETRIS_STRIPES } from '../../assembly/layout/block.ts';
import { zeroBytes } from '../base/bytes.ts';
import type { Prng } from '../base/env.ts';
import { StorageError } from '../base/errors.ts';
import type { Io, Step } from '../base/task.ts';
import { all, wait } from '../base/task.ts';
import type { Address, Dbn } from '../base/units.ts';
import type { Disk } from '../device/device.ts';
import type { RaidCore } from './core.ts';
import { fetchBlocks, placeKey, stripeMembers } from './core.ts';
import { newUuid, zeroFront } from './format.ts';
import type { MemberDisk, Outcome } from './member-disk.ts';
import type { Scratch } from './scratch.ts';
import { readLabel } from './survey.ts';

/** Checks that `disk` can take the member's place, and wipes its front: roots and journal entries
 *  of an earlier life must not count. Gives the disk's new UUID. */
export function* prepareDisk(
  core: RaidCore,
  member: MemberDisk,
  disk: Disk,
  prng: Prng,
): Step<string> {
  if (disk.blockCount < member.blockCount) {
    const message = `${disk.name} has ${disk.blockCount} blocks, ${member.blockCount} are needed`;
    throw new StorageError('INVALID_ARGUMENT', message, { detail: { disk: disk.name } });
  }
  const { label } = yield* readLabel(disk, core.hasher.hash);
  if (label !== undefined && label.volumeUuid !== core.volumeUuid) {
    const message = `${disk.name} holds volume ${label.volumeUuid}`;
    throw new StorageError('DISK_FOREIGN', message, { detail: { disk: disk.name } });
  }
  const twin = core.members.find((other) => other.isUsable && other.uuid === label?.diskUuid);
  if (twin !== undefined) {
    const message = `${disk.name} is ${twin.name}, which is in use`;
    throw new StorageError('DISK_DUPLICATE', message, { detail: { disk: disk.name } });
  }
  yield* zeroFront(disk, core.front);
  return newUuid(prng);
}

/** Writes all that the member's disk must hold. `orFail` runs a write. */
export function* rebuildMember(
  core: RaidCore,
  member: MemberDisk,
  orFail: (io: Io<Outcome>) => Step<void>,
): Step<void> {
  const group = core.geometry.groups[member.group];
  if (group === undefined) return;
  const sources = stripeMembers(core, group).filter((other) => other !== member);
  const end = Math.min(member.blockCount, Math.max(...sources.map(({ dbnHigh }) => dbnHigh)));
  for (let dbn = core.front.dataFirst; dbn < end; dbn += TETRIS_STRIPES) {
    const count = Math.min(TETRIS_STRIPES, end - dbn);
    const [scratch] = (yield* core.scratches.acquire(1)) as [Scratch];
    try {
      yield* rebuildTetris(core, { member, sources, dbn, count }, scratch, orFail);
    } finally {
      scratch.unpin();
    }
  }
}

interface Tetris {
  readonly member: MemberDisk;
  readonly sources: readonly MemberDisk[];
  readonly dbn: Dbn;
  readonly count: number;
}

function* rebuildTetris(
  core: RaidCore,
  { member, sources, dbn, count }: Tetris,
  scratch: Scratch,
  orFail: (io: Io<Outcome>) => Step<void>,
): Step<void> {
  const { arena, stats } = core;
  const results = yield* wait(all(sources.map((source) => source.fetch(dbn, count))));
  let blocks: ReadonlyMap<number, Uint8Array> | undefined;
  if (results.some((result) => !(result instanceof Uint8Array))) {
    const stripes = Array.from({ length: count }, (_, index) => dbn + index);
    blocks = yield* fetchBlocks(
      core,
      stripes.flatMap((stripe) => sources.map((source) => ({ member: source, dbn: stripe }))),
    );
  }
  const frames: Address[] = [];
  for (let index = 0; index < count; index++) {
    const target = scratch.parity + index * BLOCK_SIZE;
    const parts = sources.map((source, number) => {
      if (blocks !== undefined) return blocks.get(placeKey(source.index, dbn + index));
      return (results[number] as Uint8Array).subarray(index * BLOCK_SIZE, (index + 1) * BLOCK_SIZE);
    });
    const isComplete = parts.every((part) => part !== undefined);
    if (isComplete) xorParts(arena.u32, arena.u8, target, parts as Uint8Array[]);
    else {
      zeroBytes(arena.u8, target, target + BLOCK_SIZE);
      stats.unreadable++;
    }
    frames.push(target);
  }
  stats.reconstructed += count;
  stats.writeCalls++;
  const view = arena.bytes(frames[0] as Address, count * BLOCK_SIZE);
  yield* orFail(scratch.during(member.write(dbn, [view])));
}

/** target := XOR of blocks on the heap, a word at a time: copying them in for the kernel would cost
 *  as much. */
function xorParts(
  u32: Uint32Array,
  u8: Uint8Array,
  target: Address,
  parts: readonly Uint8Array[],
): void {
  u8.set(parts[0] as Uint8Array, target);
  const first = target / 4;
  for (const part of parts.slice(1)) {
    const words = new Uint32Array(part.buffer, part.byteOffset, BLOCK_SIZE / 4);
    for (let index = 0; index < BLOCK_SIZE / 4; index++) {
      u32[first + index] = (u32[first + index] as number) ^ (words[index] as number);
    }
  }
}
