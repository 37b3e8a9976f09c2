// Directories against a naive model: what goes in is found, listed once and goes out again, and
// LOAD names every block that MODIFY uses. A wrong split or a missed block would lose files or stop
// the volume.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  DIRECTORY_FREE_COUNT_OFFSET,
  DIRECTORY_KIND_DIRECTORY,
  DIRECTORY_KIND_FILE,
  DIRECTORY_KIND_SYMLINK,
  DIRECTORY_LEVEL_OFFSET,
} from '../../assembly/layout/directory.ts';
import type { DirectoryCursor } from '../../host/filesystem/directory.ts';
import {
  DIRECTORY_INSERT_BLOCKS_MAX,
  DIRECTORY_INSERT_CREATES_MAX,
  DIRECTORY_REMOVE_BLOCKS_MAX,
  DIRECTORY_REPLACE_BLOCKS_MAX,
  DIRECTORY_START,
  entryCount,
  insert,
  isEmpty,
  leavesAhead,
  lookup,
  readEntries,
  replace,
} from '../../host/filesystem/directory.ts';
import { checkDirectory, DirectoryCheck } from '../../host/filesystem/directory-check.ts';
import { hashName, nameHash } from '../../host/filesystem/directory-hash.ts';
import { bytes, FakeBlocks, Missing, randomFrom, SEED } from './directory-fake.ts';

const KINDS = [DIRECTORY_KIND_FILE, DIRECTORY_KIND_DIRECTORY, DIRECTORY_KIND_SYMLINK] as const;
const decoder = new TextDecoder();

function listAll(blocks: FakeBlocks, countMax: number): Map<string, { ino: number; kind: number }> {
  const all = new Map<string, { ino: number; kind: number }>();
  let cursor: DirectoryCursor | undefined = DIRECTORY_START;
  while (cursor !== undefined) {
    const from: DirectoryCursor = cursor;
    const page = blocks.load(() => readEntries(blocks, from, countMax));
    for (const { name, ino, kind } of page.entries) {
      assert.not(all.has(decoder.decode(name)), 'given out once');
      all.set(decoder.decode(name), { ino, kind });
    }
    cursor = page.next;
  }
  return all;
}

function levelOfRoot(blocks: FakeBlocks): number {
  return blocks.u8[(blocks.at[0] as number) + DIRECTORY_LEVEL_OFFSET] as number;
}

function freeCount(blocks: FakeBlocks): number {
  return blocks.view.getUint32((blocks.at[0] as number) + DIRECTORY_FREE_COUNT_OFFSET, true);
}

const hashes = suite('name hash');

hashes('equals the published vectors of HalfSipHash-2-4-64', () => {
  const input = new Uint8Array(16).map((_, index) => index);
  const vectors = [
    '218d1f59b9b83cc8',
    'be552412f8387315',
    '064f39ef7c50eb57',
    'ce0f1a45f7060679',
    'd5e78a175be52ea1',
    'cb9d7c3f2f3db580',
    'ce3e91358aa2bc25',
    'ff202728b07bc684',
    'edfee820bce4858c',
  ];
  for (const [length, vector] of vectors.entries()) {
    hashName(input, 0, length, 0x03020100, 0x07060504);
    const output = new DataView(new ArrayBuffer(8));
    output.setUint32(0, nameHash.low, true);
    output.setUint32(4, nameHash.high, true);
    assert.is(output.getBigUint64(0).toString(16).padStart(16, '0'), vector);
  }
});

hashes('hashes from any start', () => {
  const text = bytes('xxxa longer name than one word');
  hashName(text, 3, text.length - 3, 1, 2);
  const { high, low } = nameHash;
  hashName(text.slice(3), 0, text.length - 3, 1, 2);
  assert.equal({ ...nameHash }, { high, low });
});

const model = suite('against a model');

interface Story {
  readonly seed: number;
  readonly steps: number;
  readonly names: (random: (limit: number) => number) => string;
  readonly hashMask?: number;
  /** Level that the root must have reached. */
  readonly level: number;
}

