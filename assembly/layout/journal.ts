// The stripe journal: JOURNAL_REGIONS regions of equal size at the front of each disk of a group
// with parity. A region holds one entry: a header block, then the blocks that it lists, in its
// order.

/** Bytes in the header: one block. */
export const JOURNAL_SIZE = 4096;
/** "WJNL", little-endian. */
export const JOURNAL_MAGIC = 0x4c4e4a57;
export const JOURNAL_VERSION = 1;
/** Regions on each disk. */
export const JOURNAL_REGIONS = 4;

export const JOURNAL_MAGIC_OFFSET = 0;
export const JOURNAL_VERSION_OFFSET = 4;
export const JOURNAL_SIZE_OFFSET = 8;
/** u32: blocks listed. */
export const JOURNAL_COUNT_OFFSET = 12;
/** u64: xxHash64 of the structure with this field zero. */
export const JOURNAL_CHECKSUM_OFFSET = 16;
/** 16 bytes: the volume's UUID. */
export const JOURNAL_UUID_OFFSET = 24;
/** u64: epoch of the writer; an entry counts only under a root of the same epoch. */
export const JOURNAL_EPOCH_OFFSET = 40;
/** u64: counts entries within an epoch, from 1. */
export const JOURNAL_SEQUENCE_OFFSET = 48;
/** u64: entries up to this sequence number were durable in place when this one was written. */
export const JOURNAL_DURABLE_OFFSET = 56;
/** Table of blocks, JOURNAL_RECORDS_MAX records; unused ones are zero. */
export const JOURNAL_RECORDS_OFFSET = 64;
export const JOURNAL_RECORDS_MAX = 252;

/** A record: a block and where it belongs. */
export const JOURNAL_RECORD_SIZE = 16;
/** u32 and u16: bits 0..31 and 32..47 of the dbn. */
export const JOURNAL_RECORD_DBN_LOW_OFFSET = 0;
export const JOURNAL_RECORD_DBN_HIGH_OFFSET = 4;
/** u8 each: RAID group and column (PARITY_COLUMN for parity). */
export const JOURNAL_RECORD_GROUP_OFFSET = 6;
export const JOURNAL_RECORD_COLUMN_OFFSET = 7;
/** u64: xxHash64 of the block. */
export const JOURNAL_RECORD_CHECKSUM_OFFSET = 8;
