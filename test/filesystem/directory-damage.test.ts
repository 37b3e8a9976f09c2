// Damaged directories: each class of damage is named by the check, and no bytes whatever make
// anything but a StorageError. Checksums do not help against bytes that were written wrong, or by
// an enemy.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  DIRECTORY_CHILD_FBN_OFFSET,
  DIRECTORY_COUNT_OFFSET,
  DIRECTORY_ENTRIES_OFFSET,
  DIRECTORY_FREE_COUNT_OFFSET,
  DIRECTORY_FREE_OFFSET,
  DIRECTORY_HEAP_OFFSET,
  DIRECTORY_LEAF_HEAP_OFFSET,
  DIRECTORY_LEAF_INO_LOW_OFFSET,
  DIRECTORY_LEVEL_OFFSET,
  DIRECTORY_MAGIC_OFFSET,
  DIRECTORY_NEXT_OFFSET,
  DIRECTORY_NODES_OFFSET,
  DIRECTORY_RESERVED0_OFFSET,
  DIRECTORY_SEED_OFFSET,
} from '../../assembly/layout/directory.ts';
import { isStorageError } from '../../host/base/errors.ts';
import type { DirectoryCursor } from '../../host/filesystem/directory.ts';
import {
  DIRECTORY_START,
  entryCount,
  insert,
  isEmpty,
  leavesAhead,
  lookup,
  planInsert,
  planRemove,
  readEntries,
  remove,
  replace,
} from '../../host/filesystem/directory.ts';
import type { DirectoryProblemKind } from '../../host/filesystem/directory-check.ts';
import { checkDirectory, DIRECTORY_PROBLEMS_MAX } from '../../host/filesystem/directory-check.ts';
import { childSlot, leafSlot } from '../../host/filesystem/directory-node.ts';
import { bytes, FakeBlocks, randomFrom } from './directory-fake.ts';

/** A directory of two levels with nodes in the free list. */
function sample(): FakeBlocks {
  const blocks = new FakeBlocks(60).initialize();
  for (let index = 100; index < 999; index++) blocks.insert(bytes(`name ${index}`), index + 1, 8);
  // In the order of hashes, so that whole leaves fall empty.
  const { entries } = readEntries(blocks, DIRECTORY_START, 300);
  for (const { name } of entries) blocks.remove(name);
  return blocks;
}

/** Handles to what the damages write to. */
class Site {
  readonly blocks = sample();
  readonly view = this.blocks.view;
  readonly u8 = this.blocks.u8;
  readonly root = this.node(0);
  /** Fbn and address of the second leaf, which has at least two entries. */
  readonly fbn: number;
  readonly leaf: number;
  /** The first node of the free list. */
  readonly free = this.view.getUint32(this.root + DIRECTORY_FREE_OFFSET, true);
  readonly freeNode = this.node(this.free);

  constructor() {
    let index = 1;
    while (this.count(this.node(this.child(index))) < 3) index++;
    this.fbn = this.child(index);
    this.leaf = this.node(this.fbn);
  }

  node(fbn: number): number {
    return this.blocks.at[fbn] as number;
  }

  child(index: number): number {
    return this.view.getUint32(childSlot(this.root, index) + DIRECTORY_CHILD_FBN_OFFSET, true);
  }

  count(node: number): number {
    return this.view.getUint16(node + DIRECTORY_COUNT_OFFSET, true);
  }

  /** Heap part of an entry of the leaf. */
  part(index: number): number {
    const slot = leafSlot(this.leaf, index);
    return this.leaf + this.view.getUint16(slot + DIRECTORY_LEAF_HEAP_OFFSET, true);
  }

  slot(index: number): number {
    return leafSlot(this.leaf, index);
  }

  set8(at: number, value: number): void {
    this.u8[at] = value;
  }

  set16(at: number, value: number): void {
    this.view.setUint16(at, value, true);
  }

  set32(at: number, value: number): void {
    this.view.setUint32(at, value, true);
  }

  add16(at: number, by: number): void {
    this.view.setUint16(at, this.view.getUint16(at, true) + by, true);
  }

