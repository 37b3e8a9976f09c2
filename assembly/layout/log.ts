// The log: one area of NVRAM (or of a file) for each copy. The header block, twice; then two halves
// of whole blocks. A half holds flushes one after the other from its start; a flush is a header and
// records, padded with zeros to whole blocks.
//
//   | header | header | half 0: flush | flush | ... | half 1: flush | ... |

/** Bytes in the header of the area, and how often it is there. */
export const LOG_HEADER_SIZE = 4096;
export const LOG_HEADER_COPIES = 2;
/** Where half 0 starts. */
export const LOG_HALVES_OFFSET = 8192;
export const LOG_HALVES = 2;
/** "WLOG", little-endian. */
export const LOG_MAGIC = 0x474f4c57;
export const LOG_VERSION = 1;

export const LOG_MAGIC_OFFSET = 0;
export const LOG_VERSION_OFFSET = 4;
/** u32, LOG_HEADER_SIZE. */
export const LOG_SIZE_OFFSET = 8;
/** u32: which of the copies this is, from 0. */
export const LOG_COPY_OFFSET = 12;
/** 16 bytes: the volume's UUID. */
export const LOG_UUID_OFFSET = 16;
/** u64: bytes in the area; u64: bytes in a half, whole blocks. */
export const LOG_AREA_BYTES_OFFSET = 32;
export const LOG_HALF_BYTES_OFFSET = 40;
/** u32: bytes that a flush has at most, whole blocks. */
export const LOG_FLUSH_BYTES_OFFSET = 48;
/** Zero. */
export const LOG_RESERVED_OFFSET = 52;
/** u32: CRC-32C of all before it. */
export const LOG_CRC_OFFSET = 4092;

/** Bytes in the header of a flush. */
export const FLUSH_HEADER_SIZE = 128;
/** "WFLU", little-endian. */
export const FLUSH_MAGIC = 0x554c4657;
/** Bytes in the largest flush that any log may have: a record of 1 MiB and 64 KiB of others. */
export const FLUSH_SIZE_MAX = 1114112;

export const FLUSH_MAGIC_OFFSET = 0;
export const FLUSH_VERSION_OFFSET = 4;
/** u32, FLUSH_HEADER_SIZE. */
export const FLUSH_SIZE_OFFSET = 8;
/** u32: flushes before this one in the same filling of a half. */
export const FLUSH_INDEX_OFFSET = 12;
/** u64: which filling this is; never given out twice. */
export const FLUSH_CYCLE_OFFSET = 16;
/** u32: records. */
export const FLUSH_RECORD_COUNT_OFFSET = 24;
/** u32: bytes of the records, their headers and padding included. */
export const FLUSH_RECORD_BYTES_OFFSET = 28;
/** u64: sequence number of the first record; the others follow without a gap. */
export const FLUSH_SEQUENCE_OFFSET = 32;
/** u64: all up to this sequence number was durable before this flush was written. */
export const FLUSH_DURABLE_OFFSET = 40;
/** u64: timeline of the root that the records follow; u64: its CP; u64: checksum of the pointer to
 *  its image root. */
export const FLUSH_TIMELINE_OFFSET = 48;
export const FLUSH_CP_OFFSET = 56;
export const FLUSH_IMAGE_CHECKSUM_OFFSET = 64;
/** Zero. */
export const FLUSH_RESERVED_OFFSET = 72;
/** u32: CRC-32C of all before it. */
export const FLUSH_CRC_OFFSET = 124;

/** Bytes in the header of a record. The body follows, padded with zeros to 8 bytes. */
export const RECORD_HEADER_SIZE = 32;
/** "WR", little-endian. */
export const RECORD_MAGIC = 0x5257;

export const RECORD_MAGIC_OFFSET = 0;
/** u16: what the body is; the file system's to say. */
export const RECORD_KIND_OFFSET = 2;
/** u32: bytes in the body. */
export const RECORD_BODY_BYTES_OFFSET = 4;
/** u64. */
export const RECORD_SEQUENCE_OFFSET = 8;
/** u64: xxHash64 (seed 0) of the body. */
export const RECORD_CHECKSUM_OFFSET = 16;
/** u32: the file system's. */
export const RECORD_FLAGS_OFFSET = 24;
/** u32: CRC-32C of all before it, continued from the CRC of the record before, for the first record
 *  from that of the flush header: a record holds in its own flush and place only. */
export const RECORD_CRC_OFFSET = 28;
