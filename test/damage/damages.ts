// Damages: what happens to devices that nobody told of. Drawn from a seed; each says afterwards
// which places do not hold any more what they held, and which devices are as good as gone.

import { BLOCK_SIZE, SECTOR_SIZE } from '../../assembly/layout/block.ts';
import { LABEL_COPIES } from '../../assembly/layout/label.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { MemoryNvram } from '../../host/device/memory-nvram.ts';
import type { Base, Devices } from './base.ts';
import { keyOf, type Layout, type Place, REGIONS, type Region } from './places.ts';

export const KINDS = [
  'bits flipped',
  'sector zeroed',
  'sector noise',
  'block zeroed',
  'block noise',
  'misplaced',
  'swapped',
  'stale',
  'unreadable',
] as const;
type Kind = (typeof KINDS)[number];

const WHOLE = ['dead', 'truncated', 'old copy'] as const;

/** How many places, and which. */
export const SHAPES = ['one place', 'one device', 'several', 'whole device'] as const;
export type Shape = (typeof SHAPES)[number];

/** The row of the table that a damage counts in. */
export type Row = Region | Exclude<Shape, 'one place'>;
export const ROWS: readonly Row[] = [...REGIONS, 'one device', 'several', 'whole device'];

const PLACES_MAX = 6;

export class Damage {
  /** In words, for messages. */
  readonly said: string[] = [];
  readonly hits = new Set<number>();
  /** Devices that are dead, cut short or old as a whole. */
  readonly lost = new Set<number>();
  readonly truncated = new Set<number>();
  row: Row = 'free space';
  readonly #base: Base;
  readonly #layout: Layout;
  readonly #prng: SeededPrng;
  /** Disks, then copies of the log; damaged in place, or replaced. */
  readonly devices: (MemoryDisk | MemoryNvram)[];
  /** While the volume is mounted devices cannot be replaced, and free space is in use by it. */
  readonly #isMounted: boolean;

  constructor(
    base: Base,
    layout: Layout,
    options: { devices: Devices; prng: SeededPrng; isMounted: boolean },
  ) {
    this.#base = base;
    this.#layout = layout;
    this.#prng = options.prng;
    this.#isMounted = options.isMounted;
    this.devices = [...options.devices.disks, ...options.devices.nvrams];
  }

  inflict(): void {
    const prng = this.#prng;
    const draw = prng.below(100);
    if (draw < 60) this.#hitOne();
    else if (draw < 75) this.#hitDevice();
    else if (draw < 90) this.#hitSeveral();
    else this.#loseDevice();
  }

  #hitOne(): void {
    const { places } = this.#layout;
    const regions = REGIONS.filter((region) => (places.get(region) ?? []).length > 0);
    const open = regions.filter((region) => !this.#isMounted || region !== 'free space');
    const region = this.#prng.pick(open);
    this.row = region;
    this.#hit(this.#prng.pick(places.get(region) ?? []));
  }

