// Everything wrong that can be handed to Volume.create and Volume.open: options, paths, files that
// are missing, foreign, stale, cut, or damaged. Each is refused with its code and a hint, and no
// byte of a file is changed: a volume must survive its user's mistakes.

import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  LABEL_INCOMPATIBLE_OFFSET,
  LABEL_READ_ONLY_OFFSET,
  LABEL_VERSION,
  LABEL_VERSION_OFFSET,
} from '../../assembly/layout/label.ts';
import {
  VOLUME_FORMAT_VERSION,
  VOLUME_ROOT_COMPATIBLE_OFFSET,
  VOLUME_ROOT_INCOMPATIBLE_OFFSET,
  VOLUME_ROOT_READ_ONLY_OFFSET,
  VOLUME_ROOT_VERSION_OFFSET,
} from '../../assembly/layout/volume-root.ts';
import { isFsError, isStorageError } from '../../host/base/errors.ts';
import { memoryDevices, Volume } from '../../host/node.ts';
import {
  checkContent,
  checkRefused,
  copyVolume,
  digestsOf,
  failureOf,
  freshPath,
  makeVolume,
  patch,
  patchStructures,
  removeScratch,
  SMALL,
} from './files.ts';

const test = suite('bad input');
const BLOCK_SIZE = 4096;
// biome-ignore lint/suspicious/noExplicitAny: wrong on purpose
type Wrong = any;

let tank = '';
let plain = '';
let mirror = '';
test.before(async () => {
  tank = await makeVolume({ disks: 4 });
  mirror = await makeVolume({ disks: 2 });
  plain = await makeVolume();
});
test.after(removeScratch);

const disk = (where: string, index: number) => join(where, `disk-0${index}.wafer`);

// Options.

const WRONG_OPTIONS: readonly (readonly [string, Wrong, string?])[] = [
  ['a name that does not exist', { sizee: '16MiB' }],
  ['a size of zero', { size: 0 }],
  ['a negative size', { size: -1 }],
  ['a size that is no number', { size: 'much' }],
  ['an unknown unit', { size: '10GB' }],
  ['NaN', { size: Number.NaN }],
  ['infinity', { size: Number.POSITIVE_INFINITY }],
  ['an object', { size: {} }],
  ['null', { size: null }],
  ['a size below the minimum', { size: '1MiB' }],
  ['a size beyond the format', { size: '17000TiB' }],
  ['too small a cache', { cacheSize: '1MiB' }],
  ['too large a cache', { cacheSize: '8GiB' }],
  ['too small a log', { logSize: '1MiB' }],
  ['no disks', { disks: 0 }],
  ['half a disk', { disks: 1.5 }],
  ['too many disks', { disks: 100 }],
  ['disks as text', { disks: '4' }],
  ['an unknown raid', { raid: 'raid5' }],
  ['raid4 of one disk', { raid: 'raid4', disks: 1 }],
  ['double parity', { raid: 'dp', disks: 4 }, 'UNSUPPORTED_FEATURE'],
  ['spares', { spares: 1, disks: 4 }, 'UNSUPPORTED_FEATURE'],
  ['an unknown durability', { durability: 'mostly' }],
  ['readOnly as text', { readOnly: 'yes' }],
  ['degraded as a number', { degraded: 1 }],
];

for (const [name, options, code = 'INVALID_ARGUMENT'] of WRONG_OPTIONS) {
  test(`create refuses ${name}, and makes nothing`, async () => {
    const where = freshPath();
    const error = await failureOf(Volume.create(where, { ...SMALL, ...options }));
    assert.is(error.code, code, error.message);
    assert.ok(error.hint.length > 10);
    assert.not(existsSync(where));
    assert.not(existsSync(`${where}.lock`));
  });
}

test('create refuses what is no object, an empty path, and what exists', async () => {
  for (const where of ['', plain, tank]) {
    const before = where === '' ? {} : digestsOf(where);
    const options = where === tank ? { ...SMALL, disks: 4 } : SMALL;
    const error = await failureOf(Volume.create(where, options));
    assert.is(error.code, 'INVALID_ARGUMENT', error.message);
    if (where !== '') assert.equal(digestsOf(where), before);
  }
});

test('open refuses unknown options and such of create', async () => {
  for (const options of [
    { readonly: true },
    { size: '16MiB' },
    { disks: 4 },
    { raid: 'none' },
  ] as Wrong[]) {
    await checkRefused(plain, 'INVALID_ARGUMENT', options);
  }
  await checkRefused(plain, 'INVALID_ARGUMENT', { cacheSize: '100KiB' });
});

