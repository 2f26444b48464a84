/** `bundle verify` on Mach-O files: what dyld or the kernel would refuse is found, and named. */
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, beforeEach, expect, test } from 'vitest'
import { bundle, mustBundle, temporary } from '../support/bundle.ts'
import { application, DarwinClosure } from '../support/darwin-closure.ts'

const work = temporary()
const made = join(work, 'made')
const tree = join(work, 'tree')
const library = join(tree, 'lib/libfoo.1.dylib')

beforeAll(() => {
  const { app } = application('arm64')
  mustBundle([app, '-f', 'dir', '-o', made])
})

beforeEach(() => {
  rmSync(tree, { recursive: true, force: true })
  cpSync(made, tree, { recursive: true, verbatimSymlinks: true })
  // What is changed is to be told for what it is, not for being changed.
  rmSync(join(tree, 'bundle.json'))
})

interface Found {
  code: string
  severity: string
  file: string
  message: string
}

const closed = (path = tree): { code: number | null; findings: Found[] } => {
  const { code, stdout } = bundle(['verify', '--closed', '--json', path])
  return { code, findings: JSON.parse(stdout).results[0].findings }
}

/** Changes a file at the place of some bytes. */
function change(path: string, from: Buffer | string, to: Buffer | string): void {
  const bytes = readFileSync(path)
  const at = bytes.indexOf(from)
  expect(at).toBeGreaterThan(0)
  Buffer.from(to).copy(bytes, at)
  writeFileSync(path, bytes)
}

test('a bundle as it was made is right, and says which macOS it needs', () => {
  const { code, findings } = closed()
  expect(findings.filter(f => f.severity !== 'note')).toEqual([])
  expect(findings).toContainEqual(expect.objectContaining({ code: 'macos-needed', version: '11.0' }))
  expect(code).toBe(0)
})

test('the same in an archive, and with its own manifest', () => {
  for (const ending of ['tar', 'tar.gz']) {
    const archive = join(work, `made.${ending}`)
    execFileSync('tar', ['-caf', archive, '-C', made, '.'])
    expect(bundle(['verify', archive])).toMatchObject({ code: 0, stdout: /everything resolves inside/ })
  }
  expect(bundle(['verify', made])).toMatchObject({ code: 0, stdout: /everything resolves inside/ })
})

test('a page that was changed', () => {
  change(library, '_foo\0', '_fop\0')
  const { code, findings } = closed()
  expect(code).toBe(1)
  expect(findings).toContainEqual(
    expect.objectContaining({
      code: 'signature-wrong',
      file: 'lib/libfoo.1.dylib',
      message: expect.stringMatching(/^its code signature \(arm64\) is of other contents: page \d+$/),
    }),
  )
})

test('a library without a signature, which no arm64 kernel runs', () => {
  const bytes = readFileSync(library)
  const at = bytes.indexOf(Buffer.from('1d00000010000000', 'hex'))
  expect(at).toBeGreaterThan(0)
  // LC_CODE_SIGNATURE becomes LC_SOURCE_VERSION, which is as long.
  bytes.writeUInt32LE(0x2a, at)
  writeFileSync(library, bytes)
  const { code, findings } = closed()
  expect(code).toBe(1)
  expect(findings).toContainEqual(
    expect.objectContaining({
      code: 'signature-wrong',
      message: expect.stringContaining('it has no code signature (arm64)'),
    }),
  )
})

test('a library that is not there, with who asks for it', () => {
  rmSync(library)
  const { code, findings } = closed()
  expect(code).toBe(1)
  const missing = findings.filter(f => f.code === 'needed-unresolved').map(f => [f.file, f.message])
  expect(missing).toContainEqual(['lib/libbar.dylib', expect.stringContaining('@loader_path/libfoo.1.dylib')])
  expect(missing).toContainEqual(['pkg/app-1.0/bin/app', expect.stringContaining('libfoo.1.dylib')])
})

test('a search path that stands twice', () => {
  const closure = new DarwinClosure('x86_64')
  const file = closure.build(join(tree, 'bin/twice'), 'int main(void) { return 0; }', {
    flags: ['-rpath', '@loader_path/aa', '-rpath', '@loader_path/bb'],
  })
  change(file, '@loader_path/bb', '@loader_path/aa')
  expect(closed().findings).toContainEqual(
    expect.objectContaining({
      code: 'rpath-twice',
      message: 'has @loader_path/aa twice among its LC_RPATH (x86_64), which dyld of macOS 26 refuses',
    }),
  )
})

test('a store path is told with the part of the file that it lies in', () => {
  const closure = new DarwinClosure('universal')
  const store = '/nix/store/0123456789abcdfghijklmnpqrsvwxyz-x'
  const directory = join(temporary(), 'dirty')
  mkdirSync(directory)
  const lib = closure.build(join(directory, 'lib.dylib'), `const char *s = "${store}/data";`, {
    id: `${store}/lib/lib.dylib`,
    flags: ['-rpath', `${store}/lib`],
  })
  closure.build(join(directory, 'program'), 'extern const char *s; int main(void) { return *s; }', { libraries: [lib] })
  const { stdout, code } = bundle(['verify', '--json', directory])
  expect(code).toBe(1)
  const parts = JSON.parse(stdout).results[0].findings.map((f: { part?: string }) => f.part)
  expect(parts).toEqual(expect.arrayContaining(['id', 'rpath', 'install name', '__TEXT,__cstring']))
})

test('a tree of macOS programs that is no bundle passes without --closed', () => {
  const closure = new DarwinClosure('arm64')
  const directory = join(temporary(), 'plain')
  const lib = closure.build(join(directory, 'lib/lib.dylib'), 'int f(void) { return 1; }', {
    id: '/opt/homebrew/lib/lib.dylib',
  })
  closure.build(join(directory, 'bin/program'), 'int f(void); int main(void) { return f(); }', { libraries: [lib] })
  expect(bundle(['verify', directory]).code).toBe(0)
  const { code, findings } = closed(directory)
  expect(code).toBe(1)
  expect(findings.filter(f => f.severity === 'error')).toEqual([
    expect.objectContaining({ code: 'needed-unresolved', file: 'bin/program', name: '/opt/homebrew/lib/lib.dylib' }),
  ])
})
