// Builds the kernels: every target of asconfig.json into build/*.wasm, and the release targets once
// more, as base64, into host/kernels/wasm/embedded.ts, so that the portable core needs no file at
// run time. That module also lists the layout files, for the fingerprint: what the two compilers
// made of the same constants is compared when the kernels are loaded.
//
// Nothing is done when the inputs are those of the last build. Outputs are renamed into place, so
// that builds under way at the same time do no harm.
//
//   node assembly/build.mjs [--force]

import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const TARGETS = ['scalar', 'simd', 'shared', 'debug'];
const EMBEDDED = ['scalar', 'simd', 'shared'];
const ENTRY = 'assembly/index.ts';
/** Given to asc as a file, never on disk. */
const FINGERPRINT = 'assembly/kernels/fingerprint.ts';
const EMBEDDED_FILE = 'host/kernels/wasm/embedded.ts';
const STAMP_FILE = 'build/stamp';

const layouts = readdirSync(join(root, 'assembly/layout'))
  .filter((file) => file.endsWith('.ts'))
  .sort();
const inputs = [
  'assembly/build.mjs',
  'asconfig.json',
  ENTRY,
  ...readdirSync(join(root, 'assembly/kernels'))
    .sort()
    .map((file) => `assembly/kernels/${file}`),
  ...layouts.map((file) => `assembly/layout/${file}`),
];

await build();

async function build() {
  const stamp = inputsHash();
  if (!process.argv.includes('--force') && isUpToDate(stamp)) return;
  const { default: asc } = await import('assemblyscript/asc');
  const wasm = new Map();
  for (const target of TARGETS) wasm.set(target, await compile(asc, target));
  mkdirSync(join(root, 'build'), { recursive: true });
  for (const [target, bytes] of wasm) replace(`build/${target}.wasm`, bytes);
  mkdirSync(join(root, dirname(EMBEDDED_FILE)), { recursive: true });
  replace(EMBEDDED_FILE, embeddedSource(wasm));
  replace(STAMP_FILE, stamp);
  const sizes = TARGETS.map((target) => `${target} ${wasm.get(target).length}`).join(', ');
  console.error(`kernels built (bytes): ${sizes}`);
}

/** One target, as bytes. */
async function compile(asc, target) {
  let bytes;
  const io = {
    readFile: (name, base) =>
      name === FINGERPRINT ? fingerprintSource() : readOrNull(join(base, name)),
    writeFile: (name, contents) => {
      if (name.endsWith('.wasm')) bytes = contents;
    },
    listFiles: (name, base) => readdirSync(join(base, name)).filter((file) => file.endsWith('.ts')),
  };
  const argv = [ENTRY, '--target', target, '--config', 'asconfig.json', '--baseDir', root];
  const { error, stderr } = await asc.main(argv, io);
  if (error !== null) {
    console.error(stderr.toString());
    process.exit(1);
  }
  return bytes;
}

/** AssemblyScript that folds every layout constant, as asc sees it, into one number; the other
 *  side is host/kernels/fingerprint.ts. Constants go in the order of file and name. */
function fingerprintSource() {
  const imports = [];
  const folds = [];
  for (const file of layouts) {
    const source = readFileSync(join(root, 'assembly/layout', file), 'utf8');
    const names = [...source.matchAll(/^export const (\w+)/gm)].map((match) => match[1]).sort();
    const stem = identifier(file);
    const specifiers = names.map((name) => `${name} as ${stem}_${name}`);
    imports.push(`import { ${specifiers.join(', ')} } from "../layout/${file}";`);
    for (const name of names) {
      const key = nameHash(`${stem}.${name}`);
      folds.push(`  hash = fold(fold(hash, ${key}), <u32>${stem}_${name});`);
    }
  }
  return `${imports.join('\n')}
// @ts-ignore: decorator
@inline
function fold(hash: u32, value: u32): u32 { return (hash ^ value) * 0x01000193; }
export function layoutFingerprint(): u32 {
  let hash: u32 = 0x811c9dc5;
${folds.join('\n')}
  return hash;
}
`;
}

/** As in host/kernels/fingerprint.ts. */
function nameHash(name) {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

function identifier(file) {
  return file.slice(0, -3).replace(/-(\w)/g, (_, letter) => letter.toUpperCase());
}

function embeddedSource(wasm) {
  const stems = layouts.map(identifier);
  const imports = layouts.map(
    (file, i) => `import * as ${stems[i]} from '../../../assembly/layout/${file}';`,
  );
  const strings = EMBEDDED.map(
    (target) => `  ${target}:\n    '${Buffer.from(wasm.get(target)).toString('base64')}',`,
  );
  return `// Made by assembly/build.mjs; not in git.

${imports.join('\n')}

/** The layout files that the kernels were built with. */
export const LAYOUTS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
${stems.map((stem) => `  ${stem},`).join('\n')}
};

/** The release builds, in base64. */
export const EMBEDDED_WASM = {
${strings.join('\n')}
} as const;
`;
}

function inputsHash() {
  const hash = createHash('sha256');
  const compiler = readFileSync(join(root, 'node_modules/assemblyscript/package.json'), 'utf8');
  hash.update(JSON.parse(compiler).version);
  for (const file of inputs) {
    hash.update(file).update('\0');
    hash.update(readFileSync(join(root, file))).update('\0');
  }
  return hash.digest('hex');
}

function isUpToDate(stamp) {
  const outputs = [EMBEDDED_FILE, ...TARGETS.map((target) => `build/${target}.wasm`)];
  return (
    readOrNull(join(root, STAMP_FILE)) === stamp &&
    outputs.every((file) => readOrNull(join(root, file)) !== null)
  );
}

function readOrNull(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error.code === 'ENOENT') return null;
    throw error;
  }
}

/** Writes beside, then renames: a reader sees the old file or the new one. */
function replace(file, contents) {
  const path = join(root, file);
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, contents);
  renameSync(temporary, path);
}
