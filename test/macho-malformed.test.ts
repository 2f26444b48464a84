/** Hostile bytes: a value or BundleError('malformed'), soon, and nothing else. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BundleError } from '../src/errors.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { parseMachO } from '../src/macho/parse.ts'
import { buildFat, buildMachO, DYLIBS } from './support/macho-image.ts'
import { MachOLab } from './support/macho-lab.ts'
import { mutate, mutationOriginals, readAll } from './support/macho-mutations.ts'

const IMAGE = buildMachO()
const SIZE = IMAGE.bytes.length
const MAX = 2n ** 64n - 1n

const FACTS = {
  container: 'thin',
  class: 64,
  arch: 'x86_64',
  filetype: 6,
  id: '@rpath/libself.dylib' as string | null,
  dylibs: DYLIBS.map(([kind, , name]) => `${kind} ${name}`),
  rpaths: ['/nix/store/lib', '@loader_path/../lib'],
  dylinker: '/usr/lib/dyld' as string | null,
  environment: ['DYLD_LIBRARY_PATH=/x'],
  versions: ['macos 11.0 14.2.1', 'macos 10.14.6 10.15'],
  segments: ['__TEXT', '__LINKEDIT'],
}
const NONE = { id: null, dylibs: [], rpaths: [], dylinker: null, environment: [], versions: [] }
type Facts = { [key in keyof typeof FACTS]: unknown }

/** The facts of the first slice in short, or the message of the error. */
function outcome(bytes: Buffer): Facts | string {
  try {
    const { container, slices } = parseMachO(bufferSource(bytes), 'x')
    const slice = slices[0]!
    return {
      container,
      class: slice.class,
      arch: slice.arch,
      filetype: slice.filetype,
      id: slice.id?.value ?? null,
      dylibs: slice.dylibs.map(d => `${d.kind} ${d.name.value}`),
      rpaths: slice.rpaths.map(r => r.value),
      dylinker: slice.dylinker?.value ?? null,
      environment: slice.environment.map(e => e.value),
      versions: slice.versions.map(v => `${v.platform} ${v.minos} ${v.sdk}`),
      segments: slice.segments.map(s => s.name),
    }
  } catch (error) {
    if (error instanceof BundleError && error.code === 'malformed') return error.message
    throw error
  }
}

test.each([
  [32, true, 'i386'],
  [32, false, 'ppc'],
  [64, true, 'x86_64'],
  [64, false, 'ppc64'],
] as const)('a whole file of %i bits, little endian: %s', (bits, little, arch) => {
  expect(outcome(buildMachO({ bits, little }).bytes)).toEqual({ ...FACTS, class: bits, arch })
})

