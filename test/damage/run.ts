// Many damages of one volume, each on a fresh copy of its devices: mount, read, compare, verify,
// write, mount again. Counts what came of them, and lists what must never happen.

import { isFsError, isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync, synchronously } from '../../host/base/task.ts';
import { verify } from '../../host/filesystem/verify/verify.ts';
import type { Engine } from '../../host/volume/engine.ts';
import { copyOf, type Devices, done, letGo, mount, operationsOf } from './base.ts';
import { BudgetDisk, BudgetNvram } from './budget.ts';
import { Damage, ROWS, type Row } from './damages.ts';
import { type Answer, ask, type Given, isAnswer, isSame, type Probe } from './probes.ts';
import { type Case, Verdict } from './verdict.ts';

/** Share of the probes asked that read nothing damaged. */
const SAMPLE = 0.25;
const VIOLATIONS_MAX = 12;

export interface Counts {
  damages: number;
  /** Nothing showed. */
  unaffected: number;
  /** A block was reconstructed. */
  repaired: number;
  /** Something stood in: another copy of a label, root, log; a degraded group. */
  stoodIn: number;
  /** At least one read, or the writing, gave a typed error. */
  error: number;
  /** Not mounted for writing. */
  refused: number;
  wrong: number;
}

const NONE: Counts = {
  damages: 0,
  unaffected: 0,
  repaired: 0,
  stoodIn: 0,
  error: 0,
  refused: 0,
  wrong: 0,
};

export interface Report {
  readonly rows: Map<Row, Counts>;
  readonly codes: Map<string, number>;
  readonly violations: string[];
  readsRight: number;
  readsFailed: number;
}

export function newReport(): Report {
  const rows = new Map(ROWS.map((row) => [row, { ...NONE }]));
  return { rows, codes: new Map(), violations: [], readsRight: 0, readsFailed: 0 };
}

/** Does `count` damages, a seed each. */
export async function inflict(
  subject: Case,
  report: Report,
  seeds: { readonly first: number; readonly count: number },
): Promise<void> {
  for (let seed = seeds.first; seed < seeds.first + seeds.count; seed++) {
    if (report.violations.length >= VIOLATIONS_MAX) return;
    new Round(subject, report, seed).run();
    // What was let go of sees that it is over, and can be forgotten.
    await new Promise(setImmediate);
  }
}

type Found = 'right' | 'error' | 'not asked';

class Round {
  readonly #case: Case;
  readonly #report: Report;
  readonly #seed: number;
  readonly #prng: SeededPrng;
  readonly #damage: Damage;
  readonly #isMounted: boolean;
  readonly #readOnly: boolean;
  #verdict!: Verdict;
  #copy: Devices;
  #isWrong = false;
  #hasError = false;
  #isRefused = false;
  #stoodIn = false;
  #repairedCount = 0;

