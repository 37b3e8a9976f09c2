// What file disks and file NVRAM have in common: a window of bytes in a host file.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import { StorageError } from '../base/errors.ts';
import type { CallLanes } from './call-lanes.ts';
import type { SharedFile } from './shared-file.ts';

export interface FileWindow {
  /** The device is one of its users until closed. */
  readonly file: SharedFile;
  /** Where in the file the window begins, and how far it reaches; the file may be shorter. */
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  /** For messages; default: the file's path. */
  readonly name?: string | undefined;
}

export abstract class FileDevice {
  readonly name: string;
  readonly sizeBytes: number;
  readonly #offsetBytes: number;
  readonly #file: SharedFile;
  #isClosed = false;

  constructor(window: FileWindow) {
    const { file, offsetBytes, sizeBytes, name = file.path } = window;
    const isAligned = offsetBytes % BLOCK_SIZE === 0 && sizeBytes % BLOCK_SIZE === 0;
    assert(isAligned, 'window is whole blocks', offsetBytes, sizeBytes);
    assert(Number.isSafeInteger(offsetBytes + sizeBytes), 'window ends below 2^53', sizeBytes);
    this.name = name;
    this.sizeBytes = sizeBytes;
    this.#offsetBytes = offsetBytes;
    this.#file = file.acquire();
  }

  flush(): Promise<void> {
    this.#checkOpen();
    return this.#file.flush();
  }

  /** These take a lane. One that waits for it counts as begun: closing waits for it. */
  protected writeInLane(
    lanes: CallLanes,
    offset: number,
    views: readonly Uint8Array[],
  ): Promise<void> {
    const position = this.#position(offset, views);
    return this.#file.holding(() => lanes.run(() => this.#file.write(position, views)));
  }

  protected flushInLane(lanes: CallLanes): Promise<void> {
    this.#checkOpen();
    return this.#file.holding(() => lanes.run(() => this.#file.flush()));
  }

  /** See SharedFile.flushBehind; nothing where the device is closed. */
  protected async flushBehindInLane(lanes: CallLanes): Promise<void> {
    if (this.#isClosed) return;
    await this.#file.holding(() => lanes.run(() => this.#file.flushBehind()));
  }

  flushSync(): void {
    this.#checkOpen();
    this.#file.flushSync();
  }

  /** Later calls fail with VOLUME_CLOSED. A promise where transfers are under way and the file has
   *  no other user: the file is closed when it resolves. */
  close(): Promise<void> | void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    return this.#file.release();
  }

  /** Bytes of the window that the file reaches. */
  protected lengthBytes(): number {
    this.#checkOpen();
    const length = this.#file.sizeBytes() - this.#offsetBytes;
    return Math.max(0, Math.min(length, this.sizeBytes));
  }

  protected readAt(offset: number, views: readonly Uint8Array[]): Promise<void> {
    return this.#file.read(this.#position(offset, views), views);
  }

  protected readAtSync(offset: number, views: readonly Uint8Array[]): void {
    this.#file.readSync(this.#position(offset, views), views);
  }

  protected writeAt(offset: number, views: readonly Uint8Array[]): Promise<void> {
    return this.#file.write(this.#position(offset, views), views);
  }

  protected writeAtSync(offset: number, views: readonly Uint8Array[]): void {
    this.#file.writeSync(this.#position(offset, views), views);
  }

  /** Where in the file a transfer goes. */
  #position(offset: number, views: readonly Uint8Array[]): number {
    this.#checkOpen();
    let size = 0;
    for (const view of views) size += view.length;
    assert(Number.isInteger(offset / BLOCK_SIZE), 'offset is on a block', offset);
    assert(size > 0 && size % BLOCK_SIZE === 0, 'transfer is whole blocks', size);
    const isInside = offset >= 0 && offset + size <= this.sizeBytes;
    assert(isInside, 'transfer is inside the device', offset + size, this.sizeBytes);
    return this.#offsetBytes + offset;
  }

  #checkOpen(): void {
    if (this.#isClosed) throw new StorageError('VOLUME_CLOSED', `device ${this.name} is closed`);
  }
}
