// A schedule that completes operations out of order: what is under way is kept in a list, of which
// a random one is completed in every microtask.

import type { SeededPrng } from '../../host/base/prng.ts';
import type { Schedule } from '../../host/device/memory-device.ts';

/** Devices that are given the same schedule share its list: their operations mix. */
export function shuffled(prng: SeededPrng): Schedule {
  const waiting: (() => void)[] = [];
  const completeOne = () => {
    const index = prng.below(waiting.length);
    const complete = waiting[index] as () => void;
    waiting[index] = waiting[waiting.length - 1] as () => void;
    waiting.pop();
    complete();
  };
  return (complete) => {
    waiting.push(complete);
    // Twice round the queue, so that what is started in one turn gets mixed.
    void Promise.resolve()
      .then(() => Promise.resolve())
      .then(completeOne);
  };
}