test('a path with a NUL, and a file URL that is none', async () => {
  const error = await failureOf(Volume.open('a\0b', {}));
  assert.is(error.code, 'INVALID_ARGUMENT', error.message);
  const url = await failureOf(Volume.open(new URL('https://example.com/x'), {}));
  assert.is(url.code, 'INVALID_ARGUMENT', url.message);
  const volume = await Volume.open(pathToFileURL(plain), { readOnly: true, cacheSize: '8MiB' });
  await checkContent(volume);
  await volume.close();
});

test('names and paths inside of a volume', async () => {
  const volume = await Volume.create(memoryDevices(SMALL), { cacheSize: '8MiB', logSize: '6MiB' });
  const fs = volume.fs.promises;
  const cases: readonly (readonly [string, () => Promise<unknown>])[] = [
    ['ENAMETOOLONG', () => fs.writeFile(`/${'x'.repeat(256)}`, '')],
    ['ENAMETOOLONG', () => fs.mkdir(`/${'é'.repeat(128)}`)],
    ['ENOENT', () => fs.readFile('/none')],
    ['ENOENT', () => fs.readFile('')],
    ['EISDIR', () => fs.writeFile('/', 'x')],
    ['EROFS', () => fs.writeFile('/.snapshot/x', '')],
    ['EINVAL', () => fs.truncate('/', -1)],
  ];
  for (const [code, call] of cases) {
    const error = await call().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof Error, code);
    const { code: actual } = error as { code?: string };
    const isFine = actual === code || actual === 'ENOENT' || actual === 'ERR_OUT_OF_RANGE';
    assert.ok(isFine || isFsError(error), `${code}, not ${actual}: ${error.message}`);
  }
  for (const name of ['', '.', '..', '-a', 'a/b', 'a b', 'x'.repeat(256), 'a\0', 'é', '@']) {
    const error = await volume.snapshots.create(name).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    assert.ok(isStorageError(error, 'INVALID_ARGUMENT') || isFsError(error), `snapshot '${name}'`);
  }
  assert.equal(await volume.snapshots.list(), []);
  await volume.close();
});

// Paths that are no volume.

test('nothing, an empty file, text, a directory of nothing, a directory of text', async () => {
  assert.is((await failureOf(Volume.open(freshPath()))).code, 'NOT_A_VOLUME');
  const empty = freshPath();
  writeFileSync(empty, '');
  await checkRefused(empty, 'NOT_A_VOLUME');
  const text = freshPath();
  writeFileSync(text, 'hello world\n'.repeat(10_000));
  await checkRefused(text, 'NOT_A_VOLUME');
  const directory = freshPath();
  mkdirSync(directory);
  await checkRefused(directory, 'NOT_A_VOLUME');
  writeFileSync(join(directory, 'disk-00.wafer'), 'text');
  writeFileSync(join(directory, 'log.wafer'), 'text');
  await checkRefused(directory, 'NOT_A_VOLUME');
  for (const where of [empty, text]) assert.not(existsSync(`${where}.lock`), 'no lock is left');
  assert.not(existsSync(join(directory, 'lock')));
});

test('a log file is no volume', async () => {
  const where = freshPath();
  copyFileSync(join(tank, 'log.wafer'), where);
  await checkRefused(where, 'NOT_A_VOLUME');
});

// Versions and features.

test('a newer version of label or root', async () => {
  for (const kind of ['label', 'root'] as const) {
    const where = copyVolume(plain);
    patchStructures(where, kind, (view) => {
      if (kind === 'label') view.setUint32(LABEL_VERSION_OFFSET, LABEL_VERSION + 1, true);
      else view.setUint32(VOLUME_ROOT_VERSION_OFFSET, VOLUME_FORMAT_VERSION + 1, true);
    });
    await checkRefused(where, 'VERSION_TOO_NEW');
    await checkRefused(where, 'VERSION_TOO_NEW', { readOnly: true });
  }
});

