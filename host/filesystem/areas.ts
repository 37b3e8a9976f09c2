// Allocation areas: where stripes and areas lie in vbn space, and how many blocks of each are used.
//
// An area is AREA_STRIPES stripes of one span; on each data column it is a chunk of AREA_STRIPES
// consecutive vbns. Column starts are multiples of AREA_STRIPES, so a chunk never straddles two map
// blocks or two columns. The counts of used blocks stand in memory (2 bytes an area: 512 KiB for 1
// TiB on one disk) and in the area table, a volume file, so that neither mount nor allocation ever
// scans the maps.

import { AREA_STRIPES, AREA_STRIPES_SHIFT } from '../../assembly/layout/block.ts';
import { assert } from '../base/assert.ts';
import type { Vbn } from '../base/units.ts';
import type { StripeSpan } from '../device/block-volume.ts';

export interface Area {
  readonly id: number;
  readonly span: StripeSpan;
  /** First stripe of the area within its span, and how many it has. */
  readonly stripeFirst: number;
  readonly stripeCount: number;
}

const NO_AREA = 0xffffffff;

export class Areas {
  readonly count: number;
  /** Blocks of each area that are set in the active or the summary map. */
  readonly used: Uint16Array;
  /** Blocks of each area. */
  readonly blocks: Uint16Array;
  readonly #spans: readonly StripeSpan[];
  /** First area id of each span. */
  readonly #firsts: number[] = [];
  /** Chunk (vbn >> AREA_STRIPES_SHIFT) to area id. */
  readonly #areaOfChunk: Uint32Array;

  constructor(spans: readonly StripeSpan[], vbnLimit: Vbn) {
    this.#spans = spans;
    this.#areaOfChunk = new Uint32Array(Math.ceil(vbnLimit / AREA_STRIPES)).fill(NO_AREA);
    let next = 0;
    for (const span of spans) {
      this.#firsts.push(next);
      const areaCount = Math.ceil(span.stripeCount / AREA_STRIPES);
      for (const column of span.columns) {
        assert(column % AREA_STRIPES === 0, 'a column starts at an area', column);
        for (let index = 0; index < areaCount; index++) {
          this.#areaOfChunk[(column >> AREA_STRIPES_SHIFT) + index] = next + index;
        }
      }
      next += areaCount;
    }
    this.count = next;
    this.used = new Uint16Array(next);
    this.blocks = new Uint16Array(next);
    for (let id = 0; id < next; id++) {
      const area = this.get(id);
      this.blocks[id] = area.stripeCount * area.span.columns.length;
    }
  }

  /** Area of a block, or -1 where the vbn is in no span. */
  idOf(vbn: Vbn): number {
    const id = this.#areaOfChunk[Math.floor(vbn / AREA_STRIPES)];
    return id === undefined || id === NO_AREA ? -1 : id;
  }

  get(id: number): Area {
    let index = this.#firsts.length - 1;
    while ((this.#firsts[index] as number) > id) index--;
    const span = this.#spans[index] as StripeSpan;
    const stripeFirst = (id - (this.#firsts[index] as number)) * AREA_STRIPES;
    const stripeCount = Math.min(AREA_STRIPES, span.stripeCount - stripeFirst);
    return { id, span, stripeFirst, stripeCount };
  }

  /** Whether a vbn is one of the volume's blocks. */
  has(vbn: Vbn): boolean {
    const id = this.idOf(vbn);
    if (id < 0) return false;
    const area = this.get(id);
    return vbn % AREA_STRIPES < area.stripeCount;
  }
}
