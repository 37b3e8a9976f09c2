// From what was thrown to what is told: a code, a message, a hint, an exit code.

import { ERROR_HINTS, isStorageError } from '../base/errors.ts';
import { errorCode } from './transfer/side.ts';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  damage: 3,
  unavailable: 4,
  noSpace: 5,
  interrupted: 130,
} as const;

export interface Failure {
  /** A StorageError's, or as node:fs has it; INTERRUPTED; INTERNAL for a bug of waferfs. */
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly exitCode: number;
}

/** Thrown through a command that was interrupted (SIGINT, SIGTERM). */
export class InterruptedError extends Error {
  readonly code = 'INTERRUPTED';
}

/** Thrown through a command whose reader has gone (EPIPE): nothing is left to tell. */
export class ReaderGoneError extends Error {
  readonly code = 'EPIPE';
}

const EXIT_CODES: Readonly<Record<string, number>> = {
  INVALID_ARGUMENT: EXIT.usage,
  INTERRUPTED: EXIT.interrupted,
  ENOSPC: EXIT.noSpace,
  EDQUOT: EXIT.noSpace,
  BAD_CHECKSUM: EXIT.damage,
  BAD_MAGIC: EXIT.damage,
  LOG_DAMAGED: EXIT.damage,
  REPLAY_PANIC: EXIT.damage,
  ENTRY_SKIPPED: EXIT.damage,
  STREAM_DAMAGED: EXIT.damage,
  VOLUME_CLOSED: EXIT.unavailable,
  VOLUME_LOCKED: EXIT.unavailable,
  VOLUME_FAILED: EXIT.unavailable,
  NOT_A_VOLUME: EXIT.unavailable,
  VERSION_TOO_NEW: EXIT.unavailable,
  DISK_MISSING: EXIT.unavailable,
  DISK_FOREIGN: EXIT.unavailable,
  DISK_DUPLICATE: EXIT.unavailable,
  DISK_TRUNCATED: EXIT.unavailable,
  DISK_FAILED: EXIT.unavailable,
  RAID_DEGRADED_BEYOND_PARITY: EXIT.unavailable,
  DIVERGED: EXIT.unavailable,
};

const HINTS: Readonly<Record<string, string>> = {
  ...ERROR_HINTS,
  INTERRUPTED: 'what was acknowledged before is kept; start it again to go on',
  ENOENT: 'check the path; `wafer ls` shows what is there',
  EEXIST: 'choose another name, or remove what has it',
  EROFS: 'snapshots cannot be changed; change the active file system',
  ENOSPC: 'remove files, or delete snapshots that hold removed ones: `wafer snapshot list`',
  ENOTEMPTY: 'remove it with everything in it: `wafer rm -r`',
  EBUSY: 'it is in use; a snapshot that is held: `wafer snapshot release`',
  EISDIR: 'it is a directory: use -r, or name a file in it',
  ENOTDIR: 'it is not a directory: check the path',
  EACCES: 'run it as a user who may do this',
  EPERM: 'run it as a user who may do this',
  EIO: 'run `wafer status` and `wafer verify`',
  EBADNAME: 'the volume may be damaged: run `wafer verify`',
  EILSEQ: 'rename the file on the host',
  SPECIAL_FILE: 'nothing to do: only files, directories and links are carried',
};

const HINT_OTHERWISE = 'see the message';

/** Sorts out anything thrown. */
export function failureOf(error: unknown): Failure {
  const message = error instanceof Error ? error.message : String(error);
  const code = errorCode(error);
  if (code === undefined) {
    return {
      code: 'INTERNAL',
      message: error instanceof Error ? (error.stack ?? message) : message,
      hint: 'this is a bug of waferfs: please report it with the command and this text',
      exitCode: EXIT.failed,
    };
  }
  return {
    code,
    // The code is told anyhow.
    message: message.startsWith(`${code}: `) ? message.slice(code.length + 2) : message,
    hint: isStorageError(error) ? error.hint : (HINTS[code] ?? HINT_OTHERWISE),
    exitCode: exitCodeOf(error),
  };
}

/** EIO says more by its cause: damage that no parity covers. */
function exitCodeOf(error: unknown): number {
  const code = errorCode(error) ?? '';
  const cause = (error as { cause?: unknown }).cause;
  if (code === 'EIO' && isStorageError(cause)) return EXIT_CODES[cause.code] ?? EXIT.failed;
  return EXIT_CODES[code] ?? EXIT.failed;
}
