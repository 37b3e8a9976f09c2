// An entry of a directory, as readdir({ withFileTypes: true }) and opendir give it.

import type { FileKind } from '../filesystem/operations.ts';

export class Dirent<Name extends string | Uint8Array = string> {
  readonly name: Name;
  /** The directory, as it was named to the call. */
  readonly parentPath: string;
  /** The same, under its older name. */
  readonly path: string;
  readonly #kind: FileKind;

  constructor(name: Name, kind: FileKind, parentPath: string) {
    this.name = name;
    this.parentPath = parentPath;
    this.path = parentPath;
    this.#kind = kind;
  }

  isFile(): boolean {
    return this.#kind === 'file';
  }

  isDirectory(): boolean {
    return this.#kind === 'directory';
  }

  isSymbolicLink(): boolean {
    return this.#kind === 'symlink';
  }

  isBlockDevice(): boolean {
    return false;
  }

  isCharacterDevice(): boolean {
    return false;
  }

  isFIFO(): boolean {
    return false;
  }

  isSocket(): boolean {
    return false;
  }
}
