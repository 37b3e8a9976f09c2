// Verify: walks everything from the newest root on disk, computes anew what maps, counts and links
// must be, and names what does not fit. It finds and never mends.
//
// It looks at the medium, not at memory: the volume state that the newest root holds, every block
// read past the cache. While it runs, messages are held off; what was modified before is committed
// first (not on read-only mounts: there the image on disk is checked, without what was replayed).
//
//   volume files    their trees; snapshot table
//   active image    its trees, names, maps
//   snapshots       each the same way against its own plane, data that is shared read once
//   summary map     = (planes of the snapshots, blocks of volume files) without the active map
//   area table, counters
//
// The snapshot being deleted counts as gone below its cursor (ENGINE 27): its blocks there may hold
// something else by now, so its tree is not walked; above the cursor its plane counts. The plane's
// own blocks are needed until the end, wherever they lie: below the cursor they may be held or
// free.
//
// Memory: four planes (32 MiB each for 1 TiB in use), some 21 bytes an inode, and an eighth of the
// cache's frames at a time.

import {
  AREA_STRIPES_SHIFT,
  BITS_PER_BLOCK,
  KIND_IMAGE_ROOT,
  KIND_MAP,
} from '../../../assembly/layout/block.ts';
import { IMAGE_ROOT_ACTIVE_MAP_OFFSET } from '../../../assembly/layout/image-root.ts';
import { StorageError } from '../../base/errors.ts';
import { type Io, type Step, Task, wait } from '../../base/task.ts';
import type { Address, Vbn } from '../../base/units.ts';
import { checksumHex, type Pointer } from '../../format/pointer.ts';
import type { SnapshotEntry } from '../../format/snapshot.ts';
import type { FileSystem } from '../file-system.ts';
import { deletionEndOf } from '../snapshot-deletion.ts';
import { BlockReader } from './block-reader.ts';
import { checkSpecialInode, ImageCheck, type ImageResult } from './image-check.ts';
import { Plane, popcount, WORDS_PER_PAGE } from './plane.ts';
import { compareMap, type MapPointers, noteShared, pagesOf } from './planes.ts';
import { Findings, type VerifyReport } from './report.ts';
import { Owner, type Place, TreeWalk, type VerifyContext } from './tree-walk.ts';
import {
  checkAreaTable,
  checkSnapshotTable,
  readVolumeFiles,
  type VolumeFiles,
} from './volume-files.ts';

export type { VerifyProblem, VerifyProblemKind, VerifyReport } from './report.ts';

export interface VerifyOptions {
  /** Whether blocks of files are read and compared with their checksums; true by default. */
  readonly readData?: boolean;
  /** Blocks checked, of those in use. */
  readonly onProgress?: (done: number, total: number) => void;
  /** Asked between reads; what it throws ends the verify. */
  readonly signal?: { throwIfAborted(): void };
}

/** Checks the whole volume. Messages wait until it has ended; it must not be run by one. @throws
 *  StorageError VOLUME_CLOSED, VOLUME_FAILED; INVALID_ARGUMENT where the cache is too small. */
export function* verify(fs: FileSystem, options: VerifyOptions = {}): Step<VerifyReport> {
  const { core } = fs;
  core.refuseIfUnusable();
  while (core.barrier !== undefined) yield* wait(core.barrier.asIo());
  const gate = new Gate();
  const barrier = new Task(gate.wait());
  core.barrier = barrier;
  const wasQuiet = fs.isQuiet;
  try {
    yield* wait(fs.driver.drain());
    if (!core.isReadOnly && !wasQuiet) yield* fs.quiesce();
    fs.isQuiet = true;
    return yield* new VerifyRun(fs, options).run();
  } finally {
    core.barrier = undefined;
    fs.isQuiet = wasQuiet;
    gate.open();
    fs.wakeBackground();
  }
}

/** What messages wait for meanwhile. */
class Gate {
  #open: () => void = () => {};
  readonly #opened = new Promise<void>((resolve) => {
    this.#open = resolve;
  });

  open(): void {
    this.#open();
  }

  *wait(): Step<void> {
    const io: Io<void> = {
      start: () => this.#opened,
      startSync: () => {
        throw new StorageError('UNSUPPORTED_FEATURE', 'a sync call came during a verify', {
          hint: 'await the verify first',
        });
      },
    };
    yield* wait(io);
  }
}

class VerifyRun {
  readonly #findings = new Findings();
  readonly #context: VerifyContext;
  /** The active map as it stands on disk. */
  readonly #active = new Plane();
  /** What snapshots and volume files hold. */
  readonly #held = new Plane();
  /** The plane's own blocks of the snapshot being deleted. */
  readonly #optional = new Plane();
  /** Pages of the active map that could be read. */
  readonly #known = new Set<number>();
  /** Planes could not be read in full: nothing can be called leaked. */
  #isHeldPartial = false;
  #reachedCount = 0;

