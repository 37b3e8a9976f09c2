// The last 64 KiB of a log, bit by bit and cut by cut: what the scan makes of each single damage.
//
// The log has been round twice: behind its end, and in the other half, stand whole flushes of
// earlier CPs. A cut leaves what stood there before, not zeros: so old flushes show behind it.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { FLUSH_HEADER_SIZE, LOG_HALVES_OFFSET } from '../../assembly/layout/log.ts';
import { isEqualBytes } from '../../host/base/bytes.ts';
import { runSync } from '../../host/base/task.ts';
import type { Nvram } from '../../host/device/device.ts';
import { recordBytesOf } from '../../host/format/log.ts';
import type { LogMemory } from '../../host/nvlog/log-memory.ts';
import { NvLog } from '../../host/nvlog/nv-log.ts';
import type { LogScan, LogScanRoot } from '../../host/nvlog/scan.ts';
import { bodyOf, KIND, logRootOf, newMemory, rootOf, UUID } from './world.ts';

/** What is damaged: the end of what the log holds. */
export const LAST_BYTES = 64 * 1024;
/** Bytes of the flushes together, and room for the stale ones behind them. */
const USED_BYTES = LAST_BYTES + 3 * BLOCK_SIZE;
const HALF_BYTES = USED_BYTES + 16 * BLOCK_SIZE;
const SIZE_BYTES = LOG_HALVES_OFFSET + 2 * HALF_BYTES;
/** Bodies of the records of a flush; taken in turn. */
const FLUSHES: readonly (readonly number[])[] = [
  [100],
  [5000, 40, 1, 0, 700],
  [3900],
  [0],
  [40, 40, 40, 40, 40, 40],
  [9000, 3000],
  [4040],
  [12],
];

/** Bytes that anybody may change at any time. */
class PlainNvram implements Nvram {
  readonly name = 'plain';
  readonly sizeBytes = SIZE_BYTES;
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array = new Uint8Array(SIZE_BYTES)) {
    this.bytes = bytes;
  }
  read(offsetBytes: number, view: Uint8Array): void {
    view.set(this.bytes.subarray(offsetBytes, offsetBytes + view.length));
  }
  readSync(offsetBytes: number, view: Uint8Array): void {
    this.read(offsetBytes, view);
  }
  write(offsetBytes: number, views: readonly Uint8Array[]): void {
    let at = offsetBytes;
    for (const view of views) {
      this.bytes.set(view, at);
      at += view.length;
    }
  }
  writeSync(offsetBytes: number, views: readonly Uint8Array[]): void {
    this.write(offsetBytes, views);
  }
  flush(): void {}
  flushSync(): void {}
  close(): void {}
}

/** A flush that counts. Offsets in the area. */
interface Flush {
  readonly start: number;
  /** Behind the last byte that means something; the rest of its last block is zeros. */
  readonly end: number;
  readonly blockEnd: number;
  /** Records up to its last one. */
  readonly recordCount: number;
}

export class LastBytes {
  readonly #memory: LogMemory = newMemory();
  readonly #flushes: Flush[] = [];
  readonly #sizes: number[] = [];
  readonly #root: LogScanRoot;
  readonly #nvrams = [new PlainNvram(), new PlainNvram()] as const;
  /** What stood on the first copy before the flushes that count. */
  readonly #old: Uint8Array;
  readonly #new: Uint8Array;
  scanCount = 0;

  constructor() {
    runSync(NvLog.format(this.#nvrams, this.#memory, { volumeUuid: UUID }));
    const log = this.#open(2);
    runSync(log.scan(rootOf(0, 0)));
    log.rootCommitted(logRootOf(1, log.lastSequence));
    // Each half once, and the first again.
    for (const cp of [2, 3]) {
      this.#fill(log, HALF_BYTES, () => {});
      const { logSequence } = log.switchHalf();
      log.rootCommitted(logRootOf(cp, logSequence));
    }
    this.#root = rootOf(3, log.lastSequence);
    this.#old = this.#nvrams[0].bytes.slice();
    this.#fill(log, USED_BYTES, (sizes, start) => {
      this.#sizes.push(...sizes);
      const bytes = sizes.reduce((sum, size) => sum + recordBytesOf(size), FLUSH_HEADER_SIZE);
      const blockEnd = start + Math.ceil(bytes / BLOCK_SIZE) * BLOCK_SIZE;
      const recordCount = this.#sizes.length;
      this.#flushes.push({ start, end: start + bytes, blockEnd, recordCount });
    });
    this.#new = this.#nvrams[0].bytes.slice();
  }

