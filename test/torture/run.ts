// npm run torture -- [--rounds N] [--seed S] [--directory D]: SIGKILL on real files, see rounds.ts.
// Ends with code 1, keeps the files, and says how to do it again where something was wrong.

import { rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { scratchDirectory, type TortureFigures, torture } from './rounds.ts';

const ROUNDS_DEFAULT = 1000;
const PRINT_EVERY = 50;

const { values } = parseArgs({
  options: { rounds: { type: 'string' }, seed: { type: 'string' }, directory: { type: 'string' } },
});
const rounds = whole('rounds', values.rounds ?? String(ROUNDS_DEFAULT));
const seed = whole('seed', values.seed ?? String(Date.now() % 1_000_000));
const directory = scratchDirectory(values.directory ?? tmpdir());
const begin = performance.now();

function whole(name: string, text: string): number {
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  throw new Error(`--${name} takes a whole number, not "${text}"`);
}

function line(figures: TortureFigures): string {
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  return (
    `${figures.rounds} rounds, ${figures.acknowledged} acknowledged, ` +
    `${figures.replayed} records replayed, ` +
    `open at the kill: ${figures.openDone} done and ${figures.openUndone} not, ` +
    `${figures.killedAtMount} killed at mount, ${figures.closed} closed in order, ` +
    `${figures.snapshotsRead} snapshots read, ${seconds} s`
  );
}

console.log(`torture: ${rounds} rounds, seed ${seed}`);
try {
  const onRound = (figures: TortureFigures) => {
    if (figures.rounds % PRINT_EVERY === 0) console.log(line(figures));
  };
  const figures = await torture({ rounds, seed, directory, onRound });
  rmSync(directory, { recursive: true });
  console.log(`nothing lost: ${line(figures)}`);
} catch (error) {
  console.error(error);
  console.error(`the files are in ${directory}`);
  console.error(`again: npm run torture -- --seed ${seed} --rounds ${rounds}`);
  process.exitCode = 1;
}
