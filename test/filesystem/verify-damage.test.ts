// Each kind of damage, made by hand on a committed volume, is found and called by its name, and
// nothing else is. A verify that overlooks one kind gives its word for volumes that lose data.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  DIRECTORY_ENTRIES_OFFSET,
  DIRECTORY_KIND_DIRECTORY,
  DIRECTORY_KIND_FILE,
  DIRECTORY_RESERVED2_OFFSET,
  DIRECTORY_SLOTS_OFFSET,
} from '../../assembly/layout/directory.ts';
import {
  IMAGE_ROOT_INODE_LIMIT_OFFSET,
  IMAGE_ROOT_INODES_USED_OFFSET,
  IMAGE_ROOT_RESERVED2_OFFSET,
  IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET,
  IMAGE_ROOT_ZOMBIE_HEAD_OFFSET,
  IMAGE_ROOT_ZOMBIE_TAIL_OFFSET,
} from '../../assembly/layout/image-root.ts';
import {
  INODE_ATIME_OFFSET,
  INODE_BLOCKS_OFFSET,
  INODE_DATA_OFFSET,
  INODE_FLAG_ZOMBIE,
  INODE_FLAGS_OFFSET,
  INODE_LINKS_OFFSET,
  INODE_MODE_OFFSET,
  INODE_NEXT_OFFSET,
  INODE_PARENT_OFFSET,
  INODE_SIZE_OFFSET,
  INODE_XATTR_OFFSET,
  TIME_NANOSECONDS_OFFSET,
} from '../../assembly/layout/inode.ts';
import {
  SNAPSHOT_ENTRY_SIZE,
  SNAPSHOT_KIND_OFFSET,
  SNAPSHOT_RESERVED_OFFSET,
} from '../../assembly/layout/snapshot.ts';
import {
  VOLUME_STATE_BLOCKS_FREE_OFFSET,
  VOLUME_STATE_BLOCKS_SUMMARY_OFFSET,
  VOLUME_STATE_DELETE_CURSOR_OFFSET,
  VOLUME_STATE_DELETING_OFFSET,
  VOLUME_STATE_PARENT_OFFSET,
  VOLUME_STATE_RESERVED_OFFSET,
  VOLUME_STATE_SNAPSHOTS_OFFSET,
} from '../../assembly/layout/volume-state.ts';
import { runSync } from '../../host/base/task.ts';
import { insert, remove } from '../../host/filesystem/directory.ts';
import { LEVEL_XATTR, PRESENT } from '../../host/filesystem/file-node.ts';
import type { VerifyProblem, VerifyProblemKind } from '../../host/filesystem/verify/verify.ts';
import type { SnapshotEntry } from '../../host/format/snapshot.ts';
import { getU64, setU64 } from '../../host/format/words.ts';
import { VerifyWorld } from './verify-world.ts';

const test = suite('verify of damaged volumes');
const encoder = new TextEncoder();

interface Case {
  /** What was done. */
  readonly damage: string;
  readonly make: (world: VerifyWorld) => void;
  /** What must be found, each at least once. */
  readonly finds: readonly VerifyProblemKind[];
  /** What may be found with it. */
  readonly besides?: readonly VerifyProblemKind[];
  /** Of one of the problems. */
  readonly path?: string;
  readonly snapshot?: string;
}

const addTo = (offset: number, change: number) => (at: number, view: DataView) =>
  setU64(view, at + offset, getU64(view, at + offset) + change);

/** Copies one pointer of a file's inode over another file's. */
function copyPointer(world: VerifyWorld, from: string, to: string, index = 0): void {
  const source = world.inodeAt(world.ino(from)) + INODE_DATA_OFFSET;
  const words = world.core.arena.u8.slice(source, source + 16);
  world.inode(to, (at) => world.core.arena.u8.set(words, at + INODE_DATA_OFFSET + 16 * index));
}

function entryOf(world: VerifyWorld, name: string): SnapshotEntry {
  return world.core.snapshots.byName(name) as SnapshotEntry;
}

