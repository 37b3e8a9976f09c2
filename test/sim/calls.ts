// What the simulated users do: calls on files by path (a random workload over few names), calls
// through files that stay open, and what is done with snapshots. Plain data, so that a run can be
// printed, done again, and shrunk.

import { createHash } from 'node:crypto';
import { FsError, type FsErrorCode, isFsError } from '../../host/base/errors.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import { type Step, Task, wait } from '../../host/base/task.ts';
import type { OpenFile, Operations } from '../../host/filesystem/operations.ts';
import { REFERENCE_SIZE_MIN } from '../../host/filesystem/references.ts';
import {
  bytesOf,
  type Data,
  makeWorkload,
  type Outcome,
  type Request,
  Session,
} from '../oracle/workload.ts';

/** A call on the active file system. Slots are numbers of open files. */
export type FileCall =
  | { readonly op: 'request'; readonly request: Request }
  | { readonly op: 'open'; readonly slot: number; readonly path: string }
  | { readonly op: 'close'; readonly slot: number }
  | { readonly op: 'patch'; readonly slot: number; readonly position: number; readonly data: Data }
  | { readonly op: 'cut'; readonly slot: number; readonly size: number }
  | {
      readonly op: 'peek';
      readonly slot: number;
      readonly position: number;
      readonly length: number;
    };

export type Call =
  | FileCall
  | { readonly op: 'snapshot'; readonly name: string }
  | { readonly op: 'delete'; readonly name: string }
  | { readonly op: 'hold'; readonly name: string; readonly change: 1 | -1 }
  | { readonly op: 'rollback'; readonly name: string }
  /** Volume.sync: a consistency point. */
  | { readonly op: 'sync' };

export interface Slots {
  get(slot: number): OpenFile | FsErrorCode;
  set(slot: number, file: OpenFile | undefined): void;
}

/** Does a call on any file system; never fails but with what no file system may throw. */
export function performFileCall(fs: Operations, call: FileCall, slots: Slots): Task<Outcome> {
  return Task.start(outcomeOf(perform(fs, call, slots)));
}

function* outcomeOf(step: Step<string>): Step<Outcome> {
  try {
    return { value: yield* step };
  } catch (error) {
    if (isFsError(error)) return { error: error.code };
    throw error;
  }
}

function* perform(fs: Operations, call: FileCall, slots: Slots): Step<string> {
  if (call.op === 'request') return yield* performRequest(fs, call.request);
  if (call.op === 'open') {
    // Making it, if need be, makes it a change, which happens at one moment.
    const options = { read: true, write: true, create: true };
    slots.set(call.slot, yield* wait(fs.open(call.path, options).asIo()));
    return '';
  }
  const file = slots.get(call.slot);
  if (typeof file === 'string') throw new FsError(file);
  switch (call.op) {
    case 'close':
      slots.set(call.slot, undefined);
      yield* wait(fs.close(file).asIo());
      return '';
    case 'patch':
      return String(yield* wait(fs.write(file, bytesOf(call.data), call.position).asIo()));
    case 'cut':
      yield* wait(fs.truncate({ file }, call.size).asIo());
      return '';
    case 'peek': {
      const bytes = new Uint8Array(call.length);
      const count = yield* wait(fs.read(file, bytes, call.position).asIo());
      return `${count} ${hash(bytes.subarray(0, count))}`;
    }
  }
}

/** As one message, where Session takes more. */
function* performRequest(fs: Operations, request: Request): Step<string> {
  if (request.op === 'readFile' && 'path' in request.where) {
    return hash(yield* wait(fs.readFile(request.where).asIo()));
  }
  const outcome = yield* wait(new Session(fs).apply(request).asIo());
  if ('error' in outcome) throw new FsError(outcome.error as FsErrorCode);
  return outcome.value;
}

function hash(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 16);
}

/** Weights of one run, drawn from its seed: some things far too often, others never. */
export interface CallWeights {
  readonly writeSizeMax: number;
  readonly handles: number;
  readonly large: number;
  readonly snapshots: number;
  readonly holds: number;
  readonly rollbacks: number;
  readonly snapshotsMax: number;
}

