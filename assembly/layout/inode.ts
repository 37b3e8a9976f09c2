// The inode: 256 bytes, 16 in a block of the inode file. Also the head of every volume file.
//
// The last 128 bytes hold the file itself when it is that small (level 0), else up to 8 pointers to
// blocks of level-1 (level 1: data blocks; level 2: indirect blocks of data blocks; and so on).
// 8 pointers x 256^(level-1) x 4 KiB: 32 KiB, 8 MiB, 2 GiB, 512 GiB, 128 TiB, 32 PiB.

export const INODE_SIZE = 256;
export const INODES_PER_BLOCK = 16;
export const INODES_PER_BLOCK_SHIFT = 4;

/** u32: POSIX type and permission bits; 0 = a free inode. */
export const INODE_MODE_OFFSET = 0;
/** u32: hard links. */
export const INODE_LINKS_OFFSET = 4;
/** u32: counts how often this inode number was given out. */
export const INODE_GENERATION_OFFSET = 8;
export const INODE_UID_OFFSET = 12;
export const INODE_GID_OFFSET = 16;
/** u16: quota tree the file belongs to; 0 = none. */
export const INODE_QTREE_OFFSET = 20;
/** u8: height of the buffer tree; 0 = data inline. */
export const INODE_LEVEL_OFFSET = 22;
/** u8: INODE_FLAG_*. */
export const INODE_FLAGS_OFFSET = 23;
/** u64: bytes in the file, at most 2^53 - 1. */
export const INODE_SIZE_OFFSET = 24;
/** u64: blocks that the tree holds, indirect blocks and the xattr block included. */
export const INODE_BLOCKS_OFFSET = 32;
/** u64: bytes reserved for writes to come (LUNs). */
export const INODE_RESERVED_BYTES_OFFSET = 40;
/** u64: the next inode of the zombie queue; 0 = none. */
export const INODE_NEXT_OFFSET = 48;
/** Four times: i64 seconds since 1970, then u32 nanoseconds. */
export const INODE_ATIME_OFFSET = 56;
export const INODE_MTIME_OFFSET = 68;
export const INODE_CTIME_OFFSET = 80;
export const INODE_BTIME_OFFSET = 92;
/** u64: for a directory the ino of its parent; else reserved. */
export const INODE_PARENT_OFFSET = 104;
/** Block pointer of the xattr block; zero = no xattrs. */
export const INODE_XATTR_OFFSET = 112;
/** Seconds part and nanoseconds part of a time. */
export const TIME_SECONDS_OFFSET = 0;
export const TIME_NANOSECONDS_OFFSET = 8;
export const TIME_SIZE = 12;

/** Inline data or pointers. */
export const INODE_DATA_OFFSET = 128;
export const INODE_INLINE_SIZE = 128;
export const INODE_POINTERS = 8;
export const INODE_LEVEL_MAX = 6;

/** The inode waits in the zombie queue: no name leads to it. */
export const INODE_FLAG_ZOMBIE = 1;
