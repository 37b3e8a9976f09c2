// A directory's blocks in memory, as strict as the real ones can be: what is not loaded cannot be
// read, only what the plan read can be changed, a changed block moves and its old bytes turn to
// garbage.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import type { DirectoryBlocks } from '../../host/filesystem/directory.ts';
import {
  initializeDirectory,
  insert,
  planInsert,
  planRemove,
  remove,
} from '../../host/filesystem/directory.ts';

/** Thrown by `read`; deliberately no Error. */
export class Missing {
  readonly fbn: number;
  constructor(fbn: number) {
    this.fbn = fbn;
  }
}

/** Numbers from a seed (xorshift32). */
export function randomFrom(seed: number): (limit: number) => number {
  let state = seed | 1;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

export const SEED = { low: 0x12345678, high: 0x9abcdef0 };

const encoder = new TextEncoder();

export function bytes(text: string): Uint8Array {
  return encoder.encode(text);
}

export class FakeBlocks implements DirectoryBlocks {
  readonly u8: Uint8Array;
  readonly view: DataView;
  readonly hashMask?: number;
  /** Address of each block. */
  readonly at: number[] = [];
  /** Undefined: everything is loaded, nothing is watched. */
  loaded: Set<number> | undefined;
  readonly readNow = new Set<number>();
  readonly changed = new Set<number>();
  readonly created = new Set<number>();
  /** All that was changed or created since the last `save`. */
  readonly touched = new Set<number>();
  isModify = false;
  readonly #free: number[] = [];

  constructor(frames: number, hashMask?: number) {
    this.u8 = new Uint8Array(frames * BLOCK_SIZE);
    this.view = new DataView(this.u8.buffer);
    if (hashMask !== undefined) this.hashMask = hashMask;
    // The highest frames first: reading past a block tends to leave the arena and throw.
    for (let frame = 1; frame < frames; frame++) this.#free.push(frame * BLOCK_SIZE);
  }

  get blockCount(): number {
    return this.at.length;
  }

  read(fbn: number): number {
    if (this.loaded !== undefined && !this.loaded.has(fbn)) throw new Missing(fbn);
    this.readNow.add(fbn);
    return this.#addressOf(fbn);
  }

  change(fbn: number): number {
    if (!this.isModify) throw new Error('changed outside of MODIFY');
    const before = this.#addressOf(fbn);
    if (this.changed.has(fbn) || this.created.has(fbn)) return before;
    if (!this.readNow.has(fbn)) throw new Error(`block ${fbn} was not read by the plan`);
    this.changed.add(fbn);
    this.touched.add(fbn);
    if (this.loaded === undefined) return before;
    const after = this.#frame();
    this.u8.copyWithin(after, before, before + BLOCK_SIZE);
    this.u8.fill(0xaa, before, before + BLOCK_SIZE);
    this.#free.unshift(before);
    this.at[fbn] = after;
    return after;
  }

  create(fbn: number): number {
    if (!this.isModify) throw new Error('created outside of MODIFY');
    if (fbn !== this.at.length) throw new Error(`block ${fbn} is not the next`);
    const address = this.#frame();
    this.u8.fill(0, address, address + BLOCK_SIZE);
    this.at.push(address);
    this.created.add(fbn);
    this.touched.add(fbn);
    this.loaded?.add(fbn);
    return address;
  }

  /** LOAD until nothing is missing: each miss names a block that had not been named. */
  load<T>(plan: () => T): T {
    this.loaded?.clear();
    for (;;) {
      this.readNow.clear();
      try {
        return plan();
      } catch (error) {
        if (!(error instanceof Missing) || this.loaded === undefined) throw error;
        if (this.loaded.has(error.fbn)) throw new Error(`block ${error.fbn} missing twice`);
        this.loaded.add(error.fbn);
      }
    }
  }

  modify(action: () => void): void {
    this.changed.clear();
    this.created.clear();
    this.isModify = true;
    try {
      action();
    } finally {
      this.isModify = false;
    }
  }

  initialize(): this {
    this.modify(() => initializeDirectory(this, SEED));
    return this;
  }

  /** Keeps the present state; the result goes back to it. */
  save(): () => void {
    const pristine = this.u8.slice();
    const at = [...this.at];
    const free = [...this.#free];
    this.touched.clear();
    return () => {
      this.u8.set(pristine);
      this.at.splice(0, this.at.length, ...at);
      this.#free.splice(0, this.#free.length, ...free);
      this.touched.clear();
    };
  }

  /** planInsert and insert. */
  insert(name: Uint8Array, ino: number, kind: number): string {
    const plan = this.load(() => planInsert(this, name));
    if (plan === 'ready') this.modify(() => insert(this, name, ino, kind));
    return plan;
  }

  /** planRemove and remove. */
  remove(name: Uint8Array): string {
    const plan = this.load(() => planRemove(this, name));
    if (plan === 'ready') this.modify(() => remove(this, name));
    return plan;
  }

  #addressOf(fbn: number): number {
    const address = this.at[fbn];
    if (address === undefined) throw new Error(`block ${fbn} of ${this.at.length}`);
    return address;
  }

  #frame(): number {
    const address = this.#free.pop();
    if (address === undefined) throw new Error('out of frames');
    return address;
  }
}
