// Volume roots: bytes <-> plain objects. See assembly/layout/volume-root.ts. The file system's
// part, the volume state, is carried as bytes.

import { AREA_STRIPES, DATA_COLUMNS_MAX, DIAGONAL_COLUMN } from '../../assembly/layout/block.ts';
import {
  MEMBER_BLOCKS_OFFSET,
  MEMBER_COLUMN_OFFSET,
  MEMBER_DBN_HIGH_OFFSET,
  MEMBER_EPOCH_OFFSET,
  MEMBER_GROUP_OFFSET,
  MEMBER_RESERVED_OFFSET,
  MEMBER_SIZE,
  MEMBER_STATE_ACTIVE,
  MEMBER_STATE_FAILED,
  MEMBER_STATE_OFFSET,
  MEMBER_STATE_REBUILDING,
  MEMBER_STATE_SPARE,
  MEMBER_UUID_OFFSET,
  RAID_KIND_DP,
  RAID_KIND_NONE,
  RAID_KIND_RAID4,
  RANGE_COLUMN_OFFSET,
  RANGE_COUNT_OFFSET,
  RANGE_DBN_OFFSET,
  RANGE_GROUP_OFFSET,
  RANGE_RESERVED_OFFSET,
  RANGE_SIZE,
  RANGE_VBN_OFFSET,
  VOLUME_FORMAT_VERSION,
  VOLUME_ROOT_CREATED_OFFSET,
  VOLUME_ROOT_EPOCH_OFFSET,
  VOLUME_ROOT_GROUP_COUNT_OFFSET,
  VOLUME_ROOT_INCOMPATIBLE_OFFSET,
  VOLUME_ROOT_JOURNAL_SEQUENCE_OFFSET,
  VOLUME_ROOT_MAGIC,
  VOLUME_ROOT_MEMBER_COUNT_OFFSET,
  VOLUME_ROOT_MEMBERS_MAX,
  VOLUME_ROOT_MEMBERS_OFFSET,
  VOLUME_ROOT_NUMBER_OFFSET,
  VOLUME_ROOT_RAID_OFFSET,
  VOLUME_ROOT_RANGE_COUNT_OFFSET,
  VOLUME_ROOT_RANGES_MAX,
  VOLUME_ROOT_RANGES_OFFSET,
  VOLUME_ROOT_RESERVED0_OFFSET,
  VOLUME_ROOT_SIZE,
  VOLUME_ROOT_STATE_OFFSET,
  VOLUME_ROOT_TIME_OFFSET,
  VOLUME_ROOT_UUID_OFFSET,
} from '../../assembly/layout/volume-root.ts';
import { VOLUME_STATE_SIZE } from '../../assembly/layout/volume-state.ts';
import { assert } from '../base/assert.ts';
import type { Dbn, Instant, Vbn } from '../base/units.ts';
import type { Envelope, Features, Hash } from './envelope.ts';
import {
  checkEnvelope,
  checkZero,
  damaged,
  getFeatures,
  getTime,
  getUuid,
  openEnvelope,
  sealEnvelope,
  setFeatures,
  setUuid,
  viewOf,
} from './envelope.ts';
import { getU64, setInstant, setU64 } from './words.ts';

export type RaidKind = 'none' | 'raid4' | 'dp';
/** failed: missing, or it missed a write. Only what an active disk holds counts. */
export type MemberState = 'active' | 'failed' | 'rebuilding' | 'spare';

export interface Member {
  readonly uuid: string;
  readonly group: number;
  readonly column: number;
  readonly state: MemberState;
  /** Blocks of the disk, front included. */
  readonly blockCount: number;
  /** dbns at and above this one were never written. */
  readonly dbnHigh: Dbn;
  /** Epoch of the last root that the disk took part in. */
  readonly epoch: number;
}

/** vbns vbnFirst..vbnFirst+count-1 are dbns dbnFirst.. of one column. */
export interface Range {
  readonly vbnFirst: Vbn;
  readonly dbnFirst: Dbn;
  readonly count: number;
  readonly group: number;
  readonly column: number;
}

