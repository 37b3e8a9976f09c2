// The log's areas on their devices: making them, and finding them again.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  LOG_HALVES,
  LOG_HALVES_OFFSET,
  LOG_HEADER_COPIES,
  LOG_HEADER_SIZE,
} from '../../assembly/layout/log.ts';
import { isStorageError, StorageError } from '../base/errors.ts';
import type { Io, Step } from '../base/task.ts';
import { all, wait } from '../base/task.ts';
import type { Nvram } from '../device/device.ts';
import type { LogHeader } from '../format/log.ts';
import { decodeLogHeader, encodeLogHeader, isLogGeometry, LOG_FLUSHES_MIN } from '../format/log.ts';
import { LogCopies } from './copies.ts';
import type { LogMemory } from './log-memory.ts';

/** Zeros are written in pieces of this size. */
const ZEROS_SIZE = 1024 * 1024;

export interface LogFormatOptions {
  /** 16 bytes. */
  readonly volumeUuid: Uint8Array;
  /** Bytes in a half, whole blocks. Default: as large as the smallest copy allows. */
  readonly halfBytes?: number;
  /** The devices hold zeros, having just been made: only what differs from that is written, and the
   *  end, so that they have their size. A file's blocks come with the flushes then, which makes
   *  these slower until the area has been gone through once. Default false. */
  readonly isBlank?: boolean;
}

/** Writes an empty log to each Nvram given, its place in the list being its number; a missing
 *  place is passed over, so that one copy can be made anew (with the halfBytes of the others).
 *  The whole area is written: a file's blocks are then there, and flushes change no metadata
 *  (`isBlank` does without).
 *  @throws StorageError INVALID_ARGUMENT if its halves are too small for flushes of `memory`'s
 *  size. */
export function* formatLog(
  nvrams: readonly (Nvram | undefined)[],
  memory: LogMemory,
  options: LogFormatOptions,
): Step<void> {
  const present = nvrams.filter((nvram) => nvram !== undefined);
  const areaBytes = Math.min(...present.map((nvram) => nvram.sizeBytes));
  const room = Math.floor((areaBytes - LOG_HALVES_OFFSET) / (LOG_HALVES * BLOCK_SIZE));
  const halfBytes = options.halfBytes ?? Math.max(0, room) * BLOCK_SIZE;
  const geometry = { areaBytes, halfBytes, flushBytesMax: memory.flushBytesMax };
  if (!isLogGeometry(geometry)) {
    const atLeast = LOG_HALVES_OFFSET + LOG_HALVES * LOG_FLUSHES_MIN * memory.flushBytesMax;
    throw new StorageError('INVALID_ARGUMENT', `a log of ${areaBytes} bytes is too small`, {
      detail: geometry,
      hint: `make it at least ${atLeast} bytes`,
    });
  }
  const zeros = new Uint8Array(Math.min(ZEROS_SIZE, halfBytes));
  const end = areaBytes - (areaBytes % BLOCK_SIZE);
  const first = options.isBlank === true ? end - BLOCK_SIZE : 0;
  for (let offset = first; offset < areaBytes; offset += zeros.length) {
    const piece = zeros.subarray(0, Math.min(zeros.length, areaBytes - offset));
    if (piece.length % BLOCK_SIZE !== 0) break;
    yield* wait(all(present.map((nvram) => writeIo(nvram, offset, piece))));
  }
  yield* wait(all(present.map(flushIo)));
  for (const [copy, nvram] of nvrams.entries()) {
    if (nvram === undefined) continue;
    const at = memory.staging[0];
    encodeLogHeader(memory, at, { copy, volumeUuid: options.volumeUuid, ...geometry });
    const bytes = memory.arena.bytes(at, LOG_HEADER_SIZE);
    for (let block = 0; block < LOG_HEADER_COPIES; block++) {
      yield* wait(writeIo(nvram, block * LOG_HEADER_SIZE, bytes));
    }
  }
  yield* wait(all(present.map(flushIo)));
}

