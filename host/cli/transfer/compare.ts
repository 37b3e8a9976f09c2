// Whether two trees are equal: names, kinds, modes, which names are one file, sizes, contents,
// link targets, modification times to the microsecond (all that the host can set), and owners where
// asked for. Access times are left out: looking changes them.

import { BufferPool, PIECE_SIZE } from './content.ts';
import { printableName } from './names.ts';
import type { Attributes, Entry, Place, Side, SourceFile } from './side.ts';
import { childPath, floorMicroseconds } from './side.ts';

const DIFFERENCES_MAX = 100;
const ENTRIES_IN_FLIGHT = 16;

export type DifferenceKind =
  | 'missing'
  | 'extra'
  | 'kind'
  | 'mode'
  | 'owner'
  | 'links'
  | 'size'
  | 'content'
  | 'target'
  | 'time';

export interface Difference {
  /** From the tree's root. */
  readonly path: string;
  readonly what: DifferenceKind;
  /** What each tree has, for people. */
  readonly a: string;
  readonly b: string;
}

export interface CompareOptions {
  readonly owners?: boolean;
  /** Leave out what `a` has and copyTrees does not carry: special files, names not UTF-8. */
  readonly carriedOnly?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: { readonly files: number; readonly bytes: number }) => void;
}

export interface CompareResult {
  readonly files: number;
  readonly bytes: number;
  readonly entries: number;
  readonly differenceCount: number;
  /** The first ones. */
  readonly differences: readonly Difference[];
}

export interface TreeRoot {
  readonly side: Side;
  readonly path: string;
}

/** Compares everything below (and with) two directories. */
export async function compareTrees(
  a: TreeRoot,
  b: TreeRoot,
  options: CompareOptions = {},
): Promise<CompareResult> {
  return new TreeCompare(a, b, options).run();
}

class TreeCompare {
  readonly #a: TreeRoot;
  readonly #b: TreeRoot;
  readonly #options: CompareOptions;
  readonly #buffers = new BufferPool(2 * ENTRIES_IN_FLIGHT);
  readonly #differences: Difference[] = [];
  readonly #identities = new Map<string, string>();
  readonly #identitiesBack = new Map<string, string>();
  #differenceCount = 0;
  #files = 0;
  #bytes = 0;
  #entries = 0;

  constructor(a: TreeRoot, b: TreeRoot, options: CompareOptions) {
    this.#a = a;
    this.#b = b;
    this.#options = options;
  }

  async run(): Promise<CompareResult> {
    // Directories by their names from the root; entered step by step, so that none stays open.
    const waiting: (readonly string[])[] = [[]];
    for (let names = waiting.pop(); names !== undefined; names = waiting.pop()) {
      waiting.push(...(await this.#directory(names)));
    }
    return {
      files: this.#files,
      bytes: this.#bytes,
      entries: this.#entries,
      differenceCount: this.#differenceCount,
      differences: this.#differences,
    };
  }

  /** Compares one directory's entries; returns the directories among them. */
  async #directory(names: readonly string[]): Promise<(readonly string[])[]> {
    const a = await enterSteps(this.#a, names);
    try {
      const b = await enterSteps(this.#b, names);
      try {
        if (names.length === 0) await this.#attributes('.', childPath(a, '.'), childPath(b, '.'));
        const common = this.#common(names, await this.#a.side.list(a), await this.#b.side.list(b));
        await this.#lanes(names, common, a, b);
        return common
          .filter((entry) => entry.kind === 'directory')
          .map((entry) => [...names, entry.name]);
      } finally {
        b.leave();
      }
    } finally {
      a.leave();
    }
  }

  async #lanes(names: readonly string[], common: Entry[], a: Place, b: Place): Promise<void> {
    let next = 0;
    const lane = async () => {
      for (let entry = common[next++]; entry !== undefined; entry = common[next++]) {
        this.#options.signal?.throwIfAborted();
        await this.#entry([...names, entry.name].join('/'), entry, a, b);
      }
    };
    const lanes = Array.from({ length: Math.min(ENTRIES_IN_FLIGHT, common.length) }, lane);
    const settled = await Promise.allSettled(lanes);
    for (const one of settled) if (one.status === 'rejected') throw one.reason;
  }

  /** Entries of the same name and kind; what is otherwise is a difference. */
  #common(names: readonly string[], a: readonly Entry[], b: readonly Entry[]): Entry[] {
    const others = new Map(b.map((entry) => [entry.name, entry]));
    const common: Entry[] = [];
    for (const entry of a) {
      const path = [...names, entry.name].join('/');
      const other = others.get(entry.name);
      others.delete(entry.name);
      const isCarried = entry.kind !== 'special' && entry.kind !== 'unreadable';
      if (!isCarried && this.#options.carriedOnly && other === undefined) continue;
      if (other === undefined) this.#differ(path, 'missing', entry.kind, 'nothing');
      else if (other.kind !== entry.kind) this.#differ(path, 'kind', entry.kind, other.kind);
      else common.push(entry);
    }
    for (const entry of others.values()) {
      this.#differ([...names, entry.name].join('/'), 'extra', 'nothing', entry.kind);
    }
    return common;
  }

  async #entry(path: string, entry: Entry, a: Place, b: Place): Promise<void> {
    this.#entries++;
    const pathA = childPath(a, entry.name);
    const pathB = childPath(b, entry.name);
    if (entry.kind === 'file') return this.#file(path, pathA, pathB);
    await this.#attributes(path, pathA, pathB);
    if (entry.kind !== 'symlink') return;
    const targetA = await this.#a.side.readlink(pathA);
    const targetB = await this.#b.side.readlink(pathB);
    if (targetA !== targetB) this.#differ(path, 'target', targetA, targetB);
  }

  async #file(path: string, pathA: string, pathB: string): Promise<void> {
    const fileA = await this.#a.side.openSource(pathA);
    try {
      const fileB = await this.#b.side.openSource(pathB);
      try {
        this.#compareAttributes(path, fileA.attributes, fileB.attributes);
        this.#compareLinks(path, fileA.attributes, fileB.attributes);
        await this.#content(path, fileA, fileB);
      } finally {
        await fileB.close();
      }
    } finally {
      await fileA.close();
    }
    this.#files++;
    this.#options.onProgress?.({ files: this.#files, bytes: this.#bytes });
  }

