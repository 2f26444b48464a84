/**
 * The section headers of a file in which parts have moved (elf/grow.ts). Nothing needs them to run; strip, objcopy, gdb
 * and patchelf do. The number of sections stays, so the table keeps its length. Pure.
 */
import type { ByteSource } from '../io/bytes.ts'
import type { Write } from './edit.ts'
import type { ElfFacts, Segment } from './facts.ts'
import { SECTION_TABLE, type Section, SHF, SHN_LORESERVE, SHT, sectionTable } from './sections.ts'
import { SYMBOL } from './symbols.ts'
import { readHalf, readInt, readWord, writeHalf, writeInt, writeWord } from './words.ts'

/** A part of the file that has moved, with its section. */
export interface MovedSection {
  readonly what: 'interp' | 'strings' | 'dynamic'
  /** Its old file offset, then its new place. */
  readonly from: number
  readonly address: bigint
  readonly offset: number
  readonly size: number
}

/** Bytes of a symbol table that are looked at at once; whole symbols of both classes. */
const PIECE = 48 << 14

/**
 * What to write over the section headers and over the symbols that name sections, by their old offsets.
 * @param at where bytes were put into the file, and how many
 * @param zeros the segment whose zeros came into the file
 */
export function movedSections(
  source: ByteSource,
  facts: ElfFacts,
  moves: readonly MovedSection[],
  at: number,
  inserted: number,
  zeros: Segment | null,
): Write[] {
  const place = SECTION_TABLE[facts.class]
  const header = Buffer.from(source.read(0, place.header))
  const { sections } = sectionTable(source, facts)
  const tableAt = readWord(header, place.offset, facts)
  if (sections.length === 0) return []
  if (tableAt >= at) writeWord(header, place.offset, tableAt + inserted, facts)

  const moveOf = (s: Section): MovedSection | undefined =>
    s.flags & SHF.alloc && s.type !== SHT.nobits && s.size > 0
      ? moves.find(m => m.from === s.offset && TYPES[m.what] === s.type)
      : undefined
  const stay = sections.flatMap((s, i) => (moveOf(s) ? [] : [i]))
  const move = sections.flatMap((s, i) => (moveOf(s) ? [i] : []))
  // By their addresses.
  move.sort((a, b) => moveOf(sections[a]!)!.offset - moveOf(sections[b]!)!.offset)
  const lastLoaded = stay.findLastIndex(i => sections[i]!.flags & SHF.alloc)
  const order = [...stay.slice(0, lastLoaded + 1), ...move, ...stay.slice(lastLoaded + 1)]
  const numbers = new Map(order.map((old, index) => [old, index]))
  const moved = (i: number): number => (i < SHN_LORESERVE ? (numbers.get(i) ?? i) : i)

  const table = source.read(tableAt, sections.length * place.size)
  const word = facts.class / 8
  const fields = { address: 8 + word, offset: 8 + 2 * word, size: 8 + 3 * word, link: 8 + 4 * word }
  const rows = order.map(i => {
    const section = sections[i]!
    const row = Buffer.from(table.subarray(i * place.size, (i + 1) * place.size))
    writeInt(row, fields.link, moved(section.link), facts)
    if (section.type === SHT.rela || section.type === SHT.rel || section.flags & SHF.infoLink)
      writeInt(row, fields.link + 4, moved(section.info), facts)
    const own = moveOf(section)
    const { offset, type } = placed(section, at, inserted, zeros)
    writeInt(row, 4, type, facts)
    writeWord(row, fields.offset, own?.offset ?? offset, facts)
    if (own) writeWord(row, fields.address, own.address, facts)
    if (own) writeWord(row, fields.size, own.size, facts)
    return row
  })
  writeHalf(header, place.names, moved(readHalf(header, place.names, facts)), facts)
  const dynamic = sections.findIndex(s => moveOf(s)?.what === 'dynamic')
  const ownSymbol = dynamic < 0 ? null : { section: dynamic, to: moveOf(sections[dynamic]!)!.address }
  return [
    { offset: place.offset, bytes: header.subarray(place.offset, place.offset + word) },
    { offset: place.names, bytes: header.subarray(place.names, place.names + 2) },
    { offset: tableAt, bytes: Buffer.concat(rows) },
    ...symbols(source, facts, sections, moved, ownSymbol),
  ]
}

const TYPES = { interp: SHT.progbits, strings: SHT.strtab, dynamic: SHT.dynamic } as const

/** Where a section lies that has no new address, and its type: what was no part of the file may be now. */
function placed(
  { type, flags, address, offset, size }: Section,
  at: number,
  inserted: number,
  zeros: Segment | null,
): { offset: number; type: number } {
  const isZeros =
    zeros !== null &&
    flags & SHF.alloc &&
    address >= zeros.vaddr + zeros.filesz &&
    address + size <= zeros.vaddr + zeros.memsz
  // Of thread-local zeros each thread has its own: they have no place in the segment.
  if (isZeros && type === SHT.nobits && flags & SHF.tls) return { offset, type }
  if (isZeros) return { offset: address - zeros.vaddr + zeros.offset, type: type === SHT.nobits ? SHT.progbits : type }
  return { offset: offset >= at ? offset + inserted : offset, type }
}

/** Symbols by their sections' new numbers; and `_DYNAMIC`, which says where the dynamic section is. */
function* symbols(
  source: ByteSource,
  facts: ElfFacts,
  sections: readonly Section[],
  moved: (index: number) => number,
  dynamic: { readonly section: number; readonly to: bigint } | null,
): Generator<Write> {
  const symbol = SYMBOL[facts.class]
  for (const { type, offset, size } of sections) {
    const isTable = type === SHT.symtab || type === SHT.dynsym
    if ((!isTable && type !== SHT.symtabShndx) || !(offset + size <= source.size)) continue
    for (let from = 0; from < size; from += PIECE) {
      const old = source.read(offset + from, Math.min(PIECE, size - from))
      const bytes = Buffer.from(old)
      for (let i = 0; isTable && i + symbol.size <= bytes.length; i += symbol.size) {
        const section = readHalf(bytes, i + symbol.section, facts)
        writeHalf(bytes, i + symbol.section, moved(section), facts)
        if (section === dynamic?.section) writeWord(bytes, i + symbol.value, dynamic.to, facts)
      }
      for (let i = 0; !isTable && i + 4 <= bytes.length; i += 4)
        writeInt(bytes, i, moved(readInt(bytes, i, facts)), facts)
      if (!bytes.equals(old)) yield { offset: offset + from, bytes }
    }
  }
}
