// The bound of everything durable: the same bytes by writev and fdatasync, and nothing else, into
// files that were written once (as the log is), in as many copies.

import { closeSync, fdatasync, openSync, writev } from 'node:fs';
import { runSync } from '../host/base/task.ts';
import { FileNvram } from '../host/node/file-nvram.ts';
import { SharedFile } from '../host/node/shared-file.ts';

export interface RawLog {
  /** Writes the blocks behind what was written before, and flushes. */
  commit(blocks: readonly Uint8Array[]): Promise<void>;
  close(): void;
}

export function openRawLog(paths: readonly string[], sizeBytes: number): RawLog {
  const fds = paths.map((path) => {
    const file = new SharedFile(path, { isNew: true });
    const nvram = new FileNvram({ file, offsetBytes: 0, sizeBytes });
    runSync(nvram.prepare());
    void nvram.close();
    return openSync(path, 'r+');
  });
  let position = 0;
  return {
    async commit(blocks) {
      const bytes = blocks.reduce((sum, block) => sum + block.length, 0);
      if (position + bytes > sizeBytes) position = 0;
      const at = position;
      position += bytes;
      await Promise.all(fds.map((fd) => writeAndFlush(fd, blocks, at, bytes)));
    },
    close: () => fds.forEach((fd) => closeSync(fd)),
  };
}

function writeAndFlush(
  fd: number,
  blocks: readonly Uint8Array[],
  at: number,
  bytes: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    writev(fd, blocks, at, (writeError, written) => {
      if (writeError !== null) return reject(writeError);
      if (written !== bytes) return reject(new Error(`short write: ${written}`));
      fdatasync(fd, (error) => (error === null ? resolve() : reject(error)));
    });
  });
}
