// Reads the tables of FORMAT.md and compares them with the layout constants, in both directions.
//
// A structure's heading names its constants' prefix and its size: "### Inode (`INODE`, 256 bytes:
// `INODE_SIZE`)", or "(`XATTR`, any size)" where it varies. Below it stands a table whose rows are
// fields; tables of constants may stand anywhere.

import type { Finding } from './source-tree.ts';

export type Constants = Readonly<Record<string, number>>;

/** Sizes of the types that tables use; of those missing here any size is right. */
const TYPE_SIZES: Readonly<Record<string, number>> = {
  u8: 1,
  u16: 2,
  u32: 4,
  u64: 8,
  i64: 8,
  pointer: 16,
  uuid: 16,
  time: 12,
  inode: 256,
  member: 64,
  range: 32,
  record: 16,
  image: 64,
};
const ANY_SIZE = ['bytes', 'zero'];

const HEADING = /^### .* \(`([A-Z0-9_]+)`, (?:(\d+) bytes: `([A-Z0-9_]+)`|any size)\)$/;
const FIELD_HEADER = '| offset | size | name | type | meaning |';
const CONSTANT_HEADER = '| constant | value | meaning |';

interface Structure {
  readonly line: number;
  readonly prefix: string;
  /** undefined: any size. */
  readonly sizeBytes: number | undefined;
}

class Checker {
  readonly findings: Finding[] = [];
  readonly #constants: Constants;
  /** Constants found, by name: the line that has them. */
  readonly #seen = new Map<string, number>();
  #structure: Structure | undefined;
  /** Where the next field must begin; undefined where that is not known. */
  #end: number | undefined;

  constructor(constants: Constants) {
    this.#constants = constants;
  }

  complain(line: number, why: string): void {
    this.findings.push(`FORMAT.md:${line}: ${why}`);
  }

  /** A constant stands in the document: once, and with its value. */
  compare(line: number, name: string, value: number): void {
    const actual = this.#constants[name];
    const before = this.#seen.get(name);
    if (actual === undefined) this.complain(line, `${name} is no layout constant`);
    else if (actual !== value) this.complain(line, `${name} is ${actual}, not ${value}`);
    if (before !== undefined) this.complain(line, `${name} stands in line ${before} already`);
    this.#seen.set(name, line);
  }

  heading(line: number, [, prefix, size, sizeName]: RegExpExecArray): void {
    const sizeBytes = size === undefined ? undefined : Number(size);
    this.#structure = { line, prefix: prefix as string, sizeBytes };
    if (sizeName === undefined || sizeBytes === undefined) return;
    // Several structures are one block long.
    if (sizeName !== 'BLOCK_SIZE') this.compare(line, sizeName, sizeBytes);
    else if (this.#constants.BLOCK_SIZE !== sizeBytes) this.complain(line, 'is not one block');
  }

  fieldsBegin(line: number): void {
    if (this.#structure === undefined) this.complain(line, 'fields without a heading');
    this.#end = this.#structure?.sizeBytes === undefined ? undefined : 0;
  }

  field(line: number, cells: readonly string[]): void {
    const [offset, size, name, type] = cells as [string, string, string, string];
    const offsetBytes = /^\d+$/.test(offset) ? Number(offset) : undefined;
    const sizeBytes = /^\d+$/.test(size) ? Number(size) : undefined;
    if (this.#end !== undefined && offsetBytes !== this.#end) {
      this.complain(line, `${name} begins at ${offset}, the field before ends at ${this.#end}`);
    }
    const isKnown = offsetBytes !== undefined && sizeBytes !== undefined;
    this.#end = isKnown ? offsetBytes + sizeBytes : undefined;
    this.#fieldType(line, type, sizeBytes);
    if (name.startsWith('(')) return;
    const constant = name.toUpperCase().replaceAll('-', '_');
    this.compare(line, `${this.#structure?.prefix}_${constant}_OFFSET`, offsetBytes ?? Number.NaN);
  }

  #fieldType(line: number, type: string, sizeBytes: number | undefined): void {
    if (ANY_SIZE.includes(type) || sizeBytes === undefined) return;
    const [unit, count] = type.split(' × ') as [string, string | undefined];
    const unitBytes = TYPE_SIZES[unit];
    if (unitBytes === undefined) this.complain(line, `the type ${type} is unknown`);
    else if (unitBytes * Number(count ?? 1) !== sizeBytes) {
      this.complain(line, `${type} does not take ${sizeBytes} bytes`);
    }
  }

  fieldsEnd(line: number): void {
    const { prefix, sizeBytes } = this.#structure ?? {};
    if (sizeBytes !== undefined && this.#end !== sizeBytes) {
      this.complain(line, `${prefix} ends at ${this.#end}, its size is ${sizeBytes}`);
    }
    this.#structure = undefined;
  }

  constant(line: number, cells: readonly string[]): void {
    const [name, value] = cells as [string, string];
    this.compare(line, name.replaceAll('`', ''), Number(value));
  }

  end(): void {
    for (const name of Object.keys(this.#constants)) {
      if (!this.#seen.has(name)) this.complain(1, `${name} is not documented`);
    }
  }
}

type Table = 'none' | 'fields' | 'constants' | 'other';

/** What is wrong with `document` (FORMAT.md's text), given all layout constants. */
export function checkFormatDocument(document: string, constants: Constants): Finding[] {
  const checker = new Checker(constants);
  let table = 'none' as Table;
  document.split('\n').forEach((text, index) => {
    const line = index + 1;
    const heading = HEADING.exec(text);
    if (heading !== null) checker.heading(line, heading);
    else if (text.startsWith('### ') && text.includes('`')) checker.complain(line, 'bad heading');
    if (!text.startsWith('|')) {
      if (table === 'fields') checker.fieldsEnd(index);
      table = 'none';
    } else if (table === 'none') {
      table = text === FIELD_HEADER ? 'fields' : text === CONSTANT_HEADER ? 'constants' : 'other';
      if (table === 'fields') checker.fieldsBegin(line);
    } else if (!text.startsWith('| -')) {
      const cells = text
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim());
      if (table === 'fields') checker.field(line, cells);
      if (table === 'constants') checker.constant(line, cells);
    }
  });
  if (table === 'fields') checker.fieldsEnd(document.split('\n').length);
  checker.end();
  return checker.findings;
}
