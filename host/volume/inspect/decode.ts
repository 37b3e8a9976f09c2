// Bytes to fields with names. Every byte of what is decoded is named by exactly one field; what
// must be zero and is not, and what cannot be, is a problem beside them, never an exception.

import {
  BITS_PER_BLOCK,
  BLOCK_SIZE,
  KIND_AREAS,
  KIND_DATA,
  KIND_DIRECTORY,
  KIND_IMAGE_ROOT,
  KIND_INDIRECT,
  KIND_INODES,
  KIND_MAP,
  KIND_SNAPSHOTS,
  KIND_XATTR,
} from '../../../assembly/layout/block.ts';
import {
  DIRECTORY_COUNT_OFFSET,
  DIRECTORY_LEAF_HEAP_OFFSET,
  DIRECTORY_LEVEL_FREE,
  DIRECTORY_LEVEL_OFFSET,
  DIRECTORY_NAME_KIND_OFFSET,
  DIRECTORY_NAME_LENGTH_OFFSET,
  DIRECTORY_NAME_OFFSET,
  DIRECTORY_SLOTS_OFFSET,
} from '../../../assembly/layout/directory.ts';
import { INODE_LEVEL_OFFSET } from '../../../assembly/layout/inode.ts';
import {
  XATTR_ENTRIES_OFFSET,
  XATTR_NAME_LENGTH_OFFSET,
  XATTR_NAME_OFFSET,
  XATTR_USED_OFFSET,
  XATTR_VALUE_LENGTH_OFFSET,
} from '../../../assembly/layout/xattr.ts';
import { getUuid } from '../../format/envelope.ts';
import { checksumHex } from '../../format/pointer.ts';
import {
  DIRECTORY,
  DIRECTORY_CHILD,
  DIRECTORY_LEAF,
  type Field,
  IMAGE_ROOT,
  INODE,
  INODE_INLINE,
  type PlainType,
  POINTER,
  SNAPSHOT,
  type Structure,
  XATTR,
} from './structures.ts';

export interface InspectField {
  /** Tables are indexed: "members[0].uuid"; equal entries of zeros are one: "members[2..39]". */
  readonly name: string;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  /** 64-bit numbers over 2^53, checksums and bytes as hex text; UUIDs and names as text. */
  readonly value: number | string | boolean;
}

/** What some bytes are. */
export interface Inspected {
  readonly structure: string;
  readonly fields: readonly InspectField[];
  /** What is wrong with it. */
  readonly problems: readonly string[];
}

/** Bytes of a field that are shown; of longer ones the first so many. */
const BYTES_SHOWN_MAX = 64;
/** Runs of a map block that are listed. */
const RUNS_MAX = 64;

const decoder = new TextDecoder();

/** Collects fields; offsets are from the start of `view`. */
export class FieldList {
  readonly fields: InspectField[] = [];
  readonly problems: string[] = [];
  readonly view: DataView;

  constructor(view: DataView) {
    this.view = view;
  }

  add(name: string, offsetBytes: number, sizeBytes: number, value: InspectField['value']): void {
    if (sizeBytes > 0) this.fields.push({ name, offsetBytes, sizeBytes, value });
  }

  plain(name: string, offsetBytes: number, sizeBytes: number, type: PlainType): void {
    const { view } = this;
    if (type === 'zero' && !this.isZero(offsetBytes, sizeBytes)) {
      this.problems.push(`${name} is not zero`);
      this.add(name, offsetBytes, sizeBytes, this.#hex(offsetBytes, sizeBytes));
      return;
    }
    this.add(name, offsetBytes, sizeBytes, plainValue(view, offsetBytes, sizeBytes, type));
  }

  structure(structure: Structure, base: number, prefix: string): void {
    for (const field of structure.fields) this.#field(field, base, prefix);
    const { magic } = structure;
    if (magic === undefined || this.view.byteLength < base + 4) return;
    // The root that is written when disks are labelled has no state of a file system yet.
    if (prefix !== '' && this.isZero(base, structure.sizeBytes)) return;
    const isShort = structure.fields[0]?.sizeBytes === 2;
    const found = isShort ? this.view.getUint16(base, true) : this.view.getUint32(base, true);
    if (found !== magic) this.problems.push(`${prefix}magic is not that of a ${structure.name}`);
  }

  #field(field: Field, base: number, prefix: string): void {
    const name = prefix + field.name;
    const at = base + field.offsetBytes;
    const { type, sizeBytes } = field;
    if (typeof type === 'string') this.plain(name, at, sizeBytes, type);
    else if (field.isTable) this.table(type, at, Math.floor(sizeBytes / type.sizeBytes), name);
    else this.structure(variantOf(type, this.view, at), at, `${name}.`);
    if (!field.isTable || typeof type === 'string') return;
    const rest = sizeBytes % type.sizeBytes;
    this.plain(`${name}.rest`, at + sizeBytes - rest, rest, 'zero');
  }

