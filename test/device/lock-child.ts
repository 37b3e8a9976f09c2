// A process for lock.test.ts. Each line of stdin is an order; each is answered by one line.
//   take PATH [AT]   tries to take the lock, at wall time AT (ms) if given: "held TOKEN", "locked"
//   release          gives up the lock taken last: "released"
//   hammer PATH N    N times: takes and releases it, and looks whether anybody else has it
//                    meanwhile: "hammered WINS VIOLATIONS"
// The file PATH.owner says who is inside: pid, or nothing.

import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { isStorageError } from '../../host/base/errors.ts';
import type { HeldLock } from '../../host/node/lock.ts';
import { acquireLock, isDead } from '../../host/node/lock.ts';

let lock: HeldLock | undefined;

function take(path: string): HeldLock | undefined {
  try {
    return acquireLock(path);
  } catch (error) {
    if (isStorageError(error, 'VOLUME_LOCKED')) return undefined;
    throw error;
  }
}

function hammer(path: string, count: number): string {
  const owner = `${path}.owner`;
  let winCount = 0;
  let violationCount = 0;
  for (let round = 0; round < count; round++) {
    const held = take(path);
    if (held === undefined) continue;
    winCount++;
    const before = Number(readFileSync(owner, 'utf8'));
    const isOther = before !== 0 && before !== process.pid;
    if (isOther && !isDead({ ...held.holder, startTime: null, pid: before })) violationCount++;
    writeFileSync(owner, String(process.pid));
    for (let look = 0; look < 20; look++) {
      if (readFileSync(owner, 'utf8') !== String(process.pid)) violationCount++;
    }
    writeFileSync(owner, '');
    held.release();
  }
  return `hammered ${winCount} ${violationCount}`;
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const [order, path = '', number = '0'] = line.split(' ');
  if (order === 'take') {
    while (Date.now() < Number(number));
    lock = take(path);
    console.log(lock === undefined ? 'locked' : `held ${lock.holder.token}`);
  } else if (order === 'release') {
    lock?.release();
    lock = undefined;
    console.log('released');
  } else if (order === 'hammer') {
    console.log(hammer(path, Number(number)));
  }
});
console.log('ready');
