// Numbers that address something carry their space in their type: passing a dbn for a vbn is a
// compile error. All are integers below 2^53; a volume has at most 2^32 blocks today (16 TiB), the
// formats have 48 bits.

declare const space: unique symbol;
/** Volume block number. 0 is the hole, never a block. */
export type Vbn = number & { readonly [space]?: 'vbn' };
/** Block number on one disk. */
export type Dbn = number & { readonly [space]?: 'dbn' };
/** Block number in a file. */
export type Fbn = number & { readonly [space]?: 'fbn' };
/** Inode number. */
export type Ino = number & { readonly [space]?: 'ino' };
/** Byte offset into the arena. */
export type Address = number & { readonly [space]?: 'address' };

export const KIB = 1024;
export const MIB = 1024 * 1024;
export const GIB = 1024 * 1024 * 1024;

/** A point in time: seconds since 1970 (may be negative) and nanoseconds 0..999,999,999. */
export interface Instant {
  readonly seconds: number;
  readonly nanoseconds: number;
}
