// What the maps must say, found the slow way: every block that the roots in a store lead to, walked
// pointer by pointer with the codecs alone, without cache, allocator or snapshot tree.

import {
  AREA_STRIPES,
  BITS_PER_BLOCK,
  BLOCK_SIZE,
  POINTER_SIZE,
  POINTERS_PER_BLOCK,
} from '../../assembly/layout/block.ts';
import {
  IMAGE_ROOT_ACTIVE_MAP_OFFSET,
  IMAGE_ROOT_BLOCKS_USED_OFFSET,
  IMAGE_ROOT_INODE_FILE_OFFSET,
  IMAGE_ROOT_INODE_LIMIT_OFFSET,
  IMAGE_ROOT_INODE_MAP_OFFSET,
  IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET,
} from '../../assembly/layout/image-root.ts';
import {
  INODE_FLAG_ZOMBIE,
  INODE_POINTERS,
  INODE_SIZE,
  INODE_XATTR_OFFSET,
} from '../../assembly/layout/inode.ts';
import { SNAPSHOT_ENTRY_SIZE } from '../../assembly/layout/snapshot.ts';
import {
  inodeBlocks,
  inodeFlags,
  inodeLevel,
  inodeMode,
  inodePointerAt,
  inodeSizeBytes,
} from '../../host/format/inode.ts';
import { getPointerVbn } from '../../host/format/pointer.ts';
import { decodeSnapshot, type SnapshotEntry } from '../../host/format/snapshot.ts';
import {
  decodeVolumeState,
  VOLUME_FILE_OFFSETS,
  type VolumeState,
} from '../../host/format/volume-state.ts';
import { getU64 } from '../../host/format/words.ts';
import type { BlockStore, MemoryVolume } from './memory-volume.ts';

type Found = Map<number, string>;

const viewOf = (bytes: Uint8Array) =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** An image's blocks, and what its active map says. */
interface Walked {
  readonly blocks: Found;
  readonly plane: Set<number>;
  readonly root: DataView;
}

export interface Accounts {
  readonly state: VolumeState;
  readonly snapshots: readonly SnapshotEntry[];
  /** Differences between what is reachable and what the maps and counters say. */
  readonly problems: readonly string[];
  readonly activeCount: number;
  readonly summaryCount: number;
}

/** Walks everything in the store from its newest root. */
export function bruteForce(store: BlockStore, volume: MemoryVolume): Accounts {
  return new Walker(store, volume).run();
}

class Walker {
  readonly #store: BlockStore;
  readonly #volume: MemoryVolume;
  readonly #problems: string[] = [];

  constructor(store: BlockStore, volume: MemoryVolume) {
    this.#store = store;
    this.#volume = volume;
  }

  #say(problem: string): void {
    if (this.#problems.length < 20) this.#problems.push(problem);
  }

