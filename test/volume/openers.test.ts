// Several processes on one volume: one writer, told by name to the next one; a dead one's lock is
// taken over by one of many; readers see whole states and change nothing; a writer whose lock was
// stolen stops. Two writers at once, or a reader that trusts a block which was given away, would
// destroy or invent data.

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type OpenOptions, Volume } from '../../host/node.ts';
import {
  bigContent,
  checkContent,
  copyVolume,
  digestsOf,
  failureOf,
  freshPath,
  makeVolume,
  removeScratch,
} from './files.ts';

const test = suite('openers');
const childPath = fileURLToPath(new URL('./opener-child.js', import.meta.url));
const CACHE: OpenOptions = { cacheSize: '8MiB' };

/** A child process that obeys orders. */
class Opener {
  static readonly #all: Opener[] = [];
  readonly process: ChildProcess;
  /** Newest number acknowledged for each file. */
  readonly stamps = new Map<number, number>();
  #lines: string[] = [];
  #waiting: ((line: string) => void)[] = [];

  private constructor() {
    this.process = spawn(process.execPath, [childPath], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.process.stdin?.on('error', () => {});
    const input = createInterface({ input: this.process.stdout as NodeJS.ReadableStream });
    input.on('line', (line) => {
      const [word, file, number] = line.split(' ');
      if (word === 'acknowledged') {
        this.stamps.set(Number(file), Number(number));
        return;
      }
      const next = this.#waiting.shift();
      if (next === undefined) this.#lines.push(line);
      else next(line);
    });
    input.on('close', () => {
      for (const next of this.#waiting.splice(0)) next('DEAD');
    });
  }

  static async start(): Promise<Opener> {
    const opener = new Opener();
    Opener.#all.push(opener);
    assert.is(await opener.#answer(), 'ready');
    return opener;
  }

  static killAll(): void {
    for (const { process: child } of Opener.#all) child.kill('SIGKILL');
  }

  tell(order: object): void {
    this.process.stdin?.write(`${JSON.stringify({ options: CACHE, ...order })}\n`);
  }

  ask(order: object): Promise<string> {
    this.tell(order);
    return this.#answer();
  }

  /** Lets it go on until its stamps are as wanted. */
  async until(isReached: (stamps: ReadonlyMap<number, number>) => boolean): Promise<void> {
    while (!isReached(this.stamps)) {
      this.checkBusy();
      await new Promise(setImmediate);
    }
  }

  /** Fails if it said something else, or has ended. */
  checkBusy(): void {
    const [line] = this.#lines;
    if (line !== undefined) throw new Error(`the child says: ${line}`);
    assert.is(this.process.exitCode, null, 'the child lives');
  }

  get newest(): number {
    return Math.max(0, ...this.stamps.values());
  }

  async kill(): Promise<void> {
    const exited = new Promise((resolve) => this.process.once('close', resolve));
    this.process.kill('SIGKILL');
    await exited;
  }

  #answer(): Promise<string> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

let plain = '';
let tank = '';
test.before(async () => {
  plain = await makeVolume();
  tank = await makeVolume({ disks: 4 });
});
test.after(() => {
  Opener.killAll();
  removeScratch();
});

test('the second writer is refused and told who the first one is; a reader is not', async () => {
  for (const [where, lock] of [
    [copyVolume(plain), (path: string) => `${path}.lock`],
    [copyVolume(tank), (path: string) => join(path, 'lock')],
  ] as const) {
    const first = await Opener.start();
    assert.is(await first.ask({ do: 'open', where }), 'opened');
    const error = await failureOf(Volume.open(where, CACHE));
    assert.is(error.code, 'VOLUME_LOCKED');
    assert.match(error.message, `process ${first.process.pid} `);
    assert.match(error.message, 'opener-child');
    const reader = await Volume.open(where, { ...CACHE, readOnly: true });
    await checkContent(reader);
    await reader.close();
    assert.is(await first.ask({ do: 'close' }), 'closed');
    assert.not(existsSync(lock(where)), 'closing removes the lock');
    await (await Volume.open(where, CACHE)).close();
    await first.kill();
  }
});

test('two opens in one process are two openers', async () => {
  const where = copyVolume(plain);
  const first = await Volume.open(where, CACHE);
  assert.is((await failureOf(Volume.open(where, CACHE))).code, 'VOLUME_LOCKED');
  await first.close();
  await (await Volume.open(where, CACHE)).close();
});

test("a dead holder's lock is taken over, and what it acknowledged is there", async () => {
  const where = copyVolume(plain);
  const first = await Opener.start();
  await first.ask({ do: 'open', where });
  assert.is(await first.ask({ do: 'write', path: '/x', text: 'x', times: 5000 }), 'written');
  await first.kill();
  assert.ok(existsSync(`${where}.lock`), 'it left its lock');
  const volume = await Volume.open(where, CACHE);
  assert.ok(volume.stats().replayedRecordCount > 0);
  const { replay, replayedRecordCount } = await volume.status();
  assert.is(replay.entryCount, replayedRecordCount);
  assert.is(replay.skipCount, 0);
  assert.is(await volume.fs.promises.readFile('/x', 'utf8'), 'x'.repeat(5000));
  await volume.close();
});

test('of racing takers one wins, the others are told', async () => {
  const where = copyVolume(plain);
  const victim = await Opener.start();
  await victim.ask({ do: 'open', where });
  const lock = readFileSync(`${where}.lock`, 'utf8');
  await victim.kill();
  const takers = await Promise.all([Opener.start(), Opener.start(), Opener.start()]);
  for (let round = 0; round < 6; round++) {
    const token = round.toString(16).padStart(16, '0');
    writeFileSync(`${where}.lock`, lock.replace(/"token":"\w*"/, `"token":"${token}"`));
    const at = Date.now() + 20;
    const answers = await Promise.all(takers.map((taker) => taker.ask({ do: 'open', where, at })));
    const winners = answers.filter((answer) => answer === 'opened');
    const losers = answers.filter((answer) => answer.startsWith('VOLUME_LOCKED'));
    assert.is(winners.length, 1, `round ${round}: ${answers.join('; ')}`);
    assert.is(losers.length, takers.length - 1, `round ${round}: ${answers.join('; ')}`);
    for (const [index, taker] of takers.entries()) {
      if (answers[index] === 'opened') await taker.ask({ do: 'close' });
    }
  }
  await Promise.all(takers.map((taker) => taker.kill()));
});

test('a reader changes no byte, after a crash too, with log and journal to replay', async () => {
  for (const where of [copyVolume(plain), copyVolume(tank)]) {
    const writer = await Opener.start();
    await writer.ask({ do: 'open', where });
    writer.tell({ do: 'stamps', files: 5, size: 20_000, syncs: 50 });
    await writer.until((stamps) => (stamps.get(1) ?? 0) >= 60);
    await writer.kill();
    const before = digestsOf(where);
    const volume = await Volume.open(where, { ...CACHE, readOnly: true });
    for (const [file, number] of writer.stamps) {
      const found = await readStamp(volume, file);
      assert.ok(found >= number, `file ${file} has ${found}, acknowledged was ${number}`);
    }
    await checkContent(volume);
    const error = await volume.fs.promises.writeFile('/no', '').catch((reason: unknown) => reason);
    assert.is((error as { code?: string }).code, 'EROFS');
    assert.is((await volume.verify()).problemCount, 0);
    await volume.close();
    assert.equal(digestsOf(where), before);
  }
});

/** The one number that a file is full of. */
async function readStamp(volume: Volume, file: number): Promise<number> {
  const words = (await volume.fs.promises.readFile(`/stamp-${file}`, 'utf8')).split(',');
  const [first] = words;
  const odd = words.slice(0, -1).find((word) => word !== first);
  assert.is(odd, undefined, `file ${file} mixes ${first} and ${odd}`);
  return Number(first);
}

for (const kind of ['none', 'raid4'] as const) {
  test(`a reader beside a writer sees a whole, recent state (${kind})`, async () => {
    const where = copyVolume(kind === 'none' ? plain : tank);
    const writer = await Opener.start();
    await writer.ask({ do: 'open', where });
    writer.tell({ do: 'stamps', files: 6, size: 50_000, syncs: 4 });
    await writer.until((stamps) => stamps.size === 6);
    for (let round = 0; round < 20; round++) {
      const acknowledged = new Map(writer.stamps);
      const volume = await Volume.open(where, { ...CACHE, readOnly: true });
      for (const [file, number] of acknowledged) {
        const found = await readStamp(volume, file);
        assert.ok(
          found >= number,
          `round ${round}: file ${file} has ${found}, not ${number} or more`,
        );
      }
      await checkContent(volume);
      await volume.close();
    }
    await writer.kill();
    const volume = await Volume.open(where, CACHE);
    assert.is((await volume.verify()).problemCount, 0);
    await volume.close();
  });

  test(`a reader that stays open while its blocks are given away goes on (${kind})`, async () => {
    // More than the cache holds: what is read again comes from the disks.
    const FILES = 40;
    const where = await makeVolume({ size: '40MiB', disks: kind === 'none' ? 1 : 4 });
    const writer = await Opener.start();
    await writer.ask({ do: 'open', where });
    writer.tell({ do: 'stamps', files: FILES, size: 250_000, syncs: 6 });
    await writer.until((stamps) => stamps.size === FILES);
    const reader = await Volume.open(where, { ...CACHE, readOnly: true });
    const seen = new Map<number, number>();
    const begin = writer.newest;
    let reopened = 0;
    while (writer.newest < begin + 300) {
      writer.checkBusy();
      // What is cached is read without a turn of the event loop, which hears the child.
      await new Promise(setImmediate);
      for (let file = 0; file < FILES; file++) {
        const found = await readStamp(reader, file);
        const last = seen.get(file) ?? 0;
        assert.ok(found >= last, `file ${file}: ${found} after ${last}`);
        if (last > 0 && found > last) reopened++;
        seen.set(file, found);
      }
      assert.ok((await reader.fs.promises.readdir('/')).includes('stamp-3'));
      assert.is(reader.fs.readFileSync('/hello', 'utf8'), 'hello');
    }
    await writer.kill();
    assert.ok(reopened > 0, 'its first state was overwritten');
    await reader.close();
  });
}

test('a writer whose lock was stolen stops, and harms nothing', async () => {
  for (const [original, lock] of [
    [plain, (path: string) => `${path}.lock`],
    [tank, (path: string) => join(path, 'lock')],
  ] as const) {
    for (const durability of ['durable', 'relaxed'] as const) {
      const where = copyVolume(original);
      const old = await Opener.start();
      const options = { ...CACHE, durability };
      await old.ask({ do: 'open', where, options });
      await old.ask({ do: 'write', path: '/before', text: 'before', times: 1 });
      await old.ask({ do: 'sync' });
      // Relaxed: in memory only, with places on disk to be found at the next CP.
      const times = durability === 'relaxed' ? 30_000 : 10;
      await old.ask({ do: 'write', path: '/late', text: 'late', times });
      rmSync(lock(where));
      const volume = await Volume.open(where, CACHE);
      for (let file = 0; file < 8; file++) {
        await volume.fs.promises.writeFile(`/new-${file}`, bigContent());
      }
      await volume.sync();
      if (durability === 'durable') {
        const answer = await old.ask({ do: 'write', path: '/after', text: 'after', times: 20_000 });
        assert.match(answer, /^(VOLUME_LOCKED|VOLUME_FAILED|EIO) /);
      }
      assert.match(await old.ask({ do: 'sync' }), /^(VOLUME_LOCKED|VOLUME_FAILED) /);
      assert.match(
        await old.ask({ do: 'write', path: '/x', text: 'x', times: 1 }),
        /^VOLUME_FAILED /,
      );
      await old.ask({ do: 'close' });
      assert.ok(existsSync(lock(where)), 'the lock is the new one: it stays');
      await volume.fs.promises.writeFile('/more', 'more');
      await volume.close();
      await checkAfterTheft(where);
      await old.kill();
      rmSync(where, { recursive: true });
    }
  }
});

async function checkAfterTheft(where: string): Promise<void> {
  const volume = await Volume.open(where, CACHE);
  const fs = volume.fs.promises;
  await checkContent(volume);
  assert.is(await fs.readFile('/before', 'utf8'), 'before');
  assert.is(await fs.readFile('/more', 'utf8'), 'more');
  for (let file = 0; file < 8; file++) {
    assert.ok(Buffer.from(bigContent()).equals(await fs.readFile(`/new-${file}`)), `new-${file}`);
  }
  const names = await fs.readdir('/');
  assert.not(names.includes('after'));
  assert.is((await volume.verify()).problemCount, 0);
  await volume.close();
}

test('a lock that nobody can judge is not taken over', async () => {
  const where = copyVolume(plain);
  writeFileSync(`${where}.lock`, 'scribble');
  const before = digestsOf(where);
  const error = await failureOf(Volume.open(where, CACHE));
  assert.is(error.code, 'VOLUME_LOCKED');
  assert.match(error.hint, 'remove');
  assert.equal(digestsOf(where), before);
  assert.is(readFileSync(`${where}.lock`, 'utf8'), 'scribble');
  assert.not(existsSync(freshPath()));
});

test.run();
