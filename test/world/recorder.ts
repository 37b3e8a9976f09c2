// A world that remembers everything written to its devices, in one order over all of them, and can
// build any moment of its past again, cut there by a power failure.
//
//   const world = new RecordingWorld();
//   const disk = world.disk({ name: 'disk-0', blockCount });
//   const nvram = world.nvram({ name: 'log', sizeBytes });
//   ... run a workload; note world.position at each acknowledgement ...
//   for (const position of world.cutPositions()) {
//     const cut = world.cutAt(position);
//     for (const variant of cut.variants(prng)) {
//       const { disks, nvrams } = cut.materialise(variant);   // mount, compare, verify
//     }
//   }
//
// A position is a number of events: write started, write completed, writes made durable by a flush.
// What a workload was promised at position p must hold in every cut at a position >= p. Between two
// cut positions nothing happens that changes what a crash can leave behind.
//
// Cuts are cheap: one durable image per device moves forward through the events, and a cut clones
// it (copy on write) and applies what was pending. Asking for positions in ascending order costs
// each event once; going back starts again from the beginning.
//
// The devices of a cut can be recorded in turn (crash during recovery): give `materialise` a world.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { assert } from '../../host/base/assert.ts';
import type { Prng } from '../../host/base/env.ts';
import { pick } from '../../host/base/prng.ts';
import type { Fate, PendingWrite } from '../../host/device/crash.ts';
import {
  applyFate,
  DROP,
  describeFate,
  fatesOf,
  KEEP,
  randomFate,
} from '../../host/device/crash.ts';
import type { DeviceObserver, MemoryOptions, Schedule } from '../../host/device/memory-device.ts';
import type { MemoryDiskOptions } from '../../host/device/memory-disk.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { MemoryNvramOptions } from '../../host/device/memory-nvram.ts';
import { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { SparseBytes } from '../../host/device/sparse-bytes.ts';

/** Pending writes at a cut of which each gets variants of its own; of more, some are drawn. */
const SINGLED_OUT_MAX = 12;

interface Recorded {
  readonly device: MemoryDisk | MemoryNvram;
  readonly initial: SparseBytes;
}

type RecordedEvent =
  | { kind: 'started' | 'completed'; device: number; write: PendingWrite }
  | { kind: 'flushed'; device: number; writes: readonly PendingWrite[] }
  | { kind: 'rotted'; device: number; offsetBytes: number; mask: Uint8Array };

/** A write that a cut leaves undecided. */
export interface CutWrite {
  readonly deviceName: string;
  readonly device: number;
  readonly write: PendingWrite;
  /** The device has said that it was done. */
  readonly isCompleted: boolean;
}

/** A fate for each of a cut's writes; `label` says which, for messages. */
export interface Variant {
  readonly label: string;
  readonly fates: readonly Fate[];
}

export interface Devices {
  readonly disks: MemoryDisk[];
  readonly nvrams: MemoryNvram[];
}

export interface MaterialiseOptions {
  /** Records what is done to the new devices. */
  readonly world?: RecordingWorld;
  readonly schedule?: Schedule;
  /** The process died, and the power stayed: writes that were completed are there, but still not
   *  durable; those in flight never happened. The variant does not matter then. */
  readonly isProcessDeath?: boolean;
  /** By name of a device: what it holds instead, for one that is back with old contents. */
  readonly images?: ReadonlyMap<string, SparseBytes>;
}

export class RecordingWorld {
  readonly #recorded: Recorded[] = [];
  readonly #events: RecordedEvent[] = [];
  #cursor: Cursor | undefined;

  /** Events so far. */
  get position(): number {
    return this.#events.length;
  }

  /** A new disk of this world; disks and NVRAMs keep the order in which they were made. */
  disk(options: MemoryDiskOptions): MemoryDisk {
    return this.#record(options, (recordedOptions) => new MemoryDisk(recordedOptions));
  }

  nvram(options: MemoryNvramOptions): MemoryNvram {
    return this.#record(options, (recordedOptions) => new MemoryNvram(recordedOptions));
  }

  /** Whether a write is in flight. */
  get isWriting(): boolean {
    return this.#recorded.some(({ device }) => device.isWriting);
  }

  /** Flips bits of what a device holds, on record. */
  rot(name: string, offsetBytes: number, mask: Uint8Array): void {
    const device = this.#recorded.findIndex((one) => one.device.name === name);
    this.#recorded[device]?.device.corrupt(offsetBytes, mask);
    this.#events.push({ kind: 'rotted', device, offsetBytes, mask });
  }

  /** A device of another world with what it holds, as its next owner finds it: what was written to
   *  it and not made durable is on record here. */
  adopt<Device extends MemoryDisk | MemoryNvram>(device: Device, schedule?: Schedule): Device {
    const shared = { name: device.name, image: device.durableImage(), schedule };
    const made =
      device instanceof MemoryDisk
        ? this.disk({ ...shared, blockCount: device.blockCount })
        : this.nvram({ ...shared, sizeBytes: device.sizeBytes, tearBytes: device.tearBytes });
    for (const { offsetBytes, bytes } of device.pendingWrites()) {
      if (made instanceof MemoryDisk) made.writeSync(offsetBytes / BLOCK_SIZE, [bytes]);
      else made.writeSync(offsetBytes, [bytes]);
    }
    return made as Device;
  }

  /** Every position that differs from the one before it in what a crash can leave behind, from
   *  `from` on, ascending. The first is `from` itself. */
  cutPositions(from = 0): number[] {
    const positions = [from];
    for (let index = from; index < this.#events.length; index++) {
      if ((this.#events[index] as RecordedEvent).kind !== 'completed') positions.push(index + 1);
    }
    return positions;
  }

  /** The world when the power fails right after the first `position` events. */
  cutAt(position: number): Cut {
    assert(position >= 0 && position <= this.position, 'position is in the past', position);
    if (this.#cursor === undefined || this.#cursor.position > position) {
      this.#cursor = new Cursor(this.#recorded);
    }
    this.#cursor.advance(this.#events, position);
    return new Cut(position, this.#recorded, this.#cursor);
  }

  #record<Device extends MemoryDisk | MemoryNvram, Options extends MemoryOptions>(
    options: Options,
    make: (options: Options) => Device,
  ): Device {
    const device = this.#recorded.length;
    const observer: DeviceObserver = {
      writeStarted: (write) => this.#events.push({ kind: 'started', device, write }),
      writeCompleted: (write) => this.#events.push({ kind: 'completed', device, write }),
      flushed: (writes) => this.#events.push({ kind: 'flushed', device, writes }),
    };
    const image = options.image ?? new SparseBytes();
    const initial = image.clone();
    const made = make({ ...options, image, isCrashable: true, observer });
    this.#recorded.push({ device: made, initial });
    return made;
  }
}

/** Durable images and pending writes of all devices at a position that only moves forward. */
class Cursor {
  position = 0;
  readonly durable: SparseBytes[];
  /** Per device: writes not durable, in the order of completion, those in flight last. */
  readonly completed: PendingWrite[][];
  readonly inFlight: Set<PendingWrite>[];

  constructor(recorded: readonly Recorded[]) {
    this.durable = recorded.map((one) => one.initial.clone());
    this.completed = recorded.map(() => []);
    this.inFlight = recorded.map(() => new Set());
  }

  advance(events: readonly RecordedEvent[], position: number): void {
    while (this.position < position) {
      const event = events[this.position++] as RecordedEvent;
      const inFlight = this.inFlight[event.device] as Set<PendingWrite>;
      const completed = this.completed[event.device] as PendingWrite[];
      if (event.kind === 'flushed') {
        const durable = this.durable[event.device] as SparseBytes;
        for (const write of event.writes) durable.adopt(write.offsetBytes, write.bytes);
        const covered = new Set(event.writes);
        this.completed[event.device] = completed.filter((write) => !covered.has(write));
      } else if (event.kind === 'rotted') {
        const durable = this.durable[event.device] as SparseBytes;
        const bytes = new Uint8Array(event.mask.length);
        durable.read(event.offsetBytes, bytes);
        durable.write(
          event.offsetBytes,
          bytes.map((byte, at) => byte ^ (event.mask[at] as number)),
        );
      } else if (event.kind === 'started') {
        inFlight.add(event.write);
      } else {
        inFlight.delete(event.write);
        completed.push(event.write);
      }
    }
  }
}

/** One moment at which the power fails. Good until the world is asked for another cut. */
export class Cut {
  readonly position: number;
  /** What a crash decides: per device, in the order in which the writes were completed. */
  readonly writes: readonly CutWrite[];
  readonly #recorded: readonly Recorded[];
  readonly #cursor: Cursor;

  constructor(position: number, recorded: readonly Recorded[], cursor: Cursor) {
    this.position = position;
    this.#recorded = recorded;
    this.#cursor = cursor;
    this.writes = recorded.flatMap(({ device: { name } }, device) => {
      const cutWrite = (isCompleted: boolean) => (write: PendingWrite) => ({
        deviceName: name,
        device,
        write,
        isCompleted,
      });
      return [
        ...(cursor.completed[device] ?? []).map(cutWrite(true)),
        ...[...(cursor.inFlight[device] ?? [])].map(cutWrite(false)),
      ];
    });
  }

  /** All kept; all dropped; for each write every fate with the others kept, and kept or torn alone
   *  with the others dropped; and `randomCount` (default 4) with every fate drawn. */
  *variants(
    prng: Prng,
    options: { randomCount?: number; hasGarbage?: boolean } = {},
  ): Generator<Variant> {
    const { randomCount = 4, hasGarbage = false } = options;
    const { writes } = this;
    yield this.#uniform('all kept', KEEP);
    if (writes.length === 0) return;
    yield this.#uniform('all dropped', DROP);
    for (const index of this.#singledOut(prng)) {
      const size = (writes[index] as CutWrite).write.bytes.length;
      const { tearBytes } = this.#deviceOf(index);
      for (const fate of fatesOf(size, { tearBytes, hasGarbage })) {
        const isWhole = fate === KEEP || fate === DROP;
        if (isWhole && writes.length === 1) continue;
        if (fate !== KEEP) yield this.#single(index, { fate, others: KEEP });
        if (fate !== DROP && writes.length > 1) yield this.#single(index, { fate, others: DROP });
      }
    }
    for (let round = 0; round < randomCount; round++) yield this.random(prng, { hasGarbage });
  }

  /** What a device surely holds, whatever becomes of the writes. */
  durableImage(name: string): SparseBytes | undefined {
    assert(this.#cursor.position === this.position, 'no later cut was taken', this.position);
    const index = this.#recorded.findIndex((one) => one.device.name === name);
    return this.#cursor.durable[index]?.clone();
  }

  /** One variant with every fate drawn. */
  random(prng: Prng, options: { hasGarbage?: boolean } = {}): Variant {
    const { hasGarbage = false } = options;
    const fates = this.writes.map(({ write }, index) => {
      const { tearBytes } = this.#deviceOf(index);
      return randomFate(prng, write.bytes.length, { tearBytes, hasGarbage });
    });
    const label = fates.map((fate, index) => `${this.#describe(index)} ${describeFate(fate)}`);
    return { label: label.join(', ') || 'nothing pending', fates };
  }

  /** Fresh devices (crashable, open) as this cut leaves them with these fates. */
  materialise(variant: Variant, options: MaterialiseOptions = {}): Devices {
    assert(variant.fates.length === this.writes.length, 'a fate for each write');
    assert(this.#cursor.position === this.position, 'no later cut was taken', this.position);
    const { world = new RecordingWorld(), schedule, isProcessDeath = false } = options;
    const images = this.#cursor.durable.map((image) => image.clone());
    for (const [index, { device, write }] of this.writes.entries()) {
      if (isProcessDeath) continue;
      const { tearBytes } = this.#deviceOf(index);
      applyFate(images[device] as SparseBytes, write, variant.fates[index] as Fate, { tearBytes });
    }
    const devices: Devices = { disks: [], nvrams: [] };
    for (const [index, { device }] of this.#recorded.entries()) {
      const old = options.images?.get(device.name)?.clone();
      const shared = { name: device.name, image: old ?? (images[index] as SparseBytes), schedule };
      if (device instanceof MemoryDisk) {
        devices.disks.push(world.disk({ ...shared, blockCount: device.blockCount }));
      } else {
        const { sizeBytes, tearBytes } = device;
        devices.nvrams.push(world.nvram({ ...shared, sizeBytes, tearBytes }));
      }
    }
    if (isProcessDeath) this.#writeCompleted(devices);
    return devices;
  }

  #writeCompleted(devices: Devices): void {
    const byName = new Map([...devices.disks, ...devices.nvrams].map((one) => [one.name, one]));
    for (const { deviceName, write, isCompleted } of this.writes) {
      const device = byName.get(deviceName);
      if (!isCompleted) continue;
      if (device instanceof MemoryDisk) {
        device.writeSync(write.offsetBytes / BLOCK_SIZE, [write.bytes]);
      } else {
        device?.writeSync(write.offsetBytes, [write.bytes]);
      }
    }
  }

  #uniform(label: string, fate: Fate): Variant {
    return { label: `${label} (${this.writes.length})`, fates: this.writes.map(() => fate) };
  }

  #single(index: number, choice: { fate: Fate; others: Fate }): Variant {
    const { fate, others } = choice;
    const fates = this.writes.map((_, other) => (other === index ? fate : others));
    const label = `${this.#describe(index)} ${describeFate(fate)}, others ${others.kind}`;
    return { label, fates };
  }

  #describe(index: number): string {
    const { deviceName, write } = this.writes[index] as CutWrite;
    const place = `${write.offsetBytes}+${write.bytes.length}`;
    return `write ${index + 1}/${this.writes.length} (${deviceName} ${place})`;
  }

  #deviceOf(index: number): MemoryDisk | MemoryNvram {
    return (this.#recorded[(this.writes[index] as CutWrite).device] as Recorded).device;
  }

  #singledOut(prng: Prng): number[] {
    const all = this.writes.map((_, index) => index);
    if (all.length <= SINGLED_OUT_MAX) return all;
    const chosen = new Set([0, all.length - 1]);
    while (chosen.size < SINGLED_OUT_MAX) chosen.add(pick(prng, all));
    return [...chosen];
  }
}
