// The file system: puts its parts together, formats and mounts, runs CPs when they are due, and
// gives Operations on the active image and on snapshots.

import {
  BITS_PER_BLOCK,
  BLOCK_SIZE,
  KIND_AREAS,
  KIND_DIRECTORY,
  KIND_MAP,
  KIND_SNAPSHOTS,
} from '../../assembly/layout/block.ts';
import {
  IMAGE_ROOT_ACTIVE_MAP_OFFSET,
  IMAGE_ROOT_BLOCKS_USED_OFFSET,
  IMAGE_ROOT_INODE_FILE_OFFSET,
  IMAGE_ROOT_INODE_LIMIT_OFFSET,
  IMAGE_ROOT_INODE_MAP_OFFSET,
  IMAGE_ROOT_INODES_USED_OFFSET,
  IMAGE_ROOT_MAGIC,
  IMAGE_ROOT_MAGIC_OFFSET,
  IMAGE_ROOT_SIZE_OFFSET,
  IMAGE_ROOT_VERSION,
  IMAGE_ROOT_VERSION_OFFSET,
  INO_FIRST,
  INO_ROOT,
} from '../../assembly/layout/image-root.ts';
import {
  INODE_LEVEL_OFFSET,
  INODE_LINKS_OFFSET,
  INODE_MODE_OFFSET,
  INODES_PER_BLOCK,
} from '../../assembly/layout/inode.ts';
import { zeroBytes } from '../base/bytes.ts';
import { isFsError, isStorageError, StorageError } from '../base/errors.ts';
import { type Step, Task, wait } from '../base/task.ts';
import type { BlockVolume } from '../device/block-volume.ts';
import { inodeSizeBytes, setInodeSizeBytes } from '../format/inode.ts';
import { HOLE, type Pointer } from '../format/pointer.ts';
import {
  decodeVolumeState,
  VOLUME_FILE_OFFSETS,
  VOLUME_FILES_FIRST_OFFSET,
  VOLUME_FILES_SIZE,
  type VolumeState,
} from '../format/volume-state.ts';
import { getU64, setU64 } from '../format/words.ts';
import type { Arena } from '../kernels/arena.ts';
import type { KernelExports } from '../kernels/exports.ts';
import { Allocator } from './allocator.ts';
import { Areas } from './areas.ts';
import { type Block, BlockCache, type BlockCheck } from './block-cache.ts';
import { blockProblem, specialInodeProblem } from './block-check.ts';
import { ConsistencyPoint } from './consistency-point.ts';
import { Core, type CoreEnv, HASH_BATCH, type LogPort } from './core.ts';
import { initializeDirectory } from './directory.ts';
import { Fetcher } from './fetcher.ts';
import { type Access, FileNode, heightFor, PRESENT } from './file-node.ts';
import { Image } from './image.ts';
import { Inodes } from './inodes.ts';
import { Load } from './load.ts';
import { MessageDriver } from './message-driver.ts';
import { NameCache } from './name-cache.ts';
import { S_IFDIR, S_IFREG } from './operations.ts';
import { placeAhead } from './place-ahead.ts';
import { changeDirectory } from './scope.ts';
import { DeleteSlice, finishDeletion, isDeletionComplete } from './snapshot-deletion.ts';
import { SnapshotTable } from './snapshot-table.ts';
import type { SnapshotAction } from './snapshots.ts';
import { AREAS_PER_BLOCK_SHIFT, VolumeMaps } from './volume-maps.ts';
import { Zombies } from './zombies.ts';

/** A CP at least this often while there is something dirty. */
const CP_INTERVAL_MS = 10_000;

/** Numbers in directory entries have 48 bits. */
const INODE_LIMIT_MAX = 2 ** 48;

/** Bytes of the arena that a file system takes beside its frames. */
export const FILE_SYSTEM_SCRATCH_SIZE = HASH_BATCH * 12 + VOLUME_FILES_SIZE;

export interface FileSystemParts {
  readonly volume: BlockVolume;
  readonly arena: Arena;
  readonly kernels: KernelExports;
  readonly env: CoreEnv;
  /** Frames of the buffer cache: their first address, and how many. */
  readonly frames: { readonly first: number; readonly count: number };
  /** FILE_SYSTEM_SCRATCH_SIZE bytes, 16-byte aligned. */
  readonly scratch: number;
}

