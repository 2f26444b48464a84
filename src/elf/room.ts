/**
 * Room for what has no place in a file, in memory that nothing else has: at the end of the last loaded segment, or in a
 * segment of its own, for which a program header gives its slot. Why so, and in this order: grow.ts. Pure.
 */
import { ET, PF, PT } from './constants.ts'
import type { ElfFacts, Segment } from './facts.ts'
import type { Image } from './image.ts'
import { areAscending, exactAddress, PHDR, setHeader } from './program-headers.ts'
import { roundUp, writeInt, writeWord } from './words.ts'

/** Zeros that come into the file at most. In bytes. */
const ZEROS_MAX = 64 << 20
const ALIGN = 16

/** Where there is room, and what of the file changes for it. */
export interface Place {
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
export function atEndOf({ source, header }: Image, facts: ElfFacts, size: number, writable: boolean): Place | null {
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
export function behindAll({ source, header }: Image, facts: ElfFacts, size: number): Place | null {
  const spare = spareRow(facts)
  const loads = facts.segments.filter(s => s.type === PT.load)
  if (spare < 0 || !areAscending(loads)) return null
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
