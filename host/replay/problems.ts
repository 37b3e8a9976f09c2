// What a replay says of an entry that it cannot apply.

import { StorageError } from '../base/errors.ts';
import type { ReplayTarget } from '../filesystem/replay-target.ts';
import type { TransactionBlock } from './transaction-block.ts';

/** The file system stops: log and root do not belong together. */
export function panic(block: TransactionBlock, cause: Error): StorageError {
  const { kinds, record } = block;
  const { sequence } = record;
  const message = `log entry ${sequence} (${kinds}) cannot be applied: ${cause.message}`;
  return new StorageError('REPLAY_PANIC', message, {
    detail: { sequence, kinds, reason: cause.message },
    cause,
  });
}

/** An entry is left out: what it needs is not there. */
export function skipped(block: TransactionBlock, cause: Error): StorageError {
  const { kinds, record } = block;
  const { sequence } = record;
  const message = `log entry ${sequence} (${kinds}) is left out: ${cause.message}`;
  return new StorageError('ENTRY_SKIPPED', message, { detail: { sequence, kinds }, cause });
}

/** An entry needs a block of a disk that is there, and the block is damaged. */
export function unreadable(block: TransactionBlock, cause: Error): StorageError {
  const { kinds, record } = block;
  const { sequence } = record;
  const message = `log entry ${sequence} (${kinds}) needs a block that cannot be read`;
  return new StorageError('ENTRY_SKIPPED', message, {
    detail: { sequence, kinds },
    hint: 'open with readOnly: true: all up to this entry of the log can be read',
    cause,
  });
}

/** Replay must not run a CP in between: all that it changes has to fit into one. */
export function checkRoom(target: ReplayTarget): void {
  if (target.isTooFull) throw cacheTooSmall(target);
}

export function cacheTooSmall(target: ReplayTarget): StorageError {
  const { frameCount, dirtyCount } = target.core.cache;
  return new StorageError('INVALID_ARGUMENT', 'the cache is too small for this log', {
    hint: 'open the volume with a larger cacheSize, such as the one with which it was written',
    detail: { frameCount, dirtyCount },
  });
}
