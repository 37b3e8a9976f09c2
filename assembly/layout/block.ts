// Blocks and block pointers: the atoms of every structure.
//
// These files are compiled by both asc (WebAssembly) and tsc (TypeScript). Rules that keep the two
// in agreement: integers below 2^31, only + - * << and names, no division, no booleans, no
// re-exports.

/** Bytes in a block, the unit of allocation, checksums and device transfers. */
export const BLOCK_SIZE = 4096;
/** log2(BLOCK_SIZE). */
export const BLOCK_SHIFT = 12;
/** Bytes in a sector: what a disk writes atomically, if anything. */
export const SECTOR_SIZE = 512;

/** Bytes in a block pointer. */
export const POINTER_SIZE = 16;
/** u32, bits 0..31 of the vbn. */
export const POINTER_VBN_LOW_OFFSET = 0;
/** u16, bits 32..47 of the vbn. */
export const POINTER_VBN_HIGH_OFFSET = 4;
/** u16: bits 0..3 checksum algorithm, bits 4..7 kind, bits 8..15 reserved (zero). */
export const POINTER_FLAGS_OFFSET = 6;
/** u64, xxHash64 (seed 0) of the block pointed to. */
export const POINTER_CHECKSUM_OFFSET = 8;

/** Checksum algorithms of POINTER_FLAGS. 0 stands only in the all-zero pointer, the hole. */
export const CHECKSUM_XXHASH64 = 1;

/** Kinds of POINTER_FLAGS: what a block is, so that it can be read without its tree. */
export const KIND_DATA = 1;
export const KIND_INDIRECT = 2;
export const KIND_INODES = 3;
export const KIND_DIRECTORY = 4;
export const KIND_MAP = 5;
export const KIND_IMAGE_ROOT = 6;
export const KIND_XATTR = 7;
export const KIND_SNAPSHOTS = 8;
export const KIND_AREAS = 9;

/** Pointers in an indirect block, as a count and as a shift. */
export const POINTERS_PER_BLOCK = 256;
export const POINTERS_PER_BLOCK_SHIFT = 8;

/** Bits (blocks) that one block of a bit plane covers: 4096 x 8, 128 MiB of blocks. */
export const BITS_PER_BLOCK = 32768;
export const BITS_PER_BLOCK_SHIFT = 15;

/** Stripes in an allocation area; one AA covers the same dbns of every data column of a group. */
export const AREA_STRIPES = 1024;
export const AREA_STRIPES_SHIFT = 10;
/** Stripes in a tetris, the batch of consecutive stripes written at once. */
export const TETRIS_STRIPES = 64;

/** Row parity's column number in every group; data columns are 0..15, diagonal parity is 17. */
export const PARITY_COLUMN = 16;
export const DIAGONAL_COLUMN = 17;
export const DATA_COLUMNS_MAX = 16;
