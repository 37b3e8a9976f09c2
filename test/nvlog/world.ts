// What the log's tests share: kernels, devices, a root to follow, and bodies that a sequence number
// determines.

import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import type { MemoryNvramOptions } from '../../host/device/memory-nvram.ts';
import { MemoryNvram } from '../../host/device/memory-nvram.ts';
import type { Word64 } from '../../host/format/log.ts';
import { createKernels } from '../../host/kernels/instantiate.ts';
import { LogMemory } from '../../host/nvlog/log-memory.ts';
import type { LogHooks, LogRoot } from '../../host/nvlog/nv-log.ts';
import { NvLog } from '../../host/nvlog/nv-log.ts';
import type { LogScan, LogScanRoot } from '../../host/nvlog/scan.ts';

export const UUID = new Uint8Array(16).fill(7);
export const FLUSH_BYTES = 16384;
export const KIND = 3;

/** A fresh arena each time would cost a page of memory for nothing: a test file has one. */
export function newMemory(flushBytesMax = FLUSH_BYTES): LogMemory {
  const { arena, kernels } = createKernels({ arenaBytes: 4 * 1024 * 1024 });
  return new LogMemory(arena, kernels, flushBytesMax);
}

export function newNvram(
  sizeBytes: number,
  options: Partial<MemoryNvramOptions> = {},
): MemoryNvram {
  return new MemoryNvram({ sizeBytes, isCrashable: true, ...options });
}

export function word(value: number): Word64 {
  return { low: value >>> 0, high: (value * 2654435761) >>> 0 };
}

/** Root of a CP; what the log needs of it follows from its number. */
export function rootOf(cpNumber: number, lastSequence: number, timeline = 1): LogScanRoot {
  return {
    timeline: word(timeline),
    cpNumber,
    imageChecksum: word(1000 + cpNumber),
    previousImageChecksum: word(999 + cpNumber),
    lastSequence,
  };
}

export function logRootOf(cpNumber: number, logSequence: number, timeline = 1): LogRoot {
  return {
    timeline: word(timeline),
    cpNumber,
    imageChecksum: word(1000 + cpNumber),
    logSequence,
  };
}

export function bodyOf(sequence: number, sizeBytes: number): Uint8Array {
  return new SeededPrng(sequence).bytes(sizeBytes);
}

export interface Mounted {
  readonly log: NvLog;
  readonly scan: LogScan;
}

export function openLog(
  nvrams: readonly (MemoryNvram | undefined)[],
  memory: LogMemory,
  hooks: LogHooks = {},
): NvLog {
  return runSync(NvLog.open(nvrams, memory, { volumeUuid: UUID, ...hooks }));
}

/** Opens, scans for root `cpNumber`, and starts with the next one. */
export function mount(
  nvrams: readonly (MemoryNvram | undefined)[],
  memory: LogMemory,
  root: LogScanRoot,
  hooks: LogHooks = {},
): Mounted {
  const log = openLog(nvrams, memory, hooks);
  const scan = runSync(log.scan(root));
  log.rootCommitted(logRootOf(root.cpNumber + 1, log.lastSequence));
  return { log, scan };
}

/** A new log on new devices, taking records after root 1. */
export function create(
  copyCount: number,
  sizeBytes: number,
  memory: LogMemory,
  options: Partial<MemoryNvramOptions> & { hooks?: LogHooks } = {},
): { nvrams: MemoryNvram[]; log: NvLog } {
  const nvrams = Array.from({ length: copyCount }, () => newNvram(sizeBytes, options));
  runSync(NvLog.format(nvrams, memory, { volumeUuid: UUID }));
  return { nvrams, log: mount(nvrams, memory, rootOf(0, 0), options.hooks).log };
}

/** Reserves and appends; the body follows from the sequence number. */
export function append(log: NvLog, sizeBytes: number): number {
  if (!log.reserve(sizeBytes)) throw new Error(`no room: ${log.shortageOf(sizeBytes)}`);
  return log.append(KIND, [bodyOf(log.lastSequence + 1, sizeBytes)], sizeBytes);
}

/** All microtasks and completions that are due. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
