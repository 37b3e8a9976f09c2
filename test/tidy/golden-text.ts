// The texts that test/golden/ keeps: all layout constants, and the public API. A change of either
// shows as a diff that somebody reads; `npm run golden` writes them anew.

import { existsSync, readFileSync } from 'node:fs';
import {
  isClassDeclaration,
  isConstructorDeclaration,
  isInterfaceDeclaration,
  isVariableStatement,
  type Node,
  type SourceFile,
  SyntaxKind,
} from 'typescript/unstable/ast';
import { API, type Checker, type Project, SymbolFlags } from 'typescript/unstable/sync';
import type { Constants } from './format-document.ts';
import { filesIn, ROOT } from './source-tree.ts';

/** Paths from the root of the golden texts, and what makes them. */
export const GOLDEN: Readonly<Record<string, () => Promise<string> | string>> = {
  'test/golden/layout.txt': layoutText,
  'test/golden/api.txt': () => apiText(ENTRIES),
};

/** The compiled layout files, in order, with their constants in the order of the source. */
export async function layoutFiles(): Promise<{ path: string; constants: Constants }[]> {
  const files = [];
  for (const path of filesIn('assembly/layout', '.ts')) {
    const compiled = new URL(`../../${path.replace(/\.ts$/, '.js')}`, import.meta.url);
    const module = (await import(compiled.href)) as Record<string, unknown>;
    const source = readFileSync(ROOT + path, 'utf8');
    const names = Object.keys(module).sort((a, b) => position(source, a) - position(source, b));
    const entries = names.map((name) => {
      const value = module[name];
      if (typeof value === 'number') return [name, value] as const;
      throw new Error(`${path}: ${name} is no number`);
    });
    files.push({ path, constants: Object.fromEntries(entries) });
  }
  return files;
}

function position(source: string, name: string): number {
  return source.search(new RegExp(`export const ${name}\\b`));
}

async function layoutText(): Promise<string> {
  const parts = (await layoutFiles()).map(({ path, constants }) => {
    const lines = Object.entries(constants).map(([name, value]) => {
      return `${name} = ${name.endsWith('_MAGIC') ? `0x${value.toString(16)}` : value}`;
    });
    return `${path}\n${lines.map((line) => `  ${line}\n`).join('')}`;
  });
  return parts.join('\n');
}

/** What a program can import, from where. */
const ENTRIES = ['host/index.ts', 'host/node.ts'];

/** The exports of the entry files that exist, with signatures. */
export function apiText(paths: readonly string[]): string {
  const entries = paths.filter((path) => existsSync(ROOT + path));
  if (entries.length === 0) return '';
  const api = new API({ cwd: ROOT });
  try {
    const config = `${ROOT}tsconfig.json`;
    const project = api.updateSnapshot({ openProjects: [config] }).getProject(config);
    if (project === undefined) throw new Error('no project');
    return entries.map((path) => `${path}\n${entryText(project, path)}`).join('\n');
  } finally {
    api.close();
  }
}

function entryText(project: Project, path: string): string {
  const { checker, program } = project;
  const file = program.getSourceFile(ROOT + path);
  const module = file === undefined ? undefined : checker.getSymbolAtLocation(file);
  if (module === undefined) throw new Error(`${path} exports nothing`);
  const symbols = [...checker.getExportsOfModule(module)];
  symbols.sort((a, b) => (a.name < b.name ? -1 : 1));
  return symbols
    .flatMap((symbol) => {
      const isAlias = (symbol.flags & SymbolFlags.Alias) !== 0;
      const target = isAlias ? checker.getAliasedSymbol(symbol) : symbol;
      const nodes = target.declarations.map((handle) => handle.resolve(project));
      if (nodes.length === 0) throw new Error(`${path}: ${symbol.name} leads nowhere`);
      return nodes.map((node) => describe(checker, symbol.name, node));
    })
    .map((text) => text.replaceAll(/^/gm, '  '))
    .join('\n')
    .concat('\n');
}

/** A declaration as its user sees it: signatures, no bodies, no comments. */
function describe(checker: Checker, name: string, node: Node | undefined): string {
  if (node === undefined) throw new Error(`${name} has no declaration`);
  if (isClassDeclaration(node) || isInterfaceDeclaration(node)) {
    const word = isClassDeclaration(node) ? 'class' : 'interface';
    const parameters = node.typeParameters?.map((parameter) => plain(parameter)).join(', ');
    const full = parameters === undefined ? name : `${name}<${parameters}>`;
    const clauses = node.heritageClauses?.map((clause) => ` ${plain(clause)}`).join('') ?? '';
    const members = node.members.filter((member) => !isPrivate(member));
    return [`${word} ${full}${clauses}`, ...members.map((m) => `  ${signature(checker, m)}`)].join(
      '\n',
    );
  }
  const text = signature(checker, node).replace(/^export (default )?(declare )?/, '');
  return new RegExp(`(^|[ *])${name}\\b`).test(text) ? text : `${name}: ${text}`;
}

function isPrivate(member: Node): boolean {
  const text = plain(member);
  return /^(static )?(readonly )?(async )?(get |set |\*)?#/.test(text) || /^private\b/.test(text);
}

/** TypeScript's NodeBuilderFlags.NoTruncation. */
const NO_TRUNCATION = 1;

/** The text of a declaration up to its body, its type added where it is inferred. */
function signature(checker: Checker, node: Node): string {
  const body = (node as Node & { body?: Node }).body;
  const text = plain(node, body);
  if (body !== undefined) {
    const isTyped = (node as Node & { type?: Node }).type !== undefined;
    if (isTyped || isConstructorDeclaration(node)) return text;
    const inferred = checker.getSignatureFromDeclaration(node);
    const type = inferred && checker.getReturnTypeOfSignature(inferred);
    return type === undefined
      ? text
      : `${text}: ${checker.typeToString(type, node, NO_TRUNCATION)}`;
  }
  const initializer = (node as Node & { initializer?: Node }).initializer;
  if (initializer === undefined || isVariableStatement(node)) return text;
  const type = checker.getTypeAtLocation(node);
  const head = plain(node, initializer).replace(/\s*=$/, '');
  if ((node as Node & { type?: Node }).type !== undefined || type === undefined) return head;
  return `${head}: ${checker.typeToString(type, node, NO_TRUNCATION)}`;
}

/** The node's text without comments and with single blanks, up to `end` if that is given. */
function plain(node: Node, end?: Node): string {
  const file = fileOf(node);
  const start = node.getStart(file);
  const from = file.text.slice(start, end === undefined ? node.end : end.getStart(file));
  return from
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
    .replace(/\s+/g, ' ')
    .replace(/;$/, '')
    .trim();
}

function fileOf(node: Node): SourceFile {
  let up = node;
  while (up.kind !== SyntaxKind.SourceFile) up = up.parent;
  return up as SourceFile;
}
