// The frame of all benchmarks. A suite is a list of groups; the cases of a group do the same work
// on the same bytes, ours first, then peers and bounds, so that what counts is a ratio taken in one
// run.
//
// - Sizes: 'smoke' (in the tests, so that benchmarks do not rot: small, no figures kept) or 'real'.
// - Before it is measured each case runs once from the fixed seed, and its result is hashed: cases
// of a group that are not bounds must agree, else the comparison means nothing, and the run fails.
// - A case must change the bytes that it works on each time, or caches and compilers do the work. -
// Peers come from bench/peers (installed when first asked for, never in smoke); what is missing is
// said and left out.
//
// Real runs write bench/results/<suite>.json and .svg.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import benny from 'benny';
import { plotSvg } from './plot.ts';

export type BenchSize = 'smoke' | 'real';

export interface BenchCase {
  readonly name: string;
  /** 'bound': a limit such as memcpy, which does other work: its result is not compared. */
  readonly kind: 'ours' | 'peer' | 'bound';
  /** The work, once; changes its input a little each time. */
  run(): unknown;
  /** What the last run made, after `reset` of its group; unless it is a bound. */
  result?(): Uint8Array | string;
}

export interface BenchGroup {
  readonly name: string;
  /** Bytes that count as worked on by one run. */
  readonly bytes: number;
  /** Fills the input from the fixed seed, the same every time. */
  reset(): void;
  /** The first one is what ratios refer to. */
  readonly cases: readonly BenchCase[];
  close?(): Promise<void>;
}

export interface BenchRow {
  readonly group: string;
  readonly case: string;
  readonly kind: BenchCase['kind'];
  readonly bytesPerSecond: number;
  /** Speed of the group's first case divided by this one's. */
  readonly ratio: number;
  /** First 16 hex digits of the SHA-256 of the result; '' for bounds. */
  readonly digest: string;
}

export interface BenchReport {
  readonly suite: string;
  readonly machine: string;
  readonly commit: string;
  readonly rows: readonly BenchRow[];
}

const root = new URL('../../', import.meta.url);
const peers = new URL('bench/peers/', root);

const WARM_UP_MS = 150;

export const BENCH_SEED = 20_240_601;

/** 'smoke' where the command line has --smoke. */
export function benchSize(): BenchSize {
  return process.argv.includes('--smoke') ? 'smoke' : 'real';
}

/** A package of bench/peers, or undefined, with a line that says so. Installs them all when the
 *  first one is asked for in a real run. */
export async function loadPeer<T>(name: string, size: BenchSize): Promise<T | undefined> {
  if (size === 'real' && !existsSync(new URL('node_modules', peers))) {
    console.log('installing bench/peers');
    const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
    spawnSync(npm, ['ci', '--ignore-scripts'], { cwd: fileURLToPath(peers), stdio: 'ignore' });
  }
  try {
    const file = createRequire(new URL('package.json', peers)).resolve(name);
    return (await import(pathToFileURL(file).href)) as T;
  } catch (error) {
    console.log(`skipped: peer ${name} (${(error as { code?: string }).code ?? String(error)})`);
    return undefined;
  }
}

/** Runs, prints, checks the digests, and in real runs writes the results. Groups are made when
 *  their turn comes: some need much memory. */
export async function runSuite(
  suite: string,
  groups: readonly (() => BenchGroup)[],
  size: BenchSize,
): Promise<BenchReport> {
  const rows: BenchRow[] = [];
  for (const makeGroup of groups) {
    const group = makeGroup();
    const digests = await digestsOf(group);
    const speeds = await measure(suite, group, size);
    await group.close?.();
    group.cases.forEach(({ name, kind }, index) => {
      const bytesPerSecond = speeds[index]!;
      const ratio = speeds[0]! / bytesPerSecond;
      const digest = digests[index]!;
      rows.push({ group: group.name, case: name, kind, bytesPerSecond, ratio, digest });
      console.log(
        `  ${name.padEnd(28)} ${(bytesPerSecond / 1e9).toFixed(2).padStart(8)} GB/s ` +
          `${ratio.toFixed(2).padStart(8)} x  ${digest}`,
      );
    });
  }
  const report = { suite, machine: machine(), commit: commit(), rows };
  if (size === 'real') {
    const folder = new URL('bench/results/', root);
    mkdirSync(folder, { recursive: true });
    writeFileSync(new URL(`${suite}.json`, folder), `${JSON.stringify(report, null, 1)}\n`);
    writeFileSync(new URL(`${suite}.svg`, folder), plotSvg(report));
  }
  return report;
}

async function digestsOf(group: BenchGroup): Promise<string[]> {
  const digests: string[] = [];
  for (const bench of group.cases) {
    group.reset();
    await bench.run();
    const result = bench.kind === 'bound' ? undefined : bench.result?.();
    const hash = result === undefined ? '' : createHash('sha256').update(result).digest('hex');
    digests.push(hash.slice(0, 16));
  }
  group.cases.forEach(({ name, kind }, index) => {
    if (kind === 'bound' || digests[index] === digests[0]) return;
    throw new Error(`${group.name}: ${name} gives ${digests[index]}, not ${digests[0]}`);
  });
  return digests;
}

/** Bytes per second of each case, from the median. */
async function measure(suite: string, group: BenchGroup, size: BenchSize): Promise<number[]> {
  const options =
    size === 'smoke' ? { minSamples: 1, minTime: 0.001, maxTime: 0.001 } : { maxTime: 0.7 };
  group.reset();
  // Compilers take their time to do their best: nobody is measured cold.
  for (const bench of group.cases) {
    const end = performance.now() + (size === 'smoke' ? 0 : WARM_UP_MS);
    do await bench.run();
    while (performance.now() < end);
  }
  const summary = await benny.suite(
    `${suite}: ${group.name}`,
    benny.configure({ cases: options }),
    ...group.cases.map((bench) =>
      benny.add(bench.name, () => {
        // benny takes a returned function for the case itself.
        const outcome = bench.run();
        return outcome instanceof Promise ? outcome : undefined;
      }),
    ),
  );
  return summary.results.map(({ details }) => group.bytes / details.median);
}

function machine(): string {
  const [cpu] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  const model = cpu?.model.trim() ?? 'CPU';
  return `${cpus().length} x ${model}, ${memory} GiB, Node ${process.versions.node}`;
}

function commit(): string {
  const git = spawnSync('git', ['rev-parse', '--short', 'HEAD'], {
    cwd: fileURLToPath(root),
    encoding: 'utf8',
  });
  return git.status === 0 ? git.stdout.trim() : 'unknown';
}
