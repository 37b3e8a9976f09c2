// The picture of a result: a bar for each case, groups one below the other, each on its own scale.

import { formatValue } from './figures.ts';
import type { BenchReport, BenchRow } from './harness.ts';

const WIDTH = 860;
const NAME_WIDTH = 230;
const BAR_WIDTH = 430;
const BAR_HEIGHT = 16;
const LINE = 22;
const COLORS = { ours: '#2563eb', peer: '#94a3b8', bound: '#d4a017' } as const;

/** An SVG of the report; no other files, no scripts. */
export function plotSvg(report: BenchReport): string {
  const parts: string[] = [];
  let y = 24;
  const text = (x: number, words: string, extra = '') =>
    parts.push(`<text x="${x}" y="${y}"${extra}>${escapeXml(words)}</text>`);
  text(10, `${report.suite}, ${report.commit}: ${report.machine}`, ' font-weight="bold"');
  for (const group of new Set(report.rows.map((row) => row.group))) {
    const rows = report.rows.filter((row) => row.group === group);
    const largest = Math.max(...rows.map((row) => row.value));
    y += LINE + 8;
    text(10, group, ' font-weight="bold"');
    for (const row of rows) {
      y += LINE;
      parts.push(bar(row, largest, y));
      text(20, row.case);
      text(
        NAME_WIDTH + (BAR_WIDTH * row.value) / largest + 8,
        `${formatValue(row.value, row.unit)}, ours is ${row.ratio.toFixed(2)} x`,
      );
    }
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${y + 20}" \
font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="white"/>
${parts.join('\n')}
</svg>
`;
}

function bar(row: BenchRow, largest: number, y: number): string {
  const width = ((BAR_WIDTH * row.value) / largest).toFixed(1);
  const top = y - BAR_HEIGHT + 4;
  return `<rect x="${NAME_WIDTH}" y="${top}" width="${width}" height="${BAR_HEIGHT}" \
fill="${COLORS[row.kind]}"/>`;
}

function escapeXml(words: string): string {
  return words.replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;');
}
