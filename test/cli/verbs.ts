// Every verb with the schema of its lines, for volumes of any engine: what scripts live by. The
// volume has three disks, a file /dir/a, a symbolic link /dir/link to it, an empty /dir/sub and the
// snapshot monday; beside it lies a file `host`.

import { join } from 'node:path';
import * as assert from 'uvu/assert';

import type { Ran } from './wafer.ts';

const REPLAY =
  'entryCount waitCount redeliveryCount skipCount loadedBlockCount ' +
  'initiateMs loadMs modifyMs commitMs';

// Schemas: "key:type", types as typeof has them, "?" for null too, [] for arrays, time and uuid,
// replay for what `status` says of the log.
const TYPES: Readonly<Record<string, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number' && Number.isFinite(value),
  boolean: (value) => typeof value === 'boolean',
  'string?': (value) => value === null || typeof value === 'string',
  'number?': (value) => value === null || typeof value === 'number',
  '[]': (value) => Array.isArray(value),
  replay: (value) => {
    const figures = value as Record<string, unknown>;
    const areNumbers = Object.values(figures).every((figure) => typeof figure === 'number');
    return areNumbers && Object.keys(figures).join(' ') === REPLAY;
  },
  time: (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/.test(String(value)),
  uuid: (value) => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(String(value)),
};

export function matches(line: unknown, schema: string): void {
  const fields = schema.split(' ').map((field) => field.split(':') as [string, string]);
  const given = line as Record<string, unknown>;
  const expectedKeys = fields.map(([key]) => key).sort();
  assert.equal(Object.keys(given).sort(), expectedKeys, JSON.stringify(line));
  for (const [key, type] of fields) {
    assert.ok(TYPES[type]?.(given[key]), `${key} is no ${type}: ${JSON.stringify(given[key])}`);
  }
}

export const DISK =
  'name:string file:string uuid:uuid role:string state:string sizeBytes:number lengthBytes:number';
const DRY = 'volume:string dryRun:boolean';
const COUNTS =
  'files:number directories:number symlinks:number hardLinks:number bytes:number ' +
  'holeBytes:number xattrs:number skipped:number failed:number';

export interface Case {
  readonly argv: (where: string, directory: string) => string[];
  /** How many; 'some' where that is the engine's affair. */
  readonly items?: number | 'some';
  readonly item?: string;
  readonly result: string;
  /** Its dry run must leave every file of the volume as it is. */
  readonly isChanging?: boolean;
  /** Invocations that come first. */
  readonly before?: (where: string, directory: string) => string[][];
}

