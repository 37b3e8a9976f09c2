// The directory: a file of blocks that holds a B-tree of its entries, keyed by (hash of the name,
// name). Entries with one hash always stand in one leaf. Block 0 is the root for ever; other nodes
// lie anywhere and point nowhere but down. Nodes that fell empty wait in the free list for the next
// split.
//
// hash(name) is HalfSipHash-2-4 with 64 bits of output (Aumasson, Bernstein: the reference code's
// halfsiphash with outlen 8) of the name's UTF-8 bytes; the key is the root's seed, its bytes as
// they stand. The first four bytes of the output, little-endian, are the hash's low half, the other
// four its high half. Keyed, so that nobody can make names collide who does not know the seed.
//
// A node: header, slots ascending from DIRECTORY_SLOTS_OFFSET, zeros, and in a leaf the heap, dense
// up to the end of the block. Every byte that holds nothing is zero, so equal histories give equal
// blocks. Interior nodes: the key of slot 0 is 0 and means "from here on down"; slot i covers the
// hashes from its key up to (not including) the key of slot i + 1. A directory has no entries `.`
// and `..`.

/** "WDIR", little-endian. */
export const DIRECTORY_MAGIC = 0x52494457;

/** u32. */
export const DIRECTORY_MAGIC_OFFSET = 0;
/** u8: 0 = leaf, else distance from the leaves; DIRECTORY_LEVEL_FREE = in the free list. */
export const DIRECTORY_LEVEL_OFFSET = 4;
/** u8, zero. */
export const DIRECTORY_RESERVED0_OFFSET = 5;
/** u16: slots. */
export const DIRECTORY_COUNT_OFFSET = 6;
/** u16: where a leaf's heap begins, BLOCK_SIZE if it is empty; zero in other nodes. */
export const DIRECTORY_HEAP_OFFSET = 8;
/** u16, zero. */
export const DIRECTORY_RESERVED1_OFFSET = 10;
/** u32: fbn of the next node of the free list, 0 = none; zero in nodes of the tree. */
export const DIRECTORY_NEXT_OFFSET = 12;
/** From here to DIRECTORY_SLOTS_OFFSET the root's own fields; zero in other nodes.
 *  u64: key of the hash. */
export const DIRECTORY_SEED_OFFSET = 16;
/** u64: entries in the whole directory. */
export const DIRECTORY_ENTRIES_OFFSET = 24;
/** u32: nodes that exist, used and free; the file has so many blocks. */
export const DIRECTORY_NODES_OFFSET = 32;
/** u32: fbn of the first node of the free list, 0 = none. */
export const DIRECTORY_FREE_OFFSET = 36;
/** u32: nodes in the free list. */
export const DIRECTORY_FREE_COUNT_OFFSET = 40;
/** u32, zero. */
export const DIRECTORY_RESERVED2_OFFSET = 44;
/** The slots. */
export const DIRECTORY_SLOTS_OFFSET = 48;

/** Slot of a leaf: u64 hash, u48 inode number, u16 offset in the block of its part of the heap. */
export const DIRECTORY_LEAF_SLOT_SIZE = 16;
export const DIRECTORY_LEAF_HASH_OFFSET = 0;
export const DIRECTORY_LEAF_INO_LOW_OFFSET = 8;
export const DIRECTORY_LEAF_INO_HIGH_OFFSET = 12;
export const DIRECTORY_LEAF_HEAP_OFFSET = 14;
/** Part of the heap: u8 kind of the file, u8 bytes in the name, the name. */
export const DIRECTORY_NAME_KIND_OFFSET = 0;
export const DIRECTORY_NAME_LENGTH_OFFSET = 1;
export const DIRECTORY_NAME_OFFSET = 2;
export const DIRECTORY_NAME_SIZE_MAX = 255;

/** Slot of an interior node: u64 hash from which on its child holds the entries, u32 fbn of the
 *  child. */
export const DIRECTORY_CHILD_SLOT_SIZE = 12;
export const DIRECTORY_CHILD_HASH_OFFSET = 0;
export const DIRECTORY_CHILD_FBN_OFFSET = 8;
/** floor((BLOCK_SIZE - DIRECTORY_SLOTS_OFFSET) / DIRECTORY_CHILD_SLOT_SIZE). */
export const DIRECTORY_CHILDREN_MAX = 337;

/** The root's level at most: five nodes from the root to a leaf. A million entries need level 2 or
 *  3. */
export const DIRECTORY_LEVEL_MAX = 4;
export const DIRECTORY_LEVEL_FREE = 255;
/** Nodes at most, so that fbns stay below 2^31. */
export const DIRECTORY_NODES_MAX = 0x7fffffff;

/** Kinds of files, POSIX's DT_DIR, DT_REG, DT_LNK. */
export const DIRECTORY_KIND_DIRECTORY = 4;
export const DIRECTORY_KIND_FILE = 8;
export const DIRECTORY_KIND_SYMLINK = 10;
