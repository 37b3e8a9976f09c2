// Volumes made to deceive: any structure changed, all checksums right. Mounting, reading, verifying
// and writing give values or typed errors, in bounded steps; what they give cannot be right. A
// program that opens a volume from elsewhere must not be taken down by it.
//
// @timeout 3m

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { InvariantError } from '../../host/base/assert.ts';
import { isFsError, isStorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync, synchronously } from '../../host/base/task.ts';
import { verify } from '../../host/filesystem/verify/verify.ts';
import type { Engine } from '../../host/volume/engine.ts';
import { build, copyOf, done, letGo, mount, operationsOf } from '../damage/base.ts';
import { BudgetDisk, BudgetNvram } from '../damage/budget.ts';
import { layoutOf } from '../damage/places.ts';
import { ask, expectationsOf, type Probe } from '../damage/probes.ts';
import { FORGED, forge } from './forge.ts';

const { SEED = '1', ROUNDS = '60' } = process.env;
const HEAP_BYTES_MAX = 512 * 1024 * 1024;

const base = build({
  name: 'forged',
  raid: 'none',
  diskCount: 1,
  blockCount: 3200,
  logCopies: 1,
});
const layout = layoutOf(base);
const { probes } = expectationsOf(base);

/** Runs `step`. Errors with a code are fine; so is a volume that stops where its maps contradict
 *  each other (ENGINE 11), which a forged one's do. A kernel that traps is not. */
function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (isStorageError(error) || isFsError(error)) return;
    if (!(error instanceof InvariantError) || error.name !== 'InvariantError') throw error;
    stops.set(error.message, (stops.get(error.message) ?? 0) + 1);
  }
}

const stops = new Map<string, number>();

function live(engine: Engine, prng: SeededPrng): void {
  for (const probe of probes) if (prng.chance(0.4)) attempt(() => askIn(engine, probe));
  attempt(() => synchronously(() => runSync(verify(engine.fs, {}))));
  attempt(() => {
    const fs = operationsOf(engine);
    const options = { read: false, write: true, create: true, truncate: true };
    attempt(() => done(() => fs.unlink('/inline')));
    attempt(() => done(() => fs.writeFile('/dir/eight', prng.bytes(9_000), options)));
    attempt(() => done(() => fs.truncate({ path: '/dir/sub/level-3' }, 100)));
    attempt(() => done(() => fs.writeFile('/big/forged', prng.bytes(20_000), options)));
    synchronously(() => engine.fs.requestCp(true)?.driveSync());
  });
}

function askIn(engine: Engine, probe: Probe): void {
  ask(operationsOf(engine, probe.snapshot), probe);
}

for (const region of FORGED) {
  test(`${region}: nothing but typed errors`, async () => {
    let mounted = 0;
    let refused = 0;
    const failures: string[] = [];
    for (let round = 0; round < Number(ROUNDS); round++) {
      const prng = new SeededPrng(Number(SEED) + round);
      const devices = copyOf(base.devices);
      const what = forge(devices, layout, region, prng);
      const readOnly = prng.chance(0.4);
      try {
        attempt(() => {
          const disks = devices.disks.map((disk) => new BudgetDisk(disk));
          const nvrams = devices.nvrams.map((nvram) => new BudgetNvram(nvram));
          refused++;
          const engine = mount({ disks, nvrams }, { readOnly, seed: round + 1 });
          refused--;
          mounted++;
          live(engine, prng);
          letGo(engine);
        });
      } catch (error) {
        const how = readOnly ? 'read-only' : 'for writing';
        const stack = (error as Error).stack ?? String(error);
        failures.push(`SEED=${Number(SEED) + round} ROUNDS=1 (${how}) ${what}: ${stack}`);
      }
      await new Promise(setImmediate);
    }
    assert.ok(process.memoryUsage().heapUsed < HEAP_BYTES_MAX, 'memory is bounded');
    assert.is(failures.slice(0, 5).join('\n'), '');
    console.log(`  ${region}: ${mounted} mounted, ${refused} refused`);
  });
}

test('stops', () => {
  for (const [message, count] of stops) console.log(`  ${count} x ${message}`);
});

test.run();
