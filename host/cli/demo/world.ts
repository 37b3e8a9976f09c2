// What the story needs from outside, so that a test can tell it on a fake volume.

import type { Engine } from '../volume-face.ts';
import type { Stage } from './stage.ts';
import type { ThreadFigures } from './threads.ts';

export interface World {
  readonly stage: Stage;
  readonly engine: Engine;
  /** Module with `loadEngine`, for the child. */
  readonly engineUrl: string;
  readonly signal: AbortSignal;
  /** Empty directory for all that the story makes. */
  readonly directory: string;
  readonly isRoot: boolean;
  /** Milliseconds. */
  now(): number;
  /** Kernels on one thread and on several. */
  measureThreads(): Promise<ThreadFigures>;
  /** A whole number from 0 on, below `below`. */
  random(below: number): number;
}