/** Random operations in phases of growing and shrinking; every touched block watched. */
function play(story: Story): void {
  const random = randomFrom(story.seed);
  const blocks = new FakeBlocks(6000, story.hashMask).initialize();
  blocks.loaded = new Set();
  const expected = new Map<string, { ino: number; kind: number }>();
  const spares: string[] = [];
  let isGrowing = true;
  let levelMax = 0;
  for (let step = 0; step < story.steps; step++) {
    if (step % 500 === 0) isGrowing = step < story.steps / 2 || random(3) > 0;
    const name =
      random(3) === 0 && spares.length > 0
        ? (spares[random(spares.length)] as string)
        : story.names(random);
    if (spares.length < 5000) spares.push(name);
    const target = {
      ino: random(2 ** 31) * 65536 + 1 + random(60000),
      kind: KINDS[random(3)] as number,
    };
    const isThere = expected.has(name);
    const found = blocks.load(() => lookup(blocks, bytes(name)));
    assert.equal(found, expected.get(name));
    if (isThere && random(4) === 0) {
      blocks.modify(() => replace(blocks, bytes(name), target.ino, target.kind));
      expected.set(name, target);
      assert.ok(blocks.changed.size === DIRECTORY_REPLACE_BLOCKS_MAX && blocks.created.size === 0);
    } else if (isGrowing || (!isThere && random(4) === 0)) {
      const plan = blocks.insert(bytes(name), target.ino, target.kind);
      if (plan === 'exists') assert.ok(isThere);
      else if (plan === 'ready') expected.set(name, target);
      else assert.ok(story.hashMask !== undefined, 'full only where hashes are weak');
      if (plan === 'ready') {
        assert.ok(blocks.changed.size + blocks.created.size <= DIRECTORY_INSERT_BLOCKS_MAX);
        assert.ok(blocks.created.size <= DIRECTORY_INSERT_CREATES_MAX);
      }
    } else {
      assert.is(blocks.remove(bytes(name)), isThere ? 'ready' : 'absent');
      expected.delete(name);
      assert.ok(blocks.changed.size <= DIRECTORY_REMOVE_BLOCKS_MAX);
    }
    levelMax = Math.max(levelMax, levelOfRoot(blocks));
    if (step % 1000 === 999) compare(blocks, expected, random);
  }
  compare(blocks, expected, random);
  assert.is(levelMax, story.level);
  for (const name of expected.keys()) assert.is(blocks.remove(bytes(name)), 'ready');
  blocks.loaded = undefined;
  assert.ok(isEmpty(blocks));
  assert.is(levelOfRoot(blocks), 0);
  assert.is(freeCount(blocks), blocks.blockCount - 1);
  assert.equal(checkDirectory(blocks), []);
}

function compare(
  blocks: FakeBlocks,
  expected: Map<string, { ino: number; kind: number }>,
  random: (limit: number) => number,
): void {
  const { loaded } = blocks;
  const all = listAll(blocks, 1 + random(100));
  assert.is(all.size, expected.size);
  for (const [name, target] of expected) assert.equal(all.get(name), target);
  blocks.loaded = undefined;
  assert.equal(checkDirectory(blocks), []);
  assert.is(entryCount(blocks), expected.size);
  blocks.loaded = loaded;
}

const shortName = (random: (limit: number) => number) => `n${random(20000)}`;
const longName = (random: (limit: number) => number) => {
  const head = `${random(4000)}-ä-`;
  return head + 'x'.repeat(random(3) === 0 ? 255 - bytes(head).length : random(240));
};

const fullName = (random: (limit: number) => number) => `${random(9000)}`.padEnd(255, '.');

for (const [title, story] of Object.entries({
  'short names': { seed: 20260101, steps: 12000, names: shortName, level: 1 },
  'names of 1 to 255 bytes': { seed: 20260102, steps: 8000, names: longName, level: 1 },
  'names of 255 bytes': { seed: 20260106, steps: 12000, names: fullName, level: 2 },
  '16 hashes for all names': {
    seed: 20260103,
    steps: 6000,
    names: shortName,
    hashMask: 0x3,
    level: 1,
  },
  '4 hashes, long names': { seed: 20260104, steps: 4000, names: longName, hashMask: 0x1, level: 1 },
  '65536 hashes': { seed: 20260105, steps: 8000, names: shortName, hashMask: 0xff, level: 1 },
} satisfies Record<string, Story>)) {
  model(`${title} (seed ${story.seed})`, () => play(story));
}

