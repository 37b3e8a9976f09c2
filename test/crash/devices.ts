// Devices that lose flushes of one kind: what the engine would be without that flush. A flush is
// told by what was written last, to any disk, before it: the engine flushes each kind of thing
// right after it has written it.

import type { Dbn } from '../../host/base/units.ts';
import type { Disk, Nvram } from '../../host/device/device.ts';
import type { Front } from '../../host/format/label.ts';
import type { Engine } from '../../host/volume/engine.ts';

/** Each flush of the engine that a mounted volume, or a mount, does. */
export type FlushName =
  /** The log's, before calls are answered. */
  | 'log'
  /** Of data that was written by reference, before the log flush that has its record. */
  | 'reference'
  /** A CP's: all blocks and parity, before the root. */
  | 'data'
  /** After a root. */
  | 'root'
  /** Of the stripe journal, before the blocks are written in place. */
  | 'journal'
  /** A mount's, between the two copies of each label. */
  | 'label'
  /** A mount's, after replaying the stripe journal, before the root that voids it. */
  | 'replay';

type Kind = 'label' | 'root' | 'journal' | 'data';

/** What the devices of one volume have in common. */
export class FlushTap {
  readonly #lost: FlushName | undefined;
  readonly #front: Front;
  #last: Kind = 'data';
  #isMounting = true;
  #settling = 0;

  constructor(front: Front, lost?: FlushName) {
    this.#front = front;
    this.#lost = lost;
  }

  /** To be called when a mount begins. */
  beginMount(): void {
    this.#isMounting = true;
  }

  /** Tells flushes for the sake of the log from those of CPs. */
  watch(engine: Engine): void {
    const { references } = engine.fs.core;
    const settle = references.settle.bind(references);
    const tap = this;
    references.settle = function* () {
      tap.#settling++;
      try {
        yield* settle();
      } finally {
        tap.#settling--;
      }
    };
  }

  wrote(dbn: Dbn): void {
    this.#last = this.#kindOf(dbn);
    if (this.#last === 'root') this.#isMounting = false;
  }

  /** Whether the flush that comes now gets lost. */
  isLost(): boolean {
    return this.isLostAs(this.#last === 'data' ? this.#dataFlush() : this.#last);
  }

  #dataFlush(): FlushName {
    if (this.#isMounting) return 'replay';
    return this.#settling > 0 ? 'reference' : 'data';
  }

  isLostAs(name: FlushName): boolean {
    return name === this.#lost;
  }

  #kindOf(dbn: Dbn): Kind {
    const { rootFirst, journalFirst, logFirst } = this.#front;
    if (dbn < rootFirst) return 'label';
    if (dbn < journalFirst) return 'root';
    return dbn < logFirst ? 'journal' : 'data';
  }
}

/** Stays open when it is closed, so that a volume can be closed and mounted again in one world. */
export class TappedDisk implements Disk {
  readonly name: string;
  readonly blockCount: number;
  readonly #disk: Disk;
  readonly #tap: FlushTap;

  constructor(disk: Disk, tap: FlushTap) {
    this.name = disk.name;
    this.blockCount = disk.blockCount;
    this.#disk = disk;
    this.#tap = tap;
  }

  lengthBlocks(): number {
    return this.#disk.lengthBlocks();
  }
  read(dbn: Dbn, views: readonly Uint8Array[]): Promise<void> | void {
    return this.#disk.read(dbn, views);
  }
  readSync(dbn: Dbn, views: readonly Uint8Array[]): void {
    this.#disk.readSync(dbn, views);
  }
  write(dbn: Dbn, views: readonly Uint8Array[]): Promise<void> | void {
    this.#tap.wrote(dbn);
    return this.#disk.write(dbn, views);
  }
  writeSync(dbn: Dbn, views: readonly Uint8Array[]): void {
    this.#tap.wrote(dbn);
    this.#disk.writeSync(dbn, views);
  }
  flush(): Promise<void> | void {
    return this.#tap.isLost() ? undefined : this.#disk.flush();
  }
  flushSync(): void {
    if (!this.#tap.isLost()) this.#disk.flushSync();
  }
  close(): void {}
}

export class TappedNvram implements Nvram {
  readonly name: string;
  readonly sizeBytes: number;
  readonly #nvram: Nvram;
  readonly #tap: FlushTap;

  constructor(nvram: Nvram, tap: FlushTap) {
    this.name = nvram.name;
    this.sizeBytes = nvram.sizeBytes;
    this.#nvram = nvram;
    this.#tap = tap;
  }

  read(offsetBytes: number, view: Uint8Array): Promise<void> | void {
    return this.#nvram.read(offsetBytes, view);
  }
  readSync(offsetBytes: number, view: Uint8Array): void {
    this.#nvram.readSync(offsetBytes, view);
  }
  write(offsetBytes: number, views: readonly Uint8Array[]): Promise<void> | void {
    return this.#nvram.write(offsetBytes, views);
  }
  writeSync(offsetBytes: number, views: readonly Uint8Array[]): void {
    this.#nvram.writeSync(offsetBytes, views);
  }
  flush(): Promise<void> | void {
    return this.#tap.isLostAs('log') ? undefined : this.#nvram.flush();
  }
  flushSync(): void {
    if (!this.#tap.isLostAs('log')) this.#nvram.flushSync();
  }
  close(): void {}
}
