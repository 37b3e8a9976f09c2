// wafer put SRC... VOLUME:/dir

import type { Command } from 'commander';

import { StorageError } from '../../base/errors.ts';
import { formatAddress, parseAddress } from '../address.ts';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, dryRunOption, openOptions } from '../shell.ts';
import { withImage } from './image.ts';

export function addPut(program: Command, shell: Shell): void {
  addVolumeVerb(program, 'put', 'copy files and directories of the host into a volume, as cp -r')
    .argument('<source...>', 'files and directories of the host, then VOLUME:/dir')
    .addOption(dryRunOption())
    .action((paths: readonly string[], flags: VolumeFlags) => put(shell, paths, flags));
}

async function put(shell: Shell, paths: readonly string[], flags: VolumeFlags): Promise<void> {
  if (paths.length < 2) {
    throw new StorageError('INVALID_ARGUMENT', 'put needs a source and a target', {
      hint: 'wafer put SRC... VOLUME:/dir',
    });
  }
  const address = parseAddress(paths.at(-1) as string);
  if (address.name !== undefined) {
    throw new StorageError('INVALID_ARGUMENT', `${formatAddress(address)} cannot be changed`, {
      hint: `snapshots stay as they are; put into ${address.volume}:${address.path}`,
    });
  }
  const { hostSide } = await import('../transfer/host-side.ts');
  const { fsSide } = await import('../transfer/fs-side.ts');
  const { planCopy } = await import('../transfer/plan.ts');
  const { runTransfer, tellTransfer } = await import('./transfer.ts');
  const dryRun = flags.dryRun === true;
  const start = shell.world.now();
  // Durable is the whole of it, at close, before success is told.
  const options = { ...openOptions(flags, true), durability: 'relaxed' as const };
  const result = await withImage(shell, address, options, async (fs) => {
    const plan = await planCopy(paths.slice(0, -1), address.path, fs);
    if (plan.isNew && !dryRun) await fs.mkdir(plan.into, { mode: 0o755 });
    const source = hostSide();
    return runTransfer(shell, { what: 'put', source, target: fsSide(fs), plan, dryRun });
  });
  const ms = shell.world.now() - start;
  tellTransfer(shell, result, { volume: address.volume, dryRun, ms });
}
