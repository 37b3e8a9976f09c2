// One file-system image: the active one, or a snapshot's. Gives inodes and buffer trees by number.
//
// The image root block holds the inodes of the three files that make an image: inode file, inode
// map, active map. Nodes are kept while they are open or dirty; others are made anew at each use: a
// million small files whose data is in their inodes leave nothing behind but dirty inode blocks.

import {
  BITS_PER_BLOCK_SHIFT,
  KIND_DATA,
  KIND_DIRECTORY,
  KIND_IMAGE_ROOT,
  KIND_INODES,
  KIND_MAP,
} from '../../assembly/layout/block.ts';
import {
  IMAGE_ROOT_ACTIVE_MAP_OFFSET,
  IMAGE_ROOT_INODE_FILE_OFFSET,
  IMAGE_ROOT_INODE_LIMIT_OFFSET,
  IMAGE_ROOT_INODE_MAP_OFFSET,
  IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET,
} from '../../assembly/layout/image-root.ts';
import {
  INODE_SIZE,
  INODES_PER_BLOCK,
  INODES_PER_BLOCK_SHIFT,
} from '../../assembly/layout/inode.ts';
import { assert } from '../base/assert.ts';
import { FsError } from '../base/errors.ts';
import type { Address, Ino } from '../base/units.ts';
import { inodeMode } from '../format/inode.ts';
import type { Pointer } from '../format/pointer.ts';
import { getU64, setU64 } from '../format/words.ts';
import type { Block, BlockCache } from './block-cache.ts';
import { type Access, FileNode, type InodeHome, PRESENT, type SpaceLedger } from './file-node.ts';
import { S_IFDIR, S_IFMT } from './operations.ts';

/** Numbers of the nodes that have no inode number; never on disk. */
const INO_INODE_FILE = -1;
const INO_INODE_MAP = -2;
const INO_ACTIVE_MAP = -3;
const NO_INO = -4;

/** Where the inode of a file of this image lies. */
class FileHome implements InodeHome {
  readonly #image: Image;
  readonly #ino: Ino;

  constructor(image: Image, ino: Ino) {
    this.#image = image;
    this.#ino = ino;
  }
  read(access: Access): Address {
    const address = this.#image.inodeAddress(access, this.#ino);
    if (address === 0) throw new FsError('EIO');
    return address;
  }
  change(): Address {
    return this.#image.changeInode(this.#ino);
  }
  addZombieBlocks(count: number): void {
    this.#image.addZombieBlocks(count);
  }
}

/** Inodes whose addresses are remembered for a turn: a power of two. */
const TURN_INODES = 8;

export class Image {
  readonly cache: BlockCache;
  readonly isReadOnly: boolean;
  /** The active image's root block: dirty, or clean and pinned. A snapshot's is found in the
   *  cache. */
  #root: Block | undefined;
  /** Where the root was last written; vbn 0 for an image that never was. */
  rootPointer: Pointer;
  readonly inodeFile: FileNode;
  readonly inodeMap: FileNode;
  readonly activeMap: FileNode;
  readonly nodes = new Map<Ino, FileNode>();
  /** Kept since the last `dropIdle`. */
  readonly #fresh: FileNode[] = [];
  readonly #ledger: SpaceLedger;
  /** Inodes found in this turn, by the last bits of their numbers, their addresses, and whether
   *  these are in dirty blocks: a message asks for the same one or two again and again. What is
   *  found in a turn stays where it is until MODIFY changes it, which is by `changeInode`. */
  #turn = 0;
  #turnAccess: Access = PRESENT;
  readonly #turnInos = new Array<Ino>(TURN_INODES).fill(NO_INO);
  readonly #turnAddresses = new Array<Address>(TURN_INODES).fill(0);
  readonly #turnDirty = new Array<boolean>(TURN_INODES).fill(false);

