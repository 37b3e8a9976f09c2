// File systems in memory behind one small face, once with calls that are awaited and once with the
// synchronous ones: waferfs, memfs, ZenFS and (asynchronous only) agentfs-sdk.

import type { CreateOptions, VolumeFs } from '../host/node.ts';
import { memoryDevices, Volume } from '../host/node.ts';
import { type BenchCase, type BenchSize, loadPeer } from './harness.ts';

type Maybe<T> = Promise<T> | T;

export interface OpenFile {
  /** From the file's start into the buffer. */
  read(buffer: Buffer): Maybe<unknown>;
  /** Over the file's start. */
  write(buffer: Buffer): Maybe<unknown>;
}

export interface MemoryFs {
  readonly name: string;
  readonly kind: BenchCase['kind'];
  /** No call gives a promise. */
  readonly isSync: boolean;
  mkdir(path: string): Maybe<unknown>;
  create(path: string, data: Buffer): Maybe<unknown>;
  unlink(path: string): Maybe<unknown>;
  stat(path: string): Maybe<{ readonly size: number }>;
  readdir(path: string): Maybe<readonly string[]>;
  open(path: string): Maybe<OpenFile>;
  close(): Maybe<unknown>;
}

type Faces = Pick<VolumeFs, 'mkdirSync' | 'writeFileSync' | 'unlinkSync' | 'openSync'> & {
  promises: Pick<VolumeFs['promises'], 'mkdir' | 'writeFile' | 'unlink' | 'open'>;
};

interface Named {
  readonly name: string;
  readonly kind: BenchCase['kind'];
  close(): Maybe<unknown>;
}

/** The calls of anything shaped as node:fs. */
function faceOf(fs: Faces & VolumeFs, isSync: boolean, named: Named): MemoryFs {
  if (isSync) {
    return {
      ...named,
      isSync,
      mkdir: (path) => fs.mkdirSync(path),
      create: (path, data) => fs.writeFileSync(path, data),
      unlink: (path) => fs.unlinkSync(path),
      stat: (path) => fs.statSync(path),
      readdir: (path) => fs.readdirSync(path),
      open(path) {
        const fd = fs.openSync(path, 'r+');
        return {
          read: (buffer) => fs.readSync(fd, buffer, 0, buffer.length, 0),
          write: (buffer) => fs.writeSync(fd, buffer, 0, buffer.length, 0),
        };
      },
    };
  }
  const { promises } = fs;
  return {
    ...named,
    isSync,
    mkdir: (path) => promises.mkdir(path),
    create: (path, data) => promises.writeFile(path, data),
    unlink: (path) => promises.unlink(path),
    stat: (path) => promises.stat(path),
    readdir: (path) => promises.readdir(path),
    async open(path) {
      const handle = await promises.open(path, 'r+');
      return {
        read: (buffer) => handle.read(buffer, 0, buffer.length, 0),
        write: (buffer) => handle.write(buffer, 0, buffer.length, 0),
      };
    },
  };
}

/** `relaxed` is what the others are: nothing in memory survives its process. */
async function wafer(isSync: boolean, durability: 'durable' | 'relaxed'): Promise<MemoryFs> {
  const options: CreateOptions = { size: '2GiB', cacheSize: '128MiB', durability };
  const volume = await Volume.create(memoryDevices({ size: '2GiB' }), options);
  const name = durability === 'relaxed' ? 'waferfs' : 'waferfs durable';
  return faceOf(volume.fs, isSync, { name, kind: 'ours', close: () => volume.close() });
}

async function memfs(isSync: boolean, size: BenchSize): Promise<MemoryFs | undefined> {
  const peer = await loadPeer<{ memfs(): { fs: VolumeFs } }>('memfs', size);
  if (peer === undefined) return undefined;
  return faceOf(peer.memfs().fs, isSync, { name: 'memfs', kind: 'peer', close() {} });
}

interface Zen {
  readonly fs: VolumeFs;
  readonly InMemory: unknown;
  configureSingle(options: object): Promise<void>;
}

async function zenfs(isSync: boolean, size: BenchSize): Promise<MemoryFs | undefined> {
  const peer = await loadPeer<Zen>('@zenfs/core', size);
  if (peer === undefined) return undefined;
  await peer.configureSingle({ backend: peer.InMemory });
  return faceOf(peer.fs, isSync, { name: '@zenfs/core', kind: 'peer', close() {} });
}

interface Agent {
  readonly fs: {
    mkdir(path: string): Promise<void>;
    writeFile(path: string, data: Buffer): Promise<void>;
    open(path: string): Promise<{
      pread(offset: number, size: number): Promise<Buffer>;
      pwrite(offset: number, data: Buffer): Promise<void>;
    }>;
    unlink(path: string): Promise<void>;
    stat(path: string): Promise<{ readonly size: number }>;
    readdir(path: string): Promise<string[]>;
  };
  close(): Promise<void>;
}

async function agentfs(size: BenchSize): Promise<MemoryFs | undefined> {
  type Peer = { AgentFS: { open(options: { path: string }): Promise<Agent> } };
  const peer = await loadPeer<Peer>('agentfs-sdk', size);
  if (peer === undefined) return undefined;
  const agent = await peer.AgentFS.open({ path: ':memory:' });
  const { fs } = agent;
  return {
    name: 'agentfs-sdk',
    kind: 'peer',
    isSync: false,
    mkdir: (path) => fs.mkdir(path),
    create: (path, data) => fs.writeFile(path, data),
    unlink: (path) => fs.unlink(path),
    stat: (path) => fs.stat(path),
    readdir: (path) => fs.readdir(path),
    async open(path) {
      const handle = await fs.open(path);
      return {
        read: async (buffer) => (await handle.pread(0, buffer.length)).copy(buffer),
        write: (buffer) => handle.pwrite(0, buffer),
      };
    },
    close: () => agent.close(),
  };
}

/** New and empty ones, waferfs first. */
export async function openAll(isSync: boolean, size: BenchSize): Promise<MemoryFs[]> {
  const all = [
    await wafer(isSync, 'relaxed'),
    await memfs(isSync, size),
    await zenfs(isSync, size),
    isSync ? undefined : await agentfs(size),
    await wafer(isSync, 'durable'),
  ];
  return all.filter((fs) => fs !== undefined);
}
