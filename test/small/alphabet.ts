// The operations of small workloads, and the volume on which they begin: few names, so that
// operations meet; sizes on both sides of each limit of the format (inline, a block, a run by
// reference, a second level of the tree).
//
// The volume at the start:
//   /a      9000 bytes, an xattr, opened before the workload as slot 0
//   /d      a directory with /d/x (100 bytes, in its inode) and /d/y, a second name of /a
//   /e      an empty directory
//   /s      a symbolic link to a
//   "old"   a snapshot of all this, before /a was overwritten in the middle

import { REFERENCE_SIZE_MIN } from '../../host/filesystem/references.ts';
import type { Data, Request } from '../oracle/workload.ts';

export type Operation =
  | Request
  | { readonly op: 'snapshot'; readonly name: string }
  | { readonly op: 'delete'; readonly name: string }
  | { readonly op: 'rollback'; readonly name: string }
  /** A consistency point; what was removed stays as it is. */
  | { readonly op: 'cp' }
  /** Work in the background runs to its end: removed files and snapshots are freed. */
  | { readonly op: 'reclaim' };

/** `unlinked` is a file that is open and has no name. */
export const SLOT = 0;

const FAR = 600 * 1024 * 1024;
const LARGE = REFERENCE_SIZE_MIN;

function data(length: number, seed: number): Data {
  return { length, seed };
}

function put(path: string, length: number, options: { append?: boolean } = {}): Request {
  const { append = false } = options;
  const flags = { read: false, write: true, create: !append, append, truncate: !append };
  return { op: 'writeFile', path, data: data(length, length), options: { ...flags, mode: 0o644 } };
}

function patch(position: number, length: number): Request {
  return { op: 'write', slot: SLOT, position, data: data(length, position + length) };
}

const named = (path: string) => ({ path, followLast: true });
const time = { seconds: 1_600_000_000, nanoseconds: 7 };

/** What makes the volume on which workloads begin. */
export const BEGINNING: readonly Operation[] = [
  put('/a', 9000),
  { op: 'setXattr', where: named('/a'), name: 'user.a', data: data(40, 1) },
  { op: 'mkdir', path: '/d', mode: 0o755 },
  put('/d/x', 100),
  { op: 'link', existing: '/a', path: '/d/y' },
  { op: 'mkdir', path: '/e', mode: 0o700 },
  { op: 'symlink', content: 'a', path: '/s' },
  { op: 'snapshot', name: 'old' },
  { op: 'open', slot: 1, path: '/a', options: { read: true, write: true } },
  { op: 'write', slot: 1, position: 5000, data: data(300, 2) },
  { op: 'close', slot: 1 },
  { op: 'reclaim' },
];

export const ALPHABET: readonly Operation[] = [
  // Files that come into being, and are written over.
  put('/b', 0),
  put('/b', 100),
  put('/b', 5000),
  put('/b', LARGE + 4096),
  put('/a', 4096),
  put('/d/x', 200),
  put('/a', 50, { append: true }),
  put('/a', 12_000, { append: true }),
  // Writes through a handle: within a block, a whole one, at the end, behind a hole, by reference.
  patch(100, 50),
  patch(4096, 4096),
  patch(9000, 1000),
  patch(100_000, 10),
  patch(FAR, 5000),
  patch(0, LARGE),
  patch(8192, 2 * LARGE),
  { op: 'truncate', where: named('/a'), size: 0 },
  { op: 'truncate', where: named('/a'), size: 60 },
  { op: 'truncate', where: { slot: SLOT }, size: 4096 },
  { op: 'truncate', where: named('/a'), size: 30_000 },
  { op: 'truncate', where: { slot: SLOT }, size: FAR },
  // Names.
  { op: 'mkdir', path: '/b', mode: 0o755 },
  { op: 'mkdir', path: '/d/b', mode: 0o755 },
  { op: 'rmdir', path: '/e' },
  { op: 'rmdir', path: '/d' },
  { op: 'unlink', path: '/a' },
  { op: 'unlink', path: '/b' },
  { op: 'unlink', path: '/d/x' },
  { op: 'unlink', path: '/d/y' },
  { op: 'link', existing: '/a', path: '/b' },
  { op: 'link', existing: '/d/x', path: '/e/x' },
  { op: 'symlink', content: 'd/x', path: '/b' },
  { op: 'rename', from: '/a', to: '/b' },
  { op: 'rename', from: '/b', to: '/a' },
  { op: 'rename', from: '/a', to: '/d/x' },
  { op: 'rename', from: '/d/x', to: '/a' },
  { op: 'rename', from: '/d/y', to: '/a' },
  { op: 'rename', from: '/d/x', to: '/e/x' },
  { op: 'rename', from: '/e', to: '/b' },
  { op: 'rename', from: '/d', to: '/e' },
  { op: 'rename', from: '/e', to: '/d/b' },
  { op: 'rename', from: '/d', to: '/e/d' },
  // Attributes.
  { op: 'change', where: named('/a'), change: { mode: 0o4711, uid: 7 } },
  { op: 'change', where: named('/d'), change: { atime: time, mtime: time } },
  { op: 'setXattr', where: named('/a'), name: 'user.a', data: data(60, 3) },
  { op: 'setXattr', where: named('/d/x'), name: 'user.b', data: data(3000, 4) },
  { op: 'removeXattr', where: named('/a'), name: 'user.a' },
  // The whole.
  { op: 'snapshot', name: 'new' },
  { op: 'delete', name: 'new' },
  { op: 'delete', name: 'old' },
  { op: 'rollback', name: 'old' },
  { op: 'rollback', name: 'new' },
  { op: 'sync' },
  { op: 'cp' },
  { op: 'reclaim' },
];

/** The operations of a workload, from its number: all of `count` operations have numbers from 0 to
 *  ALPHABET.length ** count - 1, those that begin alike side by side. */
export function workloadOf(number: number, count: number): Operation[] {
  const operations: Operation[] = [];
  for (let rest = number; operations.length < count; rest = Math.floor(rest / ALPHABET.length)) {
    operations.unshift(ALPHABET[rest % ALPHABET.length] as Operation);
  }
  return operations;
}

export function say(operation: Operation): string {
  return JSON.stringify(operation);
}
