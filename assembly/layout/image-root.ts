// The image root: one block, the root of one file-system image (the active one or a snapshot).
// It knows nothing of the volume, so that images with equal image roots are equal.

/** "WIMG", little-endian. */
export const IMAGE_ROOT_MAGIC = 0x474d4957;
export const IMAGE_ROOT_VERSION = 1;

export const IMAGE_ROOT_MAGIC_OFFSET = 0;
export const IMAGE_ROOT_VERSION_OFFSET = 4;
/** u32, bytes in this structure: BLOCK_SIZE. */
export const IMAGE_ROOT_SIZE_OFFSET = 8;
/** u32, zero. */
export const IMAGE_ROOT_RESERVED0_OFFSET = 12;
/** u64: the CP that wrote this image. */
export const IMAGE_ROOT_CP_OFFSET = 16;
/** u64: one more than the largest inode number ever used. */
export const IMAGE_ROOT_INODE_LIMIT_OFFSET = 24;
/** u64: inodes in use. */
export const IMAGE_ROOT_INODES_USED_OFFSET = 32;
/** u64: blocks set in the active map. */
export const IMAGE_ROOT_BLOCKS_USED_OFFSET = 40;
/** u64: head and tail of the zombie queue; 0 = empty. */
export const IMAGE_ROOT_ZOMBIE_HEAD_OFFSET = 48;
export const IMAGE_ROOT_ZOMBIE_TAIL_OFFSET = 56;
/** u64: blocks that zombies hold. */
export const IMAGE_ROOT_ZOMBIE_BLOCKS_OFFSET = 64;
/** 56 bytes, zero. */
export const IMAGE_ROOT_RESERVED1_OFFSET = 72;
/** Inode of the inode file. */
export const IMAGE_ROOT_INODE_FILE_OFFSET = 128;
/** Inode of the inode map: one bit per ino, set = in use. */
export const IMAGE_ROOT_INODE_MAP_OFFSET = 384;
/** Inode of the active map: one bit per vbn, set = held by this image. */
export const IMAGE_ROOT_ACTIVE_MAP_OFFSET = 640;
/** The rest of the block, zero. Its checksum is in the pointer to it. */
export const IMAGE_ROOT_RESERVED2_OFFSET = 896;

/** Inode numbers: 0 is none, 1 the root directory; files start at 16. */
export const INO_ROOT = 1;
export const INO_FIRST = 16;
