// NVRAM in memory: portable, and for tests able to crash (torn at any byte,
// unlike a disk), fail, lose and rot.

import type { Nvram } from './device.ts';
import type { MemoryOptions } from './memory-device.ts';
import { MemoryDevice } from './memory-device.ts';

export interface MemoryNvramOptions extends MemoryOptions {
  /** A multiple of BLOCK_SIZE. */
  readonly sizeBytes: number;
  /** Unit in which a crash tears writes; default 1. */
  readonly tearBytes?: number;
}

export class MemoryNvram extends MemoryDevice<MemoryNvram> implements Nvram {
  constructor(options: MemoryNvramOptions) {
    const { sizeBytes, tearBytes = 1 } = options;
    super({ sizeBytes, tearBytes }, options);
  }

  read(offsetBytes: number, view: Uint8Array): Promise<void> | void {
    return this.readAt(offsetBytes, [view]);
  }

  readSync(offsetBytes: number, view: Uint8Array): void {
    this.readAtSync(offsetBytes, [view]);
  }

  write(offsetBytes: number, views: readonly Uint8Array[]): Promise<void> | void {
    return this.writeAt(offsetBytes, views);
  }

  writeSync(offsetBytes: number, views: readonly Uint8Array[]): void {
    this.writeAtSync(offsetBytes, views);
  }

  protected override successor(options: MemoryOptions): MemoryNvram {
    const { sizeBytes, tearBytes } = this;
    return new MemoryNvram({ ...options, sizeBytes, tearBytes });
  }
}