  add32(at: number, by: number): void {
    this.view.setUint32(at, this.view.getUint32(at, true) + by, true);
  }

  swap(a: number, b: number, size: number): void {
    const first = this.u8.slice(a, a + size);
    this.u8.copyWithin(a, b, b + size);
    this.u8.set(first, b);
  }

  /** Makes entry 1's name that of entry 0, hash and all; all names of the sample are as long. */
  copyName(): void {
    this.u8.copyWithin(leafSlot(this.leaf, 1), leafSlot(this.leaf, 0), leafSlot(this.leaf, 0) + 8);
    this.u8.copyWithin(this.part(1), this.part(0), this.part(0) + 10);
  }
}

/** Kind of problem, title, the block that must be named, what is done. */
type Damage = readonly [DirectoryProblemKind, string, (site: Site) => number, (site: Site) => void];

const root = () => 0;
const leaf = (s: Site) => s.fbn;
const free = (s: Site) => s.free;
const first = (s: Site) => s.child(0);
const second = (s: Site) => s.child(1);

const DAMAGES: readonly Damage[] = [
  ['node', 'magic of a leaf', leaf, (s) => s.add32(s.leaf + DIRECTORY_MAGIC_OFFSET, 1)],
  ['node', 'magic of the root', root, (s) => s.add32(s.root + DIRECTORY_MAGIC_OFFSET, 1)],
  ['node', 'level of a leaf', leaf, (s) => s.set8(s.leaf + DIRECTORY_LEVEL_OFFSET, 1)],
  ['node', 'level of the root', root, (s) => s.set8(s.root + DIRECTORY_LEVEL_OFFSET, 77)],
  ['node', 'too many entries', leaf, (s) => s.add16(s.leaf + DIRECTORY_COUNT_OFFSET, 300)],
  ['node', 'empty leaf', leaf, (s) => s.set16(s.leaf + DIRECTORY_COUNT_OFFSET, 0)],
  ['node', 'too many children', root, (s) => s.add16(s.root + DIRECTORY_COUNT_OFFSET, 337)],
  ['node', 'heap of the root', root, (s) => s.add16(s.root + DIRECTORY_HEAP_OFFSET, 5)],
  ['child', 'child beyond', root, (s) => s.add32(childSlot(s.root, 1) + 8, 999)],
  ['shared', 'child twice', root, (s) => s.set32(childSlot(s.root, 0) + 8, s.child(1))],
  ['node', 'free node in the tree', free, (s) => s.set32(childSlot(s.root, 1) + 8, s.free)],
  [
    'shared',
    'free and used',
    second,
    (s) => {
      s.u8.copyWithin(s.node(s.child(1)), s.freeNode, s.freeNode + BLOCK_SIZE);
      s.set32(s.root + DIRECTORY_FREE_OFFSET, s.child(1));
    },
  ],
  ['shared', 'cycle in the free list', free, (s) => s.set32(s.freeNode + 12, s.free)],
  ['keys', 'keys swapped', root, (s) => s.swap(childSlot(s.root, 1), childSlot(s.root, 2), 8)],
  ['keys', 'first key', root, (s) => s.add32(childSlot(s.root, 0), 1)],
  ['order', 'entries swapped', leaf, (s) => s.swap(s.slot(0), s.slot(1), 16)],
  [
    'range',
    'leaves swapped',
    second,
    (s) => {
      s.swap(childSlot(s.root, 0) + 8, childSlot(s.root, 1) + 8, 4);
    },
  ],
  ['duplicate', 'a name twice', leaf, (s) => s.copyName()],
  ['hash', 'other letter', leaf, (s) => s.add16(s.part(1) + 2, 1)],
  ['hash', 'other seed', first, (s) => s.add32(s.root + DIRECTORY_SEED_OFFSET, 1)],
  ['name', 'slash', leaf, (s) => s.set8(s.part(1) + 3, 0x2f)],
  ['name', 'NUL', leaf, (s) => s.set8(s.part(1) + 3, 0)],
  ['kind', 'kind 3', leaf, (s) => s.set8(s.part(1), 3)],
  ['ino', 'inode number 0', leaf, (s) => s.set32(s.slot(1) + DIRECTORY_LEAF_INO_LOW_OFFSET, 0)],
  ['heap', 'offset past the end', leaf, (s) => s.set16(s.slot(1) + 14, BLOCK_SIZE - 1)],
  ['heap', 'offset in the slots', leaf, (s) => s.set16(s.slot(1) + 14, 60)],
  ['heap', 'overlap', leaf, (s) => s.set16(s.slot(1) + 14, s.part(0) - s.leaf)],
  ['heap', 'bytes of no entry', leaf, (s) => s.add16(s.leaf + DIRECTORY_HEAP_OFFSET, -8)],
  ['reserved', 'header of a leaf', leaf, (s) => s.set8(s.leaf + DIRECTORY_RESERVED0_OFFSET, 1)],
  ['reserved', 'next in a leaf', leaf, (s) => s.add32(s.leaf + DIRECTORY_NEXT_OFFSET, 1)],
  ['reserved', 'seed in a leaf', leaf, (s) => s.add32(s.leaf + DIRECTORY_SEED_OFFSET, 1)],
  ['reserved', 'gap of a leaf', leaf, (s) => s.set8(s.leaf + 2000, 1)],
  ['reserved', 'gap of the root', root, (s) => s.set8(s.root + 4095, 1)],
  ['reserved', 'free node', free, (s) => s.set8(s.freeNode + 100, 1)],
  ['count', 'entries', root, (s) => s.add32(s.root + DIRECTORY_ENTRIES_OFFSET, 1)],
  ['free', 'used node in it', leaf, (s) => s.set32(s.root + DIRECTORY_FREE_OFFSET, s.fbn)],
  ['free', 'too short', root, (s) => s.set32(s.freeNode + DIRECTORY_NEXT_OFFSET, 0)],
  ['free', 'counted wrongly', root, (s) => s.add32(s.root + DIRECTORY_FREE_COUNT_OFFSET, -1)],
  ['free', 'leads outside', free, (s) => s.add32(s.freeNode + DIRECTORY_NEXT_OFFSET, 9999)],
  [
    'unreached',
    'free node lost',
    free,
    (s) => {
      s.set32(s.root + DIRECTORY_FREE_OFFSET, s.view.getUint32(s.freeNode + 12, true));
      s.add32(s.root + DIRECTORY_FREE_COUNT_OFFSET, -1);
    },
  ],
  [
    'size',
    'more nodes than blocks',
    root,
    (s) => s.add32(s.root + DIRECTORY_NODES_OFFSET, 2 ** 30),
  ],
  ['size', 'fewer nodes than blocks', root, (s) => s.add32(s.root + DIRECTORY_NODES_OFFSET, -1)],
];

