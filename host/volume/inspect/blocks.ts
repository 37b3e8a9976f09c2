// Blocks that a volume root leads to, read from the disks as they are: no parity, no log, no cache.

import {
  BLOCK_SIZE,
  KIND_AREAS,
  KIND_DATA,
  KIND_DIRECTORY,
  KIND_IMAGE_ROOT,
  KIND_INDIRECT,
  KIND_INODES,
  KIND_MAP,
  KIND_SNAPSHOTS,
  KIND_XATTR,
  POINTER_SIZE,
} from '../../../assembly/layout/block.ts';
import {
  IMAGE_ROOT_ACTIVE_MAP_OFFSET,
  IMAGE_ROOT_INODE_FILE_OFFSET,
  IMAGE_ROOT_INODE_MAP_OFFSET,
} from '../../../assembly/layout/image-root.ts';
import {
  INODE_LEVEL_MAX,
  INODE_POINTERS,
  INODE_SIZE,
  INODE_XATTR_OFFSET,
  INODES_PER_BLOCK,
} from '../../../assembly/layout/inode.ts';
import {
  SNAPSHOT_ENTRY_SIZE,
  SNAPSHOT_IMAGE_ROOT_OFFSET,
} from '../../../assembly/layout/snapshot.ts';
import {
  IMAGE_ENTRY_POINTER_OFFSET,
  VOLUME_STATE_AREAS_OFFSET,
  VOLUME_STATE_IMAGES_OFFSET,
  VOLUME_STATE_MIRROR_OFFSET,
  VOLUME_STATE_SNAPSHOTS_OFFSET,
  VOLUME_STATE_SUMMARY_MAP_OFFSET,
} from '../../../assembly/layout/volume-state.ts';
import type { Ino, Vbn } from '../../base/units.ts';
import type { Disk } from '../../device/device.ts';
import { S_IFDIR, S_IFMT } from '../../filesystem/operations.ts';
import type { Hash } from '../../format/envelope.ts';
import { inodeLevel, inodeMode, inodePointerAt } from '../../format/inode.ts';
import { getPointer, type Pointer } from '../../format/pointer.ts';
import type { VolumeRoot } from '../../format/volume-root.ts';
import { Geometry } from '../../raid/geometry.ts';
import { type Inspected, inspectBlock, viewOf } from './decode.ts';
import { readDisk } from './front.ts';

/** A block and where it lies. */
export interface FoundBlock extends Inspected {
  readonly vbn: Vbn;
  readonly disk: Disk;
  readonly offsetBytes: number;
  readonly kind: number;
  readonly bytes: Uint8Array;
  /** Number of its first inode, of a block of the inode file. */
  readonly inoFirst?: Ino;
}

interface Place {
  readonly pointer: Pointer;
  /** What its place asks for: KIND_*. */
  readonly kind: number;
  /** Distance from level 0, of an indirect block. */
  readonly level: number;
  readonly index: number;
  /** KIND_* of level 0. */
  readonly leafKind: number;
}

export class BlockFinder {
  readonly #disks: ReadonlyMap<string, Disk>;
  readonly #geometry: Geometry;
  readonly #root: VolumeRoot;
  readonly #hash: Hash;

  /** `disks` by the UUID in their label. @throws InvariantError for a root that no volume has. */
  constructor(root: VolumeRoot, disks: ReadonlyMap<string, Disk>, hash: Hash) {
    this.#root = root;
    this.#disks = disks;
    this.#hash = hash;
    this.#geometry = new Geometry(root.members, root.ranges, root.groupCount);
  }

  /** The block that a pointer leads to; undefined where its disk is not there. */
  async read(pointer: Pointer, kind: number): Promise<FoundBlock | undefined> {
    const extent = this.#geometry.find(pointer.vbn);
    const member = extent === undefined ? undefined : this.#root.members[extent.member];
    const disk = this.#disks.get(member?.uuid ?? '');
    if (extent === undefined || disk === undefined) return undefined;
    const dbn = extent.dbnFirst + (pointer.vbn - extent.vbnFirst);
    const bytes = await readDisk(disk, dbn, 1);
    if (bytes === undefined) return undefined;
    const inspected = inspectBlock(kind, bytes);
    const problems = [...inspected.problems];
    const { low, high } = this.#hash(bytes);
    if (low !== pointer.checksumLow || high !== pointer.checksumHigh) {
      problems.push('its checksum is not what the pointer to it says');
    }
    if (pointer.kind !== kind) problems.push(`the pointer to it says kind ${pointer.kind}`);
    const { vbn } = pointer;
    return { ...inspected, problems, vbn, disk, offsetBytes: dbn * BLOCK_SIZE, kind, bytes };
  }

  /** Every block that the root leads to, data only where `wantsData`; each once. What is damaged is
   *  given and not followed. */
  async *walk(wantsData: (vbn: Vbn) => boolean): AsyncGenerator<FoundBlock> {
    const stack = this.#roots();
    const seen = new Set<Vbn>();
    for (let place = stack.pop(); place !== undefined; place = stack.pop()) {
      const { pointer, kind, level, index } = place;
      if (seen.has(pointer.vbn) || (kind === KIND_DATA && !wantsData(pointer.vbn))) continue;
      seen.add(pointer.vbn);
      const found = await this.read(pointer, kind);
      if (found === undefined) continue;
      const isInodes = kind === KIND_INODES && level === 0;
      yield isInodes ? { ...found, inoFirst: index * INODES_PER_BLOCK } : found;
      if (found.problems.length === 0) addChildren(stack, place, found.bytes);
    }
  }

