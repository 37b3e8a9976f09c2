// The engine as the command line wants it, loaded when first asked for.

import type { CliVolume, CreateOptions, Engine } from './volume-face.ts';

export async function loadEngine(): Promise<Engine> {
  const { Volume, inspect } = await import('../node.ts');
  return {
    create: async (where, options): Promise<CliVolume> =>
      Volume.create(where, createOptions(options)),
    open: async (where, options): Promise<CliVolume> => Volume.open(where, options),
    inspect: (where, options) => inspect(where, options),
  };
}

/** The names that they have in the API. */
function createOptions(options: CreateOptions) {
  const { sizeBytes, logSizeBytes, ...others } = options;
  return {
    ...others,
    size: sizeBytes,
    ...(logSizeBytes === undefined ? {} : { logSize: logSizeBytes }),
  };
}
