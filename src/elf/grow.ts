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
import { DT, PT } from './constants.ts'
import { Dynamic, Strings } from './dynamic-section.ts'
import type { ElfEdit, Write } from './edit.ts'
import type { ElfFacts } from './facts.ts'
import { pointee, readImage } from './image.ts'
import { parseElf } from './parse.ts'
import { PHDR, setHeader } from './program-headers.ts'
import { atEndOf, behindAll } from './room.ts'
import { type MovedSection, movedSections } from './section-moves.ts'
import { readVersions } from './symbols.ts'
import { roundUp, writeInt } from './words.ts'

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

const ALIGN = 16

const COMPANIONS: ReadonlySet<number> = new Set([DT.audit, DT.depaudit, DT.filter, DT.auxiliary])

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

function intWrite(facts: ElfFacts, offset: number, value: number): Write {
  const bytes = Buffer.alloc(4)
  writeInt(bytes, 0, value, facts)
  return { offset, bytes }
}
