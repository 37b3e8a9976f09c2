// Feeds a target: inputs are made from good ones and from those that turned out special, the
// outcome is judged, time and memory are watched.
//
// An input is refused by a StorageError or FsError with a code, or taken. Anything else thrown is a
// finding: InvariantError, TypeError, RangeError, a trap of the kernels, a broken promise. So is
// more than a second of processor time for one input, and more memory than 16 times the input and
// 16 MiB. Memory is what a call allocates, whether or not it keeps it, so it is an upper bound of
// what it holds at any moment; where the collector ran meanwhile, the call is measured again.
//
// Guidance is by outcomes: an input whose error, or whose answer of the target, has a form that was
// not seen before joins those that others are made from.

import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ERROR_HINTS, isFsError, isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { mutate } from './mutate.ts';
import type { Target } from './target.ts';

export const CPU_MS_MAX = 1000;
const BYTES_PER_BYTE_MAX = 16;
const BYTES_MAX = 16 * 1024 * 1024;
/** Inputs that others are made from. */
const POOL_MAX = 512;
/** After so many findings a target is given up. */
const FINDINGS_MAX = 10;
const RANDOM_LENGTH_MAX = 512;

export interface Finding {
  readonly target: string;
  readonly what: string;
  readonly stack: string;
  readonly input: Uint8Array;
}

export interface Result {
  readonly target: string;
  inputs: number;
  accepted: number;
  /** By code. */
  readonly refused: Map<string, number>;
  slowestMs: number;
  /** Bytes that one input took at most. */
  mostBytes: number;
  /** Inputs whose memory could not be measured. */
  unmeasured: number;
  /** Forms of outcomes. */
  forms: number;
  readonly findings: Finding[];
}

export interface FuzzOptions {
  readonly inputs: number;
  readonly seed: number;
  /** Stops when so much time has gone, whatever is left. */
  readonly seconds?: number;
}

let collector: (() => void) | undefined;

function collect(): void {
  if (collector === undefined) {
    setFlagsFromString('--expose-gc');
    collector = runInNewContext('gc') as () => void;
  }
  collector();
}

function heapBytes(): number {
  const { used_heap_size, external_memory } = getHeapStatistics();
  return used_heap_size + external_memory;
}

export async function fuzz(target: Target, options: FuzzOptions): Promise<Result> {
  return new Fuzzer(target, options).run();
}

class Fuzzer {
  readonly #target: Target;
  readonly #options: FuzzOptions;
  readonly #prng: SeededPrng;
  readonly #samples: readonly Uint8Array[];
  readonly #pool: Uint8Array[] = [];
  readonly #forms = new Set<string>();
  readonly #result: Result;

