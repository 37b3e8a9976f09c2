// Walking buffer trees, many at once: every pointer of every file is looked at, every indirect
// block read, and what level 0 is for, its owner says.
//
// Indirect blocks wait on a stack, so that what waits is bounded by (levels x a batch x 256);
// blocks of level 0 wait in a list that is read, sorted, whenever it holds a window full. A block
// that can be reached in two ways is counted for both, reported, and not walked again.
//
// Snapshots share most of their trees. Indirect blocks and inodes are read again for every image,
// since all that they lead to must be counted in its plane; data is not: what hangs at a block that
// was walked in another image was read then, for a vbn in use has one content.

import {
  BLOCK_SIZE,
  CHECKSUM_XXHASH64,
  KIND_INDIRECT,
  KIND_XATTR,
  POINTER_FLAGS_OFFSET,
  POINTER_SIZE,
  POINTERS_PER_BLOCK,
} from '../../../assembly/layout/block.ts';
import { INODE_POINTERS, INODE_XATTR_OFFSET } from '../../../assembly/layout/inode.ts';
import type { Step } from '../../base/task.ts';
import type { Address, Ino, Vbn } from '../../base/units.ts';
import { inodePointerAt } from '../../format/inode.ts';
import { getPointer, getPointerVbn } from '../../format/pointer.ts';
import type { Core } from '../core.ts';
import { LEVEL_XATTR } from '../file-node.ts';
import type { BlockReader, Wanted } from './block-reader.ts';
import { Plane } from './plane.ts';
import type { Findings, VerifyProblemKind } from './report.ts';

/** What all parts of a verify share. */
export interface VerifyContext {
  readonly core: Core;
  readonly reader: BlockReader;
  readonly findings: Findings;
  readonly readsData: boolean;
  /** Indirect and inode blocks that were walked, in whatever image. */
  readonly walked: Plane;
  /** A block was reached. */
  onReached(vbn: Vbn): void;
  /** Between two reads: progress, and leaving where that is asked for. */
  pause(): void;
}

/** Whose blocks they are: an image, or the volume. */
export class Owner {
  readonly snapshot: string | undefined;
  readonly reached = new Plane();
  /** Something could not be followed: what was not reached says nothing. */
  isPartial = false;
  readonly #findings: Findings;

  constructor(findings: Findings, snapshot?: string) {
    this.#findings = findings;
    this.snapshot = snapshot;
  }

  note(kind: VerifyProblemKind, message: string, where: { vbn?: Vbn; ino?: Ino } = {}): void {
    const { snapshot } = this;
    this.#findings.note(kind, message, snapshot === undefined ? where : { ...where, snapshot });
  }
}

/** A file whose tree is walked. */
export interface TreeFile {
  /** 0 for files without a number. */
  readonly ino: Ino;
  /** For people: "inode 17", "the summary map". */
  readonly name: string;
  /** KIND_* of level 0. */
  readonly kind: number;
  readonly height: number;
  /** Blocks beyond it are wrong; Infinity where any may be. */
  readonly sizeBytes: number;
  readonly blocksStated: number;
  /** What to do with a block of level 0: nothing; read it where data is to be read, and this one
   *  was not (data); read it if it was not (once); read it for every image (all). */
  readonly leaves: 'none' | 'data' | 'once' | 'all';
  /** They stay in the cache. */
  readonly keepsLeaves: boolean;
  onLeaf?(place: Place): void;
  visitLeaf?(place: Place, address: Address): void;
}

export interface Place extends Wanted {
  readonly file: Walking;
  /** LEVEL_XATTR for the xattr block. */
  readonly level: number;
  readonly index: number;
  /** It was read through another image. */
  readonly isKnown: boolean;
}

/** A file under way. */
interface Walking extends TreeFile {
  counted: number;
  /** Indirect blocks still to be read. */
  unread: number;
  isPartial: boolean;
}

/** Indirect blocks expanded at once. */
const EXPAND_BATCH = 64;

export class TreeWalk {
  readonly #context: VerifyContext;
  readonly #owner: Owner;
  #stack: Place[] = [];
  #leaves: Place[] = [];

  constructor(context: VerifyContext, owner: Owner) {
    this.#context = context;
    this.#owner = owner;
  }

  /** Takes the pointers of an inode. `drain` does the rest. */
  add(file: TreeFile, view: DataView, at: number, isKnown: boolean): void {
    const walking: Walking = {
      ...file,
      counted: 0,
      unread: 0,
      isPartial: false,
    };
    this.#slot(walking, view, at + INODE_XATTR_OFFSET, LEVEL_XATTR, 0, isKnown);
    for (let index = 0; index < INODE_POINTERS && file.height > 0; index++) {
      this.#slot(walking, view, inodePointerAt(at, index), file.height - 1, index, isKnown);
    }
    if (walking.unread === 0) this.#finishFile(walking);
  }

