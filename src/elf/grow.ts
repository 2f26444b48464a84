/**
 * Strings that are longer than their place (elf/edit.ts writes those that are not): the dynamic string table is made
 * anew, larger, in memory that nothing else has. Pure: bytes in, changes out.
 *
 * No program header is added, for the table of these has no room and its place must not change: a kernel before 5.18
 * tells a program a wrong one (AT_PHDR), and a bundle's stub knows libraries by it. Instead the last loaded segment grows
 * at its end. What it has there is zeros that are in no file (.bss): they are put into the file, and the new table behind
 * them. Nothing that a segment holds moves; what no segment holds (symbols, debug information, section headers) moves
 * back by as much. Addresses, alignments and the order of segments stay.
 *
 * Where that cannot be (hundreds of megabytes of zeros, the segment is not the last of the file) the table gets a segment
 * of its own behind the end of the file, in the slot of a program header that tells nothing (`spareRow`).
 *
 * With the table may move: PT_INTERP's string; and the dynamic section, which has to have one entry more where there was
 * no search path, and has spare ones from GNU's linkers only. The sections of what has moved are put behind the other
 * loaded ones (elf/section-moves.ts): GNU strip writes sections in the order of their numbers.
 *
 * Sources: elf(5), the System V gABI ch. 4 and 5; glibc's elf/dl-load.c; patchelf#10, #75, #85, #244 for what an
 * editor must not do to the tools that come after it.
 */
import type { ByteSource } from '../io/bytes.ts'
import { DT, EM, ET, PF, PT } from './constants.ts'
import type { ElfEdit, Write } from './edit.ts'
import type { ElfFacts, Segment } from './facts.ts'
import { type Image, pointee, readImage } from './image.ts'
import { parseElf } from './parse.ts'
import { type MovedSection, movedSections } from './section-moves.ts'
import { readVersions } from './symbols.ts'
import { readExact, roundUp, writeInt, writeWord } from './words.ts'

/** What a file becomes. */
export interface Growth {
  /** Over bytes of its own, by their old offsets. */
  readonly writes: readonly Write[]
  /** Put in at the old offset `at`: what lay there comes behind it. */
  readonly at: number
  readonly inserted: Buffer
}

/** Why a string cannot grow. */
export type GrowthRefusal =
  | 'no-table' /* no dynamic section or no interpreter, where one is to be changed */
  | 'has-stub' /* it starts with a bundle's stub, which lies where the table would */
  | 'no-room' /* neither can its last segment grow, nor is there a program header to spare */

/** Zeros that come into the file at most. In bytes. */
const ZEROS_MAX = 64 << 20
const ALIGN = 16

const COMPANIONS: ReadonlySet<number> = new Set([DT.audit, DT.depaudit, DT.filter, DT.auxiliary])

/** Offsets in a program header (elf(5), Elf32_Phdr and Elf64_Phdr). */
const PHDR = {
  32: { type: 0, offset: 4, vaddr: 8, paddr: 12, filesz: 16, memsz: 20, flags: 24, align: 28, size: 32 },
  64: { type: 0, flags: 4, offset: 8, vaddr: 16, paddr: 24, filesz: 32, memsz: 40, align: 48, size: 56 },
} as const

/**
 * The changes that carry out the edits, all of them outside of the strings' old places.
 * @param path only for the error message
 * @throws BundleError('malformed')
 */