test('features that are not known: refused, read only, or ignored', async () => {
  for (const [kind, offset] of [
    ['label', LABEL_INCOMPATIBLE_OFFSET],
    ['root', VOLUME_ROOT_INCOMPATIBLE_OFFSET],
  ] as const) {
    const where = copyVolume(plain);
    patchStructures(where, kind, (view) => view.setBigUint64(offset, 1n << 50n, true));
    await checkRefused(where, 'UNSUPPORTED_FEATURE');
    await checkRefused(where, 'UNSUPPORTED_FEATURE', { readOnly: true });
  }
  for (const [kind, offset] of [
    ['label', LABEL_READ_ONLY_OFFSET],
    ['root', VOLUME_ROOT_READ_ONLY_OFFSET],
  ] as const) {
    const where = copyVolume(plain);
    patchStructures(where, kind, (view) => view.setBigUint64(offset, 1n << 50n, true));
    await checkRefused(where, 'UNSUPPORTED_FEATURE');
    const volume = await Volume.open(where, { readOnly: true, cacheSize: '8MiB' });
    await checkContent(volume);
    await volume.close();
  }
  const where = copyVolume(plain);
  patchStructures(where, 'root', (view) =>
    view.setBigUint64(VOLUME_ROOT_COMPATIBLE_OFFSET, 1n, true),
  );
  const volume = await Volume.open(where, { cacheSize: '8MiB' });
  await checkContent(volume);
  await volume.close();
});

// Disk files.

test('a disk file that is cut', async () => {
  for (const where of [copyVolume(tank), copyVolume(plain)]) {
    const path = where.includes('copy') && statSync(where).isDirectory() ? disk(where, 1) : where;
    truncateSync(path, Math.floor(statSync(path).size / 2));
    await checkRefused(where, 'DISK_TRUNCATED');
    await checkRefused(where, 'DISK_TRUNCATED', { readOnly: true });
  }
});

test('a disk of another volume', async () => {
  const where = copyVolume(tank);
  const other = await makeVolume({ disks: 2 });
  copyFileSync(disk(other, 0), join(where, 'stranger.wafer'));
  const error = await checkRefused(where, 'DISK_FOREIGN');
  assert.match(error.message, 'stranger.wafer');
});

test('the same disk twice', async () => {
  const where = copyVolume(tank);
  copyFileSync(disk(where, 2), join(where, 'disk-02 (copy).wafer'));
  const error = await checkRefused(where, 'DISK_DUPLICATE');
  assert.match(error.message, '(copy)');
});

test('disks renamed and in another order open', async () => {
  const where = copyVolume(tank);
  renameSync(disk(where, 0), join(where, 'x.wafer'));
  renameSync(disk(where, 3), disk(where, 0));
  renameSync(disk(where, 1), disk(where, 3));
  renameSync(join(where, 'x.wafer'), join(where, 'a name.wafer'));
  const volume = await Volume.open(where, { cacheSize: '8MiB' });
  await checkContent(volume);
  const { state, warnings } = await volume.status();
  assert.is(state, 'healthy');
  assert.equal(warnings, []);
  assert.is((await volume.verify()).problemCount, 0);
  await volume.close();
});

test('a volume that was moved opens', async () => {
  const where = copyVolume(plain);
  const moved = freshPath('moved');
  renameSync(where, moved);
  const volume = await Volume.open(moved, { cacheSize: '8MiB' });
  await checkContent(volume);
  await volume.close();
});

test('one disk missing: degraded, with a warning, read and written', async () => {
  for (let index = 0; index < 4; index++) {
    const where = copyVolume(tank);
    rmSync(disk(where, index));
    let volume = await Volume.open(where, { cacheSize: '8MiB' });
    const { state, warnings } = await volume.status();
    assert.is(state, 'degraded');
    assert.ok(warnings.some((text) => text.includes('degraded')));
    await checkContent(volume);
    await volume.fs.promises.writeFile('/more', 'more');
    await volume.close();
    volume = await Volume.open(where, { cacheSize: '8MiB' });
    assert.is(await volume.fs.promises.readFile('/more', 'utf8'), 'more');
    assert.is((await volume.verify()).problemCount, 0);
    await volume.close();
    rmSync(where, { recursive: true });
  }
});

test('a disk that missed something is stale: left out, with a warning', async () => {
  const where = copyVolume(tank);
  const away = freshPath('away');
  renameSync(disk(where, 1), away);
  let volume = await Volume.open(where, { cacheSize: '8MiB' });
  await volume.fs.promises.writeFile('/more', 'more');
  await volume.close();
  renameSync(away, disk(where, 1));
  volume = await Volume.open(where, { cacheSize: '8MiB' });
  const { state, warnings } = await volume.status();
  assert.is(state, 'degraded');
  assert.ok(
    warnings.some((text) => text.includes('stale')),
    warnings.join(),
  );
  await checkContent(volume);
  assert.is(await volume.fs.promises.readFile('/more', 'utf8'), 'more');
  await volume.close();
});

