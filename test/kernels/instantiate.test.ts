// How kernels and arena come into being: which build, on which memory, and what is refused. A stale
// build beside newer code would read every structure at the wrong place.

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { isStorageError } from '../../host/base/errors.ts';
import {
  attachKernels,
  compileKernels,
  createKernels,
  createKernelsAsync,
  recycleKernels,
} from '../../host/kernels/instantiate.ts';
import { EMBEDDED_WASM } from '../../host/kernels/wasm/embedded.ts';

const ARENA_BYTES = 1 << 18;
const test = suite('kernels: instantiation');

test('the face has exactly the functions that each build exports', () => {
  const oracle = createKernels({ arenaBytes: ARENA_BYTES, kernels: 'oracle' });
  const names = Object.keys(oracle.kernels).sort();
  assert.ok(names.length >= 17);
  for (const variant of Object.keys(EMBEDDED_WASM) as (keyof typeof EMBEDDED_WASM)[]) {
    const module = compileKernels(variant);
    const functions = WebAssembly.Module.exports(module).filter(({ kind }) => kind === 'function');
    assert.equal(functions.map(({ name }) => name).sort(), names, variant);
    const { kernels } = createKernels({ arenaBytes: ARENA_BYTES, module });
    assert.equal(Object.keys(kernels).sort(), names, variant);
  }
});

test('no build has static data, a start function or an allocator', () => {
  for (const variant of Object.keys(EMBEDDED_WASM) as (keyof typeof EMBEDDED_WASM)[]) {
    const bytes = Buffer.from(EMBEDDED_WASM[variant], 'base64');
    const sections: number[] = [];
    for (let at = 8; at < bytes.length; ) {
      sections.push(bytes[at++]!);
      let size = 0;
      for (let shift = 0, more = true; more; shift += 7) {
        more = bytes[at]! >= 128;
        size |= (bytes[at++]! & 127) << shift;
      }
      at += size;
    }
    assert.ok(sections.includes(10), `${variant} has code`);
    assert.not.ok(sections.includes(11), `${variant} has data`);
    assert.not.ok(sections.includes(8), `${variant} has a start function`);
    const imports = WebAssembly.Module.imports(compileKernels(variant));
    assert.equal(
      imports.map(({ name }) => name),
      ['memory'],
      variant,
    );
  }
});

test('shared where possible, plain memory on demand, a given module as it is', async () => {
  const shared = createKernels({ arenaBytes: ARENA_BYTES });
  assert.is(shared.variant, 'shared');
  assert.instance(shared.arena.memory.buffer, SharedArrayBuffer);
  const plain = createKernels({ arenaBytes: ARENA_BYTES, shared: false });
  assert.is(plain.variant, 'simd');
  assert.instance(plain.arena.memory.buffer, ArrayBuffer);
  for (const variant of ['scalar', 'simd', 'shared'] as const) {
    const given = createKernels({ arenaBytes: ARENA_BYTES, module: compileKernels(variant) });
    assert.is(given.variant, variant);
  }
  assert.is((await createKernelsAsync({ arenaBytes: ARENA_BYTES })).variant, 'shared');
  const plainAsync = await createKernelsAsync({ arenaBytes: ARENA_BYTES, shared: false });
  assert.is(plainAsync.variant, 'simd');
  assert.is(createKernels({ arenaBytes: ARENA_BYTES + 1 }).arena.sizeBytes, ARENA_BYTES + 65536);
});

test('without shared memory the simd build serves, and sharing is refused', () => {
  const kept = globalThis.SharedArrayBuffer;
  try {
    Reflect.deleteProperty(globalThis, 'SharedArrayBuffer');
    assert.is(createKernels({ arenaBytes: ARENA_BYTES }).variant, 'simd');
    assert.throws(
      () => createKernels({ arenaBytes: ARENA_BYTES, shared: true }),
      (error: unknown) => isStorageError(error, 'UNSUPPORTED_FEATURE'),
    );
  } finally {
    globalThis.SharedArrayBuffer = kept;
  }
});

test('a build of another layout is refused', () => {
  // asc folds the whole computation into one constant; we change it.
  const bytes = Buffer.from(EMBEDDED_WASM.simd, 'base64');
  const { kernels } = createKernels({ arenaBytes: ARENA_BYTES });
  const folded = signedLeb(kernels.layoutFingerprint() | 0);
  const at = bytes.indexOf(folded);
  assert.ok(at > 0, 'the fingerprint is in the module');
  bytes[at]! ^= 1;
  const module = new WebAssembly.Module(bytes);
  const memory = new WebAssembly.Memory({ initial: 4, maximum: 4 });
  assert.throws(
    () => attachKernels(memory, module),
    (error: unknown) => isStorageError(error, 'VERSION_TOO_NEW'),
  );
});

test('a module that is not ours is refused', () => {
  const empty = new WebAssembly.Module(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0));
  assert.throws(
    () => createKernels({ arenaBytes: ARENA_BYTES, module: empty }),
    (error: unknown) => isStorageError(error, 'VERSION_TOO_NEW'),
  );
});

test('an arena made of a memory that was used is a fresh one', () => {
  const used = createKernels({ arenaBytes: 5 * ARENA_BYTES });
  used.arena.u8.fill(0xff);
  recycleKernels(used);
  const other = createKernels({ arenaBytes: 6 * ARENA_BYTES });
  assert.is.not(other.arena.memory, used.arena.memory, 'of another size');
  const next = createKernels({ arenaBytes: 5 * ARENA_BYTES });
  assert.is(next.arena.memory, used.arena.memory);
  const address = next.arena.reserve(10_000);
  assert.ok(
    next.arena.bytes(address, 10_000).every((byte) => byte === 0),
    'zeros',
  );
  const third = createKernels({ arenaBytes: 5 * ARENA_BYTES });
  assert.is.not(third.arena.memory, used.arena.memory, 'it has one owner');
});

/** An i32 as WebAssembly writes it. */
function signedLeb(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = value; ; rest >>= 7) {
    const low = rest & 127;
    const isLast = rest >> 6 === 0 || rest >> 6 === -1;
    bytes.push(isLast ? low : low | 128);
    if (isLast) return Buffer.from(bytes);
  }
}

test.run();
