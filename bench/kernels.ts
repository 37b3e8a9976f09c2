// Kernels: every build against plain TypeScript, npm's best, and the memcpy bound.
//
//   node dist/bench/kernels.js [--smoke]

import { SeededPrng } from '../host/base/prng.ts';
import type { KernelExports } from '../host/kernels/exports.ts';
import { InlinePool } from '../host/kernels/inline-pool.ts';
import {
  compileKernels,
  createKernels,
  type KernelInstance,
  type WasmVariant,
} from '../host/kernels/instantiate.ts';
import { PiscinaPool } from '../host/node/piscina-pool.ts';
import {
  BENCH_SEED,
  type BenchCase,
  type BenchGroup,
  type BenchSize,
  benchSize,
  loadPeer,
  runSuite,
} from './harness.ts';
import {
  andNotPlain,
  andNotPopcountPlain,
  crc32cPlain,
  popcountPlain,
  xorPlain,
  xxhash64Plain,
} from './kernels-plain.ts';

const BLOCK = 4096;
const MIB = 1024 * 1024;

interface BitSetPeer {
  words: Uint32Array;
  difference2(other: BitSetPeer): BitSetPeer;
  difference_size(other: BitSetPeer): number;
  size(): number;
}
interface Peers {
  bitSet?: { fromWords(words: Uint32Array): BitSetPeer };
  xxhashWasm?: { h64Raw(bytes: Uint8Array): bigint };
  hashWasm?: { init(): unknown; update(bytes: Uint8Array): unknown; digest(): string };
  hashWasmCrc?: { init(): unknown; update(bytes: Uint8Array): unknown; digest(): string };
}

async function loadPeers(size: BenchSize): Promise<Peers> {
  type Loaded = { default: { TypedFastBitSet: NonNullable<Peers['bitSet']> } };
  type Hashes = Record<'createXXHash64', () => Promise<NonNullable<Peers['hashWasm']>>> &
    Record<'createCRC32', (polynomial: number) => Promise<NonNullable<Peers['hashWasmCrc']>>>;
  type XxhashWasm = { default(): Promise<NonNullable<Peers['xxhashWasm']>> };
  const bits = await loadPeer<Loaded>('typedfastbitset', size);
  const xxhash = await loadPeer<XxhashWasm>('xxhash-wasm', size);
  const hashes = await loadPeer<Hashes>('hash-wasm', size);
  return {
    ...(bits && { bitSet: bits.default.TypedFastBitSet }),
    ...(xxhash && { xxhashWasm: await xxhash.default() }),
    ...(hashes && { hashWasm: await hashes.createXXHash64() }),
    ...(hashes && { hashWasmCrc: await hashes.createCRC32(0x82f63b78) }),
  };
}

/** One arena for a variant, filled with the same bytes. */
interface Bench {
  readonly instance: KernelInstance;
  readonly at: number;
  readonly list: number;
  readonly out: number;
  reset(): void;
}

/** A change so small that it costs nothing, in another place each time. */
function makeTouch(words: Uint32Array, first: number, count: number) {
  let turn = 0;
  return {
    reset: () => {
      turn = 0;
    },
    touch: () => {
      turn = (turn + 0x9e3779b1) >>> 0;
      const at = first + (turn % count);
      words[at] = (words[at]! ^ turn) >>> 0;
    },
  };
}

const sample = new SeededPrng(BENCH_SEED).bytes(64 * 1024 + 7);

/** Random bytes, without a period that matters. */
function fill(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += sample.length) {
    bytes.set(sample.subarray(0, Math.min(sample.length, bytes.length - at)), at);
  }
}

