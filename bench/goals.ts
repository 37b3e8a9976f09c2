// The goals, each held against one row of the results, and its peer or bound in the same run. A
// goal whose row or peer is missing is "not measured"; it never counts as met.

import { formatValue, type Unit } from './figures.ts';
import type { BenchReport } from './harness.ts';

/** 'ratio': ours is at least `limit` times as good as the peer. 'times': ours takes at most `limit`
 *  times the peer's. 'excess': at most `limit` more than the peer. 'least', 'most': no peer. */
export type Rule = 'ratio' | 'times' | 'excess' | 'least' | 'most';

export interface Goal {
  readonly text: string;
  readonly suite: string;
  readonly group: string;
  readonly ours: string;
  /** Undefined: the goal is a figure of its own. */
  readonly peer?: string;
  readonly rule: Rule;
  readonly limit: number;
}

export interface Verdict {
  readonly goal: Goal;
  readonly measured: string;
  readonly peer: string;
  readonly ratio: string;
  readonly verdict: string;
}

const RAW = 'writev + fdatasync';
const WAFER = 'waferfs';

function kernelGoals(): Goal[] {
  const base = { suite: 'kernels', ours: 'waferfs shared', rule: 'ratio' } as const;
  const xor = [4, 8, 16].map((sources): Goal => {
    const group = `xor ${sources} to 1, 4 KiB each`;
    const text = `XOR parity, ${sources} sources, hot, against plain TypeScript`;
    return { ...base, text, group, peer: 'plain TypeScript', limit: 10 };
  });
  const native = [
    ['XOR parity, 32 MiB, against ISA-L', 'xor 8 to 1, 32 MiB each', 'ISA-L', 0.9],
    ['XOR parity, hot, against ISA-L with AVX-512', 'xor 8 to 1, 4 KiB each', 'ISA-L', 0.5],
    [
      'difference of two planes, 32 MiB, against native C',
      'plane and-not, 32 MiB',
      'native C',
      0.9,
    ],
    ['popcount, 32 MiB, against native C', 'popcount, 32 MiB', 'native C', 0.9],
    ['xxHash64 of a block, against native C', 'xxHash64, one block', 'native C', 0.9],
  ] as const;
  const others = native.map(([text, group, peer, limit]): Goal => {
    return { ...base, text, group, peer, limit };
  });
  const threads: Goal = {
    text: 'two threads, tetris of 128 MiB',
    suite: 'kernels',
    group: 'tetris 8 + 1 with checksums, 128 MiB',
    ours: 'two threads',
    peer: 'one thread',
    rule: 'ratio',
    limit: 1.7,
  };
  return [...xor, ...others, threads];
}

function commitGoals(): Goal[] {
  return ['one file', 'raid4 of six'].flatMap((layout) => {
    const base = { suite: 'commit', ours: WAFER, peer: RAW } as const;
    const burst = [64, 256].map((lanes): Goal => {
      const group = `${layout}: burst of 4 KiB writes, ${lanes} in flight`;
      return { ...base, text: `durable commit, ${group}`, group, rule: 'ratio', limit: 0.7 };
    });
    const sustained = `${layout}: sustained 4 KiB writes, 64 in flight`;
    const single = `${layout}: p50 of one write at a time`;
    const slow = ['consistency points', 'a snapshot deletion'].map((what): Goal => {
      const group = `${layout}: p99.9 of writes, 16 in flight, with ${what}; p99 without`;
      const text = `durable commit, ${group}`;
      const [suite, ours, peer] = ['commit', 'with', 'without'];
      return { suite, text, group, ours, peer, rule: 'times', limit: 5 };
    });
    return [
      ...burst,
      {
        ...base,
        text: `durable commit, ${sustained}`,
        group: sustained,
        rule: 'ratio',
        limit: 0.4,
      },
      { ...base, text: `durable commit, ${single}`, group: single, rule: 'times', limit: 1.5 },
      ...slow,
    ] satisfies Goal[];
  });
}

function createGoals(): Goal[] {
  const base = { suite: 'create', ours: WAFER } as const;
  const against = (group: string, peer: string, limit: number): Goal => {
    return { ...base, text: `${group}, against ${peer}`, group, peer, rule: 'ratio', limit };
  };
  const create = 'durable create of 4 KiB files';
  const overwrite = 'durable 4 KiB overwrite in a 256 MiB file';
  const together = `${create}, 256 together`;
  return [
    against(`${create}, one at a time`, 'better-sqlite3', 1.5),
    against(`${create}, one at a time`, 'node:fs + fsync', 2.5),
    { ...base, text: together, group: together, rule: 'least', limit: 100_000 },
    against(`${overwrite}, one at a time`, 'lmdb', 1.5),
    against(`${overwrite}, 256 together`, 'lmdb', 4),
  ];
}