  async #content(path: string, fileA: SourceFile, fileB: SourceFile): Promise<void> {
    const { sizeBytes } = fileA.attributes;
    if (sizeBytes !== fileB.attributes.sizeBytes) {
      this.#differ(path, 'size', `${sizeBytes}`, `${fileB.attributes.sizeBytes}`);
      return;
    }
    const bufferA = await this.#buffers.take();
    const bufferB = await this.#buffers.take();
    try {
      for (let position = 0; position < sizeBytes; position += PIECE_SIZE) {
        this.#options.signal?.throwIfAborted();
        const wanted = Math.min(PIECE_SIZE, sizeBytes - position);
        const [countA, countB] = await Promise.all([
          fileA.read(bufferA.subarray(0, wanted), position),
          fileB.read(bufferB.subarray(0, wanted), position),
        ]);
        this.#bytes += wanted;
        if (countA === wanted && countB === wanted) {
          if (bufferA.compare(bufferB, 0, wanted, 0, wanted) === 0) continue;
        }
        const at = firstDifference(bufferA.subarray(0, countA), bufferB.subarray(0, countB));
        this.#differ(path, 'content', `from byte ${position + at} on`, 'other bytes');
        return;
      }
    } finally {
      this.#buffers.give(bufferA);
      this.#buffers.give(bufferB);
    }
  }

  async #attributes(path: string, pathA: string, pathB: string): Promise<void> {
    this.#compareAttributes(
      path,
      await this.#a.side.attributes(pathA),
      await this.#b.side.attributes(pathB),
    );
  }

  #compareAttributes(path: string, a: Attributes, b: Attributes): void {
    // A symbolic link's own mode means nothing, and differs between systems.
    if (a.kind !== 'symlink' && a.mode !== b.mode) {
      this.#differ(path, 'mode', a.mode.toString(8), b.mode.toString(8));
    }
    if (this.#options.owners && (a.uid !== b.uid || a.gid !== b.gid)) {
      this.#differ(path, 'owner', `${a.uid}:${a.gid}`, `${b.uid}:${b.gid}`);
    }
    if (floorMicroseconds(a.mtimeNs) !== floorMicroseconds(b.mtimeNs)) {
      this.#differ(path, 'time', `${a.mtimeNs}`, `${b.mtimeNs}`);
    }
  }

  /** Two names are one file in `a` just when they are one in `b`. */
  #compareLinks(path: string, a: Attributes, b: Attributes): void {
    if (a.links === 1 && b.links === 1) return;
    const knownB = this.#identities.get(a.identity);
    const knownA = this.#identitiesBack.get(b.identity);
    if (knownB === undefined && knownA === undefined) {
      this.#identities.set(a.identity, b.identity);
      this.#identitiesBack.set(b.identity, a.identity);
    } else if (knownB !== b.identity || knownA !== a.identity) {
      this.#differ(path, 'links', `${a.links} names`, `${b.links} names, joined otherwise`);
    }
  }

  #differ(path: string, what: DifferenceKind, a: string, b: string): void {
    this.#differenceCount++;
    if (this.#differences.length >= DIFFERENCES_MAX) return;
    this.#differences.push({ path: printableName(path), what, a, b });
  }
}

async function enterSteps(tree: TreeRoot, names: readonly string[]): Promise<Place> {
  let at = await tree.side.enterRoot(tree.path);
  for (const name of names) {
    const above = at;
    try {
      at = await tree.side.enter(childPath(above, name));
    } finally {
      above.leave();
    }
  }
  return at;
}

function firstDifference(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) if (a[at] !== b[at]) return at;
  return length;
}
