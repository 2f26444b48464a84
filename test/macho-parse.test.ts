/** parseMachO says what LLVM's reader says, on files of lld, of other linkers, and of every width and byte order. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { bufferSource, type Located } from '../src/io/bytes.ts'
import type { MachOSlice } from '../src/macho/facts.ts'
import { holdsMachO, isMachO, parseMachO } from '../src/macho/parse.ts'
import { eachOf } from './support/elf-tools.ts'
import { buildFat, buildMachO } from './support/macho-image.ts'
import { type Fixture, MachOLab, npmFixtures } from './support/macho-lab.ts'
import { type PrintedSlice, printedSlices, printedTable } from './support/macho-otool.ts'

const directory = mkdtempSync(join(tmpdir(), 'storefree-macho-'))
afterAll(() => rmSync(directory, { recursive: true }))
let lab: MachOLab
let fixtures: Fixture[]
beforeAll(() => {
  lab = new MachOLab(directory)
  const images = [32, 64].flatMap(bits =>
    [true, false].map(little =>
      lab.write(`image-${bits}-${little}`, buildMachO({ bits: bits as 32 | 64, little }).bytes),
    ),
  )
  fixtures = [...lab.signed(), ...lab.others(), ...images, ...npmFixtures()]
}, 120_000)

test('facts equal LLVM on every file', async () => {
  const differences: unknown[] = []
  const counts = { slices: 0, commands: 0, sections: 0, strings: 0 }
  await eachOf(fixtures, async ({ name, path, bytes }) => {
    const facts = parseMachO(bufferSource(bytes), path)
    const printed = await printedSlices(path)
    expect(facts.slices.length, name).toBe(printed.length)
    for (const [i, slice] of facts.slices.entries()) {
      const [ours, theirs] = [ourReport(slice, bytes), printedReport(printed[i]!)]
      counts.slices++
      counts.commands += theirs.commands.length
      counts.sections += theirs.segments.reduce((sum, s) => sum + s.sections.length, 0)
      counts.strings += theirs.rpaths.length + theirs.dylibs.length + theirs.environment.length
      for (const key of Object.keys(theirs) as (keyof Report)[])
        if (JSON.stringify(ours[key]) !== JSON.stringify(theirs[key]))
          differences.push({ name, slice: i, ours: { [key]: ours[key] }, llvm: { [key]: theirs[key] } })
    }
  })
  console.log(`compared with LLVM: ${fixtures.length} files, ${JSON.stringify(counts)}`)
  expect(differences).toEqual([])
  expect(counts.slices).toBeGreaterThan(60)
})

test('the table of a universal file equals LLVM', async () => {
  const universal = fixtures.filter(({ bytes }) => bytes.readUInt32BE(0) >>> 1 === 0xcafebabe >>> 1)
  expect(universal.length).toBeGreaterThanOrEqual(5)
  for (const { path, bytes } of universal) {
    const facts = parseMachO(bufferSource(bytes), path)
    expect(facts.container).toBe(bytes[3] === 0xbe ? 'fat' : 'fat64')
    expect(facts.slices.map(s => [s.entry!.cputype, s.entry!.cpusubtype, s.offset, s.size, s.entry!.align])).toEqual(
      await printedTable(path),
    )
  }
})

test('only headers and load commands are read of a large file', () => {
  const { bytes } = npmFixtures()[3]!
  let read = 0
  const facts = parseMachO(
    {
      size: bytes.length,
      read(offset, length) {
        read += length
        return bytes.subarray(offset, offset + length)
      },
    },
    'biome',
  )
  expect(facts.slices).toHaveLength(1)
  expect(read).toBeLessThan(8192)
})

test('the room is what lies between the load commands and the first section', () => {
  for (const fixups of ['-fixup_chains', '-no_fixup_chains']) {
    const [slice] = parseMachO(bufferSource(lab.fixture(`arm64${fixups}/padded.dylib`).bytes), 'x').slices
    const first = slice!.segments[0]!.sections[0]!
    expect([first.name, slice!.room]).toEqual(['__text', first.offset - 32 - slice!.sizeofcmds])
    expect(slice!.room).toBeGreaterThanOrEqual(0x1000)
  }
})

test('architectures by their names', () => {
  const names = (name: string) => parseMachO(bufferSource(lab.fixture(name).bytes), name).slices.map(s => s.arch)
  expect(names('arm64e.dylib')).toEqual(['arm64e'])
  expect(names('fat-arm64e')).toEqual(['x86_64', 'arm64', 'arm64e'])
})

test('dylib_use_command: flags say what the command does not', () => {
  const image = buildMachO()
  const kinds = [0, 1, 2, 4, 8, 3, 5].map(flags => {
    const { offset } = image.fields.get('load.cmd')!
    const bytes = image.with({ 'load.string': 28, 'load.timestamp': 0x1a741800 })
    bytes.writeUInt32LE(flags, offset + 24)
    return parseMachO(bufferSource(bytes), 'x').slices[0]!.dylibs[0]!.kind
  })
  expect(kinds).toEqual(['load', 'weak', 'reexport', 'upward', 'load', 'reexport', 'weak'])
})

test('a Java class, a static library and a text are no Mach-O files', () => {
  const java = Buffer.alloc(64)
  java.writeUInt32BE(0xcafebabe, 0)
  for (const version of [45, 52, 65, 0x0003002d]) {
    java.writeUInt32BE(version, 4)
    expect([isMachO(java), holdsMachO(bufferSource(java))]).toEqual([false, false])
  }
  const archive = buildFat([{ bytes: Buffer.from('!<arch>\n') }])
  expect([isMachO(archive), holdsMachO(bufferSource(archive))]).toEqual([true, false])
  for (const none of [Buffer.alloc(0), Buffer.from('\xca\xfe\xba\xbe', 'latin1'), Buffer.from('#!/bin/sh\n')])
    expect([isMachO(none), holdsMachO(bufferSource(none))]).toEqual([false, false])
  for (const { bytes, name } of fixtures)
    expect([name, isMachO(bytes.subarray(0, 28)), holdsMachO(bufferSource(bytes))]).toEqual([name, true, true])
})

// ---- Reports ---------------------------------------------------------------------------------------------------

interface Report {
  readonly header: readonly number[]
  readonly commands: readonly (readonly [cmd: string, size: number])[]
  readonly segments: readonly {
    readonly fields: readonly (string | number)[]
    readonly sections: readonly (readonly [string, string, number, number])[]
  }[]
  readonly id: string | null
  readonly dylibs: readonly (readonly [kind: string, name: string, current: string, compatibility: string])[]
  readonly rpaths: readonly string[]
  readonly dylinker: string | null
  readonly environment: readonly string[]
  readonly versions: readonly (readonly [string, string])[]
  readonly signature: readonly [number, number] | null
}

const COMMAND_NAMES: Readonly<Record<number, string>> = {
  1: 'LC_SEGMENT',
  2: 'LC_SYMTAB',
  11: 'LC_DYSYMTAB',
  12: 'LC_LOAD_DYLIB',
  13: 'LC_ID_DYLIB',
  14: 'LC_LOAD_DYLINKER',
  25: 'LC_SEGMENT_64',
  29: 'LC_CODE_SIGNATURE',
  32: 'LC_LAZY_LOAD_DYLIB',
  36: 'LC_VERSION_MIN_MACOSX',
  39: 'LC_DYLD_ENVIRONMENT',
  50: 'LC_BUILD_VERSION',
  2147483672: 'LC_LOAD_WEAK_DYLIB',
  2147483676: 'LC_RPATH',
  2147483679: 'LC_REEXPORT_DYLIB',
  2147483683: 'LC_LOAD_UPWARD_DYLIB',
}
const KINDS: Readonly<Record<string, string>> = {
  LC_LOAD_DYLIB: 'load',
  LC_LOAD_WEAK_DYLIB: 'weak',
  LC_REEXPORT_DYLIB: 'reexport',
  LC_LOAD_UPWARD_DYLIB: 'upward',
  LC_LAZY_LOAD_DYLIB: 'lazy',
}
const NAMES = new Set(Object.values(COMMAND_NAMES))

function ourReport(slice: MachOSlice, bytes: Buffer): Report {
  /** What lies in the file where the facts say that the string is. */
  const there = ({ value, offset, capacity }: Located): string => {
    const place = bytes.toString('latin1', offset, offset + capacity)
    expect(place.slice(0, value.length + 1)).toBe(`${value}\0`)
    return value
  }
  return {
    header: [
      slice.class === 64 ? 0xfeedfacf : 0xfeedface,
      slice.cputype,
      slice.cpusubtype & 0xffffff,
      slice.cpusubtype >>> 24,
      slice.filetype,
      slice.commands.length,
      slice.sizeofcmds,
      slice.flags,
    ],
    commands: slice.commands.map(({ cmd, size }) => [COMMAND_NAMES[cmd] ?? 'other', size]),
    segments: slice.segments.map(s => ({
      fields: [s.name, s.vmaddr, s.vmsize, s.fileoff, s.filesize],
      sections: s.sections.map(x => [x.segment, x.name, x.size, x.offset]),
    })),
    id: slice.id && there(slice.id),
    dylibs: slice.dylibs.map(d => [d.kind, there(d.name), d.current, d.compatibility]),
    rpaths: slice.rpaths.map(there),
    dylinker: slice.dylinker && there(slice.dylinker),
    environment: slice.environment.map(there),
    versions: slice.versions.map(v => [v.minos, v.sdk === '0.0' ? 'n/a' : v.sdk]),
    signature: slice.signature && [slice.signature.offset - slice.offset, slice.signature.size],
  }
}

