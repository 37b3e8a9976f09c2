// Holes: a file's 4 KiB blocks of zeros are not written, so that they take no space where it goes.

/** Blocks of this size, at multiples of it in the file, become holes. */
export const HOLE_BLOCK_SIZE = 4096;

const ZEROS = new Uint8Array(HOLE_BLOCK_SIZE);

/** Bytes start..end-1 of a view that are to be written. */
export interface DataRun {
  readonly start: number;
  readonly end: number;
}

/** The parts of `view`, which lies at a multiple of 4 KiB in its file, that are not holes. A
 *  shorter last block is always data. */
export function dataRuns(view: Buffer): DataRun[] {
  const runs: DataRun[] = [];
  let start = -1;
  for (let at = 0; at < view.length; at += HOLE_BLOCK_SIZE) {
    if (isZeroBlock(view, at)) {
      if (start >= 0) runs.push({ start, end: at });
      start = -1;
    } else if (start < 0) {
      start = at;
    }
  }
  if (start >= 0) runs.push({ start, end: view.length });
  return runs;
}

function isZeroBlock(view: Buffer, at: number): boolean {
  const end = at + HOLE_BLOCK_SIZE;
  // Nearly every block of data shows it in its first byte.
  if (end > view.length || view[at] !== 0) return false;
  return view.compare(ZEROS, 0, HOLE_BLOCK_SIZE, at, end) === 0;
}