test('more missing than parity covers', async () => {
  const where = copyVolume(tank);
  rmSync(disk(where, 0));
  rmSync(disk(where, 2));
  await checkRefused(where, 'RAID_DEGRADED_BEYOND_PARITY');
  await checkRefused(where, 'RAID_DEGRADED_BEYOND_PARITY', { degraded: true });
  await checkRefused(where, 'RAID_DEGRADED_BEYOND_PARITY', { readOnly: true });
});

test('half of the disks missing needs degraded: true; sides never join by themselves', async () => {
  const where = copyVolume(mirror);
  const other = copyVolume(mirror);
  rmSync(disk(where, 1));
  rmSync(disk(other, 0));
  await checkRefused(where, 'DISK_MISSING');
  for (const side of [where, other]) {
    const volume = await Volume.open(side, { degraded: true, cacheSize: '8MiB' });
    await checkContent(volume);
    await volume.fs.promises.writeFile('/side', side);
    await volume.close();
  }
  copyFileSync(disk(other, 1), disk(where, 1));
  await checkRefused(where, 'DIVERGED');
  await checkRefused(where, 'DIVERGED', { degraded: true });
});

// The log.

test('no log file at all', async () => {
  const where = copyVolume(tank);
  for (const name of readdirSync(where)) if (name.startsWith('log')) rmSync(join(where, name));
  await checkRefused(where, 'DISK_MISSING');
  await checkRefused(where, 'DISK_MISSING', { readOnly: true });
});

test('one of two copies of the log missing, empty, of another volume, or damaged', async () => {
  const other = await makeVolume({ disks: 2 });
  const damages: readonly ((path: string) => void)[] = [
    (path) => rmSync(path),
    (path) => truncateSync(path, 0),
    (path) => copyFileSync(join(other, 'log.wafer'), path),
    (path) => patch(path, 0, (bytes) => bytes.fill(0xff), 2 * BLOCK_SIZE),
    (path) => truncateSync(path, BLOCK_SIZE * 5 + 17),
  ];
  for (const name of ['log.wafer', 'log-1.wafer']) {
    for (const [index, damage] of damages.entries()) {
      const where = copyVolume(tank);
      damage(join(where, name));
      const volume = await Volume.open(where, { cacheSize: '8MiB' });
      await checkContent(volume);
      await volume.fs.promises.writeFile('/more', 'more');
      const { warnings } = await volume.status();
      assert.ok(
        warnings.some((text) => text.includes('log')),
        `${name}, damage ${index}: a warning`,
      );
      await volume.close();
      rmSync(where, { recursive: true });
    }
  }
});

/** The files of a volume as SIGKILL leaves them now. */
function killed(where: string): string {
  const copy = copyVolume(where);
  rmSync(join(copy, 'lock'));
  return copy;
}

test('[ENGINE 19] a missing copy of the log is made anew, as good as the other', async () => {
  for (const [gone, kept] of [
    ['log.wafer', 'log-1.wafer'],
    ['log-1.wafer', 'log.wafer'],
  ] as const) {
    // Killed with records in the log, which only one copy still has.
    const alive = copyVolume(tank);
    let volume = await Volume.open(alive, { cacheSize: '8MiB' });
    await volume.fs.promises.writeFile('/killed', 'still there');
    const where = killed(alive);
    await volume.close();
    rmSync(join(where, gone));
    // As a crash leaves it in the middle of this.
    writeFileSync(join(where, `${gone}.new`), 'unfinished');
    volume = await Volume.open(where, { cacheSize: '8MiB' });
    assert.is(volume.stats().replayedRecordCount > 0, true, 'replayed from the other copy');
    assert.ok((await volume.status()).warnings.some((text) => text.includes('made anew')));
    assert.is(await volume.fs.promises.readFile('/killed', 'utf8'), 'still there');
    await volume.fs.promises.writeFile('/after', gone);
    const copy = killed(where);
    await volume.close();
    assert.equal(
      readdirSync(where).filter((name) => name.includes('.new')),
      [],
    );
    assert.is(statSync(join(where, gone)).size, statSync(join(where, kept)).size);
    // The new one alone brings back what was acknowledged after it was made.
    rmSync(join(copy, kept));
    volume = await Volume.open(copy, { cacheSize: '8MiB' });
    assert.is(await volume.fs.promises.readFile('/after', 'utf8'), gone);
    assert.equal((await volume.verify()).problems, []);
    await volume.close();
    volume = await Volume.open(copy, { cacheSize: '8MiB' });
    assert.equal((await volume.status()).warnings, [], 'both are there again');
    await volume.close();
  }
});

