// The message of a large write by reference (references.ts).

import { BLOCK_SIZE, POINTER_SIZE } from '../../assembly/layout/block.ts';
import type { Ino, Instant } from '../base/units.ts';
import type { Core } from './core.ts';
import { loadRequest, modifyRequest } from './effects.ts';
import { writeBlocksMax } from './file-data.ts';
import type { Access } from './file-node.ts';
import type { Demand, Message } from './message-driver.ts';
import { inoKey } from './messages.ts';
import { type ReferenceRequest, REQUEST_SIZE_MAX } from './requests.ts';
import type { Scope } from './scope.ts';
import { HOLE } from '../format/pointer.ts';

/** Thrown by LOAD where too few stripes are empty: the write goes through the log instead. */
export const NO_STRIPES = Symbol('no empty stripes');

export interface ReferenceOptions {
  /** LOAD: the file, and when. */
  readonly find: (access: Access) => { ino: Ino; generation: number; time: Instant };
  /** Whole blocks. */
  readonly data: Uint8Array;
  /** A multiple of BLOCK_SIZE. */
  readonly position: number;
}

export class ReferenceMessage implements Message<void> {
  readonly demand: Demand;
  readonly #core: Core;
  readonly #scope: Scope;
  readonly #options: ReferenceOptions;
  readonly #count: number;
  #request: ReferenceRequest | undefined;

  constructor(core: Core, scope: Scope, options: ReferenceOptions) {
    this.#core = core;
    this.#scope = scope;
    this.#options = options;
    this.#count = options.data.length / BLOCK_SIZE;
    this.demand = {
      blocks: writeBlocksMax(options.data.length) + 6,
      logBytes: REQUEST_SIZE_MAX + this.#count * POINTER_SIZE,
      isRemoval: false,
    };
  }

  load(access: Access): void {
    const core = this.#core;
    const { ino, generation, time } = this.#options.find(access);
    this.#request = {
      kind: 'reference',
      ino,
      generation,
      fbn: this.#options.position / BLOCK_SIZE,
      pointers: new Array(this.#count).fill(HOLE),
      time,
    };
    loadRequest(this.#scope, access, this.#request);
    const maps = core.allocatorMaps();
    if (!core.allocator.prepareStripes(access, maps, this.#count)) throw NO_STRIPES;
  }

  keys(): readonly string[] {
    return [inoKey((this.#request as ReferenceRequest).ino)];
  }

  modify(): void {
    const core = this.#core;
    const vbns = core.allocator.takeStripes(this.#count);
    const liveness = core.allocator.claimStripes();
    const pointers = core.references.begin(this.#options.data, vbns, liveness);
    this.#request = { ...(this.#request as ReferenceRequest), pointers };
    modifyRequest(this.#scope, this.#request);
  }

  requests(): readonly ReferenceRequest[] {
    return [this.#request as ReferenceRequest];
  }
}