export function grow(source: ByteSource, path: string, edits: readonly ElfEdit[]): Growth | GrowthRefusal {
  const image = readImage(source, path)
  const facts = parseElf(source, path)
  const segment = facts.segments.find(s => s.type === PT.dynamic)
  const interp = edits.findLast(e => e.op === 'set-interp')
  const isTableless = facts.dynstr === null || segment === undefined || facts.dynamic.length === 0
  if (isTableless || (interp && !facts.interp)) return 'no-table'
  if (facts.stub !== null) return 'has-stub'

  const strings = new Strings(source.read(facts.dynstr.offset, facts.dynstr.size))
  const dynamic = new Dynamic(facts, source.read(segment.offset, segment.filesz), segment.offset)
  const writes: Write[] = []
  for (const edit of edits) {
    if (edit.op === 'replace-needed' || edit.op === 'replace-companions') {
      const at = strings.add(edit.to)
      const isNamed = (tag: number): boolean => (edit.op === 'replace-needed' ? tag === DT.needed : COMPANIONS.has(tag))
      for (const { tag, value, offset } of facts.dynamic)
        if (isNamed(tag) && strings.at(value) === edit.from) dynamic.set(offset, tag, at)
      if (edit.op === 'replace-companions') continue
      // The loader looks for the library of a version by this name.
      for (const need of readVersions(image).needs)
        if (strings.at(need.file) === edit.from) writes.push(intWrite(facts, need.at + 4, at))
    } else if (edit.op === 'set-rpath') dynamic.setRpath(strings.add(edit.to))
  }

  // In this order they lie behind one another.
  const parts: Part[] = []
  const add = (what: Part['what'], bytes: Buffer, align: number): void => {
    const last = parts.at(-1)
    parts.push({ what, bytes, start: roundUp(last ? last.start + last.bytes.length : 0, align) })
  }
  if (interp) add('interp', Buffer.from(`${interp.to}\0`, 'latin1'), 1)
  add('strings', strings.bytes, 1)
  if (dynamic.moves) add('dynamic', dynamic.bytes, ALIGN)
  const place = atEndOf(image, facts, sizeOf(parts), dynamic.moves) ?? behindAll(image, facts, sizeOf(parts))
  if (place === null) return 'no-room'

  const table = parts.find(p => p.what === 'strings')!
  dynamic.point(DT.strtab, place.address + BigInt(table.start))
  dynamic.point(DT.strsz, BigInt(table.bytes.length))
  if (dynamic.moves) dynamic.moved(parts.find(p => p.what === 'dynamic')!.start + Number(place.near) - segment.vaddr)
  else writes.push({ offset: segment.offset, bytes: dynamic.bytes })

  for (const part of parts) part.bytes.copy(place.inserted, place.start + part.start)
  const located = (part: Part) => ({
    address: place.address + BigInt(part.start),
    offset: place.at + place.start + part.start,
    size: part.bytes.length,
  })
  const headers = Buffer.from(source.read(image.header.phoff, facts.segments.length * PHDR[facts.class].size))
  for (const part of parts) {
    const type = part.what === 'interp' ? PT.interp : part.what === 'dynamic' ? PT.dynamic : null
    facts.segments.forEach((s, i) => {
      if (s.type === type) setHeader(headers, i, facts, located(part))
    })
  }
  writes.push({ offset: image.header.phoff, bytes: place.headers(headers) })
  const old = {
    strings: pointee(image, DT.strtab, 'the dynamic string table')!,
    interp: facts.interp?.offset ?? -1,
    dynamic: segment.offset,
  }
  const moves = parts.map((part): MovedSection => ({ what: part.what, from: old[part.what], ...located(part) }))
  writes.push(...movedSections(source, facts, moves, place.at, place.inserted.length, place.zeros))
  return { writes, at: place.at, inserted: place.inserted }
}

// ---- What moves --------------------------------------------------------------------------------------------------

interface Part {
  readonly what: MovedSection['what']
  readonly bytes: Buffer
  /** From the beginning of the first part, in bytes. */
  readonly start: number
}

const sizeOf = (parts: readonly Part[]): number => parts.at(-1)!.start + parts.at(-1)!.bytes.length

/** The dynamic string table with strings added to its end. */
class Strings {
  readonly #old: Buffer
  #added = ''

  constructor(old: Buffer) {
    this.#old = old
  }