  #hitDevice(): void {
    this.row = 'one device';
    const device = this.#prng.below(this.devices.length);
    for (let left = 2 + this.#prng.below(PLACES_MAX); left > 0; left--) {
      this.#hit(this.#place((place) => place.device === device));
    }
  }

  #hitSeveral(): void {
    this.row = 'several';
    // All in one region as often as anywhere: copies of one thing lie there.
    const region = this.#prng.chance(0.5) ? this.#prng.pick(REGIONS) : undefined;
    for (let left = 2 + this.#prng.below(PLACES_MAX); left > 0; left--) {
      this.#hit(this.#place(() => true, region));
    }
  }

  #loseDevice(): void {
    const prng = this.#prng;
    this.row = 'whole device';
    const device = prng.below(this.devices.length);
    const how = this.#isMounted ? 'dead' : prng.pick(WHOLE);
    const old = this.devices[device] as MemoryDisk | MemoryNvram;
    this.said.push(`${old.name} ${how}`);
    this.lost.add(device);
    if (how === 'dead') old.isDead = true;
    else if (how === 'old copy') {
      const copy = this.#oldCopy(device);
      if (copy instanceof MemoryDisk && copy.lengthBlocks() < (old as MemoryDisk).lengthBlocks()) {
        this.truncated.add(device);
      }
      this.devices[device] = copy;
    } else {
      this.truncated.add(device);
      this.devices[device] = this.#truncatedOf(old);
    }
    for (let left = prng.below(3); left > 0; left--) this.#hit(this.#place(() => true));
  }

  #oldCopy(device: number): MemoryDisk | MemoryNvram {
    const { disks, nvrams } = this.#prng.pick(this.#base.moments);
    return [...disks, ...nvrams][device]?.clone() as MemoryDisk | MemoryNvram;
  }

  #truncatedOf(device: MemoryDisk | MemoryNvram): MemoryDisk | MemoryNvram {
    const { name } = device;
    const count = device.sizeBytes / BLOCK_SIZE;
    const kept = this.#prng.chance(0.3) ? this.#prng.below(64) : this.#prng.below(count);
    const sizeBytes = Math.max(1, kept) * BLOCK_SIZE;
    const isShort = this.#prng.chance(0.5);
    const cut =
      device instanceof MemoryDisk
        ? new MemoryDisk({ name, blockCount: isShort ? Math.max(1, kept) : device.blockCount })
        : new MemoryNvram({ name, sizeBytes });
    const bytes = new Uint8Array(BLOCK_SIZE);
    for (let block = 0; block < kept; block++) {
      readBlock(device, block, bytes);
      writeBlock(cut, block, bytes);
    }
    return cut;
  }

  #place(isWanted: (place: Place) => boolean, region?: Region): Place {
    const { places } = this.#layout;
    for (let tries = 0; tries < 100; tries++) {
      const name = region ?? this.#prng.pick(REGIONS);
      const list = places.get(name) ?? [];
      if (list.length === 0 || (this.#isMounted && name === 'free space')) {
        if (region !== undefined) return this.#place(isWanted);
        continue;
      }
      const place = this.#prng.pick(list);
      if (isWanted(place)) return place;
    }
    return (places.get('log header') ?? [])[0] as Place;
  }

  #hit(place: Place): void {
    const device = this.devices[place.device] as MemoryDisk | MemoryNvram;
    if (device.isDead || place.block >= device.sizeBytes / BLOCK_SIZE) return;
    const kind = this.#prng.pick(KINDS);
    const region = this.#layout.regionOf.get(keyOf(place));
    this.said.push(`${device.name} block ${place.block} (${region}) ${kind}`);
    this.#change(device, place, kind);
  }

  /** Puts `bytes` in a place; it is a hit only if something else was there. */
  #put(device: MemoryDisk | MemoryNvram, place: Place, bytes: Uint8Array): void {
    const before = new Uint8Array(BLOCK_SIZE);
    readBlock(device, place.block, before);
    if (Buffer.compare(before, bytes) === 0) return;
    writeBlock(device, place.block, bytes);
    this.hits.add(keyOf(place));
  }

  #change(device: MemoryDisk | MemoryNvram, place: Place, kind: Kind): void {
    const prng = this.#prng;
    const bytes = new Uint8Array(BLOCK_SIZE);
    const sector = prng.below(BLOCK_SIZE / SECTOR_SIZE) * SECTOR_SIZE;
    if (kind === 'unreadable') {
      const range = { offsetBytes: place.block * BLOCK_SIZE, sizeBytes: BLOCK_SIZE };
      const times = Number.POSITIVE_INFINITY;
      device.inject({ operation: 'read', action: 'fail', times, range, isHealedByWrite: true });
      this.hits.add(keyOf(place));
      return;
    }
    readBlock(device, place.block, bytes);
    if (kind === 'bits flipped') {
      for (let left = 1 + prng.below(8); left > 0; left--) {
        const at = prng.below(BLOCK_SIZE);
        bytes[at] = (bytes[at] as number) ^ (1 << prng.below(8));
      }
    } else if (kind === 'sector zeroed') bytes.fill(0, sector, sector + SECTOR_SIZE);
    else if (kind === 'sector noise') bytes.set(prng.bytes(SECTOR_SIZE), sector);
    else if (kind === 'block zeroed') bytes.fill(0);
    else if (kind === 'block noise') bytes.set(prng.bytes(BLOCK_SIZE));
    else if (kind === 'stale') this.#readOld(place, bytes);
    else this.#misplace(device, place, { bytes, isSwap: kind === 'swapped' });
    this.#put(device, place, bytes);
  }

  /** What stood in a place at some time before. */
  #readOld(place: Place, bytes: Uint8Array): void {
    const { disks, nvrams } = this.#prng.pick(this.#base.moments);
    readBlock([...disks, ...nvrams][place.device] as MemoryDisk, place.block, bytes);
  }

  /** Another block of the same device, from the same region where there is one. */
  #misplace(
    device: MemoryDisk | MemoryNvram,
    place: Place,
    how: { bytes: Uint8Array; isSwap: boolean },
  ): void {
    const region = this.#layout.regionOf.get(keyOf(place)) as Region;
    const same = (this.#layout.places.get(region) ?? []).filter((p) => p.device === place.device);
    const other = this.#prng.chance(0.7)
      ? this.#prng.pick(same)
      : this.#place((p) => p.device === place.device);
    if (other.device !== place.device || other.block >= device.sizeBytes / BLOCK_SIZE) return;
    const mine = how.bytes.slice();
    readBlock(device, other.block, how.bytes);
    if (how.isSwap) this.#put(device, other, mine);
  }

  // What is left.

  /** Whether a place cannot be trusted any more. */
  isHit(device: number, block: number): boolean {
    return this.lost.has(device) || this.hits.has(keyOf({ device, block }));
  }

  /** Disks that count as gone: as a whole, or without a label. */
  get disksGone(): number[] {
    const gone: number[] = [];
    for (let disk = 0; disk < this.#layout.diskCount; disk++) {
      let labels = 0;
      for (let copy = 0; copy < LABEL_COPIES; copy++) if (!this.isHit(disk, copy)) labels++;
      if (labels === 0) gone.push(disk);
    }
    return gone;
  }
}

function readBlock(device: MemoryDisk | MemoryNvram, block: number, bytes: Uint8Array): void {
  try {
    if (device instanceof MemoryDisk) device.readSync(block, [bytes]);
    else device.readSync(block * BLOCK_SIZE, bytes);
  } catch {
    // Unreadable already, or dead: zeros will do.
    bytes.fill(0);
  }
}

function writeBlock(device: MemoryDisk | MemoryNvram, block: number, bytes: Uint8Array): void {
  if (device instanceof MemoryDisk) device.writeSync(block, [bytes]);
  else device.writeSync(block * BLOCK_SIZE, [bytes]);
}
