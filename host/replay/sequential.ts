// Replay of the log in order, one record after the other: the oracle, and the baseline, of the
// swarm.
//
// A record carries its requests with their results, so applying it again gives what it gave. Replay
// changes memory only; the CP after it makes it durable, and until then the log keeps the records:
// a crash in between, however often, replays the same records onto the same root.

import { InvariantError } from '../base/assert.ts';
import { isFsError, StorageError } from '../base/errors.ts';
import type { Step } from '../base/task.ts';
import type { FileSystem } from '../filesystem/file-system.ts';
import { decodeRequests, type Request } from '../filesystem/requests.ts';

/** A record, as the log's scan gives it. */
export interface ReplayRecord {
  readonly sequence: number;
  readonly body: Uint8Array;
}

export interface ReplayReport {
  readonly recordCount: number;
  readonly requestCount: number;
  /** Why the records from `recordCount` on were left out: the first of them needs a block that
   *  cannot be read. Only where that is not an error. */
  readonly stopped: StorageError | undefined;
}

/** Applies `records` in order. What cannot be had of the disks is ENTRY_SKIPPED: thrown, or for a
 *  reader (`stops`) the end, so that the state is one that there was. Throws REPLAY_PANIC, naming
 *  the entry, where one cannot be applied to the state before it: then log and root do not belong
 *  together. Nothing was written in either case. */
export function* replaySequentially(
  fs: FileSystem,
  records: Iterable<ReplayRecord>,
  options: { readonly stops: boolean } = { stops: false },
): Step<ReplayReport> {
  let recordCount = 0;
  let requestCount = 0;
  for (const { sequence, body } of records) {
    const requests = decodeRequests(body);
    try {
      yield* apply(fs, requests);
    } catch (error) {
      if (!isFsError(error) && !(error instanceof InvariantError)) throw error;
      const kinds = requests.map(({ kind }) => kind).join(', ');
      if (isFsError(error, 'EIO')) {
        const stopped = unreadable(sequence, kinds, error);
        if (options.stops) return { recordCount, requestCount, stopped };
        throw stopped;
      }
      throw new StorageError('REPLAY_PANIC', `log entry ${sequence} (${kinds}) cannot be applied`, {
        detail: { sequence, kinds },
        cause: error,
      });
    }
    recordCount++;
    requestCount += requests.length;
  }
  return { recordCount, requestCount, stopped: undefined };
}

function unreadable(sequence: number, kinds: string, cause: Error): StorageError {
  const message = `log entry ${sequence} (${kinds}) needs a block that cannot be read`;
  return new StorageError('ENTRY_SKIPPED', message, {
    detail: { sequence, kinds },
    hint: 'open with readOnly: true: all up to this entry of the log can be read',
    cause: cause.cause,
  });
}

function* apply(fs: FileSystem, requests: readonly Request[]): Step<void> {
  const [first] = requests;
  if (first === undefined) return;
  if (first.kind === 'snapshot' || first.kind === 'snapshotChange') {
    fs.applySnapshotRequest(first);
    return;
  }
  const files = requests.filter((r) => r.kind !== 'snapshot' && r.kind !== 'snapshotChange');
  yield* fs.applyRequests(files);
}
