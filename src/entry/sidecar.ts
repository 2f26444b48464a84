/**
 * The entry by a sidecar, for programs whose file may not grow or has no room for a segment (bootstrap.c, sidecar.c):
 * facts in, bytes and places out.
 *
 * The bootstrap goes over the program's own bytes in the segment that its entry point lies in, e_entry names it, every
 * PT_INTERP becomes PT_NULL in its place. Nothing else of the file changes. What was there goes into the sidecar, one file
 * for all such programs of a bundle and CPU.
 *
 * **Where.** In this order: at the entry point; where the segment ends; in the zeros between the segment's end and the end
 * of its page, which are mapped with it. Never over anything that the kernel or a tool reads from the file: headers,
 * what a program header other than PT_LOAD names, tables of symbols and versions, another segment.
 *
 * **Format**, little-endian. Behind the bootstrap's code, in the program:
 *
 *     u64  hash over the sidecar's head: code and list (`hashWords`)
 *     u32  length of the head
 *     u32  length of the sidecar
 *     u32  the program's number in it
 *     u32  0
 *     struct config of stub.c, with another magic; behind the loader's path a search path, empty for none
 *
 * Behind the sidecar's code:
 *
 *     8 bytes  "SFENTRY1"
 *     u32      N, number of programs
 *     u32      0
 *     N times:
 *       u64    address of the bootstrap
 *       u64    address of the pages in which it lies
 *       u64    hash over these
 *       u32    where they are in the sidecar, a multiple of their size
 *       u32    how long they are
 *       u32    how long the bootstrap is with all that is behind it
 *       u32    0
 *     zeros, and the pages as they were
 */
import { EM, PF, PT } from '../elf/constants.ts'
import type { ElfFacts, LoaderPlace, Segment } from '../elf/facts.ts'
import { PHDR, PROGRAM_TABLE } from '../elf/program-headers.ts'
import { readSections, SECTION_TABLE, SHF, SHT } from '../elf/sections.ts'
import { BOOT, BOOT_MAGIC, BOOT_MAX } from '../elf/stub.ts'
import { readHalf, readWord, roundUp, writeWord } from '../elf/words.ts'
import type { ByteSource } from '../io/bytes.ts'
import { type EntryCpu, entryCpu } from './cpus.ts'
import { alignment, config, E_ENTRY, type ProgramRelocations, type StubRefusal } from './inject.ts'
import { hashWords } from './relocations.ts'

/** Where the sidecar lies in the bundle (SIDECAR_PATH in bootstrap.c), by the CPU's name. */
export const sidecarPath = (arch: string): string => `lib/.entry-${arch}`

/** Room that a bootstrap is looked for with when nothing but the program is known; the paths behind it are short. In bytes. */
const ROOM = 1536
const ALIGN = 16
/** The smallest page there is: as much is mapped with a segment's last byte. In bytes. */
const PAGE_MIN = 0x1000

const MAGIC = 'SFENTRY1'
/** Bytes of the list's head, and of one program in it. */
const LIST = 16
const ORIGINAL = 40

/** Where a bootstrap goes. */
export interface Place {
  readonly offset: number
  readonly address: number
}

/** Whether a program that cannot take the stub for this reason is entered by a sidecar. */
export function takesSidecar(source: ByteSource, facts: ElfFacts, refusal: StubRefusal): boolean {
  if (refusal === 'cpu' || refusal === 'no-interpreter') return false
  return entryCpu(facts) !== null && placeOf(source, facts, ROOM) !== null
}

