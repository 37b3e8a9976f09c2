// Blocks that pointers lead to: image roots, inodes, indirect blocks, extended attributes, entries
// of the snapshot table, directories.

import {
  BLOCK_SIZE,
  KIND_IMAGE_ROOT,
  KIND_INDIRECT,
  KIND_INODES,
} from '../../../assembly/layout/block.ts';
import { DIRECTORY_SLOTS_OFFSET } from '../../../assembly/layout/directory.ts';
import { INODE_SIZE } from '../../../assembly/layout/inode.ts';
import { SNAPSHOT_ENTRY_SIZE } from '../../../assembly/layout/snapshot.ts';
import { isStorageError } from '../../../host/base/errors.ts';
import { blockProblem } from '../../../host/filesystem/block-check.ts';
import {
  DIRECTORY_START,
  entryCount,
  insert,
  lookup,
  planInsert,
  planRemove,
  readEntries,
  remove,
} from '../../../host/filesystem/directory.ts';
import { checkDirectory } from '../../../host/filesystem/directory-check.ts';
import { decodeInode } from '../../../host/format/inode.ts';
import { decodeSnapshot, encodeSnapshot } from '../../../host/format/snapshot.ts';
import { decodeXattrs, encodeXattrs } from '../../../host/format/xattr.ts';
import {
  DIRECTORY,
  DIRECTORY_CHILD,
  DIRECTORY_LEAF,
  IMAGE_ROOT,
  INODE,
  POINTER,
  SNAPSHOT,
  XATTR,
} from '../../../host/volume/inspect/structures.ts';
import { FakeBlocks } from '../../filesystem/directory-fake.ts';
import { joined, type Place } from '../mutate.ts';
import { ensure, ensureSame, placesOf, refused, type Target, utf8 } from '../target.ts';
import { arena, at, blocksOf } from './samples.ts';

const VBN_LIMIT = 8192;

/** Fields of the first entries of a table. */
function tablePlaces(structure: typeof INODE, count: number): Place[] {
  return Array.from({ length: count }, (_, index) =>
    placesOf(structure, index * structure.sizeBytes),
  ).flat();
}

function checked(input: Uint8Array, kind: number): void {
  arena.u8.set(input, at);
  const pointer = { vbn: 9, kind, checksumLow: 0, checksumHigh: 0 };
  const problem = blockProblem(arena, pointer, at, VBN_LIMIT);
  if (problem !== undefined) throw problem;
}

const imageRoot: Target = {
  name: 'image-root',
  sources: ['filesystem/block-check.js:blockProblem,describe,rootProblem,inodesProblem'],
  samples: () => blocksOf('image root'),
  places: placesOf(IMAGE_ROOT),
  end: 896,
  decode(input) {
    checked(input, KIND_IMAGE_ROOT);
    return undefined;
  },
};

const inodes: Target = {
  name: 'inode-block',
  sources: ['format/inode.js:decodeInode,inodeProblem'],
  samples: () => blocksOf('inode block'),
  places: tablePlaces(INODE, 16),
  decode(input) {
    checked(input, KIND_INODES);
    for (let offset = 0; offset < BLOCK_SIZE; offset += INODE_SIZE) {
      const inode = decodeInode(arena.view, at + offset);
      ensure(inode.sizeBytes <= Number.MAX_SAFE_INTEGER, 'a size is a number');
      for (const { vbn } of [...inode.pointers, inode.xattr]) {
        ensure(vbn < VBN_LIMIT, 'a pointer stays in the volume');
      }
    }
    return undefined;
  },
};

const indirect: Target = {
  name: 'indirect-block',
  sources: [
    'filesystem/block-check.js:pointersProblem',
    'format/pointer.js:pointerProblem,getPointer,getPointerVbn,getPointerKind',
  ],
  samples: () => blocksOf('indirect block'),
  places: tablePlaces(POINTER, 12),
  end: 256,
  decode(input) {
    checked(input, KIND_INDIRECT);
    return undefined;
  },
};

const xattrs: Target = {
  name: 'xattr-block',
  sources: ['format/xattr.js:decodeXattrs,encodeXattrs,compareBytes,isZero'],
  samples: () => blocksOf('xattr block'),
  places: placesOf(XATTR),
  end: 64,
  decode(input) {
    const decoded = decodeXattrs(input);
    const block = new Uint8Array(BLOCK_SIZE);
    encodeXattrs(block, decoded);
    ensureSame(block, input, 'attributes are written as they were read');
    return `${decoded.length} attributes`;
  },
};

