/**
 * ELF: bytes in, facts out.
 *
 * What the dynamic loader sees is what counts, so everything is found through the program headers; section headers
 * may be missing, wrong or stripped and are never looked at. Sources: elf(5), the System V gABI, glibc's elf/elf.h,
 * and https://uapi-group.org/specifications/specs/elf_dlopen_metadata/ for `.note.dlopen`.
 *
 * A count is compared with the bytes that are there before anything is allocated. Whatever does not fit is
 * `BundleError('malformed')`; nothing else is thrown. Reads go through a ByteSource and touch only what is needed,
 * so the facts of a 200 MB file cost a few kilobytes.
 *
 * (npm's elfy was tried for the header and program headers: it drops the numbers of machines and segment types that
 * it has no name for, which an editor has to keep, and it throws on runnable files without section headers.)
 */

import { readStub, STUB_MAX } from '../entry/inject.ts'
import { type ByteSource, malformed, type View, viewAt } from '../io/bytes.ts'
import type { DlopenNote, DynamicEntry, ElfFacts, LoaderPlace, Located, Segment } from '../model.ts'
import { archName, DF_1, DT, ET, PT } from './constants.ts'

/** True when these first bytes of a file are ELF's magic. */
export const isElf = (head: Uint8Array): boolean =>
  head.length >= 4 && head[0] === 0x7f && head[1] === 0x45 && head[2] === 0x4c && head[3] === 0x46

/** The longest PT_INTERP the kernel takes (fs/binfmt_elf.c: PATH_MAX). */
const INTERP_MAX = 4096
/** Notes are small; what lies beyond this in all PT_NOTEs together is not read. In bytes. */
const NOTE_MAX = 1 << 20
/** A thousand needed libraries take 16 KiB; Chromium's debug build has 25 MB of dynamic symbols. In bytes. */
const DYNAMIC_MAX = 4 << 20
const TABLE_MAX = 256 << 20
/** A symbol's version is an index of 15 bits, so there are no more of them, and no more files to need them from. */
const VERSION_RECORDS_MAX = 1 << 16

/**
 * The facts of an ELF file.
 * @param path only for the error message
 * @throws BundleError('malformed')
 */
export function parseElf(source: ByteSource, path: string): ElfFacts {
  const image = readImage(source, path)
  const { header, segments, dynamic } = image
  const strings = readStrings(image)
  if (strings === null && dynamic.some(e => STRING_TAGS.has(e.tag)))
    throw malformed(path, 'names without a dynamic string table')
  const versions = strings ? readVersions(image) : NO_VERSIONS
  const starts = strings && stringStarts(image, versions, strings)
  const located = (tag: number, owners: number): Located[] =>
    strings === null || starts === null
      ? []
      : dynamic.filter(e => e.tag === tag).map(e => locate(strings, starts, e.value, owners))

  const interp = readInterp(image)
  const soname = located(DT.soname, OWNER.file | OWNER.other).at(-1) ?? null
  const flags1 = value(dynamic, DT.flags1) ?? 0
  const pie = header.type === ET.dyn && (flags1 & DF_1.pie) !== 0
  const stub = readStubSegment(image)
  return {
    format: 'elf',
    class: header.class,
    little: header.little,
    machine: header.machine,
    arch: archName(header.machine, header.class),
    type: header.type,
    segments,
    interp,
    soname,
    needed: located(DT.needed, OWNER.file),
    rpath: located(DT.rpath, OWNER.path).at(-1) ?? null,
    runpath: located(DT.runpath, OWNER.path).at(-1) ?? null,
    flags1,
    verneed: versions.needs.map(need => ({
      file: strings?.at(need.file) ?? '',
      versions: need.names.map(name => strings?.at(name) ?? ''),
    })),
    dlopenNotes: readDlopenNotes(image),
    dynamic,
    dynstr: strings && { offset: strings.offset, size: strings.view.size },
    stub,
    // libc.so.6 has a PT_INTERP too, so that it can be run to print its version: a soname tells it apart.
    program:
      header.type === ET.exec ||
      (header.type === ET.dyn && (pie || stub !== null || (interp !== null && soname === null))),
  }
}

/**
 * The names of all dynamic symbols, needed versions and defined versions, in file order: what an edit must not touch.
 * @throws BundleError('malformed')
 */
export function symbolNames(source: ByteSource, path: string): string[] {
  const image = readImage(source, path)
  const strings = readStrings(image)
  if (strings === null) return []
  const versions = readVersions(image)
  const offsets = [
    ...symbolNameOffsets(image),
    ...versions.needs.flatMap(need => [need.file, ...need.names]),
    ...versions.defined,
  ]
  return offsets.map(strings.at)
}

