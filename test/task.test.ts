import { expect, test } from 'vitest'
import { each, run, type Task, wait } from '../src/io/task.ts'

test('a task that waits for nothing is run as a function is', () => {
  function* task(): Task<number> {
    yield* nothing()
    return 3
  }
  function* nothing(): Task<void> {}
  expect(run(task())).toBe(3)
})

test('a task that waits gives a promise, and gets values and what was thrown', async () => {
  function* task(): Task<string> {
    const value = yield* wait(Promise.resolve('value'))
    try {
      yield* wait(Promise.reject(new Error('thrown')))
    } catch (error) {
      return `${value}, ${(error as Error).message}`
    }
    return 'not here'
  }
  const running = run(task())
  expect(running).toBeInstanceOf(Promise)
  expect(await running).toBe('value, thrown')
})

test('what a task throws after it has waited is thrown to whoever waits for it', async () => {
  function* task(): Task<void> {
    yield* wait(Promise.resolve())
    throw new Error('late')
  }
  await expect(run(task())).rejects.toThrow('late')
})

test.each([
  ['all of them', 3, [1, 2, 3]],
  ['until one is enough', 2, [1, 2]],
])('each item, %s, and then they are closed', async (_, last, expected) => {
  let closed = false
  async function* items(): AsyncGenerator<number> {
    try {
      yield* [1, 2, 3]
    } finally {
      closed = true
    }
  }
  const seen: number[] = []
  function* use(item: number): Task<boolean> {
    seen.push(yield* wait(Promise.resolve(item)))
    return item < last
  }
  await run(each(items(), use))
  expect([seen, closed]).toEqual([expected, true])
})
