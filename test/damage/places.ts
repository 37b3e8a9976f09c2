// Where what is on the devices of a volume: every block by the structure that it belongs to, found
// by walking all trees from the newest root, with the codecs alone.

import {
  AREA_STRIPES,
  BLOCK_SIZE,
  POINTER_SIZE,
  POINTERS_PER_BLOCK,
} from '../../assembly/layout/block.ts';
import {
  IMAGE_ROOT_ACTIVE_MAP_OFFSET,
  IMAGE_ROOT_INODE_FILE_OFFSET,
  IMAGE_ROOT_INODE_MAP_OFFSET,
} from '../../assembly/layout/image-root.ts';
import {
  INODE_POINTERS,
  INODE_SIZE,
  INODE_XATTR_OFFSET,
  INODES_PER_BLOCK,
} from '../../assembly/layout/inode.ts';
import { LABEL_COPIES, ROOT_COPIES } from '../../assembly/layout/label.ts';
import {
  FLUSH_MAGIC,
  FLUSH_SEQUENCE_OFFSET,
  LOG_HALVES_OFFSET,
} from '../../assembly/layout/log.ts';
import { SNAPSHOT_ENTRY_SIZE, SNAPSHOT_IMAGE_ROOT_OFFSET } from '../../assembly/layout/snapshot.ts';
import { VOLUME_ROOT_BLOCKS } from '../../assembly/layout/volume-root.ts';
import { VOLUME_STATE_IMAGES_OFFSET } from '../../assembly/layout/volume-state.ts';
import { isZeroBytes } from '../../host/base/bytes.ts';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { S_IFDIR, S_IFMT } from '../../host/filesystem/operations.ts';
import { inodeLevel, inodeMode, inodePointerAt } from '../../host/format/inode.ts';
import { getPointerVbn } from '../../host/format/pointer.ts';
import { decodeSnapshot } from '../../host/format/snapshot.ts';
import { decodeVolumeState, VOLUME_FILE_OFFSETS } from '../../host/format/volume-state.ts';
import { getU64 } from '../../host/format/words.ts';
import { rootDbn } from '../../host/raid/format.ts';
import { Geometry } from '../../host/raid/geometry.ts';
import { type Base, copyOf, letGo, mount } from './base.ts';

/** A block of a device; disks come first, then the copies of the log. */
export interface Place {
  readonly device: number;
  readonly block: number;
}

export const REGIONS = [
  'label',
  'newest root',
  'older root',
  'journal',
  'log header',
  'log flush',
  'log, old',
  'log, free',
  'image root',
  'inode block',
  'indirect block',
  'directory block',
  'data block',
  'xattr block',
  'inode map',
  'active map',
  'summary map',
  'area table',
  'snapshot table',
  'parity',
  'free space',
] as const;
export type Region = (typeof REGIONS)[number];

/** Where the pointer to a block stands. */
export interface Link {
  /** vbn of the block that it is in; 0: the volume state. */
  readonly parent: number;
  readonly offset: number;
}

export interface Layout {
  readonly places: ReadonlyMap<Region, readonly Place[]>;
  readonly diskCount: number;
  /** First dbn of the data. */
  readonly dataFirst: number;
  readonly geometry: Geometry;
  /** Of the active file system. */
  readonly imageRoot: Place;
  readonly imageRootVbn: number;
  /** Slots of the newest root on each disk. */
  readonly newestRoot: readonly number[];
  /** The flushes to be replayed, in order: the blocks that each takes, on every copy. */
  readonly flushes: readonly (readonly number[])[];
  /** By vbn: the first way that leads to a block. */
  readonly links: ReadonlyMap<number, Link>;
  /** By key of its place: what a block belongs to. */
  readonly regionOf: ReadonlyMap<number, Region>;
}

/** A place as a number. */
export function keyOf({ device, block }: Place): number {
  return device * 0x1_0000_0000 + block;
}

const viewOf = (bytes: Uint8Array) =>
  new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function layoutOf(base: Base): Layout {
  return new Walker(base).run();
}

/** A block, or the volume state, that holds inodes or pointers. */
interface Home {
  readonly vbn: number;
  readonly view: DataView;
}

