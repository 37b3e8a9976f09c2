// What the output of one test file says. uvu is lenient where a storage system cannot afford it: it
// ends with code 0 when a file never calls run(), when `only` hides the other tests, and when a
// `before` hook throws. So the runner does not trust the exit code alone: it wants uvu's closing
// totals, all passed, and a reason for each skip.

/** How a test file's process ended. */
export interface Ending {
  readonly output: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** Seconds that it was allowed, where it ran out of them. */
  readonly timedOutAfter?: number;
}

/** What a file came to. It is bad where `problem` is there: then `failed` is at least 1. */
export interface Verdict {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  /** "test name: reason", one for each skip. */
  readonly skipReasons: readonly string[];
  readonly problem?: string;
}

const TOTALS = /^ {2}Total: +(\d+)\n {2}Passed: +(\d+)\n {2}Skipped: +(\d+)\n {2}Duration: /gm;
const SKIP_LINE = /^SKIPPED (\S.*: \S.*)$/gm;
/** Colours and the like: kleur obeys NO_COLOR, other things that a test starts may not. */
const ESCAPES = /\u001b\[[0-9;]*[A-Za-z]/g;

export function judge(ending: Ending): Verdict {
  const output = ending.output.replace(ESCAPES, '').replaceAll('\r\n', '\n');
  const skipReasons = [...output.matchAll(SKIP_LINE)].map((match) => match[1] as string);
  const totals = [...output.matchAll(TOTALS)].at(-1);
  const [total, passed, skipped] = (totals?.slice(1, 4) ?? [0, 0, 0]).map(Number) as Counts;
  const problem = problemOf(ending, totals === undefined, [total, passed, skipped], skipReasons);
  const failed = total - passed;
  const counts = { passed, skipped, skipReasons };
  if (problem === undefined) return { ...counts, failed };
  return { ...counts, failed: Math.max(failed, 1), problem };
}

type Counts = [total: number, passed: number, skipped: number];

/** The first thing wrong, the most telling one first. */
function problemOf(
  ending: Ending,
  isWithoutTotals: boolean,
  [total, passed, skipped]: Counts,
  skipReasons: readonly string[],
): string | undefined {
  if (ending.timedOutAfter !== undefined) return `did not end within ${ending.timedOutAfter} s`;
  if (passed < total) return `${total - passed} of ${total} tests failed`;
  if (ending.signal !== null) return `was killed by ${ending.signal}`;
  if (ending.exitCode !== 0) return `ended with exit code ${ending.exitCode}`;
  if (isWithoutTotals)
    return 'printed no totals: is run() called, and does nothing exit before it?';
  if (total === 0 && skipped === 0) return 'has no tests';
  if (skipReasons.length < skipped) {
    const given = `${skipReasons.length} reasons (use test/runner/skip.ts)`;
    return `skipped ${skipped} tests and gave ${given}`;
  }
  return undefined;
}

/** Whether compiled test code calls `only` on a suite, as far as lines that begin with it tell: uvu
 *  then passes over the other tests. The tidy test finds every call, in the source. */
export function usesOnly(code: string): boolean {
  return /^\s*[\w$]+\.only\(/m.test(code);
}

const TIMEOUT_DEFAULT_SECONDS = 600;
const TIMEOUT_MAX_SECONDS = 900;

/** Seconds that a file may take: `// @timeout 15m` (or `90s`) on a line of its own says so. */
export function timeoutSeconds(code: string): number {
  const match = /^\/\/ @timeout (\d+)([ms])$/m.exec(code);
  if (match === null) return TIMEOUT_DEFAULT_SECONDS;
  const seconds = Number(match[1]) * (match[2] === 'm' ? 60 : 1);
  return Math.min(seconds, TIMEOUT_MAX_SECONDS);
}
