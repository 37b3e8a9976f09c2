// A whole tree as plain data, taken through the interface Operations alone: so any file system can
// be listed, hashed and compared with the model, and the listing itself is tested once for all of
// them.

import { createHash } from 'node:crypto';
import type { Step } from '../../host/base/task.ts';
import { Task, wait } from '../../host/base/task.ts';
import type { Instant } from '../../host/base/units.ts';
import type {
  Attributes,
  DirectoryCursor,
  DirectoryEntry,
  FileKind,
  Operations,
} from '../../host/filesystem/operations.ts';

const READ_SIZE = 1024 * 1024;
const PAGE_ENTRIES = 1000;
/** Of a file over this size only the ranges that `dataRanges` names are read. */
const WHOLE_SIZE_MAX = 64 * 1024 * 1024;

export interface TreeEntry {
  readonly path: string;
  readonly kind: FileKind;
  /** Permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly links: number;
  /** Bytes of a file or symlink; 0 of a directory, whose size is its maker's business. */
  readonly sizeBytes: number;
  /** Of a file the hash of its bytes; of a symlink what it holds; of a directory ''. */
  readonly content: string;
  /** The first path (in the order of the listing) of the same inode. */
  readonly group: string;
  readonly atime: string;
  readonly mtime: string;
  readonly ctime: string;
  readonly btime: string;
  /** 'name=hex', sorted. */
  readonly xattrs: readonly string[];
}

export interface TreeOptions {
  /** Leave times out. */
  readonly ignoreTimes?: boolean;
  /** For files too big to be read: where to look. The first and the last block are read anyway. */
  readonly dataRanges?: (path: string) => readonly { start: number; end: number }[];
}

function timeText({ seconds, nanoseconds }: Instant): string {
  return `${seconds}.${String(nanoseconds).padStart(9, '0')}`;
}

/** Everything in the tree, the root first, sorted by path. */
export function* listTree(operations: Operations, options: TreeOptions = {}): Step<TreeEntry[]> {
  const found: { path: string; kind: FileKind }[] = [{ path: '/', kind: 'directory' }];
  for (let index = 0; index < found.length; index++) {
    const { path, kind } = found[index] as { path: string; kind: FileKind };
    if (kind !== 'directory') continue;
    for (const entry of yield* listDirectory(operations, path)) {
      found.push({ path: `${path === '/' ? '' : path}/${entry.name}`, kind: entry.kind });
    }
  }
  found.sort((a, b) => (a.path < b.path ? -1 : 1));
  const groups = new Map<number, string>();
  const entries: TreeEntry[] = [];
  for (const { path, kind } of found) {
    const target = { path, followLast: false };
    const attributes = yield* wait(operations.attributes(target).asIo());
    const group = groups.get(attributes.ino) ?? path;
    groups.set(attributes.ino, group);
    const isAlias = group !== path;
    const content = isAlias ? '' : yield* contentOf(operations, path, kind, attributes, options);
    const names = [...(yield* wait(operations.listXattrs(target).asIo()))].sort();
    const values: Uint8Array[] = [];
    for (const name of names) values.push(yield* wait(operations.getXattr(target, name).asIo()));
    const time = (instant: Instant) => (options.ignoreTimes === true ? '' : timeText(instant));
    entries.push({
      path,
      kind,
      mode: attributes.mode,
      uid: attributes.uid,
      gid: attributes.gid,
      links: attributes.links,
      sizeBytes: kind === 'directory' ? 0 : attributes.sizeBytes,
      content,
      group,
      atime: time(attributes.atime),
      mtime: time(attributes.mtime),
      ctime: time(attributes.ctime),
      btime: time(attributes.btime),
      xattrs: names.map((name, index) => `${name}=${hex(values[index] as Uint8Array)}`),
    });
  }
  return entries;
}

/** All entries of one directory, page by page. */
export function* listDirectory(operations: Operations, path: string): Step<DirectoryEntry[]> {
  const entries: DirectoryEntry[] = [];
  let cursor: DirectoryCursor | undefined;
  do {
    const page = yield* wait(operations.readdir({ path }, PAGE_ENTRIES, cursor).asIo());
    entries.push(...page.entries);
    cursor = page.next;
  } while (cursor !== undefined);
  return entries;
}

