// Requests: the changes that a file system can be asked for, by inode number and with their results
// (numbers, generations, times), as they stand in the log (ENGINE 17). A message makes one out of a
// call; replay makes one out of a record; both run the same `load` and `modify`.
//
// A log record's body is one or more requests, applied together or not at all.

import { POINTER_SIZE } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import { StorageError } from '../base/errors.ts';
import type { Ino, Instant } from '../base/units.ts';
import { getPointer, type Pointer, pointerProblem, setPointer } from '../format/pointer.ts';
import { RecordReader, type RecordWriter } from '../format/record.ts';
import type { AttributeChange } from './operations.ts';

export interface CreateRequest {
  readonly kind: 'create';
  readonly directory: Ino;
  readonly name: Uint8Array;
  readonly ino: Ino;
  readonly generation: number;
  /** Type and permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly time: Instant;
  /** A symbolic link's target; else empty. */
  readonly target: Uint8Array;
  /** Hash seed of a directory. */
  readonly seedLow: number;
  readonly seedHigh: number;
}

export interface WriteRequest {
  readonly kind: 'write';
  readonly ino: Ino;
  readonly generation: number;
  readonly position: number;
  readonly time: Instant;
  readonly data: Uint8Array;
}

/** A large write whose data has its place on disk (ENGINE 20). */
export interface ReferenceRequest {
  readonly kind: 'reference';
  readonly ino: Ino;
  readonly generation: number;
  /** First block of the file, and the pointers of it and those that follow. */
  readonly fbn: number;
  readonly pointers: readonly Pointer[];
  readonly time: Instant;
}

export interface TruncateRequest {
  readonly kind: 'truncate';
  readonly ino: Ino;
  readonly generation: number;
  readonly sizeBytes: number;
  readonly time: Instant;
  /** Inode that takes the tail, and its generation; 0 = none is needed. */
  readonly zombie: Ino;
  readonly zombieGeneration: number;
}

export interface ChangeRequest {
  readonly kind: 'change';
  readonly ino: Ino;
  readonly generation: number;
  /** CHANGE_*: which of the fields are set. */
  readonly mask: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly atime: Instant;
  readonly mtime: Instant;
  readonly time: Instant;
}
export const CHANGE_MODE = 1;
export const CHANGE_UID = 2;
export const CHANGE_GID = 4;
export const CHANGE_ATIME = 8;
export const CHANGE_MTIME = 16;

export function changeRequest(
  file: { readonly ino: Ino; readonly generation: number },
  change: AttributeChange,
  time: Instant,
): ChangeRequest {
  const { mode, uid, gid, atime, mtime } = change;
  const mask =
    (mode === undefined ? 0 : CHANGE_MODE) |
    (uid === undefined ? 0 : CHANGE_UID) |
    (gid === undefined ? 0 : CHANGE_GID) |
    (atime === undefined ? 0 : CHANGE_ATIME) |
    (mtime === undefined ? 0 : CHANGE_MTIME);
  return {
    kind: 'change',
    ino: file.ino,
    generation: file.generation,
    mask,
    mode: mode ?? 0,
    uid: uid ?? 0,
    gid: gid ?? 0,
    atime: atime ?? time,
    mtime: mtime ?? time,
    time,
  };
}

export interface LinkRequest {
  readonly kind: 'link';
  readonly directory: Ino;
  readonly name: Uint8Array;
  readonly ino: Ino;
  readonly generation: number;
  readonly time: Instant;
}

export interface UnlinkRequest {
  readonly kind: 'unlink';
  readonly directory: Ino;
  readonly name: Uint8Array;
  readonly ino: Ino;
  readonly time: Instant;
  /** Somebody had it open: it goes to the zombie queue whatever its size. */
  readonly isOpen: boolean;
}

export interface RenameRequest {
  readonly kind: 'rename';
  readonly fromDirectory: Ino;
  readonly fromName: Uint8Array;
  readonly toDirectory: Ino;
  readonly toName: Uint8Array;
  readonly ino: Ino;
  /** What the new name led to before; 0 = nothing. */
  readonly victim: Ino;
  readonly time: Instant;
  readonly isVictimOpen: boolean;
}

export interface XattrRequest {
  readonly kind: 'xattr';
  readonly ino: Ino;
  readonly generation: number;
  readonly name: Uint8Array;
  readonly value: Uint8Array;
  readonly isRemoval: boolean;
  readonly time: Instant;
}

