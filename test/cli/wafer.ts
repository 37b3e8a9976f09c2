// Runs the program inside of a test: an invocation on an engine, and what came out of it.

import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import pc from 'picocolors';

import { run } from '../../host/cli/program.ts';
import type { Engine } from '../../host/cli/volume-face.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  readonly lines: Record<string, unknown>[];
}

export interface Setup {
  readonly signal?: AbortSignal;
  readonly isTTY?: boolean;
  readonly color?: boolean;
  readonly isRoot?: boolean;
}

/** Runs one invocation on `engine`. */
export async function runWafer(
  engine: () => Promise<Engine>,
  argv: readonly string[],
  setup: Setup = {},
): Promise<Ran> {
  const written = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') => ({
    isTTY: setup.isTTY ?? false,
    write: (data: string | Uint8Array) => {
      written[name] += typeof data === 'string' ? data : Buffer.from(data).toString('latin1');
      return true;
    },
    once: () => undefined,
  });
  let time = 0;
  const world = {
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    colors: pc.createColors(setup.color ?? false),
    signal: setup.signal ?? new AbortController().signal,
    isRoot: setup.isRoot ?? false,
    now: () => (time += 1000),
    engine,
  };
  const code = await run(argv, world, '1.2.3');
  const isJson = argv.includes('--json');
  const lines = isJson
    ? written.stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Record<string, unknown>)
    : [];
  return { code, ...written, lines };
}

/** Everything below, with contents: what a dry run must leave. */
export function photograph(directory: string): string[] {
  return fs
    .readdirSync(directory, { recursive: true, withFileTypes: true })
    .map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return `${path} ${entry.isFile() ? digest(path) : ''}`;
    })
    .sort();
}

function digest(path: string): string {
  return createHash('sha256').update(fs.readFileSync(path)).digest('hex');
}
