// Compares a volume with the trees of the oracle.

import type { Volume } from '../../host/node.ts';
import type { NodeKind, Tree, TreeNode } from './tree.ts';

type Fs = Volume['fs']['promises'];

/** An entry as it was found. */
interface Found {
  readonly node: TreeNode;
  readonly ino: number;
}
export type Listing = ReadonlyMap<string, Found>;

/** Everything below the root, read through. */
export async function listAll(fs: Fs): Promise<Listing> {
  const found = new Map<string, Found>();
  await walk(fs, '', found);
  return found;
}

async function walk(fs: Fs, directory: string, found: Map<string, Found>): Promise<void> {
  for (const name of await fs.readdir(directory === '' ? '/' : directory)) {
    const path = `${directory}/${name}`;
    const stats = await fs.lstat(path);
    const kind: NodeKind = stats.isDirectory() ? 'directory' : stats.isFile() ? 'file' : 'symlink';
    const content = kind === 'file' ? await fs.readFile(path) : undefined;
    const target = kind === 'symlink' ? await fs.readlink(path) : '';
    const size = kind === 'file' ? stats.size : 0;
    found.set(path, {
      node: { kind, mode: stats.mode & 0o7777, size, content, target },
      ino: stats.ino,
    });
    if (kind === 'directory') await walk(fs, path, found);
  }
}

/** The first difference between what a writer made and what is there; undefined where there is
 *  none. */
export function differenceOf(tree: Tree, listing: Listing): string | undefined {
  const boxes = new Map<number, object>();
  for (const [path, box] of tree.paths) {
    const found = listing.get(path);
    if (found === undefined) return `${path} is missing`;
    const difference = nodeDifference(found.node, box.node);
    if (difference !== undefined) return `${path}: ${difference}`;
    const linked = boxes.get(found.ino) ?? box;
    if (linked !== box) return `${path} is linked to another file`;
    boxes.set(found.ino, box);
  }
  const linkCount = new Set(tree.paths.values()).size;
  if (boxes.size !== linkCount)
    return `${boxes.size} files, should be ${linkCount}: a link is a copy`;
  for (const path of listing.keys()) {
    if (tree.owns(path) && !tree.paths.has(path)) return `${path} should not be there`;
  }
  return undefined;
}

function nodeDifference(found: TreeNode, wanted: TreeNode): string | undefined {
  for (const key of ['kind', 'mode', 'size', 'target'] as const) {
    if (found[key] !== wanted[key]) return `${key} is ${found[key]}, should be ${wanted[key]}`;
  }
  if (wanted.kind !== 'file') return undefined;
  const [a, b] = [found.content as Uint8Array, wanted.content as Uint8Array];
  if (a.length !== b.length) return `${a.length} bytes were read, should be ${b.length}`;
  if (Buffer.compare(a, b) === 0) return undefined;
  const at = a.findIndex((byte, index) => byte !== b[index]);
  return `byte ${at} of ${b.length} is ${a[at]}, should be ${b[at]}`;
}

/** As differenceOf, of the names of a writer's snapshots. */
export function snapshotDifference(tree: Tree, names: readonly string[]): string | undefined {
  const there = names.filter((name) => name.startsWith(`w${tree.writer}-`)).sort();
  const wanted = [...tree.snapshots.keys()].sort();
  if (there.join() === wanted.join()) return undefined;
  return `snapshots are [${there.join()}], should be [${wanted.join()}]`;
}
