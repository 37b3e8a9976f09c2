// The xattr block: extended attributes of one inode, in place in the block. Layout:
// assembly/layout/xattr.ts. The block is checked as a whole at each call: it is small, and seldom
// asked.
//
// An inode without attributes has no block: `undefined` where a block is asked for. Changes go
// through a list (LOAD makes it, MODIFY writes it). Damage gives StorageError BAD_MAGIC.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import {
  XATTR_COUNT_OFFSET,
  XATTR_ENTRIES_OFFSET,
  XATTR_MAGIC,
  XATTR_MAGIC_OFFSET,
  XATTR_NAME_LENGTH_OFFSET,
  XATTR_NAME_OFFSET,
  XATTR_NAME_SIZE_MAX,
  XATTR_RESERVED_OFFSET,
  XATTR_USED_OFFSET,
  XATTR_VALUE_LENGTH_OFFSET,
} from '../../assembly/layout/xattr.ts';
import { assert } from '../base/assert.ts';
import { zeroBytes } from '../base/bytes.ts';
import { StorageError } from '../base/errors.ts';

/** An attribute; name (1..255 bytes) and value are copies. */
export interface Xattr {
  readonly name: Uint8Array;
  readonly value: Uint8Array;
}

/** Bytes that an attribute with a name of one byte can have in its value, at most. */
export const XATTR_VALUE_SIZE_MAX = BLOCK_SIZE - XATTR_ENTRIES_OFFSET - XATTR_NAME_OFFSET - 1;

/** All attributes in a block (BLOCK_SIZE bytes), ascending by name. */
export function decodeXattrs(block: Uint8Array): Xattr[] {
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_SIZE);
  const magic = view.getUint32(XATTR_MAGIC_OFFSET, true);
  if (magic !== XATTR_MAGIC) damaged(`magic ${magic.toString(16)}`);
  const used = view.getUint16(XATTR_USED_OFFSET, true);
  if (used > BLOCK_SIZE) damaged(`${used} bytes in use`);
  const xattrs: Xattr[] = [];
  let at = XATTR_ENTRIES_OFFSET;
  while (at < used) {
    if (at + XATTR_NAME_OFFSET > used) damaged(`attribute at ${at} is cut off`);
    const nameLength = view.getUint8(at + XATTR_NAME_LENGTH_OFFSET);
    const valueAt = at + XATTR_NAME_OFFSET + nameLength;
    const end = valueAt + view.getUint16(at + XATTR_VALUE_LENGTH_OFFSET, true);
    if (nameLength === 0 || end > used) damaged(`attribute at ${at} of ${nameLength} and ${end}`);
    const name = block.slice(at + XATTR_NAME_OFFSET, valueAt);
    const previous = xattrs.at(-1);
    if (previous !== undefined && compareBytes(previous.name, name) >= 0) {
      damaged(`attribute at ${at} is out of order`);
    }
    xattrs.push({ name, value: block.slice(valueAt, end) });
    at = end;
  }
  const count = view.getUint16(XATTR_COUNT_OFFSET, true);
  if (at !== used || count === 0 || count !== xattrs.length) {
    damaged(`${count} attributes counted, ${xattrs.length} there`);
  }
  if (
    !isZero(block, XATTR_RESERVED_OFFSET, XATTR_ENTRIES_OFFSET) ||
    !isZero(block, used, BLOCK_SIZE)
  ) {
    damaged('a reserved byte is not zero');
  }
  return xattrs;
}

/** Writes attributes, at least one, ascending by name, that fit (`xattrsSize`) over a block. */
export function encodeXattrs(block: Uint8Array, xattrs: readonly Xattr[]): void {
  const used = xattrsSize(xattrs);
  assert(xattrs.length > 0, 'there are attributes');
  assert(used <= BLOCK_SIZE, 'attributes fit in a block', used, BLOCK_SIZE);
  const view = new DataView(block.buffer, block.byteOffset, BLOCK_SIZE);
  zeroBytes(block, 0, BLOCK_SIZE);
  view.setUint32(XATTR_MAGIC_OFFSET, XATTR_MAGIC, true);
  view.setUint16(XATTR_COUNT_OFFSET, xattrs.length, true);
  view.setUint16(XATTR_USED_OFFSET, used, true);
  let at = XATTR_ENTRIES_OFFSET;
  for (const { name, value } of xattrs) {
    view.setUint8(at + XATTR_NAME_LENGTH_OFFSET, name.length);
    view.setUint16(at + XATTR_VALUE_LENGTH_OFFSET, value.length, true);
    block.set(name, at + XATTR_NAME_OFFSET);
    block.set(value, at + XATTR_NAME_OFFSET + name.length);
    at += XATTR_NAME_OFFSET + name.length + value.length;
  }
}

/** Bytes that attributes take in a block, its header included; they fit up to BLOCK_SIZE. */
export function xattrsSize(xattrs: readonly Xattr[]): number {
  let size = XATTR_ENTRIES_OFFSET;
  for (const { name, value } of xattrs) size += XATTR_NAME_OFFSET + name.length + value.length;
  return size;
}

/** The value of `name`, undefined if there is none. `block` undefined: the inode has no
 *  attributes. */
export function getXattr(block: Uint8Array | undefined, name: Uint8Array): Uint8Array | undefined {
  return listXattrs(block).find((xattr) => compareBytes(xattr.name, name) === 0)?.value;
}

/** The attributes of an inode with this block, or with none. */
export function listXattrs(block: Uint8Array | undefined): Xattr[] {
  return block === undefined ? [] : decodeXattrs(block);
}

/** What to write with `encodeXattrs` so that `name` has `value`; 'full' if that does not fit
 *  (ENOSPC). Changes nothing: LOAD finds with it that MODIFY cannot fail. */
export function withXattr(
  block: Uint8Array | undefined,
  name: Uint8Array,
  value: Uint8Array,
): Xattr[] | 'full' {
  assert(name.length > 0, 'attribute has a name');
  assert(name.length <= XATTR_NAME_SIZE_MAX, 'name has up to 255 bytes', name.length);
  const xattrs = listXattrs(block);
  const index = xattrs.findIndex((xattr) => compareBytes(xattr.name, name) >= 0);
  const at = index < 0 ? xattrs.length : index;
  const found = xattrs[at];
  const isThere = found !== undefined && compareBytes(found.name, name) === 0;
  xattrs.splice(at, isThere ? 1 : 0, { name, value });
  return xattrsSize(xattrs) <= BLOCK_SIZE ? xattrs : 'full';
}

/** What is left without `name` (none: drop the block); undefined if it was not there. */
export function withoutXattr(block: Uint8Array | undefined, name: Uint8Array): Xattr[] | undefined {
  const xattrs = listXattrs(block);
  const left = xattrs.filter((xattr) => compareBytes(xattr.name, name) !== 0);
  return left.length === xattrs.length ? undefined : left;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length);
  for (let index = 0; index < shared; index++) {
    const difference = (a[index] as number) - (b[index] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function isZero(block: Uint8Array, from: number, to: number): boolean {
  for (let at = from; at < to; at++) if (block[at] !== 0) return false;
  return true;
}

function damaged(message: string): never {
  throw new StorageError('BAD_MAGIC', `xattr block: ${message}`);
}
