// npm start [-- TREE]: the main job, on the user's own tree or on packages of node_modules.

import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import pc from 'picocolors';

import { StorageError } from '../../base/errors.ts';
import { EXIT, failureOf, InterruptedError } from '../failure.ts';
import type { Engine } from '../volume-face.ts';
import { chooseInput } from './input.ts';
import { Stage } from './stage.ts';
import { Story } from './story.ts';
import { measureThreads } from './threads.ts';
import type { World } from './world.ts';

const OWN_ENGINE = new URL('../engine.js', import.meta.url).href;
/** From dist/host/cli/demo/. */
const NODE_MODULES = fileURLToPath(new URL('../../../../node_modules', import.meta.url));

/** Tells the story on the process's stdout; returns the exit code. */
export async function main(tree: string | undefined, engineUrl = OWN_ENGINE): Promise<number> {
  const { stdout } = process;
  const hasColors = (process.env.NO_COLOR ?? '') === '' && stdout.isTTY === true;
  const colors = pc.createColors(hasColors);
  const now = () => performance.now();
  const stage = new Stage(stdout, colors, now);
  const controller = new AbortController();
  const interrupt = () => controller.abort(new InterruptedError('interrupted'));
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  const directory = mkdtempSync(join(realpathSync(tmpdir()), 'waferfs-'));
  try {
    if (tree !== undefined && !existsSync(join(tree, '.'))) {
      throw new StorageError('INVALID_ARGUMENT', `${tree} is not a directory`);
    }
    const { loadEngine } = (await import(engineUrl)) as { loadEngine: () => Promise<Engine> };
    const world: World = {
      stage,
      engine: await loadEngine(),
      engineUrl,
      signal: controller.signal,
      directory,
      isRoot: process.getuid?.() === 0,
      now,
      measureThreads: () => measureThreads(now),
      random: (below) => Math.floor(Math.random() * below),
    };
    await new Story(world, await chooseInput(tree, NODE_MODULES)).tell();
    const count = stage.failures.length;
    if (count === 0) stage.note(colors.green('Everything came back as it was.'));
    else stage.note(colors.red(`${count} failures: ${stage.failures[0]}`));
    return count === 0 ? EXIT.ok : EXIT.failed;
  } catch (error) {
    const failure = failureOf(error);
    process.stderr.write(`\n${failure.message} (${failure.code})\nhint: ${failure.hint}\n`);
    return failure.exitCode;
  } finally {
    rmSync(directory, { recursive: true, force: true });
    process.removeListener('SIGINT', interrupt);
    process.removeListener('SIGTERM', interrupt);
  }
}

if (import.meta.url === pathToFileURL(realpathSync(process.argv[1] ?? '')).href) {
  process.exitCode = await main(process.argv[2]);
}
