// What goes ahead of a consistency point: most dirty data gets its places, and is on its way to the
// disks, before the freeze.
//
// The freeze is one turn, and would be a long one with all data in it. But a file's data need not
// wait for it: as a large write by reference does (references.ts), a data block can take a place at
// any time, in stripes that hold nothing, with its pointer entered in its parent; until the CP
// comes the vbn is "taken", and no map has it. So a CP begins by placing data in slices, each a
// short turn of its own, and the slice before is being written while the next one is checksummed.
// The freeze is left with what changed since, and with what refers to the data: indirect blocks,
// inodes, directories, maps.
//
// No log record names these places: after a crash the data comes from the log, and they are free.
// A block that changes once more is dirty again, and its place is freed like any other.

import { KIND_DATA, TETRIS_STRIPES } from '../../assembly/layout/block.ts';
import { type Step, type Task, wait } from '../base/task.ts';
import { getPointerVbn, setPointerWords } from '../format/pointer.ts';
import type { Block } from './block-cache.ts';
import type { Core } from './core.ts';
import { type FileNode, placeKey } from './file-node.ts';
import { Load } from './load.ts';
import { SlotFinder } from './placing.ts';

/** Blocks that one turn places, about: a millisecond's work. */
const SLICE_BLOCKS = 512;
/** Dirty blocks that the freeze takes without help. */
const DIRTY_MIN = 512;
/** The same, as a share of what may be dirty. */
const DIRTY_MIN_SHARE = 1 / 8;
/** Slices being written at one time. */
const SLICES_IN_FLIGHT = 2;
/** Times that it goes over what is dirty: the first pass takes a while, in which more comes. */
const PASSES_MAX = 3;

export function* placeAhead(core: Core): Step<void> {
  const { cache, dirtyMax } = core;
  const enough = Math.min(DIRTY_MIN, dirtyMax * DIRTY_MIN_SHARE);
  const underWay: Task<void>[] = [];
  for (let pass = 0; pass < PASSES_MAX && cache.dirtyCount > enough; pass++) {
    const before = cache.dirtyCount;
    const isDone = yield* placePass(core, underWay);
    if (!isDone || cache.dirtyCount > before / 2) return;
  }
}

/** Goes once over what is dirty now. False where no empty stripes are left. */
function* placePass(core: Core, underWay: Task<void>[]): Step<boolean> {
  const sliceBlocks = sliceBlocksOf(core);
  const slice = new Slice();
  const nodes = [...core.image.nodes.values()].filter((node) => node.kind === KIND_DATA);
  nodes.sort((a, b) => a.ino - b.ino);
  for (const node of nodes) {
    for (const key of dataKeys(node)) {
      slice.add(node, key);
      if (slice.length < sliceBlocks) continue;
      if (!(yield* placeSlice(core, slice, underWay))) return false;
    }
  }
  return slice.length === 0 || (yield* placeSlice(core, slice, underWay));
}

/** Whole tetrises, so that no stripe is left half full. */
function sliceBlocksOf(core: Core): number {
  const columns = Math.max(...core.volume.spans.map((span) => span.columns.length));
  const tetris = TETRIS_STRIPES * columns;
  return Math.ceil(SLICE_BLOCKS / tetris) * tetris;
}

/** Places of a node's dirty data blocks, ascending. */
function dataKeys(node: FileNode): Float64Array {
  const keys: number[] = [];
  for (const [key, { level }] of node.dirty) if (level === 0) keys.push(key);
  return Float64Array.from(keys).sort();
}

/** Blocks to place, by their files and places: which of them still are dirty is seen later. */
class Slice {
  #nodes: FileNode[] = [];
  #keys: number[] = [];

  get length(): number {
    return this.#keys.length;
  }

  add(node: FileNode, key: number): void {
    this.#nodes.push(node);
    this.#keys.push(key);
  }

  /** Calls `each` for those that are dirty now. */
  forEach(each: (node: FileNode, block: Block) => void): void {
    this.#nodes.forEach((node, index) => {
      const block = node.dirty.get(this.#keys[index] as number);
      if (block !== undefined) each(node, block);
    });
  }

  clear(): void {
    this.#nodes = [];
    this.#keys = [];
  }
}

function* placeSlice(core: Core, slice: Slice, underWay: Task<void>[]): Step<boolean> {
  if (underWay.length === SLICES_IN_FLIGHT) {
    // Also what ends the turn: calls that came meanwhile are not kept waiting.
    yield* wait((underWay.shift() as Task<void>).asIo());
  }
  const isPrepared = yield* prepareStripes(core, slice.length);
  if (isPrepared) {
    const task = placeNow(core, slice);
    if (task !== undefined) underWay.push(task);
  }
  slice.clear();
  return isPrepared;
}

/** LOAD: areas with so many blocks in empty stripes are open. Ends in the turn that found it. */
function* prepareStripes(core: Core, count: number): Step<boolean> {
  const { allocator, cache, fetcher } = core;
  const load = new Load(cache);
  load.isWaiting = true;
  let isPrepared = false;
  try {
    for (;;) {
      cache.beginTurn();
      const isLoaded = load.attempt((access) => {
        isPrepared = allocator.prepareStripes(access, core.allocatorMaps(), count);
      });
      if (isLoaded) return isPrepared;
      load.pinFound();
      const [failure] = yield* wait(fetcher.fetch([...load.missing]));
      if (failure !== undefined) throw failure.error;
    }
  } finally {
    load.unpin();
  }
}

/** In one turn: checksums, pointers in the parents, old copies freed; the blocks are clean then,
 *  and on their way. What does not fill a stripe stays dirty. */
function placeNow(core: Core, slice: Slice): Task<void> | undefined {
  const { allocator, arena, cache, reservations } = core;
  const nodes: FileNode[] = [];
  const blocks: Block[] = [];
  slice.forEach((node, block) => {
    nodes.push(node);
    blocks.push(block);
  });
  const vbns = allocator.takeWholeStripes(blocks.length);
  if (vbns.length === 0) return undefined;
  blocks.length = vbns.length;
  const liveness = allocator.claimStripes();
  const slots = new SlotFinder();
  core.hashBlocks(blocks, (block, index, low, high) => {
    const node = nodes[index] as FileNode;
    const vbn = vbns[index] as number;
    const slot = slots.of(node, block);
    const old = getPointerVbn(arena.view, slot);
    if (old !== 0) reservations.freeReplaced(old);
    setPointerWords(arena.view, slot, vbn, KIND_DATA, low, high);
    node.removeDirty(placeKey(0, block.index));
    cache.enterPlaced(block, vbn, KIND_DATA, low, high);
    reservations.take(vbn);
  });
  return core.references.write(blocks, liveness);
}
