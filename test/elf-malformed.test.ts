/** Hostile bytes: a value or BundleError('malformed'), soon, and nothing else. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { parseCache } from '../src/elf/cache.ts'
import { sonameStrings } from '../src/elf/dlopen.ts'
import { type ElfEdit, editInPlace } from '../src/elf/edit.ts'
import type { ElfFacts } from '../src/elf/facts.ts'
import { readLoader } from '../src/elf/loader.ts'
import { parseElf, symbolNames } from '../src/elf/parse.ts'
import { BundleError } from '../src/errors.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { parseScript } from '../src/script/parse.ts'
import { buildElf, INTERP } from './support/elf-image.ts'
import { Random, temporaryDirectory } from './support/elf-tools.ts'

const IMAGE = buildElf()
const GNU = buildElf({ without: ['hash'] })
const UNHASHED = buildElf({ without: ['hash', 'gnuHash'] })
const SIZE = IMAGE.bytes.length
const MAX = 2n ** 64n - 1n

const FACTS = {
  class: 64,
  type: 3,
  interp: INTERP,
  soname: 'libself.so.1',
  needed: ['libc.so.6', 'libm.so.6'],
  rpath: '/store/lib',
  runpath: '$ORIGIN',
  verneed: [{ file: 'libc.so.6', versions: ['GLIBC_2.2.5'] }],
  notes: ['libdl1.so.1'],
  names: ['', 'puts', 'local', 'libc.so.6', 'GLIBC_2.2.5', 'SELF_1'],
}
type Facts = typeof FACTS | { [key in keyof typeof FACTS]: unknown }
const NONE = { soname: null, needed: [], rpath: null, runpath: null, verneed: [], names: [] }

/** The facts in short, or the message of the error. */
function outcome(bytes: Buffer): Facts | string {
  try {
    const source = bufferSource(bytes)
    const facts = parseElf(source, 'x')
    return {
      class: facts.class,
      type: facts.type,
      interp: facts.interp?.value ?? null,
      soname: facts.soname?.value ?? null,
      needed: facts.needed.map(n => n.value),
      rpath: facts.rpath?.value ?? null,
      runpath: facts.runpath?.value ?? null,
      verneed: facts.verneed,
      notes: facts.dlopenNotes.flatMap(n => n.sonames),
      names: symbolNames(source, 'x'),
    }
  } catch (error) {
    if (error instanceof BundleError && error.code === 'malformed') return error.message
    throw error
  }
}

test.each([
  [32, true],
  [32, false],
  [64, true],
  [64, false],
] as const)('a whole file of %i bits, little endian: %s', (bits, little) => {
  expect(outcome(buildElf({ bits, little }).bytes)).toEqual({ ...FACTS, class: bits })
})

