// The lock of a volume: a file that says who has the volume open for writing.
//
// It holds one record (pid, start time, boot id, host, command, and a token that no other record
// has) and appears whole: it is written under another name, flushed, and linked, which fails where
// the name exists. Whoever finds it reads it. The holder is dead if the machine was started anew
// since, or if the pid is gone or belongs to a process that was started at another time. A holder
// on another host (another machine, or a container that sees other pids) cannot be judged from here
// and counts as alive; so does a record that cannot be read.
//
// Taking over a dead holder's lock is where two could win: both find it dead, the first replaces
// it, and the second, late, replaces the first one's. So the right to replace the lock of a dead
// holder with token D is itself a lock, the claim, a file named after D. The rule:
//
//   (R) Only who holds claim D may replace a lock with token D, after reading the lock once more
//       and finding D still there.
//
// Why at most one process holds the lock. The lock changes by (1) a link where nothing was, (2) its
// living holder removing it, (3) R. Tokens are never used again, so once D is gone from the lock it
// never comes back. Say A holds claim D and reads D: D's process is dead and cannot remove it,
// nothing can be linked over it, and no other replaces it, as claim D is held by A alone. So the
// lock is still D when A's rename replaces it; and nobody else's rename can follow it, for it would
// need to read D first. Claims are locks by the same code, so a taker that dies with its claim is
// itself taken over, by claim on claim; the argument holds for each by induction, and the chain is
// bounded by CLAIM_DEPTH_MAX.
// A claim left behind by a taker that died after its rename stands for a token that is gone and
// harms nobody; whoever takes a lock over removes such files of dead processes.
//
// Where the file system has no hard links, the lock is created in place; a reader may then find it
// half written and, as said, takes its holder for alive.

import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import process from 'node:process';
import { StorageError } from '../base/errors.ts';

/** Takers that may have died in a row, each while taking over from the one before it. */
const CLAIM_DEPTH_MAX = 8;
/** How often a lock that changes under our eyes is looked at again. */
const ATTEMPTS_MAX = 100;
const COMMAND_LENGTH_MAX = 120;

/** Who holds a lock. Times and boot id are null where the system does not tell them. */
export interface LockHolder {
  readonly pid: number;
  /** Clock ticks from boot to the start of the process. */
  readonly startTime: number | null;
  readonly bootId: string | null;
  readonly host: string;
  /** Program and script, without arguments. */
  readonly command: string;
  readonly token: string;
}

export interface HeldLock {
  readonly path: string;
  readonly holder: LockHolder;
  /** Removes the lock file, if it is still ours. */
  release(): void;
}

/** Takes the lock at `path`, over from a dead holder if need be. Throws VOLUME_LOCKED with the
 *  holder's name where it is held; DISK_FAILED where the host cannot make the file. */
export function acquireLock(path: string): HeldLock {
  try {
    const { lock, isTakenOver } = acquire(path, path, 0);
    if (isTakenOver) removeLeftovers(path);
    return lock;
  } catch (error) {
    const code = codeOf(error);
    if (code === undefined) throw error;
    const message = `the lock file ${path} cannot be made: ${(error as Error).message}`;
    throw new StorageError('DISK_FAILED', message, { cause: error, detail: { path } });
  }
}

/** Who holds the lock at `path`: undefined if nobody, 'unknown' if it cannot be understood. */
export function readLock(path: string): LockHolder | 'unknown' | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
  return parseHolder(text) ?? 'unknown';
}

/** Whether this process can be sure that the holder is no more. */
export function isDead(holder: LockHolder): boolean {
  if (holder.host !== hostname()) return false;
  const boot = bootId();
  if (boot !== null && holder.bootId !== null && boot !== holder.bootId) return true;
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    if (codeOf(error) === 'ESRCH') return true;
    if (codeOf(error) !== 'EPERM') throw error;
  }
  const status = processStatus(holder.pid);
  if (status === undefined) return false;
  // A zombie has closed its files and only waits for its parent.
  if (status.state === 'Z' || status.state === 'X') return true;
  return holder.startTime !== null && status.startTime !== holder.startTime;
}

/** Takes the lock file `path`; `root` is the lock that it is in the end about. */
function acquire(
  path: string,
  root: string,
  depth: number,
): { readonly lock: HeldLock; readonly isTakenOver: boolean } {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const created = create(path, root);
    if (created !== undefined) return { lock: held(path, created), isTakenOver: false };
    const holder = readLock(path);
    if (holder === undefined) continue;
    if (holder === 'unknown' || !isDead(holder) || depth === CLAIM_DEPTH_MAX) {
      throw locked(root, holder);
    }
    const claim = acquire(claimPath(root, holder.token), root, depth + 1).lock;
    try {
      const again = readLock(path);
      if (again === undefined || again === 'unknown' || again.token !== holder.token) continue;
      return { lock: held(path, replace(path, root)), isTakenOver: true };
    } finally {
      claim.release();
    }
  }
  throw locked(root, 'unknown');
}

