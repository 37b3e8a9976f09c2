// What the suites on volumes have in common: a folder on the disk that is measured, bytes that are
// never the same twice, calls in flight, rounds in turn.

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SeededPrng } from '../host/base/prng.ts';
import type { VolumeFs } from '../host/node.ts';
import { median } from './figures.ts';
import { BENCH_SEED } from './harness.ts';

export const BLOCK = 4096;
export const KIB = 1024;
export const MIB = 1024 * 1024;
export const GIB = 1024 * MIB;

/** A new folder in bench/.work, on the project's own disk; gone when the process ends. */
export function workFolder(): string {
  const work = fileURLToPath(new URL('../../bench/.work/', import.meta.url));
  mkdirSync(work, { recursive: true });
  const folder = mkdtempSync(join(work, 'run-'));
  process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130));
  return folder;
}

/** `--name N` of the command line. */
export function numberOption(name: string, fallback: number): number {
  const at = process.argv.indexOf(`--${name}`);
  if (at < 0) return fallback;
  const value = Number(process.argv[at + 1]);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} takes a whole number`);
  return value;
}

/** Buffers with the same random bytes, each stamped with another number when it is used: what is
 *  written does not depend on which of the calls in flight ends first. */
export class Stamped {
  readonly #buffers: Buffer[];

  constructor(count: number, bytes = BLOCK) {
    const sample = new SeededPrng(BENCH_SEED).bytes(bytes);
    this.#buffers = Array.from({ length: count }, () => Buffer.from(sample));
  }

  /** Buffer number `index`, with `stamp` in front. */
  get(index: number, stamp: number): Buffer {
    const buffer = this.#buffers[index % this.#buffers.length] as Buffer;
    buffer.writeUInt32LE(stamp >>> 0, 0);
    return buffer;
  }
}

/** `total` calls of `work`, `lanes` at a time. */
export async function inFlight(
  lanes: number,
  total: number,
  work: (index: number, lane: number) => Promise<unknown>,
): Promise<void> {
  let next = 0;
  const run = async (lane: number): Promise<void> => {
    while (next < total) await work(next++, lane);
  };
  await Promise.all(Array.from({ length: Math.min(lanes, total) }, (_, lane) => run(lane)));
}

/** Milliseconds that `work` takes. */
export async function timed(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/** Each of `runs` once a round, in turn, so that a slow minute of the machine hits them all. The
 *  median of what each gives. */
export async function inTurns(
  rounds: number,
  runs: readonly ((round: number) => Promise<number>)[],
): Promise<number[]> {
  const values = runs.map((): number[] => []);
  for (let round = 0; round < rounds; round++) {
    for (const [index, run] of runs.entries()) values[index]!.push(await run(round));
  }
  return values.map(median);
}

/** Random block numbers below `limit`, the same for every case. */
export function randomBlocks(limit: number, seed = 0): () => number {
  const prng = new SeededPrng(BENCH_SEED + seed);
  return () => prng.below(limit);
}

/** A file of `bytes` random bytes in a volume. */
export async function fillFile(fs: VolumeFs, path: string, bytes: number): Promise<void> {
  const piece = Buffer.from(new SeededPrng(BENCH_SEED).bytes(Math.min(MIB, bytes)));
  const handle = await fs.promises.open(path, 'w');
  for (let at = 0; at < bytes; at += piece.length) {
    piece.writeUInt32LE(at / BLOCK, 0);
    await handle.write(piece, 0, Math.min(piece.length, bytes - at), at);
  }
  await handle.close();
}

/** Hash of a file's bytes. */
export async function digestOfFile(fs: VolumeFs, path: string): Promise<string> {
  const hash = createHash('sha256');
  const handle = await fs.promises.open(path, 'r');
  const piece = Buffer.alloc(MIB);
  for (let at = 0; ; ) {
    const { bytesRead } = await handle.read(piece, 0, piece.length, at);
    if (bytesRead === 0) break;
    hash.update(piece.subarray(0, bytesRead));
    at += bytesRead;
  }
  await handle.close();
  return hash.digest('hex');
}

/** Hash of the names and contents below a folder of the host. */
export function digestOfTree(folder: string): string {
  const hash = createHash('sha256');
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const paths = files.map((entry) => join(entry.parentPath, entry.name)).sort();
  for (const path of paths) {
    hash.update(`${path.slice(folder.length)}\0`);
    hash.update(readFileSync(path));
  }
  return hash.digest('hex');
}

export function removeVolume(path: string): void {
  for (const name of [path, `${path}.lock`]) {
    if (existsSync(name)) rmSync(name, { recursive: true });
  }
}
