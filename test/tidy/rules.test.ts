// Each rule of the house is shown code that breaks it and code that comes close without breaking
// it. A rule that finds nothing because it looks at nothing would let the layers rot unseen.

import { suite } from 'uvu';
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
import { type Finding, parse, type Source } from './source-tree.ts';

type Rule = (source: Source) => Finding[];
/** Path, code, and what is found: "line: part of the text", in order; nothing where it is good. */
type Case = readonly [path: string, code: string, found: readonly string[]];

const IMPORTS: readonly Case[] = [
  ['host/raid/a.ts', "import { x } from '../base/units.ts';", []],
  ['host/raid/a.ts', "import type { x } from './b.ts';", []],
  ['host/base/a.ts', "import { x } from '../../assembly/layout/block.ts';", []],
  ['host/base/a.ts', "import { x } from '../raid/b.ts';", ['1: host/base stands above host/raid']],
  ['host/base/a.ts', "import type { x } from '../raid/b.ts';", ['1: stands above']],
  ['host/base/a.ts', "let x: import('../raid/b.ts').X;", ['1: stands above']],
  ['host/base/a.ts', "\nexport * from '../raid/b.ts';", ['2: stands above']],
  ['host/base/a.ts', "await import('../raid/b.ts');", ['1: stands above']],
  ['host/base/a.ts', 'await import(name);', ['1: computed']],
  [
    'host/base/a.ts',
    "// import { x } from '../raid/b.ts';\nconst s = \"from '../raid/b.ts'\";",
    [],
  ],
  ['host/filesystem/a.ts', "import { x } from '../raid/b.ts';", ['1: must not know host/raid']],
  ['host/filesystem/a.ts', "import { x } from '../replay/b.ts';", ['1: stands above host/replay']],
  ['host/filesystem/a.ts', "import { x } from '../device/block-volume.ts';", []],
  ['host/checkpoint/a.ts', "import { x } from '../filesystem/b.ts';", ['1: stands above']],
  ['host/replica/a.ts', "import { x } from '../mirror/b.ts';", ['1: must not know host/mirror']],
  ['host/backup/a.ts', "import { x } from '../qtree-mirror/b.ts';", ['1: must not know']],
  ['host/volume/a.ts', "import { x } from '../raid/b.ts';", []],
  ['host/index.ts', "import { x } from './fs/b.ts';", []],
  ['host/index.ts', "import { x } from './node.ts';", ['1: stands above host/node.ts']],
  ['host/base/a.ts', "import { x } from './b';", ['1: without its ending']],
  [
    'host/base/a.ts',
    "import { x } from '../../test/b.ts';",
    ['1: test/b.ts, which is in no layer'],
  ],
  ['host/stray/a.ts', 'export {};', ['1: stands in no layer']],
  ['host/raid/a.ts', "import { x } from 'node:fs';", ['1: node:fs in a portable folder']],
  ['host/node/a.ts', "import { x } from 'node:fs';", []],
  ['host/cli/a.ts', "import { x } from 'node:fs';", []],
  ['host/node/a.ts', "import { x } from 'lodash';", ['1: lodash is not among']],
  ['host/node/a.ts', "import { x } from 'fs';", ['1: fs is not among']],
  ['host/node/a.ts', "import { x } from 'piscina';", []],
  ['host/kernels/a.ts', "import { x } from 'piscina';", ['1: piscina is imported in host/node']],
  ['host/cli/a.ts', "import { x } from 'commander';", []],
  ['host/node/a.ts', "import { x } from 'picocolors';", ['1: picocolors is imported in host/cli']],
  ['host/kernels/instantiate.ts', "import { x } from '@assemblyscript/loader';", []],
  ['host/kernels/a.ts', "import { x } from '@assemblyscript/loader/umd';", ['1: instantiate.ts']],
];

const GLOBALS: readonly Case[] = [
  ['host/raid/a.ts', 'const t = Date.now();', ['1: Date']],
  ['host/raid/a.ts', 'const t = new Date();', ['1: Date']],
  ['host/raid/a.ts', 'const f = (t: Date) => new Date(0).getTime() + t.getTime();', []],
  ['host/raid/a.ts', 'const r = Math.random() + Math.floor(1);', ['1: Math.random']],
  ['host/raid/a.ts', "const r = Math['random']();", ['1: Math.random']],
  ['host/raid/a.ts', 'performance.now();', ['1: performance']],
  ['host/raid/a.ts', 'setTimeout(f); setInterval(f);', ['1: setTimeout', '1: setInterval']],
  ['host/raid/a.ts', '\nsetImmediate(f);', ['2: setImmediate']],
  ['host/raid/a.ts', 'process.exit(); Buffer.alloc(1);', ['1: process', '1: Buffer']],
  ['host/raid/a.ts', 'const x = { process };', ['1: process']],
  [
    'host/raid/a.ts',
    "globalThis.Date; globalThis['process'];",
    ['1: globalThis.Date', '1: process'],
  ],
  [
    'host/raid/a.ts',
    '(globalThis as X).Buffer; (self!).Date;',
    ['1: globalThis.Buffer', '1: Date'],
  ],
  ['host/fs/globals.ts', '(globalThis as X).Buffer; Date;', ['1: Date']],
  ['host/raid/a.ts', 'globalThis[name];', ['1: a computed name']],
  ['host/raid/a.ts', 'crypto.getRandomValues(x);', ['1: crypto']],
  ['host/raid/a.ts', "x.process(); const y = { Date: 1 }; // process\nconst s = 'Buffer';", []],
  ['host/raid/a.ts', 'interface X { process(): void; readonly Buffer: number }', []],
  ['host/node/a.ts', 'process.exit(); Date.now();', []],
  ['host/cli/a.ts', 'process.exit();', []],
  ['test/a.ts', 'process.exit();', []],
];

