/**
 * The section headers of an ELF file (elf(5), Elf32_Shdr and Elf64_Shdr). No program needs them to run, so they may be
 * absent or nonsense: then there are none.
 */
import { type ByteSource, View } from '../io/bytes.ts'
import type { ElfFacts } from '../model.ts'

export const SHT = { null: 0, progbits: 1, strtab: 3, nobits: 8 } as const
export const SHF = { alloc: 2 } as const

export interface Section {
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

/** Where the fields of the file header lie that name the table, by class; and the size of one section header. */
export const SECTION_TABLE = {
  32: { offset: 32, entry: 46, count: 48, names: 50, size: 40, header: 52 },
  64: { offset: 40, entry: 58, count: 60, names: 62, size: 64, header: 64 },
} as const

/** The sections in the order of their numbers; empty when there is no table that lies in the file. */
export function readSections(source: ByteSource, facts: Pick<ElfFacts, 'class' | 'little'>): Section[] {
  const place = SECTION_TABLE[facts.class]
  const header = new View(source.read(0, place.header), facts.little, 'ELF header', '')
  if (header.size < place.header) return []
  const word = (view: View, at: number): number => (facts.class === 64 ? view.u64(at) : view.u32(at))
  const offset = word(header, place.offset)
  const count = header.u16(place.count)
  if (offset === 0 || header.u16(place.entry) !== place.size || !(offset + count * place.size <= source.size)) return []
  const table = new View(source.read(offset, count * place.size), facts.little, 'section headers', '')
  const raw = Array.from({ length: count }, (_, i) => {
    const at = i * place.size
    const [step, flags] = [facts.class / 8, at + 8]
    const after = flags + 4 * step
    return {
      name: table.u32(at),
      type: table.u32(at + 4),
      flags: word(table, flags),
      address: word(table, flags + step),
      offset: word(table, flags + 2 * step),
      size: word(table, flags + 3 * step),
      link: table.u32(after),
      info: table.u32(after + 4),
      align: word(table, after + 8),
      entsize: word(table, after + 8 + step),
    }
  })
  const strings = raw[header.u16(place.names)]
  const names =
    strings?.type === SHT.strtab && strings.offset + strings.size <= source.size && strings.size <= NAMES_MAX
      ? source.read(strings.offset, strings.size)
      : Buffer.alloc(0)
  return raw.map(section => ({ ...section, name: stringAt(names, section.name) }))
}

/** In bytes. */
const NAMES_MAX = 16 << 20

const stringAt = (names: Buffer, at: number): string => {
  const end = names.indexOf(0, at)
  return at < names.length && end >= 0 ? names.toString('latin1', at, end) : ''
}
