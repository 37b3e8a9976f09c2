// NVRAM in a host file, or in a window of one (a one-file volume's log lies in its disk's front).

import type { Step } from '../base/task.ts';
import { wait } from '../base/task.ts';
import { MIB } from '../base/units.ts';
import type { Nvram } from '../device/device.ts';
import type { FileWindow } from './file-device.ts';
import { FileDevice } from './file-device.ts';

/** Zeros that `prepare` writes at a time. */
const PREPARE_SIZE = MIB;

export class FileNvram extends FileDevice implements Nvram {
  constructor(options: FileWindow) {
    super(options);
  }

  read(offsetBytes: number, view: Uint8Array): Promise<void> {
    return this.readAt(offsetBytes, [view]);
  }

  readSync(offsetBytes: number, view: Uint8Array): void {
    this.readAtSync(offsetBytes, [view]);
  }

  write(offsetBytes: number, views: readonly Uint8Array[]): Promise<void> {
    return this.writeAt(offsetBytes, views);
  }

  writeSync(offsetBytes: number, views: readonly Uint8Array[]): void {
    this.writeAtSync(offsetBytes, views);
  }

  /** Writes the whole area once with zeros, and flushes: at creation, so that later flushes find
   *  written extents, which makes each about 2.5 times faster. */
  *prepare(): Step<void> {
    const zeros = new Uint8Array(Math.min(PREPARE_SIZE, this.sizeBytes));
    for (let offset = 0; offset < this.sizeBytes; offset += zeros.length) {
      const views = [zeros.subarray(0, Math.min(zeros.length, this.sizeBytes - offset))];
      yield* wait({
        start: () => this.write(offset, views),
        startSync: () => this.writeSync(offset, views),
      });
    }
    yield* wait({ start: () => this.flush(), startSync: () => this.flushSync() });
  }
}
