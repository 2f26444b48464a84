/**
 * Mach-O: bytes in, facts out.
 *
 * A universal file is several files behind a table, one for each CPU, and every fact is a slice's own. What dyld reads
 * is what counts: the load commands behind the header. Sections are read for one thing only, the room behind the load
 * commands. Sources: Apple's mach-o/loader.h and mach-o/fat.h; what dyld refuses is in its mach_o/UnsafeHeader.cpp.
 *
 * A count is compared with the bytes that are there before anything is allocated. Whatever does not fit is
 * `BundleError('malformed')`; nothing else is thrown. Reads go through a ByteSource and touch headers and load commands
 * only, so that the facts of a 2 GB file cost a few kilobytes.
 *
 * (npm's macho was tried: a 64-byte file with ncmds = 0x7fffffff makes it run out of memory, big-endian files throw,
 * and re-exported and upward libraries come as raw bytes.)
 */

import { type ByteSource, type Located, malformed, type View } from '../io/bytes.ts'
import { archName, DYLIB_USE, LC, MH, ZEROFILL } from './constants.ts'
import type { Dylib, DylibKind, LoadCommand, MachOFacts, MachOSection, MachOSegment, MachOSlice } from './facts.ts'
import { type Commands, type Extent, type Header, headerSize, readCommands, readExtents, readHeader } from './image.ts'

export { holdsMachO, isMachO, MACHO_HEAD } from './image.ts'

/**
 * The facts of a Mach-O file, thin or universal.
 * @param path only for the error message
 * @throws BundleError('malformed')
 */
export function parseMachO(source: ByteSource, path: string): MachOFacts {
  const { container, extents } = readExtents(source, path)
  return { format: 'macho', container, slices: extents.map(extent => readSlice(source, extent, path)) }
}

function readSlice(source: ByteSource, extent: Extent, path: string): MachOSlice {
  const header = readHeader(source, extent, path)
  const reader: Reader = { ...readCommands(source, extent, header, path), header, extent, path }
  const { commands } = reader
  const segments = commands.filter(c => c.cmd === LC.segment || c.cmd === LC.segment64).map(c => segment(reader, c))
  const first = checkData(reader, segments)
  const strings = (...cmds: readonly number[]): Located[] =>
    commands.filter(c => cmds.includes(c.cmd)).map(c => string(reader, c, 12))
  const ids = commands.filter(c => c.cmd === LC.idDylib).map(c => string(reader, c, 24))
  const signatures = commands.filter(c => c.cmd === LC.codeSignature)
  if (signatures.length > 1) throw malformed(path, `${signatures.length} code signatures in one slice`)
  return {
    ...extent,
    class: header.class,
    little: header.little,
    cputype: header.cputype,
    cpusubtype: header.cpusubtype,
    arch: archName(header.cputype, header.cpusubtype),
    filetype: header.filetype,
    flags: header.flags,
    sizeofcmds: header.sizeofcmds,
    commands,
    segments,
    id: ids[0] ?? null,
    dylibs: commands.filter(c => DYLIB_KINDS.has(c.cmd)).map(c => dylib(reader, c)),
    rpaths: strings(LC.rpath),
    dylinker: strings(LC.loadDylinker, LC.idDylinker)[0] ?? null,
    environment: strings(LC.dyldEnvironment),
    versions: commands.flatMap(c => version(reader, c)),
    signature:
      signatures.map(c => ({ offset: extent.offset + word(reader, c, 8), size: word(reader, c, 12) }))[0] ?? null,
    room: Math.max(0, first - headerSize(header) - header.sizeofcmds),
  }
}

/** A slice whose load commands are read. */
interface Reader extends Commands {
  readonly header: Header
  readonly extent: Extent
  readonly path: string
}

/** Where in the view a field of a load command lies. The command has to be that long. */
function place({ extent, path }: Reader, command: LoadCommand, field: number, length: number): number {
  if (field + length > command.size)
    throw malformed(path, `${described(command)}: ${length} bytes at ${field} of ${command.size}`)
  return command.offset - extent.offset + field
}

const described = (command: LoadCommand): string => `load command 0x${command.cmd.toString(16)}`

const word = (reader: Reader, command: LoadCommand, field: number): number =>
  reader.view.u32(place(reader, command, field, 4))

