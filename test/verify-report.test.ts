/** What `verify` says, to people and to machines: its documents fit their schemas, and the user's word counts. */
import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Ajv from 'ajv'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { silent } from '../src/io/progress.ts'
import { annotations } from '../src/report/github.ts'
import { writeSarif } from '../src/report/sarif.ts'
import { referenceTable, verifyJson, verifySummary } from '../src/report/verify.ts'
import { type Audit, type AuditOptions, audit as auditPaths } from '../src/verify/audit.ts'

const HASH = '0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7'
const STORE = `/nix/store/${HASH}-glibc-2.36`
const work = fs.mkdtempSync(join(tmpdir(), 'storefree-report-'))
afterAll(() => fs.rmSync(work, { recursive: true, force: true }))

const dirty = join(work, 'dirty')
const clean = join(work, 'clean')
const ODD = 'odd, 50%: name\nof two lines'
beforeAll(() => {
  for (const d of [`${dirty}/bin`, `${dirty}/share/doc`, clean]) fs.mkdirSync(d, { recursive: true })
  fs.writeFileSync(join(work, 'app.c'), 'int main(void) { return 0; }\n')
  execFileSync('gcc', ['-o', join(dirty, 'bin/app'), `-Wl,-rpath,${STORE}/lib`, join(work, 'app.c')])
  fs.writeFileSync(join(dirty, 'share/doc/readme'), `see ${STORE}/share twice: ${STORE}/share\n`)
  fs.writeFileSync(join(dirty, ODD), STORE)
  fs.writeFileSync(join(dirty, 'a.xz'), '\xfd7zXZ\0rest', 'latin1')
  fs.writeFileSync(join(clean, 'readme'), 'nothing\n')
})

const audit = (paths: readonly string[], options: AuditOptions = {}): Promise<Audit> =>
  auditPaths(paths, options, silent)
const files = ({ audited }: Audit): string[] => [
  ...new Set(audited.flatMap(a => a.findings.filter(f => f.severity === 'error').map(f => f.file))),
]

describe('documents', () => {
  const json = (path: string): object => JSON.parse(fs.readFileSync(path, 'utf8')) as object

  test('--json fits docs/verify.schema.json', async () => {
    const valid = new Ajv({ allErrors: true }).compile(json('docs/verify.schema.json'))
    for (const options of [{}, { closed: true, strict: true }]) {
      const document = JSON.parse(verifyJson(await audit([dirty, clean], options))) as Record<string, unknown>
      expect(valid(document), JSON.stringify(valid.errors)).toBe(true)
    }
    expect(valid({ schema: 2, results: [] })).toBe(false)
    expect(valid({ schema: 1, results: [{ path: 'x' }] })).toBe(false)
  })

  test('--sarif fits the schema of SARIF 2.1.0', async () => {
    const ajv = new Ajv({ schemaId: 'auto', allErrors: true })
    ajv.addMetaSchema(json('node_modules/ajv/lib/refs/json-schema-draft-04.json'))
    const valid = ajv.compile(json('node_modules/@microsoft/jest-sarif/lib/schemas/sarif-2.1.0-rtm.5.json'))
    const path = join(work, 'out.sarif')
    writeSarif(path, (await audit([dirty, clean], { closed: true })).audited)
    const document = json(path) as { runs: { results: { locations: unknown[]; ruleId: string }[] }[] }
    expect(valid(document), JSON.stringify(valid.errors)).toBe(true)
    const [result] = document.runs[0]!.results.filter(r => JSON.stringify(r).includes('readme'))
    expect(result).toMatchObject({
      ruleId: 'store-reference',
      level: 'error',
      locations: [
        {
          physicalLocation: {
            artifactLocation: { uri: `file://${dirty}/share/doc/readme` },
            region: { byteOffset: 4, byteLength: 60 },
          },
        },
      ],
    })
    expect(JSON.stringify(document)).toContain('odd%2C%2050%25%3A%20name%0Aof%20two%20lines')
    delete (document as { version?: unknown }).version
    expect(valid(document)).toBe(false)
  })

  test('annotations are escaped as GitHub unescapes them', async () => {
    const { audited } = await audit([dirty])
    const lines = annotations(audited[0]!)
    for (const line of lines) expect(line).toMatch(/^::(?:error|warning) file=[^:,\n]+,title=[^:,\n]+::[^\n]+$/)
    expect(lines.some(line => line.startsWith(`::error file=${dirty}/odd%2C 50%25%3A name%0Aof two lines,`))).toBe(true)
    expect(lines.some(line => line.startsWith(`::warning file=${dirty}/a.xz,title=Not looked into::`))).toBe(true)
    expect(lines).toHaveLength(4)
  })

  test('the table says file, offset, encoding, part and store path', async () => {
    const table = referenceTable((await audit([dirty])).audited[0]!.findings).split('\n')
    expect(table[0]!.trim().split(/ {2,}/)).toEqual(['FILE', 'OFFSET', 'ENCODING', 'PART', 'STORE PATH'])
    expect(table.map(row => row.trim().split(/ {2,}/))).toContainEqual([
      'share/doc/readme',
      '4',
      'utf8',
      '-',
      `${STORE}/share`,
      '(2 times)',
    ])
    expect(table.find(row => row.includes('bin/app'))).toMatch(/ runpath +\/nix\/store/)
    expect(referenceTable((await audit([clean])).audited[0]!.findings)).toBe('')
  })

  test('the summary says what was not looked into', async () => {
    const summary = async (path: string, options: AuditOptions = {}): Promise<string> =>
      verifySummary((await audit([path], options)).audited[0]!)
    expect(await summary(dirty)).toMatch(/4 store references in 3 files, not looked into: 1 \(xz 1\)$/)
    expect(await summary(clean)).toMatch(/1 file, 0\.0 MB: clean: 0 store references$/)
    fs.copyFileSync(join(dirty, 'a.xz'), join(clean, 'a.xz'))
    expect(await summary(clean)).toMatch(/0 store references in what could be read, not looked into: 1 \(xz 1\)$/)
    expect((await audit([clean])).clean).toBe(true)
    expect((await audit([clean], { strict: true })).clean).toBe(false)
    fs.rmSync(join(clean, 'a.xz'))
  })
})