/** Where `size` bytes of a program can be a bootstrap; null where there is no room. */
export function placeOf(source: ByteSource, facts: ElfFacts, size: number): Place | null {
  const entry = entryOf(source, facts)
  const text = facts.segments.find(
    s => s.type === PT.load && (s.flags & (PF.r | PF.x)) === (PF.r | PF.x) && entry >= s.vaddr && entry < fileEnd(s),
  )
  // What can be written to may be written to before it is put back, by whoever shares the page.
  if (text === undefined || text.flags & PF.w || size > BOOT_MAX) return null
  const others = facts.segments.filter(s => s.type === PT.load && s !== text)
  const taken = [...read(source, facts), ...others]
  const page = Math.min(entryCpu(facts)!.page, ...[text, ...others].map(s => Math.max(s.align, PAGE_MIN)))
  const isFree = (address: number): boolean => {
    const offset = address - text.vaddr + text.offset
    // Whole pages are put back: no other segment may have a part of them.
    const [first, last] = [address - (address % page), roundUp(address + size, page)]
    return (
      address >= text.vaddr &&
      taken.every(t => t.offset + t.filesz <= offset || t.offset >= offset + size) &&
      others.every(o => roundUp(o.vaddr + o.memsz, page) <= first || o.vaddr - (o.vaddr % page) >= last)
    )
  }
  const down = (address: number): number => address - (address % ALIGN)
  // Without sections nothing says where the tables of its symbols end; code follows them.
  const lowest = readSections(source, facts).length > 0 ? 0 : down(entry)
  const inside = [down(entry), down(fileEnd(text) - size)].find(
    at => isFree(at) && at + size <= fileEnd(text) && at >= lowest,
  )
  const behind = down(fileEnd(text) + ALIGN - 1)
  const address = inside ?? (isFree(behind) && isPadding(source, facts, text, behind + size) ? behind : undefined)
  return address === undefined ? null : { offset: address - text.vaddr + text.offset, address }
}

const fileEnd = (s: Segment): number => s.vaddr + s.filesz
const entryOf = (source: ByteSource, facts: ElfFacts): number =>
  readWord(source.read(E_ENTRY, facts.class / 8), 0, facts)

/** What the kernel, the loader and tools read from the file by its headers. */
function read(source: ByteSource, facts: ElfFacts): { offset: number; filesz: number }[] {
  const table = SECTION_TABLE[facts.class]
  const header = source.read(0, table.header)
  const sections = readHalf(header, table.count, facts) * readHalf(header, table.entry, facts)
  return [
    { offset: 0, filesz: table.header },
    { offset: programTable(source, facts), filesz: facts.segments.length * PHDR[facts.class].size },
    { offset: readWord(header, table.offset, facts), filesz: sections },
    ...(facts.dynstr === null ? [] : [{ offset: facts.dynstr.offset, filesz: facts.dynstr.size }]),
    ...readSections(source, facts)
      .filter(s => s.flags & SHF.alloc && NAMES.includes(s.type))
      .map(({ offset, size }) => ({ offset, filesz: size })),
    ...facts.segments.filter(
      s => s.type !== PT.load && s.type !== PT.gnuRelro && s.filesz > 0 && !isUnwind(s, facts.machine),
    ),
  ]
}

/** Tables of names, and of what they mean: dynamic symbols, strings, hashes, versions. Relocations are the loader's alone. */
const NAMES: readonly number[] = [SHT.strtab, SHT.dynsym, 5, 0x6ffffff6, 0x6ffffffd, 0x6ffffffe, 0x6fffffff]

const programTable = (source: ByteSource, facts: ElfFacts): number =>
  readWord(source.read(PROGRAM_TABLE[facts.class].offset, facts.class / 8), 0, facts)

/** PT_GNU_EH_FRAME, and PT_ARM_EXIDX in its place: read in memory, when the program runs. */
const isUnwind = (s: Segment, machine: number): boolean =>
  s.type === 0x6474e550 || (machine === EM.arm && s.type === 0x70000001)

/** Whether nothing but zeros is in the file from a segment's end up to an address, in its last page, before the next one. */
function isPadding(source: ByteSource, facts: ElfFacts, text: Segment, end: number): boolean {
  const from = text.offset + text.filesz
  const to = end - text.vaddr + text.offset
  const isLast = !facts.segments.some(s => s.type === PT.load && s.offset >= to)
  const pageEnd = roundUp(fileEnd(text), PAGE_MIN)
  if (isLast || text.memsz !== text.filesz || end > pageEnd) return false
  return source.read(from, to - from).every(byte => byte === 0)
}

// ---- Bytes -------------------------------------------------------------------------------------------------------

/** How a program is entered by a sidecar. */
export interface SidecarEntry {
  /** With an empty path for a static program. */
  readonly loader: LoaderPlace
  /** Null when its bundle has no table of relocations. */
  readonly relocations: ProgramRelocations | null
  /** The search path that the program gets in memory; null when its file has it. */
  readonly rpath: string | null
}

