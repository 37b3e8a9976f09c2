// wafer snapshot create|delete|hold|release VOLUME NAME · list VOLUME

import type { Command } from 'commander';

import { FsError } from '../../base/errors.ts';
import { checkName } from '../address.ts';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, dryRunOption, openOptions, volumeArgument } from '../shell.ts';
import { formatSize, isoInstant } from '../text.ts';
import type { CliVolume, SnapshotInfo } from '../volume-face.ts';

const BLOCK_SIZE = 4096;

interface Change {
  readonly verb: 'create' | 'delete' | 'hold' | 'release';
  readonly done: string;
  readonly summary: string;
}

const CHANGES: readonly Change[] = [
  { verb: 'create', done: 'created', summary: 'keep the file system as it is now' },
  { verb: 'delete', done: 'deleted', summary: 'give up a snapshot and the space it alone holds' },
  { verb: 'hold', done: 'held', summary: 'protect a snapshot from deletion' },
  { verb: 'release', done: 'released', summary: 'take one protection from a snapshot' },
];

export function addSnapshot(program: Command, shell: Shell): void {
  const snapshot = program
    .command('snapshot')
    .summary('create, list, delete, hold and release snapshots');
  addVolumeVerb(snapshot, 'list', 'list the snapshots of a volume')
    .addArgument(volumeArgument())
    .action((where: string, flags: VolumeFlags) => list(shell, where, flags));
  for (const change of CHANGES) {
    addVolumeVerb(snapshot, change.verb, change.summary)
      .addArgument(volumeArgument())
      .argument('<name>', 'name of the snapshot')
      .addOption(dryRunOption())
      .action((where: string, name: string, flags: VolumeFlags) =>
        apply(shell, where, { change, name: checkName(name), flags }),
      );
  }
}

async function list(shell: Shell, where: string, flags: VolumeFlags): Promise<void> {
  await shell.withVolume(where, openOptions(flags, false), async (volume) => {
    const snapshots = await volume.snapshots.list();
    for (const one of snapshots) {
      const { name, id, createdAt, holdCount, blockCount } = one;
      const sizeBytes = blockCount * BLOCK_SIZE;
      const held = holdCount === 0 ? '' : `  held ${holdCount} times`;
      shell.out.item(
        { name, id, createdAt: isoInstant(createdAt), holds: holdCount, sizeBytes },
        `${isoInstant(createdAt)}  ${formatSize(sizeBytes).padStart(9)}  ${name}${held}`,
      );
      await shell.out.breathe();
    }
    shell.out.result({ volume: where, snapshots: snapshots.length }, '');
  });
}

async function apply(
  shell: Shell,
  where: string,
  what: { readonly change: Change; readonly name: string; readonly flags: VolumeFlags },
): Promise<void> {
  const { change, name, flags } = what;
  await shell.withVolume(where, openOptions(flags, true), async (volume) => {
    const dryRun = flags.dryRun === true;
    if (dryRun) await check(volume, change, name);
    const start = shell.world.now();
    if (!dryRun) await volume.snapshots[change.verb](name);
    const ms = shell.world.now() - start;
    shell.out.result(
      { volume: where, snapshot: name, ms, dryRun },
      `${dryRun ? `would ${change.verb}` : change.done} ${name}`,
    );
  });
}

/** What a dry run can tell: whether the name is there or not, as it should be. */
async function check(volume: CliVolume, change: Change, name: string): Promise<void> {
  const found = await findSnapshot(volume, name);
  const where = { syscall: `snapshot ${change.verb}`, path: name };
  if (change.verb === 'create' && found !== undefined) throw new FsError('EEXIST', where);
  if (change.verb !== 'create' && found === undefined) throw new FsError('ENOENT', where);
}

export async function findSnapshot(
  volume: CliVolume,
  name: string,
): Promise<SnapshotInfo | undefined> {
  return (await volume.snapshots.list()).find((one) => one.name === name);
}