/** Changes a snapshot's entry, fields that never change in sound volumes too. */
function changeEntry(world: VerifyWorld, name: string, change: (entry: Mutable) => void): void {
  const entry = entryOf(world, name);
  world.core.snapshots.update(entry.id, () => change(entry as Mutable));
  world.commit();
}
type Mutable = { -readonly [K in keyof SnapshotEntry]: SnapshotEntry[K] };

const MAPS: readonly Case[] = [
  {
    damage: 'a free block is set in the active map',
    make: (w) => w.bit(w.core.maps.files.active, w.freeVbn(), true),
    finds: ['leaked-block'],
    besides: ['counter', 'area-count'],
  },
  {
    damage: 'a block of a file is not set in the active map',
    make: (w) => w.bit(w.core.maps.files.active, w.pointer('/d/small', 1), false),
    finds: ['missing-block'],
    // Snapshots have it too.
    besides: ['counter', 'area-count', 'summary-missing'],
  },
  {
    damage: 'vbn 0 is set in the active map',
    make: (w) => w.bit(w.core.maps.files.active, 0, true),
    finds: ['map-range'],
    besides: ['counter'],
  },
  {
    damage: 'a vbn beyond the volume is set in the summary map',
    make: (w) => w.bit(w.core.maps.files.summary, w.core.volume.vbnLimit + 5, true),
    finds: ['map-range'],
    besides: ['counter'],
  },
  {
    damage: 'a block is set in both maps',
    make: (w) => w.bit(w.core.maps.files.summary, w.pointer('/d/small', 0), true),
    finds: ['map-overlap', 'summary-leaked'],
    besides: ['counter'],
  },
  {
    damage: 'a free block is set in the summary map',
    make: (w) => w.bit(w.core.maps.files.summary, w.freeVbn(), true),
    finds: ['summary-leaked'],
    besides: ['counter', 'area-count'],
  },
  {
    damage: 'a block that only a snapshot has is not set in the summary map',
    make: (w) => w.bit(w.core.maps.files.summary, snapshotOnly(w), false),
    finds: ['summary-missing'],
    besides: ['counter', 'area-count'],
  },
  {
    damage: 'the area table counts one block more',
    make: (w) => {
      const { used } = w.core.maps.areas;
      used[0] = (used[0] as number) + 1;
      w.inode('/inline', () => {});
    },
    finds: ['area-count'],
  },
  {
    damage: 'the area table has an entry for an area that is not',
    make: (w) => w.volumeFile('areaTable', (bytes) => bytes.fill(1, 4000, 4002)),
    finds: ['map-range'],
  },
  {
    damage: 'the image root counts a block more',
    make: (w) => {
      w.core.maps.activeCount++;
      w.inode('/inline', () => {});
    },
    finds: ['counter'],
  },
  {
    damage: 'the volume state counts a free block more',
    make: (w) => w.state((view) => addTo(VOLUME_STATE_BLOCKS_FREE_OFFSET, 1)(0, view)),
    finds: ['counter'],
  },
  {
    damage: 'the volume state counts a held block more',
    make: (w) => w.state((view) => addTo(VOLUME_STATE_BLOCKS_SUMMARY_OFFSET, 1)(0, view)),
    finds: ['counter'],
  },
  {
    damage: 'the number of a used inode is free in the inode map',
    make: (w) => w.bit(w.core.image.inodeMap, w.ino('/large'), false),
    finds: ['inode-map', 'counter'],
  },
  {
    damage: 'the number of a free inode is used in the inode map',
    make: (w) => w.bit(w.core.image.inodeMap, w.core.image.inodeLimit - 1 + 2, true),
    finds: ['map-range', 'counter'],
  },
  {
    damage: 'one of the numbers that are never given out is free in the inode map',
    make: (w) => w.bit(w.core.image.inodeMap, 7, false),
    finds: ['inode-map', 'counter'],
  },
  {
    damage: 'the image root counts an inode less',
    make: (w) => w.root(addTo(IMAGE_ROOT_INODES_USED_OFFSET, -1)),
    finds: ['counter'],
  },
  {
    damage: 'inodes are in use above the limit',
    make: (w) => w.root(addTo(IMAGE_ROOT_INODE_LIMIT_OFFSET, -1)),
    finds: ['inode-number'],
    // Nothing leads to an inode above the limit.
    besides: ['map-range', 'directory-unreadable'],
  },
];

