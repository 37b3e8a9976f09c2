// The xattr block: all extended attributes of one inode. A header, then the attributes, one after
// the other, ascending by name (bytes compared), then zeros. An inode without any has no such
// block.

/** "WXAT", little-endian. */
export const XATTR_MAGIC = 0x54415857;

/** u32. */
export const XATTR_MAGIC_OFFSET = 0;
/** u16: attributes, at least 1. */
export const XATTR_COUNT_OFFSET = 4;
/** u16: bytes in use, header included. */
export const XATTR_USED_OFFSET = 6;
/** u64, zero. */
export const XATTR_RESERVED_OFFSET = 8;
/** The attributes. */
export const XATTR_ENTRIES_OFFSET = 16;

/** An attribute: u8 bytes in its name, u16 bytes in its value, the name, the value. */
export const XATTR_NAME_LENGTH_OFFSET = 0;
export const XATTR_VALUE_LENGTH_OFFSET = 1;
export const XATTR_NAME_OFFSET = 3;
export const XATTR_NAME_SIZE_MAX = 255;
