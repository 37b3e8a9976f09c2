// A consistency point writes most data before its freeze: the freeze, in which every other call
// waits, does not grow with the data, and whatever happens meanwhile (changes of the same blocks,
// removals, a crash) nothing is lost, leaked or old. Where it failed, either writers would stall
// for as long as the cache is large, or a file would have yesterday's block in it.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { below, fillRandom, SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import type { OpenFile, OpenOptions } from '../../host/filesystem/operations.ts';
import { verify } from '../../host/filesystem/verify/verify.ts';
import { sameBytes, World } from './small-world.ts';

const CREATE: OpenOptions = { read: true, write: true, create: true };
const FILE_BLOCKS = 401;
const FILES = 3;
const ARENA = 32 << 20;

const test = suite('place ahead');

/** Files of which the test knows what is in them, written block by block: through the log. */
class Files {
  readonly world: World;
  readonly expected: Uint8Array[] = [];
  readonly #prng: SeededPrng;
  #open: OpenFile[] = [];

  constructor(world: World, seed: number) {
    this.world = world;
    this.#prng = new SeededPrng(seed);
    for (let file = 0; file < FILES; file++) {
      this.expected.push(new Uint8Array(FILE_BLOCKS * BLOCK_SIZE));
    }
    this.open();
  }

  open(): void {
    const { operations } = this.world;
    this.#open = this.expected.map((_, file) => operations.open(`/f${file}`, CREATE).driveSync());
  }

  /** One block; not waited for. */
  write(file = below(this.#prng, FILES), block = below(this.#prng, FILE_BLOCKS)): void {
    const bytes = fillRandom(this.#prng, new Uint8Array(BLOCK_SIZE));
    const at = block * BLOCK_SIZE;
    this.world.operations.write(this.#open[file] as OpenFile, bytes, at).driveSync();
    this.expected[file]?.set(bytes, at);
  }

  /** Every block, not in their order on disk. */
  writeAll(): void {
    for (let block = FILE_BLOCKS - 1; block >= 0; block--) {
      for (let file = 0; file < FILES; file++) this.write(file, block);
    }
  }

  check(when: string): void {
    const { operations } = this.world;
    for (const [file, expected] of this.expected.entries()) {
      const actual = operations.readFile({ path: `/f${file}` }).driveSync();
      sameBytes(actual, expected, `${when}: /f${file}`);
    }
    const { problems } = runSync(verify(this.world.fs, {}));
    assert.equal(problems, [], when);
  }
}

/** Blocks of each write to the volume from now on; null for a root. A write says of no block in its
 *  stripes that it lives, and of those written before that they do. */
function watch(world: World): (number | null)[] {
  const seen: (number | null)[] = [];
  let before: number | undefined;
  const { volume } = world;
  const write = volume.write.bind(volume);
  const writeRoot = volume.writeRoot.bind(volume);
  volume.write = (writes, liveness) => {
    seen.push(writes.length);
    for (const { vbn } of writes) assert.not(liveness.isLive(vbn, 1), `block ${vbn} is written`);
    if (before !== undefined) assert.ok(liveness.isLive(before, 1), `block ${before} lives`);
    before = writes[0]?.vbn;
    return write(writes, liveness);
  };
  volume.writeRoot = (state, time) => {
    seen.push(null);
    return writeRoot(state, time);
  };
  return seen;
}

for (const columns of [1, 5]) {
  test(`the freeze is left with little, ${columns} columns`, async () => {
    const world = new World({ columns, isAsync: true, hasLog: true, arenaBytes: ARENA });
    const files = new Files(world, 1);
    files.writeAll();
    const { dirtyCount } = world.core.cache;
    assert.ok(dirtyCount > 2 * (world.core.dirtyMax / 8), 'enough is dirty');
    const seen = watch(world);
    await world.fs.requestCp()?.promise();
    assert.is(seen.at(-1), null);
    assert.is(seen.filter((blocks) => blocks === null).length, 1);
    const frozen = seen.at(-2) as number;
    assert.ok(frozen < 100, `the freeze wrote ${frozen} of ${dirtyCount}`);
    // All but the last slice fill whole stripes.
    const ahead = seen.slice(0, -2) as number[];
    assert.ok(ahead.length > 1);
    assert.ok(
      ahead.every((blocks) => blocks % columns === 0),
      ahead.join(),
    );
    world.remount();
    files.check('mounted again');
  });
}

test('a sync call that drives the CP gets the same', () => {
  const world = new World({ columns: 3, isAsync: true, hasLog: true, arenaBytes: ARENA });
  const files = new Files(world, 2);
  files.writeAll();
  world.fs.requestCp();
  world.cp();
  assert.is(world.core.cache.dirtyCount, 0);
  world.remount();
  files.check('mounted again');
});

test('blocks that change, files that go, and a crash, at any time of it', async () => {
  const seed = Number(process.env['SEED'] ?? 3);
  for (let turns = 0; turns < 48; turns += 3) {
    const world = new World({ columns: 4, isAsync: true, hasLog: true, arenaBytes: ARENA });
    const files = new Files(world, seed + turns);
    const { operations } = world;
    files.writeAll();
    world.cp();
    files.writeAll();
    operations.writeFile('/gone', files.expected[0] as Uint8Array, CREATE).driveSync();
    const cp = world.fs.requestCp();
    for (let turn = 0; turn < turns; turn++) {
      await Promise.resolve();
      if (turn % 2 === 0) files.write();
      if (turn === 9) operations.unlink('/gone').driveSync();
    }
    const when = `seed ${seed}, ${turns} turns`;
    world.crash();
    files.open();
    files.check(`${when}, after the crash`);
    await cp?.promise();
    world.settle();
    files.check(`${when}, settled`);
    assert.equal(world.accounts().problems ?? [], [], when);
  }
});

test.run();
