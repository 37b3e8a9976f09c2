// The torture: rounds of a child that writes and is killed, and a parent that opens what is left.
//
// A volume lives for ROUNDS_A_VOLUME rounds, one file (`none`) and a directory of four disks
// (`raid4`) in turn; half of the raid4 volumes lose a disk file on the way. In each round the child
// gets a random share of requests acknowledged, or none, and dies at a random moment after; some
// live to close the volume. The oracle stands in this process alone: it counts what came through
// the pipe.
//
// Then the parent opens the volume, for writing or (half of the time, so that a child too has to
// replay) read-only. Each writer's names must be as after its acknowledged requests, or as after
// one more, the one that was open. A random snapshot is read through, and verify() finds nothing.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { below, chance, pick, SeededPrng } from '../../host/base/prng.ts';
import { Volume } from '../../host/node.ts';
import { differenceOf, type Listing, listAll, snapshotDifference } from './compare.ts';
import { CLOSED, OPENED, type Order, seedOf } from './order.ts';
import { type Step, Tree } from './tree.ts';

const ROUNDS_A_VOLUME = 40;
const WRITERS = 8;
const STEPS_MAX = 60;
/** A child that does nothing for so long hangs: a failure. */
const SILENCE_MS_MAX = 60_000;
const childPath = fileURLToPath(new URL('./child.js', import.meta.url));

export interface TortureOptions {
  readonly rounds: number;
  readonly seed: number;
  /** Everything is made in here. */
  readonly directory: string;
  readonly onRound?: (figures: TortureFigures) => void;
  /** Default ROUNDS_A_VOLUME. */
  readonly roundsAVolume?: number;
}

export interface TortureFigures {
  rounds: number;
  acknowledged: number;
  /** Open requests at a kill that were found done, and those that were not. */
  openDone: number;
  openUndone: number;
  /** Records that the parent's mounts replayed. */
  replayed: number;
  killedAtMount: number;
  closed: number;
  snapshotsRead: number;
}

/** @throws Error that names the round and seed of what went wrong. */
export async function torture(options: TortureOptions): Promise<TortureFigures> {
  const figures: TortureFigures = {
    rounds: 0,
    acknowledged: 0,
    openDone: 0,
    openUndone: 0,
    replayed: 0,
    killedAtMount: 0,
    closed: 0,
    snapshotsRead: 0,
  };
  const { rounds, seed, roundsAVolume = ROUNDS_A_VOLUME } = options;
  for (let life = 0; figures.rounds < rounds; life++) {
    const volume = new Victim(options, life, figures);
    await volume.create();
    for (let round = 0; round < roundsAVolume && figures.rounds < rounds; round++) {
      try {
        await volume.round(round);
      } catch (error) {
        const where = `seed ${seed}, volume ${life} (${volume.raid}), its round ${round}`;
        throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
      }
      figures.rounds++;
      options.onRound?.(figures);
    }
    volume.remove();
  }
  return figures;
}

/** One volume and what is known of it. */
class Victim {
  readonly raid: 'none' | 'raid4';
  readonly #prng: SeededPrng;
  readonly #directory: string;
  readonly #where: string;
  readonly #cacheSize: string;
  readonly #figures: TortureFigures;
  #trees = Array.from({ length: WRITERS }, (_, writer) => new Tree(writer));
  #loseDiskAt: number;

