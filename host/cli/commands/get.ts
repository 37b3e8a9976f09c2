// wafer get VOLUME[@name]:/path DEST

import type { Command } from 'commander';

import { parseAddress } from '../address.ts';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, dryRunOption, openOptions } from '../shell.ts';
import { withImage } from './image.ts';

export function addGet(program: Command, shell: Shell): void {
  addVolumeVerb(program, 'get', 'copy a file or directory of a volume to the host, as cp -r')
    .argument('<path>', 'VOLUME[@name]:/path')
    .argument('<destination>', 'directory of the host, or new name')
    .addOption(dryRunOption())
    .action((path: string, destination: string, flags: VolumeFlags) =>
      get(shell, path, destination, flags),
    );
}

async function get(
  shell: Shell,
  path: string,
  destination: string,
  flags: VolumeFlags,
): Promise<void> {
  const address = parseAddress(path);
  const host = await import('node:fs/promises');
  const { hostSide } = await import('../transfer/host-side.ts');
  const { fsSide } = await import('../transfer/fs-side.ts');
  const { planCopy } = await import('../transfer/plan.ts');
  const { runTransfer, tellTransfer } = await import('./transfer.ts');
  const dryRun = flags.dryRun === true;
  const start = shell.world.now();
  const result = await withImage(shell, address, openOptions(flags, false), async (fs) => {
    const plan = await planCopy([address.path], destination, host);
    if (plan.isNew && !dryRun) await host.mkdir(plan.into);
    const target = hostSide();
    return runTransfer(shell, { what: 'get', source: fsSide(fs), target, plan, dryRun });
  });
  const ms = shell.world.now() - start;
  tellTransfer(shell, result, { volume: address.volume, dryRun, ms });
}
