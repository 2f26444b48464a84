import { describe, expect, test } from 'vitest'
import { isTelling, storePathOf, storePathPrefix } from '../src/nix/store-path.ts'
import { store } from './support/script-lab.ts'

describe('the store path that a path lies in', () => {
  const [x, longer] = [store('x-1'), store('x-1.0')]

  test.each([
    [x, x],
    [`${x}/bin/a`, x],
    [longer, longer],
    [`${longer}/bin`, longer],
    [x, x],
    [`${x}!/a`, null],
    [`${x}\n`, null],
    [`${x}/`, x],
    ['/nix/store', null],
    [`/mnt${x}`, null],
    [`${x.slice(0, -3)}/a`, null],
  ])('%j, whichever was asked for before', (path, root) => {
    for (const before of [x, longer, '/etc']) {
      storePathOf(before)
      expect(storePathOf(path)?.root ?? null).toBe(root)
    }
  })

  test('has a name and a hash', () => {
    const { hash, name } = storePathOf(`${x}/a`)!
    expect(`/nix/store/${hash}-${name}`).toBe(x)
    expect(storePathPrefix(`${x}!`)).toEqual({ root: x, hash, name })
  })
})

test.each([
  ['00000000000000000000000000000000', false],
  ['012345678012345678012345678012345', false],
  ['01234567801234567801234567801239', true],
  ['0arvck0l4mjdgx5lhvfay9p27mgmilpn', true],
])('%s tells of its store path: %s', (hash, tells) => {
  expect(isTelling(hash)).toBe(tells)
})
