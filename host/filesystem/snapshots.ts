// Snapshots: taking, holding, deleting, rolling back. What changes maps or the snapshot table
// happens as an action of a CP; the rules are ENGINE 26-30, the tree is snapshot-table.ts.

import { BITS_PER_BLOCK, BITS_PER_BLOCK_SHIFT, BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import type { Address, Instant, Vbn } from '../base/units.ts';
import type { Pointer } from '../format/pointer.ts';
import type { SnapshotEntry } from '../format/snapshot.ts';
import type { VolumeState } from '../format/volume-state.ts';
import type { Block } from './block-cache.ts';
import type { Core } from './core.ts';
import { type Access, PRESENT } from './file-node.ts';
import { MISSING } from './load.ts';

/** The image that a CP just placed. */
export interface PlacedImage {
  readonly imageRoot: Pointer;
  readonly plane: Uint8Array;
  readonly time: Instant;
  readonly blocks: number;
}

/** Something that a CP does beside writing what is dirty. Called in this order. */
export interface SnapshotAction {
  /** Slot of the snapshot table that it will fill. */
  readonly newSlot: number | undefined;
  /** LOAD: reads what it needs, and adds the map blocks that it will change. */
  plan(access: Access, touched: Set<number>): void;
  /** After the active file system's own frees, but for those of its map blocks. `unshield` takes
   *  blocks (a plane, at an address) out of what shields those. */
  freeze(unshield: (mapIndex: number, plane: Address) => void): void;
  imagePlaced(image: PlacedImage): void;
  updateState(state: VolumeState): void;
}

/** Makes the image of the CP a snapshot. */
export class CreateSnapshot implements SnapshotAction {
  newSlot: number | undefined;
  readonly #core: Core;
  readonly #name: string;
  /** What was made; undefined where another one had taken the name meanwhile. */
  entry: SnapshotEntry | undefined;

  constructor(core: Core, name: string) {
    this.#core = core;
    this.#name = name;
  }

  plan(): void {
    this.newSlot = this.#core.snapshots.freeSlot();
  }
  freeze(): void {}

  imagePlaced(image: PlacedImage): void {
    const { state, snapshots } = this.#core;
    if (snapshots.byName(this.#name) !== undefined) return;
    this.entry = {
      id: state.snapshotNext,
      parent: state.parent,
      owner: 0,
      holds: 0,
      name: this.#name,
      time: image.time,
      cp: state.cp + 1,
      blocks: image.blocks,
      imageRoot: image.imageRoot,
      isDeleted: false,
      plane: image.plane,
    };
    assert(snapshots.freeSlot() === this.newSlot, 'the slot is still free', this.newSlot);
    snapshots.add(this.entry);
  }

  updateState(state: VolumeState): void {
    if (this.entry === undefined) return;
    state.snapshotNext = this.entry.id + 1;
    state.parent = this.entry.id;
  }
}

/** Map blocks with something in them that one CP handles of a deletion: bounds the freeze turn. */
const DELETE_SLICE = 4;

/** One step of the deletion of a snapshot: frees what only it has, in the next map blocks. */
export class DeleteSlice implements SnapshotAction {
  readonly newSlot = undefined;
  readonly #core: Core;
  readonly #entry: SnapshotEntry;
  /** Where the slice begins and ends, as map blocks. */
  readonly #first: number;
  #limit: number;
  /** What only the snapshot has, by map block; pinned frames of the CP. */
  readonly #candidates = new Map<number, Block | undefined>();
  readonly #planeBlocks: number;

  constructor(core: Core, entry: SnapshotEntry) {
    this.#core = core;
    this.#entry = entry;
    const isUnderWay = core.state.deleting === entry.id;
    this.#first = isUnderWay ? core.state.deleteCursor >>> BITS_PER_BLOCK_SHIFT : 0;
    this.#limit = this.#first;
    this.#planeBlocks = Math.ceil(core.volume.vbnLimit / BITS_PER_BLOCK);
  }

  plan(access: Access, touched: Set<number>): void {
    let full = 0;
    for (const block of this.#candidates.values()) if (block !== undefined) full++;
    // Goes on where the last attempt missed a block.
    while (this.#limit < this.#planeBlocks && full < DELETE_SLICE) {
      const block = this.#candidate(access, this.#limit);
      this.#candidates.set(this.#limit, block);
      if (block !== undefined) full++;
      this.#limit++;
    }
    for (const [index, block] of this.#candidates) if (block !== undefined) touched.add(index);
  }

  /** The snapshot's plane without its keepers' for one map block, undefined where nothing is
   *  left. */
  #candidate(access: Access, index: number): Block | undefined {
    const { snapshots, cache, kernels } = this.#core;
    const own = snapshots.plane(this.#entry.id).find(access, 0, index);
    if (own === undefined) return undefined;
    const keepers: Block[] = [];
    let isMissing = false;
    for (const id of snapshots.keepersOf(this.#entry)) {
      try {
        const block = snapshots.plane(id).find(access, 0, index);
        if (block !== undefined) keepers.push(block);
      } catch (error) {
        if (error !== MISSING) throw error;
        isMissing = true;
      }
    }
    if (isMissing) throw MISSING;
    const frame = cache.startLoad();
    assert(frame !== undefined, 'the CP has a frame of its own');
    this.#core.arena.u8.copyWithin(frame.address, own.address, own.address + BLOCK_SIZE);
    for (const { address } of keepers) {
      kernels.planeAndNot(frame.address, frame.address, address, BLOCK_SIZE);
    }
    if (kernels.isZero(frame.address, BLOCK_SIZE) !== 0) {
      cache.abandonLoad(frame);
      return undefined;
    }
    return frame;
  }

  freeze(unshield: (mapIndex: number, plane: Address) => void): void {
    const { maps, arena, cache } = this.#core;
    for (const [index, frame] of this.#candidates) {
      if (frame === undefined) continue;
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
      // The active map's own blocks are freed after this: the snapshot must not shield them any
      // more.
      unshield(index, frame.address);
      cache.abandonLoad(frame);
    }
  }

  imagePlaced(): void {}

  updateState(state: VolumeState): void {
    state.deleting = this.#entry.id;
    state.deleteCursor = this.#limit * BITS_PER_BLOCK;
  }
}

/** The cursor has come to the end: the entry goes, and its children become its parent's. In memory;
 *  the next CP writes it. Until then disk and memory mean the same, for all is below the cursor. */
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
}

/** Whether the deletion under way has gone through all map blocks. */
export function isDeletionComplete(core: Core): boolean {
  return core.state.deleting !== 0 && core.state.deleteCursor >= core.volume.vbnLimit;
}