model('names that share hash and beginning', () => {
  const blocks = new FakeBlocks(10, 0).initialize();
  const names = ['b', 'a', 'ab', 'aa', 'aab', 'é', 'e'];
  for (const [index, name] of names.entries()) blocks.insert(bytes(name), index + 1, 8);
  for (const [index, name] of names.entries()) {
    assert.is(lookup(blocks, bytes(name))?.ino, index + 1);
  }
  assert.is(lookup(blocks, bytes('aaa')), undefined);
  const page = readEntries(blocks, DIRECTORY_START, 1);
  assert.is(page.entries.length, names.length, 'one hash is given out together');
  assert.is(page.next, undefined);
  assert.equal(
    page.entries.map(({ name }) => decoder.decode(name)),
    [...names].sort(),
  );
});

model('a leaf of one hash is full, and takes names again after a removal', () => {
  const blocks = new FakeBlocks(10, 0).initialize();
  let count = 0;
  while (blocks.insert(bytes(`${count}`.padStart(100, '-')), count + 1, 8) === 'ready') count++;
  assert.is(count, Math.floor((BLOCK_SIZE - 48) / 118));
  assert.is(blocks.blockCount, 1);
  assert.equal(checkDirectory(blocks), []);
  assert.is(blocks.remove(bytes('7'.padStart(100, '-'))), 'ready');
  assert.is(blocks.insert(bytes('another'.padStart(100, '-')), 9, 8), 'ready');
});

model('a leaf that divides only into one too large is full', () => {
  const blocks = new FakeBlocks(10, 1).initialize();
  // Hashes are (high, low) of one bit each: one short name of the lowest, the rest of the highest.
  const names = { low: [] as string[], high: [] as string[] };
  for (let index = 0; names.low.length < 3 || names.high.length < 15; index++) {
    const name = bytes(`${index}`.padEnd(255));
    hashName(name, 0, 255, SEED.low, SEED.high);
    const hash = (nameHash.high & 1) * 2 + (nameHash.low & 1);
    if (hash === 3) names.high.push(`${index}`.padEnd(255));
    hashName(bytes(`${index}`), 0, `${index}`.length, SEED.low, SEED.high);
    if ((nameHash.high & 1) + (nameHash.low & 1) === 0) names.low.push(`${index}`);
  }
  assert.is(blocks.insert(bytes(names.low[0] as string), 1, 8), 'ready');
  for (const name of names.high.slice(0, 14)) assert.is(blocks.insert(bytes(name), 1, 8), 'ready');
  const before = blocks.u8.slice();
  assert.is(blocks.insert(bytes(names.high[14] as string), 1, 8), 'full');
  assert.equal(blocks.u8, before);
  for (const name of names.low.slice(1, 3)) assert.is(blocks.insert(bytes(name), 1, 8), 'ready');
  assert.equal(checkDirectory(blocks), []);
});

model('an insertion that was not planned ready changes nothing', () => {
  const blocks = new FakeBlocks(10).initialize();
  blocks.insert(bytes('a'), 1, 8);
  const before = blocks.u8.slice();
  assert.is(blocks.insert(bytes('a'), 2, 8), 'exists');
  assert.throws(() => blocks.modify(() => insert(blocks, bytes('a'), 2, 8)), /was planned/);
  assert.throws(() => lookup(blocks, bytes('x'.repeat(256))), /1..255/);
  assert.throws(() => lookup(blocks, bytes('')), /1..255/);
  assert.equal(blocks.u8, before);
});

const large = suite('large');

large('200,000 entries: found, listed, three nodes deep; removed, one node', () => {
  const blocks = new FakeBlocks(4000).initialize();
  const count = 200000;
  const name = (index: number) => bytes(`entry ${(index * 7919) % count}.dat`);
  for (let index = 0; index < count; index++) blocks.insert(name(index), index + 1, 8);
  assert.is(entryCount(blocks), count);
  assert.is(levelOfRoot(blocks), 2);
  assert.ok(blocks.blockCount < count / 60, `${blocks.blockCount} blocks`);
  assert.equal(checkDirectory(blocks), []);
  blocks.loaded = new Set();
  blocks.load(() => lookup(blocks, name(5)));
  assert.is(blocks.readNow.size, 3);
  blocks.loaded = undefined;
  for (let index = 0; index < count; index += 3) {
    assert.is(lookup(blocks, name(index))?.ino, index + 1);
  }
  assert.is(listAll(blocks, 1000).size, count);
  for (let index = 0; index < count; index++) blocks.remove(name(count - 1 - index));
  assert.ok(isEmpty(blocks));
  assert.is(levelOfRoot(blocks), 0);
  const { blockCount } = blocks;
  for (let index = 0; index < 20000; index++) blocks.insert(name(index), index + 1, 8);
  assert.is(blocks.blockCount, blockCount, 'freed nodes are used again');
  assert.equal(checkDirectory(blocks), []);
});

