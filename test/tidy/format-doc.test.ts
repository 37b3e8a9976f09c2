// FORMAT.md says what the layout constants say, all of it and nothing else; the golden texts of
// layout and public API are those of the code. A format that is stated twice drifts unless it is
// compared.

import { existsSync, readFileSync } from 'node:fs';
import { suite, test } from 'uvu';
import * as assert from 'uvu/assert';
import { checkFormatDocument } from './format-document.ts';
import { apiText, GOLDEN, layoutFiles } from './golden-text.ts';
import { ROOT } from './source-tree.ts';

const constants = Object.assign({}, ...(await layoutFiles()).map((file) => file.constants));
const document = readFileSync(`${ROOT}FORMAT.md`, 'utf8');

test('FORMAT.md and the layout constants agree', () => {
  const findings = checkFormatDocument(document, constants);
  assert.ok(findings.length === 0, findings.join('\n'));
});

test('layout constants have different names', async () => {
  const counts = (await layoutFiles()).map((file) => Object.keys(file.constants).length);
  const total = counts.reduce((sum, count) => sum + count, 0);
  assert.is(Object.keys(constants).length, total);
});

for (const [path, make] of Object.entries(GOLDEN)) {
  test(`${path} is what the code says (npm run golden)`, async () => {
    assert.ok(existsSync(ROOT + path), 'it exists');
    const [now, golden] = [await make(), readFileSync(ROOT + path, 'utf8')];
    const [nowLines, goldenLines] = [now.split('\n'), golden.split('\n')];
    const added = nowLines.filter((line) => !goldenLines.includes(line)).map((line) => `+ ${line}`);
    const gone = goldenLines.filter((line) => !nowLines.includes(line)).map((line) => `- ${line}`);
    assert.ok(now === golden, ['differs', ...gone, ...added].join('\n'));
  });
}

test('the listing of an API has its signatures and none of its bodies', () => {
  const text = apiText(['host/base/task.ts']);
  assert.match(text, /^host\/base\/task.ts\n/);
  assert.match(text, /class Task<T>\n/);
  assert.match(text, / {4}static start<T>\(step: Step<T>\): Task<T>\n/);
  assert.match(text, /function runSync<T>\(step: Step<T>\): T\n/);
  assert.not.match(text, /#|next\.done|\/\//);
});
test.run();

const bad = suite('changes that must be found');
const CHANGES: readonly (readonly [what: string, from: string, to: string, found: RegExp])[] = [
  ['an offset', '| 8 | 4 | generation |', '| 9 | 4 | generation |', /_OFFSET is 8, not 9/],
  ['a size', '| 4 | 4 | links | u32 |', '| 4 | 8 | links | u32 |', /u32 does not take 8 bytes/],
  ['a gap', '| 72 | 56 | reserved1 |', '| 72 | 48 | reserved1 |', /the field before ends at 120/],
  ['a short end', '| 128 | 128 | data |', '| 128 | 120 | data |', /INODE ends at 248/],
  ['a structure size', '(`RANGE`, 32 bytes', '(`RANGE`, 40 bytes', /RANGE_SIZE is 32, not 40/],
  ['a value', '| `INO_FIRST` | 16 |', '| `INO_FIRST` | 17 |', /INO_FIRST is 16, not 17/],
  ['a stale field', '| 12 | 4 | uid |', '| 12 | 4 | user |', /INODE_USER_OFFSET is no layout/],
  ['a missing one', '| `INO_ROOT` |', '| `INO_FIRST` |', /INO_ROOT is not documented/],
  ['a doubled one', '| `INO_ROOT` |', '| `INO_FIRST` |', /INO_FIRST stands in line \d+ already/],
  ['a count', 'member × 40', 'member × 41', /member × 41 does not take 2560/],
  ['a heading', '### Range (`RANGE`, 32 bytes:', '### Range (`RANGE` 32 bytes:', /bad heading/],
];
for (const [what, from, to, found] of CHANGES) {
  bad(what, () => {
    assert.ok(document.includes(from), `the document has ${from}`);
    const findings = checkFormatDocument(document.replace(from, to), constants);
    assert.match(findings.join('\n'), found);
  });
}
bad('a new constant', () => {
  const findings = checkFormatDocument(document, { ...constants, NEW_OFFSET: 1 });
  assert.equal(findings, ['FORMAT.md:1: NEW_OFFSET is not documented']);
});
bad.run();