export function drawCallWeights(prng: SeededPrng): CallWeights {
  const often = (p: number, max: number) =>
    prng.chance(p) ? (max * (1 + prng.below(100))) / 100 : 0;
  return {
    writeSizeMax: prng.pick([300, 4097, 9000, 9000, 20_000, 50_000]),
    handles: often(0.8, 0.5),
    large: often(0.4, 0.08),
    snapshots: often(0.75, 0.25),
    holds: often(0.4, 0.05),
    rollbacks: often(0.5, 0.08),
    snapshotsMax: 1 + prng.below(4),
  };
}

const SLOTS_PER_CLIENT = 3;

/** Makes the calls of a run. */
export class CallMaker {
  readonly #prng: SeededPrng;
  readonly #weights: CallWeights;
  readonly #next: () => Request;
  #snapshotNext = 0;
  /** Calls made so far. */
  madeCount = 0;

  constructor(prng: SeededPrng, weights: CallWeights) {
    this.#prng = prng;
    this.#weights = weights;
    this.#next = makeWorkload(prng.fork(), { slots: 0, writeSizeMax: weights.writeSizeMax });
  }

  /** The next call of a client. `names`: of snapshots that are there, or may be. */
  make(client: number, names: readonly string[]): Call {
    this.madeCount++;
    const prng = this.#prng;
    const weights = this.#weights;
    if (prng.chance(0.01)) return { op: 'sync' };
    if (prng.chance(weights.snapshots)) return this.#snapshotCall(names);
    if (prng.chance(weights.rollbacks) && names.length > 0)
      return { op: 'rollback', name: prng.pick(names) };
    if (prng.chance(weights.holds) && names.length > 0)
      return { op: 'hold', name: prng.pick(names), change: prng.chance(0.6) ? 1 : -1 };
    if (prng.chance(weights.handles)) return this.#handleCall(client);
    return { op: 'request', request: this.#next() };
  }

  #snapshotCall(names: readonly string[]): Call {
    const prng = this.#prng;
    const isFull = names.length >= this.#weights.snapshotsMax;
    if (names.length > 0 && prng.chance(isFull ? 0.9 : 0.3))
      return { op: 'delete', name: prng.pick(names) };
    // Now and then a name that is taken.
    if (names.length > 0 && prng.chance(0.05)) return { op: 'snapshot', name: prng.pick(names) };
    return { op: 'snapshot', name: `s${this.#snapshotNext++}` };
  }

  #handleCall(client: number): Call {
    const prng = this.#prng;
    const slot = client * SLOTS_PER_CLIENT + prng.below(SLOTS_PER_CLIENT);
    const { writeSizeMax, large } = this.#weights;
    const kind = prng.below(10);
    if (kind < 2) {
      const request = this.#next();
      if ('path' in request) return { op: 'open', slot, path: request.path };
      return { op: 'request', request };
    }
    if (kind < 3) return { op: 'close', slot };
    if (kind < 4) return { op: 'cut', slot, size: prng.below(3 * writeSizeMax) };
    if (kind < 5)
      return {
        op: 'peek',
        slot,
        position: prng.below(writeSizeMax),
        length: prng.below(writeSizeMax),
      };
    if (prng.chance(large)) {
      // By reference, where there are empty stripes for it.
      const length = REFERENCE_SIZE_MIN + prng.below(3) * 4096 + prng.pick([0, 0, 77]);
      return {
        op: 'patch',
        slot,
        position: prng.below(4) * 4096,
        data: { length, seed: prng.u32() },
      };
    }
    const data = { length: prng.below(writeSizeMax + 1), seed: prng.u32() };
    return { op: 'patch', slot, position: prng.below(2 * writeSizeMax), data };
  }
}

export function say(call: Call): string {
  return call.op === 'request' ? JSON.stringify(call.request) : JSON.stringify(call);
}