/** Makes `path` with a fresh record; undefined if it exists. */
function create(path: string, root: string): LockHolder | undefined {
  const holder = ourselves();
  const draft = writeDraft(root, holder);
  try {
    linkSync(draft, path);
    return holder;
  } catch (error) {
    const code = codeOf(error) ?? '';
    if (code === 'EEXIST') return undefined;
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) throw error;
  } finally {
    unlinkSync(draft);
  }
  try {
    writeWhole(path, holder);
    return holder;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return undefined;
    throw error;
  }
}

/** Puts a fresh record over `path`, as rule R allows, and reads it again. */
function replace(path: string, root: string): LockHolder {
  const holder = ourselves();
  renameSync(writeDraft(root, holder), path);
  const found = readLock(path);
  const isOurs = found !== undefined && found !== 'unknown' && found.token === holder.token;
  if (!isOurs) throw locked(root, found ?? 'unknown');
  return holder;
}

function held(path: string, holder: LockHolder): HeldLock {
  const release = () => {
    const found = readLock(path);
    if (found === undefined || found === 'unknown' || found.token !== holder.token) return;
    removeIfThere(path);
  };
  return { path, holder, release };
}

/** Removes drafts and claims on `root` whose makers are dead. Only for who holds `root`. */
function removeLeftovers(root: string): void {
  const directory = dirname(root);
  const prefix = `${basename(root)}.~`;
  try {
    for (const name of readdirSync(directory)) {
      if (!name.startsWith(prefix)) continue;
      const path = join(directory, name);
      const holder = readLock(path);
      if (holder !== undefined && holder !== 'unknown' && isDead(holder)) removeIfThere(path);
    }
  } catch (error) {
    // They harm nobody: the lock is ours whether or not the host lets us tidy up.
    if (codeOf(error) === undefined) throw error;
  }
}

function writeDraft(root: string, holder: LockHolder): string {
  const draft = `${root}.~${holder.token}.new`;
  writeWhole(draft, holder);
  return draft;
}

/** Creates `path`, which must not exist, with a record that survives power loss. */
function writeWhole(path: string, holder: LockHolder): void {
  const fd = openSync(path, 'wx', 0o644);
  try {
    writeSync(fd, `${JSON.stringify(holder)}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

function claimPath(root: string, token: string): string {
  return `${root}.~${token}`;
}

function ourselves(): LockHolder {
  const script = process.argv[1] === undefined ? '' : ` ${basename(process.argv[1])}`;
  return {
    pid: process.pid,
    startTime: processStatus(process.pid)?.startTime ?? null,
    bootId: bootId(),
    host: hostname(),
    command: `${basename(process.argv0)}${script}`.slice(0, COMMAND_LENGTH_MAX),
    token: randomBytes(8).toString('hex'),
  };
}

function parseHolder(text: string): LockHolder | undefined {
  let value: Record<string, unknown> | null;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { pid, startTime, bootId, host, command, token } = value;
  const isSound =
    Number.isSafeInteger(pid) &&
    (pid as number) > 0 &&
    (startTime === null || Number.isSafeInteger(startTime)) &&
    (bootId === null || typeof bootId === 'string') &&
    typeof host === 'string' &&
    typeof command === 'string' &&
    // The token becomes part of a file's name.
    typeof token === 'string' &&
    /^[0-9a-f]{16}$/.test(token);
  if (!isSound) return undefined;
  return { pid, startTime, bootId, host, command, token } as LockHolder;
}

function locked(path: string, holder: LockHolder | 'unknown'): StorageError {
  const isElsewhere = holder !== 'unknown' && holder.host !== hostname();
  const name =
    holder === 'unknown'
      ? 'somebody whose record cannot be read'
      : `process ${holder.pid} (${holder.command}) on host ${holder.host}`;
  const options =
    holder === 'unknown' || isElsewhere
      ? { hint: `if no program has the volume open on any machine, remove ${path}` }
      : {};
  return new StorageError('VOLUME_LOCKED', `the volume is open for writing by ${name}: ${path}`, {
    ...options,
    detail: { path, holder },
  });
}

function bootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return null;
  }
}

/** From /proc/PID/stat; undefined where that cannot be read. */
function processStatus(pid: number): { state: string; startTime: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined;
  }
  // The second field, the program's name, may hold anything; the fields behind its last bracket are
  // state (3) to start time (22) and more.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const startTime = Number(fields[22 - 3]);
  const state = fields[0];
  if (state === undefined || !Number.isSafeInteger(startTime)) return undefined;
  return { state, startTime };
}

function removeIfThere(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
  }
}

/** The host's code of an error from node:fs; undefined for other errors. */
function codeOf(error: unknown): string | undefined {
  if (error instanceof StorageError) return undefined;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
