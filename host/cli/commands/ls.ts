// wafer ls [-l] [-R] VOLUME[@name]:/path...

import type { Command } from 'commander';

import { StorageError } from '../../base/errors.ts';
import type { Shell, VolumeFlags } from '../shell.ts';
import { addVolumeVerb, openOptions } from '../shell.ts';
import { formatMode, isoTime } from '../text.ts';
import { kindOf } from '../transfer/fs-side.ts';
import { printableName } from '../transfer/names.ts';
import type { TreeEntry, TreeFs, TreeStats } from '../volume-face.ts';
import { oneVolume, withImage } from './image.ts';

const STATS_IN_FLIGHT = 32;
/** Deeper than this no tree is real: a damaged directory holds itself. */
const DEPTH_MAX = 4096;

interface Flags extends VolumeFlags {
  readonly long?: boolean;
  readonly recursive?: boolean;
}

interface Listed {
  readonly name: string;
  readonly path: string;
  readonly entry: TreeEntry;
}

export function addLs(program: Command, shell: Shell): void {
  addVolumeVerb(program, 'ls', 'list directories')
    .argument('<path...>', 'VOLUME[@name]:/path')
    .option('-l, --long', 'mode, links, owner, size and time too')
    .option('-R, --recursive', 'directories below too')
    .action((paths: readonly string[], flags: Flags) => ls(shell, paths, flags));
}

async function ls(shell: Shell, texts: readonly string[], flags: Flags): Promise<void> {
  const { address, paths } = oneVolume(texts);
  await withImage(shell, address, openOptions(flags, false), async (fs) => {
    let entries = 0;
    for (const path of paths) entries += await lsPath(shell, fs, path, flags);
    shell.out.result({ volume: address.volume, entries }, '');
  });
}

async function lsPath(shell: Shell, fs: TreeFs, top: string, flags: Flags): Promise<number> {
  const stats = await fs.lstat(top, { bigint: true });
  if (!stats.isDirectory()) {
    const name = top.split('/').at(-1) as string;
    return tell(shell, fs, [{ name, path: top, entry: { name, ...kindCalls(stats) } }], flags);
  }
  let count = 0;
  const waiting = [{ path: top, depth: 0 }];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    if (at.depth > DEPTH_MAX) {
      throw new StorageError('BAD_MAGIC', `more than ${DEPTH_MAX} directories in one another`);
    }
    const { path, depth } = at;
    const entries = [...(await fs.readdir(path, { withFileTypes: true }))];
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    const listed = entries.map((entry) => ({
      name: depth === 0 ? entry.name : join(path, entry.name).slice(join(top, '').length),
      path: join(path, entry.name),
      entry,
    }));
    count += await tell(shell, fs, listed, flags);
    if (!flags.recursive) break;
    const below = listed.filter((one) => one.entry.isDirectory()).reverse();
    waiting.push(...below.map((one) => ({ path: one.path, depth: depth + 1 })));
  }
  return count;
}

/** Says what is there, `STATS_IN_FLIGHT` at a time; returns how many. */
async function tell(
  shell: Shell,
  fs: TreeFs,
  listed: readonly Listed[],
  flags: Flags,
): Promise<number> {
  const needsStats = shell.out.isJson || flags.long === true;
  for (let first = 0; first < listed.length; first += STATS_IN_FLIGHT) {
    const batch = listed.slice(first, first + STATS_IN_FLIGHT);
    if (needsStats) {
      const all = await Promise.all(batch.map((one) => details(fs, one)));
      for (const one of all) shell.out.item(one.line, one.text);
    } else {
      for (const { name, entry } of batch) {
        shell.out.item({}, printableName(name) + (entry.isDirectory() ? '/' : ''));
      }
    }
    await shell.out.breathe();
  }
  return listed.length;
}

async function details(fs: TreeFs, listed: Listed) {
  const { name, path } = listed;
  const stats = await fs.lstat(path, { bigint: true });
  const kind = kindOf(stats);
  const target = kind === 'symlink' ? await fs.readlink(path) : null;
  const mode = Number(stats.mode & 0o7777n);
  const line = {
    name,
    path,
    kind,
    ino: Number(stats.ino),
    mode,
    links: Number(stats.nlink),
    uid: Number(stats.uid),
    gid: Number(stats.gid),
    sizeBytes: Number(stats.size),
    allocatedBytes: Number(stats.blocks) * 512,
    atime: isoTime(stats.atimeNs),
    mtime: isoTime(stats.mtimeNs),
    ctime: isoTime(stats.ctimeNs),
    btime: isoTime(stats.birthtimeNs),
    target,
  };
  const columns = [
    formatMode(kind, mode),
    String(line.links).padStart(3),
    `${line.uid}:${line.gid}`.padEnd(9),
    String(line.sizeBytes).padStart(12),
    `${line.mtime.slice(0, 19).replace('T', ' ')}`,
    printableName(name) + (target === null ? '' : ` -> ${printableName(target)}`),
  ];
  return { line, text: columns.join(' ') };
}

function kindCalls(stats: TreeStats): Omit<TreeEntry, 'name'> {
  return {
    isFile: () => stats.isFile(),
    isDirectory: () => stats.isDirectory(),
    isSymbolicLink: () => stats.isSymbolicLink(),
  };
}

function join(path: string, name: string): string {
  return path.endsWith('/') ? path + name : `${path}/${name}`;
}
