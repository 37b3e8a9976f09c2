// What the parts of a file system share: the cache, the active image, the maps, what is reserved,
// and whether the volume still works. The parts are message-driver.ts (calls),
// consistency-point.ts, zombies.ts and snapshots.ts; file-system.ts puts them together.

import { BITS_PER_BLOCK, BITS_PER_BLOCK_SHIFT } from '../../assembly/layout/block.ts';
import type { Clock, Logger, Prng, ThreadPool } from '../base/env.ts';
import { StorageError } from '../base/errors.ts';
import type { Io, Task } from '../base/task.ts';
import type { Address, Vbn } from '../base/units.ts';
import type { BlockVolume } from '../device/block-volume.ts';
import type { VolumeState } from '../format/volume-state.ts';
import type { Arena } from '../kernels/arena.ts';
import type { KernelExports } from '../kernels/exports.ts';
import type { Allocator, AllocatorMaps } from './allocator.ts';
import type { Block, BlockCache } from './block-cache.ts';
import type { Fetcher } from './fetcher.ts';
import type { SpaceLedger } from './file-node.ts';
import type { Image } from './image.ts';
import type { Inodes } from './inodes.ts';
import { ReferenceWrites, TakenBlocks } from './references.ts';
import type { Scope } from './scope.ts';
import type { PlaneTree } from './snapshot-deletion.ts';
import type { SnapshotTable } from './snapshot-table.ts';
import type { VolumeMaps } from './volume-maps.ts';

/** The log, as the file system uses it (an adapter over host/nvlog/ is in host/volume/). */
export interface LogPort {
  /** Sequence number of the last record appended. */
  readonly lastSequence: number;
  /** Takes room for a record body of so many bytes; false where there is none now. To be followed
   *  by one `append` or `release` with the same figure. */
  reserve(bodyBytesMax: number): boolean;
  release(bodyBytesMax: number): void;
  /** Whether the room that is missing comes with a flush of the log alone, without a CP. */
  isFlushEnough(bodyBytesMax: number): boolean;
  waitForFlush(bodyBytesMax: number): Io<void>;
  /** Appends a record on a reservation, in the MODIFY turn. Returns its sequence number. */
  append(parts: readonly Uint8Array[], bodyBytesMax: number): number;
  /** Waits until all records up to this one are durable. */
  commit(sequence: number): Io<void>;
  /** The half is so full that a CP should begin. */
  readonly wantsCp: boolean;
  /** A CP is frozen: further records go to the other half, where that is free. Returns the half. */
  switchHalf(): number;
  /** The CP's root is durable: its half can be used again. */
  rootCommitted(state: VolumeState): void;
}

export interface CoreEnv {
  readonly clock: Clock;
  readonly prng: Prng;
  readonly logger: Logger;
  readonly pool: ThreadPool;
}

/** Space and frames promised to messages that have not run yet. */
export class Reservations implements SpaceLedger {
  blocks = 0;
  frames = 0;
  /** vbns that left the active image's trees since the last freeze. */
  frees: Vbn[] = [];
  /** Blocks whose replacement is dirty: freed when that is placed. */
  replaced = 0;
  /** Blocks that were given out since the last CP: in no map yet. */
  readonly taken = new TakenBlocks();
  /** Map blocks that the next CP will change. */
  readonly touchedMaps = new Set<number>();

  free(vbn: Vbn): void {
    this.frees.push(vbn);
    this.touchedMaps.add(vbn >>> BITS_PER_BLOCK_SHIFT);
  }
  willFree(vbn: Vbn): void {
    this.replaced++;
    this.touchedMaps.add(vbn >>> BITS_PER_BLOCK_SHIFT);
  }
  /** As `free`, of a block of which `willFree` has told. */
  freeReplaced(vbn: Vbn): void {
    this.replaced--;
    this.free(vbn);
  }
  /** A block gets its place now, outside of a CP. */
  take(vbn: Vbn): void {
    this.taken.add(vbn);
    this.touchedMaps.add(vbn >>> BITS_PER_BLOCK_SHIFT);
  }
  /** After a replay: lists in an order that does not depend on that of the messages, as the next CP
   *  follows it. */
  sort(): void {
    this.frees.sort((a, b) => a - b);
    this.taken.list.sort((a, b) => a - b);
  }
  /** A CP was frozen: what it contains is not pending any more. */
  takeFrees(): Vbn[] {
    const { frees } = this;
    this.frees = [];
    this.replaced = 0;
    this.touchedMaps.clear();
    return frees;
  }
}

