/**
 * Names of libraries that a program opens by itself (dlopen(3)): the strings `lib<something>.so<version>` that stand
 * alone, from NUL to NUL, in what is loaded read-only. Most are no library at all, so a name counts only where it is
 * found in the object's own search directories.
 */

import type { ByteSource } from '../io/bytes.ts'
import type { ElfFacts } from '../model.ts'
import { PF, PT } from './constants.ts'

const MARK = Buffer.from('.so', 'latin1')
const SONAME = /^lib[A-Za-z0-9_+.-]*\.so(?:\.[0-9]+)*$/
const NAME_MAX = 255
const PIECE = 256 * 1024

/** Soname-shaped strings of an object outside its dynamic string table, sorted, each once. */
export function sonameStrings(source: ByteSource, facts: ElfFacts): string[] {
  const names = new Set<string>()
  for (const segment of facts.segments) {
    if (segment.type !== PT.load || segment.flags & PF.w) continue
    const end = segment.offset + segment.filesz
    for (let offset = segment.offset; offset < end; offset += PIECE) {
      // Each piece sees a name's length beyond both of its ends; a mark belongs to the piece it lies in.
      const from = Math.max(segment.offset, offset - NAME_MAX - 1)
      const piece = source.read(from, Math.min(end, offset + PIECE + NAME_MAX + 1) - from)
      const [first, last] = [offset - from, offset - from + PIECE]
      for (let at = piece.indexOf(MARK, first); at >= 0 && at < last; at = piece.indexOf(MARK, at + 1)) {
        if (inDynstr(facts, from + at)) continue
        const start = piece.lastIndexOf(0, at) + 1
        const stop = piece.indexOf(0, at)
        if (stop < 0 || stop - start > NAME_MAX) continue
        const name = piece.toString('latin1', start, stop)
        if (SONAME.test(name)) names.add(name)
      }
    }
  }
  return [...names].sort()
}

const inDynstr = ({ dynstr }: ElfFacts, offset: number): boolean =>
  dynstr !== null && offset >= dynstr.offset && offset < dynstr.offset + dynstr.size
