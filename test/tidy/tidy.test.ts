// The house is kept: layers, portable folders, sizes, marks, test files, and a core that compiles
// with no Node types. What is not checked on every run decays; each finding names its file and
// line.

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkImports } from './layers.ts';
import {
  checkFunctions,
  checkGlobals,
  checkLines,
  checkMarks,
  checkTestFile,
  checkTestOpening,
} from './rules.ts';
import { type Finding, filesIn, projectSources, ROOT, type Source } from './source-tree.ts';

const sources = projectSources();

function none(findings: readonly Finding[]): void {
  if (findings.length === 0) return;
  const error = new Error(`${findings.length} findings\n${findings.join('\n')}`);
  // The findings say where they are; a stack would only print them once more.
  error.stack = '';
  throw error;
}

function everywhere(rule: (source: Source) => Finding[]): void {
  none(sources.flatMap(rule));
}

test('the tree is what was read', () => {
  const paths = sources.map((source) => source.path);
  for (const path of ['host/base/errors.ts', 'assembly/layout/inode.ts', 'test/run.ts']) {
    assert.ok(paths.includes(path), path);
  }
});

test('a folder imports only what stands above it', () => everywhere(checkImports));
test('portable folders use no clock, chance, timer or platform', () => everywhere(checkGlobals));
test('lines and files are short', () => everywhere(checkLines));
test('functions are short', () => everywhere(checkFunctions));
test('test suites are run, all of each', () => everywhere(checkTestFile));
test('test files say what they check and why', () => everywhere(checkTestOpening));

test('no marks of work left to do', () => {
  const documents = ['README', 'ARCHITECTURE', 'FORMAT', 'CONTRIBUTING', 'CHANGELOG'];
  const others = [
    ...filesIn('assembly', '.ts'),
    ...filesIn('assembly', '.mjs'),
    ...filesIn('bench', '.md'),
    ...documents.map((name) => `${name}.md`).filter((path) => existsSync(ROOT + path)),
  ];
  const paths = new Set([...sources.map((source) => source.path), ...others]);
  none([...paths].flatMap((path) => checkMarks(path, readFileSync(ROOT + path, 'utf8'))));
});

test('the portable core compiles with no Node types', () => {
  const tsc = `${ROOT}node_modules/typescript/bin/tsc`;
  const { stdout, status } = spawnSync(process.execPath, [tsc, '-p', `${ROOT}host/tsconfig.json`], {
    encoding: 'utf8',
  });
  assert.is(status, 0, stdout);
});

test.run();