/** One field changed, and what comes of it: facts that differ, or the message. */
const CORRUPTIONS: [field: string, value: number | bigint, expected: Partial<Facts> | string][] = [
  ['ident.class', 0, 'ELF class 0 is neither 32 nor 64 bit'],
  ['ident.class', 3, 'ELF class 3 is neither 32 nor 64 bit'],
  ['ident.class', 1, { ...NONE, class: 32, interp: null, notes: [] }],
  ['ident.data', 0, 'ELF byte order 0 is neither little nor big endian'],
  ['ident.data', 3, 'ELF byte order 3 is neither little nor big endian'],
  ['ident.data', 2, 'program headers of 14336 bytes, where the format has 56'],
  ['ident.version', 0, 'ELF version 0 is not 1'],
  ['e_phoff', SIZE, `program headers: 224 bytes at ${SIZE}, but the file has ${SIZE}`],
  ['e_phoff', MAX, `program headers: 224 bytes at Infinity, but the file has ${SIZE}`],
  ['e_phentsize', 0, 'program headers of 0 bytes, where the format has 56'],
  ['e_phentsize', 32, 'program headers of 32 bytes, where the format has 56'],
  ['e_phentsize', 57, 'program headers of 57 bytes, where the format has 56'],
  ['e_phnum', 0, { ...NONE, interp: null, notes: [] }],
  ['e_phnum', 0xffff, 'more than 65534 program headers'],
  ['e_phnum', 0xfffe, `program headers: 3669904 bytes at 64, but the file has ${SIZE}`],
  ['load.offset', 1, `truncated: a segment ends at ${SIZE + 1}, the file at ${SIZE}`],
  ['load.offset', MAX, `truncated: a segment ends at Infinity, the file at ${SIZE}`],
  ['load.filesz', SIZE + 1, `truncated: a segment ends at ${SIZE + 1}, the file at ${SIZE}`],
  ['load.filesz', MAX, `truncated: a segment ends at Infinity, the file at ${SIZE}`],
  ['load.filesz', 0, 'the dynamic string table at address 632 lies in no segment of the file'],
  ['load.vaddr', 4096, 'the dynamic string table at address 632 lies in no segment of the file'],
  ['load.vaddr', MAX, 'the dynamic string table at address 632 lies in no segment of the file'],
  ['load.type', 0, 'the dynamic string table at address 632 lies in no segment of the file'],
  ['interp.offset', SIZE, `PT_INTERP: 28 bytes at ${SIZE}, but the file has ${SIZE}`],
  ['interp.filesz', 0, 'an interpreter name of 0 bytes'],
  ['interp.filesz', 1, 'an interpreter name of 1 bytes'],
  ['interp.filesz', 27, 'PT_INTERP: a string at 0 has no end'],
  ['interp.filesz', 4097, 'an interpreter name of 4097 bytes'],
  ['interp.filesz', MAX, 'an interpreter name of Infinity bytes'],
  ['interp.type', 4, { interp: null }],
  ['dynamic.offset', SIZE, `PT_DYNAMIC: 288 bytes at ${SIZE}, but the file has ${SIZE}`],
  ['dynamic.filesz', 0, NONE],
  ['dynamic.filesz', 15, NONE],
  ['dynamic.filesz', 48, 'names without a dynamic string table'],
  ['dynamic.filesz', SIZE, `PT_DYNAMIC: ${SIZE} bytes at 720, but the file has ${SIZE}`],
  ['dynamic.filesz', 5 << 20, 'a dynamic section of 5242880 bytes'],
  ['dynamic.type', 0, NONE],
  ['note.offset', MAX, { notes: [] }],
  ['note.filesz', 4, { notes: [] }],
  ['note.namesz', 0xffffffff, { notes: [] }],
  ['note.descsz', 0xffffffff, { notes: [] }],
  ['note.descsz', 9, { notes: [] }],
  ['note.n_type', 1, { notes: [] }],
  ['note.align', 8, {}],
  ['sym.puts.name', 83, 'the dynamic string table: 1 bytes at 83 of 83'],
  ['sym.puts.name', 0xffffffff, 'the dynamic string table: 1 bytes at 4294967295 of 83'],
  ['hash.nchain', 0, { names: FACTS.names.slice(3) }],
  ['hash.nchain', 1000, `the dynamic symbol table: 24000 bytes at 416, but the file has ${SIZE}`],
  ['hash.nchain', 0xffffffff, 'a dynamic symbol table of 4294967295 symbols'],
  ['verneed.cnt', 0, { verneed: [{ file: 'libc.so.6', versions: [] }], names: without('GLIBC_2.2.5') }],
  ['verneed.cnt', 0xffff, {}],
  ['verneed.file', 83, 'the dynamic string table: 1 bytes at 83 of 83'],
  ['verneed.aux', 0xffffffff, `the needed versions: 16 bytes at 4294967843, but the file has ${SIZE}`],
  ['verneed.next', 0xffffffff, {}],
  ['verneed.aux.name', 83, 'the dynamic string table: 1 bytes at 83 of 83'],
  ['verneed.aux.next', 1, {}],
  ['verdef.cnt', 0, { names: without('SELF_1') }],
  ['verdef.aux', 0xffffffff, `the defined versions: 8 bytes at 4294967875, but the file has ${SIZE}`],
  ['verdef.aux.name', 0xffff, 'the dynamic string table: 1 bytes at 65535 of 83'],
  ['dyn.needed.val', 0, { needed: ['', 'libm.so.6'] }],
  ['dyn.needed.val', 4, { needed: ['self.so.1', 'libm.so.6'] }],
  ['dyn.needed.val', 83, 'the dynamic string table: 1 bytes at 83 of 83'],
  ['dyn.needed.val', MAX, 'the dynamic string table: 1 bytes at Infinity of 83'],
  ['dyn.needed.tag', 0, NONE],
  ['dyn.soname.val', 83, 'the dynamic string table: 1 bytes at 83 of 83'],
  ['dyn.rpath.val', 83, 'the dynamic string table: 1 bytes at 83 of 83'],
  ['dyn.runpath.val', 83, 'the dynamic string table: 1 bytes at 83 of 83'],
  ['dyn.strtab.tag', 0x1234, 'names without a dynamic string table'],
  ['dyn.strtab.val', MAX, 'the dynamic string table at address Infinity lies in no segment of the file'],
  ['dyn.strtab.val', SIZE, `the dynamic string table at address ${SIZE} lies in no segment of the file`],
  ['dyn.strsz.tag', 0x1234, 'names without a dynamic string table'],
  ['dyn.strsz.val', 0, 'the dynamic string table: 1 bytes at 1 of 0'],
  ['dyn.strsz.val', 82, 'the dynamic string table: a string at 76 has no end'],
  ['dyn.strsz.val', SIZE, `the dynamic string table: ${SIZE} bytes at 632, but the file has ${SIZE}`],
  ['dyn.strsz.val', MAX, 'a dynamic string table of Infinity bytes'],
  ['dyn.symtab.val', SIZE, `the dynamic symbol table at address ${SIZE} lies in no segment of the file`],
  ['dyn.hash.val', SIZE - 4, `the hash table: 8 bytes at ${SIZE - 4}, but the file has ${SIZE}`],
  ['dyn.verneed.val', SIZE, `the needed versions at address ${SIZE} lies in no segment of the file`],
  ['dyn.verneednum.val', 0, { verneed: [], names: without('libc.so.6', 'GLIBC_2.2.5') }],
  ['dyn.verneednum.val', MAX, {}],
  ['dyn.verdef.val', SIZE - 8, `the defined versions: 20 bytes at ${SIZE - 8}, but the file has ${SIZE}`],
  ['dyn.verdefnum.val', 2, {}],
  ['dyn.null.tag', 1, { needed: ['libc.so.6', 'libm.so.6', ''] }],
]

