// Source files with their syntax trees, for the tests that keep the house.
//
// The compiler's own parser is used, so that a rule about code never trips over a comment, a string
// or a regular expression. The files are handed to it from memory: the tree that is checked and the
// bad samples that prove the checks go the same way.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Node, SourceFile } from 'typescript/unstable/ast';
import { createVirtualFileSystem } from 'typescript/unstable/fs';
import { API } from 'typescript/unstable/sync';

/** The project's root folder, with a slash at the end. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

export interface Source {
  /** Relative to the root, with slashes: "host/base/units.ts". */
  readonly path: string;
  readonly text: string;
  readonly tree: SourceFile;
}

/** Something wrong, as a line to print: "host/x.ts:12: why". */
export type Finding = string;

/** A finding at a node of a source. */
export function at(source: Source, node: Node, why: string): Finding {
  return `${source.path}:${lineOf(source, node.getStart(source.tree))}: ${why}`;
}

/** Line number, from 1. */
export function lineOf(source: Source, position: number): number {
  return source.tree.getLineAndCharacterOfPosition(position).line + 1;
}

/** Calls `visit` on `node` and on all below it. */
export function walk(node: Node, visit: (node: Node) => void): void {
  visit(node);
  node.forEachChild((child) => {
    walk(child, visit);
  });
}

const VIRTUAL_ROOT = '/tree/';
const PARSE_ONLY = '{ "compilerOptions": { "noLib": true, "noResolve": true } }';

/** Parses files given as path -> text. */
export function parse(files: Readonly<Record<string, string>>): Source[] {
  const virtual: Record<string, string> = { [`${VIRTUAL_ROOT}tsconfig.json`]: PARSE_ONLY };
  for (const [path, text] of Object.entries(files)) virtual[VIRTUAL_ROOT + path] = text;
  const api = new API({ cwd: VIRTUAL_ROOT, fs: createVirtualFileSystem(virtual) });
  try {
    const snapshot = api.updateSnapshot({ openProjects: [`${VIRTUAL_ROOT}tsconfig.json`] });
    const program = snapshot.getProjects()[0]?.program;
    return Object.entries(files).map(([path, text]) => {
      const tree = program?.getSourceFile(VIRTUAL_ROOT + path);
      if (tree === undefined) throw new Error(`${path} was not parsed`);
      return { path, text, tree };
    });
  } finally {
    api.close();
  }
}

/** Where the project's own TypeScript lives. */
const FOLDERS = ['host', 'test', 'bench', 'assembly/layout'];
/** Made by the build, not by people, and not under version control. */
const GENERATED = ['host/kernels/wasm/embedded.ts'];

/** All TypeScript of the project, parsed. */
export function projectSources(): Source[] {
  const files: Record<string, string> = {};
  for (const folder of FOLDERS) {
    for (const path of filesIn(folder, '.ts')) {
      if (!GENERATED.includes(path)) files[path] = readFileSync(ROOT + path, 'utf8');
    }
  }
  return parse(files);
}

/** Paths, relative to the root and sorted, of the files below `folder` that end in `suffix`. */
export function filesIn(folder: string, suffix: string): string[] {
  return readdirSync(ROOT + folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(suffix))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length).replaceAll('\\', '/'))
    .filter((path) => !path.includes('node_modules/'))
    .sort();
}
