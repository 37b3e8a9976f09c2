// The command line, up to the point where a volume is opened: none is, so nothing is changed. And
// paths in a volume that is open.

import pc from 'picocolors';
import { isFsError, StorageError } from '../../../host/base/errors.ts';
import { EXIT } from '../../../host/cli/failure.ts';
import { run } from '../../../host/cli/program.ts';
import type { Engine } from '../../../host/cli/volume-face.ts';
import type { Operations } from '../../../host/filesystem/operations.ts';
import { copyOf, done, mount, operationsOf } from '../../damage/base.ts';
import { ensure, refused, type Target, utf8 } from '../target.ts';
import { volume } from './samples.ts';
import { textOf } from './text.ts';

/** What no argument leads beyond. */
function nothing(): never {
  throw new StorageError('NOT_A_VOLUME', 'there is none');
}

const ENGINE: Engine = {
  create: async () => nothing(),
  open: async () => nothing(),
  async *inspect() {
    nothing();
  },
};

const LINES = [
  'create /nowhere --size 10GiB --disks 6 --raid raid4 --spares 1 --log-size 64MiB --dry-run',
  'status /nowhere --json',
  'put -r . /nowhere:/ --dry-run',
  'get /nowhere@monday:/a /nowhere/b --dry-run',
  'ls -l /nowhere:/ --json',
  'cat /nowhere:/a',
  'mkdir -p -m 755 /nowhere:/a/b',
  'rm -rf /nowhere:/a',
  'snapshot create /nowhere monday',
  'snapshot rename /nowhere monday tuesday',
  'rollback /nowhere monday --dry-run',
  'disk replace /nowhere 3 --json',
  'verify /nowhere --no-data',
  'inspect /nowhere --vbn 12 --ino 3 --log --all',
  '--help',
  '--version',
];
const WORDS = [
  '--json',
  '--dry-run',
  '--degraded',
  '--',
  '-',
  '--size=',
  '--vbn',
  '99999999999999999999',
  '-1',
  '0x10',
  '1e3',
  '__proto__',
  'constructor',
  ':/',
  '@',
];

/** Arguments are lines, so that a space can be in one. */
const commandLine: Target = {
  name: 'command-line',
  sources: ['cli/program.js'],
  samples: () => LINES.map((line) => utf8(line.replaceAll(' ', '\n'))),
  tokens: WORDS.map((word) => utf8(`\n${word}\n`)),
  lengthMax: 400,
  async decode(input) {
    const argv = textOf(input).split('\n');
    const written = { stdout: '', stderr: '' };
    const stream = (name: 'stdout' | 'stderr') => ({
      isTTY: false,
      write: (data: string | Uint8Array) => {
        written[name] += String(data);
        return true;
      },
      once: () => undefined,
    });
    const code = await run(
      argv,
      {
        stdout: stream('stdout'),
        stderr: stream('stderr'),
        colors: pc.createColors(false),
        signal: new AbortController().signal,
        isRoot: false,
        now: () => 0,
        engine: async () => ENGINE,
      },
      '1.2.3',
    );
    const said = `${written.stdout}${written.stderr}`;
    ensure((Object.values(EXIT) as number[]).includes(code), `exit code ${code}`);
    ensure(!said.includes('INTERNAL'), `a bug is told: ${said.slice(0, 300)}`);
    ensure(code === EXIT.ok || said.length > 0, 'a failure says why');
    if (code === EXIT.usage) throw new StorageError('INVALID_ARGUMENT', 'usage');
    return `${code}`;
  },
  weight: 5,
};

let operations: Operations | undefined;

function outcome(fs: Operations, path: string): string {
  try {
    const { ino } = done(() => fs.attributes({ path }));
    return `inode ${ino}`;
  } catch (error) {
    if (!isFsError(error)) throw error;
    return error.code;
  }
}

const path: Target = {
  name: 'path',
  sources: ['filesystem/path.js'],
  samples() {
    operations = operationsOf(mount(copyOf(volume().base.devices), { readOnly: true }));
    return [
      '/',
      '/dir/sub/level-2',
      '/short-link/../inline',
      '/dir/long-link/x',
      '/./dir//sub/../block',
      '/inline/',
      '/late-dir/',
    ].map(utf8);
  },
  tokens: ['/', '/..', '/.', '//', 'short-link/', 'dir', 'sub', '\0', 'n'.repeat(300)].map(utf8),
  lengthMax: 2000,
  decode(input) {
    const fs = operations as Operations;
    const text = `/${textOf(input)}`;
    const found = outcome(fs, text);
    // One place has many names.
    ensure(outcome(fs, text.replaceAll('/', '//')) === found, 'slashes count as one');
    ensure(outcome(fs, `/.${text}`) === found, 'a dot stays where it is');
    ensure(outcome(fs, `/dir/..${text}`) === found, 'and two go back');
    ensure(outcome(fs, `/..${text}`) === found, 'above the root is the root');
    if (!found.startsWith('inode')) throw refused(found);
    return found;
  },
};

export const COMMAND_LINE_TARGETS: readonly Target[] = [commandLine, path];
