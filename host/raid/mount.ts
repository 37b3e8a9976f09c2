// Deciding which disks make up a volume (ENGINE 9): a pure function of what was found on them.
//
// The largest (epoch, number) of all valid roots wins. A root on one disk alone may win too: all
// that it refers to was flushed on all disks before it was written. What counts is its list of
// members.
//
// A disk that the list does not call active is stale: it missed something, and stays out until it
// is rebuilt. (`none` has nothing to rebuild from, and there a disk that was missing missed
// nothing: its blocks are written by nobody else. It is taken back.) Stale is not the same as
// diverged: a side that was opened apart from the other wrote roots that exclude it. So a disk has
// diverged if it is a member, not active, and its own newest root shares no active disk with the
// winner. While there was one volume, every root shares one: taking out a disk leaves others in;
// only sides that each took the other out share none.
//
// A disk that the list calls active has been told of its epoch: a writer puts the epoch on all
// labels, durably, before it writes its first root. A label that does not know of the epoch is
// that of an old copy of the disk, put in its place: stale as well, whatever the list says.
//
// Enough members: no group may lack more than its parity covers. If of the disks that the winner
// calls active half or more are missing, those could be mounted elsewhere and go on by themselves:
// then a mount for writing needs `degraded: true`.

import type { StorageErrorCode } from '../base/errors.ts';
import { StorageError } from '../base/errors.ts';
import type { Disk } from '../device/device.ts';
import type { Features } from '../format/envelope.ts';
import { NO_FEATURES } from '../format/envelope.ts';
import type { Label } from '../format/label.ts';
import type { Member, RaidKind, VolumeRoot } from '../format/volume-root.ts';
import { compareRoots } from '../format/volume-root.ts';
import type { DiskSurvey } from './survey.ts';

export interface MountOptions {
  readonly readOnly: boolean;
  readonly degraded: boolean;
}

export interface MountPlan {
  readonly root: VolumeRoot;
  /** Members as they are to be from now on. */
  readonly members: readonly Member[];
  /** Their disks, of those whose contents count. */
  readonly disks: readonly (Disk | undefined)[];
  /** A label of the volume: all agree on uuid, kind and front. */
  readonly label: Label;
  /** The largest epoch that any disk has heard of. */
  readonly epochMax: number;
  readonly warnings: readonly string[];
}

/** How many members a group can lose. */
export function faultsTolerated(raid: RaidKind): number {
  return raid === 'none' ? 0 : raid === 'raid4' ? 1 : 2;
}

type Labelled = DiskSurvey & { readonly label: Label };

/** @throws StorageError NOT_A_VOLUME, VERSION_TOO_NEW, UNSUPPORTED_FEATURE, DISK_FOREIGN,
 *  DISK_DUPLICATE, DISK_TRUNCATED, DISK_MISSING, RAID_DEGRADED_BEYOND_PARITY, DIVERGED,
 *  BAD_CHECKSUM (no root is whole). */
export function planMount(surveys: readonly DiskSurvey[], options: MountOptions): MountPlan {
  for (const { disk, tooNew } of surveys) {
    if (tooNew !== undefined)
      throw refuse('VERSION_TOO_NEW', `${disk.name}: ${tooNew.message}`, tooNew.detail);
  }
  const labelled = surveys.filter((survey): survey is Labelled => survey.label !== undefined);
  if (labelled.length === 0) {
    const names = surveys.map(({ disk }) => disk.name);
    throw refuse('NOT_A_VOLUME', `no label was found on ${names.join(', ')}`, { disks: names });
  }
  checkIdentities(labelled);
  const root = newestRoot(labelled);
  const { label } = labelled[0] as Labelled;
  checkFeatures(label.features, root, options);
  const byUuid = new Map(labelled.map((survey) => [survey.label.diskUuid, survey]));
  checkDiverged(root, byUuid);
  const disks = root.members.map((member) => usableDisk(root, member, byUuid));
  checkEnough(root, disks, options);
  const members = root.members.map((member, index) => ({
    ...member,
    state: newState(root, member, disks[index]),
  }));
  return {
    root,
    members,
    disks,
    label,
    epochMax: Math.max(root.epoch, ...labelled.map((survey) => survey.label.epoch)),
    warnings: warningsOf(surveys, root, disks),
  };
}