const classes = suite('each damage is named');

classes('a sound directory has no problem', () => {
  const { blocks, free } = new Site();
  assert.ok(free > 0);
  assert.equal(checkDirectory(blocks), []);
});

for (const [kind, title, where, damage] of DAMAGES) {
  classes(`${kind}: ${title}`, () => {
    const site = new Site();
    const fbn = where(site);
    damage(site);
    const problems = checkDirectory(site.blocks);
    const found = problems.find((problem) => problem.kind === kind && problem.fbn === fbn);
    assert.ok(found !== undefined, `${fbn} not in ${JSON.stringify(problems.slice(0, 5))}`);
    assert.ok(found.message.length > 5);
  });
}

classes('dots as a name', () => {
  const blocks = new FakeBlocks(3).initialize();
  blocks.insert(bytes('..'), 1, 4);
  blocks.insert(bytes('...'), 2, 4);
  assert.equal(
    checkDirectory(blocks).map(({ kind }) => kind),
    ['name'],
  );
});

classes('the list of problems is bounded', () => {
  const blocks = new FakeBlocks(60).initialize();
  for (let index = 0; index < 900; index++) blocks.insert(bytes(`name ${index}`), index + 1, 8);
  blocks.view.setUint32((blocks.at[0] as number) + DIRECTORY_SEED_OFFSET, 4711);
  const problems = checkDirectory(blocks);
  assert.is(problems.length, DIRECTORY_PROBLEMS_MAX);
  assert.match(problems.at(-1)?.message ?? '', /no more looked for/);
});

