/** Where data may lie in an ELF file that is a file of its own: everywhere but in code, tables and what debuggers want. */
import type { ByteSource } from '../io/bytes.ts'
import type { Range } from '../references/packed-heads.ts'
import { type Section, SHF, SHT } from './sections.ts'

const TABLES: ReadonlySet<number> = new Set([SHT.symtab, SHT.strtab, SHT.rela, SHT.rel, SHT.dynsym, SHT.dynamic])

/** All stretches of the file but these; all of it where sections say nothing. */
export function dataRanges({ size: whole }: ByteSource, sections: readonly Section[]): Range[] {
  const without = sections
    .filter(({ type, flags, name }) => TABLES.has(type) || (flags & SHF.exec) !== 0 || isDull(name))
    .filter(({ type }) => type !== SHT.nobits)
    .sort((a, b) => a.offset - b.offset)
  const ranges: Range[] = []
  let at = 0
  for (const { offset, size } of without) {
    if (offset > at) ranges.push([at, Math.min(offset, whole)])
    at = Math.max(at, offset + size)
  }
  if (at < whole) ranges.push([at, whole])
  return ranges
}

/** Tables of addresses and of names. What is packed for debuggers is looked at as what it is (packed-sections.ts). */
const isDull = (name: string): boolean =>
  /^\.(?:z?debug_|gnu|eh_frame|hash$|got|data\.rel\.ro|gcc_except_table|(?:init|fini)_array|note)/.test(name)
