// Bytes of every kind of structure are changed at random, with the checksums above them right:
// verify ends, soon, with a report or a StorageError. It is run on volumes that nobody can trust,
// so what it reads must never make it crash, hang, or take memory without bound.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BLOCK_SIZE } from '../../assembly/layout/block.ts';
import { INODE_SIZE } from '../../assembly/layout/inode.ts';
import { isStorageError } from '../../host/base/errors.ts';
import { below, chance, pick, SeededPrng } from '../../host/base/prng.ts';
import { LEVEL_XATTR } from '../../host/filesystem/file-node.ts';
import { PROBLEMS_MAX } from '../../host/filesystem/verify/report.ts';
import { VerifyWorld } from './verify-world.ts';

const test = suite('verify of random damage');

const PATHS = ['/', '/d', '/d/e', '/d/e/f', '/inline', '/large', '/link', '/d/small', '/d/e/tail'];
const FILES = ['summaryMap', 'areaTable', 'snapshotTable'] as const;

class Fuzzer {
  readonly #prng: SeededPrng;
  readonly #world: VerifyWorld;

  constructor(prng: SeededPrng, world: VerifyWorld) {
    this.#prng = prng;
    this.#world = world;
  }

  /** A few bytes become others: random, small, or large ones. */
  #spoil(bytes: Uint8Array): void {
    const count = 1 + below(this.#prng, 4);
    const values = [0, 1, 255, below(this.#prng, 256)];
    for (let left = count; left > 0; left--) {
      bytes[below(this.#prng, bytes.length)] = pick(this.#prng, values);
    }
  }

  #arena(address: number, size: number): void {
    this.#spoil(this.#world.core.arena.bytes(address, size));
  }

  /** One change. Returns whether there was something to change. */
  damage(): void {
    const world = this.#world;
    switch (below(this.#prng, 6)) {
      case 0:
      case 1:
        return world.inode(pick(this.#prng, PATHS), (at) => this.#arena(at, INODE_SIZE));
      case 2:
        return world.directory(pick(this.#prng, ['/', '/d', '/d/e']), (blocks) => {
          this.#arena(blocks.change(0), BLOCK_SIZE);
        });
      case 3:
        return this.#block('/large', 1);
      case 4:
        return this.#block('/d/small', LEVEL_XATTR);
      default:
        return world.volumeFile(pick(this.#prng, FILES), (bytes) => this.#spoil(bytes));
    }
  }

  #block(path: string, level: number): void {
    const world = this.#world;
    const node = world.core.image.keptNode(world.ino(path));
    world.change(
      (access) => node.find(access, level, 0),
      () => this.#arena(node.change(level, 0).address, BLOCK_SIZE),
    );
    world.commit();
  }
}

function story(seed: number): number {
  const prng = new SeededPrng(seed);
  const world = new VerifyWorld();
  const fuzzer = new Fuzzer(prng, world);
  do {
    try {
      fuzzer.damage();
    } catch {
      // The file system itself refuses what was damaged before.
      break;
    }
  } while (chance(prng, 0.5));
  if (chance(prng, 0.2)) {
    world.state((view) => view.setUint8(below(prng, view.byteLength), below(prng, 256)));
  }
  try {
    const report = world.verify();
    assert.ok(report.problems.length <= PROBLEMS_MAX);
    assert.ok(report.problemCount >= report.problems.length);
    return report.problemCount > 0 ? 1 : 0;
  } catch (error) {
    if (!isStorageError(error)) throw new Error(`seed ${seed}`, { cause: error });
    return 1;
  }
}

test('ends with a report', () => {
  const first = Number(process.env['SEED'] ?? 1);
  const count = Number(process.env['SEEDS'] ?? 150);
  console.log(`seeds ${first} to ${first + count - 1}`);
  let found = 0;
  for (let seed = first; seed < first + count; seed++) found += story(seed);
  // Some bytes may be anything: times, modes, the names of files.
  assert.ok(found > count / 2, `${found} of ${count} were noticed`);
});

test.run();
