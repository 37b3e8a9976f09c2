// Runs the portable program in a bare node:vm context: the globals of the language, and what every
// runtime for the web has for text and streams. Nothing of Node can be reached from in there.
//
//   node --experimental-vm-modules bare-context.js ENTRY
//
// ENTRY is the portable entry of an installed package.

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vm from 'node:vm';
import { PORTABLE_PROGRAM } from './portable-program.ts';
import { entryOf } from './steps.ts';

const WEB_GLOBALS = { TextEncoder, TextDecoder, ReadableStream, URL, queueMicrotask };
const context = vm.createContext({ ...WEB_GLOBALS });

const modules = new Map<string, vm.SourceTextModule>();

function load(url: string): vm.SourceTextModule {
  let module = modules.get(url);
  if (module === undefined) {
    const code = readFileSync(new URL(url), 'utf8');
    module = new vm.SourceTextModule(code, { context, identifier: url });
    modules.set(url, module);
  }
  return module;
}

function resolve(specifier: string, importer: string): string {
  if (specifier.startsWith('.')) return new URL(specifier, importer).href;
  if (specifier.startsWith('node:')) throw new Error(`${importer} imports ${specifier}`);
  return pathToFileURL(entryOf(specifier, dirname(fileURLToPath(importer)))).href;
}

async function instantiate(module: vm.SourceTextModule): Promise<Record<string, unknown>> {
  await module.link((specifier, importer) => load(resolve(specifier, importer.identifier)));
  await module.evaluate();
  return module.namespace as Record<string, unknown>;
}

const entry = pathToFileURL(process.argv[2] as string).href;
const waferfs = await instantiate(load(entry));
const program = await instantiate(new vm.SourceTextModule(PORTABLE_PROGRAM, { context }));
console.log(await (program.run as (waferfs: unknown) => Promise<string>)(waferfs));