  /** Where the damage is done. */
  get range(): { readonly from: number; readonly to: number } {
    const to = (this.#flushes.at(-1) as Flush).blockEnd;
    return { from: to - LAST_BYTES, to };
  }

  #open(copyCount: number, first = 0): NvLog {
    const copies = [this.#nvrams[first], this.#nvrams[1 - first]].slice(0, copyCount);
    return runSync(NvLog.open(copies as Nvram[], this.#memory, { volumeUuid: UUID }));
  }

  /** Flushes until `bytes` of the half are used, or no more go in. */
  #fill(log: NvLog, bytes: number, onFlush: (sizes: readonly number[], start: number) => void) {
    const fits = (size: number) => {
      if (!log.reserve(size)) return false;
      log.append(KIND, [bodyOf(log.lastSequence + 1, size)], size);
      return true;
    };
    for (let index = 0; log.halfUsedBytes < bytes; index++) {
      const wanted = FLUSHES[index % FLUSHES.length] as readonly number[];
      // Both halves are filled from their start, and it is the first one that counts.
      const start = LOG_HALVES_OFFSET + log.halfUsedBytes;
      const count = wanted.findIndex((size) => !fits(size));
      const sizes = wanted.slice(0, count < 0 ? wanted.length : count);
      if (sizes.length > 0) onFlush(sizes, start);
      log.flush().startSync();
      if (sizes.length < wanted.length) return;
    }
  }

  /** Flips each `stride`-th bit, from bit number `first` on. */
  flips(first: number, stride: number): void {
    const { from, to } = this.range;
    const [{ bytes }] = this.#nvrams;
    for (let bit = first; bit < (to - from) * 8; bit += stride) {
      const at = from + (bit >>> 3);
      bytes[at] = (bytes[at] as number) ^ (1 << (bit & 7));
      this.#check(at, `bit ${bit & 7} of byte ${at} flipped`, true);
      bytes[at] = this.#new[at] as number;
    }
  }

  /** Cuts at each `stride`-th byte: as the power fails while the flush there is written; and with
   *  what came after that flush whole. */
  cuts(first: number, stride: number): void {
    const { from, to } = this.range;
    const [{ bytes }] = this.#nvrams;
    for (let at = from + first; at < to; at += stride) {
      const { blockEnd } = this.#flushes.find((flush) => at < flush.blockEnd) as Flush;
      bytes.set(this.#old.subarray(at, blockEnd), at);
      this.#check(at, `flush cut at byte ${at}, and whole ones after it`, true);
      bytes.set(this.#old.subarray(blockEnd, to), blockEnd);
      this.#check(at, `cut at byte ${at}`, false);
      bytes.set(this.#new.subarray(at, to), at);
    }
  }

  /** With the other copy nothing may be lost. Without it the damaged flush is, and what comes after
   *  it; that is told from the end of the log where there is a flush after it. */
  #check(at: number, what: string, hasLater: boolean): void {
    const all = this.#sizes.length;
    this.#expect(this.#scan(2, this.scanCount % 4 < 2 ? 0 : 1), all, undefined, what);
    const index = this.#flushes.findIndex(({ blockEnd }) => at < blockEnd);
    const { start, end, recordCount } = this.#flushes[index] as Flush;
    // What stands behind its records is of no use to anybody.
    const [{ bytes }] = this.#nvrams;
    const isWhole = isEqualBytes(bytes.subarray(start, end), this.#new.subarray(start, end));
    const isLast = index === this.#flushes.length - 1;
    const upTo = isWhole ? recordCount : (this.#flushes[index - 1]?.recordCount ?? 0);
    const count = isWhole && hasLater ? all : upTo;
    const isLost = !isWhole && hasLater && !isLast;
    this.#expect(this.#scan(1, 0), count, isLost ? 'lost' : undefined, what);
  }

  #scan(copyCount: number, first: number): LogScan {
    this.scanCount++;
    return runSync(this.#open(copyCount, first).scan(this.#root));
  }

  #expect(scan: LogScan, count: number, damage: string | undefined, what: string): void {
    const { records } = scan;
    const isRight = records.every(({ sequence, body, kind }, index) => {
      const wanted = this.#root.lastSequence + 1 + index;
      return sequence === wanted && kind === KIND && isEqualBytes(body, this.#bodyAt(index));
    });
    if (isRight && records.length === count && scan.damage?.reason === damage) return;
    const content = isRight ? 'right' : 'wrong';
    const found = `${records.length} records, ${content}, ${scan.damage?.reason}`;
    throw new Error(`${what}: ${found}, not ${count} and ${damage}`);
  }

  readonly #bodies: Uint8Array[] = [];
  #bodyAt(index: number): Uint8Array {
    let body = this.#bodies[index];
    if (body === undefined) {
      body = bodyOf(this.#root.lastSequence + 1 + index, this.#sizes[index] as number);
      this.#bodies[index] = body;
    }
    return body;
  }
}
