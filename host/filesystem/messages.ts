// The two shapes that messages have: one that reads, and one that changes by requests.

import type { Ino } from '../base/units.ts';
import { loadRequest, modifyRequest } from './effects.ts';
import { writeBlocksMax } from './file-data.ts';
import type { Access } from './file-node.ts';
import type { Demand, Message } from './message-driver.ts';
import { type FileRequest, REQUEST_SIZE_MAX } from './requests.ts';
import type { Scope } from './scope.ts';

/** Reads: `find` runs in LOAD until it finds everything, and gives what MODIFY then returns. */
export class ReadMessage<T> implements Message<T> {
  readonly demand = undefined;
  readonly #find: (access: Access, note: NoteFile) => T;
  readonly #early: Ino | undefined;
  #file: Ino | undefined;
  #result: T | undefined;

  /** `find` notes the file that it reads; `file` is one that is known from the call. */
  constructor(find: (access: Access, note: NoteFile) => T, file?: Ino) {
    this.#find = find;
    this.#early = file;
    this.#file = file;
  }

  load(access: Access): void {
    this.#result = this.#find(access, this.#note);
  }
  readonly #note: NoteFile = (ino) => {
    this.#file = ino;
  };
  earlyKeys(): readonly string[] {
    return fileKeys(this.#early);
  }
  keys(): readonly string[] {
    return fileKeys(this.#file);
  }
  modify(): T {
    return this.#result as T;
  }
  requests(): readonly FileRequest[] {
    return [];
  }
}

/** LOAD: the message reads this file, and so comes after earlier calls that change it. */
export type NoteFile = (ino: Ino) => void;

/** What a changing message decides in LOAD. */
export interface Plan<T> {
  /** Applied in order, together. */
  readonly requests: readonly FileRequest[];
  /** After them, in MODIFY. */
  readonly finish: () => T;
}

/** Changes: `plan` runs in LOAD and decides the requests; their own LOADs follow, then their
 *  MODIFYs. */
export class ChangeMessage<T> implements Message<T> {
  readonly demand: Demand;
  readonly #file: Ino | undefined;
  /** Asked at each LOAD: a message that waits for a rollback finds another image after it. */
  readonly #scopeNow: () => Scope;
  readonly #plan: (scope: Scope, access: Access) => Plan<T>;
  #scope: Scope | undefined;
  #planned: Plan<T> | undefined;

  constructor(
    scopeNow: () => Scope,
    demand: Demand,
    plan: (scope: Scope, access: Access) => Plan<T>,
    file?: Ino,
  ) {
    this.#file = file;
    this.#scopeNow = scopeNow;
    this.demand = demand;
    this.#plan = plan;
  }

  load(access: Access): void {
    const scope = this.#scopeNow();
    const plan = this.#plan(scope, access);
    this.#scope = scope;
    this.#planned = plan;
    loadRequests(scope, access, plan.requests);
  }
  earlyKeys(): readonly string[] {
    return fileKeys(this.#file);
  }
  keys(): readonly string[] {
    return this.#planned?.requests.flatMap(keysOf) ?? this.earlyKeys();
  }
  modify(): T {
    const plan = this.#planned as Plan<T>;
    for (const request of plan.requests) modifyRequest(this.#scope as Scope, request);
    return plan.finish();
  }
  requests(): readonly FileRequest[] {
    return (this.#planned as Plan<T>).requests;
  }
}

/** LOAD of the requests of one message. */
export function loadRequests(scope: Scope, access: Access, requests: readonly FileRequest[]): void {
  let fresh = 0;
  for (const request of requests) {
    // What an earlier request of the same message makes cannot be, and need not be, loaded.
    if (request.kind === 'create') fresh = request.ino;
    else if ('ino' in request && request.ino === fresh) continue;
    loadRequest(scope, access, request);
  }
}

const NO_KEYS: readonly string[] = [];
export const inoKey = (ino: number) => `i${ino}`;
/** The keys of a message that names its file in the call, if it does. */
export const fileKeys = (file: Ino | undefined) => (file === undefined ? NO_KEYS : [inoKey(file)]);
const nameKey = (directory: number, name: Uint8Array) =>
  `d${directory}/${String.fromCharCode(...name)}`;

/** Conflict keys of a request (ENGINE 15): its inode, or directory and name, or both ends. */
export function keysOf(request: FileRequest): string[] {
  switch (request.kind) {
    case 'create':
    case 'link':
    case 'unlink':
      return [nameKey(request.directory, request.name), inoKey(request.ino)];
    case 'rename':
      return [
        nameKey(request.fromDirectory, request.fromName),
        nameKey(request.toDirectory, request.toName),
        inoKey(request.ino),
        ...(request.victim === 0 ? [] : [inoKey(request.victim)]),
      ];
    default:
      return [inoKey(request.ino)];
  }
}

// Demands: worst cases, from these parts. An inode's path: its block, three indirect blocks, the
// image root. A directory: nine nodes changed or made, their indirect blocks, two levels of growth.
const INODE_PATH = 6;
const MAP_PATH = 3;
const DIRECTORY = 24;

export const CREATE_DEMAND: Demand = {
  blocks: DIRECTORY + 2 * INODE_PATH + MAP_PATH + 4,
  logBytes: 2 * REQUEST_SIZE_MAX + 4096,
  isRemoval: false,
};
export const UNLINK_DEMAND: Demand = {
  blocks: DIRECTORY + 3 * INODE_PATH + MAP_PATH,
  logBytes: REQUEST_SIZE_MAX,
  isRemoval: true,
};
export const RENAME_DEMAND: Demand = {
  blocks: 2 * DIRECTORY + 5 * INODE_PATH + MAP_PATH,
  logBytes: 2 * REQUEST_SIZE_MAX,
  isRemoval: false,
};
export const CHANGE_DEMAND: Demand = {
  blocks: INODE_PATH,
  logBytes: REQUEST_SIZE_MAX,
  isRemoval: false,
};
export const XATTR_DEMAND: Demand = {
  blocks: INODE_PATH + 1,
  logBytes: REQUEST_SIZE_MAX + 4096,
  isRemoval: false,
};
export const TRUNCATE_DEMAND: Demand = {
  blocks: 3 * INODE_PATH + MAP_PATH + 16,
  logBytes: REQUEST_SIZE_MAX,
  isRemoval: true,
};

export function writeDemand(length: number): Demand {
  return {
    blocks: writeBlocksMax(length) + INODE_PATH,
    logBytes: REQUEST_SIZE_MAX + length,
    isRemoval: false,
  };
}

/** Creating or cutting a file, writing it, and its attributes, in one message. */
export function writeFileDemand(length: number): Demand {
  return {
    blocks: CREATE_DEMAND.blocks + TRUNCATE_DEMAND.blocks + writeBlocksMax(length),
    logBytes: 4 * REQUEST_SIZE_MAX + length,
    isRemoval: false,
  };
}