  constructor(options: {
    cache: BlockCache;
    ledger: SpaceLedger;
    /** Undefined for a snapshot: fetched by the first message that needs it. */
    root: Block | undefined;
    rootPointer: Pointer;
    isReadOnly: boolean;
  }) {
    this.cache = options.cache;
    this.#ledger = options.ledger;
    this.#root = options.root;
    this.rootPointer = options.rootPointer;
    this.isReadOnly = options.isReadOnly;
    if (this.#root?.state === 'clean') this.cache.pin(this.#root);
    this.inodeFile = this.#special(INO_INODE_FILE, KIND_INODES, IMAGE_ROOT_INODE_FILE_OFFSET);
    this.inodeMap = this.#special(INO_INODE_MAP, KIND_MAP, IMAGE_ROOT_INODE_MAP_OFFSET);
    this.activeMap = this.#special(INO_ACTIVE_MAP, KIND_MAP, IMAGE_ROOT_ACTIVE_MAP_OFFSET);
  }

  #special(ino: Ino, kind: number, offset: number): FileNode {
    return new FileNode(this.cache, this.#ledger, {
      ino,
      kind,
      home: {
        read: (access) => this.#rootAddress(access) + offset,
        change: () => this.changeRoot().address + offset,
      },
    });
  }

  /** The active image's root block. */
  get root(): Block {
    assert(this.#root !== undefined, 'the image is the active one');
    return this.#root;
  }

  #rootAddress(access: Access): Address {
    if (this.#root !== undefined) return this.#root.address;
    const { vbn, checksumLow, checksumHigh } = this.rootPointer;
    const block = this.cache.find(vbn, checksumLow, checksumHigh, KIND_IMAGE_ROOT);
    if (block === undefined) return access.miss(this.rootPointer);
    access.found(block);
    return block.address;
  }

  /** MODIFY: the image root, dirty. */
  changeRoot(): Block {
    const { root } = this;
    if (root.state === 'dirty') return root;
    assert(!this.isReadOnly, 'the image can be changed');
    // Pinned, so this is a copy; the clean one stays in the cache for snapshots.
    const copy = this.cache.changeClean(root, 0, 0);
    this.cache.unpin(root);
    this.#root = copy;
    if (this.rootPointer.vbn !== 0) this.#ledger.willFree(this.rootPointer.vbn);
    return copy;
  }

  /** A CP placed the dirty root at `pointer`. */
  rootPlaced(pointer: Pointer): void {
    this.rootPointer = { ...pointer, kind: KIND_IMAGE_ROOT };
    this.#forgetTurn();
    this.cache.enterClean(this.root, this.rootPointer);
    this.cache.pin(this.root);
  }

  /** The image is not used any more. */
  release(): void {
    if (this.#root?.state === 'clean') this.cache.unpin(this.#root);
  }

  /** One more than the largest inode number ever used. */
  get inodeLimit(): number {
    return getU64(this.cache.arena.view, this.root.address + IMAGE_ROOT_INODE_LIMIT_OFFSET);
  }

  /** Address of an inode's bytes; 0 where the inode file does not reach it. */
  inodeAddress(access: Access, ino: Ino): Address {
    const place = ino & (TURN_INODES - 1);
    const isThisTurn = this.#turn === this.cache.turn;
    // Another LOAD must be told of the blocks that it finds.
    if (!isThisTurn || (access !== this.#turnAccess && access !== PRESENT)) {
      this.#forgetTurn();
      this.#turnAccess = access;
    } else if (this.#turnInos[place] === ino) {
      return this.#turnAddresses[place] as Address;
    }
    const root = this.#rootAddress(access);
    const limit = getU64(this.cache.arena.view, root + IMAGE_ROOT_INODE_LIMIT_OFFSET);
    if (ino <= 0 || ino >= limit) return 0;
    const block = this.inodeFile.find(access, 0, Math.floor(ino / INODES_PER_BLOCK));
    if (block === undefined) return 0;
    const address = block.address + (ino % INODES_PER_BLOCK) * INODE_SIZE;
    this.#turnInos[place] = ino;
    this.#turnAddresses[place] = address;
    this.#turnDirty[place] = false;
    return address;
  }

  #forgetTurn(): void {
    this.#turn = this.cache.turn;
    this.#turnInos.fill(NO_INO);
  }

  /** MODIFY: the inode's bytes in a dirty block; the inode file must reach it. */
  changeInode(ino: Ino): Address {
    const place = ino & (TURN_INODES - 1);
    const isThisTurn = this.#turn === this.cache.turn;
    if (isThisTurn && this.#turnInos[place] === ino && this.#turnDirty[place] === true) {
      return this.#turnAddresses[place] as Address;
    }
    const block = this.inodeFile.change(0, Math.floor(ino / INODES_PER_BLOCK));
    const address = block.address + (ino % INODES_PER_BLOCK) * INODE_SIZE;
    // The block may have moved to another frame, and with it its other inodes.
    const isInPlace = this.#turnInos[place] === ino && this.#turnAddresses[place] === address;
    if (!isThisTurn || !isInPlace) this.#forgetTurn();
    this.#turnInos[place] = ino;
    this.#turnAddresses[place] = address;
    this.#turnDirty[place] = true;
    return address;
  }

  /** MODIFY: an inode block is a hole from now on. */
  cutInodeBlock(index: number): void {
    this.inodeFile.cut(0, index);
    this.#forgetTurn();
  }

  /** MODIFY: the files in the zombie queue have so many blocks more. */
  addZombieBlocks(count: number): void {
    const at = this.changeRoot().address + IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET;
    const { view } = this.cache.arena;
    setU64(view, at, getU64(view, at) + count);
  }

  /** MODIFY: makes room for an inode's block and its bit in the inode map. */
  growInodes(ino: Ino): void {
    this.inodeFile.grow(ino >>> INODES_PER_BLOCK_SHIFT);
    this.inodeMap.grow(ino >>> BITS_PER_BLOCK_SHIFT);
  }

  /** The tree of a file whose inode is known to be in use. */
  node(access: Access, ino: Ino): FileNode {
    const known = this.nodes.get(ino);
    if (known !== undefined) return known;
    const address = this.inodeAddress(access, ino);
    // A name or a queue leads to an inode that is not there: damage, reported as such.
    if (address === 0) throw new FsError('EIO');
    const isDirectory = (inodeMode(this.cache.arena.view, address) & S_IFMT) === S_IFDIR;
    return this.makeNode(ino, isDirectory ? KIND_DIRECTORY : KIND_DATA);
  }

  /** A node for an inode whose kind is known. */
  makeNode(ino: Ino, kind: number): FileNode {
    return new FileNode(this.cache, this.#ledger, { ino, kind, home: new FileHome(this, ino) });
  }

  /** MODIFY: the node that may get dirty blocks; it is kept from here on, while it has some. */
  keptNode(ino: Ino, kind?: number): FileNode {
    const known = this.nodes.get(ino);
    if (known !== undefined) return known;
    const node = kind === undefined ? this.node(PRESENT, ino) : this.makeNode(ino, kind);
    this.nodes.set(ino, node);
    if (!this.isReadOnly) this.#fresh.push(node);
    return node;
  }

  /** After a MODIFY: nodes that it kept, and that turned out to need nothing kept. */
  dropIdle(): void {
    for (const node of this.#fresh) {
      if (node.openCount > 0 || node.dirty.size > 0) continue;
      if (this.nodes.get(node.ino) === node) this.nodes.delete(node.ino);
    }
    this.#fresh.length = 0;
  }
}
