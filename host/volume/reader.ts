// A reader beside a writer (ENGINE 10). It mounts what the disks have, replays the log in memory,
// and keeps that state. The writer goes on, and in time gives the state's blocks away: then a
// checksum does not match, and the reader mounts anew, what the disks have by now, and asks again.
// What it reads is right in either case, by the pointers' checksums; an error is reported only if
// there is no newer root.
//
// Mounting itself races with the writer. It is done over if a root came meanwhile and something was
// wrong, or (a few times: a busy writer always is ahead) if a root came at all, as the half of the
// log that was read may have been recycled.
//
// Each mount has an arena of its own: reads of the one before may still be under way into the old
// one. Open files stay with their mount, and give ESTALE once that is overtaken and their blocks
// are gone.

import { FsError, isFsError, isStorageError } from '../base/errors.ts';
import { type Step, Task, wait } from '../base/task.ts';
import type { Disk } from '../device/device.ts';
import type {
  AttributeChange,
  Attributes,
  DirectoryCursor,
  DirectoryPage,
  OpenFile,
  OpenOptions,
  Operations,
  StatFs,
  Target,
} from '../filesystem/operations.ts';
import type { Hash } from '../format/envelope.ts';
import { compareRoots, type VolumeRoot } from '../format/volume-root.ts';
import { surveyDisk } from '../raid/survey.ts';
import type { Engine } from './engine.ts';

/** Mounts until one is found in order, while roots keep coming. */
const MOUNTS_MAX = 20;
/** Mounts until one is taken that is in order, though a root came meanwhile. */
const MOUNTS_FOR_FRESHNESS = 3;
/** Times that one call asks again. */
const CALL_TRIES_MAX = 8;

export interface ReaderParts {
  readonly disks: readonly Disk[];
  readonly hash: Hash;
  /** Mounts the volume read-only, in an arena of its own. */
  readonly mount: () => Step<Engine>;
  /** Lets go of a mount, but not of the devices. */
  readonly drop: (engine: Engine) => Step<void>;
}

export class Reader {
  engine!: Engine;
  /** Told of each mount after the first. */
  onMounted: (engine: Engine) => void = () => {};
  readonly #parts: ReaderParts;
  #refresh: Task<boolean> | undefined;

  private constructor(parts: ReaderParts) {
    this.#parts = parts;
  }

  /** @throws StorageError as a mount. */
  static *open(parts: ReaderParts): Step<Reader> {
    const reader = new Reader(parts);
    reader.engine = yield* reader.#mount();
    return reader;
  }

  /** Sees to it that `stale` is not the newest mount; false where the disks have nothing newer. */
  *leave(stale: Engine): Step<boolean> {
    if (this.engine !== stale) return true;
    return yield* wait((this.#refresh ?? this.#begin(stale)).asIo());
  }

  /** One at a time, for all calls that came upon the same. */
  #begin(stale: Engine): Task<boolean> {
    const task = new Task(this.#remount(stale));
    if (task.isSettled) return task;
    this.#refresh = task;
    task.onSettled(() => {
      this.#refresh = undefined;
    });
    return task;
  }

  *#remount(stale: Engine): Step<boolean> {
    const newest = yield* this.#newestRoot();
    if (newest === undefined || compareRoots(newest, stale.raid.root) <= 0) return false;
    const engine = yield* this.#mount();
    yield* this.#parts.drop(stale);
    this.engine = engine;
    this.onMounted(engine);
    return true;
  }

  *#mount(): Step<Engine> {
    for (let attempt = 1; ; attempt++) {
      const before = yield* this.#newestRoot();
      let engine: Engine | undefined;
      let failure: unknown;
      try {
        engine = yield* this.#parts.mount();
      } catch (error) {
        if (!isStorageError(error) && !isFsError(error)) throw error;
        failure = error;
      }
      const after = yield* this.#newestRoot();
      const isOvertaken =
        before !== undefined && after !== undefined && compareRoots(after, before) > 0;
      const isComplete = engine?.isComplete === true;
      const triesMax = isComplete ? MOUNTS_FOR_FRESHNESS : MOUNTS_MAX;
      if (isOvertaken && attempt < triesMax) {
        if (engine !== undefined) yield* this.#parts.drop(engine);
        continue;
      }
      if (engine === undefined) throw failure;
      return engine;
    }
  }

  *#newestRoot(): Step<VolumeRoot | undefined> {
    let newest: VolumeRoot | undefined;
    for (const disk of this.#parts.disks) {
      const [root] = (yield* surveyDisk(disk, this.#parts.hash)).roots;
      if (root !== undefined && (newest === undefined || compareRoots(root, newest) > 0))
        newest = root;
    }
    return newest;
  }
}

/** Whether a block was not what its pointer says, or could not be had from what else there is. */
function isMismatch(error: unknown): boolean {
  const cause = isFsError(error, 'EIO') ? error.cause : error;
  return (
    isStorageError(cause, 'BAD_CHECKSUM') ||
    isStorageError(cause, 'DISK_MISSING') ||
    isStorageError(cause, 'DISK_FAILED')
  );
}

interface Mounted {
  readonly engine: Engine;
  readonly operations: Operations;
}

/** Operations of an image in the reader's newest mount. */
export class ReaderOperations implements Operations {
  readonly isReadOnly = true;
  readonly #reader: Reader;
  readonly #make: (engine: Engine) => Operations;
  #mounted: Mounted | undefined;
  /** Which mount an open file is of. */
  readonly #owners = new WeakMap<OpenFile, Mounted>();

