// The volume files and the volume state: what belongs to no image.

import {
  BLOCK_SIZE,
  KIND_AREAS,
  KIND_DATA,
  KIND_MAP,
  KIND_SNAPSHOTS,
} from '../../../assembly/layout/block.ts';
import { INODE_SIZE } from '../../../assembly/layout/inode.ts';
import { SNAPSHOT_ENTRY_SIZE, SNAPSHOTS_PER_BLOCK } from '../../../assembly/layout/snapshot.ts';
import { isStorageError } from '../../base/errors.ts';
import type { Step } from '../../base/task.ts';
import type { Address } from '../../base/units.ts';
import { decodeSnapshot, type SnapshotEntry } from '../../format/snapshot.ts';
import {
  decodeVolumeState,
  VOLUME_FILE_OFFSETS,
  type VolumeState,
} from '../../format/volume-state.ts';
import { checkSpecialInode } from './image-check.ts';
import { isZeroAt } from './inode-check.ts';
import type { MapPointers } from './planes.ts';
import { Owner, type Place, TreeWalk, type VerifyContext } from './tree-walk.ts';

export interface VolumeFiles {
  readonly owner: Owner;
  readonly state: VolumeState;
  readonly summary: MapPointers;
  readonly areaTable: MapPointers;
  readonly entries: readonly SnapshotEntry[];
}

/** Reads the volume state and the trees of the volume files. */
export function* readVolumeFiles(context: VerifyContext): Step<VolumeFiles> {
  const owner = new Owner(context.findings);
  const bytes = context.core.volume.state.slice();
  const view = new DataView(bytes.buffer);
  const state = readState(context, owner, bytes);
  const walk = new TreeWalk(context, owner);
  const found = { summary: new Map() as MapPointers, areaTable: new Map() as MapPointers };
  const collect = (pointers: MapPointers, name: string, kind: number, at: number) => {
    const file = checkSpecialInode(owner, view, at, { name, kind });
    const onLeaf = ({ index, pointer }: Place) => void pointers.set(index, pointer);
    if (file !== undefined) walk.add({ ...file, onLeaf }, view, at, false);
  };
  collect(found.summary, 'the summary map', KIND_MAP, VOLUME_FILE_OFFSETS.summaryMap);
  collect(found.areaTable, 'the area table', KIND_AREAS, VOLUME_FILE_OFFSETS.areaTable);
  const mirror = VOLUME_FILE_OFFSETS.mirrorState;
  if (!isZeroAt(view, mirror, mirror + INODE_SIZE)) {
    collect(new Map(), 'the mirror state', KIND_DATA, mirror);
  }
  const entries = addSnapshotTable(context, owner, walk, view);
  yield* walk.drain(true);
  return { owner, state, ...found, entries };
}

/** The state as the root has it; where it has none that can be, the one that was mounted. */
function readState(context: VerifyContext, owner: Owner, bytes: Uint8Array): VolumeState {
  try {
    return decodeVolumeState(bytes);
  } catch (error) {
    if (!isStorageError(error)) throw error;
    owner.note('state', error.message);
    return context.core.state;
  }
}

function addSnapshotTable(
  context: VerifyContext,
  owner: Owner,
  walk: TreeWalk,
  view: DataView,
): SnapshotEntry[] {
  const entries: SnapshotEntry[] = [];
  const at = VOLUME_FILE_OFFSETS.snapshotTable;
  const options = { name: 'the snapshot table', kind: KIND_SNAPSHOTS };
  const file = checkSpecialInode(owner, view, at, options);
  if (file === undefined) return entries;
  const visitLeaf = (place: Place, address: Address) => {
    for (let part = 0; part < SNAPSHOTS_PER_BLOCK; part++) {
      const from = address + part * SNAPSHOT_ENTRY_SIZE;
      const bytes = context.core.arena.u8.slice(from, from + SNAPSHOT_ENTRY_SIZE);
      const entry = readEntry(owner, bytes, place.index * SNAPSHOTS_PER_BLOCK + part);
      if (entry !== undefined) entries.push(entry);
    }
  };
  walk.add({ ...file, leaves: 'all', visitLeaf }, view, at, false);
  return entries;
}

