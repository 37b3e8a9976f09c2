// A side of a transfer: a place to read a tree from or write one to. Two exist: the host
// (host-side.ts) and anything shaped as node:fs/promises (fs-side.ts), a volume above all. Methods
// may answer at once: a host call that takes microseconds is not worth a trip to another thread.
//
// Paths are opaque strings made by `childPath` from a Place, an entered directory: on the host a
// Place holds the directory open, so that what happens to the names above it cannot lead a transfer
// out of its target. No method follows a symbolic link in the last component.

export type MaybePromise<T> = Promise<T> | T;

/** 'unreadable': a host name that is not UTF-8, for which a volume has no name. */
export type EntryKind = 'file' | 'directory' | 'symlink' | 'special' | 'unreadable';

export interface Attributes {
  readonly kind: EntryKind;
  /** Permission bits, 0..0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly links: number;
  /** Equal for two names of one file. */
  readonly identity: string;
  /** Nanoseconds since 1970. */
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
}

export interface Entry {
  readonly name: string;
  readonly kind: EntryKind;
}

/** A directory that was entered. */
export interface Place {
  /** The directory itself, as a path. */
  readonly path: string;
  leave(): void;
}

export interface SourceFile {
  readonly attributes: Attributes;
  /** Fills `view` from `position` on; returns how many bytes, fewer only at the end. */
  read(view: Uint8Array, position: number): MaybePromise<number>;
  close(): MaybePromise<void>;
}

export interface TargetFile {
  write(view: Uint8Array, position: number): MaybePromise<void>;
  truncate(sizeBytes: number): MaybePromise<void>;
  /** Gives the file its attributes, and closes it. */
  finish(attributes: Attributes, options: CarryOptions): MaybePromise<void>;
  /** Closes it as it is, after a failure. */
  close(): MaybePromise<void>;
}

export interface CarryOptions {
  /** Set uid and gid too. */
  readonly owners: boolean;
}

export interface Side {
  attributes(path: string): MaybePromise<Attributes>;
  /** The starting point of a transfer; symbolic links on the way to it are the user's own. */
  enterRoot(path: string): MaybePromise<Place>;
  /** ENOTDIR or ELOOP if `path` is no directory itself. */
  enter(path: string): MaybePromise<Place>;
  list(place: Place): MaybePromise<readonly Entry[]>;
  openSource(path: string): MaybePromise<SourceFile>;
  readlink(path: string): MaybePromise<string>;
  /** How many extended attributes it has; 0 where the side cannot tell (the host: node:fs has no
   *  call for them). */
  xattrCount(path: string): MaybePromise<number>;

  /** EEXIST if the name is there. */
  createFile(path: string): MaybePromise<TargetFile>;
  /** A whole file, with its attributes; EEXIST if the name is there. A failure leaves nothing. */
  writeFile(
    path: string,
    data: Uint8Array,
    attributes: Attributes,
    options: CarryOptions,
  ): MaybePromise<void>;
  /** For the owner alone, until setAttributes. */
  mkdir(path: string): MaybePromise<void>;
  symlink(content: string, path: string): MaybePromise<void>;
  /** A further name, `path`, for the file that `names` lead to from `root`. */
  link(root: Place, names: readonly string[], path: string): MaybePromise<void>;
  unlink(path: string): MaybePromise<void>;
  setAttributes(path: string, attributes: Attributes, options: CarryOptions): MaybePromise<void>;
}

export function childPath(place: Place, name: string): string {
  const { path } = place;
  return path.endsWith('/') ? `${path}${name}` : `${path}/${name}`;
}

/** Microseconds since 1970, as text that node:fs takes as seconds and sets to this very
 *  microsecond. Text, because node:fs takes a negative number for "now"; half a microsecond away
 *  from zero, because what it hands on is a double (0.24 µs apart today) and is cut off towards
 *  zero. */
export function utimesText(timeNs: bigint): string {
  const microseconds = Number(floorMicroseconds(timeNs));
  const half = microseconds < 0 ? -0.5 : 0.5;
  return ((microseconds + half) / 1e6).toFixed(7);
}

/** Whole microseconds since 1970, rounded down. */
export function floorMicroseconds(timeNs: bigint): bigint {
  return (timeNs - (((timeNs % 1000n) + 1000n) % 1000n)) / 1000n;
}

export function errorCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null) return undefined;
  const code = (error as { code?: unknown }).code;
  return typeof code === 'string' ? code : undefined;
}
