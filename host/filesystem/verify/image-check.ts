// One image, the active one or a snapshot's: all that its root leads to, against its own map.

import {
  BLOCK_SIZE,
  KIND_DATA,
  KIND_DIRECTORY,
  KIND_IMAGE_ROOT,
  KIND_INODES,
  KIND_MAP,
} from '../../../assembly/layout/block.ts';
import {
  IMAGE_ROOT_ACTIVE_MAP_OFFSET,
  IMAGE_ROOT_BLOCKS_USED_OFFSET,
  IMAGE_ROOT_CP_OFFSET,
  IMAGE_ROOT_INODE_FILE_OFFSET,
  IMAGE_ROOT_INODE_LIMIT_OFFSET,
  IMAGE_ROOT_INODE_MAP_OFFSET,
  IMAGE_ROOT_INODES_USED_OFFSET,
  IMAGE_ROOT_RESERVED0_OFFSET,
  IMAGE_ROOT_RESERVED1_OFFSET,
  IMAGE_ROOT_RESERVED2_OFFSET,
  IMAGE_ROOT_SIZE_OFFSET,
  IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET,
  IMAGE_ROOT_ZOMBIE_HEAD_OFFSET,
  IMAGE_ROOT_ZOMBIE_TAIL_OFFSET,
  INO_FIRST,
  INO_ROOT,
} from '../../../assembly/layout/image-root.ts';
import {
  INODE_FLAG_ZOMBIE,
  INODE_LEVEL_MAX,
  INODE_SIZE,
  INODES_PER_BLOCK,
} from '../../../assembly/layout/inode.ts';
import { isStorageError } from '../../base/errors.ts';
import type { Step } from '../../base/task.ts';
import type { Address, Ino } from '../../base/units.ts';
import {
  inodeBlocks,
  inodeFlags,
  inodeLevel,
  inodeLinks,
  inodeMode,
  inodeNext,
  inodeParent,
  inodeSizeBytes,
} from '../../format/inode.ts';
import type { Pointer } from '../../format/pointer.ts';
import { getU64 } from '../../format/words.ts';
import { decodeXattrs } from '../../format/xattr.ts';
import { LEVEL_XATTR } from '../file-node.ts';
import { Image } from '../image.ts';
import { S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from '../operations.ts';
import { checkInode, isFreeInodeClean, isZeroAt } from './inode-check.ts';
import { InodeFacts, TYPE_DIRECTORY, TYPE_FILE, TYPE_OTHER, TYPE_SYMLINK } from './inode-facts.ts';
import { NameCheck } from './names.ts';
import { Plane } from './plane.ts';
import { compareMap, type MapPointers, pagesOf } from './planes.ts';
import { Owner, type Place, type TreeFile, TreeWalk, type VerifyContext } from './tree-walk.ts';

const TYPES: Readonly<Record<number, number>> = {
  [S_IFREG]: TYPE_FILE,
  [S_IFDIR]: TYPE_DIRECTORY,
  [S_IFLNK]: TYPE_SYMLINK,
};

/** An image that was checked. */
export interface ImageResult {
  readonly owner: Owner;
  readonly counts: { inodes: number; files: number; directories: number; symlinks: number };
  /** Bits set in its map. */
  readonly blockCount: number;
  /** Inode of its map, INODE_SIZE bytes. */
  readonly plane: Uint8Array;
  readonly cp: number;
}

/** The inode of a file that has no number: fields that all of them have. */
export function checkSpecialInode(
  owner: Owner,
  view: DataView,
  at: number,
  options: { name: string; kind: number },
): TreeFile | undefined {
  const { name, kind } = options;
  const height = inodeLevel(view, at);
  const sizeBytes = inodeSizeBytes(view, at);
  if ((inodeMode(view, at) & S_IFMT) !== S_IFREG || inodeLinks(view, at) !== 1) {
    owner.note('inode', `${name} has no proper inode`);
  }
  if (height > INODE_LEVEL_MAX || !Number.isFinite(sizeBytes)) {
    owner.note('inode', `${name} has a tree of height ${height} and ${sizeBytes} bytes`);
    owner.isPartial = true;
    return undefined;
  }
  const blocksStated = inodeBlocks(view, at);
  return {
    ino: 0,
    name,
    kind,
    height,
    sizeBytes,
    blocksStated,
    leaves: 'none',
    keepsLeaves: false,
  };
}

export class ImageCheck {
  readonly #context: VerifyContext;
  readonly #owner: Owner;
  readonly #pointer: Pointer;
  readonly #facts = new InodeFacts();
  readonly #files: TreeWalk;
  /** Numbers of inodes in use, and those that are never given out. */
  readonly #used = new Plane();
  readonly #counts = { inodes: 0, files: 0, directories: 0, symlinks: 0 };
  #image!: Image;

  constructor(context: VerifyContext, pointer: Pointer, snapshot?: string) {
    this.#context = context;
    this.#owner = new Owner(context.findings, snapshot);
    this.#pointer = pointer;
    this.#files = new TreeWalk(context, this.#owner);
  }

  /** Checks everything. `onPage` gets each page of the image's map; undefined where the root cannot
   *  be read, and nothing is known. */
  *run(onPage: (index: number, address: Address) => void): Step<ImageResult | undefined> {
    const { core, findings } = this.#context;
    const firstProblem = findings.problems.length;
    if (!(yield* this.#openRoot())) return undefined;
    const { view } = core.arena;
    const root = this.#image.root.address;
    const plane = core.arena.u8.slice(
      root + IMAGE_ROOT_ACTIVE_MAP_OFFSET,
      root + IMAGE_ROOT_ACTIVE_MAP_OFFSET + INODE_SIZE,
    );
    try {
      this.#checkRoot();
      const inodeMap = this.#addMap(IMAGE_ROOT_INODE_MAP_OFFSET, 'the inode map');
      const activeMap = this.#addMap(IMAGE_ROOT_ACTIVE_MAP_OFFSET, 'the active map');
      yield* this.#walkInodes();
      yield* this.#files.drain(true);
      yield* this.#checkInodeMap(inodeMap);
      this.#checkZombies();
      const names = new NameCheck(this.#context, this.#owner, this.#image, this.#facts);
      yield* names.run();
      const blockCount = yield* this.#checkActiveMap(activeMap, onPage);
      yield* names.findPaths(findings.problems.slice(firstProblem));
      const cp = getU64(view, root + IMAGE_ROOT_CP_OFFSET);
      return { owner: this.#owner, counts: this.#counts, blockCount, plane, cp };
    } finally {
      this.#image.release();
    }
  }

  /** Reads the root and keeps it pinned in the cache. */
  *#openRoot(): Step<boolean> {
    const { core, reader, onReached } = this.#context;
    const { vbn } = this.#pointer;
    let error: Error | undefined;
    if (vbn === 0 || vbn >= core.volume.vbnLimit || !core.maps.areas.has(vbn)) {
      this.#owner.note('bad-pointer', `the image root lies at block ${vbn}, which is none`, {
        vbn,
      });
      return false;
    }
    yield* reader.each([{ pointer: { ...this.#pointer, kind: KIND_IMAGE_ROOT } }], {
      keeps: () => true,
      visit: () => {},
      fail: (_item, failure) => {
        error = failure;
      },
    });
    const root = core.cache.peek(this.#pointer);
    if (root?.kind !== KIND_IMAGE_ROOT || error !== undefined) {
      const why = error?.message ?? 'it holds what cannot be';
      this.#owner.note('bad-block', `the image root: ${why}`, { vbn });
      return false;
    }
    this.#owner.reached.add(vbn);
    onReached(vbn);
    this.#image = new Image({
      cache: core.cache,
      ledger: core.reservations,
      root,
      rootPointer: this.#pointer,
      isReadOnly: true,
    });
    return true;
  }

  #checkRoot(): void {
    const { view } = this.#context.core.arena;
    const root = this.#image.root.address;
    if (view.getUint32(root + IMAGE_ROOT_SIZE_OFFSET, true) !== BLOCK_SIZE) {
      this.#owner.note('reserved', 'the image root states another size');
    }
    const isZero =
      isZeroAt(view, root + IMAGE_ROOT_RESERVED0_OFFSET, root + IMAGE_ROOT_RESERVED0_OFFSET + 4) &&
      isZeroAt(view, root + IMAGE_ROOT_RESERVED1_OFFSET, root + IMAGE_ROOT_INODE_FILE_OFFSET) &&
      isZeroAt(view, root + IMAGE_ROOT_RESERVED2_OFFSET, root + BLOCK_SIZE);
    if (!isZero)
      this.#owner.note('reserved', 'the image root has reserved bytes that are not zero');
  }

  /** Walks a map's tree later, with the files; gives where its blocks will be found. */
  #addMap(offset: number, name: string): MapPointers {
    const { view } = this.#context.core.arena;
    const at = this.#image.root.address + offset;
    const pointers: MapPointers = new Map();
    const file = checkSpecialInode(this.#owner, view, at, { name, kind: KIND_MAP });
    if (file === undefined) return pointers;
    const onLeaf = ({ index, pointer }: Place) => void pointers.set(index, pointer);
    // The size of the inode map stays what it was at first; its tree says what it has.
    const isSized = offset !== IMAGE_ROOT_INODE_MAP_OFFSET;
    const sizeBytes = isSized ? file.sizeBytes : Infinity;
    this.#files.add({ ...file, sizeBytes, onLeaf }, view, at, false);
    return pointers;
  }

  // Inodes.

  *#walkInodes(): Step<void> {
    const { view } = this.#context.core.arena;
    const at = this.#image.root.address + IMAGE_ROOT_INODE_FILE_OFFSET;
    const options = { name: 'the inode file', kind: KIND_INODES };
    const file = checkSpecialInode(this.#owner, view, at, options);
    if (file === undefined) return;
    const walk = new TreeWalk(this.#context, this.#owner);
    const visitLeaf = (place: Place, address: Address) => this.#visitInodes(place, address);
    // The size of the inode file, too, stays what it was at first.
    const inodeFile = { ...file, sizeBytes: Infinity, leaves: 'all', keepsLeaves: true } as const;
    walk.add({ ...inodeFile, visitLeaf }, view, at, false);
    yield* walk.drain(true, () => this.#files.drain(false));
  }

  #visitInodes({ index, pointer }: Place, address: Address): void {
    const isKnown = !this.#context.walked.add(pointer.vbn);
    for (let part = 0; part < INODES_PER_BLOCK; part++) {
      this.#visitInode(index * INODES_PER_BLOCK + part, address + part * INODE_SIZE, isKnown);
    }
  }

  #visitInode(ino: Ino, at: Address, isKnown: boolean): void {
    const { view } = this.#context.core.arena;
    const mode = inodeMode(view, at);
    if (mode === 0) {
      if (isFreeInodeClean(view, at)) return;
      this.#owner.note('reserved', `inode ${ino} is free and not empty`, { ino });
      return;
    }
    const limit = getU64(view, this.#image.root.address + IMAGE_ROOT_INODE_LIMIT_OFFSET);
    if (ino >= limit || (ino < INO_FIRST && ino !== INO_ROOT)) {
      this.#owner.note('inode-number', `inode ${ino} is in use; the limit is ${limit}`, { ino });
    }
    this.#used.add(ino);
    const canWalk = checkInode(view, at, (kind, message) => {
      this.#owner.note(kind, `inode ${ino} ${message}`, { ino });
    });
    this.#learn(ino, at);
    if (canWalk) this.#files.add(this.#treeOf(ino, at), view, at, isKnown);
    else this.#owner.isPartial = true;
  }

  #learn(ino: Ino, at: Address): void {
    const { view } = this.#context.core.arena;
    const type = TYPES[inodeMode(view, at) & S_IFMT] ?? TYPE_OTHER;
    const isZombie = (inodeFlags(view, at) & INODE_FLAG_ZOMBIE) !== 0;
    this.#facts.add(ino, { type, isZombie, links: inodeLinks(view, at) });
    if (isZombie) {
      const fact = { next: inodeNext(view, at), blocks: inodeBlocks(view, at) };
      this.#facts.zombies.set(ino, fact);
    }
    this.#counts.inodes++;
    if (type === TYPE_DIRECTORY) {
      const blocks = Math.floor(inodeSizeBytes(view, at) / BLOCK_SIZE);
      const parent = inodeParent(view, at);
      this.#facts.directories.set(ino, { parent, blocks, subdirectories: 0 });
    }
    if (isZombie) return;
    if (type === TYPE_DIRECTORY) this.#counts.directories++;
    if (type === TYPE_FILE) this.#counts.files++;
    if (type === TYPE_SYMLINK) this.#counts.symlinks++;
  }

  #treeOf(ino: Ino, at: Address): TreeFile {
    const { view } = this.#context.core.arena;
    const isDirectory = (inodeMode(view, at) & S_IFMT) === S_IFDIR;
    const isZombie = (inodeFlags(view, at) & INODE_FLAG_ZOMBIE) !== 0;
    const sizeBytes = isZombie ? Infinity : inodeSizeBytes(view, at);
    return {
      ino,
      name: `inode ${ino}`,
      kind: isDirectory ? KIND_DIRECTORY : KIND_DATA,
      height: inodeLevel(view, at),
      sizeBytes,
      blocksStated: inodeBlocks(view, at),
      leaves: isDirectory ? 'once' : 'data',
      // They will be read again, for the names.
      keepsLeaves: isDirectory,
      visitLeaf: (place, address) => this.#visitData(place, address, sizeBytes),
    };
  }

  #visitData(place: Place, address: Address, sizeBytes: number): void {
    const { arena } = this.#context.core;
    const { file, level, index, pointer } = place;
    const where = { ino: file.ino, vbn: pointer.vbn };
    if (level === LEVEL_XATTR) {
      try {
        decodeXattrs(arena.u8.subarray(address, address + BLOCK_SIZE));
      } catch (error) {
        if (!isStorageError(error, 'BAD_MAGIC')) throw error;
        this.#owner.note('xattr', `${file.name}: ${error.message}`, where);
      }
      return;
    }
    if (file.kind === KIND_DIRECTORY) return;
    const rest = sizeBytes - index * BLOCK_SIZE;
    if (rest <= 0 || rest >= BLOCK_SIZE) return;
    if (isZeroAt(arena.view, address + rest, address + BLOCK_SIZE)) return;
    this.#owner.note('tail', `${file.name} has bytes beyond its end`, where);
  }

  // Maps and counters.

  *#checkInodeMap(map: MapPointers): Step<void> {
    const { view } = this.#context.core.arena;
    const root = this.#image.root.address;
    const limit = getU64(view, root + IMAGE_ROOT_INODE_LIMIT_OFFSET);
    for (let ino = 0; ino < INO_FIRST; ino++) this.#used.add(ino);
    const setCount = yield* compareMap(this.#context, this.#owner, {
      name: 'the inode map',
      map,
      bitLimit: limit,
      isBit: () => true,
      expected: this.#used,
      pages: this.#used.pages(),
      extra: 'inode-map',
      missing: 'inode-map',
      isPartial: this.#owner.isPartial,
      unit: 'inode',
    });
    this.#compareCounter(IMAGE_ROOT_INODES_USED_OFFSET, 'inodes in use', setCount);
  }

  *#checkActiveMap(
    map: MapPointers,
    onPage: (index: number, address: Address) => void,
  ): Step<number> {
    const { volume, maps } = this.#context.core;
    const isActive = this.#owner.snapshot === undefined;
    const count = yield* compareMap(this.#context, this.#owner, {
      name: isActive ? 'the active map' : 'its plane',
      map,
      bitLimit: volume.vbnLimit,
      isBit: (vbn) => maps.areas.has(vbn),
      expected: this.#owner.reached,
      pages: pagesOf(volume.vbnLimit),
      extra: 'leaked-block',
      missing: 'missing-block',
      isPartial: this.#owner.isPartial,
      unit: 'block',
      onPage,
    });
    this.#compareCounter(IMAGE_ROOT_BLOCKS_USED_OFFSET, 'blocks in use', count);
    return count;
  }

  #compareCounter(offset: number, name: string, counted: number): void {
    const stated = getU64(this.#context.core.arena.view, this.#image.root.address + offset);
    if (stated === counted) return;
    this.#owner.note('counter', `the image root says ${stated} ${name}, there are ${counted}`);
  }

  #checkZombies(): void {
    if (this.#owner.isPartial) return;
    const { view } = this.#context.core.arena;
    const root = this.#image.root.address;
    const { zombies } = this.#facts;
    const seen = new Set<Ino>();
    let blocks = 0;
    let last: Ino = 0;
    for (let at = getU64(view, root + IMAGE_ROOT_ZOMBIE_HEAD_OFFSET); at !== 0; ) {
      const zombie = zombies.get(at);
      if (zombie === undefined || seen.has(at)) {
        const what = zombie === undefined ? 'which is no zombie' : 'for the second time';
        this.#owner.note('zombie-queue', `the queue leads to inode ${at}, ${what}`, { ino: at });
        return;
      }
      seen.add(at);
      blocks += zombie.blocks;
      last = at;
      at = zombie.next;
    }
    const tail = getU64(view, root + IMAGE_ROOT_ZOMBIE_TAIL_OFFSET);
    if (tail !== last) {
      this.#owner.note('zombie-queue', `the queue ends with inode ${last}, the root says ${tail}`);
    }
    for (const ino of zombies.keys()) {
      if (seen.has(ino)) continue;
      this.#owner.note('zombie-queue', `zombie ${ino} is not in the queue`, { ino });
    }
    this.#compareCounter(IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET, 'blocks of zombies', blocks);
  }
}
