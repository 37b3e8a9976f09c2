// What a damage may do: computed from the places that it hit and from the blocks that each read
// needs on a sound volume, before anything is mounted. Whatever happens beyond that is a violation.

import type { Disk } from '../../host/device/device.ts';
import { NameCache } from '../../host/filesystem/name-cache.ts';
import { type Base, copyOf, letGo, mount, operationsOf } from './base.ts';
import type { Damage } from './damages.ts';
import { keyOf, type Layout, layoutOf } from './places.ts';
import { ask, type Expectations, expectationsOf } from './probes.ts';

/** Keys of the places in the data area that something reads. */
export type Needs = ReadonlySet<number>;

export interface Case {
  readonly base: Base;
  readonly layout: Layout;
  readonly expectations: Expectations;
  /** By probe; and what mounting reads. */
  readonly probeNeeds: readonly Needs[];
  /** A writer needs all that the log refers to; a reader the image root, or stops in the log before
   *  what cannot be applied. */
  readonly mountNeeds: {
    readonly root: Needs;
    readonly forReading: Needs;
    readonly forWriting: Needs;
  };
}

/** A disk that notes which blocks are read. */
class NotingDisk implements Disk {
  readonly name: string;
  readonly blockCount: number;
  readonly #disk: Disk;
  readonly #note: (dbn: number) => void;

  constructor(disk: Disk, note: (dbn: number) => void) {
    this.name = disk.name;
    this.blockCount = disk.blockCount;
    this.#disk = disk;
    this.#note = note;
  }

  lengthBlocks(): number {
    return this.#disk.lengthBlocks();
  }
  read(dbn: number, views: readonly Uint8Array[]): void {
    this.readSync(dbn, views);
  }
  readSync(dbn: number, views: readonly Uint8Array[]): void {
    const bytes = views.reduce((sum, view) => sum + view.length, 0);
    for (let block = dbn; block < dbn + bytes / 4096; block++) this.#note(block);
    this.#disk.readSync(dbn, views);
  }
  write(dbn: number, views: readonly Uint8Array[]): void {
    this.#disk.writeSync(dbn, views);
  }
  writeSync(dbn: number, views: readonly Uint8Array[]): void {
    this.#disk.writeSync(dbn, views);
  }
  flush(): void {}
  flushSync(): void {}
  close(): void {}
}

export function caseOf(base: Base): Case {
  const layout = layoutOf(base);
  const expectations = expectationsOf(base);
  let needs = new Set<number>();
  const taken = () => {
    const all = needs;
    needs = new Set();
    return all;
  };
  const mounted = (readOnly: boolean) => {
    const { disks, nvrams } = copyOf(base.devices);
    const noting = disks.map((disk, device) => {
      return new NotingDisk(disk, (dbn) => {
        if (dbn >= layout.dataFirst) needs.add(device * 0x1_0000_0000 + dbn);
      });
    });
    return mount({ disks: noting, nvrams }, { readOnly });
  };
  letGo(mounted(false));
  const forWriting = taken();
  const engine = mounted(true);
  const forReading = taken();
  const probeNeeds = withoutNames(() =>
    expectations.probes.map((probe) => {
      engine.fs.core.cache.forgetClean();
      ask(operationsOf(engine, probe.snapshot), probe);
      return taken();
    }),
  );
  letGo(engine);
  const root = new Set([keyOf(layout.imageRoot)]);
  const mountNeeds = { root, forReading, forWriting };
  return { base, layout, expectations, probeNeeds, mountNeeds };
}

/** Runs `action` with every name looked up in its directory, also one that was found before. */
function withoutNames<T>(action: () => T): T {
  const { find } = NameCache.prototype;
  NameCache.prototype.find = () => undefined;
  try {
    return action();
  } finally {
    NameCache.prototype.find = find;
  }
}

/** What a damage may lead to. */
export class Verdict {
  readonly #case: Case;
  readonly #damage: Damage;
  readonly #gone: ReadonlySet<number>;
  /** Numbers (from 1) of the flushes that no copy of the log has whole. */
  readonly flushesLost: ReadonlySet<number>;
  readonly isLogGone: boolean;
  /** No disk has the newest root whole. */
  readonly isRootGone: boolean;