  constructor(reader: Reader, make: (engine: Engine) => Operations) {
    this.#reader = reader;
    this.#make = make;
  }

  #newest(): Mounted {
    const { engine } = this.#reader;
    if (this.#mounted?.engine !== engine) {
      this.#mounted = { engine, operations: this.#make(engine) };
    }
    return this.#mounted;
  }

  #run<T>(call: (operations: Operations) => Task<T>): Task<T> {
    return new Task(this.#steps((mounted) => call(mounted.operations), undefined));
  }

  #runFile<T>(file: OpenFile, call: (operations: Operations) => Task<T>): Task<T> {
    const owner = this.#owners.get(file);
    return new Task(this.#steps((mounted) => call(mounted.operations), owner));
  }

  #runTarget<T>(target: Target, call: (operations: Operations) => Task<T>): Task<T> {
    return 'file' in target ? this.#runFile(target.file, call) : this.#run(call);
  }

  *#steps<T>(call: (mounted: Mounted) => Task<T>, owner: Mounted | undefined): Step<T> {
    for (let tries = 1; ; tries++) {
      const mounted = owner ?? this.#newest();
      try {
        return yield* wait(call(mounted).asIo());
      } catch (error) {
        if (!isMismatch(error) || tries === CALL_TRIES_MAX) throw error;
        const isLeft = yield* this.#reader.leave(mounted.engine);
        if (!isLeft) throw error;
        if (owner !== undefined) throw new FsError('ESTALE', { cause: error });
      }
    }
  }

  attributes(target: Target): Task<Attributes> {
    return this.#runTarget(target, (operations) => operations.attributes(target));
  }
  open(path: string, options: OpenOptions): Task<OpenFile> {
    return new Task(this.#open(path, options));
  }
  *#open(path: string, options: OpenOptions): Step<OpenFile> {
    let owner: Mounted | undefined;
    const file = yield* this.#steps((mounted) => {
      owner = mounted;
      return mounted.operations.open(path, options);
    }, undefined);
    this.#owners.set(file, owner as unknown as Mounted);
    return file;
  }
  close(file: OpenFile): Task<void> {
    return this.#runFile(file, (operations) => operations.close(file));
  }
  read(file: OpenFile, target: Uint8Array, position: number): Task<number> {
    return this.#runFile(file, (operations) => operations.read(file, target, position));
  }
  readFile(target: Target): Task<Uint8Array> {
    return this.#runTarget(target, (operations) => operations.readFile(target));
  }
  readlink(path: string): Task<string> {
    return this.#run((operations) => operations.readlink(path));
  }
  readdir(target: Target, max: number, cursor?: DirectoryCursor): Task<DirectoryPage> {
    return this.#runTarget(target, (operations) => operations.readdir(target, max, cursor));
  }
  listXattrs(target: Target): Task<readonly string[]> {
    return this.#runTarget(target, (operations) => operations.listXattrs(target));
  }
  getXattr(target: Target, name: string): Task<Uint8Array> {
    return this.#runTarget(target, (operations) => operations.getXattr(target, name));
  }
  statfs(): Task<StatFs> {
    return this.#run((operations) => operations.statfs());
  }
  sync(): Task<void> {
    return this.#run((operations) => operations.sync());
  }

  // Refused below, after their lookups.

  write(file: OpenFile, data: Uint8Array, position: number): Task<number> {
    return this.#runFile(file, (operations) => operations.write(file, data, position));
  }
  writeFile(path: string, data: Uint8Array, options: OpenOptions): Task<void> {
    return this.#run((operations) => operations.writeFile(path, data, options));
  }
  truncate(target: Target, sizeBytes: number): Task<void> {
    return this.#runTarget(target, (operations) => operations.truncate(target, sizeBytes));
  }
  change(target: Target, change: AttributeChange): Task<void> {
    return this.#runTarget(target, (operations) => operations.change(target, change));
  }
  mkdir(path: string, mode: number): Task<void> {
    return this.#run((operations) => operations.mkdir(path, mode));
  }
  symlink(content: string, path: string): Task<void> {
    return this.#run((operations) => operations.symlink(content, path));
  }
  link(existing: string, path: string): Task<void> {
    return this.#run((operations) => operations.link(existing, path));
  }
  unlink(path: string): Task<void> {
    return this.#run((operations) => operations.unlink(path));
  }
  rmdir(path: string): Task<void> {
    return this.#run((operations) => operations.rmdir(path));
  }
  rename(from: string, to: string): Task<void> {
    return this.#run((operations) => operations.rename(from, to));
  }
  setXattr(target: Target, name: string, value: Uint8Array): Task<void> {
    return this.#runTarget(target, (operations) => operations.setXattr(target, name, value));
  }
  removeXattr(target: Target, name: string): Task<void> {
    return this.#runTarget(target, (operations) => operations.removeXattr(target, name));
  }
}
