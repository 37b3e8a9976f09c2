// The only file of the portable core that names Buffer and Date. Both are captured once, when the
// module loads. Buffer is used where the host has it, so that programs written for node:fs find the
// methods that they expect on what they read. Date is used to make dates from given milliseconds,
// never to ask what time it is.

interface BufferMaker {
  from(memory: ArrayBufferLike, offset: number, length: number): Uint8Array;
}

const HostBuffer = (globalThis as { Buffer?: BufferMaker }).Buffer;
const HostDate = globalThis.Date;

/** The same memory as a Buffer, where the host has that class. */
export const asHostBytes: (bytes: Uint8Array) => Uint8Array =
  HostBuffer === undefined
    ? (bytes) => bytes
    : (bytes) => HostBuffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function dateFromMs(ms: number): Date {
  return new HostDate(Math.round(ms));
}
