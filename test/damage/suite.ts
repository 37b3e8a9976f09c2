// One test for each volume, its counts printed.

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { build, type Setup } from './base.ts';
import { inflict, newReport } from './run.ts';
import { tableOf } from './table.ts';
import { caseOf } from './verdict.ts';

/** SEED and ROUNDS in the environment: for one damage again (ROUNDS=1), or for a long run. */
const { SEED = '1', ROUNDS } = process.env;

export function testVolumes(setups: readonly (Setup & { readonly rounds: number })[]): void {
  for (const setup of setups) {
    test(`${setup.name}: every read is right or an error with a name`, async () => {
      const subject = caseOf(build(setup));
      const report = newReport();
      const count = ROUNDS === undefined ? setup.rounds : Number(ROUNDS);
      await inflict(subject, report, { first: Number(SEED), count });
      console.log(`\n${setup.name}, seeds from ${SEED}\n${tableOf(report)}`);
      assert.is(report.violations.join('\n\n'), '');
    });
  }
}
