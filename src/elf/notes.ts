/**
 * `.note.dlopen`: which libraries a program opens by itself, told by its author (UAPI.12,
 * https://uapi-group.org/specifications/specs/elf_dlopen_metadata/).
 */
import { type ByteSource, viewAt } from '../io/bytes.ts'
import { PT } from './constants.ts'
import type { DlopenNote } from './facts.ts'
import type { Image } from './image.ts'

/** Notes are small; what lies beyond this in all PT_NOTEs together is not read. In bytes. */
const NOTE_MAX = 1 << 20
/** `.note.dlopen`: owner FDO, this type, a JSON array (UAPI.12). */
const NOTE_DLOPEN = 0x407c0c0a

export function readDlopenNotes({ source, header, segments, path }: Image): readonly DlopenNote[] {
  const notes: DlopenNote[] = []
  let budget = NOTE_MAX
  for (const segment of segments) {
    if (segment.type !== PT.note || segment.filesz > budget || segment.offset + segment.filesz > source.size) continue
    budget -= segment.filesz
    const view = viewAt(source, segment.offset, segment.filesz, header.little, 'PT_NOTE', path)
    const align = segment.align === 8 ? 8 : 4
    const pad = (n: number): number => Math.ceil(n / align) * align
    // A note that overruns its segment ends the walk: notes are advice, and the kernel ignores such ones too.
    for (let at = 0; at + 12 <= view.size; ) {
      const nameSize = view.u32(at)
      const descSize = view.u32(at + 4)
      const descAt = at + pad(12 + nameSize)
      if (descAt + descSize > view.size) break
      const owner = view.buffer.toString('latin1', at + 12, at + 12 + nameSize)
      if (view.u32(at + 8) === NOTE_DLOPEN && owner === 'FDO\0')
        notes.push(
          ...dlopenNotes(view.buffer.toString('utf8', descAt, descAt + descSize), name => {
            const found = view.buffer.indexOf(`"${name}"`, descAt)
            return found < 0 || found >= descAt + descSize ? null : segment.offset + found + 1
          }),
        )
      at = descAt + pad(descSize)
    }
  }
  return notes
}

/** @param offsetOf the file offset of a name in the note's text */
function dlopenNotes(json: string, offsetOf: (name: string) => number | null): DlopenNote[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(json.replace(/\0+$/, ''))
  } catch {
    return [] // Advice that cannot be read is no advice.
  }
  if (!Array.isArray(parsed)) return []
  return parsed.flatMap((entry: unknown): DlopenNote[] => {
    if (typeof entry !== 'object' || entry === null || !('soname' in entry) || !Array.isArray(entry.soname)) return []
    const priority = 'priority' in entry ? entry.priority : undefined
    const sonames = entry.soname.filter((name): name is string => typeof name === 'string')
    return [
      {
        sonames,
        offsets: sonames.map(offsetOf),
        // The specification's default is "recommended".
        priority: priority === 'required' || priority === 'suggested' ? priority : 'recommended',
      },
    ]
  })
}

/** NT_GNU_BUILD_ID. */
const NOTE_BUILD_ID = 3

/** A part of a file that holds notes, aligned to 4 or 8 bytes. */
interface Notes {
  readonly offset: number
  readonly size: number
  readonly align: number
}

/** The build id of a file, in hexadecimal; null without one. */
export function readBuildId(source: ByteSource, parts: readonly Notes[], little: boolean): string | null {
  for (const { offset, size, align } of parts) {
    if (size > NOTE_MAX || offset + size > source.size) continue
    const bytes = source.read(offset, size)
    const u32 = (at: number): number => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at))
    const unit = align === 8 ? 8 : 4
    const pad = (n: number): number => Math.ceil(n / unit) * unit
    for (let at = 0; at + 12 <= bytes.length; ) {
      const descAt = at + pad(12 + u32(at))
      const end = descAt + u32(at + 4)
      if (end > bytes.length) break
      if (u32(at + 8) === NOTE_BUILD_ID && bytes.toString('latin1', at + 12, at + 16) === 'GNU\0')
        return bytes.toString('hex', descAt, end)
      at = descAt + pad(u32(at + 4))
    }
  }
  return null
}
