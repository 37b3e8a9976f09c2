// Locks between real processes: a living holder is respected, a dead one replaced, and of many that
// race for a dead holder's lock exactly one gets it. Two writers on one volume would destroy it.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StorageError } from '../../host/base/errors.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import type { LockHolder } from '../../host/node/lock.ts';
import { acquireLock, isDead, readLock } from '../../host/node/lock.ts';

const childPath = fileURLToPath(new URL('./lock-child.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'waferfs-lock-'));
const isLinux = process.platform === 'linux';
const test = suite('lock');
let pathCount = 0;

/** A child process that answers orders. */
class Child {
  static readonly #all: Child[] = [];
  readonly process: ChildProcess;
  #lines: string[] = [];
  #waiting: ((line: string | undefined) => void)[] = [];
  #isOver = false;

  private constructor() {
    this.process = spawn(process.execPath, [childPath], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.process.stdin?.on('error', () => {});
    const input = createInterface({ input: this.process.stdout as NodeJS.ReadableStream });
    input.on('line', (line) => {
      const next = this.#waiting.shift();
      if (next === undefined) this.#lines.push(line);
      else next(line);
    });
    input.on('close', () => {
      this.#isOver = true;
      for (const next of this.#waiting.splice(0)) next(undefined);
    });
  }

  static async start(): Promise<Child> {
    const child = new Child();
    Child.#all.push(child);
    assert.is(await child.#answer(), 'ready');
    return child;
  }

  /** So that a failed test leaves none behind. */
  static killAll(): void {
    for (const child of Child.#all) child.process.kill('SIGKILL');
  }

  /** The answer; undefined if the child dies first. */
  ask(order: string): Promise<string | undefined> {
    this.process.stdin?.write(`${order}\n`);
    return this.#answer();
  }

  async kill(): Promise<void> {
    const exited = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await exited;
  }

  #answer(): Promise<string | undefined> {
    const line = this.#lines.shift();
    if (line !== undefined) return Promise.resolve(line);
    if (this.#isOver) return Promise.resolve(undefined);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

function freshPath(): string {
  return join(directory, `volume-${pathCount++}.lock`);
}

function failureOf(path: string): StorageError {
  try {
    acquireLock(path).release();
  } catch (error) {
    assert.instance(error, StorageError);
    return error as StorageError;
  }
  throw new Error('the lock was given');
}

/** Everything in the directory that belongs to the lock. */
function filesOf(path: string): string[] {
  return readdirSync(directory).filter((name) => join(directory, name).startsWith(path));
}

test('taken, refused to others in the same process, released, taken again', () => {
  const path = freshPath();
  const lock = acquireLock(path);
  const holder = readLock(path) as LockHolder;
  assert.equal(holder, lock.holder);
  assert.is(holder.pid, process.pid);
  assert.is(holder.host, hostname());
  const failure = failureOf(path);
  assert.is(failure.code, 'VOLUME_LOCKED');
  assert.match(failure.message, `process ${process.pid} (${holder.command})`);
  lock.release();
  assert.equal(filesOf(path), [], 'nothing is left');
  acquireLock(path).release();
  lock.release();
});

test('release leaves a lock that is no longer ours', () => {
  const path = freshPath();
  const lock = acquireLock(path);
  const text = JSON.stringify({ ...lock.holder, token: '0123456789abcdef' });
  writeFileSync(path, text);
  lock.release();
  assert.is(readFileSync(path, 'utf8'), text);
});

test('a living process is refused for, a killed one is taken over from', async () => {
  const path = freshPath();
  const child = await Child.start();
  assert.match((await child.ask(`take ${path}`)) ?? '', /^held /);
  const failure = failureOf(path);
  assert.is(failure.code, 'VOLUME_LOCKED');
  assert.match(failure.message, `process ${child.process.pid} `);
  assert.match(failure.message, 'lock-child');
  await child.kill();
  const lock = acquireLock(path);
  assert.is((readLock(path) as LockHolder).pid, process.pid);
  assert.equal(filesOf(path).length, 1, 'no claim is left');
  lock.release();
});

test('who is dead: boot, pid and start time; not who is on another host', () => {
  const path = freshPath();
  const { holder, release } = acquireLock(path);
  release();
  const pidNone = 2 ** 22 + 1; // above the largest pid of Linux
  assert.not(isDead(holder), 'this process');
  assert.ok(isDead({ ...holder, pid: pidNone }), 'no such process');
  assert.ok(isDead({ ...holder, pid: pidNone, startTime: null, bootId: null }), 'without /proc');
  assert.not(isDead({ ...holder, startTime: null, bootId: null }), 'pid alive, without /proc');
  assert.not(isDead({ ...holder, pid: pidNone, host: 'elsewhere', bootId: 'x' }), 'another host');
  if (!isLinux) return;
  assert.ok(isDead({ ...holder, startTime: (holder.startTime as number) + 1 }), 'pid used again');
  assert.ok(isDead({ ...holder, bootId: 'another boot' }), 'machine started anew');
});

test('a lock that cannot be read counts as held, and the hint says what to do', () => {
  const sound = JSON.stringify(acquireLock(freshPath()).holder);
  const badToken = sound.replace(/"token":"[^"]*"/, '"token":"../x"');
  const bad = ['', '{', 'null', '[]', sound.slice(0, -9), badToken];
  for (const text of bad) {
    const path = freshPath();
    writeFileSync(path, text);
    const failure = failureOf(path);
    assert.is(failure.code, 'VOLUME_LOCKED', text);
    assert.match(failure.hint, `remove ${path}`);
    assert.is(readFileSync(path, 'utf8'), text, 'nothing was changed');
  }
  const failure = failureOf(join(directory, 'no', 'such', 'directory.lock'));
  assert.is(failure.code, 'DISK_FAILED');
});

test('a taker that died with its claim is taken over from', async () => {
  const path = freshPath();
  const child = await Child.start();
  await child.ask(`take ${path}`);
  const dead = readLock(path) as LockHolder;
  // Its claim, and a claim on that claim, as takers of the same process would have left them.
  const claim = { ...dead, token: '1111111111111111' };
  const claimOnClaim = { ...dead, token: '2222222222222222' };
  writeFileSync(`${path}.~${dead.token}`, JSON.stringify(claim));
  writeFileSync(`${path}.~${claim.token}`, JSON.stringify(claimOnClaim));
  const draft = { ...dead, token: '3333333333333333' };
  writeFileSync(`${path}.~${draft.token}.new`, JSON.stringify(draft));
  assert.match(failureOf(path).message, `process ${dead.pid} `);
  await child.kill();
  const lock = acquireLock(path);
  assert.equal(filesOf(path).length, 1, 'claims and drafts of the dead are gone');
  lock.release();
});

test('of racing takers exactly one wins', async () => {
  const children = await Promise.all(Array.from({ length: 4 }, () => Child.start()));
  const victim = await Child.start();
  const victimPath = freshPath();
  await victim.ask(`take ${victimPath}`);
  const dead = readLock(victimPath) as LockHolder;
  await victim.kill();
  for (let round = 0; round < 24; round++) {
    const path = freshPath();
    const token = round.toString(16).padStart(16, '0');
    // Every fourth round nobody holds it.
    if (round % 4 !== 3) writeFileSync(path, JSON.stringify({ ...dead, token }));
    const at = Date.now() + 5;
    const answers = await Promise.all(children.map((child) => child.ask(`take ${path} ${at}`)));
    const winners = answers.filter((answer) => answer?.startsWith('held '));
    assert.is(winners.length, 1, `round ${round}: ${answers.join(', ')}`);
    assert.is(winners[0], `held ${(readLock(path) as LockHolder).token}`);
    await Promise.all(children.map((child) => child.ask('release')));
    assert.equal(filesOf(path), [], `round ${round}: nothing is left`);
  }
  await Promise.all(children.map((child) => child.kill()));
});

test('hammered while processes are killed, it never has two holders', async () => {
  const seed = Date.now() % 100000;
  const prng = new SeededPrng(seed);
  const path = freshPath();
  writeFileSync(`${path}.owner`, '');
  let winCount = 0;
  const live = await Promise.all(Array.from({ length: 3 }, () => Child.start()));
  for (let round = 0; round < 6; round++) {
    const answers = live.map((child) => child.ask(`hammer ${path} 80`));
    // One is killed when any of the others has ended, so in the middle of its work.
    const index = prng.below(live.length);
    await Promise.race(answers.filter((_, other) => other !== index));
    await live[index]?.kill();
    for (const answer of await Promise.all(answers)) {
      if (answer === undefined) continue;
      const [, wins, violations] = answer.split(' ');
      winCount += Number(wins);
      assert.is(violations, '0', `round ${round}, seed ${seed}`);
    }
    live[index] = await Child.start();
  }
  assert.ok(winCount > 0, `seed ${seed}`);
  await Promise.all(live.map((child) => child.kill()));
  acquireLock(path).release();
});

test.after(() => {
  Child.killAll();
  rmSync(directory, { recursive: true });
});
test.run();
