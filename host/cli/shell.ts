// What every command is given: the world outside (streams, the engine, the wish to stop), and the
// few things that all of them do alike.

import type { Command } from 'commander';
import { Argument, Option } from 'commander';
import type { Colors, OutputStream } from './output.ts';
import { Output } from './output.ts';
import type { CliVolume, Engine, OpenOptions } from './volume-face.ts';

export interface World {
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly colors: Colors;
  /** Aborted by SIGINT (InterruptedError) or when the reader has gone (ReaderGoneError). */
  readonly signal: AbortSignal;
  /** Owners are carried for root alone. */
  readonly isRoot: boolean;
  now(): number;
  /** Loaded by the first command that needs it: `wafer --help` does not. */
  engine(): Promise<Engine>;
}

export class Shell {
  readonly world: World;
  readonly out: Output;
  exitCode = 0;

  constructor(world: World) {
    this.world = world;
    this.out = new Output({ ...world, now: () => world.now() });
  }

  get signal(): AbortSignal {
    return this.world.signal;
  }

  /** Opens, uses, and closes in every case. Warnings of the volume are told first. */
  async withVolume<T>(
    where: string,
    options: OpenOptions,
    use: (volume: CliVolume) => Promise<T>,
  ): Promise<T> {
    const engine = await this.world.engine();
    this.signal.throwIfAborted();
    const volume = await engine.open(where, options);
    let result: T;
    try {
      const { warnings } = await volume.status();
      for (const warning of warnings) this.out.warn(warning);
      result = await use(volume);
    } catch (error) {
      // What comes after the first failure would only hide it.
      await volume.close().catch(() => {});
      throw error;
    }
    await volume.close();
    return result;
  }
}

/** A verb with what all verbs have. */
export function addVerb(parent: Command, name: string, summary: string): Command {
  return parent
    .command(name)
    .summary(summary)
    .description(`${summary[0]?.toUpperCase()}${summary.slice(1)}.`)
    .option('--json', 'one JSON object a line');
}

/** A verb on a volume that exists. */
export function addVolumeVerb(parent: Command, name: string, summary: string): Command {
  return addVerb(parent, name, summary).option(
    '--degraded',
    'open it even if the missing disks could form a volume of their own',
  );
}

export function volumeArgument(): Argument {
  return new Argument('<volume>', 'file or directory of the volume');
}

export function dryRunOption(): Option {
  return new Option('--dry-run', 'say what would be done, and change nothing');
}

export interface VolumeFlags {
  readonly degraded?: boolean;
  readonly dryRun?: boolean;
}

/** How to open for a command that changes something; a dry run only looks. */
export function openOptions(flags: VolumeFlags, isChanging: boolean): OpenOptions {
  return {
    readOnly: !isChanging || flags.dryRun === true,
    ...(flags.degraded ? { degraded: true } : {}),
  };
}
