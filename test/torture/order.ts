// What the parent tells a child of the torture, and the bytes that the child answers.

import type { TreeSummary } from './tree.ts';

export interface Order {
  readonly where: string;
  readonly cacheSize: string;
  /** Of this round. */
  readonly seed: number;
  /** Requests of each writer. */
  readonly stepsMax: number;
  readonly trees: readonly TreeSummary[];
}

/** Bytes above every writer's number. */
export const OPENED = 254;
export const CLOSED = 255;

/** A seed of its own for each writer. */
export function seedOf(roundSeed: number, writer: number): number {
  return (Math.imul(roundSeed, 0x9e3779b1) ^ Math.imul(writer + 1, 0x85ebca6b)) >>> 0;
}