function memoryGoals(): Goal[] {
  const limits = { create: 2.5, read: 2, stat: 2, readdir: 3, unlink: 1, overwrite: 0.7 };
  const goal = (group: string, peer: string, limit: number): Goal => {
    const text = `in memory: ${group}, against ${peer}`;
    return { suite: 'memory', ours: WAFER, text, group, peer, rule: 'ratio', limit };
  };
  const memfs = ['promises', 'sync'].flatMap((face) =>
    Object.entries(limits).map(([what, limit]) => goal(`${what}, ${face}`, 'memfs', limit)),
  );
  const others = ['agentfs-sdk', '@zenfs/core'].flatMap((peer) =>
    ['create', 'read'].map((what) => goal(`${what}, promises`, peer, 20)),
  );
  return [...memfs, ...others];
}

function treeGoals(): Goal[] {
  const base = { suite: 'tree', ours: WAFER } as const;
  const copies = ['one file', 'raid4 of six'].flatMap((layout) =>
    ['import', 'export'].map((way): Goal => {
      const group = `${way} of a tree, ${layout}`;
      const text = `${group}, against cp -r + sync`;
      return { ...base, text, group, peer: 'cp -r + sync', rule: 'ratio', limit: 0.7 };
    }),
  );
  const host = 'host file of a tree';
  const memory = 'at rest: memory of import and open, beyond the arena';
  const threads = 'at rest: threads started';
  return [
    ...copies,
    { ...base, text: host, group: host, peer: '1.5 x data + log', rule: 'times', limit: 1 },
    { ...base, text: memory, group: memory, rule: 'most', limit: 20 },
    { ...base, text: threads, group: threads, rule: 'most', limit: 0 },
  ];
}

function snapshotGoals(): Goal[] {
  const base = { suite: 'snapshot', ours: WAFER } as const;
  const clean = ['1GiB', 'many snapshots', 'many files', '1TiB'].map((label): Goal => {
    const group = `clean snapshot, ${label}`;
    const text = `${group}: 1 ms and a flush`;
    return { ...base, text, group, peer: 'one flush', rule: 'excess', limit: 1 };
  });
  const dirty = 'snapshot with 64 MiB dirty';
  const bound = 'writing it + 2 flushes';
  // 10 ms for a TiB of plane: next to nothing for 1 GiB.
  const rollbacks = [
    ['1GiB', 0.01],
    ['1TiB', 10],
  ] as const;
  return [
    ...clean,
    { ...base, text: dirty, group: dirty, peer: bound, rule: 'times', limit: 1.2 },
    {
      ...base,
      text: `${dirty}, against btrfs`,
      group: dirty,
      peer: 'btrfs',
      rule: 'ratio',
      limit: 10,
    },
    ...rollbacks.map(([label, limit]): Goal => {
      const group = `rollback, ${label}`;
      const text = `${group}: a consistency point and ${limit} ms`;
      return { ...base, text, group, peer: 'a consistency point', rule: 'excess', limit };
    }),
    {
      ...base,
      text: 'snapshot deletion, foreground',
      group: 'snapshot deletion, foreground',
      rule: 'most',
      limit: 1,
    },
  ];
}

function otherGoals(): Goal[] {
  const mounts = ['1GiB', '1TiB'].flatMap((label) =>
    [`mount, ${label}`, `mount after a crash just before a consistency point, ${label}`].map(
      (group): Goal => {
        return { suite: 'mount', ours: WAFER, text: group, group, rule: 'most', limit: 1000 };
      },
    ),
  );
  const aged = ['one file', 'raid4 of six'].map((layout): Goal => {
    const group = `overwrites of an aged volume, ${layout}`;
    const text = `${group}, 90 % full, against a fresh one`;
    return { suite: 'aged', ours: 'aged', peer: 'fresh', text, group, rule: 'ratio', limit: 0.5 };
  });
  const slow = 'replay of a middle log, 8 disks of 5 ms a request';
  const inMemory = 'replay of a long log, 8 disks in memory';
  const swarm = { suite: 'replay', ours: 'waferfs swarm' } as const;
  const replays: Goal[] = [
    { ...swarm, text: slow, group: slow, peer: 'in order', rule: 'ratio', limit: 5 },
    { ...swarm, text: inMemory, group: inMemory, rule: 'least', limit: 50_000 },
  ];
  return [...mounts, ...aged, ...replays];
}

