/** The text of `bundle.json` is read line by line where it is written so, and means what JSON says that it means. */
import { describe, expect, test } from 'vitest'
import { manifestPieces, readManifest } from '../src/apply/manifest-text.ts'
import type { Manifest } from '../src/model/manifest.ts'

const file = (i: number): object => ({
  path: `pkg/a/${i}`,
  type: 'file',
  executable: false,
  size: i,
  sha256: 'ab'.repeat(32),
  target: null,
  package: 0,
})
const document = (more: object = {}): Record<string, unknown> => ({
  schema: 2,
  tool: 'storefree 0',
  name: 'a "b"\n]',
  version: null,
  system: 'x86_64-linux',
  prefix: null,
  launcher: 'stub',
  programs: [{ at: { path: 'bin/a' }, elf: { path: 'bin/a' }, loader: null }],
  packages: [{ name: 'a', tree: true, references: [] }],
  references: { loader: 0, fixed: 0, templated: 0, relocated: 0, blanked: 1, 'host-path': 0 },
  accounts: [{ file: 0, outcome: 'blanked', rule: 'gone' }],
  closure: ['0123456789abcdef'],
  findings: [],
  files: [0, 1, 2].map(file),
  directories: [{ package: 0, path: '', holds: [[0, 2]] }],
  needs: [{ from: 0, to: 1, kind: 'reference', at: [{ offset: 3 }] }],
  asked: [{ kind: 'target', name: 'a', to: 3 }],
  ...more,
})
const textOf = (value: object): string => Buffer.concat([...manifestPieces(value as Manifest)]).toString()
const read = (text: string): ReturnType<typeof readManifest> => readManifest(Buffer.from(text))

test('line by line, and formatted anew, it is the same', () => {
  const text = textOf(document())
  expect(JSON.parse(text)).toEqual(document())
  expect(text.split('\n')).toContain(JSON.stringify(file(1)).concat(','))
  const lines = read(text)
  expect(lines).toHaveProperty('manifest.files.2.size', 2)
  expect(lines).toHaveProperty('manifest.accounts.0.count', 1)
  for (const other of [
    JSON.stringify(document()),
    JSON.stringify(document(), null, 2),
    `${text}\n`,
    text.replaceAll('\n', '\r\n'),
  ])
    expect(read(other)).toEqual(lines)
})

test('lists without rows, and fields that are left out or unknown', () => {
  const { needs, directories, ...without } = document({ files: [], accounts: [], constructor: [1], __proto__: {} })
  for (const one of [without, { ...without, needs: [] }]) expect(read(textOf(one))).toEqual(read(JSON.stringify(one)))
  expect(read(textOf(without))).toHaveProperty('manifest.files', [])
})

test('text of more than one piece, with names that are no ASCII', () => {
  const files = Array.from({ length: 3000 }, (_, i) => ({ ...file(i), path: `pkg/ä\u{1f600}/${i}` }))
  expect(read(textOf(document({ files })))).toHaveProperty('manifest.files.2999.path', 'pkg/ä\u{1f600}/2999')
})

describe('what is wrong is told as of the whole', () => {
  const whole = textOf(document())
  const row = JSON.stringify(file(1))
  test.each([
    ['a row that is no file', whole.replace(row, '{"path":1}'), 'files.1.path'],
    ['a row too many commas', whole.replace(`${row},`, `${row},,`), 'not JSON'],
    ['a row without its comma', whole.replace(`${row},`, row), 'not JSON'],
    ['cut off', whole.slice(0, -4), 'not JSON'],
    ['cut off in a row', whole.slice(0, whole.indexOf(row) + 9), 'not JSON'],
    ['more behind it', `${whole}x`, 'not JSON'],
    ['no files', textOf({ ...document(), files: undefined }).replace('undefined', 'null'), 'files'],
    ['needs that are null', textOf(document({ needs: null })), 'needs'],
    ['another schema', textOf(document({ schema: 3 })), 'schema'],
    ['nothing', '', 'not JSON'],
    ['a brace', '{\n', 'not JSON'],
  ])('%s', (_, text, reason) => {
    expect(read(text)).toEqual({ reason: expect.stringContaining(reason) })
  })

  test('a field that is there twice is what JSON makes of it', () => {
    const twice = whole.replace('"version": null,', '"version": null,\n"version": "2",')
    expect(read(twice)).toHaveProperty('manifest.version', '2')
  })

  test.each(Array.from({ length: 60 }, (_, i) => i))('bytes changed at random (%i)', seed => {
    const bytes = Buffer.from(whole)
    const at = (seed * 7919) % bytes.length
    bytes[at] = [0x2c, 0x0a, 0x22, 0x5d, 0x7b][seed % 5]!
    const lines = readManifest(bytes)
    let json: unknown = null
    try {
      json = JSON.parse(bytes.toString())
    } catch {}
    if (json === null) expect(lines).toEqual({ reason: 'it is not JSON' })
    else expect(lines).toEqual(readManifest(Buffer.from(JSON.stringify(json))))
  })
})
