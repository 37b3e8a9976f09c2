// The host as a side of a transfer.
//
// Confinement. A Place is an open descriptor of the directory, and its children are reached through
// /proc/self/fd/N/name: Node's openat. Whoever renames or replaces with a symbolic link a directory
// that we are in, does not move us; every file is created with O_EXCL and every directory entered
// with O_NOFOLLOW, so that nothing outside of the target can be written. Paths stay short besides,
// however deep the tree. Without /proc a Place is its path, its directory's identity is taken when
// it is entered, and compared before each name in it is used (SteppedPlace): that closes the window
// up to the time between two system calls.
//
// Calls in microseconds (open, fstat, small reads and writes in the page cache) are synchronous: a
// trip through libuv's threads costs ten times as much. Pieces
// of 256 KiB and more go through the threads, so that they overlap with the volume's work.

import fs from 'node:fs';
import { promisify } from 'node:util';

import { attributesOf, kindOf } from './fs-side.ts';
import type {
  Attributes,
  CarryOptions,
  Entry,
  Place,
  Side,
  SourceFile,
  TargetFile,
} from './side.ts';
import { childPath, errorCode, utimesText } from './side.ts';

const { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_WRONLY } = fs.constants;
/** From this size on reads and writes leave the calling thread. */
const THREAD_SIZE_MIN = 256 * 1024;
const REPLACEMENT_CHARACTER = '\ufffd';
const WINDOWS_FORBIDDEN = /[\\:]/;

const readLater = promisify(fs.read) as (
  fd: number,
  view: Uint8Array,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesRead: number }>;
const writeLater = promisify(fs.write) as (
  fd: number,
  view: Uint8Array,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesWritten: number }>;

/** The host's file system. `procFs: false` leaves /proc out, for systems without (and for
 *  tests). */
export function hostSide(options: { procFs?: boolean } = {}): Side {
  return new HostSide(options.procFs ?? hasProcFs());
}

class HostSide implements Side {
  readonly #procFs: boolean;

  constructor(procFs: boolean) {
    this.#procFs = procFs;
  }

  attributes(path: string): Attributes {
    return attributesOf(fs.lstatSync(path, { bigint: true }));
  }

  enterRoot(path: string): Place {
    return this.#place(fs.realpathSync(path));
  }

  enter(path: string): Place {
    return this.#place(path);
  }

  #place(path: string): Place {
    const fd = fs.openSync(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (this.#procFs) return { path: `/proc/self/fd/${fd}`, leave: () => fs.closeSync(fd) };
    try {
      return new SteppedPlace(path, fs.fstatSync(fd, { bigint: true }));
    } finally {
      fs.closeSync(fd);
    }
  }

  list(place: Place): readonly Entry[] {
    return fs.readdirSync(place.path, { withFileTypes: true }).map((entry) => ({
      name: entry.name,
      kind: isReadable(place, entry.name) ? kindOf(entry) : 'unreadable',
    }));
  }

  openSource(path: string): SourceFile {
    const fd = fs.openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    try {
      return new HostSourceFile(fd, attributesOf(fs.fstatSync(fd, { bigint: true })));
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
  }

  readlink(path: string): string {
    const bytes = fs.readlinkSync(path, { encoding: 'buffer' });
    const text = bytes.toString('utf8');
    if (Buffer.from(text, 'utf8').equals(bytes)) return text;
    throw Object.assign(new Error('EILSEQ: the link holds bytes that are not UTF-8, readlink'), {
      code: 'EILSEQ',
    });
  }

  xattrCount(): number {
    return 0;
  }

  createFile(path: string): TargetFile {
    refuseForeignName(path);
    return new HostTargetFile(fs.openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600));
  }

  async writeFile(
    path: string,
    data: Uint8Array,
    attributes: Attributes,
    options: CarryOptions,
  ): Promise<void> {
    const file = this.createFile(path);
    try {
      if (data.length > 0) await file.write(data, 0);
      await file.finish(attributes, options);
    } catch (error) {
      await file.close();
      fs.unlinkSync(path);
      throw error;
    }
  }

  mkdir(path: string): void {
    refuseForeignName(path);
    fs.mkdirSync(path, { mode: 0o700 });
  }

  symlink(content: string, path: string): void {
    refuseForeignName(path);
    fs.symlinkSync(content, path);
  }

  /** Goes to the first name step by step, so that no swapped directory leads elsewhere. */
  link(root: Place, names: readonly string[], path: string): void {
    refuseForeignName(path);
    const places: Place[] = [];
    try {
      let at = root;
      for (const name of names.slice(0, -1)) {
        at = this.#place(childPath(at, name));
        places.push(at);
      }
      fs.linkSync(childPath(at, names.at(-1) as string), path);
    } finally {
      for (const place of places) place.leave();
    }
  }

  unlink(path: string): void {
    fs.unlinkSync(path);
  }

  setAttributes(path: string, attributes: Attributes, options: CarryOptions): void {
    if (options.owners) fs.lchownSync(path, attributes.uid, attributes.gid);
    // The mode last: it may take away our own way to the directory.
    fs.lutimesSync(path, utimesText(attributes.atimeNs), utimesText(attributes.mtimeNs));
    if (attributes.kind !== 'symlink') fs.chmodSync(path, attributes.mode);
  }
}

/** A Place without /proc: its path may be used as long as it leads to the same directory. */
class SteppedPlace implements Place {
  readonly #path: string;
  readonly #device: bigint;
  readonly #ino: bigint;

