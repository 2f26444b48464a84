/**
 * Puts the stub (stub.c) into a program: bytes in, bytes out.
 *
 * The stub takes the place of PT_INTERP. Its code goes behind the file's last byte and is mapped by a PT_LOAD of its
 * own, above everything else, for which PT_INTERP's slot in the program header table is used: the table keeps its place
 * and length, and PT_LOADs stay in ascending order, as the kernel and ld.so want them. e_entry then names the stub.
 *
 * A static program gets it only for the strings in it that relocate themselves. It has no PT_INTERP: the slot is that of
 * a header which nobody needs when it runs (`spareHeader`).
 *
 * A section header `.ldstub` goes with it where the file has section headers: GNU strip drops segments that no section
 * lies in. It is inserted after the last section that is loaded, so section indices behind it move up by one, wherever
 * they are stored (e_shstrndx, sh_link, sh_info of relocations, st_shndx of symbols).
 *
 * Sources: elf(5), the System V gABI ch. 4 and 5, fs/binfmt_elf.c.
 */

import { ET, PF, PT } from '../elf/constants.ts'
import type { ElfFacts, LoaderPlace, Segment } from '../elf/facts.ts'
import { hasPayload, readsOwnSection } from '../elf/payload.ts'
import { areAscending, PHDR, PROGRAM_TABLE, setHeader } from '../elf/program-headers.ts'
import {
  readSections,
  SECTION_TABLE,
  type Section,
  SHF,
  SHN_LORESERVE,
  SHT,
  sectionHeader,
  sectionTable,
} from '../elf/sections.ts'
import { CONFIG, MAGIC } from '../elf/stub.ts'
import { SYMBOL } from '../elf/symbols.ts'
import { readHalf, readInt, readWord, roundUp, writeHalf, writeInt, writeWord } from '../elf/words.ts'
import { type ByteSource, bufferSource } from '../io/bytes.ts'
import { entryCpu } from './cpus.ts'

/** Why a program cannot get the stub. */
export type StubRefusal =
  | 'cpu' /* there is no stub for it */
  | 'no-interpreter' /* nothing that the kernel starts */
  | 'no-slot' /* static, and every program header of it is needed */
  | 'segment-order' /* PT_LOADs not ascending: the kernel would misplace what is added; or no address behind them */
  | 'payload' /* bytes that no segment and no tool's section has, which the program reads from its own file */

/** In the place of a program's number plus one: there is a table, but this program is not in it. */
const NO_SITES = 0xffffffff
const ALIGN = 16

const SECTION_NAME = '.ldstub'

/** Where addresses end, with room for the stub. */
const ADDRESSES = { 32: 2 ** 32 - 2 ** 20, 64: Number.MAX_SAFE_INTEGER - 2 ** 20 } as const

/** Where the last loaded segment ends in memory. */
const topOf = ({ segments }: ElfFacts): number =>
  Math.max(...segments.filter(s => s.type === PT.load).map(s => s.vaddr + s.memsz))

/** Whether the kernel alone starts a program: without a loader, and without anything for one to load. */
export const isStatic = ({ program, interp, needed }: ElfFacts): boolean =>
  program && interp === null && needed.length === 0

/**
 * Which program header gives its slot to the stub's; -1 when none can. Of a static program, in this order:
 * - PT_NULL: nothing.
 * - PT_NOTE: the kernel reads the properties of a program (x86's shadow stacks, branch targets) from PT_GNU_PROPERTY,
 *   which stays, and leaves notes to debuggers and core dumps, which find a build ID by its section too. One that
 *   PT_GNU_PROPERTY covers comes first, since it tells nothing twice.
 * - PT_PHDR, at a fixed address: it serves to work out where a program lies, and that is no question.
 * - PT_GNU_RELRO: without a loader only glibc acts on it, and glibc's programs have notes. musl's often have nothing else.
 */
export function spareHeader(facts: ElfFacts): number {
  const { segments, type } = facts
  if (!isStatic(facts)) return segments.findIndex(s => s.type === PT.interp)
  const properties = segments.find(s => s.type === PT.gnuProperty)
  const choices = [
    (s: Segment) => s.type === PT.null,
    (s: Segment) => s.type === PT.note && s.offset === properties?.offset && s.filesz === properties.filesz,
    (s: Segment) => s.type === PT.note,
    (s: Segment) => s.type === PT.phdr && type === ET.exec,
    (s: Segment) => s.type === PT.gnuRelro,
  ]
  return choices.map(choice => segments.findIndex(choice)).find(i => i >= 0) ?? -1
}

