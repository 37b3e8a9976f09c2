// What one writer of the torture has made, as plain data, and what it does next. Parent and child
// run the same code from the same seed: so the parent knows every request without being told, and
// the child reports one byte for each that was acknowledged.
//
// A writer has names that no other writer touches (its own directory, and names with its prefix in
// a directory that all share), and waits for each request before it makes the next. So when it is
// killed one request of it is open, which may be there as a whole or not at all.

import type { Prng } from '../../host/base/env.ts';
import { below, chance, pick } from '../../host/base/prng.ts';
import { bytesOf, type Data } from '../oracle/workload.ts';

export type Request =
  | { readonly op: 'writeFile'; path: string; data: Data }
  | { readonly op: 'write'; path: string; position: number; data: Data }
  | { readonly op: 'truncate'; path: string; size: number }
  | { readonly op: 'chmod'; path: string; mode: number }
  | { readonly op: 'rename'; path: string; to: string }
  | { readonly op: 'link'; path: string; to: string }
  | { readonly op: 'symlink'; path: string; target: string }
  | { readonly op: 'mkdir' | 'rmdir' | 'unlink'; path: string }
  | { readonly op: 'snapshot' | 'unsnapshot'; name: string }
  | { readonly op: 'sync' };

/** By a sync call of the face, where there is one. */
export type Step = Request & { readonly isSync: boolean };

export type NodeKind = 'file' | 'directory' | 'symlink';

/** An inode. Never changed, but for the children of directories, which are in the paths. */
export interface TreeNode {
  readonly kind: NodeKind;
  readonly mode: number;
  readonly size: number;
  /** A file's bytes; undefined in the child, which has no need of them. */
  readonly content: Uint8Array | undefined;
  /** Of a symlink. */
  readonly target: string;
}

/** What the child is told of a tree. */
export interface TreeSummary {
  readonly writer: number;
  readonly nodes: readonly TreeNode[];
  readonly paths: readonly (readonly [string, number])[];
  readonly snapshots: readonly string[];
  readonly snapshotCount: number;
}

type Op = Request['op'];
const WEIGHTS: readonly (readonly [Op, number])[] = [
  ['writeFile', 25],
  ['write', 22],
  ['truncate', 9],
  ['rename', 14],
  ['unlink', 12],
  ['link', 7],
  ['mkdir', 6],
  ['rmdir', 4],
  ['symlink', 4],
  ['chmod', 4],
  ['snapshot', 2],
  ['unsnapshot', 2],
  ['sync', 2],
];
const WEIGHT_SUM = WEIGHTS.reduce((sum, [, weight]) => sum + weight, 0);
/** Longest content: of one message (ENGINE 12), so that all of it is there or nothing. */
const SIZE_MAX = 400_000;
const SNAPSHOTS_MAX = 2;
const SHARED = '/shared';

export class Tree {
  readonly writer: number;
  /** By path; hard links share a node's box. */
  readonly paths = new Map<string, { node: TreeNode }>();
  /** What each snapshot holds of this writer's names; undefined in the child. */
  readonly snapshots = new Map<string, Tree | undefined>();
  snapshotCount = 0;

  constructor(writer: number) {
    this.writer = writer;
  }

  static of(summary: TreeSummary): Tree {
    const tree = new Tree(summary.writer);
    const boxes = summary.nodes.map((node) => ({ node }));
    for (const [path, index] of summary.paths)
      tree.paths.set(path, boxes[index] as { node: TreeNode });
    for (const name of summary.snapshots) tree.snapshots.set(name, undefined);
    tree.snapshotCount = summary.snapshotCount;
    return tree;
  }

  summary(): TreeSummary {
    const boxes = [...new Set(this.paths.values())];
    return {
      writer: this.writer,
      nodes: boxes.map(({ node }) => ({ ...node, content: undefined })),
      paths: [...this.paths].map(([path, box]) => [path, boxes.indexOf(box)]),
      snapshots: [...this.snapshots.keys()],
      snapshotCount: this.snapshotCount,
    };
  }

