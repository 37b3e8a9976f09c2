// The content of numbered files, the same in the child that writes them and in the parent that
// expects them: all of it follows from the number.

import { fsSide } from '../transfer/fs-side.ts';
import type { TreeFs } from '../volume-face.ts';

const SIZE_MAX = 16 * 1024;
/** One in so many is large enough to go past the log by reference. */
const LARGE_EVERY = 50;
const LARGE_SIZE = 300 * 1024;

export function payload(number: number): Uint8Array {
  let state = (Math.imul(number + 1, 0x9e37_79b1) ^ 0x5bd1_e995) >>> 0 || 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    state >>>= 0;
    return state;
  };
  const size = number % LARGE_EVERY === LARGE_EVERY - 1 ? LARGE_SIZE : 1 + (next() % SIZE_MAX);
  const words = new Uint32Array(Math.ceil(size / 4));
  for (let at = 0; at < words.length; at++) words[at] = next();
  return new Uint8Array(words.buffer, 0, size);
}

/** Where the files of the kill chapter are. */
export const INBOX = '/inbox';

export function inboxPath(number: number): string {
  return `${INBOX}/${String(number).padStart(6, '0')}`;
}

/** Whether the file at `path` has just these bytes. */
export async function holds(fs: TreeFs, path: string, bytes: Uint8Array): Promise<boolean> {
  const file = await fsSide(fs).openSource(path);
  try {
    // One more than expected, to see a longer file.
    const found = Buffer.alloc(bytes.length + 1);
    const count = await file.read(found, 0);
    return count === bytes.length && found.subarray(0, count).equals(bytes);
  } finally {
    await file.close();
  }
}
