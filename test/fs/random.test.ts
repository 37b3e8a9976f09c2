// Checks that random sequences of calls, open files included, give the same outcomes and the same
// trees on node:fs and on the face over the model. It matters because the model answers for what
// the engine must do, in histories that nobody thought of.

import * as assert from 'node:assert/strict';
import { suite } from 'uvu';
import { SeededPrng } from '../../host/base/prng.ts';
import type { AnyFs } from './worlds.ts';
import { listing, makeWorlds, outcome } from './worlds.ts';

const SEQUENCES = 60;
const CALLS = 120;

const seedFirst = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));

type Handles = (AnyFs | undefined)[];
/** One call, the same in both worlds. */
type Step = (fs: AnyFs, handles: Handles) => unknown;

const NAMES = ['a', 'b', 'c', 'é'];
const FLAGS = ['r', 'r+', 'w', 'w+', 'wx', 'a', 'a+', 'ax+'];

class Sequence {
  readonly #prng: SeededPrng;
  readonly #root: string;

  constructor(seed: number, root: string) {
    this.#prng = new SeededPrng(seed);
    this.#root = root;
  }

  #path(): string {
    const depth = this.#prng.pick([1, 1, 2, 2, 3]);
    let path = this.#root;
    for (let level = 0; level < depth; level++) path += `/${this.#prng.pick(NAMES)}`;
    // Not above the directory of this sequence. (What mkdir -p gives for 'a//..' is chance.)
    if (depth > 1 && this.#prng.chance(0.03)) return `${path}/..`;
    return this.#prng.chance(0.03) ? `${path}/` : path;
  }

  #data(): Buffer {
    const length = this.#prng.pick([0, 1, 100, 4096, 5000, 20_000]);
    return Buffer.from(this.#prng.bytes(this.#prng.below(length + 1)));
  }

  #position(): number | null {
    return this.#prng.chance(0.5) ? null : this.#prng.below(10_000);
  }

  /** The next call and what it is, for the report. */
  next(): [string, Step] {
    const prng = this.#prng;
    const [path, other, data] = [this.#path(), this.#path(), this.#data()];
    const slot = prng.below(3);
    const position = this.#position();
    const size = prng.below(12_000);
    const flag = prng.pick(FLAGS);
    const mode = prng.below(0o1000);
    // A link to itself with a slash behind it is EISDIR or ELOOP, as the kernel happens to look.
    const text = other.replace(/\/$/, '');
    const target = prng.chance(0.5) ? text : text.slice(this.#root.length + 1);
    // Of 'a/..', and of a link with a slash behind it, Node removes what its steps come upon first.
    const doomed = path.replace(/\/(\.\.)?$/, '');
    const byHandle =
      (use: (handle: AnyFs) => unknown): Step =>
      (_fs, handles) =>
        handles[slot] === undefined ? 'none' : use(handles[slot]);
    return prng.pick<() => [string, Step]>([
      () => [`mkdir ${path}`, (fs) => fs.promises.mkdir(path)],
      () => [`mkdir ${path}`, (fs) => fs.mkdirSync(path, mode | 0o700)],
      () => [`mkdir -p ${path}`, (fs) => fs.promises.mkdir(path, { recursive: true })],
      () => [`writeFile ${path}`, (fs) => fs.promises.writeFile(path, data)],
      () => [`writeFile ${path} ${flag}`, (fs) => fs.writeFileSync(path, data, { flag, mode })],
      () => [`appendFile ${path}`, (fs) => fs.promises.appendFile(path, data)],
      () => [`readFile ${path}`, (fs) => fs.promises.readFile(path)],
      () => [`truncate ${path} ${size}`, (fs) => fs.promises.truncate(path, size)],
      () => [`unlink ${path}`, (fs) => fs.promises.unlink(path)],
      () => [`rmdir ${path}`, (fs) => fs.promises.rmdir(path)],
      () => [`rm -r ${doomed}`, (fs) => fs.promises.rm(doomed, { recursive: prng.seed % 2 === 0 })],
      () => [`rename ${path} ${other}`, (fs) => fs.promises.rename(path, other)],
      () => [`rename ${other} ${path}`, (fs) => fs.renameSync(other, path)],
      () => [`link ${path} ${other}`, (fs) => fs.promises.link(path, other)],
      () => [`symlink ${target} ${path}`, (fs) => fs.promises.symlink(target, path)],
      () => [`copyFile ${path} ${other}`, (fs) => copyFile(fs, path, other)],
      () => [`chmod ${path}`, (fs) => fs.promises.chmod(path, mode)],
      () => [`realpath ${path}`, (fs) => fs.promises.realpath(path)],
      () => [`stat ${path}`, (fs) => fs.promises.stat(path)],
      () => [`readdir ${path}`, (fs) => fs.promises.readdir(path, { withFileTypes: true })],
      () => [`open ${slot} ${path} ${flag}`, (fs, all) => open(fs, all, slot, path, flag)],
      () => [`open ${slot} ${other} ${flag}`, (fs, all) => open(fs, all, slot, other, flag)],
      () => [`close ${slot}`, byHandle((handle) => handle.close())],
      () => [`write ${slot} ${position}`, byHandle((h) => h.write(data, 0, data.length, position))],
      () => [`read ${slot} ${position}`, byHandle((h) => h.read(Buffer.alloc(size), { position }))],
      () => [`writev ${slot} ${position}`, byHandle((h) => h.writev([data, data], position))],
      () => [`ftruncate ${slot} ${size}`, byHandle((handle) => handle.truncate(size))],
      () => [`readFile ${slot}`, byHandle((handle) => handle.readFile())],
      () => [`fstat ${slot}`, byHandle((handle) => handle.stat())],
    ])();
  }
}

async function open(
  fs: AnyFs,
  handles: Handles,
  slot: number,
  path: string,
  flag: string,
): Promise<void> {
  await handles[slot]?.close();
  handles[slot] = undefined;
  handles[slot] = await fs.promises.open(path, flag);
}

/** Node empties the destination before it finds out that the source is a directory. */
async function copyFile(fs: AnyFs, from: string, to: string): Promise<unknown> {
  if ((await fs.promises.stat(from)).isDirectory()) return 'a directory';
  return fs.promises.copyFile(from, to);
}

const random = suite(`face: random sequences as node:fs (SEED=${seedFirst})`);
const worlds = makeWorlds();
for (let index = 0; index < SEQUENCES; index++) {
  const seed = seedFirst + index;
  random(`seed ${seed}`, async () => {
    const root = `${worlds.root}/${index}`;
    const sequence = new Sequence(seed, root);
    const handles: [Handles, Handles] = [[], []];
    for (const fs of [worlds.real, worlds.ours]) fs.mkdirSync(root);
    const history: string[] = [];
    for (let count = 0; count < CALLS; count++) {
      const [what, step] = sequence.next();
      history.push(what);
      const real = await outcome(() => step(worlds.real, handles[0]));
      const ours = await outcome(() => step(worlds.ours, handles[1]));
      const told = history.map((line) => line.replaceAll(root, '')).join('\n');
      assert.equal(ours, real, `SEED=${seedFirst}, sequence ${index}:\n${told}`);
    }
    assert.equal(listing(worlds.ours, root), listing(worlds.real, root), `SEED=${seedFirst}`);
    for (const handle of handles.flat()) await handle?.close();
  });
}
random.after(() => worlds.remove());
random.run();