/** A block that snapshot "one" has and the active file system has not. */
function snapshotOnly(world: VerifyWorld): number {
  const { vbn } = entryOf(world, 'one').imageRoot;
  return vbn;
}

const BLOCKS: readonly Case[] = [
  {
    damage: 'two files have one block',
    make: (w) => copyPointer(w, '/d/small', '/d/e/tail'),
    finds: ['doubly-owned', 'leaked-block'],
    path: '/d/e/tail',
  },
  {
    damage: 'a file has one block twice',
    make: (w) => copyPointer(w, '/d/small', '/d/small', 1),
    finds: ['doubly-owned', 'leaked-block'],
  },
  {
    damage: 'a file has a block of the snapshot table',
    make: (w) => {
      const from = VOLUME_STATE_SNAPSHOTS_OFFSET + INODE_DATA_OFFSET;
      const words = w.store.state.slice(from, from + 16);
      words[6] = 0x11;
      w.inode('/d/e/tail', (at) => w.core.arena.u8.set(words, at + INODE_DATA_OFFSET));
    },
    finds: ['doubly-owned', 'leaked-block'],
    besides: ['missing-block', 'bad-block'],
  },
  {
    damage: 'a pointer leads to a vbn in no range',
    make: (w) => w.inode('/d/small', (at, view) => view.setUint32(at + INODE_DATA_OFFSET, 5, true)),
    finds: ['bad-pointer'],
    path: '/d/small',
  },
  {
    damage: 'a pointer to data says that it leads to pointers',
    make: (w) => w.inode('/d/small', (at, view) => view.setUint8(at + INODE_DATA_OFFSET + 6, 0x21)),
    finds: ['bad-pointer'],
  },
  {
    damage: 'a pointer has an unknown checksum algorithm',
    make: (w) => w.inode('/d/small', (at, view) => view.setUint8(at + INODE_DATA_OFFSET + 6, 0x13)),
    finds: ['bad-pointer'],
  },
  {
    damage: 'a pointer has reserved bits set',
    make: (w) => w.inode('/d/small', (at, view) => view.setUint8(at + INODE_DATA_OFFSET + 7, 1)),
    finds: ['bad-pointer'],
  },
  {
    damage: 'a hole has a checksum',
    make: (w) => w.inode('/d/small', (at, view) => view.setUint8(at + INODE_DATA_OFFSET + 120, 1)),
    finds: ['bad-pointer'],
  },
  {
    damage: 'a block of data has rotted',
    make: (w) => w.rot(w.pointer('/d/small', 1)),
    finds: ['bad-block'],
    path: '/d/small',
  },
  {
    damage: 'an indirect block has rotted',
    make: (w) => w.rot(w.pointer('/large', 0)),
    finds: ['bad-block'],
    path: '/large',
  },
  {
    damage: 'a directory has rotted',
    make: (w) => w.rot(w.pointer('/d/e', 0)),
    finds: ['bad-block'],
    besides: ['directory-unreadable'],
    path: '/d/e',
  },
  {
    damage: 'a block of the inode file has rotted',
    make: (w) => w.rot(w.core.image.inodeFile.find(PRESENT, 0, 1)?.vbn as number),
    finds: ['bad-block'],
    besides: [
      'inode-map',
      'dangling-entry',
      'missing-block',
      'directory-unreadable',
      'zombie-queue',
    ],
  },
  {
    damage: 'the active map has rotted',
    make: (w) => w.rot(w.core.maps.files.active.find(PRESENT, 0, 0)?.vbn as number),
    finds: ['bad-block'],
    besides: ['counter'],
  },
  {
    damage: 'the image root has rotted',
    make: (w) => w.rot(w.core.image.rootPointer.vbn),
    finds: ['bad-block'],
  },
  {
    damage: 'a block that only a snapshot has has rotted',
    make: (w) => w.rot(snapshotFileBlock(w)),
    finds: ['bad-block'],
    snapshot: 'one',
  },
  {
    damage: 'the image root of a snapshot has rotted',
    make: (w) => w.rot(entryOf(w, 'one').imageRoot.vbn),
    finds: ['bad-block'],
    snapshot: 'one',
  },
];

