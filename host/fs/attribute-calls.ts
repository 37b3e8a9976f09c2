// Calls on what an inode says of itself: attributes, times, owners, xattrs; and statfs.
// There are no permission checks: every caller is the volume's owner (as root is on a host).

import { FsError } from '../base/errors.ts';
import type { Step } from '../base/task.ts';
import type { AttributeChange, Attributes } from '../filesystem/operations.ts';
import { errorWithCode } from './argument-errors.ts';
import type { Mode, PathLike, TimeLike, WriteData } from './arguments.ts';
import {
  absolute,
  bytesOf,
  checkInteger,
  checkMode,
  checkObject,
  checkOwner,
  checkTime,
  pathText,
} from './arguments.ts';
import type { Call, Place } from './call.ts';
import { action, at, call, composed } from './call.ts';
import { constants } from './constants.ts';
import type { FsContext } from './descriptor.ts';
import { asHostBytes } from './globals.ts';
import type { StatsFs } from './stats.ts';
import { BigIntStats, Stats, toBigIntStatsFs, toStatsFs } from './stats.ts';

export interface StatOptions {
  readonly bigint?: boolean | undefined;
}

export interface XattrOptions {
  /** false: the xattrs of a symbolic link itself. */
  readonly follow?: boolean | undefined;
}

/** What setAttributes and writeFile change; what is absent stays. */
export interface AttributeOptions {
  readonly mode?: Mode | undefined;
  readonly uid?: number | undefined;
  readonly gid?: number | undefined;
  readonly atime?: TimeLike | undefined;
  readonly mtime?: TimeLike | undefined;
}

const EXECUTE_BITS = 0o111;
/** What chown leaves as it is: -1, also as 32 bits. */
const OWNER_SAME = 2 ** 32 - 1;

function toStats(attributes: Attributes): Stats {
  return new Stats(attributes);
}

function toBigIntStats(attributes: Attributes): BigIntStats {
  return new BigIntStats(attributes);
}

/** How `options` wants it. */
export function statsMaker(
  options?: StatOptions | null,
): (from: Attributes) => Stats | BigIntStats {
  return options?.bigint === true ? toBigIntStats : toStats;
}

export function ownerChange(uid: unknown, gid: unknown): AttributeChange {
  const owner = checkOwner(uid, 'uid') >>> 0;
  const group = checkOwner(gid, 'gid') >>> 0;
  return {
    ...(owner === OWNER_SAME ? {} : { uid: owner }),
    ...(group === OWNER_SAME ? {} : { gid: group }),
  };
}

export function checkChange(attributes: AttributeOptions): AttributeChange {
  checkObject(attributes, 'attributes');
  const { mode, uid = -1, gid = -1, atime, mtime } = attributes;
  return {
    ...(mode === undefined ? {} : { mode: checkMode(mode, 'mode') & 0o7777 }),
    ...ownerChange(uid, gid),
    ...(atime === undefined ? {} : { atime: checkTime(atime, 'atime') }),
    ...(mtime === undefined ? {} : { mtime: checkTime(mtime, 'mtime') }),
  };
}

