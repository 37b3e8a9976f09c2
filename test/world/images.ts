// Disks and logs as lists of blocks that never change: for exhaustive crash tests, where one moment
// of a volume leads to hundreds of images, of which most differ in a block or two.
//
// Equal blocks are one object (`Blocks`), so an image is an array of references: a copy costs a
// microsecond, and two images are compared without looking at a byte. Devices over an image keep
// what is written to them aside; they are synchronous, notice what is read (`Reads`), and may tell
// a recorder what is written and flushed, in order.

import { BLOCK_SIZE, SECTOR_SIZE } from '../../assembly/layout/block.ts';
import { assert } from '../../host/base/assert.ts';
import { isEqualBytes, zeroBytes } from '../../host/base/bytes.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import type { Dbn } from '../../host/base/units.ts';
import type { Fate } from '../../host/device/crash.ts';
import type { Disk, Nvram } from '../../host/device/device.ts';
import { createKernels } from '../../host/kernels/instantiate.ts';

const SECTORS = BLOCK_SIZE / SECTOR_SIZE;

/** Equal bytes, same block: within one `Blocks`, and what it stands on. */
export interface Block {
  readonly bytes: Uint8Array;
  readonly id: number;
}

let idNext = 0;
const hashing = createKernels({ arenaBytes: 1 << 17, shared: false });
const hashed = hashing.arena.reserve(BLOCK_SIZE, BLOCK_SIZE);
const sum = hashing.arena.reserve(8, 8);

/** Of all that is hashed here, 53 bits are enough to look for it: bytes are compared. */
function keyOf(bytes: Uint8Array): number {
  const { arena, kernels } = hashing;
  arena.u8.set(bytes, hashed);
  kernels.xxhash64(hashed, BLOCK_SIZE, sum);
  const [low, high] = [arena.u32[sum >>> 2] as number, arena.u32[(sum >>> 2) + 1] as number];
  return low + (high & 0x1fffff) * 2 ** 32;
}

const ZERO: Block = { bytes: new Uint8Array(BLOCK_SIZE), id: idNext++ };

/** All blocks that were ever seen. One for a group of tests, on top of one that stays: what a group
 *  has seen is dropped with it. */
export class Blocks {
  readonly #below: Blocks | undefined;
  readonly #known = new Map<number, Block[]>();

  constructor(below?: Blocks) {
    this.#below = below;
    if (below === undefined) this.#known.set(keyOf(ZERO.bytes), [ZERO]);
  }

  /** `bytes` must not change any more. */
  of(bytes: Uint8Array): Block {
    const key = keyOf(bytes);
    const found = this.#find(key, bytes);
    if (found !== undefined) return found;
    const block = { bytes, id: idNext++ };
    const same = this.#known.get(key);
    if (same === undefined) this.#known.set(key, [block]);
    else same.push(block);
    return block;
  }

  #find(key: number, bytes: Uint8Array): Block | undefined {
    const below = this.#below === undefined ? undefined : this.#below.#find(key, bytes);
    if (below !== undefined) return below;
    return this.#known.get(key)?.find((block) => isEqualBytes(block.bytes, bytes));
  }
}

/** What a device holds. */
export interface Image {
  readonly blocks: Block[];
  /** Blocks up to the last that was ever written. */
  lengthBlocks: number;
}

export function emptyImage(blockCount: number): Image {
  return { blocks: new Array<Block>(blockCount).fill(ZERO), lengthBlocks: 0 };
}

export function copyImage(image: Image): Image {
  return { blocks: image.blocks.slice(), lengthBlocks: image.lengthBlocks };
}

/** A write, by the number of its device. */
export interface ImageWrite {
  readonly device: number;
  readonly first: number;
  readonly blocks: readonly Uint8Array[];
}

export interface ImageRecorder {
  wrote(write: ImageWrite): void;
  flushed(device: number): void;
}

/** Places (device and block) that were read before they were written, in the order in which they
 *  were first read. */
export class Reads {
  readonly places: number[] = [];
  readonly #seen = new Set<number>();

  note(place: number): void {
    if (this.#seen.has(place)) return;
    this.#seen.add(place);
    this.places.push(place);
  }
}

/** Blocks of all devices are numbered through with this distance. */
export const DEVICE_PITCH = 1 << 20;

export interface ImageDeviceOptions {
  readonly device: number;
  readonly image: Image;
  readonly reads?: Reads | undefined;
  readonly recorder?: ImageRecorder | undefined;
}

class ImageDevice {
  readonly name: string;
  readonly #options: ImageDeviceOptions;
  /** What was written. */
  readonly #over = new Map<number, Uint8Array>();
  #lengthBlocks: number;

  constructor(options: ImageDeviceOptions) {
    this.#options = options;
    this.name = `device ${options.device}`;
    this.#lengthBlocks = options.image.lengthBlocks;
  }

  get blockCount(): number {
    return this.#options.image.blocks.length;
  }

  lengthBlocks(): number {
    return this.#lengthBlocks;
  }

