// What a kernel job costs, and how it is cut into pieces. A round trip to a worker thread takes
// about 40 µs, so small work stays on the calling thread, and large work is cut into pieces that
// several threads take from one board. The figures need not be exact: only the order of magnitude
// decides.

import { AREA_STRIPES, BLOCK_SIZE } from '../../assembly/layout/block.ts';
import type { KernelJob } from '../base/env.ts';

interface Shape {
  /** How many units of work the arguments ask for. */
  readonly units: (args: readonly number[]) => number;
  /** Bytes that one unit reads. */
  readonly unitBytes: (args: readonly number[]) => number;
  /** Nanoseconds a byte read, from DRAM. */
  readonly byteNs: number;
  /** Units that stay together. */
  readonly granule?: number;
  /** Arguments for `count` units from `first` on. Absent where the work cannot be cut. The result
   *  of a job that was cut is the sum of its pieces' results. */
  readonly cut?: (args: readonly number[], first: number, count: number) => number[];
}

type Args = readonly [number, number, number, number, number];

/** Plane kernels are cut at 64 KiB: whole pages, so that threads share no cache line. */
const PLANE_GRANULE = 65536;
const AREA_BYTES = AREA_STRIPES >> 3;

const combine: Shape = {
  units: (args) => args[3]!,
  unitBytes: () => 2,
  byteNs: 0.13,
  granule: PLANE_GRANULE,
  cut: (args, first, count) => {
    const [destination, a, b] = args as Args;
    return [destination + first, a + first, b + first, count];
  },
};
const scan: Shape = {
  units: (args) => Math.max(0, args[2]! - args[1]!) / 8,
  unitBytes: () => 1,
  byteNs: 0.1,
};

const SHAPES: Readonly<Record<string, Shape>> = {
  xor: { units: (args) => args[3]!, unitBytes: (args) => args[2]!, byteNs: 0.1 },
  isZero: { units: (args) => args[1]!, unitBytes: () => 1, byteNs: 0.1 },
  planeOr: combine,
  planeAnd: combine,
  planeAndNot: combine,
  planePopcount: {
    units: (args) => args[1]!,
    unitBytes: () => 1,
    byteNs: 0.11,
    granule: PLANE_GRANULE,
    cut: (args, first, count) => [args[0]! + first, count],
  },
  planeAndNotPopcount: {
    units: (args) => args[2]!,
    unitBytes: () => 2,
    byteNs: 0.11,
    granule: PLANE_GRANULE,
    cut: (args, first, count) => [args[0]! + first, args[1]! + first, count],
  },
  planeFind: scan,
  planeRuns: scan,
  areaFreeCounts: {
    units: (args) => args[2]!,
    unitBytes: () => 2 * AREA_BYTES,
    byteNs: 0.13,
    granule: 32,
    cut: (args, first, count) => {
      const [a, b, , out] = args as Args;
      return [a + first * AREA_BYTES, b + first * AREA_BYTES, count, out + 2 * first];
    },
  },
  xxhash64: { units: (args) => args[1]!, unitBytes: () => 1, byteNs: 0.1 },
  xxhash64Blocks: {
    units: (args) => args[1]!,
    unitBytes: () => BLOCK_SIZE,
    byteNs: 0.1,
    granule: 8,
    cut: (args, first, count) => [args[0]! + 4 * first, count, args[2]! + 8 * first],
  },
  crc32c: { units: (args) => args[1]!, unitBytes: () => 1, byteNs: 0.7 },
  tetris: {
    units: (args) => args[2]!,
    unitBytes: (args) => args[1]! * BLOCK_SIZE,
    byteNs: 0.13,
    cut: (args, first, count) => {
      const [list, columns, , parity, sums] = args as Args;
      const block = first * columns;
      const sumsCut = sums === 0 ? 0 : sums + 8 * block;
      return [list + 4 * block, columns, count, parity + first * BLOCK_SIZE, sumsCut];
    },
  },
  mapBlocks: {
    units: (args) => args[3]!,
    unitBytes: () => 1,
    byteNs: 10,
    granule: 64,
    cut: (args, first, count) => {
      const [ranges, rangeCount, vbns, , out] = args as Args;
      return [ranges, rangeCount, vbns + 4 * first, count, out + 8 * first];
    },
  },
};

/** Nanoseconds that the job will take, about. */
export function jobCostNs(job: KernelJob): number {
  const shape = SHAPES[job.kernel];
  return shape === undefined ? 0 : shape.units(job.args) * shape.unitBytes(job.args) * shape.byteNs;
}

/** The job in pieces of about `pieceNs` each, or the job itself. */
export function cutJob(job: KernelJob, pieceNs: number): readonly KernelJob[] {
  const shape = SHAPES[job.kernel];
  if (shape?.cut === undefined) return [job];
  const units = shape.units(job.args);
  const granule = shape.granule ?? 1;
  const unitsWanted = pieceNs / (shape.unitBytes(job.args) * shape.byteNs);
  const step = Math.max(1, Math.round(unitsWanted / granule)) * granule;
  if (units <= step) return [job];
  const pieces: KernelJob[] = [];
  for (let first = 0; first < units; first += step) {
    const args = shape.cut(job.args, first, Math.min(step, units - first));
    pieces.push({ kernel: job.kernel, args });
  }
  return pieces;
}

/** Whether the job gives the same again after it was broken off half-way or done twice: not where
 *  it overwrites what it reads. `u32` is the arena. */
export function isRepeatable(job: KernelJob, u32: Uint32Array): boolean {
  const [destination, second, third] = job.args as Args;
  if (job.kernel === 'planeAndNot') return destination !== third;
  if (job.kernel !== 'xor') return true;
  return !u32.subarray(second >> 2, (second >> 2) + third).includes(destination);
}
