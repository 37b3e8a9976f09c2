// Makes a failing seed smaller: leaves out calls, half of them, then a quarter, and so on, as long
// as it still fails; and the faults of devices, if it fails without them. What is left fails in
// some way, not always in the same one: it says so.

import { Run, type RunOptions, type RunReport } from './run.ts';

/** Runs that shrinking may take. */
const TRIES_MAX = 150;

/** @returns whether the seed did not fail at all. */
export async function shrink(seed: number, print: (report: RunReport) => void): Promise<boolean> {
  let best = await new Run(seed).run();
  if (best.problem === undefined) {
    print(best);
    return true;
  }
  let tries = 0;
  let options: RunOptions = {};
  const attempt = async (next: RunOptions): Promise<boolean> => {
    if (tries >= TRIES_MAX) return false;
    tries++;
    const report = await new Run(seed, next).run();
    if (report.problem === undefined) return false;
    best = report;
    options = next;
    return true;
  };
  await attempt({ isHarmless: true });
  const { lives, callsPerLife } = best.setup;
  let left = Array.from({ length: lives * callsPerLife }, (_, index) => index + 1);
  for (let size = left.length >> 1; size >= 1; size >>= 1) {
    for (let from = 0; from < left.length; ) {
      const kept = [...left.slice(0, from), ...left.slice(from + size)];
      const skip = new Set(
        Array.from({ length: lives * callsPerLife }, (_, index) => index + 1).filter(
          (number) => !kept.includes(number),
        ),
      );
      if (await attempt({ ...options, skip })) left = kept;
      else from += size;
    }
  }
  print(best);
  const how = options.isHarmless === true ? ', without faults of devices' : '';
  console.log(`after ${tries} tries, with calls ${left.join(', ')}${how}`);
  return false;
}
