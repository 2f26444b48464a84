/** `bundle --json`: whatever comes of a run, standard output is one document that fits docs/report.schema.json. */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Ajv from 'ajv'
import { beforeAll, describe, expect, test } from 'vitest'
import { bundle, fixture, type Run, temporary } from '../support/bundle.ts'
import { DarwinClosure } from '../support/darwin-closure.ts'
import { storePath } from '../support/store-lab.ts'

const schema = JSON.parse(readFileSync('docs/report.schema.json', 'utf8'))
const valid = new Ajv({ allErrors: true }).compile(schema)

type Document = Record<string, unknown> & {
  findings: { code: string; file: string; chain?: string[] }[]
  planned: { at: string; from: string | null }[]
  error: { code: string; path: string | null; message: string }
}

function document({ stdout }: Run): Document {
  const parsed = JSON.parse(stdout) as Document
  expect(valid(parsed), JSON.stringify(valid.errors)).toBe(true)
  return parsed
}

let odd: string
let other: string

/** A package of names that are no UTF-8 and hold newlines, and one that it names. */
beforeAll(() => {
  other = storePath('other-1', { 'share/file': 'other\n' })
  odd = storePath('odd-1', { 'bin/app': `#!/bin/sh\ncat ${other}/share/file\n` })
  const bytes = (name: string): Buffer => Buffer.from(`${odd}/${name}`, 'latin1')
  writeFileSync(bytes('bin/a\xffb'), '#!/bin/sh\n', { mode: 0o755 })
  writeFileSync(bytes('bin/new\nline'), '#!/bin/sh\n', { mode: 0o755 })
  mkdirSync(bytes('share/l\xe9\n'), { recursive: true })
  writeFileSync(bytes('share/l\xe9\n/LICENSE'), `see ${other}\n`)
  symlinkSync(Buffer.from('l\xe9\n', 'latin1'), bytes('share/link\xfe'))
})

const out = (): string => join(temporary(), 'out')
const make = (args: readonly string[], cwd = temporary()): Run => bundle(['--json', ...args], { cwd })

describe('success', () => {
  test('a directory, odd names, all that can be asked for together', () => {
    const extras = ['--licenses', '--with', 'tzdata,ca-certificates', '--strip', '--name', 'näme']
    const made = make([odd, '-f', 'dir', '-o', out(), ...extras, '--trace', '--', 'app'])
    expect(made.code).toBe(0)
    expect(document(made)).toMatchObject({ name: 'näme', version: null, tarSha256: null, planned: null, schema: 1 })
  })

  test.each(['tar', 'tar.gz', 'tar.zst'])('%s', format => {
    const made = make([odd, fixture('bash'), '-f', format])
    expect(made.code).toBe(0)
    const { output, name, system } = document(made)
    expect([name, system]).toEqual(['odd+bash', 'x86_64-linux'])
    expect(existsSync(output as string)).toBe(true)
  })

  test('for one place, for macOS', () => {
    const closure = new DarwinClosure('universal')
    const app = closure.package('app-1.0')
    closure.build(`${app}/bin/app`, 'int main(void) { return 0; }')
    const made = make([app, '-f', 'dir', '-o', out(), '--prefix', '/opt/app', '--strip'])
    expect(document(made)).toMatchObject({ system: 'universal-darwin', prefix: '/opt/app' })
    // --strip does nothing here: that is said.
    expect(document(made).findings).toContainEqual(expect.objectContaining({ code: 'strip-nothing', count: 1 }))
  })
})

test('a dry run: every file, and nothing is written', () => {
  const cwd = temporary()
  const made = make([odd, '--dry-run', '--licenses'], cwd)
  expect(made.code).toBe(0)
  const { output, planned } = document(made)
  expect(output).toBeNull()
  expect(planned.map(p => p.at)).toEqual(
    expect.arrayContaining([
      ...['bin/a\\xffb', 'bin/new\\x0aline', 'pkg/odd-1/share/l\\xe9\\x0a/LICENSE'],
      ...['pkg/odd-1/share/link\\xfe', 'share/licenses/odd-1/share/l\\xe9\\x0a/LICENSE', 'pkg/other-1/share/file'],
    ]),
  )
  expect(existsSync(join(cwd, 'odd-1-any-linux.tar.gz'))).toBe(false)
})

test('findings: exit code 1, nothing is written', () => {
  const made = make([odd, '--disallow', 'other'])
  expect(made.code).toBe(1)
  const { output, findings } = document(made)
  expect(output).toBeNull()
  expect(findings).toContainEqual(
    expect.objectContaining({ code: 'disallowed', chain: [`${odd}/bin/app`, `${other}/share/file`] }),
  )
})

describe('errors: exit code 2', () => {
  test.each<[string, string[], string]>([
    ['nothing there', ['./nowhére'], 'not-found'],
    ['a prefix that cannot be', ['./x', '--prefix', 'relative'], 'prefix-unusable'],
    ['an option that is none', ['./x', '--no-such'], 'usage'],
    ['a kind that is none', ['./x', '--with', 'fonts'], 'usage'],
    ['no target', [], 'usage'],
  ])('%s', (_, args, code) => {
    const made = make(args)
    expect(made.code).toBe(2)
    const { error } = document(made)
    expect(error.code).toBe(code)
    expect(made.stderr).toContain(error.message)
  })

  test('the file is named as a person reads it', () => {
    const cwd = temporary()
    expect(document(make(['./nowhére'], cwd)).error.path).toBe(`${cwd}/nowhére`)
  })

  test('--json of a traced command is not ours', () => {
    const made = bundle([odd, '-f', 'dir', '-o', out(), '--trace', '--', 'no-such-program', '--json'])
    expect(made).toMatchObject({ code: 2, stdout: '' })
  })
})

test('the schema names every finding and every error', () => {
  const words = (file: string, pattern: RegExp): string[] =>
    [...readFileSync(file, 'utf8').matchAll(pattern)].flatMap(m =>
      [...m[1]!.matchAll(/'([a-z0-9-]+)'/g)].map(w => w[1]!),
    )
  const { finding, failure } = schema.definitions
  expect(finding.properties.code.enum).toEqual(words('src/model/findings.ts', /readonly code: ('[^;\n]*)/g).sort())
  const codes = words('src/errors.ts', /ErrorCode =((?:\s+\| '[a-z-]+')+)/g)
  expect(failure.properties.error.properties.code.enum).toEqual(codes.sort())
})

test('the schema refuses what it does not describe', () => {
  const report = document(make([odd, '--dry-run']))
  for (const wrong of [
    { ...report, schema: 2 },
    { ...report, output: undefined, planned: 'none' },
    { ...report, findings: [{ code: 'new', severity: 'error', file: 'x', message: 'y' }] },
    { schema: 1, error: { code: 'usage' } },
  ])
    expect(valid(JSON.parse(JSON.stringify(wrong)))).toBe(false)
})
