// Deleting a snapshot (ENGINE 26, 27): plane-wise, in the background, a slice at each CP.
//
// The cursor in the volume state says how far it is, and moves in the same CP as the bits:
//
//   stage 1, cursor = a vbn          frees D - (parent, children, siblings, active), a map block
//                                    at a time; but not the blocks that D's plane consists of
//   stage 2, cursor = planeEnd + n   frees these: first the n-th block of the plane, for all n, at
//                                    last the indirect blocks and the image root
//
// D's plane is read until stage 1 is over, and its tree until the end, after a crash too. So its
// blocks ("the tree") stay held through stage 1, and what the active file system frees of them goes
// to the summary map, whoever else has it.

import {
  BITS_PER_BLOCK,
  BITS_PER_BLOCK_SHIFT,
  BLOCK_SIZE,
  POINTERS_PER_BLOCK,
} from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import type { Address, Vbn } from '../base/units.ts';
import { getPointerVbn } from '../format/pointer.ts';
import type { SnapshotEntry } from '../format/snapshot.ts';
import type { VolumeState } from '../format/volume-state.ts';
import { BitPages } from './bit-pages.ts';
import type { Block } from './block-cache.ts';
import type { Core } from './core.ts';
import { type Access, PRESENT } from './file-node.ts';
import { PlaneUnion } from './plane-union.ts';
import type { SnapshotAction, Unshield } from './snapshots.ts';

/** Map blocks with something in them that one CP handles in stage 1: bounds the freeze turn. */
const DELETE_SLICE = 4;
/** Blocks of the plane that one CP frees in stage 2. */
const TREE_SLICE = 64;

/** The blocks that the plane of the snapshot being deleted consists of. */
export interface PlaneTree {
  readonly id: number;
  readonly pages: BitPages;
  /** By number of the map block; 0 = a hole. */
  readonly leaves: readonly Vbn[];
  /** Indirect blocks, and the image root. */
  readonly uppers: readonly Vbn[];
}

function planeBlocksOf(core: Core): number {
  return Math.ceil(core.volume.vbnLimit / BITS_PER_BLOCK);
}

/** The cursor at which stage 1 is over. */
function planeEndOf(core: Core): number {
  return planeBlocksOf(core) * BITS_PER_BLOCK;
}

/** LOAD: finds the tree of the snapshot being deleted, or about to be. */
export function loadPlaneTree(core: Core, access: Access, entry: SnapshotEntry): PlaneTree {
  if (core.deletionTree?.id === entry.id) return core.deletionTree;
  const { view } = core.arena;
  const node = core.snapshots.plane(entry.id);
  const height = node.height(access);
  const at = (level: number, index: number) => {
    const slot = node.slot(access, level, index);
    return slot === 0 ? 0 : getPointerVbn(view, slot);
  };
  const uppers: Vbn[] = [entry.imageRoot.vbn];
  let count = planeBlocksOf(core);
  const leaves = Array.from({ length: count }, (_, index) => at(0, index));
  for (let level = 1; level < height; level++) {
    count = Math.ceil(count / POINTERS_PER_BLOCK);
    for (let index = 0; index < count; index++) {
      const vbn = at(level, index);
      if (vbn !== 0) uppers.push(vbn);
    }
  }
  const pages = new BitPages();
  const isUnderWay = core.state.deleting === entry.id;
  const done = isUnderWay ? Math.max(0, core.state.deleteCursor - planeEndOf(core)) : 0;
  for (const vbn of [...leaves.slice(done), ...uppers]) if (vbn !== 0) pages.add(vbn);
  core.deletionTree = { id: entry.id, pages, leaves, uppers };
  return core.deletionTree;
}

/** The tree's bits in a map block, while a deletion is under way: they are held, whatever the
 *  planes of the neighbours say. Loaded by the CP's plan. */
