// The golden volume opens, replays its log and is sound; inspect names every byte of every
// structure in it, as FORMAT.md does. A volume that was written once must be readable for ever, and
// what the document says of its bytes must be what they are.

import { readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE, KIND_AREAS } from '../../assembly/layout/block.ts';
import { isEqualBytes } from '../../host/base/bytes.ts';
import { fillRandom, SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import { ImageOperations } from '../../host/filesystem/image-operations.ts';
import { SnapshotOperations } from '../../host/filesystem/snapshot-operations.ts';
import { verify } from '../../host/filesystem/verify/verify.ts';
import {
  DIRECTORY,
  DIRECTORY_CHILD,
  DIRECTORY_LEAF,
  FLUSH,
  IMAGE_ROOT,
  INODE,
  JOURNAL,
  LABEL,
  LOG,
  POINTER,
  RECORD,
  SNAPSHOT,
  STRUCTURES,
  type Structure,
  VOLUME_ROOT,
  XATTR,
} from '../../host/volume/inspect/structures.ts';
import {
  type Inspected,
  type InspectedStructure,
  type InspectOptions,
  inspectBlock,
  inspectStructure,
  inspectVolume,
} from '../../host/volume/inspect.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';
import { type Request, Session } from '../oracle/workload.ts';
import {
  type GoldenDevices,
  makeGolden,
  openGolden,
  packGolden,
  readGolden,
} from './golden-volume.ts';

const test = suite('golden volume');

async function inspectAll(
  { disks, nvram }: GoldenDevices,
  options: InspectOptions = { all: true },
): Promise<InspectedStructure[]> {
  const found: InspectedStructure[] = [];
  for await (const one of inspectVolume({ disks, logs: [nvram] }, options)) found.push(one);
  return found;
}

/** Everything in the golden volume. */
const everything = inspectAll(readGolden());

// The volume.

test('opens, brings back what its log has, and is sound', () => {
  const engine = openGolden(readGolden());
  assert.is(engine.replay.appliedCount, 3);
  assert.equal(engine.warnings, []);
  const report = runSync(verify(engine.fs));
  assert.equal(report.problems, []);
  assert.is(report.snapshotCount, 2);
  assert.is(report.directoryCount, 4);
  assert.is(report.symlinkCount, 1);
});

test('has the files that were written, and the snapshots theirs', () => {
  const { fs } = openGolden(readGolden());
  const snapshots = new SnapshotOperations(fs);
  const { id, holds } = snapshots.get('first');
  const active = new Session(new ImageOperations(fs, () => fs.core.image, false));
  const first = new Session(new ImageOperations(fs, () => snapshots.image(id), true));
  const model = new Session(new ModelFileSystem());
  const options = { read: true, write: true, create: true, mode: 0o644 };
  const expected = (length: number, seed: number) => {
    const path = `/${length}-${seed}`;
    model.apply({ op: 'writeFile', path, data: { length, seed }, options }).driveSync();
    return model.apply(readOf(path)).driveSync();
  };
  assert.is(holds, 1);
  assert.equal(active.apply(readOf('/few/small')).driveSync(), expected(9000, 5));
  assert.equal(first.apply(readOf('/few/small')).driveSync(), expected(9000, 2));
  assert.equal(active.apply(readOf('/few/inline')).driveSync(), expected(60, 1));
  assert.equal(active.apply(readOf('/few/logged')).driveSync(), expected(5000, 6));
  const link = active.apply({ op: 'readlink', path: '/few/link' }).driveSync();
  assert.ok('value' in link && link.value.includes('few/small'));
  assert.ok('error' in first.apply(readOf('/few/logged')).driveSync());
});

function readOf(path: string): Request {
  return { op: 'readFile', where: { path, followLast: true } };
}

test('the same workload with the same seed makes the same bytes', () => {
  assert.ok(isEqualBytes(packGolden(makeGolden()), packGolden(makeGolden())));
});

// Inspect.

const SIZES: Readonly<Record<string, number>> = {
  'front-zeros': 6 * BLOCK_SIZE,
  'volume-root': VOLUME_ROOT.sizeBytes,
};

test('every byte of every structure has one name, and nothing is wrong', async () => {
  const found = await everything;
  for (const { structure, fields, problems, file, offsetBytes } of found) {
    const where = `${structure} in ${file} at ${offsetBytes}`;
    assert.equal(problems, [], where);
    let end = 0;
    for (const field of [...fields].sort((a, b) => a.offsetBytes - b.offsetBytes)) {
      assert.is(field.offsetBytes, end, `${where}: ${field.name}`);
      end += field.sizeBytes;
    }
    const size = SIZES[structure] ?? BLOCK_SIZE;
    if (!isInFlush(structure)) assert.is(end, size, where);
  }
  // A flush's parts follow each other without a gap, up to whole blocks.
  let end = 0;
  for (const { structure, offsetBytes, fields } of found) {
    if (!isInFlush(structure)) continue;
    if (structure === 'flush-header') assert.is(end % BLOCK_SIZE, 0);
    else assert.is(offsetBytes, end);
    end = offsetBytes + fields.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  }
  assert.is(end % BLOCK_SIZE, 0);
});

function isInFlush(structure: string): boolean {
  return /^(flush-header|record-header|flush-padding)$/.test(structure);
}

interface Row {
  readonly name: string;
  readonly offset: string;
  readonly size: string;
}

/** Tables of FORMAT.md by heading: "Label (`LABEL`" gives "LABEL". */
function formatTables(): Map<string, Row[]> {
  const text = readFileSync(new URL('../../../FORMAT.md', import.meta.url), 'utf8');
  const tables = new Map<string, Row[]>();
  let rows: Row[] = [];
  for (const line of text.split('\n')) {
    const heading = /^### (.*) \(`([A-Z0-9_]+)`, (.*)\)$/.exec(line);
    if (heading !== null) {
      const [, title, prefix, size] = heading as unknown as [string, string, string, string];
      rows = [];
      tables.set(size === 'any size' ? title : prefix, rows);
    }
    const cells = line.split('|').map((cell) => cell.trim());
    const [, offset, size, name] = cells as [string, string, string, string];
    if (cells.length === 7 && /^\d+$/.test(offset) && !name.startsWith('(')) {
      rows.push({ name: camel(name), offset, size });
    }
  }
  return tables;
}

function camel(name: string): string {
  return name.replace(/-([a-z0-9])/g, (_all, letter: string) => letter.toUpperCase());
}

test('its tables are those of FORMAT.md', () => {
  const tables = formatTables();
  for (const { prefix, fields } of STRUCTURES) {
    const rows = tables.get(prefix);
    tables.delete(prefix);
    const ours = fields.map(({ name, offsetBytes, sizeBytes }) => {
      return { name, offset: String(offsetBytes), size: String(sizeBytes) };
    });
    assert.equal(ours, rows, prefix);
  }
  // What has no fixed place is decoded by code: see the next test.
  assert.equal([...tables.keys()], VARIABLE);
});

const VARIABLE = ['Name in the heap', 'Text of a name', 'Attribute', 'Log area'];

/** Structures by the name of what inspect gives, and where in it. */
const TOP: Readonly<Record<string, Structure>> = {
  label: LABEL,
  'volume-root': VOLUME_ROOT,
  'journal-header': JOURNAL,
  'image-root': IMAGE_ROOT,
  'directory-node': DIRECTORY,
  'xattr-block': XATTR,
  'log-header': LOG,
  'flush-header': FLUSH,
  'record-header': RECORD,
};
const IN_TABLES: Readonly<Record<string, Structure>> = {
  'inode-block': INODE,
  'indirect-block': POINTER,
  'snapshot-block': SNAPSHOT,
};

test('every structure and field of FORMAT.md is produced', async () => {
  const produced = new Set<string>();
  for (const { structure, fields } of await everything) {
    const names = fields.map(({ name }) => name);
    const top = TOP[structure];
    const inTable = IN_TABLES[structure];
    if (top !== undefined) attribute(produced, top, names);
    if (inTable !== undefined) attribute(produced, inTable, names.map(afterIndex));
    if (structure === 'directory-node') {
      const slots = names.filter((name) => name.startsWith('slots[')).map(afterIndex);
      attribute(produced, slots.includes('fbn') ? DIRECTORY_CHILD : DIRECTORY_LEAF, slots);
      for (const name of names)
        if (name.startsWith('names[')) produced.add(`heap.${afterIndex(name)}`);
      if (slots.length > 0) produced.add('DIRECTORY.slots');
    }
    if (structure === 'xattr-block') {
      for (const name of names) {
        if (name.startsWith('entries[')) produced.add(`attribute.${afterIndex(name)}`);
      }
      produced.add('XATTR.entries');
    }
    produced.add(structure);
  }
  for (const { prefix, fields } of STRUCTURES) {
    for (const { name } of fields)
      assert.ok(produced.has(`${prefix}.${name}`), `${prefix}.${name}`);
  }
  const others = ['heap.kind', 'heap.length', 'heap.name'];
  for (const name of ['nameLength', 'valueLength', 'name', 'value'])
    others.push(`attribute.${name}`);
  for (const block of ['map-block', 'area-block', 'front-zeros']) others.push(block);
  for (const name of others) assert.ok(produced.has(name), name);
});

function afterIndex(name: string): string {
  return name.replace(/^[a-z]+\[[0-9]+\]\./i, '');
}

/** Notes which fields of a structure, and of those within it, some names are. */
function attribute(produced: Set<string>, structure: Structure, names: readonly string[]): void {
  for (const { name, type, isTable } of structure.fields) {
    if (typeof type === 'string') {
      if (names.includes(name)) produced.add(`${structure.prefix}.${name}`);
      continue;
    }
    const pattern = new RegExp(isTable ? `^${name}\\[\\d+\\]\\.(.*)$` : `^${name}\\.(.*)$`);
    const inner = names.map((one) => pattern.exec(one)?.[1]).filter((one) => one !== undefined);
    const isThere = inner.length > 0 || names.some((one) => one.startsWith(`${name}[`));
    if (isThere) produced.add(`${structure.prefix}.${name}`);
    attribute(produced, type, inner);
  }
}

test('a directory has interior, free and leaf nodes', async () => {
  const levels = new Set<unknown>();
  for (const { structure, fields } of await everything) {
    if (structure !== 'directory-node') continue;
    levels.add(fields.find(({ name }) => name === 'level')?.value);
  }
  assert.equal([...levels].sort(), [0, 1, 255]);
});

test('one block, one inode, and the fronts alone', async () => {
  const devices = readGolden();
  const all = await everything;
  const node = all.find(({ structure }) => structure === 'directory-node') as InspectedStructure;
  assert.equal(await inspectAll(devices, { vbn: node.vbn as number }), [node]);
  const [root, ...others] = await inspectAll(devices, { ino: 1 });
  assert.equal(others, []);
  assert.is(root?.structure, 'inode');
  assert.is(root?.fields.find(({ name }) => name === 'mode')?.value, 0o40755);
  const fronts = await inspectAll(devices, {});
  assert.ok(
    fronts.every(({ vbn, structure }) => vbn === undefined && structure !== 'flush-header'),
  );
  assert.equal(await inspectAll(devices, { ino: 1_000_000 }), []);
});

test('one disk alone, and the log alone', async () => {
  const { disks, nvram } = readGolden();
  const kinds: Set<string>[] = [];
  for (const disk of disks) {
    const found = new Set<string>();
    for await (const { structure } of inspectVolume({ disks: [disk], logs: [] }, { all: true })) {
      found.add(structure);
    }
    kinds.push(found);
  }
  assert.ok(kinds.every((found) => found.has('label') && found.has('volume-root')));
  // What is on the others cannot be followed.
  assert.ok(kinds.some((found) => found.has('image-root') || found.has('snapshot-block')));
  const records: string[] = [];
  for await (const one of inspectVolume({ disks: [], logs: [nvram] }, { log: true })) {
    if (one.structure === 'record-header') {
      records.push(String(one.fields.find(({ name }) => name === 'body')?.value));
    }
  }
  assert.ok(records.some((body) => body.includes('"kind":"rename"')));
});

test('damage is shown, not thrown', async () => {
  const { disks, nvram } = readGolden();
  const [disk] = disks;
  const block = new Uint8Array(BLOCK_SIZE);
  disk?.readSync(0, [block]);
  block[200] = 9;
  disk?.writeSync(0, [block]);
  const found = await inspectAll({ disks, nvram }, {});
  const label = found.find(({ structure }) => structure === 'label');
  assert.equal(label?.problems.length, 2);
  assert.ok(label?.problems.some((problem) => problem.includes('reserved1')));
  assert.ok(label?.problems.some((problem) => problem.includes('BAD_CHECKSUM')));
});

test('whatever the bytes are, each has a name', () => {
  const seed = Number(process.env['SEED'] ?? 7);
  console.log(`seed ${seed}`);
  const prng = new SeededPrng(seed);
  const check = ({ fields, structure }: Inspected, size: number) => {
    let end = 0;
    for (const field of [...fields].sort((a, b) => a.offsetBytes - b.offsetBytes)) {
      assert.is(field.offsetBytes, end, `${structure} ${field.name}`);
      end += field.sizeBytes;
    }
    assert.is(end, size, structure);
  };
  const bytes = new Uint8Array(2 * BLOCK_SIZE);
  for (let round = 0; round < 300; round++) {
    fillRandom(prng, bytes);
    // Mostly small numbers: more of them can be.
    if (round % 2 === 0) for (let at = 0; at < bytes.length; at++) if (at % 3 !== 0) bytes[at] = 0;
    for (let kind = 0; kind <= KIND_AREAS + 1; kind++) {
      check(inspectBlock(kind, bytes.subarray(0, BLOCK_SIZE)), BLOCK_SIZE);
    }
    for (const structure of STRUCTURES)
      check(inspectStructure(structure, bytes), structure.sizeBytes);
    check(inspectStructure(LABEL, bytes.subarray(0, round)), round);
  }
});

test.run();