  clone(): Tree {
    const copy = new Tree(this.writer);
    const boxes = new Map(
      [...new Set(this.paths.values())].map((box) => [box, { node: box.node }]),
    );
    for (const [path, box] of this.paths)
      copy.paths.set(path, boxes.get(box) as { node: TreeNode });
    for (const [name, tree] of this.snapshots) copy.snapshots.set(name, tree);
    copy.snapshotCount = this.snapshotCount;
    return copy;
  }

  get home(): string {
    return `/w${this.writer}`;
  }

  /** Whether a name in the root or the shared directory is this writer's. */
  owns(path: string): boolean {
    return path.startsWith(`${this.home}/`) || path.startsWith(`${SHARED}/w${this.writer}-`);
  }

  /** Always one that succeeds. */
  next(prng: Prng): Step {
    for (;;) {
      let left = below(prng, WEIGHT_SUM);
      const entry = WEIGHTS.find(([, weight]) => {
        left -= weight;
        return left < 0;
      });
      const request = this.#make((entry as (typeof WEIGHTS)[number])[0], prng);
      if (request !== undefined) return { ...request, isSync: chance(prng, 0.06) };
    }
  }

  #make(op: Op, prng: Prng): Request | undefined {
    const path = pick(prng, this.#places());
    const node = this.paths.get(path)?.node;
    const isFile = node?.kind === 'file';
    switch (op) {
      case 'writeFile':
        return node === undefined || isFile ? { op, path, data: dataOf(prng) } : undefined;
      case 'write': {
        if (!isFile) return undefined;
        const position = below(prng, Math.min(node.size + 5000, SIZE_MAX));
        const data = dataOf(prng);
        const isInside = data.length > 0 && position + data.length <= SIZE_MAX;
        return isInside ? { op, path, position, data } : undefined;
      }
      case 'truncate':
        return isFile ? { op, path, size: below(prng, node.size + 6000) } : undefined;
      case 'chmod':
        return isFile ? { op, path, mode: pick(prng, [0o600, 0o644, 0o755, 0o4711]) } : undefined;
      case 'unlink':
        return node === undefined ? undefined : { op, path };
      case 'symlink':
        return node === undefined ? { op, path, target: `to-${below(prng, 1000)}` } : undefined;
      case 'rename':
      case 'link':
        return this.#makeSecondName(op, path, pick(prng, this.#places()), prng);
      case 'mkdir':
      case 'rmdir':
        return this.#makeDirectory(op, prng);
      case 'snapshot':
        if (this.snapshots.size >= SNAPSHOTS_MAX) return undefined;
        return { op, name: `w${this.writer}-${this.snapshotCount}` };
      case 'unsnapshot':
        if (this.snapshots.size === 0) return undefined;
        return { op, name: pick(prng, [...this.snapshots.keys()]) };
      case 'sync':
        return { op };
    }
  }

