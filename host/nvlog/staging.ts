// A staging buffer: one flush in the making. Records are put behind the space of its header; when
// it is flushed the header is added, and from then until the last write from it has ended (also
// one that a sync call has overtaken, ENGINE 5) its bytes stay as they are.

import { FLUSH_HEADER_SIZE, RECORD_HEADER_SIZE } from '../../assembly/layout/log.ts';
import { assert } from '../base/assert.ts';
import type { Address } from '../base/units.ts';
import type { FlushHeader } from '../format/log.ts';
import { encodeFlush, encodeRecord, flushBytesOf, recordBytesOf } from '../format/log.ts';
import type { LogMemory } from './log-memory.ts';

/** A body as parts to be put one after the other, or written in place: `write` is given the address
 *  and room, and returns how many bytes it has put there. */
export type LogBody = readonly Uint8Array[] | ((address: Address, bytesMax: number) => number);

export class StagingBuffer {
  readonly #memory: LogMemory;
  readonly #address: Address;
  recordBytes = 0;
  recordCount = 0;
  /** Of the first record; the others follow without a gap. */
  firstSequence = 0;
  /** Writes from this buffer whose completion was not seen. */
  inFlight = 0;

  constructor(memory: LogMemory, address: Address) {
    this.#memory = memory;
    this.#address = address;
  }

  get lastSequence(): number {
    return this.firstSequence + this.recordCount - 1;
  }

  /** Bytes that a flush would take now. */
  get flushBytes(): number {
    return this.recordCount === 0 ? 0 : flushBytesOf(this.recordBytes);
  }

  clear(): void {
    assert(this.inFlight === 0, 'no write from the buffer is under way', this.inFlight);
    this.recordBytes = 0;
    this.recordCount = 0;
  }

  /** Adds a record; its body takes `bodyBytesMax` at most. */
  append(sequence: number, kind: number, flags: number, body: LogBody, bodyBytesMax: number): void {
    const used = FLUSH_HEADER_SIZE + this.recordBytes;
    const end = used + recordBytesOf(bodyBytesMax);
    assert(end <= this.#memory.flushBytesMax, 'the record fits', end, this.#memory.flushBytesMax);
    if (this.recordCount === 0) this.firstSequence = sequence;
    assert(sequence === this.lastSequence + 1, 'records follow', sequence);
    const at = this.#address + used;
    const bodyBytes = this.#putBody(at + RECORD_HEADER_SIZE, body, bodyBytesMax);
    this.recordBytes += encodeRecord(this.#memory, at, sequence, kind, flags, bodyBytes);
    this.recordCount++;
  }

  /** Adds the flush header. */
  seal(header: Omit<FlushHeader, 'recordCount' | 'recordBytes' | 'firstSequence'>): Uint8Array {
    const { recordCount, recordBytes, firstSequence } = this;
    assert(recordCount > 0, 'a flush has records');
    assert(this.inFlight === 0, 'a buffer is sealed once', this.inFlight);
    const whole = { ...header, recordCount, recordBytes, firstSequence };
    const flushBytes = encodeFlush(this.#memory, this.#address, whole);
    return this.#memory.arena.bytes(this.#address, flushBytes);
  }

  #putBody(address: Address, body: LogBody, bodyBytesMax: number): number {
    if (typeof body === 'function') {
      const bodyBytes = body(address, bodyBytesMax);
      assert(bodyBytes <= bodyBytesMax, 'body is within its reservation', bodyBytes, bodyBytesMax);
      return bodyBytes;
    }
    const { u8 } = this.#memory.arena;
    let bodyBytes = 0;
    for (const part of body) bodyBytes += part.length;
    assert(bodyBytes <= bodyBytesMax, 'body is within its reservation', bodyBytes, bodyBytesMax);
    let at = address;
    for (const part of body) {
      u8.set(part, at);
      at += part.length;
    }
    return bodyBytes;
  }
}