  constructor(path: string, stats: { readonly dev: bigint; readonly ino: bigint }) {
    this.#path = path;
    this.#device = stats.dev;
    this.#ino = stats.ino;
  }

  get path(): string {
    const now = fs.lstatSync(this.#path, { bigint: true });
    if (now.dev === this.#device && now.ino === this.#ino) return this.#path;
    throw Object.assign(new Error(`ELOOP: the directory was replaced, '${this.#path}'`), {
      code: 'ELOOP',
    });
  }

  leave(): void {}
}

class HostSourceFile implements SourceFile {
  readonly attributes: Attributes;
  readonly #fd: number;

  constructor(fd: number, attributes: Attributes) {
    this.#fd = fd;
    this.attributes = attributes;
  }

  read(view: Uint8Array, position: number): Promise<number> | number {
    if (view.length >= THREAD_SIZE_MIN) return this.#readLater(view, position);
    let done = 0;
    while (done < view.length) {
      const count = fs.readSync(this.#fd, view, done, view.length - done, position + done);
      if (count === 0) break;
      done += count;
    }
    return done;
  }

  async #readLater(view: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < view.length) {
      const left = view.length - done;
      const { bytesRead } = await readLater(this.#fd, view, done, left, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  close(): void {
    fs.closeSync(this.#fd);
  }
}

class HostTargetFile implements TargetFile {
  readonly #fd: number;
  #isClosed = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(view: Uint8Array, position: number): Promise<void> | void {
    if (view.length >= THREAD_SIZE_MIN) return this.#writeLater(view, position);
    let done = 0;
    while (done < view.length) {
      done += fs.writeSync(this.#fd, view, done, view.length - done, position + done);
    }
  }

  async #writeLater(view: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < view.length) {
      const left = view.length - done;
      done += (await writeLater(this.#fd, view, done, left, position + done)).bytesWritten;
    }
  }

  truncate(sizeBytes: number): void {
    fs.ftruncateSync(this.#fd, sizeBytes);
  }

  finish(attributes: Attributes, options: CarryOptions): void {
    if (options.owners) fs.fchownSync(this.#fd, attributes.uid, attributes.gid);
    fs.fchmodSync(this.#fd, attributes.mode);
    fs.futimesSync(this.#fd, utimesText(attributes.atimeNs), utimesText(attributes.mtimeNs));
    this.close();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    fs.closeSync(this.#fd);
  }
}

/** A name that is not UTF-8 was decoded to replacement characters, and leads nowhere. */
function isReadable(place: Place, name: string): boolean {
  if (!name.includes(REPLACEMENT_CHARACTER)) return true;
  try {
    fs.lstatSync(childPath(place, name));
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** On Windows a backslash or a colon in a name would leave the directory, or the file. */
function refuseForeignName(path: string): void {
  if (process.platform !== 'win32') return;
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (!WINDOWS_FORBIDDEN.test(name)) return;
  throw Object.assign(new Error(`EINVAL: no name on this host, '${name}'`), { code: 'EINVAL' });
}

function hasProcFs(): boolean {
  let fd: number | undefined;
  try {
    fd = fs.openSync('/', O_RDONLY | O_DIRECTORY);
    const through = fs.statSync(`/proc/self/fd/${fd}/.`);
    const direct = fs.fstatSync(fd);
    return through.ino === direct.ino && through.dev === direct.dev;
  } catch {
    // Whatever is missing: the other way is used.
    return false;
  } finally {
    if (fd !== undefined) fs.closeSync(fd);
  }
}
