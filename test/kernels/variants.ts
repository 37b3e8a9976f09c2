// Every implementation of the kernels, by name, each on a memory of its own.

import { readFileSync } from 'node:fs';
import {
  compileKernels,
  createKernels,
  type KernelInstance,
} from '../../host/kernels/instantiate.ts';

export function createVariants(arenaBytes: number): Record<string, KernelInstance> {
  const debug = new WebAssembly.Module(
    readFileSync(new URL('../../../build/debug.wasm', import.meta.url)),
  );
  return {
    scalar: createKernels({ arenaBytes, module: compileKernels('scalar') }),
    simd: createKernels({ arenaBytes, module: compileKernels('simd') }),
    shared: createKernels({ arenaBytes, module: compileKernels('shared') }),
    debug: createKernels({ arenaBytes, module: debug }),
    oracle: createKernels({ arenaBytes, kernels: 'oracle' }),
  };
}
