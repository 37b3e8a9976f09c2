// A small world for RAID tests: memory disks, an arena, and a model that knows what every live
// block must hold. Everything runs in the turn (runSync), so that a test can cut it at any device
// event.

import { AREA_STRIPES, BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { VOLUME_STATE_SIZE } from '../../assembly/layout/volume-state.ts';
import type { Clock } from '../../host/base/env.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import type { Address, Vbn } from '../../host/base/units.ts';
import type {
  BlockRead,
  BlockVolume,
  BlockWrite,
  Liveness,
} from '../../host/device/block-volume.ts';
import type { DeviceObserver } from '../../host/device/memory-device.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { RaidKind } from '../../host/format/volume-root.ts';
import { Arena } from '../../host/kernels/arena.ts';
import { InlinePool } from '../../host/kernels/inline-pool.ts';
import { createKernels } from '../../host/kernels/instantiate.ts';
import { formatVolume } from '../../host/raid/format.ts';
import { RaidVolume } from '../../host/raid/raid-volume.ts';

export const MIB = 1024 * 1024;

/** RAID's reservations and FRAMES blocks after them. */
const ARENA_BYTES = 3.5 * MIB;
const FRAMES = 512;

const instances = new Map<string, ReturnType<typeof createKernels>>();

/** A clean arena. Its memory is used again by the next call: one volume at a time for each name. */
export function newArena(name = 'main', kernels: 'wasm' | 'oracle' = 'wasm') {
  const key = `${name}/${kernels}`;
  let instance = instances.get(key);
  if (instance === undefined) {
    instance = createKernels({ arenaBytes: ARENA_BYTES, kernels });
    instances.set(key, instance);
  }
  // What RAID reserves: the frames need not be clean.
  instance.arena.u8.fill(0, 0, ARENA_BYTES - FRAMES * BLOCK_SIZE);
  const arena = new Arena(instance.arena.memory);
  return { arena, kernels: instance.kernels, pool: new InlinePool(instance.kernels) };
}

export const clock: Clock = {
  now: () => ({ seconds: 1_700_000_000, nanoseconds: 123 }),
  monotonicMs: () => 0,
  after: () => ({ cancel() {} }),
};

export function testSeed(): number {
  const given = (globalThis as { process?: { env: Record<string, string> } }).process?.env['SEED'];
  const seed = given === undefined ? 20260101 : Number(given);
  console.log(`seed ${seed}`);
  return seed;
}

export interface DiskSetup {
  readonly count: number;
  readonly blockCount: number;
  readonly isCrashable?: boolean;
  readonly observer?: DeviceObserver;
}

export function newDisks(setup: DiskSetup): MemoryDisk[] {
  return Array.from({ length: setup.count }, (_, index) => {
    const { blockCount, isCrashable = false, observer } = setup;
    return new MemoryDisk({ name: `memory-${index}`, blockCount, isCrashable, observer });
  });
}

export function stateOf(cp: number): Uint8Array {
  const state = new Uint8Array(VOLUME_STATE_SIZE);
  new DataView(state.buffer).setUint32(0, cp, true);
  return state;
}

export function cpOf(volume: BlockVolume): number {
  const { buffer, byteOffset } = volume.state;
  return new DataView(buffer, byteOffset).getUint32(0, true);
}

export function format(
  disks: readonly MemoryDisk[],
  raid: RaidKind,
  options: {
    seed?: number;
    journalBlocks?: number;
    name?: string;
    kernels?: 'wasm' | 'oracle';
  } = {},
): void {
  const { arena, kernels } = newArena(options.name, options.kernels);
  const env = { clock, prng: new SeededPrng(options.seed ?? 7) };
  const { journalBlocks } = options;
  const initialState = stateOf(0);
  runSync(formatVolume({ disks, raid, journalBlocks, env, arena, kernels, initialState }));
}

export interface OpenOptions {
  readonly readOnly?: boolean;
  readonly degraded?: boolean;
  readonly seed?: number;
  readonly name?: string;
  readonly kernels?: 'wasm' | 'oracle';
  readonly warnings?: string[];
}

export function open(disks: readonly MemoryDisk[], options: OpenOptions = {}): RaidVolume {
  const { readOnly, degraded, warnings } = options;
  const logger = { warn: (message: string) => void warnings?.push(message), info: () => {} };
  const env = { clock, prng: new SeededPrng(options.seed ?? 11), logger };
  const memory = newArena(options.name, options.kernels);
  const volume = runSync(RaidVolume.open({ disks, ...memory, env, readOnly, degraded }));
  frames.set(volume, new Frames(memory.arena, memory.kernels));
  return volume;
}

/** Frames for the blocks of a test. */
class Frames {
  readonly arena: Arena;
  readonly first: Address;
  readonly #kernels: ReturnType<typeof createKernels>['kernels'];
  readonly #sum: Address;

  constructor(arena: Arena, kernels: ReturnType<typeof createKernels>['kernels']) {
    this.arena = arena;
    this.#kernels = kernels;
    this.#sum = arena.reserve(8);
    this.first = arena.reserve(FRAMES * BLOCK_SIZE, BLOCK_SIZE);
  }

  at(index: number): Address {
    if (index >= FRAMES) throw new Error('the test uses too many frames at once');
    return this.first + index * BLOCK_SIZE;
  }

  checksum(address: Address): { low: number; high: number } {
    this.#kernels.xxhash64(address, BLOCK_SIZE, this.#sum);
    const { u32 } = this.arena;
    return { low: u32[this.#sum / 4] as number, high: u32[this.#sum / 4 + 1] as number };
  }
}

const frames = new WeakMap<RaidVolume, Frames>();
export const framesOf = (volume: RaidVolume): Frames => frames.get(volume) as Frames;

/** A block that must be there. Its bytes follow from the seed. */
export interface Block {
  readonly seed: number;
  readonly low: number;
  readonly high: number;
}
export type Image = ReadonlyMap<Vbn, Block>;

/** The bytes that a seed stands for: cheap, and different in every sector. */
export function fillBlock(bytes: Uint8Array, seed: number): void {
  const words = new Uint32Array(bytes.buffer, bytes.byteOffset, BLOCK_SIZE / 4);
  let word = Math.imul(seed, 0x9e3779b1) | 1;
  for (let index = 0; index < words.length; index++) {
    word ^= word << 13;
    word ^= word >>> 17;
    word ^= word << 5;
    words[index] = word;
  }
}

export function allVbns(volume: BlockVolume): Vbn[] {
  return volume.spans.flatMap(({ columns, stripeCount }) =>
    columns.flatMap((first) => Array.from({ length: stripeCount }, (_, stripe) => first + stripe)),
  );
}

/** Writes blocks with fresh contents to `vbns`; gives what they now must hold. */
export function writeBlocks(
  volume: RaidVolume,
  vbns: readonly Vbn[],
  liveness: Liveness,
  prng: SeededPrng,
): Map<Vbn, Block> {
  const { writes, blocks } = prepareBlocks(volume, vbns, prng);
  runSync(volume.write(writes, liveness));
  return blocks;
}

export function prepareBlocks(volume: RaidVolume, vbns: readonly Vbn[], prng: SeededPrng) {
  const own = framesOf(volume);
  const blocks = new Map<Vbn, Block>();
  const writes: BlockWrite[] = vbns.map((vbn, index) => {
    const address = own.at(index);
    const seed = prng.u32();
    fillBlock(own.arena.bytes(address, BLOCK_SIZE), seed);
    blocks.set(vbn, { seed, ...own.checksum(address) });
    return { vbn, address };
  });
  return { writes, blocks };
}

/** Reads blocks; gives the vbns that could not be had, and throws for one with wrong bytes. */
export function readBlocks(volume: RaidVolume, image: Image): Vbn[] {
  const own = framesOf(volume);
  const entries = [...image];
  const lost: Vbn[] = [];
  const expected = new Uint8Array(BLOCK_SIZE);
  for (let first = 0; first < entries.length; first += FRAMES) {
    const part = entries.slice(first, first + FRAMES);
    const requests: BlockRead[] = part.map(([vbn, { low, high }], index) => {
      return { vbn, checksumLow: low, checksumHigh: high, address: own.at(index) };
    });
    runSync(volume.read(requests));
    requests.forEach(({ vbn, error, address }, index) => {
      if (error !== undefined) return lost.push(vbn);
      fillBlock(expected, (part[index] as [Vbn, Block])[1].seed);
      const actual = own.arena.bytes(address, BLOCK_SIZE);
      if (!actual.every((byte, at) => byte === expected[at]))
        throw new Error(`wrong bytes at ${vbn}`);
      return 0;
    });
  }
  return lost;
}

/** A file system without files: images by CP, frees that rest one CP more, random overwrites. */
export class Model {
  readonly prng: SeededPrng;
  /** By CP number; what a mount may find. */
  readonly images: Map<number, Map<Vbn, Block>> = new Map([[0, new Map()]]);
  live: Map<Vbn, Block> = new Map();
  resting: Set<Vbn> = new Set();
  /** Written since the last root. */
  fresh: Set<Vbn> = new Set();
  /** Flushed since the last root: what log records refer to. */
  flushed: Map<Vbn, Block> = new Map();
  cp = 0;

  constructor(prng: SeededPrng) {
    this.prng = prng;
  }

  readonly liveness: Liveness = {
    isLive: (vbn, count) => {
      for (let at = vbn; at < vbn + count; at++) {
        if (this.live.has(at) || this.resting.has(at) || this.fresh.has(at)) return true;
      }
      return false;
    },
  };

  freeVbns(volume: RaidVolume, limit: number): Vbn[] {
    const free = allVbns(volume).filter((vbn) => {
      return volume.isAvailable(vbn) && !this.liveness.isLive(vbn, 1);
    });
    return this.prng.shuffle(free.filter((vbn) => vbn % AREA_STRIPES < limit));
  }

  /** Writes `count` blocks at random free places among the first `stripes` of each column. */
  write(volume: RaidVolume, count: number, stripes: number): void {
    const vbns = this.freeVbns(volume, stripes).slice(0, count);
    const { writes, blocks } = prepareBlocks(volume, vbns, this.prng);
    runSync(volume.write(writes, this.liveness));
    for (const [vbn, block] of blocks) {
      this.live.set(vbn, block);
      this.fresh.add(vbn);
    }
  }

  flush(volume: RaidVolume): void {
    const covered = new Map([...this.fresh].map((vbn) => [vbn, this.live.get(vbn) as Block]));
    runSync(volume.flush());
    this.flushed = covered;
  }

  /** Frees some blocks and commits; they rest until the root after. `committing` runs before. */
  commit(volume: RaidVolume, freeCount: number): void {
    const doomed = this.prng.shuffle([...this.live.keys()]).slice(0, freeCount);
    const next = new Map(this.live);
    for (const vbn of doomed) next.delete(vbn);
    this.images.set(this.cp + 1, next);
    if (this.prng.chance(0.5)) runSync(volume.flush());
    runSync(volume.writeRoot(stateOf(this.cp + 1), clock.now()));
    this.cp++;
    this.live = new Map(next);
    this.resting = new Set(doomed);
    this.fresh = new Set();
    this.flushed = new Map();
  }
}