/** The first block of /d/small as snapshot "one" has it. */
function snapshotFileBlock(world: VerifyWorld): number {
  const ino = world.ino('/d/small');
  const { fs } = world;
  const image = world.snapshots.image(entryOf(world, 'one').id);
  const block = runSync(fs.loadUntilReady((access) => image.node(access, ino).find(access, 0, 0)));
  return block?.vbn as number;
}

const INODES: readonly Case[] = [
  {
    damage: 'an inode counts a block more',
    make: (w) => w.inode('/large', addTo(INODE_BLOCKS_OFFSET, 1)),
    finds: ['block-count'],
    path: '/large',
  },
  {
    damage: 'a file ends before its last block',
    make: (w) => w.inode('/d/small', (at, view) => setU64(view, at + INODE_SIZE_OFFSET, 4096)),
    finds: ['block-beyond-end'],
    path: '/d/small',
  },
  {
    damage: 'a block has bytes beyond the end of the file',
    make: (w) => w.inode('/d/e/tail', (at, view) => setU64(view, at + INODE_SIZE_OFFSET, 5900)),
    finds: ['tail'],
    path: '/d/e/tail',
  },
  {
    damage: 'an inode has bytes beyond the end of the file',
    make: (w) => w.inode('/inline', (at, view) => setU64(view, at + INODE_SIZE_OFFSET, 50)),
    finds: ['tail'],
  },
  {
    damage: 'an inode has no type',
    make: (w) =>
      w.inode('/large', (at, view) => view.setUint32(at + INODE_MODE_OFFSET, 0o644, true)),
    finds: ['inode', 'entry-kind'],
  },
  {
    damage: 'an inode has a time of more than a second',
    make: (w) =>
      w.inode('/large', (at, view) => {
        view.setUint32(at + INODE_ATIME_OFFSET + TIME_NANOSECONDS_OFFSET, 1e9, true);
      }),
    finds: ['inode'],
  },
  {
    damage: 'an inode has an unknown flag',
    make: (w) => w.inode('/large', (at, view) => view.setUint8(at + INODE_FLAGS_OFFSET, 64)),
    finds: ['inode'],
  },
  {
    damage: 'a file has a parent',
    make: (w) => w.inode('/large', (at, view) => setU64(view, at + INODE_PARENT_OFFSET, 1)),
    finds: ['reserved'],
  },
  {
    damage: 'a free inode is not empty',
    make: (w) => w.inode(3, (at, view) => view.setUint8(at + 200, 1)),
    finds: ['reserved'],
  },
  {
    damage: 'an inode number that is never given out is in use',
    make: (w) => w.inode(3, (at, view) => view.setUint32(at + INODE_MODE_OFFSET, 0o100644, true)),
    finds: ['inode-number', 'unreachable'],
  },
  {
    damage: 'a symbolic link is empty',
    make: (w) =>
      w.inode('/link', (at, view) => {
        setU64(view, at + INODE_SIZE_OFFSET, 0);
        view.setUint32(at + INODE_DATA_OFFSET, 0, true);
        view.setUint32(at + INODE_DATA_OFFSET + 4, 0, true);
      }),
    finds: ['symlink-size'],
    path: '/link',
  },
  {
    damage: 'an xattr block counts an attribute more',
    make: (w) => {
      const node = () => w.core.image.keptNode(w.ino('/d/small'));
      const kept = node();
      w.change(
        (access) => kept.find(access, LEVEL_XATTR, 0),
        () => {
          const { address } = kept.change(LEVEL_XATTR, 0);
          w.view.setUint16(address + 4, 2, true);
        },
      );
      w.commit();
    },
    finds: ['xattr'],
    path: '/d/small',
  },
  {
    damage: 'a pointer to attributes is lost',
    make: (w) =>
      w.inode('/d/small', (at) => w.core.arena.u8.fill(0, at + INODE_XATTR_OFFSET, at + 128)),
    finds: ['block-count', 'leaked-block'],
  },
];