class Walker {
  readonly #base: Base;
  readonly #disks: readonly MemoryDisk[];
  readonly #byKey = new Map<number, Region>();
  readonly #links = new Map<number, Link>();
  readonly #geometry: Geometry;
  readonly #state: Uint8Array;
  readonly #front;
  readonly #rootNumber: number;

  constructor(base: Base) {
    this.#base = base;
    this.#disks = base.devices.disks;
    const engine = mount(copyOf(base.devices), { readOnly: true });
    const { root } = engine.raid;
    this.#geometry = new Geometry(root.members, root.ranges, root.groupCount);
    this.#state = root.state;
    this.#front = engine.raid.front;
    this.#rootNumber = root.number;
    letGo(engine);
  }

  run(): Layout {
    this.#trees();
    const first = rootDbn(this.#front, this.#rootNumber);
    const size = ROOT_COPIES * VOLUME_ROOT_BLOCKS;
    const newestRoot = Array.from({ length: size }, (_, index) => first + index);
    this.#fronts(newestRoot);
    const flushes = this.#logs();
    const places = new Map<Region, Place[]>(REGIONS.map((region) => [region, []]));
    for (const [key, region] of this.#byKey) {
      const place = { device: Math.floor(key / 0x1_0000_0000), block: key % 0x1_0000_0000 };
      places.get(region)?.push(place);
    }
    const imageRootVbn = decodeVolumeState(this.#state).imageRoot.vbn;
    return {
      places,
      diskCount: this.#disks.length,
      dataFirst: this.#front.dataFirst,
      geometry: this.#geometry,
      imageRoot: this.#placeOf(imageRootVbn),
      imageRootVbn,
      newestRoot,
      flushes,
      links: this.#links,
      regionOf: this.#byKey,
    };
  }

  #set(device: number, block: number, region: Region): void {
    const key = keyOf({ device, block });
    if (!this.#byKey.has(key)) this.#byKey.set(key, region);
  }

  #placeOf(vbn: number): Place {
    const extent = this.#geometry.find(vbn);
    if (extent === undefined) throw new Error(`vbn ${vbn} is in no range`);
    return { device: extent.member, block: vbn - extent.vbnFirst + extent.dbnFirst };
  }

  #read(vbn: number, region: Region, link: Link): Uint8Array {
    if (!this.#links.has(vbn)) this.#links.set(vbn, link);
    const { device, block } = this.#placeOf(vbn);
    this.#set(device, block, region);
    const bytes = new Uint8Array(BLOCK_SIZE);
    (this.#disks[device] as MemoryDisk).readSync(block, [bytes]);
    return bytes;
  }

  /** All blocks of the tree of the inode at `at`, in a block or in the state (vbn 0). */
  #tree(home: Home, at: number, leaf: Region, visit?: (block: Home) => void): void {
    const follow = ({ vbn: parent, view }: Home, offset: number, level: number) => {
      const vbn = getPointerVbn(view, offset);
      if (vbn === 0) return;
      const region = level === 0 ? leaf : 'indirect block';
      const block = { vbn, view: viewOf(this.#read(vbn, region, { parent, offset })) };
      if (level === 0) return visit?.(block);
      for (let child = 0; child < POINTERS_PER_BLOCK; child++) {
        follow(block, child * POINTER_SIZE, level - 1);
      }
    };
    const { view, vbn } = home;
    const height = inodeLevel(view, at);
    for (let index = 0; height > 0 && index < INODE_POINTERS; index++) {
      follow(home, inodePointerAt(at, index), height - 1);
    }
    const offset = at + INODE_XATTR_OFFSET;
    const xattr = getPointerVbn(view, offset);
    if (xattr !== 0) this.#read(xattr, 'xattr block', { parent: vbn, offset });
  }

  #image(vbn: number, link: Link): void {
    const root = { vbn, view: viewOf(this.#read(vbn, 'image root', link)) };
    this.#tree(root, IMAGE_ROOT_INODE_FILE_OFFSET, 'inode block', (block) => {
      for (let part = 0; part < INODES_PER_BLOCK; part++) {
        const mode = inodeMode(block.view, part * INODE_SIZE);
        if (mode === 0) continue;
        const isDirectory = (mode & S_IFMT) === S_IFDIR;
        this.#tree(block, part * INODE_SIZE, isDirectory ? 'directory block' : 'data block');
      }
    });
    this.#tree(root, IMAGE_ROOT_INODE_MAP_OFFSET, 'inode map');
    this.#tree(root, IMAGE_ROOT_ACTIVE_MAP_OFFSET, 'active map');
  }

  #trees(): void {
    const state: Home = { vbn: 0, view: viewOf(this.#state) };
    const offset = VOLUME_STATE_IMAGES_OFFSET;
    this.#image(decodeVolumeState(this.#state).imageRoot.vbn, { parent: 0, offset });
    this.#tree(state, VOLUME_FILE_OFFSETS.snapshotTable, 'snapshot table', ({ vbn, view }) => {
      for (let at = 0; at < BLOCK_SIZE; at += SNAPSHOT_ENTRY_SIZE) {
        const bytes = new Uint8Array(view.buffer, view.byteOffset + at, SNAPSHOT_ENTRY_SIZE);
        const entry = decodeSnapshot(bytes);
        if (entry === undefined) continue;
        const link = { parent: vbn, offset: at + SNAPSHOT_IMAGE_ROOT_OFFSET };
        this.#image(entry.imageRoot.vbn, link);
      }
    });
    this.#tree(state, VOLUME_FILE_OFFSETS.summaryMap, 'summary map');
    this.#tree(state, VOLUME_FILE_OFFSETS.areaTable, 'area table');
    const live = [...this.#byKey.keys()];
    const { parity } = this.#geometry.groups[0] as { parity: number };
    if (parity >= 0) for (const key of live) this.#set(parity, key % 0x1_0000_0000, 'parity');
    const end = this.#front.dataFirst + AREA_STRIPES;
    for (let device = 0; device < this.#disks.length; device++) {
      for (let dbn = this.#front.dataFirst; dbn < end; dbn++) this.#set(device, dbn, 'free space');
    }
  }

  #fronts(newestRoot: readonly number[]): void {
    const { rootFirst, rootBlocks, journalFirst, journalBlocks } = this.#front;
    this.#disks.forEach((disk, device) => {
      for (let copy = 0; copy < LABEL_COPIES; copy++) this.#set(device, copy, 'label');
      for (const dbn of newestRoot) this.#set(device, dbn, 'newest root');
      for (let dbn = rootFirst; dbn < rootFirst + rootBlocks; dbn++) {
        this.#set(device, dbn, 'older root');
      }
      const bytes = new Uint8Array(BLOCK_SIZE);
      for (let dbn = journalFirst; dbn < journalFirst + journalBlocks; dbn++) {
        disk.readSync(dbn, [bytes]);
        if (!isZeroBytes(bytes)) this.#set(device, dbn, 'journal');
      }
    });
  }

