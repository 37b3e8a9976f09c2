// Node's encodings without Buffer: text from bytes and bytes from text. Rules are Node's: bad UTF-8
// becomes U+FFFD, a byte order mark stays, hex stops at the first bad pair, base64 takes both
// alphabets and skips what is in neither.

export type Encoding =
  | 'utf8'
  | 'utf-8'
  | 'utf16le'
  | 'utf-16le'
  | 'ucs2'
  | 'ucs-2'
  | 'latin1'
  | 'binary'
  | 'ascii'
  | 'hex'
  | 'base64'
  | 'base64url';

type Codec = 'utf8' | 'utf16le' | 'latin1' | 'ascii' | 'hex' | 'base64' | 'base64url';

const CODECS: Readonly<Record<string, Codec>> = {
  utf8: 'utf8',
  'utf-8': 'utf8',
  utf16le: 'utf16le',
  'utf-16le': 'utf16le',
  ucs2: 'utf16le',
  'ucs-2': 'utf16le',
  latin1: 'latin1',
  binary: 'latin1',
  ascii: 'ascii',
  hex: 'hex',
  base64: 'base64',
  base64url: 'base64url',
};

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const BASE64URL = `${BASE64.slice(0, 62)}-_`;
/** Code units given to String.fromCharCode at once. */
const CHUNK_UNITS = 8192;

const encoder = new TextEncoder();
const utf8Decoder = new TextDecoder('utf-8', { ignoreBOM: true });

export function isEncoding(name: unknown): name is Encoding {
  return typeof name === 'string' && codecOf(name) !== undefined;
}

function codecOf(name: string): Codec | undefined {
  const known = Object.hasOwn(CODECS, name) ? name : name.toLowerCase();
  return Object.hasOwn(CODECS, known) ? CODECS[known] : undefined;
}

/** Text of `bytes`. */
export function decode(bytes: Uint8Array, encoding: string): string {
  switch (codecOf(encoding)) {
    case 'utf16le':
      return unitsToText(bytes.length >>> 1, (index) => {
        const low = bytes[index * 2] as number;
        return low | ((bytes[index * 2 + 1] as number) << 8);
      });
    case 'latin1':
      return unitsToText(bytes.length, (index) => bytes[index] as number);
    case 'ascii':
      return unitsToText(bytes.length, (index) => (bytes[index] as number) & 0x7f);
    case 'hex':
      return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
    case 'base64':
      return toBase64(bytes, BASE64, '=');
    case 'base64url':
      return toBase64(bytes, BASE64URL, '');
    default:
      return utf8Decoder.decode(bytes);
  }
}

/** Bytes of `text`, in fresh memory. */
export function encode(text: string, encoding: string): Uint8Array {
  switch (codecOf(encoding)) {
    case 'utf16le': {
      const bytes = new Uint8Array(text.length * 2);
      for (let index = 0; index < text.length; index++) {
        const unit = text.charCodeAt(index);
        bytes[index * 2] = unit & 0xff;
        bytes[index * 2 + 1] = unit >>> 8;
      }
      return bytes;
    }
    case 'latin1':
    case 'ascii':
      return Uint8Array.from({ length: text.length }, (_, index) => text.charCodeAt(index) & 0xff);
    case 'hex':
      return fromHex(text);
    case 'base64':
    case 'base64url':
      return fromBase64(text);
    default:
      return encoder.encode(text);
  }
}

function unitsToText(count: number, unitAt: (index: number) => number): string {
  let text = '';
  for (let start = 0; start < count; start += CHUNK_UNITS) {
    const units = [];
    for (let index = start; index < Math.min(count, start + CHUNK_UNITS); index++) {
      units.push(unitAt(index));
    }
    text += String.fromCharCode(...units);
  }
  return text;
}

function fromHex(text: string): Uint8Array {
  const bytes = [];
  for (let index = 0; index + 1 < text.length; index += 2) {
    const pair = text.slice(index, index + 2);
    if (!/^[0-9a-f]{2}$/i.test(pair)) break;
    bytes.push(Number.parseInt(pair, 16));
  }
  return Uint8Array.from(bytes);
}

function toBase64(bytes: Uint8Array, alphabet: string, padding: string): string {
  let text = '';
  for (let index = 0; index < bytes.length; index += 3) {
    const left = bytes.length - index;
    const word =
      ((bytes[index] as number) << 16) | ((bytes[index + 1] ?? 0) << 8) | (bytes[index + 2] ?? 0);
    text += alphabet.charAt(word >>> 18) + alphabet.charAt((word >>> 12) & 63);
    text += left > 1 ? alphabet.charAt((word >>> 6) & 63) : padding;
    text += left > 2 ? alphabet.charAt(word & 63) : padding;
  }
  return text;
}

function fromBase64(text: string): Uint8Array {
  const bytes = [];
  let word = 0;
  let bits = 0;
  for (const character of text) {
    if (character === '=') break;
    let value = BASE64.indexOf(character);
    if (value < 0) value = BASE64URL.indexOf(character);
    if (value < 0) continue;
    word = (word << 6) | value;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes.push((word >>> bits) & 0xff);
    word &= (1 << bits) - 1;
  }
  return Uint8Array.from(bytes);
}
