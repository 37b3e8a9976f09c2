// The program that every runtime must run: a volume in memory, written, snapshot, changed, read.
// It is given as text, since it runs where neither this file nor uvu can be loaded.

/** A module whose `run(waferfs, kernels)` gives "portable: ok"; `kernels` is for `env`. */
export const PORTABLE_PROGRAM = `
export async function run({ Volume, memoryDevices }, kernels) {
  const options = kernels === undefined ? {} : { env: { kernels } };
  const volume = await Volume.create(memoryDevices({ size: '64MiB' }), options);
  try {
    const { promises } = volume.fs;
    await promises.mkdir('/folder');
    await promises.writeFile('/folder/file', 'before');
    await volume.snapshots.create('monday');
    await promises.writeFile('/folder/file', 'after');
    const now = await promises.readFile('/folder/file', 'utf8');
    const then = await volume.at('monday').fs.promises.readFile('/folder/file', 'utf8');
    if (now !== 'after' || then !== 'before') throw new Error(then + ', ' + now);
  } finally {
    await volume.close();
  }
  return 'portable: ok';
}
`;
