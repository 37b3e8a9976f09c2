// The arena: one WebAssembly memory that holds every block frame. Its size is fixed when it is
// made, so that views on it never go stale. Areas with a fixed use are reserved from its start
// while the volume is put together; the rest, block by block, is the buffer cache's frames, whose
// bytes are undefined until they are filled.

import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import { zeroBytes } from '../base/bytes.ts';
import type { Address } from '../base/units.ts';

export class Arena {
  readonly memory: WebAssembly.Memory;
  readonly sizeBytes: number;
  readonly u8: Uint8Array;
  readonly u16: Uint16Array;
  readonly u32: Uint32Array;
  readonly view: DataView;
  /** The first WebAssembly page is left alone: address 0 means "none". */
  #next = 65536;
  #isSealed = false;

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory;
    this.sizeBytes = memory.buffer.byteLength;
    this.u8 = new Uint8Array(memory.buffer);
    this.u16 = new Uint16Array(memory.buffer);
    this.u32 = new Uint32Array(memory.buffer);
    this.view = new DataView(memory.buffer);
  }

  /** Takes `sizeBytes` zeroed bytes for good; only before `seal`. */
  reserve(sizeBytes: number, alignment = 16): Address {
    assert(!this.#isSealed, 'arena is not sealed');
    const address = Math.ceil(this.#next / alignment) * alignment;
    const end = address + sizeBytes;
    assert(end <= this.sizeBytes, 'arena has room', end, this.sizeBytes);
    this.#next = address + sizeBytes;
    // The memory may have been another arena's.
    zeroBytes(this.u8, address, end);
    return address;
  }

  /** Ends reservation; what is left becomes frames of BLOCK_SIZE bytes. */
  seal(): { first: Address; count: number } {
    this.#isSealed = true;
    const first = Math.ceil(this.#next / BLOCK_SIZE) * BLOCK_SIZE;
    return { first, count: Math.floor((this.sizeBytes - first) / BLOCK_SIZE) };
  }

  /** The bytes at an address, without copying. */
  bytes(address: Address, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, length);
  }
}
