// The runner must tell a passing test file from every way in which one can fail without saying so.
// uvu ends with code 0 in several of these; a test suite that is green by accident protects
// nothing.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite, test } from 'uvu';
import * as assert from 'uvu/assert';
import { judge, timeoutSeconds, usesOnly } from './judge.ts';

const uvu = `import { test, suite } from ${JSON.stringify(import.meta.resolve('uvu'))};`;
const runner = fileURLToPath(new URL('../run.js', import.meta.url));

/** Runs the runner on files of the given code; gives its output, last line and exit code. */
function run(files: Record<string, string[]>, ...options: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'wafer-runner-'));
  try {
    for (const [name, lines] of Object.entries(files)) {
      writeFileSync(join(folder, `${name}.test.js`), [uvu, ...lines].join('\n'));
    }
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
    const { stdout, status } = spawnSync(process.execPath, [runner, '--dir', folder, ...options], {
      encoding: 'utf8',
      timeout: 60_000,
    });
    return { stdout, status, lastLine: stdout.trimEnd().split('\n').at(-1) };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const GOOD = ["test('a', () => {}); test('b', () => {});", 'test.run();'];

test('passing files are summed up', () => {
  const result = run({ one: GOOD, two: GOOD });
  assert.is(result.lastLine, '4 passed, 0 failed');
  assert.is(result.status, 0);
});

/** Each alone beside a good file, so that "something failed" is not enough. */
const BAD: Record<string, { code: string[]; problem: RegExp; options?: string[] }> = {
  'a failing test': {
    code: ["test('bad', () => { throw new Error('the reason'); });", 'test.run();'],
    problem: /1 of 1 tests failed[\s\S]*the reason/,
  },
  'no run()': { code: ["test('a', () => {});"], problem: /no totals/ },
  'no tests': { code: ['test.run();'], problem: /has no tests/ },
  only: {
    code: ["test.only('a', () => {});", 'test.run();'],
    problem: /uses only\(\)/,
  },
  'only in disguise': {
    code: ["test('a', () => {}); test['only']('b', () => {});", 'test.run();'],
    problem: /skipped 1 tests and gave 0 reasons/,
  },
  'a hang': {
    code: ["test('a', () => new Promise(() => setInterval(() => {}, 1000)));", 'test.run();'],
    problem: /did not end within 2 s/,
    options: ['--timeout', '2'],
  },
  'a hang after the totals': {
    code: ["test('a', () => {}); setInterval(() => {}, 1000);", 'test.run();'],
    problem: /did not end within 2 s/,
    options: ['--timeout', '2'],
  },
  'a throw at import': {
    code: ["throw new Error('at import');"],
    problem: /exit code 1[\s\S]*at import/,
  },
  'exit(0) before the totals': {
    code: ["test('a', () => {});", 'test.run();', 'process.exit(0);'],
    problem: /no totals/,
  },
  'exit(0) in a test': {
    code: ["test('a', () => process.exit(0));", 'test.run();'],
    problem: /exit code 1/,
  },
  'a hook that throws': {
    code: ["test.before(() => { throw new Error(); }); test('a', () => {});", 'test.run();'],
    problem: /1 of 1 tests failed/,
  },
  'a late rejection': {
    code: [
      "test('a', () => {}); setTimeout(() => Promise.reject(new Error()), 50);",
      'test.run();',
    ],
    problem: /exit code 1/,
  },
  'a skip without a reason': {
    code: ["test('a', () => {}); test.skip('b', () => {});", 'test.run();'],
    problem: /skipped 1 tests and gave 0 reasons/,
  },
  'death by a signal': {
    code: ["process.kill(process.pid, 'SIGKILL');"],
    problem: /killed by SIGKILL/,
  },
};

const bad = suite('bad files');
for (const [name, { code, problem, options }] of Object.entries(BAD)) {
  bad(name, () => {
    const result = run({ bad: code, good: GOOD }, ...(options ?? []));
    assert.match(result.stdout, /FAIL {2}bad \(/);
    assert.match(result.stdout, problem);
    assert.match(result.stdout, /ok {4}good \(2,/);
    assert.match(result.lastLine ?? '', /^[23] passed, 1 failed(, 1 skipped)?$/);
    assert.is(result.status, 1);
  });
}
bad.run();

test('a skip with a reason passes, is shown and counted', () => {
  const code = [
    "test('a', () => {}); test.skip('b');",
    "console.log('\\nSKIPPED b: no tape here');",
    'test.run();',
  ];
  const result = run({ code });
  assert.match(result.stdout, /skipped b: no tape here/);
  assert.is(result.lastLine, '1 passed, 0 failed, 1 skipped');
  assert.is(result.status, 0);
});

test('name filters pick files; none left is a failure', () => {
  const files = { alpha: GOOD, beta: GOOD };
  assert.is(run(files, 'alp').lastLine, '2 passed, 0 failed');
  const none = run(files, 'gamma');
  assert.is(none.lastLine, '0 passed, 1 failed');
  assert.is(none.status, 2);
});

test('what a file left running is ended with it', () => {
  const child = 'setInterval(() => {}, 1000)';
  const code = [
    "import { spawn } from 'node:child_process';",
    `const child = spawn(process.execPath, ['-e', '${child}'], { stdio: 'inherit' });`,
    "child.unref(); test('a', () => console.log('LEFT', child.pid));",
    'test.run(); process.on("exit", () => { process.exitCode = 1; });',
  ];
  const result = run({ code });
  const pid = Number(/LEFT (\d+)/.exec(result.stdout)?.[1]);
  assert.ok(pid > 0, 'the child was started');
  assert.not(isRunning(pid));
});

/** A zombie, ended and not yet collected by whoever inherited it, does not run. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch (error) {
    return !['ESRCH', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '');
  }
}

test('totals printed earlier do not count, the last ones do', () => {
  const totals = (n: number, passed: number) =>
    `\n  Total:     ${n}\n  Passed:    ${passed}\n  Skipped:   0\n  Duration:  1.00ms\n\n`;
  const ending = { exitCode: 0, signal: null };
  assert.is(judge({ ...ending, output: totals(3, 2) + totals(5, 5) }).passed, 5);
  assert.is(judge({ ...ending, output: totals(5, 5) + totals(3, 2) }).failed, 1);
});

test('timeouts and only() are read from the code', () => {
  assert.is(timeoutSeconds('// nothing'), 600);
  assert.is(timeoutSeconds('// text\n// @timeout 15m\ncode'), 900);
  assert.is(timeoutSeconds('// @timeout 90s'), 90);
  assert.is(timeoutSeconds('// @timeout 99m'), 900);
  assert.ok(usesOnly("  snapshots.only('x', () => {})"));
  assert.not(usesOnly("// test.only('x')\nreadOnly(1); 'test.only('"));
});

test.run();
