// The thread pools: same results as on one thread, whatever happens to the workers, and no thread
// where none is worth it. A piece done twice, half or not at all would be wrong parity on disk.

import { spawnSync } from 'node:child_process';
import { setImmediate } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Piscina } from 'piscina';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { KernelJob } from '../../host/base/env.ts';
import { SeededPrng } from '../../host/base/prng.ts';
import { InlinePool } from '../../host/kernels/inline-pool.ts';
import { createKernels, type KernelInstance } from '../../host/kernels/instantiate.ts';
import { JobBoard } from '../../host/kernels/job-board.ts';
import { cutJob, isRepeatable, jobCostNs } from '../../host/kernels/job-cost.ts';
import { createThreadPool, PiscinaPool } from '../../host/node/piscina-pool.ts';
import { BREAK_WAY, WAY_EXIT, WAY_THROW } from './broken-worker.ts';
import { CASES, MEMORY_LIMIT, Plan } from './cases.ts';
import { GATE, HELD, HOLD_MS_MAX } from './held-worker.ts';

const SEED = Number(process.env['SEED'] ?? 7_031);
/** More rounds than any run takes. */
const ROUNDS_MAX = 3000;
/** A word of the arena's first page on which nobody ever wakes anybody. */
const PAUSE = 2048;
const KIB = 1024;

let workerCount = 0;
process.on('worker', () => workerCount++);

const test = suite(`thread pools (seed ${SEED})`);

/** A shared arena with work for several threads: jobs of each kind that is cut, and of those that
 *  overwrite what they read. */
function workload(prng: SeededPrng) {
  const instance = createKernels({ arenaBytes: 8 << 20 });
  const { arena } = instance;
  const planeLength = 1024 * KIB;
  const plane = () => {
    const address = arena.reserve(planeLength, 4096);
    arena.u8.set(prng.bytes(planeLength), address);
    return address;
  };
  const [a, b, c, d, e] = [plane(), plane(), plane(), plane(), plane()];
  const blocks = Array.from({ length: 64 }, (_, index) => a + 4096 * prng.below(60) + 16 * index);
  const list = arena.reserve(4 * 64);
  arena.u32.set(blocks, list / 4);
  const small = arena.reserve(8 * 4);
  arena.u32.set([c, d], small / 4);
  const parity = arena.reserve(16 * 4096);
  const sums = arena.reserve(8 * 64);
  const sums2 = arena.reserve(8 * 64);
  const areas = arena.reserve(16 * KIB);
  const ranges = arena.reserve(32);
  arena.u32.set([1, 1000, 3, 50, 2000, 1 << 30, 4, 9], ranges / 4);
  const mapped = arena.reserve(16 * KIB);
  const jobs: KernelJob[] = [
    { kernel: 'tetris', args: [list, 4, 16, parity, sums] },
    { kernel: 'xor', args: [c, small, 2, planeLength] },
    { kernel: 'xxhash64Blocks', args: [list, 64, sums2] },
    { kernel: 'planeAndNotPopcount', args: [a, b, planeLength] },
    { kernel: 'planePopcount', args: [a, planeLength] },
    { kernel: 'areaFreeCounts', args: [a, b, planeLength / 128, areas] },
    { kernel: 'mapBlocks', args: [ranges, 2, a, 2048, mapped] },
  ];
  return { instance, jobs, a, b, e, planeLength };
}

