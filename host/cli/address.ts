// VOLUME[@name]:/path: the first ":/" after the second character splits (so that a
// drive letter is none), the last "@" before it begins the name of a snapshot or clone. An "@" in a
// directory on the way to the volume is part of that, since names hold no '/'.

import { StorageError } from '../base/errors.ts';

/** Of snapshots and clones. */
export const NAME_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$/;

/** A file in a volume. */
export interface Address {
  readonly volume: string;
  /** A snapshot or clone; undefined: the active file system. */
  readonly name: string | undefined;
  /** Begins with '/'. */
  readonly path: string;
}

export function parseAddress(text: string): Address {
  const colon = text.indexOf(':/', 2);
  if (colon < 0) {
    throw usage(`'${text}' names no path in a volume`, `write it as ${text || 'VOLUME'}:/path`);
  }
  const path = text.slice(colon + 1);
  if (path.includes('\0')) throw usage('a path with a NUL character', 'leave it out');
  const before = text.slice(0, colon);
  const at = before.lastIndexOf('@');
  if (at < 0 || /[/\\]/.test(before.slice(at))) return { volume: before, name: undefined, path };
  const name = before.slice(at + 1);
  if (at === 0) throw usage(`'${text}' names no volume`, 'write it as VOLUME@name:/path');
  return { volume: before.slice(0, at), name: checkName(name), path };
}

/** `name`, if it can be one of a snapshot or clone; else INVALID_ARGUMENT. */
export function checkName(name: string): string {
  if (NAME_PATTERN.test(name)) return name;
  throw usage(
    `'${name}' is no name for a snapshot`,
    'use up to 255 of A-Z a-z 0-9 . _ - and begin with a letter or digit',
  );
}

/** The last component; undefined for what has none of its own: '/', '.', '..' and 'x/.'. */
export function lastName(path: string): string | undefined {
  const name = path.replace(/\/+$/, '').split('/').at(-1) ?? '';
  return name === '' || name === '.' || name === '..' ? undefined : name;
}

export function formatAddress(address: Address): string {
  const name = address.name === undefined ? '' : `@${address.name}`;
  return `${address.volume}${name}:${address.path}`;
}

function usage(message: string, hint: string): StorageError {
  return new StorageError('INVALID_ARGUMENT', message, { hint });
}
