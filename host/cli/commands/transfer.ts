// What `put` and `get` have in common: running the copy, telling of it, and its end.

import { EXIT, failureOf } from '../failure.ts';
import type { Shell } from '../shell.ts';
import { formatCounted, formatDuration, formatSize } from '../text.ts';
import type { CopyProblem, CopyResult } from '../transfer/copy.ts';
import { copyTrees } from '../transfer/copy.ts';
import type { CopyPlan } from '../transfer/plan.ts';
import type { Side } from '../transfer/side.ts';

export interface Transfer {
  readonly what: 'put' | 'get';
  readonly source: Side;
  readonly target: Side;
  readonly plan: CopyPlan;
  readonly dryRun: boolean;
}

/** Copies, reporting each problem as an item. */
export async function runTransfer(shell: Shell, transfer: Transfer): Promise<CopyResult> {
  const { what, source, target, plan, dryRun } = transfer;
  return copyTrees(source, plan.items, target, plan.into, {
    dryRun,
    owners: shell.world.isRoot,
    signal: shell.signal,
    onProgress: ({ bytes }) => shell.out.progress({ what, done: bytes, total: 0, unit: 'bytes' }),
    onProblem: (problem) => tellProblem(shell, problem),
  });
}

function tellProblem(shell: Shell, problem: CopyProblem): void {
  const { path, code, message, isSkipped } = problem;
  if (shell.out.isJson) shell.out.item({ path, code, message, skipped: isSkipped }, '');
  else shell.out.warn(`${path}: ${message}`);
  if (isSkipped) return;
  const { exitCode } = failureOf(problem.cause);
  // Damage says more than "failed".
  if (exitCode === EXIT.damage || shell.exitCode === EXIT.ok) shell.exitCode = exitCode;
}

/** The result, told once the volume is closed and all of it durable. */
export function tellTransfer(
  shell: Shell,
  result: CopyResult,
  told: { readonly volume: string; readonly dryRun: boolean; readonly ms: number },
): void {
  const { problems: _told, ...counts } = result;
  if (result.xattrs > 0) {
    shell.out.warn(`${formatCounted(result.xattrs, 'extended attribute')} not carried`);
  }
  const speed = told.ms > 0 ? ` (${formatSize(result.bytes / (told.ms / 1000))}/s)` : '';
  const parts = [
    formatCounted(result.files, 'file'),
    formatCounted(result.directories, 'directory'),
    ...(result.symlinks > 0 ? [formatCounted(result.symlinks, 'symbolic link')] : []),
    ...(result.hardLinks > 0 ? [formatCounted(result.hardLinks, 'hard link')] : []),
    formatSize(result.bytes),
  ];
  const time = told.dryRun ? '' : ` in ${formatDuration(told.ms)}${speed}`;
  const left = [
    ...(result.skipped > 0 ? [`${result.skipped} special not carried`] : []),
    ...(result.failed > 0 ? [`${result.failed} failed`] : []),
  ];
  shell.out.result(
    { ...told, ...counts },
    `${told.dryRun ? 'would copy ' : ''}${parts.join(', ')}${time}` +
      (left.length > 0 ? `; ${left.join(', ')}` : ''),
  );
}