/** A snapshot of the image that the last root has: taken with nothing dirty (ENGINE 28). */
export interface SnapshotRequest {
  readonly kind: 'snapshot';
  /** The CP whose image it is. */
  readonly cp: number;
  readonly id: number;
  readonly name: string;
  readonly time: Instant;
}

/** Changes of a snapshot's entry: hold count, name, or its deletion. */
export interface SnapshotChangeRequest {
  readonly kind: 'snapshotChange';
  readonly id: number;
  readonly holds: number;
  readonly name: string;
  readonly isDeleted: boolean;
}

export type FileRequest =
  | CreateRequest
  | WriteRequest
  | ReferenceRequest
  | TruncateRequest
  | ChangeRequest
  | LinkRequest
  | UnlinkRequest
  | RenameRequest
  | XattrRequest;
export type Request = FileRequest | SnapshotRequest | SnapshotChangeRequest;

/** Numbers of the kinds in records; never used again for another kind. */
const CREATE = 1;
const WRITE = 2;
const TRUNCATE = 3;
const CHANGE = 4;
const LINK = 5;
const UNLINK = 6;
const RENAME = 7;
const XATTR = 8;
const SNAPSHOT = 9;
const SNAPSHOT_CHANGE = 10;
const REFERENCE = 11;

/** Bytes that a request takes in a record at most, names included, without data, xattr value,
 *  target. */
export const REQUEST_SIZE_MAX = 768;

const encoder = new TextEncoder();

/** A record's body as parts, good until `writer` is used again. A write's data is not copied; there
 *  is one write at most. */
export function encodeRecord(writer: RecordWriter, requests: readonly Request[]): Uint8Array[] {
  writer.reset();
  let data: Uint8Array | undefined;
  let dataAt = 0;
  for (const request of requests) {
    encodeRequest(writer, request);
    if (request.kind !== 'write') continue;
    assert(data === undefined, 'a record has one write at most');
    data = request.data;
    dataAt = writer.view().length;
  }
  const body = writer.view();
  if (data === undefined) return [body];
  const before = body.subarray(0, dataAt);
  return dataAt === body.length ? [before, data] : [before, data, body.subarray(dataAt)];
}

function encodeRequest(w: RecordWriter, r: Request): void {
  switch (r.kind) {
    case 'create':
      w.u8(CREATE).u64(r.directory).bytes(r.name).u64(r.ino).u32(r.generation).u32(r.mode);
      w.u32(r.uid).u32(r.gid).time(r.time).bytes(r.target).u32(r.seedLow).u32(r.seedHigh);
      return;
    case 'write':
      // The data follows as a part of its own: see encodeRecord.
      w.u8(WRITE).u64(r.ino).u32(r.generation).u64(r.position).time(r.time).u32(r.data.length);
      return;
    case 'reference':
      w.u8(REFERENCE).u64(r.ino).u32(r.generation).u64(r.fbn).time(r.time);
      w.bytes(encodePointers(r.pointers));
      return;
    case 'truncate':
      w.u8(TRUNCATE).u64(r.ino).u32(r.generation).u64(r.sizeBytes).time(r.time);
      w.u64(r.zombie).u32(r.zombieGeneration);
      return;
    case 'change':
      w.u8(CHANGE).u64(r.ino).u32(r.generation).u32(r.mask).u32(r.mode).u32(r.uid).u32(r.gid);
      w.time(r.atime).time(r.mtime).time(r.time);
      return;
    case 'link':
      w.u8(LINK).u64(r.directory).bytes(r.name).u64(r.ino).u32(r.generation).time(r.time);
      return;
    case 'unlink':
      w.u8(UNLINK)
        .u64(r.directory)
        .bytes(r.name)
        .u64(r.ino)
        .time(r.time)
        .u8(r.isOpen ? 1 : 0);
      return;
    case 'rename':
      w.u8(RENAME).u64(r.fromDirectory).bytes(r.fromName).u64(r.toDirectory).bytes(r.toName);
      w.u64(r.ino)
        .u64(r.victim)
        .time(r.time)
        .u8(r.isVictimOpen ? 1 : 0);
      return;
    case 'xattr':
      w.u8(XATTR).u64(r.ino).u32(r.generation).bytes(r.name).bytes(r.value);
      w.u8(r.isRemoval ? 1 : 0).time(r.time);
      return;
    case 'snapshot':
      w.u8(SNAPSHOT).u64(r.cp).u64(r.id).bytes(encoder.encode(r.name)).time(r.time);
      return;
    case 'snapshotChange':
      w.u8(SNAPSHOT_CHANGE).u64(r.id).u32(r.holds).bytes(encoder.encode(r.name));
      w.u8(r.isDeleted ? 1 : 0);
      return;
  }
}