/** The file offset of a virtual address, through the PT_LOAD that has it; undefined when none has it in the file. */
function fileOffset(segments: readonly Segment[], vaddr: number): number | undefined {
  const load = segments.find(s => s.type === PT.load && vaddr >= s.vaddr && vaddr < s.vaddr + s.filesz)
  return load && vaddr - load.vaddr + load.offset
}

/** A file with the tables that everything else is found through. */
interface Image {
  readonly source: ByteSource
  readonly path: string
  readonly header: Header
  readonly segments: readonly Segment[]
  readonly dynamic: readonly DynamicEntry[]
}

function readImage(source: ByteSource, path: string): Image {
  const header = readHeader(source, path)
  const segments = readSegments(source, header, path)
  return { source, path, header, segments, dynamic: readDynamic(source, header, segments, path) }
}

// ---- Headers ---------------------------------------------------------------------------------------------------

interface Header {
  readonly class: 32 | 64
  readonly little: boolean
  readonly type: number
  readonly machine: number
  readonly entry: number
  readonly phoff: number
  readonly phentsize: number
  readonly phnum: number
}

function readHeader(source: ByteSource, path: string): Header {
  const ident = viewAt(source, 0, Math.min(16, source.size), true, 'ELF identification', path)
  if (!isElf(ident.buffer)) throw malformed(path, 'not an ELF file')
  const bits = ident.u8(4)
  const data = ident.u8(5)
  if (bits !== 1 && bits !== 2) throw malformed(path, `ELF class ${bits} is neither 32 nor 64 bit`)
  if (data !== 1 && data !== 2) throw malformed(path, `ELF byte order ${data} is neither little nor big endian`)
  if (ident.u8(6) !== 1) throw malformed(path, `ELF version ${ident.u8(6)} is not 1`)
  const wide = bits === 2
  const view = viewAt(source, 0, wide ? 64 : 52, data === 1, 'ELF header', path)
  const header: Header = {
    class: wide ? 64 : 32,
    little: data === 1,
    type: view.u16(16),
    machine: view.u16(18),
    entry: wide ? view.u64(24) : view.u32(24),
    phoff: wide ? view.u64(32) : view.u32(28),
    phentsize: view.u16(wide ? 54 : 42),
    phnum: view.u16(wide ? 56 : 44),
  }
  const expected = wide ? 56 : 32
  if (header.phnum > 0 && header.phentsize !== expected)
    throw malformed(path, `program headers of ${header.phentsize} bytes, where the format has ${expected}`)
  if (header.phnum === 0xffff) throw malformed(path, 'more than 65534 program headers')
  return header
}

function readSegments(source: ByteSource, header: Header, path: string): Segment[] {
  if (header.phnum === 0) return []
  const size = header.phentsize
  const view = viewAt(source, header.phoff, header.phnum * size, header.little, 'program headers', path)
  return Array.from({ length: header.phnum }, (_, i) => {
    const at = i * size
    return header.class === 64
      ? {
          type: view.u32(at),
          flags: view.u32(at + 4),
          offset: view.u64(at + 8),
          vaddr: view.u64(at + 16),
          filesz: view.u64(at + 32),
          memsz: view.u64(at + 40),
          align: view.u64(at + 48),
        }
      : {
          type: view.u32(at),
          flags: view.u32(at + 24),
          offset: view.u32(at + 4),
          vaddr: view.u32(at + 8),
          filesz: view.u32(at + 16),
          memsz: view.u32(at + 20),
          align: view.u32(at + 28),
        }
  }).map(segment => {
    if (segment.type === PT.load && !(segment.offset + segment.filesz <= source.size))
      throw malformed(
        path,
        `truncated: a segment ends at ${segment.offset + segment.filesz}, the file at ${source.size}`,
      )
    return segment
  })
}

function readInterp({ source, header, segments, path }: Image): Located | null {
  const segment = segments.find(s => s.type === PT.interp)
  if (!segment) return null
  if (segment.filesz < 2 || segment.filesz > INTERP_MAX)
    throw malformed(path, `an interpreter name of ${segment.filesz} bytes`)
  const view = viewAt(source, segment.offset, segment.filesz, header.little, 'PT_INTERP', path)
  return { value: view.cstring(0), offset: segment.offset, capacity: segment.filesz }
}

