// Disks whose reads complete when the test says so: time stands still in between.

import type { Schedule } from '../../host/device/memory-device.ts';

export class HeldDisks {
  readonly #held = new Map<number, (() => void)[]>();
  /** Disks with a read under way at the last `settled`. */
  get busyDisks(): number[] {
    return [...this.#held].filter(([, reads]) => reads.length > 0).map(([disk]) => disk);
  }

  readonly schedule = (disk: number): Schedule => {
    return (complete) => {
      const reads = this.#held.get(disk) ?? [];
      this.#held.set(disk, [...reads, complete]);
    };
  };

  /** Lets all reads of these disks complete (default: of all); whether there were any. */
  release(disks: readonly number[] = this.busyDisks): boolean {
    const completes = disks.flatMap((disk) => this.#held.get(disk) ?? []);
    for (const disk of disks) this.#held.delete(disk);
    for (const complete of completes) complete();
    return completes.length > 0;
  }

  /** Lets rounds of reads complete, each when all before it are done, of these disks, until nothing
   *  is under way there any more; gives their number. */
  async drain(isOurs: (disk: number) => boolean = () => true): Promise<number> {
    for (let rounds = 0; ; rounds++) {
      await settled();
      if (!this.release(this.busyDisks.filter(isOurs))) return rounds;
    }
  }
}

/** Everything that can happen without a disk has happened. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise(setImmediate);
}
