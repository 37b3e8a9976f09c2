// Calls that wait for a sequence number to become durable, answered strictly in its order (ENGINE
// 17).

interface Waiter {
  readonly sequence: number;
  resolve(): void;
  reject(error: unknown): void;
}

export class Waiters {
  /** Ascending by sequence number; those before #head are answered. */
  #waiters: Waiter[] = [];
  #head = 0;

  add(sequence: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiters = this.#waiters;
      let at = waiters.length;
      while (at > this.#head && (waiters[at - 1] as Waiter).sequence > sequence) at--;
      const waiter = { sequence, resolve, reject };
      if (at === waiters.length) waiters.push(waiter);
      else waiters.splice(at, 0, waiter);
    });
  }

  /** Answers those up to `sequence`. Promises run nobody's code before this turn's end. */
  settle(sequence: number): void {
    const waiters = this.#waiters;
    while (this.#head < waiters.length) {
      const waiter = waiters[this.#head] as Waiter;
      if (waiter.sequence > sequence) break;
      this.#head++;
      waiter.resolve();
    }
    if (this.#head === waiters.length) {
      this.#waiters = [];
      this.#head = 0;
    } else if (this.#head > 1024) {
      this.#waiters = waiters.slice(this.#head);
      this.#head = 0;
    }
  }

  fail(error: unknown): void {
    const waiters = this.#waiters.slice(this.#head);
    this.#waiters = [];
    this.#head = 0;
    for (const waiter of waiters) waiter.reject(error);
  }
}