function encodePointers(pointers: readonly Pointer[]): Uint8Array {
  const bytes = new Uint8Array(pointers.length * POINTER_SIZE);
  const view = new DataView(bytes.buffer);
  pointers.forEach((pointer, index) => setPointer(view, index * POINTER_SIZE, pointer));
  return bytes;
}

function decodePointers(bytes: Uint8Array): Pointer[] {
  if (bytes.length % POINTER_SIZE !== 0) {
    throw new StorageError('LOG_DAMAGED', 'a log record has part of a pointer');
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / POINTER_SIZE }, (_, index) => {
    const problem = pointerProblem(view, index * POINTER_SIZE);
    if (problem !== undefined) throw new StorageError('LOG_DAMAGED', `a log record has ${problem}`);
    return getPointer(view, index * POINTER_SIZE);
  });
}

/** The requests of a record's body. Throws LOG_DAMAGED, UNSUPPORTED_FEATURE. */
export function decodeRequests(body: Uint8Array): Request[] {
  const reader = new RecordReader(body);
  const requests: Request[] = [];
  while (!reader.isAtEnd) requests.push(decodeRequest(reader));
  return requests;
}

function decodeRequest(r: RecordReader): Request {
  const kind = r.u8();
  switch (kind) {
    case CREATE:
      return {
        kind: 'create',
        directory: r.u64(),
        name: r.bytes(),
        ino: r.u64(),
        generation: r.u32(),
        mode: r.u32(),
        uid: r.u32(),
        gid: r.u32(),
        time: r.time(),
        target: r.bytes(),
        seedLow: r.u32(),
        seedHigh: r.u32(),
      };
    case WRITE:
      return {
        kind: 'write',
        ino: r.u64(),
        generation: r.u32(),
        position: r.u64(),
        time: r.time(),
        data: r.bytes(),
      };
    case TRUNCATE:
      return {
        kind: 'truncate',
        ino: r.u64(),
        generation: r.u32(),
        sizeBytes: r.u64(),
        time: r.time(),
        zombie: r.u64(),
        zombieGeneration: r.u32(),
      };
    case LINK:
      return {
        kind: 'link',
        directory: r.u64(),
        name: r.bytes(),
        ino: r.u64(),
        generation: r.u32(),
        time: r.time(),
      };
    default:
      return decodeOther(kind, r);
  }
}

function decodeOther(kind: number, r: RecordReader): Request {
  switch (kind) {
    case CHANGE:
      return {
        kind: 'change',
        ino: r.u64(),
        generation: r.u32(),
        mask: r.u32(),
        mode: r.u32(),
        uid: r.u32(),
        gid: r.u32(),
        atime: r.time(),
        mtime: r.time(),
        time: r.time(),
      };
    case UNLINK:
      return {
        kind: 'unlink',
        directory: r.u64(),
        name: r.bytes(),
        ino: r.u64(),
        time: r.time(),
        isOpen: r.flag(),
      };
    case RENAME:
      return {
        kind: 'rename',
        fromDirectory: r.u64(),
        fromName: r.bytes(),
        toDirectory: r.u64(),
        toName: r.bytes(),
        ino: r.u64(),
        victim: r.u64(),
        time: r.time(),
        isVictimOpen: r.flag(),
      };
    case REFERENCE:
      return {
        kind: 'reference',
        ino: r.u64(),
        generation: r.u32(),
        fbn: r.u64(),
        time: r.time(),
        pointers: decodePointers(r.bytes()),
      };
    case XATTR:
      return {
        kind: 'xattr',
        ino: r.u64(),
        generation: r.u32(),
        name: r.bytes(),
        value: r.bytes(),
        isRemoval: r.flag(),
        time: r.time(),
      };
    default:
      return decodeSnapshotRequest(kind, r);
  }
}

function decodeSnapshotRequest(kind: number, r: RecordReader): Request {
  switch (kind) {
    case SNAPSHOT:
      return {
        kind: 'snapshot',
        cp: r.u64(),
        id: r.u64(),
        name: r.text(),
        time: r.time(),
      };
    case SNAPSHOT_CHANGE:
      return {
        kind: 'snapshotChange',
        id: r.u64(),
        holds: r.u32(),
        name: r.text(),
        isDeleted: r.flag(),
      };
    default:
      throw new StorageError('UNSUPPORTED_FEATURE', `a log record asks for request ${kind}`);
  }
}
