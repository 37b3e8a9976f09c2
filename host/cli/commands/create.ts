// wafer create VOLUME --size 10GiB [--disks 6] [--raid raid4] [--spares 1] [--log-size 64MiB]

import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { Option } from 'commander';

import { FsError } from '../../base/errors.ts';
import type { Shell } from '../shell.ts';
import { addVerb, dryRunOption, volumeArgument } from '../shell.ts';
import { formatCounted, formatSize, parseCount, parseSize } from '../text.ts';
import type { CreateOptions, RaidKind } from '../volume-face.ts';

const DISKS_MAX = 40;

interface Flags {
  readonly size: string;
  readonly disks: string;
  readonly raid?: RaidKind;
  readonly spares?: string;
  readonly logSize?: string;
  readonly dryRun?: boolean;
}

export function addCreate(program: Command, shell: Shell): void {
  addVerb(program, 'create', 'make a new volume: one file, or a directory of disk files')
    .addArgument(volumeArgument())
    .requiredOption('--size <size>', 'usable space, parity excluded, such as 10GiB')
    .option('--disks <count>', 'number of disks', '1')
    .addOption(
      new Option(
        '--raid <kind>',
        'redundancy (by default what the number of disks allows)',
      ).choices(['none', 'raid4', 'dp']),
    )
    .option('--spares <count>', 'disks kept to replace failed ones')
    .option('--log-size <size>', 'size of the log (64MiB)')
    .addOption(dryRunOption())
    .action((where: string, flags: Flags) => create(shell, where, flags));
}

async function create(shell: Shell, where: string, flags: Flags): Promise<void> {
  const options: CreateOptions = {
    sizeBytes: parseSize(flags.size),
    disks: parseCount(flags.disks, { name: '--disks', min: 1, max: DISKS_MAX }),
    ...(flags.raid === undefined ? {} : { raid: flags.raid }),
    ...(flags.spares === undefined
      ? {}
      : { spares: parseCount(flags.spares, { name: '--spares', min: 0, max: DISKS_MAX }) }),
    ...(flags.logSize === undefined ? {} : { logSizeBytes: parseSize(flags.logSize) }),
  };
  const isDryRun = flags.dryRun === true;
  const planned = `${formatSize(options.sizeBytes)} on ${formatCounted(options.disks, 'disk')}`;
  if (isDryRun) {
    if (existsSync(where)) throw new FsError('EEXIST', { syscall: 'create', path: where });
    const { sizeBytes, disks, raid = null } = options;
    shell.out.result(
      { volume: where, uuid: null, raid, disks, sizeBytes, dryRun: true },
      `would create ${where}: ${planned}`,
    );
    return;
  }
  const engine = await shell.world.engine();
  const volume = await engine.create(where, options);
  const status = await volume.status().finally(() => volume.close());
  const { uuid, raid, sizeBytes } = status;
  shell.out.result(
    { volume: where, uuid, raid, disks: status.disks.length, sizeBytes, dryRun: false },
    `created ${where}: ${planned}, raid ${raid}`,
  );
}