/** Blocks checksummed with one kernel call: bounds the list in the arena. */
export const HASH_BATCH = 1024;
/** What a message may use of the space that is kept: nothing, what is for removals, or also what is
 *  for the work that frees the removed files' and snapshots' blocks. */
export type Reserve = 'none' | 'removal' | 'release';

/** A part of the volume is kept for removals (ENGINE 14), and a few messages' worth at least. */
const REMOVAL_SHARE = 64;
const REMOVAL_KEPT_MIN = 128;
const RELEASE_KEPT = 48;

/** Share of the frames that dirty blocks may take (ENGINE 13), and that only the CP may use. */
const DIRTY_SHARE = 1 / 3;
const CP_SHARE = 1 / 4;

export class Core {
  readonly volume: BlockVolume;
  readonly arena: Arena;
  readonly kernels: KernelExports;
  readonly env: CoreEnv;
  readonly cache: BlockCache;
  readonly reservations = new Reservations();
  readonly references = new ReferenceWrites(this);
  /** Blocks whose write a sync call has overtaken: pinned until the device is done with them. */
  #latePins: Block[] = [];
  /** Kernel scratch: a list of addresses and the checksums they get. */
  readonly hashList: Address;
  readonly hashSums: Address;
  /** The volume files' inodes, read and changed in place in the arena. */
  readonly volumeFiles: Address;
  readonly dirtyMax: number;
  readonly cpFrames: number;
  fetcher!: Fetcher;
  image!: Image;
  inodes!: Inodes;
  scope!: Scope;
  maps!: VolumeMaps;
  allocator!: Allocator;
  snapshots!: SnapshotTable;
  state!: VolumeState;
  log: LogPort | undefined;
  isReadOnly = false;
  /** Changes are answered before they are durable, and only CPs make them so: none is logged. */
  isRelaxed = false;
  /** A CP reads what it needs: the snapshots that it knows of must not change. */
  isPlanning = false;
  /** Of the snapshot being deleted, once a CP has read it; see snapshot-deletion.ts. */
  deletionTree: PlaneTree | undefined;
  /** The newest frozen CP is durable. */
  isCommitted = true;
  /** While set, messages wait for it before they begin: a rollback. */
  barrier: Task<void> | undefined;
  /** CPs frozen since the mount. */
  cpCount = 0;
  /** Why the volume refuses everything; undefined while it works. */
  failure: Error | undefined;
  isClosed = false;
  /** Counts rollbacks: handles from before are stale. */
  generation = 0;
  /** Asks for a CP that contains all that was modified until now; undefined where there is nothing
   *  for it to do (`isForced`: also for the sake of what rests). Set by file-system.ts. */
  requestCp!: (isForced?: boolean) => Task<void> | undefined;

  /** Frames or space were given back: messages that wait for some look again. Set by
   *  file-system.ts. */
  noteReleased!: () => void;
  /** Something was modified: a CP comes due. Set by file-system.ts. */
  noteModified!: () => void;

  constructor(options: {
    volume: BlockVolume;
    arena: Arena;
    kernels: KernelExports;
    env: CoreEnv;
    cache: BlockCache;
    hashList: Address;
    hashSums: Address;
    volumeFiles: Address;
  }) {
    this.volume = options.volume;
    this.arena = options.arena;
    this.kernels = options.kernels;
    this.env = options.env;
    this.cache = options.cache;
    this.hashList = options.hashList;
    this.hashSums = options.hashSums;
    this.volumeFiles = options.volumeFiles;
    this.dirtyMax = Math.floor(this.cache.frameCount * DIRTY_SHARE);
    this.cpFrames = Math.floor(this.cache.frameCount * CP_SHARE);
  }

  /** The log, where changes are recorded in it. */
  get records(): LogPort | undefined {
    return this.isRelaxed ? undefined : this.log;
  }

