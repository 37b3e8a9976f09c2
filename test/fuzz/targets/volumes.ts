// Whole volumes made to deceive: some structures changed, pointers led elsewhere, records of the
// log rewritten, all checksums right up to the root. A program that opens a volume from elsewhere
// must not be taken down by it: mounting, walking, reading, verifying and writing give values or
// typed errors, in bounded steps; what they give cannot be right.

import { isFsError, isStorageError } from '../../../host/base/errors.ts';
import { SeededPrng } from '../../../host/base/prng.ts';
import { runSync, synchronously } from '../../../host/base/task.ts';
import type { Operations } from '../../../host/filesystem/operations.ts';
import { verify } from '../../../host/filesystem/verify/verify.ts';
import type { Engine } from '../../../host/volume/engine.ts';
import { close, copyOf, done, letGo, mount, operationsOf } from '../../damage/base.ts';
import { BudgetDisk, BudgetNvram } from '../../damage/budget.ts';
import { forge } from '../forge.ts';
import type { Target } from '../target.ts';
import { volume } from './samples.ts';

const SEED_SIZE = 6;
/** Of the walk through a tree that may be a cycle. */
const ENTRIES_MAX = 80;
const DEPTH_MAX = 10;
const READ_MAX = 32 * 1024;
/** Of each directory, at first. */
const PAGE = 25;

const target: Target = {
  name: 'volume',
  sources: [],
  samples: () => [],
  generate: (prng) => prng.bytes(SEED_SIZE),
  decode(input) {
    const { base, layout } = volume();
    const seed = new DataView(input.buffer, input.byteOffset).getUint32(0, true);
    const prng = new SeededPrng(seed);
    const devices = copyOf(base.devices);
    const what = Array.from({ length: 1 + prng.below(3) }, () => forge(devices, layout, prng));
    const disks = devices.disks.map((disk) => new BudgetDisk(disk));
    const nvrams = devices.nvrams.map((nvram) => new BudgetNvram(nvram));
    const readOnly = prng.chance(0.4);
    try {
      const engine = mount({ disks, nvrams }, { readOnly, seed: 1 + seed });
      live(engine, prng);
    } catch (error) {
      if (typed(error)) throw error;
      const how = readOnly ? 'read-only' : 'for writing';
      throw new Error(`seed ${seed}, ${how}, ${what.join('; ')}: ${(error as Error).message}`, {
        cause: error,
      });
    }
    return what.join();
  },
  worldBytes: 128 * 1024 * 1024,
  weight: 10,
};

function typed(error: unknown): boolean {
  return isStorageError(error) || isFsError(error);
}

/** Errors with a code are fine. */
function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!typed(error)) throw error;
  }
}

function live(engine: Engine, prng: SeededPrng): void {
  attempt(() => walk(operationsOf(engine), prng));
  for (const name of ['first', 'second']) {
    if (prng.chance(0.3)) attempt(() => walk(operationsOf(engine, name), prng));
  }
  if (prng.chance(0.4)) attempt(() => synchronously(() => runSync(verify(engine.fs, {}))));
  attempt(() => change(operationsOf(engine), prng));
  attempt(() => synchronously(() => engine.fs.requestCp(true)?.driveSync()));
  if (prng.chance(0.3)) attempt(() => walk(operationsOf(engine), prng));
  if (prng.chance(0.5)) attempt(() => close(engine));
  else letGo(engine);
}

/** Lists and reads everything that can be reached, up to a bound. */
function walk(fs: Operations, prng: SeededPrng): void {
  const stack = ['/'];
  let left = ENTRIES_MAX;
  for (let path = stack.pop(); path !== undefined && left > 0; path = stack.pop()) {
    const directory = path;
    attempt(() => {
      let page = done(() => fs.readdir({ path: directory }, PAGE));
      for (;;) {
        for (const { name } of page.entries) {
          if (--left < 0) return;
          const child = `${directory === '/' ? '' : directory}/${name}`;
          attempt(() => {
            const isDirectory = look(fs, child, prng);
            if (isDirectory && child.split('/').length <= DEPTH_MAX) stack.push(child);
          });
        }
        const { next } = page;
        if (next === undefined || prng.chance(0.7)) return;
        page = done(() => fs.readdir({ path: directory }, PAGE, next));
      }
    });
  }
  attempt(() => done(() => fs.statfs()));
}

/** Reads what there is at a path; true for a directory. */
function look(fs: Operations, path: string, prng: SeededPrng): boolean {
  const at = { path, followLast: false };
  const { mode, sizeBytes } = done(() => fs.attributes(at));
  attempt(() => {
    for (const name of done(() => fs.listXattrs(at))) done(() => fs.getXattr(at, name));
  });
  const type = mode >> 12;
  if (type === 10) done(() => fs.readlink(path));
  if (type === 8) {
    const file = done(() => fs.open(path, { read: true, write: false }));
    attempt(() => {
      const position = prng.chance(0.7) ? 0 : prng.below(Math.max(1, sizeBytes));
      const bytes = new Uint8Array(Math.min(READ_MAX, Math.max(1, sizeBytes)));
      done(() => fs.read(file, bytes, position));
    });
    done(() => fs.close(file));
  }
  return type === 4;
}

const NEW = { read: false, write: true, create: true, truncate: true };

function change(fs: Operations, prng: SeededPrng): void {
  const calls: (() => unknown)[] = [
    () => done(() => fs.unlink('/inline')),
    () => done(() => fs.unlink('/dir/sub/level-3')),
    () => done(() => fs.writeFile('/dir/eight', prng.bytes(9_000), NEW)),
    () => done(() => fs.writeFile('/dir/large', prng.bytes(300_000), NEW)),
    () => done(() => fs.truncate({ path: '/dir/sub/level-3' }, prng.below(10_000_000))),
    () => done(() => fs.truncate({ path: '/dir/sub/level-2' }, prng.below(100_000))),
    () => done(() => fs.writeFile('/big/forged', prng.bytes(20_000), NEW)),
    () => done(() => fs.mkdir('/dir/made', 0o755)),
    () => done(() => fs.rmdir('/late-dir')),
    () => done(() => fs.rename('/dir/block', '/big/block')),
    () => done(() => fs.rename('/dir/sub', '/moved')),
    () => done(() => fs.link('/dir/block', '/dir/second')),
    () => done(() => fs.setXattr({ path: '/dir' }, 'user.new', prng.bytes(prng.below(3_000)))),
    () => done(() => fs.removeXattr({ path: '/dir/block' }, 'user.one')),
    () => done(() => fs.change({ path: '/dir' }, { mode: 0o700 })),
  ];
  for (const call of prng.shuffle(calls).slice(0, 8)) attempt(() => void call());
}

export const VOLUME_TARGETS: readonly Target[] = [target];
