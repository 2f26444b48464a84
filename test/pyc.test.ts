/** A .pyc beside an edited source is still what Python uses, with the host's own Python as judge. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { mendPyc, PYC_HEAD, pycSource } from '../src/script/pyc.ts'

let work: string
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'storefree-pyc-'))
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

const python = (cwd: string, ...args: string[]): string =>
  execFileSync('python3', args, { cwd, encoding: 'utf8', env: { PATH: process.env.PATH } }).trim()

test.each([
  ['/a/__pycache__/x.cpython-311.pyc', '/a/x.py'],
  ['/a/__pycache__/x.cpython-311.opt-1.pyc', '/a/x.py'],
  ['/a/__pycache__/__init__.cpython-313t.opt-2.pyc', '/a/__init__.py'],
  ['__pycache__/x.pypy39.pyc', 'x.py'],
  ['/a/__pycache__/my.script.cpython-311.pyc', '/a/my.script.py'],
  ['/a/x.pyc', '/a/x.py'],
  ['x.pyc', 'x.py'],
  ['/a/b.c/x.y.pyc', '/a/b.c/x.y.py'],
  ['/a/my__pycache__/x.z.pyc', '/a/my__pycache__/x.z.py'],
])('%s is compiled from %s', (path, source) => expect(pycSource(path)).toBe(source))

/** A package with a module of mtime 1, as in a bundle, and its .pyc, which says other things than the source. */
function compile(mode: string): { directory: string; source: string; pyc: string } {
  const directory = mkdtempSync(join(work, `${mode}-`))
  const source = join(directory, 'm.py')
  write(source, "said = 'by the source'\n")
  const pyc = python(
    directory,
    '-c',
    `import py_compile; print(py_compile.compile('m.py', invalidation_mode=py_compile.PycInvalidationMode.${mode}))`,
  )
  const bytes = readFileSync(join(directory, pyc))
  bytes.write('by the binary', bytes.indexOf('by the source'))
  writeFileSync(join(directory, pyc), bytes)
  return { directory, source, pyc: join(directory, pyc) }
}

function write(path: string, text: string): void {
  writeFileSync(path, text)
  utimesSync(path, 1, 1)
}

const said = (directory: string): string => python(directory, '-B', '-c', 'import m; print(m.said)')

function mend(pyc: string, sourceSize: number): boolean {
  const bytes = readFileSync(pyc)
  const edit = mendPyc(bytes.subarray(0, PYC_HEAD), sourceSize)
  if (edit === null) return false
  expect(bytes.subarray(edit.offset, edit.offset + edit.from.length)).toEqual(edit.from)
  expect(edit.to.length).toBe(edit.from.length)
  bytes.set(edit.to, edit.offset)
  writeFileSync(pyc, bytes)
  return true
}

const EDITED = "said = 'by the source' # which was made longer\n"

describe.each(['TIMESTAMP', 'CHECKED_HASH'])('%s', mode => {
  test('beside an edited source it is not used, and is again when mended', () => {
    const { directory, source, pyc } = compile(mode)
    expect(said(directory)).toBe('by the binary')
    write(source, EDITED)
    expect(said(directory)).toBe('by the source')
    expect(mend(pyc, EDITED.length)).toBe(true)
    expect(said(directory)).toBe('by the binary')
    // Nothing more is to be done, and Python has written nothing.
    expect(mend(pyc, EDITED.length)).toBe(false)
    expect(readdirSync(join(directory, '__pycache__'))).toHaveLength(1)
    expect(readdirSync(directory).sort()).toEqual(['__pycache__', 'm.py'])
  })
})

test('a timestamp is left where it is', () => {
  const { pyc } = compile('TIMESTAMP')
  expect(mendPyc(readFileSync(pyc), 5)?.offset).toBe(12)
})

test('a hash that is not checked needs no mending', () => {
  const { directory, source, pyc } = compile('UNCHECKED_HASH')
  write(source, EDITED)
  expect(mend(pyc, EDITED.length)).toBe(false)
  expect(said(directory)).toBe('by the binary')
})

test('a .pyc in the place of its source is used whatever its header says', () => {
  const { directory, source, pyc } = compile('TIMESTAMP')
  const bytes = readFileSync(pyc)
  rmSync(source)
  rmSync(join(directory, '__pycache__'), { recursive: true })
  mkdirSync(join(directory, 'other'))
  writeFileSync(join(directory, 'm.pyc'), bytes)
  expect(mend(join(directory, 'm.pyc'), 12345)).toBe(true)
  expect(said(directory)).toBe('by the binary')
})

/** Headers by version: the magic number, what follows, and the word that a source of 0x01020304 bytes goes to. */
test.each([
  ['2.7', '03f30d0a', '00000001aabbccdd11223344', null],
  ['3.2', '6c0c0d0a', '01000000aabbccdd11223344', null],
  ['3.3', '9e0c0d0a', '0100000044332211e3000000', 8],
  ['3.6', '330d0d0a', '0100000044332211e3000000', 8],
  ['3.7', '420d0d0a', '000000000100000044332211', 12],
  ['3.13', 'f30d0d0a', '000000000100000044332211', 12],
  ['3.13, checked hash', 'f30d0d0a', '030000001122334455667788', 4],
  ['3.13, unchecked hash', 'f30d0d0a', '010000001122334455667788', null],
  ['3.13, flags that nobody knows', 'f30d0d0a', '040000001122334455667788', null],
  ['3.13, cut short', 'f30d0d0a', '0000000001000000443322', null],
  ['no .pyc', 'f30d0a0d', '000000000100000044332211', null],
  ['nothing', '', '', null],
])('the header of Python %s', (_, magic, rest, offset) => {
  const edit = mendPyc(Buffer.from(magic + rest, 'hex'), 0x5_0102_0304)
  expect(edit?.offset ?? null).toBe(offset)
  if (edit !== null) expect(edit.to.toString('hex')).toBe(offset === 4 ? '01000000' : '04030201')
})
