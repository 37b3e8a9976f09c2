// The frame of all benchmarks. A suite is a list of groups; the cases of a group do the same work
// on the same bytes, ours first, then peers and bounds, so that what counts is a ratio taken in one
// run. benny measures what can be repeated at will (BenchGroup); a group that needs percentiles,
// bursts or an end that is not its beginning measures itself (OwnGroup).
//
// - Sizes: 'smoke' (in the tests, so that benchmarks do not rot: small, no figures kept) or 'real'.
// - Each case's result is hashed (benny's: of one run from the fixed seed, before it is measured):
//   cases of a group that are not bounds must agree, else the comparison means nothing, and the run
//   fails.
// - A case must change the bytes that it works on each time, or caches and compilers do the work.
// - Peers come from bench/peers (installed when first asked for, never in smoke); what is missing
//   is said and left out.
//
// Real runs write bench/results/<suite>.json and .svg; goals.ts holds them against the goals.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { cpus, totalmem } from 'node:os';
import { fileURLToPath, pathToFileURL } from 'node:url';
import benny from 'benny';
import { formatValue, ratioOf, type Unit } from './figures.ts';
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
  /** Bytes that count as worked on by one run; or operations. */
  readonly bytes?: number;
  readonly operations?: number;
  /** Fills the input from the fixed seed, the same every time. */
  reset(): void;
  /** The first one is what ratios refer to. */
  readonly cases: readonly BenchCase[];
  close?(): Promise<void>;
}

/** What a group that measures itself gives for a case. */
export interface Measured {
  readonly case: string;
  readonly kind: BenchCase['kind'];
  readonly value: number;
  /** Hashed; cases that are not bounds must agree. */
  readonly result?: Uint8Array | string;
}

export interface OwnGroup {
  readonly name: string;
  readonly unit: Unit;
  /** The first one is what ratios refer to. */
  measure(): Promise<readonly Measured[]>;
}

export interface BenchRow {
  readonly group: string;
  readonly case: string;
  readonly kind: BenchCase['kind'];
  readonly value: number;
  readonly unit: Unit;
  /** How many times better the group's first case is than this one. */
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
/** What real runs leave behind. */
export const resultsFolder = new URL('bench/results/', root);

const WARM_UP_MS = 150;

export const BENCH_SEED = 20_240_601;

/** 'smoke' where the command line has --smoke. */
export function benchSize(): BenchSize {
  return process.argv.includes('--smoke') ? 'smoke' : 'real';
}

/** A package of bench/peers, or undefined, with a line that says so. Installs them all when the
 *  first one is asked for in a real run. */
export async function loadPeer<T>(name: string, size: BenchSize): Promise<T | undefined> {
  if (size === 'real' && !areInstalled()) installPeers();
  try {
    const file = createRequire(new URL('package.json', peers)).resolve(name);
    return (await import(pathToFileURL(file).href)) as T;
  } catch (error) {
    console.log(`skipped: peer ${name} (${(error as { code?: string }).code ?? String(error)})`);
    return undefined;
  }
}

/** Whether each has its folder; one that did not compile is not tried again each time. */
function areInstalled(): boolean {
  const text = readFileSync(new URL('package.json', peers), 'utf8');
  const { dependencies } = JSON.parse(text) as { dependencies: Record<string, string> };
  const names = Object.keys(dependencies);
  return names.every((name) => existsSync(new URL(`node_modules/${name}/`, peers)));
}

/** better-sqlite3 is the one that is compiled here: its Node 20 packages hold no binary. */
function installPeers(): void {
  console.log('installing bench/peers (a compiler takes its minute for better-sqlite3)');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const steps = ['ci --ignore-scripts', 'explore better-sqlite3 -- npm run build-release'];
  for (const step of steps) {
    const options = { cwd: fileURLToPath(peers), stdio: 'ignore' } as const;
    const { status } = spawnSync(npm, step.split(' '), options);
    if (status !== 0) console.log(`npm ${step} failed in bench/peers`);
  }
}

/** Runs, prints, checks the digests, and in real runs writes the results. Groups are made when
 *  their turn comes: some need much memory. */
export async function runSuite(
  suite: string,
  groups: readonly (() => BenchGroup | OwnGroup | Promise<BenchGroup | OwnGroup>)[],
  size: BenchSize,
): Promise<BenchReport> {
  const rows: BenchRow[] = [];
  for (const makeGroup of groups) {
    const group = await makeGroup();
    const made = 'measure' in group ? await rowsOfOwn(group) : await rowsOf(suite, group, size);
    if ('measure' in group) console.log(`${suite}: ${group.name}`);
    for (const row of made) console.log(lineOf(row));
    rows.push(...made);
  }
  const report = { suite, machine: machine(), commit: commit(), rows };
  if (size === 'real') {
    mkdirSync(resultsFolder, { recursive: true });
    writeFileSync(new URL(`${suite}.json`, resultsFolder), `${JSON.stringify(report, null, 1)}\n`);
    writeFileSync(new URL(`${suite}.svg`, resultsFolder), plotSvg(report));
  }
  return report;
}

function lineOf({ case: name, value, unit, ratio, digest }: BenchRow): string {
  return (
    `  ${name.padEnd(28)} ${formatValue(value, unit).padStart(14)} ` +
    `${ratio.toFixed(2).padStart(8)} x  ${digest}`
  );
}

async function rowsOf(suite: string, group: BenchGroup, size: BenchSize): Promise<BenchRow[]> {
  const digests = await digestsOf(group);
  const seconds = await measure(suite, group, size);
  await group.close?.();
  const { bytes, operations = 0 } = group;
  const unit = bytes === undefined ? '/s' : 'GB/s';
  const amount = bytes === undefined ? operations : bytes / 1e9;
  return group.cases.map(({ name, kind }, index) => ({
    group: group.name,
    case: name,
    kind,
    value: amount / seconds[index]!,
    unit,
    ratio: seconds[index]! / seconds[0]!,
    digest: digests[index]!,
  }));
}

async function rowsOfOwn(group: OwnGroup): Promise<BenchRow[]> {
  const measured = await group.measure();
  const { unit } = group;
  const rows = measured.map((one) => ({
    group: group.name,
    case: one.case,
    kind: one.kind,
    value: one.value,
    unit,
    ratio: ratioOf(measured[0]!.value, one.value, unit),
    digest: one.kind === 'bound' ? '' : digestOf(one.result),
  }));
  refuseUnequal(group.name, rows);
  return rows;
}

function digestOf(result: Uint8Array | string | undefined): string {
  if (result === undefined) return '';
  return createHash('sha256').update(result).digest('hex').slice(0, 16);
}

type Digested = Pick<BenchRow, 'case' | 'kind' | 'digest'>;

function refuseUnequal(group: string, rows: readonly Digested[]): void {
  for (const { case: name, kind, digest } of rows) {
    if (kind === 'bound' || digest === rows[0]!.digest) continue;
    throw new Error(`${group}: ${name} gives ${digest}, not ${rows[0]!.digest}`);
  }
}

async function digestsOf(group: BenchGroup): Promise<string[]> {
  const rows: Digested[] = [];
  for (const bench of group.cases) {
    group.reset();
    await bench.run();
    const result = bench.kind === 'bound' ? undefined : bench.result?.();
    rows.push({ case: bench.name, kind: bench.kind, digest: digestOf(result) });
  }
  refuseUnequal(group.name, rows);
  return rows.map(({ digest }) => digest);
}

/** Seconds that one run of each case takes: the median. */
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
  return summary.results.map(({ details }) => details.median);
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
