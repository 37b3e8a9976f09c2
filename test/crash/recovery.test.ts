// A mount is cut at each of its writes, and the mount after it again, and the one after that: what
// was there must be found by the last. A volume that comes up after one crash and not after three
// is lost when the power fails in a thunderstorm.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { SeededPrng } from '../../host/base/prng.ts';
import { runSync } from '../../host/base/task.ts';
import {
  contentsOf,
  digestOf,
  format,
  LOG_BYTES,
  mount,
  type Setup,
  writeAfter,
} from '../world/engine.ts';
import { type Cut, RecordingWorld, type Variant } from '../world/recorder.ts';

const test = suite('recovery');
const SEED = Number(process.env['SEED'] ?? 1);
/** Crashes in a row. */
const DEPTH = 3;
/** The first writes of a mount are those of the labels: all are cut, and some of the others. */
const FIRST = 8;

const SETUPS: readonly Setup[] = [
  { name: 'none', raid: 'none', diskCount: 1, blockCount: 1500, logCopies: 1 },
  { name: 'raid4', raid: 'raid4', diskCount: 3, blockCount: 448, logCopies: 2 },
];

function variantsOf(cut: Cut, prng: SeededPrng): Variant[] {
  const [kept, dropped] = [...cut.variants(prng, { randomCount: 0 })] as [Variant, Variant?];
  if (dropped === undefined) return [kept];
  const zeros = cut.writes.map(() => ({ kind: 'zeros' as const, sectors: 0 }));
  return [{ label: 'all zeros', fates: zeros }, kept, dropped, cut.random(prng)];
}

/** The moment in which a volume with a file loses its power; the log has the file. */
function firstCrash(setup: Setup): { cut: Cut; digest: string } {
  const world = new RecordingWorld();
  const { blockCount, diskCount, logCopies } = setup;
  const names = (count: number) => Array.from({ length: count }, (_, index) => `${index}`);
  const disks = names(diskCount).map((name) => world.disk({ blockCount, name: `disk-${name}` }));
  const nvrams = names(logCopies).map((name) =>
    world.nvram({ sizeBytes: LOG_BYTES, name: `log-${name}`, tearBytes: 512 }),
  );
  runSync(format({ disks, nvrams }, setup, { arena: 'cut' }));
  const engine = runSync(mount({ disks, nvrams }, { arena: 'cut' }));
  runSync(writeAfter(engine, 'here'));
  return { digest: digestOf(runSync(contentsOf(engine))), cut: world.cutAt(world.position) };
}

class Recovery {
  readonly #setup: Setup;
  readonly #digest: string;
  readonly #prng = new SeededPrng(SEED);
  mounts = 0;

  constructor(setup: Setup, digest: string) {
    this.#setup = setup;
    this.#digest = digest;
  }

  /** Mounts after a crash, and lets this mount crash in turn. */
  mountAfter(cut: Cut, variant: Variant, path: readonly string[]): void {
    const world = new RecordingWorld();
    const { disks, nvrams } = cut.materialise(variant, { world });
    const steps = [...path, `cut ${cut.position} (${variant.label})`];
    const where = `${this.#setup.name}, seed ${SEED}, ${steps.join(', ')}`;
    this.mounts++;
    try {
      const engine = runSync(mount({ disks, nvrams }, { arena: 'cut' }));
      assert.is(digestOf(runSync(contentsOf(engine))), this.#digest);
    } catch (error) {
      throw new Error(`${where}: ${(error as Error).message}`, { cause: error });
    }
    if (steps.length > DEPTH) return;
    for (const position of this.#choose(world.cutPositions().slice(1), steps.length)) {
      const next = world.cutAt(position);
      for (const [index, fates] of variantsOf(next, this.#prng).entries()) {
        if (index > 0 && steps.length > 1 && this.#prng.chance(0.85)) continue;
        this.mountAfter(next, fates, steps);
      }
    }
  }

  #choose(positions: readonly number[], depth: number): number[] {
    const first = positions.slice(0, FIRST);
    const rest = this.#prng.shuffle(positions.slice(FIRST));
    if (depth > 2) return [this.#prng.pick(first), rest[0] as number];
    return [...first, ...rest.slice(0, depth === 1 ? 6 : 1)].sort((a, b) => a - b);
  }
}

for (const setup of SETUPS) {
  test(`[N-11] ${setup.name}: ${DEPTH} crashes in a row, seed ${SEED}`, async () => {
    const { cut, digest } = firstCrash(setup);
    const recovery = new Recovery(setup, digest);
    recovery.mountAfter(cut, [...cut.variants(new SeededPrng(1))][0] as Variant, []);
    console.log(`  ${setup.name}: ${recovery.mounts} mounts`);
    assert.ok(recovery.mounts > 100);
    await new Promise((resolve) => setImmediate(resolve));
  });
}

test.run();
