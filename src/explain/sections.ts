/** What the bytes of programs and libraries are spent on, by their sections: code, strings, symbols. Pure. */
import type { Explained } from '../model/explained.ts'

/** A section's place in its file, in bytes. */
export interface Section {
  readonly name: string
  readonly offset: number
  readonly size: number
}

export interface SectionSize {
  /** In parentheses what is none: headers and gaps, and files without sections by what they are. */
  readonly name: string
  /** Files that have it. */
  readonly files: number
  readonly bytes: number
}

/** What lies between sections, and before and behind all of them: headers, and what makes addresses even. */
const BETWEEN = '(headers and gaps)'

/**
 * Each byte of the bundle once, the largest rows first.
 * @param sections of the files that have any, by their places
 */
export function sectionSizes(
  { files }: Explained,
  sections: ReadonlyMap<string, readonly Section[]>,
): readonly SectionSize[] {
  const found = new Map<string, { files: number; bytes: number }>()
  const add = (name: string, bytes: number): void => {
    const known = found.get(name) ?? { files: 0, bytes: 0 }
    found.set(name, { files: known.files + 1, bytes: known.bytes + bytes })
  }
  for (const { at, type, size, role } of files) {
    if (type !== 'file') continue
    const own = sections.get(at) ?? []
    if (own.length === 0) {
      add(`(${role})`, size)
      continue
    }
    const shares = sharesOf(own, size)
    for (const [name, bytes] of shares) add(name, bytes)
    const between = [...shares.values()].reduce((rest, bytes) => rest - bytes, size)
    if (between > 0) add(BETWEEN, between)
  }
  return [...found]
    .map(([name, sums]) => ({ name, ...sums }))
    .sort((a, b) => b.bytes - a.bytes || (a.name < b.name ? -1 : 1))
}

/** Bytes by the names of sections: of those that overlap, or lie beyond the end, each byte there is counts once. */
function sharesOf(sections: readonly Section[], size: number): Map<string, number> {
  const shares = new Map<string, number>()
  let done = 0
  for (const { name, offset, size: length } of [...sections].sort((a, b) => a.offset - b.offset)) {
    const [start, end] = [Math.max(offset, done), Math.min(offset + length, size)]
    if (end <= start) continue
    shares.set(name, (shares.get(name) ?? 0) + end - start)
    done = end
  }
  return shares
}
