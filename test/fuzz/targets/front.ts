// The front of a disk: labels, volume roots, the volume state in them, headers of the stripe
// journal. What is taken must be written again as it was, to the byte: so nothing in it was passed
// over.

import { VOLUME_ROOT_SIZE } from '../../../assembly/layout/volume-root.ts';
import { sealEnvelope } from '../../../host/format/envelope.ts';
import { decodeJournalHeader, encodeJournalHeader } from '../../../host/format/journal.ts';
import { decodeLabel, encodeLabel } from '../../../host/format/label.ts';
import { decodeVolumeRoot, encodeVolumeRoot } from '../../../host/format/volume-root.ts';
import {
  decodeVolumeState,
  encodeVolumeState,
  VOLUME_FILES_FIRST_OFFSET,
  VOLUME_FILES_SIZE,
} from '../../../host/format/volume-state.ts';
import { Geometry } from '../../../host/raid/geometry.ts';
import {
  JOURNAL,
  LABEL,
  VOLUME_ROOT,
  VOLUME_STATE,
} from '../../../host/volume/inspect/structures.ts';
import { ensure, ensureSame, placesOf, type Target } from '../target.ts';
import { diskBytes, hasher, volume } from './samples.ts';

const { hash } = hasher;
const UUID = '00112233-4455-6677-8899-aabbccddeeff';

/** Sets the checksum of label, root or journal header. */
function seal(input: Uint8Array): void {
  if (input.length < 24 || input.length > VOLUME_ROOT_SIZE) return;
  input.fill(0, 16, 24);
  sealEnvelope(input, hash);
}

const label: Target = {
  name: 'label',
  sources: ['format/label.js', 'format/envelope.js'],
  samples: () => [diskBytes(0), diskBytes(1)],
  places: placesOf(LABEL),
  end: 200,
  lengthMax: 3 * 4096,
  mend: seal,
  decode(input) {
    const decoded = decodeLabel(input, hash);
    const bytes = encodeLabel(decoded, hash);
    ensureSame(bytes, input.subarray(0, bytes.length), 'a label is written as it was read');
    return decoded.raid;
  },
};

function rootBytes(): Uint8Array {
  return diskBytes(volume().layout.newestRoot[0] as number, 2);
}

/** A root as a volume of several groups has it. */
function wideRoot(): Uint8Array {
  const root = decodeVolumeRoot(rootBytes(), hash);
  const members = Array.from({ length: 6 }, (_, index) => ({
    uuid: UUID,
    group: index < 3 ? 0 : 1,
    column: index % 3 === 2 ? 16 : index % 3,
    state: (['active', 'failed', 'rebuilding'] as const)[index % 3] ?? ('spare' as const),
    blockCount: 100_000,
    dbnHigh: 5_000,
    epoch: 3,
  }));
  const ranges = [0, 1, 3, 4].map((member, index) => ({
    vbnFirst: 1024 + index * 65_536,
    dbnFirst: 64,
    count: 65_536,
    group: members[member]?.group ?? 0,
    column: members[member]?.column ?? 0,
  }));
  return encodeVolumeRoot({ ...root, raid: 'raid4', groupCount: 2, members, ranges }, hash);
}

const root: Target = {
  name: 'volume-root',
  sources: ['format/volume-root.js', 'format/envelope.js', 'raid/geometry.js:Geometry,find'],
  samples: () => [rootBytes(), wideRoot()],
  places: placesOf(VOLUME_ROOT).filter(({ offset }) => offset < 128 || offset >= 2176),
  lengthMax: 3 * 4096,
  mend: seal,
  decode(input) {
    const decoded = decodeVolumeRoot(input, hash);
    const bytes = encodeVolumeRoot(decoded, hash);
    ensureSame(bytes, input.subarray(0, bytes.length), 'a root is written as it was read');
    const geometry = new Geometry(decoded.members, decoded.ranges, decoded.groupCount);
    for (const vbn of [0, 1, 1024, 70_000, 2 ** 32, 2 ** 47]) geometry.find(vbn);
    return `${decoded.raid} ${decoded.members.map(({ state }) => state).join(' ')}`;
  },
};

const journal: Target = {
  name: 'journal-header',
  sources: ['format/journal.js', 'format/envelope.js'],
  samples: () =>
    [0, 3, 252].map((count) =>
      encodeJournalHeader(
        {
          volumeUuid: UUID,
          epoch: 3,
          sequence: 7,
          durable: 5,
          records: Array.from({ length: count }, (_, index) => ({
            dbn: 64 + index,
            group: 0,
            column: index % 3 === 2 ? 16 : index % 3,
            checksum: { low: index * 77, high: index * 99 },
          })),
        },
        hash,
      ),
    ),
  places: placesOf(JOURNAL),
  end: 300,
  lengthMax: 2 * 4096,
  mend: seal,
  decode(input) {
    const decoded = decodeJournalHeader(input, hash);
    ensure(decoded.records.length <= 252, 'records are bounded');
    const bytes = encodeJournalHeader(decoded, hash);
    ensureSame(bytes, input.subarray(0, bytes.length), 'a header is written as it was read');
    return undefined;
  },
};

const state: Target = {
  name: 'volume-state',
  sources: ['format/volume-state.js', 'format/words.js'],
  samples: () => [decodeVolumeRoot(rootBytes(), hash).state],
  places: placesOf(VOLUME_STATE),
  end: 1200,
  decode(input) {
    const decoded = decodeVolumeState(input);
    const first = VOLUME_FILES_FIRST_OFFSET;
    const files = input.subarray(first, first + VOLUME_FILES_SIZE);
    ensureSame(encodeVolumeState(decoded, files), input, 'a state is written as it was read');
    return undefined;
  },
};

export const FRONT: readonly Target[] = [label, root, journal, state];
