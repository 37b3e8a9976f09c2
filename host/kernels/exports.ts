// The kernels' face: the functions that each WebAssembly build exports, and that the plain
// TypeScript oracle implements too. All arguments are u32: arena addresses and counts. Kernels
// allocate nothing and keep no state; 64-bit results go through memory.

export interface KernelExports {
  /** Hash over all layout constants; compared at load, so that a stale build refuses to start. */
  layoutFingerprint(): number;

  /** destination := XOR of `count` (1..17) sources whose addresses (u32) stand at `list`.
   *  All 16-byte aligned; `length` bytes, a multiple of 16. destination may be one of
   *  the sources. */
  xor(destination: number, list: number, count: number, length: number): void;
  /** 1 if all `length` bytes (a multiple of 16) are zero. */
  isZero(address: number, length: number): number;

  /** Planes: `length` bytes, a multiple of 16, 16-byte aligned; destination may be a or b. */
  planeOr(destination: number, a: number, b: number, length: number): void;
  planeAnd(destination: number, a: number, b: number, length: number): void;
  /** destination := a and not b. */
  planeAndNot(destination: number, a: number, b: number, length: number): void;
  planePopcount(a: number, length: number): number;
  /** Popcount of a and not b, without storing it. */
  planeAndNotPopcount(a: number, b: number, length: number): number;
  /** First bit in [from, limit) that is set (value = 1) or clear (value = 0); limit if none. */
  planeFind(a: number, from: number, limit: number, value: number): number;
  /** Runs of set bits in bits [from, limit) of a: pairs (first bit, count), u32 each, at `out`, at
   *  most `outMax` pairs; returns how many. A run that is cut by outMax does not appear. */
  planeRuns(a: number, from: number, limit: number, out: number, outMax: number): number;
  /** Free counts: for area i of `count`, u16 at out + 2i := number of bits clear in both a and b
   *  among AREA_STRIPES bits from bit i * AREA_STRIPES on. */
  areaFreeCounts(a: number, b: number, count: number, out: number): void;

  /** xxHash64 (seed 0) of `length` bytes at `address`; u64 at `out` (8-byte aligned). */
  xxhash64(address: number, length: number, out: number): void;
  /** xxHash64 of `count` blocks whose addresses (u32) stand at `list`; u64 each at out. */
  xxhash64Blocks(list: number, count: number, out: number): void;
  /** CRC-32C of `length` bytes continued from `crc` (0 at the start), with the tables that
   *  crc32cTable made at `table`. */
  crc32c(address: number, length: number, crc: number, table: number): number;
  /** Fills CRC32C_TABLE_SIZE bytes at `table`. */
  crc32cTable(table: number): void;

  /** Tetris: for each of `stripes` stripes, parity := XOR of `columns` blocks. `list` has stripes x
   *  columns addresses (0 = a zero block), stripe-major; parity block s is at parity + s x 4096.
   *  Where sums != 0 the xxHash64 of every block of the list goes there (u64 each, 0 entries
   *  skipped). */
  tetris(list: number, columns: number, stripes: number, parity: number, sums: number): void;
  /** Block mapping in a batch: `ranges` has rangeCount records of 4 u32 (vbnFirst, count, disk
   *  index, dbnFirst), ascending; for each of `count` u32 vbns at `vbns`: disk index and dbn (u32
   *  each) at out; both 0xffffffff for a vbn in no range. Returns how many were in none. */
  mapBlocks(ranges: number, rangeCount: number, vbns: number, count: number, out: number): number;
}

/** Bytes that crc32c's table takes (8 tables of 256 u32, slicing by 8). */
export const CRC32C_TABLE_SIZE = 8192;