  #makeSecondName(
    op: 'rename' | 'link',
    path: string,
    to: string,
    prng: Prng,
  ): Request | undefined {
    if (op === 'rename' && chance(prng, 0.15)) {
      const [from, other] = [`${this.home}/d0`, `${this.home}/d1`];
      if (!this.paths.has(from) || this.paths.has(other)) return undefined;
      return { op, path: from, to: other };
    }
    if (!this.paths.has(path) || path === to) return undefined;
    if (op === 'link' && (this.paths.has(to) || this.paths.get(path)?.node.kind !== 'file')) {
      return undefined;
    }
    return { op, path, to };
  }

  #makeDirectory(op: 'mkdir' | 'rmdir', prng: Prng): Request | undefined {
    const path = `${this.home}/d${below(prng, 2)}`;
    if (this.paths.has(path) !== (op === 'rmdir')) return undefined;
    const isEmpty = ![...this.paths.keys()].some((other) => other.startsWith(`${path}/`));
    return isEmpty ? { op, path } : undefined;
  }

  /** Where files may stand now. */
  #places(): string[] {
    const inside = ['d0', 'd1'].filter((name) => this.paths.has(`${this.home}/${name}`));
    return [
      ...['a', 'b', 'c', 'long'.repeat(40)].map((name) => `${this.home}/${name}`),
      ...inside.flatMap((name) => [`${this.home}/${name}/e`, `${this.home}/${name}/f`]),
      ...['x', 'y'].map((name) => `${SHARED}/w${this.writer}-${name}`),
    ];
  }

  /** The request as it took effect; `hasContent` in the parent. */
  apply(request: Request, hasContent: boolean): void {
    const { paths } = this;
    switch (request.op) {
      case 'writeFile': {
        const content = hasContent ? bytesOf(request.data) : undefined;
        this.#set(request.path, { size: request.data.length, content });
        return;
      }
      case 'write': {
        const { node } = this.#box(request.path);
        const end = request.position + request.data.length;
        const size = Math.max(node.size, end);
        const content = resized(node.content, size);
        content?.set(bytesOf(request.data), request.position);
        this.#set(request.path, { size, content });
        return;
      }
      case 'truncate': {
        const { size } = request;
        const content = resized(this.#box(request.path).node.content, size);
        this.#set(request.path, { size, content });
        return;
      }
      case 'chmod':
        this.#set(request.path, { mode: request.mode });
        return;
      case 'rename':
        this.#rename(request.path, request.to);
        return;
      case 'link':
        paths.set(request.to, this.#box(request.path));
        return;
      case 'symlink':
        this.#add(request.path, 'symlink', 0o777, request.target);
        return;
      case 'mkdir':
        this.#add(request.path, 'directory', 0o755, '');
        return;
      case 'rmdir':
      case 'unlink':
        paths.delete(request.path);
        return;
      case 'snapshot':
        this.snapshots.set(request.name, hasContent ? this.clone() : undefined);
        this.snapshotCount++;
        return;
      case 'unsnapshot':
        this.snapshots.delete(request.name);
        return;
      case 'sync':
    }
  }

  #box(path: string): { node: TreeNode } {
    const box = this.paths.get(path);
    if (box === undefined) throw new Error(`the workload has no ${path}`);
    return box;
  }

  #set(path: string, change: Partial<TreeNode>): void {
    let box = this.paths.get(path);
    if (box === undefined) {
      box = { node: { kind: 'file', mode: 0o644, size: 0, content: undefined, target: '' } };
      this.paths.set(path, box);
    }
    box.node = { ...box.node, ...change };
  }

  #add(path: string, kind: NodeKind, mode: number, target: string): void {
    this.paths.set(path, { node: { kind, mode, size: 0, content: undefined, target } });
  }

  #rename(from: string, to: string): void {
    const box = this.#box(from);
    // Two names of one file: rename does nothing.
    if (this.paths.get(to) === box) return;
    for (const [path, inside] of [...this.paths]) {
      if (path !== from && !path.startsWith(`${from}/`)) continue;
      this.paths.delete(path);
      this.paths.set(to + path.slice(from.length), inside);
    }
  }
}

function resized(content: Uint8Array | undefined, size: number): Uint8Array | undefined {
  if (content === undefined) return undefined;
  const copy = new Uint8Array(size);
  copy.set(content.subarray(0, size));
  return copy;
}

/** Sizes around the borders of the format: none, inline, one block, several, a hundred. */
function dataOf(prng: Prng): Data {
  const limit = pick(prng, [1, 128, 200, 4096, 4097, 20_000, 20_000, 60_000, SIZE_MAX]);
  const length = chance(prng, 0.2) ? limit : below(prng, limit + 1);
  return { length, seed: 1 + below(prng, 2 ** 31) };
}
