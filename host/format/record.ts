// Bytes of log record bodies: a writer and a reader of little-endian fields. The reader checks
// every length against what is there.

import { TIME_SIZE } from '../../assembly/layout/inode.ts';
import { StorageError } from '../base/errors.ts';
import type { Instant } from '../base/units.ts';
import { getInstant, getU64, setInstant, setU64 } from './words.ts';

const INITIAL_SIZE = 256;
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Writes fields into a buffer that it reuses; `take` gives a copy. */
export class RecordWriter {
  #bytes = new Uint8Array(INITIAL_SIZE);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  u8(value: number): this {
    this.#reserve(1);
    this.#bytes[this.#length++] = value;
    return this;
  }
  u32(value: number): this {
    this.#reserve(4);
    this.#view.setUint32(this.#length, value, true);
    this.#length += 4;
    return this;
  }
  u64(value: number): this {
    this.#reserve(8);
    setU64(this.#view, this.#length, value);
    this.#length += 8;
    return this;
  }
  time(value: Instant): this {
    this.#reserve(TIME_SIZE);
    setInstant(this.#view, this.#length, value);
    this.#length += TIME_SIZE;
    return this;
  }
  /** A u32 length, then the bytes. */
  bytes(value: Uint8Array): this {
    this.u32(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
    return this;
  }

  /** What was written so far, in memory that the next record uses again. */
  view(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }
  reset(): this {
    this.#length = 0;
    return this;
  }

  #reserve(count: number): void {
    const needed = this.#length + count;
    if (needed <= this.#bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
    grown.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = grown;
    this.#view = new DataView(grown.buffer);
  }
}

/** Reads fields; throws LOG_DAMAGED where they do not fit. */
export class RecordReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length;
  }

  u8(): number {
    return this.#bytes[this.#advance(1)] as number;
  }
  u32(): number {
    return this.#view.getUint32(this.#advance(4), true);
  }
  u64(): number {
    const value = getU64(this.#view, this.#advance(8));
    if (value > Number.MAX_SAFE_INTEGER) throw damaged('a number over 2^53 - 1');
    return value;
  }
  time(): Instant {
    const time = getInstant(this.#view, this.#advance(TIME_SIZE));
    const isTime = Number.isSafeInteger(time.seconds) && time.nanoseconds < 1e9;
    if (!isTime) throw damaged('a time out of range');
    return time;
  }
  flag(): boolean {
    const value = this.u8();
    if (value > 1) throw damaged('a flag that is neither yes nor no');
    return value === 1;
  }
  /** UTF-8, as `bytes`. */
  text(): string {
    try {
      return decoder.decode(this.bytes().slice());
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw damaged('a text that is none');
    }
  }
  /** A copy is not made: the bytes are the record's. */
  bytes(): Uint8Array {
    const length = this.u32();
    const at = this.#advance(length);
    return this.#bytes.subarray(at, at + length);
  }

  #advance(count: number): number {
    const at = this.#at;
    if (at + count > this.#bytes.length) throw damaged('a field beyond the end');
    this.#at = at + count;
    return at;
  }
}

function damaged(what: string): StorageError {
  return new StorageError('LOG_DAMAGED', `a log record's body has ${what}`);
}
