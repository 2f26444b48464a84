/** Derivations as they lie in the store: what a package was made of, and texts that are none. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { parseDerivation, provenanceOf } from '../src/nix/derivation.ts'
import { licenceOf } from '../src/nix/meta.ts'

const hash = 'a'.repeat(32)
const drv = (outputs: string, inputs: string, env: string): string =>
  `Derive([${outputs}],[${inputs}],["/nix/store/${hash}-x.patch"],"x86_64-linux","/bin/sh",["-c","echo \\"hi\\""],[${env}])`
const SOURCE = `/nix/store/${hash}-tool-1.2.tar.gz`
const source = (algorithm: string, digest: string, ...env: string[]): string =>
  drv(`("out","${SOURCE}","${algorithm}","${digest}")`, '', env.join(','))
const tool = (...env: string[]): string =>
  drv(`("out","/nix/store/${hash}-tool-1.2","","")`, `("/nix/store/${hash}-src.drv",["out"])`, env.join(','))
const told = (text: string, made: string) => provenanceOf('x.drv', parseDerivation(text)!, () => parseDerivation(made))

test('texts with escapes, outputs, inputs', () => {
  const read = parseDerivation(tool('("script","a\\nb\\t\\"c\\\\d")', '("pname","tool")'))!
  expect(read.outputs).toEqual([{ name: 'out', path: `/nix/store/${hash}-tool-1.2`, algorithm: '', hash: '' }])
  expect(read.inputs).toEqual([`/nix/store/${hash}-src.drv`])
  expect([...read.env]).toEqual([
    ['script', 'a\nb\t"c\\d'],
    ['pname', 'tool'],
  ])
})

describe('what it says of its package', () => {
  const digest = '5'.repeat(64)
  const patches = `/nix/store/${hash}-CVE-2023-1234.patch /nix/store/${hash}-fix.patch`
  const expected = {
    derivation: 'x.drv',
    pname: 'tool',
    version: '1.2',
    patches: ['CVE-2023-1234.patch', 'fix.patch'],
    source: { url: 'mirror://gnu/tool-1.2.tar.gz', algorithm: 'sha256', digest },
  }
  test('by its environment', () => {
    const env = ['("pname","tool")', '("version","1.2")', `("patches","${patches}")`, `("src","${SOURCE}")`]
    const made = source('sha256', digest, '("urls","mirror://gnu/tool-1.2.tar.gz https://other.org/x")')
    expect(told(tool(...env), made)).toEqual(expected)
  })

  test('with structured attributes', () => {
    const json = JSON.stringify({
      pname: 'tool',
      version: '1.2',
      patches: patches.split(' '),
      src: SOURCE,
      other: { a: 1 },
    })
    const made = source('sha256', digest, `("__json",${JSON.stringify('{"urls":["mirror://gnu/tool-1.2.tar.gz"]}')})`)
    expect(told(tool(`("__json",${JSON.stringify(json)})`), made)).toEqual(expected)
  })

  test('a digest of an unpacked tree is nobody else’s; a source that is no download has no address', () => {
    const env = ['("pname","tool")', `("src","${SOURCE}")`]
    expect(told(tool(...env), source('r:sha256', digest, '("url","https://a.org/b")')).source).toEqual({
      url: 'https://a.org/b',
      algorithm: null,
      digest: null,
    })
    expect(told(tool(...env), source('', '')).source).toBeNull()
    expect(told(tool('("name","tool-1.2")'), source('', ''))).toEqual({
      derivation: 'x.drv',
      pname: null,
      version: null,
      patches: [],
      source: null,
    })
  })
})

test('what is none says nothing', () => {
  const whole = tool('("pname","tool")')
  for (let length = 0; length < whole.length; length++) expect(parseDerivation(whole.slice(0, length))).toBeNull()
  for (const text of [
    `${whole}x`,
    'Derive()',
    'Derive([],[],[],"","",[],[("a")])',
    'Derive([[[[[[[[]]]]]]]])',
    `Derive(${'['.repeat(1e5)}`,
  ])
    expect(parseDerivation(text)).toBeNull()
  fc.assert(
    fc.property(fc.integer({ min: 0, max: whole.length - 1 }), fc.string({ maxLength: 3 }), (at, text) => {
      const changed = parseDerivation(whole.slice(0, at) + text + whole.slice(at + 1))
      expect(changed === null || changed.env instanceof Map).toBe(true)
    }),
    { seed: 1, numRuns: 500 },
  )
})

test.each([
  [{ spdxId: 'MIT', fullName: 'MIT License' }, { expression: 'MIT' }],
  [[{ spdxId: 'GPL-2.0-or-later' }], { expression: 'GPL-2.0-or-later' }],
  [[{ spdxId: 'MIT' }, { spdxId: 'Apache-2.0' }], { names: ['MIT', 'Apache-2.0'] }],
  [{ fullName: 'Unfree', free: false }, { names: ['Unfree'] }],
  ['BSD', { names: ['BSD'] }],
  [{ spdxId: 'not an id"' }, { names: ['not an id"'] }],
  [{ licenseType: 'compound' }, null],
  [[null, 1, {}, ''], null],
  [null, null],
])('a licence as nixpkgs has it: %j', (value, expected) => {
  expect(licenceOf(value)).toEqual(expected)
})