/** Why this program cannot get the stub; null when it can. */
export function stubRefusal(source: ByteSource, facts: ElfFacts): StubRefusal | null {
  if ((facts.interp === null && !isStatic(facts)) || (facts.type !== ET.exec && facts.type !== ET.dyn))
    return 'no-interpreter'
  // Through a launcher it does not work either, whatever the CPU.
  if (hasPayload(source, facts) || readsOwnSection(source, facts)) return 'payload'
  if (entryCpu(facts) === null) return 'cpu'
  const loads = facts.segments.filter(s => s.type === PT.load)
  if (loads.length === 0 || !areAscending(loads) || topOf(facts) > ADDRESSES[facts.class]) return 'segment-order'
  return spareHeader(facts) < 0 ? 'no-slot' : null
}

/** That a program's bundle has a table of relocations, and the program's number in it: null without sites of its own. */
export interface ProgramRelocations {
  readonly program: number | null
}

/**
 * The program with the stub in it.
 * @param facts of these bytes, for which `stubRefusal` is null
 * @param stub the blob for its CPU
 * @param loader with an empty path for a static program
 * @param relocations null when its bundle has no table of them (relocations.ts)
 * @param room memory that begins with these bytes: where there is enough behind them, they are changed there
 */
export function injectStub(
  bytes: Buffer,
  facts: ElfFacts,
  stub: Buffer,
  loader: LoaderPlace,
  relocations: ProgramRelocations | null = null,
  room: Buffer = bytes,
): Buffer {
  const { page } = entryCpu(facts)!
  const offset = roundUp(bytes.length, ALIGN)
  const vaddr = roundUp(topOf(facts), page) + (offset % page)
  const entry = readWord(bytes, E_ENTRY, facts)
  const align = alignment(bufferSource(bytes), facts)
  const blob = Buffer.concat([stub, config(MAGIC, vaddr + stub.length, entry, loader, relocations, align)])

  const end = offset + blob.length
  const section = addedSection(bytes, facts, end, { address: vaddr, offset, size: blob.length })
  const added = [Buffer.alloc(offset - bytes.length), blob, ...(section?.parts ?? [])]
  const injected = appended(bytes, added, room)
  writeWord(injected, E_ENTRY, vaddr, facts)
  replaceHeader(injected, facts, offset, vaddr, blob.length, page)
  section?.place(injected)
  return injected
}

/** Bytes with others behind them: in the room that they begin, if there is enough. */
function appended(bytes: Buffer, added: readonly Buffer[], room: Buffer): Buffer {
  const size = added.reduce((sum, part) => sum + part.length, bytes.length)
  if (size > room.length) return Buffer.concat([bytes, ...added])
  let at = bytes.length
  for (const part of added) at += part.copy(room, at)
  return room.subarray(0, size)
}

/** Page sizes that linkers align segments to by default are no larger. In bytes. */
const PAGE_MAX = 0x10000
/** What any kernel has mapped starts at a multiple of this. In bytes. */
const PAGE_MIN = 0x1000
/** More, if such a thing is asked for at all, is more than there may be room for. A power of two, in bytes. */
const ALIGN_MAX = 2 ** 30

/**
 * What the address of a program has to be a multiple of: as the kernel sees to it where there is a PT_INTERP (the largest
 * p_align of its segments), if anything in it asks for that. A section that is aligned to more than a page does; so do
 * segments that are aligned to more than any page, for huge pages. 1 where any page will do.
 */
export function alignment(source: ByteSource, facts: ElfFacts): number {
  if (facts.type !== ET.dyn || isStatic(facts)) return 1
  const isPower = (n: number): boolean => n <= ALIGN_MAX && (n & (n - 1)) === 0
  const aligns = facts.segments.filter(s => s.type === PT.load && isPower(s.align)).map(s => s.align)
  const largest = Math.max(1, ...aligns)
  const isAsked = readSections(source, facts).some(s => s.flags & SHF.alloc && s.align > PAGE_MIN)
  return largest > PAGE_MAX || (largest > PAGE_MIN && isAsked) ? largest : 1
}

/** The offset of e_entry, in both classes. */
export const E_ENTRY = 24

/**
 * struct config of stub.c.
 * @param align as `alignment` gives it
 */
export function config(
  magic: string,
  address: number,
  entry: number,
  loader: LoaderPlace,
  relocations: ProgramRelocations | null,
  align: number,
): Buffer {
  const bytes = Buffer.alloc(CONFIG + loader.path.length + 1)
  bytes.write(magic, 0, 'latin1')
  bytes.writeBigUInt64LE(BigInt(address), 8)
  bytes.writeBigUInt64LE(BigInt(entry), 16)
  bytes.writeUInt16LE(loader.up, 24)
  bytes.writeUInt8(Math.log2(align), 26)
  bytes.writeUInt32LE(relocations === null ? 0 : relocations.program === null ? NO_SITES : relocations.program + 1, 28)
  bytes.write(loader.path, CONFIG, 'latin1')
  return bytes
}

