// Which blocks lie on which disk, as far as a file system can know: the columns of the volume's
// spans. Blocks of one column lie on one disk, one after the other.

import type { Vbn } from '../base/units.ts';
import type { StripeSpan } from '../device/block-volume.ts';

export class Columns {
  /** First vbns of all columns, ascending. */
  readonly #firsts: number[];

  constructor(spans: readonly StripeSpan[]) {
    this.#firsts = spans.flatMap(({ columns }) => columns).sort((a, b) => a - b);
  }

  /** Columns are numbered from 0 to this, in the order of their vbns. */
  get count(): number {
    return this.#firsts.length;
  }

  /** The column of a block. A vbn that is in none (damage) counts to the one before it. */
  indexOf(vbn: Vbn): number {
    const firsts = this.#firsts;
    let low = 0;
    let high = firsts.length;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if ((firsts[middle] as number) <= vbn) low = middle;
      else high = middle;
    }
    return low;
  }
}
