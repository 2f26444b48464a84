/**
 * The section headers of an ELF file (elf(5), Elf32_Shdr and Elf64_Shdr). No program needs them to run, so they may be
 * absent or nonsense: then there are none. But they say what the bytes are that no segment has.
 */
import { type ByteSource, View } from '../io/bytes.ts'
import type { ElfFacts } from './facts.ts'
import { writeInt, writeWord } from './words.ts'

/** Section numbers from here on mean something else (gABI, Special Section Indexes). */
export const SHN_LORESERVE = 0xff00

export const SHT = {
  null: 0,
  progbits: 1,
  symtab: 2,
  strtab: 3,
  rela: 4,
  dynamic: 6,
  note: 7,
  nobits: 8,
  rel: 9,
  dynsym: 11,
  symtabShndx: 18,
} as const
export const SHF = { alloc: 2, exec: 4, infoLink: 0x40, tls: 0x400 } as const

export interface Section {
  /** Empty where the file has no names. */
  readonly name: string
  readonly type: number
  readonly flags: number
  readonly address: number
  /** In the file; of a section of type `nobits` nothing lies there. */
  readonly offset: number
  readonly size: number
  readonly link: number
  readonly info: number
  readonly align: number
  readonly entsize: number
}

/** What compilers, linkers and debuggers leave in sections that no segment loads. */
const OF_TOOLS =
  /^\.(?:comment|z?debug(?:_|$)|gnu[._](?:debug|warning|build|lto)|gdb_index|note|stab|line$|mdebug|pdr$|llvm|deplibs|GCC\.command|ctf$|sframe$|shstrtab$|strtab$|symtab)/
const SHT_LOUSER = 0x80000000

/**
 * Whether a section is nobody's but the program's own, which no tool made and nothing loads. Of 14,000 programs and
 * libraries of a Debian machine with Rust and CUDA only Rust's libraries have one, `.rustc`, which its compiler reads.
 */
export const isOwnData = ({ name, type, flags, size }: Section): boolean =>
  size > 0 &&
  name !== '' &&
  !(flags & SHF.alloc) &&
  (type === SHT.progbits || type >= SHT_LOUSER) &&
  !OF_TOOLS.test(name)

/** A section header table and where it ends in the file. */
export interface SectionTable {
  readonly sections: readonly Section[]
  readonly end: number
}

type Shape = Pick<ElfFacts, 'class' | 'little'>

/** Where the fields of the file header lie that name the table, by class; and the size of one section header. */
export const SECTION_TABLE = {
  32: { offset: 32, entry: 46, count: 48, names: 50, size: 40, header: 52 },
  64: { offset: 40, entry: 58, count: 60, names: 62, size: 64, header: 64 },
} as const

/** The sections in the order of their numbers; empty when there is no table that lies in the file. */
export function readSections(source: ByteSource, shape: Shape): readonly Section[] {
  const { sections } = sectionTable(source, shape)
  if (sections.length === 0) return []
  const place = SECTION_TABLE[shape.class]
  const strings = sections[headerOf(source, shape).u16(place.names)]
  const names =
    strings?.type === SHT.strtab && strings.offset + strings.size <= source.size && strings.size <= NAMES_MAX
      ? source.read(strings.offset, strings.size)
      : Buffer.alloc(0)
  const table = tableView(source, offsetOf(source, shape), sections.length, shape)
  return sections.map((section, i) => ({ ...section, name: stringAt(names, table.u32(i * place.size)) }))
}

/** The sections of a file that begins as an ELF file does. */
export function sectionsOf(source: ByteSource): readonly Section[] {
  const ident = source.read(0, 6)
  return readSections(source, { class: ident[4] === 2 ? 64 : 32, little: ident[5] === 1 })
}