  /** Entries one after the other; runs of entries of zeros are one field. */
  table(structure: Structure, base: number, count: number, name: string): void {
    for (let index = 0; index < count; ) {
      const at = base + index * structure.sizeBytes;
      let zeros = 0;
      while (
        index + zeros < count &&
        this.isZero(at + zeros * structure.sizeBytes, structure.sizeBytes)
      ) {
        zeros++;
      }
      if (zeros > 0) {
        const which = zeros === 1 ? `${index}` : `${index}..${index + zeros - 1}`;
        this.add(`${name}[${which}]`, at, zeros * structure.sizeBytes, 'zero');
        index += zeros;
        continue;
      }
      this.structure(variantOf(structure, this.view, at), at, `${name}[${index}].`);
      index++;
    }
  }

  isZero(offsetBytes: number, sizeBytes: number): boolean {
    for (let at = offsetBytes; at < offsetBytes + sizeBytes; at++) {
      if (this.view.getUint8(at) !== 0) return false;
    }
    return true;
  }

  #hex(offsetBytes: number, sizeBytes: number): string {
    return bytesText(this.view, offsetBytes, sizeBytes);
  }

  done(structure: string): Inspected {
    return { structure, fields: this.fields, problems: this.problems };
  }
}

/** An inode of level 0 has its contents in it. */
function variantOf(structure: Structure, view: DataView, at: number): Structure {
  if (structure !== INODE) return structure;
  return view.getUint8(at + INODE_LEVEL_OFFSET) === 0 ? INODE_INLINE : INODE;
}

function plainValue(
  view: DataView,
  at: number,
  sizeBytes: number,
  type: PlainType,
): number | string {
  switch (type) {
    case 'zero':
      return 'zero';
    case 'uuid':
      return getUuid(view, at);
    case 'bytes':
      return bytesText(view, at, sizeBytes);
    case 'text':
      return decoder.decode(bytesOf(view, at, sizeBytes)).replace(/\0+$/, '');
    case 'hex':
      return numberText(view, at, sizeBytes);
    case 'i64': {
      const value = view.getBigInt64(at, true);
      const isExact = value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER;
      return isExact ? Number(value) : value.toString();
    }
    default:
      return numberValue(view, at, sizeBytes);
  }
}

function numberValue(view: DataView, at: number, sizeBytes: number): number | string {
  switch (sizeBytes) {
    case 1:
      return view.getUint8(at);
    case 2:
      return view.getUint16(at, true);
    case 4:
      return view.getUint32(at, true);
    case 8: {
      const value = view.getBigUint64(at, true);
      return value <= Number.MAX_SAFE_INTEGER ? Number(value) : numberText(view, at, 8);
    }
    default:
      return bytesText(view, at, sizeBytes);
  }
}

function numberText(view: DataView, at: number, sizeBytes: number): string {
  if (sizeBytes === 8) return checksumHex(view.getUint32(at, true), view.getUint32(at + 4, true));
  const value = numberValue(view, at, sizeBytes);
  return typeof value === 'string' ? value : value.toString(16).padStart(2 * sizeBytes, '0');
}

export function bytesOf(view: DataView, at: number, sizeBytes: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, sizeBytes);
}