function readDynamic(
  source: ByteSource,
  header: Header,
  segments: readonly Segment[],
  path: string,
): readonly DynamicEntry[] {
  const segment = segments.find(s => s.type === PT.dynamic)
  if (!segment || segment.filesz === 0) return []
  if (segment.filesz > DYNAMIC_MAX) throw malformed(path, `a dynamic section of ${segment.filesz} bytes`)
  const view = viewAt(source, segment.offset, segment.filesz, header.little, 'PT_DYNAMIC', path)
  const word = header.class / 8
  const entries: DynamicEntry[] = []
  for (let at = 0; at + 2 * word <= view.size; at += 2 * word) {
    const tag = word === 8 ? view.u64(at) : view.u32(at)
    if (tag === DT.null) break
    const value = word === 8 ? view.u64(at + 8) : view.u32(at + 4)
    entries.push({ tag, value, offset: segment.offset + at })
  }
  return entries
}

// ---- Strings ---------------------------------------------------------------------------------------------------

/** The dynamic string table. */
interface Strings {
  readonly view: View
  readonly offset: number
  /** The string at an offset of the table. */
  readonly at: (offset: number) => string
}

/** Of a tag that stands twice, the loader takes the last. */
const value = (dynamic: readonly DynamicEntry[], tag: number): number | undefined =>
  dynamic.findLast(e => e.tag === tag)?.value

/** The file offset of what a dynamic entry points to; undefined without that entry. */
function pointee(image: Image, tag: number, what: string): number | undefined {
  const vaddr = value(image.dynamic, tag)
  if (vaddr === undefined) return undefined
  const offset = fileOffset(image.segments, vaddr)
  if (offset === undefined) throw malformed(image.path, `${what} at address ${vaddr} lies in no segment of the file`)
  return offset
}

function readStrings(image: Image): Strings | null {
  const { source, header, dynamic, path } = image
  const offset = pointee(image, DT.strtab, 'the dynamic string table')
  const size = value(dynamic, DT.strsz)
  if (offset === undefined || size === undefined) return null
  if (size > TABLE_MAX) throw malformed(path, `a dynamic string table of ${size} bytes`)
  const view = viewAt(source, offset, size, header.little, 'the dynamic string table', path)
  // Many names may be tails of one string. That they sum to a multiple of the file is no linker's doing, and would
  // take time and memory without bound.
  let budget = 4 * source.size + 65536
  const at = (offset: number): string => {
    const string = view.cstring(offset)
    budget -= string.length + 1
    if (budget < 0) throw malformed(path, 'the dynamic string table: names sum to more than the file can hold')
    return string
  }
  return { view, offset, at }
}

/** Who uses a string. Only those that an edit changes together may have it in common. */
const OWNER = { file: 1, path: 2, other: 4 } as const

/** One byte for each byte of the string table: the owners of the strings that begin there. */
function stringStarts(image: Image, versions: Versions, strings: Strings): Uint8Array {
  const starts = new Uint8Array(strings.view.size)
  const mark = (offset: number, owner: number): void => {
    if (offset < starts.length) starts[offset]! |= owner
  }
  for (const { tag, value } of image.dynamic) {
    const owner = STRING_TAGS.get(tag)
    if (owner !== undefined) mark(value, owner)
  }
  for (const offset of symbolNameOffsets(image)) mark(offset, OWNER.other)
  for (const need of versions.needs) {
    mark(need.file, OWNER.file)
    for (const name of need.names) mark(name, OWNER.other)
  }
  for (const name of versions.defined) mark(name, OWNER.other)
  return starts
}

const STRING_TAGS: ReadonlyMap<number, number> = new Map([
  [DT.needed, OWNER.file],
  [DT.soname, OWNER.other],
  [DT.rpath, OWNER.path],
  [DT.runpath, OWNER.path],
  [DT.auxiliary, OWNER.other],
  [DT.filter, OWNER.other],
  [DT.audit, OWNER.other],
  [DT.depaudit, OWNER.other],
])

function locate(strings: Strings, starts: Uint8Array, at: number, owners: number): Located {
  const value = strings.at(at)
  // Suffix merging: a name may begin inside this one, and those bytes are not ours to overwrite (patchelf#162).
  const shared = starts.subarray(at + 1, at + value.length + 1).findIndex(owner => owner !== 0)
  // Nor are they when this string is itself the tail of a longer one: then its first byte is somebody's middle,
  // but overwriting from the first byte on would change that longer string.
  const tail = at > 0 && strings.view.u8(at - 1) !== 0
  // Nor when it is the whole name of something else, such as a symbol that is called as the library is.
  const foreign = (starts[at]! & ~owners) !== 0
  return {
    value,
    offset: strings.offset + at,
    capacity: tail || foreign ? 0 : shared < 0 ? value.length + 1 : shared + 1,
  }
}

