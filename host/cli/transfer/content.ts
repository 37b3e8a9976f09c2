// A file's content on its way: small files in one read and one write, large ones in pieces of 1
// MiB, several at a time, so that reading one overlaps with writing another. Zeros become holes.

import { dataRuns } from './holes.ts';
import type { CarryOptions, Side, SourceFile, TargetFile } from './side.ts';

/** The largest message of a volume (ENGINE 12). */
export const PIECE_SIZE = 1024 * 1024;
const PIECES_IN_FLIGHT = 4;

export interface ContentOptions {
  readonly carry: CarryOptions;
  readonly buffers: BufferPool;
  readonly signal?: AbortSignal | undefined;
}

/** Buffers of PIECE_SIZE, used again and again; who finds none left waits. */
export class BufferPool {
  readonly #free: Buffer[] = [];
  readonly #waiting: ((buffer: Buffer) => void)[] = [];
  #left: number;

  constructor(buffers: number) {
    this.#left = buffers;
  }

  take(): Promise<Buffer> | Buffer {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#left > 0) {
      this.#left--;
      return Buffer.allocUnsafeSlow(PIECE_SIZE);
    }
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
    });
  }

  give(buffer: Buffer): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#free.push(buffer);
    else waiting(buffer);
  }
}

/** Makes `path` on `target` from an open file, attributes included; returns the bytes that became
 *  holes. EEXIST if the name is there; after any other failure it is not there. */
export async function copyContent(
  file: SourceFile,
  target: Side,
  path: string,
  options: ContentOptions,
): Promise<number> {
  const { sizeBytes } = file.attributes;
  if (sizeBytes > PIECE_SIZE) return copyPieces(file, target, path, options);
  const buffer = await options.buffers.take();
  try {
    // A size of 0 may stand for a file whose size is not known, as in /proc: look.
    const wanted = sizeBytes === 0 ? PIECE_SIZE : sizeBytes;
    const view = buffer.subarray(0, await file.read(buffer.subarray(0, wanted), 0));
    const runs = dataRuns(view);
    const [run] = runs;
    const isWhole = run === undefined ? view.length === 0 : run.end - run.start === view.length;
    if (isWhole) {
      await target.writeFile(path, view, file.attributes, options.carry);
      return 0;
    }
    return await makeFile(file, target, path, options, async (made) => {
      const dataBytes = await writeRuns(made, view, 0);
      await made.truncate(view.length);
      return view.length - dataBytes;
    });
  } finally {
    options.buffers.give(buffer);
  }
}

async function copyPieces(
  file: SourceFile,
  target: Side,
  path: string,
  options: ContentOptions,
): Promise<number> {
  const { sizeBytes } = file.attributes;
  return makeFile(file, target, path, options, async (made) => {
    let next = 0;
    let end = sizeBytes;
    let dataBytes = 0;
    let failed = false;
    const lane = async () => {
      while (next < end && !failed) {
        options.signal?.throwIfAborted();
        const position = next;
        next += PIECE_SIZE;
        const buffer = await options.buffers.take();
        try {
          const wanted = Math.min(PIECE_SIZE, sizeBytes - position);
          const count = await file.read(buffer.subarray(0, wanted), position);
          // The file was cut while we read it.
          if (count < wanted) end = Math.min(end, position + count);
          const written = await writeRuns(made, buffer.subarray(0, count), position);
          dataBytes += written;
        } finally {
          options.buffers.give(buffer);
        }
      }
    };
    const lanes = Array.from({ length: PIECES_IN_FLIGHT }, () =>
      lane().catch((error: unknown) => {
        failed = true;
        throw error;
      }),
    );
    const settled = await Promise.allSettled(lanes);
    for (const one of settled) if (one.status === 'rejected') throw one.reason;
    await made.truncate(end);
    return end - dataBytes;
  });
}

/** Writes what is not zeros; returns how many bytes. */
async function writeRuns(made: TargetFile, view: Buffer, position: number): Promise<number> {
  let bytes = 0;
  for (const run of dataRuns(view)) {
    await made.write(view.subarray(run.start, run.end), position + run.start);
    bytes += run.end - run.start;
  }
  return bytes;
}

/** Creates the file, fills it, gives it its attributes; removes it after a failure. */
async function makeFile(
  file: SourceFile,
  target: Side,
  path: string,
  options: ContentOptions,
  fill: (made: TargetFile) => Promise<number>,
): Promise<number> {
  const made = await target.createFile(path);
  try {
    const holeBytes = await fill(made);
    await made.finish(file.attributes, options.carry);
    return holeBytes;
  } catch (error) {
    await discard(made, target, path);
    throw error;
  }
}

/** A file that could not be completed. What fails here adds nothing to what is reported. */
async function discard(made: TargetFile, target: Side, path: string): Promise<void> {
  try {
    await made.close();
    await target.unlink(path);
  } catch {
    // Reported is why it was discarded.
  }
}
