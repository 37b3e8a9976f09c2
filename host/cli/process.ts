// Connects the program to the process: signals, streams, exit code.

import { createRequire } from 'node:module';
import pc from 'picocolors';

import { EXIT, InterruptedError, ReaderGoneError } from './failure.ts';
import { run } from './program.ts';
import type { World } from './shell.ts';
import type { Engine } from './volume-face.ts';

/** Runs the process's own command line on `engine`. */
export async function main(engine: () => Promise<Engine>): Promise<void> {
  const controller = new AbortController();
  const interrupt = () => {
    // Asked twice: at once. What was acknowledged is safe, the log brings it back.
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort(new InterruptedError('interrupted'));
  };
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    controller.abort(new ReaderGoneError('the reader has gone'));
  });
  const world: World = {
    stdout: process.stdout,
    stderr: process.stderr,
    colors: pc.createColors(wantsColors()),
    signal: controller.signal,
    isRoot: process.getuid?.() === 0,
    now: () => performance.now(),
    engine,
  };
  process.exitCode = await run(process.argv.slice(2), world, packageVersion());
  process.removeListener('SIGINT', interrupt);
  process.removeListener('SIGTERM', interrupt);
}

/** https://no-color.org; FORCE_COLOR as elsewhere. */
function wantsColors(): boolean {
  if ((process.env.NO_COLOR ?? '') !== '') return false;
  if ((process.env.FORCE_COLOR ?? '') !== '') return true;
  return process.stdout.isTTY === true && process.stderr.isTTY === true;
}

function packageVersion(): string {
  const require = createRequire(import.meta.url);
  // From dist/host/cli/.
  return (require('../../../package.json') as { version: string }).version;
}
