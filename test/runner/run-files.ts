// Runs compiled test files, each in its own process, a few at a time, and reports as it goes.
//
// A file is run by plain node (uvu's suites run themselves), without stdin and without colours, as
// the leader of a process group: whatever it started dies with it, be it on a timeout or at its
// end. Output is held back and shown only for files that failed.

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { type Ending, judge, timeoutSeconds, usesOnly, type Verdict } from './judge.ts';

export interface TestFile {
  /** As printed, and as matched by name filters: "raid/stripe-journal". */
  readonly name: string;
  /** Absolute path of the compiled file; it may be missing, which is a failure. */
  readonly path: string;
}

export interface RunOptions {
  /** Files that run at one time. */
  readonly jobCount: number;
  /** Overrides what the files say themselves. */
  readonly timeoutSeconds?: number;
  /** Takes whole lines. */
  readonly print: (line: string) => void;
}

export interface Summary {
  passed: number;
  failed: number;
  skipped: number;
}

/** Bytes of a file's output that are kept; of more, the end. */
const OUTPUT_BYTES_MAX = 4 * 1024 * 1024;
/** After the process itself has ended: for a grandchild that still holds its output open. */
const CLOSE_GRACE_MS = 1000;

/** Runs all of `files`; the ones that may take long come first. Never throws for a bad file. */
export async function runFiles(files: readonly TestFile[], options: RunOptions): Promise<Summary> {
  const queue = files.map((file) => prepare(file, options));
  queue.sort((a, b) => b.seconds - a.seconds || (a.file.name < b.file.name ? -1 : 1));
  const summary = { passed: 0, failed: 0, skipped: 0 };
  const badNames: string[] = [];
  const work = async () => {
    for (let job = queue.shift(); job !== undefined; job = queue.shift()) {
      const { verdict, output, ms } = await runJob(job);
      report(job.file, verdict, output, ms, options.print);
      if (verdict.problem !== undefined) badNames.push(`${job.file.name}: ${verdict.problem}`);
      summary.passed += verdict.passed;
      summary.failed += verdict.failed;
      summary.skipped += verdict.skipped;
    }
  };
  await Promise.all(Array.from({ length: options.jobCount }, work));
  if (badNames.length > 0) options.print('\nFailed:');
  for (const bad of badNames.sort()) options.print(`  ${bad}`);
  return summary;
}

/** The last line of a run. */
export function summaryLine(summary: Summary): string {
  const line = `${summary.passed} passed, ${summary.failed} failed`;
  return summary.skipped === 0 ? line : `${line}, ${summary.skipped} skipped`;
}

interface Job {
  readonly file: TestFile;
  readonly seconds: number;
  /** Why it is not even started. */
  readonly refusal?: string;
}

function prepare(file: TestFile, options: RunOptions): Job {
  let code: string;
  try {
    code = readFileSync(file.path, 'utf8');
  } catch {
    return { file, seconds: 0, refusal: 'was not compiled' };
  }
  const seconds = options.timeoutSeconds ?? timeoutSeconds(code);
  if (!usesOnly(code)) return { file, seconds };
  return { file, seconds, refusal: 'uses only(), which leaves out the other tests' };
}

async function runJob(job: Job): Promise<{ verdict: Verdict; output: string; ms: number }> {
  if (job.refusal !== undefined) {
    const verdict = { passed: 0, failed: 1, skipped: 0, skipReasons: [], problem: job.refusal };
    return { verdict, output: '', ms: 0 };
  }
  const start = performance.now();
  const ending = await runProcess(job.file.path, job.seconds);
  return { verdict: judge(ending), output: ending.output, ms: performance.now() - start };
}

function report(
  file: TestFile,
  verdict: Verdict,
  output: string,
  ms: number,
  print: (line: string) => void,
): void {
  const seconds = `${(ms / 1000).toFixed(1)} s`;
  if (verdict.problem === undefined) print(`ok    ${file.name} (${verdict.passed}, ${seconds})`);
  else print(`FAIL  ${file.name} (${seconds}): ${verdict.problem}`);
  for (const reason of verdict.skipReasons) print(`      skipped ${reason}`);
  if (verdict.problem === undefined) return;
  for (const line of output.trimEnd().split('\n')) print(`    | ${line}`);
}

/** Process groups under way, to be ended with the runner. */
const children = new Set<ChildProcess>();

/** Ends all that is still running: when the runner itself is told to end. */
export function killAll(): void {
  for (const child of children) killGroup(child);
}

function killGroup(child: ChildProcess): void {
  try {
    if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    // ESRCH: nothing of the group is left.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function runProcess(path: string, seconds: number): Promise<Ending> {
  const { FORCE_COLOR: _, ...environment } = process.env;
  const child = spawn(process.execPath, ['--enable-source-maps', path], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...environment, NO_COLOR: '1' },
    detached: true,
  });
  children.add(child);
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  const take = (chunk: Buffer) => {
    chunks.push(chunk);
    sizeBytes += chunk.length;
    while (sizeBytes > OUTPUT_BYTES_MAX) sizeBytes -= (chunks.shift() as Buffer).length;
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  return new Promise((resolve) => {
    let isTimedOut = false;
    const timer = setTimeout(() => {
      isTimedOut = true;
      killGroup(child);
    }, seconds * 1000);
    const end = (exitCode: number | null, signal: string | null) => {
      children.delete(child);
      const output = Buffer.concat(chunks).toString('utf8');
      const ending = { output, exitCode, signal };
      resolve(isTimedOut ? { ...ending, timedOutAfter: seconds } : ending);
    };
    child.on('error', (error) => {
      clearTimeout(timer);
      chunks.push(Buffer.from(`cannot start: ${error.message}\n`));
      end(1, null);
    });
    child.on('exit', (exitCode, signal) => {
      clearTimeout(timer);
      killGroup(child);
      const grace = setTimeout(() => end(exitCode, signal), CLOSE_GRACE_MS);
      child.on('close', () => {
        clearTimeout(grace);
        end(exitCode, signal);
      });
    });
  });
}
