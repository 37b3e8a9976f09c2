// What verify found: a list with a bound, and a count without one.

import type { Ino, Vbn } from '../../base/units.ts';
import type { DirectoryProblemKind } from '../directory-check.ts';

/** What can be wrong.
 *
 *  Blocks: bad-block: cannot be read, or is not what its pointer says · bad-pointer: a pointer that
 *  cannot be (vbn in no range, kind, algorithm, reserved bits) · doubly-owned: two places lead to
 *  one block · leaked-block, missing-block: set in the active map (a snapshot's plane) and not
 *  reached, and the reverse · map-range: a bit of a map, or an entry of the area table, for what is
 *  not there · map-overlap: a block in both maps · summary-leaked, summary-missing: set in the
 *  summary map without anyone who holds it, and the reverse · area-count: the area table ·
 *  counter: a number in a root that is not what was counted.
 *
 *  Inodes: inode: a field that cannot be · inode-number: in use below the first or above the limit
 *  · inode-map: map and inodes differ · block-count, block-beyond-end, tail: the inode's count of
 *  blocks; a block wholly beyond its size; bytes beyond it that are not zero · symlink-size · xattr
 *  · reserved: bytes that must be zero.
 *
 *  Names: directory-…: as DirectoryCheck says · dangling-entry: leads to a free inode · entry-kind:
 *  not the inode's type · link-count · unreachable: in use, without a name, not removed ·
 *  directory-twice: two names for one directory · directory-parent: its parent field · directory-
 *  cycle: its parents do not lead to the root · zombie-queue, zombie-named.
 *
 *  Volume: state: a field of the volume state · snapshot-entry, snapshot-tree, snapshot-plane: an
 *  entry of the table; parents; what it says of its image. */
export type VerifyProblemKind =
  | 'bad-block'
  | 'bad-pointer'
  | 'doubly-owned'
  | 'leaked-block'
  | 'missing-block'
  | 'map-range'
  | 'map-overlap'
  | 'summary-leaked'
  | 'summary-missing'
  | 'area-count'
  | 'counter'
  | 'inode'
  | 'inode-number'
  | 'inode-map'
  | 'block-count'
  | 'block-beyond-end'
  | 'tail'
  | 'symlink-size'
  | 'xattr'
  | 'reserved'
  | `directory-${DirectoryProblemKind}`
  | 'dangling-entry'
  | 'entry-kind'
  | 'link-count'
  | 'unreachable'
  | 'directory-twice'
  | 'directory-parent'
  | 'directory-cycle'
  | 'zombie-queue'
  | 'zombie-named'
  | 'state'
  | 'snapshot-entry'
  | 'snapshot-tree'
  | 'snapshot-plane';

export interface VerifyProblem {
  readonly kind: VerifyProblemKind;
  readonly message: string;
  readonly vbn?: Vbn;
  readonly ino?: Ino;
  /** Name of the file, where one leads to it. */
  path?: string;
  /** Name of the snapshot in whose image it is; absent: the active file system, or the volume. */
  readonly snapshot?: string;
}

export interface VerifyReport {
  /** The first PROBLEMS_MAX. */
  readonly problems: readonly VerifyProblem[];
  /** All of them. */
  readonly problemCount: number;
  /** Blocks in use, by images and volume files. */
  readonly blockCount: number;
  /** Of the active file system; zombies are inodes and none of the others. */
  readonly inodeCount: number;
  readonly fileCount: number;
  readonly directoryCount: number;
  readonly symlinkCount: number;
  readonly snapshotCount: number;
  /** From the medium. */
  readonly bytesRead: number;
}

/** Problems that are listed. */
export const PROBLEMS_MAX = 200;

type Where = Omit<VerifyProblem, 'kind' | 'message'>;

export class Findings {
  readonly problems: VerifyProblem[] = [];
  count = 0;

  note(kind: VerifyProblemKind, message: string, where: Where = {}): void {
    this.count++;
    if (this.problems.length < PROBLEMS_MAX) this.problems.push({ kind, message, ...where });
  }
}