// ---- Symbols and versions --------------------------------------------------------------------------------------

/** The st_name of every dynamic symbol. */
function symbolNameOffsets(image: Image): Uint32Array {
  const { source, header, path } = image
  const at = pointee(image, DT.symtab, 'the dynamic symbol table')
  if (at === undefined) return new Uint32Array()
  const size = header.class === 64 ? 24 : 16
  const count = symbolCount(image)
  if (count * size > TABLE_MAX) throw malformed(path, `a dynamic symbol table of ${count} symbols`)
  const view = viewAt(source, at, count * size, header.little, 'the dynamic symbol table', path)
  return Uint32Array.from({ length: count }, (_, i) => view.u32(i * size))
}

/** ELF has no count of dynamic symbols: it is read off the tables that point to them, as by the loader. */
function symbolCount(image: Image): number {
  const { source, header, path } = image
  const sysv = pointee(image, DT.hash, 'the hash table')
  if (sysv !== undefined) return viewAt(source, sysv, 8, header.little, 'the hash table', path).u32(4)
  const gnu = pointee(image, DT.gnuHash, 'the GNU hash table')
  return gnu === undefined ? relocatedSymbolCount(image) : gnuHashSymbolCount(image, gnu)
}

/** The highest symbol of any bucket's chain, plus one; the unhashed symbols come first in the table. */
function gnuHashSymbolCount(image: Image, at: number): number {
  const { source, header, path } = image
  const what = 'the GNU hash table'
  const head = viewAt(source, at, 16, header.little, what, path)
  const [bucketCount, firstHashed, bloomWords] = [head.u32(0), head.u32(4), head.u32(8)]
  const bucketsAt = at + 16 + bloomWords * (header.class / 8)
  if (bucketCount * 4 > TABLE_MAX) throw malformed(path, `${what}: ${bucketCount} buckets`)
  const buckets = viewAt(source, bucketsAt, bucketCount * 4, header.little, what, path)
  let last = 0
  for (let i = 0; i < bucketCount; i++) last = Math.max(last, buckets.u32(i * 4))
  // Without exports ld.bfd writes an empty table that knows of no imports either (a program linked with -no-pie):
  // those are named by relocations only.
  if (last < firstHashed || last === 0) return Math.max(firstHashed, relocatedSymbolCount(image))
  const chainsAt = bucketsAt + bucketCount * 4
  const BLOCK = 1024
  for (let index = last - firstHashed; ; ) {
    const from = chainsAt + index * 4
    const length = Math.min(BLOCK * 4, Math.floor((source.size - from) / 4) * 4)
    if (!(length >= 4)) throw malformed(path, `${what}: a chain has no end`)
    const chain = viewAt(source, from, length, header.little, what, path)
    for (let i = 0; i < length; i += 4, index++) if (chain.u32(i) & 1) return firstHashed + index + 1
  }
}

/** The highest symbol of any relocation, plus one; at least the null symbol, which every table begins with. */
function relocatedSymbolCount(image: Image): number {
  const { source, header, dynamic, path } = image
  const what = 'the relocations'
  const wide = header.class === 64
  const plt = value(dynamic, DT.pltrel) ?? DT.rela
  let count = 1
  for (const [table, bytes, kind] of [
    [DT.rela, DT.relasz, DT.rela],
    [DT.rel, DT.relsz, DT.rel],
    [DT.jmprel, DT.pltrelsz, plt],
  ] as const) {
    const at = pointee(image, table, what)
    const length = value(dynamic, bytes) ?? 0
    if (at === undefined || length === 0) continue
    if (length > TABLE_MAX) throw malformed(path, `${what}: ${length} bytes`)
    const view = viewAt(source, at, length, header.little, what, path)
    const size = (wide ? 8 : 4) * (kind === DT.rela ? 3 : 2)
    // r_info: the symbol is its upper half, or its upper 24 of 32 bits.
    for (let i = 0; i + size <= length; i += size)
      count = Math.max(count, 1 + (wide ? view.u32(i + (header.little ? 12 : 8)) : view.u32(i + 4) >>> 8))
  }
  return count
}

