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

import type { BundleError } from '../errors.ts'
import { type ByteSource, type Located, malformed, type View, viewAt } from '../io/bytes.ts'
import { abiName, archName, DF_1, DT, ET, PT } from './constants.ts'
import type { Bootstrap, ElfFacts, LoaderPlace } from './facts.ts'
import { type Image, pointee, readImage, value } from './image.ts'
import { readDlopenNotes } from './notes.ts'
import { BOOT_MAX, readBootstrap, readStub, STUB_MAX } from './stub.ts'
import { NO_VERSIONS, readVersions, symbolNameOffsets, type Versions } from './symbols.ts'

export { isElf } from './image.ts'

/** The longest PT_INTERP the kernel takes (fs/binfmt_elf.c: PATH_MAX). */
const INTERP_MAX = 4096
/** In bytes. */
const STRINGS_MAX = 256 << 20

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
  const entry = readEntry(image)
  const stub = entry?.stub ?? null
  // In memory that takes the place of what the file has.
  const given = entry?.rpath ?? null
  return {
    format: 'elf',
    class: header.class,
    little: header.little,
    machine: header.machine,
    arch: archName(header.machine, header.class, header.little, header.flags),
    abi: abiName(header.machine, header.flags),
    type: header.type,
    segments,
    interp,
    soname,
    needed: located(DT.needed, OWNER.file),
    companions: COMPANIONS.flatMap(([tag, kind]) => located(tag, OWNER.companion).map(at => ({ ...at, kind }))),
    rpath: given ?? located(DT.rpath, OWNER.path).at(-1) ?? null,
    runpath: given ? null : (located(DT.runpath, OWNER.path).at(-1) ?? null),
    flags1,
    verneed: versions.needs.map(need => ({
      file: strings?.at(need.file) ?? '',
      versions: need.names.map(name => strings?.at(name) ?? ''),
    })),
    dlopenNotes: readDlopenNotes(image),
    dynamic,
    dynstr: strings && { offset: strings.offset, size: strings.view.size },
    stub,
    bootstrap: entry?.bootstrap ?? null,
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
  // All at once: to read each by itself takes three times as long. The names are not kept for long.
  const text = strings.view.buffer.toString('latin1')
  let budget = NAMES_PER_BYTE * source.size + NAMES_MIN
  return offsets.map(offset => {
    const end = text.indexOf('\0', offset)
    // As it is told of any other string.
    if (end < 0 || offset >= text.length) return strings.at(offset)
    budget -= end - offset + 1
    if (budget < 0) throw tooManyNames(path)
    return text.slice(offset, end)
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

// ---- Strings ---------------------------------------------------------------------------------------------------

/** The dynamic string table. */
interface Strings {
  readonly view: View
  readonly offset: number
  /** The string at an offset of the table. */
  readonly at: (offset: number) => string
}

/**
 * Many names may be tails of one string. That they sum to a multiple of the file is no linker's doing, and would take time
 * and memory without bound. In bytes.
 */
const [NAMES_PER_BYTE, NAMES_MIN] = [4, 65536]
const tooManyNames = (path: string): BundleError =>
  malformed(path, 'the dynamic string table: names sum to more than the file can hold')

function readStrings(image: Image): Strings | null {
  const { source, header, dynamic, path } = image
  const offset = pointee(image, DT.strtab, 'the dynamic string table')
  const size = value(dynamic, DT.strsz)
  if (offset === undefined || size === undefined) return null
  if (size > STRINGS_MAX) throw malformed(path, `a dynamic string table of ${size} bytes`)
  const view = viewAt(source, offset, size, header.little, 'the dynamic string table', path)
  let budget = NAMES_PER_BYTE * source.size + NAMES_MIN
  const at = (offset: number): string => {
    const string = view.cstring(offset)
    budget -= string.length + 1
    if (budget < 0) throw tooManyNames(path)
    return string
  }
  return { view, offset, at }
}

/** Who uses a string. Only those that an edit changes together may have it in common. */
const OWNER = { file: 1, path: 2, other: 4, companion: 8 } as const

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
  [DT.auxiliary, OWNER.companion],
  [DT.filter, OWNER.companion],
  [DT.audit, OWNER.companion],
  [DT.depaudit, OWNER.companion],
])

const COMPANIONS = [
  [DT.audit, 'audit'],
  [DT.depaudit, 'audit'],
  [DT.filter, 'filter'],
  [DT.auxiliary, 'auxiliary'],
] as const

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

/** How a bundle's program finds its loader. */
interface Entry {
  readonly stub: LoaderPlace
  readonly bootstrap: Bootstrap | null
  /** The search path that it gets in memory: nothing of the file is to be overwritten for it. */
  readonly rpath: Located | null
}

/** The stub that the entry point's segment is (entry/inject.ts), or the bootstrap that lies there (entry/sidecar.ts). */
function readEntry({ source, header, segments }: Image): Entry | null {
  const { entry } = header
  const own = segments.find(s => s.type === PT.load && s.vaddr === entry && s.filesz <= STUB_MAX)
  const stub = own ? readStub(source.read(own.offset, own.filesz)) : null
  if (stub !== null) return { stub, bootstrap: null, rpath: null }
  // It may lie in the zeros behind the segment's end.
  const text = segments.find(s => s.type === PT.load && entry >= s.vaddr && entry - s.vaddr < s.filesz + PAGE_MIN)
  if (entry === 0 || text === undefined) return null
  const at = text.offset + entry - text.vaddr
  const found = readBootstrap(source.read(at, BOOT_MAX))
  const rpath = found?.bootstrap.rpath ?? null
  return found && { ...found, rpath: rpath && { value: rpath.value, offset: at + rpath.at, capacity: 0 } }
}
/** In bytes. */
const PAGE_MIN = 4096
