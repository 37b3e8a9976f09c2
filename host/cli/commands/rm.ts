// wafer rm [-r] [-f] VOLUME:/path...

import type { Command } from 'commander';

import { FsError, StorageError } from '../../base/errors.ts';
import { lastName } from '../address.ts';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, dryRunOption, openOptions } from '../shell.ts';
import { formatCounted } from '../text.ts';
import { errorCode } from '../transfer/side.ts';
import type { TreeFs } from '../volume-face.ts';
import { oneVolume, withImage } from './image.ts';

interface Flags extends VolumeFlags {
  readonly recursive?: boolean;
  readonly force?: boolean;
}

interface Removed {
  readonly files: number;
  readonly directories: number;
}

export function addRm(program: Command, shell: Shell): void {
  addVolumeVerb(program, 'rm', 'remove files, with -r directories')
    .argument('<path...>', 'VOLUME:/path')
    .option('-r, --recursive', 'directories with everything in them')
    .option('-f, --force', 'no error if it is not there')
    .addOption(dryRunOption())
    .action((paths: readonly string[], flags: Flags) => rm(shell, paths, flags));
}

async function rm(shell: Shell, texts: readonly string[], flags: Flags): Promise<void> {
  const { address, paths } = oneVolume(texts);
  for (const path of paths) {
    if (lastName(path) !== undefined) continue;
    throw new StorageError('INVALID_ARGUMENT', `'${path}' cannot be removed`, {
      hint: 'name what is in it',
    });
  }
  const dryRun = flags.dryRun === true;
  let files = 0;
  let directories = 0;
  await withImage(shell, address, openOptions(flags, true), async (fs) => {
    for (const path of paths) {
      const removed = await remove(shell, fs, path, flags);
      if (removed === undefined) continue;
      files += removed.files;
      directories += removed.directories;
      shell.out.item({ path, ...removed }, `${dryRun ? 'would remove' : 'removed'} ${path}`);
    }
    const what = `${formatCounted(files, 'file')}, ${formatCounted(directories, 'directory')}`;
    shell.out.result(
      { volume: address.volume, files, directories, dryRun },
      flags.recursive ? what : '',
    );
  });
}

/** Undefined where nothing was there, and that is no error. */
async function remove(
  shell: Shell,
  fs: TreeFs,
  path: string,
  flags: Flags,
): Promise<Removed | undefined> {
  try {
    const isDirectory = (await fs.lstat(path, { bigint: true })).isDirectory();
    if (!isDirectory) {
      if (!flags.dryRun) await fs.unlink(path);
      return { files: 1, directories: 0 };
    }
  } catch (error) {
    if (flags.force && errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
  if (!flags.recursive) throw new FsError('EISDIR', { syscall: 'rm', path });
  const { removeTree } = await import('../transfer/remove.ts');
  return removeTree(fs, path, {
    dryRun: flags.dryRun === true,
    signal: shell.signal,
    onProgress: (done) => shell.out.progress({ what: 'rm', done, total: 0, unit: 'files' }),
  });
}