  flush(): void {
    this.#options.recorder?.flushed(this.#options.device);
  }

  flushSync(): void {
    this.flush();
  }

  /** Stays open: who made it goes on with it. */
  close(): void {}

  protected readBlocks(first: number, view: Uint8Array): void {
    const { image, reads, device } = this.#options;
    const count = view.length / BLOCK_SIZE;
    assert(Number.isInteger(count) && first + count <= this.blockCount, 'whole blocks inside');
    for (let index = 0; index < count; index++) {
      const over = this.#over.get(first + index);
      const block = image.blocks[first + index] as Block;
      if (over === undefined) reads?.note(device * DEVICE_PITCH + first + index);
      const at = index * BLOCK_SIZE;
      if (over !== undefined) view.set(over, at);
      else if (block === ZERO) zeroBytes(view, at, at + BLOCK_SIZE);
      else view.set(block.bytes, at);
    }
  }

  protected writeBlocks(first: number, views: readonly Uint8Array[]): void {
    const { recorder, device } = this.#options;
    const blocks: Uint8Array[] = [];
    for (const view of views) {
      for (let at = 0; at < view.length; at += BLOCK_SIZE) {
        const bytes = new Uint8Array(BLOCK_SIZE);
        bytes.set(view.subarray(at, at + BLOCK_SIZE));
        this.#over.set(first + blocks.length, bytes);
        blocks.push(bytes);
      }
    }
    const end = first + blocks.length;
    assert(end <= this.blockCount, 'inside of the device', end);
    this.#lengthBlocks = Math.max(this.#lengthBlocks, end);
    recorder?.wrote({ device, first, blocks });
  }
}

export class ImageDisk extends ImageDevice implements Disk {
  read(dbn: Dbn, views: readonly Uint8Array[]): void {
    let first: number = dbn;
    for (const view of views) {
      this.readBlocks(first, view);
      first += view.length / BLOCK_SIZE;
    }
  }
  readSync(dbn: Dbn, views: readonly Uint8Array[]): void {
    this.read(dbn, views);
  }
  write(dbn: Dbn, views: readonly Uint8Array[]): void {
    this.writeBlocks(dbn, views);
  }
  writeSync(dbn: Dbn, views: readonly Uint8Array[]): void {
    this.write(dbn, views);
  }
}

export class ImageNvram extends ImageDevice implements Nvram {
  get sizeBytes(): number {
    return this.blockCount * BLOCK_SIZE;
  }
  read(offsetBytes: number, view: Uint8Array): void {
    this.readBlocks(offsetBytes / BLOCK_SIZE, view);
  }
  readSync(offsetBytes: number, view: Uint8Array): void {
    this.read(offsetBytes, view);
  }
  write(offsetBytes: number, views: readonly Uint8Array[]): void {
    this.writeBlocks(offsetBytes / BLOCK_SIZE, views);
  }
  writeSync(offsetBytes: number, views: readonly Uint8Array[]): void {
    this.write(offsetBytes, views);
  }
}

// What a crash leaves of a write.

/** Blocks of a write in an image, each sector new, old or zero, as the fate says. */
export function applyTo(image: Image, write: ImageWrite, fate: Fate, blocks: Blocks): void {
  if (fate.kind === 'drop') return;
  const sectors = sectorsOf(fate, write.blocks.length * SECTORS);
  write.blocks.forEach((bytes, index) => {
    const states = sectors.subarray(index * SECTORS, (index + 1) * SECTORS);
    const place = write.first + index;
    if (states.every((state) => state === OLD)) return;
    const old = image.blocks[place] as Block;
    image.blocks[place] = blocks.of(mixed(bytes, old.bytes, states));
    image.lengthBlocks = Math.max(image.lengthBlocks, place + 1);
  });
}

const OLD = 0;
const NEW = 1;

/** Of each sector: 0 it is old, 1 new, 2 zeros. */
function sectorsOf(fate: Fate, count: number): Uint8Array {
  const states = new Uint8Array(count);
  switch (fate.kind) {
    case 'keep':
      return states.fill(NEW);
    case 'prefix':
      return states.fill(NEW, 0, fate.sectors);
    case 'suffix':
      return states.fill(NEW, count - fate.sectors);
    case 'zeros':
      return states.fill(2).fill(NEW, 0, fate.sectors);
    case 'mixture': {
      const prng = new SeededPrng(fate.seed);
      return states.map(() => (prng.chance(0.5) ? NEW : OLD));
    }
    default:
      throw new Error(`${fate.kind} is not for images`);
  }
}

function mixed(bytes: Uint8Array, old: Uint8Array, states: Uint8Array): Uint8Array {
  if (states.every((state) => state === NEW)) return bytes;
  const result = new Uint8Array(BLOCK_SIZE);
  states.forEach((state, sector) => {
    if (state > NEW) return;
    const from = sector * SECTOR_SIZE;
    result.set((state === NEW ? bytes : old).subarray(from, from + SECTOR_SIZE), from);
  });
  return result;
}
