// wafer inspect VOLUME|FILE [--vbn N] [--ino N] [--log] [--all]

import type { Command } from 'commander';

import { StorageError } from '../../base/errors.ts';
import { EXIT } from '../failure.ts';
import type { Shell } from '../shell.ts';
import { addVerb } from '../shell.ts';
import { formatCounted, parseCount } from '../text.ts';
import { printableName } from '../transfer/names.ts';
import type { InspectedStructure, InspectOptions } from '../volume-face.ts';

interface Flags {
  readonly vbn?: string;
  readonly ino?: string;
  readonly log?: boolean;
  readonly all?: boolean;
}

export function addInspect(program: Command, shell: Shell): void {
  addVerb(program, 'inspect', 'show what is on disk, field by field; works on damaged volumes too')
    .argument('<where>', 'volume, or one of its disk or log files')
    .option('--vbn <number>', 'the block with this volume block number')
    .option('--ino <number>', 'the inode with this number')
    .option('--log', 'the records of the log')
    .option('--all', 'every structure that can be reached')
    .action((where: string, flags: Flags) => inspect(shell, where, flags));
}

async function inspect(shell: Shell, where: string, flags: Flags): Promise<void> {
  const max = Number.MAX_SAFE_INTEGER;
  const options: InspectOptions = {
    ...(flags.vbn === undefined
      ? {}
      : { vbn: parseCount(flags.vbn, { name: '--vbn', min: 0, max }) }),
    ...(flags.ino === undefined
      ? {}
      : { ino: parseCount(flags.ino, { name: '--ino', min: 1, max }) }),
    ...(flags.log ? { log: true } : {}),
    ...(flags.all ? { all: true } : {}),
  };
  const engine = await shell.world.engine();
  let structures = 0;
  let problems = 0;
  for await (const found of engine.inspect(where, options)) {
    structures++;
    problems += found.problems.length;
    const { structure, file, offsetBytes, vbn = null, ino = null, fields } = found;
    shell.out.item(
      { structure, file, offsetBytes, vbn, ino, fields, problems: found.problems },
      structureText(shell, found),
    );
    await shell.out.breathe();
  }
  const wanted = options.vbn === undefined ? 'inode' : 'block in use';
  if (structures === 0 && (options.vbn ?? options.ino) !== undefined) {
    throw new StorageError('INVALID_ARGUMENT', `${where} has no ${wanted} of this number`);
  }
  shell.out.result(
    { where, structures, problems },
    `${formatCounted(structures, 'structure')}, ${formatCounted(problems, 'problem')}`,
  );
  if (problems > 0) shell.exitCode = EXIT.damage;
}

function structureText(shell: Shell, found: InspectedStructure): string {
  const { bold, dim, red } = shell.out.colors;
  const width = Math.max(0, ...found.fields.map((field) => field.name.length));
  const fields = found.fields.map((field) => {
    const place = dim(
      `${String(field.offsetBytes).padStart(5)} +${String(field.sizeBytes).padEnd(4)}`,
    );
    return `  ${place} ${field.name.padEnd(width)}  ${printableName(String(field.value))}`;
  });
  const where = dim(`${found.file} at byte ${found.offsetBytes}`);
  return [
    `${bold(found.structure)}  ${where}`,
    ...fields,
    ...found.problems.map((problem) => `  ${red('problem:')} ${problem}`),
    '',
  ].join('\n');
}