  constructor(target: Target, options: FuzzOptions) {
    this.#target = target;
    this.#options = options;
    this.#prng = new SeededPrng(options.seed);
    this.#samples = target.samples();
    this.#result = {
      target: target.name,
      inputs: 0,
      accepted: 0,
      refused: new Map(),
      slowestMs: 0,
      mostBytes: 0,
      unmeasured: 0,
      forms: 0,
      findings: [],
    };
  }

  async run(): Promise<Result> {
    const { inputs, seconds = Number.POSITIVE_INFINITY } = this.#options;
    const end = performance.now() + seconds * 1000;
    const result = this.#result;
    for (const sample of this.#samples) await this.#feed(sample.slice());
    while (result.inputs < inputs && result.findings.length < FINDINGS_MAX) {
      await this.#feed(this.#make());
      // Others have a turn too: timers, and whoever reads our output.
      if (result.inputs % 256 !== 0) continue;
      if (performance.now() > end) break;
      await new Promise(setImmediate);
    }
    result.forms = this.#forms.size;
    return result;
  }

  #make(): Uint8Array {
    const prng = this.#prng;
    const target = this.#target;
    if (target.generate !== undefined && (this.#samples.length === 0 || prng.chance(0.3))) {
      return target.generate(prng);
    }
    if (target.lengthMax !== undefined && prng.chance(0.02)) {
      return prng.bytes(prng.below(Math.min(target.lengthMax, RANDOM_LENGTH_MAX) + 1));
    }
    const sources = this.#pool.length > 0 && prng.chance(0.5) ? this.#pool : this.#samples;
    const other = prng.pick(prng.chance(0.5) ? this.#samples : sources);
    const input = mutate(prng, prng.pick(sources).slice(), { ...target, other });
    if (prng.chance(0.95)) target.mend?.(input);
    return input;
  }

  async #feed(input: Uint8Array): Promise<void> {
    const result = this.#result;
    result.inputs++;
    const kept = input.slice();
    const before = heapBytes();
    const start = performance.now();
    const outcome = await this.#outcome(input);
    const ms = performance.now() - start;
    const bytes = heapBytes() - before;
    if (ms > result.slowestMs) result.slowestMs = ms;
    if (ms > CPU_MS_MAX) await this.#checkTime(kept);
    await this.#checkMemory(kept, bytes);
    this.#judge(kept, outcome);
  }

  /** What became of an input: the error, or how it was taken. */
  async #outcome(input: Uint8Array): Promise<{ error: unknown } | string> {
    try {
      const answer = this.#target.decode(input);
      return (answer instanceof Promise ? await answer : answer) ?? '';
    } catch (error) {
      return { error };
    }
  }

  #judge(input: Uint8Array, outcome: { error: unknown } | string): void {
    const result = this.#result;
    if (typeof outcome === 'string') {
      result.accepted++;
      this.#note(`taken ${outcome}`, input);
      return;
    }
    const { error } = outcome;
    const code = codeOf(error);
    if (code === undefined) {
      const { message, stack } = error as Error;
      this.#find(`${(error as Error)?.name}: ${message}`, stack ?? String(error), input);
      return;
    }
    result.refused.set(code, (result.refused.get(code) ?? 0) + 1);
    this.#note(`${code} ${(error as Error).message}`, input);
  }

  #note(outcome: string, input: Uint8Array): void {
    // Numbers say where; the form is the rest.
    const form = outcome.slice(0, 200).replace(/[0-9a-f]*[0-9][0-9a-f]*/g, '#');
    const isNew = !this.#forms.has(form) && this.#forms.size < 4 * POOL_MAX;
    if (isNew) this.#forms.add(form);
    else if (!this.#prng.chance(outcome.startsWith('taken') ? 0.002 : 0.0002)) return;
    if (this.#pool.length < POOL_MAX) this.#pool.push(input);
    else this.#pool[this.#prng.below(POOL_MAX)] = input;
  }

  #find(what: string, stack: string, input: Uint8Array): void {
    const { findings, target } = this.#result;
    // One of a kind is enough.
    const place = `${what.replace(/[0-9]+/g, '#')} ${stack.split('\n').slice(1, 3).join()}`;
    if (this.#forms.has(place)) return;
    this.#forms.add(place);
    findings.push({ target, what, stack, input });
  }

  /** Slow by the clock: by the processor too, each time? */
  async #checkTime(input: Uint8Array): Promise<void> {
    for (let attempt = 0; attempt < 3; attempt++) {
      const start = process.cpuUsage();
      await this.#outcome(input.slice());
      if (process.cpuUsage(start).user < CPU_MS_MAX * 1000) return;
    }
    this.#find(`takes over ${CPU_MS_MAX} ms`, '', input);
  }

  async #checkMemory(input: Uint8Array, bytes: number): Promise<void> {
    const result = this.#result;
    let took = bytes;
    for (let attempt = 0; attempt < 2 && took < 0; attempt++) {
      if (attempt > 0) collect();
      const again = input.slice();
      const before = heapBytes();
      await this.#outcome(again);
      took = heapBytes() - before;
    }
    if (took < 0) result.unmeasured++;
    result.mostBytes = Math.max(result.mostBytes, took);
    const limit = BYTES_PER_BYTE_MAX * input.length + BYTES_MAX + (this.#target.worldBytes ?? 0);
    if (took > limit) this.#find(`takes ${took} bytes of memory`, '', input);
  }
}

/** The code of an error that may be thrown; undefined for all others. */
export function codeOf(error: unknown): string | undefined {
  if (isStorageError(error)) return Object.hasOwn(ERROR_HINTS, error.code) ? error.code : undefined;
  return isFsError(error) ? error.code : undefined;
}

/** One line. */
export function lineOf(result: Result): string {
  const { target, inputs, accepted, refused, slowestMs, mostBytes, unmeasured } = result;
  const codes = [...refused].sort((a, b) => b[1] - a[1]).map(([code, count]) => `${code} ${count}`);
  const memory = `${(mostBytes / 1024).toFixed(0)} KiB`;
  const blind = unmeasured === 0 ? '' : `, memory of ${unmeasured} unknown`;
  return (
    `${target}: ${inputs} inputs, ${accepted} taken, ${codes.join(', ') || 'none refused'}; ` +
    `${result.forms} outcomes, slowest ${slowestMs.toFixed(1)} ms, most memory ${memory}${blind}`
  );
}

/** What a finding is, and the input to put into the corpus. */
export function textOf(finding: Finding): string {
  const bytes = Buffer.from(finding.input).toString('base64');
  return `FOUND in ${finding.target}: ${finding.what}\n${finding.stack}\ninput (base64): ${bytes}`;
}