const lines = (count: number) => 'f();\n'.repeat(count);
const LINES: readonly Case[] = [
  ['host/a.ts', `${'x'.repeat(100)}\n`, []],
  ['host/a.ts', `a\n${'é'.repeat(100)}\n${'x'.repeat(101)}\n`, ['3: 101 columns']],
  ['host/a.ts', 'a \nb\t\n', ['1: blanks', '2: blanks']],
  ['host/a.ts', lines(800), []],
  ['host/a.ts', lines(801), ['1: 801 lines']],
  ['host/a.ts', 'a', ['1: no line end']],
];

const FUNCTIONS: readonly Case[] = [
  ['host/a.ts', `function a() {\n${lines(68)}}`, []],
  ['host/a.ts', `function a() {\n${lines(69)}}`, ['1: a function of 71 lines']],
  ['host/a.ts', `/**\n * Doc\n */\nfunction a() {\n${lines(68)}}`, []],
  ['host/a.ts', `\nconst a = () => {\n${lines(69)}};`, ['2: a function of 71']],
  ['host/a.ts', `class A { b(): { c: 1 } {\n${lines(69)}} }`, ['1: a function of 71']],
  ['host/a.ts', `class A { constructor() {\n${lines(69)}} }`, ['1: a function of 71']],
  [
    'host/a.ts',
    `const a = { *b() {\n${lines(69)}}, get c() {\n${lines(69)}} };`,
    ['1: 71', '71: 71'],
  ],
  ['host/a.ts', `class A {\n${'b() {}\n'.repeat(100)}}`, []],
];

const uvu = "import { suite, test } from 'uvu';\n";
const TESTS: readonly Case[] = [
  ['test/a.test.ts', `${uvu}test('a', f);\ntest.run();`, []],
  ['test/a.test.ts', `${uvu}test('a', f);`, ['1: without run()', '1: test.run() is missing']],
  ['test/a.test.ts', `${uvu}test('a', f); // test.run();`, ['1: without', '1: missing']],
  [
    'test/a.test.ts',
    `${uvu}const b = suite('b'); b('a', f);\ntest.run();`,
    ['1: b.run() is missing'],
  ],
  ['test/a.test.ts', `${uvu}const b = suite(1);\nfor (const c of [test, b]) c.run();`, []],
  [
    'test/a.test.ts',
    `${uvu}const b = suite(1);\nfor (const c of [b]) c.run();`,
    ['1: test.run() is'],
  ],
  ['test/a.test.ts', `${uvu}test.run();\ntest('a', f);`, ['3: comes after test.run()']],
  ['test/a.test.ts', `${uvu}test.only('a', f);\ntest.run();`, ['2: only()']],
  ['test/a.test.ts', `${uvu}test['only']('a', f);\ntest.run();`, ['2: only()']],
  ['test/a.ts', `${uvu}test('a', f);`, []],
];

const OPENINGS: readonly Case[] = [
  ['test/a.test.ts', '// It checks a.\n// It matters for b.\nimport x;', []],
  ['test/a.test.ts', '// It checks a.\nimport x;', ['1: two sentences']],
  ['test/a.test.ts', 'import x;\n// It checks a. It matters.', ['1: two sentences']],
];

const RULES: readonly (readonly [string, Rule, readonly Case[]])[] = [
  ['imports', checkImports, IMPORTS],
  ['globals', checkGlobals, GLOBALS],
  ['lines', checkLines, LINES],
  ['functions', checkFunctions, FUNCTIONS],
  ['test files', checkTestFile, TESTS],
  ['test openings', checkTestOpening, OPENINGS],
];

for (const [name, rule, cases] of RULES) {
  const cell = suite(name);
  cases.forEach(([path, code, expected], index) => {
    cell(`${index}: ${code.slice(0, 60)}`, () => {
      const [source] = parse({ [path]: code }) as [Source];
      const found = rule(source);
      const text = `found ${JSON.stringify(found)}`;
      assert.is(found.length, expected.length, text);
      expected.forEach((want, at) => {
        const [line, ...rest] = want.split(': ');
        assert.ok(found[at]?.startsWith(`${path}:${line}: `), text);
        assert.ok(found[at]?.includes(rest.join(': ')), text);
      });
    });
  });
  cell.run();
}

const marks = suite('marks');
marks('are found as words, anywhere', () => {
  const mark = 'TO' + 'DO';
  assert.equal(checkMarks('a.md', `fine\nx // ${mark}: later`), [`a.md:2: ${mark}`]);
  assert.equal(checkMarks('a.ts', `const ${mark}S = '${'XX' + 'XX'}'; // todo`), []);
});
marks.run();
