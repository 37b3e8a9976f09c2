// The error model. An invariant broken is our bug: `assert` throws InvariantError, nobody catches
// it but the volume, which fails. The world failing is expected: one class, StorageError, with a
// code that is API (documented, never reused), a hint that says what to do, and typed detail.
// File-system calls fail with Node's codes, numbers and texts.

/** What to do, by code. Codes beyond Node's; README "Errors" lists them. */
export const ERROR_HINTS = {
  INVALID_ARGUMENT: 'check the argument that the message names',
  UNSUPPORTED_FEATURE: 'use a newer waferfs, or an option that this version supports',
  VOLUME_CLOSED: 'open the volume again',
  VOLUME_LOCKED: 'close the program that the message names, or open with readOnly: true',
  VOLUME_FAILED: 'close the volume and open it again; the first cause is attached',
  NOT_A_VOLUME: 'check the path; create a volume with `wafer create`',
  VERSION_TOO_NEW: 'open it with the waferfs version that wrote it, or a newer one',
  DISK_MISSING: 'bring the missing disk file back, or open with degraded: true where parity allows',
  DISK_FOREIGN: 'remove the disk file that belongs to another volume',
  DISK_DUPLICATE: 'remove one of the two copies of the same disk',
  DISK_TRUNCATED: 'restore the disk file to its full length, or remove it and replace the disk',
  DISK_FAILED: 'check the medium, then replace the disk with `wafer disk replace`',
  RAID_DEGRADED_BEYOND_PARITY: 'bring back enough disks: more are gone than parity covers',
  BAD_MAGIC: 'run `wafer verify`; the structure is not what the pointer to it says',
  BAD_CHECKSUM: 'run `wafer verify`; restore the file named from a snapshot or a copy',
  LOG_DAMAGED:
    'bring back the other copy of the log, or open with readOnly: true to save what is there',
  REPLAY_PANIC: 'open with readOnly: true and report the entry; nothing was changed',
  ENTRY_SKIPPED: 'bring the missing disk back and mount again; the entry is kept in the log',
  SNAPSHOT_BUSY: 'release the snapshot first',
  BASE_SNAPSHOT_MISSING: 'send a full stream, or one from a snapshot that both sides have',
  STREAM_DAMAGED: 'transfer the stream again',
  DIVERGED: 'both sides were written apart; choose one and rebuild the other',
  LINK_LOST: 'check the network; the transfer resumes by itself',
  TAPE_END: 'insert the next tape',
} as const;

export type StorageErrorCode = keyof typeof ERROR_HINTS;

const BRAND: unique symbol = Symbol.for('waferfs.StorageError') as never;

/** The world failed. `code` says how; `hint` says what to do; `detail` has the operands. */
export class StorageError extends Error {
  readonly [BRAND] = true;
  readonly code: StorageErrorCode;
  readonly hint: string;
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(
    code: StorageErrorCode,
    message: string,
    options: { detail?: Readonly<Record<string, unknown>>; cause?: unknown; hint?: string } = {},
  ) {
    super(`${code}: ${message}`, options.cause === undefined ? {} : { cause: options.cause });
    this.name = 'StorageError';
    this.code = code;
    this.hint = options.hint ?? ERROR_HINTS[code];
    this.detail = options.detail ?? {};
  }
}

/** Whether `error` is a StorageError, of whichever copy of this module. */
export function isStorageError(error: unknown, code?: StorageErrorCode): error is StorageError {
  if (typeof error !== 'object' || error === null) return false;
  if ((error as { [BRAND]?: boolean })[BRAND] !== true) return false;
  return code === undefined || (error as StorageError).code === code;
}

/** Node's errno (Linux) and text, by code. */
const FS_ERRORS = {
  EPERM: [1, 'operation not permitted'],
  ENOENT: [2, 'no such file or directory'],
  EIO: [5, 'i/o error'],
  EBADF: [9, 'bad file descriptor'],
  EACCES: [13, 'permission denied'],
  EBUSY: [16, 'resource busy or locked'],
  EEXIST: [17, 'file already exists'],
  EXDEV: [18, 'cross-device link not permitted'],
  ENOTDIR: [20, 'not a directory'],
  EISDIR: [21, 'illegal operation on a directory'],
  EINVAL: [22, 'invalid argument'],
  EMFILE: [24, 'too many open files'],
  EFBIG: [27, 'file too large'],
  ENOSPC: [28, 'no space left on device'],
  EROFS: [30, 'read-only file system'],
  EMLINK: [31, 'too many links'],
  ERANGE: [34, 'result too large'],
  ENAMETOOLONG: [36, 'name too long'],
  ENOTEMPTY: [39, 'directory not empty'],
  ELOOP: [40, 'too many symbolic links encountered'],
  ENODATA: [61, 'no data available'],
  ENOTSUP: [95, 'operation not supported on socket'],
  ESTALE: [116, 'stale file handle'],
} as const satisfies Record<string, readonly [number, string]>;

export type FsErrorCode = keyof typeof FS_ERRORS;

/** A failed file-system call, shaped as Node's: code, errno, syscall, path, dest. */
export class FsError extends Error {
  readonly code: FsErrorCode;
  readonly errno: number;
  declare syscall?: string;
  declare path?: string;
  declare dest?: string;

  constructor(
    code: FsErrorCode,
    where: { syscall?: string; path?: string; dest?: string; cause?: unknown } = {},
  ) {
    const [errno, text] = FS_ERRORS[code];
    const paths =
      where.path === undefined
        ? ''
        : ` '${where.path}'${where.dest === undefined ? '' : ` -> '${where.dest}'`}`;
    super(
      `${code}: ${text}${where.syscall === undefined ? '' : `, ${where.syscall}`}${paths}`,
      where.cause === undefined ? {} : { cause: where.cause },
    );
    this.code = code;
    this.errno = -errno;
    if (where.syscall !== undefined) this.syscall = where.syscall;
    if (where.path !== undefined) this.path = where.path;
    if (where.dest !== undefined) this.dest = where.dest;
  }
}

export function isFsError(error: unknown, code?: FsErrorCode): error is FsError {
  return error instanceof FsError && (code === undefined || error.code === code);
}
