// A disk in a host file, or in a window of one. The file is sparse and grows as it is written.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { type Dbn, MIB } from '../base/units.ts';
import type { Disk } from '../device/device.ts';
import { CallLanes, DISK_CALLS_MAX } from './call-lanes.ts';
import { FileDevice } from './file-device.ts';
import type { SharedFile } from './shared-file.ts';

/** All disks of the process share them, as they share the threads. */
const lanes = new CallLanes(DISK_CALLS_MAX);

/** After so much the host is made to write, beside what goes on: it would leave all of it to the
 *  flush at the end. */
const HELD_BYTES_MAX = 8 * MIB;

/** One at a time in the process: they are not to hold up the writes. */
let isFlushingBehind = false;

function endOfFlushBehind(): void {
  isFlushingBehind = false;
}

export interface FileDiskOptions {
  /** The disk is one of its users until closed. */
  readonly file: SharedFile;
  /** Blocks that the disk offers; the file need not be that long. */
  readonly blockCount: number;
  /** Where in the file the disk begins; default 0. */
  readonly baseBlocks?: number;
  /** For messages; default: the file's path. */
  readonly name?: string;
}

export class FileDisk extends FileDevice implements Disk {
  readonly blockCount: number;
  readonly isCached = true;
  /** Written since the last flush began. */
  #heldBytes = 0;

  constructor(options: FileDiskOptions) {
    const { file, blockCount, baseBlocks = 0, name } = options;
    const offsetBytes = baseBlocks * BLOCK_SIZE;
    super({ file, offsetBytes, sizeBytes: blockCount * BLOCK_SIZE, name });
    this.blockCount = blockCount;
  }

  override flush(): Promise<void> {
    this.#heldBytes = 0;
    return this.flushInLane(lanes);
  }

  lengthBlocks(): number {
    return Math.ceil(this.lengthBytes() / BLOCK_SIZE);
  }

  read(dbn: Dbn, views: readonly Uint8Array[]): Promise<void> {
    return this.readAt(dbn * BLOCK_SIZE, views);
  }

  readSync(dbn: Dbn, views: readonly Uint8Array[]): void {
    this.readAtSync(dbn * BLOCK_SIZE, views);
  }

  write(dbn: Dbn, views: readonly Uint8Array[]): Promise<void> {
    const written = this.writeInLane(lanes, dbn * BLOCK_SIZE, views);
    for (const { length } of views) this.#heldBytes += length;
    return this.#heldBytes < HELD_BYTES_MAX ? written : written.then(() => this.#writeOut());
  }

  /** Begun, and not waited for. */
  #writeOut(): void {
    if (isFlushingBehind || this.#heldBytes < HELD_BYTES_MAX) return;
    this.#heldBytes = 0;
    isFlushingBehind = true;
    void this.flushBehindInLane(lanes).finally(endOfFlushBehind);
  }

  writeSync(dbn: Dbn, views: readonly Uint8Array[]): void {
    this.writeAtSync(dbn * BLOCK_SIZE, views);
  }
}
