// Every structure of FORMAT.md as a table of fields, made from the layout constants themselves: a
// constant X_SOME_FIELD_OFFSET is the field `someField` of X, and reaches up to the next one. So no
// field can be forgotten, and no byte of a structure is without a name. What a constant does not
// say is the type: stated here where it is not the plain number of the field's size.

import * as blockLayout from '../../../assembly/layout/block.ts';
import * as directoryLayout from '../../../assembly/layout/directory.ts';
import * as imageRootLayout from '../../../assembly/layout/image-root.ts';
import * as inodeLayout from '../../../assembly/layout/inode.ts';
import * as journalLayout from '../../../assembly/layout/journal.ts';
import * as labelLayout from '../../../assembly/layout/label.ts';
import * as logLayout from '../../../assembly/layout/log.ts';
import * as snapshotLayout from '../../../assembly/layout/snapshot.ts';
import * as volumeRootLayout from '../../../assembly/layout/volume-root.ts';
import * as volumeStateLayout from '../../../assembly/layout/volume-state.ts';
import * as xattrLayout from '../../../assembly/layout/xattr.ts';
import { assert } from '../../base/assert.ts';

/** number: unsigned, of the field's size · hex: the same as text · i64 · uuid · bytes · zero: must
 *  be zero · text: UTF-8, then zeros. */
export type PlainType = 'number' | 'hex' | 'i64' | 'uuid' | 'bytes' | 'zero' | 'text';

export interface Field {
  /** In camel case: the constant's name without prefix and _OFFSET. */
  readonly name: string;
  readonly offsetBytes: number;
  readonly sizeBytes: number;
  readonly type: PlainType | Structure;
  /** A table: as many structures as fit, indexed. */
  readonly isTable: boolean;
}

export interface Structure {
  /** As FORMAT.md calls it, in kebab case. */
  readonly name: string;
  /** Of its constants. */
  readonly prefix: string;
  readonly sizeBytes: number;
  readonly fields: readonly Field[];
  /** What its magic must be. */
  readonly magic?: number;
}

type Constants = Readonly<Record<string, number>>;
type TypeName = PlainType | Structure | readonly [Structure];

interface Source {
  readonly constants: Constants;
  readonly prefix: string;
  readonly sizeBytes: number;
  readonly types?: Readonly<Record<string, TypeName>>;
  /** Offsets of other structures with the same prefix. */
  readonly except?: RegExp;
}

function define(name: string, source: Source): Structure {
  const { constants, prefix, sizeBytes, types = {}, except } = source;
  const pattern = new RegExp(`^${prefix}_(.*)_OFFSET$`);
  const found: { name: string; offsetBytes: number }[] = [];
  for (const [constant, offsetBytes] of Object.entries(constants)) {
    const part = pattern.exec(constant)?.[1];
    if (part === undefined || except?.test(part)) continue;
    found.push({ name: camel(part), offsetBytes });
  }
  found.sort((a, b) => a.offsetBytes - b.offsetBytes);
  assert(found[0]?.offsetBytes === 0, 'a structure begins with a field', name);
  const fields = found.map((field, index): Field => {
    const end = found[index + 1]?.offsetBytes ?? sizeBytes;
    const type = types[field.name] ?? (/^reserved\d?$/.test(field.name) ? 'zero' : 'number');
    return {
      ...field,
      sizeBytes: end - field.offsetBytes,
      type: isTableOf(type) ? type[0] : type,
      isTable: isTableOf(type),
    };
  });
  const magic = constants[`${prefix}_MAGIC`];
  return { name, prefix, sizeBytes, fields, ...(magic === undefined ? {} : { magic }) };
}

function isTableOf(type: TypeName): type is readonly [Structure] {
  return Array.isArray(type);
}

