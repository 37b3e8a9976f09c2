// The rules of the house, each a function from a source file to what is wrong with it. Every rule
// has a bad sample in rules.test.ts that it must find: a rule that cannot fail is worth nothing.

import {
  type Identifier,
  isArrayLiteralExpression,
  isAsExpression,
  isCallExpression,
  isElementAccessExpression,
  isForOfStatement,
  isIdentifier,
  isImportDeclaration,
  isNewExpression,
  isNonNullExpression,
  isParenthesizedExpression,
  isPropertyAccessExpression,
  isStringLiteral,
  isTypeReferenceNode,
  isVariableDeclaration,
  type Node,
  SyntaxKind,
} from 'typescript/unstable/ast';
import { isPortable } from './layers.ts';
import { at, type Finding, lineOf, type Source, walk } from './source-tree.ts';

export const LINE_COLUMNS_MAX = 100;
export const FUNCTION_LINES_MAX = 70;
export const FILE_LINES_MAX = 800;

export function checkLines(source: Source): Finding[] {
  const findings: Finding[] = [];
  const lines = source.text.split('\n');
  if (lines.at(-1) === '') lines.pop();
  else findings.push(`${source.path}:${lines.length}: no line end at the end of the file`);
  if (lines.length > FILE_LINES_MAX) {
    findings.push(`${source.path}:1: ${lines.length} lines, more than ${FILE_LINES_MAX}`);
  }
  lines.forEach((line, index) => {
    const where = `${source.path}:${index + 1}`;
    const columns = [...line].length;
    if (columns > LINE_COLUMNS_MAX) {
      findings.push(`${where}: ${columns} columns, more than ${LINE_COLUMNS_MAX}`);
    }
    if (/[ \t\r]$/.test(line)) findings.push(`${where}: blanks at the end of the line`);
  });
  return findings;
}

const FUNCTIONS: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.FunctionDeclaration,
  SyntaxKind.FunctionExpression,
  SyntaxKind.ArrowFunction,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.Constructor,
  SyntaxKind.GetAccessor,
  SyntaxKind.SetAccessor,
]);

/** Functions, from their first line to their last, doc comment not counted. */
export function checkFunctions(source: Source): Finding[] {
  const findings: Finding[] = [];
  walk(source.tree, (node) => {
    if (!FUNCTIONS.has(node.kind)) return;
    const start = node.getStart(source.tree);
    const lines = lineOf(source, node.end) - lineOf(source, start) + 1;
    if (lines <= FUNCTION_LINES_MAX) return;
    findings.push(
      at(source, node, `a function of ${lines} lines, more than ${FUNCTION_LINES_MAX}`),
    );
  });
  return findings;
}

/** Written in halves, so that this file does not break its own rule. */
const MARKS = new RegExp(
  `\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX', 'HA' + 'CK'].join('|')})\\b`,
);

/** Takes any text file: work left to do belongs in an issue. */
export function checkMarks(path: string, text: string): Finding[] {
  return text.split('\n').flatMap((line, index) => {
    const mark = MARKS.exec(line)?.[1];
    return mark === undefined ? [] : [`${path}:${index + 1}: ${mark}`];
  });
}

/** Names that let the world in: clocks, chance, timers, the platform. */
const FORBIDDEN: ReadonlySet<string> = new Set([
  'Date',
  'performance',
  'crypto',
  'setTimeout',
  'setInterval',
  'setImmediate',
  'process',
  'Buffer',
  'require',
  'global',
  'Deno',
  'Bun',
]);

/** Parents under which an identifier is a name given, not a variable read. */
const NAMING: ReadonlySet<SyntaxKind> = new Set([
  SyntaxKind.PropertyAssignment,
  SyntaxKind.PropertyDeclaration,
  SyntaxKind.PropertySignature,
  SyntaxKind.MethodDeclaration,
  SyntaxKind.MethodSignature,
  SyntaxKind.GetAccessor,
  SyntaxKind.SetAccessor,
  SyntaxKind.BindingElement,
  SyntaxKind.ImportSpecifier,
  SyntaxKind.ExportSpecifier,
]);

/** Files that may name some of them all the same. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  // The face of node:fs gives Buffers where the host has them, and dates made from given times.
  'host/fs/globals.ts': ['globalThis.Buffer', 'globalThis.Date'],
  // Clock and randomness of hosts that nobody gave any.
  'host/base/platform.ts': ['globalThis.Date', 'crypto', 'setTimeout'],
};

/** Portable code must not reach for what is injected. `new Date(value)` is allowed: it formats a
 *  given time, as fs.Stats does, and reads no clock; so is any of the names as a type. */
export function checkGlobals(source: Source): Finding[] {
  if (!isPortable(source.path)) return [];
  const allowed = ALLOWED[source.path] ?? [];
  const findings: Finding[] = [];
  walk(source.tree, (node) => {
    const name = forbiddenName(node);
    if (name === undefined || allowed.includes(name)) return;
    findings.push(at(source, node, `${name} in a portable folder`));
  });
  return findings;
}

