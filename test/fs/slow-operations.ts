// Any Operations made slow: every task waits once before it works, so that nothing is settled in
// its own turn, as on a device. Driven synchronously the wait is skipped.

import type { Io, Step } from '../../host/base/task.ts';
import { Task, wait } from '../../host/base/task.ts';
import type { Operations } from '../../host/filesystem/operations.ts';

const TURN: Io<void> = {
  start: () => new Promise((resolve) => setImmediate(resolve)),
  startSync: () => {},
};

function* later<T>(make: () => Task<T>): Step<T> {
  yield* wait(TURN);
  return yield* wait(make().asIo());
}

export function slowOperations(operations: Operations): Operations {
  return new Proxy(operations, {
    get(target, name) {
      const member = Reflect.get(target, name, target);
      if (typeof member !== 'function') return member;
      return (...args: unknown[]) => Task.start(later(() => member.apply(target, args)));
    },
  });
}
