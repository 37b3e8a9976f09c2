// Checks many lives of a log against a model: random appends, commits (sync and async), CPs,
// copies that fail or are away, and a crash at a random moment of the writes under way, tearing
// at any byte. It matters because the promise is about histories: what was answered is there
// after any crash, what is there was appended, in order, and nothing of an older generation ever
// comes back.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { LOG_HALVES_OFFSET } from '../../assembly/layout/log.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import type { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { NvLog } from '../../host/nvlog/nv-log.ts';
import type { LogScanRoot } from '../../host/nvlog/scan.ts';
import { logRootOf, newMemory, newNvram, openLog, rootOf, UUID } from './world.ts';

const HALF_BLOCKS = 12;
const SIZE = LOG_HALVES_OFFSET + 2 * HALF_BLOCKS * BLOCK_SIZE;
const memory = newMemory(8192);
const test = suite('log model');

/** Completions wait in here until they are run, in random order. */
class Pending {
  readonly prng: SeededPrng;
  #queue: (() => void)[] = [];
  readonly schedule = (complete: () => void): void => {
    this.#queue.push(complete);
  };

  constructor(prng: SeededPrng) {
    this.prng = prng;
  }

  async step(): Promise<void> {
    const [complete] = this.#queue.splice(this.prng.below(this.#queue.length || 1), 1);
    complete?.();
    await microtasks();
  }

  async drain(): Promise<void> {
    while (this.#queue.length > 0) await this.step();
  }
}

/** As many as the longest chain from a completion to the next write takes. */
async function microtasks(): Promise<void> {
  for (let index = 0; index < 12; index++) await undefined;
}

/** One history: lives of a log, and what is known of it. */
class History {
  readonly prng: SeededPrng;
  readonly counts = { lives: 0, recovered: 0, crashes: 0, cps: 0, flushes: 0, syncs: 0 };
  /** Bodies by sequence number: all that was appended in the history that counts. */
  #bodies = new Map<number, Uint8Array>();
  #root: LogScanRoot = rootOf(0, 0);
  #answered = 0;
  #pending: Pending;
  #nvrams: MemoryNvram[];
  /** Copies that miss nothing of what was answered. */
  #current: Set<number>;

  constructor(seed: number) {
    this.prng = new SeededPrng(seed);
    this.#pending = new Pending(this.prng);
    const count = 1 + this.prng.below(3);
    this.#nvrams = Array.from({ length: count }, () => newNvram(SIZE));
    runSync(NvLog.format(this.#nvrams, memory, { volumeUuid: UUID }));
    this.#current = new Set(this.#nvrams.keys());
  }

  async life(): Promise<void> {
    this.counts.lives++;
    const given = this.#choose();
    const log = openLog(given, memory, { onCopyFailed: (copy) => this.#current.delete(copy) });
    const scan = runSync(log.scan(this.#root));
    this.#check(scan.damage, scan.records);
    // A crash before the first root: the next life finds the same.
    if (this.prng.chance(0.2)) return;
    this.#current = new Set([...given.keys()].filter((copy) => given[copy] !== undefined));
    this.#commitRoot(log, log.lastSequence);
    await this.#work(log);
    this.counts.flushes += log.stats.flushCount;
    this.#crash();
  }

  /** The copies for this life: some may be away, but not all that are current. */
  #choose(): (MemoryNvram | undefined)[] {
    const sure = this.prng.pick([...this.#current]);
    return this.#nvrams.map((nvram, copy) =>
      copy === sure || this.prng.chance(0.8) ? nvram : undefined,
    );
  }

  #check(damage: unknown, records: readonly { sequence: number; body: Uint8Array }[]): void {
    assert.is(damage, undefined, `damage ${JSON.stringify(damage)}`);
    let last = this.#root.lastSequence;
    for (const { sequence, body } of records) {
      assert.is(sequence, ++last, 'in order, without a gap');
      assert.equal(body, this.#bodies.get(sequence), 'what was appended');
    }
    assert.ok(last >= this.#answered, `answered ${this.#answered}, found ${last}`);
    this.counts.recovered += records.length;
  }

  #commitRoot(log: NvLog, logSequence: number): void {
    const { cpNumber } = this.#root;
    this.#root = rootOf(cpNumber + 1, logSequence);
    log.rootCommitted(logRootOf(cpNumber + 1, logSequence));
    this.#answered = Math.max(this.#answered, logSequence);
    this.counts.cps++;
  }

  async #work(log: NvLog): Promise<void> {
    const { prng } = this;
    let frozen: number | undefined;
    for (let step = prng.below(120); step > 0; step--) {
      const action = prng.below(100);
      if (action < 45) this.#append(log);
      else if (action < 50) this.#sync(log);
      else if (action < 56 && frozen === undefined && log.canSwitch) {
        frozen = log.switchHalf().logSequence;
      } else if (action < 62 && frozen !== undefined) {
        this.#commitRoot(log, frozen);
        frozen = undefined;
      } else if (action < 63 && frozen === undefined && !log.canSwitch) {
        this.#commitRoot(log, log.lastSequence);
      } else if (action < 64 && this.#current.size > 1) {
        const copy = prng.pick([...this.#current]);
        const nth = 1 + prng.below(3);
        this.#nvrams[copy]?.inject({ operation: 'write', action: 'fail', nth, times: 1e9 });
        // Whether it fails in this life or not, it is not counted on.
        this.#current.delete(copy);
      } else await this.#pending.step();
    }
    if (prng.chance(0.3)) await this.#pending.drain();
  }

  #append(log: NvLog): void {
    const sizeBytes = this.prng.below(this.prng.chance(0.1) ? 6000 : 300);
    if (!log.reserve(sizeBytes)) return;
    const body = this.prng.bytes(sizeBytes);
    const sequence = log.append(1, [body], sizeBytes);
    this.#bodies.set(sequence, body);
    if (this.prng.chance(0.3)) return;
    void Promise.resolve(log.commit(sequence).start()).then(
      () => {
        this.#answered = Math.max(this.#answered, sequence);
      },
      () => {},
    );
  }

  #sync(log: NvLog): void {
    this.counts.syncs++;
    log.flush().startSync();
    this.#answered = Math.max(this.#answered, log.lastSequence);
  }

  /** Power off: every device keeps, loses or tears what was not flushed. */
  #crash(): void {
    this.counts.crashes++;
    this.#pending = new Pending(this.prng);
    const options = { schedule: this.#pending.schedule, hasGarbage: true };
    this.#nvrams = this.#nvrams.map((nvram) => nvram.crash(this.prng, options));
  }
}

test('many lives', async () => {
  const base = Number(process.env['SEED'] ?? 1);
  const historyCount = Number(process.env['HISTORIES'] ?? 150);
  const totals: Record<string, number> = {};
  for (let seed = base; seed < base + historyCount; seed++) {
    const history = new History(seed);
    try {
      for (let life = 0; life < 12; life++) await history.life();
    } catch (error) {
      console.log(`\nfailed with SEED=${seed} HISTORIES=1`);
      throw error;
    }
    for (const [name, count] of Object.entries(history.counts)) {
      totals[name] = (totals[name] ?? 0) + count;
    }
  }
  console.log(`\nseeds ${base}..${base + historyCount - 1}: ${JSON.stringify(totals)}`);
  assert.ok((totals['recovered'] as number) > historyCount, 'records came back');
});

test.run();
