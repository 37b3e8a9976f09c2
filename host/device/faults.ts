// Faults to order for memory devices: tests say which operation shall go wrong, and how.

import { assert } from '../base/assert.ts';

export type Operation = 'read' | 'write' | 'flush';

/** What happens instead:
 *  - `fail`: DISK_FAILED, and nothing was done.
 *  - `apply-and-fail`: done, then DISK_FAILED: the caller cannot know (writes, flushes).
 *  - `lose`: reported as done, and nothing was (writes, flushes).
 *  - `misdirect`: done `bytes` further on (or back, if negative) on the medium (reads, writes);
 *    back instead of on, and the reverse, where the device ends.
 *  - `part`: the first `bytes` are done, then DISK_FAILED (reads, writes). */
export type FaultAction =
  | 'fail'
  | 'apply-and-fail'
  | 'lose'
  | { readonly kind: 'misdirect'; readonly bytes: number }
  | { readonly kind: 'part'; readonly bytes: number };

export interface Fault {
  readonly operation: Operation;
  readonly action: FaultAction;
  /** The how-manieth of the operations that match from now on; default 1: the next. */
  readonly nth?: number;
  /** How many in a row; default 1; Infinity: from then on. */
  readonly times?: number;
  /** Only operations that touch a byte of offsetBytes..offsetBytes+sizeBytes-1. Default: all. */
  readonly range?: { readonly offsetBytes: number; readonly sizeBytes: number };
  /** Goes away when its range is written: a latent sector error. */
  readonly isHealedByWrite?: boolean;
  /** Told each time that it happens. */
  readonly onFired?: () => void;
}

interface ArmedFault {
  readonly fault: Fault;
  matchCount: number;
}

/** The faults that a device has before it. */
export class Faults {
  #armed: ArmedFault[] = [];

  inject(fault: Fault): void {
    const { operation, action } = fault;
    const isPointless =
      (operation === 'read' && (action === 'lose' || action === 'apply-and-fail')) ||
      (operation === 'flush' && typeof action === 'object');
    assert(!isPointless, 'action suits the operation', action, operation);
    assert(fault.isHealedByWrite !== true || fault.range !== undefined, 'what heals has a range');
    this.#armed.push({ fault, matchCount: 0 });
  }

  clear(): void {
    this.#armed = [];
  }

  /** What shall happen to this operation; undefined: nothing. */
  take(operation: Operation, offsetBytes: number, sizeBytes: number): FaultAction | undefined {
    if (this.#armed.length === 0) return undefined;
    let action: FaultAction | undefined;
    const isOver = (armed: ArmedFault): boolean => {
      const { fault } = armed;
      const touches = operation === 'flush' || touchesRange(fault, offsetBytes, sizeBytes);
      if (!touches) return false;
      if (operation === 'write' && fault.isHealedByWrite === true) return true;
      if (fault.operation !== operation) return false;
      const nth = fault.nth ?? 1;
      const last = nth + (fault.times ?? 1) - 1;
      armed.matchCount++;
      if (armed.matchCount >= nth && action === undefined) {
        action = fault.action;
        fault.onFired?.();
      }
      return armed.matchCount >= last;
    };
    this.#armed = this.#armed.filter((armed) => !isOver(armed));
    return action;
  }
}

function touchesRange(fault: Fault, offsetBytes: number, sizeBytes: number): boolean {
  const { range } = fault;
  if (range === undefined) return true;
  const end = range.offsetBytes + range.sizeBytes;
  return offsetBytes < end && range.offsetBytes < offsetBytes + sizeBytes;
}
