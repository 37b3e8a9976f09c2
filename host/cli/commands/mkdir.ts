// wafer mkdir [-p] [-m MODE] VOLUME:/path...

import type { Command } from 'commander';

import { StorageError } from '../../base/errors.ts';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, dryRunOption, openOptions } from '../shell.ts';
import { oneVolume, withImage } from './image.ts';

interface Flags extends VolumeFlags {
  readonly parents?: boolean;
  readonly mode: string;
}

export function addMkdir(program: Command, shell: Shell): void {
  addVolumeVerb(program, 'mkdir', 'make directories')
    .argument('<path...>', 'VOLUME:/path')
    .option('-p, --parents', 'those above it too, and no error if it is there')
    .option('-m, --mode <octal>', 'permission bits', '755')
    .addOption(dryRunOption())
    .action((paths: readonly string[], flags: Flags) => mkdir(shell, paths, flags));
}

async function mkdir(shell: Shell, texts: readonly string[], flags: Flags): Promise<void> {
  if (!/^[0-7]{1,4}$/.test(flags.mode)) {
    throw new StorageError('INVALID_ARGUMENT', `--mode must be octal, not '${flags.mode}'`, {
      hint: 'write modes as 755 or 1777',
    });
  }
  const mode = Number.parseInt(flags.mode, 8);
  const { address, paths } = oneVolume(texts);
  const dryRun = flags.dryRun === true;
  await withImage(shell, address, openOptions(flags, true), async (fs) => {
    for (const path of paths) {
      if (!dryRun) await fs.mkdir(path, { mode, recursive: flags.parents === true });
      shell.out.item({ path }, `${dryRun ? 'would make' : 'made'} ${path}`);
    }
    shell.out.result({ volume: address.volume, directories: paths.length, dryRun }, '');
  });
}
