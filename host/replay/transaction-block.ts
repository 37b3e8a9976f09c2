// The transaction block of a message of the swarm (seed 000, claim 2): a pointer to its log entry,
// and how far it is.
//
//                 +----------------- delivered again ------------------+
//                 v                                                    |
//   delivered -> NEW -> LOAD <-> MODIFY -> DONE     NEW, LOAD -> WAIT --+
//                 ^       |         |                    any -> SKIP
//                 +-------+---------+  its frames were needed by an earlier one
//
//   NEW     delivered to the file system, which has not looked at it yet
//   LOAD    blocks that it needs are being fetched
//   MODIFY  all that it needs is in memory; it is done as soon as those before it are
//   WAIT    it cannot LOAD before those before it are done: the initiator keeps it until then
//   SKIP    a disk that it needs, or an entry that it depends on, is not there: left out
//   DONE    applied

import type { Load } from '../filesystem/load.ts';
import type { Request } from '../filesystem/requests.ts';

export type TransactionState = 'NEW' | 'LOAD' | 'MODIFY' | 'WAIT' | 'SKIP' | 'DONE';

/** A record of the log, as the log's scan gives it. */
export interface ReplayRecord {
  readonly sequence: number;
  readonly body: Uint8Array;
}

export class TransactionBlock {
  /** The log entry, and its place among those that are replayed. */
  readonly record: ReplayRecord;
  readonly index: number;
  readonly requests: readonly Request[];
  state: TransactionState = 'NEW';
  /** Entries before it that touch the same, and are neither done nor left out; and those after. */
  beforeCount = 0;
  readonly after: TransactionBlock[] = [];
  /** Which are before it is not known: all that came earlier are. */
  isAfterAll = false;
  /** The initiator has delivered it again. */
  isRedelivered = false;
  /** Its LOAD, with the blocks pinned that it found. */
  load: Load | undefined;
  /** Blocks under way to it; what comes for an older attempt does not count. */
  missingCount = 0;
  attempt = 0;
  /** Reads, one after the other, that it and those before it had to wait for. */
  depth = 0;
  /** The disk of a block that it needs is not there. */
  unavailable: Error | undefined;
  /** Why it is left out. */
  reason: Error | undefined;

  constructor(record: ReplayRecord, index: number, requests: readonly Request[]) {
    this.record = record;
    this.index = index;
    this.requests = requests;
  }

  /** What the requests are, for messages. */
  get kinds(): string {
    return this.requests.map(({ kind }) => kind).join(', ');
  }

  get isSettled(): boolean {
    return this.state === 'DONE' || this.state === 'SKIP';
  }
}