export interface VolumeRoot {
  readonly raid: RaidKind;
  readonly features: Features;
  readonly uuid: string;
  readonly epoch: number;
  readonly number: number;
  readonly time: Instant;
  readonly created: Instant;
  readonly groupCount: number;
  /** Journal entries of this epoch up to this sequence number are void. */
  readonly journalSequence: number;
  readonly members: readonly Member[];
  /** In ascending order of vbnFirst. */
  readonly ranges: readonly Range[];
  /** VOLUME_STATE_SIZE bytes. */
  readonly state: Uint8Array;
}

export const VOLUME_ROOT_ENVELOPE: Envelope = {
  name: 'volume root',
  magic: VOLUME_ROOT_MAGIC,
  version: VOLUME_FORMAT_VERSION,
  sizeBytes: VOLUME_ROOT_SIZE,
};

/** First limit of the implementation, not of the format: 16 TiB. */
export const VBN_LIMIT_MAX = 2 ** 32;

const RAID_KINDS: Readonly<Record<RaidKind, number>> = {
  none: RAID_KIND_NONE,
  raid4: RAID_KIND_RAID4,
  dp: RAID_KIND_DP,
};
const MEMBER_STATES: Readonly<Record<MemberState, number>> = {
  active: MEMBER_STATE_ACTIVE,
  failed: MEMBER_STATE_FAILED,
  rebuilding: MEMBER_STATE_REBUILDING,
  spare: MEMBER_STATE_SPARE,
};

export function raidKindNumber(kind: RaidKind): number {
  return RAID_KINDS[kind];
}

export function getRaidKind(number: number): RaidKind {
  return nameOf(RAID_KINDS, number, 'RAID kind');
}

/** Which of two roots is newer: negative, zero or positive, as for sort. */
export function compareRoots(a: VolumeRoot, b: VolumeRoot): number {
  return a.epoch - b.epoch || a.number - b.number;
}

export function encodeVolumeRoot(root: VolumeRoot, hash: Hash): Uint8Array {
  assert(root.state.length === VOLUME_STATE_SIZE, 'state has its size', root.state.length);
  assert(root.members.length <= VOLUME_ROOT_MEMBERS_MAX, 'members fit', root.members.length);
  assert(root.ranges.length <= VOLUME_ROOT_RANGES_MAX, 'ranges fit', root.ranges.length);
  const bytes = openEnvelope(VOLUME_ROOT_ENVELOPE);
  const view = viewOf(bytes);
  view.setUint32(VOLUME_ROOT_RAID_OFFSET, raidKindNumber(root.raid), true);
  setFeatures(view, VOLUME_ROOT_INCOMPATIBLE_OFFSET, root.features);
  setUuid(view, VOLUME_ROOT_UUID_OFFSET, root.uuid);
  setU64(view, VOLUME_ROOT_EPOCH_OFFSET, root.epoch);
  setU64(view, VOLUME_ROOT_NUMBER_OFFSET, root.number);
  setInstant(view, VOLUME_ROOT_TIME_OFFSET, root.time);
  view.setUint32(VOLUME_ROOT_MEMBER_COUNT_OFFSET, root.members.length, true);
  view.setUint32(VOLUME_ROOT_RANGE_COUNT_OFFSET, root.ranges.length, true);
  view.setUint32(VOLUME_ROOT_GROUP_COUNT_OFFSET, root.groupCount, true);
  setInstant(view, VOLUME_ROOT_CREATED_OFFSET, root.created);
  setU64(view, VOLUME_ROOT_JOURNAL_SEQUENCE_OFFSET, root.journalSequence);
  bytes.set(root.state, VOLUME_ROOT_STATE_OFFSET);
  root.members.forEach((member, index) => setMember(view, index, member));
  root.ranges.forEach((range, index) => setRange(view, index, range));
  return sealEnvelope(bytes, hash);
}

