// A small volume with one of everything, and the means to damage it: through the engine's own
// MODIFY primitives and a CP, or in the bytes of a block with the checksums above it mended.

import {
  BITS_PER_BLOCK,
  BITS_PER_BLOCK_SHIFT,
  POINTER_CHECKSUM_OFFSET,
} from '../../assembly/layout/block.ts';
import { INODE_DATA_OFFSET } from '../../assembly/layout/inode.ts';
import { runSync } from '../../host/base/task.ts';
import type { Address, Ino, Vbn } from '../../host/base/units.ts';
import { lookup } from '../../host/filesystem/directory.ts';
import type { Access, FileNode } from '../../host/filesystem/file-node.ts';
import { FileSystem } from '../../host/filesystem/file-system.ts';
import { ImageOperations } from '../../host/filesystem/image-operations.ts';
import { changeDirectory, readDirectory } from '../../host/filesystem/scope.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import {
  type VerifyOptions,
  type VerifyReport,
  verify,
} from '../../host/filesystem/verify/verify.ts';
import { getPointerVbn } from '../../host/format/pointer.ts';
import { VOLUME_FILE_OFFSETS } from '../../host/format/volume-state.ts';
import { type Data, Session } from '../oracle/workload.ts';
import { BlockStore, testParts } from './memory-volume.ts';

const encoder = new TextEncoder();

export class VerifyWorld {
  readonly store = new BlockStore();
  readonly fs: FileSystem;
  readonly snapshots: SnapshotOperations;
  /** The removed file that is still open. */
  readonly zombie: Ino;

  constructor() {
    const { parts } = testParts({ store: this.store, stripes: 6000, columns: 2, seed: 1 });
    this.fs = runSync(FileSystem.format(parts));
    this.snapshots = new SnapshotOperations(this.fs);
    const session = new Session(new ImageOperations(this.fs, () => this.fs.core.image, false));
    const run = (request: Parameters<Session['apply']>[0]) => {
      const outcome = session.apply(request).driveSync();
      if ('error' in outcome) throw new Error(`${JSON.stringify(request)}: ${outcome.error}`);
    };
    const write = (path: string, data: Data) =>
      run({ op: 'writeFile', path, data, options: CREATE });
    for (const path of ['/d', '/d/e', '/d/e/f', '/other']) run({ op: 'mkdir', path, mode: 0o755 });
    write('/inline', { length: 100, seed: 1 });
    write('/d/small', { length: 9000, seed: 2 });
    write('/d/e/tail', { length: 5000, seed: 3 });
    write('/large', { length: 200_000, seed: 4 });
    run({ op: 'symlink', content: 'large', path: '/link' });
    run({ op: 'link', existing: '/inline', path: '/d/inline-2' });
    const where = { path: '/d/small', followLast: true };
    run({ op: 'setXattr', where, name: 'user.a', data: { length: 20, seed: 5 } });
    write('/removed', { length: 9000, seed: 6 });
    run({
      op: 'open',
      slot: 0,
      path: '/removed',
      options: { ...CREATE, create: false, truncate: false },
    });
    this.zombie = this.ino('/removed');
    run({ op: 'unlink', path: '/removed' });
    runSync(this.snapshots.create('one'));
    write('/d/small', { length: 12_000, seed: 7 });
    run({ op: 'mkdir', path: '/later', mode: 0o755 });
    runSync(this.snapshots.create('two'));
    write('/d/e/tail', { length: 6000, seed: 8 });
    this.commit();
  }

  get core() {
    return this.fs.core;
  }
  get view(): DataView {
    return this.core.arena.view;
  }

  /** Loads, then changes, in one turn. */
  change<T>(load: (access: Access) => unknown, modify: () => T): T {
    runSync(this.fs.loadUntilReady((access) => void load(access)));
    return modify();
  }

  commit(): void {
    this.fs.isQuiet = true;
    this.fs.requestCp(true)?.driveSync();
  }

  verify(options: VerifyOptions = {}): VerifyReport {
    this.fs.isQuiet = true;
    return runSync(verify(this.fs, options));
  }

