// What the command line and the main job need of a volume: the contract between host/cli/ and
// host/node.ts. Commands are written against these interfaces, so that the tests run them on a fake
// volume over a host directory as well as on the real one. Sizes in bytes, counts plain; `where` is
// a path.

import type { Instant } from '../base/units.ts';

/** The part of BigIntStats that is used: what lstat(path, { bigint: true }) gives. */
export interface TreeStats {
  readonly dev: bigint;
  readonly ino: bigint;
  readonly mode: bigint;
  readonly nlink: bigint;
  readonly uid: bigint;
  readonly gid: bigint;
  readonly size: bigint;
  /** Of 512 bytes. */
  readonly blocks: bigint;
  readonly atimeNs: bigint;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly birthtimeNs: bigint;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

export interface TreeEntry {
  readonly name: string;
  isFile(): boolean;
  isDirectory(): boolean;
  isSymbolicLink(): boolean;
}

export interface TreeHandle {
  read(
    view: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesRead: number }>;
  write(
    view: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<{ readonly bytesWritten: number }>;
  truncate(sizeBytes: number): Promise<void>;
  stat(options: { bigint: true }): Promise<TreeStats>;
  close(): Promise<void>;
}

/** What AttributeChange is inside: all of an inode's attributes in one message. */
export interface TreeAttributes {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly atime?: Instant;
  readonly mtime?: Instant;
}

/** The part of node:fs/promises that is used. `setAttributes` is waferfs' own: it carries
 *  nanoseconds, and is one message instead of three; it does not follow a symbolic link. */
export interface TreeFs {
  lstat(path: string, options: { bigint: true }): Promise<TreeStats>;
  /** Follows symbolic links. */
  stat(path: string, options: { bigint: true }): Promise<TreeStats>;
  readdir(path: string, options: { withFileTypes: true }): Promise<readonly TreeEntry[]>;
  readlink(path: string): Promise<string>;
  open(path: string, flags: string, mode?: number): Promise<TreeHandle>;
  /** `attributes` where there is setAttributes, in one message with the content. */
  writeFile(
    path: string,
    data: Uint8Array,
    options: { flag: string; mode: number; attributes?: TreeAttributes },
  ): Promise<void>;
  mkdir(path: string, options: { mode?: number; recursive?: boolean }): Promise<unknown>;
  symlink(content: string, path: string): Promise<void>;
  link(existing: string, path: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  chmod(path: string, mode: number): Promise<void>;
  lchown(path: string, uid: number, gid: number): Promise<void>;
  lutimes(path: string, atime: number | string, mtime: number | string): Promise<void>;
  setAttributes?(path: string, attributes: TreeAttributes): Promise<void>;
  /** Where there are extended attributes: their names. */
  listxattr?(path: string, options: { follow: false }): Promise<readonly string[]>;
}

export type RaidKind = 'none' | 'raid4' | 'dp';

export interface CreateOptions {
  readonly sizeBytes: number;
  readonly disks: number;
  /** By default what the number of disks allows. */
  readonly raid?: RaidKind;
  readonly spares?: number;
  readonly logSizeBytes?: number;
}

export interface OpenOptions {
  readonly readOnly?: boolean;
  readonly degraded?: boolean;
  readonly durability?: 'durable' | 'relaxed';
}

export interface SnapshotInfo {
  readonly name: string;
  readonly id: number;
  readonly createdAt: Instant;
  readonly holdCount: number;
  /** Blocks in its plane. */
  readonly blockCount: number;
}

export interface DiskInfo {
  /** Stands for the disk in commands: its file's name without the ending, such as "disk-02". */
  readonly name: string;
  readonly file: string;
  readonly uuid: string;
  readonly role: 'data' | 'parity' | 'spare';
  readonly state: 'active' | 'failed' | 'missing' | 'rebuilding' | 'spare';
  readonly sizeBytes: number;
  /** Bytes that its file takes now. */
  readonly lengthBytes: number;
}

/** What bringing back the log did when the volume was opened. */
export interface ReplayStatus {
  readonly entryCount: number;
  /** Entries that could not be loaded before others were done, and were delivered again. */
  readonly waitCount: number;
  readonly redeliveryCount: number;
  /** Entries left out, since a disk that they need is missing. */
  readonly skipCount: number;
  readonly loadedBlockCount: number;
  /** Milliseconds: making the swarm, waiting for disks, in memory, and the commit after it. */
  readonly initiateMs: number;
  readonly loadMs: number;
  readonly modifyMs: number;
  readonly commitMs: number;
}

export interface VolumeStatus {
  readonly uuid: string;
  readonly state: 'healthy' | 'degraded' | 'read-only' | 'failed';
  readonly formatVersion: number;
  readonly raid: RaidKind;
  readonly createdAt: Instant;
  /** Counts mounts for writing. */
  readonly epoch: number;
  /** Number of the newest consistency point. */
  readonly consistencyPoint: number;
  /** Usable space; used + free = size. */
  readonly sizeBytes: number;
  readonly usedBytes: number;
  readonly freeBytes: number;
  /** The part of used that only snapshots hold. */
  readonly snapshotBytes: number;
  /** Files, directories (the root too) and symbolic links. */
  readonly fileCount: number;
  readonly snapshotCount: number;
  readonly logSizeBytes: number;
  /** Records that this mount brought back from the log. */
  readonly replayedRecordCount: number;
  readonly replay: ReplayStatus;
  readonly disks: readonly DiskInfo[];
  /** Sentences for people: a missing disk, a skipped entry. */
  readonly warnings: readonly string[];
}

/** One inconsistency. `kind` is from the list in host/filesystem's verify, such as
 *  "leaked-block". */
export interface VerifyProblem {
  readonly kind: string;
  readonly message: string;
  readonly vbn?: number;
  readonly ino?: number;
  readonly path?: string;
  readonly snapshot?: string;
}

export interface VerifyReport {
  /** The first ones, bounded by the implementation. */
  readonly problems: readonly VerifyProblem[];
  /** All of them. */
  readonly problemCount: number;
  readonly blockCount: number;
  readonly inodeCount: number;
  readonly directoryCount: number;
  readonly snapshotCount: number;
}

/** Of long work: done and total in the same unit (blocks), total 0 while not known. */
export interface WorkOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

/** Counters since open; the named ones are shown by the main job. */
export interface VolumeStats {
  readonly replayedRecordCount: number;
  readonly reconstructedBlockCount: number;
  readonly repairedBlockCount: number;
  /** Kernel jobs that ran on a worker thread. */
  readonly poolJobCount: number;
}

export interface VolumeImage {
  readonly fs: { readonly promises: TreeFs };
}

export interface CliVolume extends VolumeImage {
  /** Read-only for a snapshot; throws ENOENT if there is none. */
  at(name: string): VolumeImage;
  readonly snapshots: {
    create(name: string): Promise<SnapshotInfo>;
    list(): Promise<readonly SnapshotInfo[]>;
    delete(name: string): Promise<void>;
    hold(name: string): Promise<void>;
    release(name: string): Promise<void>;
  };
  rollback(name: string): Promise<void>;
  status(): Promise<VolumeStatus>;
  /** Walks everything; finds, never mends. */
  verify(options?: WorkOptions): Promise<VerifyReport>;
  readonly disks: {
    list(): Promise<readonly DiskInfo[]>;
    fail(disk: string): Promise<void>;
    /** A new file in place of a failed disk, rebuilt before this returns. */
    replace(
      disk: string,
      options?: WorkOptions & { readonly file?: string },
    ): Promise<{ readonly rebuiltBlockCount: number }>;
  };
  stats(): VolumeStats;
  close(): Promise<void>;
}

export interface InspectField {
  /** As FORMAT.md names it, tables indexed: "members[0].uuid". */
  readonly name: string;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  /** 64-bit numbers over 2^53 and checksums as hex text, UUIDs and names as text. */
  readonly value: number | string | boolean;
}

/** One structure as found on disk, whole or broken. */
export interface InspectedStructure {
  /** Name in FORMAT.md: "label", "volume-root", "inode", … */
  readonly structure: string;
  /** File it was read from. */
  readonly file: string;
  /** Where in that file; and its vbn or ino where it has one. */
  readonly offsetBytes: number;
  readonly vbn?: number;
  readonly ino?: number;
  readonly fields: readonly InspectField[];
  /** What is wrong with it; empty if nothing. */
  readonly problems: readonly string[];
}

/** What to show: the fronts (labels, roots, snapshot table) by default. */
export interface InspectOptions {
  readonly vbn?: number;
  readonly ino?: number;
  readonly log?: boolean;
  /** Everything reachable. */
  readonly all?: boolean;
}

/** Host/node.ts as the command line sees it. */
export interface Engine {
  create(where: string, options: CreateOptions): Promise<CliVolume>;
  open(where: string, options: OpenOptions): Promise<CliVolume>;
  /** Works on volumes that do not open, and on one disk or log file alone; changes nothing. */
  inspect(where: string, options: InspectOptions): AsyncIterable<InspectedStructure>;
}
