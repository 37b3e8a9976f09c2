// A real tree (packages of the project's own node_modules) into a volume and out of it, against
// `cp -r` of the same tree on the same disk; both until all of it is on the disk. And the volume at
// rest after it: memory and threads of a process that has it open, blocks of the host's disk.
//
//   node dist/bench/tree.js [--smoke]

import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chooseInput, type InputItem } from '../host/cli/demo/input.ts';
import { copyTrees } from '../host/cli/transfer/copy.ts';
import { fsSide } from '../host/cli/transfer/fs-side.ts';
import { hostSide } from '../host/cli/transfer/host-side.ts';
import { Volume } from '../host/node.ts';
import { benchSize, type Measured, type OwnGroup, runSuite } from './harness.ts';
import { digestOfTree, inTurns, MIB, timed, workFolder } from './workload.ts';

const size = benchSize();
const isReal = size === 'real';
const folder = workFolder();
const ROUNDS = isReal ? 3 : 1;
const LAYOUTS = [
  { name: 'one file', options: { disks: 1 } },
  { name: 'raid4 of six', options: { disks: 6 } },
] as const;
type Layout = (typeof LAYOUTS)[number];

const sizes = isReal ? { size: '1GiB' } : { size: '64MiB', logSize: '16MiB', cacheSize: '16MiB' };
const modules = fileURLToPath(new URL('../../node_modules', import.meta.url));
const input = await chooseInput(isReal ? undefined : join(modules, 'uvu'), modules);
const megabytes = input.bytes / 1e6;
console.log(`${input.files} files, ${megabytes.toFixed(1)} MB`);

/** Until the disk has all of it. */
function syncDisk(): void {
  execFileSync('sync', ['-f', folder]);
}

async function importTree(volume: Volume, items: readonly InputItem[]): Promise<void> {
  const target = fsSide(volume.fs.promises as never);
  const { failed } = await copyTrees(hostSide(), items, target, '/', { owners: true });
  if (failed > 0) throw new Error(`${failed} files were not copied`);
}

/** As `wafer put` does it: relaxed, all durable at the end. */
async function put(path: string, layout: Layout): Promise<void> {
  const options = { ...sizes, ...layout.options, durability: 'relaxed' } as const;
  const volume = await Volume.create(path, options);
  await importTree(volume, input.items);
  await volume.close();
}

async function get(path: string, to: string): Promise<void> {
  const volume = await Volume.open(path, { readOnly: true });
  const source = fsSide(volume.fs.promises as never);
  await copyTrees(source, [{ path: '/.' }], hostSide(), to, { owners: true });
  await volume.close();
  syncDisk();
}

function copyWithCp(to: string): void {
  const paths = input.items.map(({ path }) => path);
  execFileSync('cp', ['-r', ...paths, to]);
  syncDisk();
}

/** Work on a new folder, which is then removed or kept as the result. */
async function speedOf(
  target: string,
  work: (target: string) => Promise<void> | void,
): Promise<number> {
  rmSync(target, { recursive: true, force: true });
  syncDisk();
  return megabytes / ((await timed(() => work(target))) / 1000);
}

function intoFolder(work: (target: string) => Promise<void> | void) {
  return (target: string) => {
    mkdirSync(target);
    return work(target);
  };
}

const volumePath = (layout: Layout) => join(folder, `volume-${layout.options.disks}`);
const exportPath = (layout: Layout) => join(folder, `export-${layout.options.disks}`);
const copyPath = join(folder, 'copy');

/** Imports first: what they made is what the exports read. */
function groupOf(layout: Layout, isImport: boolean): OwnGroup {
  const volume = volumePath(layout);
  const exported = exportPath(layout);
  const ours = isImport
    ? () => speedOf(volume, (path) => put(path, layout))
    : () =>
        speedOf(
          exported,
          intoFolder((to) => get(volume, to)),
        );
  return {
    name: `${isImport ? 'import' : 'export'} of a tree, ${layout.name}`,
    unit: 'MB/s',
    async measure() {
      const runs = [ours, () => speedOf(copyPath, intoFolder(copyWithCp))];
      const [value, cp] = await inTurns(ROUNDS, runs);
      if (isImport)
        await speedOf(
          exported,
          intoFolder((to) => get(volume, to)),
        );
      return [
        { case: 'waferfs', kind: 'ours', value: value!, result: digestOfTree(exported) },
        { case: 'cp -r + sync', kind: 'peer', value: cp!, result: digestOfTree(copyPath) },
      ];
    },
  };
}

/** Bytes that a file, or all files of a folder, take on the host's disk. */
function hostBytes(path: string): number {
  const stats = statSync(path);
  if (!stats.isDirectory()) return stats.blocks * 512;
  return readdirSync(path).reduce((sum, name) => sum + hostBytes(join(path, name)), 0);
}

function hostSizeGroup(): OwnGroup {
  return {
    name: 'host file of a tree',
    unit: 'MiB',
    async measure() {
      const logBytes = isReal ? 64 * MIB : 16 * MIB;
      const value = hostBytes(volumePath(LAYOUTS[0])) / MIB;
      const limit = (1.5 * input.bytes + logBytes) / MIB;
      return [
        { case: 'waferfs', kind: 'ours', value },
        { case: '1.5 x data + log', kind: 'bound', value: limit },
      ];
    },
  };
}

/** A process of its own says what it takes to import the package and open the volume. */
function restGroups(): OwnGroup[] {
  const script = fileURLToPath(new URL('rest.js', import.meta.url));
  const measured = (key: 'mebibytes' | 'threads'): Measured[] => {
    const text = execFileSync(process.execPath, [script, volumePath(LAYOUTS[0])], {
      encoding: 'utf8',
    });
    const value = (JSON.parse(text) as Record<typeof key, number>)[key];
    return [{ case: 'waferfs', kind: 'ours', value }];
  };
  return [
    {
      name: 'at rest: memory of import and open, beyond the arena',
      unit: 'MiB',
      measure: async () => measured('mebibytes'),
    },
    {
      name: 'at rest: threads started',
      unit: 'count',
      measure: async () => measured('threads'),
    },
  ];
}

await runSuite(
  'tree',
  [
    ...LAYOUTS.flatMap((layout) => [() => groupOf(layout, true), () => groupOf(layout, false)]),
    hostSizeGroup,
    ...restGroups().map((group) => () => group),
  ],
  size,
);
