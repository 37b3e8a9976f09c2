// Errors of arguments, with the codes and texts of Node's: TypeError and RangeError with a `code`.
// Programs compare codes; people read the texts; the differential test holds both to node:fs.

function withCode<E extends Error>(error: E, code: string): E {
  // As Node does: the stack names the code, `name` stays plain.
  Object.defineProperty(error, 'code', { value: code, enumerable: true, writable: true });
  return error;
}

/** ERR_INVALID_ARG_TYPE. `expected` is the text after "must be". */
export function invalidType(name: string, expected: string, actual: unknown): TypeError {
  const text = `The ${subject(name)} must be ${expected}.${received(actual)}`;
  return withCode(new TypeError(text), 'ERR_INVALID_ARG_TYPE');
}

/** ERR_INVALID_ARG_VALUE. */
export function invalidValue(name: string, value: unknown, reason = 'is invalid'): TypeError {
  const kind = name.includes('.') ? 'property' : 'argument';
  const shown = inspect(value);
  const text = `The ${kind} '${name}' ${reason}. Received ${
    shown.length > 128 ? `${shown.slice(0, 128)}...` : shown
  }`;
  return withCode(new TypeError(text), 'ERR_INVALID_ARG_VALUE');
}

/** ERR_OUT_OF_RANGE. `range` is the text after "It must be". */
export function outOfRange(name: string, range: string, actual: unknown): RangeError {
  let shown = inspect(actual);
  if (typeof actual === 'number' && Number.isInteger(actual) && Math.abs(actual) > 2 ** 32) {
    shown = separated(String(actual));
  }
  if (typeof actual === 'bigint') {
    const isLarge = actual > 2n ** 32n || actual < -(2n ** 32n);
    shown = `${isLarge ? separated(String(actual)) : String(actual)}n`;
  }
  const text = `The value of "${name}" is out of range. It must be ${range}. Received ${shown}`;
  return withCode(new RangeError(text), 'ERR_OUT_OF_RANGE');
}

export function typeErrorWithCode(code: string, text: string): TypeError {
  return withCode(new TypeError(text), code);
}

export function errorWithCode(code: string, text: string): Error {
  return withCode(new Error(text), code);
}

/** What Node calls a SystemError: `context.message` is the text of `context.code`. */
export function systemError(
  code: string,
  text: string,
  context: { code: string; errno: number; message: string; syscall: string; path: string },
): Error {
  const error = errorWithCode(
    code,
    `${text}: ${context.syscall} returned ${context.code} (${context.message}) ${context.path}`,
  );
  error.name = 'SystemError';
  const { errno, syscall, path, message } = context;
  const info = { code: context.code, message, path, syscall, errno };
  return Object.assign(error, { info, errno, syscall, path });
}

export function abortError(cause: unknown): Error {
  const error = new Error('The operation was aborted', cause === undefined ? {} : { cause });
  error.name = 'AbortError';
  return withCode(error, 'ABORT_ERR');
}

function subject(name: string): string {
  if (name.endsWith(' argument')) return name;
  return `"${name}" ${name.includes('.') ? 'property' : 'argument'}`;
}

function received(value: unknown): string {
  if (value === null || value === undefined) return ` Received ${String(value)}`;
  if (typeof value === 'function') return ` Received function ${value.name}`;
  if (typeof value === 'object') {
    const maker = (value as { constructor?: { name?: string } }).constructor?.name;
    return maker ? ` Received an instance of ${maker}` : ` Received ${inspect(value)}`;
  }
  const shown = inspect(value);
  const cut = shown.length > 28 ? `${shown.slice(0, 25)}...` : shown;
  return ` Received type ${typeof value} (${cut})`;
}

/** Enough of util.inspect for what is usually passed by mistake. */
function inspect(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'bigint':
      return `${value}n`;
    case 'number':
      return Object.is(value, -0) ? '-0' : String(value);
    case 'function':
      return `[Function${value.name === '' ? ' (anonymous)' : `: ${value.name}`}]`;
    case 'object':
      return inspectObject(value);
    default:
      return String(value);
  }
}

function inspectObject(value: object | null): string {
  if (value === null) return 'null';
  const prefix = Array.isArray(value) ? '' : `${value.constructor?.name ?? 'Object'} `;
  if (Array.isArray(value)) {
    return value.length === 0 ? '[]' : `[ ${value.map(inspect).join(', ')} ]`;
  }
  if (ArrayBuffer.isView(value)) {
    const items = Array.from(value as Uint8Array);
    const name = prefix.trim();
    if (name === 'Buffer') return `<Buffer ${items.map(hexByte).join(' ')}>`;
    return `${name}(${items.length}) ${items.length === 0 ? '[]' : `[ ${items.join(', ')} ]`}`;
  }
  const properties = Object.entries(value).map(([key, item]) => `${key}: ${inspect(item)}`);
  const body = properties.length === 0 ? '{}' : `{ ${properties.join(', ')} }`;
  return prefix === 'Object ' ? body : prefix + body;
}

function hexByte(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

const ESCAPES: Readonly<Record<string, string>> = {
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\f': '\\f',
  '\r': '\\r',
  '\\': '\\\\',
};

function quote(text: string): string {
  const mark = ["'", '"', '`'].find((candidate) => !text.includes(candidate)) ?? "'";
  let body = '';
  for (const character of text) {
    const code = character.charCodeAt(0);
    const hex = code.toString(16).toUpperCase().padStart(2, '0');
    if (ESCAPES[character] !== undefined) body += ESCAPES[character];
    else if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) body += `\\x${hex}`;
    else if (character === mark) body += `\\${mark}`;
    else body += character;
  }
  return mark + body + mark;
}

/** 1234567 as 1_234_567. */
function separated(digits: string): string {
  return digits.replace(/\B(?=(\d{3})+$)/g, '_');
}
