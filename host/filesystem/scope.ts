// What a message works on: an image, and the way to its blocks.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { StorageError } from '../base/errors.ts';
import type { Address, Fbn, Ino, Vbn } from '../base/units.ts';
import { inodeSizeBytes, setInodeSizeBytes } from '../format/inode.ts';
import type { DirectoryBlocks } from './directory.ts';
import { type Access, type FileNode, PRESENT } from './file-node.ts';
import type { Image } from './image.ts';
import type { Inodes } from './inodes.ts';
import type { NameCache } from './name-cache.ts';

export interface Scope {
  readonly image: Image;
  /** Of the active image; a snapshot's is only read through. */
  readonly inodes: Inodes;
  /** Names lately looked up in the image's directories. */
  readonly names: NameCache;
  readonly view: DataView;
  readonly u8: Uint8Array;
  /** MODIFY: a block that has its place already is the image's from now on (references.ts). */
  readonly takeBlock: (vbn: Vbn) => void;
}

/** A directory's blocks for LOAD (reads by `access`) or, by `changeDirectory`, for MODIFY. */
class NodeDirectory implements DirectoryBlocks {
  readonly u8: Uint8Array;
  readonly view: DataView;
  readonly #node: FileNode;
  readonly #access: Access;

  constructor(scope: Scope, node: FileNode, access: Access) {
    this.u8 = scope.u8;
    this.view = scope.view;
    this.#node = node;
    this.#access = access;
  }

  get blockCount(): number {
    const inode = this.#node.home.read(this.#access);
    return Math.floor(inodeSizeBytes(this.view, inode) / BLOCK_SIZE);
  }

  read(fbn: Fbn): Address {
    const block = this.#node.find(this.#access, 0, fbn);
    if (block === undefined) {
      throw new StorageError('BAD_MAGIC', `directory ${this.#node.ino} has no block ${fbn}`, {
        detail: { ino: this.#node.ino, fbn },
      });
    }
    return block.address;
  }

  change(fbn: Fbn): Address {
    return this.#node.change(0, fbn).address;
  }

  create(fbn: Fbn): Address {
    this.#node.grow(fbn);
    const block = this.#node.change(0, fbn);
    setInodeSizeBytes(this.view, this.#node.home.change(), (fbn + 1) * BLOCK_SIZE);
    return block.address;
  }
}

export function readDirectory(scope: Scope, access: Access, ino: Ino): DirectoryBlocks {
  return new NodeDirectory(scope, scope.image.node(access, ino), access);
}

/** MODIFY: a directory's blocks, to be changed. */
export function changeDirectory(scope: Scope, ino: Ino): DirectoryBlocks {
  return new NodeDirectory(scope, scope.image.keptNode(ino), PRESENT);
}
