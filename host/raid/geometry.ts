// Where blocks are: vbn <-> (member, dbn), from the tables of members and ranges of the volume
// root. Ranges are append-only, so a vbn means the same place for ever.
//
// A group is what shares stripes: `none` has one group per disk, of a single data column and no
// parity; `raid4` one group of all disks, whose last one is row parity. The rest of RAID asks only
// for a group's columns and parity, so further groups and kinds need no other code here.

import { AREA_STRIPES, PARITY_COLUMN } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import type { Dbn, Vbn } from '../base/units.ts';
import type { StripeSpan } from '../device/block-volume.ts';
import type { Member, Range } from '../format/volume-root.ts';

export interface Group {
  readonly index: number;
  /** Members of the data columns, in order of their column numbers. */
  readonly columns: readonly number[];
  /** The parity disk's member; -1 where there is none. */
  readonly parity: number;
}

/** A range of vbns with everything that a lookup needs. */
export interface Extent extends Range {
  readonly member: number;
  /** Place of its column among the group's columns. */
  readonly columnIndex: number;
}

export class Geometry {
  readonly groups: readonly Group[];
  /** In ascending order of vbnFirst. */
  readonly extents: readonly Extent[];
  readonly spans: readonly StripeSpan[];
  readonly vbnLimit: Vbn;
  readonly blockCount: number;
  /** Extents by group and column index. */
  readonly #byColumn: Extent[][][];
  #last: Extent | undefined;

  constructor(members: readonly Member[], ranges: readonly Range[], groupCount: number) {
    this.groups = Array.from({ length: groupCount }, (_, index) => groupOf(index, members));
    this.extents = ranges.map((range) => this.#extentOf(range, members));
    this.#byColumn = this.groups.map((group) => group.columns.map(() => []));
    for (const extent of this.extents) {
      this.#byColumn[extent.group]?.[extent.columnIndex]?.push(extent);
    }
    this.spans = spansOf(this.groups, this.extents);
    const last = this.extents.at(-1);
    this.vbnLimit = last === undefined ? AREA_STRIPES : last.vbnFirst + last.count;
    this.blockCount = this.extents.reduce((sum, extent) => sum + extent.count, 0);
  }

  /** The extent that holds `vbn`; undefined for one in no range. */
  find(vbn: Vbn): Extent | undefined {
    const last = this.#last;
    if (last !== undefined && vbn >= last.vbnFirst && vbn < last.vbnFirst + last.count) return last;
    let low = 0;
    let high = this.extents.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.extents[middle] as Extent).vbnFirst <= vbn) low = middle + 1;
      else high = middle;
    }
    const extent = this.extents[low - 1];
    if (extent === undefined || vbn >= extent.vbnFirst + extent.count) return undefined;
    this.#last = extent;
    return extent;
  }

  /** The vbn at `dbn` of a data column; 0 where no range lies there. */
  vbnAt(group: Group, columnIndex: number, dbn: Dbn): Vbn {
    for (const extent of this.#byColumn[group.index]?.[columnIndex] ?? []) {
      const offset = dbn - extent.dbnFirst;
      if (offset >= 0 && offset < extent.count) return extent.vbnFirst + offset;
    }
    return 0;
  }

  #extentOf(range: Range, members: readonly Member[]): Extent {
    const member = memberAt(members, range.group, range.column);
    const columnIndex = this.groups[range.group]?.columns.indexOf(member) ?? -1;
    assert(columnIndex >= 0, 'the range has a column', range.column);
    return { ...range, member, columnIndex };
  }
}

/** Index of the member in this place; -1 if there is none. */
export function memberAt(members: readonly Member[], group: number, column: number): number {
  return members.findIndex(
    (member) => member.state !== 'spare' && member.group === group && member.column === column,
  );
}

function groupOf(index: number, members: readonly Member[]): Group {
  const columns: number[] = [];
  for (let column = 0; column < PARITY_COLUMN; column++) {
    const member = memberAt(members, index, column);
    if (member >= 0) columns.push(member);
  }
  return { index, columns, parity: memberAt(members, index, PARITY_COLUMN) };
}

/** Extents over the same dbns of one group are the columns of a span. */
function spansOf(groups: readonly Group[], extents: readonly Extent[]): StripeSpan[] {
  const spans = new Map<
    string,
    { group: number; stripeCount: number; columns: Vbn[]; hasParity: boolean }
  >();
  for (const extent of extents) {
    const key = `${extent.group}:${extent.dbnFirst}:${extent.count}`;
    const span = spans.get(key);
    if (span !== undefined) {
      span.columns.push(extent.vbnFirst);
      continue;
    }
    spans.set(key, {
      group: extent.group,
      stripeCount: extent.count,
      columns: [extent.vbnFirst],
      hasParity: (groups[extent.group] as Group).parity >= 0,
    });
  }
  return [...spans.values()];
}