  /** Walks all that was added; blocks of level 0 may wait for more, unless this `isLast`. */
  *drain(isLast: boolean, afterBatch?: () => Step<void>): Step<void> {
    const { window } = this.#context.reader;
    while (this.#stack.length > 0 || this.#leaves.length > 0) {
      if (this.#leaves.length >= window) yield* this.#readLeaves(afterBatch);
      else if (this.#stack.length > 0) yield* this.#expand();
      else if (isLast) yield* this.#readLeaves(afterBatch);
      else return;
      this.#context.pause();
    }
  }

  #slot(
    file: Walking,
    view: DataView,
    at: number,
    level: number,
    index: number,
    isKnown: boolean,
  ): void {
    if (isHole(view, at)) return;
    const problem = this.#pointerProblem(file, view, at, level);
    if (problem !== undefined) {
      this.#give(file, 'bad-pointer', `${file.name} has a pointer ${problem}`, 0);
      return;
    }
    const pointer = getPointer(view, at);
    const { vbn } = pointer;
    file.counted++;
    if (!this.#owner.reached.add(vbn)) {
      this.#give(file, 'doubly-owned', `block ${vbn} of ${file.name} belongs to another too`, vbn);
      return;
    }
    this.#context.onReached(vbn);
    const place: Place = { pointer, file, level, index, isKnown };
    if (
      level !== LEVEL_XATTR &&
      index * POINTERS_PER_BLOCK ** level * BLOCK_SIZE >= file.sizeBytes
    ) {
      const message = `block ${vbn} (level ${level}, ${index}) of ${file.name} is beyond its end`;
      this.#owner.note('block-beyond-end', message, whereOf(file, vbn));
    }
    if (level > 0 && level !== LEVEL_XATTR) {
      file.unread++;
      this.#stack.push(place);
      return;
    }
    this.#addLeaf(place);
  }

  #addLeaf(place: Place): void {
    const { file, level, isKnown } = place;
    if (level === LEVEL_XATTR) {
      if (!isKnown) this.#leaves.push(place);
      return;
    }
    file.onLeaf?.(place);
    const { leaves } = file;
    const isWanted = leaves === 'once' || (leaves === 'data' && this.#context.readsData);
    if (leaves === 'all' || (isWanted && !isKnown)) this.#leaves.push(place);
  }

  #pointerProblem(file: Walking, view: DataView, at: number, level: number): string | undefined {
    const { volume, maps } = this.#context.core;
    const vbn = getPointerVbn(view, at);
    const flags = view.getUint16(at + POINTER_FLAGS_OFFSET, true);
    const kind = level === 0 ? file.kind : level === LEVEL_XATTR ? KIND_XATTR : KIND_INDIRECT;
    if (vbn === 0) return 'to the hole that is not all zero';
    if (vbn >= volume.vbnLimit || !maps.areas.has(vbn)) return `to block ${vbn}, which is none`;
    if ((flags & 15) !== CHECKSUM_XXHASH64) return `with checksum algorithm ${flags & 15}`;
    if (((flags >> 4) & 15) !== kind) return `of kind ${(flags >> 4) & 15} where ${kind} must be`;
    if (flags >> 8 !== 0) return 'with reserved bits set';
    return undefined;
  }

  /** Something is wrong, and what hangs there is not followed. */
  #give(file: Walking, kind: VerifyProblemKind, message: string, vbn: Vbn): void {
    this.#owner.note(kind, message, whereOf(file, vbn));
    file.isPartial = true;
    if (kind !== 'doubly-owned') this.#owner.isPartial = true;
  }

  *#expand(): Step<void> {
    const { reader, core, walked } = this.#context;
    const batch = this.#stack.splice(-EXPAND_BATCH);
    yield* reader.each(batch, {
      keeps: () => true,
      visit: (place, address) => {
        const { file, level, index, pointer } = place;
        const isKnown = !walked.add(pointer.vbn);
        for (let child = 0; child < POINTERS_PER_BLOCK; child++) {
          const at = address + child * POINTER_SIZE;
          const childIndex = index * POINTERS_PER_BLOCK + child;
          this.#slot(file, core.arena.view, at, level - 1, childIndex, isKnown);
        }
        this.#read(file);
      },
      fail: (place, error) => {
        this.#unreadable(place, error);
        place.file.isPartial = true;
        this.#owner.isPartial = true;
        this.#read(place.file);
      },
    });
  }

  #read(file: Walking): void {
    file.unread--;
    if (file.unread === 0) this.#finishFile(file);
  }

  #unreadable({ file, pointer, level, index }: Place, error: Error): void {
    const message = `${file.name} (level ${level}, ${index}): ${error.message}`;
    this.#owner.note('bad-block', message, whereOf(file, pointer.vbn));
  }

  *#readLeaves(afterBatch?: () => Step<void>): Step<void> {
    const { reader } = this.#context;
    const leaves = this.#leaves;
    this.#leaves = [];
    for (let first = 0; first < leaves.length; first += reader.window) {
      yield* reader.each(leaves.slice(first, first + reader.window), {
        keeps: ({ file, level }) => level === 0 && file.keepsLeaves,
        visit: (place, address) => {
          place.file.visitLeaf?.(place, address);
        },
        fail: (place, error) => {
          this.#unreadable(place, error);
          // Data and attributes that are gone hide nothing; inodes do.
          if (place.file.leaves === 'all') this.#owner.isPartial = true;
        },
      });
      if (afterBatch !== undefined) yield* afterBatch();
    }
  }

  #finishFile(file: Walking): void {
    if (file.isPartial || file.counted === file.blocksStated) return;
    const message = `${file.name} says ${file.blocksStated} blocks and has ${file.counted}`;
    this.#owner.note('block-count', message, whereOf(file, 0));
  }
}

function whereOf(file: TreeFile, vbn: Vbn): { vbn?: Vbn; ino?: Ino } {
  return { ...(vbn === 0 ? {} : { vbn }), ...(file.ino === 0 ? {} : { ino: file.ino }) };
}

function isHole(view: DataView, at: number): boolean {
  for (let offset = 0; offset < POINTER_SIZE; offset += 4) {
    if (view.getUint32(at + offset, true) !== 0) return false;
  }
  return true;
}
