// The import table: which folder may import from which (ARCHITECTURE.md, "The house"), and which
// package may be imported where. Data goes one way through the layers; this is what keeps it so.

import {
  isCallExpression,
  isExportDeclaration,
  isImportDeclaration,
  isImportTypeNode,
  isStringLiteral,
  type Node,
  SyntaxKind,
} from 'typescript/unstable/ast';
import { at, type Finding, type Source, walk } from './source-tree.ts';

/** The layers, in order: each imports only from itself and those before it. */
export const LAYERS = [
  'assembly/layout',
  'host/base',
  'host/kernels',
  'host/format',
  'host/device',
  'host/raid',
  'host/checkpoint',
  'host/nvlog',
  'host/filesystem',
  'host/replay',
  'host/image',
  'host/mirror',
  'host/replica',
  'host/qtree-mirror',
  'host/backup',
  'host/cluster',
  'host/fs',
  'host/volume',
  'host/index.ts',
  'host/node',
  'host/node.ts',
  'host/cli',
] as const;

type Layer = (typeof LAYERS)[number];

/** What the order would allow and the design does not. */
const STRANGERS: Partial<Record<Layer, readonly Layer[]>> = {
  'host/filesystem': ['host/raid'],
  'host/replica': ['host/mirror'],
  'host/qtree-mirror': ['host/mirror', 'host/replica'],
  'host/backup': ['host/mirror', 'host/replica', 'host/qtree-mirror'],
};

/** Packages, and the only places that import them: a layer, or one file. */
const PACKAGES: Readonly<Record<string, string>> = {
  '@assemblyscript/loader': 'host/kernels/instantiate.ts',
  piscina: 'host/node',
  commander: 'host/cli',
  picocolors: 'host/cli',
};

/** Files that load a module whose name they are given: the demo tells its story on any engine. */
const LOADERS: readonly string[] = ['host/cli/demo/main.ts', 'host/cli/demo/victim.ts'];

/** Layers that know the platform; all others are portable. */
const PLATFORM: readonly Layer[] = ['host/node', 'host/node.ts', 'host/cli'];

/** The layer of a file in host/ or assembly/layout/; undefined where it is in none. */
export function layerOf(path: string): Layer | undefined {
  return LAYERS.find((layer) => path === layer || path.startsWith(`${layer}/`));
}

export function isPortable(path: string): boolean {
  const layer = layerOf(path);
  return layer !== undefined && !PLATFORM.includes(layer);
}

/** Checks all imports of the files in host/ and assembly/layout/. */
export function checkImports(source: Source): Finding[] {
  if (!source.path.startsWith('host/') && !source.path.startsWith('assembly/')) return [];
  const layer = layerOf(source.path);
  if (layer === undefined) return [`${source.path}:1: stands in no layer of ARCHITECTURE.md`];
  const findings: Finding[] = [];
  walk(source.tree, (node) => {
    const specifier = specifierOf(node);
    if (specifier === undefined) return;
    const why =
      specifier === 'computed'
        ? refuseComputed(source.path)
        : specifier.text.startsWith('.')
          ? refuseRelative(source.path, layer, specifier.text)
          : refusePackage(source.path, layer, specifier.text);
    if (why !== undefined) findings.push(at(source, node, why));
  });
  return findings;
}

function specifierOf(node: Node): { text: string } | 'computed' | undefined {
  let specifier: Node | undefined;
  if (isImportDeclaration(node) || isExportDeclaration(node)) specifier = node.moduleSpecifier;
  else if (isImportTypeNode(node)) return importTypeText(node);
  else if (isCallExpression(node) && node.expression.kind === SyntaxKind.ImportKeyword) {
    specifier = node.arguments[0];
    if (specifier === undefined || !isStringLiteral(specifier)) return 'computed';
  }
  return specifier !== undefined && isStringLiteral(specifier) ? specifier : undefined;
}

function importTypeText(node: Node): { text: string } | 'computed' {
  let text: string | undefined;
  walk(node, (child) => {
    if (text === undefined && isStringLiteral(child)) text = child.text;
  });
  return text === undefined ? 'computed' : { text };
}

function refuseComputed(path: string): string | undefined {
  return LOADERS.includes(path) ? undefined : 'import of a computed name';
}

function refuseRelative(path: string, layer: Layer, specifier: string): string | undefined {
  const target = new URL(specifier, `file:///${path}`).pathname.slice(1);
  if (!specifier.endsWith('.ts')) return `import of "${specifier}" without its ending .ts`;
  const other = layerOf(target);
  if (other === undefined) return `import of ${target}, which is in no layer`;
  if (other === layer) return undefined;
  if (LAYERS.indexOf(other) > LAYERS.indexOf(layer)) return `${layer} stands above ${other}`;
  if (STRANGERS[layer]?.includes(other)) return `${layer} must not know ${other}`;
  return undefined;
}

function refusePackage(path: string, layer: Layer, specifier: string): string | undefined {
  if (specifier.startsWith('node:')) {
    return PLATFORM.includes(layer) ? undefined : `${specifier} in a portable folder`;
  }
  const name = Object.keys(PACKAGES).find((p) => specifier === p || specifier.startsWith(`${p}/`));
  if (name === undefined) return `${specifier} is not among the packages that we ship with`;
  const place = PACKAGES[name] as string;
  if (path === place || path.startsWith(`${place}/`)) return undefined;
  return `${name} is imported in ${place} alone`;
}
