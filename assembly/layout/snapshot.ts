// The snapshot table: a volume file of 1,024-byte entries, 4 in a block. A free entry is all zero.

export const SNAPSHOT_ENTRY_SIZE = 1024;
export const SNAPSHOTS_PER_BLOCK = 4;
/** "WSNP", little-endian. */
export const SNAPSHOT_MAGIC = 0x504e5357;

export const SNAPSHOT_MAGIC_OFFSET = 0;
/** u32: SNAPSHOT_KIND_*. */
export const SNAPSHOT_KIND_OFFSET = 4;
/** u64: never given out twice in a volume. */
export const SNAPSHOT_ID_OFFSET = 8;
/** u64: id of the parent in the snapshot tree; 0 = none. */
export const SNAPSHOT_PARENT_OFFSET = 16;
/** u32: how many times it is held. */
export const SNAPSHOT_HOLDS_OFFSET = 24;
/** u32: SNAPSHOT_FLAG_*. */
export const SNAPSHOT_FLAGS_OFFSET = 28;
/** i64 seconds and u32 nanoseconds: when it was taken. */
export const SNAPSHOT_TIME_OFFSET = 32;
/** u32: who made it (0 = the user; numbers of mirror, replica, ... follow). */
export const SNAPSHOT_OWNER_OFFSET = 44;
/** u64: the CP whose image it is. */
export const SNAPSHOT_CP_OFFSET = 48;
/** u64: blocks set in its plane. */
export const SNAPSHOT_BLOCKS_OFFSET = 56;
/** Block pointer of its image root. */
export const SNAPSHOT_IMAGE_ROOT_OFFSET = 64;
/** u16: bytes in the name, then the name, UTF-8, at most 255 bytes. */
export const SNAPSHOT_NAME_LENGTH_OFFSET = 80;
export const SNAPSHOT_NAME_OFFSET = 82;
export const SNAPSHOT_NAME_SIZE_MAX = 255;
/** Zero, up to the plane's inode. */
export const SNAPSHOT_RESERVED_OFFSET = 337;
/** Inode of its plane: as in its image root for a snapshot, a volume file for a shadow. */
export const SNAPSHOT_PLANE_OFFSET = 768;

export const SNAPSHOT_KIND_SNAPSHOT = 1;
export const SNAPSHOT_KIND_SHADOW = 2;

/** Deletion was asked for: hidden from users, held until its turn. */
export const SNAPSHOT_FLAG_DELETED = 1;
