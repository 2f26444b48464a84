/**
 * Names of libraries that a program opens by itself (dlopen(3)): the strings `lib<something>.so<version>` that stand
 * alone, from NUL to NUL, in what is loaded read-only. Most are no library at all, so a name counts only where it is
 * found in the object's own search directories.
 */

import type { ByteSource } from '../io/bytes.ts'
import { PF, PT } from './constants.ts'
import type { ElfFacts } from './facts.ts'

const MARK = Buffer.from('.so', 'latin1')
const SONAME = /^lib[A-Za-z0-9_+.-]*\.so(?:\.[0-9]+)*$/
/** The same, and patterns of printf(3) that say more of a name than `lib%s.so`: `libfusemod_%s.so`, `libnss_%s.so%s`. */
export const SONAME_OR_PATTERN =
  /^lib(?:[A-Za-z0-9_+.-]*\.so(?:\.[0-9]+)*|[A-Za-z0-9_+.-]{3,}%[-0-9.]*[sdu][A-Za-z0-9_+.-]*\.so(?:[.0-9]|%[sdu])*)$/
const NAME_MAX = 255
const PIECE = 256 * 1024

/** Soname-shaped strings of an object outside its dynamic string table, sorted, each once, with the offset of the first. */
export function sonameStrings(
  source: ByteSource,
  facts: ElfFacts,
  shape: RegExp = SONAME,
): { name: string; offset: number }[] {
  const names = new Map<string, number>()
  for (const { start: begin, end } of readOnlyRanges(facts)) {
    for (let offset = begin; offset < end; offset += PIECE) {
      // Each piece sees a name's length beyond both of its ends; a mark belongs to the piece it lies in.
      const from = Math.max(begin, offset - NAME_MAX - 1)
      const piece = source.read(from, Math.min(end, offset + PIECE + NAME_MAX + 1) - from)
      const [first, last] = [offset - from, offset - from + PIECE]
      // From each mark on to the end of its string, so that a string full of marks is looked at once.
      for (let at = piece.indexOf(MARK, first), stop: number; at >= 0 && at < last; at = piece.indexOf(MARK, stop)) {
        stop = piece.indexOf(0, at)
        if (stop < 0) break
        if (inDynstr(facts, from + at)) continue
        const start = piece.lastIndexOf(0, at) + 1
        if (stop - start > NAME_MAX) continue
        const name = piece.toString('latin1', start, stop)
        if (shape.test(name) && !names.has(name)) names.set(name, from + start)
      }
    }
  }
  return [...names].map(([name, offset]) => ({ name, offset })).sort((a, b) => (a.name < b.name ? -1 : 1))
}

/** The parts of the file that are loaded read-only, each byte once: segments may overlap. */
function readOnlyRanges(facts: ElfFacts): { start: number; end: number }[] {
  const ranges: { start: number; end: number }[] = []
  const loads = facts.segments.filter(s => s.type === PT.load && !(s.flags & PF.w))
  for (const { offset, filesz } of loads.sort((a, b) => a.offset - b.offset)) {
    const last = ranges.at(-1)
    if (last && offset <= last.end) last.end = Math.max(last.end, offset + filesz)
    else ranges.push({ start: offset, end: offset + filesz })
  }
  return ranges
}

/** Whether a file offset lies in the dynamic string table, whose strings are the loader's and not the program's. */
export const inDynstr = ({ dynstr }: ElfFacts, offset: number): boolean =>
  dynstr !== null && offset >= dynstr.offset && offset < dynstr.offset + dynstr.size