/** Takes PT_INTERP, or what is spare, out of the table and puts the stub's PT_LOAD behind the last PT_LOAD. */
function replaceHeader(
  bytes: Buffer,
  facts: ElfFacts,
  offset: number,
  vaddr: number,
  size: number,
  page: number,
): void {
  const fields = PHDR[facts.class]
  const table = readWord(bytes, PROGRAM_TABLE[facts.class].offset, facts)
  const entries = facts.segments.map((_, i) =>
    Buffer.from(bytes.subarray(table + i * fields.size, table + (i + 1) * fields.size)),
  )
  const spare = spareHeader(facts)
  const stays = (i: number): boolean => i !== spare && facts.segments[i]!.type !== PT.interp
  const kept = entries.filter((_, i) => stays(i))
  const types = facts.segments.filter((_, i) => stays(i)).map(s => s.type)
  const load = Buffer.alloc(fields.size)
  writeInt(load, fields.type, PT.load, facts)
  writeInt(load, fields.flags, PF.r | PF.x, facts)
  writeWord(load, fields.align, page, facts)
  setHeader(load, 0, facts, { address: BigInt(vaddr), offset, size })
  kept.splice(types.lastIndexOf(PT.load) + 1, 0, load)
  // More than one PT_INTERP is malformed but loadable: the table keeps its length with PT_NULLs.
  while (kept.length < entries.length) kept.push(Buffer.alloc(fields.size))
  Buffer.concat(kept).copy(bytes, table)
}

/** Where the stub lies, in memory and in the file. */
type Place = Pick<Section, 'address' | 'offset' | 'size'>

/**
 * The section's name and a section header table with the section in it, and what of the file they change; null where it
 * has no such table.
 * @param at where the parts will stand in the file
 */
function addedSection(
  bytes: Buffer,
  facts: ElfFacts,
  at: number,
  stub: Place,
): { parts: Buffer[]; place: (injected: Buffer) => void } | null {
  const place = SECTION_TABLE[facts.class]
  const table = sectionTable(bufferSource(bytes), facts).sections
  const namesIndex = readHalf(bytes, place.names, facts)
  const names = table[namesIndex]
  if (table.length === 0 || names === undefined || names.offset + names.size > bytes.length) return null
  if (table.length + 1 >= SHN_LORESERVE) return null
  const old = readWord(bytes, place.offset, facts)
  const index = table.reduce((last, s, i) => (s.flags & SHF.alloc ? i : last), 0) + 1
  const moved = (i: number): number => (i >= index && i < SHN_LORESERVE ? i + 1 : i)

  const word = facts.class / 8
  const fields = { offset: 8 + 2 * word, size: 8 + 3 * word, link: 8 + 4 * word, info: 12 + 4 * word }
  const headers = table.map((section, i): Buffer => {
    const header = Buffer.from(bytes.subarray(old + i * place.size, old + (i + 1) * place.size))
    writeInt(header, fields.link, moved(readInt(header, fields.link, facts)), facts)
    const infoIsIndex = section.type === SHT.rela || section.type === SHT.rel || section.flags & SHF.infoLink
    if (infoIsIndex) writeInt(header, fields.info, moved(readInt(header, fields.info, facts)), facts)
    return header
  })
  const newNames = Buffer.concat([
    bytes.subarray(names.offset, names.offset + names.size),
    Buffer.from(`${SECTION_NAME}\0`, 'latin1'),
  ])
  writeWord(headers[namesIndex]!, fields.offset, at, facts)
  writeWord(headers[namesIndex]!, fields.size, newNames.length, facts)
  const added: Section = {
    ...{ name: SECTION_NAME, type: SHT.progbits, flags: SHF.alloc | SHF.exec, ...stub },
    ...{ link: 0, info: 0, align: ALIGN, entsize: 0 },
  }
  headers.splice(index, 0, sectionHeader(added, names.size, facts))

  const tableAt = roundUp(at + newNames.length, word)
  return {
    parts: [newNames, Buffer.alloc(tableAt - at - newNames.length), ...headers],
    place: injected => {
      moveSymbols(injected.subarray(0, bytes.length), facts, table, moved)
      writeWord(injected, place.offset, tableAt, facts)
      writeHalf(injected, place.count, table.length + 1, facts)
      writeHalf(injected, place.names, moved(namesIndex), facts)
    },
  }
}

/** Section indices in symbol tables (st_shndx), and those that do not fit there (SHT_SYMTAB_SHNDX). */
function moveSymbols(
  bytes: Buffer,
  facts: ElfFacts,
  table: readonly Section[],
  moved: (index: number) => number,
): void {
  const symbol = SYMBOL[facts.class]
  for (const { type, offset, size, entsize } of table) {
    if (offset + size > bytes.length) continue
    if ((type === SHT.symtab || type === SHT.dynsym) && entsize === symbol.size)
      for (let at = offset; at + symbol.size <= offset + size; at += symbol.size)
        writeHalf(bytes, at + symbol.section, moved(readHalf(bytes, at + symbol.section, facts)), facts)
    else if (type === SHT.symtabShndx)
      for (let at = offset; at + 4 <= offset + size; at += 4)
        writeInt(bytes, at, moved(readInt(bytes, at, facts)), facts)
  }
}
