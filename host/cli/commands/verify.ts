// wafer verify VOLUME

import type { Command } from 'commander';

import { EXIT } from '../failure.ts';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, openOptions, volumeArgument } from '../shell.ts';
import { formatCount, formatCounted } from '../text.ts';
import { printableName } from '../transfer/names.ts';

export function addVerify(program: Command, shell: Shell): void {
  addVolumeVerb(program, 'verify', 'check every structure and block of a volume; change nothing')
    .addArgument(volumeArgument())
    .action((where: string, flags: VolumeFlags) => verify(shell, where, flags));
}

async function verify(shell: Shell, where: string, flags: VolumeFlags): Promise<void> {
  const { out } = shell;
  await shell.withVolume(where, openOptions(flags, false), async (volume) => {
    const report = await volume.verify({
      signal: shell.signal,
      onProgress: (done, total) => out.progress({ what: 'verify', done, total, unit: 'blocks' }),
    });
    out.clearBar();
    for (const problem of report.problems) {
      const { kind, message, vbn = null, ino = null, path = null, snapshot = null } = problem;
      const text = `${out.colors.red(kind)}: ${printableName(message)}`;
      out.item({ kind, message, vbn, ino, path, snapshot }, text);
      await out.breathe();
    }
    const { problemCount, blockCount, inodeCount, directoryCount, snapshotCount } = report;
    const checked =
      `${formatCounted(blockCount, 'block')}, ${formatCounted(inodeCount, 'inode')}, ` +
      `${formatCounted(directoryCount, 'directory')}, ${formatCounted(snapshotCount, 'snapshot')}`;
    const verdict =
      problemCount === 0
        ? out.colors.green('no problems')
        : out.colors.red(`${formatCount(problemCount)} problem${problemCount === 1 ? '' : 's'}`);
    out.result(
      {
        volume: where,
        problems: problemCount,
        blocks: blockCount,
        inodes: inodeCount,
        directories: directoryCount,
        snapshots: snapshotCount,
      },
      `${verdict} in ${checked}`,
    );
    if (problemCount > 0) shell.exitCode = EXIT.damage;
  });
}
