// What is fuzzed: a decoder, and how to come by inputs for it.

import { StorageError } from '../../host/base/errors.ts';
import type { SeededPrng } from '../../host/base/prng.ts';
import type { Structure } from '../../host/volume/inspect/structures.ts';
import type { Place } from './mutate.ts';

export interface Target {
  readonly name: string;
  /** Compiled sources below host/ whose branches it must reach (`npm run fuzz -- --coverage`): all
   *  of a file, or of some functions: "node/lock.js:readLock". */
  readonly sources: readonly string[];
  /** Inputs that are good. */
  samples(): readonly Uint8Array[];
  /** Where numbers stand, where the structure ends, pieces that mean something. */
  readonly places?: readonly Place[];
  readonly end?: number;
  readonly tokens?: readonly Uint8Array[];
  /** Inputs may have any length up to this one. */
  readonly lengthMax?: number;
  /** Makes the checksums right, so that more than they stand between an input and the decoder. */
  mend?(input: Uint8Array): void;
  /** Makes an input from nothing, instead of changing one. */
  generate?(prng: SeededPrng): Uint8Array;
  /** Takes an input, or throws an error with a code. Everything else thrown is a finding, so what
   *  must hold of accepted inputs is asserted here. May return what is special about this one:
   *  inputs that are special in a new way are built upon. */
  decode(input: Uint8Array): string | undefined | Promise<string | undefined>;
  /** Bytes that one input may take more than 16 x its length + 16 MiB, of a world around it. */
  readonly worldBytes?: number;
  /** How many inputs stand for one, where they cost that much more than those of others. */
  readonly weight?: number;
}

/** The targets that are named; all where none is. */
export function wantedOf(targets: readonly Target[], names: readonly string[]): readonly Target[] {
  if (names.length === 0) return targets;
  return names.map((name) => {
    const target = targets.find((other) => other.name === name);
    if (target !== undefined) return target;
    throw new Error(`no target ${name} among ${targets.map((other) => other.name).join(', ')}`);
  });
}

/** For decoders that answer instead of throwing. */
export function refused(what: string): StorageError {
  return new StorageError('BAD_MAGIC', what);
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** A promise of a decoder is broken. */
export function ensure(condition: boolean, what: string): void {
  if (!condition) throw new Error(`broken: ${what}`);
}

export function ensureSame(actual: Uint8Array, expected: Uint8Array, what: string): void {
  if (Buffer.compare(actual, expected) === 0) return;
  const at = actual.findIndex((byte, index) => byte !== expected[index]);
  const values = `${actual[at]} for ${expected[at]}`;
  throw new Error(`broken: ${what}: ${actual.length} bytes, at ${at} ${values}`);
}

/** Entries of a table that get changes: the first ones. */
const ENTRIES_MAX = 6;

/** The fields of a structure, those of the structures in it included. */
export function placesOf(structure: Structure, base = 0): Place[] {
  const places: Place[] = [];
  for (const { type, isTable, offsetBytes, sizeBytes } of structure.fields) {
    const offset = base + offsetBytes;
    if (typeof type === 'string') {
      places.push({ offset, size: sizeBytes });
      continue;
    }
    const entries = isTable ? Math.min(ENTRIES_MAX, Math.floor(sizeBytes / type.sizeBytes)) : 1;
    for (let index = 0; index < entries; index++) {
      places.push(...placesOf(type, offset + index * type.sizeBytes));
    }
  }
  return places;
}
