// Writes test/golden/volume.bin.gz anew. Not after a release: its volume opens for ever.

import { writeFileSync } from 'node:fs';
import { GOLDEN_VOLUME_PATH, makeGolden, packGolden } from './golden-volume.ts';

const packed = packGolden(makeGolden());
writeFileSync(GOLDEN_VOLUME_PATH, packed);
console.log(`${packed.length} bytes`);
