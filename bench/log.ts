// The log against the device under it: records of 4 KiB, so many in flight at a time, committed in
// groups to a real file; beside it the same bytes by writev and fdatasync, and nothing else.
//
//   node dist/bench/log.js [--smoke]

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BLOCK_SIZE } from '../assembly/layout/block.ts';
import { SeededPrng } from '../host/base/prng.ts';
import { runSync } from '../host/base/task.ts';
import { MIB } from '../host/base/units.ts';
import { createKernels } from '../host/kernels/instantiate.ts';
import { FileNvram } from '../host/node/file-nvram.ts';
import { SharedFile } from '../host/node/shared-file.ts';
import { LogMemory } from '../host/nvlog/log-memory.ts';
import { NvLog } from '../host/nvlog/nv-log.ts';
import type { BenchCase, BenchGroup } from './harness.ts';
import { BENCH_SEED, benchSize, runSuite } from './harness.ts';
import { openRawLog } from './raw.ts';

const UUID = new Uint8Array(16);
const ZERO = { low: 0, high: 0 };
/** Groups that one run commits one after the other. */
const ROUNDS = 8;

const folder = mkdtempSync(join(tmpdir(), 'wafer-bench-'));

/** What the log and the raw case write: blocks that change each time. */
function newBlocks(count: number): Uint8Array[] {
  const prng = new SeededPrng(BENCH_SEED);
  return Array.from({ length: count }, () => prng.bytes(BLOCK_SIZE));
}

function touch(block: Uint8Array): void {
  block[0] = ((block[0] as number) + 1) & 0xff;
}

function newLogMemory(): LogMemory {
  const { arena, kernels } = createKernels({ arenaBytes: 4 * MIB });
  return new LogMemory(arena, kernels);
}

/** The log in a file; halves are switched without a CP, as if it cost nothing. */
function openLog(path: string, sizeBytes: number) {
  const file = new SharedFile(path, { isNew: true });
  const nvram = new FileNvram({ file, offsetBytes: 0, sizeBytes });
  const memory = newLogMemory();
  runSync(NvLog.format([nvram], memory, { volumeUuid: UUID }));
  const log = runSync(NvLog.open([nvram], memory, { volumeUuid: UUID }));
  runSync(log.scan(rootOf(0, 0)));
  let cpNumber = 1;
  const commitRoot = (logSequence: number) =>
    log.rootCommitted({ timeline: ZERO, cpNumber: cpNumber++, imageChecksum: ZERO, logSequence });
  commitRoot(log.lastSequence);
  const first = log.lastSequence;
  const commit = async (block: Uint8Array): Promise<void> => {
    while (!log.reserve(BLOCK_SIZE)) {
      if (log.shortageOf(BLOCK_SIZE) !== 'half') await log.waitForRoom(BLOCK_SIZE).start();
      else commitRoot(log.switchHalf().logSequence);
    }
    await log.commit(log.append(1, [block], BLOCK_SIZE)).start();
  };
  /** All that stands in the log, as one string of bytes. */
  const content = () => {
    const again = runSync(NvLog.open([nvram], newLogMemory(), { volumeUuid: UUID }));
    const { records } = runSync(again.scan(rootOf(1, first)));
    return Buffer.concat(records.map((record) => record.body));
  };
  return { commit, content, close: () => nvram.close() };
}

function rootOf(cpNumber: number, lastSequence: number) {
  const words = { timeline: ZERO, imageChecksum: ZERO, previousImageChecksum: ZERO };
  return { ...words, cpNumber, lastSequence };
}

function groupOf(inFlight: number, sizeBytes: number): BenchGroup {
  const blocks = newBlocks(inFlight);
  const log = openLog(join(folder, `log-${inFlight}`), sizeBytes);
  const raw = openRawLog([join(folder, `raw-${inFlight}`)], sizeBytes);
  const writer = async (block: Uint8Array): Promise<void> => {
    for (let round = 0; round < ROUNDS; round++) {
      touch(block);
      await log.commit(block);
    }
  };
  const ours: BenchCase = {
    name: 'log',
    kind: 'ours',
    run: () => Promise.all(blocks.map(writer)),
    result: log.content,
  };
  const bound: BenchCase = {
    name: 'writev + fdatasync',
    kind: 'bound',
    run: async () => {
      for (let round = 0; round < ROUNDS; round++) {
        blocks.forEach(touch);
        await raw.commit(blocks);
      }
    },
  };
  return {
    name: `group commit of 4 KiB records, ${inFlight} in flight`,
    bytes: ROUNDS * inFlight * BLOCK_SIZE,
    reset: () => {
      const prng = new SeededPrng(BENCH_SEED);
      for (const block of blocks) block.set(prng.bytes(BLOCK_SIZE));
    },
    cases: [ours, bound],
    close: async () => {
      await log.close();
      raw.close();
    },
  };
}

const size = benchSize();
const sizeBytes = size === 'real' ? 64 * MIB : 10 * MIB;
try {
  await runSuite(
    'log',
    [1, 16, 64, 256].map((count) => () => groupOf(count, sizeBytes)),
    size,
  );
} finally {
  rmSync(folder, { recursive: true });
}