function checkIdentities(labelled: readonly Labelled[]): void {
  const volumes = new Map<string, Labelled[]>();
  for (const survey of labelled) {
    const list = volumes.get(survey.label.volumeUuid) ?? [];
    volumes.set(survey.label.volumeUuid, [...list, survey]);
  }
  const [most, ...others] = [...volumes.values()].sort((a, b) => b.length - a.length);
  const foreign = others.flat().map(({ disk }) => disk.name);
  if (foreign.length > 0) {
    const volume = most?.[0]?.label.volumeUuid;
    const message = `${foreign.join(', ')}: not of volume ${volume}`;
    throw refuse('DISK_FOREIGN', message, { disks: foreign, volume });
  }
  const names = new Map<string, string>();
  for (const { label, disk } of labelled) {
    const twin = names.get(label.diskUuid);
    if (twin !== undefined) {
      const message = `${twin} and ${disk.name} are the same disk ${label.diskUuid}`;
      throw refuse('DISK_DUPLICATE', message, { disks: [twin, disk.name] });
    }
    names.set(label.diskUuid, disk.name);
  }
}

function newestRoot(labelled: readonly Labelled[]): VolumeRoot {
  const newest = labelled
    .flatMap(({ roots }) => roots.slice(0, 1))
    .sort((a, b) => compareRoots(b, a));
  if (newest[0] === undefined) {
    throw refuse('BAD_CHECKSUM', 'no disk has a volume root that is whole', {
      disks: labelled.map(({ disk }) => disk.name),
    });
  }
  return newest[0];
}

function checkFeatures(
  labelFeatures: Features,
  root: VolumeRoot,
  { readOnly }: MountOptions,
): void {
  if (root.raid === 'dp') throw refuse('UNSUPPORTED_FEATURE', 'the volume has double parity', {});
  for (const features of [labelFeatures, root.features]) {
    const unknown = features.incompatible & ~NO_FEATURES.incompatible;
    const unwritable = features.readOnly & ~NO_FEATURES.readOnly;
    if (unknown !== 0n) {
      const message = `the volume uses features ${unknown.toString(2)} that are not known here`;
      throw refuse('UNSUPPORTED_FEATURE', message, { features: unknown });
    }
    if (unwritable !== 0n && !readOnly) {
      const message = `features ${unwritable.toString(2)} are not known: it can be read only`;
      throw refuse('UNSUPPORTED_FEATURE', message, { features: unwritable });
    }
  }
}

function activeUuids(root: VolumeRoot): Set<string> {
  return new Set(root.members.filter(({ state }) => state === 'active').map(({ uuid }) => uuid));
}

function checkDiverged(root: VolumeRoot, byUuid: ReadonlyMap<string, Labelled>): void {
  const winners = activeUuids(root);
  for (const member of root.members) {
    const survey = byUuid.get(member.uuid);
    const own = survey?.roots[0];
    if (survey === undefined || own === undefined || member.state === 'active') continue;
    const shared = [...activeUuids(own)].filter((uuid) => winners.has(uuid));
    const isOfThem = activeUuids(own).has(member.uuid);
    if (!isOfThem || shared.length > 0) continue;
    const message = `${survey.disk.name} was written apart from the others`;
    throw refuse('DIVERGED', message, {
      disk: survey.disk.name,
      epoch: own.epoch,
      number: own.number,
      otherEpoch: root.epoch,
      otherNumber: root.number,
    });
  }
}

