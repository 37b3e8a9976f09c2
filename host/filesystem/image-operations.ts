// Operations on one image: calls become messages. Names and open files have files of their own;
// here are attributes and the whole.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  INODE_ATIME_OFFSET,
  INODE_BTIME_OFFSET,
  INODE_CTIME_OFFSET,
  INODE_FLAG_ZOMBIE,
  INODE_GID_OFFSET,
  INODE_MTIME_OFFSET,
  INODE_UID_OFFSET,
} from '../../assembly/layout/inode.ts';
import { FsError } from '../base/errors.ts';
import { type Step, Task, wait } from '../base/task.ts';
import type { Address, Ino } from '../base/units.ts';
import {
  inodeBlocks,
  inodeFlags,
  inodeGeneration,
  inodeLinks,
  inodeMode,
  inodeSizeBytes,
} from '../format/inode.ts';
import { getInstant } from '../format/words.ts';
import { listXattrs } from '../format/xattr.ts';
import { xattrBlock } from './effects.ts';
import { FileOperations } from './file-operations.ts';
import { XATTR_DEMAND } from './messages.ts';
import {
  type AttributeChange,
  type Attributes,
  NAME_SIZE_MAX,
  type Operations,
  type StatFs,
  type Target,
} from './operations.ts';
import type { FileRequest } from './requests.ts';

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const NOTHING = new Uint8Array(0);

export class ImageOperations extends FileOperations implements Operations {
  attributes(target: Target): Task<Attributes> {
    return this.runRead((scope, access, note) => {
      const ino = this.find(scope, access, target, note);
      return attributesOf(scope.view, this.inodeOf(scope, access, ino), ino);
    }, target);
  }

  change(target: Target, change: AttributeChange): Task<void> {
    return this.changeAttributes(target, change);
  }

  // Extended attributes.

  listXattrs(target: Target): Task<readonly string[]> {
    return this.runRead((scope, access, note) => {
      const block = xattrBlock(scope, access, this.find(scope, access, target, note));
      return listXattrs(block).map(({ name }) => decoder.decode(name.slice()));
    }, target);
  }

  getXattr(target: Target, name: string): Task<Uint8Array> {
    return this.runRead((scope, access, note) => {
      const block = xattrBlock(scope, access, this.find(scope, access, target, note));
      const wanted = listXattrs(block).find((x) => decoder.decode(x.name.slice()) === name);
      if (wanted === undefined) throw new FsError('ENODATA');
      return wanted.value.slice();
    }, target);
  }

  setXattr(target: Target, name: string, value: Uint8Array): Task<void> {
    return this.#changeXattr(target, name, value, false);
  }

  removeXattr(target: Target, name: string): Task<void> {
    return this.#changeXattr(target, name, NOTHING, true);
  }

  #changeXattr(target: Target, name: string, value: Uint8Array, isRemoval: boolean): Task<void> {
    return this.runChange(
      XATTR_DEMAND,
      (scope, access) => {
        const bytes = encoder.encode(name);
        if (bytes.length === 0) throw new FsError('EINVAL');
        if (bytes.length > NAME_SIZE_MAX) throw new FsError('ERANGE');
        if (value.length > BLOCK_SIZE) throw new FsError('ENOSPC');
        const ino = this.find(scope, access, target);
        const generation = inodeGeneration(scope.view, this.inodeOf(scope, access, ino));
        const time = this.now();
        const request: FileRequest = {
          kind: 'xattr',
          ino,
          generation,
          name: bytes,
          value,
          isRemoval,
          time,
        };
        return { requests: [request], finish: () => undefined };
      },
      target,
    );
  }

  // The whole.

  statfs(): Task<StatFs> {
    return this.runRead(() => {
      const { core } = this.fs;
      const free = core.blocksAvailable('none') + core.maps.restingCount;
      const blocksFree = Math.max(0, free);
      return {
        blockSizeBytes: BLOCK_SIZE,
        blocks: core.volume.blockCount,
        blocksFree,
        files: core.inodes.usedCount,
        filesFree: blocksFree,
      };
    });
  }

  sync(): Task<void> {
    return new Task(this.#sync());
  }

  *#sync(): Step<void> {
    const { core } = this.fs;
    core.refuseIfUnusable();
    if (this.isReadOnly) return;
    if (core.records !== undefined) {
      yield* wait(core.records.commit(core.records.lastSequence));
      return;
    }
    const task = this.fs.requestCp();
    if (task !== undefined) yield* wait(task.asIo());
  }
}

function attributesOf(view: DataView, at: Address, ino: Ino): Attributes {
  return {
    ino,
    generation: inodeGeneration(view, at),
    mode: inodeMode(view, at),
    links: (inodeFlags(view, at) & INODE_FLAG_ZOMBIE) !== 0 ? 0 : inodeLinks(view, at),
    uid: view.getUint32(at + INODE_UID_OFFSET, true),
    gid: view.getUint32(at + INODE_GID_OFFSET, true),
    sizeBytes: inodeSizeBytes(view, at),
    blocks: inodeBlocks(view, at),
    atime: getInstant(view, at + INODE_ATIME_OFFSET),
    mtime: getInstant(view, at + INODE_MTIME_OFFSET),
    ctime: getInstant(view, at + INODE_CTIME_OFFSET),
    btime: getInstant(view, at + INODE_BTIME_OFFSET),
  };
}
