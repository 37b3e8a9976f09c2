// The volume root: what a root slot holds, two blocks. RAID writes it, with the file system's
// volume state inside. A root slot is written twice on every disk; see host/raid/.

/** Bytes in the structure, and in a root slot. */
export const VOLUME_ROOT_SIZE = 8192;
export const VOLUME_ROOT_BLOCKS = 2;
/** "WVOL", little-endian. */
export const VOLUME_ROOT_MAGIC = 0x4c4f5657;
/** Version of the volume format. */
export const VOLUME_FORMAT_VERSION = 1;

export const VOLUME_ROOT_MAGIC_OFFSET = 0;
export const VOLUME_ROOT_VERSION_OFFSET = 4;
export const VOLUME_ROOT_SIZE_OFFSET = 8;
/** u32: RAID_KIND_*. */
export const VOLUME_ROOT_RAID_OFFSET = 12;
/** u64: xxHash64 of the structure with this field zero. */
export const VOLUME_ROOT_CHECKSUM_OFFSET = 16;
/** Three feature sets, u64 each: a reader that does not know a bit of the first must refuse the
 *  volume, of the second must not write it, of the third may ignore it. */
export const VOLUME_ROOT_INCOMPATIBLE_OFFSET = 24;
export const VOLUME_ROOT_READ_ONLY_OFFSET = 32;
export const VOLUME_ROOT_COMPATIBLE_OFFSET = 40;
/** 16 bytes: the volume's UUID. */
export const VOLUME_ROOT_UUID_OFFSET = 48;
/** u64: counts mounts for writing; u64: counts roots. The largest (epoch, number) wins. */
export const VOLUME_ROOT_EPOCH_OFFSET = 64;
export const VOLUME_ROOT_NUMBER_OFFSET = 72;
/** i64 seconds and u32 nanoseconds: when this root was made. */
export const VOLUME_ROOT_TIME_OFFSET = 80;
/** u32 each: entries in the two tables. */
export const VOLUME_ROOT_MEMBER_COUNT_OFFSET = 92;
export const VOLUME_ROOT_RANGE_COUNT_OFFSET = 96;
/** u32: RAID groups. */
export const VOLUME_ROOT_GROUP_COUNT_OFFSET = 100;
/** i64 seconds and u32 nanoseconds: when the volume was made. */
export const VOLUME_ROOT_CREATED_OFFSET = 104;
/** u32, zero. */
export const VOLUME_ROOT_RESERVED0_OFFSET = 116;
/** u64: entries of the stripe journal up to this sequence number (of this epoch) are void. */
export const VOLUME_ROOT_JOURNAL_SEQUENCE_OFFSET = 120;
/** The file system's part, VOLUME_STATE_SIZE bytes; see volume-state.ts. */
export const VOLUME_ROOT_STATE_OFFSET = 128;
/** Table of members. */
export const VOLUME_ROOT_MEMBERS_OFFSET = 2176;
export const VOLUME_ROOT_MEMBERS_MAX = 40;
/** Table of ranges, append-only. */
export const VOLUME_ROOT_RANGES_OFFSET = 4736;
export const VOLUME_ROOT_RANGES_MAX = 100;
/** Zero up to the end. */
export const VOLUME_ROOT_RESERVED1_OFFSET = 7936;

/** A member: a disk and what is known of it. */
export const MEMBER_SIZE = 64;
/** 16 bytes: the disk's UUID, as in its label. */
export const MEMBER_UUID_OFFSET = 0;
/** u16 RAID group, u16 column. */
export const MEMBER_GROUP_OFFSET = 16;
export const MEMBER_COLUMN_OFFSET = 18;
/** u32: MEMBER_STATE_*. */
export const MEMBER_STATE_OFFSET = 20;
/** u64: blocks of the disk, front included. */
export const MEMBER_BLOCKS_OFFSET = 24;
/** u64: dbns at and above this one were never written (its file may end here). */
export const MEMBER_DBN_HIGH_OFFSET = 32;
/** u64: epoch of the last root that this disk took part in. */
export const MEMBER_EPOCH_OFFSET = 40;
/** 16 bytes, zero. */
export const MEMBER_RESERVED_OFFSET = 48;

export const MEMBER_STATE_ACTIVE = 1;
/** Missing or failed: contents do not count; rebuilt when replaced. */
export const MEMBER_STATE_FAILED = 2;
export const MEMBER_STATE_REBUILDING = 3;
export const MEMBER_STATE_SPARE = 4;

/** A range: vbns vbnFirst..vbnFirst+count-1 are dbns dbnFirst.. of one column. */
export const RANGE_SIZE = 32;
/** u64 each. */
export const RANGE_VBN_OFFSET = 0;
export const RANGE_DBN_OFFSET = 8;
export const RANGE_COUNT_OFFSET = 16;
/** u16 group, u16 column, u32 zero. */
export const RANGE_GROUP_OFFSET = 24;
export const RANGE_COLUMN_OFFSET = 26;
export const RANGE_RESERVED_OFFSET = 28;

export const RAID_KIND_NONE = 0;
export const RAID_KIND_RAID4 = 1;
export const RAID_KIND_DP = 2;
