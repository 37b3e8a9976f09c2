// Comparing maps on disk with what was counted.

import { BITS_PER_BLOCK } from '../../../assembly/layout/block.ts';
import type { Step } from '../../base/task.ts';
import type { Address } from '../../base/units.ts';
import type { Pointer } from '../../format/pointer.ts';
import { eachRun, type Plane, popcount, WORDS_PER_PAGE } from './plane.ts';
import type { VerifyProblemKind } from './report.ts';
import type { Owner, VerifyContext } from './tree-walk.ts';

/** A map file: its blocks of level 0, as a walk of its tree gave them. */
export type MapPointers = Map<number, Pointer>;

export interface Comparison {
  readonly name: string;
  readonly map: MapPointers;
  /** Bits that the map has: those from here on are none. */
  readonly bitLimit: number;
  /** Whether a bit below the limit stands for something. */
  isBit(bit: number): boolean;
  readonly expected: { page(index: number): Uint32Array | undefined };
  /** Pages of `expected` that may have bits. */
  readonly pages: Iterable<number>;
  /** What a bit that is set and not expected is, and one that is expected and not set. */
  readonly extra: VerifyProblemKind;
  readonly missing: VerifyProblemKind;
  /** Bits that may be set or not. */
  readonly optional?: Plane;
  /** `expected` may be short of bits, for damage. */
  readonly isPartial: boolean;
  /** What is counted: "block", "inode". */
  readonly unit: 'block' | 'inode';
  /** Each page of the map, of those in `pages` and those that it has: address 0 where all is clear.
   *  Not in order, and not where it cannot be read. */
  onPage?(index: number, address: Address): void;
}

/** Compares; gives the number of bits set in the map. */
export function* compareMap(
  context: VerifyContext,
  owner: Owner,
  comparison: Comparison,
): Step<number> {
  const { u32 } = context.core.arena;
  const { map, expected, pages, onPage } = comparison;
  let count = 0;
  const items = [...map].map(([index, pointer]) => ({ index, pointer }));
  yield* context.reader.each(items, {
    keeps: () => false,
    visit: ({ index }, address) => {
      const at = address >>> 2;
      for (let word = 0; word < WORDS_PER_PAGE; word++) count += popcount(u32[at + word] as number);
      comparePage(owner, comparison, index, (word) => u32[at + word] as number);
      onPage?.(index, address);
    },
    fail: ({ index, pointer }, error) => {
      const { vbn } = pointer;
      owner.isPartial = true;
      owner.note('bad-block', `${comparison.name} (block ${index}): ${error.message}`, { vbn });
    },
  });
  for (const index of pages) {
    if (map.has(index)) continue;
    if (expected.page(index) !== undefined) comparePage(owner, comparison, index, () => 0);
    onPage?.(index, 0);
  }
  context.pause();
  return count;
}

function comparePage(
  owner: Owner,
  comparison: Comparison,
  index: number,
  wordAt: (word: number) => number,
): void {
  const { name, bitLimit, unit, isPartial } = comparison;
  const page = comparison.expected.page(index);
  const optional = comparison.optional?.page(index);
  const note = (kind: VerifyProblemKind, first: number, count: number, what: string) => {
    const last = first + count - 1;
    const which = count === 1 ? `${unit} ${first}` : `${unit}s ${first} to ${last}`;
    const where = unit === 'block' ? { vbn: first } : { ino: first };
    owner.note(kind, `${which}: ${what} ${name}`, where);
  };
  eachRun(
    index,
    (word) => wordAt(word) & ~(page?.[word] ?? 0) & ~(optional?.[word] ?? 0),
    (first, count) => {
      // A run is for one thing: split where bits stop standing for something.
      for (let at = first; at < first + count; ) {
        const isBit = at < bitLimit && comparison.isBit(at);
        let end = at + 1;
        while (end < first + count && (end < bitLimit && comparison.isBit(end)) === isBit) end++;
        if (!isBit) note('map-range', at, end - at, 'is none and is set in');
        else if (!isPartial) note(comparison.extra, at, end - at, 'set and not expected in');
        at = end;
      }
    },
  );
  eachRun(
    index,
    (word) => (page?.[word] ?? 0) & ~wordAt(word),
    (first, count) => note(comparison.missing, first, count, 'in use and not set in'),
  );
}

/** Notes blocks that are in both planes. */
export function noteShared(
  owner: Owner,
  a: Plane,
  b: Plane,
  options: { kind: VerifyProblemKind; message: string },
): void {
  for (const index of a.pages()) {
    const left = a.page(index) as Uint32Array;
    const right = b.page(index);
    if (right === undefined) continue;
    eachRun(
      index,
      (word) => (left[word] as number) & (right[word] as number),
      (first, count) => {
        const which = count === 1 ? `block ${first}` : `blocks ${first} to ${first + count - 1}`;
        owner.note(options.kind, `${which}: ${options.message}`, { vbn: first });
      },
    );
  }
}

/** The map blocks of a plane of `bits`. */
export function* pagesOf(bits: number): Generator<number> {
  for (let index = 0; index * BITS_PER_BLOCK < bits; index++) yield index;
}
