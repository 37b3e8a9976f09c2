// The commands on files work on one image: the active file system of a volume, or a snapshot of it.

import { StorageError } from '../../base/errors.ts';
import type { Address } from '../address.ts';
import { formatAddress, parseAddress } from '../address.ts';
import type { Shell } from '../shell.ts';
import type { CliVolume, OpenOptions, TreeFs } from '../volume-face.ts';

/** Opens the volume, and uses the image that `address` names. */
export async function withImage<T>(
  shell: Shell,
  address: Address,
  options: OpenOptions,
  use: (fs: TreeFs, volume: CliVolume) => Promise<T>,
): Promise<T> {
  return shell.withVolume(address.volume, options, async (volume) => {
    const image = address.name === undefined ? volume : volume.at(address.name);
    return use(image.fs.promises, volume);
  });
}

/** Paths given as VOLUME:/path, which must all be in one image. */
export function oneVolume(texts: readonly string[]): {
  readonly address: Address;
  readonly paths: readonly string[];
} {
  const addresses = texts.map(parseAddress);
  const [address] = addresses;
  if (address === undefined) throw new StorageError('INVALID_ARGUMENT', 'no path was given');
  for (const other of addresses) {
    if (other.volume === address.volume && other.name === address.name) continue;
    throw new StorageError(
      'INVALID_ARGUMENT',
      `${formatAddress(other)} is not in the same volume as ${formatAddress(address)}`,
      { hint: 'use one command for each volume' },
    );
  }
  return { address, paths: addresses.map((one) => one.path) };
}
