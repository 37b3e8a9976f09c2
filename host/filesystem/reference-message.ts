// The message of a large write by reference (references.ts).

import { BLOCK_SIZE, POINTER_SIZE } from '../../assembly/layout/block.ts';
import type { Ino, Instant } from '../base/units.ts';
import { HOLE } from '../format/pointer.ts';
import type { Core } from './core.ts';
import { loadRequest, modifyRequest } from './effects.ts';
import { writeBlocksMax } from './file-data.ts';
import type { Access } from './file-node.ts';
import type { Demand, Message } from './message-driver.ts';
import { inoKey } from './messages.ts';
import { REQUEST_SIZE_MAX, type ReferenceRequest, type WriteRequest } from './requests.ts';
import type { Scope } from './scope.ts';

/** Thrown by LOAD where too few stripes are empty: the write goes through the log instead. */
export const NO_STRIPES = Symbol('no empty stripes');

export interface ReferenceOptions {
  readonly ino: Ino;
  /** LOAD: the file, and when. */
  readonly find: (access: Access) => { generation: number; time: Instant };
  /** Whole blocks. */
  readonly data: Uint8Array;
  /** What follows them, less than a block: goes through the log, in the same record. */
  readonly tail: Uint8Array;
  /** A multiple of BLOCK_SIZE. */
  readonly position: number;
}

export class ReferenceMessage implements Message<void> {
  readonly demand: Demand;
  readonly earlyKeys: readonly string[];
  readonly #core: Core;
  readonly #scope: Scope;
  readonly #options: ReferenceOptions;
  readonly #count: number;
  #request: ReferenceRequest | undefined;
  #tail: readonly WriteRequest[] = [];

  constructor(core: Core, scope: Scope, options: ReferenceOptions) {
    this.#core = core;
    this.#scope = scope;
    this.#options = options;
    this.#count = options.data.length / BLOCK_SIZE;
    this.earlyKeys = [inoKey(options.ino)];
    this.demand = {
      blocks: writeBlocksMax(options.data.length) + 7,
      logBytes: 2 * REQUEST_SIZE_MAX + this.#count * POINTER_SIZE + options.tail.length,
      isRemoval: false,
    };
  }

  load(access: Access): void {
    const core = this.#core;
    const { ino } = this.#options;
    const { generation, time } = this.#options.find(access);
    this.#request = {
      kind: 'reference',
      ino,
      generation,
      fbn: this.#options.position / BLOCK_SIZE,
      pointers: new Array(this.#count).fill(HOLE),
      time,
    };
    this.#tail = this.#tailRequest(generation, time);
    for (const request of this.requests()) loadRequest(this.#scope, access, request);
    const maps = core.allocatorMaps();
    if (!core.allocator.prepareStripes(access, maps, this.#count)) throw NO_STRIPES;
  }

  keys(): readonly string[] {
    return this.earlyKeys;
  }

  modify(): void {
    const core = this.#core;
    const vbns = core.allocator.takeStripes(this.#count);
    const liveness = core.allocator.claimStripes();
    const pointers = core.references.begin(this.#options.data, vbns, liveness);
    this.#request = { ...(this.#request as ReferenceRequest), pointers };
    for (const request of this.requests()) modifyRequest(this.#scope, request);
  }

  requests(): readonly (ReferenceRequest | WriteRequest)[] {
    return [this.#request as ReferenceRequest, ...this.#tail];
  }

  #tailRequest(generation: number, time: Instant): readonly WriteRequest[] {
    const { ino, data, tail, position } = this.#options;
    if (tail.length === 0) return [];
    return [{ kind: 'write', ino, generation, position: position + data.length, time, data: tail }];
  }
}
