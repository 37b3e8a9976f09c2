// Entry assertions: once a call, not once an element, and so they stay in the release builds, where
// a failed one is a trap.

/** Address 0 means "none"; vectors want alignment (a power of 2) for whole cache lines. */
// @ts-ignore: decorator
@inline
export function checkAddress(address: usize, alignment: usize): void {
  assert(address != 0, "address is not 0");
  assert((address & (alignment - 1)) == 0, "address is aligned");
}

/** `length` bytes at an address; the sum of the two must not wrap round. */
// @ts-ignore: decorator
@inline
export function checkBytes(address: usize, length: u32): void {
  assert(address != 0, "address is not 0");
  assert(address + length >= address, "range ends in memory");
}

/** Whole vectors at an address. */
// @ts-ignore: decorator
@inline
export function checkVectors(address: usize, length: u32): void {
  checkBytes(address, length);
  assert(((address | length) & 15) == 0, "address and length are multiples of 16");
}