/** `inputBytes` of input, and 1 MiB for the rest. */
function makeBench(module: WebAssembly.Module, inputBytes: number): Bench & { touch(): void } {
  const instance = createKernels({ arenaBytes: inputBytes + 2 * MIB, module });
  const { arena } = instance;
  const list = arena.reserve(256 * 1024);
  const out = arena.reserve(256 * 1024, 4096);
  const at = arena.reserve(inputBytes, 4096);
  const { touch, reset } = makeTouch(arena.u32, at / 4, BLOCK / 4);
  return {
    instance,
    at,
    list,
    out,
    touch,
    reset: () => {
      reset();
      fill(arena.bytes(at, inputBytes));
    },
  };
}

type Run = (kernels: KernelExports, bench: Bench) => unknown;
type Result = (bench: Bench, returned: unknown) => Uint8Array | string;

/** A case for each build; SIMD on shared memory, the one used by default, first. */
function variants(
  inputBytes: number,
  run: Run,
  result: Result,
  prepare: (bench: Bench) => void = () => {},
): { cases: BenchCase[]; shared: Bench & { touch(): void }; reset(): void } {
  const names: WasmVariant[] = ['shared', 'simd', 'scalar'];
  const benches = names.map((name) => makeBench(compileKernels(name), inputBytes));
  const cases = names.map((name, index): BenchCase => {
    const bench = benches[index]!;
    const { kernels } = bench.instance;
    let returned: unknown;
    prepare(bench);
    return {
      name: `waferfs ${name}`,
      kind: 'ours',
      run() {
        bench.touch();
        returned = run(kernels, bench);
      },
      result: () => result(bench, returned),
    };
  });
  return {
    cases,
    shared: benches[0]!,
    reset: () => {
      for (const bench of benches) bench.reset();
    },
  };
}

function words(bench: Bench, address: number, bytes: number): Uint32Array {
  return new Uint32Array(bench.instance.arena.memory.buffer, address, bytes / 4);
}

/** What copying the same bytes costs: a quarter of the input onto another, in turn. */
function memcpyBound(bench: Bench & { touch(): void }, from: number, bytes: number): BenchCase {
  const { u8 } = bench.instance.arena;
  const target = new Uint8Array(new SharedArrayBuffer(bytes));
  return {
    name: 'memcpy (bound)',
    kind: 'bound',
    run() {
      bench.touch();
      target.set(u8.subarray(from, from + bytes));
    },
  };
}

function xorGroup(sources: number, length: number, label: string): BenchGroup {
  const bytes = sources * length;
  const { cases, shared, reset } = variants(
    bytes + length,
    (kernels, { at, list }) => kernels.xor(at + bytes, list, sources, length),
    ({ instance, at }) => instance.arena.bytes(at + bytes, length).slice(),
    ({ instance, at, list }) => {
      for (let i = 0; i < sources; i++) instance.arena.u32[list / 4 + i] = at + i * length;
    },
  );
  const views = Array.from({ length: sources }, (_, i) =>
    words(shared, shared.at + i * length, length),
  );
  const sum = new Uint32Array(length / 4);
  const plain: BenchCase = {
    name: 'plain TypeScript',
    kind: 'peer',
    run() {
      shared.touch();
      xorPlain(sum, views);
    },
    result: () => new Uint8Array(sum.buffer),
  };
  const bound = memcpyBound(shared, shared.at, bytes);
  return { name: `xor ${sources} to 1, ${label}`, bytes, reset, cases: [...cases, plain, bound] };
}

