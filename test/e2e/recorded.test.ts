/** The picture in the README shows what is printed. `npm run record` makes it anew. */
import { readFileSync, writeFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { drawn, PICTURE, readOf, record } from '../support/recorded.ts'

test('the picture of a terminal is of a real run', () => {
  const svg = drawn(record())
  if (process.env.STOREFREE_RECORD) writeFileSync(PICTURE, svg)
  // Sizes, offsets and sums change with every change of a stub.
  const plain = (text: string) =>
    readOf(text).map(line => line.replace(/\b[0-9a-f]{64}\b/g, 'SUM').replace(/\d+/g, '0'))
  expect(plain(readFileSync(PICTURE, 'utf8'))).toEqual(plain(svg))
})
