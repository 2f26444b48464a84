/** As test/e2e/arrivals.test.ts, of programs with thousands of files. */
import { expect, test } from 'vitest'
import { graphOf, unreached, wrongEvidence } from '../support/arrivals.ts'
import { fixture } from '../support/bundle.ts'

test.each(['nginx', 'git', 'python3', 'perl', 'pyapp'])(
  '%s: every file is reached, and what is said is true',
  async name => {
    const graph = await graphOf(fixture(`full.${name}`))
    expect(unreached(graph)).toEqual([])
    expect(wrongEvidence(graph)).toEqual([])
  },
)

test("git's character sets: who imports iconv_open, and who names their directory", async () => {
  const { edges, files } = await graphOf(fixture('full.git'))
  const conditions = edges.filter(e => e.kind === 'condition' && e.name === 'iconv_open')
  expect(conditions.map(e => e.from.replace(/.*?-/, ''))).toContain('git-2.39.5/bin/git')
  const gconv = conditions[0]!.to
  expect(edges.some(e => e.from === gconv && e.kind === 'member' && e.name === 'CP1250.so')).toBe(true)
  expect([...files.keys()].filter(f => f.endsWith('/CP1250.so'))).toHaveLength(1)
  const libc = conditions[0]!.at.flatMap(({ file }) => file ?? [])
  expect(libc.map(file => file.replace(/.*?-/, ''))).toContain('glibc-2.36/lib/libc.so.6')
})