/** @throws StorageError BAD_MAGIC, BAD_CHECKSUM, VERSION_TOO_NEW. */
export function decodeVolumeRoot(bytes: Uint8Array, hash: Hash): VolumeRoot {
  const view = checkEnvelope(bytes, VOLUME_ROOT_ENVELOPE, hash);
  const name = VOLUME_ROOT_ENVELOPE.name;
  const memberCount = view.getUint32(VOLUME_ROOT_MEMBER_COUNT_OFFSET, true);
  const rangeCount = view.getUint32(VOLUME_ROOT_RANGE_COUNT_OFFSET, true);
  if (memberCount > VOLUME_ROOT_MEMBERS_MAX) throw damaged(name, `it has ${memberCount} members`);
  if (rangeCount > VOLUME_ROOT_RANGES_MAX) throw damaged(name, `it has ${rangeCount} ranges`);
  const membersEnd = VOLUME_ROOT_MEMBERS_OFFSET + memberCount * MEMBER_SIZE;
  const rangesEnd = VOLUME_ROOT_RANGES_OFFSET + rangeCount * RANGE_SIZE;
  checkZero(view, VOLUME_ROOT_RESERVED0_OFFSET, VOLUME_ROOT_JOURNAL_SEQUENCE_OFFSET, name);
  checkZero(view, membersEnd, VOLUME_ROOT_RANGES_OFFSET, name);
  checkZero(view, rangesEnd, VOLUME_ROOT_SIZE, name);
  const stateEnd = VOLUME_ROOT_STATE_OFFSET + VOLUME_STATE_SIZE;
  const root: VolumeRoot = {
    raid: getRaidKind(view.getUint32(VOLUME_ROOT_RAID_OFFSET, true)),
    features: getFeatures(view, VOLUME_ROOT_INCOMPATIBLE_OFFSET),
    uuid: getUuid(view, VOLUME_ROOT_UUID_OFFSET),
    epoch: getU64(view, VOLUME_ROOT_EPOCH_OFFSET),
    number: getU64(view, VOLUME_ROOT_NUMBER_OFFSET),
    time: getTime(view, VOLUME_ROOT_TIME_OFFSET, name),
    created: getTime(view, VOLUME_ROOT_CREATED_OFFSET, name),
    groupCount: view.getUint32(VOLUME_ROOT_GROUP_COUNT_OFFSET, true),
    journalSequence: getU64(view, VOLUME_ROOT_JOURNAL_SEQUENCE_OFFSET),
    members: Array.from({ length: memberCount }, (_, index) => getMember(view, index)),
    ranges: Array.from({ length: rangeCount }, (_, index) => getRange(view, index)),
    state: bytes.slice(VOLUME_ROOT_STATE_OFFSET, stateEnd),
  };
  checkRoot(root);
  return root;
}

function setMember(view: DataView, index: number, member: Member): void {
  const at = VOLUME_ROOT_MEMBERS_OFFSET + index * MEMBER_SIZE;
  setUuid(view, at + MEMBER_UUID_OFFSET, member.uuid);
  view.setUint16(at + MEMBER_GROUP_OFFSET, member.group, true);
  view.setUint16(at + MEMBER_COLUMN_OFFSET, member.column, true);
  view.setUint32(at + MEMBER_STATE_OFFSET, MEMBER_STATES[member.state], true);
  setU64(view, at + MEMBER_BLOCKS_OFFSET, member.blockCount);
  setU64(view, at + MEMBER_DBN_HIGH_OFFSET, member.dbnHigh);
  setU64(view, at + MEMBER_EPOCH_OFFSET, member.epoch);
}

