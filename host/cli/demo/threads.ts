// What the kernels do at the size of large volumes, on one thread and on the pool's: the volume of
// the story is small, and its planes and batches are done before a thread could be told of them.

import type { KernelJob, ThreadPool } from '../../base/env.ts';
import { InlinePool } from '../../kernels/inline-pool.ts';
import type { KernelInstance } from '../../kernels/instantiate.ts';
import { createKernels } from '../../kernels/instantiate.ts';
import { createThreadPool, PiscinaPool } from '../../node/piscina-pool.ts';

const MIB = 1024 * 1024;
const BLOCK_SIZE = 4096;
/** A plane of 1 TiB: a bit for each of 2^28 blocks. */
const PLANE_BYTES = 32 * MIB;
const COLUMNS = 5;
const STRIPES = Math.floor((2 * PLANE_BYTES) / BLOCK_SIZE / COLUMNS);
const VBNS = 2 ** 20;
const RANGES = 16;
/** Each is run so often, and the best time told. */
const ROUNDS = 3;
const ARENA_BYTES = 160 * MIB;

export interface ThreadFigure {
  readonly what: string;
  readonly oneThreadMs: number;
  readonly poolMs: number;
  /** Pieces that other threads did. */
  readonly jobs: number;
  /** The same result on one thread and on several. */
  readonly isEqual: boolean;
}

export interface ThreadFigures {
  readonly threads: number;
  readonly figures: readonly ThreadFigure[];
}

interface Work {
  readonly what: string;
  readonly job: KernelJob;
  /** Memory that it writes. */
  readonly output?: readonly [address: number, sizeBytes: number];
}

/** Runs each kind of work on one thread and on all. */
export async function measureThreads(now: () => number): Promise<ThreadFigures> {
  const instance = createKernels({ arenaBytes: ARENA_BYTES });
  const works = prepare(instance);
  const inline = new InlinePool(instance.kernels);
  const pool = createThreadPool(instance);
  try {
    if (pool instanceof PiscinaPool) await pool.start();
    const figures: ThreadFigure[] = [];
    for (const work of works) {
      const one = await best(work, { instance, pool: inline, now });
      const jobsBefore = pool.jobCount;
      const all = await best(work, { instance, pool, now });
      figures.push({
        what: work.what,
        oneThreadMs: one.ms,
        poolMs: all.ms,
        jobs: pool.jobCount - jobsBefore,
        isEqual: one.result === all.result,
      });
    }
    return { threads: pool.threads, figures };
  } finally {
    await pool.close();
  }
}

async function best(
  work: Work,
  on: { instance: KernelInstance; pool: ThreadPool; now: () => number },
): Promise<{ ms: number; result: string }> {
  const { instance, pool, now } = on;
  const { job, output = [0, 0] } = work;
  let ms = Number.POSITIVE_INFINITY;
  let result = '';
  for (let round = 0; round < ROUNDS; round++) {
    const bytes = instance.arena.bytes(...output);
    bytes.fill(0);
    const start = now();
    const [count] = await pool.run([job]);
    ms = Math.min(ms, now() - start);
    result = `${count} ${digest(instance, output)}`;
  }
  return { ms, result };
}

function digest({ arena, kernels }: KernelInstance, output: readonly [number, number]): string {
  if (output[1] === 0) return '';
  // The first page of WebAssembly memory is nobody's.
  kernels.xxhash64(output[0], output[1], 8);
  return arena.view.getBigUint64(8, true).toString(16);
}

function prepare({ arena }: KernelInstance): Work[] {
  const a = arena.reserve(PLANE_BYTES, BLOCK_SIZE);
  const b = arena.reserve(PLANE_BYTES, BLOCK_SIZE);
  const made = arena.reserve(PLANE_BYTES, BLOCK_SIZE);
  fillNoise(arena.u32.subarray(a / 4, a / 4 + (2 * PLANE_BYTES) / 4));
  const list = arena.reserve(STRIPES * COLUMNS * 4);
  for (let at = 0; at < STRIPES * COLUMNS; at++) arena.u32[list / 4 + at] = a + at * BLOCK_SIZE;
  const sums = arena.reserve(STRIPES * COLUMNS * 8);
  const ranges = arena.reserve(RANGES * 16);
  for (let at = 0; at < RANGES; at++) {
    arena.u32.set([at * VBNS, VBNS, at % COLUMNS, at * VBNS], ranges / 4 + at * 4);
  }
  const vbns = arena.reserve(VBNS * 4);
  for (let at = 0; at < VBNS; at++) {
    arena.u32[vbns / 4 + at] = (at * 2_654_435_761) % (RANGES * VBNS);
  }
  const places = arena.reserve(VBNS * 8);
  const plane = (kernel: string, what: string): Work => ({
    what,
    job: { kernel, args: [made, a, b, PLANE_BYTES] },
    output: [made, PLANE_BYTES],
  });
  return [
    plane('planeAndNot', 'what one snapshot of 1 TiB has and another has not'),
    plane('planeOr', 'what either of them has'),
    {
      what: 'how many blocks differ',
      job: { kernel: 'planeAndNotPopcount', args: [a, b, PLANE_BYTES] },
    },
    {
      what: 'parity and checksums of 64 MiB',
      job: { kernel: 'tetris', args: [list, COLUMNS, STRIPES, made, sums] },
      output: [sums, STRIPES * COLUMNS * 8],
    },
    {
      what: 'where 1,048,576 blocks lie',
      job: { kernel: 'mapBlocks', args: [ranges, RANGES, vbns, VBNS, places] },
      output: [places, VBNS * 8],
    },
  ];
}

/** xorshift32 for 1 MiB, and that again and again, each time turned. */
function fillNoise(words: Uint32Array): void {
  let state = 1;
  const first = words.subarray(0, MIB / 4);
  for (let at = 0; at < first.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    first[at] = state;
  }
  for (let at = first.length, turn = 1; at < words.length; at += first.length, turn++) {
    words.set(first.subarray(turn), at);
    words.set(first.subarray(0, turn), at + first.length - turn);
  }
}
