/** A project's policy: what is a mistake in it, and that docs/policy.schema.json says the same as we do. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Ajv from 'ajv'
import { describe, expect, test } from 'vitest'
import { judgeSymbols } from '../src/explain/policy.ts'
import { FINDING_CODES } from '../src/model/finding-codes.ts'
import { compareVersions } from '../src/model/versions.ts'
import { findPolicy, readPolicy } from '../src/policy.ts'
import { parseSize } from '../src/size.ts'
import { temporary } from './support/bundle.ts'

const valid = new Ajv().compile(JSON.parse(readFileSync('docs/policy.schema.json', 'utf8')))

function read(text: string): unknown {
  const cwd = temporary()
  writeFileSync(join(cwd, 'p.json'), text)
  try {
    return readPolicy('p.json', cwd)
  } catch (error) {
    return (error as Error).message.replace(/^.*p\.json: /, '')
  }
}

describe('mistakes', () => {
  test.each<[unknown, RegExp, boolean?]>([
    [{ maxsize: 1 }, /^there is no "maxsize": is "maxSize" meant\?$/],
    [{ dissallow: [] }, /is "disallow" meant\?$/],
    [{ disallowfile: [] }, /is "disallowFiles" meant\?$/],
    [{ frobnicate: 1 }, /^there is no "frobnicate": there is maxSize, disallow, /],
    [JSON.parse('{ "__proto__": 1 }'), /^there is no "__proto__"/],
    [{ constructor: 1 }, /^there is no "constructor"/],
    [{ maxSize: 'many' }, /^"maxSize": "many" is no size/],
    [{ maxSize: -1 }, /is no size/],
    [{ maxSize: 1.5 }, /is no size/],
    [{ maxSize: ['90MB'] }, /^"maxSize": a size is wanted/],
    [{ disallow: 'gcc' }, /^"disallow": a list is wanted/],
    [{ disallow: [1] }, /^"disallow.0": a name is wanted/],
    [{ require: [''] }, /^"require.0": an empty name names nothing/],
    [{ errors: 'some' }, /^"errors": "all" or a list of codes/],
    [{ newestSymbols: { GLIBC: 2.31 } }, /^"newestSymbols.GLIBC": a version is wanted, in quotes/],
    [{ newestSymbols: { GLIBC: 'new' } }, /^"newestSymbols.GLIBC": "new" is no version/],
    [{ newestSymbols: { 'GLIBC_2.3': '2.3' } }, /begins no version of symbols/],
    [{ newestSymbols: [] }, /^"newestSymbols": versions are wanted/],
    [[], /^it is no object/],
    [null, /^it is no object/],
    // What codes there are is not in the schema.
    [{ errors: ['machine-dat'] }, /the code "machine-dat": is "machine-data" meant\?$/, true],
  ])('%j', (json, message, isValid = false) => {
    expect(read(JSON.stringify(json))).toMatch(message)
    expect(valid(json)).toBe(isValid)
  })

  test.each(['', '{', '{ "maxSize": 1, }', '\0'])('no JSON: %j', text => {
    expect(read(text)).toMatch(/^it is not JSON: /)
  })

  test('a file that is not there', () => {
    expect(() => readPolicy('nowhere.json', '/')).toThrow('/nowhere.json: no such file or directory')
  })
})

test.each([
  {},
  { maxSize: 0, disallow: ['ü', 'a b'], require: [], disallowFiles: ['**/*.a'], errors: 'all', newestSymbols: {} },
  { $schema: 'x', maxSize: '1.5 GiB', errors: ['machine-data'], newestSymbols: { GLIBC: '2', GLIBCXX: '3.4.28' } },
])('what is a policy is one for both: %j', json => {
  expect(valid(json)).toBe(true)
  expect(read(JSON.stringify(json))).toMatchObject({ file: 'p.json' })
})

test('what docs/policy.md shows is one', () => {
  const [, shown] = /```json\n(.*?)```/s.exec(readFileSync('docs/policy.md', 'utf8'))!
  expect(valid(JSON.parse(shown!))).toBe(true)
  expect(read(shown!)).toMatchObject({ maxSize: 90_000_000 })
})

test('sizes', () => {
  expect(['90MB', '80MiB', '1.5kB', '7', '7 B', 'MB', '1e3', '1 xB', ''].map(parseSize)).toEqual([
    90_000_000,
    80 * 1024 * 1024,
    1500,
    7,
    7,
    null,
    null,
    null,
    null,
  ])
})

test('it lies beside the flake, else here', () => {
  const [cwd, flake, other] = [temporary(), temporary(), temporary()]
  expect(findPolicy(['nginx', '.#app'], cwd)).toBe(null)
  for (const place of [cwd, flake, other]) writeFileSync(join(place, 'storefree.json'), '{}')
  expect(findPolicy(['nginx', 'nixpkgs#git', './result', 'github:a/b#c'], cwd)).toBe(`${cwd}/storefree.json`)
  expect(findPolicy([`${flake}#app`], cwd)).toBe(`${flake}/storefree.json`)
  expect(findPolicy([`path:${flake}?dir=x#app`, `${flake}/#b`], cwd)).toBe(`${flake}/storefree.json`)
  expect(() => findPolicy([`${flake}#app`, `${other}#b`], cwd)).toThrow('2 of the targets')
})

test('every code of a finding is known', () => {
  const { enum: codes } = JSON.parse(readFileSync('docs/report.schema.json', 'utf8')).definitions.finding.properties
    .code
  expect([...FINDING_CODES].sort()).toEqual([...codes].sort())
})

describe('symbols of libraries outside', () => {
  const policy = {
    file: 'p.json',
    newestSymbols: new Map([
      ['GLIBC', '2.31'],
      ['GLIBCXX', '3.4.28'],
    ]),
  } as never
  const found = (library: string, ...versions: string[]): unknown[] =>
    judgeSymbols(policy, [{ file: 'bin/a', verneed: [{ file: library, versions }] }], name => name === 'libin.so').map(
      f => f.code === 'policy-symbols' && `${f.version} ${f.max}`,
    )
  test.each([
    [['GLIBC_2.4', 'GLIBC_2.31', 'GLIBC_2.2.5'], []],
    [['GLIBC_2.32'], ['GLIBC_2.32 2.31']],
    [['GLIBC_2.31.1'], ['GLIBC_2.31.1 2.31']],
    [['GLIBC_PRIVATE'], ['GLIBC_PRIVATE 2.31']],
    [['GLIBC_ABI_DT_RELR'], ['GLIBC_ABI_DT_RELR 2.31']],
    [['GLIBCXX_3.4.29', 'GLIBCXX_3.4.9'], ['GLIBCXX_3.4.29 3.4.28']],
    [['CXXABI_1.3.13', 'OPENSSL_3.0.0'], []],
  ])('%j', (versions, expected) => {
    expect(found('libc.so.6', ...versions)).toEqual(expected)
    expect(found('libin.so', ...versions)).toEqual([])
  })

  test('versions by their numbers', () => {
    const sorted = ['2.31', '2.4', '2.4.1', '2.4.0', '3'].sort(compareVersions)
    expect(sorted).toEqual(['2.4', '2.4.0', '2.4.1', '2.31', '3'])
  })
})
