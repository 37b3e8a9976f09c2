// Copying trees from one side to another: what `put` and `get` are made of.
//
// Up to `entriesInFlight` entries are worked on at one time, so that a volume's group commit and
// vectored writes have something to gather; they are taken from a stack of entered directories, the
// deepest first, so that few directories are open at once. A directory is made for its owner alone,
// and gets its attributes, times last, when the last entry below it is done.
//
// What fails for one entry (a file that vanished, a name without permission) is reported and
// counted and the rest goes on; what fails for the whole side (no space, a volume that failed) ends
// the transfer. A file that could not be copied completely is removed from the target.

import { BufferPool, copyContent, PIECE_SIZE } from './content.ts';
import { isPlainName, printableName } from './names.ts';
import type { Attributes, CarryOptions, Entry, Place, Side } from './side.ts';
import { childPath, errorCode } from './side.ts';

export const ENTRIES_IN_FLIGHT = 32;
/** Directories entered at one time, beyond which only what is under way goes on. */
const PLACES_MAX = 256;
/** Deeper than this no tree is real. */
const DEPTH_MAX = 4096;
const PROBLEMS_MAX = 100;
/** Memory that contents under way may take. */
const BUFFER_BYTES_MAX = 64 * 1024 * 1024;

/** Codes that are about one entry; every other ends the transfer. */
const ENTRY_CODES = new Set(
  [
    'EACCES EBADNAME EBUSY EEXIST EFBIG EILSEQ EINVAL EIO EISDIR ELOOP EMLINK ENAMETOOLONG ENODATA',
    'ENOENT ENOTDIR ENOTEMPTY ENXIO EOPNOTSUPP ENOTSUP EPERM ETXTBSY EXDEV BAD_CHECKSUM BAD_MAGIC',
  ].flatMap((line) => line.split(' ')),
);

export interface CopyItem {
  readonly path: string;
  /** Its name in the target directory; without one, a directory's contents go there. */
  readonly as?: string;
}

export interface CopyProgress {
  readonly files: number;
  readonly bytes: number;
}

export interface CopyProblem {
  /** From the target directory, for people. */
  readonly path: string;
  readonly code: string;
  readonly message: string;
  /** Left out by rule (a special file), not failed. */
  readonly isSkipped: boolean;
  readonly cause?: unknown;
}

export interface CopyOptions {
  readonly entriesInFlight?: number;
  /** Carry uid and gid. */
  readonly owners?: boolean;
  /** Look and count, change nothing. */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: CopyProgress) => void;
  readonly onProblem?: (problem: CopyProblem) => void;
}

export interface CopyResult {
  /** Regular files, each further name of a hard-linked one excluded. */
  readonly files: number;
  readonly directories: number;
  readonly symlinks: number;
  /** Further names of files. */
  readonly hardLinks: number;
  /** Of the files, holes included. */
  readonly bytes: number;
  /** The part of `bytes` that was not written, being zeros. */
  readonly holeBytes: number;
  /** Extended attributes of what was copied, as far as the source tells: not carried. */
  readonly xattrs: number;
  /** Devices, sockets, pipes: not carried. */
  readonly skipped: number;
  readonly failed: number;
  /** The first ones of skipped and failed. */
  readonly problems: readonly CopyProblem[];
}

/** Copies `items` of `source` into the directory `into` of `target`, which exists. */
export async function copyTrees(
  source: Side,
  items: readonly CopyItem[],
  target: Side,
  into: string,
  options: CopyOptions = {},
): Promise<CopyResult> {
  const copy = new TreeCopy(source, target, options);
  return copy.run(items, into);
}

interface DirectoryCopy {
  readonly parent: DirectoryCopy | undefined;
  /** Names from the target's root. */
  readonly names: readonly string[];
  readonly source: Place;
  readonly target: Place;
  /** To be set at the end; undefined for the directory that everything goes into. */
  readonly attributes: Attributes | undefined;
  readonly entries: readonly Entry[];
  next: number;
  /** Entries not done yet. */
  pending: number;
}

/** One entry at work: where it comes from and goes to. */
interface Job {
  readonly directory: DirectoryCopy;
  readonly kind: Entry['kind'];
  readonly names: readonly string[];
  readonly from: string;
  readonly to: string;
}

