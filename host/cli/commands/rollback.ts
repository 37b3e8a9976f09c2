// wafer rollback VOLUME NAME

import type { Command } from 'commander';

import { FsError } from '../../base/errors.ts';
import { checkName } from '../address.ts';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, dryRunOption, openOptions, volumeArgument } from '../shell.ts';
import { formatDuration } from '../text.ts';
import { findSnapshot } from './snapshot.ts';

export function addRollback(program: Command, shell: Shell): void {
  addVolumeVerb(program, 'rollback', 'make the file system what it was at a snapshot')
    .addArgument(volumeArgument())
    .argument('<name>', 'name of the snapshot; all snapshots stay')
    .addOption(dryRunOption())
    .action((where: string, name: string, flags: VolumeFlags) =>
      rollback(shell, where, checkName(name), flags),
    );
}

async function rollback(
  shell: Shell,
  where: string,
  name: string,
  flags: VolumeFlags,
): Promise<void> {
  await shell.withVolume(where, openOptions(flags, true), async (volume) => {
    if ((await findSnapshot(volume, name)) === undefined) {
      throw new FsError('ENOENT', { syscall: 'rollback', path: name });
    }
    const dryRun = flags.dryRun === true;
    const start = shell.world.now();
    if (!dryRun) await volume.rollback(name);
    const ms = shell.world.now() - start;
    shell.out.result(
      { volume: where, snapshot: name, ms, dryRun },
      dryRun ? `would roll back to ${name}` : `rolled back to ${name} in ${formatDuration(ms)}`,
    );
  });
}
