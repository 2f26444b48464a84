/** As test/e2e/arrivals.test.ts, of programs with thousands of files. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { Chains } from '../../src/explain/chains.ts'
import { why } from '../../src/explain/why.ts'
import { explained } from '../../src/explained.ts'
import type { Explained } from '../../src/model/explained.ts'
import { toText } from '../../src/paths.ts'
import { whyJson } from '../../src/report/why.ts'
import { graphOf, unreached, wrongEvidence } from '../support/arrivals.ts'
import { bundle, fixture, fixtureEnv } from '../support/bundle.ts'
import { bundles } from '../support/jobs.ts'

/** All of the larger set. */
const NAMES = JSON.parse(
  execFileSync(
    'nix-instantiate',
    ['--eval', '--strict', '--json', '-E', 'builtins.attrNames (import <nixpkgs> { }).full'],
    {
      env: fixtureEnv,
      encoding: 'utf8',
    },
  ),
) as string[]

test.each(NAMES)('%s: every file is reached, and what is said is true', async name => {
  let graph: Awaited<ReturnType<typeof graphOf>>
  try {
    graph = await graphOf(fixture(`full.${name}`))
  } catch (error) {
    // A library, sources.
    expect(error).toMatchObject({ code: 'no-programs' })
    return
  }
  expect(unreached(graph)).toEqual([])
  expect(wrongEvidence(graph)).toEqual([])
})

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

test('why git CP1250.so: the object that imports iconv_open, as nm lists it; what is not there', () => {
  const git = fixture('full.git')
  const { code, stdout } = bundle(['why', git, 'CP1250.so'])
  expect(code).toBe(0)
  const [, object] = /^ +git-2\.39\.5\/(\S+) +imports iconv_open /m.exec(stdout)!
  const undefineds = execFileSync('nm', ['-D', '--undefined-only', join(git, object!)], { encoding: 'utf8' })
  expect(undefineds).toMatch(/ U iconv_open(?:@|$)/m)
  expect(bundle(['why', git, 'nosuch'])).toMatchObject({
    code: 1,
    stdout: expect.stringContaining('nosuch is neither'),
  })
})

describe.each(['nginx', 'git', 'python3', 'perl'])('%s in a bundle', name => {
  const made = bundles()

  test('every file has a chain, and the answers are those of before bundling', async () => {
    const place = made(`full.${name}`)
    const before = await explained(fixture(`full.${name}`), {})
    const after = await explained(place, {})
    const chains = new Chains(after)
    expect(after.files.filter((_, id) => chains.chainTo(id) === null)).toEqual([])
    const names = after.files.filter(({ role }) => role !== 'made' && role !== 'name').map(file => file.at)
    const some = names.filter((_, i) => i % Math.ceil(names.length / 50) === 0).map(at => toText(at))
    const how = { chains: 20, matches: 20, kinds: [] }
    const answers = (of: Explained) => JSON.parse(whyJson(of, why(of, some, how))).answers
    expect(some.length).toBeGreaterThan(20)
    // Stubs and grown tables are in the sizes that are told before.
    expect(answers(after)).toEqual(answers(before))
    const sizes = (of: Explained) => new Map(of.files.map(({ at, size }) => [at as string, size]))
    const [planned, written] = [sizes(before), sizes(after)]
    for (const made of ['bundle.json', '.relocations']) written.delete(made)
    expect(written).toEqual(planned)
  })
})