function readEntry(owner: Owner, bytes: Uint8Array, slot: number): SnapshotEntry | undefined {
  const which = `entry ${slot} of the snapshot table`;
  try {
    return decodeSnapshot(bytes);
  } catch (error) {
    if (!isStorageError(error)) throw error;
    owner.note('snapshot-entry', `${which}: ${error.message}`);
    owner.isPartial = true;
    return undefined;
  }
}

/** Ids, names and parents of the table's entries, and what the state says of them. */
export function checkSnapshotTable(files: VolumeFiles): void {
  const { owner, state, entries } = files;
  const byId = new Map<number, SnapshotEntry>();
  const names = new Set<string>();
  for (const entry of entries) {
    const { id, name, isDeleted, holds } = entry;
    if (byId.has(id)) owner.note('snapshot-entry', `two snapshots have the id ${id}`);
    byId.set(id, entry);
    if (!isDeleted && names.has(name)) {
      owner.note('snapshot-entry', `two snapshots have the name ${name}`);
    }
    if (!isDeleted) names.add(name);
    if (id === 0 || id >= state.snapshotNext) {
      owner.note('snapshot-entry', `snapshot ${id}; the next one would be ${state.snapshotNext}`);
    }
    if (isDeleted && holds > 0) {
      owner.note('snapshot-entry', `snapshot ${id} is deleted and held`);
    }
  }
  if (owner.isPartial) return;
  const isThere = (id: number) => id === 0 || byId.has(id);
  for (const { id, parent } of entries) {
    if (!isThere(parent))
      owner.note('snapshot-tree', `the parent ${parent} of snapshot ${id} is not`);
    if (isCyclic(byId, id)) owner.note('snapshot-tree', `snapshot ${id} descends from itself`);
  }
  if (!isThere(state.parent)) {
    owner.note('snapshot-tree', `the parent ${state.parent} of the active file system is not`);
  }
  if (!isThere(state.deleting) || (state.deleting !== 0 && !byId.get(state.deleting)?.isDeleted)) {
    owner.note('state', `snapshot ${state.deleting} is being deleted, which nobody asked for`);
  }
  if (state.deleting === 0 && state.deleteCursor !== 0) {
    owner.note('state', `nothing is being deleted, up to block ${state.deleteCursor}`);
  }
}

function isCyclic(byId: ReadonlyMap<number, SnapshotEntry>, id: number): boolean {
  let at = byId.get(id)?.parent ?? 0;
  for (let steps = 0; steps <= byId.size; steps++) {
    if (at === 0 || at === id) return at === id;
    at = byId.get(at)?.parent ?? 0;
  }
  // A circle further up: those in it say so.
  return false;
}

/** The area table against what was counted: `used` by area, as the maps say. */
export function* checkAreaTable(
  context: VerifyContext,
  files: VolumeFiles,
  used: Uint32Array,
): Step<void> {
  const { u16 } = context.core.arena;
  const { owner } = files;
  const perBlock = BLOCK_SIZE / 2;
  const isRead = new Set<number>();
  const compare = (index: number, valueAt: (at: number) => number) => {
    for (let at = 0; at < perBlock; at++) {
      const area = index * perBlock + at;
      const stated = valueAt(at);
      if (area >= used.length) {
        if (stated !== 0) owner.note('map-range', `the area table has an area ${area}`);
      } else if (stated !== used[area]) {
        owner.note('area-count', `area ${area} says ${stated} blocks in use, has ${used[area]}`);
      }
    }
  };
  const items = [...files.areaTable].map(([index, pointer]) => ({ index, pointer }));
  yield* context.reader.each(items, {
    keeps: () => false,
    visit: ({ index }, address) => {
      isRead.add(index);
      compare(index, (at) => u16[(address >>> 1) + at] as number);
    },
    fail: ({ index, pointer }, error) => {
      isRead.add(index);
      const { vbn } = pointer;
      owner.note('bad-block', `the area table (block ${index}): ${error.message}`, { vbn });
    },
  });
  for (let index = 0; index * perBlock < used.length; index++) {
    if (!isRead.has(index)) compare(index, () => 0);
  }
}