  constructor(fs: FileSystem, options: VerifyOptions) {
    const { core } = fs;
    const { maps } = core;
    const total = maps.activeCount + maps.summaryCount;
    this.#context = {
      core,
      reader: new BlockReader(core),
      findings: this.#findings,
      readsData: options.readData ?? true,
      walked: new Plane(),
      onReached: (vbn) => {
        if (!this.#active.has(vbn) && !this.#held.has(vbn)) this.#reachedCount++;
      },
      pause: () => {
        options.signal?.throwIfAborted();
        options.onProgress?.(Math.min(this.#reachedCount, total), total);
      },
    };
  }

  *run(): Step<VerifyReport> {
    const files = yield* readVolumeFiles(this.#context);
    checkSnapshotTable(files);
    const active = yield* this.#checkActive(files);
    const pageCount = Math.ceil(this.#context.core.volume.vbnLimit / BITS_PER_BLOCK);
    if (this.#known.size < pageCount) this.#isHeldPartial = true;
    for (const index of files.owner.reached.pages()) {
      this.#held.unite(index, files.owner.reached.page(index) as Uint32Array, 0);
    }
    yield* this.#checkSnapshots(files);
    const summaryCount = yield* this.#checkSummary(files);
    const activeCount = active?.blockCount ?? this.#active.count;
    if (this.#known.size === pageCount) this.#checkState(files, activeCount, summaryCount);
    const { findings, reader } = this.#context;
    const counts = active?.counts;
    return {
      problems: findings.problems,
      problemCount: findings.count,
      blockCount: activeCount + summaryCount,
      inodeCount: counts?.inodes ?? 0,
      fileCount: counts?.files ?? 0,
      directoryCount: counts?.directories ?? 0,
      symlinkCount: counts?.symlinks ?? 0,
      snapshotCount: files.entries.length,
      bytesRead: reader.bytesRead,
    };
  }

  // Images.

  *#checkActive(files: VolumeFiles): Step<ImageResult | undefined> {
    const { u32 } = this.#context.core.arena;
    const result = yield* new ImageCheck(this.#context, files.state.imageRoot).run(
      (index, address) => {
        this.#known.add(index);
        if (address !== 0) this.#active.unite(index, u32, address >>> 2);
      },
    );
    if (result === undefined) return undefined;
    this.#noteShared(files, result);
    return result;
  }

  #noteShared(files: VolumeFiles, { owner }: ImageResult): void {
    noteShared(owner, owner.reached, files.owner.reached, {
      kind: 'doubly-owned',
      message: 'belongs to the image and to a volume file',
    });
  }

  *#checkSnapshots(files: VolumeFiles): Step<void> {
    const { u32 } = this.#context.core.arena;
    const unite = (index: number, address: Address) => {
      if (address !== 0) this.#held.unite(index, u32, address >>> 2);
    };
    /** Images that several snapshots are of, by their root. */
    const checked = new Map<string, ImageResult>();
    for (const entry of [...files.entries].sort((a, b) => a.id - b.id)) {
      const { name, imageRoot } = entry;
      if (entry.id === files.state.deleting && files.state.deleteCursor > 0) {
        yield* this.#unitePlaneAbove(files, entry);
        continue;
      }
      const key = keyOf(imageRoot);
      const known = checked.get(key);
      const result = known ?? (yield* new ImageCheck(this.#context, imageRoot, name).run(unite));
      if (result === undefined) {
        this.#isHeldPartial = true;
        continue;
      }
      if (result.owner.isPartial) this.#isHeldPartial = true;
      checked.set(key, result);
      this.#checkEntry(files, entry, result);
      if (known === undefined) this.#noteShared(files, result);
    }
  }

  #checkEntry({ owner }: VolumeFiles, entry: SnapshotEntry, result: ImageResult): void {
    const { name, plane, blocks, cp } = entry;
    const note = (message: string) => owner.note('snapshot-plane', `snapshot ${name}: ${message}`);
    if (!plane.every((byte, at) => byte === result.plane[at])) note("its plane is not its image's");
    if (cp !== result.cp) note(`it says CP ${cp}, its image ${result.cp}`);
    if (blocks !== result.blockCount) {
      note(`it says ${blocks} blocks, its plane has ${result.blockCount}`);
    }
  }

  /** Of the snapshot being deleted: what its plane has at and above the cursor; the blocks that the
   *  plane consists of are freed last, and may still be held or not. */
  *#unitePlaneAbove(files: VolumeFiles, entry: SnapshotEntry): Step<void> {
    const { core, reader } = this.#context;
    const first = Math.floor(files.state.deleteCursor / BITS_PER_BLOCK);
    if (files.state.deleteCursor >= deletionEndOf(core)) return;
    const owner = new Owner(this.#findings, entry.name);
    const map: MapPointers = new Map();
    const walk = new TreeWalk(this.#context, owner);
    const { view, u32 } = core.arena;
    const fail = (what: string, error: Error) => {
      this.#isHeldPartial = true;
      owner.note('bad-block', `${what} of the snapshot being deleted: ${error.message}`);
    };
    yield* reader.each([{ pointer: { ...entry.imageRoot, kind: KIND_IMAGE_ROOT } }], {
      keeps: () => false,
      visit: (_item, address) => {
        const at = address + IMAGE_ROOT_ACTIVE_MAP_OFFSET;
        const options = { name: 'its plane', kind: KIND_MAP };
        const file = checkSpecialInode(owner, view, at, options);
        const onLeaf = ({ index, pointer }: Place) => void map.set(index, pointer);
        if (file !== undefined) walk.add({ ...file, onLeaf }, view, at, true);
      },
      fail: (_item, error) => fail('the image root', error),
    });
    yield* walk.drain(true);
    if (owner.isPartial) this.#isHeldPartial = true;
    this.#optional.add(entry.imageRoot.vbn);
    for (const index of owner.reached.pages()) {
      this.#optional.unite(index, owner.reached.page(index) as Uint32Array, 0);
    }
    const items = [...map]
      .filter(([index]) => index >= first)
      .map(([index, pointer]) => ({ index, pointer }));
    yield* reader.each(items, {
      keeps: () => false,
      visit: ({ index }, address) => this.#held.unite(index, u32, address >>> 2),
      fail: (_item, error) => fail('the plane', error),
    });
  }

  // Maps of the volume.

  *#checkSummary(files: VolumeFiles): Step<number> {
    const { core } = this.#context;
    const { maps, volume, arena } = core;
    const used = new Uint32Array(maps.areas.count);
    const expected = new Uint32Array(WORDS_PER_PAGE);
    const page = (index: number) => {
      const held = this.#held.page(index);
      if (held === undefined || !this.#known.has(index)) return undefined;
      const active = this.#active.page(index);
      for (let word = 0; word < WORDS_PER_PAGE; word++) {
        expected[word] = (held[word] as number) & ~(active?.[word] ?? 0);
      }
      return expected;
    };
    const owner = new Owner(this.#findings);
    const summary = new Plane();
    const count = yield* compareMap(this.#context, owner, {
      name: 'the summary map',
      map: files.summary,
      bitLimit: volume.vbnLimit,
      isBit: (vbn) => maps.areas.has(vbn),
      expected: { page },
      pages: pagesOf(volume.vbnLimit),
      optional: this.#optional,
      extra: 'summary-leaked',
      missing: 'summary-missing',
      isPartial: this.#isHeldPartial || files.owner.isPartial,
      unit: 'block',
      onPage: (index, address) => {
        if (address !== 0) summary.unite(index, arena.u32, address >>> 2);
        this.#countAreas(index, summary, used);
      },
    });
    noteShared(owner, this.#active, summary, {
      kind: 'map-overlap',
      message: 'set in the active map and in the summary map',
    });
    if (!owner.isPartial && !this.#isHeldPartial) yield* checkAreaTable(this.#context, files, used);
    return count;
  }

  /** Adds the blocks in use of one map page to their areas. */
  #countAreas(index: number, summary: Plane, used: Uint32Array): void {
    const { areas } = this.#context.core.maps;
    const a = this.#active.page(index);
    const b = summary.page(index);
    if (a === undefined && b === undefined) return;
    const wordsPerChunk = 1 << (AREA_STRIPES_SHIFT - 5);
    for (let first = 0; first < WORDS_PER_PAGE; first += wordsPerChunk) {
      const area = areas.idOf(index * BITS_PER_BLOCK + first * 32);
      if (area < 0) continue;
      let count = 0;
      for (let word = first; word < first + wordsPerChunk; word++) {
        count += popcount((a?.[word] ?? 0) | (b?.[word] ?? 0));
      }
      used[area] = (used[area] as number) + count;
    }
  }

  #checkState(files: VolumeFiles, activeCount: number, summaryCount: number): void {
    const { owner, state } = files;
    const { blockCount } = this.#context.core.volume;
    const compare = (name: string, stated: number, counted: number) => {
      if (stated === counted) return;
      owner.note('counter', `the volume state says ${stated} ${name}, there are ${counted}`);
    };
    compare('blocks in the summary map', state.blocksSummary, summaryCount);
    compare('free blocks', state.blocksFree, blockCount - activeCount - summaryCount);
  }
}

function keyOf({ vbn, checksumLow, checksumHigh }: Pointer): string {
  return `${vbn as Vbn}:${checksumHex(checksumLow, checksumHigh)}`;
}
