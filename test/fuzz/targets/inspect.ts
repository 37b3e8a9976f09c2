// What inspects and scans: `wafer inspect` shows structures in whatever state, the scan at mount
// tells the end of the log from damage.

import { BLOCK_SIZE } from '../../../assembly/layout/block.ts';
import {
  FLUSH_HEADER_SIZE,
  FLUSH_MAGIC,
  LOG_HALVES,
  LOG_HALVES_OFFSET,
} from '../../../assembly/layout/log.ts';
import { runSync } from '../../../host/base/task.ts';
import type { LogMemory } from '../../../host/nvlog/log-memory.ts';
import { SEQUENCE_JUMP } from '../../../host/nvlog/scan.ts';
import { inspectBlock, inspectStructure } from '../../../host/volume/inspect/decode.ts';
import { FLUSH, RECORD, STRUCTURES } from '../../../host/volume/inspect/structures.ts';
import {
  append,
  create,
  logRootOf,
  newMemory,
  newNvram,
  openLog,
  rootOf,
} from '../../nvlog/world.ts';
import { joined } from '../mutate.ts';
import { ensure, placesOf, refused, type Target } from '../target.ts';
import { mendFlush } from './log.ts';
import { blocksOf } from './samples.ts';

const KINDS_MAX = 10;

const blocks: Target = {
  name: 'inspect',
  sources: ['volume/inspect/decode.js'],
  // The last byte says as what the rest is looked at.
  samples: () =>
    (
      [
        ['image root', 6],
        ['inode block', 3],
        ['indirect block', 2],
        ['directory block', 4],
        ['xattr block', 7],
        ['active map', 5],
        ['area table', 9],
        ['snapshot table', 8],
        ['data block', 1],
      ] as const
    ).flatMap(([region, kind]) =>
      blocksOf(region)
        .slice(0, 3)
        .map((block) => Uint8Array.from([...block, kind])),
    ),
  end: 400,
  lengthMax: BLOCK_SIZE + 1,
  decode(input) {
    const kind = (input.at(-1) ?? 0) % (KINDS_MAX + STRUCTURES.length + 1);
    const bytes = input.slice(0, -1);
    const structure = STRUCTURES[kind - KINDS_MAX - 1];
    const inspected =
      structure === undefined ? inspectBlock(kind, bytes) : inspectStructure(structure, bytes);
    const { fields, problems } = inspected;
    // Every byte has a name, and one only.
    let next = 0;
    for (const { offsetBytes, sizeBytes } of [...fields].sort(
      (a, b) => a.offsetBytes - b.offsetBytes,
    )) {
      ensure(offsetBytes === next || problems.length > 0, `a field begins at ${next}`);
      next = Math.max(next, offsetBytes + sizeBytes);
    }
    ensure(next <= bytes.length, 'no field goes beyond the bytes');
    JSON.stringify(inspected);
    if (problems.length > 0) throw refused(problems[0] as string);
    return inspected.structure;
  },
};

const FLUSH_BYTES = 8192;
const HALF_BYTES = 32_768;
const AREA_BYTES = LOG_HALVES_OFFSET + LOG_HALVES * HALF_BYTES;
const COPIES = 2;
/** The last record that the root contains. */
const CONTAINED = SEQUENCE_JUMP + 10;
const ROOT = rootOf(2, CONTAINED);

let memory: LogMemory | undefined;

/** Both copies of a log whose first half was recycled, one after the other. */
function filledLog(): Uint8Array {
  memory ??= newMemory(FLUSH_BYTES);
  const { nvrams, log } = create(COPIES, AREA_BYTES, memory);
  const put = (count: number) => {
    for (let record = 0; record < count; record++) {
      append(log, 100 + 300 * (record % 5));
      if (record % 3 === 2) log.flush().startSync();
    }
    log.flush().startSync();
  };
  put(10);
  log.switchHalf();
  put(4);
  log.rootCommitted(logRootOf(2, CONTAINED));
  put(9);
  return joined(
    nvrams.map((nvram) => {
      const bytes = new Uint8Array(AREA_BYTES);
      nvram.readSync(0, bytes);
      return bytes;
    }),
  );
}

/** Mends what looks like a flush, in each block. */
function mendArea(input: Uint8Array): void {
  for (let block = 0; block + BLOCK_SIZE <= input.length; block += BLOCK_SIZE) {
    const bytes = input.subarray(block, block + 2 * BLOCK_SIZE);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    if (view.getUint32(0, true) === FLUSH_MAGIC) mendFlush(bytes);
  }
}

const scan: Target = {
  name: 'log-scan',
  sources: ['nvlog/scan.js'],
  samples: () => [filledLog()],
  places: Array.from({ length: COPIES * 2 * 8 }, (_, block) => {
    const copy = block >> 4;
    const at = copy * AREA_BYTES + LOG_HALVES_OFFSET + (block & 15) * BLOCK_SIZE;
    return [...placesOf(FLUSH, at), ...placesOf(RECORD, at + FLUSH_HEADER_SIZE)];
  }).flat(),
  mend: mendArea,
  decode(input) {
    memory ??= newMemory(FLUSH_BYTES);
    const nvrams = Array.from({ length: COPIES }, (_, copy) => {
      const nvram = newNvram(AREA_BYTES);
      nvram.writeSync(0, [input.subarray(copy * AREA_BYTES, (copy + 1) * AREA_BYTES)]);
      return nvram;
    });
    const found = runSync(openLog(nvrams, memory).scan(ROOT));
    const { records, damage, sequenceLimit, cycleLimit, nextHalf } = found;
    records.forEach(({ sequence }, index) => {
      ensure(sequence === CONTAINED + 1 + index, 'records follow without a gap');
    });
    const last = CONTAINED + records.length;
    ensure(Number.isSafeInteger(cycleLimit) && cycleLimit > 0, 'cycles can be counted');
    ensure(Number.isSafeInteger(sequenceLimit) && sequenceLimit > last, 'numbers go on');
    ensure(nextHalf === 0 || nextHalf === 1, 'there are two halves');
    if (damage !== undefined) throw refused(damage.reason);
    return `${Math.min(records.length, 9)} records`;
  },
  weight: 5,
};

export const INSPECT_TARGETS: readonly Target[] = [blocks, scan];
