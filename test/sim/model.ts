// What users see of a volume, as the naive model has it: the active file system, the snapshots with
// the reasons to keep them, and the files that are open.

import type { FsErrorCode } from '../../host/base/errors.ts';
import { runSync } from '../../host/base/task.ts';
import type { Instant } from '../../host/base/units.ts';
import type { OpenFile } from '../../host/filesystem/operations.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';
import { listTree, type TreeEntry } from '../oracle/tree.ts';
import type { Outcome } from '../oracle/workload.ts';
import { type Contents, digestOf, heldName } from '../world/engine.ts';
import { type Call, type FileCall, performFileCall } from './calls.ts';

interface ModelSnapshot {
  /** Never changed. */
  readonly tree: ModelFileSystem;
  readonly holds: number;
}

const DONE: Outcome = { value: '' };

/** A state that there was, never changed again. */
export class Version {
  readonly number: number;
  readonly model: ModelFileSystem;
  readonly snapshots: ReadonlyMap<string, ModelSnapshot>;
  #contents: Contents | undefined;

  constructor(
    number: number,
    model: ModelFileSystem,
    snapshots: ReadonlyMap<string, ModelSnapshot>,
  ) {
    this.number = number;
    this.model = model;
    this.snapshots = snapshots;
  }

  get contents(): Contents {
    if (this.#contents === undefined) {
      const snapshots = new Map<string, readonly TreeEntry[]>();
      for (const [name, { tree, holds }] of this.snapshots) {
        snapshots.set(heldName(name, holds), treeOf(tree));
      }
      this.#contents = { tree: treeOf(this.model), snapshots };
    }
    return this.#contents;
  }

  /** Digest of the contents, without some of the snapshots. */
  digest(without: ReadonlySet<string>): string {
    const { tree, snapshots } = this.contents;
    if (without.size === 0) return digestOf(this.contents);
    const kept = [...snapshots].filter(([name]) => !without.has(name.split(' ')[0] as string));
    return digestOf({ tree, snapshots: new Map(kept) });
  }
}

const trees = new WeakMap<ModelFileSystem, readonly TreeEntry[]>();

function treeOf(model: ModelFileSystem): readonly TreeEntry[] {
  let tree = trees.get(model);
  if (tree === undefined) {
    tree = runSync(listTree(model));
    trees.set(model, tree);
  }
  return tree;
}

function failed(code: FsErrorCode): Outcome {
  return { error: code };
}

/** The state now. */
export class LiveModel {
  fs: ModelFileSystem;
  readonly snapshots: Map<string, ModelSnapshot>;
  /** Open files by slot; those from before a rollback are stale. */
  readonly #files = new Map<number, { readonly file: OpenFile; readonly generation: number }>();
  #generation = 0;
  readonly #now: () => Instant;

  /** As a crash or a mount finds it: nothing is open. */
  constructor(from: Version | undefined, now: () => Instant) {
    this.#now = now;
    this.fs = from?.model.clone({ now }) ?? new ModelFileSystem({ now });
    this.snapshots = new Map(from?.snapshots);
  }

  freeze(number: number): Version {
    return new Version(number, this.fs.clone(), new Map(this.snapshots));
  }

  /** Does a call, as it should be. */
  apply(call: Call): Outcome {
    switch (call.op) {
      case 'snapshot':
        if (this.snapshots.has(call.name)) return failed('EEXIST');
        this.snapshots.set(call.name, { tree: this.fs.clone(), holds: 0 });
        return DONE;
      case 'delete':
      case 'hold':
      case 'rollback':
        return this.#applyToSnapshot(call);
      case 'sync':
        return DONE;
      default:
        return this.#applyToFile(call);
    }
  }

  #applyToSnapshot(call: Extract<Call, { op: 'delete' | 'hold' | 'rollback' }>): Outcome {
    const { name } = call;
    const snapshot = this.snapshots.get(name);
    if (snapshot === undefined) return failed('ENOENT');
    const { tree, holds } = snapshot;
    if (call.op === 'delete') {
      if (holds > 0) return failed('EBUSY');
      this.snapshots.delete(name);
    } else if (call.op === 'hold') {
      if (holds + call.change < 0) return { error: 'INVALID_ARGUMENT' };
      this.snapshots.set(name, { tree, holds: holds + call.change });
    } else {
      this.fs = tree.clone({ now: this.#now });
      this.#generation++;
    }
    return DONE;
  }

  #applyToFile(call: FileCall): Outcome {
    const isStale = (slot: number) => this.#files.get(slot)?.generation !== this.#generation;
    if (call.op === 'close' && isStale(call.slot)) {
      this.#files.delete(call.slot);
      return DONE;
    }
    return performFileCall(this.fs, call, {
      get: (slot) => {
        const open = this.#files.get(slot);
        if (open === undefined) return 'EBADF';
        return isStale(slot) ? 'ESTALE' : open.file;
      },
      set: (slot, file) => {
        if (file === undefined) this.#files.delete(slot);
        else this.#files.set(slot, { file, generation: this.#generation });
      },
    }).driveSync();
  }
}
