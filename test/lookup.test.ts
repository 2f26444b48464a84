/** What a text names, by what stands behind it. */
import { symlinkSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { type Behind, linksOnTheWay, lookUp } from '../src/scan/lookup.ts'
import { storePath } from './support/store-lab.ts'

const root = storePath('dep-1.0', {
  'bin/d': '',
  'bin/dep': '',
  'bin/dep-tool': '',
  'lib/lab': '',
  'lib/labext.conf': '',
  'lib/labext.so': '',
  'lib/labextra.so': '',
  'share/dep/a.conf': '',
})
const RUST = '/rustc/59807616e1fa2540724bfbac14d7976d7e4a3860/library/alloc/src/fmt.rs'

/** What is found, below the root; `missing` and `doubtful` for what is not. */
function found(text: string, behind: Behind): string[] {
  const named = lookUp(root + text, behind)!
  expect(named).toMatchObject({ root, name: 'dep-1.0' })
  if (named.type === 'missing') return [named.doubtful ? 'doubtful' : 'missing']
  return (named.all.length === 0 ? [named.path] : named.all).map(p => p.slice(root.length))
}

const CASES: readonly [text: string, byBehind: Partial<Record<Behind, string[]>>][] = [
  ['/bin/dep', { delimiter: ['/bin/dep'], nul: ['/bin/dep'], anything: ['/bin/dep'] }],
  ['/bin/dep.', { delimiter: ['/bin/dep'], nul: ['/bin/dep'], anything: ['/bin/dep'] }],
  ['/bin/depAllThreadsSyscall6', { delimiter: ['missing'], nul: ['/bin/dep'], anything: ['/bin/dep'] }],
  ['/bin/dep-toolbox', { delimiter: ['missing'], nul: ['/bin/dep-tool'], anything: ['/bin/dep-tool'] }],
  ['/bin/other', { delimiter: ['missing'], nul: ['missing'], anything: ['doubtful'] }],
  ['/bin/de', { delimiter: ['doubtful'], nul: ['/bin/d'], anything: ['/bin/d'] }],
  ['/lib/labext', { delimiter: ['/lib/labext.conf', '/lib/labext.so'], nul: ['/lib/labext.conf', '/lib/labext.so'] }],
  ['/lib/labextAll', { delimiter: ['missing'], anything: ['/lib/labext.conf', '/lib/labext.so'] }],
  [
    '/lib/lab%s.so',
    {
      delimiter: ['/lib/labext.so', '/lib/labextra.so'],
      nul: ['/lib/labext.so', '/lib/labextra.so'],
      // The string may go on with another.
      anything: ['/lib/lab', '/lib/labext.conf', '/lib/labext.so', '/lib/labextra.so'],
    },
  ],
  ['/lib/%s.conf', { delimiter: ['/lib/labext.conf'], nul: ['/lib/labext.conf'], anything: ['/lib'] }],
  ['/lib/%s', { delimiter: ['/lib'], nul: ['/lib'] }],
  ['/lib/other%d.so', { delimiter: ['/lib'], nul: ['/lib'] }],
  ['/share/%s/a.conf', { delimiter: ['/share'], nul: ['/share'], anything: ['/share'] }],
  [`/bin/dep${RUST}`, { delimiter: ['/bin/dep'], nul: ['/bin/dep'], anything: ['/bin/dep'] }],
  [`/share/dep${RUST}`, { delimiter: ['missing'], nul: ['/share/dep'], anything: ['/share/dep'] }],
  [`/share/dep/nix/store/x`, { nul: ['/share/dep'], anything: ['/share/dep'] }],
  ['/share/dep/../x', { delimiter: ['/share/dep'] }],
  ['/lib/../share/dep/a.conf', { delimiter: ['/share/dep/a.conf'], nul: ['/share/dep/a.conf'] }],
  ['/lib/../share/dep/../../bin/depAll', { nul: ['/bin/dep'], anything: ['/bin/dep'] }],
  ['/lib/..', { delimiter: ['/lib'] }],
  ['/lib/../..', { delimiter: [''] }],
]

describe.each(CASES)('%s', (text, byBehind) => {
  test.each(Object.entries(byBehind))('before %s', (behind, expected) => {
    expect(found(text, behind as Behind)).toEqual(expected)
  })
})

test('what is glued to the root is no part of it, and what is no store path of this machine is nothing', () => {
  expect(found('AllThreads', 'anything')).toEqual([''])
  expect(lookUp(`/nix/store/${'0'.repeat(32)}-x/bin`, 'nul')).toBeNull()
  expect(lookUp('/nix/store', 'nul')).toBeNull()
  expect(lookUp(`${root.slice(0, -1)}`, 'nul')).toBeNull()
})

test('the links that a path goes through, where they lie; circles and broken ones end', () => {
  symlinkSync('bin', `${root}/sbin`)
  symlinkSync(`${root}/sbin`, `${root}/lib/programs`)
  symlinkSync('loop', `${root}/loop`)
  symlinkSync('nowhere', `${root}/broken`)
  expect(linksOnTheWay(`${root}/sbin/dep`)).toEqual([`${root}/sbin`])
  expect(linksOnTheWay(`${root}/lib/programs/dep`)).toEqual([`${root}/lib/programs`])
  expect(linksOnTheWay(`${root}/bin/dep`)).toEqual([])
  expect(linksOnTheWay(`${root}/sbin`)).toEqual([])
  for (const name of ['loop', 'broken']) expect(lookUp(`${root}/${name}/x`, 'nul')).toMatchObject({ type: 'missing' })
})
