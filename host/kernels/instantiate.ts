// Kernels and the arena they work on come into being together. Three builds of one source:
//
//   shared   SIMD on shared memory, for worker threads: wherever SharedArrayBuffer exists
//   simd     SIMD on plain memory: browsers without isolation, workerd
//   scalar   no SIMD: old engines
//
// A shared build refuses plain memory and the reverse, so arena and build are chosen in one place.
// The bytes of the builds are part of the program (wasm/embedded.ts): nothing is read or fetched.
// Where code may not be compiled at run time (workerd), the caller hands in a compiled module.

import { instantiateSync } from '@assemblyscript/loader';
import { assert, InvariantError } from '../base/assert.ts';
import { StorageError } from '../base/errors.ts';
import { Arena } from './arena.ts';
import type { KernelExports } from './exports.ts';
import { layoutFingerprintExpected } from './fingerprint.ts';
import { createOracle } from './oracle.ts';
import { EMBEDDED_WASM } from './wasm/embedded.ts';

export type WasmVariant = keyof typeof EMBEDDED_WASM;
export type KernelVariant = WasmVariant | 'oracle';

export interface KernelOptions {
  /** Bytes in the arena; rounded up to whole WebAssembly pages. */
  readonly arenaBytes: number;
  /** 'oracle': plain TypeScript instead of WebAssembly. Default 'wasm'. */
  readonly kernels?: 'wasm' | 'oracle' | undefined;
  /** A compiled build, instead of the embedded ones. */
  readonly module?: WebAssembly.Module | undefined;
  /** Whether the arena's memory is shared. Default: where the platform can. */
  readonly shared?: boolean | undefined;
}

export interface KernelInstance {
  readonly arena: Arena;
  readonly kernels: KernelExports;
  /** What worker threads instantiate on the same memory; undefined for the oracle. */
  readonly module: WebAssembly.Module | undefined;
  readonly variant: KernelVariant;
}

/** A kernel trapped: it was called against its contract, a bug of waferfs. The instance is dead. */
export class KernelTrapError extends InvariantError {
  constructor(kernel: string, cause: unknown) {
    super(`kernel ${kernel} trapped: ${String(cause)}`);
    this.name = 'KernelTrapError';
    this.cause = cause;
  }
}

const WASM_PAGE_SIZE = 65536;
/** One page less than 4 GiB, so that the end of a range is a u32 too. */
const ARENA_PAGES_MAX = 65535;
/** By the number that a module exports as VARIANT. */
const VARIANTS: readonly WasmVariant[] = ['scalar', 'simd', 'shared'];

/** Makes an arena and the kernels on it, in this turn.
 *  @throws StorageError VERSION_TOO_NEW where a given or embedded build does not belong to this
 *  code, UNSUPPORTED_FEATURE where `shared` is asked for and not to be had. */
export function createKernels(options: KernelOptions): KernelInstance {
  const pages = Math.ceil(options.arenaBytes / WASM_PAGE_SIZE);
  assert(pages >= 2 && pages <= ARENA_PAGES_MAX, 'arena has 2 to 65535 pages', pages);
  if (options.kernels === 'oracle') {
    const arena = new Arena(createMemory(pages, false));
    return { arena, kernels: createOracle(arena), module: undefined, variant: 'oracle' };
  }
  if (options.shared === true && !isSharingPossible()) {
    throw new StorageError('UNSUPPORTED_FEATURE', 'this platform has no shared memory');
  }
  const canShare = options.shared ?? isSharingPossible();
  if (options.module !== undefined) return createFromModule(options.module, pages, canShare);
  const variant = canShare ? 'shared' : isSimdPossible() ? 'simd' : 'scalar';
  return onMemory(createMemory(pages, canShare), compileKernels(variant));
}

/** As createKernels, but compiles off the calling thread: for the main thread of browsers. */
export async function createKernelsAsync(options: KernelOptions): Promise<KernelInstance> {
  if (options.kernels === 'oracle' || options.module !== undefined) return createKernels(options);
  const shared = options.shared ?? isSharingPossible();
  const variant = shared ? 'shared' : isSimdPossible() ? 'simd' : 'scalar';
  const module = await WebAssembly.compile(wasmBytes(variant));
  return createKernels({ ...options, module, shared });
}