  #block(vbn: number, what: string): Uint8Array {
    const bytes = this.#store.blocks.get(vbn);
    if (bytes !== undefined) return bytes;
    this.#say(`${what}: block ${vbn} was never written`);
    return new Uint8Array(BLOCK_SIZE);
  }

  /** All blocks of the tree of the inode at `at`; level-0 blocks are given to `visit`. */
  #tree(
    view: DataView,
    at: number,
    what: string,
    found: Found,
    visit?: (index: number, bytes: Uint8Array) => void,
  ): number {
    let count = 0;
    const height = inodeLevel(view, at);
    const add = (vbn: number, level: number, index: number) => {
      const name = `${what} (${level}, ${index})`;
      const other = found.get(vbn);
      if (other !== undefined) this.#say(`block ${vbn} is in ${other} and in ${name}`);
      found.set(vbn, name);
      count++;
      if (level === 0 && visit === undefined) return;
      const bytes = this.#block(vbn, name);
      if (level === 0) return visit?.(index, bytes);
      const children = viewOf(bytes);
      for (let child = 0; child < POINTERS_PER_BLOCK; child++) {
        const next = getPointerVbn(children, child * POINTER_SIZE);
        if (next !== 0) add(next, level - 1, index * POINTERS_PER_BLOCK + child);
      }
    };
    for (let index = 0; height > 0 && index < INODE_POINTERS; index++) {
      const vbn = getPointerVbn(view, inodePointerAt(at, index));
      if (vbn !== 0) add(vbn, height - 1, index);
    }
    const xattr = getPointerVbn(view, at + INODE_XATTR_OFFSET);
    if (xattr !== 0) {
      if (found.has(xattr)) this.#say(`block ${xattr} is in ${found.get(xattr)} and ${what} xattr`);
      found.set(xattr, `${what} xattr`);
      count++;
    }
    return count;
  }

  #image(rootVbn: number, what: string): Walked {
    const blocks: Found = new Map([[rootVbn, `${what} root`]]);
    const root = viewOf(this.#block(rootVbn, `${what} root`));
    const limit = getU64(root, IMAGE_ROOT_INODE_LIMIT_OFFSET);
    let zombieBlocks = 0;
    this.#tree(root, IMAGE_ROOT_INODE_FILE_OFFSET, `${what} inode file`, blocks, (index, bytes) => {
      const view = viewOf(bytes);
      for (let part = 0; part < 16; part++) {
        const ino = index * 16 + part;
        const at = part * INODE_SIZE;
        if (ino >= limit || inodeMode(view, at) === 0) continue;
        const count = this.#tree(view, at, `${what} ino ${ino}`, blocks);
        const said = inodeBlocks(view, at);
        if (count !== said) this.#say(`${what} ino ${ino} has ${count} blocks, says ${said}`);
        if ((inodeFlags(view, at) & INODE_FLAG_ZOMBIE) !== 0) zombieBlocks += said;
      }
    });
    const zombiesSaid = getU64(root, IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET);
    if (zombieBlocks !== zombiesSaid) {
      this.#say(`${what}: zombies have ${zombieBlocks} blocks, the root says ${zombiesSaid}`);
    }
    this.#tree(root, IMAGE_ROOT_INODE_MAP_OFFSET, `${what} inode map`, blocks);
    const plane = new Set<number>();
    this.#tree(root, IMAGE_ROOT_ACTIVE_MAP_OFFSET, `${what} active map`, blocks, (index, bytes) => {
      addBits(plane, index, bytes);
    });
    this.#equal(new Set(blocks.keys()), plane, `${what}: active map`, blocks);
    const used = getU64(root, IMAGE_ROOT_BLOCKS_USED_OFFSET);
    if (used !== blocks.size)
      this.#say(`${what}: has ${blocks.size} blocks, its root says ${used}`);
    return { blocks, plane, root };
  }

  /** What a snapshot that is being deleted still holds (snapshot-deletion.ts): its plane from the
   *  cursor on, and the plane's own blocks but for those that stage 2 is done with. */
  #doomed(entry: SnapshotEntry, cursor: number): Pick<Walked, 'blocks'> {
    const blocks: Found = new Map();
    const planeBlocks = Math.ceil(this.#volume.vbnLimit / BITS_PER_BLOCK);
    const done = cursor - planeBlocks * BITS_PER_BLOCK;
    if (done > planeBlocks) return { blocks };
    const what = `snapshot ${entry.name}`;
    const tree: Found = new Map();
    const plane = new Set<number>();
    const root = viewOf(this.#block(entry.imageRoot.vbn, `${what} root`));
    this.#tree(root, IMAGE_ROOT_ACTIVE_MAP_OFFSET, what, tree, (index, bytes) => {
      if (done < 0) addBits(plane, index, bytes);
    });
    blocks.set(entry.imageRoot.vbn, `${what} root`);
    for (const [vbn, name] of tree) {
      const leaf = / \(0, (\d+)\)$/.exec(name);
      if (leaf === null || Number(leaf[1]) >= done) blocks.set(vbn, name);
    }
    for (const vbn of plane) if (vbn >= cursor) blocks.set(vbn, what);
    return { blocks };
  }

  #equal(reachable: Set<number>, said: Set<number>, what: string, names?: Found): void {
    for (const vbn of reachable) {
      if (!said.has(vbn)) this.#say(`${what} LOST block ${vbn} ${names?.get(vbn) ?? ''}`);
    }
    for (const vbn of said) if (!reachable.has(vbn)) this.#say(`${what} LEAKED block ${vbn}`);
  }

  #snapshots(files: DataView, found: Found): SnapshotEntry[] {
    const at = VOLUME_FILE_OFFSETS.snapshotTable;
    const size = inodeSizeBytes(files, at);
    const entries: SnapshotEntry[] = [];
    this.#tree(files, at, 'snapshot table', found, (index, bytes) => {
      for (let offset = 0; offset < BLOCK_SIZE; offset += SNAPSHOT_ENTRY_SIZE) {
        if (index * BLOCK_SIZE + offset >= size) break;
        const entry = decodeSnapshot(bytes.subarray(offset, offset + SNAPSHOT_ENTRY_SIZE));
        if (entry !== undefined) entries.push(entry);
      }
    });
    return entries;
  }

  run(): Accounts {
    const { state: bytes } = this.#store;
    const state = decodeVolumeState(bytes);
    const files = viewOf(bytes);
    const volumeFiles: Found = new Map();
    const snapshots = this.#snapshots(files, volumeFiles);
    const summary = new Set<number>();
    this.#tree(
      files,
      VOLUME_FILE_OFFSETS.summaryMap,
      'summary map',
      volumeFiles,
      (index, block) => {
        addBits(summary, index, block);
      },
    );
    const used: number[] = [];
    this.#tree(files, VOLUME_FILE_OFFSETS.areaTable, 'area table', volumeFiles, (index, block) => {
      const view = viewOf(block);
      for (let i = 0; i < BLOCK_SIZE / 2; i++) used[index * 2048 + i] = view.getUint16(2 * i, true);
    });
    const active = this.#image(state.imageRoot.vbn, 'active');
    const held: Found = new Map(volumeFiles);
    for (const vbn of volumeFiles.keys()) {
      if (active.blocks.has(vbn))
        this.#say(`block ${vbn} is active and in ${volumeFiles.get(vbn)}`);
    }
    for (const entry of snapshots) {
      const isDoomed = entry.id === state.deleting && state.deleteCursor > 0;
      const image = isDoomed
        ? this.#doomed(entry, state.deleteCursor)
        : this.#image(entry.imageRoot.vbn, `snapshot ${entry.name}`);
      if (!isDoomed && entry.blocks !== image.blocks.size)
        this.#say(`${entry.name} says ${entry.blocks} blocks`);
      for (const [vbn, name] of image.blocks) {
        if (volumeFiles.has(vbn)) this.#say(`block ${vbn} is in ${name} and a volume file`);
        if (!active.blocks.has(vbn)) held.set(vbn, name);
      }
    }
    this.#equal(new Set(held.keys()), summary, 'summary map', held);
    if (state.blocksSummary !== summary.size) {
      this.#say(
        `the summary map has ${summary.size} blocks, the state says ${state.blocksSummary}`,
      );
    }
    this.#areas(used, [active.plane, summary]);
    const sizes = { activeCount: active.blocks.size, summaryCount: held.size };
    return { state, snapshots, problems: this.#problems, ...sizes };
  }

  #areas(said: readonly number[], planes: readonly Set<number>[]): void {
    let first = 0;
    for (const span of this.#volume.spans) {
      const count = Math.ceil(span.stripeCount / AREA_STRIPES);
      const used = new Array<number>(count).fill(0);
      for (const plane of planes) {
        for (const vbn of plane) {
          const column = span.columns.find((c) => vbn >= c && vbn < c + span.stripeCount);
          if (column === undefined) this.#say(`vbn ${vbn} is in no column`);
          else bump(used, Math.floor((vbn - column) / AREA_STRIPES));
        }
      }
      used.forEach((value, index) => {
        const other = said[first + index] ?? 0;
        if (value !== other) this.#say(`area ${first + index} has ${value} blocks, says ${other}`);
      });
      first += count;
    }
  }
}

function bump(counts: number[], index: number): void {
  counts[index] = (counts[index] ?? 0) + 1;
}

function addBits(set: Set<number>, index: number, bytes: Uint8Array): void {
  for (let at = 0; at < BLOCK_SIZE; at++) {
    const byte = bytes[at] as number;
    for (let bit = 0; byte >>> bit !== 0; bit++) {
      if (((byte >>> bit) & 1) === 1) set.add(index * BITS_PER_BLOCK + at * 8 + bit);
    }
  }
}
