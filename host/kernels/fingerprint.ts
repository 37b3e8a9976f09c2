// The layout constants stand once, in assembly/layout, and two compilers read them. A build of the
// kernels older than the JavaScript beside it would read structures at wrong places; so both fold
// all constants into one number, and the two numbers are compared when the kernels are loaded.

import { LAYOUTS } from './wasm/embedded.ts';

/** The number that `layoutFingerprint()` of an up-to-date build returns. Constants go in the
 *  order of file and name, as assembly/build.mjs writes them for the other compiler. */
export function layoutFingerprintExpected(): number {
  let hash = 0x811c9dc5;
  for (const [stem, constants] of Object.entries(LAYOUTS)) {
    for (const name of Object.keys(constants).sort()) {
      hash = fold(fold(hash, nameHash(`${stem}.${name}`)), Number(constants[name]));
    }
  }
  return hash >>> 0;
}

/** FNV-1a, a word at a time. */
function fold(hash: number, value: number): number {
  return Math.imul(hash ^ value, 0x01000193);
}

function nameHash(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = fold(hash, name.charCodeAt(i));
  return hash >>> 0;
}
