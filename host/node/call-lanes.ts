// A bound on how many disk writes and flushes are with the host at one time.
//
// Node's calls share four threads by default. A consistency point has megabytes to write, and
// flushes of all disks, each of which takes a thread for as long as the medium needs; with all
// threads taken the log waits behind them, and every caller with it. So disks get some of the
// threads, and the log finds one free.

/** Of Node's four threads (UV_THREADPOOL_SIZE). */
export const DISK_CALLS_MAX = 2;

export class CallLanes {
  readonly #waiting: (() => void)[] = [];
  #free: number;

  constructor(lanes: number) {
    this.#free = lanes;
  }

  /** Starts `call` now, or once one of those before it has ended; in the order of calls. */
  run(call: () => Promise<void>): Promise<void> {
    if (this.#free > 0) {
      this.#free--;
      return this.#inLane(call);
    }
    return new Promise((resolve) => {
      this.#waiting.push(() => resolve(this.#inLane(call)));
    });
  }

  /** Hands the lane on when the call has ended, however it does. */
  async #inLane(call: () => Promise<void>): Promise<void> {
    try {
      await call();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#free++;
      else next();
    }
  }
}