/** One field changed, and what comes of it: facts that differ, or the message. */
const CORRUPTIONS: [field: string, value: number | bigint, expected: Partial<Facts> | string][] = [
  ['header.magic', 0, 'not a Mach-O file'],
  ['header.magic', 0xfeedface, 'a header of 32 bits for CPU type 16777223'],
  ['header.magic', 0xcffaedfe, `load commands of 4026728448 bytes in a slice of ${SIZE}`],
  ['header.cputype', 7, 'a header of 64 bits for CPU type 7'],
  ['header.cputype', 0x0100000c, { arch: 'arm64' }],
  ['header.cputype', 0x01000063, { arch: 'cpu-16777315' }],
  ['header.cpusubtype', 8, { arch: 'x86_64h' }],
  ['header.filetype', 0xffffffff, { filetype: 0xffffffff }],
  ['header.ncmds', 0x7fffffff, '2147483647 load commands in 1008 bytes'],
  ['header.ncmds', 100, 'load command 22: 8 bytes at 1040 of 1040'],
  ['header.ncmds', 0, { ...NONE, segments: [] }],
  ['header.sizeofcmds', 0, '22 load commands in 0 bytes'],
  ['header.sizeofcmds', 1000, 'load command 21: 16 bytes, but 8 are left'],
  ['header.sizeofcmds', SIZE - 31, `load commands of ${SIZE - 31} bytes in a slice of ${SIZE}`],
  ['header.sizeofcmds', 0xffffffff, `load commands of 4294967295 bytes in a slice of ${SIZE}`],
  ['__TEXT.cmdsize', 0, 'load command 0: a size of 0 bytes'],
  ['__TEXT.cmdsize', 7, 'load command 0: a size of 7 bytes'],
  ['__TEXT.cmdsize', 73, 'load command 0: a size of 73 bytes is no multiple of 4'],
  ['__TEXT.cmdsize', 0x7ffffff8, 'load command 0: 2147483640 bytes, but 1008 are left'],
  ['__TEXT.cmdsize', -8, 'load command 0: 4294967288 bytes, but 1008 are left'],
  ['__TEXT.cmdsize', 64, 'load command 1: a size of 0 bytes'],
  ['__TEXT.fileoff', MAX, `segment __TEXT: 1792 bytes at Infinity, but the slice has ${SIZE}`],
  ['__TEXT.filesize', MAX, `segment __TEXT: Infinity bytes at 0, but the slice has ${SIZE}`],
  ['__TEXT.filesize', SIZE + 1, `segment __TEXT: ${SIZE + 1} bytes at 0, but the slice has ${SIZE}`],
  ['__TEXT.nsects', 3, 'segment __TEXT: 3 sections in a command of 232 bytes'],
  ['__TEXT.nsects', 0xffffffff, 'segment __TEXT: 4294967295 sections in a command of 232 bytes'],
  ['__text.offset', SIZE, `section __TEXT,__text: 64 bytes at ${SIZE}, but the slice has ${SIZE}`],
  ['__text.size', MAX, `section __TEXT,__text: Infinity bytes at 1536, but the slice has ${SIZE}`],
  ['__text.flags', 1, {}],
  ['__bss.flags', 0, `section __TEXT,__bss: 4096 bytes at 0, but the slice has ${SIZE}`],
  ['__LINKEDIT.filesize', 257, `segment __LINKEDIT: 257 bytes at 1792, but the slice has ${SIZE}`],
  ['id.string', 0, 'load command 0xd: a string at 0 of 48'],
  ['id.string', 23, 'load command 0xd: a string at 23 of 48'],
  ['id.string', 48, 'load command 0xd: a string at 48 of 48'],
  ['id.string', 0xffffffff, 'load command 0xd: a string at 4294967295 of 48'],
  ['id.cmd', 0x1234, { id: null }],
  ['load.string', 12, 'load command 0xc: a string at 12 of 56'],
  ['weak.string', 25, { dylibs: FACTS.dylibs.with(1, 'weak rpath/libweak.dylib') }],
  ['reexport.cmd', 0xc, { dylibs: FACTS.dylibs.with(2, 'load @loader_path/libre.dylib') }],
  ['rpath.string', 11, 'load command 0x8000001c: a string at 11 of 32'],
  ['rpath.string', 31, { rpaths: ['', '@loader_path/../lib'] }],
  ['rpath.string', 32, 'load command 0x8000001c: a string at 32 of 32'],
  ['rpath.cmdsize', 24, 'load command 9: a size of 0 bytes'],
  ['rpath2.cmd', 0, { rpaths: ['/nix/store/lib'] }],
  ['dylinker.string', 13, { dylinker: 'usr/lib/dyld' }],
  ['environment.string', 0x80000000, 'load command 0x27: a string at 2147483648 of 40'],
  ['build.platform', 99, { versions: ['platform-99 11.0 14.2.1', 'macos 10.14.6 10.15'] }],
  ['minimum.version', 0xffffffff, { versions: ['macos 11.0 14.2.1', 'macos 65535.255.255 10.15'] }],
  ['symtab.symoff', SIZE, `load command 0x2: 32 bytes at ${SIZE}, but the slice has ${SIZE}`],
  ['symtab.nsyms', 0xffffffff, `load command 0x2: 68719476720 bytes at 1792, but the slice has ${SIZE}`],
  ['symtab.strsize', 0x7fffffff, `load command 0x2: 2147483647 bytes at 1840, but the slice has ${SIZE}`],
  ['dysymtab.indirectsymoff', -1, `load command 0xb: 8 bytes at 4294967295, but the slice has ${SIZE}`],
  ['dysymtab.nindirectsym', 0x40000000, `load command 0xb: 4294967296 bytes at 1856, but the slice has ${SIZE}`],
  ['dyldInfo.bind_off', SIZE, `load command 0x80000022: 8 bytes at ${SIZE}, but the slice has ${SIZE}`],
  ['dyldInfo.export_size', -1, `load command 0x80000022: 4294967295 bytes at 1904, but the slice has ${SIZE}`],
  ['functionStarts.dataoff', SIZE, `load command 0x26: 8 bytes at ${SIZE}, but the slice has ${SIZE}`],
  ['functionStarts.cmd', 0x1d, '2 code signatures in one slice'],
  ['dataInCode.datasize', -1, `load command 0x29: 4294967295 bytes at 1928, but the slice has ${SIZE}`],
  ['chainedFixups.dataoff', -1, `load command 0x80000034: 8 bytes at 4294967295, but the slice has ${SIZE}`],
  ['exportsTrie.datasize', 1000, `load command 0x80000033: 1000 bytes at 1944, but the slice has ${SIZE}`],
  // Where a signature lies matters to nobody: it is made anew.
  ['signature.dataoff', SIZE, {}],
  ['signature.datasize', 0x7fffffff, {}],
  ['signature.cmdsize', 8, 'load command 0x1d: 4 bytes at 8 of 8'],
]