/** The string of a command whose fixed part has `fixed` bytes; its offset stands behind cmd and cmdsize. */
function string(reader: Reader, command: LoadCommand, fixed: number): Located {
  const start = word(reader, command, 8)
  if (start < fixed || start >= command.size)
    throw malformed(reader.path, `${described(command)}: a string at ${start} of ${command.size}`)
  const at = command.offset - reader.extent.offset
  const bytes = reader.view.buffer.subarray(at + start, at + command.size)
  const end = bytes.indexOf(0)
  if (end < 0) throw malformed(reader.path, `${described(command)}: a string at ${start} has no end`)
  return { value: bytes.toString('latin1', 0, end), offset: command.offset + start, capacity: bytes.length }
}

// ---- Libraries and versions ------------------------------------------------------------------------------------

const DYLIB_KINDS: ReadonlyMap<number, DylibKind> = new Map([
  [LC.loadDylib, 'load'],
  [LC.loadWeakDylib, 'weak'],
  [LC.reexportDylib, 'reexport'],
  [LC.loadUpwardDylib, 'upward'],
  [LC.lazyLoadDylib, 'lazy'],
])

function dylib(reader: Reader, command: LoadCommand): Dylib {
  const name = string(reader, command, 24)
  return {
    name,
    kind: dylibKind(reader, command),
    current: packed(word(reader, command, 16), 3),
    compatibility: packed(word(reader, command, 20), 3),
  }
}

/** dylib_use_command says with flags what there is no command for; dyld goes by them where there are any. */
function dylibKind(reader: Reader, command: LoadCommand): DylibKind {
  const kind = DYLIB_KINDS.get(command.cmd)!
  if (word(reader, command, 8) !== DYLIB_USE.size || word(reader, command, 12) !== DYLIB_USE.marker) return kind
  const flags = word(reader, command, 24)
  if (flags & DYLIB_USE.reexport) return 'reexport'
  if (flags & DYLIB_USE.weak) return 'weak'
  return flags & DYLIB_USE.upward ? 'upward' : 'load'
}

/** xxxx.yy.zz in nibbles; Apple's tools leave a third number of 0 out of an OS version. */
function packed(value: number, least: 2 | 3): string {
  const numbers = [value >>> 16, (value >>> 8) & 0xff, value & 0xff]
  return numbers.slice(0, least === 2 && numbers[2] === 0 ? 2 : 3).join('.')
}

const PLATFORMS = ['macos', 'ios', 'tvos', 'watchos', 'bridgeos', 'maccatalyst', 'iossimulator']

const MINIMUM: ReadonlyMap<number, string> = new Map([
  [LC.versionMinMacosx, 'macos'],
  [LC.versionMinIphoneos, 'ios'],
  [LC.versionMinTvos, 'tvos'],
  [LC.versionMinWatchos, 'watchos'],
])

function version(reader: Reader, command: LoadCommand): MachOSlice['versions'] {
  const minimum = MINIMUM.get(command.cmd)
  if (minimum === undefined && command.cmd !== LC.buildVersion) return []
  const platform = word(reader, command, 8)
  const at = minimum === undefined ? 12 : 8
  return [
    {
      platform: minimum ?? PLATFORMS[platform - 1] ?? `platform-${platform}`,
      minos: packed(word(reader, command, at), 2),
      sdk: packed(word(reader, command, at + 4), 2),
    },
  ]
}

// ---- Segments --------------------------------------------------------------------------------------------------

/** A name of at most 16 bytes. */
function name16(view: View, at: number): string {
  const bytes = view.buffer.subarray(at, at + 16)
  const end = bytes.indexOf(0)
  return bytes.toString('latin1', 0, end < 0 ? 16 : end)
}

