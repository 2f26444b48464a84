/**
 * Areas as rectangles that are as square as can be: M. Bruls, K. Huizing, J. van Wijk, "Squarified Treemaps" (2000).
 * Pure.
 */

export interface Rectangle {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/**
 * @param sizes the largest first, none of them negative
 * @returns a rectangle for each, which fill `whole` together
 */
export function squarify(sizes: readonly number[], whole: Rectangle): Rectangle[] {
  const total = sizes.reduce((sum, size) => sum + size, 0)
  const found: Rectangle[] = []
  let { x, y, width, height } = whole
  const scale = total > 0 ? (width * height) / total : 0
  for (let first = 0; first < sizes.length; ) {
    const side = Math.min(width, height)
    // A row takes in more as long as that makes its worst rectangle better.
    let last = first + 1
    let sum = sizes[first]! * scale
    while (last < sizes.length) {
      const more = sum + sizes[last]! * scale
      const largest = sizes[first]! * scale
      if (worst(sum, largest, sizes[last - 1]! * scale, side) < worst(more, largest, sizes[last]! * scale, side)) break
      sum = more
      last++
    }
    const thickness = side > 0 ? sum / side : 0
    const isColumn = width >= height
    let at = isColumn ? y : x
    for (let i = first; i < last; i++) {
      const length = thickness > 0 ? (sizes[i]! * scale) / thickness : 0
      found.push(
        isColumn ? { x, y: at, width: thickness, height: length } : { x: at, y, width: length, height: thickness },
      )
      at += length
    }
    if (isColumn) {
      x += thickness
      width = Math.max(0, width - thickness)
    } else {
      y += thickness
      height = Math.max(0, height - thickness)
    }
    first = last
  }
  return found
}

/** The worst of the ratios of the sides in a row of some area: of its largest or of its smallest rectangle. */
function worst(sum: number, largest: number, smallest: number, side: number): number {
  if (sum === 0 || smallest === 0) return Number.POSITIVE_INFINITY
  const [a, b] = [side * side, sum * sum]
  return Math.max((a * largest) / b, b / (a * smallest))
}
