// Every target.

import type { Target } from '../target.ts';
import { BLOCK_TARGETS } from './blocks.ts';
import { COMMAND_LINE_TARGETS } from './command-line.ts';
import { FRONT } from './front.ts';
import { INSPECT_TARGETS } from './inspect.ts';
import { LOG_TARGETS } from './log.ts';
import { TEXT_TARGETS } from './text.ts';
import { VOLUME_TARGETS } from './volumes.ts';

export const TARGETS: readonly Target[] = [
  ...FRONT,
  ...LOG_TARGETS,
  ...BLOCK_TARGETS,
  ...INSPECT_TARGETS,
  ...TEXT_TARGETS,
  ...COMMAND_LINE_TARGETS,
  ...VOLUME_TARGETS,
];
