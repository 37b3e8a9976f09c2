// A program that uses the pool and forgets to close it. Prints what it saw.

import { createKernels } from '../../host/kernels/instantiate.ts';
import { createThreadPool, type PiscinaPool } from '../../host/node/piscina-pool.ts';

const LENGTH = 16 << 20;
const instance = createKernels({ arenaBytes: LENGTH + (1 << 20) });
const plane = instance.arena.reserve(LENGTH);
const pool = createThreadPool(instance, { threads: 2 }) as PiscinaPool;
await pool.start();
const job = { kernel: 'planePopcount', args: [plane, LENGTH] };
for (let i = 0; i < 20 && pool.jobCount === 0; i++) await pool.run([job]);
console.log(`jobs ${pool.jobCount > 0 ? 'some' : 'none'}`);
