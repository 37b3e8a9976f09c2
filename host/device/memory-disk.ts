// A disk in memory: portable, sparse, and for tests able to crash, fail, lose, misplace and rot.

import { BLOCK_SIZE, SECTOR_SIZE } from '../../assembly/layout/block.ts';
import type { Dbn } from '../base/units.ts';
import type { Disk } from './device.ts';
import type { MemoryOptions } from './memory-device.ts';
import { MemoryDevice } from './memory-device.ts';

export interface MemoryDiskOptions extends MemoryOptions {
  readonly blockCount: number;
}

export class MemoryDisk extends MemoryDevice<MemoryDisk> implements Disk {
  readonly blockCount: number;

  constructor(options: MemoryDiskOptions) {
    const { blockCount } = options;
    super({ sizeBytes: blockCount * BLOCK_SIZE, tearBytes: SECTOR_SIZE }, options);
    this.blockCount = blockCount;
  }

  lengthBlocks(): number {
    return Math.ceil(this.lengthBytes / BLOCK_SIZE);
  }

  read(dbn: Dbn, views: readonly Uint8Array[]): Promise<void> | void {
    return this.readAt(dbn * BLOCK_SIZE, views);
  }

  readSync(dbn: Dbn, views: readonly Uint8Array[]): void {
    this.readAtSync(dbn * BLOCK_SIZE, views);
  }

  write(dbn: Dbn, views: readonly Uint8Array[]): Promise<void> | void {
    return this.writeAt(dbn * BLOCK_SIZE, views);
  }

  writeSync(dbn: Dbn, views: readonly Uint8Array[]): void {
    this.writeAtSync(dbn * BLOCK_SIZE, views);
  }

  protected override successor(options: MemoryOptions): MemoryDisk {
    return new MemoryDisk({ ...options, blockCount: this.blockCount });
  }
}
