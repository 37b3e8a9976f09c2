// The module's face: exactly the functions of host/kernels/exports.ts (where they are documented),
// and the variant. Kernels are pure: they take arena addresses and counts, allocate nothing, and
// have no static data, so that any number of instances can share one memory.

/** 0 scalar, 1 SIMD, 2 SIMD on shared memory. */
export const VARIANT: i32 = ASC_FEATURE_THREADS ? 2 : ASC_FEATURE_SIMD ? 1 : 0;

// Made by assembly/build.mjs from the layout files, never on disk.
export { layoutFingerprint } from "./kernels/fingerprint";
export { xor, isZero } from "./kernels/xor";
export {
  planeOr, planeAnd, planeAndNot, planePopcount, planeAndNotPopcount, planeFind, planeRuns,
  areaFreeCounts,
} from "./kernels/plane";
export { xxhash64, xxhash64Blocks } from "./kernels/xxhash64";
export { crc32c, crc32cTable } from "./kernels/crc32c";
export { tetris } from "./kernels/tetris";
export { mapBlocks } from "./kernels/map";
