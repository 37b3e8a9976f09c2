// Inspect: what is on disk, field by field, without opening the volume: it works on volumes that do
// not open, on one disk, or on one log file, and changes nothing.
//
// The tables of fields are made from the layout constants (inspect/structures.ts), so that every
// byte of every structure has a name; a test holds this against FORMAT.md and a golden volume.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { INODE_SIZE } from '../../assembly/layout/inode.ts';
import type { Disk, Nvram } from '../device/device.ts';
import { compareRoots, type VolumeRoot } from '../format/volume-root.ts';
import { createKernels, type KernelInstance } from '../kernels/instantiate.ts';
import { LogMemory } from '../nvlog/log-memory.ts';
import { Hasher } from '../raid/hasher.ts';
import { BlockFinder, type FoundBlock } from './inspect/blocks.ts';
import { FieldList, type Inspected, type InspectField, viewOf } from './inspect/decode.ts';
import { type Front, inspectFront } from './inspect/front.ts';
import { inspectLog } from './inspect/log.ts';
import { INODE, INODE_INLINE } from './inspect/structures.ts';

export type { Inspected, InspectField } from './inspect/decode.ts';
export { inspectBlock, inspectStructure } from './inspect/decode.ts';

/** One structure as found, whole or broken. */
export interface InspectedStructure {
  /** "label", "volume-root", "image-root", "inode-block", "directory-node", … */
  readonly structure: string;
  /** Name of the device that it was read from. */
  readonly file: string;
  readonly offsetBytes: number;
  readonly vbn?: number;
  readonly ino?: number;
  /** Offsets from the start of the structure; together they cover it. */
  readonly fields: readonly InspectField[];
  /** What is wrong with it; empty if nothing. */
  readonly problems: readonly string[];
}

/** What to show: the fronts of the disks and the log's headers by default. */
export interface InspectOptions {
  /** The block with this volume block number. */
  readonly vbn?: number;
  /** The inode with this number, of the active image. */
  readonly ino?: number;
  /** The flushes and records of the log. */
  readonly log?: boolean;
  /** Everything, with every block that can be reached but data. */
  readonly all?: boolean;
}

export interface InspectDevices {
  /** Those that are there, in whatever order. */
  readonly disks: readonly Disk[];
  readonly logs: readonly Nvram[];
  /** The log in the front of a disk (one-file volumes). */
  readonly logOf?: (disk: Disk, place: { offsetBytes: number; sizeBytes: number }) => Nvram;
}

/** Memory for one inspection: room for a flush of the largest size. */
const ARENA_SIZE = 4 * 1024 * 1024;

/** Gives what is on the devices. */
export async function* inspectVolume(
  devices: InspectDevices,
  options: InspectOptions = {},
): AsyncGenerator<InspectedStructure> {
  const instance = createKernels({ arenaBytes: ARENA_SIZE });
  const hasher = new Hasher(instance.arena, instance.kernels);
  const isSearch = options.vbn !== undefined || options.ino !== undefined;
  const disks = new Map<string, Disk>();
  const logs = [...devices.logs];
  let newest: VolumeRoot | undefined;
  for (const disk of devices.disks) {
    const front: Front = { label: undefined, root: undefined };
    for await (const { dbn, ...found } of inspectFront(disk, hasher.hash, front)) {
      if (!isSearch) yield { ...found, file: disk.name, offsetBytes: dbn * BLOCK_SIZE };
    }
    const { label, root } = front;
    if (label === undefined) continue;
    disks.set(label.diskUuid, disk);
    if (root !== undefined && (newest === undefined || compareRoots(root, newest) > 0))
      newest = root;
    const { logFirst, logBlocks } = label.front;
    if (logBlocks === 0 || devices.logOf === undefined) continue;
    const place = { offsetBytes: logFirst * BLOCK_SIZE, sizeBytes: logBlocks * BLOCK_SIZE };
    logs.push(devices.logOf(disk, place));
  }
  if (!isSearch) yield* inspectLogs(logs, instance, options.log === true || options.all === true);
  if (newest !== undefined)
    yield* inspectBlocks(new BlockFinder(newest, disks, hasher.hash), options);
}

async function* inspectLogs(
  logs: readonly Nvram[],
  { arena, kernels }: KernelInstance,
  withRecords: boolean,
): AsyncGenerator<InspectedStructure> {
  if (logs.length === 0) return;
  const memory = new LogMemory(arena, kernels);
  for (const nvram of logs) {
    for await (const found of inspectLog(nvram, memory, withRecords)) {
      yield { ...found, file: nvram.name };
    }
  }
}

async function* inspectBlocks(
  finder: BlockFinder,
  options: InspectOptions,
): AsyncGenerator<InspectedStructure> {
  const { vbn, ino, all } = options;
  if (ino !== undefined) {
    const block = await finder.findInode(ino);
    if (block !== undefined) yield inodeOf(block, ino);
  }
  if (vbn === undefined && all !== true) return;
  for await (const block of finder.walk((other) => other === vbn)) {
    if (all !== true && block.vbn !== vbn) continue;
    yield place(block, block);
    if (all !== true) return;
  }
}

function place(block: FoundBlock, { structure, fields, problems }: Inspected): InspectedStructure {
  const { vbn, disk, offsetBytes, inoFirst } = block;
  const ino = inoFirst === undefined ? {} : { ino: inoFirst };
  return { structure, file: disk.name, offsetBytes, vbn, ...ino, fields, problems };
}

/** One inode of a block of the inode file. */
function inodeOf(block: FoundBlock, ino: number): InspectedStructure {
  const from = (ino - (block.inoFirst ?? 0)) * INODE_SIZE;
  if (block.problems.length > 0) return place(block, block);
  const bytes = block.bytes.subarray(from, from + INODE_SIZE);
  const list = new FieldList(viewOf(bytes));
  list.table(INODE, 0, 1, 'inode');
  const fields = list.fields.map((field) => ({
    ...field,
    name: field.name.replace('inode[0].', ''),
  }));
  const inspected = { ...list.done(INODE_INLINE.name), fields };
  return { ...place(block, inspected), offsetBytes: block.offsetBytes + from, ino };
}
