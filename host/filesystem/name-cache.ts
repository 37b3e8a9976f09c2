// Names lately looked up in directories, and what they led to: a path that is walked again costs no
// hash, no descent and no allocation for each of its components.
//
// A table of fixed size, each name with one slot to be in: the newer takes the older's place. What
// the table says is what the directories of its image say, in memory, at any moment: MODIFY forgets
// a name when it removes it or lets it lead elsewhere. (A directory that goes was emptied before,
// name by name.) Only what is there is kept, and only short names in ASCII, whose bytes are their
// letters.

import type { Ino } from '../base/units.ts';

/** Names kept: a power of two. */
const SLOTS = 4096;
const NAME_LENGTH_MAX = 64;
const NO_SLOT = -1;

export interface CachedName {
  readonly directory: Ino;
  readonly name: string;
  readonly ino: Ino;
  /** DIRECTORY_KIND_*. */
  readonly kind: number;
}

export class NameCache {
  #slots: (CachedName | undefined)[] | undefined;

  /** The name that stands in `path` from `from` to `to`. */
  find(directory: Ino, path: string, from: number, to: number): CachedName | undefined {
    if (this.#slots === undefined) return undefined;
    const slot = slotOf(directory, path, from, to);
    if (slot === NO_SLOT) return undefined;
    const found = this.#slots[slot];
    if (found === undefined || found.directory !== directory) return undefined;
    return found.name.length === to - from && path.startsWith(found.name, from) ? found : undefined;
  }

  /** `name` leads to `ino` in `directory`. */
  keep(directory: Ino, name: string, ino: Ino, kind: number): void {
    const slot = slotOf(directory, name, 0, name.length);
    if (slot === NO_SLOT) return;
    this.#slots ??= new Array<CachedName | undefined>(SLOTS).fill(undefined);
    this.#slots[slot] = { directory, name, ino, kind };
  }

  /** MODIFY: `name`, in UTF-8, does not lead to where it did. */
  forget(directory: Ino, name: Uint8Array): void {
    if (this.#slots === undefined || name.length > NAME_LENGTH_MAX) return;
    let hash = directory | 0;
    for (let at = 0; at < name.length; at++) hash = mixed(hash, name[at] as number);
    this.#slots[hash & (SLOTS - 1)] = undefined;
  }
}

function slotOf(directory: Ino, text: string, from: number, to: number): number {
  if (to - from > NAME_LENGTH_MAX) return NO_SLOT;
  let hash = directory | 0;
  for (let at = from; at < to; at++) {
    const code = text.charCodeAt(at);
    if (code > 0x7f) return NO_SLOT;
    hash = mixed(hash, code);
  }
  return hash & (SLOTS - 1);
}

/** One round of a multiplicative hash, whose high bits come down into those that are used. */
function mixed(hash: number, code: number): number {
  const product = Math.imul(hash ^ code, 0x9e3779b1);
  return product ^ (product >>> 15);
}
