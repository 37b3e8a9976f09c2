// The configuration with which workerd runs the portable program of an installed package: each of
// its modules by name, the kernels as a compiled module (workerd compiles none at run time).

import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { PORTABLE_PROGRAM } from './portable-program.ts';
import { entryOf, filesBelow } from './steps.ts';

const WORKER = `
import * as waferfs from './dist/host/index.js';
import kernels from './simd.wasm';
import { run } from './program.js';
export default { async test() { console.log(await run(waferfs, kernels)); } };
`;

/** Lays out a folder for `workerd test`; gives the path of the configuration. */
export function writeWorkerConfig(packageFolder: string, folder: string): string {
  mkdirSync(folder, { recursive: true });
  const modules: string[] = [];
  const add = (name: string, kind: 'esModule' | 'wasm') => {
    modules.push(`(name = ${JSON.stringify(name)}, ${kind} = embed ${JSON.stringify(name)})`);
  };
  writeFileSync(join(folder, 'worker.js'), WORKER);
  writeFileSync(join(folder, 'program.js'), PORTABLE_PROGRAM);
  copyFileSync(join(packageFolder, 'build/simd.wasm'), join(folder, 'simd.wasm'));
  add('worker.js', 'esModule');
  add('program.js', 'esModule');
  add('simd.wasm', 'wasm');
  for (const name of filesBelow(join(packageFolder, 'dist'), '.js')) {
    if (/^host\/(node|cli)[/.]/.test(name)) continue;
    mkdirSync(dirname(join(folder, 'dist', name)), { recursive: true });
    copyFileSync(join(packageFolder, 'dist', name), join(folder, 'dist', name));
    add(`dist/${name}`, 'esModule');
  }
  copyFileSync(entryOf('@assemblyscript/loader', packageFolder), join(folder, 'loader.js'));
  // workerd takes a bare name relative to its importer, which is one file alone
  // (test/tidy/layers.ts).
  const name = 'dist/host/kernels/@assemblyscript/loader';
  modules.push(`(name = "${name}", esModule = embed "loader.js")`);
  const config = `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (services = [(name = "main", worker = .worker)]);
const worker :Workerd.Worker = (
  compatibilityDate = "2024-09-01",
  modules = [
    ${modules.join(',\n    ')}
  ]
);
`;
  const path = join(folder, 'config.capnp');
  writeFileSync(path, config);
  return path;
}
