// The consistency point: the atomic step to a new on-disk image (ENGINE 23-25).
//
//   ahead    (in slices)       data takes its places and is on its way: see place-ahead.ts
//   plan     (LOAD, repeated)  reads the map blocks that allocation and frees will touch
//   freeze   (one turn)        allocates, checksums bottom-up, makes the root; switches the log
//   write    (waits)           stripes, then flush, root, flush, while new messages go on
//   release  (one turn)        frames are unpinned, the log half is recycled, frees stop resting
//
// All that a CP contains is decided in the freeze turn: after it every block of the generation has
// its vbn and checksum and is clean, only pinned until it is written; a message that changes one
// gets a copy. So there are never two unplaced versions of a block, which is what ENGINE 23's
// writing into the parent of both generations is for. The price is that the freeze turn is not
// interruptible; what went ahead is why it is short.
//
// The fixed point of ENGINE 24: placing a map block changes bits, perhaps in another map block,
// which then must be placed too. Each is placed once, so this ends; `plan` follows the same closure
// to have them all in memory.

import {
  BITS_PER_BLOCK,
  BITS_PER_BLOCK_SHIFT,
  BLOCK_SIZE,
  KIND_IMAGE_ROOT,
  POINTERS_PER_BLOCK_SHIFT,
} from '../../assembly/layout/block.ts';
import {
  IMAGE_ROOT_ACTIVE_MAP_OFFSET,
  IMAGE_ROOT_BLOCKS_USED_OFFSET,
  IMAGE_ROOT_CP_OFFSET,
} from '../../assembly/layout/image-root.ts';
import { INODE_LEVEL_MAX, INODE_SIZE } from '../../assembly/layout/inode.ts';
import { assert } from '../base/assert.ts';
import { type Step, wait } from '../base/task.ts';
import type { Address, Vbn } from '../base/units.ts';
import type { BlockWrite, Liveness } from '../device/block-volume.ts';
import { inodeLevel } from '../format/inode.ts';
import { getPointerVbn, type Pointer, setPointerWords } from '../format/pointer.ts';
import { encodeVolumeState, VOLUME_FILES_SIZE, type VolumeState } from '../format/volume-state.ts';
import { setU64 } from '../format/words.ts';
import type { Block } from './block-cache.ts';
import type { Core } from './core.ts';
import { type Access, type FileNode, LEVEL_XATTR, PRESENT, placeKey } from './file-node.ts';
import { Load, MISSING } from './load.ts';
import { inOrder, SlotFinder } from './placing.ts';
import { PlaneUnion } from './plane-union.ts';
import { heldByDeletion, loadPlaneTree } from './snapshot-deletion.ts';
import type { SnapshotAction, Unshield } from './snapshots.ts';
import { agree } from './volume-maps.ts';

/** Blocks prepared beyond what is known to be needed. */
const SPARE_BLOCKS = 32;
/** Rounds of a plan in one turn until the closure stands still. */
const PLAN_ROUNDS_MAX = 16;

/** Dirty blocks of one level, in the order in which they are to lie on disk, and whose they are. */
interface Rank {
  readonly nodes: FileNode[];
  readonly blocks: Block[];
}

interface Frozen {
  readonly blocks: Block[];
  readonly writes: BlockWrite[];
  readonly state: VolumeState;
  readonly stateBytes: Uint8Array;
  readonly liveness: Liveness;
}

export class ConsistencyPoint {
  readonly #core: Core;
  readonly #actions: readonly SnapshotAction[];
  /** United planes of the neighbours by map block: those that are being made, and the whole
   *  ones. */
  readonly #unions = new Map<number, PlaneUnion>();
  readonly #shields = new Map<number, PlaneUnion>();
  readonly #writes: BlockWrite[] = [];
  readonly #blocks: Block[] = [];
  readonly #onFrozen: () => void;
  /** A rollback's: only the volume files change, the image root stays. */
  readonly #keepsImage: boolean;

  constructor(
    core: Core,
    options: { actions: readonly SnapshotAction[]; keepsImage?: boolean; onFrozen: () => void },
  ) {
    this.#core = core;
    this.#actions = options.actions;
    this.#keepsImage = options.keepsImage ?? false;
    this.#onFrozen = options.onFrozen;
  }

  *run(): Step<void> {
    const core = this.#core;
    const load = new Load(core.cache);
    load.isWaiting = true;
    core.isPlanning = true;
    try {
      yield* this.#planUntilLoaded(load);
    } finally {
      core.isPlanning = false;
      load.unpin();
    }
    const frozen = this.#freeze();
    core.cpCount++;
    this.#onFrozen();
    // Large writes begun before the freeze first: this CP may fill up their last stripes.
    yield* core.references.written();
    yield* core.volume.write(frozen.writes, frozen.liveness);
    yield* core.volume.writeRoot(frozen.stateBytes, frozen.state.time);
    this.#release(frozen);
  }

