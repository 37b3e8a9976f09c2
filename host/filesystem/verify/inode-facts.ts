// What verify keeps of each inode of an image, until all names are known: some 21 bytes an inode
// number, in pages made when first needed; and an object for each directory and each zombie.

import type { Ino } from '../../base/units.ts';

export const TYPE_FREE = 0;
export const TYPE_FILE = 1;
export const TYPE_DIRECTORY = 2;
export const TYPE_SYMLINK = 3;
export const TYPE_OTHER = 4;
const TYPE_MASK = 7;
const ZOMBIE = 8;

const PAGE_SHIFT = 10;
const PAGE_SIZE = 1 << PAGE_SHIFT;

class Page {
  readonly types = new Uint8Array(PAGE_SIZE);
  readonly links = new Uint32Array(PAGE_SIZE);
  readonly names = new Uint32Array(PAGE_SIZE);
  readonly parents = new Float64Array(PAGE_SIZE);
}

export interface DirectoryFacts {
  /** The field of its inode. */
  readonly parent: Ino;
  readonly blocks: number;
  subdirectories: number;
}

export interface ZombieFacts {
  readonly next: Ino;
  readonly blocks: number;
}

export class InodeFacts {
  readonly #pages = new Map<number, Page>();
  readonly directories = new Map<Ino, DirectoryFacts>();
  readonly zombies = new Map<Ino, ZombieFacts>();
  count = 0;

  /** An inode in use. */
  add(ino: Ino, fact: { type: number; isZombie: boolean; links: number }): void {
    const index = Math.floor(ino / PAGE_SIZE);
    let page = this.#pages.get(index);
    if (page === undefined) {
      page = new Page();
      this.#pages.set(index, page);
    }
    const at = ino % PAGE_SIZE;
    page.types[at] = fact.type | (fact.isZombie ? ZOMBIE : 0);
    page.links[at] = fact.links;
    this.count++;
  }

  type(ino: Ino): number {
    return ((this.#page(ino)?.types[ino % PAGE_SIZE] ?? 0) & TYPE_MASK) as number;
  }
  isZombie(ino: Ino): boolean {
    return ((this.#page(ino)?.types[ino % PAGE_SIZE] ?? 0) & ZOMBIE) !== 0;
  }
  links(ino: Ino): number {
    return this.#page(ino)?.links[ino % PAGE_SIZE] ?? 0;
  }
  /** Names found. */
  names(ino: Ino): number {
    return this.#page(ino)?.names[ino % PAGE_SIZE] ?? 0;
  }
  /** Directory in which its first name was found. */
  parentOf(ino: Ino): Ino {
    return this.#page(ino)?.parents[ino % PAGE_SIZE] ?? 0;
  }

  /** A name for an inode in use. */
  addName(ino: Ino, directory: Ino): void {
    const page = this.#page(ino) as Page;
    const at = ino % PAGE_SIZE;
    if (page.names[at] === 0) page.parents[at] = directory;
    page.names[at] = (page.names[at] as number) + 1;
  }

  /** All in use, ascending within a page; pages in the order in which they were made. */
  *all(): Generator<Ino> {
    for (const [index, page] of this.#pages) {
      for (let at = 0; at < PAGE_SIZE; at++) {
        if (page.types[at] !== 0) yield index * PAGE_SIZE + at;
      }
    }
  }

  #page(ino: Ino): Page | undefined {
    return this.#pages.get(Math.floor(ino / PAGE_SIZE));
  }
}