describe('one field is wrong', () => {
  test.each(CORRUPTIONS)('%s = %s', (field, value, expected) => {
    const found = outcome(IMAGE.with({ [field]: value }))
    expect(found).toEqual(typeof expected === 'string' ? `x: ${expected}` : { ...FACTS, ...expected })
  })
})

test('a string without an end', () => {
  const bytes = Buffer.from(IMAGE.bytes)
  const start = IMAGE.fields.get('rpath.cmd')!.offset
  bytes.fill(0x61, start + 12, start + 32)
  expect(outcome(bytes)).toBe('x: load command 0x8000001c: a string at 12 has no end')
})

describe('universal files', () => {
  const slice = { bytes: IMAGE.bytes }
  const count = (value: number) => {
    const bytes = buildFat([slice])
    bytes.writeUInt32BE(value, 4)
    return bytes
  }
  const java = Buffer.alloc(4096)
  java.write('cafebabe00000041', 'hex')

  test('a whole one, with offsets of either width', () => {
    expect(outcome(buildFat([slice, slice]))).toEqual({ ...FACTS, container: 'fat' })
    expect(outcome(buildFat([slice, slice], true))).toEqual({ ...FACTS, container: 'fat64' })
  })

  test.each<[string, Buffer, string]>([
    ['a Java class', java, 'a universal file of 65 slices'],
    ['no slices', count(0), 'a universal file without slices'],
    ['43 slices', count(43), 'a universal file of 43 slices'],
    ['2^32 - 1 slices', count(0xffffffff), 'a universal file of 4294967295 slices'],
    ['a table cut off', count(9).subarray(0, 100), 'the table of slices: 180 bytes at 8, but the file has 100'],
    [
      'a slice beyond the file',
      buildFat([{ ...slice, offset: 8192 }]),
      'slice 0: 2048 bytes at 8192, but the file has 8192',
    ],
    [
      'a size beyond the file',
      buildFat([{ ...slice, size: 4097 }]),
      'slice 0: 4097 bytes at 4096, but the file has 8192',
    ],
    [
      'a 64-bit offset beyond 2^53',
      buildFat([{ ...slice, offset: Number.MAX_SAFE_INTEGER + 1 }], true),
      'slice 0: 2048 bytes at Infinity, but the file has 8192',
    ],
    ['a slice that is cut off', buildFat([{ ...slice, size: 31 }]), 'Mach-O header: 32 bytes, but the slice has 31'],
    ['an empty slice', buildFat([{ ...slice, size: 0 }]), 'a slice of 0 bytes'],
    [
      'overlapping slices',
      buildFat([slice, { ...slice, offset: 4096 }]),
      'the slice at 4096 overlaps the slice at 4096, which ends at 6144',
    ],
    [
      'a slice over the table',
      buildFat([{ ...slice, offset: 0 }]),
      'the slice at 0 overlaps the table of slices, which ends at 28',
    ],
    [
      'a slice that is not aligned',
      buildFat([{ ...slice, offset: 4100 }]),
      'slice 0: at 4100, which is no multiple of 2^12',
    ],
    ['an alignment of 2^16', buildFat([{ ...slice, align: 16 }]), 'slice 0: an alignment of 2^16'],
    ['an alignment of 2^31', buildFat([{ ...slice, align: 31 }]), 'slice 0: an alignment of 2^31'],
    [
      'a universal file in it',
      buildFat([{ bytes: buildFat([slice]).subarray(0, 4096) }]),
      'the slice at 4096 is a universal file itself',
    ],
    [
      'a universal file that is itself',
      buildFat([{ bytes: buildFat([slice]).subarray(0, 28), offset: 4096, size: 28 }]),
      'the slice at 4096 is a universal file itself',
    ],
    ['a static library', buildFat([{ bytes: Buffer.from('!<arch>\n') }]), 'the slice at 4096 is no Mach-O file'],
    [
      'another CPU than the table says',
      buildFat([{ ...slice, cputype: 0x0100000c }]),
      'the table says CPU type 16777228, the slice at 4096 16777223',
    ],
    [
      'a broken second slice',
      buildFat([slice, { bytes: IMAGE.with({ 'header.ncmds': 0x7fffffff }) }]),
      '2147483647 load commands in 1008 bytes',
    ],
  ])('%s', (_, bytes, expected) => {
    expect(outcome(bytes)).toBe(`x: ${expected}`)
  })
})

