// Runs the contract suite on every disk and NVRAM there is, in every mode of theirs. The engine is
// tested on memory devices and used on files: what it may rely on must be the same on both.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import type { MemoryOptions } from '../../host/device/memory-device.ts';
import { microtask } from '../../host/device/memory-device.ts';
import { MemoryDisk } from '../../host/device/memory-disk.ts';
import { MemoryNvram } from '../../host/device/memory-nvram.ts';
import { FileDisk } from '../../host/node/file-disk.ts';
import { FileNvram } from '../../host/node/file-nvram.ts';
import { SharedFile } from '../../host/node/shared-file.ts';
import { shuffled } from '../world/shuffled.ts';
import type { DeviceMaker } from './contract.ts';
import { testDisk, testNvram } from './contract.ts';

const directory = mkdtempSync(join(tmpdir(), 'waferfs-device-'));

const modes: [string, MemoryOptions][] = [
  ['memory', {}],
  ['memory, asynchronous', { schedule: microtask }],
  ['memory, crashable', { isCrashable: true }],
  [
    'memory, crashable, out of order',
    {
      isCrashable: true,
      schedule: shuffled(new SeededPrng(1)),
    },
  ],
];
for (const [name, options] of modes) {
  testDisk(name, {
    make: (blockCount) => new MemoryDisk({ blockCount, ...options }),
    reopen: (disk) => (disk as MemoryDisk).clone(),
  });
  testNvram(name, {
    make: (blockCount) => new MemoryNvram({ sizeBytes: blockCount * BLOCK_SIZE, ...options }),
    reopen: (nvram) => (nvram as MemoryNvram).clone(),
  });
}

let fileCount = 0;
function fileMaker<Device extends object>(
  open: (file: SharedFile, blockCount: number) => Device,
): DeviceMaker<Device> {
  const files = new Map<object, { path: string; blockCount: number }>();
  const openAt = (path: string, blockCount: number, isNew: boolean) => {
    const device = open(new SharedFile(path, { isNew }), blockCount);
    files.set(device, { path, blockCount });
    return device;
  };
  return {
    make: (blockCount) => openAt(join(directory, `${fileCount++}.wafer`), blockCount, true),
    reopen: (device) => {
      const { path, blockCount } = files.get(device) as { path: string; blockCount: number };
      return openAt(path, blockCount, false);
    },
  };
}
for (const baseBlocks of [0, 5]) {
  const name = baseBlocks === 0 ? 'file' : 'window of a file';
  const openDisk = (file: SharedFile, blockCount: number) =>
    new FileDisk({ file, blockCount, baseBlocks });
  testDisk(name, fileMaker(openDisk));
  const offsetBytes = baseBlocks * BLOCK_SIZE;
  const openNvram = (file: SharedFile, blockCount: number) =>
    new FileNvram({ file, offsetBytes, sizeBytes: blockCount * BLOCK_SIZE });
  testNvram(name, fileMaker(openNvram));
}

const cleanup = suite('cleanup');
cleanup('temporary files', () => rmSync(directory, { recursive: true }));
cleanup.run();
