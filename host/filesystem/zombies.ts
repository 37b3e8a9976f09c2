// The zombie worker: frees the blocks of files that have no name any more, a lowest indirect block
// with its data at a time, across CPs. It changes memory only, is not logged, and goes on after a
// mount where the last CP left it (ENGINE 12). Files that are still open (orphans) are passed over.

import { POINTERS_PER_BLOCK } from '../../assembly/layout/block.ts';
import { INODE_LEVEL_OFFSET, INODE_POINTERS } from '../../assembly/layout/inode.ts';
import { type Step, wait } from '../base/task.ts';
import type { Ino } from '../base/units.ts';
import { inodeLevel } from '../format/inode.ts';
import type { Core } from './core.ts';
import { type Access, type FileNode, PRESENT, placeKey } from './file-node.ts';
import type { Demand, Message, MessageDriver } from './message-driver.ts';

/** Pending frees at which the worker waits for a CP: bounds the freeze turn. */
const FREES_MAX = 32768;
/** The worker's steps: a path of the zombie's tree, its inode, head and tail of the queue. */
const STEP_DEMAND: Demand = { blocks: 40, logBytes: 0, isRemoval: true, isRelease: true };

type Outcome = 'again' | 'empty' | 'open';

export class Zombies {
  readonly #core: Core;
  readonly #driver: MessageDriver;
  #isWorking = false;

  constructor(core: Core, driver: MessageDriver) {
    this.#core = core;
    this.#driver = driver;
  }

  /** Frees all that can be freed now. */
  *work(): Step<void> {
    if (this.#isWorking) return;
    this.#isWorking = true;
    try {
      let firstOpen: Ino = 0;
      while (this.#core.inodes.zombieHead !== 0 && this.#mayWork()) {
        const head = this.#core.inodes.zombieHead;
        if (head === firstOpen) return;
        const outcome = yield* this.#driver.step(new ZombieStep(this.#core, head));
        if (outcome === 'empty') return;
        if (outcome === 'open' && firstOpen === 0) firstOpen = head;
        if (this.#core.reservations.frees.length < FREES_MAX) continue;
        const task = this.#core.requestCp();
        if (task !== undefined) yield* wait(task.asIo());
      }
    } finally {
      this.#isWorking = false;
    }
  }

  /** A rollback waits for the worker, not the other way round. */
  #mayWork(): boolean {
    const { isReadOnly, barrier, isClosed, failure } = this.#core;
    return !isReadOnly && barrier === undefined && !isClosed && failure === undefined;
  }
}

/** One step: some blocks of the queue's head go, or the head itself, or it is put at the tail. */
class ZombieStep implements Message<Outcome> {
  readonly demand = STEP_DEMAND;
  readonly #core: Core;
  readonly #ino: Ino;

  constructor(core: Core, ino: Ino) {
    this.#core = core;
    this.#ino = ino;
  }

  keys() {
    return [];
  }
  requests() {
    return [];
  }

  load(access: Access): void {
    const { inodes, image } = this.#core;
    if (inodes.zombieHead !== this.#ino) return;
    inodes.loadDequeue(access);
    const node = image.node(access, this.#ino);
    const target = this.#target(access, node);
    if (target !== undefined) node.find(access, target.level, target.index);
  }

  /** The lowest indirect block to cut next (level 1), or an empty one above; undefined: tree
   *  empty. */
  #target(access: Access, node: FileNode): { level: number; index: number } | undefined {
    const height = inodeLevel(this.#core.arena.view, node.home.read(access));
    let index = firstChild(access, node, height - 1, 0, INODE_POINTERS);
    if (height === 0 || index < 0) return undefined;
    let level = height - 1;
    while (level > 1) {
      const child = firstChild(
        access,
        node,
        level - 1,
        index * POINTERS_PER_BLOCK,
        POINTERS_PER_BLOCK,
      );
      if (child < 0) return { level, index };
      level--;
      index = child;
    }
    return { level, index };
  }

  modify(): Outcome {
    const { inodes, image, arena } = this.#core;
    if (inodes.zombieHead !== this.#ino) return inodes.zombieHead === 0 ? 'empty' : 'again';
    const node = image.keptNode(this.#ino);
    if (node.openCount > 0) {
      inodes.enqueue(inodes.dequeue());
      return 'open';
    }
    const target = this.#target(PRESENT, node);
    if (target === undefined) {
      inodes.dequeue();
      arena.view.setUint8(node.home.change() + INODE_LEVEL_OFFSET, 0);
      inodes.freeByWorker(node);
      return 'again';
    }
    this.#cut(node, target);
    return 'again';
  }

  #cut(node: FileNode, target: { level: number; index: number }): void {
    if (target.level === 1) node.cutWithChildren(target.index);
    else if (target.level > 1) node.cut(target.level, target.index);
    else for (let index = 0; index < INODE_POINTERS; index++) node.cut(0, index);
  }
}

/** First of `count` blocks of a level that is there; -1 if none. */
function firstChild(
  access: Access,
  node: FileNode,
  level: number,
  first: number,
  count: number,
): number {
  for (let index = first; index < first + count && level >= 0; index++) {
    if (node.dirty.has(placeKey(level, index)) || node.hasPointer(access, level, index))
      return index;
  }
  return -1;
}