/** The member's disk, if it is there and what it holds counts. */
function usableDisk(
  root: VolumeRoot,
  member: Member,
  byUuid: ReadonlyMap<string, Labelled>,
): Disk | undefined {
  const survey = byUuid.get(member.uuid);
  const counts = member.state === 'active' || (root.raid === 'none' && member.state === 'failed');
  if (survey === undefined || !counts || survey.label.epoch < member.epoch) return undefined;
  const { disk } = survey;
  const length = disk.lengthBlocks();
  if (length < member.dbnHigh || disk.blockCount < member.blockCount) {
    const message = `${disk.name} has ${length} blocks of ${member.dbnHigh} that were written`;
    throw refuse('DISK_TRUNCATED', message, {
      disk: disk.name,
      blocks: length,
      blocksWritten: member.dbnHigh,
      blocksOffered: disk.blockCount,
      blocksOfMember: member.blockCount,
    });
  }
  return disk;
}

function checkEnough(
  root: VolumeRoot,
  disks: readonly (Disk | undefined)[],
  { readOnly, degraded }: MountOptions,
): void {
  const tolerated = faultsTolerated(root.raid);
  const needed = root.members.map((member, index) => ({ member, index }));
  const lacking = needed.filter(
    ({ member, index }) => member.state !== 'spare' && disks[index] === undefined,
  );
  const names = lacking.map(
    ({ member }) => `disk ${member.group}/${member.column} (${member.uuid})`,
  );
  const detail = { missing: names };
  for (let group = 0; group < root.groupCount && root.raid !== 'none'; group++) {
    const count = lacking.filter(({ member }) => member.group === group).length;
    if (count <= tolerated) continue;
    const message = `${count} disks are missing, parity covers ${tolerated}: ${names.join(', ')}`;
    throw refuse('RAID_DEGRADED_BEYOND_PARITY', message, detail);
  }
  const active = root.members.filter(({ state }) => state === 'active').length;
  const gone = lacking.filter(({ member }) => member.state === 'active').length;
  // Without redundancy every missing disk takes blocks along: that is for the user to say.
  const isDoubtful = gone * 2 >= active || root.raid === 'none';
  if (gone > 0 && isDoubtful && !degraded && !readOnly) {
    throw refuse('DISK_MISSING', `missing: ${names.join(', ')}`, detail);
  }
}

function newState(root: VolumeRoot, member: Member, disk: Disk | undefined): Member['state'] {
  if (member.state === 'active' && disk === undefined) return 'failed';
  if (root.raid === 'none' && disk !== undefined) return 'active';
  return member.state;
}

function warningsOf(
  surveys: readonly DiskSurvey[],
  root: VolumeRoot,
  disks: readonly (Disk | undefined)[],
): string[] {
  const warnings: string[] = [];
  const told = new Set<DiskSurvey>();
  root.members.forEach(({ state, uuid, group, column }, index) => {
    if (disks[index] !== undefined || state === 'spare') return;
    const survey = surveys.find(({ label }) => label?.diskUuid === uuid);
    if (survey !== undefined) told.add(survey);
    const name = survey?.disk.name ?? `disk ${uuid} (group ${group}, column ${column})`;
    const isBack = survey !== undefined && state !== 'rebuilding';
    const absent = state === 'active' ? 'missing' : state;
    const why = isBack ? 'is stale and is left out' : `is ${absent}`;
    warnings.push(`${name} ${why}: the volume is degraded`);
  });
  for (const survey of surveys) {
    const { disk, label } = survey;
    if (label === undefined) warnings.push(`${disk.name} has no label and is left out`);
    else if (!disks.includes(disk) && !told.has(survey)) {
      warnings.push(`${disk.name} is no member of the volume any more: it can be removed`);
    }
  }
  return warnings;
}

function refuse(
  code: StorageErrorCode,
  message: string,
  detail: Readonly<Record<string, unknown>>,
): StorageError {
  return new StorageError(code, message, { detail });
}
