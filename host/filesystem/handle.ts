// Open files. A handle keeps its file's node, so that an unlinked file stays until it is closed.

import { FsError } from '../base/errors.ts';
import type { Ino } from '../base/units.ts';
import type { Core } from './core.ts';
import type { FileNode } from './file-node.ts';
import type { Image } from './image.ts';
import type { OpenFile, OpenOptions } from './operations.ts';

export class Handle implements OpenFile {
  readonly ino: Ino;
  readonly generation: number;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly append: boolean;
  readonly node: FileNode;
  readonly image: Image;
  /** Core.generation when it was opened: another one now means a rollback since. */
  readonly coreGeneration: number;
  isClosed = false;

  constructor(core: Core, image: Image, node: FileNode, generation: number, options: OpenOptions) {
    this.ino = node.ino;
    this.generation = generation;
    this.readable = options.read;
    this.writable = options.write;
    this.append = options.append ?? false;
    this.node = node;
    this.image = image;
    this.coreGeneration = core.generation;
    node.openCount++;
  }

  close(): void {
    if (this.isClosed) throw new FsError('EBADF');
    this.isClosed = true;
    this.node.openCount--;
    const { node, image } = this;
    if (node.openCount === 0 && node.dirty.size === 0 && image.nodes.get(node.ino) === node) {
      image.nodes.delete(node.ino);
    }
  }
}

/** The handle behind an OpenFile; EBADF if it is closed or not of this image, ESTALE after a
 *  rollback. */
export function handleOf(core: Core, image: Image, file: OpenFile): Handle {
  if (!(file instanceof Handle) || file.isClosed) throw new FsError('EBADF');
  if (file.coreGeneration !== core.generation && !image.isReadOnly) throw new FsError('ESTALE');
  if (file.image !== image) throw new FsError('EBADF');
  return file;
}
