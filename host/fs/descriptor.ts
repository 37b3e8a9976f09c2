// Open files of the face: an OpenFile with a number and a position of its own, and the calls on
// it. Calls that use the position run one after the other, in the order in which they were made,
// so that each begins where the one before ended; calls with an explicit position wait for nobody.
// A file opened for appending is always written at its end.

import type { Prng } from '../base/env.ts';
import { FsError } from '../base/errors.ts';
import type { Step } from '../base/task.ts';
import { Task, wait } from '../base/task.ts';
import type { OpenFile, Operations } from '../filesystem/operations.ts';
import { MESSAGE_SIZE_MAX } from '../filesystem/operations.ts';
import { errorWithCode } from './argument-errors.ts';
import { at } from './call.ts';
import { viewOf } from './transfer.ts';

/** Numbers of open files start here: no host gives such a one, so a volume's number that is passed
 *  to the host's own fs by mistake is EBADF there and never another file. */
export const FD_FIRST = 0x4000_0000;
/** Open files of one VolumeFs; more is EMFILE. */
export const FDS_MAX = 65_536;
/** Largest piece that a file is copied in. */
export const PIECE_SIZE = MESSAGE_SIZE_MAX;
/** Node gives files over this size an error of their own when they are read whole. */
const READ_FILE_SIZE_MAX = 2 ** 31 - 1;

/** What all calls of one VolumeFs share. */
export interface FsContext {
  readonly operations: Operations;
  readonly prng: Prng;
  /** Bits that are taken from the mode of what is created. */
  readonly umask: number;
  readonly descriptors: DescriptorTable;
}

export class Descriptor {
  readonly fd: number;
  readonly file: OpenFile;
  position = 0;
  /** The last call that uses the position. */
  tail: Task<unknown> | undefined;

  constructor(fd: number, file: OpenFile) {
    this.fd = fd;
    this.file = file;
  }
}

export class DescriptorTable {
  readonly #open = new Map<number, Descriptor>();
  /** No number below is free. */
  #fdFree = FD_FIRST;

