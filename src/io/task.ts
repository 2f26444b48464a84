/**
 * Work that waits only where it must. Most files are small and at hand: a promise for each of them, and for each step
 * that is taken with it, would take longer than the reading. So a task is a generator that yields the promises that it
 * waits for, and one that waits for nothing runs as a function does.
 */

export type Task<T> = Generator<Promise<unknown>, T, unknown>

/** Within a task: the value of a promise, or what it threw. */
export function* wait<T>(promise: Promise<T>): Task<T> {
  return (yield promise) as T
}

/** Within a task: runs `use` on each item until one gives false; then the items are closed. */
export function* each<T>(items: AsyncIterable<T>, use: (item: T) => Task<boolean | undefined>): Task<void> {
  const iterator = items[Symbol.asyncIterator]()
  let isOver = false
  try {
    for (;;) {
      const next = yield* wait(iterator.next())
      isOver = next.done === true
      if (next.done || (yield* use(next.value)) === false) return
    }
  } finally {
    if (!isOver && iterator.return) yield* wait(iterator.return())
  }
}

/** Runs a task: the result, or a promise of it where it waits for something. */
export function run<T>(task: Task<T>): T | Promise<T> {
  const first = task.next()
  return first.done ? first.value : finish(task, first.value)
}

async function finish<T>(task: Task<T>, first: Promise<unknown>): Promise<T> {
  for (let promise = first; ; ) {
    const settled = await promise.then(
      value => ({ value }),
      (error: unknown) => ({ error }),
    )
    const step = 'error' in settled ? task.throw(settled.error) : task.next(settled.value)
    if (step.done) return step.value
    promise = step.value
  }
}
