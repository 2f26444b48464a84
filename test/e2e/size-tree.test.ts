/** `bundle size`, `bundle tree`: sums that are du's and Nix's, and what the loader itself lists. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, expect, test } from 'vitest'
import {
  bundle,
  command,
  fixture,
  fixtureEnv,
  mustBundle,
  run,
  sharedBundle,
  temporary,
  withoutNix,
} from '../support/bundle.ts'
import { GLIBC, greeterClosure, storePath } from '../support/store-lab.ts'

let directory: string
beforeAll(() => {
  directory = sharedBundle('nginx')
})

interface Sizes {
  readonly total: { readonly files: number; readonly bytes: number; readonly nar: number | null }
  readonly packages: readonly { readonly name: string | null; readonly bytes: number; readonly alone: number | null }[]
}
const size = (...args: string[]): Sizes => JSON.parse(bundle(['size', ...args, '--json']).stdout)

test("the rows add up to the files on disk; what Nix's closure has is Nix's sum", () => {
  const found = size(directory)
  const sizes = execFileSync('find', [directory, '-type', 'f', '-printf', '%s\n'], { encoding: 'utf8' })
    .trim()
    .split('\n')
  expect(found.total.bytes).toBe(sizes.reduce((sum, line) => sum + Number(line), 0))
  expect(found.packages.reduce((sum, row) => sum + row.bytes, 0)).toBe(found.total.bytes)
  expect(found.total.files).toBe(
    Number(execFileSync('sh', ['-c', 'find "$0" ! -type d | wc -l', directory], { encoding: 'utf8' })),
  )

  const nar = execFileSync('sh', ['-c', 'nix-store -qR "$0" | xargs nix-store -q --size', fixture('nginx')], {
    env: fixtureEnv,
    encoding: 'utf8',
  })
  expect(size(fixture('nginx')).total.nar).toBe(
    nar
      .trim()
      .split('\n')
      .reduce((sum, line) => sum + Number(line), 0),
  )
})

test('sizes before bundling are those of what is written: stubs, what is stripped, what is packed anew', () => {
  const { program } = greeterClosure(GLIBC)
  const other = storePath('other-1', { 'share/text': 'text\n' })
  const packed = gzipSync(`see ${other}/share/text`)
  const archive = storePath('archive-1', {
    'bin/archive': `#!/bin/sh\ncat ${other}/share/text\n`,
    'share/packed.gz': packed,
  })
  for (const args of [
    [fixture('nginx'), '--strip'],
    [program, '--prefix', '/opt/somewhere-far-away/greeter-1.0'],
    [archive],
  ]) {
    const planned = JSON.parse(mustBundle([...args, '--dry-run', '--json']).stdout).planned
    const output = join(temporary(), 'out')
    mustBundle([...args, '-f', 'dir', '-o', output, '-q'])
    const { files } = JSON.parse(readFileSync(join(output, 'bundle.json'), 'utf8'))
    const sizes = (list: readonly { type: string; at?: string; path?: string; size: number }[]): [string, number][] =>
      list.filter(f => f.type === 'file').map(f => [(f.at ?? f.path)!, f.size])
    expect(sizes(planned)).toEqual(sizes(files).filter(([at]) => at !== '.relocations'))
  }
})

test('by section: what readelf says of all programs and libraries, of a directory and of an archive', () => {
  const { code, stdout } = withoutNix(process.execPath, [command, 'size', directory, '--by', 'section', '--json'])
  expect(code).toBe(0)
  const { sections, total } = JSON.parse(stdout) as Sizes & { sections: { name: string; bytes: number }[] }
  expect(sections.reduce((sum, row) => sum + row.bytes, 0)).toBe(total.bytes)
  const listed = execFileSync('sh', ['-c', 'find "$0" -type f -exec readelf -SW {} + 2>/dev/null || :', directory], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  const sums = new Map<string, number>()
  for (const [, name, type, bytes] of listed.matchAll(/^ +\[ *\d+\] (\S+) +(\S+) +[0-9a-f]+ [0-9a-f]+ ([0-9a-f]+)/gm))
    if (type !== 'NOBITS') sums.set(name!, (sums.get(name!) ?? 0) + Number.parseInt(bytes!, 16))
  for (const name of ['.text', '.rodata', '.dynsym', '.symtab', '.eh_frame', '.ldstub'])
    expect(sections.find(row => row.name === name)?.bytes, name).toBe(sums.get(name))

  const archive = join(temporary(), 'nginx.tar')
  execFileSync('tar', ['-cf', archive, '-C', join(directory, '..'), 'nginx'])
  expect(JSON.parse(bundle(['size', archive, '--by', 'section', '--json']).stdout).sections).toEqual(sections)
  const before = bundle(['size', fixture('nginx'), '--by', 'section']).stdout
  expect(before).toMatch(/^\.text +\d+ +\d+\.\d MB$/m)
  expect(bundle(['size', '-', '--by', 'section'], { input: '{}' })).toMatchObject({ code: 2, stdout: '' })
})

test('what a package costs, without Nix too; a budget; what grew', () => {
  const { code, stdout } = withoutNix(process.execPath, [command, 'size', directory])
  expect(code).toBe(0)
  expect(stdout).toMatch(
    /^openssl-3\.0 +9 +6\.4 MB +6\.4 MB +- +nginx-1\.22\.1\/bin\/nginx needs libcrypto\.so\.3, libssl\.so\.3$/m,
  )
  expect(stdout).toMatch(/^glibc-2\.36 .* interpreter; \d+ files need libc\.so\.6$/m)

  const budget = (max: string) => bundle(['size', directory, '--max', max, '-q'])
  expect(budget('100MB')).toMatchObject({ code: 0, stdout: '', stderr: '' })
  expect(budget('5MB')).toMatchObject({ code: 1, stderr: expect.stringContaining('are more than 5000000 (--max)') })
  expect(bundle(['size', directory, '--max', 'much']).code).toBe(2)

  const smaller = ['--exclude', 'openssl-3.0/lib/engines-3/*']
  const { stdout: grown } = bundle(['size', fixture('nginx'), '--against', directory, ...smaller, '--by', 'file'])
  expect(grown).toMatch(/^openssl\/lib\/engines-3\/\w+\.so +went +-[\d.]+ kB +-$/m)
})

test("the loader's part of the tree is what the loader lists", () => {
  const { stdout } = bundle(['tree', fixture('nginx'), '--kind', 'needed,interp', '--json'])
  interface Node {
    readonly package: string
    readonly part: string
    readonly children: readonly Node[]
  }
  const all = (node: Node): string[] => [`${node.package}/${node.part}`, ...node.children.flatMap(all)]
  const [root] = JSON.parse(stdout).roots as Node[]
  const listed = run(join(fixture('nginx'), 'bin/nginx'), [], { env: { LD_TRACE_LOADED_OBJECTS: '1' } }).stdout
  const libraries = [...listed.matchAll(/\/nix\/store\/[a-z0-9]{32}-(\S+)/g)].map(([, path]) =>
    execFileSync('basename', [path!], { encoding: 'utf8' }).trim(),
  )
  const shown = new Set(
    all(root!)
      .slice(1)
      .map(path => path.slice(path.lastIndexOf('/') + 1).replace(/(\.so\.\d+)[.\d]*$/, '$1')),
  )
  expect(shown).toEqual(new Set(libraries.map(name => name.replace(/(\.so\.\d+)[.\d]*$/, '$1'))))
})

test('a tree as text: libraries first, what is only opened with a dotted line, who needs what', () => {
  const { stdout } = bundle(['tree', fixture('nginx')])
  expect(stdout).toMatch(/^nginx-1\.22\.1\/bin\/nginx /)
  expect(stdout).toMatch(/^├─ libcrypto\.so\.3 +openssl-3\.0 +\d\.\d MB +RUNPATH\[\d\]$/m)
  expect(stdout).toMatch(/^│ {2}├┄ libgcc_s\.so\.1 .* opened \(string\)$/m)
  expect(stdout).toMatch(/libc\.so\.6 \^/)
  expect(stdout).toMatch(/lib\/engines-3\/ +openssl-3\.0 +143\.8 kB +4 files; named/)
  expect(stdout).toMatch(/^own files of nginx-1\.22\.1: conf\/ 9, html\/ 2/m)
  const reverse = bundle(['tree', fixture('nginx'), '--reverse', 'libz.so.1'])
  expect(reverse.stdout).toMatch(/^zlib-1\.2\.13\/lib\/libz\.so\S+ .*\n└─ nginx-1\.22\.1\/bin\/nginx /)
  expect(bundle(['tree', fixture('nginx'), '--reverse', 'nosuch'])).toMatchObject({ code: 1, stdout: '' })
})