describe('one field is wrong', () => {
  test.each(CORRUPTIONS)('%s = %s', (field, value, expected) => {
    const found = outcome(IMAGE.with({ [field]: value }))
    expect(found).toEqual(typeof expected === 'string' ? `x: ${expected}` : { ...FACTS, ...expected })
  })

  const gnuSize = GNU.bytes.length
  test.each<[string, number | bigint, Partial<Facts> | string]>([
    ['gnu.nbuckets', 0, {}],
    ['gnu.nbuckets', 0xffffffff, 'the GNU hash table: 4294967295 buckets'],
    ['gnu.nbuckets', 0x1000000, `the GNU hash table: 67108864 bytes at 536, but the file has ${gnuSize}`],
    ['gnu.symoffset', 0xffffffff, 'a dynamic symbol table of 4294967295 symbols'],
    ['gnu.bloomWords', 0xffffffff, `the GNU hash table: 4 bytes at 34359738888, but the file has ${gnuSize}`],
    ['gnu.bucket', 0, {}],
    ['gnu.bucket', 0xffffffff, 'the GNU hash table: a chain has no end'],
    ['dyn.gnuHash.val', gnuSize - 8, `the GNU hash table: 16 bytes at ${gnuSize - 8}, but the file has ${gnuSize}`],
  ])('only a GNU hash table: %s = %s', (field, value, expected) => {
    const image = GNU.with({ [field]: value })
    // The table is the last thing of the loaded segment here, so that its end is the file's.
    expect(outcome(image)).toEqual(typeof expected === 'string' ? `x: ${expected}` : { ...FACTS, ...expected })
  })

  const bareSize = UNHASHED.bytes.length
  test.each<[string, number | bigint, Partial<Facts> | string]>([
    ['rela.info', 0, { names: without('puts', 'local') }],
    ['rela.info', MAX, 'a dynamic symbol table of 4294967296 symbols'],
    ['dyn.rela.val', bareSize, `the relocations at address ${bareSize} lies in no segment of the file`],
    ['dyn.relasz.val', 23, { names: without('puts', 'local') }],
    ['dyn.relasz.val', MAX, 'the relocations: Infinity bytes'],
  ])('no hash table: %s = %s', (field, value, expected) => {
    const found = outcome(UNHASHED.with({ [field]: value }))
    expect(found).toEqual(typeof expected === 'string' ? `x: ${expected}` : { ...FACTS, ...expected })
  })
})

