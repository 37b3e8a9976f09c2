// Time of a simulated world: nothing happens but what is in its queue, and time passes only from
// one event to the next. Devices complete their operations here, and the engine's timers fire here.
//
// Between two events everything that the first one set off runs to its end (promises, that is), so
// that a run depends on its seed alone. Events of one moment happen in the order in which they were
// asked for.

import { assert } from '../../host/base/assert.ts';
import type { Clock, TimerHandle } from '../../host/base/env.ts';
import type { Instant } from '../../host/base/units.ts';

interface Event {
  readonly at: number;
  readonly number: number;
  readonly run: () => void;
  isCancelled: boolean;
}

const EPOCH_SECONDS = 1_700_000_000;

/** Nothing is left that could happen, and somebody still waits. */
export class Standstill extends Error {}

export class VirtualTime implements Clock {
  #now: number;
  #number = 0;
  /** A binary heap, the earliest first. */
  #heap: Event[] = [];
  eventCount = 0;

  /** Begins so many microseconds after the epoch. */
  constructor(begunUs = 0) {
    this.#now = begunUs;
  }

  get nowUs(): number {
    return this.#now;
  }

  now(): Instant {
    const seconds = Math.floor(this.#now / 1e6);
    return { seconds: EPOCH_SECONDS + seconds, nanoseconds: (this.#now - seconds * 1e6) * 1000 };
  }

  monotonicMs(): number {
    return this.#now / 1000;
  }

  after(delayMs: number, callback: () => void): TimerHandle {
    const event = this.in(delayMs * 1000, callback);
    return {
      cancel: () => {
        event.isCancelled = true;
      },
    };
  }

  /** Runs `run` in so many microseconds. */
  in(delayUs: number, run: () => void): Event {
    assert(delayUs >= 0, 'time goes forward', delayUs);
    const event = {
      at: this.#now + Math.floor(delayUs),
      number: this.#number++,
      run,
      isCancelled: false,
    };
    this.#push(event);
    return event;
  }

  /** Waits so many microseconds. */
  pause(delayUs: number): Promise<void> {
    return new Promise((resolve) => this.in(delayUs, resolve));
  }

  /** The power goes: what was to happen does not. */
  stop(): void {
    this.#heap = [];
  }

  /** Lets things happen until `isOver`. @throws Standstill. */
  async run(isOver: () => boolean): Promise<void> {
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (isOver()) return;
      const event = this.#pop();
      if (event === undefined) throw new Standstill('nothing is left to happen');
      if (event.isCancelled) continue;
      this.#now = event.at;
      this.eventCount++;
      event.run();
    }
  }

  #isBefore(a: Event, b: Event): boolean {
    return a.at < b.at || (a.at === b.at && a.number < b.number);
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let index = heap.push(event) - 1;
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (!this.#isBefore(event, heap[parent] as Event)) break;
      heap[index] = heap[parent] as Event;
      index = parent;
    }
    heap[index] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const top = heap[0];
    const last = heap.pop();
    if (top === undefined || last === undefined || heap.length === 0) return top;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (
        child + 1 < heap.length &&
        this.#isBefore(heap[child + 1] as Event, heap[child] as Event)
      ) {
        child++;
      }
      if (!this.#isBefore(heap[child] as Event, last)) break;
      heap[index] = heap[child] as Event;
      index = child;
    }
    heap[index] = last;
    return top;
  }
}