  add(file: OpenFile): Descriptor {
    let fd = this.#fdFree;
    while (this.#open.has(fd)) fd++;
    const descriptor = new Descriptor(fd, file);
    this.#open.set(fd, descriptor);
    this.#fdFree = fd + 1;
    return descriptor;
  }

  get isFull(): boolean {
    return this.#open.size >= FDS_MAX;
  }

  /** EBADF where there is none. */
  get(fd: number, syscall: string): Descriptor {
    const descriptor = this.#open.get(fd);
    if (descriptor === undefined) throw new FsError('EBADF', { syscall });
    return descriptor;
  }

  remove(descriptor: Descriptor): void {
    if (this.#open.get(descriptor.fd) !== descriptor) return;
    this.#open.delete(descriptor.fd);
    this.#fdFree = Math.min(this.#fdFree, descriptor.fd);
  }
}

/** `steps` as a task that starts when the calls on the position before it have ended. */
function inTurn<T>(descriptor: Descriptor, steps: () => Step<T>): Task<T> {
  const before = descriptor.tail;
  const task = Task.start(afterTask(before, steps));
  descriptor.tail = task;
  return task;
}

function* afterTask<T>(before: Task<unknown> | undefined, steps: () => Step<T>): Step<T> {
  if (before !== undefined && !before.isSettled) {
    try {
      yield* wait(before.asIo());
    } catch {
      // Whoever made that call is told; this one goes on where the position stands.
    }
  }
  return yield* steps();
}

/** Reads into `target`, at `position` or, where that is null, at the file's own, which moves. */
export function readAt(
  { operations }: FsContext,
  descriptor: Descriptor,
  target: Uint8Array,
  position: number | null,
): Task<number> {
  const { file } = descriptor;
  if (position !== null) return operations.read(file, target, position);
  return moving(descriptor, () => operations.read(file, target, descriptor.position));
}

/** Writes all of `data`, likewise. */
export function writeAt(
  { operations }: FsContext,
  descriptor: Descriptor,
  data: Uint8Array,
  position: number | null,
): Task<number> {
  const { file } = descriptor;
  if (position !== null) return operations.write(file, data, position);
  if (file.append && file.readable) {
    return inTurn(descriptor, () => appendSteps(operations, descriptor, data));
  }
  return moving(descriptor, () => operations.write(file, data, descriptor.position));
}

/** One operation at the position, which moves by what it gives. Where nothing is under way before
 *  it, the operation's own task is all there is. */
function moving(descriptor: Descriptor, make: () => Task<number>): Task<number> {
  if (descriptor.tail?.isSettled === false) {
    return inTurn(descriptor, function* () {
      const count = yield* wait(make().asIo());
      descriptor.position += count;
      return count;
    });
  }
  const task = make();
  descriptor.tail = task;
  // The first listener: the position has moved before anybody else hears of the end.
  task.onSettled(() => {
    try {
      descriptor.position += task.driveSync();
    } catch {
      // Whoever made the call is told; the position stays.
    }
  });
  return task;
}

/** Reading goes on behind what was appended, and that is at the end. */
function* appendSteps(
  operations: Operations,
  descriptor: Descriptor,
  data: Uint8Array,
): Step<number> {
  const { file } = descriptor;
  const count = yield* wait(operations.write(file, data, 0).asIo());
  // Nothing appended moves nothing.
  if (count === 0) return 0;
  const { sizeBytes } = yield* wait(operations.attributes({ file }).asIo());
  descriptor.position = sizeBytes;
  return count;
}

/** All buffers in order; stops at the end of the file. */
export function readVector(
  context: FsContext,
  descriptor: Descriptor,
  buffers: readonly ArrayBufferView[],
  position: number | null,
): Task<number> {
  return inTurnUnless(descriptor, position, function* () {
    let total = 0;
    for (const buffer of buffers) {
      const target = viewOf(buffer);
      const from = (position ?? descriptor.position) + total;
      const count = yield* wait(context.operations.read(descriptor.file, target, from).asIo());
      total += count;
      if (count < target.length) break;
    }
    if (position === null) descriptor.position += total;
    return total;
  });
}

/** All buffers as one write: they are joined, so that they reach the log as one message. */
export function writeVector(
  context: FsContext,
  descriptor: Descriptor,
  buffers: readonly ArrayBufferView[],
  position: number | null,
): Task<number> {
  const joined = new Uint8Array(buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0));
  let end = 0;
  for (const buffer of buffers) {
    joined.set(viewOf(buffer), end);
    end += buffer.byteLength;
  }
  return writeAt(context, descriptor, joined, position);
}

function inTurnUnless<T>(
  descriptor: Descriptor,
  position: number | null,
  steps: () => Step<T>,
): Task<T> {
  return position === null ? inTurn(descriptor, steps) : Task.start(steps());
}

/** Everything from the file's position on. */
export function readRest(context: FsContext, descriptor: Descriptor): Task<Uint8Array> {
  return inTurn(descriptor, () => readRestSteps(context, descriptor));
}

function* readRestSteps({ operations }: FsContext, descriptor: Descriptor): Step<Uint8Array> {
  const { file } = descriptor;
  const { sizeBytes } = yield* at({ syscall: 'fstat' }, operations.attributes({ file }));
  checkReadable(sizeBytes);
  const rest = new Uint8Array(Math.max(0, sizeBytes - descriptor.position));
  const count = yield* wait(operations.read(file, rest, descriptor.position).asIo());
  descriptor.position += count;
  return rest.subarray(0, count);
}

function checkReadable(sizeBytes: number): void {
  if (sizeBytes <= READ_FILE_SIZE_MAX) return;
  const text = `File size (${sizeBytes}) is greater than 2 GiB`;
  throw errorWithCode('ERR_FS_FILE_TOO_LARGE', text);
}
