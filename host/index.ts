// waferfs, portable: volumes over devices that the caller gives, on every runtime.

export type { Clock, KernelJob, Logger, Prng, ThreadPool, TimerHandle } from './base/env.ts';
export {
  ERROR_HINTS,
  isStorageError,
  StorageError,
  type StorageErrorCode,
} from './base/errors.ts';
export type { Instant } from './base/units.ts';
export type { Disk, Nvram } from './device/device.ts';
export { MemoryDisk } from './device/memory-disk.ts';
export { MemoryNvram } from './device/memory-nvram.ts';
export type { VerifyProblem, VerifyReport } from './filesystem/verify/verify.ts';
export type { FsPromises, VolumeFs } from './fs/types.ts';
export type { Devices } from './volume/engine.ts';
export type { CreateOptions, OpenOptions, VolumeEnv } from './volume/options.ts';
export {
  type DiskInfo,
  memoryDevices,
  type ReplayStatus,
  type SnapshotInfo,
  Volume,
  type VolumeStats,
  type VolumeStatus,
} from './volume/volume.ts';
