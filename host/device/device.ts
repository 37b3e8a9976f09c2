// What the engine asks of hardware. Every method has a sync twin, so that a sync call can drive the
// engine; a device that has none throws StorageError UNSUPPORTED_FEATURE from them. A method may
// return a plain value where it is done at once (memory). The contract suite in test/device/ runs
// against every implementation.
//
// Durability: a write is durable once a flush that started after the write's completion has
// completed. Until then a crash may drop it, keep it, or tear it by 512-byte sector.
// Failures reject with StorageError DISK_FAILED (cause attached); a torn or lost write is never
// reported by the device, and is found by checksums above.

import type { Dbn } from '../base/units.ts';

export interface Disk {
  /** For messages: a path, or "memory-0". Never identity: that is the UUID in the label. */
  readonly name: string;
  /** Blocks that the disk offers, front included. Files grow up to it when written. */
  readonly blockCount: number;
  /** Reading again what was read a moment ago takes microseconds, as it comes from the host's page
   *  cache: a trip through the event loop would take longer. Default false. */
  readonly isCached?: boolean;
  /** Blocks that exist now; those from here to blockCount read as zeros. */
  lengthBlocks(): number;
  /** Reads consecutive blocks from `dbn` on, filling `views` one after the other (each a multiple
   *  of BLOCK_SIZE long). */
  read(dbn: Dbn, views: readonly Uint8Array[]): Promise<void> | void;
  readSync(dbn: Dbn, views: readonly Uint8Array[]): void;
  /** Writes consecutive blocks. The views must not change until completion. */
  write(dbn: Dbn, views: readonly Uint8Array[]): Promise<void> | void;
  writeSync(dbn: Dbn, views: readonly Uint8Array[]): void;
  flush(): Promise<void> | void;
  flushSync(): void;
  close(): Promise<void> | void;
}

/** The log's memory: bytes that survive power loss once flushed. Offsets and lengths are multiples
 *  of BLOCK_SIZE. */
export interface Nvram {
  readonly name: string;
  readonly sizeBytes: number;
  read(offsetBytes: number, view: Uint8Array): Promise<void> | void;
  readSync(offsetBytes: number, view: Uint8Array): void;
  write(offsetBytes: number, views: readonly Uint8Array[]): Promise<void> | void;
  writeSync(offsetBytes: number, views: readonly Uint8Array[]): void;
  flush(): Promise<void> | void;
  flushSync(): void;
  close(): Promise<void> | void;
}