function getMember(view: DataView, index: number): Member {
  const at = VOLUME_ROOT_MEMBERS_OFFSET + index * MEMBER_SIZE;
  checkZero(view, at + MEMBER_RESERVED_OFFSET, at + MEMBER_SIZE, VOLUME_ROOT_ENVELOPE.name);
  return {
    uuid: getUuid(view, at + MEMBER_UUID_OFFSET),
    group: view.getUint16(at + MEMBER_GROUP_OFFSET, true),
    column: view.getUint16(at + MEMBER_COLUMN_OFFSET, true),
    state: nameOf(MEMBER_STATES, view.getUint32(at + MEMBER_STATE_OFFSET, true), 'member state'),
    blockCount: getU64(view, at + MEMBER_BLOCKS_OFFSET),
    dbnHigh: getU64(view, at + MEMBER_DBN_HIGH_OFFSET),
    epoch: getU64(view, at + MEMBER_EPOCH_OFFSET),
  };
}

function setRange(view: DataView, index: number, range: Range): void {
  const at = VOLUME_ROOT_RANGES_OFFSET + index * RANGE_SIZE;
  setU64(view, at + RANGE_VBN_OFFSET, range.vbnFirst);
  setU64(view, at + RANGE_DBN_OFFSET, range.dbnFirst);
  setU64(view, at + RANGE_COUNT_OFFSET, range.count);
  view.setUint16(at + RANGE_GROUP_OFFSET, range.group, true);
  view.setUint16(at + RANGE_COLUMN_OFFSET, range.column, true);
}

function getRange(view: DataView, index: number): Range {
  const at = VOLUME_ROOT_RANGES_OFFSET + index * RANGE_SIZE;
  checkZero(view, at + RANGE_RESERVED_OFFSET, at + RANGE_SIZE, VOLUME_ROOT_ENVELOPE.name);
  return {
    vbnFirst: getU64(view, at + RANGE_VBN_OFFSET),
    dbnFirst: getU64(view, at + RANGE_DBN_OFFSET),
    count: getU64(view, at + RANGE_COUNT_OFFSET),
    group: view.getUint16(at + RANGE_GROUP_OFFSET, true),
    column: view.getUint16(at + RANGE_COLUMN_OFFSET, true),
  };
}

/** What the engine relies on when it uses the two tables. */
function checkRoot(root: VolumeRoot): void {
  const name = VOLUME_ROOT_ENVELOPE.name;
  // Each group has a member; more of them would only take memory.
  if (root.groupCount > root.members.length) throw damaged(name, `${root.groupCount} groups`);
  const isInRange = [root.epoch, root.number, root.journalSequence].every(Number.isFinite);
  if (!isInRange) throw damaged(name, 'a number is out of range');
  const places = new Map<number, Member>();
  for (const member of root.members) {
    const isSized = member.blockCount < 2 ** 48 && member.dbnHigh <= member.blockCount;
    if (!isSized || !Number.isFinite(member.epoch)) {
      throw damaged(name, `a member of ${member.blockCount} blocks`);
    }
    if (member.state === 'spare') continue;
    const place = member.group * 256 + member.column;
    if (member.column > DIAGONAL_COLUMN || member.group >= root.groupCount || places.has(place)) {
      throw damaged(name, `a member in group ${member.group}, column ${member.column}`);
    }
    places.set(place, member);
  }
  let vbnNext = AREA_STRIPES;
  for (const range of root.ranges) {
    const member = places.get(range.group * 256 + range.column);
    const isSane =
      member !== undefined &&
      range.column < DATA_COLUMNS_MAX &&
      range.count > 0 &&
      range.vbnFirst >= vbnNext &&
      range.vbnFirst % AREA_STRIPES === 0 &&
      range.vbnFirst + range.count <= VBN_LIMIT_MAX &&
      range.dbnFirst + range.count <= member.blockCount;
    if (!isSane) throw damaged(name, `a range from vbn ${range.vbnFirst} on`);
    vbnNext = range.vbnFirst + range.count;
  }
}

function nameOf<T extends string>(
  numbers: Readonly<Record<T, number>>,
  number: number,
  what: string,
): T {
  for (const name of Object.keys(numbers) as T[]) {
    if (numbers[name] === number) return name;
  }
  throw damaged('structure', `${number} is no ${what}`);
}
