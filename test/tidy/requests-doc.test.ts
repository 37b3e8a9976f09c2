// The table of requests in FORMAT.md is what the codec of log records reads and writes: field for
// field, in order. A volume is read by that document when nothing else is left, and its log is part
// of it.

import { readFileSync } from 'node:fs';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { POINTER_SIZE } from '../../assembly/layout/block.ts';
import { decodeRequests, encodeRecord } from '../../host/filesystem/requests.ts';
import { setPointer } from '../../host/format/pointer.ts';
import { RecordWriter } from '../../host/format/record.ts';
import { ROOT } from './source-tree.ts';

interface Row {
  readonly kind: number;
  readonly name: string;
  readonly fields: readonly { readonly name: string; readonly type: string }[];
}

/** "is-open" is isOpen in the program. */
function camel(name: string): string {
  return name.replaceAll(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function readRows(): Row[] {
  const document = readFileSync(`${ROOT}FORMAT.md`, 'utf8').split('### Requests')[1] ?? '';
  return [...document.matchAll(/^\| (\d+) \| (\w+) \| (.+) \|$/gm)].map(([, kind, name, list]) => ({
    kind: Number(kind),
    name: name as string,
    fields: (list as string).split(', ').map((text) => {
      const [field, type] = text.split(' ') as [string, string];
      return { name: camel(field), type };
    }),
  }));
}

const rows = readRows();
const encoder = new TextEncoder();

function pointers(seed: number): Uint8Array {
  const bytes = new Uint8Array(2 * POINTER_SIZE);
  const view = new DataView(bytes.buffer);
  for (const index of [0, 1]) {
    const pointer = { vbn: 5000 + seed + index, kind: 1, checksumLow: seed, checksumHigh: index };
    setPointer(view, index * POINTER_SIZE, pointer);
  }
  return bytes;
}

/** Writes a field as the document has it; gives the value that must be read. */
function writeField(writer: RecordWriter, type: string, seed: number): unknown {
  switch (type) {
    case 'u32':
      writer.u32(0xfff0_0000 + seed);
      return 0xfff0_0000 + seed;
    case 'u64':
      writer.u64(2 ** 40 + seed);
      return 2 ** 40 + seed;
    case 'flag':
      writer.u8(seed % 2);
      return seed % 2 === 1;
    case 'time': {
      const time = { seconds: 1_700_000_000 + seed, nanoseconds: seed };
      writer.time(time);
      return time;
    }
    case 'bytes': {
      const bytes = Uint8Array.of(seed, 0, 255);
      writer.bytes(bytes);
      return bytes;
    }
    case 'text':
      writer.bytes(encoder.encode(`name-${seed}`));
      return `name-${seed}`;
    case 'pointers':
      writer.bytes(pointers(seed));
      return undefined;
    default:
      throw new Error(`FORMAT.md has a field of type ${type}`);
  }
}

test('kinds are 1, 2, 3 … and all that the codec knows', () => {
  const kinds = rows.map(({ kind }) => kind);
  assert.equal(
    kinds,
    kinds.map((_, index) => index + 1),
  );
  assert.throws(
    () => decodeRequests(Uint8Array.of(kinds.length + 1)),
    (error: Error) => /UNSUPPORTED_FEATURE/.test(error.message),
  );
});

for (const { kind, name, fields } of rows) {
  test(`${name} is read and written as the document says`, () => {
    for (const seed of [1, 2]) {
      const writer = new RecordWriter();
      writer.u8(kind);
      const values = fields.map(({ type }, index) => writeField(writer, type, seed + 10 * index));
      const body = writer.view().slice();
      const [request, ...others] = decodeRequests(body);
      assert.equal(others, []);
      const { kind: kindName, ...read } = request as unknown as Record<string, unknown>;
      assert.is(kindName, name);
      assert.equal(Object.keys(read).sort(), fields.map((field) => field.name).sort());
      fields.forEach((field, index) => {
        if (field.type !== 'pointers') assert.equal(read[field.name], values[index], field.name);
      });
      const parts = encodeRecord(new RecordWriter(), request === undefined ? [] : [request]);
      assert.equal(Uint8Array.from(parts.flatMap((part) => [...part])), body);
    }
  });
}
test.run();
