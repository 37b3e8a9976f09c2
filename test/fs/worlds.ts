// Two worlds for the differential tests: node:fs in a temporary directory, and createFs on the
// model. The same paths are valid in both (the volume has the temporary directory's path in it),
// so that results and messages are compared as they are.

import * as nodeFs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { SeededPrng } from '../../host/base/prng.ts';
import { createFs } from '../../host/fs/create-fs.ts';
import { ModelFileSystem } from '../oracle/model-file-system.ts';

// The two are called alike and typed apart: what is passed is often wrong on purpose.
// biome-ignore lint/suspicious/noExplicitAny: see above
export type AnyFs = any;

export interface Worlds {
  /** The directory, the same in both. */
  readonly root: string;
  readonly real: AnyFs;
  readonly ours: AnyFs;
  remove(): void;
}

export function makeWorlds(): Worlds {
  // Memory, where the host has it as a directory: the tests make thousands of files.
  const parent = nodeFs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
  const root = nodeFs.realpathSync(nodeFs.mkdtempSync(join(parent, 'waferfs-fs-')));
  const ours = createFs(new ModelFileSystem(), { prng: new SeededPrng(1), umask: process.umask() });
  ours.mkdirSync(root, { recursive: true });
  const remove = () => nodeFs.rmSync(root, { recursive: true, force: true });
  return { root, real: nodeFs, ours, remove };
}

/** What every case finds below its directory. */
export function makeFixture(fs: AnyFs, root: string): void {
  fs.mkdirSync(root);
  fs.writeFileSync(`${root}/file`, 'hello world');
  fs.writeFileSync(`${root}/empty`, '');
  fs.mkdirSync(`${root}/dir`);
  fs.writeFileSync(`${root}/dir/inner`, 'inner');
  fs.mkdirSync(`${root}/dir/sub`);
  fs.mkdirSync(`${root}/hollow`);
  fs.symlinkSync('file', `${root}/link`);
  fs.symlinkSync('dir', `${root}/dirlink`);
  fs.symlinkSync('nowhere', `${root}/dangling`);
  fs.symlinkSync('loop', `${root}/loop`);
  fs.symlinkSync('file/', `${root}/slashlink`);
  fs.linkSync(`${root}/file`, `${root}/hard`);
}

const ERROR_KEYS = ['name', 'code', 'errno', 'syscall', 'message', 'path', 'dest', 'info'];

/** A result or an error as text, without what differs between two file systems by nature. */
export function shown(value: unknown): string {
  const limits = { depth: 6, maxStringLength: 500, maxArrayLength: 300 };
  return inspect(simplified(value), { ...limits, sorted: true });
}

function simplified(value: unknown): unknown {
  if (value instanceof Error) {
    const error = value as unknown as Record<string, unknown>;
    return Object.fromEntries(
      ERROR_KEYS.filter((key) => error[key] !== undefined).map((key) => [key, error[key]]),
    );
  }
  if (ArrayBuffer.isView(value)) {
    const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength);
    return { view: value.constructor.name, bytes: bytes.toString('latin1') };
  }
  if (Array.isArray(value)) return value.map(simplified);
  if (typeof value !== 'object' || value === null) return value;
  const object = value as Record<string, unknown> & { isDirectory?: () => boolean };
  if (typeof object['isDirectory'] === 'function') return simplifiedStats(object);
  const pairs = Object.entries(value).map(([key, item]) => [key, simplified(item)]);
  return Object.fromEntries(pairs);
}

const KINDS = [
  'isFile',
  'isDirectory',
  'isSymbolicLink',
  'isBlockDevice',
  'isCharacterDevice',
  'isFIFO',
  'isSocket',
];

function simplifiedStats(stats: Record<string, unknown>): unknown {
  const kinds = KINDS.filter((kind) => (stats[kind] as () => boolean)());
  const keys = ['name', 'parentPath', 'path', 'mode', 'uid', 'gid'];
  // Sizes and links of directories are the file system's own business.
  if (!kinds.includes('isDirectory')) keys.push('size', 'nlink');
  const known = keys.filter((key) => key in stats).map((key) => [key, simplified(stats[key])]);
  return { kinds, ...Object.fromEntries(known) };
}

export async function outcome(run: () => unknown): Promise<string> {
  try {
    return shown(await run());
  } catch (error) {
    return `throws ${shown(error)}`;
  }
}

/** Everything below a directory, as text. */
export function listing(fs: AnyFs, root: string): string {
  const lines: string[] = [];
  const visit = (path: string, name: string): void => {
    const stats = fs.lstatSync(path);
    let line = `${name} ${shown(stats)}`;
    if (stats.isSymbolicLink()) line += ` -> ${fs.readlinkSync(path)}`;
    if (stats.isFile()) line += ` = ${shown(fs.readFileSync(path))}`;
    lines.push(line);
    if (!stats.isDirectory()) return;
    for (const child of fs.readdirSync(path)) visit(`${path}/${child}`, `${name}/${child}`);
  };
  visit(root, '');
  return lines.join('\n');
}
