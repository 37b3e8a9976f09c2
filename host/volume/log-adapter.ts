// The log as the file system uses it: NvLog, and what it needs to know of roots.

import type { Io } from '../base/task.ts';
import type { LogPort } from '../filesystem/core.ts';
import type { VolumeState } from '../format/volume-state.ts';
import type { LogRoot, NvLog } from '../nvlog/nv-log.ts';
import type { LogScanRoot } from '../nvlog/scan.ts';

/** Record kind of file-system requests. */
const KIND_REQUESTS = 1;
/** Share of a half at which a CP is begun. */
const CP_SHARE = 0.5;

export class LogAdapter implements LogPort {
  readonly #log: NvLog;
  #half = 0;

  constructor(log: NvLog) {
    this.#log = log;
  }

  get lastSequence(): number {
    return this.#log.lastSequence;
  }
  reserve(bodyBytesMax: number): boolean {
    return this.#log.reserve(bodyBytesMax);
  }
  release(bodyBytesMax: number): void {
    this.#log.release(bodyBytesMax);
  }
  isFlushEnough(bodyBytesMax: number): boolean {
    return this.#log.shortageOf(bodyBytesMax) === 'staging';
  }
  waitForFlush(bodyBytesMax: number): Io<void> {
    return this.#log.waitForRoom(bodyBytesMax);
  }
  append(parts: readonly Uint8Array[], bodyBytesMax: number): number {
    return this.#log.append(KIND_REQUESTS, parts, bodyBytesMax);
  }
  commit(sequence: number): Io<void> {
    return this.#log.commit(sequence);
  }
  get wantsCp(): boolean {
    return this.#log.halfUsedBytes > this.#log.halfBytes * CP_SHARE || this.#log.isFailed;
  }
  switchHalf(): number {
    if (this.#log.canSwitch) this.#half = this.#log.switchHalf().half;
    return this.#half;
  }
  rootCommitted(state: VolumeState): void {
    this.#log.rootCommitted(logRootOf(state));
  }
}

function logRootOf(state: VolumeState): LogRoot {
  return {
    timeline: { low: state.timelineLow, high: state.timelineHigh },
    cpNumber: state.cp,
    imageChecksum: { low: state.imageRoot.checksumLow, high: state.imageRoot.checksumHigh },
    logSequence: state.logSequence,
  };
}

/** What the log's scan must know of the mounted root. */
export function scanRootOf(state: VolumeState): LogScanRoot {
  const { timeline, cpNumber, imageChecksum } = logRootOf(state);
  return {
    timeline,
    cpNumber,
    imageChecksum,
    previousImageChecksum: { low: state.previousLow, high: state.previousHigh },
    lastSequence: state.logSequence,
  };
}
