/**
 * Names of libraries that a program opens by itself (dlopen(3)): the strings `lib<something>.so<version>` that stand
 * alone, from NUL to NUL, in what is loaded read-only. Most are no library at all, so a name counts only where it is
 * found in the object's own search directories.
 */

import type { ByteSource } from '../io/bytes.ts'
import { PF, PT } from './constants.ts'
import type { ElfFacts } from './facts.ts'

const MARK = Buffer.from('.so', 'latin1')
/** Bytes of a mark behind its first one. */
const REST = MARK.length - 1
const SONAME = /^lib[A-Za-z0-9_+.-]*\.so(?:\.[0-9]+)*$/
/** The same, and patterns of printf(3) that say more of a name than `lib%s.so`: `libfusemod_%s.so`, `libnss_%s.so%s`. */
export const SONAME_OR_PATTERN =
  /^lib(?:[A-Za-z0-9_+.-]*\.so(?:\.[0-9]+)*|[A-Za-z0-9_+.-]{3,}%[-0-9.]*[sdu][A-Za-z0-9_+.-]*\.so(?:[.0-9]|%[sdu])*)$/
const NAME_MAX = 255
const PIECE = 256 * 1024
/** Bytes that are read at once where there are marks. */
const NEAR = 16 * 1024

/** A string that some object may be opened by, and where it begins in the file. */
export interface SonameString {
  readonly name: string
  readonly offset: number
}

/**
 * Soname-shaped strings of an object outside its dynamic string table, sorted, each once, with the offset of the first.
 * @param marks where `.so` stands, where that is known: the rest of the file is not read
 */
export function sonameStrings(
  source: ByteSource,
  facts: ElfFacts,
  shape: RegExp = SONAME,
  marks: readonly number[] | null = null,
): SonameString[] {
  const names = new Map<string, number>()
  for (const { start: begin, end } of readOnlyRanges(facts)) {
    for (const { offset, size } of marks === null ? stretches(begin, end) : around(facts, marks, begin, end)) {
      // Each piece sees a name's length beyond both of its ends; a mark belongs to the piece it lies in.
      const from = Math.max(begin, offset - NAME_MAX - 1)
      const piece = source.read(from, Math.min(end, offset + size + NAME_MAX + 1) - from)
      const [first, last] = [offset - from, offset - from + size]
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

/** All of the bytes from `begin` to `end`, in pieces. */
function* stretches(begin: number, end: number): Generator<{ offset: number; size: number }> {
  for (let offset = begin; offset < end; offset += PIECE) yield { offset, size: PIECE }
}

/** The marks (ascending) between `begin` and `end` whose strings are not the loader's; such as are near are one piece. */
function* around(
  facts: ElfFacts,
  marks: readonly number[],
  begin: number,
  end: number,
): Generator<{ offset: number; size: number }> {
  let offset = -1
  let size = 0
  for (const mark of marks) {
    if (mark < begin || mark >= end || inDynstr(facts, mark)) continue
    if (offset >= 0 && mark - offset < NEAR) {
      size = mark - offset + 1
      continue
    }
    if (offset >= 0) yield { offset, size }
    offset = mark
    size = 1
  }
  if (offset >= 0) yield { offset, size }
}

/** Gathers where `.so` stands while the bytes of a file pass by. */
export class SonameMarks {
  /** Offsets, ascending. */
  readonly found: number[] = []
  #base = 0
  /** The last bytes, in which a mark may begin. */
  #tail: Buffer = Buffer.alloc(0)

  push(piece: Buffer): void {
    const seam = Buffer.concat([this.#tail, piece.subarray(0, REST)]).indexOf(MARK)
    if (seam >= 0) this.found.push(this.#base - this.#tail.length + seam)
    for (let at = piece.indexOf(MARK); at >= 0; at = piece.indexOf(MARK, at + MARK.length))
      this.found.push(this.#base + at)
    this.#base += piece.length
    const last = piece.length >= REST ? piece : Buffer.concat([this.#tail, piece])
    this.#tail = Buffer.from(last.subarray(Math.max(0, last.length - REST)))
  }
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
