/** Stripping, beside what binutils says of the files before and after, and beside its own strip. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseElf } from '../src/elf/parse.ts'
import { strip } from '../src/elf/strip.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { run, temporary } from './support/bundle.ts'

const scratch = temporary()

/** The file as `apply` would write it; null where it stays as it is. */
function stripped(bytes: Buffer): Buffer | null {
  const how = strip(bufferSource(bytes), parseElf(bufferSource(bytes), 'file'))
  if (how === null) return null
  const result = Buffer.concat([bytes.subarray(0, how.keep), how.tail])
  for (const { offset, from, to } of how.writes) {
    expect(result.subarray(offset, offset + from.length).equals(from)).toBe(true)
    result.set(to, offset)
  }
  return result
}

function readelf(option: string, file: string): string[] {
  const { stdout, stderr } = run('readelf', [option, '-W', file])
  expect(stderr).toBe('')
  return stdout.split('\n')
}

/** Sections that are loaded, without their numbers and links to others. */
const loadedSections = (file: string): string[] =>
  readelf('-S', file).flatMap(line => {
    const [, name, type, address, offset, size, entry, flags] =
      /^ *\[ *\d+\] (\S+) +(\S+) +([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]+) ([0-9a-f]{2}) +(\w*A\w*) /.exec(line) ?? []
    return name === undefined ? [] : [[name, type, address, offset, size, entry, flags].join(' ')]
  })

const compile = (name: string, ...args: string[]): string => {
  const path = join(scratch, name)
  const [compiler = '', ...flags] = args
  writeFileSync(
    `${path}.c`,
    '#include <stdio.h>\nint counted = 3;\nint main(void) { return printf("%d\\n", counted) < 0; }\n',
  )
  execFileSync(compiler, [...flags, '-g', '-o', path, `${path}.c`])
  return path
}

describe.each([
  ['PIE', 'gcc'],
  ['non-PIE', 'gcc', '-no-pie'],
  ['static', 'gcc', '-static'],
  ['lld', 'gcc', '-fuse-ld=lld'],
  ['two kinds of hash, no separate code', 'gcc', '-Wl,--hash-style=both,-z,noseparate-code'],
  ['aarch64', 'aarch64-linux-gnu-gcc'],
])('%s', (name, ...command) => {
  const before = compile(name.replaceAll(' ', '-'), ...command)
  const after = `${before}-stripped`
  const bytes = stripped(readFileSync(before))
  writeFileSync(after, bytes ?? '', { mode: 0o755 })

  test('what is loaded stays where it is; symbols and debug information go', () => {
    expect(loadedSections(after)).toEqual(loadedSections(before))
    expect(readelf('-l', after)).toEqual(readelf('-l', before))
    expect(readelf('-d', after)).toEqual(readelf('-d', before))
    expect(readelf('-S', after).join('\n')).not.toMatch(/\.symtab|\.debug_|\.comment/)
  })

  // binutils lets section names share their ends.
  test("it is hardly larger than what binutils' strip leaves, and stripped again stays as it is", () => {
    const other = `${before}-other`
    const tool = command[0] === 'gcc' ? 'strip' : 'aarch64-linux-gnu-strip'
    execFileSync(tool, ['--strip-unneeded', '-R', '.comment', '-o', other, before])
    expect(bytes!.length).toBeLessThanOrEqual(readFileSync(other).length + 64)
    expect(stripped(bytes!)).toBeNull()
  })

  test('it runs', () => {
    const emulator = command[0] === 'gcc' ? [] : ['qemu-aarch64-static', '-L', '/usr/aarch64-linux-gnu']
    const [file = '', ...args] = [...emulator, after]
    expect(execFileSync(file, args, { encoding: 'utf8' })).toBe('3\n')
  })
})

test("this machine's libraries keep all that is loaded", () => {
  const directory = '/usr/lib/x86_64-linux-gnu'
  const files = new Set(
    readdirSync(directory)
      .filter(name => /\.so[.\d]*$/.test(name))
      .map(name => realpathSync(join(directory, name))),
  )
  let seen = 0
  for (const file of [...files].slice(0, 60)) {
    const bytes = readFileSync(file)
    if (bytes.readUInt32BE(0) !== 0x7f454c46) continue
    const after = stripped(bytes)
    if (after === null) continue
    const path = join(scratch, 'library')
    writeFileSync(path, after)
    expect(loadedSections(path)).toEqual(loadedSections(file))
    expect(readelf('-l', path)).toEqual(readelf('-l', file))
    seen++
  }
  expect(seen).toBeGreaterThan(10)
})

test('what has data behind its sections, or no sections, stays as it is', () => {
  const program = readFileSync(compile('payload', 'gcc'))
  expect(stripped(Buffer.concat([program, Buffer.from('payload')]))).toBeNull()
  const without = Buffer.from(program)
  without.fill(0, 40, 48)
  without.fill(0, 58, 64)
  expect(stripped(without)).toBeNull()
})

test('a section table that is nonsense is none', () => {
  const program = readFileSync(compile('nonsense', 'gcc'))
  const table = Number(program.readBigUInt64LE(40))
  for (const field of [16, 24, 32, 48])
    for (let section = 1; section < program.readUInt16LE(60); section++) {
      const bytes = Buffer.from(program)
      bytes.writeBigUInt64LE(0xfffffffffffffff0n, table + section * 64 + field)
      expect(() => stripped(bytes)).not.toThrow()
    }
})
