/**
 * Data that a program reads from its own file: what lies behind everything that its headers describe, and what
 * `objcopy --add-section` has put into a section that is not loaded (PyInstaller's `pydata`).
 */
import type { ByteSource } from '../io/bytes.ts'
import { PT } from './constants.ts'
import type { ElfFacts } from './facts.ts'
import {
  isOwnData,
  readSections,
  SECTION_TABLE,
  type Section,
  type SectionTable,
  SHF,
  SHT,
  sectionsAt,
  sectionTable,
} from './sections.ts'

const NONE: SectionTable = { sections: [], end: 0 }

/** Of a table that nothing names, so many headers are looked for. */
const ORPHANS_MAX = 256

/** Whether an ELF file says where it is entered, as every program does and few libraries: which are worth parsing. */
export function hasEntry(source: ByteSource): boolean {
  const head = source.read(0, 32)
  return head.subarray(24, head[4] === 2 ? 32 : 28).some(byte => byte !== 0)
}

/**
 * Whether bytes lie behind everything that the headers describe. Zeros are padding.
 *
 * Some tools take the table's offset out of the ELF header and leave the table, and all that it describes, where it is:
 * then it ends the file, and what it says of the loaded sections agrees with the segments.
 */
export function hasPayload(source: ByteSource, facts: ElfFacts): boolean {
  let end: number = SECTION_TABLE[facts.class].header
  for (const s of facts.segments) end = Math.max(end, s.offset + s.filesz)
  const named = sectionTable(source, facts)
  const table = named.sections.length > 0 ? named : orphanTable(source, facts, end)
  end = Math.max(end, table.end)
  for (const s of table.sections) if (s.type !== SHT.nobits) end = Math.max(end, s.offset + s.size)
  return !isZero(source, end, source.size)
}

/** How a program names its own file. */
const SELF = Buffer.from('/proc/self/exe', 'latin1')

/** Whether a program that opens its own file has a section there for itself (sections.ts). */
export function readsOwnSection(source: ByteSource, facts: ElfFacts): boolean {
  return readSections(source, facts).some(isOwnData) && holds(source, SELF)
}

function holds(source: ByteSource, text: Buffer): boolean {
  for (let at = 0; at < source.size; at += PIECE)
    if (source.read(at, Math.min(PIECE + text.length, source.size - at)).includes(text)) return true
  return false
}

/**
 * The table at the end of a file whose header names none. Every byte behind the segments has to be a section's or the
 * table's own, or zero: what is not described is somebody's payload.
 */
function orphanTable(source: ByteSource, facts: ElfFacts, loadedEnd: number): SectionTable {
  const size = SECTION_TABLE[facts.class].size
  const loads = facts.segments.filter(s => s.type === PT.load)
  for (let count = 2; count <= ORPHANS_MAX; count++) {
    const at = source.size - count * size
    if (at < loadedEnd) break
    const sections = sectionsAt(source, at, count, facts)
    const [first, ...rest] = sections
    if (first!.type !== 0 || first!.offset !== 0 || first!.size !== 0 || first!.address !== 0) continue
    const agrees = ({ type, flags, address, offset, size }: Section): boolean =>
      flags & SHF.alloc
        ? loads.some(
            l =>
              address >= l.vaddr &&
              address + size <= l.vaddr + l.memsz &&
              (type === SHT.nobits || offset - l.offset === address - l.vaddr),
          )
        : offset + size <= at
    if (!rest.some(s => s.flags & SHF.alloc) || !rest.every(agrees)) continue
    // No table begins inside of another: only the first header is empty. So this is it, or none is.
    return isCovered(source, rest, loadedEnd, at) ? { sections, end: source.size } : NONE
  }
  return NONE
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
