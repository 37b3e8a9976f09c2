// What a replay of the log needs of a file system: LOAD and MODIFY of a record's requests, and what
// is put off to the end.
//
// Records are applied in order, or, by the swarm, in any order that keeps those that share an inode
// in order. The image must be the same. What messages of different inodes share commutes (counts,
// bits of the inode map, the largest number), but for three things, which are done at the end, in
// the order of the log:
//   - the zombie queue is a list in the order of removals;
//   - a block of the inode file is cut out when its last inode is freed, and its generations are
//     gone then: whether a creation came before that shows;
//   - the CP frees and marks blocks in the order of two lists, and so makes map blocks dirty.

import { POINTERS_PER_BLOCK } from '../../assembly/layout/block.ts';
import { FsError } from '../base/errors.ts';
import { type Step, wait } from '../base/task.ts';
import type { Ino } from '../base/units.ts';
import type { Core } from './core.ts';
import { loadRequest, modifyRequest } from './effects.ts';
import type { Access } from './file-node.ts';
import type { Deferral } from './inodes.ts';
import { Load } from './load.ts';
import {
  CHANGE_DEMAND,
  CREATE_DEMAND,
  RENAME_DEMAND,
  TRUNCATE_DEMAND,
  UNLINK_DEMAND,
  writeDemand,
  XATTR_DEMAND,
} from './messages.ts';
import type { Request } from './requests.ts';
import { applySnapshotRequest, checkSnapshotRequest } from './snapshot-operations.ts';

export class ReplayTarget {
  readonly core: Core;
  readonly #deferral: Deferral = { queued: [], emptied: new Set() };

  /** From here until `finish` nothing but replay changes the file system. */
  constructor(core: Core) {
    this.core = core;
    core.inodes.deferral = this.#deferral;
  }

  /** LOAD of a record. Throws where it cannot be applied to the state as it is. */
  load(access: Access, requests: readonly Request[]): void {
    const { core } = this;
    let fresh: Ino[] | undefined;
    for (const request of requests) {
      if (request.kind === 'snapshot' || request.kind === 'snapshotChange') {
        checkSnapshotRequest(core, request);
        continue;
      }
      if (request.kind === 'create') {
        this.#checkFree(access, request.ino);
        fresh ??= [];
        fresh.push(request.ino);
      } else if (fresh !== undefined && 'ino' in request && fresh.includes(request.ino)) {
        // What an earlier request of the record makes cannot be, and need not be, loaded.
        continue;
      } else if (request.kind === 'truncate' && request.zombie !== 0) {
        this.#checkFree(access, request.zombie);
      }
      loadRequest(core.scope, access, request);
    }
  }

  #checkFree(access: Access, ino: Ino): void {
    if (!this.core.inodes.isFree(access, ino)) throw new FsError('EEXIST');
  }

  /** MODIFY, in the turn of a complete LOAD. Gives what goes to the zombie queue at the end. */
  modify(requests: readonly Request[]): readonly Ino[] {
    const { core } = this;
    for (const request of requests) {
      if (request.kind === 'snapshot' || request.kind === 'snapshotChange') {
        applySnapshotRequest(core, request);
      } else modifyRequest(core.scope, request);
    }
    core.image.dropIdle();
    const { queued } = this.#deferral;
    return queued.length === 0 ? queued : queued.splice(0);
  }

  /** All is applied. `queued`: what the MODIFYs gave, in the order of the log. */
  *finish(queued: readonly Ino[]): Step<void> {
    const { inodes, reservations } = this.core;
    if (queued.length > 0) yield* this.#loadTail();
    inodes.deferral = undefined;
    for (const ino of queued) inodes.enqueue(ino);
    for (const index of [...this.#deferral.emptied].sort((a, b) => a - b)) {
      inodes.freeEmptyBlock(index);
    }
    reservations.sort();
  }

  /** Nothing of it will be committed. */
  abandon(): void {
    this.core.inodes.deferral = undefined;
  }

  *#loadTail(): Step<void> {
    const { cache, fetcher, inodes } = this.core;
    const load = new Load(cache);
    for (;;) {
      cache.beginTurn();
      if (load.attempt((access) => inodes.loadTail(access))) return;
      const failures = yield* wait(fetcher.fetch([...load.missing]));
      for (const { pointer, error } of failures) load.fail(pointer, error);
    }
  }

  /** Frames that are neither dirty nor needed by anybody. */
  get framesFree(): number {
    const { cache } = this.core;
    return cache.frameCount - cache.dirtyCount - cache.pinnedCount;
  }

  /** Whether more is dirty than one CP can commit, which needs frames itself. In the cache in which
   *  the log was written that does not happen: a log has what two CPs make, each of which has at
   *  most a third of the frames. */
  get isTooFull(): boolean {
    const { cache, dirtyLoad, cpFrames } = this.core;
    return dirtyLoad > cache.frameCount - cpFrames;
  }
}

/** Frames that the MODIFY of a record may take, at most. */
export function framesMax(requests: readonly Request[]): number {
  let frames = 0;
  for (const request of requests) frames += framesOf(request);
  return frames;
}

function framesOf(request: Request): number {
  switch (request.kind) {
    case 'create':
    case 'link':
      return CREATE_DEMAND.blocks;
    case 'write':
      return writeDemand(request.data.length).blocks;
    case 'reference':
      return writeDemand(0).blocks + Math.ceil(request.pointers.length / POINTERS_PER_BLOCK);
    case 'truncate':
      return TRUNCATE_DEMAND.blocks;
    case 'change':
      return CHANGE_DEMAND.blocks;
    case 'unlink':
      return UNLINK_DEMAND.blocks;
    case 'rename':
      return RENAME_DEMAND.blocks;
    case 'xattr':
      return XATTR_DEMAND.blocks;
    default:
      return 0;
  }
}