  /** What the allocator must know of the maps. */
  allocatorMaps(): AllocatorMaps {
    const { maps, arena, reservations } = this;
    return {
      active: maps.files.active,
      summary: maps.files.summary,
      u32: arena.u32,
      resting: [maps.restingNew, maps.restingOld, reservations.taken.pages],
    };
  }

  /** Calls `each` with the checksum of every block, in order. */
  hashBlocks(
    blocks: readonly Block[],
    each: (block: Block, index: number, low: number, high: number) => void,
  ): void {
    const { kernels, hashList, hashSums } = this;
    const { u32 } = this.arena;
    for (let first = 0; first < blocks.length; first += HASH_BATCH) {
      const count = Math.min(HASH_BATCH, blocks.length - first);
      for (let i = 0; i < count; i++) {
        u32[(hashList >>> 2) + i] = (blocks[first + i] as Block).address;
      }
      kernels.xxhash64Blocks(hashList, count, hashSums);
      for (let i = 0; i < count; i++) {
        const at = (hashSums >>> 2) + 2 * i;
        each(blocks[first + i] as Block, first + i, u32[at] as number, u32[at + 1] as number);
      }
    }
  }

  /** Blocks are written, as far as the caller waited. One with a write still in flight (a sync call
   *  went ahead of it) stays pinned until that is complete: its frame must not change (ENGINE
   *  5). */
  unpinWritten(blocks: readonly Block[]): void {
    const late: Block[] = [];
    for (const block of [...this.#latePins, ...blocks]) {
      if (this.volume.isWriteInFlight(block.vbn, 1)) late.push(block);
      else this.cache.unpin(block);
    }
    this.#latePins = late;
    this.noteReleased();
  }

  /** Fail stop (ENGINE 11): the volume refuses everything until it is opened again. */
  fail(error: unknown): void {
    if (this.failure !== undefined) return;
    this.failure = error instanceof Error ? error : new Error(String(error));
    this.env.logger.warn('the volume failed', { cause: String(error) });
    this.noteReleased();
  }

  refuseIfUnusable(): void {
    if (this.isClosed) throw new StorageError('VOLUME_CLOSED', 'the volume is closed');
    if (this.failure !== undefined) {
      throw new StorageError('VOLUME_FAILED', `the volume failed: ${this.failure.message}`, {
        cause: this.failure,
      });
    }
  }

  /** Map blocks of the whole volume that CPs can come to write: both maps, the area table, the
   *  snapshot table's share, and their indirect blocks. */
  get mapBlocksMax(): number {
    const plane = Math.ceil(this.volume.vbnLimit / BITS_PER_BLOCK);
    const used = Math.min(plane, Math.ceil(this.volume.blockCount / 1024) + 1);
    return 2 * (used + Math.ceil(used / 256) + 2) + Math.ceil(used / 64) + 12;
  }

  /** Blocks that the next CP can allocate beyond what is dirty, promised, or kept for the maps
   *  (two copies, ENGINE 14) and for removals. May be negative. */
  blocksAvailable(reserve: Reserve): number {
    const { maps, volume } = this;
    const held = maps.activeCount + maps.summaryCount + this.reservations.taken.list.length;
    const free = volume.blockCount - held - maps.restingCount;
    const forRemovals = Math.max(REMOVAL_KEPT_MIN, Math.ceil(volume.blockCount / REMOVAL_SHARE));
    const forRelease = reserve === 'release' ? 0 : RELEASE_KEPT;
    const kept = 2 * this.mapBlocksMax + forRelease + (reserve === 'none' ? forRemovals : 0);
    return free - this.cache.dirtyCount - this.reservations.blocks - kept;
  }

  /** Blocks that become available by CPs and zombie work alone. */
  get blocksReclaimable(): number {
    const { reservations } = this;
    const pending = reservations.frees.length + reservations.replaced;
    return this.maps.restingCount + pending + this.inodes.zombieBlocks + this.snapshots.reclaimable;
  }

  /** Frames that blocks of this generation take now, map blocks that its CP will need included. */
  get dirtyLoad(): number {
    return this.cache.dirtyCount + 3 * this.reservations.touchedMaps.size;
  }
}