/** Runs the jobs on a pool until `isEnough`, comparing results and memory with one thread's. */
async function compare(
  seed: number,
  makePool: (work: ReturnType<typeof workload>) => PiscinaPool,
  isEnough: (pool: PiscinaPool, words: Uint32Array) => boolean,
  prepare: (words: Uint32Array) => void = () => {},
): Promise<void> {
  const work = workload(new SeededPrng(seed));
  const { arena } = work.instance;
  const other = createKernels({ arenaBytes: arena.sizeBytes, shared: false });
  const inline = new InlinePool(other.kernels);
  const pool = makePool(work);
  await pool.start();
  prepare(arena.u32);
  for (let round = 0; round < ROUNDS_MAX && !isEnough(pool, arena.u32); round++) {
    // In every other round the second operand is overwritten with the difference.
    const { a, b, e, planeLength } = work;
    const destination = round % 2 === 0 ? e : b;
    const last = { kernel: 'planeAndNot', args: [destination, a, b, planeLength] };
    const jobs = [...work.jobs.slice(0, 2), last];
    other.arena.u8.set(arena.u8);
    const [actual, expected] = [await pool.run(jobs), await inline.run(jobs)];
    assert.equal(actual, expected, `results, round ${round}`);
    assert.equal(await pool.run(work.jobs.slice(2)), await inline.run(work.jobs.slice(2)));
    const page = 65536;
    assert.is(Buffer.compare(arena.u8.subarray(page), other.arena.u8.subarray(page)), 0, 'memory');
  }
  assert.ok(isEnough(pool, arena.u32), 'the workers came in time, once at least');
  await pool.close();
}

/** The kernels, for a calling thread that leaves the core to the others before each piece: so the
 *  workers get theirs on a busy machine too. */
function politely(instance: KernelInstance): KernelInstance {
  const words = new Int32Array(instance.arena.memory.buffer);
  const kernels = Object.entries(instance.kernels).map(([name, kernel]) => {
    const call = (...args: number[]) => {
      Atomics.wait(words, PAUSE / 4, 0, 1);
      return kernel(...args);
    };
    return [name, call];
  });
  return { ...instance, kernels: Object.fromEntries(kernels) };
}

function poolOf(threads: number, workerFile?: URL) {
  return ({ instance }: ReturnType<typeof workload>) =>
    new PiscinaPool(politely(instance), {
      threads,
      breakEvenMs: 0.01,
      ...(workerFile === undefined ? {} : { workerFile }),
    });
}

const brokenWorker = new URL('./broken-worker.js', import.meta.url);

for (const threads of [2, 3]) {
  test(`${threads} threads give what one gives`, async () => {
    await compare(SEED, poolOf(threads), (pool) => pool.jobCount >= 20);
  });
}

for (const [name, way] of [
  ['dies', WAY_EXIT],
  ['fails', WAY_THROW],
] as const) {
  test(`a worker that ${name} in the middle of a piece is replaced, the piece redone`, async () => {
    let jobCountAtBreak = -1;
    const isEnough = (pool: PiscinaPool, words: Uint32Array) => {
      if (words[BREAK_WAY / 4] !== 0) return false;
      if (jobCountAtBreak < 0) jobCountAtBreak = pool.jobCount;
      return pool.jobCount > jobCountAtBreak;
    };
    await compare(SEED, poolOf(2, brokenWorker), isEnough, (words) => {
      words[BREAK_WAY / 4] = way;
    });
    assert.ok(jobCountAtBreak >= 0);
  });
}

test('calls below break-even stay on their thread and start no other', async () => {
  const { instance, jobs } = workload(new SeededPrng(SEED));
  const before = workerCount;
  const pool = new PiscinaPool(instance, { threads: 2 });
  for (let i = 0; i < 10; i++) await pool.run(jobs.slice(0, 1));
  await pool.close();
  assert.is(workerCount, before);
  assert.is(pool.jobCount, 0);
});

test('a call above break-even waits for no thread to start, and starts them', async () => {
  const work = workload(new SeededPrng(SEED));
  const before = workerCount;
  const pool = poolOf(2)(work);
  const expected = await new InlinePool(work.instance.kernels).run(work.jobs.slice(3, 5));
  assert.equal(await pool.run(work.jobs.slice(3, 5)), expected);
  assert.is(pool.jobCount, 0);
  await pool.start();
  assert.is(workerCount, before + 1);
  await pool.close();
});

