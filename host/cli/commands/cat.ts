// wafer cat VOLUME[@name]:/path...

import type { Command } from 'commander';

import { FsError } from '../../base/errors.ts';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, openOptions } from '../shell.ts';
import type { TreeFs } from '../volume-face.ts';
import { oneVolume, withImage } from './image.ts';

const PIECE_SIZE = 1024 * 1024;

export function addCat(program: Command, shell: Shell): void {
  addVolumeVerb(program, 'cat', 'write files to stdout (with --json in base64)')
    .argument('<path...>', 'VOLUME[@name]:/path')
    .action((paths: readonly string[], flags: VolumeFlags) => cat(shell, paths, flags));
}

async function cat(shell: Shell, texts: readonly string[], flags: VolumeFlags): Promise<void> {
  const { address, paths } = oneVolume(texts);
  let bytes = 0;
  await withImage(shell, address, openOptions(flags, false), async (fs) => {
    for (const path of paths) bytes += await catFile(shell, fs, path);
  });
  shell.out.result({ volume: address.volume, files: paths.length, bytes }, '');
}

async function catFile(shell: Shell, fs: TreeFs, path: string): Promise<number> {
  const handle = await fs.open(path, 'r');
  try {
    if ((await handle.stat({ bigint: true })).isDirectory()) {
      throw new FsError('EISDIR', { syscall: 'read', path });
    }
    for (let position = 0; ; ) {
      // A fresh one each time: the stream may hold it until the reader has taken it.
      const piece = Buffer.allocUnsafeSlow(PIECE_SIZE);
      const { bytesRead } = await handle.read(piece, 0, PIECE_SIZE, position);
      if (bytesRead === 0) return position;
      const view = piece.subarray(0, bytesRead);
      if (shell.out.isJson) {
        shell.out.item({ path, offsetBytes: position, base64: view.toString('base64') }, '');
      } else {
        shell.out.bytes(view);
      }
      await shell.out.breathe();
      position += bytesRead;
    }
  } finally {
    await handle.close();
  }
}