/** Bytes are those of both planes. */
function andNotGroup(length: number, label: string, { bitSet }: Peers): BenchGroup {
  const { cases, shared, reset } = variants(
    3 * length,
    (kernels, { at }) => kernels.planeAndNot(at + 2 * length, at, at + length, length),
    ({ instance, at }) => instance.arena.bytes(at + 2 * length, length).slice(),
  );
  const [a, b] = [words(shared, shared.at, length), words(shared, shared.at + length, length)];
  const sum = new Uint32Array(length / 4);
  const result = () => new Uint8Array(sum.buffer);
  const peers: BenchCase[] = [
    {
      name: 'plain TypeScript',
      kind: 'peer',
      run() {
        shared.touch();
        andNotPlain(sum, a, b);
      },
      result,
    },
  ];
  if (bitSet !== undefined) {
    const sets = [a, b].map((view) => bitSet.fromWords(view)) as [BitSetPeer, BitSetPeer];
    let difference: Uint32Array = sum;
    peers.push({
      name: 'TypedFastBitSet',
      kind: 'peer',
      run() {
        shared.touch();
        // difference2 overwrites its argument with (this and not argument): on a copy, as ours.
        const copy = bitSet.fromWords(sum);
        copy.words.set(b);
        difference = sets[0].difference2(copy).words;
      },
      result: () => new Uint8Array(difference.buffer, difference.byteOffset, length).slice(),
    });
  }
  const bound = memcpyBound(shared, shared.at, 2 * length);
  const all = [...cases, ...peers, bound];
  return { name: `plane and-not, ${label}`, bytes: 2 * length, reset, cases: all };
}

function countGroup(length: number, isFused: boolean, label: string, peers: Peers): BenchGroup {
  const bytes = isFused ? 2 * length : length;
  const { cases, shared, reset } = variants(
    bytes,
    (kernels, { at }) =>
      isFused
        ? kernels.planeAndNotPopcount(at, at + length, length)
        : kernels.planePopcount(at, length),
    (_bench, returned) => String(returned),
  );
  const a = words(shared, shared.at, length);
  const b = isFused ? words(shared, shared.at + length, length) : a;
  const counted = (name: string, count: () => number): BenchCase => {
    let returned = 0;
    return {
      name,
      kind: 'peer',
      run() {
        shared.touch();
        returned = count();
      },
      result: () => String(returned),
    };
  };
  const others = [
    counted('plain TypeScript', () => (isFused ? andNotPopcountPlain(a, b) : popcountPlain(a))),
  ];
  if (peers.bitSet !== undefined) {
    const [first, second] = [peers.bitSet.fromWords(a), peers.bitSet.fromWords(b)];
    others.push(
      counted('TypedFastBitSet', () => (isFused ? first.difference_size(second) : first.size())),
    );
  }
  const bound = memcpyBound(shared, shared.at, bytes);
  const name = `${isFused ? 'and-not + popcount' : 'popcount'}, ${label}`;
  return { name, bytes, reset, cases: [...cases, ...others, bound] };
}

function hex(value: bigint): string {
  return value.toString(16).padStart(16, '0');
}

/** `count` blocks, one after the other. */
function xxhashGroup(count: number, label: string, peers: Peers): BenchGroup {
  const bytes = count * BLOCK;
  const { cases, shared, reset } = variants(
    bytes,
    (kernels, { list, out }) => kernels.xxhash64Blocks(list, count, out),
    ({ instance, out }) => hex(instance.arena.view.getBigUint64(out + 8 * (count - 1), true)),
    ({ instance, at, list }) => {
      for (let i = 0; i < count; i++) instance.arena.u32[list / 4 + i] = at + i * BLOCK;
    },
  );
  const { arena } = shared.instance;
  const blocks = Array.from({ length: count }, (_, i) => arena.bytes(shared.at + i * BLOCK, BLOCK));
  const quads = blocks.map((block) => new BigUint64Array(block.buffer, block.byteOffset, 512));
  const hashed = (name: string, hash: (index: number) => string | bigint): BenchCase => {
    let last: string | bigint = '';
    return {
      name,
      kind: 'peer',
      run() {
        shared.touch();
        for (let i = 0; i < count; i++) last = hash(i);
      },
      result: () => (typeof last === 'bigint' ? hex(last) : last),
    };
  };
  const others = [hashed('plain TypeScript (BigInt)', (i) => xxhash64Plain(quads[i]!))];
  const { xxhashWasm, hashWasm } = peers;
  if (xxhashWasm !== undefined) {
    others.push(hashed('xxhash-wasm', (i) => xxhashWasm.h64Raw(blocks[i]!)));
  }
  if (hashWasm !== undefined) {
    others.push(
      hashed('hash-wasm', (i) => {
        hashWasm.init();
        hashWasm.update(blocks[i]!);
        return hashWasm.digest();
      }),
    );
  }
  const bound = memcpyBound(shared, shared.at, bytes);
  return { name: `xxHash64, ${label}`, bytes, reset, cases: [...cases, ...others, bound] };
}

