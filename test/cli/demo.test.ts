// The main job is told on a fake volume: it must end well where all is well, name what differs
// where something was lost, and leave nothing behind. What `npm start` claims is only worth what it
// checks.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';

import { chooseInput } from '../../host/cli/demo/input.ts';
import { Stage } from '../../host/cli/demo/stage.ts';
import { Story } from '../../host/cli/demo/story.ts';
import { measureThreads } from '../../host/cli/demo/threads.ts';
import type { CliVolume, Engine } from '../../host/cli/volume-face.ts';
import { fakeEngine } from './fake-volume.ts';

function makeTree(tree: string): void {
  fs.mkdirSync(join(tree, 'sub'));
  for (let at = 0; at < 60; at++) {
    fs.writeFileSync(join(tree, at % 2 ? 'sub' : '.', `file-${at}`), Buffer.alloc(at * 300, at));
  }
  fs.linkSync(join(tree, 'file-2'), join(tree, 'sub/linked'));
  fs.symlinkSync('sub', join(tree, 'symlink'));
  execFileSync('mkfifo', [join(tree, 'pipe')]);
}

const FIGURE = { what: 'a kernel', oneThreadMs: 2, poolMs: 1, jobs: 7, isEqual: true };

/** Tells the story with `engine` on a small tree; returns what was said and what failed. */
async function tell(engine: Engine): Promise<{ said: string; failures: readonly string[] }> {
  const directory = fs.mkdtempSync(join(tmpdir(), 'waferfs-demo-'));
  try {
    const tree = join(directory, 'tree');
    fs.mkdirSync(tree);
    makeTree(tree);
    const work = join(directory, 'work');
    fs.mkdirSync(work);
    let said = '';
    const out = {
      write: (data: string | Uint8Array) => {
        said += String(data);
        return true;
      },
      once: () => undefined,
    };
    let time = 0;
    const now = () => (time += 10);
    const stage = new Stage(out, pc.createColors(false), now);
    const world = {
      stage,
      engine,
      engineUrl: new URL('./fake-volume.js', import.meta.url).href,
      signal: new AbortController().signal,
      directory: work,
      isRoot: process.getuid?.() === 0,
      now,
      measureThreads: async () => ({ threads: 2, figures: [FIGURE] }),
      random: () => 0,
    };
    await new Story(world, await chooseInput(tree, directory)).tell();
    return { said, failures: stage.failures };
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
}

/** The fake engine, with each volume that it opens changed by `spoil`. */
function spoiled(spoil: (volume: CliVolume, where: string) => void): Engine {
  const engine = fakeEngine();
  return {
    ...engine,
    open: async (where, options) => {
      const volume = await engine.open(where, options);
      spoil(volume, where);
      return volume;
    },
  };
}

const story = suite('story');

story('ends well where all is well', async () => {
  const { said, failures } = await tell(fakeEngine());
  assert.equal(failures, [], said);
  for (const word of ['raid4', 'snapshot', 'kill -9', 'acknowledged files are there', 'fails']) {
    assert.ok(said.includes(word), `${word} in:\n${said}`);
  }
  assert.match(said, /│ verify +│ no problems +│/);
});

story('names an acknowledged file that was lost', async () => {
  const engine = spoiled((_volume, where) => {
    fs.rmSync(join(where, 'files/inbox/000007'));
  });
  const { failures } = await tell(engine);
  assert.is(failures.length, 1);
  assert.match(failures[0] as string, /lost: 7;/);
});

story(
  'names an acknowledged file that is not what was written, and a change that is lost',
  async () => {
    const engine = spoiled((_volume, where) => {
      fs.appendFileSync(join(where, 'files/inbox/000008'), 'x');
      fs.rmSync(join(where, 'files/added/file-3'));
    });
    const { failures } = await tell(engine);
    assert.is(failures.length, 2);
    assert.match(failures[0] as string, /not equal: 8$/);
    assert.match(failures[1] as string, /added\/file-3/);
  },
);

story('names what differs in the snapshot, and problems of verify', async () => {
  const engine = spoiled((volume, where) => {
    const path = join(where, 'snapshots/monday/tree/tree/sub/file-31');
    const { atime, mtime } = fs.statSync(path);
    fs.writeFileSync(path, Buffer.alloc(31 * 300, 7));
    fs.utimesSync(path, atime, mtime);
    Object.assign(volume, {
      verify: async () => ({
        problems: [{ kind: 'leaked-block', message: 'block 7 is used by nothing' }],
        problemCount: 1,
        blockCount: 1,
        inodeCount: 1,
        directoryCount: 1,
        snapshotCount: 1,
      }),
    });
  });
  const { failures } = await tell(engine);
  assert.ok(
    failures.some((text) => /sub\/file-31: content/.test(text)),
    failures.join('\n'),
  );
  assert.ok(failures.some((text) => /monday differs from the original/.test(text)));
  assert.ok(failures.some((text) => /1 problem in .*block 7 is used by nothing/.test(text)));
});

story('kernels give on several threads what they give on one', async () => {
  let time = 0;
  const { figures } = await measureThreads(() => time++);
  assert.is(figures.length, 5);
  for (const { what, isEqual } of figures) assert.ok(isEqual, what);
});

const input = suite('input');

input('takes packages by name, each that fits', async () => {
  const directory = fs.mkdtempSync(join(tmpdir(), 'waferfs-input-'));
  try {
    for (const [name, size] of [
      ['b', 100_000_000],
      ['c', 100_000_000],
      ['a', 10],
      ['d', 20],
    ]) {
      fs.mkdirSync(join(directory, name as string));
      const file = join(directory, name as string, 'f');
      fs.writeFileSync(file, '');
      fs.truncateSync(file, size as number);
    }
    fs.mkdirSync(join(directory, '.bin'));
    const chosen = await chooseInput(undefined, directory);
    assert.equal(
      chosen.items.map((item) => item.as),
      ['a', 'b', 'd'],
    );
    assert.equal(chosen.left, ['c']);
    assert.is(chosen.files, 3);
    assert.is(chosen.bytes, 100_000_030);
  } finally {
    fs.rmSync(directory, { recursive: true, force: true });
  }
});

for (const one of [story, input]) one.run();
