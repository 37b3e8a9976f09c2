// The main job, told in chapters. Each does something real to a volume and checks it against what
// is known from outside of it: the original tree on the host, and what a killed child had reported
// over a pipe. Whatever differs is a failure, and is named.

import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { formatCount, formatCounted, formatDuration, formatSize } from '../text.ts';
import type { TreeRoot } from '../transfer/compare.ts';
import { compareTrees } from '../transfer/compare.ts';
import { copyTrees } from '../transfer/copy.ts';
import { fsSide } from '../transfer/fs-side.ts';
import { hostSide } from '../transfer/host-side.ts';
import { errorCode } from '../transfer/side.ts';
import type { CliVolume, TreeFs, VolumeStats } from '../volume-face.ts';
import { ChangedFiles } from './changes.ts';
import type { Input, InputItem } from './input.ts';
import { writeAndKill } from './kill.ts';
import { holds, INBOX, inboxPath, payload } from './payload.ts';
import type { World } from './world.ts';

const DISKS = 6;
const SNAPSHOT = 'monday';
const TREE = '/tree';
const BLOCK_SIZE = 4096;
const SIZE_MIN = 1024 ** 3;
/** Files that the child has acknowledged when it is killed: somewhere between. */
const KILL_MIN = 300;
const KILL_MAX = 1500;
const DIFFERENCES_SHOWN = 5;

export class Story {
  readonly #world: World;
  readonly #input: Input;
  readonly #where: string;
  readonly #rows: [string, string][] = [];
  readonly #totals = { reconstructed: 0, poolJobs: 0 };
  #volume: CliVolume | undefined;

  constructor(world: World, input: Input) {
    this.#world = world;
    this.#input = input;
    this.#where = join(world.directory, 'tank');
  }