/** The table that the ELF header names, without the sections' names. */
export function sectionTable(source: ByteSource, shape: Shape): SectionTable {
  const none = { sections: [], end: 0 }
  const place = SECTION_TABLE[shape.class]
  const header = headerOf(source, shape)
  if (header.size < place.header) return none
  const [offset, count] = [offsetOf(source, shape), header.u16(place.count)]
  const end = offset + count * place.size
  if (offset === 0 || count === 0 || header.u16(place.entry) !== place.size || !(end <= source.size)) return none
  return { sections: sectionsAt(source, offset, count, shape), end }
}

/** The section headers at an offset, all of which lie in the file; without the sections' names. */
export function sectionsAt(source: ByteSource, offset: number, count: number, shape: Shape): Section[] {
  const table = tableView(source, offset, count, shape)
  const step = shape.class / 8
  const word = (at: number): number => (step === 8 ? table.u64(at) : table.u32(at))
  return Array.from({ length: count }, (_, i) => {
    const at = i * SECTION_TABLE[shape.class].size
    const flags = at + 8
    // sh_link and sh_info have 32 bits each in both classes.
    const after = flags + 4 * step
    return {
      name: '',
      type: table.u32(at + 4),
      flags: word(flags),
      address: word(flags + step),
      offset: word(flags + 2 * step),
      size: word(flags + 3 * step),
      link: table.u32(after),
      info: table.u32(after + 4),
      align: word(after + 8),
      entsize: word(after + 8 + step),
    }
  })
}

/** The bytes of one, with the place of its name among the names. */
export function sectionHeader(section: Section, name: number, shape: Shape): Buffer {
  const { size } = SECTION_TABLE[shape.class]
  const step = shape.class / 8
  const bytes = Buffer.alloc(size)
  writeInt(bytes, 0, name, shape)
  writeInt(bytes, 4, section.type, shape)
  writeWord(bytes, 8, section.flags, shape)
  writeWord(bytes, 8 + step, section.address, shape)
  writeWord(bytes, 8 + 2 * step, section.offset, shape)
  writeWord(bytes, 8 + 3 * step, section.size, shape)
  writeInt(bytes, 8 + 4 * step, section.link, shape)
  writeInt(bytes, 12 + 4 * step, section.info, shape)
  writeWord(bytes, 16 + 4 * step, section.align, shape)
  writeWord(bytes, 16 + 5 * step, section.entsize, shape)
  return bytes
}

/**
 * Whether a file has what debuggers want and nothing that is loaded (`objcopy --only-keep-debug`, `eu-strip -f`): its
 * program headers are those of the file that it was taken from, and describe nothing here.
 */
export function isDebugFile(source: ByteSource): boolean {
  const ident = source.read(0, 6)
  const { sections } = sectionTable(source, { class: ident[4] === 1 ? 32 : 64, little: ident[5] !== 2 })
  const loaded = sections.filter(s => s.flags & SHF.alloc)
  return loaded.some(s => s.type === SHT.nobits && s.flags & SHF.exec) && loaded.every(s => KEPT.has(s.type))
}
const KEPT: ReadonlySet<number> = new Set([SHT.nobits, SHT.note])

const headerOf = (source: ByteSource, shape: Shape): View =>
  new View(source.read(0, SECTION_TABLE[shape.class].header), shape.little, 'ELF header', '')

const tableView = (source: ByteSource, offset: number, count: number, shape: Shape): View =>
  new View(source.read(offset, count * SECTION_TABLE[shape.class].size), shape.little, 'section headers', '')

function offsetOf(source: ByteSource, shape: Shape): number {
  const header = headerOf(source, shape)
  const { offset, header: size } = SECTION_TABLE[shape.class]
  if (header.size < size) return 0
  return shape.class === 64 ? header.u64(offset) : header.u32(offset)
}

/** In bytes. */
const NAMES_MAX = 16 << 20

const stringAt = (names: Buffer, at: number): string => {
  const end = names.indexOf(0, at)
  return at < names.length && end >= 0 ? names.toString('latin1', at, end) : ''
}