export function heldByDeletion(core: Core, mapIndex: number): Uint32Array | undefined {
  if (core.state.deleting === 0) return undefined;
  const tree = core.deletionTree;
  assert(tree?.id === core.state.deleting, 'the tree of a deletion is loaded', tree?.id);
  return tree.pages.page(mapIndex);
}

/** One step of the deletion of a snapshot. */
export class DeleteSlice implements SnapshotAction {
  readonly newSlot = undefined;
  readonly #core: Core;
  readonly #entry: SnapshotEntry;
  /** Where the slice ends, as a cursor. */
  #cursor: number;
  readonly #planeEnd: number;
  /** Stage 1: what only the snapshot has, by map block; pinned frames of the CP. */
  readonly #candidates = new Map<number, Block | undefined>();
  /** Keepers' planes that are being united. */
  readonly #unions = new Map<number, PlaneUnion>();
  /** Stage 2: blocks of the tree that no keeper has. */
  #lone: Vbn[] = [];
  /** Stage 2: blocks of the tree that the slice is done with. */
  #treeVbns: readonly Vbn[] = [];
  readonly #cursorFirst: number;

  constructor(core: Core, entry: SnapshotEntry) {
    this.#core = core;
    this.#entry = entry;
    this.#cursorFirst = core.state.deleting === entry.id ? core.state.deleteCursor : 0;
    this.#cursor = this.#cursorFirst;
    this.#planeEnd = planeEndOf(core);
  }

