// Skipping aloud. uvu's own skip() only counts; the runner refuses a skip without a reason.

/** Leaves the test `name` of a uvu suite out, and prints why: a runtime or a network that is not
 *  there. `reason` is one line. */
export function skip(suite: { skip(name: string): unknown }, name: string, reason: string): void {
  console.log(`\nSKIPPED ${name}: ${reason}`);
  suite.skip(name);
}
