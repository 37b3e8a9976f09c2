// A side over anything shaped as node:fs/promises: a volume, a snapshot, memfs. Nobody else writes
// to a volume that is open here (one writer), so names need no protection against being
// swapped, and a Place is just a path.

import type { Instant } from '../../base/units.ts';
import type { TreeAttributes, TreeFs, TreeHandle, TreeStats } from '../volume-face.ts';
import type {
  Attributes,
  CarryOptions,
  Entry,
  EntryKind,
  Place,
  Side,
  SourceFile,
  TargetFile,
} from './side.ts';
import { childPath, utimesText } from './side.ts';

export function fsSide(fs: TreeFs): Side {
  return new FsSide(fs);
}

class FsSide implements Side {
  readonly #fs: TreeFs;

  constructor(fs: TreeFs) {
    this.#fs = fs;
  }

  async attributes(path: string): Promise<Attributes> {
    return attributesOf(await this.#fs.lstat(path, { bigint: true }));
  }

  enterRoot(path: string): Place {
    return { path, leave: nothing };
  }

  enter(path: string): Place {
    return { path, leave: nothing };
  }

  async list(place: Place): Promise<readonly Entry[]> {
    const entries = await this.#fs.readdir(place.path, { withFileTypes: true });
    return entries.map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
  }

  async openSource(path: string): Promise<SourceFile> {
    const handle = await this.#fs.open(path, 'r');
    try {
      return new FsSourceFile(handle, attributesOf(await handle.stat({ bigint: true })));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  readlink(path: string): Promise<string> {
    return this.#fs.readlink(path);
  }

  async xattrCount(path: string): Promise<number> {
    return (await this.#fs.listxattr?.(path, { follow: false }))?.length ?? 0;
  }

  async createFile(path: string): Promise<TargetFile> {
    return new FsTargetFile(this, await this.#fs.open(path, 'wx', 0o600), path);
  }

  async writeFile(
    path: string,
    data: Uint8Array,
    attributes: Attributes,
    options: CarryOptions,
  ): Promise<void> {
    const how = { flag: 'wx', mode: attributes.mode };
    if (this.#fs.setAttributes !== undefined) {
      const change = changeOf(attributes, options);
      return this.#fs.writeFile(path, data, { ...how, attributes: change });
    }
    await this.#fs.writeFile(path, data, how);
    try {
      await this.setAttributes(path, attributes, options);
    } catch (error) {
      await this.#fs.unlink(path);
      throw error;
    }
  }

  async mkdir(path: string): Promise<void> {
    await this.#fs.mkdir(path, { mode: 0o700 });
  }

  symlink(content: string, path: string): Promise<void> {
    return this.#fs.symlink(content, path);
  }

  link(root: Place, names: readonly string[], path: string): Promise<void> {
    return this.#fs.link(childPath(root, names.join('/')), path);
  }

  unlink(path: string): Promise<void> {
    return this.#fs.unlink(path);
  }

  async setAttributes(path: string, attributes: Attributes, options: CarryOptions): Promise<void> {
    const fs = this.#fs;
    if (fs.setAttributes !== undefined) {
      await fs.setAttributes(path, changeOf(attributes, options));
      return;
    }
    if (options.owners) await fs.lchown(path, attributes.uid, attributes.gid);
    await fs.lutimes(path, utimesText(attributes.atimeNs), utimesText(attributes.mtimeNs));
    if (attributes.kind !== 'symlink') await fs.chmod(path, attributes.mode);
  }
}

class FsSourceFile implements SourceFile {
  readonly attributes: Attributes;
  readonly #handle: TreeHandle;

  constructor(handle: TreeHandle, attributes: Attributes) {
    this.#handle = handle;
    this.attributes = attributes;
  }

  async read(view: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < view.length) {
      const left = view.length - done;
      const { bytesRead } = await this.#handle.read(view, done, left, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

class FsTargetFile implements TargetFile {
  readonly #side: FsSide;
  readonly #handle: TreeHandle;
  readonly #path: string;

  constructor(side: FsSide, handle: TreeHandle, path: string) {
    this.#side = side;
    this.#handle = handle;
    this.#path = path;
  }

  async write(view: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < view.length) {
      const left = view.length - done;
      const { bytesWritten } = await this.#handle.write(view, done, left, position + done);
      done += bytesWritten;
    }
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#handle.truncate(sizeBytes);
  }

  async finish(attributes: Attributes, options: CarryOptions): Promise<void> {
    await this.#side.setAttributes(this.#path, attributes, options);
    await this.#handle.close();
  }

  close(): Promise<void> {
    return this.#handle.close();
  }
}

/** What lstat says, in this module's terms. */
export function attributesOf(stats: TreeStats): Attributes {
  return {
    kind: kindOf(stats),
    mode: Number(stats.mode & 0o7777n),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    sizeBytes: Number(stats.size),
    links: Number(stats.nlink),
    identity: `${stats.dev}:${stats.ino}`,
    atimeNs: stats.atimeNs,
    mtimeNs: stats.mtimeNs,
  };
}

export function kindOf(entry: {
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}): EntryKind {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'directory';
  return entry.isSymbolicLink() ? 'symlink' : 'special';
}

function changeOf(attributes: Attributes, options: CarryOptions): TreeAttributes {
  return {
    ...(attributes.kind === 'symlink' ? {} : { mode: attributes.mode }),
    ...(options.owners ? { uid: attributes.uid, gid: attributes.gid } : {}),
    atime: instantOf(attributes.atimeNs),
    mtime: instantOf(attributes.mtimeNs),
  };
}

/** Nanoseconds since 1970 as an Instant, whose nanoseconds are never negative. */
export function instantOf(timeNs: bigint): Instant {
  const seconds = Number(timeNs / NS_PER_SECOND);
  const nanoseconds = Number(timeNs % NS_PER_SECOND);
  if (nanoseconds >= 0) return { seconds, nanoseconds };
  return { seconds: seconds - 1, nanoseconds: nanoseconds + 1e9 };
}

const NS_PER_SECOND = 1_000_000_000n;

function nothing(): void {}
