// Which branches of the decoders the inputs reach, by V8's block coverage. A branch is a function
// or a block in one that V8 counts apart; blocks that ran as often as what is around them are
// counted with that, so the share is rather too low than too high.

import { readFileSync } from 'node:fs';
import { type Profiler, Session } from 'node:inspector/promises';
import { SourceMap } from 'node:module';
import { fileURLToPath } from 'node:url';
import { wantedOf } from './target.ts';

interface Branch {
  readonly start: number;
  readonly end: number;
  readonly isReached: boolean;
}

/** The source, and the functions that count: "file.js:one,two", or all. */
function parse(source: string): { readonly file: string; readonly names: readonly string[] } {
  const [file = '', names] = source.split(':');
  return { file, names: names?.split(',') ?? [] };
}

/** Branches of the functions with these names, and those in them; of all where none is named. */
function branchesOf(
  functions: readonly Profiler.FunctionCoverage[],
  names: readonly string[],
): Branch[] {
  const branches = new Map<string, Branch>();
  const wanted = functions.filter(({ functionName }) => names.includes(functionName));
  if (wanted.length < names.length) throw new Error(`not all of ${names.join()} are there`);
  const isWanted = ({ ranges: [whole] }: Profiler.FunctionCoverage) =>
    names.length === 0 ||
    wanted.some(({ ranges: [around] }) => {
      if (around === undefined || whole === undefined) return false;
      return around.startOffset <= whole.startOffset && around.endOffset >= whole.endOffset;
    });
  for (const { ranges } of functions.filter(isWanted)) {
    for (const { startOffset: start, endOffset: end, count } of ranges) {
      const key = `${start}-${end}`;
      const isReached = count > 0 || branches.get(key)?.isReached === true;
      branches.set(key, { start, end, isReached });
    }
  }
  // Within what was not reached, nothing was: once is enough.
  const all = [...branches.values()];
  const lost = all.filter(({ isReached }) => !isReached);
  return all.filter(
    (one) =>
      one.isReached || !lost.some((o) => o !== one && o.start <= one.start && o.end >= one.end),
  );
}

/** Runs the targets in this process and prints, for each of their sources, the share of branches
 *  reached, and where the others are. */
export async function printCoverage(
  names: readonly string[],
  options: { readonly inputs: number; readonly seed: number },
): Promise<void> {
  const session = new Session();
  session.connect();
  await session.post('Profiler.enable');
  // Before the decoders are loaded: what is compiled earlier is counted by the function only.
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  const { TARGETS } = await import('./targets/all.js');
  const { fuzz, lineOf } = await import('./fuzzer.js');
  const wanted = wantedOf(TARGETS, names);
  for (const target of wanted) {
    const inputs = Math.ceil(options.inputs / (target.weight ?? 1));
    console.log(lineOf(await fuzz(target, { ...options, inputs })));
  }
  const { result } = await session.post('Profiler.takePreciseCoverage');
  session.disconnect();
  const sources = new Set(wanted.flatMap((target) => target.sources));
  let reached = 0;
  let total = 0;
  console.log(`\nbranches reached, seed ${options.seed}:`);
  for (const source of [...sources].sort()) {
    const { file, names } = parse(source);
    const script = result.find(({ url }) => url.endsWith(`/dist/host/${file}`));
    if (script === undefined) throw new Error(`${file} was not loaded`);
    const branches = branchesOf(script.functions, names);
    const hit = branches.filter(({ isReached }) => isReached).length;
    reached += hit;
    total += branches.length;
    console.log(`  ${file}: ${hit} of ${branches.length}, ${percent(hit, branches.length)}`);
    for (const place of placesOf(script.url, branches)) console.log(`      not: ${place}`);
  }
  console.log(`all: ${reached} of ${total}, ${percent(reached, total)}`);
}

function percent(part: number, whole: number): string {
  return `${((100 * part) / Math.max(1, whole)).toFixed(1)} %`;
}

const TEXT_MAX = 70;

/** Line and beginning of each branch not reached, in the TypeScript source. */
function placesOf(url: string, branches: readonly Branch[]): string[] {
  const path = fileURLToPath(url);
  const text = readFileSync(path, 'utf8');
  const map = new SourceMap(JSON.parse(readFileSync(`${path}.map`, 'utf8')));
  return branches
    .filter(({ isReached }) => !isReached)
    .map(({ start, end }) => {
      const before = text.slice(0, start).split('\n');
      const entry = map.findEntry(before.length - 1, before.at(-1)?.length ?? 0);
      const line = 'originalLine' in entry ? entry.originalLine + 1 : 0;
      const code = text.slice(start, end).replace(/\s+/g, ' ').trim().slice(0, TEXT_MAX);
      return `line ${line}: ${code}`;
    });
}