const snapshot: Target = {
  name: 'snapshot-entry',
  sources: ['format/snapshot.js'],
  samples: () =>
    blocksOf('snapshot table').flatMap((block) =>
      [0, 1, 2].map((slot) =>
        block.slice(slot * SNAPSHOT_ENTRY_SIZE, (slot + 1) * SNAPSHOT_ENTRY_SIZE),
      ),
    ),
  places: placesOf(SNAPSHOT),
  end: 400,
  decode(input) {
    const entry = decodeSnapshot(input);
    const bytes = new Uint8Array(SNAPSHOT_ENTRY_SIZE);
    encodeSnapshot(bytes, entry);
    ensureSame(bytes, input, 'an entry is written as it was read');
    return entry === undefined ? 'free' : 'entry';
  },
};

const FRAMES = 24;
/** Blocks of a directory whose fields get changes. */
const PLACED_BLOCKS = 4;
const names = ['entry 7', 'entry 8', 'a longer name '.repeat(9), 'absent'].map(utf8);

/** Directories of several shapes: two levels, with nodes in the free list, one leaf, one that fell
 *  empty. */
function makeShapes(): FakeBlocks[] {
  const make = (insert: number, keep: (index: number) => boolean, padding: string) => {
    const blocks = new FakeBlocks(FRAMES).initialize();
    const name = (index: number) => utf8(`entry ${index}${padding}`);
    for (let index = 0; index < insert; index++) blocks.insert(name(index), 16 + index, 8);
    for (let index = 0; index < insert; index++) if (!keep(index)) blocks.remove(name(index));
    return blocks;
  };
  return [
    make(300, (index) => index % 2 === 0, ''),
    make(150, (index) => index % 9 === 0, ', and what makes it long'.repeat(8)),
    make(9, () => true, ''),
    make(40, () => false, 'x'.repeat(200)),
  ];
}

let shapes: FakeBlocks[] | undefined;

/** The blocks of a directory in the order of the file, then a byte that says which shape it is. */
function bytesOf(blocks: FakeBlocks, shape: number): Uint8Array {
  const parts = blocks.at.map((address) => blocks.u8.subarray(address, address + BLOCK_SIZE));
  return joined([...parts, Uint8Array.of(shape)]);
}

const directory: Target = {
  name: 'directory',
  sources: [
    'filesystem/directory-check.js',
    'filesystem/directory-node.js',
    'filesystem/directory.js',
  ],
  samples: () => makeShapes().map(bytesOf),
  places: Array.from({ length: PLACED_BLOCKS }, (_, block) => [
    ...placesOf(DIRECTORY, block * BLOCK_SIZE),
    ...placesOf(DIRECTORY_LEAF, block * BLOCK_SIZE + DIRECTORY_SLOTS_OFFSET),
    ...placesOf(DIRECTORY_CHILD, block * BLOCK_SIZE + DIRECTORY_SLOTS_OFFSET),
  ]).flat(),
  decode(input) {
    shapes ??= makeShapes();
    const blocks = shapes[(input.at(-1) ?? 0) % shapes.length] as FakeBlocks;
    blocks.at.forEach((address, fbn) => {
      blocks.u8.set(input.subarray(fbn * BLOCK_SIZE, (fbn + 1) * BLOCK_SIZE), address);
    });
    const problems = checkDirectory(blocks);
    const attempt = (act: () => void) => {
      try {
        act();
      } catch (error) {
        if (!isStorageError(error)) throw error;
        ensure(problems.length > 0, `the check finds: ${error.message}`);
      }
    };
    attempt(() => entryCount(blocks));
    attempt(() => list(blocks));
    const restore = blocks.save();
    for (const name of names) {
      attempt(() => lookup(blocks, name));
      // What LOAD found possible, MODIFY does: whatever else is wrong with the directory.
      let isReady = false;
      attempt(() => {
        isReady = blocks.load(() => planInsert(blocks, name)) === 'ready';
      });
      if (isReady) blocks.modify(() => insert(blocks, name, 99, 8));
      isReady = false;
      attempt(() => {
        isReady = blocks.load(() => planRemove(blocks, name)) === 'ready';
      });
      if (isReady) blocks.modify(() => remove(blocks, name));
    }
    const left = problems.length > 0 ? [] : checkDirectory(blocks);
    restore();
    ensure(left.length === 0, `a sound directory stays so: ${left[0]?.message}`);
    const [first] = problems;
    if (first !== undefined) throw refused(`${first.kind} ${first.message}`);
    return undefined;
  },
  weight: 4,
};

const PAGES_MAX = 64;

function list(blocks: FakeBlocks): void {
  let cursor = DIRECTORY_START;
  for (let page = 0; page < PAGES_MAX; page++) {
    const { entries, next } = readEntries(blocks, cursor, 100);
    ensure(entries.length <= 100 + BLOCK_SIZE, 'a page is bounded');
    if (next === undefined) return;
    cursor = next;
  }
  throw new Error('a listing without end');
}

export const BLOCK_TARGETS: readonly Target[] = [
  imageRoot,
  inodes,
  indirect,
  xattrs,
  snapshot,
  directory,
];