test('many calls at once, more than workers may have waiting', async () => {
  const work = workload(new SeededPrng(SEED));
  const pool = poolOf(3)(work);
  await pool.start();
  const jobs = work.jobs.slice(3, 5);
  const expected = await new InlinePool(work.instance.kernels).run(jobs);
  const answers = await Promise.all(Array.from({ length: 100 }, () => pool.run(jobs)));
  for (const answer of answers) assert.equal(answer, expected);
  await pool.close();
});

/** A call that a worker holds a piece of, not yet settled; on a pool of its own. The calling thread
 *  begins its own part when that worker has come. */
async function runUntilHeld(jobsOf: (work: ReturnType<typeof workload>) => KernelJob[]) {
  const work = workload(new SeededPrng(SEED));
  const words = new Int32Array(work.instance.arena.memory.buffer);
  const first = work.instance.kernels.planeAndNotPopcount;
  const planeAndNotPopcount: typeof first = (...args) => {
    Atomics.wait(words, HELD / 4, 0, HOLD_MS_MAX);
    return first(...args);
  };
  // In its old place: a kernel's number is its place.
  const instance = {
    ...work.instance,
    kernels: { ...work.instance.kernels, planeAndNotPopcount },
  };
  const pool = poolOf(2, new URL('./held-worker.js', import.meta.url))({ ...work, instance });
  await pool.start();
  const call = { state: 'running' };
  const settled = pool.run(jobsOf(work)).then(
    () => (call.state = 'done'),
    (error: Error) => (call.state = error.name),
  );
  await turns();
  assert.is(Atomics.load(words, HELD / 4), 1, 'the worker came');
  const open = () => {
    Atomics.store(words, GATE / 4, 1);
    Atomics.notify(words, GATE / 4);
    return settled;
  };
  return { pool, call, open };
}

/** Long enough for whatever does not wait to be over. */
async function turns(): Promise<void> {
  for (let i = 0; i < 50; i++) await setImmediate();
}

test('a call waits for the worker that holds a piece of it, and so does close', async () => {
  const { pool, call, open } = await runUntilHeld(({ jobs }) => jobs.slice(3, 5));
  assert.is(call.state, 'running');
  let isClosed = false;
  const closed = pool.close().then(() => (isClosed = true));
  await turns();
  assert.is(call.state, 'running');
  assert.is(isClosed, false);
  await open();
  assert.is(call.state, 'done');
  assert.ok(pool.jobCount >= 1);
  await closed;
});

test('a call that traps fails, after the workers have let go; the pool still closes', async () => {
  const { pool, call, open } = await runUntilHeld(({ jobs, planeLength }) => [
    ...jobs.slice(3, 4),
    { kernel: 'planePopcount', args: [8, 16] },
    { kernel: 'planePopcount', args: [65536, planeLength] },
  ]);
  assert.is(call.state, 'running');
  await open();
  assert.is(call.state, 'KernelTrapError');
  await pool.close();
});

test('a worker gets new kernels after a trap', async () => {
  const { instance } = workload(new SeededPrng(SEED));
  const { arena, kernels, module } = instance;
  const piscina = new Piscina({
    filename: new URL('../../host/node/kernel-worker.js', import.meta.url).href,
    maxThreads: 1,
    workerData: { memory: arena.memory, module },
  });
  const task = (args: number[]) => {
    const board = JobBoard.post(kernels, [{ kernel: 'planePopcount', args }]);
    return { board: board.buffer, thread: 2 };
  };
  const failure = await piscina.run(task([8, 16])).then(
    () => undefined,
    (error: Error) => error,
  );
  assert.match(String(failure), /planePopcount trapped/);
  assert.is(await piscina.run(task([65536, 16])), 1);
  await piscina.destroy();
});

