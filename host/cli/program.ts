// The program `wafer`: its verbs, and what becomes of an invocation. Everything that touches the
// process is in main.ts; this module runs as well in a test.

import { Command, CommanderError } from 'commander';

import { addCat } from './commands/cat.ts';
import { addCreate } from './commands/create.ts';
import { addDisk } from './commands/disk.ts';
import { addGet } from './commands/get.ts';
import { addInspect } from './commands/inspect.ts';
import { addLs } from './commands/ls.ts';
import { addMkdir } from './commands/mkdir.ts';
import { addPut } from './commands/put.ts';
import { addRm } from './commands/rm.ts';
import { addRollback } from './commands/rollback.ts';
import { addSnapshot } from './commands/snapshot.ts';
import { addStatus } from './commands/status.ts';
import { addVerify } from './commands/verify.ts';
import { EXIT, failureOf, ReaderGoneError } from './failure.ts';
import type { World } from './shell.ts';
import { Shell } from './shell.ts';

const VERBS = [
  addCreate,
  addStatus,
  addPut,
  addGet,
  addLs,
  addCat,
  addMkdir,
  addRm,
  addSnapshot,
  addRollback,
  addDisk,
  addVerify,
  addInspect,
];

const USAGE_HINT = 'see `wafer --help`, or `wafer VERB --help`';

const EPILOGUE = `
A path in a volume is VOLUME:/path, in a snapshot VOLUME@name:/path.
Exit codes: 0 ok, 1 failed, 2 usage, 3 damage found, 4 volume unavailable or locked, 5 no space,
130 interrupted.`;

/** Runs one invocation (arguments without node and script); returns the exit code. */
export async function run(argv: readonly string[], world: World, version: string): Promise<number> {
  const shell = new Shell(world);
  // Usage errors come before a verb is known.
  if (argv.includes('--json')) shell.out.useJson();
  let helpText = '';
  const program = makeProgram(shell, version, (text) => {
    helpText += text;
  });
  try {
    if (argv.length === 0) {
      world.stderr.write(program.helpInformation());
      return EXIT.usage;
    }
    await program.parseAsync(argv, { from: 'user' });
    shell.out.flush();
    return shell.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return endOfParsing(shell, error, helpText);
    if (error instanceof ReaderGoneError) return EXIT.ok;
    const failure = failureOf(error);
    shell.out.error(failure);
    return failure.exitCode;
  }
}

function makeProgram(shell: Shell, version: string, onHelp: (text: string) => void): Command {
  const program = new Command('wafer')
    .description('Volumes with instant snapshots, RAID and a crash-safe log, in files.')
    .usage('VERB [SUBVERB] VOLUME [ARGS] [--options]')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this, or the help of a verb')
    .addHelpText('after', EPILOGUE);
  // Before the verbs, which inherit them.
  program.exitOverride().configureOutput({ writeOut: onHelp, writeErr: () => {} });
  for (const add of VERBS) add(program, shell);
  return program;
}

/** Help and version are results; all else that ends parsing is a usage error. */
function endOfParsing(shell: Shell, error: CommanderError, helpText: string): number {
  if (error.exitCode === 0) {
    shell.world.stdout.write(helpText);
    return EXIT.ok;
  }
  // A verb with subverbs, alone: commander shows its help, which says nothing went wrong.
  const isHelp = error.code === 'commander.help';
  const lines = error.message.replace(/^error: /, '').split('\n');
  shell.out.error({
    code: 'INVALID_ARGUMENT',
    message: isHelp ? 'the verb needs a subverb' : (lines[0] as string),
    hint: lines.slice(1).join(' ').replace(/[()]/g, '').trim() || USAGE_HINT,
    exitCode: EXIT.usage,
  });
  return EXIT.usage;
}