function* contentOf(
  operations: Operations,
  path: string,
  kind: FileKind,
  attributes: Attributes,
  options: TreeOptions,
): Step<string> {
  if (kind === 'directory') return '';
  if (kind === 'symlink') return yield* wait(operations.readlink(path).asIo());
  const size = attributes.sizeBytes;
  if (size <= READ_SIZE) {
    const bytes = yield* wait(operations.readFile({ path, followLast: false }).asIo());
    if (bytes.length !== size) return `read ${bytes.length} of ${size}`;
    return hashOf(bytes);
  }
  const ranges =
    size <= WHOLE_SIZE_MAX
      ? [{ start: 0, end: size }]
      : [
          { start: 0, end: 4096 },
          ...(options.dataRanges?.(path) ?? []),
          { start: size - 4096, end: size },
        ];
  const hash = createHash('sha256');
  const file = yield* wait(operations.open(path, { read: true, write: false }).asIo());
  const buffer = new Uint8Array(Math.min(READ_SIZE, size));
  for (const { start, end } of ranges) {
    for (let at = start; at < end; ) {
      const part = buffer.subarray(0, Math.min(buffer.length, end - at));
      const count = yield* wait(operations.read(file, part, at).asIo());
      if (count !== part.length) return `read ${count} of ${part.length} at ${at}`;
      hash.update(part);
      at += count;
    }
  }
  yield* wait(operations.close(file).asIo());
  return hash.digest('hex').slice(0, 32);
}

export function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex').slice(0, 32);
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** One line for each entry. Equal texts are equal trees. */
export function dumpTree(operations: Operations, options: TreeOptions = {}): string {
  const entries = Task.start(listTree(operations, options)).driveSync();
  return entries.map((entry) => `${JSON.stringify(entry)}\n`).join('');
}

export function digestTree(operations: Operations, options: TreeOptions = {}): string {
  return createHash('sha256').update(dumpTree(operations, options)).digest('hex');
}

/** The first difference in words; undefined where there is none. */
export function firstDifference(
  actual: readonly TreeEntry[],
  expected: readonly TreeEntry[],
): string | undefined {
  const actualByPath = new Map(actual.map((entry) => [entry.path, entry]));
  const expectedPaths = new Set(expected.map((entry) => entry.path));
  for (const entry of actual) {
    if (!expectedPaths.has(entry.path)) return `${entry.path}: there, but should not be`;
  }
  if (actual.length !== actualByPath.size) return 'a path is listed twice';
  for (const wanted of expected) {
    const found = actualByPath.get(wanted.path);
    if (found === undefined) return `${wanted.path}: missing (${wanted.kind})`;
    for (const key of Object.keys(wanted) as (keyof TreeEntry)[]) {
      const [a, b] = [JSON.stringify(found[key]), JSON.stringify(wanted[key])];
      if (a !== b) return `${wanted.path}: ${key} is ${a}, should be ${b}`;
    }
  }
  return undefined;
}

/** Compares any file system with the model of it. */
export function compare(
  operations: Operations,
  model: Operations & { dataRanges(path: string): { start: number; end: number }[] },
  options: TreeOptions = {},
): Task<string | undefined> {
  const both = { ...options, dataRanges: (path: string) => safeRanges(model, path) };
  return Task.start(compareSteps(operations, model, both));
}

function* compareSteps(
  operations: Operations,
  model: Operations,
  options: TreeOptions,
): Step<string | undefined> {
  const actual = yield* listTree(operations, options);
  return firstDifference(actual, yield* listTree(model, options));
}

/** A path that the model does not have is reported by the comparison itself. */
function safeRanges(
  model: { dataRanges(path: string): { start: number; end: number }[] },
  path: string,
): { start: number; end: number }[] {
  try {
    return model.dataRanges(path);
  } catch {
    return [];
  }
}