  *#planUntilLoaded(load: Load): Step<void> {
    const core = this.#core;
    for (;;) {
      core.cache.beginTurn();
      if (load.attempt((access) => this.#plan(access))) return;
      load.pinFound();
      const failures = yield* wait(core.fetcher.fetch([...load.missing]));
      if (failures.length > 0) throw (failures[0] as { error: Error }).error;
    }
  }

  // Plan.

  #plan(access: Access): void {
    const core = this.#core;
    const { allocator, reservations } = core;
    const maps = core.allocatorMaps();
    const doomed = core.snapshots.get(core.state.deleting);
    if (doomed !== undefined) loadPlaneTree(core, access, doomed);
    let known = 0;
    for (let round = 0; round < PLAN_ROUNDS_MAX; round++) {
      const needed = core.cache.dirtyCount + known + SPARE_BLOCKS;
      const isEnough = allocator.prepare(access, maps, needed);
      // ENGINE 14: it was reserved, if the counts are right.
      agree(isEnough, 'fewer blocks are free than the counts say', needed);
      const touched = new Set(reservations.touchedMaps);
      for (const index of allocator.preparedMapBlocks()) touched.add(index);
      const { vbn } = core.image.rootPointer;
      if (vbn !== 0) touched.add(vbn >>> BITS_PER_BLOCK_SHIFT);
      for (const action of this.#actions) action.plan(access, touched);
      const before = known;
      known = this.#visitMaps(access, touched);
      if (known === before) return;
    }
    assert(false, 'the closure of map blocks stands still');
  }

  /** Reads all map-tree blocks that the touched map blocks lead to. Returns how many there are. */
  #visitMaps(access: Access, touched: Set<number>): number {
    const { maps, snapshots } = this.#core;
    const seen = new Map<FileNode, Set<number>>();
    // The set grows while it is walked: what a map block's old copy frees is touched too.
    for (const index of touched) {
      this.#visit(access, maps.files.active, index, touched, seen);
      this.#visit(access, maps.files.summary, index, touched, seen);
      for (const block of maps.areaBlocksOf(index)) {
        this.#visit(access, maps.files.areaTable, block, touched, seen);
      }
      this.#attempt(() => this.#loadShield(access, index));
    }
    for (const index of snapshots.changedBlocks(this.#newSlot())) {
      this.#visit(access, snapshots.file, index, touched, seen);
    }
    let count = 0;
    for (const places of seen.values()) count += places.size;
    return count + 2;
  }

  #attempt(action: () => void): void {
    try {
      action();
    } catch (error) {
      if (error !== MISSING) throw error;
    }
  }

