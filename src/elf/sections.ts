/** The section headers: no loader reads them, but they say what the bytes are that no segment has. */
import { type ByteSource, viewAt } from '../io/bytes.ts'
import type { ElfFacts } from '../model.ts'
import { PT } from './constants.ts'

export const SHT = { progbits: 1, symtab: 2, rela: 4, nobits: 8, rel: 9, dynsym: 11, symtabShndx: 18 } as const

/** One section header (elf(5), Elf64_Shdr), as far as it is needed. */
export interface Section {
  readonly type: number
  readonly flags: number
  readonly address: number
  /** In the file. */
  readonly offset: number
  readonly size: number
  readonly entsize: number
}

/** A section header table and where it ends in the file. */
interface SectionTable {
  readonly sections: readonly Section[]
  readonly end: number
}

type Shape = Pick<ElfFacts, 'class' | 'little'>

const NO_TABLE: SectionTable = { sections: [], end: 0 }
const headerSize = (shape: Shape): number => (shape.class === 64 ? 64 : 40)

/** The table that the ELF header names; empty when there is none, or none that lies in the file. */
export function sectionTable(source: ByteSource, shape: Shape): SectionTable {
  const wide = shape.class === 64
  const head = viewAt(source, 0, wide ? 64 : 52, shape.little, 'ELF header', '')
  const at = wide ? head.u64(40) : head.u32(32)
  const [size, count] = [head.u16(wide ? 58 : 46), head.u16(wide ? 60 : 48)]
  const end = at + count * size
  if (at === 0 || count === 0 || size !== headerSize(shape) || !(end <= source.size)) return NO_TABLE
  return { sections: readSections(source, at, count, shape), end }
}

function readSections(source: ByteSource, at: number, count: number, shape: Shape): Section[] {
  const size = headerSize(shape)
  const view = viewAt(source, at, count * size, shape.little, 'section headers', '')
  return Array.from({ length: count }, (_, i) => {
    const header = i * size
    const word = (index: number): number =>
      shape.class === 64 ? view.u64(header + 8 + 8 * index) : view.u32(header + 8 + 4 * index)
    return {
      type: view.u32(header + 4),
      flags: word(0),
      address: word(1),
      offset: word(2),
      size: word(3),
      // sh_link and sh_info have 32 bits each in both classes.
      entsize: shape.class === 64 ? view.u64(header + 56) : view.u32(header + 36),
    }
  })
}

/** Of a table that nothing names, so many headers are looked for. */
const ORPHANS_MAX = 256
const SHF_ALLOC = 2

/**
 * Whether bytes lie behind everything that the headers describe. Zeros are padding.
 *
 * Some tools take the table's offset out of the ELF header and leave the table, and all that it describes, where it is:
 * then it ends the file, and what it says of the loaded sections agrees with the segments.
 */
export function hasPayload(source: ByteSource, facts: ElfFacts): boolean {
  let end = facts.class === 64 ? 64 : 52
  for (const s of facts.segments) end = Math.max(end, s.offset + s.filesz)
  const named = sectionTable(source, facts)
  const table = named.sections.length > 0 ? named : orphanTable(source, facts, end)
  end = Math.max(end, table.end)
  for (const s of table.sections) if (s.type !== SHT.nobits) end = Math.max(end, s.offset + s.size)
  return !isZero(source, end, source.size)
}

/**
 * The table at the end of a file whose header names none. Every byte behind the segments has to be a section's or the
 * table's own, or zero: what is not described is somebody's payload.
 */
function orphanTable(source: ByteSource, facts: ElfFacts, loadedEnd: number): SectionTable {
  const size = headerSize(facts)
  const loads = facts.segments.filter(s => s.type === PT.load)
  for (let count = 2; count <= ORPHANS_MAX; count++) {
    const at = source.size - count * size
    if (at < loadedEnd) break
    const sections = readSections(source, at, count, facts)
    const [first, ...rest] = sections
    if (first!.type !== 0 || first!.offset !== 0 || first!.size !== 0 || first!.address !== 0) continue
    const agrees = ({ type, flags, address, offset, size }: Section): boolean =>
      flags & SHF_ALLOC
        ? loads.some(
            l =>
              address >= l.vaddr &&
              address + size <= l.vaddr + l.memsz &&
              (type === SHT.nobits || offset - l.offset === address - l.vaddr),
          )
        : offset + size <= at
    if (!rest.some(s => s.flags & SHF_ALLOC) || !rest.every(agrees)) continue
    // No table begins inside of another: only the first header is empty. So this is it, or none is.
    return isCovered(source, rest, loadedEnd, at) ? { sections, end: source.size } : NO_TABLE
  }
  return NO_TABLE
}

/** Whether nothing but zeros lies between sections from `from` to `to`. */
function isCovered(source: ByteSource, sections: readonly Section[], from: number, to: number): boolean {
  let end = from
  const behind = sections.filter(s => s.type !== SHT.nobits && s.size > 0)
  for (const { offset, size } of behind.sort((a, b) => a.offset - b.offset)) {
    if (!isZero(source, end, offset)) return false
    end = Math.max(end, offset + size)
  }
  return isZero(source, end, to)
}

function isZero(source: ByteSource, from: number, to: number): boolean {
  for (let at = from; at < to; at += PIECE)
    if (source.read(at, Math.min(PIECE, to - at)).some(byte => byte !== 0)) return false
  return true
}
const PIECE = 64 * 1024