  constructor(options: TortureOptions, life: number, figures: TortureFigures) {
    const { seed, roundsAVolume = ROUNDS_A_VOLUME } = options;
    this.#prng = new SeededPrng(seedOf(seed, life));
    this.raid = life % 2 === 0 ? 'none' : 'raid4';
    this.#directory = mkdtempSync(join(options.directory, 'life-'));
    this.#where = join(this.#directory, this.raid === 'none' ? 'app.wafer' : 'tank');
    this.#cacheSize = pick(this.#prng, ['8MiB', '16MiB']);
    this.#figures = figures;
    const isLossy = this.raid === 'raid4' && chance(this.#prng, 0.5);
    this.#loseDiskAt = isLossy ? 1 + below(this.#prng, roundsAVolume / 2) : -1;
  }

  async create(): Promise<void> {
    const volume = await Volume.create(this.#where, {
      size: '96MiB',
      logSize: '6MiB',
      cacheSize: this.#cacheSize,
      raid: this.raid,
      disks: this.raid === 'none' ? 1 : 4,
    });
    const fs = volume.fs.promises;
    await fs.mkdir('/shared');
    for (const tree of this.#trees) await fs.mkdir(tree.home);
    await volume.close();
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }

  async round(round: number): Promise<void> {
    if (round === this.#loseDiskAt) this.#loseDisk();
    const seed = this.#prng.u32();
    const acks = await this.#letItWrite(seed);
    const open = this.#advance(seed, acks);
    const isReadOnly = chance(this.#prng, 0.5);
    const volume = await Volume.open(this.#where, {
      cacheSize: this.#cacheSize,
      readOnly: isReadOnly,
    });
    try {
      this.#figures.replayed += volume.stats().replayedRecordCount;
      await this.#compare(volume, open);
      const report = await volume.verify();
      if (report.problemCount > 0) {
        const problems = report.problems
          .slice(0, 5)
          .map(({ kind, message }) => `${kind}: ${message}`);
        throw new Error(
          `verify found ${report.problemCount} problems:\n  ${problems.join('\n  ')}`,
        );
      }
    } finally {
      await volume.close();
    }
  }

  #loseDisk(): void {
    const disks = readdirSync(this.#where).filter((name) => name.startsWith('disk-'));
    rmSync(join(this.#where, pick(this.#prng, disks)));
  }

  /** Runs a child until it is killed, or has ended in order; acknowledged requests by writer. */
  async #letItWrite(seed: number): Promise<number[]> {
    const acks = new Array<number>(WRITERS).fill(0);
    const isAtMount = chance(this.#prng, 0.1);
    const killAfter = below(this.#prng, WRITERS * STEPS_MAX * 1.05);
    const delayMs = isAtMount ? 40 + below(this.#prng, 200) : below(this.#prng, 6);
    const child = spawn(process.execPath, [childPath], { stdio: ['pipe', 'pipe', 'pipe'] });
    const exited = once(child, 'close');
    let total = 0;
    let isOpen = false;
    let isClosed = false;
    let isKilling = false;
    let complaint = '';
    const killLater = () => {
      isKilling = true;
      setTimeout(() => child.kill('SIGKILL'), delayMs);
    };
    const stop = hangWatch(child, () => {
      complaint = `the child was silent for ${SILENCE_MS_MAX} ms`;
    });
    child.stderr.on('data', (data: Buffer) => {
      complaint += data.toString();
    });
    child.stdout.on('data', (data: Buffer) => {
      stop.alive();
      for (const byte of data) {
        if (byte === OPENED) isOpen = true;
        else if (byte === CLOSED) isClosed = true;
        else {
          acks[byte] = (acks[byte] as number) + 1;
          total++;
        }
      }
      if (!isKilling && isOpen && total >= killAfter) killLater();
    });
    const order: Order = {
      where: this.#where,
      cacheSize: this.#cacheSize,
      seed,
      stepsMax: STEPS_MAX,
      trees: this.#trees.map((tree) => tree.summary()),
    };
    child.stdin.on('error', () => {});
    child.stdin.end(JSON.stringify(order));
    if (isAtMount) killLater();
    const [exitCode] = (await exited) as [number | null];
    stop.end();
    if (complaint !== '' || (exitCode !== null && exitCode !== 0)) {
      throw new Error(`the child failed (exit code ${exitCode}): ${complaint}`);
    }
    if (isClosed && total !== WRITERS * STEPS_MAX) throw new Error('the child left requests out');
    this.#figures.acknowledged += total;
    if (!isOpen) this.#figures.killedAtMount++;
    if (isClosed) this.#figures.closed++;
    return acks;
  }

  /** Takes the trees to what was acknowledged; the request of each writer that was open then. */
  #advance(seed: number, acks: readonly number[]): Step[] {
    return this.#trees.map((tree, writer) => {
      const prng = new SeededPrng(seedOf(seed, writer));
      for (let count = 0; count < (acks[writer] as number); count++) {
        tree.apply(tree.next(prng), true);
      }
      return tree.next(prng);
    });
  }

  async #compare(volume: Volume, open: readonly Step[]): Promise<void> {
    const listing = await listAll(volume.fs.promises);
    const names = (await volume.snapshots.list()).map(({ name }) => name);
    this.#trees = this.#trees.map((tree, writer) => {
      const step = open[writer] as Step;
      const without = treeDifference(tree, listing, names);
      if (without === undefined) {
        this.#figures.openUndone++;
        return tree;
      }
      const more = tree.clone();
      more.apply(step, true);
      const difference = treeDifference(more, listing, names);
      if (difference !== undefined) {
        const request = JSON.stringify(step);
        throw new Error(
          `writer ${writer}: ${without}; and with the open request ${request}: ${difference}`,
        );
      }
      this.#figures.openDone++;
      return more;
    });
    await this.#compareSnapshot(volume);
  }

  async #compareSnapshot(volume: Volume): Promise<void> {
    const all = this.#trees.flatMap((tree) => [...tree.snapshots]);
    if (all.length === 0) return;
    const [name, tree] = pick(this.#prng, all) as [string, Tree];
    const difference = differenceOf(tree, await listAll(volume.at(name).fs.promises));
    if (difference !== undefined) throw new Error(`snapshot ${name}: ${difference}`);
    this.#figures.snapshotsRead++;
  }
}

function treeDifference(
  tree: Tree,
  listing: Listing,
  snapshots: readonly string[],
): string | undefined {
  return differenceOf(tree, listing) ?? snapshotDifference(tree, snapshots);
}

/** Kills a child that says nothing for too long. */
function hangWatch(child: ChildProcess, onHang: () => void): { alive(): void; end(): void } {
  const start = () =>
    setTimeout(() => {
      onHang();
      child.kill('SIGKILL');
    }, SILENCE_MS_MAX);
  let timer = start();
  return {
    alive: () => {
      clearTimeout(timer);
      timer = start();
    },
    end: () => clearTimeout(timer),
  };
}

/** A directory for a run, beside others. */
export function scratchDirectory(parent: string): string {
  mkdirSync(parent, { recursive: true });
  return mkdtempSync(join(parent, 'waferfs-torture-'));
}