const refused = suite('damage is refused where it is used');

/** Name of an entry of the site's leaf. */
function nameAt(site: Site, index: number): Uint8Array {
  return site.u8.slice(site.part(index) + 2, site.part(index) + 10);
}

function isDamage(use: () => unknown, message: RegExp): void {
  assert.throws(
    use,
    (error: Error) => isStorageError(error, 'BAD_MAGIC') && message.test(error.message),
  );
}

for (const [title, message, damage] of [
  ['heap offset past the end', /entry at 4095/, (s, slot) => s.set16(slot + 14, 4095)],
  ['heap offset in the slots', /entry at 48/, (s, slot) => s.set16(slot + 14, 48)],
  [
    'name past the end',
    /entry at/,
    (s, slot) => {
      s.u8[s.leaf + BLOCK_SIZE - 9] = 255;
      s.view.setUint16(slot + 14, BLOCK_SIZE - 10, true);
    },
  ],
  ['inode number 0', /number 0/, (s, slot) => s.u8.fill(0, slot + 8, slot + 14)],
  ['kind 3', /kind 3/, (s) => s.set8(s.part(1), 3)],
] satisfies [string, RegExp, (site: Site, slot: number) => unknown][]) {
  refused(`lookup: ${title}`, () => {
    const site = new Site();
    const name = nameAt(site, 1);
    assert.ok(lookup(site.blocks, name) !== undefined);
    damage(site, leafSlot(site.leaf, 1));
    isDamage(() => lookup(site.blocks, name), message);
    isDamage(() => walk(site.blocks, 10), message);
  });
}

refused('readEntries: a hash beyond its leaf, and a leaf below its lower bound', () => {
  let site = new Site();
  const last = leafSlot(site.leaf, site.count(site.leaf) - 1);
  site.u8.fill(0xff, last, last + 8);
  isDamage(() => walk(site.blocks, 1000), /out of order/);
  site = new Site();
  for (let index = 0; index < site.count(site.leaf); index++) {
    site.u8.fill(0, leafSlot(site.leaf, index), leafSlot(site.leaf, index) + 8);
  }
  isDamage(() => walk(site.blocks, 1000), /no entry where/);
});

for (const [title, message, damage] of [
  ['free list without a head', /free list of/, (s) => s.u8.fill(0, s.root + 36, s.root + 40)],
  ['no entries counted', /but a tree/, (s) => s.u8.fill(0, s.root + 24, s.root + 32)],
  ['2^53 entries counted', /too many/, (s) => s.set8(s.root + 24 + 6, 0x20)],
] satisfies [string, RegExp, (site: Site) => unknown][]) {
  refused(`root: ${title}`, () => {
    const site = new Site();
    damage(site);
    isDamage(() => isEmpty(site.blocks), message);
  });
}

/** A root that is a full leaf, its next insertion takes two nodes, and three are free. */
function fullLeaf(): FakeBlocks {
  const blocks = new FakeBlocks(20).initialize();
  for (let index = 0; blocks.blockCount < 4; index++) blocks.insert(bytes(`a${index}`), 1, 8);
  const { entries } = readEntries(blocks, DIRECTORY_START, 10000);
  for (const { name } of entries) blocks.remove(name);
  for (let index = 0; index < 14; index++) blocks.insert(bytes(`${index}`.padEnd(255)), 1, 8);
  assert.is(blocks.blockCount, 4);
  return blocks;
}