  /** One block of a map file and its parents: in memory, and what they free is touched. */
  #visit(
    access: Access,
    node: FileNode,
    index: number,
    touched: Set<number>,
    seen: Map<FileNode, Set<number>>,
  ): void {
    let places = seen.get(node);
    if (places === undefined) {
      places = new Set();
      seen.set(node, places);
    }
    const height = Math.max(1, node.height(access));
    let at = index;
    for (let level = 0; level < height; level++) {
      const key = placeKey(level, at);
      if (places.has(key)) return;
      places.add(key);
      const depth = level;
      const place = at;
      this.#attempt(() => {
        const slot = node.slot(access, depth, place);
        const vbn = slot === 0 ? 0 : this.#core.arena.view.getUint32(slot, true);
        if (vbn !== 0) touched.add(vbn >>> BITS_PER_BLOCK_SHIFT);
        node.find(access, depth, place);
      });
      at >>>= POINTERS_PER_BLOCK_SHIFT;
    }
  }

  /** Unites the planes of the active file system's neighbours for one map block. */
  #loadShield(access: Access, index: number): void {
    if (this.#shields.has(index)) return;
    const core = this.#core;
    let union = this.#unions.get(index);
    if (union === undefined) {
      union = new PlaneUnion(core, core.snapshots.neighbours(core.state, index), index);
      this.#unions.set(index, union);
    }
    union.load(access);
    const held = heldByDeletion(core, index);
    if (held !== undefined) union.add(held);
    this.#shields.set(index, union);
  }

  // Freeze.

  #freeze(): Frozen {
    const core = this.#core;
    const { image, maps, snapshots } = core;
    const time = core.env.clock.now();
    const previous = image.rootPointer;
    const rootVbn = this.#keepsImage ? 0 : this.#placeImage();
    for (const action of this.#actions) action.freeze(this.#unshield);
    snapshots.change(this.#newSlot());
    const places = this.#placeMaps();
    if (!this.#keepsImage) this.#finishImage(rootVbn, time, places);
    maps.fillAreaTable();
    snapshots.fill();
    for (const node of this.#volumeFiles()) this.#hashMap(node, places);
    return this.#finishFreeze(time, previous);
  }

  #newSlot(): number | undefined {
    return this.#actions.find((action) => action.newSlot !== undefined)?.newSlot;
  }

  /** Places all dirty blocks of the image but its active map and root. Returns the root's vbn. */
  #placeImage(): Vbn {
    const core = this.#core;
    const { image, maps, allocator } = core;
    image.changeRoot();
    maps.setActive(core.reservations.taken.take());
    const ranks = this.#dirtyRanks();
    const count = ranks.reduce((sum, rank) => sum + rank.blocks.length, 0);
    const vbns = allocator.take(count + 1);
    maps.setActive(vbns);
    const frees: Vbn[] = [];
    let next = 0;
    for (const rank of ranks) {
      this.#placeRank(rank, vbns, next, frees);
      next += rank.blocks.length;
    }
    if (image.rootPointer.vbn !== 0) frees.push(image.rootPointer.vbn);
    this.#freeActive(frees);
    this.#freeActive(core.reservations.takeFrees());
    return vbns[count] as Vbn;
  }

  /** The active map and the image root, whose contents are complete now. */
  #finishImage(rootVbn: Vbn, time: VolumeState['time'], places: ReadonlyMap<Block, Vbn>): void {
    const core = this.#core;
    const { image, maps, arena } = core;
    this.#hashMap(maps.files.active, places);
    const { root } = image;
    setU64(arena.view, root.address + IMAGE_ROOT_CP_OFFSET, core.state.cp + 1);
    setU64(arena.view, root.address + IMAGE_ROOT_BLOCKS_USED_OFFSET, maps.activeCount);
    core.hashBlocks([root], (_, _index, checksumLow, checksumHigh) => {
      image.rootPlaced({ vbn: rootVbn, kind: KIND_IMAGE_ROOT, checksumLow, checksumHigh });
    });
    this.#noteWrite(root, rootVbn);
    const at = root.address + IMAGE_ROOT_ACTIVE_MAP_OFFSET;
    const plane = arena.u8.slice(at, at + INODE_SIZE);
    const { rootPointer: imageRoot } = image;
    for (const action of this.#actions) {
      action.imagePlaced({ imageRoot, plane, time, blocks: maps.activeCount });
    }
  }

  #volumeFiles(): FileNode[] {
    const { maps, snapshots } = this.#core;
    return [maps.files.summary, maps.files.areaTable, snapshots.file];
  }

  /** All dirty blocks of the image but the active map, children before parents. */
  #dirtyRanks(): Rank[] {
    const { image } = this.#core;
    const ranks = Array.from({ length: 3 * (INODE_LEVEL_MAX + 1) }, (): Rank => {
      return { nodes: [], blocks: [] };
    });
    const nodes = [...image.nodes.values()].filter((node) => node.dirty.size > 0);
    nodes.sort((a, b) => a.ino - b.ino);
    const add = (node: FileNode, base: number) => {
      for (const block of inOrder([...node.dirty.values()])) {
        const level = block.level === LEVEL_XATTR ? 0 : block.level;
        const rank = ranks[base + level] as Rank;
        rank.nodes.push(node);
        rank.blocks.push(block);
      }
    };
    for (const node of nodes) add(node, 0);
    add(image.inodeMap, INODE_LEVEL_MAX + 1);
    add(image.inodeFile, 2 * (INODE_LEVEL_MAX + 1));
    return ranks;
  }

  /** Gives the blocks of a rank the vbns from `first` on: checksums, pointers in the parents. Adds
   *  their old copies to `frees`. */
  #placeRank({ nodes, blocks }: Rank, vbns: readonly Vbn[], first: number, frees: Vbn[]): void {
    const { cache, arena } = this.#core;
    const slots = new SlotFinder();
    this.#core.hashBlocks(blocks, (block, index, low, high) => {
      const node = nodes[index] as FileNode;
      const slot = slots.of(node, block);
      const old = getPointerVbn(arena.view, slot);
      if (old !== 0) frees.push(old);
      const vbn = vbns[first + index] as Vbn;
      const kind = node.kindOf(block.level);
      setPointerWords(arena.view, slot, vbn, kind, low, high);
      cache.enterPlaced(block, vbn, kind, low, high);
      this.#noteWrite(block, vbn);
    });
  }

  #noteWrite(block: Block, vbn: Vbn): void {
    this.#core.cache.pin(block);
    this.#blocks.push(block);
    this.#writes.push({ vbn, address: block.address });
  }

  #shieldAddress = (mapIndex: number): Address => {
    assert(this.#shields.has(mapIndex), 'the plan loaded the shield', mapIndex);
    return this.#shields.get(mapIndex)?.address ?? 0;
  };

  readonly #unshield: Unshield = {
    plane: (mapIndex, plane) => {
      const shield = this.#shields.get(mapIndex)?.address ?? 0;
      if (shield !== 0) this.#core.kernels.planeAndNot(shield, shield, plane, BLOCK_SIZE);
    },
    block: (vbn) => {
      const shield = this.#shields.get(vbn >>> BITS_PER_BLOCK_SHIFT)?.address ?? 0;
      if (shield === 0) return;
      const bit = vbn % BITS_PER_BLOCK;
      const at = (shield >>> 2) + (bit >>> 5);
      const { u32 } = this.#core.arena;
      u32[at] = (u32[at] as number) & ~(1 << (bit & 31));
    },
  };

  #freeActive(vbns: readonly Vbn[]): void {
    this.#core.maps.freeActive(vbns, this.#shieldAddress);
  }

  /** The fixed point: every dirty block of the maps and volume files gets its vbn. */
  #placeMaps(): Map<Block, Vbn> {
    const { maps, allocator, arena } = this.#core;
    const places = new Map<Block, Vbn>();
    const files = [maps.files.active, ...this.#volumeFiles()];
    for (let before = -1; before !== places.size; ) {
      before = places.size;
      for (const node of files) {
        const isActive = node === maps.files.active;
        // The map grows while it is walked.
        for (const block of node.dirty.values()) {
          if (places.has(block)) continue;
          const [vbn] = allocator.take(1) as [Vbn];
          places.set(block, vbn);
          const old = getPointerVbn(arena.view, node.slotOf(block.level, block.index));
          if (isActive) {
            maps.setActive([vbn]);
            if (old !== 0) this.#freeActive([old]);
          } else {
            maps.setSummary(vbn);
            if (old !== 0) maps.freeSummary(old);
          }
        }
      }
    }
    return places;
  }

  /** Checksums a map file's dirty blocks bottom-up and enters the pointers. */
  #hashMap(node: FileNode, places: ReadonlyMap<Block, Vbn>): void {
    const { cache, arena } = this.#core;
    const height = inodeLevel(arena.view, node.home.read(PRESENT));
    for (let level = 0; level < height; level++) {
      const kind = node.kindOf(level);
      const blocks = [...node.dirty.values()].filter((block) => block.level === level);
      this.#core.hashBlocks(blocks, (block, _, low, high) => {
        const vbn = places.get(block) as Vbn;
        const slot = node.slotOf(level, block.index);
        setPointerWords(arena.view, slot, vbn, kind, low, high);
        cache.enterPlaced(block, vbn, kind, low, high);
        this.#noteWrite(block, vbn);
      });
    }
    node.clearDirty();
  }

  #finishFreeze(time: VolumeState['time'], previous: Pointer): Frozen {
    const core = this.#core;
    const { image, maps, log } = core;
    image.inodeFile.clearDirty();
    image.inodeMap.clearDirty();
    for (const node of image.nodes.values()) {
      node.clearDirty();
      if (node.openCount === 0) image.nodes.delete(node.ino);
    }
    // What the maps' own blocks replaced was freed here already.
    core.reservations.takeFrees();
    core.inodes.freeze();
    const liveness = core.allocator.claimStripes();
    core.allocator.closeAreas();
    const state: VolumeState = {
      ...core.state,
      cp: core.state.cp + 1,
      previousLow: previous.checksumLow,
      previousHigh: previous.checksumHigh,
      time,
      imageRoot: image.rootPointer,
      blocksSummary: maps.summaryCount,
      blocksFree: core.volume.blockCount - maps.activeCount - maps.summaryCount,
    };
    if (log !== undefined) {
      state.logSequence = log.lastSequence;
      state.logHalf = log.switchHalf();
    }
    for (const action of this.#actions) action.updateState(state);
    const stateBytes = encodeVolumeState(
      state,
      core.arena.bytes(core.volumeFiles, VOLUME_FILES_SIZE),
    );
    // From here on messages and the next plan see the new state, although it is not yet durable.
    core.state = state;
    core.isCommitted = false;
    for (const union of this.#unions.values()) union.drop();
    return { blocks: this.#blocks, writes: this.#writes, state, stateBytes, liveness };
  }

  #release(frozen: Frozen): void {
    const core = this.#core;
    core.unpinWritten(frozen.blocks);
    core.maps.rotateResting();
    core.inodes.committed();
    core.isCommitted = true;
    core.log?.rootCommitted(frozen.state);
  }
}
