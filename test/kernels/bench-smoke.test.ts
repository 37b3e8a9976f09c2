// The kernel benchmarks run, and all that they compare gives the same bytes. A benchmark that rots,
// or that measures another work than its peers do, is found when its figures are already believed.

import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BenchReport, runSuite } from '../../bench/harness.ts';
import { plotSvg } from '../../bench/plot.ts';

const test = suite('kernel benchmarks');

test('the suite runs at smoke size', () => {
  const file = fileURLToPath(new URL('../../bench/kernels.js', import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [file, '--smoke'], {
    encoding: 'utf8',
    timeout: 120_000,
  });
  assert.is(status, 0, stderr);
  assert.match(stdout, /xor 8 to 1[\s\S]*waferfs shared .* GB\/s/);
  assert.match(stdout, /one thread .* GB\/s/);
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
