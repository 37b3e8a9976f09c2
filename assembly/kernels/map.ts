// Block mapping: vbn to disk and dbn.
//
//              u32        u32     u32         u32
//          ┌──────────┬───────┬────────────┬──────────┐
//   range  │ vbnFirst │ count │ disk index │ dbnFirst │   ascending by vbnFirst, not overlapping
//          └──────────┴───────┴────────────┴──────────┘
//
// 4 bytes read and 8 written for each vbn. Batches come sorted or in runs, so the range of the vbn
// before is tried first; else a binary search, log2(ranges) dependent loads, all in L1.

import { checkAddress } from "./check";

const RANGE_SHIFT: usize = 4;
const NO_DISK: u32 = 0xffffffff;

export function mapBlocks(
  ranges: usize, rangeCount: u32, vbns: usize, count: u32, out: usize,
): u32 {
  checkAddress(ranges, 4);
  checkAddress(vbns, 4);
  checkAddress(out, 4);
  const end = vbns + (<usize>count << 2);
  let missing: u32 = 0;
  let first: u32 = 0, length: u32 = 0, disk: u32 = NO_DISK, dbn: u32 = 0;
  for (; vbns < end; vbns += 4, out += 8) {
    const vbn = load<u32>(vbns);
    // Unsigned: a vbn below `first` wraps round and is above `length` too.
    if (vbn - first >= length) {
      const range = rangeOf(ranges, rangeCount, vbn);
      if (range == 0) {
        missing++;
        store<u32>(out, NO_DISK);
        store<u32>(out, NO_DISK, 4);
        continue;
      }
      first = load<u32>(range);
      length = load<u32>(range, 4);
      disk = load<u32>(range, 8);
      dbn = load<u32>(range, 12);
    }
    store<u32>(out, disk);
    store<u32>(out, dbn + (vbn - first), 4);
  }
  return missing;
}

/** Address of the range that holds vbn, or 0. */
function rangeOf(ranges: usize, rangeCount: u32, vbn: u32): usize {
  let low: u32 = 0, high = rangeCount;
  // Invariant: ranges below `low` begin at or below vbn, those from `high` on above it.
  while (low < high) {
    const middle = (low + high) >> 1;
    if (load<u32>(ranges + (<usize>middle << RANGE_SHIFT)) <= vbn) low = middle + 1;
    else high = middle;
  }
  if (low == 0) return 0;
  const range = ranges + (<usize>(low - 1) << RANGE_SHIFT);
  return vbn - load<u32>(range) < load<u32>(range, 4) ? range : 0;
}