  constructor(subject: Case, damage: Damage) {
    this.#case = subject;
    this.#damage = damage;
    this.#gone = new Set(damage.disksGone);
    const { layout, base } = subject;
    const copies = base.devices.nvrams
      .map((_, copy) => layout.diskCount + copy)
      .filter((device) => !damage.isHit(device, 0) || !damage.isHit(device, 1));
    this.isLogGone = copies.length === 0;
    const lost = layout.flushes.map((blocks, index) => {
      const isWhole = (device: number) => blocks.every((block) => !damage.isHit(device, block));
      return copies.some(isWhole) ? 0 : index + 1;
    });
    this.flushesLost = new Set(lost.filter((number) => number > 0));
    const disks = base.devices.disks.map((_, disk) => disk).filter((disk) => !this.#gone.has(disk));
    const [a, b, c, d] = layout.newestRoot as [number, number, number, number];
    this.isRootGone = !disks.some((disk) =>
      [
        [a, b],
        [c, d],
      ].some((slot) => slot.every((dbn) => !damage.isHit(disk, dbn))),
    );
  }

  /** Whether nothing stands in for the block in a place of the data area. */
  #isBad(key: number): boolean {
    const device = Math.floor(key / 0x1_0000_0000);
    const dbn = key % 0x1_0000_0000;
    const isOut = (disk: number) => this.#gone.has(disk) || this.#damage.isHit(disk, dbn);
    if (!isOut(device)) return false;
    if (this.#case.base.setup.raid === 'none') return true;
    return this.#case.base.devices.disks.some((_, disk) => disk !== device && isOut(disk));
  }

  #isAnyBad(needs: Needs): boolean {
    // Most damages touch few places: look from their side where that is shorter.
    if (this.#gone.size === 0 && this.#damage.hits.size < needs.size) {
      for (const key of this.#damage.hits) if (needs.has(key) && this.#isBad(key)) return true;
      return false;
    }
    for (const key of needs) if (this.#isBad(key)) return true;
    return false;
  }

  mayFail(probe: number): boolean {
    return this.#isAnyBad(this.#case.probeNeeds[probe] as Needs);
  }

  /** Whether a probe reads anything that was hit, so that it is worth asking. */
  touches(probe: number): boolean {
    const needs = this.#case.probeNeeds[probe] as Needs;
    for (const key of this.#damage.hits) if (needs.has(key)) return true;
    return false;
  }

  /** Whether some read may fail: something was damaged beyond what redundancy covers. */
  get isLossy(): boolean {
    return this.#case.probeNeeds.some((_, probe) => this.mayFail(probe));
  }

  /** Whether a reader cannot be told of snapshots. */
  get isTableGone(): boolean {
    const { places } = this.#case.layout;
    return (places.get('snapshot table') ?? []).some((place) => this.#isBad(keyOf(place)));
  }

  /** Whether any block of any tree is gone: what verify must find, and nothing else. */
  get isAnyGone(): boolean {
    const { layout } = this.#case;
    if (this.#gone.size > 0 && this.#case.base.setup.raid === 'none') return true;
    for (const key of this.#damage.hits) {
      const dbn = key % 0x1_0000_0000;
      if (dbn < layout.dataFirst || Math.floor(key / 0x1_0000_0000) >= layout.diskCount) continue;
      // With parity: another block of the stripe may be the one that is lost.
      for (let device = 0; device < layout.diskCount; device++) {
        const place = device * 0x1_0000_0000 + dbn;
        const region = layout.regionOf.get(place);
        const isTree = region !== undefined && region !== 'parity' && region !== 'free space';
        if (isTree && this.#isBad(place)) return true;
      }
    }
    return false;
  }

  mayRefuse(readOnly: boolean): boolean {
    const { mountNeeds, base } = this.#case;
    const { truncated } = this.#damage;
    const isDiskTruncated = [...truncated].some((device) => device < base.setup.diskCount);
    const tolerated = base.setup.raid === 'none' ? 0 : 1;
    return (
      this.isRootGone ||
      isDiskTruncated ||
      this.#gone.size > tolerated ||
      this.#isAnyBad(readOnly ? mountNeeds.root : mountNeeds.forWriting) ||
      (!readOnly && (this.isLogGone || this.flushesLost.size > 0))
    );
  }

  /** States of the active file system that may be found: see Base.states. */
  statesAllowed(isWarned: boolean): number[] {
    const last = this.#case.base.states.length - 1;
    const states: number[] = [];
    for (let state = last; state >= 0; state--) {
      // The end of the log cannot be told from its last flushes being gone.
      states.push(state);
      if (!this.flushesLost.has(state)) break;
    }
    if (!isWarned) return states;
    const stops = this.#isAnyBad(this.#case.mountNeeds.forReading);
    if (stops || this.isLogGone)
      return Array.from({ length: last + 1 }, (_, state) => last - state);
    return [...new Set([...states, ...[...this.flushesLost].map((number) => number - 1)])];
  }
}
