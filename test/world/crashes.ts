// Everything that a power cut can leave of a recorded sequence of writes and flushes: after each
// write, with all that no flush has covered kept, dropped or torn, one by one.

import { BLOCK_SIZE, SECTOR_SIZE } from '../../assembly/layout/block.ts';
import { DROP, describeFate, type Fate, KEEP } from '../../host/device/crash.ts';
import {
  applyTo,
  type Blocks,
  copyImage,
  type Image,
  type ImageRecorder,
  type ImageWrite,
} from './images.ts';

export type ImageEvent = { readonly write: ImageWrite } | { readonly flushed: number };

/** Events in the order in which they happened, over all devices. */
export class Recording implements ImageRecorder {
  readonly events: ImageEvent[] = [];

  wrote(write: ImageWrite): void {
    this.events.push({ write });
  }
  flushed(device: number): void {
    this.events.push({ flushed: device });
  }
}

/** 'few': a torn beginning, end and mixture of each write. 'many': torn after each of the first
 *  sectors too, and zeros. */
export type Tearing = 'none' | 'few' | 'many';

/** What a crash left. */
export interface Left {
  readonly images: readonly Image[];
  /** Which crash it was, in words; enough to find it again in the same recording. */
  readonly label: () => string;
}

/** A crash in the middle of a recording. Positions only go forward. */
export class Crashes {
  readonly #blocks: Blocks;
  readonly #events: readonly ImageEvent[];
  readonly #durable: Image[];
  /** In order of completion. */
  #pending: ImageWrite[] = [];
  #position = 0;

  constructor(start: readonly Image[], events: readonly ImageEvent[], blocks: Blocks) {
    this.#durable = start.map(copyImage);
    this.#events = events;
    this.#blocks = blocks;
  }

  /** What the power cuts leave that come after event `from` and not after event `to`. Those after
   *  which nothing is left that was not before (flushes) count with the ones before them. */
  *between(from: number, to: number, tearing: Tearing): Generator<Left> {
    this.#advance(from);
    yield this.#left([]);
    while (this.#position < to) {
      const event = this.#events[this.#position] as ImageEvent;
      this.#advance(this.#position + 1);
      if ('write' in event) yield* this.#variants(tearing);
    }
  }

  #advance(position: number): void {
    while (this.#position < position) {
      const event = this.#events[this.#position++] as ImageEvent;
      if ('write' in event) {
        this.#pending.push(event.write);
        continue;
      }
      const isCovered = ({ device }: ImageWrite) => device === event.flushed;
      // What earlier cuts were given stays as it is.
      const durable = copyImage(this.#durable[event.flushed] as Image);
      this.#durable[event.flushed] = durable;
      for (const write of this.#pending.filter(isCovered)) {
        applyTo(durable, write, KEEP, this.#blocks);
      }
      this.#pending = this.#pending.filter((write) => !isCovered(write));
    }
  }

  /** All kept; all dropped; for each write each fate, the others kept, and (for the newest, and for
   *  what is torn in two) dropped. */
  *#variants(tearing: Tearing): Generator<Left> {
    const last = this.#pending.length - 1;
    yield this.#left([]);
    yield this.#left(this.#pending.map(() => DROP));
    for (const [index, write] of this.#pending.entries()) {
      if (last > 0) {
        yield this.#left(this.#single(index, DROP, KEEP));
        yield this.#left(this.#single(index, KEEP, DROP));
      }
      for (const fate of tornFates(write, tearing)) {
        yield this.#left(this.#single(index, fate, KEEP));
        if (index === last && last > 0) yield this.#left(this.#single(index, fate, DROP));
      }
    }
  }

  #single(index: number, fate: Fate, others: Fate): Fate[] {
    return this.#pending.map((_, other) => (other === index ? fate : others));
  }

  /** Writes without a fate are kept. */
  #left(fates: readonly Fate[]): Left {
    const images = this.#durable.slice();
    this.#pending.forEach((write, index) => {
      const { device } = write;
      if (fates[index] === DROP) return;
      if (images[device] === this.#durable[device]) {
        images[device] = copyImage(images[device] as Image);
      }
      applyTo(images[device] as Image, write, fates[index] ?? KEEP, this.#blocks);
    });
    const position = this.#position;
    const pending = this.#pending.slice();
    const label = () => {
      const words = pending.map(({ device, first, blocks }, index) => {
        return `${device}:${first}+${blocks.length} ${describeFate(fates[index] ?? KEEP)}`;
      });
      return `after event ${position}: ${words.join(', ') || 'nothing undecided'}`;
    };
    return { images, label };
  }
}

function tornFates(write: ImageWrite, tearing: Tearing): Fate[] {
  if (tearing === 'none') return [];
  const count = (write.blocks.length * BLOCK_SIZE) / SECTOR_SIZE;
  const prefix = (sectors: number): Fate => ({ kind: 'prefix', sectors });
  const suffix = (sectors: number): Fate => ({ kind: 'suffix', sectors });
  const few = [prefix(1), suffix(count - 1), { kind: 'mixture', seed: 1 } as const];
  if (tearing === 'few') return few;
  const sectors = new Set([2, 3, 4, 5, 6, 7, 8, count >> 1, count - 1]);
  const inside = [...sectors].filter((sector) => sector > 1 && sector < count);
  return [
    ...few,
    ...inside.map(prefix),
    ...inside.map((sector) => suffix(count - sector)),
    { kind: 'mixture', seed: 2 },
    { kind: 'mixture', seed: 3 },
    { kind: 'zeros', sectors: 0 },
    { kind: 'zeros', sectors: count >> 1 },
  ];
}
