// What memory disks and memory NVRAM have in common: bytes, and for tests a model of what a crash
// can do to them, and faults to order.
//
// By default operations are done within the call. With a `schedule` the asynchronous forms return
// promises and take effect when the schedule runs them, in whatever order: reads see a write only
// once it is complete, and a write that completes late overwrites what was written meanwhile, as a
// real one would.
//
// A crashable device keeps two images: `live`, which reads see, and `durable`. A write is in
// flight, then complete, then (once a flush that started after its completion has completed)
// durable. Invariant: live = durable + the complete writes, in order of their completion.
// crash() makes a new device out of `durable` and a fate for every other write; the old one stays
// as it is, so that many crashes can be taken from one moment, and its operations under way never
// reach the new one. It needs a copy of every write, so it is for tests only.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import { isEqualBytes } from '../base/bytes.ts';
import type { Prng } from '../base/env.ts';
import { StorageError } from '../base/errors.ts';
import type { Fate, PendingWrite } from './crash.ts';
import { applyFate, DROP, randomFate } from './crash.ts';
import type { Fault, FaultAction, Operation } from './faults.ts';
import { Faults } from './faults.ts';
import { SparseBytes } from './sparse-bytes.ts';

/** Runs `complete` later, exactly once. */
export type Schedule = (complete: () => void) => void;

/** Completes operations in a microtask: asynchronous, and in order. */
export const microtask: Schedule = (complete) => {
  void Promise.resolve().then(complete);
};

/** Is told what happens to a crashable device, in order: for recorders. */
export interface DeviceObserver {
  writeStarted(write: PendingWrite): void;
  writeCompleted(write: PendingWrite): void;
  /** `writes` have become durable. */
  flushed(writes: readonly PendingWrite[]): void;
}

/** What all memory devices can be given. */
export interface MemoryOptions {
  /** For messages; default "memory". */
  readonly name?: string;
  /** Keeps what crash() needs; default false. */
  readonly isCrashable?: boolean;
  /** Default: operations are done within the call. */
  readonly schedule?: Schedule | undefined;
  readonly observer?: DeviceObserver | undefined;
  /** Content to start with, durable; belongs to the device from then on. Default: zeros. */
  readonly image?: SparseBytes;
}

export interface CrashOptions {
  /** Whether a torn sector may become noise; default false. */
  readonly hasGarbage?: boolean;
  /** The new device's; default: that of the old one. */
  readonly schedule?: Schedule;
  readonly observer?: DeviceObserver;
}

/** What a kind of device knows of itself. */
export interface MemoryGeometry {
  readonly sizeBytes: number;
  /** Unit in which a crash tears writes. */
  readonly tearBytes: number;
}

export abstract class MemoryDevice<Self extends MemoryDevice<Self>> {
  readonly name: string;
  readonly sizeBytes: number;
  /** Unit in which a crash tears writes. */
  readonly tearBytes: number;
  /** Pulled out: while true, everything fails with DISK_FAILED. */
  isDead = false;
  readonly #faults = new Faults();
  readonly #schedule: Schedule | undefined;
  readonly #observer: DeviceObserver | undefined;
  #isClosed = false;
  #live: SparseBytes;
  #durable: SparseBytes | undefined;
  #completed: PendingWrite[] = [];
  #inFlight: Set<PendingWrite> = new Set();

  constructor(geometry: MemoryGeometry, options: MemoryOptions) {
    const { sizeBytes, tearBytes } = geometry;
    assert(Number.isSafeInteger(sizeBytes), 'size is below 2^53 bytes', sizeBytes);
    assert(sizeBytes % BLOCK_SIZE === 0, 'size is whole blocks', sizeBytes);
    this.name = options.name ?? 'memory';
    this.sizeBytes = sizeBytes;
    this.tearBytes = tearBytes;
    this.#schedule = options.schedule;
    this.#observer = options.observer;
    this.#live = options.image ?? new SparseBytes();
    if (options.isCrashable === true) this.#durable = this.#live.clone();
  }

  flush(): Promise<void> | void {
    return this.#complete(this.#beginFlush());
  }

  flushSync(): void {
    this.#beginFlush()();
  }

  /** Later calls fail with VOLUME_CLOSED; what is under way completes. */
  close(): void {
    this.#isClosed = true;
  }

  /** Bytes of memory that the content takes. */
  get memoryBytes(): number {
    return this.#live.memoryBytes();
  }

  /** Lets an operation to come go wrong. */
  inject(fault: Fault): void {
    this.#faults.inject(fault);
  }

  clearFaults(): void {
    this.#faults.clear();
  }