interface CpUnderWay {
  task: Task<void> | undefined;
  /** What it does beside writing what is dirty is settled. */
  isPlanned: boolean;
  isFrozen: boolean;
}

export class FileSystem {
  readonly core: Core;
  readonly driver: MessageDriver;
  readonly zombies: Zombies;
  #cp: CpUnderWay | undefined;
  #isRollingBack = false;
  #actions: SnapshotAction[] = [];
  #timer: { cancel(): void } | undefined;
  #background: Task<void> | undefined;
  /** While true (replay), nothing runs in the background. */
  isQuiet = true;

  private constructor(parts: FileSystemParts) {
    const { arena, frames, scratch, volume } = parts;
    const check: BlockCheck = (pointer, address) =>
      blockProblem(arena, pointer, address, volume.vbnLimit);
    const core = new Core({
      ...parts,
      cache: new BlockCache(arena, frames, check),
      volumeFiles: scratch,
      hashList: scratch + VOLUME_FILES_SIZE,
      hashSums: scratch + VOLUME_FILES_SIZE + 4 * HASH_BATCH,
    });
    this.core = core;
    core.fetcher = new Fetcher(core.cache, core.volume, {
      check,
      cpNow: () => core.state.cp,
    });
    this.driver = new MessageDriver(core, { reclaim: () => this.#reclaim() });
    this.zombies = new Zombies(core, this.driver);
    core.requestCp = (isForced) => this.requestCp(isForced);
    core.noteModified = () => this.#noteModified();
    core.noteReleased = () => this.driver.wake();
  }

  // Format and mount.

  /** Makes an empty file system on a fresh volume and commits it. */
  static *format(parts: FileSystemParts): Step<FileSystem> {
    const fs = new FileSystem(parts);
    const { core } = fs;
    const root = core.cache.createDirty(0, 0);
    zeroBytes(core.arena.u8, root.address, root.address + BLOCK_SIZE);
    zeroBytes(core.arena.u8, core.volumeFiles, core.volumeFiles + VOLUME_FILES_SIZE);
    fs.#formatRoot(root);
    core.state = firstState(core.env);
    fs.#assemble(root, HOLE, false);
    fs.#makeRootDirectory();
    const task = fs.requestCp(true);
    if (task !== undefined) yield* wait(task.asIo());
    return fs;
  }

  /** Opens the file system that the volume's newest root describes; replay is the caller's. */
  static *mount(parts: FileSystemParts): Step<FileSystem> {
    const fs = new FileSystem(parts);
    const { core } = fs;
    const bytes = core.volume.state;
    core.state = decodeVolumeState(bytes);
    if (core.state.cp === 0) {
      throw new StorageError('NOT_A_VOLUME', 'the volume was not created to the end', {
        hint: 'create it again; nothing was ever stored in it',
      });
    }
    const files = bytes.subarray(
      VOLUME_FILES_FIRST_OFFSET,
      VOLUME_FILES_FIRST_OFFSET + VOLUME_FILES_SIZE,
    );
    core.arena.u8.set(files, core.volumeFiles);
    const pointer = core.state.imageRoot;
    const root = yield* fs.fetchBlock(pointer);
    fs.#assemble(root, pointer, core.volume.isReadOnly);
    fs.#checkFiles(root);
    yield* fs.#readTables();
    if (core.snapshots.damage === undefined) core.snapshots.checkTree(core.state);
    return fs;
  }

  /** The files that the engine itself uses have the shapes that it relies on. */
  #checkFiles(root: Block): void {
    const { arena, volume, maps, volumeFiles } = this.core;
    const { view } = arena;
    const inodeLimit = getU64(view, root.address + IMAGE_ROOT_INODE_LIMIT_OFFSET);
    const planeBlocks = Math.ceil(volume.vbnLimit / BITS_PER_BLOCK);
    const areaBlocks = ((maps.areas.count - 1) >>> AREAS_PER_BLOCK_SHIFT) + 1;
    const files = volumeFiles - VOLUME_FILES_FIRST_OFFSET;
    const wanted: readonly (readonly [name: string, at: number, blocks: number])[] = [
      ['inode file', root.address + IMAGE_ROOT_INODE_FILE_OFFSET, inodeLimit / INODES_PER_BLOCK],
      ['inode map', root.address + IMAGE_ROOT_INODE_MAP_OFFSET, inodeLimit / BITS_PER_BLOCK],
      ['active map', root.address + IMAGE_ROOT_ACTIVE_MAP_OFFSET, planeBlocks],
      ['summary map', files + VOLUME_FILE_OFFSETS.summaryMap, planeBlocks],
      ['area table', files + VOLUME_FILE_OFFSETS.areaTable, areaBlocks],
      ['snapshot table', files + VOLUME_FILE_OFFSETS.snapshotTable, 1],
    ];
    for (const [name, at, blocks] of wanted) {
      const problem =
        inodeLimit > INODE_LIMIT_MAX
          ? `inodes up to ${inodeLimit}`
          : specialInodeProblem(view, at, Math.ceil(blocks), volume.vbnLimit);
      if (problem !== undefined) throw new StorageError('BAD_MAGIC', `${name}: ${problem}`);
    }
  }

  /** One block by its pointer, clean in the cache. */
  *fetchBlock(pointer: Pointer): Step<Block> {
    const { cache, fetcher } = this.core;
    for (;;) {
      cache.beginTurn();
      const { vbn, checksumLow, checksumHigh, kind } = pointer;
      const block = cache.find(vbn, checksumLow, checksumHigh, kind);
      if (block !== undefined) return block;
      const [failure] = yield* wait(fetcher.fetch([pointer]));
      if (failure !== undefined) throw failure.error;
    }
  }

  /** Runs `load` until it finds all it needs, and returns what it returns. */
  *loadUntilReady<T>(load: (access: Access) => T): Step<T> {
    const { cache, fetcher } = this.core;
    const attempt = new Load(cache);
    attempt.isWaiting = true;
    let result: T | undefined;
    try {
      for (;;) {
        cache.beginTurn();
        const isReady = attempt.attempt((access) => {
          result = load(access);
        });
        if (isReady) return result as T;
        attempt.pinFound();
        const failures = yield* wait(fetcher.fetch([...attempt.missing]));
        for (const { pointer, error } of failures) attempt.fail(pointer, error);
      }
    } finally {
      attempt.unpin();
    }
  }

  #formatRoot(root: Block): void {
    const { view } = this.core.arena;
    const at = root.address;
    view.setUint32(at + IMAGE_ROOT_MAGIC_OFFSET, IMAGE_ROOT_MAGIC, true);
    view.setUint32(at + IMAGE_ROOT_VERSION_OFFSET, IMAGE_ROOT_VERSION, true);
    view.setUint32(at + IMAGE_ROOT_SIZE_OFFSET, BLOCK_SIZE, true);
    setU64(view, at + IMAGE_ROOT_INODE_LIMIT_OFFSET, INO_FIRST);
    // Numbers 0 and 2..15 are never given out: all but the root directory's count as used.
    setU64(view, at + IMAGE_ROOT_INODES_USED_OFFSET, INO_FIRST - 1);
    const planeBlocks = Math.ceil(this.core.volume.vbnLimit / BITS_PER_BLOCK);
    const areas = new Areas(this.core.volume.spans, this.core.volume.vbnLimit);
    const areaBlocks = ((areas.count - 1) >>> AREAS_PER_BLOCK_SHIFT) + 1;
    const files = this.core.volumeFiles - VOLUME_FILES_FIRST_OFFSET;
    this.#formatFile(at + IMAGE_ROOT_INODE_FILE_OFFSET, 1);
    this.#formatFile(at + IMAGE_ROOT_INODE_MAP_OFFSET, 1);
    this.#formatFile(at + IMAGE_ROOT_ACTIVE_MAP_OFFSET, planeBlocks);
    this.#formatFile(files + VOLUME_FILE_OFFSETS.summaryMap, planeBlocks);
    this.#formatFile(files + VOLUME_FILE_OFFSETS.areaTable, areaBlocks);
    this.#formatFile(files + VOLUME_FILE_OFFSETS.snapshotTable, 1);
  }

