// The block volume: the only thing that a file system knows below itself. RAID implements it, later
// also a checkpointed volume, a secondary during playback, and an overlay. An implementation gives
// reading by pointer (whose checksum decides what is right), writing at free vbns, and one atomic
// step, writeRoot.

import type { Step } from '../base/task.ts';
import type { Address, Instant, Vbn } from '../base/units.ts';

/** A block to read: the pointer's words, and the frame (BLOCK_SIZE bytes in the arena) to fill. */
export interface BlockRead {
  readonly vbn: Vbn;
  readonly checksumLow: number;
  readonly checksumHigh: number;
  readonly address: Address;
  /** Set by `read` where no version with this checksum could be had. */
  error?: Error;
}

/** A block to write. The frame's bytes must stay the same until `settled`. */
export interface BlockWrite {
  readonly vbn: Vbn;
  readonly address: Address;
}

/** What tells RAID which stripes hold nothing (ENGINE 4, 38). Asked for vbns only. */
export interface Liveness {
  /** Whether anything (image, snapshot, volume file, log record, resting free) refers to a block of
   *  vbn..vbn+count-1, the blocks of the write at hand not counted. */
  isLive(vbn: Vbn, count: number): boolean;
}

/** Columns of consecutive vbns over the same dbns: where stripes are, as the allocator sees it. */
export interface StripeSpan {
  readonly group: number;
  /** Stripes in the span. */
  readonly stripeCount: number;
  /** First vbn of each data column; the block of stripe s in column c is columns[c] + s. */
  readonly columns: readonly Vbn[];
  /** Whether a stripe has parity, so that filling whole stripes matters. */
  readonly hasParity: boolean;
}

export interface BlockVolume {
  /** One more than the largest vbn. */
  readonly vbnLimit: Vbn;
  /** Blocks that can be allocated, parity and fronts excluded. */
  readonly blockCount: number;
  /** All vbns, in ascending order of their first vbn. Column starts are multiples of
   *  AREA_STRIPES. */
  readonly spans: readonly StripeSpan[];
  readonly isReadOnly: boolean;
  /** The newest root's volume state (VOLUME_STATE_SIZE bytes), as found by open or last written. */
  readonly state: Uint8Array;

  /** Reads blocks in parallel over the disks. A block whose checksum does not match is had from
   *  redundancy and repaired; one that cannot be had gets its `error`. Never throws for one
   *  block. */
  read(requests: readonly BlockRead[]): Step<void>;
  /** Writes blocks to vbns that no root refers to, with parity, as ENGINE 4 says. When it returns
   *  all are written, not yet flushed. Throws when an uncertain write has no redundancy left. */
  write(writes: readonly BlockWrite[], liveness: Liveness): Step<void>;
  flush(): Step<void>;
  /** The last step of a CP: all that was written becomes durable, then `state` (VOLUME_STATE_SIZE
   *  bytes) is written as the new root on every disk, and becomes durable. */
  writeRoot(state: Uint8Array, time: Instant): Step<void>;
  /** Whether a write to a block of this run has been started and its completion not been seen: such
   *  a vbn must not be reused (ENGINE 5). */
  isWriteInFlight(vbn: Vbn, count: number): boolean;
  /** Whether the disk that holds this vbn can be read at all (a `none` volume with a missing
   *  disk). */
  isAvailable(vbn: Vbn): boolean;
  close(): Step<void>;
}
