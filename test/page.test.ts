/** The picture of the page: rectangles that are as large as what they stand for. */
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { squarify } from '../src/page/squarify.ts'

const near = (a: number, b: number): boolean => Math.abs(a - b) <= 1e-6 * Math.max(1, Math.abs(a), Math.abs(b))

test('areas are as sizes, lie within the whole, and do not lie on each other', () => {
  const sizes = fc.array(fc.integer({ min: 0, max: 10_000_000 }), { minLength: 1, maxLength: 60 })
  fc.assert(
    fc.property(
      sizes,
      fc.integer({ min: 1, max: 2000 }),
      fc.integer({ min: 1, max: 2000 }),
      (unsorted, width, height) => {
        const sorted = [...unsorted].sort((a, b) => b - a)
        const total = sorted.reduce((sum, size) => sum + size, 0)
        const found = squarify(sorted, { x: 5, y: 7, width, height })
        expect(found).toHaveLength(sorted.length)
        for (const [i, { x, y, width: w, height: h }] of found.entries()) {
          expect(Number.isFinite(x + y + w + h)).toBe(true)
          if (total > 0) expect(near(w * h, (sorted[i]! / total) * width * height)).toBe(true)
          expect(x >= 5 - 1e-6 && y >= 7 - 1e-6).toBe(true)
          expect(x + w <= 5 + width + 1e-6 && y + h <= 7 + height + 1e-6).toBe(true)
        }
      },
    ),
    { seed: 1, numRuns: 300 },
  )
})

test('the example of the paper', () => {
  const found = squarify([6, 6, 4, 3, 2, 2, 1], { x: 0, y: 0, width: 6, height: 4 })
  expect(found.slice(0, 2)).toEqual([
    { x: 0, y: 0, width: 3, height: 2 },
    { x: 0, y: 2, width: 3, height: 2 },
  ])
})