function crcGroup(length: number, { hashWasmCrc }: Peers): BenchGroup {
  const { cases, shared, reset } = variants(
    length,
    (kernels, { at, out }) => kernels.crc32c(at, length, 0, out),
    (_bench, returned) => (returned as number).toString(16).padStart(8, '0'),
    ({ instance, out }) => instance.kernels.crc32cTable(out),
  );
  const bytes = shared.instance.arena.bytes(shared.at, length);
  let plain = 0;
  let digest = '';
  const others: BenchCase[] = [
    {
      name: 'plain TypeScript',
      kind: 'peer',
      run() {
        shared.touch();
        plain = crc32cPlain(bytes);
      },
      result: () => plain.toString(16).padStart(8, '0'),
    },
  ];
  if (hashWasmCrc !== undefined) {
    others.push({
      name: 'hash-wasm',
      kind: 'peer',
      run() {
        shared.touch();
        hashWasmCrc.init();
        hashWasmCrc.update(bytes);
        digest = hashWasmCrc.digest();
      },
      result: () => digest,
    });
  }
  return { name: 'CRC-32C, 4 KiB', bytes: length, reset, cases: [...cases, ...others] };
}

/** Checksums and parity of `stripes` stripes of 8 + 1, on one thread and on two. */
function tetrisGroup(stripes: number, label: string): BenchGroup {
  const columns = 8;
  const bytes = columns * stripes * BLOCK;
  const bench = makeBench(compileKernels('shared'), bytes + stripes * BLOCK);
  const { instance, at, list, out } = bench;
  const { arena, kernels } = instance;
  for (let i = 0; i < columns * stripes; i++) arena.u32[list / 4 + i] = at + i * BLOCK;
  const job = { kernel: 'tetris', args: [list, columns, stripes, at + bytes, out] };
  const pool = new PiscinaPool(instance, { threads: 2 });
  const onPool = (name: string, run: () => Promise<unknown>): BenchCase => ({
    name,
    kind: 'ours',
    async run() {
      bench.touch();
      await run();
    },
    result: () => arena.bytes(out, 8 * columns * stripes).slice(),
  });
  const inline = new InlinePool(kernels);
  return {
    name: `tetris 8 + 1 with checksums, ${label}`,
    bytes,
    reset: bench.reset,
    cases: [
      onPool('two threads', async () => {
        await pool.start();
        await pool.run([job]);
      }),
      onPool('one thread', () => inline.run([job])),
    ],
    close: () => pool.close(),
  };
}

async function main(): Promise<void> {
  const size = benchSize();
  const peers = await loadPeers(size);
  const isReal = size === 'real';
  const large = isReal ? 32 * MIB : 64 * 1024;
  const label = isReal ? '32 MiB' : '64 KiB';
  const groups = [
    ...[4, 8, 16].map((sources) => () => xorGroup(sources, BLOCK, '4 KiB each')),
    () => xorGroup(8, large, `${label} each`),
    () => andNotGroup(isReal ? 128 * 1024 : 4096, isReal ? '128 KiB' : '4 KiB', peers),
    () => andNotGroup(large, label, peers),
    () => countGroup(large, false, label, peers),
    () => countGroup(large, true, label, peers),
    () => xxhashGroup(1, 'one block', peers),
    () => xxhashGroup(isReal ? 8192 : 16, label, peers),
    () => crcGroup(BLOCK, peers),
    () => tetrisGroup(16, '0.5 MiB'),
    () => (isReal ? tetrisGroup(4096, '128 MiB') : tetrisGroup(32, '1 MiB')),
  ];
  await runSuite('kernels', groups, size);
}

await main();