for (const [title, message, damage] of [
  [
    'a node twice in the free list',
    /twice/,
    (b, root, free) => {
      b.view.setUint32(free + 12, b.view.getUint32(root + 36, true), true);
    },
  ],
  ['free list too short', /shorter/, (b, _root, free) => b.view.setUint32(free + 12, 0, true)],
  ['free list too long', /longer/, (b, root) => b.view.setUint32(root + 40, 1, true)],
  [
    'bytes of no entry',
    /entries of \d+ bytes in/,
    (b, root) => b.view.setUint16(root + 8, 272, true),
  ],
  ['entries miscounted', /counted/, (b, root) => b.view.setUint32(root + 24, 15, true)],
] satisfies [string, RegExp, (blocks: FakeBlocks, root: number, free: number) => unknown][]) {
  refused(`planInsert: ${title}`, () => {
    const blocks = fullLeaf();
    const name = bytes('one more'.padEnd(255));
    assert.is(planInsert(blocks, name), 'ready');
    const root = blocks.at[0] as number;
    damage(blocks, root, blocks.at[blocks.view.getUint32(root + 36, true)] as number);
    isDamage(() => planInsert(blocks, name), message);
  });
}

const fuzz = suite('fuzz');

/** Everything one can ask a directory, on a damaged one. Returns whether all went without an
 *  error. */
function useAll(blocks: FakeBlocks, random: (limit: number) => number, names: number): boolean {
  let isClean = true;
  const attempt = (use: () => void) => {
    try {
      use();
    } catch (error) {
      if (!isStorageError(error, 'BAD_MAGIC')) throw error;
      isClean = false;
    }
  };
  const name = () => bytes(`name ${random(names + 50)}`);
  attempt(() => isEmpty(blocks));
  attempt(() => leavesAhead(blocks, { high: random(2 ** 32), low: 0 }, 5));
  attempt(() => walk(blocks, 1 + random(200)));
  for (let round = 0; round < 4; round++) {
    const at = name();
    attempt(() => {
      if (lookup(blocks, at) === undefined) return;
      blocks.modify(() => mustNotThrow(() => replace(blocks, at, 5, 4)));
    });
    const out = name();
    attempt(() => {
      if (planRemove(blocks, out) === 'ready') {
        blocks.modify(() => mustNotThrow(() => remove(blocks, out)));
      }
    });
    const into = bytes(`new ${random(1000)}`.padEnd(8 + random(248), 'x'));
    attempt(() => {
      if (planInsert(blocks, into) === 'ready') {
        blocks.modify(() => mustNotThrow(() => insert(blocks, into, 77, 8)));
      }
    });
  }
  return isClean;
}

/** After its plan, MODIFY has no way to fail, whatever the bytes. */
function mustNotThrow(action: () => void): void {
  try {
    action();
  } catch (error) {
    throw new Error('MODIFY threw', { cause: error });
  }
}

function walk(blocks: FakeBlocks, countMax: number): number {
  let cursor: DirectoryCursor | undefined = DIRECTORY_START;
  let count = 0;
  for (let calls = 0; cursor !== undefined; calls++) {
    assert.ok(calls < 10000, 'reading ends');
    const page = readEntries(blocks, cursor, countMax);
    count += page.entries.length;
    cursor = page.next;
  }
  return count;
}

/** Offsets that matter, more often than others. */
function randomOffset(random: (limit: number) => number): number {
  const choice = random(4);
  if (choice === 0) return random(48);
  if (choice === 1) return 48 + random(200);
  return random(BLOCK_SIZE);
}

interface Template {
  readonly blocks: FakeBlocks;
  readonly names: number;
}

function template(count: number, removed: number, hashMask?: number): Template {
  const blocks = new FakeBlocks(Math.ceil(count / 40) + 20, hashMask).initialize();
  for (let index = 0; index < count; index++) blocks.insert(bytes(`name ${index}`), index + 1, 8);
  // In the order of hashes, so that whole leaves fall empty.
  const { entries } = readEntries(blocks, DIRECTORY_START, 1 + removed);
  for (const { name } of entries.slice(1)) blocks.remove(name);
  return { blocks, names: count };
}