function camel(constant: string): string {
  return constant
    .toLowerCase()
    .replace(/_([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

export const POINTER = define('block-pointer', {
  constants: blockLayout,
  prefix: 'POINTER',
  sizeBytes: blockLayout.POINTER_SIZE,
  types: { checksum: 'hex', flags: 'hex' },
});

export const TIME = define('time', {
  constants: inodeLayout,
  prefix: 'TIME',
  sizeBytes: inodeLayout.TIME_SIZE,
  types: { seconds: 'i64' },
});

const INODE_TYPES = { atime: TIME, mtime: TIME, ctime: TIME, btime: TIME, xattr: POINTER } as const;
/** An inode with its contents in it. */
export const INODE_INLINE = define('inode', {
  constants: inodeLayout,
  prefix: 'INODE',
  sizeBytes: inodeLayout.INODE_SIZE,
  types: { ...INODE_TYPES, data: 'bytes' },
});
/** An inode with pointers. Which of the two it is, its field `level` says. */
export const INODE = define('inode', {
  constants: inodeLayout,
  prefix: 'INODE',
  sizeBytes: inodeLayout.INODE_SIZE,
  types: { ...INODE_TYPES, data: [POINTER] },
});

export const LABEL = define('label', {
  constants: labelLayout,
  prefix: 'LABEL',
  sizeBytes: labelLayout.LABEL_SIZE,
  types: {
    magic: 'hex',
    checksum: 'hex',
    incompatible: 'hex',
    readOnly: 'hex',
    compatible: 'hex',
    volumeUuid: 'uuid',
    diskUuid: 'uuid',
    created: TIME,
    writer: 'hex',
  },
});

export const MEMBER = define('member', {
  constants: volumeRootLayout,
  prefix: 'MEMBER',
  sizeBytes: volumeRootLayout.MEMBER_SIZE,
  types: { uuid: 'uuid' },
});

export const RANGE = define('range', {
  constants: volumeRootLayout,
  prefix: 'RANGE',
  sizeBytes: volumeRootLayout.RANGE_SIZE,
});

export const IMAGE_ENTRY = define('image', {
  constants: volumeStateLayout,
  prefix: 'IMAGE_ENTRY',
  sizeBytes: volumeStateLayout.IMAGE_ENTRY_SIZE,
  types: { pointer: POINTER },
});

export const VOLUME_STATE = define('volume-state', {
  constants: volumeStateLayout,
  prefix: 'VOLUME_STATE',
  sizeBytes: volumeStateLayout.VOLUME_STATE_SIZE,
  types: {
    magic: 'hex',
    timeline: 'hex',
    previousChecksum: 'hex',
    time: TIME,
    summaryMap: INODE,
    areas: INODE,
    snapshots: INODE,
    mirror: INODE,
    images: [IMAGE_ENTRY],
  },
});

export const VOLUME_ROOT = define('volume-root', {
  constants: volumeRootLayout,
  prefix: 'VOLUME_ROOT',
  sizeBytes: volumeRootLayout.VOLUME_ROOT_SIZE,
  types: {
    magic: 'hex',
    checksum: 'hex',
    incompatible: 'hex',
    readOnly: 'hex',
    compatible: 'hex',
    uuid: 'uuid',
    time: TIME,
    created: TIME,
    state: VOLUME_STATE,
    members: [MEMBER],
    ranges: [RANGE],
  },
});

export const JOURNAL_RECORD = define('journal-record', {
  constants: journalLayout,
  prefix: 'JOURNAL_RECORD',
  sizeBytes: journalLayout.JOURNAL_RECORD_SIZE,
  types: { checksum: 'hex' },
});

export const JOURNAL = define('journal-header', {
  constants: journalLayout,
  prefix: 'JOURNAL',
  sizeBytes: journalLayout.JOURNAL_SIZE,
  types: { magic: 'hex', checksum: 'hex', uuid: 'uuid', records: [JOURNAL_RECORD] },
  except: /^RECORD_/,
});

export const IMAGE_ROOT = define('image-root', {
  constants: imageRootLayout,
  prefix: 'IMAGE_ROOT',
  sizeBytes: blockLayout.BLOCK_SIZE,
  types: { magic: 'hex', inodeFile: INODE, inodeMap: INODE, activeMap: INODE },
});

export const SNAPSHOT = define('snapshot-entry', {
  constants: snapshotLayout,
  prefix: 'SNAPSHOT',
  sizeBytes: snapshotLayout.SNAPSHOT_ENTRY_SIZE,
  types: { magic: 'hex', time: TIME, imageRoot: POINTER, name: 'text', plane: INODE },
});

const NODE_EXCEPT = /^(LEAF|CHILD|NAME)(_|$)/;
/** The header of a directory's node, and the bytes of its slots and heap. */
export const DIRECTORY = define('directory-node', {
  constants: directoryLayout,
  prefix: 'DIRECTORY',
  sizeBytes: blockLayout.BLOCK_SIZE,
  types: { magic: 'hex', seed: 'hex', slots: 'bytes' },
  except: NODE_EXCEPT,
});

export const DIRECTORY_LEAF = define('directory-leaf-slot', {
  constants: directoryLayout,
  prefix: 'DIRECTORY_LEAF',
  sizeBytes: directoryLayout.DIRECTORY_LEAF_SLOT_SIZE,
  types: { hash: 'hex' },
});

export const DIRECTORY_CHILD = define('directory-child-slot', {
  constants: directoryLayout,
  prefix: 'DIRECTORY_CHILD',
  sizeBytes: directoryLayout.DIRECTORY_CHILD_SLOT_SIZE,
  types: { hash: 'hex' },
});

export const XATTR = define('xattr-block', {
  constants: xattrLayout,
  prefix: 'XATTR',
  sizeBytes: blockLayout.BLOCK_SIZE,
  types: { magic: 'hex', entries: 'bytes' },
  except: /^(NAME|VALUE)(_|$)/,
});

export const LOG = define('log-header', {
  constants: logLayout,
  prefix: 'LOG',
  sizeBytes: logLayout.LOG_HEADER_SIZE,
  types: { magic: 'hex', uuid: 'uuid', crc: 'hex' },
  except: /^HALVES$/,
});

export const FLUSH = define('flush-header', {
  constants: logLayout,
  prefix: 'FLUSH',
  sizeBytes: logLayout.FLUSH_HEADER_SIZE,
  types: { magic: 'hex', timeline: 'hex', imageChecksum: 'hex', crc: 'hex' },
});

export const RECORD = define('record-header', {
  constants: logLayout,
  prefix: 'RECORD',
  sizeBytes: logLayout.RECORD_HEADER_SIZE,
  types: { magic: 'hex', checksum: 'hex', crc: 'hex' },
});

/** All of them. */
export const STRUCTURES: readonly Structure[] = [
  POINTER,
  TIME,
  INODE,
  LABEL,
  VOLUME_ROOT,
  MEMBER,
  RANGE,
  JOURNAL,
  JOURNAL_RECORD,
  VOLUME_STATE,
  IMAGE_ENTRY,
  IMAGE_ROOT,
  SNAPSHOT,
  DIRECTORY,
  DIRECTORY_LEAF,
  DIRECTORY_CHILD,
  XATTR,
  LOG,
  FLUSH,
  RECORD,
];
