// npm run golden: writes the texts of test/golden/ anew. The diff is for reading.

import { writeFileSync } from 'node:fs';
import { GOLDEN } from './golden-text.ts';
import { ROOT } from './source-tree.ts';

for (const [path, make] of Object.entries(GOLDEN)) {
  writeFileSync(ROOT + path, await make());
  console.log(`${path} written`);
}