/** Reads the headers, gives the numbers of the copies that count, and takes out those that do not
 *  belong: damaged, foreign, cut short, of other sizes than the first good one, or with the number
 *  of a copy before them.
 *  @throws what is wrong with the first copy, if none is left. */
export function* openArea(
  nvrams: readonly (Nvram | undefined)[],
  memory: LogMemory,
  volumeUuid: Uint8Array,
): Step<{ copies: LogCopies; header: LogHeader; numbers: Set<number> }> {
  const copies = new LogCopies(nvrams);
  let header: LogHeader | undefined;
  const numbers = new Set<number>();
  for (const copy of copies.live()) {
    const found = yield* readHeader(copies, copy, memory);
    if (found === undefined) continue;
    const nvram = copies.nvram(copy);
    const problem = numbers.has(found.copy)
      ? new StorageError('DISK_DUPLICATE', `${nvram.name} is copy ${found.copy} of the log, again`)
      : problemOf(found, header, nvram, volumeUuid);
    if (problem === undefined) {
      header ??= found;
      numbers.add(found.copy);
    } else {
      copies.drop(copy, problem);
    }
  }
  if (header === undefined) {
    throw (
      copies.errors().find((error) => error !== undefined) ??
      new StorageError('DISK_MISSING', 'no copy of the log is there')
    );
  }
  if (header.flushBytesMax > memory.flushBytesMax) {
    throw new StorageError('INVALID_ARGUMENT', 'the log was made with larger staging buffers', {
      detail: { flushBytesMax: header.flushBytesMax, actual: memory.flushBytesMax },
      hint: 'open it with a larger cacheSize',
    });
  }
  return { copies, header, numbers };
}

/** The first of the header's blocks that is whole. */
function* readHeader(
  copies: LogCopies,
  copy: number,
  memory: LogMemory,
): Step<LogHeader | undefined> {
  const nvram = copies.nvram(copy);
  const at = memory.staging[0];
  let problem: unknown = new StorageError('DISK_TRUNCATED', `${nvram.name} is cut short`);
  for (let block = 0; block < LOG_HEADER_COPIES; block++) {
    const offset = block * LOG_HEADER_SIZE;
    if (offset + LOG_HEADER_SIZE > nvram.sizeBytes) break;
    if (!(yield* copies.read(copy, offset, memory.arena.bytes(at, LOG_HEADER_SIZE))))
      return undefined;
    const error = copies.errorAt(copy, offset);
    if (error !== undefined) {
      problem = error;
      continue;
    }
    try {
      return decodeLogHeader(memory, at);
    } catch (error) {
      if (!isStorageError(error)) throw error;
      problem = error;
      if (error.code === 'VERSION_TOO_NEW') break;
    }
  }
  copies.drop(copy, problem);
  return undefined;
}

function problemOf(
  found: LogHeader,
  first: LogHeader | undefined,
  nvram: Nvram,
  volumeUuid: Uint8Array,
): StorageError | undefined {
  if (found.volumeUuid.some((byte, index) => byte !== volumeUuid[index])) {
    return new StorageError('DISK_FOREIGN', `${nvram.name} is the log of another volume`);
  }
  const end = LOG_HALVES_OFFSET + LOG_HALVES * found.halfBytes;
  if (nvram.sizeBytes < end) {
    return new StorageError('DISK_TRUNCATED', `${nvram.name} is cut short`, {
      detail: { expected: end, actual: nvram.sizeBytes },
    });
  }
  const isAlike =
    first === undefined ||
    (first.halfBytes === found.halfBytes && first.flushBytesMax === found.flushBytesMax);
  if (isAlike) return undefined;
  return new StorageError('DISK_FOREIGN', `${nvram.name} is a log of another size`, {
    detail: { expected: first.halfBytes, actual: found.halfBytes },
  });
}

function writeIo(nvram: Nvram, offset: number, bytes: Uint8Array): Io<void> {
  const views = [bytes];
  return {
    start: () => nvram.write(offset, views),
    startSync: () => nvram.writeSync(offset, views),
  };
}

function flushIo(nvram: Nvram): Io<void> {
  return { start: () => nvram.flush(), startSync: () => nvram.flushSync() };
}