/** Three levels, most nodes free: long names, nearly all removed. */
function tall(): Template {
  const blocks = new FakeBlocks(600).initialize();
  const name = (index: number) => bytes(`${index}`.padEnd(255, '-'));
  for (let index = 0; index < 4000; index++) blocks.insert(name(index), index + 1, 8);
  for (let index = 0; index < 3990; index++) blocks.remove(name(index));
  for (let index = 0; index < 100; index++) blocks.insert(bytes(`name ${index}`), index + 1, 8);
  assert.is(blocks.u8[(blocks.at[0] as number) + DIRECTORY_LEVEL_OFFSET], 2);
  return { blocks, names: 100 };
}

/** Changes some bytes; returns the blocks that they are in. */
function mutate({ blocks }: Template, random: (limit: number) => number): Set<number> {
  const mutated = new Set<number>();
  for (let left = 1 + random(4); left > 0; left--) {
    const fbn = random(2) === 0 ? 0 : random(blocks.blockCount);
    const at = (blocks.at[fbn] as number) + randomOffset(random);
    const how = random(4);
    const before = blocks.u8[at] as number;
    if (how === 0) blocks.u8[at] = random(256);
    else if (how === 1) blocks.u8[at] = before ^ (1 << random(8));
    else if (how === 2) blocks.u8[at] = before + (random(2) === 0 ? 1 : -1);
    else blocks.u8[at] = random(2) === 0 ? 0 : 255;
    mutated.add(fbn);
  }
  return mutated;
}

/** Damages a template again and again. Each time: no error but StorageError, no write outside of
 *  the blocks being changed, and where the check finds nothing wrong, nothing is. */
function fuzzTemplate(from: Template, rounds: number, seed: number): void {
  const { blocks } = from;
  const random = randomFrom(seed);
  const pristine = Buffer.from(blocks.u8);
  const now = Buffer.from(blocks.u8.buffer);
  const restore = blocks.save();
  const firsts = [...blocks.at.entries()];
  let sound = 0;
  let failed = 0;
  for (let round = 0; round < rounds; round++) {
    const mutated = mutate(from, random);
    const problems = checkDirectory(blocks);
    assert.ok(problems.length <= DIRECTORY_PROBLEMS_MAX);
    if (problems.length === 0) {
      sound++;
      assert.is(walk(blocks, 50), entryCount(blocks));
    }
    const isClean = useAll(blocks, random, from.names);
    if (!isClean) failed++;
    if (problems.length === 0) {
      assert.ok(isClean, 'no error where the check finds none');
      assert.equal(checkDirectory(blocks), [], 'what is sound stays sound');
    }
    for (const [fbn, address] of firsts) {
      if (mutated.has(fbn) || blocks.touched.has(fbn)) continue;
      const end = address + BLOCK_SIZE;
      assert.is(now.compare(pristine, address, end, address, end), 0, `block ${fbn} untouched`);
    }
    restore();
  }
  assert.ok(failed > rounds / 50, `${failed} of ${rounds} damages were errors`);
  assert.ok(sound > 0, 'some damages were harmless');
}

fuzz('a leaf alone (seed 31)', () => fuzzTemplate(template(60, 5), 8000, 31));
fuzz('a full leaf (seed 32)', () => fuzzTemplate(template(151, 0), 4000, 32));
fuzz('two levels with free nodes (seed 33)', () => fuzzTemplate(template(500, 440), 8000, 33));
fuzz('weak hashes (seed 34)', () => fuzzTemplate(template(300, 0, 3), 3000, 34));
fuzz('three levels (seed 35)', () => fuzzTemplate(tall(), 300, 35));

fuzz('blocks of noise (seed 36)', () => {
  const random = randomFrom(36);
  const { blocks, names } = template(120, 0);
  const restore = blocks.save();
  for (let round = 0; round < 500; round++) {
    const address = blocks.at[random(blocks.blockCount)] as number;
    const keep = random(2) * 48;
    for (let at = address + keep; at < address + BLOCK_SIZE; at++) blocks.u8[at] = random(256);
    checkDirectory(blocks);
    useAll(blocks, random, names);
    restore();
  }
});

classes.run();
refused.run();
fuzz.run();
