// Bytes of a memory device: an address space of up to 2^53 bytes of which only what was written
// takes memory, and of which a clone costs next to nothing.
//
// Two levels: pages (in a map) of chunks. Every page and chunk carries the owner that may change it
// in place. clone() gives both sides a new owner, so that whatever they share is copied by whichever
// of them writes to it first. Bytes never written, and zeros written where nothing is, have no chunk.

import { assert } from '../base/assert.ts';

/** Bytes in a chunk: small, as crash tests copy one per place that recovery writes to. */
const CHUNK_SIZE = 16384;
/** Chunks in a page: 16 KiB x 1024 = 16 MiB. */
const PAGE_CHUNKS = 1024;

interface Chunk {
  readonly owner: object;
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
      const start = position - index * CHUNK_SIZE;
      const count = Math.min(CHUNK_SIZE - start, view.length - done);
      const chunk = this.#chunk(index);
      if (chunk === undefined) view.fill(0, done, done + count);
      else view.set(chunk.bytes.subarray(start, start + count), done);
      done += count;
    }
  }

  write(offset: number, view: Uint8Array): void {
    let done = 0;
    while (done < view.length) {
      const position = offset + done;
      const index = Math.floor(position / CHUNK_SIZE);
      const start = position - index * CHUNK_SIZE;
      const count = Math.min(CHUNK_SIZE - start, view.length - done);
      const part = view.subarray(done, done + count);
      if (this.#chunk(index) !== undefined || !isZero(part)) {
        this.#writable(index).set(part, start);
      }
      done += count;
    }
    this.#lengthBytes = Math.max(this.#lengthBytes, offset + view.length);
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

  /** The chunk's bytes, made or made our own. */
  #writable(index: number): Uint8Array {
    assert(index >= 0, 'chunk exists', index);
    const pageIndex = Math.floor(index / PAGE_CHUNKS);
    let page = this.#pages.get(pageIndex);
    if (page?.owner !== this.#owner) {
      const chunks = page === undefined ? new Array(PAGE_CHUNKS) : page.chunks.slice();
      page = { owner: this.#owner, chunks };
      this.#pages.set(pageIndex, page);
    }
    let chunk = page.chunks[index % PAGE_CHUNKS];
    if (chunk?.owner !== this.#owner) {
      const bytes = chunk === undefined ? new Uint8Array(CHUNK_SIZE) : chunk.bytes.slice();
      chunk = { owner: this.#owner, bytes };
      page.chunks[index % PAGE_CHUNKS] = chunk;
    }
    return chunk.bytes;
  }
}

function isZero(view: Uint8Array): boolean {
  for (let index = 0; index < view.length; index++) if (view[index] !== 0) return false;
  return true;
}
