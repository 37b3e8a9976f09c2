// What goes wrong with devices, within the redundancy: one disk of a group, and one copy of its
// log, the victims of a run, may do whatever they like. In a life, at operations drawn beforehand;
// and at a recovery, to the devices that a crash left.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import type { Fault, FaultAction, Operation } from '../../host/device/faults.ts';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { MemoryNvram } from '../../host/device/memory-nvram.ts';
import type { SparseBytes } from '../../host/device/sparse-bytes.ts';
import type { Devices, RecordingWorld } from '../world/recorder.ts';
import type { FaultCounts, FaultName } from './faults.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Names of the devices that may fail. */
export interface Victims {
  readonly disk: string | undefined;
  readonly log: string | undefined;
}

type Device = MemoryDisk | MemoryNvram;
type Trouble = readonly [FaultName, Operation, FaultAction, Partial<Fault>?];

const FOREVER: Partial<Fault> = { times: Number.POSITIVE_INFINITY };

/** Troubles of a disk that come with an operation; offsets are drawn when they are armed. */
function diskTroubles(prng: SeededPrng): readonly Trouble[] {
  const astray: FaultAction = { kind: 'misdirect', bytes: BLOCK_SIZE * (1 + prng.below(6)) };
  const part: FaultAction = { kind: 'part', bytes: 512 * (1 + prng.below(7)) };
  return [
    ['disk: read fails', 'read', 'fail'],
    ['disk: write fails', 'write', 'fail'],
    ['disk: write done and failed', 'write', 'apply-and-fail'],
    ['disk: write done in part', 'write', part],
    ['disk: flush fails', 'flush', 'fail'],
    ['disk: write lost', 'write', 'lose', { times: 1 + prng.below(3) }],
    ['disk: flush ignored', 'flush', 'lose', FOREVER],
    ['disk: write astray', 'write', astray],
    ['disk: read astray', 'read', astray],
  ];
}

const LOG_TROUBLES: readonly Trouble[] = [
  ['log: write fails', 'write', 'fail'],
  ['log: write lost', 'write', 'lose'],
  ['log: flush ignored', 'flush', 'lose', FOREVER],
  ['log: write astray', 'write', { kind: 'misdirect', bytes: BLOCK_SIZE }],
];

/** Operations of a device in one life, about: troubles come at one of these. Most lives are short,
 *  and a log has few operations. */
const OPERATIONS = [4, 12, 40];
const ROTTEN_MAX = 12;

export class Adversary {
  readonly #prng: SeededPrng;
  readonly #counts: FaultCounts;

  constructor(prng: SeededPrng, counts: FaultCounts) {
    this.#prng = prng;
    this.#counts = counts;
  }

  // In a life.

  /** Arms the victims of a world in which a volume is about to live. */
  plague(
    devices: Devices,
    victims: Victims,
    where: { world: RecordingWorld; time: VirtualTime },
  ): void {
    const prng = this.#prng;
    const disk = devices.disks.find(({ name }) => name === victims.disk);
    if (disk !== undefined) {
      for (let left = prng.below(4); left > 0; left--)
        this.#arm(disk, prng.pick(diskTroubles(prng)));
      if (prng.chance(0.25)) this.#rotLater(disk, 'disk: bit rot', where);
      if (prng.chance(0.15)) this.#latentLater(disk, where.time);
      if (prng.chance(0.12)) this.#dieLater(disk, 'disk: dead', where.time);
    }
    const log = devices.nvrams.find(({ name }) => name === victims.log);
    if (log === undefined) return;
    if (prng.chance(0.4)) this.#arm(log, prng.pick(LOG_TROUBLES));
    if (prng.chance(0.2)) this.#rotLater(log, 'log: bit rot', where);
    if (prng.chance(0.08)) this.#dieLater(log, 'log: dead', where.time);
  }

  /** The only copy of a log fails for good. */
  failLog(log: MemoryNvram): void {
    this.#arm(log, ['only log fails', 'write', 'fail', FOREVER]);
  }