function forbiddenName(node: Node): string | undefined {
  if (isPropertyAccessExpression(node) || isElementAccessExpression(node)) {
    return forbiddenAccess(node);
  }
  if (!isIdentifier(node) || !FORBIDDEN.has(node.text)) return undefined;
  const parent = node.parent;
  if (isPropertyAccessExpression(parent) && parent.name === node) return undefined;
  if (isTypeReferenceNode(parent)) return undefined;
  if (NAMING.has(parent.kind) && (parent as Node & { name?: Node }).name === node) return undefined;
  if (isPlainDate(node, parent)) return undefined;
  return node.text;
}

function isPlainDate(node: Identifier, parent: Node): boolean {
  if (node.text !== 'Date' || !isNewExpression(parent) || parent.expression !== node) return false;
  return (parent.arguments?.length ?? 0) > 0;
}

/** The expression within parentheses and type assertions. */
function bare(node: Node): Node {
  let inner = node;
  while (isParenthesizedExpression(inner) || isAsExpression(inner) || isNonNullExpression(inner)) {
    inner = inner.expression;
  }
  return inner;
}

/** globalThis.x, globalThis['x'], Math.random. */
function forbiddenAccess(node: Node): string | undefined {
  let object: Node;
  let name: string | undefined;
  if (isPropertyAccessExpression(node)) {
    object = node.expression;
    name = node.name.text;
  } else if (isElementAccessExpression(node)) {
    object = node.expression;
    const key = node.argumentExpression;
    name = isStringLiteral(key) ? key.text : undefined;
  } else return undefined;
  object = bare(object);
  if (!isIdentifier(object)) return undefined;
  if (object.text === 'Math' && name === 'random') return 'Math.random';
  if (object.text !== 'globalThis' && object.text !== 'self') return undefined;
  if (name === undefined) return `a computed name of ${object.text}`;
  return FORBIDDEN.has(name) ? `${object.text}.${name}` : undefined;
}

/** Every uvu suite of a test file is run, after its last test, and none is narrowed by only(). */
export function checkTestFile(source: Source): Finding[] {
  if (!source.path.endsWith('.test.ts')) return [];
  const suites = new Set<string>();
  const uses = new Map<string, Node>();
  const runs = new Map<string, Node>();
  const findings: Finding[] = [];
  walk(source.tree, (node) => {
    if (isImportDeclaration(node) && textOf(node.moduleSpecifier) === 'uvu') {
      if (/\btest\b/.test(node.getText(source.tree))) suites.add('test');
    }
    if (isVariableDeclaration(node) && isSuiteCall(node.initializer)) {
      suites.add(node.name.getText(source.tree));
    }
    if (!isCallExpression(node)) return;
    const [owner, method] = calleeOf(node.expression);
    if (owner === undefined) return;
    if (method === 'only') findings.push(at(source, node, 'only() leaves out the other tests'));
    if (method === 'run') for (const name of runOwners(node, owner)) runs.set(name, node);
    else uses.set(owner, node);
  });
  if (runs.size === 0) findings.push(`${source.path}:1: a test file without run()`);
  for (const name of suites) {
    const use = uses.get(name);
    const run = runs.get(name);
    if (run === undefined) findings.push(`${source.path}:1: ${name}.run() is missing`);
    else if (use !== undefined && use.pos > run.pos) {
      findings.push(at(source, use, `comes after ${name}.run() and will not run`));
    }
  }
  return findings;
}

/** Whom `owner.run()` runs: in `for (const owner of [a, b]) owner.run()` a and b. */
function runOwners(node: Node, owner: string): string[] {
  for (let up = node.parent; up !== undefined; up = up.parent) {
    if (!isForOfStatement(up) || !isArrayLiteralExpression(up.expression)) continue;
    if (!up.initializer.getText().endsWith(` ${owner}`)) continue;
    return up.expression.elements.map((element) => element.getText());
  }
  return [owner];
}

function textOf(node: Node): string | undefined {
  return isStringLiteral(node) ? node.text : undefined;
}

function isSuiteCall(node: Node | undefined): boolean {
  if (node === undefined || !isCallExpression(node)) return false;
  return isIdentifier(node.expression) && node.expression.text === 'suite';
}

/** x(...) gives [x], x.y(...) and x['y'](...) give [x, y]. */
function calleeOf(node: Node): [owner?: string, method?: string] {
  if (isIdentifier(node)) return [node.text];
  if (isPropertyAccessExpression(node) && isIdentifier(node.expression)) {
    return [node.expression.text, node.name.text];
  }
  if (isElementAccessExpression(node) && isIdentifier(node.expression)) {
    return [node.expression.text, textOf(node.argumentExpression) ?? ''];
  }
  return [];
}

/** A test file opens with what it checks and why that matters: two sentences at least. */
export function checkTestOpening(source: Source): Finding[] {
  if (!source.path.endsWith('.test.ts')) return [];
  const opening = /^(?:\/\/.*\n)+/.exec(source.text)?.[0] ?? '';
  const sentences = opening.match(/[.:?!](\s|$)/g)?.length ?? 0;
  if (sentences >= 2) return [];
  return [`${source.path}:1: does not open with two sentences: what it checks, why it matters`];
}