/** String table offsets of the names in DT_VERNEED and DT_VERDEF. */
interface Versions {
  readonly needs: readonly { readonly file: number; readonly names: readonly number[] }[]
  readonly defined: readonly number[]
}
const NO_VERSIONS: Versions = { needs: [], defined: [] }

function readVersions(image: Image): Versions {
  const { source, header, dynamic, path } = image
  const needs: { file: number; names: number[] }[] = []
  const defined: number[] = []
  // The records are linked lists of relative offsets, which may overlap: a budget ends any walk.
  let budget = VERSION_RECORDS_MAX
  const record = (at: number, size: number, what: string): View => {
    if (budget-- <= 0) throw malformed(path, `${what}: the list does not end`)
    return viewAt(source, at, size, header.little, what, path)
  }
  let at = pointee(image, DT.verneed, 'the needed versions')
  for (let left = value(dynamic, DT.verneednum) ?? 0; at !== undefined && left > 0; left--) {
    const need = record(at, 16, 'the needed versions')
    const names: number[] = []
    let aux = at + need.u32(8)
    for (let n = need.u16(2); n > 0; n--) {
      const entry = record(aux, 16, 'the needed versions')
      names.push(entry.u32(8))
      if (entry.u32(12) === 0) break
      aux += entry.u32(12)
    }
    needs.push({ file: need.u32(4), names })
    at = need.u32(12) === 0 ? undefined : at + need.u32(12)
  }
  at = pointee(image, DT.verdef, 'the defined versions')
  for (let left = value(dynamic, DT.verdefnum) ?? 0; at !== undefined && left > 0; left--) {
    const definition = record(at, 20, 'the defined versions')
    let aux = at + definition.u32(12)
    for (let n = definition.u16(6); n > 0; n--) {
      const entry = record(aux, 8, 'the defined versions')
      defined.push(entry.u32(0))
      if (entry.u32(4) === 0) break
      aux += entry.u32(4)
    }
    at = definition.u32(16) === 0 ? undefined : at + definition.u32(16)
  }
  return { needs, defined }
}

/** The stub that a bundle's program starts with (entry/inject.ts): the segment that the entry point begins. */
function readStubSegment({ source, header, segments }: Image): LoaderPlace | null {
  const segment = segments.find(s => s.type === PT.load && s.vaddr === header.entry && s.filesz <= STUB_MAX)
  return segment ? readStub(source.read(segment.offset, segment.filesz)) : null
}

// ---- Notes -----------------------------------------------------------------------------------------------------

/** `.note.dlopen`: owner FDO, this type, a JSON array (UAPI.12). */
const NOTE_DLOPEN = 0x407c0c0a

function readDlopenNotes({ source, header, segments, path }: Image): readonly DlopenNote[] {
  const notes: DlopenNote[] = []
  let budget = NOTE_MAX
  for (const segment of segments) {
    if (segment.type !== PT.note || segment.filesz > budget || segment.offset + segment.filesz > source.size) continue
    budget -= segment.filesz
    const view = viewAt(source, segment.offset, segment.filesz, header.little, 'PT_NOTE', path)
    const align = segment.align === 8 ? 8 : 4
    const pad = (n: number): number => Math.ceil(n / align) * align
    // A note that overruns its segment ends the walk: notes are advice, and the kernel ignores such ones too.
    for (let at = 0; at + 12 <= view.size; ) {
      const nameSize = view.u32(at)
      const descSize = view.u32(at + 4)
      const descAt = at + pad(12 + nameSize)
      if (descAt + descSize > view.size) break
      const owner = view.buffer.toString('latin1', at + 12, at + 12 + nameSize)
      if (view.u32(at + 8) === NOTE_DLOPEN && owner === 'FDO\0')
        notes.push(...dlopenNotes(view.buffer.toString('utf8', descAt, descAt + descSize)))
      at = descAt + pad(descSize)
    }
  }
  return notes
}

function dlopenNotes(json: string): DlopenNote[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(json.replace(/\0+$/, ''))
  } catch {
    return [] // Advice that cannot be read is no advice.
  }
  if (!Array.isArray(parsed)) return []
  return parsed.flatMap((entry: unknown): DlopenNote[] => {
    if (typeof entry !== 'object' || entry === null || !('soname' in entry) || !Array.isArray(entry.soname)) return []
    const priority = 'priority' in entry ? entry.priority : undefined
    return [
      {
        sonames: entry.soname.filter((name): name is string => typeof name === 'string'),
        // The specification's default is "recommended".
        priority: priority === 'required' || priority === 'suggested' ? priority : 'recommended',
      },
    ]
  })
}
