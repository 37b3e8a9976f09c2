// Block pointers, read and written in place: 16 bytes that name a block and say what it must hold.

import {
  CHECKSUM_XXHASH64,
  KIND_AREAS,
  POINTER_CHECKSUM_OFFSET,
  POINTER_FLAGS_OFFSET,
  POINTER_SIZE,
  POINTER_VBN_HIGH_OFFSET,
} from '../../assembly/layout/block.ts';
import type { Vbn } from '../base/units.ts';

/** A pointer's meaning. vbn 0 is the hole; then all is zero. */
export interface Pointer {
  readonly vbn: Vbn;
  readonly kind: number;
  readonly checksumLow: number;
  readonly checksumHigh: number;
}

export const HOLE: Pointer = { vbn: 0, kind: 0, checksumLow: 0, checksumHigh: 0 };

export function getPointerVbn(view: DataView, at: number): Vbn {
  return (
    view.getUint32(at, true) + view.getUint16(at + POINTER_VBN_HIGH_OFFSET, true) * 0x1_0000_0000
  );
}

export function getPointerKind(view: DataView, at: number): number {
  return (view.getUint16(at + POINTER_FLAGS_OFFSET, true) >> 4) & 15;
}

export function getPointer(view: DataView, at: number): Pointer {
  return {
    vbn: getPointerVbn(view, at),
    kind: getPointerKind(view, at),
    checksumLow: view.getUint32(at + POINTER_CHECKSUM_OFFSET, true),
    checksumHigh: view.getUint32(at + POINTER_CHECKSUM_OFFSET + 4, true),
  };
}

/** What is wrong with the bytes of a pointer that came from a medium; undefined = nothing. */
export function pointerProblem(view: DataView, at: number): string | undefined {
  const flags = view.getUint16(at + POINTER_FLAGS_OFFSET, true);
  if (getPointerVbn(view, at) === 0) {
    const low = view.getUint32(at + POINTER_CHECKSUM_OFFSET, true);
    const high = view.getUint32(at + POINTER_CHECKSUM_OFFSET + 4, true);
    return (flags | low | high) === 0 ? undefined : 'a hole that is not all zero';
  }
  if ((flags & 15) !== CHECKSUM_XXHASH64) return `a pointer with checksum algorithm ${flags & 15}`;
  const kind = flags >> 4;
  return kind > 0 && kind <= KIND_AREAS ? undefined : `a pointer to a block of kind ${kind}`;
}

export function setPointer(view: DataView, at: number, pointer: Pointer): void {
  const { vbn, kind, checksumLow, checksumHigh } = pointer;
  setPointerWords(view, at, vbn, kind, checksumLow, checksumHigh);
}

/** As setPointer, without an object: a CP writes a pointer for each block. */
export function setPointerWords(
  view: DataView,
  at: number,
  vbn: Vbn,
  kind: number,
  checksumLow: number,
  checksumHigh: number,
): void {
  view.setUint32(at, vbn % 0x1_0000_0000, true);
  view.setUint16(at + POINTER_VBN_HIGH_OFFSET, Math.floor(vbn / 0x1_0000_0000), true);
  view.setUint16(at + POINTER_FLAGS_OFFSET, vbn === 0 ? 0 : CHECKSUM_XXHASH64 | (kind << 4), true);
  view.setUint32(at + POINTER_CHECKSUM_OFFSET, checksumLow, true);
  view.setUint32(at + POINTER_CHECKSUM_OFFSET + 4, checksumHigh, true);
}

export function clearPointer(view: DataView, at: number): void {
  for (let offset = 0; offset < POINTER_SIZE; offset += 4) view.setUint32(at + offset, 0, true);
}

export function isSamePointer(a: Pointer, b: Pointer): boolean {
  return a.vbn === b.vbn && a.checksumLow === b.checksumLow && a.checksumHigh === b.checksumHigh;
}

/** 16 hex digits. */
export function checksumHex(low: number, high: number): string {
  return high.toString(16).padStart(8, '0') + low.toString(16).padStart(8, '0');
}