export function attributeCalls({ operations }: FsContext) {
  const stat = (path: PathLike, options?: StatOptions): Call<Stats | BigIntStats> => {
    const text = pathText(path);
    const where = { syscall: 'stat', path: text };
    const task = operations.attributes({ path: absolute(text, where), followLast: true });
    return call(task, where, statsMaker(options));
  };

  const lstat = (path: PathLike, options?: StatOptions): Call<Stats | BigIntStats> => {
    const text = pathText(path);
    const where = { syscall: 'lstat', path: text };
    const task = operations.attributes({ path: absolute(text, where), followLast: false });
    return call(task, where, statsMaker(options));
  };

  function* space(path: string, options?: StatOptions): Step<StatsFs | StatsFs<bigint>> {
    const where = { syscall: 'statfs', path };
    yield* at(where, operations.attributes({ path: absolute(path, where), followLast: true }));
    const found = yield* at(where, operations.statfs());
    return options?.bigint === true ? toBigIntStatsFs(found) : toStatsFs(found);
  }

  return {
    stat,
    lstat,

    access(path: PathLike, mode: number = constants.F_OK): Call<void> {
      const text = pathText(path);
      const where = { syscall: 'access', path: text };
      const wanted = checkInteger(mode, 'mode', 0, 7);
      const target = { path: absolute(text, where), followLast: true };
      return call(operations.attributes(target), where, (attributes) => {
        if ((wanted & constants.W_OK) !== 0 && operations.isReadOnly) throw new FsError('EROFS');
        const isFile = (attributes.mode & constants.S_IFMT) === constants.S_IFREG;
        const isRefused = isFile && (attributes.mode & EXECUTE_BITS) === 0;
        if ((wanted & constants.X_OK) !== 0 && isRefused) throw new FsError('EACCES');
      });
    },

    statfs(path: PathLike, options?: StatOptions): Call<StatsFs | StatsFs<bigint>> {
      const text = pathText(path);
      return composed(space(text, options));
    },

    ...changeCalls({ operations }),
    ...xattrCalls({ operations }),
  };
}

function changeCalls({ operations }: Pick<FsContext, 'operations'>) {
  const change = (
    path: string,
    syscall: string,
    what: AttributeChange,
    followLast = true,
  ): Call<void> => {
    const where = { syscall, path };
    return action(operations.change({ path: absolute(path, where), followLast }, what), where);
  };

  return {
    chmod(path: PathLike, mode: Mode): Call<void> {
      const text = pathText(path);
      return change(text, 'chmod', { mode: checkMode(mode, 'mode') & 0o7777 });
    },

    lchmod(_path: PathLike, _mode: Mode): Call<void> {
      const text = 'The lchmod() method is not implemented';
      throw errorWithCode('ERR_METHOD_NOT_IMPLEMENTED', text);
    },

    chown(path: PathLike, uid: number, gid: number): Call<void> {
      return change(pathText(path), 'chown', ownerChange(uid, gid));
    },

    lchown(path: PathLike, uid: number, gid: number): Call<void> {
      return change(pathText(path), 'lchown', ownerChange(uid, gid), false);
    },

    utimes(path: PathLike, atime: TimeLike, mtime: TimeLike): Call<void> {
      const text = pathText(path);
      return change(text, 'utime', { atime: checkTime(atime), mtime: checkTime(mtime) });
    },

    lutimes(path: PathLike, atime: TimeLike, mtime: TimeLike): Call<void> {
      const text = pathText(path);
      return change(text, 'lutime', { atime: checkTime(atime), mtime: checkTime(mtime) }, false);
    },

    setAttributes(path: PathLike, attributes: AttributeOptions): Call<void> {
      return change(pathText(path), 'setattr', checkChange(attributes), false);
    },
  };
}

/** Node has no such calls; names and errors are those of Linux. */
function xattrCalls({ operations }: Pick<FsContext, 'operations'>) {
  const target = (where: Place & { path: string }, options?: XattrOptions) => ({
    path: absolute(where.path, where),
    followLast: options?.follow ?? true,
  });

  return {
    getxattr(path: PathLike, name: string, options?: XattrOptions): Call<Uint8Array> {
      const where = { syscall: 'getxattr', path: pathText(path) };
      const task = operations.getXattr(target(where, options), name);
      return call(task, where, asHostBytes);
    },

    setxattr(path: PathLike, name: string, value: WriteData, options?: XattrOptions): Call<void> {
      const where = { syscall: 'setxattr', path: pathText(path) };
      const bytes = bytesOf(value, 'utf8', 'value');
      return action(operations.setXattr(target(where, options), name, bytes), where);
    },

    listxattr(path: PathLike, options?: XattrOptions): Call<string[]> {
      const where = { syscall: 'listxattr', path: pathText(path) };
      return call(operations.listXattrs(target(where, options)), where, (names) => [...names]);
    },

    removexattr(path: PathLike, name: string, options?: XattrOptions): Call<void> {
      const where = { syscall: 'removexattr', path: pathText(path) };
      return action(operations.removeXattr(target(where, options), name), where);
    },
  };
}