  /** Flips the bits of `mask` on the medium itself, behind everybody's back: bit rot. */
  corrupt(offsetBytes: number, mask: Uint8Array): void {
    const isInside = offsetBytes >= 0 && offsetBytes + mask.length <= this.sizeBytes;
    assert(isInside, `${this.name}: inside the device`, offsetBytes);
    const bytes = new Uint8Array(mask.length);
    for (const image of [this.#live, this.#durable]) {
      if (image === undefined) continue;
      image.read(offsetBytes, bytes);
      for (let index = 0; index < mask.length; index++) {
        bytes[index] = (bytes[index] as number) ^ (mask[index] as number);
      }
      image.write(offsetBytes, bytes);
    }
  }

  // The rest is for crashable devices only, but `clone`.

  /** The writes that a crash now could undo: the complete ones, then those in flight. */
  pendingWrites(): readonly PendingWrite[] {
    this.#durableImage();
    return [...this.#completed, ...this.#inFlight];
  }

  /** The device as it is after a power cut now: open, without faults. This one stays as it is. */
  crash(prng: Prng, options: CrashOptions = {}): Self {
    const { hasGarbage = false } = options;
    const fateOptions = { tearBytes: this.tearBytes, hasGarbage };
    const draw = (write: PendingWrite) => randomFate(prng, write.bytes.length, fateOptions);
    return this.crashWith(this.pendingWrites().map(draw), options);
  }

  /** The same with a chosen fate for each of pendingWrites(). */
  crashWith(fates: readonly Fate[], options: CrashOptions = {}): Self {
    const writes = this.pendingWrites();
    assert(fates.length === writes.length, 'a fate for each write', fates.length, writes.length);
    const image = this.#durableImage().clone();
    for (const [index, write] of writes.entries()) {
      applyFate(image, write, fates[index] as Fate, { tearBytes: this.tearBytes });
    }
    return this.#successor(image, options);
  }

  /** The device with what is durable and nothing else. */
  snapshotDurable(options: CrashOptions = {}): Self {
    return this.crashWith(
      this.pendingWrites().map(() => DROP),
      options,
    );
  }

  /** The device as the next process finds it if this one is killed and power stays on: complete
   *  writes are there, still not durable; those in flight never happened. Reopens a closed one. */
  clone(options: CrashOptions = {}): Self {
    const twin = this.#successor((this.#durable ?? this.#live).clone(), options);
    for (const write of this.#completed) {
      twin.#observer?.writeStarted(write);
      twin.#applyWrite(write);
    }
    return twin;
  }

  /** Whether a write is in flight. */
  get isWriting(): boolean {
    return this.#inFlight.size > 0;
  }

  /** One more than the last byte ever written. */
  get lengthNow(): number {
    return this.#live.lengthBytes;
  }

  /** A copy of what is durable. */
  durableImage(): SparseBytes {
    return this.#durableImage().clone();
  }

  /** A new device of the same kind and geometry. */
  protected abstract successor(options: MemoryOptions): Self;

  protected readAt(offset: number, views: readonly Uint8Array[]): Promise<void> | void {
    return this.#complete(this.#beginRead(offset, views));
  }

  protected readAtSync(offset: number, views: readonly Uint8Array[]): void {
    this.#beginRead(offset, views)();
  }

  protected writeAt(offset: number, views: readonly Uint8Array[]): Promise<void> | void {
    return this.#complete(this.#beginWrite(offset, views));
  }

  protected writeAtSync(offset: number, views: readonly Uint8Array[]): void {
    this.#beginWrite(offset, views)();
  }

  protected get lengthBytes(): number {
    return this.#live.lengthBytes;
  }

  #successor(image: SparseBytes, options: CrashOptions): Self {
    return this.successor({
      name: this.name,
      isCrashable: this.#durable !== undefined,
      schedule: options.schedule ?? this.#schedule,
      observer: options.observer,
      image,
    });
  }

  #complete(finish: () => void): Promise<void> | void {
    const schedule = this.#schedule;
    if (schedule === undefined) return finish();
    return new Promise((resolve, reject) => {
      schedule(() => {
        try {
          finish();
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #beginRead(offset: number, views: readonly Uint8Array[]): () => void {
    const sizeBytes = this.#check(offset, views);
    const action = this.#faults.take('read', offset, sizeBytes);
    return () => {
      if (isPart(action)) this.#readPart(offset, views, action.bytes);
      this.#checkAlive('read', action);
      let position = this.#position(offset, sizeBytes, action);
      for (const view of views) {
        this.#live.read(position, view);
        position += view.length;
      }
    };
  }

  #beginWrite(offset: number, views: readonly Uint8Array[]): () => void {
    const sizeBytes = this.#check(offset, views);
    const action = this.#faults.take('write', offset, sizeBytes);
    const position = this.#position(offset, sizeBytes, action);
    const isDone = action !== 'fail' && action !== 'lose';
    if (this.#durable === undefined) {
      return () => {
        if (isDone && !this.isDead) {
          const part = isPart(action)
            ? [gather(views, sizeBytes).subarray(0, action.bytes)]
            : views;
          this.#applyViews(position, part);
        }
        this.#checkAlive('write', action);
      };
    }
    const whole = gather(views, sizeBytes);
    const bytes = isPart(action) ? this.#partOf(whole, position, action.bytes) : whole;
    const write: PendingWrite = { offsetBytes: position, bytes };
    if (isDone && !this.isDead) {
      this.#inFlight.add(write);
      this.#observer?.writeStarted(write);
    }
    return () => {
      assert(isSame(views, whole), `${this.name}: views unchanged until completion`);
      // A disk that died meanwhile leaves the write in flight for ever: a crash decides.
      if (!this.isDead && this.#inFlight.delete(write)) {
        this.#applyWrite(write);
      }
      this.#checkAlive('write', action);
    };
  }

  #beginFlush(): () => void {
    this.#checkOpen();
    const action = this.#faults.take('flush', 0, 0);
    const covered = this.#completed.slice();
    return () => {
      if (!this.isDead && action !== 'fail' && action !== 'lose') this.#makeDurable(covered);
      this.#checkAlive('flush', action);
    };
  }

  /** The first bytes of a write, and behind them, up to the end of a block, what was there. */
  #partOf(whole: Uint8Array, position: number, sizeBytes: number): Uint8Array {
    const bytes = new Uint8Array(Math.ceil(sizeBytes / BLOCK_SIZE) * BLOCK_SIZE);
    this.#live.read(position, bytes);
    bytes.set(whole.subarray(0, sizeBytes));
    return bytes;
  }

  #readPart(offset: number, views: readonly Uint8Array[], sizeBytes: number): void {
    const bytes = new Uint8Array(sizeBytes);
    this.#live.read(offset, bytes);
    let done = 0;
    for (const view of views) {
      view.set(bytes.subarray(done, done + view.length));
      done += view.length;
      if (done >= sizeBytes) break;
    }
  }

  #makeDurable(writes: readonly PendingWrite[]): void {
    const durable = this.#durable;
    if (durable === undefined) return;
    // Flushes may overlap: what another one has covered is durable already, and older than what
    // came after it.
    const pending = new Set(this.#completed);
    const covered = writes.filter((write) => pending.delete(write));
    for (const write of covered) durable.adopt(write.offsetBytes, write.bytes);
    this.#completed = [...pending];
    this.#observer?.flushed(covered);
  }

  #applyViews(offset: number, views: readonly Uint8Array[]): void {
    let position = offset;
    for (const view of views) {
      this.#live.write(position, view);
      position += view.length;
    }
  }

