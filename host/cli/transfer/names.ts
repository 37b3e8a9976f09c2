// Names that come out of a volume or a stream are input from outside: a damaged or hostile one must
// not lead a transfer out of its target.

/** Whether `name` is a plain entry name: not empty, not '.' or '..', no '/', no NUL. */
export function isPlainName(name: string): boolean {
  return (
    name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0')
  );
}

/** For a message: control characters and what terminals act upon made visible. */
export function printableName(name: string): string {
  let text = '';
  for (const character of name) {
    const code = character.codePointAt(0) as number;
    const isControl = code < 0x20 || (code >= 0x7f && code < 0xa0) || isBidirectional(code);
    text += isControl ? `\\u{${code.toString(16)}}` : character;
  }
  return text;
}

/** Characters that reorder what is shown around them. */
function isBidirectional(code: number): boolean {
  return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}
