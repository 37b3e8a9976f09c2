// Volumes in files for tests that damage them: made once, copied, hashed.

import { createHash } from 'node:crypto';
import {
  closeSync,
  cpSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { LABEL_MAGIC, LABEL_SIZE } from '../../assembly/layout/label.ts';
import { VOLUME_ROOT_MAGIC, VOLUME_ROOT_SIZE } from '../../assembly/layout/volume-root.ts';
import {
  isStorageError,
  type StorageError,
  type StorageErrorCode,
} from '../../host/base/errors.ts';
import { sealEnvelope } from '../../host/format/envelope.ts';
import { createKernels } from '../../host/kernels/instantiate.ts';
import { type CreateOptions, type OpenOptions, Volume } from '../../host/node.ts';
import { Hasher } from '../../host/raid/hasher.ts';

export const scratch = mkdtempSync(join(tmpdir(), 'waferfs-volume-'));
export const SMALL = { size: '16MiB', logSize: '6MiB', cacheSize: '8MiB' } as const;
const BLOCK_SIZE = 4096;
/** Blocks 0 to 39: labels and roots. */
const FRONT_BLOCKS = 40;
let pathCount = 0;

export function freshPath(name = 'volume'): string {
  return join(scratch, `${name}-${pathCount++}`);
}

export function removeScratch(): void {
  rmSync(scratch, { recursive: true, force: true });
}

/** A volume with /hello and /big in it, closed in order. */
export async function makeVolume(
  options: CreateOptions = {},
  where = freshPath(),
): Promise<string> {
  const volume = await Volume.create(where, { ...SMALL, ...options });
  await volume.fs.promises.writeFile('/hello', 'hello');
  await volume.fs.promises.writeFile('/big', bigContent());
  await volume.close();
  return where;
}

export function bigContent(): Uint8Array {
  return Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7 + (index >> 12)) & 255);
}

/** Both files are as makeVolume wrote them. */
export async function checkContent(volume: Volume): Promise<void> {
  assert.is(await volume.fs.promises.readFile('/hello', 'utf8'), 'hello');
  assert.ok(Buffer.from(bigContent()).equals(await volume.fs.promises.readFile('/big')));
}

export function copyVolume(from: string): string {
  const to = freshPath('copy');
  cpSync(from, to, { recursive: true });
  return to;
}

/** Digest of every file of a volume, and its lock if there is one. */
export function digestsOf(where: string): Record<string, string> {
  const digests: Record<string, string> = {};
  const add = (path: string) => {
    digests[path] = createHash('sha256').update(readFileSync(path)).digest('hex');
  };
  if (!statSync(where).isDirectory()) add(where);
  else for (const name of readdirSync(where)) add(join(where, name));
  return digests;
}

/** Opening is refused with this code and a hint, and no file was changed. */
export async function checkRefused(
  where: string,
  code: StorageErrorCode,
  options: OpenOptions = {},
): Promise<StorageError> {
  const before = digestsOf(where);
  const error = await failureOf(Volume.open(where, { cacheSize: '8MiB', ...options }));
  assert.is(error.code, code, error.message);
  assert.ok(error.hint.length > 10, 'a hint');
  assert.equal(digestsOf(where), before, 'nothing was changed');
  return error;
}

export async function failureOf(opening: Promise<Volume>): Promise<StorageError> {
  let volume: Volume;
  try {
    volume = await opening;
  } catch (error) {
    if (isStorageError(error)) return error;
    throw error;
  }
  await volume.close();
  throw new Error('it should have been refused');
}

/** Changes bytes of a file in place. */
export function patch(
  path: string,
  position: number,
  change: (bytes: Buffer) => void,
  length = 1,
): void {
  const fd = openSync(path, 'r+');
  try {
    const bytes = Buffer.alloc(length);
    readSync(fd, bytes, 0, length, position);
    change(bytes);
    writeSync(fd, bytes, 0, length, position);
  } finally {
    closeSync(fd);
  }
}

/** Changes all labels, or all roots, of a disk file, with their checksums. */
export function patchStructures(
  path: string,
  kind: 'label' | 'root',
  change: (view: DataView) => void,
): void {
  const { arena, kernels } = createKernels({ arenaBytes: 2 * 65536 });
  const { hash } = new Hasher(arena, kernels);
  const [magic, size] =
    kind === 'label' ? [LABEL_MAGIC, LABEL_SIZE] : [VOLUME_ROOT_MAGIC, VOLUME_ROOT_SIZE];
  let count = 0;
  for (let block = 0; block < FRONT_BLOCKS; block++) {
    patch(
      path,
      block * BLOCK_SIZE,
      (bytes) => {
        const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
        if (view.getUint32(0, true) !== magic) return;
        change(view);
        view.setBigUint64(16, 0n, true);
        sealEnvelope(bytes, hash);
        count++;
      },
      size,
    );
  }
  assert.ok(count > 0, `${kind}s were found`);
}
