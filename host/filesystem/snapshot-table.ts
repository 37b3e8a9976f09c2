// The snapshot table in memory, and the snapshot tree: who is whose neighbour.
//
// Snapshots form a tree, and the active file system has a place in it too (ENGINE 26): its parent
// is the snapshot taken last, or rolled back to. Its neighbours are that parent and the parent's
// other children (siblings). While snapshot D is being deleted, map blocks below the cursor are in
// the state after it (D is gone, its children are its parent's) and those above in the state before
// (ENGINE 27): every question about neighbours is asked for one map block.

import {
  BITS_PER_BLOCK,
  BLOCK_SIZE,
  KIND_IMAGE_ROOT,
  KIND_MAP,
} from '../../assembly/layout/block.ts';
import { IMAGE_ROOT_ACTIVE_MAP_OFFSET } from '../../assembly/layout/image-root.ts';
import { SNAPSHOT_ENTRY_SIZE, SNAPSHOTS_PER_BLOCK } from '../../assembly/layout/snapshot.ts';
import { assert } from '../base/assert.ts';
import { FsError, StorageError } from '../base/errors.ts';
import type { Vbn } from '../base/units.ts';
import { setInodeSizeBytes } from '../format/inode.ts';
import { decodeSnapshot, encodeSnapshot, type SnapshotEntry } from '../format/snapshot.ts';
import type { VolumeState } from '../format/volume-state.ts';
import type { Arena } from '../kernels/arena.ts';
import type { BlockCache } from './block-cache.ts';
import { type Access, FileNode } from './file-node.ts';

/** Entries in a table: a bound for what a medium can make us read. */
export const SNAPSHOTS_MAX = 65536;

export class SnapshotTable {
  readonly file: FileNode;
  readonly #arena: Arena;
  readonly #cache: BlockCache;
  /** By slot of the table; undefined = free. */
  readonly #slots: (SnapshotEntry | undefined)[] = [];
  readonly #byId = new Map<number, { entry: SnapshotEntry; slot: number }>();
  readonly #byName = new Map<string, SnapshotEntry>();
  /** Why the table could not be read: users are not told that there is no snapshot. */
  damage: Error | undefined;
  readonly #changedSlots = new Set<number>();
  readonly #planes = new Map<number, FileNode>();

  constructor(file: FileNode, cache: BlockCache) {
    this.file = file;
    this.#cache = cache;
    this.#arena = cache.arena;
  }

