// Runs the victim, and kills it in the middle of writing.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

import type { World } from './world.ts';

export interface Killed {
  /** Numbers of the files that were reported as acknowledged. */
  readonly acknowledged: readonly number[];
  /** What the child said on stderr, if it died of itself. */
  readonly complaint: string | undefined;
}

/** Lets a child write to the volume `where` until it has reported `count` files, then kills it. */
export function writeAndKill(world: World, where: string, count: number): Promise<Killed> {
  const victim = fileURLToPath(new URL('./victim.js', import.meta.url));
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [victim, world.engineUrl, where], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const acknowledged: number[] = [];
    let rest = '';
    let complaint = '';
    let isKilled = false;
    const kill = () => {
      isKilled = true;
      child.kill('SIGKILL');
    };
    world.signal.addEventListener('abort', kill, { once: true });
    child.on('error', reject);
    child.stderr.on('data', (data: Buffer) => {
      complaint += data.toString();
    });
    child.stdout.on('data', (data: Buffer) => {
      // The last line may be cut: it was not reported.
      const lines = (rest + data.toString()).split('\n');
      rest = lines.pop() as string;
      acknowledged.push(...lines.map(Number));
      world.stage.progress('written', acknowledged.length, count, 'files');
      if (acknowledged.length >= count && !isKilled) kill();
    });
    child.on('close', () => {
      world.signal.removeEventListener('abort', kill);
      resolve({
        acknowledged,
        complaint: isKilled ? undefined : complaint || 'it ended by itself',
      });
    });
  });
}
