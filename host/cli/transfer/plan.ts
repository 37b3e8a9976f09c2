// What `put` and `get` copy where, as `cp -r` has it: into a directory that is there, or under the
// name that is given; a source that ends in "/." (or is "/", "." or "..") gives its contents.

import { StorageError } from '../../base/errors.ts';
import { lastName } from '../address.ts';
import type { CopyItem } from './copy.ts';
import { errorCode } from './side.ts';

/** The part of node:fs/promises that planning needs, of the side that is written to. */
export interface PlanFs {
  stat(path: string, options: { bigint: true }): Promise<{ isDirectory(): boolean }>;
}

export interface CopyPlan {
  readonly items: readonly CopyItem[];
  /** Directory of the target that they go into. */
  readonly into: string;
  /** Whether `into` is to be made first. */
  readonly isNew: boolean;
}

/** Where `sources` go if copied to `target`. */
export async function planCopy(
  sources: readonly string[],
  target: string,
  fs: PlanFs,
): Promise<CopyPlan> {
  const kind = await kindOf(target, fs);
  const name = lastName(target);
  const isInto =
    kind === 'directory' || sources.length > 1 || name === undefined || target.endsWith('/');
  if (isInto) {
    if (kind === 'other') {
      throw new StorageError('INVALID_ARGUMENT', `${target} is not a directory`, {
        hint: 'name a directory, or a name that is not taken',
      });
    }
    return { items: sources.map(itemOf), into: target, isNew: kind === undefined };
  }
  const items = sources.map((path) => ({ path, as: name }));
  return { items, into: parentOf(target), isNew: false };
}

function itemOf(path: string): CopyItem {
  const as = lastName(path);
  return as === undefined ? { path } : { path, as };
}

async function kindOf(path: string, fs: PlanFs): Promise<'directory' | 'other' | undefined> {
  try {
    return (await fs.stat(path, { bigint: true })).isDirectory() ? 'directory' : 'other';
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** "." where there is none. */
function parentOf(path: string): string {
  const slash = path.replace(/\/+$/, '').lastIndexOf('/');
  if (slash < 0) return '.';
  return slash === 0 ? '/' : path.slice(0, slash);
}