test('a file that is all that is verified, and cannot be looked into, is an error', async () => {
  expect((await audit([join(dirty, 'a.xz')])).clean).toBe(false)
})

test('--allow allows references in some paths, and says how many', async () => {
  const allowed = await audit([dirty], { allow: ['share/doc/**', 'odd*', 'bin'] })
  expect(allowed.clean).toBe(true)
  expect(verifySummary(allowed.audited[0]!)).toContain(', 4 allowed')
  expect(files(await audit([dirty], { allow: ['share'] }))).toEqual(['bin/app', ODD])
  const tree = join(work, 'packed')
  fs.mkdirSync(tree)
  execFileSync('tar', ['-czf', join(tree, 'a.tgz'), '-C', dirty, 'share'])
  expect(files(await audit([tree]))).toEqual(['a.tgz!share/doc/readme'])
  expect(files(await audit([tree], { allow: ['a.tgz'] }))).toEqual([])
})

describe('--baseline', () => {
  const baseline = join(work, 'baseline.json')
  const copy = join(work, 'copy')

  test('accepts what was found, wherever it moves and whatever its hash is then; nothing else', async () => {
    expect((await audit([dirty], { writeBaseline: baseline, strict: true })).clean).toBe(true)
    fs.cpSync(dirty, copy, { recursive: true })
    fs.writeFileSync(
      join(copy, 'share/doc/readme'),
      `moved: ${STORE.replace(HASH, HASH.split('').reverse().join(''))}/share\n`,
    )
    const known = await audit([copy], { baseline, strict: true })
    expect(files(known)).toEqual([])
    expect(known).toMatchObject({ clean: true, stale: 0 })
    expect(known.audited[0]!.accepted).toBe(4)
    fs.appendFileSync(join(copy, 'share/doc/readme'), `${STORE}/other\n`)
    expect(files(await audit([copy], { baseline }))).toEqual(['share/doc/readme'])
    fs.writeFileSync(join(copy, 'new'), `${STORE}/share`)
    expect(files(await audit([copy], { baseline }))).toEqual(['new', 'share/doc/readme'])
    fs.rmSync(join(copy, ODD))
    expect((await audit([copy], { baseline })).stale).toBe(1)
  })

  test('that is none is an error', async () => {
    fs.writeFileSync(baseline, '{}')
    await expect(audit([clean], { baseline })).rejects.toMatchObject({ code: 'usage' })
    fs.writeFileSync(baseline, 'no JSON')
    await expect(audit([clean], { baseline })).rejects.toMatchObject({ code: 'usage' })
    await expect(audit([clean], { baseline: join(work, 'none') })).rejects.toMatchObject({ code: 'not-found' })
    const { audited } = await audit([clean])
    expect(() => writeSarif(join(work, 'none/x'), audited)).toThrow(
      expect.objectContaining({ code: 'destination-unwritable' }),
    )
  })
})

test('--store-dir looks for another store directory too, and tells a path once', async () => {
  const tree = join(work, 'guix')
  fs.mkdirSync(tree)
  fs.writeFileSync(join(tree, 'a'), `/gnu/store/${HASH}-hello /opt/nix/store/x /nix/store/y`)
  fs.writeFileSync(join(tree, 'b'), Buffer.from('/gnu/store/y', 'utf16le'))
  const texts = async (storeDir: string[]): Promise<string[]> =>
    (await audit([tree], { storeDir })).audited[0]!.findings.flatMap(f => ('where' in f ? [f.text] : []))
  expect(await texts([])).toEqual(['/nix/store/x', '/nix/store/y'])
  expect(await texts(['/gnu/store/', '/opt/nix/store'])).toEqual([
    `/gnu/store/${HASH}-hello`,
    '/opt/nix/store/x',
    '/nix/store/y',
    '/gnu/store/y',
  ])
  for (const bad of ['gnu/store', '/', ''])
    await expect(audit([tree], { storeDir: [bad] })).rejects.toMatchObject({ code: 'usage' })
})

