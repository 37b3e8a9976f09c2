// wafer status VOLUME

import type { Command } from 'commander';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, openOptions, volumeArgument } from '../shell.ts';
import { formatCount, formatCounted, formatSize, isoInstant } from '../text.ts';
import type { VolumeStatus } from '../volume-face.ts';
import { diskLine, diskText } from './disk.ts';

export function addStatus(program: Command, shell: Shell): void {
  addVolumeVerb(program, 'status', 'tell how a volume is')
    .addArgument(volumeArgument())
    .action((where: string, flags: VolumeFlags) => status(shell, where, flags));
}

async function status(shell: Shell, where: string, flags: VolumeFlags): Promise<void> {
  const { out } = shell;
  await shell.withVolume(where, openOptions(flags, false), async (volume) => {
    const found = await volume.status();
    const { createdAt, disks, warnings: _told, ...numbers } = found;
    out.result(
      {
        volume: where,
        ...numbers,
        createdAt: isoInstant(createdAt),
        disks: disks.map(diskLine),
      },
      statusText(shell, where, found),
    );
  });
}

function statusText(shell: Shell, where: string, status: VolumeStatus): string {
  const { bold, dim, green, red, yellow } = shell.out.colors;
  const color = { healthy: green, degraded: yellow, 'read-only': yellow, failed: red };
  const percent = status.sizeBytes === 0 ? 0 : (100 * status.usedBytes) / status.sizeBytes;
  const rows: [string, string][] = [
    ['state', color[status.state](status.state)],
    ['raid', `${status.raid}, ${formatCounted(status.disks.length, 'disk')}`],
    [
      'space',
      `${formatSize(status.usedBytes)} used of ${formatSize(status.sizeBytes)}` +
        ` (${percent.toFixed(1)} %), ${formatSize(status.freeBytes)} free`,
    ],
    ['snapshots', snapshotsText(status)],
    ['files', formatCount(status.fileCount)],
    ['log', `${formatSize(status.logSizeBytes)}, ${replayText(status)}`],
    ['created', isoInstant(status.createdAt)],
    ['image', `consistency point ${formatCount(status.consistencyPoint)}, epoch ${status.epoch}`],
    ['uuid', status.uuid],
  ];
  const lines = rows.map(([name, value]) => `  ${dim(name.padEnd(10))} ${value}`);
  return [bold(where), ...lines, ...status.disks.map((disk) => `  ${diskText(shell, disk)}`)].join(
    '\n',
  );
}

function replayText({ replayedRecordCount, replay }: VolumeStatus): string {
  const replayed = `${formatCounted(replayedRecordCount, 'record')} replayed by this open`;
  return replay.skipCount === 0 ? replayed : `${replayed}, ${replay.skipCount} left out`;
}

/** Without snapshots, what is held beside the files is the volume's own. */
function snapshotsText({ snapshotCount, snapshotBytes }: VolumeStatus): string {
  if (snapshotCount === 0) return 'none';
  return `${formatCount(snapshotCount)}, holding ${formatSize(snapshotBytes)} alone`;
}
