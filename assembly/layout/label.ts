// The label: block 0 of every disk, and again block 1. It says which disk of which volume this is
// and where the parts of the disk's front lie. The front is outside of vbn space:
//
//   0, 1        label, two copies
//   2..7        zero
//   8..39       ring of root slots (see volume-root.ts)
//   then        stripe journal (raid4, dp; see journal.ts)
//   then        log area (one-file volumes)
//   then        data, from a dbn that is a multiple of TETRIS_STRIPES

/** Bytes in the structure: one block. */
export const LABEL_SIZE = 4096;
/** Copies: blocks 0 .. LABEL_COPIES - 1. */
export const LABEL_COPIES = 2;
/** "WLBL", little-endian. */
export const LABEL_MAGIC = 0x4c424c57;
export const LABEL_VERSION = 1;

export const LABEL_MAGIC_OFFSET = 0;
export const LABEL_VERSION_OFFSET = 4;
export const LABEL_SIZE_OFFSET = 8;
/** u32: RAID_KIND_*. */
export const LABEL_RAID_OFFSET = 12;
/** u64: xxHash64 of the structure with this field zero. */
export const LABEL_CHECKSUM_OFFSET = 16;
/** Three feature sets, u64 each, as in the volume root. */
export const LABEL_INCOMPATIBLE_OFFSET = 24;
export const LABEL_READ_ONLY_OFFSET = 32;
export const LABEL_COMPATIBLE_OFFSET = 40;
/** 16 bytes each: the volume's UUID, and this disk's. */
export const LABEL_VOLUME_UUID_OFFSET = 48;
export const LABEL_DISK_UUID_OFFSET = 64;
/** i64 seconds and u32 nanoseconds: when the volume was made. */
export const LABEL_CREATED_OFFSET = 80;
/** u32: the disk's place in the table of members. */
export const LABEL_INDEX_OFFSET = 92;
/** u16 RAID group, u16 column. */
export const LABEL_GROUP_OFFSET = 96;
export const LABEL_COLUMN_OFFSET = 98;
/** u32, zero. */
export const LABEL_RESERVED0_OFFSET = 100;
/** u64: blocks of the disk, front included. */
export const LABEL_BLOCKS_OFFSET = 104;
/** u64: epoch of the writer that has the volume, or had it last. */
export const LABEL_EPOCH_OFFSET = 112;
/** u64: random, one per mount for writing: tells two writers apart that took the same epoch. */
export const LABEL_WRITER_OFFSET = 120;
/** u64 dbn and u64 blocks, three times: root ring, stripe journal, log area. */
export const LABEL_ROOT_FIRST_OFFSET = 128;
export const LABEL_ROOT_BLOCKS_OFFSET = 136;
export const LABEL_JOURNAL_FIRST_OFFSET = 144;
export const LABEL_JOURNAL_BLOCKS_OFFSET = 152;
export const LABEL_LOG_FIRST_OFFSET = 160;
export const LABEL_LOG_BLOCKS_OFFSET = 168;
/** u64: first dbn of the data. */
export const LABEL_DATA_FIRST_OFFSET = 176;
/** Zero up to the end. */
export const LABEL_RESERVED1_OFFSET = 184;

/** First dbn of the ring of root slots, and the slots in it (VOLUME_ROOT_BLOCKS blocks each). Root
 *  number n stands in slots 2n and 2n + 1, modulo ROOT_SLOTS. */
export const ROOT_RING_FIRST = 8;
export const ROOT_SLOTS = 16;
/** Copies of a root on one disk. */
export const ROOT_COPIES = 2;
