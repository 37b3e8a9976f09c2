// Which entries come before which: from the conflict keys that their requests carry.
//
// Entries that touch an inode, be it as the file or as the directory, are done in the order of the
// log: that is what makes the image the same to the byte (times, the shape of a directory's tree).
// Each waits for the last one before it on each of its inodes, and so for all of them. All others
// are free of each other. What entries share beyond that commutes, or is put off to the end
// (filesystem/replay-target.ts).
//
// What an entry depends on is less: its own file and its name, and that the directory is there.
// Leaving out one entry takes only those along.

import type { Ino } from '../base/units.ts';
import { inoKey, keysOf } from '../filesystem/messages.ts';
import type { FileRequest, Request } from '../filesystem/requests.ts';
import type { TransactionBlock } from './transaction-block.ts';

/** Conflict keys beside the inode numbers: the snapshot table; and which directory lies in which,
 *  since moving one looks at all those above its new place. */
const SNAPSHOT_TABLE = 0;
const TREE_SHAPE = -1;

/** Enters into each block who comes before it. `blocks` are in the order of the log. */
export function linkConflicts(blocks: readonly TransactionBlock[]): void {
  const lasts = new Map<Ino, TransactionBlock>();
  /** The image that a snapshot was taken of: nothing may change it before. */
  let lastSnapshot: TransactionBlock | undefined;
  for (const block of blocks) {
    const before = new Set<TransactionBlock>();
    for (const request of block.requests) {
      if (request.kind === 'snapshot') lastSnapshot = block;
      else if (request.kind !== 'snapshotChange' && lastSnapshot !== undefined)
        before.add(lastSnapshot);
      for (const ino of touchedBy(request)) {
        const last = lasts.get(ino);
        if (last !== undefined) before.add(last);
        lasts.set(ino, block);
      }
    }
    before.delete(block);
    block.beforeCount = before.size;
    for (const other of before) other.after.push(block);
    block.isAfterAll = needsAll(block);
  }
}

/** A snapshot stands before everything that changes the image: one that does not must find so. */
function needsAll({ requests, index }: TransactionBlock): boolean {
  return index > 0 && requests.some(({ kind }) => kind === 'snapshot');
}

function touchedBy(request: Request): readonly Ino[] {
  switch (request.kind) {
    case 'create':
    case 'link':
    case 'unlink':
      return [request.directory, request.ino];
    case 'rename': {
      const { fromDirectory, toDirectory, ino, victim } = request;
      const keys = [fromDirectory, toDirectory, ino];
      if (victim !== 0) keys.push(victim);
      if (fromDirectory !== toDirectory) keys.push(TREE_SHAPE);
      return keys;
    }
    case 'truncate':
      return request.zombie === 0 ? [request.ino] : [request.ino, request.zombie];
    case 'snapshot':
    case 'snapshotChange':
      return [SNAPSHOT_TABLE];
    default:
      return [request.ino];
  }
}

/** The inodes that a block's requests touch. */
export function inosOf({ requests }: TransactionBlock): Ino[] {
  return requests.flatMap(touchedBy).filter((ino) => ino > 0);
}

/** What entries that were left out would have changed: who depends on it is left out too. */
export class SkippedKeys {
  /** Files and names. */
  readonly #changed = new Set<string>();
  /** Directories in which something was left out: they are there, but cannot be removed. */
  readonly #used = new Set<string>();

  get isEmpty(): boolean {
    return this.#changed.size === 0;
  }

  add({ requests }: TransactionBlock): void {
    for (const request of requests) {
      for (const key of changedKeys(request)) this.#changed.add(key);
      for (const key of usedKeys(request)) this.#used.add(key);
    }
  }

  has({ requests }: TransactionBlock): boolean {
    return requests.some(
      (request) =>
        changedKeys(request).some((key) => this.#changed.has(key) || this.#used.has(key)) ||
        usedKeys(request).some((key) => this.#changed.has(key)),
    );
  }
}

function isOfFiles(request: Request): request is FileRequest {
  return request.kind !== 'snapshot' && request.kind !== 'snapshotChange';
}

function changedKeys(request: Request): readonly string[] {
  if (!isOfFiles(request)) return [];
  const keys = keysOf(request);
  if (request.kind !== 'truncate' || request.zombie === 0) return keys;
  return [...keys, inoKey(request.zombie)];
}

function usedKeys(request: Request): readonly string[] {
  switch (request.kind) {
    case 'create':
    case 'link':
    case 'unlink':
      return [inoKey(request.directory)];
    case 'rename':
      return [inoKey(request.fromDirectory), inoKey(request.toDirectory)];
    default:
      return [];
  }
}
