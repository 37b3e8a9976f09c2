// What a CP does for snapshots: actions, and the one that takes a snapshot. Deletion is
// snapshot-deletion.ts; the rules are ENGINE 26-30, the tree is snapshot-table.ts.

import { assert } from '../base/assert.ts';
import type { Address, Instant, Vbn } from '../base/units.ts';
import type { Pointer } from '../format/pointer.ts';
import type { SnapshotEntry } from '../format/snapshot.ts';
import type { VolumeState } from '../format/volume-state.ts';
import type { Core } from './core.ts';
import type { Access } from './file-node.ts';

/** The image that a CP just placed. */
export interface PlacedImage {
  readonly imageRoot: Pointer;
  readonly plane: Uint8Array;
  readonly time: Instant;
  readonly blocks: number;
}

/** Takes blocks out of what shields the active map's own blocks, which a CP frees last. */
export interface Unshield {
  /** All blocks of a plane, at an address, in one map block. */
  plane(mapIndex: number, plane: Address): void;
  block(vbn: Vbn): void;
}

/** Something that a CP does beside writing what is dirty. Called in this order. */
export interface SnapshotAction {
  /** Slot of the snapshot table that it will fill. */
  readonly newSlot: number | undefined;
  /** LOAD: reads what it needs, and adds the map blocks that it will change. */
  plan(access: Access, touched: Set<number>): void;
  /** After the active file system's own frees, but for those of its map blocks. */
  freeze(unshield: Unshield): void;
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
