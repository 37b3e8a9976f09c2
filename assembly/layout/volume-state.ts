// The volume state: the file system's part of a volume root (see volume-root.ts), which RAID
// carries without looking into it.

/** Bytes in the structure. */
export const VOLUME_STATE_SIZE = 2048;
/** "WSTA", little-endian. */
export const VOLUME_STATE_MAGIC = 0x41545357;
export const VOLUME_STATE_VERSION = 1;

export const VOLUME_STATE_MAGIC_OFFSET = 0;
export const VOLUME_STATE_VERSION_OFFSET = 4;
/** u32, VOLUME_STATE_SIZE. */
export const VOLUME_STATE_SIZE_OFFSET = 8;
/** u32, images in the table below: 1. */
export const VOLUME_STATE_IMAGE_COUNT_OFFSET = 12;
/** u64: counts consistency points. */
export const VOLUME_STATE_CP_OFFSET = 16;
/** u64: sequence number of the last log record that this image contains. */
export const VOLUME_STATE_LOG_SEQUENCE_OFFSET = 24;
/** u64: random; a new one after an older root was taken on purpose. Log records carry it. */
export const VOLUME_STATE_TIMELINE_OFFSET = 32;
/** u64: checksum of the pointer of the image root of the CP before this one. */
export const VOLUME_STATE_PREVIOUS_CHECKSUM_OFFSET = 40;
/** u64: time of the CP, seconds since 1970; then u32 nanoseconds. */
export const VOLUME_STATE_TIME_OFFSET = 48;
/** u32: 0 or 1, the log half that takes the records after this CP. */
export const VOLUME_STATE_LOG_HALF_OFFSET = 60;
/** u64: all vbns below this one were allocated at some time. */
export const VOLUME_STATE_VBN_HIGH_OFFSET = 64;
/** u64: blocks that are neither in the active map nor in the summary map. */
export const VOLUME_STATE_BLOCKS_FREE_OFFSET = 72;
/** u64: id that the next snapshot gets. */
export const VOLUME_STATE_SNAPSHOT_NEXT_OFFSET = 80;
/** u64: parent of the active file system in the snapshot tree; 0 = none. */
export const VOLUME_STATE_PARENT_OFFSET = 88;
/** u64: id of the snapshot being deleted, 0 = none; and u64: the vbn up to which it is gone. */
export const VOLUME_STATE_DELETING_OFFSET = 96;
export const VOLUME_STATE_DELETE_CURSOR_OFFSET = 104;
/** u64: counts rollbacks; handles opened before the last one are stale. */
export const VOLUME_STATE_ROLLBACKS_OFFSET = 112;
/** u64: blocks set in the summary map. */
export const VOLUME_STATE_BLOCKS_SUMMARY_OFFSET = 120;
/** Inode of the summary map: blocks held by snapshots, volume files or the log, not active. */
export const VOLUME_STATE_SUMMARY_MAP_OFFSET = 128;
/** Inode of the area table: u16 per allocation area, its blocks set in the active or summary
 *  map. */
export const VOLUME_STATE_AREAS_OFFSET = 384;
/** Inode of the snapshot table. */
export const VOLUME_STATE_SNAPSHOTS_OFFSET = 640;
/** Inode of the mirror state; a free inode (all zero) where there is none. */
export const VOLUME_STATE_MIRROR_OFFSET = 896;
/** Table of images, VOLUME_STATE_IMAGES entries of 64 bytes; the first format uses entry 0. */
export const VOLUME_STATE_IMAGES_OFFSET = 1152;
export const VOLUME_STATE_IMAGES = 8;
/** An entry: block pointer of the image root, then 48 bytes, zero. */
export const IMAGE_ENTRY_SIZE = 64;
export const IMAGE_ENTRY_POINTER_OFFSET = 0;
export const IMAGE_ENTRY_RESERVED_OFFSET = 16;
/** The rest, zero; the volume root's checksum covers it. */
export const VOLUME_STATE_RESERVED_OFFSET = 1664;
