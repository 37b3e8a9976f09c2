// Rollback: the active file system becomes a snapshot's image again; all snapshots stay
// (ENGINE 26).
//
// A CP first commits what is dirty. Then, with messages held off, the maps change in memory, the
// image is replaced by the snapshot's own (not a block of it is written), and a CP of the volume
// files alone makes that durable. A crash before its root is the state before; one after it, the
// state after. Handles that were open give ESTALE.

import { BITS_PER_BLOCK } from '../../assembly/layout/block.ts';
import { FsError } from '../base/errors.ts';
import { type Step, wait } from '../base/task.ts';
import type { SnapshotEntry } from '../format/snapshot.ts';
import type { Block } from './block-cache.ts';
import type { Core } from './core.ts';
import { type Access, PRESENT } from './file-node.ts';
import type { FileSystem } from './file-system.ts';
import { PlaneUnion } from './plane-union.ts';
import { heldByDeletion, loadPlaneTree } from './snapshot-deletion.ts';

/** Rolls the active file system back. To be run as `core.barrier`. */
export function* rollBack(fs: FileSystem, name: string): Step<void> {
  const { core } = fs;
  core.refuseIfUnusable();
  if (core.isReadOnly) throw new FsError('EROFS', { syscall: 'rollback', path: name });
  yield* wait(fs.driver.drain());
  yield* fs.quiesce();
  const entry = core.snapshots.byName(name);
  if (entry === undefined) throw new FsError('ENOENT', { syscall: 'rollback', path: name });
  yield* fs.rollingBack(rollBackTo(fs, entry));
}

function* rollBackTo(fs: FileSystem, entry: SnapshotEntry): Step<void> {
  try {
    yield* changeMaps(fs, entry);
    yield* replaceImage(fs, entry);
  } catch (error) {
    // The maps in memory are in between: nothing of this may be written.
    fs.core.fail(error);
    throw error;
  }
  yield* fs.runVolumeFilesCp();
}

function* changeMaps(fs: FileSystem, entry: SnapshotEntry): Step<void> {
  const { core } = fs;
  const target = core.snapshots.plane(entry.id);
  const count = Math.ceil(core.volume.vbnLimit / BITS_PER_BLOCK);
  for (let index = 0; index < count; index++) {
    const isSame = yield* fs.loadUntilReady((access) => {
      const ours = core.maps.files.active.slot(access, 0, index);
      const theirs = target.slot(access, 0, index);
      return isSamePointerAt(core, ours, theirs);
    });
    // What both have, neither loses: the summary map does not change.
    if (isSame) continue;
    const shield = new PlaneUnion(core, core.snapshots.neighbours(core.state, index), index);
    yield* fs.loadUntilReady((access) => {
      loadBlock(core, access, entry, index);
      shield.load(access);
    });
    changeBlock(core, entry, index, shield);
    shield.drop();
  }
}

function isSamePointerAt(core: Core, a: number, b: number): boolean {
  const { view } = core.arena;
  if (a === 0 || b === 0) return a === b;
  for (let offset = 0; offset < 16; offset += 4) {
    if (view.getUint32(a + offset, true) !== view.getUint32(b + offset, true)) return false;
  }
  return true;
}

/** LOAD: all planes that tell what becomes of one map block. */
function loadBlock(core: Core, access: Access, entry: SnapshotEntry, index: number): void {
  core.maps.files.active.find(access, 0, index);
  core.maps.files.summary.find(access, 0, index);
  core.snapshots.plane(entry.id).find(access, 0, index);
  const doomed = core.snapshots.get(core.state.deleting);
  if (doomed !== undefined) loadPlaneTree(core, access, doomed);
  const areaBlocks = core.maps.areaBlocksOf(index);
  for (const block of areaBlocks) core.maps.files.areaTable.find(access, 0, block);
}

function changeBlock(core: Core, entry: SnapshotEntry, index: number, shield: PlaneUnion): void {
  const { snapshots, maps } = core;
  const held = heldByDeletion(core, index);
  if (held !== undefined) shield.add(held);
  const addressOf = (block: Block | undefined) => block?.address ?? 0;
  maps.rollBack(index, {
    active: addressOf(maps.files.active.find(PRESENT, 0, index)),
    target: addressOf(snapshots.plane(entry.id).find(PRESENT, 0, index)),
    shield: shield.address,
  });
}

function* replaceImage(fs: FileSystem, entry: SnapshotEntry): Step<void> {
  const { core } = fs;
  const root = yield* fs.fetchBlock(entry.imageRoot);
  core.image.release();
  fs.setImage(root, entry.imageRoot);
  core.maps.activeCount = entry.blocks;
  core.state.parent = entry.id;
  core.state.rollbacks++;
  core.generation++;
}
