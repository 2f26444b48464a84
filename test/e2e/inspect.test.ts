/** `bundle inspect`: what it says is what readelf, file and grep say, and no bytes make it stumble. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { BundleError } from '../../src/errors.ts'
import { inspectWord } from '../../src/inspected.ts'
import { inspectJson, inspectText } from '../../src/report/inspect.ts'
import { inspect, newestVersions } from '../../src/scan/inspect.ts'
import { bundle, fixture, run, sharedBundle, temporary } from '../support/bundle.ts'
import { storePath } from '../support/store-lab.ts'

/** ELF files of packages and of the machine. */
function objects(): string[] {
  const directories = [
    ...['nginx', 'openssl^bin', 'openssl^out', 'glibc', 'zlib'].flatMap(name =>
      ['bin', 'lib'].map(d => join(fixture(name), d)),
    ),
    '/usr/bin',
  ]
  const all = directories.flatMap(directory => {
    try {
      return readdirSync(directory).map(name => join(directory, name))
    } catch {
      return []
    }
  })
  const elf = all.filter(path => {
    try {
      return (
        statSync(path).isFile() &&
        statSync(path).size < 3e6 &&
        readFileSync(path).subarray(0, 4).equals(Buffer.from('\x7fELF', 'latin1'))
      )
    } catch {
      return false
    }
  })
  return [...new Set(elf.map(path => realpathSync(path)))].slice(0, 110)
}

test('names, search paths, interpreters, build ids and symbol tables of many files are those that readelf shows', () => {
  const paths = objects()
  expect(paths.length).toBeGreaterThan(50)
  const said = execFileSync('readelf', ['-dlnSW', ...paths], {
    encoding: 'latin1',
    maxBuffer: 1 << 28,
    stdio: ['pipe', 'pipe', 'ignore'],
  })
  const byFile = new Map(
    said
      .split(/^File: /m)
      .slice(1)
      .map(text => [text.slice(0, text.indexOf('\n')), text]),
  )
  for (const path of paths) {
    const { node, elf } = inspect(path)
    const { facts } = node
    if (facts.format !== 'elf' || elf === null) throw new Error(path)
    const text = byFile.get(path)!
    const all = (pattern: RegExp): string[] => [...text.matchAll(pattern)].map(([, value]) => value!)
    expect(
      elf.needed.map(n => n.name),
      path,
    ).toEqual(all(/\(NEEDED\).*\[(.*)\]/g))
    expect(facts.runpath?.value ?? null, path).toBe(all(/\(RUNPATH\).*\[(.*)\]/g)[0] ?? null)
    expect(facts.soname?.value ?? null, path).toBe(all(/\(SONAME\).*\[(.*)\]/g)[0] ?? null)
    expect(facts.interp?.value ?? null, path).toBe(all(/interpreter: (.*)\]/g)[0] ?? null)
    expect(elf.buildId, path).toBe(all(/Build ID: ([0-9a-f]+)/g)[0] ?? null)
    expect(elf.isStripped, path).toBe(!/ SYMTAB /.test(text))
    expect(elf.hasRelro, path).toBe(/GNU_RELRO/.test(text))
    expect(elf.isBoundNow, path).toBe(/BIND_NOW|Flags:.* NOW/.test(text))
    for (const { name, offset } of elf.needed)
      expect(readFileSync(path).toString('latin1', offset!, offset! + name.length), path).toBe(name)
  }
})

async function file(path: string) {
  const seen = await inspectWord(path)
  if ('held' in seen) throw new Error(`${path} holds files`)
  return seen
}

test('store paths are those that grep finds, with the part that they lie in', async () => {
  const path = join(fixture('nginx'), 'bin/nginx')
  const { inspection, partAt } = await file(path)
  const offsets = inspection.node.references.map(r => r.offset)
  const grep = execFileSync('grep', ['-obaF', '/nix/store', path], { encoding: 'latin1' })
  expect(offsets).toEqual(
    grep
      .trim()
      .split('\n')
      .map(line => Number(line.split(':')[0])),
  )
  const text = inspectText(inspection, partAt)
  expect(text).toMatch(/ELF program, x86_64, 64 bits, little endian, PIE, \d+ bytes/)
  expect(text).toMatch(/RUNPATH\[\d\] +zlib-1\.2\.13\/lib {2}finds libz\.so\.1/)
  expect(text).toMatch(/needs +6 libraries, all found; newest versions asked for: GLIBC_2\.\d+/)
  expect(text).toMatch(/store paths +\d+: interp 1, runpath \d, \.rodata \d/)
  expect(text).toContain('takes the stub')
})

