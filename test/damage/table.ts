// The counts as text.

import type { Counts, Report } from './run.ts';

const COLUMNS: readonly (keyof Counts)[] = [
  'damages',
  'unaffected',
  'repaired',
  'stoodIn',
  'error',
  'refused',
  'wrong',
];
const WIDTH = 11;

/** A line for each region, and a sum. */
export function tableOf(report: Report): string {
  const line = (name: string, cells: readonly (string | number)[]) =>
    `  ${name.padEnd(16)}${cells.map((cell) => String(cell).padStart(WIDTH)).join('')}`;
  const lines = [line('', COLUMNS)];
  const sums = COLUMNS.map(() => 0);
  for (const [row, counts] of report.rows) {
    const cells = COLUMNS.map((column) => counts[column]);
    cells.forEach((cell, index) => {
      sums[index] = (sums[index] as number) + cell;
    });
    if (counts.damages > 0) lines.push(line(row, cells));
  }
  lines.push(line('all', sums));
  const codes = [...report.codes].map(([code, count]) => `${code} ${count}`).sort();
  lines.push(`  reads: ${report.readsRight} right, ${report.readsFailed} errors`);
  lines.push(`  codes: ${codes.join(', ')}`);
  return lines.join('\n');
}
