// What the main job works on: a tree of the user's, or packages of the project's own node_modules,
// which every checkout has: by name, each that still fits, up to 150 MB.

import { readdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { copyTrees } from '../transfer/copy.ts';
import { hostSide } from '../transfer/host-side.ts';

const BYTES_MAX = 150_000_000;

export interface InputItem {
  readonly path: string;
  /** Its name in the volume. */
  readonly as: string;
  readonly files: number;
  readonly bytes: number;
}

export interface Input {
  /** For people. */
  readonly name: string;
  readonly items: readonly InputItem[];
  /** Names that were left out. */
  readonly left: readonly string[];
  readonly files: number;
  readonly bytes: number;
}

/** `tree` itself, or the packages in `modules`. */
export async function chooseInput(tree: string | undefined, modules: string): Promise<Input> {
  if (tree !== undefined) {
    const path = resolve(tree);
    const item = await measure(path, basename(path) || 'root');
    return inputOf(path, [item], []);
  }
  const items: InputItem[] = [];
  const left: string[] = [];
  let bytes = 0;
  const entries = readdirSync(modules, { withFileTypes: true });
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  for (const name of names.sort()) {
    if (name.startsWith('.')) continue;
    const item = await measure(join(modules, name), name);
    if (bytes + item.bytes > BYTES_MAX) {
      left.push(name);
      continue;
    }
    bytes += item.bytes;
    items.push(item);
  }
  return inputOf('packages of node_modules', items, left);
}

async function measure(path: string, as: string): Promise<InputItem> {
  const host = hostSide();
  const { files, bytes } = await copyTrees(host, [{ path, as }], host, '/', { dryRun: true });
  return { path, as, files, bytes };
}

function inputOf(name: string, items: readonly InputItem[], left: readonly string[]): Input {
  const sum = (of: (item: InputItem) => number) =>
    items.reduce((total, item) => total + of(item), 0);
  return {
    name,
    items,
    left,
    files: sum((item) => item.files),
    bytes: sum((item) => item.bytes),
  };
}