  constructor(subject: Case, report: Report, seed: number) {
    this.#case = subject;
    this.#report = report;
    this.#seed = seed;
    this.#prng = new SeededPrng(seed);
    this.#isMounted = this.#prng.chance(0.15);
    this.#readOnly = this.#prng.chance(0.4);
    this.#copy = copyOf(subject.base.devices);
    this.#damage = new Damage(subject.base, subject.layout, {
      devices: this.#copy,
      prng: this.#prng,
      isMounted: this.#isMounted,
    });
  }

  run(): void {
    try {
      const engine = this.#isMounted ? this.#mountFirst() : this.#damageFirst();
      if (engine !== undefined) this.#live(engine);
    } catch (error) {
      this.#violate(`untyped: ${(error as Error)?.stack ?? String(error)}`);
    }
    this.#count();
  }

  #violate(what: string): void {
    this.#isWrong = true;
    const { base } = this.#case;
    const how = `${this.#isMounted ? 'while mounted' : 'before the mount'}, ${
      this.#readOnly ? 'read-only' : 'for writing'
    }`;
    const said = this.#damage.said.join('; ');
    this.#report.violations.push(`${base.setup.name} seed ${this.#seed} (${how}) ${said}: ${what}`);
  }

  #code(code: string): void {
    this.#report.codes.set(code, (this.#report.codes.get(code) ?? 0) + 1);
  }

  #count(): void {
    const counts = this.#report.rows.get(this.#damage.row) as Counts;
    counts.damages++;
    if (this.#isWrong) counts.wrong++;
    else if (this.#isRefused) counts.refused++;
    else if (this.#hasError) counts.error++;
    else if (this.#repairedCount > 0) counts.repaired++;
    else if (this.#stoodIn) counts.stoodIn++;
    else counts.unaffected++;
  }

  // Mounting.

  #devices(): { disks: BudgetDisk[]; nvrams: BudgetNvram[] } {
    return {
      disks: this.#copy.disks.map((disk) => new BudgetDisk(disk)),
      nvrams: this.#copy.nvrams.map((nvram) => new BudgetNvram(nvram)),
    };
  }

  #mountFirst(): Engine {
    const engine = mount(this.#devices(), { readOnly: this.#readOnly, seed: this.#seed });
    this.#inflict();
    engine.fs.core.cache.forgetClean();
    return engine;
  }

  #inflict(): void {
    this.#damage.inflict();
    const { diskCount } = this.#case.layout;
    const { devices } = this.#damage;
    this.#copy = {
      disks: devices.slice(0, diskCount) as Devices['disks'][number][],
      nvrams: devices.slice(diskCount) as Devices['nvrams'][number][],
    };
    this.#verdict = new Verdict(this.#case, this.#damage);
  }

  #damageFirst(): Engine | undefined {
    this.#inflict();
    const engine = this.#tryMount(this.#readOnly);
    if (engine !== undefined || this.#readOnly) return engine;
    this.#isRefused = true;
    // What is there can still be saved.
    const saved = this.#tryMount(true);
    if (saved !== undefined) {
      this.#readAll(saved);
      letGo(saved);
    }
    return undefined;
  }

  #tryMount(readOnly: boolean): Engine | undefined {
    try {
      return mount(this.#devices(), { readOnly, seed: this.#seed });
    } catch (error) {
      if (!isStorageError(error) && !isFsError(error)) throw error;
      this.#code(error.code);
      this.#isRefused ||= readOnly === this.#readOnly;
      if (!this.#verdict.mayRefuse(readOnly)) {
        this.#violate(`refused ${readOnly ? '(read-only)' : ''} ${error.stack}`);
      }
      if (error.code === 'DISK_TRUNCATED') this.#mountWithout();
      return undefined;
    }
  }

  /** The hint of DISK_TRUNCATED: without that disk. */
  #mountWithout(): void {
    const { truncated } = this.#damage;
    const { disks, nvrams } = this.#devices();
    const left = disks.filter((_, index) => !truncated.has(index));
    if (left.length === 0 || left.length === disks.length) return;
    try {
      const engine = mount({ disks: left, nvrams }, { readOnly: true, seed: this.#seed });
      this.#readAll(engine);
      letGo(engine);
    } catch (error) {
      if (!isStorageError(error) && !isFsError(error)) throw error;
      if (!this.#verdict.isAnyGone && !this.#verdict.isRootGone)
        this.#violate(`without the truncated disk: ${error.stack}`);
    }
  }

  // Reading.

  #live(engine: Engine): void {
    const found = this.#readAll(engine);
    this.#stoodIn =
      engine.warnings.length > 0 || this.#damage.hits.size + this.#damage.lost.size > 0;
    if (engine.warnings.length === 0 && engine.raid.stats.mismatches === 0) this.#stoodIn = false;
    if (this.#prng.chance(found.includes('error') ? 0.5 : 0.2)) this.#verify(engine, found);
    if (!this.#readOnly && !engine.raid.isReadOnly) {
      this.#readAgain(engine);
      if (this.#prng.chance(0.5)) return this.#write(engine, found);
    }
    letGo(engine);
  }

  /** Asks all probes that read something damaged, and some of the others. */
  #readAll(engine: Engine, before?: readonly Found[]): Found[] {
    const { probes } = this.#case.expectations;
    const given = probes.map((probe, index) => {
      const isAsked = this.#verdict.touches(index) || this.#prng.chance(SAMPLE);
      if (!isAsked) return undefined;
      if (before !== undefined && isChanged(probe)) return undefined;
      const { snapshot } = probe;
      if (snapshot !== undefined && !this.#hasSnapshot(engine, snapshot)) {
        return this.#verdict.isRootGone ? undefined : NO_ENTRY;
      }
      return askIn(engine, probe);
    });
    this.#repairedCount += engine.raid.stats.reconstructed;
    return this.#judge(engine, given, before);
  }

  #hasSnapshot(engine: Engine, name: string): boolean {
    try {
      return engine.fs.core.snapshots.byName(name) !== undefined;
    } catch (error) {
      if (!isFsError(error, 'EIO')) throw error;
      // As `ask` finds it.
      return true;
    }
  }

  /** Compares with the state, of those allowed, that fits. */
  #judge(
    engine: Engine,
    given: readonly (Given | undefined)[],
    before?: readonly Found[],
  ): Found[] {
    const { byState, byCommit } = this.#case.expectations;
    const isWarned = engine.warnings.some((warning) =>
      /^(LOG_DAMAGED|ENTRY_SKIPPED)/.test(warning),
    );
    const states = this.#verdict.statesAllowed(isWarned).map((state) => byState[state]);
    const allowed = states as (readonly Answer[])[];
    const isOld = this.#verdict.isRootGone && !this.#isMounted;
    if (isOld && (isWarned || this.#case.layout.flushes.length === 0)) allowed.push(...byCommit);
    if (isOld && this.#verdict.flushesLost.size > 0) allowed.push(...byCommit);
    const wrongs = allowed.map((answers) => this.#firstWrong(given, answers));
    if (!wrongs.includes(-1)) {
      const index = wrongs[0] as number;
      const answer = given[index] as Answer;
      const expected = (allowed[0] as readonly Answer[])[index] as Answer;
      this.#violate(
        `WRONG ${this.#nameOf(index)}: ${answer.text} (${answer.bytes.length} bytes), ` +
          `not ${expected.text} (${expected.bytes.length} bytes)`,
      );
    }
    // What the mount wrote was on the disk that died under it.
    const isUprooted =
      this.#isMounted && this.#case.base.setup.raid === 'none' && this.#damage.lost.size > 0;
    // The log was not applied to its end: blocks that it would have replaced are read.
    return given.map((one, index) =>
      this.#found(one, index, { mayFail: isOld || isUprooted || isWarned, before }),
    );
  }

  #found(
    one: Given | undefined,
    index: number,
    how: { mayFail: boolean; before?: readonly Found[] | undefined },
  ): Found {
    if (one === undefined) return 'not asked';
    if (isAnswer(one)) {
      this.#report.readsRight++;
      return 'right';
    }
    this.#hasError = true;
    this.#report.readsFailed++;
    this.#code(one.error);
    if (how.before?.[index] === 'right' && !this.#isMounted) {
      this.#violate(`${this.#nameOf(index)} could be read before: ${String(one.cause)}`);
    } else if (!this.#mayFail(index) && !how.mayFail) {
      this.#violate(`${this.#nameOf(index)} failed: ${(one.cause as Error).stack}`);
    }
    return 'error';
  }

  #mayFail(index: number): boolean {
    const { probes } = this.#case.expectations;
    const isOfSnapshot = probes[index]?.snapshot !== undefined;
    return this.#verdict.mayFail(index) || (isOfSnapshot && this.#verdict.isTableGone);
  }

  #nameOf(probe: number): string {
    const { snapshot, path, kind } = this.#case.expectations.probes[probe] as Probe;
    return `${snapshot === undefined ? '' : `@${snapshot}:`}${path} (${kind})`;
  }

  /** The first probe that gave what is not right; -1 if there is none. */
  #firstWrong(given: readonly (Given | undefined)[], answers: readonly Answer[]): number {
    return given.findIndex((one, index) => {
      return one !== undefined && isAnswer(one) && !isSame(one, answers[index] as Answer);
    });
  }

  /** What was repaired is right on the medium as well. */
  #readAgain(engine: Engine): void {
    if (this.#verdict.isLossy || this.#verdict.isRootGone || this.#hasError) return;
    // A disk that died meanwhile, or is old all over, stays in, and is repaired where it is read.
    if (this.#damage.lost.size > 0) return;
    const { stats } = engine.raid;
    engine.fs.core.cache.forgetClean();
    const before = stats.mismatches;
    this.#readAll(engine);
    if (stats.mismatches > before) this.#violate('repaired, and wrong again at the second reading');
  }

  #verify(engine: Engine, found: readonly Found[]): void {
    const { fs } = engine;
    try {
      const report = synchronously(() => runSync(verify(fs, {})));
      // What only the log refers to is not on the disks yet, and not verified.
      const isGone = this.#verdict.isAnyGone && found.includes('error');
      if (report.problemCount === 0 && isGone) {
        this.#violate('verify finds nothing, though reads fail');
      }
      const isClean = !this.#verdict.isAnyGone && !this.#verdict.isRootGone && !this.#hasError;
      if (report.problemCount > 0 && isClean) {
        this.#violate(`verify: ${report.problems[0]?.kind} ${report.problems[0]?.message}`);
      }
    } catch (error) {
      if (!isStorageError(error) && !isFsError(error)) throw error;
      this.#code(error.code);
      if (!this.#mayStop) this.#violate(`verify: ${error.stack}`);
    }
  }

  /** Whether the volume may refuse to write: what it must read for that is not there. */
  get #mayStop(): boolean {
    return this.#verdict.isAnyGone || this.#verdict.mayRefuse(false);
  }

  // Writing.

  #write(engine: Engine, found: readonly Found[]): void {
    const data = this.#prng.bytes(20_000);
    const isWritten = this.#tryWrite(engine, data);
    letGo(engine);
    const readOnly = this.#prng.chance(0.5);
    const again = this.#tryMount(readOnly);
    if (again === undefined) return;
    this.#readAll(again, found);
    if (isWritten) {
      const file = { snapshot: undefined, path: '/zz-after', kind: 'entry' } as const;
      const given = ask(operationsOf(again), file);
      if (!isAnswer(given)) {
        if (!this.#mayStop) this.#violate(`what was written: ${String(given.cause)}`);
      } else if (Buffer.compare(given.bytes, data) !== 0) {
        this.#violate('WRONG: what was written is not there');
      }
    }
    letGo(again);
  }

  #tryWrite(engine: Engine, data: Uint8Array): boolean {
    let isWritten = false;
    try {
      const fs = operationsOf(engine);
      const options = { read: false, write: true, create: true, truncate: true };
      done(() => fs.writeFile('/big/zz-after', data, options));
      done(() => fs.rename('/big/zz-after', '/zz-after'));
      isWritten = true;
      if (this.#prng.chance(0.6)) {
        synchronously(() => engine.fs.requestCp(true)?.driveSync());
        done(() => fs.setXattr({ path: '/zz-after' }, 'user.x', new Uint8Array(3)));
      }
    } catch (error) {
      if (!isStorageError(error) && !isFsError(error)) throw error;
      this.#code(error.code);
      this.#hasError = true;
      if (!this.#mayStop) this.#violate(`writing: ${error.stack}`);
    }
    return isWritten;
  }
}

/** What #tryWrite changes of the tree that the model knows. */
function isChanged({ snapshot, path }: Probe): boolean {
  return snapshot === undefined && (path === '/' || path === '/big');
}

/** A snapshot cannot even be looked for where their table is gone. */
function askIn(engine: Engine, probe: Probe): Given {
  try {
    return ask(operationsOf(engine, probe.snapshot), probe);
  } catch (error) {
    if (!isFsError(error, 'EIO')) throw error;
    return { error: error.code, cause: error };
  }
}

const NO_ENTRY: Answer = { text: 'ENOENT', bytes: new Uint8Array(0) };
