// What is measured, in which unit, and what "better" means for it.

/** Speeds, where more is better; and times and sizes, where less is. */
export type Unit = 'GB/s' | 'MB/s' | '/s' | 'ms' | 'MiB' | 'count';

const LESS_IS_BETTER: ReadonlySet<Unit> = new Set(['ms', 'MiB', 'count']);

/** Such as "12.34 GB/s", "0.085 ms", "123,456 /s". */
export function formatValue(value: number, unit: Unit): string {
  const size = Math.abs(value);
  const digits = size >= 1000 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3;
  const text = value.toLocaleString('en-US', { maximumFractionDigits: digits });
  return unit === 'count' ? text : `${text} ${unit}`;
}

/** How many times better `ours` is. */
export function ratioOf(ours: number, other: number, unit: Unit): number {
  if (ours === other) return 1;
  return LESS_IS_BETTER.has(unit) ? other / ours : ours / other;
}

export function median(values: readonly number[]): number {
  return percentile(values, 50);
}

/** The value that `percent` of all are not above. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const index = Math.ceil((percent / 100) * sorted.length) - 1;
  return sorted[Math.max(0, index)] ?? Number.NaN;
}
