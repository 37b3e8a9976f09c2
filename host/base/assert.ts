// Assertions stay on in production: they cost per call, not per element, and turn corruption into a
// stop. A failed one is a bug of waferfs, never of the world.

export class InvariantError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'InvariantError';
  }
}

/** Throws InvariantError with the operands unless `condition` holds. */
export function assert(
  condition: boolean,
  name: string,
  actual?: unknown,
  expected?: unknown,
): asserts condition {
  if (!condition) fail(name, actual, expected);
}

function fail(name: string, actual: unknown, expected: unknown): never {
  const operands =
    actual === undefined && expected === undefined
      ? ''
      : ` (actual ${String(actual)}, expected ${String(expected)})`;
  throw new InvariantError(`invariant broken: ${name}${operands}`);
}