test.each([
  ['nothing', Buffer.alloc(0), 'not an ELF file'],
  ['the magic alone', Buffer.from('\x7fELF', 'latin1'), 'ELF identification: 1 bytes at 4 of 4'],
  ['text', Buffer.from('#!/bin/sh\n'), 'not an ELF file'],
  ['16 bytes', IMAGE.bytes.subarray(0, 16), 'ELF header: 64 bytes at 0, but the file has 16'],
])('a file of %s', (_, bytes, expected) => {
  expect(outcome(bytes)).toBe(`x: ${expected}`)
})

/** The symbols' names without these. */
function without(...names: string[]): string[] {
  return FACTS.names.filter(name => !names.includes(name))
}

// ---- Any bytes -------------------------------------------------------------------------------------------------

const EDITS: ElfEdit[] = [
  { op: 'set-interp', to: '/x' },
  { op: 'set-rpath', to: '$ORIGIN' },
  { op: 'replace-needed', from: 'libc.so.6', to: 'c' },
]

/** Everything that is read off an ELF file, and edited in it. Throws nothing but what a caller has to expect. */
function readAll(bytes: Buffer): void {
  const source = bufferSource(bytes)
  for (const read of [
    () => {
      const facts = parseElf(source, 'x')
      sonameStrings(source, facts)
      readLoader(source, facts)
      for (const { offset, bytes: written } of editInPlace(facts, EDITS).writes)
        if (!(offset + written.length <= bytes.length)) throw new Error(`an edit at ${offset} of ${bytes.length}`)
    },
    () => symbolNames(source, 'x'),
    () => parseCache(source),
    () => parseScript(bytes),
  ])
    try {
      read()
    } catch (error) {
      if (!(error instanceof BundleError && error.code === 'malformed')) throw error
    }
}

/** What it took of a processor, in ms: other tests run beside this one. */
function time(run: () => void): number {
  const start = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(start)
  return (user + system) / 1000
}

/** A library, a program and a static program of a few KB, from gcc, and the file of the tests above. */
function fixtures(): Map<string, Buffer> {
  const directory = temporaryDirectory()
  const source = `${directory}/a.c`
  writeFileSync(
    source,
    '#include <stdio.h>\nint f(void) { return puts("libx.so.1"); }\nint main(void) { return f(); }\n',
  )
  const compiled = (name: string, ...flags: string[]): [string, Buffer] => {
    execFileSync('gcc', ['-s', '-Wl,-z,noseparate-code', ...flags, source, '-o', `${directory}/${name}`])
    return [name, readFileSync(`${directory}/${name}`)]
  }
  return new Map([
    ['inline', IMAGE.bytes],
    ['inline, 32 bit, big endian', buildElf({ bits: 32, little: false }).bytes],
    compiled('library', '-shared', '-fPIC', '-Wl,-soname,liba.so.1,-rpath,/store/lib:$ORIGIN'),
    compiled('program', '-Wl,--hash-style=both'),
    compiled('no-pie', '-no-pie', '-Wl,--hash-style=gnu'),
  ])
}

test('every prefix of a file is a value or malformed', () => {
  let count = 0
  for (const bytes of fixtures().values())
    for (let end = 0; end <= Math.min(bytes.length, 16384); end++, count++) readAll(bytes.subarray(0, end))
  expect(count).toBeGreaterThan(16384)
})

const MUTATIONS = Number(process.env.MUTATIONS ?? 10_000)

test(`${MUTATIONS} mutations are a value or malformed, in time and without growing`, { timeout: 600_000 }, () => {
  const seed = Number(process.env.SEED ?? Date.now() % 1e9)
  const random = new Random(seed)
  const originals = [...fixtures()]
  const NUMBERS = [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff]
  const before = process.memoryUsage().rss
  let slowest = 0
  for (let i = 0; i < MUTATIONS; i++) {
    const [name, original] = random.pick(originals)
    const bytes = Buffer.from(original)
    // Most of what is read lies in the headers: half of the changes go there.
    for (let n = 1 + random.below(4); n > 0; n--) {
      const at = random.below(random.chance(50) ? 700 : bytes.length - 4) & (random.chance(80) ? ~3 : ~0)
      if (random.chance(40)) bytes[at] = random.below(256)
      else if (random.chance(70))
        bytes.writeUInt32LE(random.chance(50) ? random.pick(NUMBERS) : random.below(bytes.length), at)
      else bytes.copy(bytes, at, random.below(bytes.length), random.below(bytes.length))
    }
    try {
      slowest = Math.max(
        slowest,
        time(() => readAll(bytes)),
      )
    } catch (error) {
      throw new Error(`SEED=${seed}, mutation ${i} of ${name}`, { cause: error })
    }
  }
  const grown = (process.memoryUsage().rss - before) >> 20
  console.log(`mutations: seed ${seed}, slowest ${slowest.toFixed(1)} ms, ${grown} MiB more`)
  expect(slowest, `SEED=${seed}`).toBeLessThan(1000)
  expect(grown, `SEED=${seed}`).toBeLessThan(256)
})