  /** The block of the active image's inode file that has an inode. */
  async findInode(ino: Ino): Promise<FoundBlock | undefined> {
    const view = viewOf(this.#root.state);
    const pointer = getPointer(view, VOLUME_STATE_IMAGES_OFFSET + IMAGE_ENTRY_POINTER_OFFSET);
    const root = await this.read(pointer, KIND_IMAGE_ROOT);
    if (root === undefined || root.problems.length > 0) return undefined;
    const inode = IMAGE_ROOT_INODE_FILE_OFFSET;
    let block = root;
    const index = Math.floor(ino / INODES_PER_BLOCK);
    for (let level = inodeLevel(viewOf(root.bytes), inode) - 1; level >= 0; level--) {
      const child = Math.floor(index / 256 ** level);
      const isTop = block === root;
      if (isTop && child >= INODE_POINTERS) return undefined;
      const at = isTop ? inodePointerAt(inode, child) : (child % 256) * POINTER_SIZE;
      const next = getPointer(viewOf(block.bytes), at);
      const kind = level === 0 ? KIND_INODES : KIND_INDIRECT;
      const found = next.vbn === 0 ? undefined : await this.read(next, kind);
      if (found === undefined || found.problems.length > 0) return found;
      block = found;
    }
    return block === root ? undefined : { ...block, inoFirst: index * INODES_PER_BLOCK };
  }

  /** What the volume state points to. */
  #roots(): Place[] {
    const stack: Place[] = [];
    const view = viewOf(this.#root.state);
    addTree(stack, view, VOLUME_STATE_SUMMARY_MAP_OFFSET, KIND_MAP);
    addTree(stack, view, VOLUME_STATE_AREAS_OFFSET, KIND_AREAS);
    addTree(stack, view, VOLUME_STATE_MIRROR_OFFSET, KIND_DATA);
    addTree(stack, view, VOLUME_STATE_SNAPSHOTS_OFFSET, KIND_SNAPSHOTS);
    addImage(stack, view, VOLUME_STATE_IMAGES_OFFSET + IMAGE_ENTRY_POINTER_OFFSET);
    return stack;
  }
}

function addImage(stack: Place[], view: DataView, at: number): void {
  add(stack, view, at, { kind: KIND_IMAGE_ROOT, level: 0, index: 0, leafKind: 0 });
}

function add(stack: Place[], view: DataView, at: number, place: Omit<Place, 'pointer'>): void {
  const pointer = getPointer(view, at);
  if (pointer.vbn !== 0) stack.push({ ...place, pointer });
}

/** The pointers of an inode. */
function addTree(stack: Place[], view: DataView, at: number, leafKind: number): void {
  const level = inodeLevel(view, at) - 1;
  if (inodeMode(view, at) === 0 || level >= INODE_LEVEL_MAX) return;
  const xattr = { kind: KIND_XATTR, level: 0, index: 0, leafKind: KIND_XATTR };
  add(stack, view, at + INODE_XATTR_OFFSET, xattr);
  for (let index = 0; index < INODE_POINTERS && level >= 0; index++) {
    const kind = level === 0 ? leafKind : KIND_INDIRECT;
    add(stack, view, inodePointerAt(at, index), { kind, level, index, leafKind });
  }
}

function addChildren(stack: Place[], place: Place, bytes: Uint8Array): void {
  const view = viewOf(bytes);
  const { kind, level, index, leafKind } = place;
  if (kind === KIND_INDIRECT && level > 0) {
    const childKind = level === 1 ? leafKind : KIND_INDIRECT;
    for (let child = 0; child * POINTER_SIZE < BLOCK_SIZE; child++) {
      const childIndex = index * 256 + child;
      const at = { kind: childKind, level: level - 1, index: childIndex, leafKind };
      add(stack, view, child * POINTER_SIZE, at);
    }
  } else if (kind === KIND_IMAGE_ROOT) {
    addTree(stack, view, IMAGE_ROOT_ACTIVE_MAP_OFFSET, KIND_MAP);
    addTree(stack, view, IMAGE_ROOT_INODE_MAP_OFFSET, KIND_MAP);
    addTree(stack, view, IMAGE_ROOT_INODE_FILE_OFFSET, KIND_INODES);
  } else if (kind === KIND_INODES) {
    for (let at = 0; at < BLOCK_SIZE; at += INODE_SIZE) {
      const isDirectory = (inodeMode(view, at) & S_IFMT) === S_IFDIR;
      addTree(stack, view, at, isDirectory ? KIND_DIRECTORY : KIND_DATA);
    }
  } else if (kind === KIND_SNAPSHOTS) {
    for (let at = 0; at < BLOCK_SIZE; at += SNAPSHOT_ENTRY_SIZE) {
      addImage(stack, view, at + SNAPSHOT_IMAGE_ROOT_OFFSET);
    }
  }
}
