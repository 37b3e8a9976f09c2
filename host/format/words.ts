// 48- and 64-bit numbers of the formats, as JavaScript numbers. All are below 2^53: a larger one on
// a medium is damage, which the codecs report.

import { TIME_NANOSECONDS_OFFSET } from '../../assembly/layout/inode.ts';
import type { Instant } from '../base/units.ts';

const HIGH = 0x1_0000_0000;

/** u64 at `offset`; Infinity where it is 2^53 or more, which every range check refuses. */
export function getU64(view: DataView, offset: number): number {
  const high = view.getUint32(offset + 4, true);
  if (high >= 0x20_0000) return Number.POSITIVE_INFINITY;
  return high * HIGH + view.getUint32(offset, true);
}

export function setU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % HIGH, true);
  view.setUint32(offset + 4, Math.floor(value / HIGH), true);
}

/** Time at `offset`: i64 seconds, u32 nanoseconds. */
export function getInstant(view: DataView, offset: number): Instant {
  return {
    seconds: view.getInt32(offset + 4, true) * HIGH + view.getUint32(offset, true),
    nanoseconds: view.getUint32(offset + TIME_NANOSECONDS_OFFSET, true),
  };
}

export function setInstant(view: DataView, offset: number, time: Instant): void {
  const high = Math.floor(time.seconds / HIGH);
  view.setUint32(offset, time.seconds - high * HIGH, true);
  view.setInt32(offset + 4, high, true);
  view.setUint32(offset + TIME_NANOSECONDS_OFFSET, time.nanoseconds, true);
}
