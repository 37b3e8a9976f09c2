// Placing dirty blocks: what a CP's freeze and what goes ahead of it (place-ahead.ts) have in
// common.

import { POINTER_SIZE, POINTERS_PER_BLOCK_SHIFT } from '../../assembly/layout/block.ts';
import type { Address } from '../base/units.ts';
import type { Block } from './block-cache.ts';
import { type FileNode, LEVEL_XATTR } from './file-node.ts';

/** Sorts blocks of one node by their place in the file; most are in order already. */
export function inOrder(blocks: Block[]): Block[] {
  for (let at = 1; at < blocks.length; at++) {
    if ((blocks[at - 1] as Block).index <= (blocks[at] as Block).index) continue;
    return blocks.sort((a, b) => a.index - b.index);
  }
  return blocks;
}

/** Addresses of dirty blocks' pointers. Siblings have theirs side by side, so a parent is looked up
 *  once for all of them. Good for one turn, in which no parent moves. */
export class SlotFinder {
  #node: FileNode | undefined;
  #level = 0;
  #parent = 0;
  #first: Address = 0;

  of(node: FileNode, block: Block): Address {
    const { level, index } = block;
    if (level === LEVEL_XATTR) return node.slotOf(level, index);
    const parent = index >>> POINTERS_PER_BLOCK_SHIFT;
    const within = (index - (parent << POINTERS_PER_BLOCK_SHIFT)) * POINTER_SIZE;
    if (node !== this.#node || level !== this.#level || parent !== this.#parent) {
      this.#first = node.slotOf(level, index) - within;
      this.#node = node;
      this.#level = level;
      this.#parent = parent;
    }
    return this.#first + within;
  }
}
