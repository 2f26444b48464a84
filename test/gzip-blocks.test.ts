/** gzip in blocks: one member that every program reads, with the same bytes at any pace. */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { GZIP_BLOCK, gzipped } from '../src/archive/gzip-blocks.ts'
import { readGzip } from '../src/references/gzip.ts'
import { Budget, LIMITS } from '../src/references/inflate.ts'

function* blocksOf(contents: Buffer): Generator<Buffer> {
  for (let at = 0; at < contents.length; at += GZIP_BLOCK) yield contents.subarray(at, at + GZIP_BLOCK)
}

async function packed(contents: Buffer, pause: () => Promise<unknown> = async () => {}): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of gzipped(blocksOf(contents))) {
    pieces.push(piece)
    await pause()
  }
  return Buffer.concat(pieces)
}

const text = (size: number): Buffer =>
  Buffer.alloc(size, Array.from({ length: 5000 }, (_, i) => `${(i * 7919) % 1000} lines of text\n`).join(''))

const CONTENTS: [string, Buffer][] = [
  ['nothing', Buffer.alloc(0)],
  ['a byte', Buffer.from('x')],
  ['a block but one byte', text(GZIP_BLOCK - 1)],
  ['a block', text(GZIP_BLOCK)],
  ['a block and a byte', text(GZIP_BLOCK + 1)],
  ['blocks of text', text(9 * GZIP_BLOCK + 12345)],
  ['what does not compress', randomBytes(3 * GZIP_BLOCK + 77)],
  ['zeros', Buffer.alloc(6 * GZIP_BLOCK)],
]

describe.each(CONTENTS)('%s', (_, contents) => {
  test('is what gzip, Python, Node and our own reader unpack, to the last byte, as one member', async () => {
    const bytes = await packed(contents)
    const input = { input: bytes, maxBuffer: 1 << 26 }
    expect(gunzipSync(bytes).equals(contents)).toBe(true)
    expect(execFileSync('gzip', ['-dc'], input).equals(contents)).toBe(true)
    const python =
      'import sys,zlib;d=zlib.decompressobj(31);o=d.decompress(sys.stdin.buffer.read());assert d.eof and not d.unused_data;sys.stdout.buffer.write(o)'
    expect(execFileSync('python3', ['-c', python], input).equals(contents)).toBe(true)
    const read = readGzip(bytes, new Budget(LIMITS))
    expect('parts' in read && read.parts.length).toBe(1)
  })

  test('is hardly larger than in one piece', async () => {
    const blocks = Math.ceil(contents.length / GZIP_BLOCK)
    expect((await packed(contents)).length).toBeLessThan(
      gzipSync(contents, { level: 6 }).length * 1.005 + 20 * blocks + 8,
    )
  })
})

test('the bytes are the same, whoever waits for whom', async () => {
  const contents = text(7 * GZIP_BLOCK + 99)
  const slow = await packed(contents, () => new Promise(resolve => setTimeout(resolve, 5)))
  expect(slow.equals(await packed(contents))).toBe(true)
})

test('whoever wants no more ends it, and what is under way comes to its end', async () => {
  let pieces = 0
  for await (const _ of gzipped(blocksOf(text(20 * GZIP_BLOCK)))) if (++pieces === 3) break
  expect(pieces).toBe(3)
})