  /** Snapshots that users see, oldest first. */
  list(): SnapshotEntry[] {
    this.#checkRead();
    const entries: SnapshotEntry[] = [];
    for (const { entry } of this.#byId.values()) if (!entry.isDeleted) entries.push(entry);
    return entries.sort((a, b) => a.id - b.id);
  }
  get(id: number): SnapshotEntry | undefined {
    return this.#byId.get(id)?.entry;
  }
  byName(name: string): SnapshotEntry | undefined {
    this.#checkRead();
    return this.#byName.get(name);
  }
  #checkRead(): void {
    if (this.damage !== undefined) throw new FsError('EIO', { cause: this.damage });
  }
  /** Snapshots that users see; 0 where the table could not be read. */
  get visibleCount(): number {
    return this.all().filter((entry) => !entry.isDeleted).length;
  }
  all(): SnapshotEntry[] {
    return [...this.#byId.values()].map(({ entry }) => entry);
  }
  /** The next one to delete: the smallest id that is marked. */
  nextDeleted(): SnapshotEntry | undefined {
    return this.all()
      .filter((entry) => entry.isDeleted)
      .sort((a, b) => a.id - b.id)[0];
  }
  /** Upper bound of the blocks that deletions under way give back. */
  get reclaimable(): number {
    let blocks = 0;
    for (const { entry } of this.#byId.values()) if (entry.isDeleted) blocks += entry.blocks;
    return blocks;
  }
  get hasChanges(): boolean {
    return this.#changedSlots.size > 0;
  }

  /** LOAD, at mount: reads the whole table. @throws BAD_MAGIC. */
  readAll(access: Access, sizeBytes: number): void {
    const { u8 } = this.#arena;
    if (sizeBytes > SNAPSHOTS_MAX * SNAPSHOT_ENTRY_SIZE) {
      throw new StorageError('BAD_MAGIC', `a snapshot table of ${sizeBytes} bytes`);
    }
    for (let index = 0; index * BLOCK_SIZE < sizeBytes; index++) this.file.find(access, 0, index);
    this.#byId.clear();
    this.#byName.clear();
    for (let slot = 0; slot * SNAPSHOT_ENTRY_SIZE < sizeBytes; slot++) {
      const block = this.file.find(access, 0, Math.floor(slot / SNAPSHOTS_PER_BLOCK));
      if (block === undefined) continue;
      const at = block.address + (slot % SNAPSHOTS_PER_BLOCK) * SNAPSHOT_ENTRY_SIZE;
      const entry = decodeSnapshot(u8.slice(at, at + SNAPSHOT_ENTRY_SIZE));
      this.#slots[slot] = entry;
      if (entry === undefined) continue;
      const isTwin = !entry.isDeleted && this.#byName.has(entry.name);
      if (isTwin || this.#byId.has(entry.id) || entry.id === 0) {
        throw new StorageError('BAD_MAGIC', `the snapshot table has '${entry.name}' twice`);
      }
      this.#index(entry, slot);
    }
  }

  /** After `readAll`: whether the tree is one. Neighbours are looked up by id without asking again.
   *  @throws BAD_MAGIC. */
  checkTree(state: VolumeState): void {
    const check = (id: number, what: string) => {
      if (id === 0 || this.#byId.has(id)) return;
      throw new StorageError('BAD_MAGIC', `${what}, snapshot ${id}, is not in the snapshot table`);
    };
    check(state.parent, 'the parent of the active file system');
    check(state.deleting, 'the snapshot being deleted');
    for (const { entry } of this.#byId.values())
      check(entry.parent, `the parent of '${entry.name}'`);
  }

  #index(entry: SnapshotEntry, slot: number): void {
    this.#byId.set(entry.id, { entry, slot });
    if (!entry.isDeleted) this.#byName.set(entry.name, entry);
  }

  /** Adds an entry; the table's block changes at the next CP. */
  add(entry: SnapshotEntry): void {
    const slot = this.freeSlot();
    this.#slots[slot] = entry;
    this.#index(entry, slot);
    this.#changedSlots.add(slot);
  }

  /** The slot that the next entry gets. */
  freeSlot(): number {
    for (let slot = 0; slot < this.#slots.length; slot++) {
      if (this.#slots[slot] === undefined) return slot;
    }
    return this.#slots.length;
  }

  /** Changes an entry. */
  update(id: number, change: (entry: SnapshotEntry) => void): void {
    const known = this.#byId.get(id);
    assert(known !== undefined, 'the snapshot is there', id);
    if (this.#byName.get(known.entry.name) === known.entry) this.#byName.delete(known.entry.name);
    change(known.entry);
    if (!known.entry.isDeleted) this.#byName.set(known.entry.name, known.entry);
    this.#changedSlots.add(known.slot);
  }

  remove(id: number): void {
    const known = this.#byId.get(id);
    assert(known !== undefined, 'the snapshot is there', id);
    this.#byId.delete(id);
    this.#planes.delete(id);
    if (this.#byName.get(known.entry.name) === known.entry) this.#byName.delete(known.entry.name);
    this.#slots[known.slot] = undefined;
    this.#changedSlots.add(known.slot);
  }

  /** Blocks of the table that a CP must write now; `extra` is a slot that it will fill. */
  *changedBlocks(extra: number | undefined): Generator<number> {
    const blocks = new Set<number>();
    for (const slot of this.#changedSlots) blocks.add(Math.floor(slot / SNAPSHOTS_PER_BLOCK));
    if (extra !== undefined) blocks.add(Math.floor(extra / SNAPSHOTS_PER_BLOCK));
    yield* blocks;
  }

  /** Freeze: makes those blocks dirty. Their contents come with `fill`. */
  change(extra: number | undefined): void {
    for (const index of this.changedBlocks(extra)) {
      this.file.grow(index);
      this.file.change(0, index, false);
    }
  }

  /** Freeze: writes the entries into the dirty blocks, before they are checksummed. */
  fill(): void {
    for (const block of this.file.dirty.values()) {
      if (block.level !== 0) continue;
      for (let part = 0; part < SNAPSHOTS_PER_BLOCK; part++) {
        const at = block.address + part * SNAPSHOT_ENTRY_SIZE;
        const bytes = this.#arena.bytes(at, SNAPSHOT_ENTRY_SIZE);
        encodeSnapshot(bytes, this.#slots[block.index * SNAPSHOTS_PER_BLOCK + part]);
      }
    }
    const blocks = Math.ceil(this.#slots.length / SNAPSHOTS_PER_BLOCK);
    setInodeSizeBytes(this.#arena.view, this.file.home.change(), blocks * BLOCK_SIZE);
    this.#changedSlots.clear();
  }

  /** A snapshot's plane: the active map of its image. */
  plane(id: number): FileNode {
    const known = this.#planes.get(id);
    if (known !== undefined) return known;
    const entry = this.get(id);
    assert(entry !== undefined, 'the snapshot is there', id);
    const { vbn, checksumLow, checksumHigh } = entry.imageRoot;
    const node = new FileNode(this.#cache, NO_LEDGER, {
      ino: -1,
      kind: KIND_MAP,
      home: {
        read: (access) => {
          const root = this.#cache.find(vbn, checksumLow, checksumHigh, KIND_IMAGE_ROOT);
          if (root === undefined) return access.miss(entry.imageRoot);
          access.found(root);
          return root.address + IMAGE_ROOT_ACTIVE_MAP_OFFSET;
        },
        change: () => {
          throw new Error('a snapshot never changes');
        },
      },
    });
    this.#planes.set(id, node);
    return node;
  }

  /** Parent of a snapshot (or of `state.parent`'s owner, the active file system) for one map
   *  block. */
  #parentAt(parent: number, state: VolumeState, mapIndex: number): number {
    if (parent === 0 || parent !== state.deleting) return parent;
    if (!isBelowCursor(state, mapIndex)) return parent;
    return this.get(parent)?.parent ?? 0;
  }

  /** Snapshots whose planes shield blocks that the active file system frees in a map block. */
  neighbours(state: VolumeState, mapIndex: number): number[] {
    const parent = this.#parentAt(state.parent, state, mapIndex);
    const ids: number[] = parent === 0 ? [] : [parent];
    for (const { entry } of this.#byId.values()) {
      if (entry.id === parent) continue;
      if (entry.id === state.deleting && isBelowCursor(state, mapIndex)) continue;
      if (this.#parentAt(entry.parent, state, mapIndex) === parent) ids.push(entry.id);
    }
    return ids;
  }

  /** Parent, children and siblings of the snapshot being deleted: what they have stays. */
  keepersOf(entry: SnapshotEntry): number[] {
    const ids: number[] = entry.parent === 0 ? [] : [entry.parent];
    for (const { entry: other } of this.#byId.values()) {
      if (other.id === entry.id || other.id === entry.parent) continue;
      if (other.parent === entry.id || other.parent === entry.parent) ids.push(other.id);
    }
    return ids;
  }
}

function isBelowCursor(state: VolumeState, mapIndex: number): boolean {
  return mapIndex < Math.floor(state.deleteCursor / BITS_PER_BLOCK);
}

const NO_LEDGER = {
  free(vbn: Vbn): void {
    assert(false, 'a snapshot frees no block', vbn);
  },
  willFree(vbn: Vbn): void {
    assert(false, 'a snapshot frees no block', vbn);
  },
};
