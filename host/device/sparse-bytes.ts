// Bytes of a memory device: an address space of up to 2^53 bytes of which only what was written
// takes memory, and of which a clone costs next to nothing.
//
// Two levels: pages (in a map) of chunks. Every page and chunk carries the owner that may change it
// in place. clone() gives both sides a new owner, so that whatever they share is copied by
// whichever of them writes to it first. Bytes never written, and zeros written where nothing is,
// have no chunk. adopt() takes whole chunks as they are instead of copying them: crash tests build
// tens of thousands of images out of the same recorded writes.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { isZeroBytes, zeroBytes } from '../base/bytes.ts';

/** Bytes in a chunk: what is written is mostly whole blocks. */
const CHUNK_SIZE = BLOCK_SIZE;
/** Chunks in a page: 4 KiB x 256 = 1 MiB. */
const PAGE_CHUNKS = 256;
/** Chunks whose memory is taken from the host at once, which is much faster than each by itself. */
const SLAB_CHUNKS = 16;

interface Chunk {
  /** Whose it is to change; undefined: nobody's, it was adopted. */
  readonly owner: object | undefined;
  readonly bytes: Uint8Array;
}

interface Page {
  readonly owner: object;
  readonly chunks: (Chunk | undefined)[];
}

export class SparseBytes {
  #owner: object = {};
  #pages: Map<number, Page> = new Map();
  #lengthBytes = 0;
  #slab = new Uint8Array(0);
  /** Where its next chunk begins. */
  #slabNext = 0;

  /** One more than the last byte ever written. */
  get lengthBytes(): number {
    return this.#lengthBytes;
  }

  /** The same bytes; later changes on either side do not show on the other. */
  clone(): SparseBytes {
    const twin = new SparseBytes();
    twin.#pages = new Map(this.#pages);
    twin.#lengthBytes = this.#lengthBytes;
    this.#owner = {};
    return twin;
  }

  /** Fills `view` from `offset` on; what was never written reads as zeros. */
  read(offset: number, view: Uint8Array): void {
    let done = 0;
    while (done < view.length) {
      const position = offset + done;
      const index = Math.floor(position / CHUNK_SIZE);
      const page = this.#pages.get(Math.floor(index / PAGE_CHUNKS));
      const chunk = page?.chunks[index % PAGE_CHUNKS];
      // Of what is not there whole pages are passed over at once: logs are mostly zeros.
      const size = page === undefined ? CHUNK_SIZE * PAGE_CHUNKS : CHUNK_SIZE;
      const start = position % size;
      const count = Math.min(size - start, view.length - done);
      if (chunk === undefined) zeroBytes(view, done, done + count);
      else view.set(chunk.bytes.subarray(start, start + count), done);
      done += count;
    }
  }

  write(offset: number, view: Uint8Array): void {
    this.#write(offset, view, false);
  }

  /** The same for bytes that nobody will ever change: whole chunks of them are kept, not copied. */
  adopt(offset: number, view: Uint8Array): void {
    this.#write(offset, view, true);
  }

  /** Bytes of memory that the content takes, what clones share included. */
  memoryBytes(): number {
    let count = 0;
    for (const page of this.#pages.values()) {
      for (const chunk of page.chunks) if (chunk !== undefined) count++;
    }
    return count * CHUNK_SIZE;
  }

  #chunk(index: number): Chunk | undefined {
    return this.#pages.get(Math.floor(index / PAGE_CHUNKS))?.chunks[index % PAGE_CHUNKS];
  }

  #write(offset: number, view: Uint8Array, isFixed: boolean): void {
    let done = 0;
    while (done < view.length) {
      const position = offset + done;
      const index = Math.floor(position / CHUNK_SIZE);
      const start = position - index * CHUNK_SIZE;
      const count = Math.min(CHUNK_SIZE - start, view.length - done);
      const part = view.subarray(done, done + count);
      const chunk = this.#chunk(index);
      if (chunk === undefined && isZeroBytes(part)) {
        // It reads as zeros already.
      } else if (isFixed && count === CHUNK_SIZE) {
        this.#setChunk(index, { owner: undefined, bytes: part });
      } else if (chunk?.owner === this.#owner) {
        chunk.bytes.set(part, start);
      } else {
        const bytes = this.#newChunk();
        if (chunk !== undefined && count < CHUNK_SIZE) bytes.set(chunk.bytes);
        bytes.set(part, start);
        this.#setChunk(index, { owner: this.#owner, bytes });
      }
      done += count;
    }
    this.#lengthBytes = Math.max(this.#lengthBytes, offset + view.length);
  }

  /** Zeros. */
  #newChunk(): Uint8Array {
    if (this.#slabNext === this.#slab.length) {
      this.#slab = new Uint8Array(SLAB_CHUNKS * CHUNK_SIZE);
      this.#slabNext = 0;
    }
    const first = this.#slabNext;
    this.#slabNext += CHUNK_SIZE;
    return this.#slab.subarray(first, first + CHUNK_SIZE);
  }

  #setChunk(index: number, chunk: Chunk): void {
    const pageIndex = Math.floor(index / PAGE_CHUNKS);
    let page = this.#pages.get(pageIndex);
    if (page?.owner !== this.#owner) {
      const chunks = page === undefined ? new Array(PAGE_CHUNKS) : page.chunks.slice();
      page = { owner: this.#owner, chunks };
      this.#pages.set(pageIndex, page);
    }
    page.chunks[index % PAGE_CHUNKS] = chunk;
  }
}