test('--hashes takes what nix-store -qR prints', async () => {
  const tree = join(work, 'hashes')
  fs.mkdirSync(tree)
  fs.writeFileSync(join(tree, 'a'), `id ${HASH}`)
  const list = join(work, 'closure.txt')
  fs.writeFileSync(list, `/nix/store/${'x'.repeat(32)}-a\n${STORE}\n`)
  expect((await audit([tree])).clean).toBe(true)
  expect(files(await audit([tree], { hashes: list }))).toEqual(['a'])
  fs.writeFileSync(list, 'nothing\n')
  await expect(audit([tree], { hashes: list })).rejects.toMatchObject({ code: 'usage' })
})

describe('--closed', () => {
  const tree = join(work, 'closed')
  beforeAll(() => {
    fs.mkdirSync(join(tree, 'bin'), { recursive: true })
    fs.copyFileSync(join(dirty, 'bin/app'), join(tree, 'bin/app'))
    execFileSync('gcc', ['-o', join(tree, 'bin/app'), join(work, 'app.c')])
  })
  const told = async (): Promise<string[]> =>
    (await audit([tree], { closed: true })).audited[0]!.findings.filter(f => f.severity === 'error').map(
      f => `${f.code} ${f.file}`,
    )

  test('a program of the host passes without it, and not with it: the versions that it asks for are named', async () => {
    expect((await audit([tree])).clean).toBe(true)
    const closed = await audit([tree], { closed: true })
    const needed = closed.audited[0]!.findings.find(f => f.code === 'needed-unresolved')
    const versions = execFileSync('readelf', ['-V', join(tree, 'bin/app')], { encoding: 'utf8' })
    expect(needed).toMatchObject({ name: 'libc.so.6', versions: expect.arrayContaining(['GLIBC_2.34']) })
    for (const version of needed?.code === 'needed-unresolved' ? needed.versions : [])
      expect(versions).toContain(version)
    expect(await told()).toEqual(['interp-unresolved bin/app', 'needed-unresolved bin/app'])
  })

  test('a root with the loader and the library resolves', async () => {
    fs.mkdirSync(join(tree, 'lib64'))
    fs.mkdirSync(join(tree, 'usr/lib/x86_64-linux-gnu'), { recursive: true })
    fs.copyFileSync('/lib64/ld-linux-x86-64.so.2', join(tree, 'lib64/ld-linux-x86-64.so.2'))
    fs.copyFileSync('/lib/x86_64-linux-gnu/libc.so.6', join(tree, 'usr/lib/x86_64-linux-gnu/libc.so.6'))
    expect(await told()).toEqual([])
    const { audited } = await audit([tree], { closed: true })
    expect(verifySummary(audited[0]!)).toContain('clean: 0 store references, everything resolves inside')
  })

  test('links out, set-id bits and what everybody may write to are named', async () => {
    fs.symlinkSync('../../x', join(tree, 'bin/out'))
    fs.symlinkSync('/lib64', join(tree, 'bin/in'))
    fs.writeFileSync(join(tree, 'open'), '')
    fs.chmodSync(join(tree, 'open'), 0o666)
    fs.chmodSync(join(tree, 'bin/app'), 0o4755)
    fs.mkdirSync(join(tree, 'tmp'))
    fs.chmodSync(join(tree, 'tmp'), 0o1777)
    expect(await told()).toEqual(['entry-unsafe bin/app', 'link-escapes bin/out', 'entry-unsafe open'])
    expect((await audit([tree])).clean).toBe(true)
  })
})

test('escaped slashes are named, in the table, JSON, SARIF and annotations; two spellings are two findings', async () => {
  const tree = join(work, 'escaped')
  fs.mkdirSync(tree)
  const raw = (slash: string): string => `${STORE}/share`.replaceAll('/', slash)
  fs.writeFileSync(join(tree, 'a.json'), `{"a":"${raw('\\/')}","b":"${raw('%2F')}"}`)
  const audited = await audit([tree])
  expect(referenceTable(audited.audited[0]!.findings)).toMatch(/utf8 \\\/ .*\n.*utf8 %2F /)
  const json = verifyJson(audited)
  expect(
    new Ajv().compile(JSON.parse(fs.readFileSync('docs/verify.schema.json', 'utf8')) as object)(JSON.parse(json)),
  ).toBe(true)
  const [result] = (JSON.parse(json) as { results: { findings: { slash?: string; raw?: string }[] }[] }).results
  expect(result!.findings.filter(f => f.slash).map(f => [f.slash, f.raw])).toEqual([
    ['\\/', raw('\\/')],
    ['%2F', raw('%2F')],
  ])
  expect(annotations(audited.audited[0]!).join('\n')).toContain('utf8 with \\/ for /')
  const sarif = join(work, 'escaped.sarif')
  writeSarif(sarif, audited.audited)
  const text = fs.readFileSync(sarif, 'utf8')
  expect(text).toContain('utf8 with %2F for /')
  expect(text).toContain(`"byteLength": ${raw('%2F').length}`)
})
