/** What was meant by a word that is mistyped: `verify` by `verfy`. */

/**
 * The name that a word is a slip of: one letter too many, missing, another or swapped with its neighbour, or two such
 * slips in names of at least {@link LONG} letters.
 * @returns null if there is none; of several the nearest, then the first
 */
export function nearest(word: string, names: readonly string[]): string | null {
  const near = names
    .map(name => ({ name, slips: slips(word, name) }))
    .filter(({ name, slips }) => slips <= (name.length >= LONG ? 2 : 1))
  return near.sort((a, b) => a.slips - b.slips)[0]?.name ?? null
}

/** Letters of a name from which on it is hardly a slip of something else: `tre`, `tty` and `cmake` are packages. */
export const LONG = 5

/** Slips between two words (the optimal string alignment distance). */
function slips(a: string, b: string): number {
  let before: number[] = []
  let last = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      const isSwapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
      row.push(Math.min(last[j]! + 1, row[j - 1]! + 1, last[j - 1]! + same, isSwapped ? before[j - 2]! + 1 : Infinity))
    }
    before = last
    last = row
  }
  return last[b.length]!
}
