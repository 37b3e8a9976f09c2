// What is known of images. A mount is a computation on what it reads, so its outcome holds for
// every image that agrees with its own in all blocks that it read before it wrote them. Whether
// the crash dropped, kept or tore the rest makes no difference, and need not be tried.
//
// The engine is deterministic (seeds and clocks are arguments): from equal blocks it goes on to
// read the same next block. So outcomes stand in a tree: a node says which place is read next, and
// has a branch for each block that was found there. It throws where a mount is not as it was
// before.

import type { Block, Image } from './images.ts';
import { DEVICE_PITCH } from './images.ts';

interface Node<Verdict> {
  place: number;
  readonly branches: Map<Block, Node<Verdict>>;
  verdict: Verdict | undefined;
}

function newNode<Verdict>(): Node<Verdict> {
  return { place: -1, branches: new Map(), verdict: undefined };
}

/** Verdicts on volumes of one geometry. `whole` devices (logs, which every mount reads from end to
 *  end) are compared as a whole. */
export class Verdicts<Verdict extends object> {
  readonly #isWhole: readonly boolean[];
  readonly #roots = new Map<string, Node<Verdict>>();

  constructor(isWhole: readonly boolean[]) {
    this.#isWhole = isWhole;
  }

  find(images: readonly Image[]): Verdict | undefined {
    let node = this.#roots.get(this.#keyOf(images));
    while (node !== undefined && node.verdict === undefined) {
      node = node.branches.get(blockAt(images, node.place));
    }
    return node?.verdict;
  }

  /** `places`: what the mount read, in order. */
  note(images: readonly Image[], places: readonly number[], verdict: Verdict): void {
    const key = this.#keyOf(images);
    let node = this.#roots.get(key);
    if (node === undefined) {
      node = newNode();
      this.#roots.set(key, node);
    }
    for (const place of places) {
      if (this.#isWhole[Math.floor(place / DEVICE_PITCH)] === true) continue;
      if (node.verdict !== undefined) throw new Error('a mount read more than it did before');
      if (node.place === -1) node.place = place;
      if (node.place !== place) {
        throw new Error(`a mount read block ${place} where it read ${node.place} before`);
      }
      const block = blockAt(images, place);
      let next = node.branches.get(block);
      if (next === undefined) {
        next = newNode();
        node.branches.set(block, next);
      }
      node = next;
    }
    if (node.place !== -1) throw new Error('a mount read less than it did before');
    node.verdict = verdict;
  }

  #keyOf(images: readonly Image[]): string {
    const parts: string[] = [];
    images.forEach(({ blocks, lengthBlocks }, device) => {
      parts.push(`${lengthBlocks}`);
      if (this.#isWhole[device] !== true) return;
      for (let index = 0; index < lengthBlocks; index++) {
        parts.push(String((blocks[index] as Block).id));
      }
    });
    return parts.join();
  }
}

function blockAt(images: readonly Image[], place: number): Block {
  const image = images[Math.floor(place / DEVICE_PITCH)] as Image;
  return image.blocks[place % DEVICE_PITCH] as Block;
}
