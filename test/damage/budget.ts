// Devices that count their calls: what goes on for ever comes to an end here, by name.

import type { Disk, Nvram } from '../../host/device/device.ts';

/** A mount, all reads and a verify take some 2,000. */
const CALLS_MAX = 100_000;

export class Endless extends Error {}

function spend(count: number, name: string): void {
  if (count > CALLS_MAX) throw new Endless(`${name}: ${CALLS_MAX} calls and no end`);
}

export class BudgetDisk implements Disk {
  readonly name: string;
  readonly blockCount: number;
  readonly #disk: Disk;
  #calls = 0;

  constructor(disk: Disk) {
    this.name = disk.name;
    this.blockCount = disk.blockCount;
    this.#disk = disk;
  }

  lengthBlocks(): number {
    return this.#disk.lengthBlocks();
  }
  read(dbn: number, views: readonly Uint8Array[]): Promise<void> | void {
    spend(++this.#calls, this.name);
    return this.#disk.read(dbn, views);
  }
  readSync(dbn: number, views: readonly Uint8Array[]): void {
    spend(++this.#calls, this.name);
    this.#disk.readSync(dbn, views);
  }
  write(dbn: number, views: readonly Uint8Array[]): Promise<void> | void {
    spend(++this.#calls, this.name);
    return this.#disk.write(dbn, views);
  }
  writeSync(dbn: number, views: readonly Uint8Array[]): void {
    spend(++this.#calls, this.name);
    this.#disk.writeSync(dbn, views);
  }
  flush(): Promise<void> | void {
    return this.#disk.flush();
  }
  flushSync(): void {
    this.#disk.flushSync();
  }
  close(): void {}
}

export class BudgetNvram implements Nvram {
  readonly name: string;
  readonly sizeBytes: number;
  readonly #nvram: Nvram;
  #calls = 0;

  constructor(nvram: Nvram) {
    this.name = nvram.name;
    this.sizeBytes = nvram.sizeBytes;
    this.#nvram = nvram;
  }

  read(offsetBytes: number, view: Uint8Array): Promise<void> | void {
    spend(++this.#calls, this.name);
    return this.#nvram.read(offsetBytes, view);
  }
  readSync(offsetBytes: number, view: Uint8Array): void {
    spend(++this.#calls, this.name);
    this.#nvram.readSync(offsetBytes, view);
  }
  write(offsetBytes: number, views: readonly Uint8Array[]): Promise<void> | void {
    spend(++this.#calls, this.name);
    return this.#nvram.write(offsetBytes, views);
  }
  writeSync(offsetBytes: number, views: readonly Uint8Array[]): void {
    spend(++this.#calls, this.name);
    this.#nvram.writeSync(offsetBytes, views);
  }
  flush(): Promise<void> | void {
    return this.#nvram.flush();
  }
  flushSync(): void {
    this.#nvram.flushSync();
  }
  close(): void {}
}