function segment(reader: Reader, command: LoadCommand): MachOSegment {
  const { view, extent, path } = reader
  const wide = command.cmd === LC.segment64
  const [fixed, step] = wide ? [72, 80] : [56, 68]
  const at = place(reader, command, 0, fixed)
  const name = name16(view, at + 8)
  const [vmaddr, vmsize, fileoff, filesize] = wide
    ? [view.u64(at + 24), view.u64(at + 32), view.u64(at + 40), view.u64(at + 48)]
    : [view.u32(at + 24), view.u32(at + 28), view.u32(at + 32), view.u32(at + 36)]
  if (!(fileoff + filesize <= extent.size))
    throw malformed(path, `segment ${name}: ${filesize} bytes at ${fileoff}, but the slice has ${extent.size}`)
  const count = view.u32(at + (wide ? 64 : 48))
  if (fixed + count * step > command.size)
    throw malformed(path, `segment ${name}: ${count} sections in a command of ${command.size} bytes`)
  return {
    name,
    command: command.offset,
    vmaddr,
    vmsize,
    fileoff,
    filesize,
    sections: Array.from({ length: count }, (_, i) => section(view, at + fixed + i * step, wide)),
  }
}

function section(view: View, at: number, wide: boolean): MachOSection {
  return {
    name: name16(view, at),
    segment: name16(view, at + 16),
    size: wide ? view.u64(at + 40) : view.u32(at + 36),
    offset: view.u32(at + (wide ? 48 : 40)),
    zerofill: ZEROFILL.has(view.u32(at + (wide ? 64 : 56)) & 0xff),
  }
}

// ---- Data that load commands point to ---------------------------------------------------------------------------

const LINKEDIT_DATA: ReadonlySet<number> = new Set([
  LC.codeSignature,
  LC.segmentSplitInfo,
  LC.functionStarts,
  LC.dataInCode,
  LC.dylibCodeSignDrs,
  LC.linkerOptimizationHint,
  LC.dyldExportsTrie,
  LC.dyldChainedFixups,
  LC.atomInfo,
])

/** Fields of a command: an offset, a number of items, and the bytes of one. */
type Range = readonly [offset: number, count: number, unit: number]

const BYTES_AT = (...fields: readonly number[]): Range[] => fields.map(field => [field, field + 4, 1])

/** Which pairs of fields of a command are ranges of the slice. */
function rangesOf(command: LoadCommand, wide: boolean): readonly Range[] {
  if (LINKEDIT_DATA.has(command.cmd)) return BYTES_AT(8)
  switch (command.cmd) {
    case LC.symtab:
      return [[8, 12, wide ? 16 : 12], ...BYTES_AT(16)]
    case LC.dysymtab:
      return [
        [32, 36, 8],
        [40, 44, wide ? 56 : 52],
        [48, 52, 4],
        [56, 60, 4],
        [64, 68, 8],
        [72, 76, 8],
      ]
    case LC.dyldInfo:
    case LC.dyldInfoOnly:
      return BYTES_AT(8, 16, 24, 32, 40)
    default:
      return []
  }
}

/** A signature is made anew when anything changes, and kernels of Intel's CPUs run a program whose signature is gone. */
const isSignatureBeyond = (reader: Reader, command: LoadCommand): boolean =>
  command.cmd === LC.codeSignature && word(reader, command, 8) + word(reader, command, 12) > reader.extent.size

/**
 * Checks that all that is pointed to lies in the slice, but for a signature.
 * @returns where the first of it begins, relative to the slice: no load command may reach beyond
 */
function checkData(reader: Reader, segments: readonly MachOSegment[]): number {
  const { header, extent, path } = reader
  let first = extent.size
  const see = (offset: number, size: number, what: () => string): void => {
    if (!(offset + size <= extent.size))
      throw malformed(path, `${what()}: ${size} bytes at ${offset}, but the slice has ${extent.size}`)
    if (size > 0) first = Math.min(first, offset)
  }
  // The companion file of debug symbols has the sections of its program, without their bytes.
  const hollow = header.filetype === MH.dsym || header.filetype === MH.dylibStub
  for (const { name, fileoff, filesize, sections } of segments) {
    if (fileoff > 0) see(fileoff, filesize, () => `segment ${name}`)
    if (hollow) continue
    for (const s of sections) if (!s.zerofill) see(s.offset, s.size, () => `section ${s.segment},${s.name}`)
  }
  for (const command of reader.commands.filter(c => !isSignatureBeyond(reader, c)))
    for (const [offset, count, unit] of rangesOf(command, header.class === 64))
      see(word(reader, command, offset), word(reader, command, count) * unit, () => described(command))
  return first
}
