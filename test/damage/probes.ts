// Probes: single reads, so small that each can be right or fail alone. What a probe must give comes
// from the model; what it may fail for comes from the blocks that it reads on a sound volume.

import { isFsError, isStorageError } from '../../host/base/errors.ts';
import type { Attributes, Operations } from '../../host/filesystem/operations.ts';
import type { ModelFileSystem } from '../oracle/model-file-system.ts';
import { type Base, BIG_DIRECTORY_ENTRIES, bigName, done } from './base.ts';

export interface Probe {
  /** undefined: of the active file system. */
  readonly snapshot: string | undefined;
  readonly path: string;
  readonly kind: 'entry' | 'listing';
}

export interface Answer {
  readonly text: string;
  readonly bytes: Uint8Array;
}

/** What a probe gave: an answer (which may be "there is none"), or the code of an error. */
export type Given = Answer | { readonly error: string; readonly cause: unknown };

/** Files over this size are read in places: most of them is a hole. */
const WHOLE_SIZE_MAX = 1024 * 1024;
const PLACES = [0, 8_192, 5 * 1024 * 1024 - 4_096, 9 * 1024 * 1024 - 2_048];
const PLACE_SIZE = 12_288;
const BIG_STEP = 25;
const PAGE_ENTRIES = 100;
const NO_BYTES = new Uint8Array(0);

export function isAnswer(given: Given): given is Answer {
  return 'text' in given;
}

/** Runs a probe. What is not a typed error is thrown. */
export function ask(fs: Operations, probe: Probe): Given {
  try {
    return probe.kind === 'listing' ? list(fs, probe.path) : look(fs, probe.path);
  } catch (error) {
    if (isFsError(error, 'EIO') || isStorageError(error))
      return { error: error.code, cause: error };
    if (isFsError(error)) return { text: error.code, bytes: NO_BYTES };
    throw error;
  }
}

export function isSame(a: Answer, b: Answer): boolean {
  return a.text === b.text && Buffer.compare(a.bytes, b.bytes) === 0;
}

function list(fs: Operations, path: string): Answer {
  const names: string[] = [];
  let page = done(() => fs.readdir({ path }, PAGE_ENTRIES));
  for (;;) {
    for (const { name, kind } of page.entries) names.push(`${name}:${kind}`);
    const { next } = page;
    if (next === undefined) break;
    page = done(() => fs.readdir({ path }, PAGE_ENTRIES, next));
  }
  return { text: names.sort().join('\n'), bytes: NO_BYTES };
}

function look(fs: Operations, path: string): Answer {
  const target = { path, followLast: false };
  const attributes = done(() => fs.attributes(target));
  const type = attributes.mode >> 12;
  let text = textOf(attributes, type === 4);
  let bytes: Uint8Array = NO_BYTES;
  if (type === 10) text += done(() => fs.readlink(path));
  if (type === 8) bytes = contentOf(fs, path, attributes.sizeBytes);
  for (const name of [...done(() => fs.listXattrs(target))].sort()) {
    const value = done(() => fs.getXattr(target, name));
    text += `${name}=${Buffer.from(value).toString('hex')};`;
  }
  return { text, bytes };
}

function textOf(a: Attributes, isDirectory: boolean): string {
  const times = [a.atime, a.mtime, a.ctime, a.btime].map((t) => `${t.seconds}.${t.nanoseconds}`);
  const size = isDirectory ? 0 : a.sizeBytes;
  return `${a.mode} ${a.links} ${a.uid} ${a.gid} ${size} ${times.join(' ')} `;
}

function contentOf(fs: Operations, path: string, size: number): Uint8Array {
  if (size <= WHOLE_SIZE_MAX) return done(() => fs.readFile({ path }));
  const file = done(() => fs.open(path, { read: true, write: false }));
  const bytes = new Uint8Array(PLACES.length * PLACE_SIZE);
  PLACES.forEach((position, index) => {
    const part = bytes.subarray(index * PLACE_SIZE, (index + 1) * PLACE_SIZE);
    done(() => fs.read(file, part, position));
  });
  done(() => fs.close(file));
  return bytes;
}

/** All paths of some trees; of the large directory some. */
function pathsOf(models: readonly ModelFileSystem[]): Map<string, Probe['kind'][]> {
  const paths = new Map<string, Probe['kind'][]>();
  for (const model of models) {
    const stack = ['/'];
    for (let path = stack.pop(); path !== undefined; path = stack.pop()) {
      paths.set(path, ['entry', 'listing']);
      for (const { name, kind } of done(() => model.readdir({ path: path as string }, 10_000))
        .entries) {
        const child = `${path === '/' ? '' : path}/${name}`;
        if (kind === 'directory') stack.push(child);
        else if (path !== '/big' && path !== '/crowd') paths.set(child, ['entry']);
      }
    }
  }
  for (let index = 0; index < BIG_DIRECTORY_ENTRIES; index += BIG_STEP) {
    paths.set(`/big/${bigName(index)}`, ['entry']);
  }
  return paths;
}

/** Every probe of a volume, and what it must give. */
export interface Expectations {
  readonly probes: readonly Probe[];
  /** By state of the active file system (see Base.states), then by probe. */
  readonly byState: readonly (readonly Answer[])[];
  /** The same for the consistency points. */
  readonly byCommit: readonly (readonly Answer[])[];
}

export function expectationsOf(base: Base): Expectations {
  const { states, snapshots, commits } = base;
  const probes: Probe[] = [];
  const add = (snapshot: string | undefined, models: readonly ModelFileSystem[]) => {
    for (const [path, kinds] of pathsOf(models)) {
      for (const kind of kinds) probes.push({ snapshot, path, kind });
    }
  };
  add(undefined, [...states, ...commits]);
  for (const [name, model] of snapshots) add(name, [model]);
  const answers = (active: ModelFileSystem) =>
    probes.map((probe) => {
      const { snapshot } = probe;
      const model = snapshot === undefined ? active : (snapshots.get(snapshot) as ModelFileSystem);
      return ask(model, probe) as Answer;
    });
  return { probes, byState: states.map(answers), byCommit: commits.map(answers) };
}
