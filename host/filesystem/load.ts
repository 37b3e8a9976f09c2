// LOAD's access: notes what is not in memory and leaves. The driver fetches all of it, for many
// messages at once, and runs LOAD again.

import { FsError } from '../base/errors.ts';
import { checksumHex, type Pointer } from '../format/pointer.ts';
import type { Block, BlockCache } from './block-cache.ts';
import type { Access } from './file-node.ts';

/** Thrown by Load.miss; not an Error, and cheap. Nobody catches it but who can go on without. */
export const MISSING = Symbol('missing');

/** One message's (or the CP's) LOAD: what it found, what it misses, what could not be read. */
export class Load implements Access {
  readonly missing: Pointer[] = [];
  readonly #found: Block[] = [];
  readonly #pinned: Block[] = [];
  readonly #cache: BlockCache;
  #failures: Map<string, Error> | undefined;
  /** Found blocks are noted only from the first wait on: before, the turn keeps them. */
  isWaiting = false;

  constructor(cache: BlockCache) {
    this.#cache = cache;
  }

  miss(pointer: Pointer): never {
    const failure = this.#failures?.get(keyOf(pointer));
    if (failure !== undefined) throw new FsError('EIO', { cause: failure });
    this.missing.push(pointer);
    throw MISSING;
  }

  found(block: Block): void {
    if (this.isWaiting) this.#found.push(block);
  }

  /** Runs `load`; true if it found everything. */
  attempt(load: (access: Access) => void): boolean {
    this.missing.length = 0;
    this.#found.length = 0;
    try {
      load(this);
    } catch (error) {
      if (error !== MISSING) throw error;
      return false;
    }
    return this.missing.length === 0;
  }

  /** Before a wait: what was found must still be there afterwards. */
  pinFound(): void {
    for (const block of this.#found) {
      this.#cache.pin(block);
      this.#pinned.push(block);
    }
    this.#found.length = 0;
  }

  /** Before a wait: what was found now must still be there afterwards, and what was found earlier
   *  and is not needed any more need not. */
  pinFoundOnly(): void {
    const before = this.#pinned.splice(0);
    this.pinFound();
    for (const block of before) this.#cache.unpin(block);
  }

  unpin(): void {
    for (const block of this.#pinned) this.#cache.unpin(block);
    this.#pinned.length = 0;
  }

  fail(pointer: Pointer, error: Error): void {
    this.#failures ??= new Map();
    this.#failures.set(keyOf(pointer), error);
  }
}

function keyOf(pointer: Pointer): string {
  return `${pointer.vbn}:${checksumHex(pointer.checksumLow, pointer.checksumHigh)}`;
}