export const GOALS: readonly Goal[] = [
  ...kernelGoals(),
  ...commitGoals(),
  ...createGoals(),
  ...memoryGoals(),
  ...treeGoals(),
  ...snapshotGoals(),
  ...otherGoals(),
];

/** What the suites' results say about a goal. */
export function judge(goal: Goal, reports: readonly BenchReport[]): Verdict {
  const rows = reports.find(({ suite }) => suite === goal.suite)?.rows ?? [];
  const find = (name: string | undefined) =>
    rows.find((row) => row.group === goal.group && row.case === name);
  const ours = find(goal.ours);
  const peer = find(goal.peer);
  if (ours === undefined || (goal.peer !== undefined && peer === undefined)) {
    const measured = ours === undefined ? '' : formatValue(ours.value, ours.unit);
    return { goal, measured, peer: '', ratio: '', verdict: 'not measured' };
  }
  return {
    goal,
    measured: formatValue(ours.value, ours.unit),
    peer: peer === undefined ? '' : `${peer.case}: ${formatValue(peer.value, peer.unit)}`,
    ratio: peer === undefined ? '' : `${ratioText(goal.rule, ours.value, peer.value, ours.unit)}`,
    verdict: verdictOf(goal, ours.value, peer?.value ?? 0),
  };
}

function ratioText(rule: Rule, ours: number, peer: number, unit: Unit): string {
  if (rule === 'excess') return `+ ${formatValue(ours - peer, unit)}`;
  return `${figureOf(rule, ours, peer).toFixed(2)} x`;
}

/** What is compared with the limit. */
function figureOf(rule: Rule, ours: number, peer: number): number {
  if (rule === 'excess') return ours - peer;
  return rule === 'ratio' || rule === 'times' ? ours / peer : ours;
}

function verdictOf({ rule, limit }: Goal, ours: number, peer: number): string {
  const figure = figureOf(rule, ours, peer);
  const isAtLeast = rule === 'ratio' || rule === 'least';
  if (isAtLeast ? figure >= limit : figure <= limit) return 'met';
  if (limit === 0) return `missed: ${figure} over`;
  const factor = isAtLeast ? limit / figure : figure / limit;
  return factor < 2
    ? `missed by ${((factor - 1) * 100).toFixed(0)} %`
    : `missed by a factor of ${factor.toFixed(1)}`;
}

/** "at least 0.7 x", as the goal is written in the table. */
export function limitText({ rule, limit }: Goal, unit: Unit): string {
  const figure = limit.toLocaleString('en-US');
  if (rule === 'ratio') return `≥ ${figure} x`;
  if (rule === 'times') return `≤ ${figure} x`;
  if (rule === 'excess') return `≤ + ${figure} ${unit}`;
  return `${rule === 'least' ? '≥' : '≤'} ${unit === 'count' ? figure : `${figure} ${unit}`}`;
}

/** bench/RESULTS.md. */
export function resultsText(reports: readonly BenchReport[]): string {
  const verdicts = GOALS.map((goal) => judge(goal, reports));
  const count = (word: string) => verdicts.filter(({ verdict }) => verdict.startsWith(word)).length;
  const line = ({ goal, measured, peer, ratio, verdict }: Verdict): string => {
    const rows = reports.find(({ suite }) => suite === goal.suite)?.rows ?? [];
    const unit = rows.find((row) => row.group === goal.group)?.unit ?? '/s';
    return `| ${[goal.text, limitText(goal, unit), measured, peer, ratio, verdict].join(' | ')} |`;
  };
  const runs = reports.map(({ suite, machine, commit }) => `| ${suite} | ${commit} | ${machine} |`);
  return `# Results of the benchmarks

Made by \`npm run bench\` from bench/results; do not edit. Each figure and its peer or bound are of
one run of a suite, side by side: the ratio counts, the figures depend on the machine. A goal whose
peer cannot run here is not measured.

${count('met')} met, ${count('missed')} missed, ${count('not')} not measured.

| what | goal | measured | peer or bound | ratio | |
|---|---|---|---|---|---|
${verdicts.map(line).join('\n')}

| suite | commit | machine |
|---|---|---|
${runs.join('\n')}
`;
}