// ---- Small files that ask for much work ------------------------------------------------------------------------

const MB = 1 << 20

/** An ELF file with these 64-bit program headers and dynamic entries (of which DT_STRTAB is an address, = an offset). */
function crafted(
  size: number,
  segments: readonly (readonly [type: number, offset: number, filesz: number])[],
  dynamic: readonly (readonly [tag: number, value: number])[],
  fill = 0,
): Buffer {
  const bytes = Buffer.alloc(size, fill)
  IMAGE.bytes.copy(bytes, 0, 0, 64)
  bytes.writeUInt16LE(segments.length + 1, 56)
  const dynamicAt = 64 + (segments.length + 1) * 56
  const all = [...segments, [2, dynamicAt, (dynamic.length + 1) * 16] as const]
  for (const [i, [type, offset, filesz]] of all.entries()) {
    bytes.fill(0, 64 + i * 56, 120 + i * 56)
    bytes.writeUInt32LE(type, 64 + i * 56)
    bytes.writeUInt32LE(4, 68 + i * 56)
    for (const at of [8, 16]) bytes.writeUInt32LE(offset, 64 + i * 56 + at)
    for (const at of [32, 40]) bytes.writeUInt32LE(filesz, 64 + i * 56 + at)
  }
  for (const [i, [tag, value]] of [...dynamic, [0, 0] as const].entries()) {
    bytes.writeBigUInt64LE(BigInt(tag), dynamicAt + i * 16)
    bytes.writeBigUInt64LE(BigInt(value), dynamicAt + i * 16 + 8)
  }
  return bytes
}

test('names that are all tails of one endless string', () => {
  const size = 16 * MB
  const needed = Array.from({ length: 100_000 }, (_, i) => [1, i] as const)
  const bytes = crafted(size, [[1, 0, size]], [[5, 4 * MB], [10, 12 * MB], ...needed], 0x61)
  bytes[size - 1] = 0
  expect(
    time(() => expect(outcome(bytes)).toBe('x: the dynamic string table: names sum to more than the file can hold')),
  ).toBeLessThan(1000)
})

test('a thousand needed libraries and one long RUNPATH are no attack', () => {
  const names = Array.from({ length: 1000 }, (_, i) => `libnumber${i}.so.1`)
  const runpath = Array.from(
    { length: 1000 },
    (_, i) => `/nix/store/${`${i}`.padStart(32, '0')}-package-${i}/lib`,
  ).join(':')
  const table = `\0${names.join('\0')}\0${runpath}\0`
  let at = 1
  const needed = names.map(name => [1, (at += name.length + 1) - name.length - 1] as const)
  const tableAt = 32768
  const bytes = crafted(
    tableAt + table.length,
    [[1, 0, tableAt + table.length]],
    [[5, tableAt], [10, table.length], [29, at], ...needed],
  )
  bytes.write(table, tableAt, 'latin1')
  expect(outcome(bytes)).toMatchObject({ needed: names, runpath })
})

test('65,000 notes in one place are read once', () => {
  const size = 8 * MB
  const notes = Array.from({ length: 65_000 }, () => [4, 5 * MB, MB] as const)
  expect(time(() => readAll(crafted(size, notes, [])))).toBeLessThan(1000)
})

test('65,000 segments in one place are searched once', () => {
  const size = 16 * MB
  const loads = Array.from({ length: 65_000 }, () => [1, 0, size] as const)
  expect(time(() => readAll(crafted(size, loads, [])))).toBeLessThan(1000)
})

test('version records that overlap', () => {
  const size = 16 * MB
  // Each record of ones says: one version more, one byte on.
  const bytes = crafted(
    size,
    [[1, 0, size]],
    [
      [5, 4 * MB],
      [10, 16],
      [0x6ffffffe, 5 * MB],
      [0x6fffffff, 0xffffffff],
    ],
    1,
  )
  bytes.fill(0, 4 * MB, 4 * MB + 16)
  expect(time(() => readAll(bytes))).toBeLessThan(1000)
})