const NAMES: readonly Case[] = [
  {
    damage: 'a file counts a link more',
    make: (w) => w.inode('/large', (at, view) => view.setUint32(at + INODE_LINKS_OFFSET, 2, true)),
    finds: ['link-count'],
    path: '/large',
  },
  {
    damage: 'a directory counts a link less',
    make: (w) => w.inode('/d', (at, view) => view.setUint32(at + INODE_LINKS_OFFSET, 2, true)),
    finds: ['link-count'],
    path: '/d',
  },
  {
    damage: 'an entry leads to a free inode',
    make: (w) => {
      w.directory('/other', (b) => insert(b, encoder.encode('gone'), 900_000, DIRECTORY_KIND_FILE));
    },
    finds: ['dangling-entry'],
    path: '/other',
  },
  {
    damage: 'an entry is of another kind than its inode',
    make: (w) => {
      const ino = w.ino('/inline');
      w.directory('/', (b) => {
        remove(b, encoder.encode('inline'));
        insert(b, encoder.encode('inline'), ino, DIRECTORY_KIND_DIRECTORY);
      });
    },
    finds: ['entry-kind'],
  },
  {
    damage: 'a file has lost its name',
    make: (w) => w.directory('/', (b) => remove(b, encoder.encode('large'))),
    finds: ['unreachable'],
  },
  {
    damage: 'a directory has lost its name',
    make: (w) => w.directory('/d/e', (b) => remove(b, encoder.encode('f'))),
    finds: ['unreachable', 'link-count'],
  },
  {
    damage: 'a directory has two names',
    make: (w) => {
      const ino = w.ino('/d/e');
      w.directory('/other', (b) => insert(b, encoder.encode('e2'), ino, DIRECTORY_KIND_DIRECTORY));
    },
    finds: ['directory-twice', 'link-count'],
    besides: ['directory-parent'],
  },
  {
    damage: 'the root has a name',
    make: (w) => {
      w.directory('/other', (b) => insert(b, encoder.encode('up'), 1, DIRECTORY_KIND_DIRECTORY));
    },
    finds: ['directory-twice', 'link-count'],
  },
  {
    damage: 'a directory states another parent',
    make: (w) => w.inode('/d/e', (at, view) => setU64(view, at + INODE_PARENT_OFFSET, 1)),
    finds: ['directory-parent'],
    path: '/d/e',
  },
  {
    damage: 'a directory lies within itself',
    make: (w) => {
      const ino = w.ino('/d');
      w.directory('/d/e', (b) => insert(b, encoder.encode('d'), ino, DIRECTORY_KIND_DIRECTORY));
      w.directory('/', (b) => remove(b, encoder.encode('d')));
    },
    finds: ['directory-cycle'],
    besides: ['link-count', 'directory-parent'],
  },
  {
    damage: 'a directory counts an entry more',
    make: (w) => {
      w.directory('/d', (b) => {
        const at = b.change(0) + DIRECTORY_ENTRIES_OFFSET;
        setU64(b.view, at, getU64(b.view, at) + 1);
      });
    },
    finds: ['directory-node'],
    path: '/d',
  },
  {
    damage: 'a directory has a reserved byte that is not zero',
    make: (w) =>
      w.directory('/d', (b) => b.view.setUint8(b.change(0) + DIRECTORY_RESERVED2_OFFSET, 1)),
    finds: ['directory-reserved'],
  },
  {
    damage: 'an entry has another hash than its name',
    make: (w) => w.directory('/d/e', (b) => flip(b.view, b.change(0) + DIRECTORY_SLOTS_OFFSET)),
    finds: ['directory-hash'],
    besides: ['directory-order'],
  },
  {
    damage: 'a directory has no block',
    make: (w) => w.inode('/other', (at) => w.core.arena.u8.fill(0, at + 128, at + 256)),
    finds: ['directory-node', 'block-count', 'leaked-block'],
  },
  {
    damage: 'a directory has a size of half a block more',
    make: (w) => w.inode('/other', addTo(INODE_SIZE_OFFSET, 2048)),
    finds: ['directory-size'],
  },
  {
    damage: 'the tail of the zombie queue is another',
    make: (w) => w.root((at, view) => setU64(view, at + IMAGE_ROOT_ZOMBIE_TAIL_OFFSET, 17)),
    finds: ['zombie-queue'],
  },
  {
    damage: 'the zombie queue leads to a file that has a name',
    make: (w) => {
      const ino = w.ino('/large');
      w.root((at, view) => setU64(view, at + IMAGE_ROOT_ZOMBIE_HEAD_OFFSET, ino));
    },
    finds: ['zombie-queue'],
  },
  {
    damage: 'the zombie queue leads back into itself',
    make: (w) => w.inode(w.zombie, (at, view) => setU64(view, at + INODE_NEXT_OFFSET, w.zombie)),
    finds: ['zombie-queue'],
  },
  {
    damage: 'a zombie is not in the queue',
    make: (w) =>
      w.root((at, view) => {
        setU64(view, at + IMAGE_ROOT_ZOMBIE_HEAD_OFFSET, 0);
        setU64(view, at + IMAGE_ROOT_ZOMBIE_TAIL_OFFSET, 0);
        setU64(view, at + IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET, 0);
      }),
    finds: ['zombie-queue'],
  },
  {
    damage: 'the blocks of zombies are counted wrong',
    make: (w) => w.root(addTo(IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET, 1)),
    finds: ['counter'],
  },
  {
    damage: 'a file that has a name is marked as a zombie',
    make: (w) => {
      w.inode('/inline', (at, view) => view.setUint8(at + INODE_FLAGS_OFFSET, INODE_FLAG_ZOMBIE));
    },
    finds: ['zombie-named', 'zombie-queue'],
    besides: ['link-count'],
  },
];