/** A program to be entered by a sidecar: where its bootstrap goes, and the pages that lie there. */
export interface Entered extends SidecarEntry, Place {
  readonly class: 32 | 64
  /** How long the bootstrap is with all that is behind it. In bytes. */
  readonly size: number
  /** The pages as they were, and their address. */
  readonly pages: Buffer
  readonly first: number
  /** The program's own e_entry. */
  readonly entry: number
  /** What the program's address has to be a multiple of. In bytes. */
  readonly align: number
  /** File offsets of p_type of every PT_INTERP. */
  readonly interps: readonly number[]
}

/** @returns null where there is no room */
export function enter(source: ByteSource, facts: ElfFacts, blob: Buffer, how: SidecarEntry): Entered | null {
  const align = alignment(source, facts)
  const size = blob.length + behind({ ...how, align }, 0, 0).length
  const place = placeOf(source, facts, size)
  if (place === null) return null
  const { page } = entryCpu(facts)!
  const first = place.address - (place.address % page)
  const pages = Buffer.alloc(roundUp(place.address + size, page) - first)
  // What lies before the file's first byte is in no segment.
  const offset = place.offset - (place.address - first)
  source.read(Math.max(0, offset), pages.length + Math.min(0, offset)).copy(pages, Math.max(0, -offset))
  const [table, row] = [programTable(source, facts), PHDR[facts.class].size]
  const interps = facts.segments.flatMap((s, i) => (s.type === PT.interp ? [table + i * row] : []))
  return { ...how, ...place, class: facts.class, size, pages, first, align, entry: entryOf(source, facts), interps }
}

/** A sidecar's bytes, and how long its head is. */
export interface Sidecar {
  readonly bytes: Buffer
  readonly head: number
}

/** The sidecar for these programs of one CPU, numbered as they are given. */
export function sidecarOf({ page }: EntryCpu, blob: Buffer, programs: readonly Entered[]): Sidecar {
  const list = Buffer.alloc(LIST + programs.length * ORIGINAL)
  list.write(MAGIC, 0, 'latin1')
  list.writeUInt32LE(programs.length, 8)
  const head = blob.length + list.length
  let end = head
  const parts: Buffer[] = []
  for (const [i, { address, first, pages, size }] of programs.entries()) {
    const offset = roundUp(end, page)
    const at = LIST + i * ORIGINAL
    list.writeBigUInt64LE(BigInt(address), at)
    list.writeBigUInt64LE(BigInt(first), at + 8)
    list.writeBigUInt64LE(hashWords(pages), at + 16)
    for (const [field, value] of [offset, pages.length, size].entries()) list.writeUInt32LE(value, at + 24 + field * 4)
    parts.push(Buffer.alloc(offset - end), pages)
    end = offset + pages.length
  }
  return { bytes: Buffer.concat([blob, list, ...parts]), head }
}

/** What is written over a program with this number in the sidecar. */
export function bootstrapWrites(
  program: Entered,
  number: number,
  blob: Buffer,
  sidecar: Sidecar,
): { offset: number; bytes: Buffer }[] {
  const { address, offset, entry, interps } = program
  const struct = behind(program, address + blob.length + BOOT, entry)
  struct.writeBigUInt64LE(hashWords(sidecar.bytes.subarray(0, sidecar.head)), 0)
  for (const [field, value] of [sidecar.head, sidecar.bytes.length, number].entries())
    struct.writeUInt32LE(value, 8 + field * 4)
  const entryPoint = Buffer.alloc(program.class / 8)
  writeWord(entryPoint, 0, address, { class: program.class, little: true })
  return [
    { offset: E_ENTRY, bytes: entryPoint },
    ...interps.map(at => ({ offset: at, bytes: Buffer.alloc(4) })),
    { offset, bytes: Buffer.concat([blob, struct]) },
  ]
}

/** struct boot and all that follows it, the sidecar's own fields left empty. */
function behind(
  { loader, relocations, rpath, align }: SidecarEntry & { readonly align: number },
  address: number,
  entry: number,
): Buffer {
  return Buffer.concat([
    Buffer.alloc(BOOT),
    config(BOOT_MAGIC, address, entry, loader, relocations, align),
    Buffer.from(`${rpath ?? ''}\0`, 'latin1'),
  ])
}