interface LinkedFile {
  readonly names: readonly string[];
  /** Whether the first name was made. */
  readonly done: Promise<boolean>;
  namesLeft: number;
}

class TreeCopy {
  readonly #source: Side;
  readonly #target: Side;
  readonly #options: CopyOptions;
  readonly #carry: CarryOptions;
  readonly #buffers = new BufferPool(BUFFER_BYTES_MAX / PIECE_SIZE);
  /** Directories with entries not taken yet. */
  readonly #stack: DirectoryCopy[] = [];
  /** All that are entered. */
  readonly #open = new Set<DirectoryCopy>();
  readonly #links = new Map<string, LinkedFile>();
  readonly #problems: CopyProblem[] = [];
  readonly #count = {
    files: 0,
    directories: 0,
    symlinks: 0,
    hardLinks: 0,
    bytes: 0,
    holeBytes: 0,
    xattrs: 0,
    skipped: 0,
    failed: 0,
  };
  #root: Place | undefined;
  #active = 0;
  #wake: () => void = nothing;
  #fatal: { readonly error: unknown } | undefined;

  constructor(source: Side, target: Side, options: CopyOptions) {
    this.#source = source;
    this.#target = target;
    this.#options = options;
    this.#carry = { owners: options.owners ?? false };
  }

  async run(items: readonly CopyItem[], into: string): Promise<CopyResult> {
    this.#root = this.#isDryRun ? nowhere : await this.#target.enterRoot(into);
    try {
      for (const item of items) await this.#runItem(item);
    } finally {
      this.#root.leave();
    }
    return { ...this.#count, problems: this.#problems };
  }

  get #isDryRun(): boolean {
    return this.#options.dryRun ?? false;
  }

  async #runItem(item: CopyItem): Promise<void> {
    const root = this.#root as Place;
    const top: DirectoryCopy = {
      parent: undefined,
      names: [],
      source: nowhere,
      target: root,
      attributes: undefined,
      entries: [],
      next: 0,
      // Never reaches zero: the root is left by run().
      pending: Number.POSITIVE_INFINITY,
    };
    try {
      if (item.as === undefined) {
        const source = await this.#source.enterRoot(item.path);
        await this.#openDirectory(top, [], source, root, undefined);
      } else {
        const { kind } = await this.#source.attributes(item.path);
        const to = childPath(root, item.as);
        this.#start({ directory: top, kind, names: [item.as], from: item.path, to });
      }
    } catch (error) {
      this.#fail([item.as ?? item.path], error);
    }
    await this.#drain();
  }

  /** Starts jobs until none is left, and waits for them. */
  async #drain(): Promise<void> {
    for (;;) {
      let job = this.#take();
      while (job !== undefined) {
        this.#start(job);
        job = this.#take();
      }
      if (this.#active === 0) break;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#fatal === undefined) return;
    for (const directory of this.#open) this.#leave(directory);
    throw this.#fatal.error;
  }

  #take(): Job | undefined {
    if (this.#options.signal?.aborted && this.#fatal === undefined) {
      this.#fatal = { error: this.#options.signal.reason };
    }
    if (this.#fatal !== undefined) return undefined;
    const limit = this.#options.entriesInFlight ?? ENTRIES_IN_FLIGHT;
    if (this.#active >= limit) return undefined;
    const directory = this.#stack.at(-1);
    if (directory === undefined) return undefined;
    const entry = directory.entries[directory.next] as Entry;
    if (entry.kind === 'directory' && this.#open.size >= PLACES_MAX && this.#active > 0) {
      return undefined;
    }
    directory.next++;
    if (directory.next === directory.entries.length) this.#stack.pop();
    // The paths are made by #run: a replaced directory is a problem of the entry.
    return {
      directory,
      kind: entry.kind,
      names: [...directory.names, entry.name],
      from: '',
      to: '',
    };
  }

  #start(job: Job): void {
    this.#active++;
    this.#run(job)
      .catch((error: unknown) => this.#fail(job.names, error))
      .then(() => this.#entryDone(job.directory))
      .catch((error: unknown) => this.#fail(job.directory.names, error))
      .finally(() => {
        this.#active--;
        this.#wake();
      });
  }

  async #run(unplaced: Job): Promise<void> {
    const job = this.#placed(unplaced);
    if (job.kind === 'directory') await this.#copyDirectory(job);
    else if (job.kind === 'file') await this.#copyFile(job);
    else if (job.kind === 'symlink') await this.#copySymlink(job);
    else if (job.kind === 'special') this.#skip(job);
    else throw coded('EILSEQ', 'the name holds bytes that are not UTF-8');
    // (Not `+= await`: that would add to what the count was before the wait.)
    const xattrs = job.kind === 'special' ? 0 : await this.#source.xattrCount(job.from);
    this.#count.xattrs += xattrs;
    this.#options.onProgress?.({ files: this.#count.files, bytes: this.#count.bytes });
  }

  #placed(job: Job): Job {
    if (job.from !== '') return job;
    const name = job.names.at(-1) as string;
    if (!isPlainName(name)) {
      throw coded('EBADNAME', 'a name that could lead out of the target was refused');
    }
    return {
      ...job,
      from: childPath(job.directory.source, name),
      to: childPath(job.directory.target, name),
    };
  }

  async #copyDirectory(job: Job): Promise<void> {
    if (job.names.length > DEPTH_MAX) throw coded('ELOOP', `deeper than ${DEPTH_MAX} directories`);
    const attributes = await this.#source.attributes(job.from);
    const source = await this.#source.enter(job.from);
    let target = nowhere;
    try {
      if (!this.#isDryRun) {
        await this.#makeDirectory(job.to);
        target = await this.#target.enter(job.to);
      }
    } catch (error) {
      source.leave();
      throw error;
    }
    this.#count.directories++;
    await this.#openDirectory(job.directory, job.names, source, target, attributes);
  }

  /** A directory that is there already is used; what else has its name is in the way. */
  async #makeDirectory(path: string): Promise<void> {
    try {
      await this.#target.mkdir(path);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
      const { kind } = await this.#target.attributes(path);
      if (kind !== 'directory') throw coded('ENOTDIR', `a ${kind} of this name is in the way`);
    }
  }

  async #openDirectory(
    parent: DirectoryCopy,
    names: readonly string[],
    source: Place,
    target: Place,
    attributes: Attributes | undefined,
  ): Promise<void> {
    parent.pending++;
    let entries: readonly Entry[] = [];
    try {
      entries = await this.#source.list(source);
    } catch (error) {
      // It stays, empty and with its attributes.
      this.#fail(names, error);
    }
    // The listing itself counts as one to do: an empty directory is done at once.
    const pending = entries.length + 1;
    const directory = { parent, names, source, target, attributes, entries, next: 0, pending };
    this.#open.add(directory);
    if (entries.length > 0) this.#stack.push(directory);
    await this.#entryDone(directory);
  }

  /** One entry less to do; directories that are done get their attributes, upwards. */
  async #entryDone(directory: DirectoryCopy): Promise<void> {
    let at: DirectoryCopy | undefined = directory;
    while (at !== undefined) {
      at.pending--;
      if (at.pending > 0) return;
      try {
        if (at.attributes !== undefined && !this.#isDryRun && this.#fatal === undefined) {
          await this.#target.setAttributes(childPath(at.target, '.'), at.attributes, this.#carry);
        }
      } catch (error) {
        this.#fail(at.names, error);
      } finally {
        this.#leave(at);
      }
      at = at.parent;
    }
  }

  #leave(directory: DirectoryCopy): void {
    this.#open.delete(directory);
    directory.source.leave();
    if (directory.target !== this.#root) directory.target.leave();
  }

  async #copyFile(job: Job): Promise<void> {
    if (this.#isDryRun) {
      const attributes = await this.#source.attributes(job.from);
      const made = attributes.links > 1 ? await this.#linkOrLead(job, attributes) : nothing;
      if (made !== undefined) this.#countFile(attributes, 0);
      made?.(true);
      return;
    }
    const file = await this.#source.openSource(job.from);
    try {
      const { attributes } = file;
      if (attributes.kind !== 'file') throw coded('EBUSY', 'changed its kind while it was copied');
      const made = attributes.links > 1 ? await this.#linkOrLead(job, attributes) : nothing;
      if (made === undefined) return;
      let isMade = false;
      try {
        await this.#replacing(job.to, async () => {
          const holeBytes = await copyContent(file, this.#target, job.to, {
            carry: this.#carry,
            buffers: this.#buffers,
            signal: this.#options.signal,
          });
          this.#countFile(attributes, holeBytes);
        });
        isMade = true;
      } finally {
        made(isMade);
      }
    } finally {
      await file.close();
    }
  }

  #countFile(attributes: Attributes, holeBytes: number): void {
    this.#count.files++;
    this.#count.bytes += attributes.sizeBytes;
    this.#count.holeBytes += holeBytes;
  }

  async #copySymlink(job: Job): Promise<void> {
    const content = await this.#source.readlink(job.from);
    if (!this.#isDryRun) {
      const attributes = await this.#source.attributes(job.from);
      await this.#replacing(job.to, async () => {
        await this.#target.symlink(content, job.to);
        await this.#target.setAttributes(job.to, attributes, this.#carry);
      });
    }
    this.#count.symlinks++;
  }

  /** Runs `make`; where the name is taken by anything but a directory, that is removed first.
   *  (Never written over: it may be a link to something outside of the target.) */
  async #replacing(path: string, make: () => Promise<void>): Promise<void> {
    try {
      await make();
      return;
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
    const { kind } = await this.#target.attributes(path);
    if (kind === 'directory') throw coded('EISDIR', 'a directory of this name is in the way');
    await this.#target.unlink(path);
    await make();
  }

  /** Makes `job` a further name of a file that was copied before: undefined. Where there is none,
   *  `job` is the one to copy, and the function returned is told whether that went well. */
  async #linkOrLead(
    job: Job,
    attributes: Attributes,
  ): Promise<((isMade: boolean) => void) | undefined> {
    const { identity } = attributes;
    for (;;) {
      const first = this.#links.get(identity);
      // In the turn of the look-up: of two names at work at once, one leads.
      if (first === undefined) return this.#lead(job, attributes);
      if ((await first.done) && (await this.#linkTo(first, job))) {
        first.namesLeft--;
        if (first.namesLeft === 0) this.#links.delete(identity);
        this.#count.hardLinks++;
        return undefined;
      }
      if (this.#links.get(identity) === first) this.#links.delete(identity);
    }
  }

  #lead(job: Job, attributes: Attributes): (isMade: boolean) => void {
    let settle: (isMade: boolean) => void = nothing;
    const done = new Promise<boolean>((resolve) => {
      settle = resolve;
    });
    const namesLeft = attributes.links - 1;
    this.#links.set(attributes.identity, { names: job.names, done, namesLeft });
    return settle;
  }

  /** False where the file has as many names as the target allows. */
  async #linkTo(first: LinkedFile, job: Job): Promise<boolean> {
    if (this.#isDryRun) return true;
    try {
      await this.#replacing(job.to, async () => {
        await this.#target.link(this.#root as Place, first.names, job.to);
      });
      return true;
    } catch (error) {
      if (errorCode(error) === 'EMLINK') return false;
      throw error;
    }
  }

  #skip(job: Job): void {
    this.#count.skipped++;
    this.#report({
      path: job.names.map(printableName).join('/'),
      code: 'SPECIAL_FILE',
      message: 'a device, socket or pipe: not carried',
      isSkipped: true,
    });
  }

  #fail(names: readonly string[], error: unknown): void {
    const code = errorCode(error);
    if (code === undefined || !ENTRY_CODES.has(code)) {
      this.#fatal ??= { error };
      return;
    }
    this.#count.failed++;
    this.#report({
      path: names.map(printableName).join('/'),
      code,
      message: (error as Error).message,
      isSkipped: false,
      cause: error,
    });
  }

  #report(problem: CopyProblem): void {
    if (this.#problems.length < PROBLEMS_MAX) this.#problems.push(problem);
    this.#options.onProblem?.(problem);
  }
}

/** Where a dry run writes to. */
const nowhere: Place = { path: '/', leave: nothing };

function nothing(): void {}

function coded(code: string, message: string): Error {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}