  ino(path: string): Ino {
    let ino: Ino = 1;
    for (const name of path.split('/').filter((part) => part !== '')) {
      const directory = ino;
      const found = runSync(
        this.fs.loadUntilReady((access) =>
          lookup(readDirectory(this.core.scope, access, directory), encoder.encode(name)),
        ),
      );
      if (found === undefined) throw new Error(`${path} is not there`);
      ino = found.ino;
    }
    return ino;
  }

  /** Changes an inode in place and commits. */
  inode(where: string | Ino, modify: (at: Address, view: DataView) => void): void {
    const ino = typeof where === 'string' ? this.ino(where) : where;
    const { image } = this.core;
    this.change(
      (access) => image.inodeAddress(access, ino),
      () => modify(image.changeInode(ino), this.view),
    );
    this.commit();
  }

  /** Changes a directory's blocks and commits. */
  directory(path: string, modify: (blocks: ReturnType<typeof changeDirectory>) => void): void {
    const ino = this.ino(path);
    const { scope } = this.core;
    this.change(
      (access) => readDirectory(scope, access, ino).read(0),
      () => modify(changeDirectory(scope, ino)),
    );
    this.commit();
  }

  root(modify: (at: Address, view: DataView) => void): void {
    modify(this.core.image.changeRoot().address, this.view);
    this.commit();
  }

  /** Sets or clears a bit of a map file and commits. */
  bit(file: FileNode, bit: number, isSet: boolean): void {
    const index = bit >>> BITS_PER_BLOCK_SHIFT;
    this.change(
      (access) => file.find(access, 0, index),
      () => {
        const { address } = file.change(0, index);
        const at = address + ((bit % BITS_PER_BLOCK) >>> 3);
        const mask = 1 << (bit & 7);
        const byte = this.view.getUint8(at);
        this.view.setUint8(at, isSet ? byte | mask : byte & ~mask);
      },
    );
    this.commit();
  }

  /** Address of an inode, in memory until the next load. */
  inodeAt(ino: Ino): Address {
    const { image } = this.core;
    return runSync(this.fs.loadUntilReady((access) => image.inodeAddress(access, ino)));
  }

  /** vbn of pointer `index` of a file's inode. */
  pointer(path: string, index: number): Vbn {
    return getPointerVbn(this.view, this.inodeAt(this.ino(path)) + INODE_DATA_OFFSET + 16 * index);
  }

  /** A vbn that is used by nobody. */
  freeVbn(): Vbn {
    const { vbnLimit } = this.core.volume;
    for (let vbn = vbnLimit - 200; vbn > 0; vbn--) {
      if (this.core.maps.areas.has(vbn) && !this.store.blocks.has(vbn)) return vbn;
    }
    throw new Error('the volume is full');
  }

  /** Changes the bytes of a block where it lies: its checksum is wrong then. */
  rot(vbn: Vbn): void {
    const bytes = this.store.blocks.get(vbn) as Uint8Array;
    bytes[77] = (bytes[77] as number) ^ 4;
  }

  /** Changes block 0 of a volume file of height 1, and mends its pointer in the volume state. */
  volumeFile(file: keyof typeof VOLUME_FILE_OFFSETS, modify: (bytes: Uint8Array) => void): void {
    const at = VOLUME_FILE_OFFSETS[file] + INODE_DATA_OFFSET;
    this.state((view) => {
      const bytes = this.store.blocks.get(getPointerVbn(view, at)) as Uint8Array;
      modify(bytes);
      const { arena, kernels, hashSums } = this.core;
      const frame = this.core.cache.startLoad();
      if (frame === undefined) throw new Error('no frame');
      arena.u8.set(bytes, frame.address);
      kernels.xxhash64(frame.address, bytes.length, hashSums);
      const checksum = at + POINTER_CHECKSUM_OFFSET;
      view.setUint32(checksum, arena.view.getUint32(hashSums, true), true);
      view.setUint32(checksum + 4, arena.view.getUint32(hashSums + 4, true), true);
      this.core.cache.abandonLoad(frame);
    });
  }

  /** Changes the volume state on disk. */
  state(modify: (view: DataView) => void): void {
    const bytes = this.store.state.slice();
    modify(new DataView(bytes.buffer));
    this.store.state = bytes;
  }
}

const CREATE = {
  read: true,
  write: true,
  create: true,
  exclusive: false,
  truncate: true,
  append: false,
  mode: 0o644,
};