test('scripts, wrappers, archives, data; a file that is none is an error', () => {
  const other = storePath('other-1', { 'share/x': 'x' })
  const app = storePath('app-1', {
    'bin/script': `#!/bin/sh -e\ncat ${other}/share/x\n`,
    'bin/wrapped': `#! ${other}/bin/bash -e\nexport A='1'\nexec "${other}/share/x"  "$@" \n`,
    'share/plain': 'nothing',
    'share/odd\nname': 'x',
  })
  const at = (name: string): string => join(app, name)
  const { code, stdout } = bundle(['inspect', ...['bin/script', 'share/plain', 'share/odd\nname'].map(at)])
  expect(code).toBe(0)
  expect(stdout).toMatch(/script: shell script, \d+ bytes\n {2}interpreter +\/bin\/sh -e/)
  expect(stdout).toMatch(/other-1\/share\/x {2}file: a file that is named/)
  expect(stdout).toContain('plain: text, 7 bytes\n  store paths  none')
  expect(stdout).toContain('odd\\x0aname')
  const json = JSON.parse(bundle(['inspect', at('bin/script'), '--json']).stdout)
  expect(json).toMatchObject({
    schema: 1,
    command: 'inspect',
    files: [{ format: 'script', references: [{ rule: 'file' }] }],
  })
  for (const [path, reason] of [
    [app, 'a directory'],
    [at('nowhere'), 'no such file'],
    ['/dev/null', 'neither a file'],
  ] as const)
    expect(bundle(['inspect', path])).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(reason) })
})

test('prefixes and mutations of a program: an answer or an error, and nothing else', async () => {
  const bytes = readFileSync(
    join(fixture('zlib'), 'lib', readdirSync(join(fixture('zlib'), 'lib')).find(n => n.startsWith('libz.so'))!),
  )
  const directory = temporary()
  mkdirSync(join(directory, 'd'))
  let seed = 20_231
  const random = (n: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) & 0x7fffffff
    return seed % n
  }
  for (let i = 0; i < 150; i++) {
    const damaged = i % 3 === 0 ? bytes.subarray(0, random(i % 2 ? 4096 : bytes.length)) : Buffer.from(bytes)
    if (i % 3 !== 0) for (let k = 0; k < 8; k++) damaged[random(k < 4 ? 1024 : damaged.length)] = random(256)
    const path = join(directory, 'd', String(i))
    writeFileSync(path, damaged)
    try {
      const looked = await file(path)
      inspectText(looked.inspection, looked.partAt)
      inspectJson([looked])
    } catch (error) {
      if (!(error instanceof BundleError)) throw error
    }
  }
})

test('the newest version of each family', () => {
  expect(
    newestVersions(['GLIBC_2.2.5', 'GLIBC_2.34', 'GLIBC_2.9', 'GLIBCXX_3.4.29', 'GLIBCXX_3.4', 'GLIBC_PRIVATE']),
  ).toEqual(['GLIBCXX_3.4.29', 'GLIBC_2.34'])
})

test('a bundle, whatever it is packed in; an archive that is none; what is named as one', () => {
  const scratch = temporary()
  const forms = { 'n.deb': 'a Debian package', one: 'one file that unpacks itself', 'image.tar': 'an image' }
  for (const [name, format] of [
    ['n.deb', 'deb'],
    ['one', 'exe'],
    ['image.tar', 'oci'],
  ] as const)
    expect(bundle([fixture('nginx'), '-f', format, '-o', join(scratch, name), '-q']).code).toBe(0)
  const directory = sharedBundle('nginx')
  const { stdout, code } = bundle(['inspect', directory, sharedBundle('nginx', '.tar.zst'), ...Object.keys(forms)], {
    cwd: scratch,
  })
  expect(code).toBe(0)
  for (const what of ['a directory', 'a tar archive', ...Object.values(forms)])
    expect(stdout).toMatch(
      new RegExp(`: nginx 1\\.22\\.1 for x86_64-linux, a bundle in ${what}(?:, \\d+ bytes)?$`, 'm'),
    )
  expect(stdout.match(/holds +3\d files and links, 10\.\d MB, of 6 packages/g)).toHaveLength(5)
  expect(stdout.match(/lies +at \/(?:app|opt\/nginx) and nowhere else/g)).toHaveLength(2)
  const program = bundle(['inspect', join(directory, 'bin/nginx')]).stdout
  expect(program).toMatch(/has a bundle's stub; its loader is \.\.\/\.\.\/\.\.\/lib\/ld-linux/)

  writeFileSync(join(scratch, 'a'), 'text')
  run('tar', ['cf', 'plain.tar', 'a'], { cwd: scratch })
  writeFileSync(join(scratch, 'none.tar'), 'text')
  const plain = bundle(['inspect', 'plain.tar', 'none.tar'], { cwd: scratch }).stdout
  expect(plain).toMatch(/^plain\.tar: a tar archive, \d+ bytes: 1 files and links, 4 B; no bundle$/m)
  expect(plain).toMatch(/^none\.tar: text, 4 bytes$/m)
  expect(bundle(['inspect', '.'], { cwd: scratch })).toMatchObject({ code: 2, stdout: '' })
})
