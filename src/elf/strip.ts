/**
 * Stripping: what no segment loads goes, as with `strip --strip-unneeded` of a finished program: symbols for debuggers,
 * debug information, compilers' comments. The file is cut off behind its last segment, and a section table of what is
 * left is put there; nothing that the kernel or the loader reads is moved or changed.
 *
 * Ours, because the tools of a CPU strip that CPU's files only, and because what is cut off is known beforehand, so that
 * references in it need no rewriting.
 */
import type { ByteSource } from '../io/bytes.ts'
import type { Overwrite } from '../references/rewrite.ts'
import type { ElfFacts } from './facts.ts'
import { isOwnData, readSections, SECTION_TABLE, SHF, SHT, sectionHeader } from './sections.ts'
import { readWord, roundUp, writeHalf, writeWord } from './words.ts'

export interface Strip {
  /** Bytes of the input that stay, from its start; then follows `tail`. */
  readonly keep: number
  readonly tail: Buffer
  /** Changes of what stays: where the section table lies now. */
  readonly writes: readonly Overwrite[]
}

const ALIGN = 8

/**
 * How to strip a file that has nothing behind its sections; null where there is nothing to win, or where something has
 * no section and so cannot be told from a payload, or is in a section of the program's own.
 */
export function strip(source: ByteSource, facts: ElfFacts): Strip | null {
  const sections = readSections(source, facts)
  const loaded = sections.filter(s => s.flags & SHF.alloc)
  if (loaded.length === 0 || sections.some(isOwnData)) return null
  const place = SECTION_TABLE[facts.class]
  const header = source.read(0, place.header)
  const used = [
    place.header,
    ...facts.segments.map(s => s.offset + s.filesz),
    ...loaded.filter(s => s.type !== SHT.nobits).map(s => s.offset + s.size),
  ]
  const keep = Math.max(...used)
  const end = Math.max(
    ...sections.filter(s => s.type !== SHT.nobits).map(s => s.offset + s.size),
    readWord(header, place.offset, facts) + sections.length * place.size,
    keep,
  )
  const isNonsense = loaded.some(s => Object.values(s).includes(Number.POSITIVE_INFINITY))
  if (isNonsense || keep > source.size || end !== source.size) return null

  const numbers = new Map<number, number>([[0, 0]])
  sections.forEach((s, i) => {
    if (s.flags & SHF.alloc) numbers.set(i, numbers.size)
  })
  const names = ['', ...loaded.map(s => s.name), '.shstrtab']
  const strings = Buffer.from(`${names.join('\0')}\0`, 'latin1')
  const nameAt = (i: number): number => names.slice(0, i).reduce((sum, name) => sum + name.length + 1, 0)
  const table = roundUp(keep + strings.length, ALIGN)
  const entries: Buffer[] = [Buffer.alloc(place.size)]
  loaded.forEach((s, i) => {
    // sh_info names a section, or counts symbols: what has no new number is left as it is.
    const info = s.flags & SHF.infoLink ? (numbers.get(s.info) ?? 0) : s.info
    entries.push(sectionHeader({ ...s, link: numbers.get(s.link) ?? 0, info }, nameAt(i + 1), facts))
  })
  const own = {
    type: SHT.strtab,
    flags: 0,
    address: 0,
    offset: keep,
    size: strings.length,
    link: 0,
    info: 0,
    align: 1,
    entsize: 0,
  }
  entries.push(sectionHeader({ ...own, name: '' }, nameAt(names.length - 1), facts))
  const tail = Buffer.concat([strings, Buffer.alloc(table - keep - strings.length), ...entries])
  if (keep + tail.length >= source.size) return null

  const changed = Buffer.from(header)
  writeWord(changed, place.offset, table, facts)
  writeHalf(changed, place.count, entries.length, facts)
  writeHalf(changed, place.names, entries.length - 1, facts)
  return { keep, tail, writes: [{ op: 'overwrite', offset: 0, from: header, to: changed }] }
}