function flip(view: DataView, at: number): void {
  view.setUint8(at, view.getUint8(at) ^ 1);
}

const VOLUME: readonly Case[] = [
  {
    damage: 'a reserved byte of the volume state is not zero',
    make: (w) => w.state((view) => view.setUint8(VOLUME_STATE_RESERVED_OFFSET + 9, 1)),
    finds: ['state'],
  },
  {
    damage: 'a reserved byte of the image root is not zero',
    make: (w) => w.root((at, view) => view.setUint8(at + IMAGE_ROOT_RESERVED2_OFFSET, 1)),
    finds: ['reserved'],
  },
  {
    damage: 'a reserved byte of the snapshot table is not zero',
    make: (w) =>
      w.volumeFile('snapshotTable', (bytes) => {
        bytes.fill(1, SNAPSHOT_ENTRY_SIZE + SNAPSHOT_RESERVED_OFFSET + 3, 1024 + 341);
      }),
    finds: ['snapshot-entry'],
  },
  {
    damage: 'an entry of the snapshot table has another magic',
    make: (w) => w.volumeFile('snapshotTable', (bytes) => bytes.fill(9, 0, 1)),
    finds: ['snapshot-entry'],
  },
  {
    damage: 'an entry of the snapshot table is of an unknown kind',
    make: (w) =>
      w.volumeFile('snapshotTable', (bytes) => {
        bytes.fill(9, SNAPSHOT_KIND_OFFSET, SNAPSHOT_KIND_OFFSET + 1);
      }),
    finds: ['snapshot-entry'],
  },
  {
    damage: 'two snapshots have one name',
    make: (w) => changeEntry(w, 'two', (entry) => (entry.name = 'one')),
    finds: ['snapshot-entry'],
  },
  {
    damage: 'two snapshots have one id',
    make: (w) =>
      w.volumeFile('snapshotTable', (bytes) => bytes.set(bytes.subarray(8, 16), 1024 + 8)),
    finds: ['snapshot-entry'],
    besides: ['snapshot-tree'],
  },
  {
    damage: 'a snapshot has an id that was never given out',
    make: (w) => w.volumeFile('snapshotTable', (bytes) => bytes.fill(99, 1024 + 8, 1024 + 9)),
    finds: ['snapshot-entry', 'snapshot-tree'],
  },
  {
    damage: 'a snapshot has a parent that is not there',
    make: (w) => changeEntry(w, 'two', (entry) => (entry.parent = 77)),
    finds: ['snapshot-tree'],
  },
  {
    damage: "two snapshots are each other's parents",
    make: (w) => changeEntry(w, 'one', (entry) => (entry.parent = entryOf(w, 'two').id)),
    finds: ['snapshot-tree'],
  },
  {
    damage: 'the active file system has a parent that is not there',
    make: (w) => w.state((view) => setU64(view, VOLUME_STATE_PARENT_OFFSET, 55)),
    finds: ['snapshot-tree'],
  },
  {
    damage: 'a snapshot counts a block more',
    make: (w) => changeEntry(w, 'one', (entry) => entry.blocks++),
    finds: ['snapshot-plane'],
  },
  {
    damage: 'a snapshot states another CP',
    make: (w) => changeEntry(w, 'one', (entry) => entry.cp++),
    finds: ['snapshot-plane'],
  },
  {
    damage: 'a snapshot has another plane than its image',
    make: (w) => changeEntry(w, 'one', (entry) => entry.plane.fill(1, 130, 131)),
    finds: ['snapshot-plane'],
  },
  {
    damage: 'a snapshot is deleted and held',
    make: (w) =>
      changeEntry(w, 'one', (entry) => {
        entry.isDeleted = true;
        entry.holds = 2;
      }),
    finds: ['snapshot-entry'],
  },
  {
    damage: 'a snapshot is being deleted that nobody asked to delete',
    make: (w) => w.state((view) => setU64(view, VOLUME_STATE_DELETING_OFFSET, 1)),
    finds: ['state'],
  },
  {
    damage: 'no snapshot is being deleted, up to a block',
    make: (w) => w.state((view) => setU64(view, VOLUME_STATE_DELETE_CURSOR_OFFSET, 32768)),
    finds: ['state'],
  },
];