export const CASES: Readonly<Record<string, Case>> = {
  create: {
    argv: (where) => ['create', `${where}-2`, '--size', '10GiB', '--disks', '6'],
    result: 'volume:string uuid:string? raid:string? disks:number sizeBytes:number dryRun:boolean',
    isChanging: true,
  },
  status: {
    argv: (where) => ['status', where],
    result:
      'volume:string uuid:uuid state:string formatVersion:number raid:string createdAt:time ' +
      'epoch:number consistencyPoint:number sizeBytes:number usedBytes:number ' +
      'freeBytes:number snapshotBytes:number fileCount:number snapshotCount:number ' +
      'logSizeBytes:number replayedRecordCount:number replay:replay disks:[]',
  },
  put: {
    argv: (where, directory) => ['put', join(directory, 'host'), `${where}:/new/`],
    result: `${DRY} ms:number ${COUNTS}`,
    isChanging: true,
  },
  get: {
    argv: (where, directory) => ['get', `${where}@monday:/dir`, join(directory, 'out')],
    result: `${DRY} ms:number ${COUNTS}`,
    isChanging: true,
  },
  ls: {
    argv: (where) => ['ls', `${where}:/dir`],
    items: 3,
    item:
      'name:string path:string kind:string ino:number mode:number links:number uid:number ' +
      'gid:number sizeBytes:number allocatedBytes:number atime:time mtime:time ctime:time ' +
      'btime:time target:string?',
    result: 'volume:string entries:number',
  },
  cat: {
    argv: (where) => ['cat', `${where}:/dir/a`],
    items: 1,
    item: 'path:string offsetBytes:number base64:string',
    result: 'volume:string files:number bytes:number',
  },
  rm: {
    argv: (where) => ['rm', '-r', `${where}:/dir`],
    items: 1,
    item: 'path:string files:number directories:number',
    result: `${DRY} files:number directories:number`,
    isChanging: true,
  },
  mkdir: {
    argv: (where) => ['mkdir', '-p', `${where}:/x/y`],
    items: 1,
    item: 'path:string',
    result: `${DRY} directories:number`,
    isChanging: true,
  },
  'snapshot create': {
    argv: (where) => ['snapshot', 'create', where, 'tuesday'],
    result: `${DRY} snapshot:string ms:number`,
    isChanging: true,
  },
  'snapshot list': {
    argv: (where) => ['snapshot', 'list', where],
    items: 1,
    item: 'name:string id:number createdAt:time holds:number sizeBytes:number',
    result: 'volume:string snapshots:number',
  },
  'snapshot hold': {
    argv: (where) => ['snapshot', 'hold', where, 'monday'],
    result: `${DRY} snapshot:string ms:number`,
    isChanging: true,
  },
  'snapshot release': {
    argv: (where) => ['snapshot', 'release', where, 'monday'],
    before: (where) => [['snapshot', 'hold', where, 'monday']],
    result: `${DRY} snapshot:string ms:number`,
    isChanging: true,
  },
  'snapshot delete': {
    argv: (where) => ['snapshot', 'delete', where, 'monday'],
    result: `${DRY} snapshot:string ms:number`,
    isChanging: true,
  },
  rollback: {
    argv: (where) => ['rollback', where, 'monday'],
    before: (where, directory) => [['put', join(directory, 'host'), `${where}:/new`]],
    result: `${DRY} snapshot:string ms:number`,
    isChanging: true,
  },
  'disk list': {
    argv: (where) => ['disk', 'list', where],
    items: 3,
    item: DISK,
    result: 'volume:string disks:number',
  },
  'disk fail': {
    argv: (where) => ['disk', 'fail', where, 'disk-01'],
    result: `${DRY} disk:string`,
    isChanging: true,
  },
  'disk replace': {
    argv: (where) => ['disk', 'replace', where, 'disk-01'],
    before: (where) => [['disk', 'fail', where, 'disk-01']],
    result: `${DRY} disk:string rebuiltBlocks:number`,
    isChanging: true,
  },
  verify: {
    argv: (where) => ['verify', where],
    item: 'kind:string message:string vbn:number? ino:number? path:string? snapshot:string?',
    result:
      'volume:string problems:number blocks:number inodes:number directories:number ' +
      'snapshots:number',
  },
  inspect: {
    argv: (where) => ['inspect', where],
    items: 'some',
    item:
      'structure:string file:string offsetBytes:number vbn:number? ino:number? fields:[] ' +
      'problems:[]',
    result: 'where:string structures:number problems:number',
  },
};

/** Runs one with --json, and checks what it said. */
export async function checkLines(invoke: () => Promise<Ran>, one: Case, code = 0): Promise<Ran> {
  const ran = await invoke();
  assert.is(ran.code, code, ran.stdout + ran.stderr);
  assert.is(ran.stderr, '');
  const items = ran.lines.filter((line) => line.type === 'item');
  if (one.items === 'some') assert.ok(items.length > 0);
  else assert.is(items.length, one.items ?? 0);
  for (const item of items) matches(item, `type:string ${one.item}`);
  const result = ran.lines.at(-1) as Record<string, unknown>;
  assert.is(result.type, 'result');
  matches(result, `type:string warnings:[] ${one.result}`);
  const progress = ran.lines.filter((line) => line.type === 'progress');
  for (const line of progress) {
    matches(line, 'type:string what:string done:number total:number unit:string');
  }
  assert.is(items.length + progress.length + 1, ran.lines.length);
  return ran;
}