large('leavesAhead names the leaves that readEntries reads next', () => {
  const blocks = new FakeBlocks(200).initialize();
  for (let index = 0; index < 3000; index++) blocks.insert(bytes(`${index}`), index + 1, 8);
  const middle = { high: 0x80000000, low: 5 };
  const ahead = leavesAhead(blocks, middle, 4);
  assert.is(ahead.length, 4);
  blocks.loaded = new Set([0, ...ahead]);
  const { entries, next } = readEntries(blocks, middle, 100);
  assert.is(entries.length, 100);
  assert.ok(next !== undefined && next.high > middle.high);
  assert.throws(
    () => readEntries(blocks, middle, 1000),
    (error: unknown) => error instanceof Missing,
  );
});

const walks = suite('reading under change');

for (const hashMask of [undefined, 0xf]) {
  const seed = 20260201;
  walks(`what stays is read once (seed ${seed}, hash mask ${hashMask})`, () => {
    const random = randomFrom(seed);
    for (let round = 0; round < 12; round++) {
      const blocks = new FakeBlocks(600, hashMask).initialize();
      const stay = new Set<string>();
      const others: string[] = [];
      for (let index = 0; index < 1500; index++) {
        const name = `${round}-${index}`;
        const isIn = blocks.insert(bytes(name), index + 1, 8) === 'ready';
        if (isIn && random(2) === 0) stay.add(name);
        else others.push(name);
      }
      const seen = new Set<string>();
      let cursor: DirectoryCursor | undefined = DIRECTORY_START;
      while (cursor !== undefined) {
        const page = readEntries(blocks, JSON.parse(JSON.stringify(cursor)), 1 + random(60));
        for (const { name } of page.entries) {
          assert.not(seen.has(decoder.decode(name)), 'given out once');
          seen.add(decoder.decode(name));
        }
        cursor = page.next;
        for (let change = 0; change < 60; change++) {
          const name = bytes(others[random(others.length)] as string);
          if (random(2) === 0) blocks.remove(name);
          else blocks.insert(name, 7, 8);
        }
      }
      for (const name of stay) assert.ok(seen.has(name), `${name} was missed`);
    }
  });
}

const steps = suite('check in steps');

steps('goes on after each missing block, in any order of fetching and forgetting', () => {
  const blocks = new FakeBlocks(400).initialize();
  for (let index = 0; index < 5000; index++) blocks.insert(bytes(`${index}`), index + 1, 8);
  for (let index = 0; index < 4900; index++) blocks.remove(bytes(`${index}`));
  let entries = 0;
  blocks.loaded = new Set();
  const check = new DirectoryCheck(blocks, () => entries++);
  let fetched = 0;
  for (;;) {
    try {
      if (check.step()) break;
      blocks.loaded.clear();
    } catch (error) {
      assert.instance(error, Missing);
      blocks.loaded.add((error as Missing).fbn);
      fetched++;
    }
  }
  assert.equal(check.problems, []);
  assert.is(entries, 100);
  assert.ok(freeCount(blocks) > 0);
  assert.is(fetched, blocks.blockCount + 1, 'the root twice, all others once');
});

steps('names a block that cannot be read and checks the others', () => {
  const blocks = new FakeBlocks(400).initialize();
  for (let index = 0; index < 500; index++) blocks.insert(bytes(`${index}`), index + 1, 8);
  const check = new DirectoryCheck(blocks);
  check.step();
  check.step();
  assert.is(check.skip('no medium'), false);
  while (!check.step());
  assert.is(check.problems.length, 1);
  assert.is(check.problems[0]?.kind, 'unreadable');
});

hashes.run();
model.run();
large.run();
walks.run();
steps.run();