function printedReport({ header, commands }: PrintedSlice): Report {
  const of = (...names: readonly string[]) =>
    commands.map(c => c.fields).filter(fields => names.includes(fields.get('cmd')!))
  const string = (value: string): string => value.replace(/ \(offset \d+\)$/, '')
  const dylibs = of(...Object.keys(KINDS))
  return {
    header,
    commands: commands.map(({ fields }) => {
      const cmd = fields.get('cmd')!
      return [NAMES.has(cmd) ? cmd : 'other', Number(fields.get('cmdsize'))]
    }),
    segments: commands
      .filter(c => c.fields.get('cmd')!.startsWith('LC_SEGMENT'))
      .filter(c => c.fields.get('cmd') !== 'LC_SEGMENT_SPLIT_INFO')
      .map(({ fields, sections }) => ({
        fields: [
          fields.get('segname') ?? '',
          ...['vmaddr', 'vmsize', 'fileoff', 'filesize'].map(key => Number(fields.get(key))),
        ],
        sections: sections.map(s => [
          s.get('segname')!,
          s.get('sectname')!,
          Number(s.get('size')!.split(' ')[0]), // LLVM adds "(past end of file)" to what takes no bytes
          Number(s.get('offset')),
        ]),
      })),
    id: of('LC_ID_DYLIB').map(f => string(f.get('name')!))[0] ?? null,
    dylibs: dylibs.map(f => [
      KINDS[f.get('cmd')!]!,
      string(f.get('name')!),
      f.get('current version')!,
      f.get('compatibility version')!,
    ]),
    rpaths: of('LC_RPATH').map(f => string(f.get('path')!)),
    dylinker: of('LC_LOAD_DYLINKER', 'LC_ID_DYLINKER').map(f => string(f.get('name')!))[0] ?? null,
    environment: of('LC_DYLD_ENVIRONMENT').map(f => string(f.get('name')!)),
    versions: commands.flatMap(({ fields }) => {
      const cmd = fields.get('cmd')!
      if (cmd === 'LC_BUILD_VERSION') return [[fields.get('minos')!, fields.get('sdk')!] as const]
      return cmd.startsWith('LC_VERSION_MIN') ? [[fields.get('version')!, fields.get('sdk')!] as const] : []
    }),
    signature:
      of('LC_CODE_SIGNATURE').map(f => [Number(f.get('dataoff')), Number(f.get('datasize'))] as const)[0] ?? null,
  }
}