  plan(access: Access, touched: Set<number>): void {
    const tree = loadPlaneTree(this.#core, access, this.#entry);
    if (this.#cursorFirst >= this.#planeEnd) {
      this.#planTree(access, touched, tree);
      return;
    }
    let full = 0;
    for (const block of this.#candidates.values()) if (block !== undefined) full++;
    // Goes on where the last attempt missed a block.
    while (this.#cursor < this.#planeEnd && full < DELETE_SLICE) {
      const index = this.#cursor / BITS_PER_BLOCK;
      const block = this.#candidate(access, index, tree);
      this.#candidates.set(index, block);
      if (block !== undefined) full++;
      this.#cursor += BITS_PER_BLOCK;
    }
    for (const [index, block] of this.#candidates) if (block !== undefined) touched.add(index);
  }

  /** The snapshot's plane without its tree and its keepers' planes for one map block, undefined
   *  where nothing is left. */
  #candidate(access: Access, index: number, tree: PlaneTree): Block | undefined {
    const { snapshots, cache, kernels, arena } = this.#core;
    const own = snapshots.plane(this.#entry.id).find(access, 0, index);
    if (own === undefined) return undefined;
    const keepers = this.#keepers(access, index);
    const frame = cache.startLoad();
    assert(frame !== undefined, 'the CP has a frame of its own');
    arena.u8.copyWithin(frame.address, own.address, own.address + BLOCK_SIZE);
    if (keepers.address !== 0) {
      kernels.planeAndNot(frame.address, frame.address, keepers.address, BLOCK_SIZE);
    }
    keepers.drop();
    this.#unions.delete(index);
    const held = tree.pages.page(index);
    if (held !== undefined) {
      const at = frame.address >>> 2;
      held.forEach((bits, word) => {
        arena.u32[at + word] = (arena.u32[at + word] as number) & ~bits;
      });
    }
    if (kernels.isZero(frame.address, BLOCK_SIZE) !== 0) {
      cache.abandonLoad(frame);
      return undefined;
    }
    return frame;
  }

  /** The planes of those whose blocks stay, for one map block. */
  #keepers(access: Access, index: number): PlaneUnion {
    let union = this.#unions.get(index);
    if (union === undefined) {
      const { snapshots } = this.#core;
      union = new PlaneUnion(this.#core, snapshots.keepersOf(this.#entry), index);
      this.#unions.set(index, union);
    }
    union.load(access);
    return union;
  }

  #planTree(access: Access, touched: Set<number>, tree: PlaneTree): void {
    const first = this.#cursorFirst - this.#planeEnd;
    const isLast = first >= tree.leaves.length;
    const vbns = isLast ? tree.uppers : tree.leaves.slice(first, first + TREE_SLICE);
    this.#lone = [];
    this.#treeVbns = vbns;
    for (const vbn of vbns) {
      if (vbn === 0) continue;
      const index = vbn >>> BITS_PER_BLOCK_SHIFT;
      touched.add(index);
      const keepers = this.#keepers(access, index);
      if (!hasBit(this.#core, keepers.address, vbn)) this.#lone.push(vbn);
    }
    this.#cursor = isLast
      ? deletionEndOf(this.#core)
      : this.#planeEnd + Math.min(tree.leaves.length, first + TREE_SLICE);
  }

  freeze(unshield: Unshield): void {
    const { maps, cache } = this.#core;
    for (const vbn of this.#lone) {
      const index = vbn >>> BITS_PER_BLOCK_SHIFT;
      const active = maps.files.active.find(PRESENT, 0, index);
      if (active === undefined || !hasBit(this.#core, active.address, vbn)) maps.freeSummary(vbn);
      unshield.block(vbn);
    }
    for (const vbn of this.#treeVbns) this.#core.deletionTree?.pages.delete(vbn);
    for (const union of this.#unions.values()) union.drop();
    for (const [index, frame] of this.#candidates) {
      if (frame === undefined) continue;
      this.#free(index, frame);
      // The active map's own blocks are freed after this: the snapshot must not shield them any
      // more.
      unshield.plane(index, frame.address);
      cache.abandonLoad(frame);
    }
  }

  /** Frees the candidates of a map block that the active file system does not have. */
  #free(index: number, frame: Block): void {
    const { maps, arena } = this.#core;
    const active = maps.files.active.find(PRESENT, 0, index);
    const first = index * BITS_PER_BLOCK;
    for (let word = 0; word < BITS_PER_BLOCK / 32; word++) {
      const candidates = arena.u32[(frame.address >>> 2) + word] as number;
      const held = active === undefined ? 0 : arena.u32[(active.address >>> 2) + word];
      let bits = candidates & ~(held as number);
      while (bits !== 0) {
        const bit = 31 - Math.clz32(bits & -bits);
        maps.freeSummary((first + word * 32 + bit) as Vbn);
        bits &= bits - 1;
      }
    }
  }

  imagePlaced(): void {}

  updateState(state: VolumeState): void {
    state.deleting = this.#entry.id;
    state.deleteCursor = this.#cursor;
  }
}

function hasBit(core: Core, plane: Address, vbn: Vbn): boolean {
  if (plane === 0) return false;
  const bit = vbn % BITS_PER_BLOCK;
  const word = core.arena.u32[(plane >>> 2) + (bit >>> 5)] as number;
  return ((word >>> (bit & 31)) & 1) === 1;
}

/** The cursor of a deletion that has freed everything. */
export function deletionEndOf(core: Core): number {
  return planeEndOf(core) + planeBlocksOf(core) + 1;
}

/** Whether the deletion under way has freed everything. */
export function isDeletionComplete(core: Core): boolean {
  return core.state.deleting !== 0 && core.state.deleteCursor >= deletionEndOf(core);
}

/** The entry goes, and its children become its parent's. In memory; the next CP writes it. Until
 *  then disk and memory mean the same, for all is below the cursor. */
export function finishDeletion(core: Core): void {
  const { state, snapshots } = core;
  const entry = snapshots.get(state.deleting);
  assert(entry !== undefined, 'the snapshot being deleted is there', state.deleting);
  for (const other of snapshots.all()) {
    if (other.parent !== entry.id) continue;
    snapshots.update(other.id, (child) => {
      child.parent = entry.parent;
    });
  }
  snapshots.remove(entry.id);
  if (state.parent === entry.id) state.parent = entry.parent;
  state.deleting = 0;
  state.deleteCursor = 0;
  core.deletionTree = undefined;
}