// What makes npm's macho run out of memory.
test('64 bytes that promise 2^31 load commands of no size', () => {
  const bytes = Buffer.alloc(64)
  for (const [i, word] of [0xfeedfacf, 0x0100000c, 0, 2, 0x7fffffff, 32, 0, 0].entries())
    bytes.writeUInt32LE(word, 4 * i)
  expect(outcome(bytes)).toBe('x: 2147483647 load commands in 32 bytes')
  bytes.writeUInt32LE(0xffffffff, 20)
  expect(outcome(bytes)).toBe('x: load commands of 4294967295 bytes in a slice of 64')
})

test.each([
  ['nothing', Buffer.alloc(0), 'Mach-O magic: 4 bytes at 0, but the file has 0'],
  ['the magic alone', IMAGE.bytes.subarray(0, 4), 'Mach-O header: 32 bytes, but the slice has 4'],
  [
    'the magic of a universal file alone',
    Buffer.from('cafebabe', 'hex'),
    'universal header: 8 bytes at 0, but the file has 4',
  ],
  ['text', Buffer.from('#!/bin/sh\n'), 'not a Mach-O file'],
  ['the header alone', IMAGE.bytes.subarray(0, 32), 'load commands of 1008 bytes in a slice of 32'],
])('a file of %s', (_, bytes, expected) => {
  expect(outcome(bytes)).toBe(`x: ${expected}`)
})

// ---- Any bytes -------------------------------------------------------------------------------------------------

const directory = mkdtempSync(join(tmpdir(), 'storefree-macho-'))
afterAll(() => rmSync(directory, { recursive: true }))
let originals: [string, Buffer][]
beforeAll(() => {
  originals = mutationOriginals(new MachOLab(directory))
}, 120_000)

test('every prefix of a file is a value or malformed', () => {
  let count = 0
  // Of all fixtures in test/long.
  for (const [, bytes] of originals.filter((_, i) => i % 3 === 0))
    for (let end = 0; end <= Math.min(bytes.length, 16384); end++, count++) readAll(bytes.subarray(0, end))
  expect(count).toBeGreaterThan(60_000)
})

const MUTATIONS = Number(process.env.MUTATIONS ?? 10_000)

test(`${MUTATIONS} mutations are a value or malformed, in time and without growing`, { timeout: 600_000 }, () => {
  const { slowest, grown } = mutate(originals, MUTATIONS, Number(process.env.SEED ?? Date.now() % 1e9))
  expect(slowest).toBeLessThan(1000)
  expect(grown).toBeLessThan(256)
})
