// wafer disk list VOLUME · fail VOLUME DISK · replace VOLUME DISK [FILE]

import type { Command } from 'commander';

import { StorageError } from '../../base/errors.ts';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, dryRunOption, openOptions, volumeArgument } from '../shell.ts';
import { formatCounted, formatSize } from '../text.ts';
import type { CliVolume, DiskInfo } from '../volume-face.ts';

const DISK = 'name ("disk-02"), file or UUID of the disk';

export function addDisk(program: Command, shell: Shell): void {
  const disk = program.command('disk').summary('list, fail and replace disks');
  addVolumeVerb(disk, 'list', 'list the disks of a volume')
    .addArgument(volumeArgument())
    .action((where: string, flags: VolumeFlags) => list(shell, where, flags));
  addVolumeVerb(disk, 'fail', 'take a disk out of use')
    .addArgument(volumeArgument())
    .argument('<disk>', DISK)
    .addOption(dryRunOption())
    .action((where: string, name: string, flags: VolumeFlags) => fail(shell, where, name, flags));
  addVolumeVerb(disk, 'replace', 'put a new file in the place of a failed disk, and rebuild it')
    .addArgument(volumeArgument())
    .argument('<disk>', DISK)
    .argument('[file]', 'the new file (by default one beside the old one)')
    .addOption(dryRunOption())
    .action((where: string, name: string, file: string | undefined, flags: VolumeFlags) =>
      replace(shell, where, { name, file, flags }),
    );
}

/** Of one disk, in JSON. */
export function diskLine(disk: DiskInfo): Readonly<Record<string, unknown>> {
  const { name, file, uuid, role, state, sizeBytes, lengthBytes } = disk;
  return { name, file, uuid, role, state, sizeBytes, lengthBytes };
}

export function diskText(shell: Shell, disk: DiskInfo): string {
  const { green, red, yellow, dim } = shell.out.colors;
  const isWell = disk.state === 'active' || disk.state === 'spare';
  const color = isWell ? green : disk.state === 'rebuilding' ? yellow : red;
  const sizes = `${formatSize(disk.lengthBytes)} of ${formatSize(disk.sizeBytes)}`;
  const state = color(disk.state.padEnd(10));
  return `${disk.name.padEnd(10)} ${disk.role.padEnd(6)} ${state} ${sizes}  ${dim(disk.file)}`;
}

async function list(shell: Shell, where: string, flags: VolumeFlags): Promise<void> {
  await shell.withVolume(where, openOptions(flags, false), async (volume) => {
    const disks = await volume.disks.list();
    for (const disk of disks) shell.out.item(diskLine(disk), diskText(shell, disk));
    shell.out.result({ volume: where, disks: disks.length }, '');
  });
}

async function findDisk(volume: CliVolume, name: string): Promise<DiskInfo> {
  const disks = await volume.disks.list();
  const disk = disks.find((one) => [one.name, one.file, one.uuid].includes(name));
  if (disk !== undefined) return disk;
  throw new StorageError('INVALID_ARGUMENT', `the volume has no disk '${name}'`, {
    hint: `its disks are ${disks.map((one) => one.name).join(', ')}`,
  });
}

async function fail(shell: Shell, where: string, name: string, flags: VolumeFlags): Promise<void> {
  await shell.withVolume(where, openOptions(flags, true), async (volume) => {
    const disk = await findDisk(volume, name);
    const dryRun = flags.dryRun === true;
    if (!dryRun) await volume.disks.fail(disk.name);
    shell.out.result(
      { volume: where, disk: disk.name, dryRun },
      `${dryRun ? 'would fail' : 'failed'} ${disk.name}; replace it with \`wafer disk replace\``,
    );
  });
}

async function replace(
  shell: Shell,
  where: string,
  what: { readonly name: string; readonly file: string | undefined; readonly flags: VolumeFlags },
): Promise<void> {
  await shell.withVolume(where, openOptions(what.flags, true), async (volume) => {
    const disk = await findDisk(volume, what.name);
    const dryRun = what.flags.dryRun === true;
    let rebuiltBlocks = 0;
    if (!dryRun) {
      const { rebuiltBlockCount } = await volume.disks.replace(disk.name, {
        ...(what.file === undefined ? {} : { file: what.file }),
        signal: shell.signal,
        onProgress: (done, total) =>
          shell.out.progress({ what: 'rebuild', done, total, unit: 'blocks' }),
      });
      rebuiltBlocks = rebuiltBlockCount;
    }
    shell.out.result(
      { volume: where, disk: disk.name, rebuiltBlocks, dryRun },
      dryRun
        ? `would replace ${disk.name}`
        : `replaced ${disk.name}, ${formatCounted(rebuiltBlocks, 'block')} rebuilt`,
    );
  });
}