  #applyWrite(write: PendingWrite): void {
    this.#live.adopt(write.offsetBytes, write.bytes);
    this.#completed.push(write);
    this.#observer?.writeCompleted(write);
  }

  #durableImage(): SparseBytes {
    assert(this.#durable !== undefined, `${this.name} is crashable`);
    return this.#durable;
  }

  #check(offset: number, views: readonly Uint8Array[]): number {
    this.#checkOpen();
    let sizeBytes = 0;
    for (const view of views) sizeBytes += view.length;
    assert(Number.isInteger(offset / BLOCK_SIZE), 'offset is on a block', offset);
    assert(sizeBytes > 0 && sizeBytes % BLOCK_SIZE === 0, 'transfer is whole blocks', sizeBytes);
    const isInside = offset >= 0 && offset + sizeBytes <= this.sizeBytes;
    assert(isInside, 'transfer is inside the device', offset + sizeBytes, this.sizeBytes);
    return sizeBytes;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StorageError('VOLUME_CLOSED', `device ${this.name} is closed`);
  }

  #checkAlive(operation: Operation, action: FaultAction | undefined): void {
    if (this.isDead) {
      throw new StorageError('DISK_FAILED', `${this.name}: ${operation} on a dead device`);
    }
    if (action === 'fail' || action === 'apply-and-fail' || isPart(action)) {
      throw new StorageError('DISK_FAILED', `${this.name}: ${operation} failed (injected)`);
    }
  }

  #position(offset: number, sizeBytes: number, action: FaultAction | undefined): number {
    if (typeof action !== 'object' || action.kind !== 'misdirect') return offset;
    const isInside = (at: number) => at >= 0 && at + sizeBytes <= this.sizeBytes;
    const position = isInside(offset + action.bytes)
      ? offset + action.bytes
      : offset - action.bytes;
    assert(isInside(position), `${this.name}: misdirected inside the device`, position);
    return position;
  }
}

function isPart(action: FaultAction | undefined): action is Extract<FaultAction, { kind: 'part' }> {
  return typeof action === 'object' && action.kind === 'part';
}

function gather(views: readonly Uint8Array[], sizeBytes: number): Uint8Array {
  const bytes = new Uint8Array(sizeBytes);
  let position = 0;
  for (const view of views) {
    bytes.set(view, position);
    position += view.length;
  }
  return bytes;
}

function isSame(views: readonly Uint8Array[], bytes: Uint8Array): boolean {
  let position = 0;
  return views.every((view) => {
    const start = position;
    position += view.length;
    return isEqualBytes(view, bytes.subarray(start, position));
  });
}
