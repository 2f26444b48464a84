/** The rows of a program header table as bytes, in either class and byte order. Pure. */
import type { ByteSource } from '../io/bytes.ts'
import type { ElfFacts, Segment } from './facts.ts'
import { readExact, writeWord } from './words.ts'

/** Where the fields of the file header lie that name the table, by class. */
export const PROGRAM_TABLE = {
  32: { offset: 28, entry: 42, count: 44 },
  64: { offset: 32, entry: 54, count: 56 },
} as const

/** Offsets in a program header (elf(5), Elf32_Phdr and Elf64_Phdr). */
export const PHDR = {
  32: { type: 0, offset: 4, vaddr: 8, paddr: 12, filesz: 16, memsz: 20, flags: 24, align: 28, size: 32 },
  64: { type: 0, flags: 4, offset: 8, vaddr: 16, paddr: 24, filesz: 32, memsz: 40, align: 48, size: 56 },
} as const

/** Whether segments stand in the order of their addresses, as gABI asks of PT_LOAD. */
export const areAscending = (segments: readonly Segment[]): boolean =>
  segments.every((s, i) => i === 0 || s.vaddr >= segments[i - 1]!.vaddr)

/** The address of a segment as the file has it, whatever its size. */
export const exactAddress = (source: ByteSource, phoff: number, index: number, facts: ElfFacts): bigint => {
  const { size, vaddr } = PHDR[facts.class]
  return readExact(source.read(phoff + index * size, size), vaddr, facts)
}

/** Gives the header with this number another place; `size` is that in the file and in memory. */
export function setHeader(
  headers: Buffer,
  index: number,
  facts: ElfFacts,
  { address, offset, size }: { address?: bigint; offset?: number; size: number },
): void {
  const fields = PHDR[facts.class]
  const row = headers.subarray(index * fields.size, (index + 1) * fields.size)
  if (address !== undefined) writeWord(row, fields.vaddr, address, facts)
  if (address !== undefined) writeWord(row, fields.paddr, address, facts)
  if (offset !== undefined) writeWord(row, fields.offset, offset, facts)
  writeWord(row, fields.filesz, size, facts)
  writeWord(row, fields.memsz, size, facts)
}