/** Hex text of the first bytes; "zero" where there is nothing else. */
export function bytesText(view: DataView, at: number, sizeBytes: number): string {
  const bytes = bytesOf(view, at, sizeBytes);
  if (sizeBytes > 0 && bytes.every((byte) => byte === 0)) return 'zero';
  const shown = bytes.subarray(0, BYTES_SHOWN_MAX);
  let text = '';
  for (const byte of shown) text += byte.toString(16).padStart(2, '0');
  return sizeBytes > BYTES_SHOWN_MAX ? `${text}… (${sizeBytes} bytes)` : text;
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A structure of fixed size. Bytes beyond it are not looked at. */
export function inspectStructure(structure: Structure, bytes: Uint8Array): Inspected {
  const list = new FieldList(viewOf(bytes));
  if (bytes.length < structure.sizeBytes) {
    list.problems.push(`${bytes.length} bytes of ${structure.sizeBytes}`);
    list.plain('bytes', 0, bytes.length, 'bytes');
  } else {
    list.structure(structure, 0, '');
  }
  return list.done(structure.name);
}

/** A block by the kind that a pointer to it states (KIND_*). */
export function inspectBlock(kind: number, bytes: Uint8Array): Inspected {
  const list = new FieldList(viewOf(bytes));
  if (bytes.length !== BLOCK_SIZE) {
    list.problems.push(`${bytes.length} bytes are no block`);
    list.plain('bytes', 0, bytes.length, 'bytes');
    return list.done('block');
  }
  switch (kind) {
    case KIND_DATA:
      list.plain('data', 0, BLOCK_SIZE, 'bytes');
      return list.done('data-block');
    case KIND_INDIRECT:
      list.table(POINTER, 0, BLOCK_SIZE / POINTER.sizeBytes, 'pointers');
      return list.done('indirect-block');
    case KIND_INODES:
      list.table(INODE, 0, BLOCK_SIZE / INODE.sizeBytes, 'inodes');
      return list.done('inode-block');
    case KIND_DIRECTORY:
      return inspectNode(list);
    case KIND_MAP:
      list.add('bits', 0, BLOCK_SIZE, runsText(list.view));
      return list.done('map-block');
    case KIND_IMAGE_ROOT:
      list.structure(IMAGE_ROOT, 0, '');
      return list.done(IMAGE_ROOT.name);
    case KIND_XATTR:
      return inspectXattrs(list);
    case KIND_SNAPSHOTS:
      list.table(SNAPSHOT, 0, BLOCK_SIZE / SNAPSHOT.sizeBytes, 'entries');
      return list.done('snapshot-block');
    case KIND_AREAS:
      return inspectAreas(list);
    default:
      list.problems.push(`kind ${kind} is unknown`);
      list.plain('bytes', 0, BLOCK_SIZE, 'bytes');
      return list.done('block');
  }
}

/** Runs of set bits, as "5, 9-12". */
function runsText(view: DataView): string {
  const runs: string[] = [];
  let count = 0;
  let first = -1;
  const isSet = (bit: number) => ((view.getUint8(bit >>> 3) >>> (bit & 7)) & 1) === 1;
  for (let bit = 0; bit <= BITS_PER_BLOCK; bit++) {
    const isOn = bit < BITS_PER_BLOCK && isSet(bit);
    if (isOn) count++;
    if (isOn && first < 0) first = bit;
    if (isOn || first < 0) continue;
    if (runs.length < RUNS_MAX) runs.push(first === bit - 1 ? `${first}` : `${first}-${bit - 1}`);
    else if (runs.length === RUNS_MAX) runs.push('…');
    first = -1;
  }
  return `${count} set: ${runs.join(', ')}`;
}

function inspectAreas(list: FieldList): Inspected {
  for (let at = 0; at < BLOCK_SIZE; ) {
    let end = at;
    while (end < BLOCK_SIZE && list.isZero(end, 2)) end += 2;
    const index = at / 2;
    if (end > at) {
      const last = end / 2 - 1;
      const which = last === index ? `${index}` : `${index}..${last}`;
      list.add(`used[${which}]`, at, end - at, 'zero');
      at = end;
      continue;
    }
    list.plain(`used[${index}]`, at, 2, 'number');
    at += 2;
  }
  return list.done('area-block');
}

// Directories.

function inspectNode(list: FieldList): Inspected {
  const { view } = list;
  const header = DIRECTORY.fields.filter(({ name }) => name !== 'slots');
  list.structure({ ...DIRECTORY, fields: header }, 0, '');
  const level = view.getUint8(DIRECTORY_LEVEL_OFFSET);
  const count = view.getUint16(DIRECTORY_COUNT_OFFSET, true);
  if (level === DIRECTORY_LEVEL_FREE) {
    list.plain('zeros', DIRECTORY_SLOTS_OFFSET, BLOCK_SIZE - DIRECTORY_SLOTS_OFFSET, 'zero');
    return list.done(DIRECTORY.name);
  }
  const slot = level === 0 ? DIRECTORY_LEAF : DIRECTORY_CHILD;
  const fits = Math.floor((BLOCK_SIZE - DIRECTORY_SLOTS_OFFSET) / slot.sizeBytes);
  if (count > fits) list.problems.push(`${count} slots in a node for ${fits}`);
  const slots = Math.min(count, fits);
  for (let index = 0; index < slots; index++) {
    const at = DIRECTORY_SLOTS_OFFSET + index * slot.sizeBytes;
    list.structure(slot, at, `slots[${index}].`);
  }
  const end = DIRECTORY_SLOTS_OFFSET + slots * slot.sizeBytes;
  if (level === 0) inspectHeap(list, end, slots);
  else list.plain('zeros', end, BLOCK_SIZE - end, 'zero');
  return list.done(DIRECTORY.name);
}

/** The names of a leaf, in the order in which they stand; between them nothing may be. */
function inspectHeap(list: FieldList, end: number, slots: number): void {
  const { view } = list;
  const parts: { at: number; index: number }[] = [];
  for (let index = 0; index < slots; index++) {
    const slot = DIRECTORY_SLOTS_OFFSET + index * DIRECTORY_LEAF.sizeBytes;
    parts.push({ at: view.getUint16(slot + DIRECTORY_LEAF_HEAP_OFFSET, true), index });
  }
  parts.sort((a, b) => a.at - b.at);
  let next = end;
  for (const { at, index } of parts) {
    const isInside = at >= next && at + DIRECTORY_NAME_OFFSET <= BLOCK_SIZE;
    const length = isInside ? view.getUint8(at + DIRECTORY_NAME_LENGTH_OFFSET) : 0;
    const limit = at + DIRECTORY_NAME_OFFSET + length;
    if (!isInside || limit > BLOCK_SIZE) {
      list.problems.push(`the name of slot ${index} does not stand in the heap`);
      continue;
    }
    list.plain('zeros', next, at - next, 'zero');
    list.plain(`names[${index}].kind`, at + DIRECTORY_NAME_KIND_OFFSET, 1, 'number');
    list.plain(`names[${index}].length`, at + DIRECTORY_NAME_LENGTH_OFFSET, 1, 'number');
    list.plain(`names[${index}].name`, at + DIRECTORY_NAME_OFFSET, length, 'text');
    next = limit;
  }
  list.plain('zeros', next, BLOCK_SIZE - next, 'zero');
}

// Extended attributes.

function inspectXattrs(list: FieldList): Inspected {
  const { view } = list;
  const header = XATTR.fields.filter(({ name }) => name !== 'entries');
  list.structure({ ...XATTR, fields: header }, 0, '');
  const used = Math.min(BLOCK_SIZE, view.getUint16(XATTR_USED_OFFSET, true));
  let at = XATTR_ENTRIES_OFFSET;
  for (let index = 0; at < used; index++) {
    const name = at + XATTR_NAME_OFFSET;
    const isHeader = name <= used;
    const nameLength = isHeader ? view.getUint8(at + XATTR_NAME_LENGTH_OFFSET) : 0;
    const valueLength = isHeader ? view.getUint16(at + XATTR_VALUE_LENGTH_OFFSET, true) : 0;
    const end = name + nameLength + valueLength;
    if (!isHeader || end > used) {
      list.problems.push(`attribute ${index} is cut off`);
      list.plain(`entries[${index}].bytes`, at, used - at, 'bytes');
      at = used;
      break;
    }
    list.plain(`entries[${index}].nameLength`, at, XATTR_VALUE_LENGTH_OFFSET, 'number');
    list.plain(`entries[${index}].valueLength`, at + XATTR_VALUE_LENGTH_OFFSET, 2, 'number');
    list.plain(`entries[${index}].name`, name, nameLength, 'text');
    list.plain(`entries[${index}].value`, name + nameLength, valueLength, 'bytes');
    at = end;
  }
  list.plain('zeros', at, BLOCK_SIZE - at, 'zero');
  return list.done(XATTR.name);
}