  get bytes(): Buffer {
    return Buffer.concat([this.#old, Buffer.from(this.#added, 'latin1')])
  }

  at(offset: number): string {
    const end = this.#old.indexOf(0, offset)
    return this.#old.toString('latin1', offset, end < 0 ? undefined : end)
  }

  /** Where the string now is. */
  add(text: string): number {
    // A table ends with a NUL, or what follows it in the file did.
    if (this.#added === '' && this.#old.at(-1) !== 0) this.#added = '\0'
    const at = this.#old.length + this.#added.length
    this.#added += `${text}\0`
    return at
  }
}

/** The dynamic section, in its old place or grown. */
class Dynamic {
  readonly #facts: ElfFacts
  readonly #from: number
  readonly #step: number
  readonly #capacity: number
  #bytes: Buffer
  #moves = false

  constructor(facts: ElfFacts, bytes: Buffer, from: number) {
    this.#facts = facts
    this.#bytes = Buffer.from(bytes)
    this.#from = from
    this.#step = facts.class / 4
    this.#capacity = Math.floor(bytes.length / this.#step)
  }

  get bytes(): Buffer {
    return this.#bytes
  }

  get moves(): boolean {
    return this.#moves
  }

  /** Gives the entry that lay at a file offset another tag and value. */
  set(offset: number, tag: number, value: number | bigint): void {
    this.#write(offset - this.#from, tag, value)
  }

  /** Every search path is this one, a RPATH; where there is none it becomes the last entry. */
  setRpath(value: number): void {
    const entries = this.#facts.dynamic.filter(e => e.tag === DT.rpath || e.tag === DT.runpath)
    for (const { offset } of entries) this.set(offset, DT.rpath, value)
    if (entries.length > 0) return
    const end = this.#facts.dynamic.length
    // One has to stay that ends the list.
    this.#moves = end + 2 > this.#capacity
    if (this.#moves)
      this.#bytes = Buffer.concat([this.#bytes.subarray(0, end * this.#step), Buffer.alloc(2 * this.#step)])
    this.#write(end * this.#step, DT.rpath, value)
    this.#write((end + 1) * this.#step, DT.null, 0)
  }

  point(tag: number, value: bigint): void {
    for (const entry of this.#facts.dynamic) if (entry.tag === tag) this.set(entry.offset, tag, value)
  }

  /** What is told from the place of its own entry, when all lies `by` bytes higher. */
  moved(by: number): void {
    if (this.#facts.machine !== EM.mips) return
    for (const { tag, offset } of this.#facts.dynamic) {
      if (tag !== DT.mipsRldMapRel) continue
      const value = readExact(this.#bytes, offset - this.#from + this.#step / 2, this.#facts)
      this.set(offset, tag, BigInt.asUintN(this.#facts.class, value - BigInt(by)))
    }
  }

  #write(at: number, tag: number, value: number | bigint): void {
    writeWord(this.#bytes, at, tag, this.#facts)
    writeWord(this.#bytes, at + this.#step / 2, value, this.#facts)
  }
}

// ---- Where to ----------------------------------------------------------------------------------------------------

interface Place {
  /** The file offset that bytes are put in at, and these. */
  readonly at: number
  readonly inserted: Buffer
  /** Where in them there is room. */
  readonly start: number
  /** What the room's address is: exactly, and as `Segment.vaddr` gives addresses. */
  readonly address: bigint
  readonly near: number
  /** The segment whose zeros came into the file. */
  readonly zeros: Segment | null
  /** The program headers with the segment that has the room. */
  readonly headers: (headers: Buffer) => Buffer
}

/** At the end of the last segment; null where that cannot grow. */
function atEndOf({ source, header }: Image, facts: ElfFacts, size: number, writable: boolean): Place | null {
  const last = lastLoad(facts)
  const at = last.offset + last.filesz
  const end = Math.max(
    header.phoff + facts.segments.length * PHDR[facts.class].size,
    ...facts.segments.filter(s => s.type === PT.load).map(s => s.offset + s.filesz),
  )
  const isLast = at >= end && at <= source.size && last.memsz >= last.filesz
  if (!isLast || last.memsz - last.filesz > ZEROS_MAX || (writable && !(last.flags & PF.w))) return null
  const near = roundUp(last.vaddr + last.memsz, ALIGN)
  const start = near - last.vaddr - last.filesz
  if (facts.class === 32 && near + size > 2 ** 32) return null
  const index = facts.segments.indexOf(last)
  return {
    at,
    // What moves back stays aligned.
    inserted: Buffer.alloc(roundUp(start + size, PAGE_MIN)),
    start,
    near,
    address: exactAddress(source, header.phoff, index, facts) + BigInt(near - last.vaddr),
    zeros: last,
    headers: headers => {
      setHeader(headers, index, facts, { size: near - last.vaddr + size })
      return headers
    },
  }
}

/** In a segment of its own; null when no program header is to spare. */
function behindAll({ source, header }: Image, facts: ElfFacts, size: number): Place | null {
  const spare = spareRow(facts)
  const loads = facts.segments.filter(s => s.type === PT.load)
  const isAscending = loads.every((s, i) => i === 0 || s.vaddr >= loads[i - 1]!.vaddr)
  if (spare < 0 || !isAscending) return null
  const last = lastLoad(facts)
  const page = Math.max(PAGE_MIN, ...loads.map(s => s.align))
  const offset = roundUp(source.size, ALIGN)
  const near = roundUp(last.vaddr + last.memsz, page) + (offset % page)
  if (page > 2 ** 31 || (facts.class === 32 && near + size > 2 ** 32)) return null
  const index = facts.segments.indexOf(last)
  const address = exactAddress(source, header.phoff, index, facts) + BigInt(near - last.vaddr)
  return {
    at: source.size,
    inserted: Buffer.alloc(offset - source.size + size),
    start: offset - source.size,
    near,
    address,
    zeros: null,
    headers: headers => {
      const fields = PHDR[facts.class]
      const load = Buffer.alloc(fields.size)
      writeInt(load, fields.type, PT.load, facts)
      writeInt(load, fields.flags, PF.r | PF.w, facts)
      writeWord(load, fields.align, page, facts)
      setHeader(load, 0, facts, { address, offset, size })
      const rows = facts.segments.map((_, i) => headers.subarray(i * fields.size, (i + 1) * fields.size))
      const behind = facts.segments.findLastIndex(s => s.type === PT.load)
      return Buffer.concat(rows.flatMap((row, i) => [...(i === spare ? [] : [row]), ...(i === behind ? [load] : [])]))
    },
  }
}

const PAGE_MIN = 4096

/** The one that nothing lies behind in memory. */
const lastLoad = ({ segments }: ElfFacts): Segment =>
  segments.filter(s => s.type === PT.load).reduce((a, b) => (b.vaddr + b.memsz >= a.vaddr + a.memsz ? b : a))

/**
 * Which program header gives its slot to a segment; -1 when none can. In this order:
 * - PT_NULL: nothing.
 * - PT_NOTE that PT_GNU_PROPERTY covers: it tells nothing twice.
 * - PT_PHDR, but of a program that may lie anywhere: of that alone the loader works out by it where it lies.
 * - PT_NOTE: the loader reads properties from PT_GNU_PROPERTY, and debuggers find a build ID by its section too; but
 *   .note.dlopen has to stay.
 * Without PT_GNU_STACK the stack would be executable.
 */
export function spareRow({ segments, type, program, dlopenNotes }: ElfFacts): number {
  const properties = segments.find(s => s.type === PT.gnuProperty)
  const choices = [
    (s: Segment) => s.type === PT.null,
    (s: Segment) => s.type === PT.note && s.offset === properties?.offset && s.filesz === properties.filesz,
    (s: Segment) => s.type === PT.phdr && (type === ET.exec || !program),
    (s: Segment) => s.type === PT.note && dlopenNotes.length === 0,
  ]
  return choices.map(choice => segments.findIndex(choice)).find(i => i >= 0) ?? -1
}

// ---- Program headers ---------------------------------------------------------------------------------------------

const exactAddress = (source: ByteSource, phoff: number, index: number, facts: ElfFacts): bigint => {
  const { size, vaddr } = PHDR[facts.class]
  return readExact(source.read(phoff + index * size, size), vaddr, facts)
}

/** Gives the header with this number another place; `size` is that in the file and in memory. */
function setHeader(
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

function intWrite(facts: ElfFacts, offset: number, value: number): Write {
  const bytes = Buffer.alloc(4)
  writeInt(bytes, 0, value, facts)
  return { offset, bytes }
}
