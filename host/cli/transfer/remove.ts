// Removing a tree: files many at a time, each directory once it is empty.

import { StorageError } from '../../base/errors.ts';
import type { TreeFs } from '../volume-face.ts';

const ENTRIES_IN_FLIGHT = 32;
/** Deeper than this no tree is real: a damaged directory holds itself. */
const DEPTH_MAX = 4096;

export interface RemoveOptions {
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (removed: number) => void;
}

export interface RemoveResult {
  /** Names of anything but directories. */
  readonly files: number;
  readonly directories: number;
}

/** Removes `path`, which is a directory, with everything in it. */
export async function removeTree(
  fs: TreeFs,
  path: string,
  options: RemoveOptions = {},
): Promise<RemoveResult> {
  const waiting = [{ path, depth: 0 }];
  // Parents before children: emptied, they go in the opposite order.
  const directories: string[] = [];
  let files = 0;
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (at.depth > DEPTH_MAX) {
      throw new StorageError('BAD_MAGIC', `more than ${DEPTH_MAX} directories in one another`);
    }
    directories.push(at.path);
    const names: string[] = [];
    for (const entry of await fs.readdir(at.path, { withFileTypes: true })) {
      const child = at.path.endsWith('/') ? at.path + entry.name : `${at.path}/${entry.name}`;
      if (entry.isDirectory()) waiting.push({ path: child, depth: at.depth + 1 });
      else names.push(child);
    }
    for (let first = 0; first < names.length; first += ENTRIES_IN_FLIGHT) {
      options.signal?.throwIfAborted();
      const batch = names.slice(first, first + ENTRIES_IN_FLIGHT);
      if (!options.dryRun) await Promise.all(batch.map((name) => fs.unlink(name)));
      files += batch.length;
      options.onProgress?.(files);
    }
  }
  for (const directory of directories.reverse()) {
    options.signal?.throwIfAborted();
    if (!options.dryRun) await fs.rmdir(directory);
  }
  return { files, directories: directories.length };
}