test('a reader makes no copy of the log', async () => {
  const where = copyVolume(tank);
  rmSync(join(where, 'log.wafer'));
  const before = digestsOf(where);
  const volume = await Volume.open(where, { cacheSize: '8MiB', readOnly: true });
  await checkContent(volume);
  await volume.close();
  assert.equal(digestsOf(where), before);
});

test('both copies of the log are of another volume', async () => {
  const where = copyVolume(tank);
  for (const name of ['log.wafer', 'log-1.wafer']) {
    copyFileSync(join(mirror, name), join(where, name));
  }
  await checkRefused(where, 'DISK_FOREIGN');
});

test('disks older than the log: refused for writing, read with a warning', async () => {
  const newer = copyVolume(tank);
  let volume = await Volume.open(newer, { cacheSize: '8MiB' });
  for (let count = 0; count < 4; count++) {
    await volume.fs.promises.writeFile('/more', `more ${count}`);
    await volume.sync();
  }
  await volume.fs.promises.writeFile('/last', 'last');
  await volume.close();
  const where = copyVolume(tank);
  for (const name of ['log.wafer', 'log-1.wafer'])
    copyFileSync(join(newer, name), join(where, name));
  await checkRefused(where, 'LOG_DAMAGED');
  volume = await Volume.open(where, { cacheSize: '8MiB', readOnly: true });
  await checkContent(volume);
  const { warnings } = await volume.status();
  assert.ok(
    warnings.some((text) => text.includes('LOG_DAMAGED')),
    warnings.join(),
  );
  await volume.close();
});

// Labels and roots.

test('one label flipped: the other one does', async () => {
  for (const block of [0, 1]) {
    const where = copyVolume(plain);
    patch(where, block * BLOCK_SIZE + 60, flip);
    const volume = await Volume.open(where, { cacheSize: '8MiB' });
    await checkContent(volume);
    await volume.close();
  }
});

test('both labels flipped: no volume, or a disk less', async () => {
  const where = copyVolume(plain);
  for (const block of [0, 1]) patch(where, block * BLOCK_SIZE + 60, flip);
  await checkRefused(where, 'NOT_A_VOLUME');
  const directory = copyVolume(tank);
  for (const block of [0, 1]) patch(disk(directory, 2), block * BLOCK_SIZE + 60, flip);
  const volume = await Volume.open(directory, { cacheSize: '8MiB' });
  assert.is((await volume.status()).state, 'degraded');
  await checkContent(volume);
  await volume.close();
});

test('no root is whole', async () => {
  const where = copyVolume(plain);
  patch(where, 8 * BLOCK_SIZE, (bytes) => bytes.fill(0), 32 * BLOCK_SIZE);
  await checkRefused(where, 'BAD_CHECKSUM');
  await checkRefused(where, 'BAD_CHECKSUM', { readOnly: true });
});

test('roots of one disk of a group lost: the others have them', async () => {
  const where = copyVolume(tank);
  patch(disk(where, 0), 8 * BLOCK_SIZE, (bytes) => bytes.fill(0), 32 * BLOCK_SIZE);
  const volume = await Volume.open(where, { cacheSize: '8MiB' });
  await checkContent(volume);
  await volume.close();
});

test('bytes flipped anywhere in labels and roots never give an untyped error', async () => {
  const seed = Date.now() % 100_000;
  console.log(`seed ${seed}`);
  let random = seed;
  const next = (limit: number) => {
    random = (Math.imul(random, 1103515245) + 12345) >>> 0;
    return (random >>> 8) % limit;
  };
  for (let round = 0; round < 30; round++) {
    const where = copyVolume(plain);
    for (let count = 1 + next(6); count > 0; count--) patch(where, next(40 * BLOCK_SIZE), flip);
    try {
      const volume = await Volume.open(where, { cacheSize: '8MiB', readOnly: round % 2 === 0 });
      await checkContent(volume);
      await volume.close();
    } catch (error) {
      assert.ok(isStorageError(error), `seed ${seed}, round ${round}: ${String(error)}`);
    }
    rmSync(where);
  }
});

function flip(bytes: Buffer): void {
  bytes[0] = (bytes[0] as number) ^ 0x55;
}

test.run();
