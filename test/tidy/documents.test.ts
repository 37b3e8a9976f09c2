// The documents say what is: the README's errors are those of the code, its commands exist, links
// lead somewhere, and rules that comments cite are written down. A document that nothing checks is
// soon wrong.

import { existsSync, readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { ERROR_HINTS } from '../../host/base/errors.ts';
import { projectSources, ROOT } from './source-tree.ts';

const DOCUMENTS = ['README.md', 'ARCHITECTURE.md', 'FORMAT.md', 'CONTRIBUTING.md', 'CHANGELOG.md'];
const texts = new Map(DOCUMENTS.map((name) => [name, readFileSync(ROOT + name, 'utf8')]));
const textOf = (name: string) => texts.get(name) as string;

test('the README lists every error code with its hint, and no other', () => {
  const rows = [...textOf('README.md').matchAll(/^\| `([A-Z][A-Z_]+)` \| (.+) \| (.+) \|$/gm)];
  assert.equal(
    rows.map(([, code, , hint]) => [code, hint]),
    Object.entries(ERROR_HINTS),
  );
});

test('npm scripts that documents name exist', () => {
  const { scripts } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  for (const [name, text] of texts) {
    for (const [, script] of text.matchAll(/npm run ([a-z-]+)/g)) {
      assert.ok(scripts[script as string] !== undefined, `${name}: npm run ${script}`);
    }
  }
});

test('npm scripts run programs that are compiled from sources', () => {
  const { scripts } = JSON.parse(readFileSync(`${ROOT}package.json`, 'utf8'));
  const programs = Object.values(scripts as Record<string, string>).flatMap((script) =>
    [...script.matchAll(/node dist\/(\S+)\.js/g)].map(([, program]) => program as string),
  );
  assert.ok(programs.length >= 4);
  for (const program of programs) assert.ok(existsSync(`${ROOT}${program}.ts`), `${program}.ts`);
});

test('links lead to files, and to headings', () => {
  for (const [name, text] of texts) {
    for (const [, link] of text.matchAll(/\]\(([^)]+)\)/g)) {
      const [file, heading] = (link as string).split('#') as [string, string | undefined];
      if (file.includes(':')) continue;
      const target = file === '' ? name : file;
      assert.ok(existsSync(ROOT + target), `${name}: ${link}`);
      if (heading === undefined) continue;
      assert.ok(headingsOf(textOf(target)).includes(heading), `${name}: ${link}`);
    }
  }
});

/** Headings as GitHub names them in links. */
function headingsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    (heading as string)
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} -]/gu, '')
      .replaceAll(' ', '-'),
  );
}

test('paths that ARCHITECTURE.md names exist', () => {
  const paths = [...textOf('ARCHITECTURE.md').matchAll(/`((?:[a-z-]+\/)*[a-z-]+(?:\.ts|\/))`/g)];
  assert.ok(paths.length > 20);
  for (const [, path] of paths) {
    const places = ['', 'host/', 'host/filesystem/'].map((folder) => ROOT + folder + path);
    assert.ok(places.some(existsSync), path);
  }
});

test('rules that comments cite stand in ARCHITECTURE.md', () => {
  const rules = textOf('ARCHITECTURE.md').split('## The rules')[1]?.split('## Decisions')[0] ?? '';
  const known = new Set([...rules.matchAll(/^(\d+)\. /gm)].map(([, number]) => Number(number)));
  let citations = 0;
  for (const { path, text } of projectSources()) {
    for (const [, list] of text.matchAll(/ENGINE (\d+(?:(?:, |-)\d+)*)/g)) {
      for (const number of (list as string).split(/, |-/)) {
        assert.ok(known.has(Number(number)), `${path}: ENGINE ${number}`);
        citations++;
      }
    }
  }
  assert.ok(citations > 20);
});

test('comments cite no document that is not here', () => {
  const elsewhere = /\b(FACE|DESIGN|REQUIREMENTS|RELIABILITY|PERFORMANCE|STYLE)\b(?! =)/;
  for (const { path, text } of projectSources()) {
    if (path === 'test/tidy/documents.test.ts') continue;
    assert.not.match(text, elsewhere, path);
  }
});

test.run();