/** The compiled build, kept for the next caller. */
export function compileKernels(variant: WasmVariant): WebAssembly.Module {
  let module = compiled.get(variant);
  if (module === undefined) {
    module = new WebAssembly.Module(wasmBytes(variant));
    compiled.set(variant, module);
  }
  return module;
}
const compiled = new Map<WasmVariant, WebAssembly.Module>();

/** The kernels of `module` on a memory that exists: for worker threads.
 *  @throws StorageError VERSION_TOO_NEW when the build does not belong to this code. */
export function attachKernels(
  memory: WebAssembly.Memory,
  module: WebAssembly.Module,
): { kernels: KernelExports; variant: WasmVariant } {
  const { exports } = instantiateSync<Record<string, unknown>>(module, { env: { memory } });
  const variant = VARIANTS[(exports['VARIANT'] as WebAssembly.Global | undefined)?.value as number];
  const kernels = kernelFace(module, exports);
  const expected = layoutFingerprintExpected();
  const actual = variant === undefined ? -1 : kernels.layoutFingerprint();
  if (variant === undefined || actual !== expected) {
    throw new StorageError('VERSION_TOO_NEW', 'the WebAssembly kernels are not of this build', {
      detail: { expected, actual },
      hint: 'build again (`npm run build`), or install waferfs again',
    });
  }
  return { kernels, variant };
}

/** A module does not say whether it wants shared memory; one of the two links. */
function createFromModule(
  module: WebAssembly.Module,
  pages: number,
  canShare: boolean,
): KernelInstance {
  if (canShare) {
    try {
      return onMemory(createMemory(pages, true), module);
    } catch (error) {
      if (!(error instanceof WebAssembly.LinkError)) throw error;
    }
  }
  return onMemory(createMemory(pages, false), module);
}

function onMemory(memory: WebAssembly.Memory, module: WebAssembly.Module): KernelInstance {
  const { kernels, variant } = attachKernels(memory, module);
  return { arena: new Arena(memory), kernels, module, variant };
}

function createMemory(pages: number, shared: boolean): WebAssembly.Memory {
  const at = idle.findIndex((reference) => {
    const buffer = reference.deref()?.buffer;
    const isShared = !(buffer instanceof ArrayBuffer);
    return buffer?.byteLength === pages * WASM_PAGE_SIZE && isShared === shared;
  });
  const [found] = at < 0 ? [] : idle.splice(at, 1);
  return found?.deref() ?? new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
}

/** Memories that nobody uses any more, until the collector comes by: shared memory does not press
 *  it, so volumes opened one after the other would each take memory of their own. */
const idle: WeakRef<WebAssembly.Memory>[] = [];
const IDLE_MAX = 8;

/** The instance is never used again, by nobody: no thread, and no transfer under way, knows its
 *  memory. Arenas to come may be made of it. */
export function recycleKernels({ arena }: KernelInstance): void {
  if (idle.length === IDLE_MAX) idle.shift();
  idle.push(new WeakRef(arena.memory));
}

type Kernel = (a?: number, b?: number, c?: number, d?: number, e?: number) => number;

/** Results unsigned, traps as KernelTrapError, nothing but the functions. */
function kernelFace(module: WebAssembly.Module, exports: Record<string, unknown>): KernelExports {
  let trap: KernelTrapError | undefined;
  const face: Record<string, Kernel> = {};
  for (const { name, kind } of WebAssembly.Module.exports(module)) {
    if (kind !== 'function') continue;
    const kernel = exports[name] as Kernel;
    face[name] = (a, b, c, d, e) => {
      if (trap !== undefined) throw trap;
      try {
        return kernel(a, b, c, d, e) >>> 0;
      } catch (error) {
        trap = new KernelTrapError(name, error);
        throw trap;
      }
    };
  }
  return face as unknown as KernelExports;
}

function isSharingPossible(): boolean {
  return typeof SharedArrayBuffer !== 'undefined' && WebAssembly.validate(wasmBytes('shared'));
}

function isSimdPossible(): boolean {
  return WebAssembly.validate(wasmBytes('simd'));
}

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

/** By hand: `atob` is not part of the language. */
function wasmBytes(variant: WasmVariant): Uint8Array<ArrayBuffer> {
  const text = EMBEDDED_WASM[variant].replace(/=+$/, '');
  const bytes = new Uint8Array(Math.floor((text.length * 3) / 4));
  let bits = 0;
  let held = 0;
  let at = 0;
  for (const letter of text) {
    held = ((held << 6) | BASE64.indexOf(letter)) & 0xfff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes[at++] = held >> bits;
    }
  }
  return bytes;
}