  #arm(device: Device, [name, operation, action, more]: Trouble): void {
    device.inject({
      operation,
      action,
      nth: 1 + this.#prng.below(this.#prng.pick(OPERATIONS)),
      ...more,
      onFired: () => this.#counts.note(name),
    });
  }

  #moment(): number {
    return 1 + this.#prng.below(20_000);
  }

  #rotLater(
    device: Device,
    name: FaultName,
    { world, time }: { world: RecordingWorld; time: VirtualTime },
  ): void {
    time.in(this.#moment(), () => {
      for (const { offsetBytes, mask } of this.#rot(device))
        world.rot(device.name, offsetBytes, mask);
      this.#counts.note(name);
    });
  }

  #latentLater(device: Device, time: VirtualTime): void {
    time.in(this.#moment(), () => this.#makeLatent(device));
  }

  #dieLater(device: Device, name: FaultName, time: VirtualTime): void {
    time.in(this.#moment(), () => {
      device.isDead = true;
      this.#counts.note(name);
    });
  }

  /** Some bits of some of the blocks that were written. */
  *#rot(device: Device): Generator<{ offsetBytes: number; mask: Uint8Array }> {
    const prng = this.#prng;
    const blocks = Math.max(1, Math.floor(device.lengthNow / BLOCK_SIZE));
    for (let left = 1 + prng.below(ROTTEN_MAX); left > 0; left--) {
      const size = prng.pick([1, 8, 512]);
      const offset = prng.below(blocks) * BLOCK_SIZE + prng.below(BLOCK_SIZE - size + 1);
      const mask = prng.bytes(size);
      mask[0] = (mask[0] as number) | 1;
      yield { offsetBytes: offset, mask };
    }
  }

  #makeLatent(device: Device): void {
    const prng = this.#prng;
    const blocks = Math.max(1, Math.floor(device.lengthNow / BLOCK_SIZE));
    for (let left = 1 + prng.below(ROTTEN_MAX); left > 0; left--) {
      const range = { offsetBytes: prng.below(blocks) * BLOCK_SIZE, sizeBytes: BLOCK_SIZE };
      const onFired = () => this.#counts.note('disk: latent error');
      const healed = { range, isHealedByWrite: true, onFired };
      device.inject({ operation: 'read', action: 'fail', ...FOREVER, ...healed });
    }
  }

  // At a recovery.

  /** Does something to the victims among the devices that a crash left; gives those that are still
   *  there, and says what it did. */
  strike(
    devices: Devices,
    victims: Victims,
  ): {
    readonly devices: { disks: MemoryDisk[]; nvrams: (MemoryNvram | undefined)[] };
    said: string;
  } {
    const prng = this.#prng;
    const said: string[] = [];
    let disks = devices.disks;
    let nvrams: (MemoryNvram | undefined)[] = devices.nvrams;
    const disk = disks.find(({ name }) => name === victims.disk);
    if (disk !== undefined && prng.chance(0.5)) {
      const kind = prng.below(5);
      said.push(`${disk.name}: ${['away', 'rotten', 'latent errors', 'troubled', 'dead'][kind]}`);
      if (kind === 0) {
        disks = disks.filter((other) => other !== disk);
        this.#counts.note('disk: away');
      } else if (kind === 1) this.#rotNow(disk, 'disk: bit rot');
      else if (kind === 2) this.#makeLatent(disk);
      else if (kind === 3) this.#arm(disk, prng.pick(diskTroubles(prng)));
      else {
        disk.isDead = true;
        this.#counts.note('disk: dead');
      }
    }
    const log = devices.nvrams.find(({ name }) => name === victims.log);
    if (log !== undefined && prng.chance(0.5)) {
      const kind = prng.below(5);
      said.push(`${log.name}: ${['away', 'rotten', 'doubled', 'troubled', 'dead'][kind]}`);
      if (kind === 0) {
        nvrams = nvrams.map((other) => (other === log ? undefined : other));
        this.#counts.note('log: away');
      } else if (kind === 1) this.#rotNow(log, 'log: bit rot');
      else if (kind === 2) this.#double(log);
      else if (kind === 3) this.#arm(log, prng.pick(LOG_TROUBLES));
      else {
        log.isDead = true;
        this.#counts.note('log: dead');
      }
    }
    return { devices: { disks, nvrams }, said: said.join(', ') };
  }

  #rotNow(device: Device, name: FaultName): void {
    for (const { offsetBytes, mask } of this.#rot(device)) device.corrupt(offsetBytes, mask);
    this.#counts.note(name);
  }

  /** What stands in one place of the log stands in another one too. */
  #double(log: MemoryNvram): void {
    const prng = this.#prng;
    const blocks = log.sizeBytes / BLOCK_SIZE;
    const count = 1 + prng.below(3);
    const bytes = new Uint8Array(count * BLOCK_SIZE);
    const place = () => (2 + prng.below(blocks - 2 - count)) * BLOCK_SIZE;
    log.readSync(place(), bytes);
    log.writeSync(place(), [bytes]);
    log.flushSync();
    this.#counts.note('log: doubled flush');
  }

  /** Contents for victims that come back as they were once; undefined for most crashes. */
  oldImages(
    victims: Victims,
    moments: { readonly longAgo: Devices; readonly lately: ReadonlyMap<string, SparseBytes> },
  ): ReadonlyMap<string, SparseBytes> | undefined {
    const prng = this.#prng;
    const images = new Map<string, SparseBytes>();
    const { disk, log } = victims;
    const old = [...moments.longAgo.disks, ...moments.longAgo.nvrams];
    const pick = (name: string | undefined, isLate: boolean) => {
      const late = name === undefined ? undefined : moments.lately.get(name);
      const once = old.find((device) => device.name === name)?.durableImage();
      const image = isLate ? late : once;
      if (name !== undefined && image !== undefined) images.set(name, image);
      return image !== undefined;
    };
    if (prng.chance(0.08) && pick(disk, true)) this.#counts.note('disk: one root old');
    else if (prng.chance(0.08) && pick(disk, false)) this.#counts.note('disk: old contents');
    if (prng.chance(0.1) && pick(log, prng.chance(0.5))) this.#counts.note('log: old generation');
    return images.size === 0 ? undefined : images;
  }
}
