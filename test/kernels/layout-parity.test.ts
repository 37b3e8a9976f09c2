// asc compiles assembly/layout as a module; every exported constant is compared with what
// JavaScript imports from the same file. The two compilers read some expressions differently and
// say nothing (division, 2^31 and above, booleans), and a structure read at two offsets is a volume
// lost.

import { readdirSync, readFileSync } from 'node:fs';
import asc from 'assemblyscript/asc';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { layoutFingerprintExpected } from '../../host/kernels/fingerprint.ts';
import { compileKernels, createKernels } from '../../host/kernels/instantiate.ts';
import { EMBEDDED_WASM, LAYOUTS } from '../../host/kernels/wasm/embedded.ts';

const root = new URL('../../../', import.meta.url);
const folder = new URL('assembly/layout/', root);
const files = readdirSync(folder).filter((file) => file.endsWith('.ts'));

/** The constants of some AssemblyScript files, by name, as WebAssembly globals. */
async function compiledConstants(sources: Record<string, string>): Promise<Map<string, unknown>> {
  let bytes: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await asc.main(
    [...Object.keys(sources), '--outFile', 'out.wasm', '--runtime', 'stub', '--config', 'none'],
    {
      readFile: (name) => sources[name.replace(/^.*\//, '')] ?? null,
      writeFile: (name, contents) => {
        if (name === 'out.wasm') bytes = contents as Uint8Array<ArrayBuffer>;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || bytes === undefined) throw new Error(`asc: ${stderr.toString()}`);
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(bytes), {});
  const globals = Object.entries(exports).filter(
    ([, value]) => value instanceof WebAssembly.Global,
  );
  return new Map(globals.map(([name, value]) => [name, (value as WebAssembly.Global).value]));
}

async function importedConstants(): Promise<Map<string, unknown>> {
  const constants = new Map<string, unknown>();
  for (const file of files) {
    const url = new URL(`dist/assembly/layout/${file.slice(0, -3)}.js`, root);
    for (const [name, value] of Object.entries((await import(url.href)) as object)) {
      assert.not.ok(constants.has(name), `${name} stands in two layout files`);
      constants.set(name, value);
    }
  }
  return constants;
}

const test = suite('layout parity');

test('both compilers read the same constants', async () => {
  const sources = files.map((file) => [file, readFileSync(new URL(file, folder), 'utf8')]);
  const compiled = await compiledConstants(Object.fromEntries(sources) as Record<string, string>);
  const imported = await importedConstants();
  assert.ok(imported.size > 100, 'there are constants');
  assert.equal([...compiled.keys()].sort(), [...imported.keys()].sort());
  for (const [name, value] of imported) assert.is(compiled.get(name), value, name);
});

test('the comparison sees what the compilers differ in', async () => {
  const source = `
    export const QUOTIENT = 4096 / 192;
    export const MAGIC = 0xF1A5F00D;
    export const PRODUCT = 65536 * 65536;
    export const FLAG = true;
    export const FINE = 4096;`;
  const compiled = await compiledConstants({ 'traps.ts': source });
  const evaluated = { QUOTIENT: 4096 / 192, MAGIC: 0xf1a5f00d, PRODUCT: 65536 * 65536, FLAG: true };
  for (const [name, value] of Object.entries(evaluated))
    assert.is.not(compiled.get(name), value, name);
  assert.is(compiled.get('FINE'), 4096);
});

test('the build covers all layout files, and its fingerprint is that of the sources', () => {
  const stems = files.map((file) =>
    file.slice(0, -3).replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase()),
  );
  assert.equal(Object.keys(LAYOUTS).sort(), stems.sort());
  for (const variant of Object.keys(EMBEDDED_WASM) as (keyof typeof EMBEDDED_WASM)[]) {
    const { kernels } = createKernels({ arenaBytes: 1 << 18, module: compileKernels(variant) });
    assert.is(kernels.layoutFingerprint(), layoutFingerprintExpected(), variant);
  }
});

test.run();