test('workers that cannot start: everything runs inline, close returns', async () => {
  const work = workload(new SeededPrng(SEED));
  const pool = poolOf(2, new URL('./no-such-worker.js', import.meta.url))(work);
  const jobs = work.jobs.slice(3, 5);
  const expected = await new InlinePool(work.instance.kernels).run(jobs);
  for (let i = 0; i < 20; i++) assert.equal(await pool.run(jobs), expected);
  assert.is(pool.jobCount, 0);
  await pool.close();
});

test('close waits for calls under way; calls after it are refused', async () => {
  const work = workload(new SeededPrng(SEED));
  const pool = poolOf(2)(work);
  await pool.start();
  const running = pool.run(work.jobs.slice(3, 5));
  await pool.close();
  assert.is((await running).length, 2);
  const error = await pool.run(work.jobs).then(
    () => undefined,
    (failure: Error) => failure,
  );
  assert.is(error?.name, 'InvariantError');
});

test('a process with an open pool ends by itself', () => {
  const child = fileURLToPath(new URL('./pool-child.js', import.meta.url));
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, [child], {
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.is(signal, null, `killed; ${stderr}`);
  assert.is(status, 0, stderr);
  assert.is(stdout.trim(), 'jobs some');
});

test('without shared memory or with one thread the pool is the inline one', async () => {
  const plain = createKernels({ arenaBytes: 1 << 18, shared: false });
  const shared = createKernels({ arenaBytes: 1 << 18 });
  assert.instance(createThreadPool(plain), InlinePool);
  assert.instance(createThreadPool(shared, { threads: 1 }), InlinePool);
  const pool = createThreadPool(plain);
  const [count] = await pool.run([{ kernel: 'planePopcount', args: [65536, 16] }]);
  assert.is(count, 0);
  assert.is(pool.jobCount, 0);
});

test('cut jobs: the pieces together do what the whole does', () => {
  const prng = new SeededPrng(SEED);
  const whole = createKernels({ arenaBytes: MEMORY_LIMIT, shared: false });
  const cut = createKernels({ arenaBytes: MEMORY_LIMIT, shared: false });
  const call = (kernels: unknown, { kernel, args }: KernelJob) =>
    (kernels as Record<string, (...args: readonly number[]) => number>)[kernel]!(...args);
  let cutCount = 0;
  for (const [kernel, makeCase] of Object.entries(CASES)) {
    for (let round = 0; round < 60; round++) {
      const job = { kernel, args: makeCase(new Plan(prng, whole.arena.u8)) };
      if (kernel === 'crc32c') whole.kernels.crc32cTable(job.args[3]!);
      cut.arena.u8.set(whole.arena.u8);
      const pieces = cutJob(job, 1 + prng.below(2000));
      assert.ok(kernel === 'crc32cTable' || kernel === 'planeFind' || jobCostNs(job) >= 0, kernel);
      if (pieces.length > 1) cutCount++;
      const result = call(whole.kernels, job);
      const sum = pieces.reduce((total, piece) => total + call(cut.kernels, piece), 0);
      assert.is(sum, result, `${kernel} in ${pieces.length} pieces`);
      assert.is(Buffer.compare(whole.arena.u8, cut.arena.u8), 0, `${kernel}: memory`);
    }
  }
  assert.ok(cutCount > 50, `only ${cutCount} jobs were cut`);
});

test('jobs that overwrite what they read are not done twice', () => {
  const u32 = new Uint32Array(64);
  u32.set([1024, 2048], 4);
  assert.ok(isRepeatable({ kernel: 'xor', args: [512, 16, 2, 16] }, u32));
  assert.not.ok(isRepeatable({ kernel: 'xor', args: [2048, 16, 2, 16] }, u32));
  assert.ok(isRepeatable({ kernel: 'planeAndNot', args: [512, 512, 1024, 16] }, u32));
  assert.not.ok(isRepeatable({ kernel: 'planeAndNot', args: [512, 1024, 512, 16] }, u32));
});

test.run();
