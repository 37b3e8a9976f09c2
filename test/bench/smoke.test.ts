// All benchmarks run, and all that they compare gives the same bytes; every goal is held against a
// row that exists. A benchmark that rots, or that measures another work than its peers do, is found
// when its figures are already believed.

import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { GOALS, type Goal, judge, resultsText } from '../../bench/goals.ts';
import { type BenchReport, type OwnGroup, resultsFolder, runSuite } from '../../bench/harness.ts';
import { plotSvg } from '../../bench/plot.ts';

const test = suite('benchmarks');

/** Names and times of all that real runs write. */
function written(): string[] {
  const files = existsSync(resultsFolder) ? readdirSync(resultsFolder).sort() : [];
  const urls = [...files.map((name) => new URL(name, resultsFolder))];
  const table = new URL('../RESULTS.md', resultsFolder);
  if (existsSync(table)) urls.push(table);
  return urls.map((url) => `${url.pathname} ${statSync(url).mtimeMs}`);
}

test('all suites run at smoke size, have the rows of the goals, and write nothing', () => {
  const before = written();
  const file = fileURLToPath(new URL('../../bench/run.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, '--smoke'], {
    encoding: 'utf8',
    timeout: 240_000,
  });
  assert.is(status, 0, stderr);
  assert.equal(written(), before);
  assert.match(stdout, /xor 8 to 1[\s\S]*waferfs shared .* GB\/s/);
  for (const { suite: name, group, text } of GOALS) {
    // The sizes of kernels are part of their names.
    const isKernel = name === 'kernels' && !group.includes('4 KiB');
    if (!isKernel) assert.ok(stdout.includes(`${name}: ${group}`), text);
  }
});

const rows = [
  { case: 'waferfs', kind: 'ours', value: 80 },
  { case: 'other', kind: 'peer', value: 100 },
] as const;
const goal: Omit<Goal, 'rule' | 'limit'> = {
  text: 't',
  suite: 's',
  group: 'g',
  ours: 'waferfs',
  peer: 'other',
};

async function reportOf(unit: OwnGroup['unit']): Promise<BenchReport> {
  return runSuite('s', [() => ({ name: 'g', unit, measure: async () => rows })], 'smoke');
}

test('goals are met, missed or not measured', async () => {
  const speeds = [await reportOf('/s')];
  const times = [await reportOf('ms')];
  const verdict = (rest: Pick<Goal, 'rule' | 'limit'> & { peer?: string }, reports = speeds) =>
    judge({ ...goal, ...rest }, reports).verdict;
  assert.is(verdict({ rule: 'ratio', limit: 0.8 }), 'met');
  assert.is(verdict({ rule: 'ratio', limit: 1 }), 'missed by 25 %');
  assert.is(verdict({ rule: 'ratio', limit: 2 }), 'missed by a factor of 2.5');
  assert.is(verdict({ rule: 'ratio', limit: 0.1, peer: 'absent' }), 'not measured');
  assert.is(verdict({ rule: 'ratio', limit: 0.1 }, []), 'not measured');
  assert.is(verdict({ rule: 'times', limit: 0.8 }, times), 'met');
  assert.is(verdict({ rule: 'times', limit: 0.5 }, times), 'missed by 60 %');
  assert.is(verdict({ rule: 'excess', limit: -20 }, times), 'met');
  assert.is(verdict({ rule: 'least', limit: 80 }), 'met');
  assert.is(verdict({ rule: 'least', limit: 100 }), 'missed by 25 %');
  assert.is(verdict({ rule: 'most', limit: 79 }, times), 'missed by 1 %');
  const table = resultsText(speeds);
  assert.match(table, new RegExp(`0 met, 0 missed, ${GOALS.length} not measured`));
});

test('less is better for times', async () => {
  const ratioOf = async (unit: OwnGroup['unit']) => (await reportOf(unit)).rows[1]?.ratio;
  assert.is(await ratioOf('/s'), 0.8);
  assert.is(await ratioOf('ms'), 1.25);
});

test('cases that do not do the same work are refused', async () => {
  const group = {
    name: 'unequal',
    bytes: 1,
    reset: () => {},
    cases: [
      { name: 'a', kind: 'ours' as const, run: () => {}, result: () => 'x' },
      { name: 'b', kind: 'peer' as const, run: () => {}, result: () => 'y' },
    ],
  };
  const failure = await runSuite('none', [() => group], 'smoke').then(
    () => '',
    (error: Error) => error.message,
  );
  assert.match(failure, /unequal: b gives/);
});

test('the picture has a bar for each row, and no bare markup', () => {
  const row = { kind: 'ours', value: 2, unit: 'GB/s', ratio: 1, digest: '' } as const;
  const rows = ['a <b>', 'c'].map((name) => ({ ...row, group: 'g & h', case: name }));
  const report: BenchReport = { suite: 's', machine: 'm', commit: 'c', rows };
  const svg = plotSvg(report);
  assert.is(svg.match(/<rect x=/g)?.length, 2);
  assert.match(svg, /a &lt;b&gt;/);
  assert.match(svg, /g &amp; h/);
});

test.run();