  /** Tells it all; the stage has the failures afterwards. */
  async tell(): Promise<void> {
    const { stage } = this.#world;
    const start = this.#world.now();
    this.#introduce();
    try {
      await this.#create();
      await this.#put();
      await this.#snapshot();
      const changes = await this.#change();
      await this.#kill(changes);
      const failed = await this.#failDisk();
      await this.#rollback();
      await this.#get();
      await this.#replace(failed);
      await this.#verify();
      this.#collect();
      await this.#threads();
    } finally {
      await this.#volume?.close();
      this.#volume = undefined;
    }
    this.#rows.push(
      ['blocks reconstructed', formatCount(this.#totals.reconstructed)],
      ['jobs of the pool', formatCount(this.#totals.poolJobs)],
      ['time in all', formatDuration(this.#world.now() - start)],
    );
    stage.table(this.#rows);
  }

  get #open(): CliVolume {
    if (this.#volume === undefined) throw new Error('the story has no volume open');
    return this.#volume;
  }

  /** Counters begin anew with each open. */
  #collect(): VolumeStats {
    const stats = this.#open.stats();
    this.#totals.reconstructed += stats.reconstructedBlockCount;
    this.#totals.poolJobs += stats.poolJobCount;
    return stats;
  }

  async #timed<T>(run: () => Promise<T>): Promise<[T, number]> {
    this.#world.signal.throwIfAborted();
    const start = this.#world.now();
    const result = await run();
    return [result, this.#world.now() - start];
  }

  #introduce(): void {
    const { stage } = this.#world;
    const { name, items, left, files, bytes } = this.#input;
    stage.title('waferfs: the main job');
    stage.note(`Input: ${name}, ${formatCounted(files, 'file')}, ${formatSize(bytes)}`);
    if (items.length > 1) stage.note(`  ${shortList(items.map((item) => item.as))}`);
    if (left.length > 0) stage.note(`  left out, being too large: ${shortList(left)}`);
    stage.note(`Everything happens in ${this.#world.directory}, which is removed at the end.`);
    this.#rows.push(['input', `${formatCounted(files, 'file')}, ${formatSize(bytes)}`]);
  }

  async #create(): Promise<void> {
    const { stage, engine } = this.#world;
    stage.chapter(
      'Six disks, one volume',
      'Each disk is a file. Parity covers the loss of any one of them; a log beside them makes ' +
        'each call durable before it is acknowledged.',
    );
    const sizeBytes = Math.max(
      SIZE_MIN,
      Math.ceil((4 * this.#input.bytes) / BLOCK_SIZE) * BLOCK_SIZE,
    );
    const [volume, ms] = await this.#timed(() =>
      engine.create(this.#where, { sizeBytes, disks: DISKS }),
    );
    this.#volume = volume;
    const { raid } = await volume.status();
    stage.fact(
      `${formatSize(sizeBytes)} on ${DISKS} disks, raid ${raid}, in ${formatDuration(ms)}`,
    );
  }

  async #put(): Promise<void> {
    const { stage, isRoot, signal } = this.#world;
    stage.chapter(
      'The tree goes in',
      'Many files are in flight at once, so that the log commits them in groups and the disks ' +
        'get whole stripes.',
    );
    const fs = this.#open.fs.promises;
    await fs.mkdir(TREE, { mode: 0o755 });
    const [result, ms] = await this.#timed(() =>
      copyTrees(hostSide(), this.#input.items, fsSide(fs), TREE, {
        owners: isRoot,
        signal,
        onProgress: ({ bytes }) => stage.progress('put', bytes, this.#input.bytes, 'bytes'),
      }),
    );
    const speed = formatSpeed(result.bytes, ms);
    stage.fact(
      `${formatCounted(result.files, 'file')} in ` +
        `${formatCounted(result.directories, 'directory')}, ${formatSize(result.bytes)} in ` +
        `${formatDuration(ms)}: ${speed}`,
    );
    if (result.skipped > 0) stage.note(`${result.skipped} special files are not carried`);
    for (const problem of result.problems) {
      if (!problem.isSkipped) stage.failure(`${problem.path}: ${problem.message}`);
    }
    this.#rows.push(['in', speed]);
  }

  async #snapshot(): Promise<void> {
    const { stage } = this.#world;
    stage.chapter(
      'A snapshot',
      'Nothing is copied: live blocks are never overwritten, so that keeping an image costs ' +
        'nothing but to remember its root.',
    );
    const [, first] = await this.#timed(() => this.#open.snapshots.create(SNAPSHOT));
    const [, second] = await this.#timed(() => this.#open.snapshots.create('monday-again'));
    stage.fact(`${formatDuration(first)} with what was dirty, ${formatDuration(second)} clean`);
    this.#rows.push(['snapshot', `${formatDuration(first)}; clean ${formatDuration(second)}`]);
  }

  async #change(): Promise<ChangedFiles> {
    const { stage, signal } = this.#world;
    stage.chapter('Life goes on', 'Files are changed, added and removed.');
    const changes = new ChangedFiles(this.#open.fs.promises, signal);
    const [done, ms] = await this.#timed(() => changes.make(TREE));
    stage.fact(
      `${formatCount(done.changed)} changed, ${formatCount(done.added)} added, ` +
        `${formatCount(done.removed)} removed in ${formatDuration(ms)}`,
    );
    const differing = await this.#compareOriginal(this.#open.at(SNAPSHOT).fs.promises);
    stage.check(differing === 0, `${SNAPSHOT} is still what it was`, `${SNAPSHOT} has changed`);
    return changes;
  }

  async #kill(changes: ChangedFiles): Promise<void> {
    const { stage, engine } = this.#world;
    const count = KILL_MIN + this.#world.random(KILL_MAX - KILL_MIN);
    stage.chapter(
      'kill -9 in the middle of writing',
      'Another process writes numbered files, sixteen at a time, and reports over a pipe each ' +
        'one that the volume has acknowledged. Then it is killed, and we look.',
    );
    this.#collect();
    await this.#open.close();
    this.#volume = undefined;
    const killed = await writeAndKill(this.#world, this.#where, count);
    this.#world.signal.throwIfAborted();
    if (killed.complaint !== undefined) stage.failure(`the child failed: ${killed.complaint}`);
    stage.note(`killed after it had reported ${formatCounted(killed.acknowledged.length, 'file')}`);
    const [volume, ms] = await this.#timed(() => engine.open(this.#where, {}));
    this.#volume = volume;
    const { replayedRecordCount } = volume.stats();
    stage.fact(
      `open again in ${formatDuration(ms)}, the log brought back ` +
        formatCounted(replayedRecordCount, 'record'),
    );
    this.#rows.push(['records replayed', formatCount(replayedRecordCount)]);
    await this.#checkInbox(volume.fs.promises, killed.acknowledged);
    const wrong = await changes.check(volume.fs.promises);
    stage.check(
      wrong.length === 0,
      'every change from before is there',
      `changes lost: ${shortList(wrong)}`,
    );
  }

  /** What was acknowledged is there and equal; what was not is whole or not there. */
  async #checkInbox(fs: TreeFs, acknowledged: readonly number[]): Promise<void> {
    const { stage } = this.#world;
    const there = await numbersIn(fs, INBOX);
    const lost = acknowledged.filter((number) => !there.has(number));
    const wrong: number[] = [];
    for (const number of there) {
      if (!(await holds(fs, inboxPath(number), payload(number)))) wrong.push(number);
    }
    const isWell = lost.length === 0 && wrong.length === 0;
    stage.check(
      isWell,
      `all ${formatCounted(acknowledged.length, 'acknowledged file')} are there and equal` +
        extra(there.size - acknowledged.length),
      `lost: ${shortList(lost.map(String))}; not equal: ${shortList(wrong.map(String))}`,
    );
  }

  /** Gives the disk's name. */
  async #failDisk(): Promise<string> {
    const { stage } = this.#world;
    const disks = (await this.#open.disks.list()).filter((disk) => disk.role === 'data');
    const disk = disks[this.#world.random(disks.length)];
    if (disk === undefined) throw new Error('the volume has no data disks');
    stage.chapter(
      `${disk.name} fails`,
      'Every block that was on it is computed from the others, and is right only if its checksum ' +
        'says so.',
    );
    await this.#open.disks.fail(disk.name);
    const before = this.#open.stats().reconstructedBlockCount;
    const [differing, ms] = await this.#timed(() =>
      this.#compareOriginal(this.#open.at(SNAPSHOT).fs.promises),
    );
    const blocks = this.#open.stats().reconstructedBlockCount - before;
    stage.check(
      differing === 0,
      `all ${formatSize(this.#input.bytes)} of ${SNAPSHOT} read back and equal in ` +
        `${formatDuration(ms)}, ${formatCounted(blocks, 'block')} reconstructed`,
      `${SNAPSHOT} differs from the original in ${formatCount(differing)} places`,
    );
    const { state } = await this.#open.status();
    stage.check(state === 'degraded', 'the volume knows: degraded', `its state is ${state}`);
    this.#rows.push(['read, a disk missing', formatSpeed(this.#input.bytes, ms)]);
    return disk.name;
  }

  async #replace(failed: string): Promise<void> {
    const { stage, signal } = this.#world;
    stage.chapter(
      'A new disk in its place',
      'An empty file takes the place of the failed one, and gets what belongs there, computed ' +
        'from the other disks.',
    );
    const [{ rebuiltBlockCount }, ms] = await this.#timed(() =>
      this.#open.disks.replace(failed, {
        signal,
        onProgress: (done, total) => stage.progress('rebuild', done, total, 'blocks'),
      }),
    );
    const speed = formatSpeed(rebuiltBlockCount * BLOCK_SIZE, ms);
    stage.fact(
      `${formatCounted(rebuiltBlockCount, 'block')} rebuilt in ${formatDuration(ms)}: ${speed}`,
    );
    const { state } = await this.#open.status();
    stage.check(state === 'healthy', 'the volume is healthy again', `its state is ${state}`);
    this.#rows.push(['rebuild', speed]);
  }

  async #rollback(): Promise<void> {
    const { stage } = this.#world;
    stage.chapter(
      `Back to ${SNAPSHOT}`,
      'One consistency point, whatever has happened since. The other snapshots stay.',
    );
    const [, ms] = await this.#timed(() => this.#open.rollback(SNAPSHOT));
    stage.fact(`rolled back in ${formatDuration(ms)}`);
    const entries = await this.#open.fs.promises.readdir('/', { withFileTypes: true });
    const others = entries.map(({ name }) => name).filter((name) => `/${name}` !== TREE);
    stage.check(
      others.length === 0,
      'what came later is gone',
      `there should be no ${shortList(others)}`,
    );
    this.#rows.push(['rollback', formatDuration(ms)]);
  }

  async #get(): Promise<void> {
    const { stage, isRoot, signal } = this.#world;
    stage.chapter(
      'The tree comes out',
      'From the degraded volume to the host, and compared with the original there: names, kinds, ' +
        'modes, links, sizes, contents, times.',
    );
    const out = join(this.#world.directory, 'out');
    mkdirSync(out);
    const inside = this.#input.items.map(({ as }) => ({ path: `${TREE}/${as}`, as }));
    const [result, ms] = await this.#timed(() =>
      copyTrees(fsSide(this.#open.fs.promises), inside, hostSide(), out, {
        owners: isRoot,
        signal,
        onProgress: ({ bytes }) => stage.progress('get', bytes, this.#input.bytes, 'bytes'),
      }),
    );
    for (const problem of result.problems) {
      if (!problem.isSkipped) stage.failure(`${problem.path}: ${problem.message}`);
    }
    const speed = formatSpeed(result.bytes, ms);
    stage.fact(`${formatCounted(result.files, 'file')} out in ${formatDuration(ms)}: ${speed}`);
    const side = hostSide();
    const differing = await this.#compareItems((item) => ({ side, path: join(out, item.as) }));
    stage.check(
      differing === 0,
      'equal to the original in everything',
      `differs from the original in ${formatCount(differing)} places`,
    );
    this.#rows.push(['out, a disk missing', speed]);
  }

  async #verify(): Promise<void> {
    const { stage, signal } = this.#world;
    stage.chapter('Verify', 'Every structure and every block, from the root down.');
    const [report, ms] = await this.#timed(() =>
      this.#open.verify({
        signal,
        onProgress: (done, total) => stage.progress('verify', done, total, 'blocks'),
      }),
    );
    const checked =
      `${formatCounted(report.blockCount, 'block')}, ` +
      `${formatCounted(report.inodeCount, 'inode')}, ` +
      `${formatCounted(report.snapshotCount, 'snapshot')} in ${formatDuration(ms)}`;
    stage.check(
      report.problemCount === 0,
      `no problems in ${checked}`,
      `${formatCounted(report.problemCount, 'problem')} in ${checked}: ` +
        shortList(report.problems.map((problem) => problem.message)),
    );
    this.#rows.push(['verify', report.problemCount === 0 ? 'no problems' : 'PROBLEMS']);
  }

  async #threads(): Promise<void> {
    const { stage } = this.#world;
    stage.chapter(
      'Threads',
      'At this size the work on planes is over before a thread could be told of it. So here are ' +
        'the same kernels at the size of 1 TiB, on one thread and on all.',
    );
    const { threads, figures } = await this.#world.measureThreads();
    for (const { what, oneThreadMs, poolMs, jobs, isEqual } of figures) {
      const times =
        `on one thread ${formatDuration(oneThreadMs)}, on ${threads} ${formatDuration(poolMs)} ` +
        `(${formatCounted(jobs, 'job')} of the pool)`;
      stage.check(isEqual, `${what}: ${times}`, `${what}: not the same on several threads`);
      this.#totals.poolJobs += jobs;
    }
  }

  /** Compares an image with the original; returns the number of differences. */
  async #compareOriginal(fs: TreeFs): Promise<number> {
    const side = fsSide(fs);
    return this.#compareItems((item) => ({ side, path: `${TREE}/${item.as}` }));
  }

  async #compareItems(copyOf: (item: InputItem) => TreeRoot): Promise<number> {
    const { stage, isRoot, signal } = this.#world;
    const host = hostSide();
    let bytesBefore = 0;
    let count = 0;
    for (const item of this.#input.items) {
      const copy = copyOf(item);
      const result = await compareTrees({ side: host, path: item.path }, copy, {
        owners: isRoot,
        signal,
        carriedOnly: true,
        onProgress: ({ bytes }) =>
          stage.progress('compared', bytesBefore + bytes, this.#input.bytes, 'bytes'),
      });
      bytesBefore += item.bytes;
      count += result.differenceCount;
      for (const { path, what, a, b } of result.differences.slice(0, DIFFERENCES_SHOWN)) {
        stage.failure(`${item.as}/${path}: ${what} is ${b}, was ${a}`);
      }
    }
    return count;
  }
}

/** Numbers that are names in a directory; none where there is no directory. */
async function numbersIn(fs: TreeFs, path: string): Promise<Set<number>> {
  try {
    const entries = await fs.readdir(path, { withFileTypes: true });
    return new Set(entries.map((entry) => Number(entry.name)));
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return new Set();
    throw error;
  }
}

function formatSpeed(bytes: number, ms: number): string {
  return `${(bytes / 1e6 / Math.max(ms / 1000, 0.001)).toFixed(0)} MB/s`;
}

/** Files that were written and not reported before the kill: they may be there. */
function extra(count: number): string {
  return count === 0 ? '' : `, and ${formatCount(count)} more that it could not report any more`;
}

function shortList(names: readonly string[]): string {
  const shown = names.slice(0, 8).join(', ');
  return names.length > 8 ? `${shown} … (${formatCount(names.length)} in all)` : shown || 'none';
}
