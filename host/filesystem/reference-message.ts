// The message of a large write by reference (references.ts).

import { BLOCK_SIZE, POINTER_SIZE } from '../../assembly/layout/block.ts';
import type { Ino, Instant } from '../base/units.ts';
import { HOLE, type Pointer } from '../format/pointer.ts';
import type { Core } from './core.ts';
import { modifyRequest } from './effects.ts';
import { writeBlocksMax } from './file-data.ts';
import type { Access } from './file-node.ts';
import { BARRED, type Demand, type Message } from './message-driver.ts';
import { fileKeys, keysOf, loadRequests } from './messages.ts';
import { type FileRequest, REQUEST_SIZE_MAX } from './requests.ts';
import type { Scope } from './scope.ts';

/** What LOAD finds: the file, and when. */
export interface ReferenceTarget {
  readonly ino: Ino;
  readonly generation: number;
  readonly time: Instant;
  /** Come first, in the same record: the file is made, or cut. */
  readonly requests: readonly FileRequest[];
  /** Come last: its attributes. */
  readonly after: readonly FileRequest[];
}

export interface ReferenceOptions<T> {
  /** What the message gives. */
  readonly result: T;
  /** The file, where the call names it. */
  readonly file?: Ino;
  /** What `requests` and `after` of the target may need. */
  readonly demand: Pick<Demand, 'blocks' | 'logBytes'>;
  readonly find: (scope: Scope, access: Access) => ReferenceTarget;
  /** Whole blocks. */
  readonly data: Uint8Array;
  /** What follows them, less than a block: goes through the log, in the same record. */
  readonly tail: Uint8Array;
  /** A multiple of BLOCK_SIZE. */
  readonly position: number;
  /** The same through the log: where too few stripes are empty. */
  readonly otherWay: Message<T>;
}

export class ReferenceMessage<T> implements Message<T> {
  readonly demand: Demand;
  readonly otherWay: Message<T>;
  readonly #core: Core;
  /** Asked at each LOAD: a message that waits for a rollback finds another image after it. */
  readonly #scopeNow: () => Scope;
  readonly #options: ReferenceOptions<T>;
  readonly #count: number;
  #scope: Scope | undefined;
  #target: ReferenceTarget | undefined;
  #pointers: readonly Pointer[];

  constructor(core: Core, scopeNow: () => Scope, options: ReferenceOptions<T>) {
    const { data, tail, demand, otherWay } = options;
    this.otherWay = otherWay;
    this.#core = core;
    this.#scopeNow = scopeNow;
    this.#options = options;
    this.#count = data.length / BLOCK_SIZE;
    this.#pointers = new Array(this.#count).fill(HOLE);
    this.demand = {
      blocks: demand.blocks + writeBlocksMax(data.length) + 7,
      logBytes: demand.logBytes + 2 * REQUEST_SIZE_MAX + this.#count * POINTER_SIZE + tail.length,
      isRemoval: false,
    };
  }

  load(access: Access): void {
    const core = this.#core;
    const scope = this.#scopeNow();
    this.#scope = scope;
    this.#target = this.#options.find(scope, access);
    loadRequests(scope, access, this.requests());
    const maps = core.allocatorMaps();
    if (!core.allocator.prepareStripes(access, maps, this.#count)) throw BARRED;
  }

  earlyKeys(): readonly string[] {
    return fileKeys(this.#options.file);
  }

  keys(): readonly string[] {
    // Not known before a first LOAD has found the file.
    return this.#target === undefined ? this.earlyKeys() : this.requests().flatMap(keysOf);
  }

  modify(): T {
    const core = this.#core;
    const vbns = core.allocator.takeStripes(this.#count);
    const liveness = core.allocator.claimStripes();
    this.#pointers = core.references.begin(this.#options.data, vbns, liveness);
    for (const request of this.requests()) modifyRequest(this.#scope as Scope, request);
    return this.#options.result;
  }

  requests(): readonly FileRequest[] {
    const { ino, generation, time, requests, after } = this.#target as ReferenceTarget;
    const { data, tail, position } = this.#options;
    const fbn = position / BLOCK_SIZE;
    const pointers = this.#pointers;
    const all: FileRequest[] = [
      ...requests,
      { kind: 'reference', ino, generation, fbn, pointers, time },
    ];
    if (tail.length > 0) {
      all.push({
        kind: 'write',
        ino,
        generation,
        position: position + data.length,
        time,
        data: tail,
      });
    }
    return [...all, ...after];
  }
}
