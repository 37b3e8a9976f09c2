// The process that is killed. Reads its order (one line of JSON) from stdin, opens the volume, lets
// all writers work at once, and reports each acknowledged request by one byte on stdout: the
// writer's number. OPENED stands for the open volume, CLOSED for one that was closed in order.

import { readFileSync, writeSync } from 'node:fs';
import { SeededPrng } from '../../host/base/prng.ts';
import { Volume } from '../../host/node.ts';
import { bytesOf } from '../oracle/workload.ts';
import { CLOSED, OPENED, type Order, seedOf } from './order.ts';
import { type Step, Tree } from './tree.ts';

function report(byte: number): void {
  writeSync(1, Uint8Array.of(byte));
}

async function perform(volume: Volume, step: Step): Promise<void> {
  if (step.isSync && performSync(volume, step)) return;
  const fs = volume.fs.promises;
  switch (step.op) {
    case 'writeFile':
      return await fs.writeFile(step.path, bytesOf(step.data));
    case 'write': {
      const file = await fs.open(step.path, 'r+');
      try {
        const bytes = bytesOf(step.data);
        await file.write(bytes, 0, bytes.length, step.position);
      } finally {
        await file.close();
      }
      return;
    }
    case 'truncate':
      return await fs.truncate(step.path, step.size);
    case 'chmod':
      return await fs.chmod(step.path, step.mode);
    case 'rename':
      return await fs.rename(step.path, step.to);
    case 'link':
      return await fs.link(step.path, step.to);
    case 'symlink':
      return await fs.symlink(step.target, step.path);
    case 'mkdir':
      await fs.mkdir(step.path, 0o755);
      return;
    case 'rmdir':
      return await fs.rmdir(step.path);
    case 'unlink':
      return await fs.unlink(step.path);
    case 'snapshot':
      await volume.snapshots.create(step.name);
      return;
    case 'unsnapshot':
      return await volume.snapshots.delete(step.name);
    case 'sync':
      return await volume.sync();
  }
}

/** Whether the request was one of those with a sync call here. */
function performSync(volume: Volume, step: Step): boolean {
  const { fs } = volume;
  if (step.op === 'writeFile') fs.writeFileSync(step.path, bytesOf(step.data));
  else if (step.op === 'rename') fs.renameSync(step.path, step.to);
  else if (step.op === 'unlink') fs.unlinkSync(step.path);
  else return false;
  return true;
}

const order = JSON.parse(readFileSync(0, 'utf8')) as Order;
const volume = await Volume.open(order.where, { cacheSize: order.cacheSize });
report(OPENED);
await Promise.all(
  order.trees.map(async (summary) => {
    const tree = Tree.of(summary);
    const prng = new SeededPrng(seedOf(order.seed, tree.writer));
    for (let count = 0; count < order.stepsMax; count++) {
      const step = tree.next(prng);
      await perform(volume, step);
      report(tree.writer);
      tree.apply(step, false);
    }
  }),
);
await volume.close();
report(CLOSED);