  /** An inode of a file without blocks whose tree reaches `blocks` of them. */
  #formatFile(at: number, blocks: number): void {
    const { view } = this.core.arena;
    view.setUint32(at + INODE_MODE_OFFSET, S_IFREG, true);
    view.setUint32(at + INODE_LINKS_OFFSET, 1, true);
    view.setUint8(at + INODE_LEVEL_OFFSET, heightFor(blocks - 1));
    setInodeSizeBytes(view, at, blocks * BLOCK_SIZE);
  }

  #makeRootDirectory(): void {
    const { image, inodes, scope, arena, env } = this.core;
    image.growInodes(INO_FIRST);
    const map = image.inodeMap.change(0, 0);
    arena.view.setUint32(map.address, (1 << INO_FIRST) - 1 - (1 << INO_ROOT), true);
    inodes.create(INO_ROOT, {
      generation: 1,
      mode: S_IFDIR | 0o755,
      links: 2,
      uid: 0,
      gid: 0,
      parent: INO_ROOT,
      time: env.clock.now(),
    });
    image.keptNode(INO_ROOT, KIND_DIRECTORY);
    const seed = { low: env.prng.u32(), high: env.prng.u32() };
    initializeDirectory(changeDirectory(scope, INO_ROOT), seed);
  }

  #volumeFile(kind: number, offset: number): FileNode {
    const { core } = this;
    const address = core.volumeFiles - VOLUME_FILES_FIRST_OFFSET + offset;
    return new FileNode(core.cache, core.reservations, {
      ino: -offset,
      kind,
      home: { read: () => address, change: () => address },
    });
  }

  #makeImage(root: Block, rootPointer: Pointer): void {
    const { core } = this;
    const { cache, arena, reservations: ledger } = core;
    // On a read-only volume too: replay changes it in memory. Messages are refused by the driver.
    core.image = new Image({ cache, ledger, root, rootPointer, isReadOnly: false });
    core.inodes = new Inodes(core.image, core.kernels);
    const takeBlock = (vbn: number) => core.reservations.take(vbn);
    const { image, inodes } = core;
    const { view, u8 } = arena;
    core.scope = { image, inodes, names: new NameCache(), view, u8, takeBlock };
  }

  /** Another image becomes the active one (rollback). */
  setImage(root: Block, rootPointer: Pointer): void {
    this.#makeImage(root, rootPointer);
    this.core.maps.files.active = this.core.image.activeMap;
  }

  /** Commits all that is dirty, and waits for background work to stand still. */
  *quiesce(): Step<void> {
    this.isQuiet = true;
    try {
      const background = this.#background;
      if (background !== undefined && !background.isSettled) yield* wait(background.asIo());
      const task = this.requestCp();
      if (task !== undefined) yield* wait(task.asIo());
    } finally {
      this.isQuiet = false;
    }
  }

  #assemble(root: Block, rootPointer: Pointer, isReadOnly: boolean): void {
    const { core } = this;
    const { cache, arena, volume } = core;
    core.isReadOnly = isReadOnly;
    this.#makeImage(root, rootPointer);
    const areas = new Areas(volume.spans, volume.vbnLimit);
    core.maps = new VolumeMaps({
      files: {
        active: core.image.activeMap,
        summary: this.#volumeFile(KIND_MAP, VOLUME_FILE_OFFSETS.summaryMap),
        areaTable: this.#volumeFile(KIND_AREAS, VOLUME_FILE_OFFSETS.areaTable),
      },
      areas,
      u32: arena.u32,
      u16: arena.u16,
      onFree: (vbn) => core.allocator.noteFree(vbn),
    });
    core.snapshots = new SnapshotTable(
      this.#volumeFile(KIND_SNAPSHOTS, VOLUME_FILE_OFFSETS.snapshotTable),
      cache,
    );
    core.allocator = new Allocator(areas, volume);
  }

  *#readTables(): Step<void> {
    const { core } = this;
    const { maps, image, arena, snapshots, volume } = core;
    yield* this.#orWarn('area table', this.#readAreas());
    const size = inodeSizeBytes(arena.view, snapshots.file.home.read(PRESENT));
    const table = this.loadUntilReady((access) => snapshots.readAll(access, size));
    snapshots.damage = yield* this.#orWarn('snapshot table', table);
    maps.activeCount = getU64(arena.view, image.root.address + IMAGE_ROOT_BLOCKS_USED_OFFSET);
    maps.summaryCount = core.state.blocksSummary;
    core.allocator = new Allocator(maps.areas, volume);
  }

  *#readAreas(): Step<void> {
    const { maps, arena } = this.core;
    const { areaTable } = maps.files;
    const blocks = ((maps.areas.count - 1) >>> AREAS_PER_BLOCK_SHIFT) + 1;
    for (let index = 0; index < blocks; index++) {
      const block = yield* this.loadUntilReady((access) => areaTable.find(access, 0, index));
      if (block === undefined) continue;
      const first = index << AREAS_PER_BLOCK_SHIFT;
      const count = Math.min(1 << AREAS_PER_BLOCK_SHIFT, maps.areas.count - first);
      const at = block.address >>> 1;
      maps.areas.used.set(arena.u16.subarray(at, at + count), first);
    }
  }

  /** A writer cannot do without the tables; a reader can, and saves what there is. */
  *#orWarn(what: string, step: Step<void>): Step<Error | undefined> {
    const { volume, env } = this.core;
    try {
      yield* step;
      return undefined;
    } catch (error) {
      if (!volume.isReadOnly || !(isFsError(error, 'EIO') || isStorageError(error))) throw error;
      env.logger.warn(`the ${what} cannot be read: ${String(error.cause ?? error.message)}`);
      return error;
    }
  }

  /** Connects the log; from here on changes are logged. */
  attachLog(log: LogPort): void {
    this.core.log = log;
  }

  /** Replay is over, or there was none: work in the background begins. */
  start(): void {
    this.isQuiet = false;
    if (!this.core.isReadOnly) this.wakeBackground();
  }

  // Consistency points.

  /** A CP that contains all that was modified until now; undefined where there is nothing to do. */
  requestCp(isForced = false): Task<void> | undefined {
    if (this.core.isReadOnly) return undefined;
    if (this.#isRollingBack) return this.core.barrier;
    const last = this.#cp;
    if (last !== undefined && !last.isFrozen) return last.task;
    if (!this.#hasWork() && !(isForced && this.core.maps.restingCount > 0)) {
      const isFirst = this.core.state.cp === 0;
      if (!isFirst) return last?.task?.isSettled === false ? last.task : undefined;
    }
    const cp: CpUnderWay = { task: undefined, isPlanned: false, isFrozen: false };
    this.#cp = cp;
    cp.task = new Task(this.#runCp(cp, last?.task));
    return cp.task;
  }

  #hasWork(): boolean {
    const { cache, reservations, snapshots, log, state } = this.core;
    return (
      cache.dirtyCount > 0 ||
      reservations.frees.length > 0 ||
      snapshots.hasChanges ||
      this.#actions.length > 0 ||
      (log !== undefined && log.lastSequence > state.logSequence)
    );
  }

  *#runCp(cp: CpUnderWay, previous: Task<void> | undefined): Step<void> {
    const { core } = this;
    try {
      if (previous !== undefined && !previous.isSettled) yield* wait(previous.asIo());
      core.refuseIfUnusable();
      yield* placeAhead(core);
      if (isDeletionComplete(core)) finishDeletion(core);
      cp.isPlanned = true;
      const actions = this.#actions;
      this.#actions = [];
      const doomed = core.snapshots.get(core.state.deleting) ?? core.snapshots.nextDeleted();
      if (doomed !== undefined && !this.isQuiet) actions.push(new DeleteSlice(core, doomed));
      const onFrozen = () => this.#frozen(cp);
      yield* new ConsistencyPoint(core, { actions, onFrozen }).run();
    } catch (error) {
      cp.isFrozen = true;
      core.fail(error);
      throw error;
    }
    if (!this.isQuiet) this.wakeBackground();
  }

  #frozen(cp: CpUnderWay): void {
    cp.isFrozen = true;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Runs the part of a rollback in which the maps in memory are in between: no CP but its own. */
  *rollingBack(step: Step<void>): Step<void> {
    this.#isRollingBack = true;
    try {
      yield* step;
    } finally {
      this.#isRollingBack = false;
    }
  }

  /** The log failed (ENGINE 21). A CP makes durable what waits for it, and answers those who wait;
   *  from then on the volume is read-only, for nothing could be acknowledged any more. */
  stopWriting(): void {
    const { core } = this;
    const end = () => {
      if (core.isReadOnly) return;
      core.isReadOnly = true;
      core.env.logger.warn('the log failed: the volume is read-only from now on');
      this.driver.wake();
    };
    const task = this.requestCp(true);
    if (task === undefined) end();
    else task.onSettled(end);
  }

  /** The CP of a rollback: nothing is dirty but the maps. Only while messages are held off. */
  *runVolumeFilesCp(): Step<void> {
    const cp: CpUnderWay = { task: undefined, isPlanned: true, isFrozen: false };
    try {
      const options = { actions: [], keepsImage: true, onFrozen: () => this.#frozen(cp) };
      yield* new ConsistencyPoint(this.core, options).run();
    } catch (error) {
      this.core.fail(error);
      throw error;
    }
  }

  /** What a CP with something to do must wait for: one that is planned already may have loaded what
   *  it needs, and one that has something to do makes a plan for that alone. */
  get planning(): Task<void> | undefined {
    if (this.#isRollingBack) return this.core.barrier;
    if (this.#cp === undefined || this.#cp.isFrozen) return undefined;
    return this.#cp.isPlanned || this.#actions.length > 0 ? this.#cp.task : undefined;
  }

  /** The CP whose root is not durable yet. */
  get committing(): Task<void> | undefined {
    if (this.#isRollingBack) return this.core.barrier;
    const task = this.#cp?.task;
    return task?.isSettled === false ? task : undefined;
  }

  /** A CP with something to do beside; gives the CP. */
  runAction(action: SnapshotAction): Task<void> {
    const { planning } = this;
    if (planning !== undefined) return new Task(this.#afterCp(planning, action));
    this.#actions.push(action);
    return this.requestCp() as Task<void>;
  }

  *#afterCp(task: Task<void>, action: SnapshotAction): Step<void> {
    yield* wait(task.asIo());
    yield* wait(this.runAction(action).asIo());
  }

  #noteModified(): void {
    if (this.#timer !== undefined || this.isQuiet) return;
    this.#timer = this.core.env.clock.after(CP_INTERVAL_MS, () => {
      this.#timer = undefined;
      if (this.core.failure === undefined && !this.core.isClosed) this.requestCp();
    });
  }

  /** Frees zombies, and moves deletions on, in the background. */
  wakeBackground(): void {
    if (this.isQuiet || this.core.isReadOnly || this.core.failure !== undefined) return;
    if (this.#background !== undefined && !this.#background.isSettled) return;
    if (!this.#hasBackgroundWork()) return;
    this.#background = new Task(this.#runBackground(), 'background');
  }

  #hasBackgroundWork(): boolean {
    const { inodes, snapshots } = this.core;
    return inodes.zombieHead !== 0 || snapshots.nextDeleted() !== undefined;
  }

  *#runBackground(): Step<void> {
    // Not in the turn of the one who woke it.
    yield* wait({ start: () => Promise.resolve(), startSync: () => undefined });
    yield* this.#reclaim();
  }

  *#reclaim(): Step<void> {
    const { core } = this;
    yield* this.zombies.work();
    while (core.snapshots.nextDeleted() !== undefined && !core.isReadOnly && !core.isClosed) {
      if (core.barrier !== undefined || core.failure !== undefined || this.isQuiet) return;
      const last = this.#cp;
      if (last?.task !== undefined && !last.task.isSettled) yield* wait(last.task.asIo());
      if (core.snapshots.nextDeleted() === undefined) return;
      // The CP adds the slice itself.
      const task = this.requestCp(true) ?? this.runAction(NOTHING);
      yield* wait(task.asIo());
    }
  }

  /** Commits everything and stops. The caller closes the volume. */
  *close(): Step<void> {
    const { core } = this;
    if (core.isClosed) return;
    this.isQuiet = true;
    this.#timer?.cancel();
    try {
      if (core.failure === undefined && !core.isReadOnly) {
        const task = this.requestCp();
        if (task !== undefined) yield* wait(task.asIo());
        const last = this.#cp?.task;
        if (last !== undefined && !last.isSettled) yield* wait(last.asIo());
      }
    } finally {
      core.isClosed = true;
    }
  }
}

/** An action that does nothing: a CP for its own sake. */
const NOTHING: SnapshotAction = {
  newSlot: undefined,
  plan() {},
  freeze() {},
  imagePlaced() {},
  updateState() {},
};

function firstState(env: CoreEnv): VolumeState {
  return {
    cp: 0,
    logSequence: 0,
    timelineLow: env.prng.u32(),
    timelineHigh: env.prng.u32(),
    previousLow: 0,
    previousHigh: 0,
    time: env.clock.now(),
    logHalf: 0,
    vbnHigh: 0,
    blocksFree: 0,
    blocksSummary: 0,
    snapshotNext: 1,
    parent: 0,
    deleting: 0,
    deleteCursor: 0,
    rollbacks: 0,
    imageRoot: HOLE,
  };
}
