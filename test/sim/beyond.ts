// Damage beyond the redundancy, at the end of a run: blocks of several devices are no longer what
// they were, or a device is gone. Nobody can promise that all is there then. What is promised: what
// is given is what there was once, whole; all else is an error with a code; a mount that is refused
// says why. (test/damage holds the engine to what exactly each damage may cost.)

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { isFsError, isStorageError } from '../../host/base/errors.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import { runSync, wait } from '../../host/base/task.ts';
import type { MemoryDisk } from '../../host/device/memory-disk.ts';
import type { MemoryNvram } from '../../host/device/memory-nvram.ts';
import type { FileKind, Operations } from '../../host/filesystem/operations.ts';
import type { Engine } from '../../host/volume/engine.ts';
import { hashOf, listDirectory } from '../oracle/tree.ts';
import { letGo, mount, operationsOf } from '../world/engine.ts';
import type { Devices } from '../world/recorder.ts';
import type { FaultCounts } from './faults.ts';
import type { Version } from './model.ts';
import type { SimSetup } from './setup.ts';

export class WrongData extends Error {}

const HITS_MAX = 40;

export interface BeyondParts {
  readonly setup: SimSetup;
  readonly prng: SeededPrng;
  readonly faults: FaultCounts;
  /** All states that there ever were. */
  readonly versions: readonly Version[];
}

/** Damages devices, and reads what is left. @throws WrongData. */
export function goBeyond(devices: Devices, parts: BeyondParts): string {
  const { prng, setup, faults } = parts;
  const said = damage(devices, prng);
  faults.note('beyond redundancy');
  const isWriter = prng.chance(0.5);
  const { arenaBytes } = setup;
  const { disks, nvrams } = devices;
  const options = { arena: 'cut', arenaBytes };
  let engine: Engine | undefined;
  for (const readOnly of isWriter ? [false, true] : [true]) {
    try {
      engine = runSync(mount({ disks, nvrams }, { ...options, readOnly }));
      break;
    } catch (error) {
      // Refused: with a name, or it is our bug.
      if (!isStorageError(error) && !isFsError(error)) throw error;
      faults.note('beyond redundancy: refused');
    }
  }
  if (engine === undefined) return `${said}: refused`;
  const counts = readAll(operationsOf(engine), parts);
  if (counts.lost > 0) faults.note('beyond redundancy: named', counts.lost);
  letGo(engine);
  return `${said}: ${counts.right} right, ${counts.lost} lost`;
}

function damage(devices: Devices, prng: SeededPrng): string {
  const all: (MemoryDisk | MemoryNvram)[] = [...devices.disks, ...devices.nvrams];
  const said: string[] = [];
  for (let left = 1 + prng.below(HITS_MAX); left > 0; left--) {
    const device = prng.pick(all);
    const blocks = Math.max(1, Math.floor(device.lengthNow / BLOCK_SIZE));
    const size = prng.pick([1, 512, BLOCK_SIZE]);
    const offset = prng.below(blocks) * BLOCK_SIZE + prng.below(BLOCK_SIZE / size) * size;
    const mask = prng.bytes(size);
    mask[0] = (mask[0] as number) | 1;
    device.corrupt(offset, mask);
  }
  if (prng.chance(0.2)) {
    const dead = prng.pick(all);
    dead.isDead = true;
    said.push(`${dead.name} dead`);
  }
  return ['damaged', ...said].join(', ');
}

/** Every file by its contents, from any state that there was. */
function contentsEver(versions: readonly Version[]): Map<string, Set<string>> {
  const ever = new Map<string, Set<string>>();
  for (const { contents } of versions) {
    const byPath = new Map(contents.tree.map((entry) => [entry.path, entry]));
    for (const { path, kind, group } of contents.tree) {
      // A file of many names is listed with its contents once.
      const content = byPath.get(group)?.content ?? '';
      let known = ever.get(path);
      if (known === undefined) {
        known = new Set();
        ever.set(path, known);
      }
      known.add(`${kind} ${content}`);
    }
  }
  return ever;
}

function readAll(fs: Operations, { versions }: BeyondParts): { right: number; lost: number } {
  const ever = contentsEver(versions);
  const counts = { right: 0, lost: 0 };
  const paths = ['/'];
  for (const path of paths) {
    const entries = attempt(() => runSync(listDirectory(fs, path)));
    if (entries === undefined) {
      counts.lost++;
      continue;
    }
    for (const { name, kind } of entries) {
      const child = `${path === '/' ? '' : path}/${name}`;
      if (kind === 'directory') paths.push(child);
      const content = attempt(() => contentOf(fs, child, kind));
      if (content === undefined) counts.lost++;
      else if (ever.get(child)?.has(`${kind} ${content}`) === true) counts.right++;
      else throw new WrongData(`${child} (${kind}) never was ${content}`);
    }
  }
  return counts;
}

function attempt<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (isFsError(error) || isStorageError(error)) return undefined;
    throw error;
  }
}

function contentOf(fs: Operations, path: string, kind: FileKind): string {
  if (kind === 'directory') return '';
  if (kind === 'symlink') return runSync(wait(fs.readlink(path).asIo()));
  return hashOf(runSync(wait(fs.readFile({ path, followLast: false }).asIo())));
}