function describe(problems: readonly VerifyProblem[]): string {
  return problems.map((p) => `${p.kind} (${p.path ?? ''}): ${p.message}`).join('\n');
}

test('the volume is sound before', () => {
  const report = new VerifyWorld().verify();
  assert.is(report.problemCount, 0, describe(report.problems));
  assert.is(report.snapshotCount, 2);
});

for (const one of [...MAPS, ...BLOCKS, ...INODES, ...NAMES, ...VOLUME]) {
  test(one.damage, () => {
    const world = new VerifyWorld();
    one.make(world);
    const { problems } = world.verify();
    const found = new Set(problems.map(({ kind }) => kind));
    const text = describe(problems);
    for (const kind of one.finds) assert.ok(found.has(kind), `${kind} is not among\n${text}`);
    const allowed = [...one.finds, ...(one.besides ?? [])];
    for (const kind of found) assert.ok(allowed.includes(kind), `${kind} is too much:\n${text}`);
    if (one.path !== undefined) {
      assert.ok(
        problems.some(({ path }) => path === one.path),
        `no ${one.path}:\n${text}`,
      );
    }
    if (one.snapshot !== undefined) {
      assert.ok(
        problems.some(({ snapshot }) => snapshot === one.snapshot),
        text,
      );
    }
  });
}

test.run();