test.each([
  ['/', `\0${'/'.repeat(16)}`],
  ['a/', `\0/${'a/'.repeat(16)}`],
  ['lib/', `\0/${'lib/'.repeat(16)}`],
  ['/lib with no end', '/lib'],
  ['.so', '.so'],
  ['lib', 'lib'],
  ['lib.so.1', 'lib.so.1.1.1.1.1'],
  ['/etc/ld.so.', '\0/etc/ld.so.'],
  ['NUL and slash', '\0/'],
  ['slash and NUL', '/\0'],
])('16 MB of %s take no time', (_, pattern) => {
  const bytes = crafted(16 * MB, [[1, 0, 16 * MB]], [])
  bytes.write('\0/', 1024, 'latin1')
  bytes.fill(pattern, 1026, bytes.length, 'latin1')
  const source = bufferSource(bytes)
  const facts = parseElf(source, 'x')
  expect(time(() => sonameStrings(source, facts))).toBeLessThan(1000)
  expect(time(() => readLoader(source, facts))).toBeLessThan(1000)
  expect(time(() => parseScript(Buffer.concat([Buffer.from('#!'), bytes.subarray(1026)])))).toBeLessThan(1000)
})

test('a cache of which all entries are one endless string', () => {
  const bytes = Buffer.alloc(8 * MB, 0x61)
  bytes.write('glibc-ld.so.cache1.1', 0, 'latin1')
  bytes.writeUInt32LE(300_000, 20)
  for (let i = 0; i < 300_000; i++) {
    bytes.writeUInt32LE(7_300_000, 48 + i * 24 + 4)
    bytes.writeUInt32LE(7_300_001, 48 + i * 24 + 8)
    bytes.writeBigUInt64LE(0n, 48 + i * 24 + 16)
  }
  bytes[bytes.length - 1] = 0
  expect(time(() => expect(parseCache(bufferSource(bytes)).size).toBe(0))).toBeLessThan(1000)
})

test.each([
  ['nothing', '', []],
  ['no table', 'glibc-ld.so.cache1.1', []],
  ['a count that the file has no room for', `glibc-ld.so.cache1.1${'\xff'.repeat(28)}`, []],
])('a cache with %s holds nothing', (_, text, expected) => {
  expect([...parseCache(bufferSource(Buffer.from(text, 'latin1')))]).toEqual(expected)
})

test.each<[text: string, interpreter: string | null, argument: string | null]>([
  ['#!/bin/sh\n', '/bin/sh', null],
  ['#! \t/bin/sh \t-e x \nrest', '/bin/sh', '-e x'],
  ['#!/bin/sh', '/bin/sh', null],
  ['#!', null, null],
  ['#!\n/bin/sh', null, null],
  ['#! \0', null, null],
  ['# !/bin/sh', null, null],
  [`#!${' '.repeat(300)}/bin/sh`, null, null],
])('the script %j', (text, interpreter, argument) => {
  const facts = parseScript(Buffer.from(text, 'latin1'))
  expect([facts?.interpreter.value ?? null, facts?.argument ?? null]).toEqual([interpreter, argument])
})

test('soname strings are found at every place of a piece, once each', () => {
  const PIECE = 256 * 1024
  for (const at of [200, PIECE - 20, PIECE - 8, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE - 5]) {
    const bytes = crafted(2 * PIECE + 300, [[1, 0, 2 * PIECE + 300]], [])
    bytes.write('\0libx.so.12\0', at, 'latin1')
    const source = bufferSource(bytes)
    expect(sonameStrings(source, parseElf(source, 'x') as ElfFacts), `at ${at}`).toEqual([
      { name: 'libx.so.12', offset: at + 1 },
    ])
  }
})

test('a soname string stands from NUL to NUL and has no more than 255 bytes', () => {
  const long = `lib${'x'.repeat(249)}.so`
  const bytes = crafted(4096, [[1, 0, 4096]], [])
  const texts = [
    'liba.so',
    'a liba2.so',
    'libb.so.',
    'libc.so.1x',
    'lib/d.so',
    'libe.so.so.1',
    long,
    `${long}x`,
    `x${long}`,
  ]
  bytes.write(`\0${texts.join('\0')}\0`, 1024, 'latin1')
  const source = bufferSource(bytes)
  const found = sonameStrings(source, parseElf(source, 'x'))
  expect(found.map(({ name }) => name)).toEqual(['liba.so', 'libe.so.so.1', long])
  for (const { name, offset } of found) expect(bytes.toString('latin1', offset, offset + name.length)).toBe(name)
})