  #logs(): number[][] {
    const found = new Map<number, number[]>();
    const { moments, devices } = this.#base;
    devices.nvrams.forEach((nvram, copy) => {
      const before = moments.at(-1)?.nvrams[copy] as MemoryNvram;
      const device = this.#disks.length + copy;
      const old = new Uint8Array(BLOCK_SIZE);
      const bytes = new Uint8Array(BLOCK_SIZE);
      let flush: number[] = [];
      for (let at = 0; at < nvram.sizeBytes; at += BLOCK_SIZE) {
        const block = at / BLOCK_SIZE;
        nvram.readSync(at, bytes);
        before.readSync(at, old);
        if (at < LOG_HALVES_OFFSET) this.#set(device, block, 'log header');
        else if (Buffer.compare(bytes, old) !== 0) {
          this.#set(device, block, 'log flush');
          const view = viewOf(bytes);
          if (view.getUint32(0, true) === FLUSH_MAGIC) {
            flush = [];
            found.set(getU64(view, FLUSH_SEQUENCE_OFFSET), flush);
          }
          flush.push(block);
        } else this.#set(device, block, isZeroBytes(bytes) ? 'log, free' : 'log, old');
      }
    });
    return [...found.entries()].sort((a, b) => a[0] - b[0]).map(([, blocks]) => blocks);
  }
}
