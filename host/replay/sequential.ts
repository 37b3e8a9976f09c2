// Replay of the log in order, one record after the other: the oracle, and the baseline, of the
// swarm.
//
// A record carries its requests with their results, so applying it again gives what it gave. Replay
// changes memory only; the CP after it makes it durable, and until then the log keeps the records:
// a crash in between, however often, replays the same records onto the same root.

import { InvariantError } from '../base/assert.ts';
import { isFsError, isStorageError, type StorageError } from '../base/errors.ts';
import type { Step } from '../base/task.ts';
import type { Ino } from '../base/units.ts';
import type { FileSystem } from '../filesystem/file-system.ts';
import { ReplayTarget } from '../filesystem/replay-target.ts';
import { decodeRequests } from '../filesystem/requests.ts';
import { checkRoom, panic, unreadable } from './problems.ts';
import { type ReplayRecord, TransactionBlock } from './transaction-block.ts';

export interface ReplayReport {
  readonly recordCount: number;
  readonly requestCount: number;
  /** Why the records from `recordCount` on were left out: the first of them cannot be applied. Only
   *  where that is not an error. */
  readonly stopped: StorageError | undefined;
}

/** Applies `records` in order. An entry that cannot be applied is thrown, or (`stops`: for somebody
 *  who only wants to look) the end, so that the state is one that there was: ENTRY_SKIPPED where a
 *  block cannot be had, REPLAY_PANIC where the entry does not fit the state before it: then log and
 *  root do not belong together. Nothing was written in either case. */
export function* replaySequentially(
  fs: FileSystem,
  records: Iterable<ReplayRecord>,
  options: { readonly stops: boolean } = { stops: false },
): Step<ReplayReport> {
  const target = new ReplayTarget(fs.core);
  const queued: Ino[] = [];
  let recordCount = 0;
  let requestCount = 0;
  let stopped: StorageError | undefined;
  for (const record of records) {
    const block = new TransactionBlock(record, recordCount, decodeRequests(record.body));
    const { requests } = block;
    checkRoom(target);
    try {
      yield* fs.loadUntilReady((access) => target.load(access, requests));
      queued.push(...target.modify(requests));
    } catch (error) {
      stopped = explain(block, error);
      if (stopped === undefined) throw error;
      if (!options.stops) throw stopped;
      break;
    }
    recordCount++;
    requestCount += requests.length;
  }
  if (fs.core.volume.isReadOnly) target.abandon();
  else yield* target.finish(queued);
  return { recordCount, requestCount, stopped };
}

/** What is to be said of an entry that could not be applied; undefined for an error that is not the
 *  entry's. */
function explain(block: TransactionBlock, error: unknown): StorageError | undefined {
  if (isStorageError(error)) return unreadable(block, error);
  if (isFsError(error)) {
    return isStorageError(error.cause) ? unreadable(block, error.cause) : panic(block, error);
  }
  return error instanceof InvariantError ? panic(block, error) : undefined;
}
