// Names between text and UTF-8. Nearly all of them are short and ASCII, for which a loop is faster
// than the platform's encoder and decoder, whose calls cost more than their work.

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Longer names are left to the platform. */
const SHORT_NAME_MAX = 64;

/** A name as UTF-8. */
export function encodeName(name: string): Uint8Array {
  if (name.length > SHORT_NAME_MAX) return encoder.encode(name);
  const bytes = new Uint8Array(name.length);
  for (let at = 0; at < name.length; at++) {
    const code = name.charCodeAt(at);
    if (code > 0x7f) return encoder.encode(name);
    bytes[at] = code;
  }
  return bytes;
}

/** The name whose `length` bytes lie at `first`. */
export function decodeName(u8: Uint8Array, first: number, length: number): string {
  const end = first + length;
  let bits = length > SHORT_NAME_MAX ? 0x80 : 0;
  for (let at = first; at < end && bits < 0x80; at++) bits |= u8[at] as number;
  // A copy: the memory may be shared, which browsers do not decode from.
  if (bits >= 0x80) return decoder.decode(u8.slice(first, end));
  let at = first;
  let text = '';
  for (; at + 8 <= end; at += 8) text += letters(u8, at, 8);
  return at === end ? text : text + letters(u8, at, end - at);
}

/** One to eight letters, with a single call of the platform: each costs as much as its letters. */
function letters(u8: Uint8Array, at: number, count: number): string {
  const { fromCharCode } = String;
  const a = u8[at] as number;
  const b = u8[at + 1] as number;
  const c = u8[at + 2] as number;
  const d = u8[at + 3] as number;
  const e = u8[at + 4] as number;
  const f = u8[at + 5] as number;
  const g = u8[at + 6] as number;
  switch (count) {
    case 1:
      return fromCharCode(a);
    case 2:
      return fromCharCode(a, b);
    case 3:
      return fromCharCode(a, b, c);
    case 4:
      return fromCharCode(a, b, c, d);
    case 5:
      return fromCharCode(a, b, c, d, e);
    case 6:
      return fromCharCode(a, b, c, d, e, f);
    case 7:
      return fromCharCode(a, b, c, d, e, f, g);
    default:
      return fromCharCode(a, b, c, d, e, f, g, u8[at + 7] as number);
  }
}
