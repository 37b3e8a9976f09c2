// One call of the face: a task of Operations under way, what makes its result out of the task's,
// and where an error belongs (syscall and paths, which Operations does not know). The same Call is
// turned into a promise or driven to its end in this turn; that is all the difference there is
// between fs.promises.stat and fs.statSync. A task that is settled already costs no extra turn.

import type { FsErrorCode } from '../base/errors.ts';
import { FsError, isFsError } from '../base/errors.ts';
import type { Step } from '../base/task.ts';
import { synchronously, Task, wait } from '../base/task.ts';

/** What an error says about the call. */
export interface Place {
  readonly syscall?: string;
  readonly path?: string;
  readonly dest?: string;
}

/** The place, or how it follows from the error's code. */
export type Where = Place | ((code: FsErrorCode) => Place);

export interface Call<R> {
  readonly task: Task<unknown>;
  readonly where: Where;
  readonly finish: (value: never) => R;
}

export function call<T, R>(task: Task<T>, where: Where, finish: (value: T) => R): Call<R> {
  return { task, where, finish };
}

/** A call that gives nothing. */
export function action(task: Task<unknown>, where: Where): Call<void> {
  return { task, where, finish: nothing };
}

/** A call of several operations; each of them names its own place (see `at`). */
export function composed<R>(steps: Step<R>): Call<R> {
  return { task: Task.start(steps), where: NOWHERE, finish: same };
}

const NOWHERE: Place = {};

function nothing(): void {}

function same<T>(value: T): T {
  return value;
}

/** `error` with its place, unless it has one or is none of the file system's. */
export function located(error: unknown, where: Where): unknown {
  if (!isFsError(error) || error.syscall !== undefined) return error;
  const place = typeof where === 'function' ? where(error.code) : where;
  const { cause } = error;
  return new FsError(error.code, cause === undefined ? place : { ...place, cause });
}

/** Waits for one operation inside of a composed call. */
export function* at<T>(where: Where, task: Task<T>): Step<T> {
  try {
    return task.isSettled ? task.driveSync() : yield* wait(task.asIo());
  } catch (error) {
    throw located(error, where);
  }
}

export function toPromise<R>({ task, where, finish }: Call<R>): Promise<R> {
  if (task.isSettled) {
    try {
      return Promise.resolve(finish(task.driveSync() as never));
    } catch (error) {
      return Promise.reject(located(error, where));
    }
  }
  return task
    .promise()
    .then(finish as (value: unknown) => R)
    .catch((error) => {
      throw located(error, where);
    });
}

function toResult<R>({ task, where, finish }: Call<R>): R {
  try {
    return finish(task.driveSync() as never);
  } catch (error) {
    throw located(error, where);
  }
}

/** The promise form of what makes calls; errors of arguments reject, too. */
export function promised<A extends unknown[], R>(
  make: (...args: A) => Call<R>,
): (...args: A) => Promise<R> {
  return (...args) => {
    let made: Call<R>;
    try {
      made = make(...args);
    } catch (error) {
      return Promise.reject(error);
    }
    return toPromise(made);
  };
}

/** The synchronous form of what makes calls. */
export function synchronous<A extends unknown[], R>(
  make: (...args: A) => Call<R>,
): (...args: A) => R {
  return (...args) => resultOf(() => make(...args));
}

/** What the call that is made in `make` gives, in this turn: nothing is started asynchronously. */
export function resultOf<R>(make: () => Call<R>): R {
  return toResult(synchronously(make));
}
