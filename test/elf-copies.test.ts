/** Copy relocations: what readelf sees of them, and the library that ld.so takes each from. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { readCopies, readVariables, resolveCopies } from '../src/elf/copies.ts'
import { BundleError } from '../src/errors.ts'
import { bufferSource } from '../src/io/bytes.ts'
import type { SourcePath } from '../src/paths.ts'
import { temporary } from './support/bundle.ts'
import { output, Random } from './support/elf-tools.ts'
import { say } from './support/stub-lab.ts'

const root = temporary()
const at = (name: string): string => join(root, name)
const VARIABLE = (name: string, size: number): string => `char ${name}[${size}] = "${name}";\n`

/** A library of variables, with their versions and what it needs. */
async function library(name: string, source: string, versions: string | null, ...more: string[]): Promise<void> {
  writeFileSync(at(`${name}.c`), source)
  if (versions !== null) writeFileSync(at(`${name}.map`), versions)
  const script = versions === null ? [] : [`-Wl,--version-script,${at(`${name}.map`)}`]
  await output('gcc', ['-shared', '-fPIC', ...script, at(`${name}.c`), '-o', at(`lib${name}.so`), ...more])
}

const LIBRARIES = ['old', 'plain', 'new', 'last']
const NAMES = ['shared', 'versioned', 'only_last', 'small', 'large']

beforeAll(async () => {
  await library('old', `${VARIABLE('versioned_old', 60)}__asm__(".symver versioned_old,versioned@OLD");`, 'OLD { };')
  await library('plain', VARIABLE('shared', 90) + VARIABLE('small', 44), null)
  await library('new', VARIABLE('versioned', 70) + VARIABLE('shared', 80) + VARIABLE('large', 5000), 'NEW { *; };')
  await library('last', VARIABLE('only_last', 45) + VARIABLE('large', 5000), null)
  writeFileSync(
    at('main.c'),
    `#include <stdio.h>
${NAMES.map(name => `extern char ${name}[];`).join('\n')}
int main(void) { ${NAMES.map(name => `puts(${name});`).join(' ')} return stdout == 0; }`,
  )
  for (const linker of ['bfd', 'lld']) {
    const libraries = ['old', 'new', 'plain', 'last'].map(name => `-l${name}`)
    const flags = ['-fno-pie', '-no-pie', `-fuse-ld=${linker}`, `-L${root}`, '-Wl,--no-as-needed', `-Wl,-rpath,${root}`]
    await output('gcc', [...flags, at('main.c'), ...libraries, '-o', at(linker)])
    await output('gcc', [...flags, at('main.c'), ...libraries.toReversed(), '-o', at(`${linker}-reversed`)])
  }
})

const sourceOf = (name: string) => bufferSource(readFileSync(at(name)))

/** The libraries in the order of ld.so's own list, by their paths. */
async function loaded(program: string): Promise<SourcePath[]> {
  const said = await say(at(program), [], { LD_TRACE_LOADED_OBJECTS: '1' })
  return [...said.stdout.matchAll(/=> (\/\S+)/g)].map(([, path]) => path as SourcePath)
}

describe.each(['bfd', 'bfd-reversed', 'lld', 'lld-reversed'])('%s', program => {
  test('address, name and size, as readelf has them', async () => {
    const listed = await output('readelf', ['-rW', '--dyn-syms', at(program)])
    const rows = [...listed.matchAll(/^([0-9a-f]+) .*R_X86_64_COPY\s+[0-9a-f]+ ([\w]+)/gm)]
    const expected = rows.flatMap(([, address, name]) => {
      const size = Number(new RegExp(`: [0-9a-f]+ +(\\d+) OBJECT .* ${name}(@|$)`, 'm').exec(listed)![1])
      return size < 45 ? [] : [{ name, address: Number.parseInt(address!, 16), size }]
    })
    const sorted = (list: readonly { name?: string | undefined }[]) =>
      [...list].sort((a, b) => (a.name! < b.name! ? -1 : 1))
    const copies = readCopies(sourceOf(program), program)
    expect(sorted(copies.map(({ name, address, size }) => ({ name, address, size })))).toEqual(sorted(expected))
    expect(copies.map(c => c.name).sort()).toEqual(NAMES.filter(name => name !== 'small').sort())
    expect(copies.find(c => c.name === 'versioned')!.version).toBe('NEW')
  })

  test('the library that ld.so binds each to', async () => {
    const { stderr } = await say(at(program), [], { LD_DEBUG: 'bindings', LD_BIND_NOW: '1' })
    const libraries = await loaded(program)
    expect(libraries.map(path => path.slice(path.lastIndexOf('/') + 1))).toEqual(
      expect.arrayContaining(LIBRARIES.map(name => `lib${name}.so`)),
    )
    const read: string[] = []
    const copies = readCopies(sourceOf(program), program)
    const resolved = resolveCopies(copies, libraries, path => {
      read.push(path)
      return readVariables(bufferSource(readFileSync(path)), path)
    })
    expect(resolved).toHaveLength(copies.length)
    for (const [i, { name }] of copies.entries()) {
      const bound = [...stderr.matchAll(/binding file (\S+) \[0\] to (\S+) \[0\]: normal symbol `(\w+)'/g)]
      const of = bound.filter(([, from, , symbol]) => from === at(program) && symbol === name)
      expect(resolved[i]!.from, name).toBe(of[0]?.[2])
      const symbols = await output('nm', ['-D', '--defined-only', resolved[i]!.from])
      const address = new RegExp(`^([0-9a-f]+) \\w ${name}(@|$)`, 'm').exec(symbols)![1]!
      expect(resolved[i]!.address, name).toBe(Number.parseInt(address, 16))
    }
  })
})

test('random bytes in it: copies or an error that says so', () => {
  const random = new Random(11)
  for (const name of ['bfd', 'libnew.so']) {
    const original = readFileSync(at(name))
    for (let i = 0; i < 400; i++) {
      const bytes = Buffer.from(original)
      for (let n = 1 + random.below(6); n > 0; n--) bytes[random.below(8000)] = random.below(256)
      try {
        for (const { address } of readCopies(bufferSource(bytes), name))
          expect(Number.isSafeInteger(address)).toBe(true)
        readVariables(bufferSource(bytes), name)
      } catch (error) {
        expect(error).toBeInstanceOf(BundleError)
      }
    }
  }
})
