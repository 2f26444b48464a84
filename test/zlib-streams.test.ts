/**
 * zlib streams in files of other kinds: found wherever they begin, and written again in their place. Files of Erlang, R
 * and GLib are theirs (packed/README.md); git makes its own here; Python's zlib judges what was written.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as zlib from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { BundleError } from '../src/errors.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { rewriteContainer, scanContainer } from '../src/references/containers.ts'
import { mayBeDeflate } from '../src/references/deflate-head.ts'
import { Budget, LIMITS } from '../src/references/inflate.ts'
import { scanReferences } from '../src/references/scan.ts'
import { streamOfLength, ZlibHeads, type ZlibStream, zlibStreams } from '../src/references/zlib-streams.ts'

const packed = (name: string): Buffer => readFileSync(join(resolve(import.meta.dirname, 'packed'), name))
const PATH = '/nix/store/0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7-nginx-1.22.1/sbin/nginx'

/** Bytes that look like nothing, the same each time. */
function noise(length: number, seed: number): Buffer {
  const bytes = Buffer.alloc(length)
  for (let i = 0, x = seed * 2654435761 + 1; i < length; i++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    bytes[i] = x & 0xff
  }
  return bytes
}

function headsOf(bytes: Buffer, size = bytes.length): readonly number[] {
  const heads = new ZlibHeads()
  for (let at = 0; at < bytes.length; at += size) heads.push(bytes.subarray(at, at + size))
  return heads.found
}

const streamsIn = (bytes: Buffer, size?: number): ZlibStream[] =>
  [...zlibStreams(bufferSource(bytes), headsOf(bytes, size), new Budget(LIMITS))].flatMap(s => ('code' in s ? [] : [s]))

const textsIn = (bytes: Buffer): string[] =>
  scanContainer(bytes, null).members.flatMap(m => m.references.map(r => r.text))

/** As a bundle blanks it. */
function blankAll(_: readonly string[], contents: Buffer): Buffer {
  const after = Buffer.from(contents)
  for (const { offset } of scanReferences([contents], null))
    after.write(`/var/empty/${'e'.repeat(32)}`, offset, 'latin1')
  return after
}

describe('what zlib unpacks is not taken for something else by its first block', () => {
  test('of real streams in which bits of the header are turned', () => {
    let [taken, refused] = [0, 0]
    for (let seed = 1; seed <= 400; seed++) {
      const text = noise(4000, seed)
        .toString('base64')
        .slice(0, 300 + 12 * seed)
      const stream = zlib.deflateRawSync(Buffer.from(text.repeat(2)), { level: 1 + (seed % 9) })
      const turned = noise(8, seed + 1000)
      for (let i = 0; i < seed % 4; i++) stream[turned[i]! % 70]! ^= 1 << (turned[i + 4]! & 7)
      // Of a block with codes of its own.
      if (((stream[0]! >> 1) & 3) !== 2) continue
      const may = mayBeDeflate(stream, 0)
      try {
        zlib.inflateRawSync(stream, { finishFlush: zlib.constants.Z_SYNC_FLUSH })
        expect(may, `seed ${seed}`).toBe(true)
        taken++
      } catch {
        if (!may) refused++
      }
    }
    expect(taken).toBeGreaterThan(80)
    expect(refused).toBeGreaterThan(80)
  })

  test('cut short, it may go on', () => {
    const stream = zlib.deflateRawSync(Buffer.from(noise(3000, 1).toString('base64')))
    for (let end = 0; end < 120; end++) expect(mayBeDeflate(stream.subarray(0, end), 0)).toBe(true)
  })
})

describe('found', () => {
  test('of each level and strategy, at any offset, in pieces of any size', () => {
    const strategies = [zlib.constants.Z_DEFAULT_STRATEGY, zlib.constants.Z_FIXED, zlib.constants.Z_HUFFMAN_ONLY]
    for (const contents of [PATH, PATH.repeat(5), `${noise(3000, 1).toString('base64')}${PATH}`].map(t =>
      Buffer.from(t),
    ))
      for (const level of [0, 1, 5, 6, 9])
        for (const strategy of strategies)
          for (const before of [0, 131]) {
            const stream = zlib.deflateSync(contents, { level, strategy })
            const bytes = Buffer.concat([Buffer.alloc(before, 0x78), stream, noise(200, 2)])
            for (const size of [bytes.length, 1, 64]) {
              const found = streamsIn(bytes, size)
              expect(found.map(s => [s.offset, s.length])).toContainEqual([before, stream.length])
              expect(found.find(s => s.offset === before)!.contents.equals(contents)).toBe(true)
            }
          }
  })

  test.each([
    ['h.beam', 2],
    ['rp.rdb', 1],
    ['x.gresource', 200],
  ])('%s', (name, count) => expect(textsIn(packed(name))).toHaveLength(count))

  test('one whose checksum is wrong, and one that is cut short', () => {
    const stream = zlib.deflateSync(Buffer.from(`${PATH} ${noise(3000, 3).toString('hex')}`))
    const wrong = Buffer.concat([Buffer.from('head'), stream])
    wrong.writeUInt32LE(1, wrong.length - 4)
    for (const bytes of [wrong, wrong.subarray(0, 1000)]) expect(textsIn(bytes)).toEqual([PATH])
  })

  test('nothing in noise, in numbers and in text', () => {
    const numbers = Buffer.alloc(1 << 20)
    for (let i = 0; i < numbers.length; i += 4) numbers.writeUInt32LE((i * 40) & 0xffffff, i)
    for (const bytes of [noise(1 << 20, 4), numbers, Buffer.from('x^x\x01x\x9cx\xda'.repeat(50_000), 'latin1')])
      expect(streamsIn(bytes).filter(s => s.contents.length > 1000)).toEqual([])
  })

  test('in the data of a PNG none is looked for', () => {
    const data = zlib.deflateSync(Buffer.from(PATH))
    const chunk = (type: string, body: Buffer) => Buffer.concat([Buffer.from(type), body, Buffer.alloc(4)])
    const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), chunk('IDAT', data)])
    expect(textsIn(png)).toEqual([])
    expect(textsIn(Buffer.concat([png, chunk('zTXt', Buffer.concat([Buffer.from('k\0\0'), data]))]))).toEqual([PATH])
  })

  test('bombs cost no more than the limits allow', () => {
    const bomb = zlib.deflateSync(Buffer.alloc(64 << 20), { level: 9 })
    const { problems } = scanContainer(Buffer.concat([Buffer.from('#'), ...Array<Buffer>(20).fill(bomb)]), null, {
      ...LIMITS,
      total: 256 << 20,
    })
    expect(problems.every(p => p.code === 'too-large')).toBe(true)
    expect(problems.length).toBeLessThan(12)
  })
})

describe('written again', () => {
  const unpack = 'import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))'

  test('in its place, as long as it was', () => {
    for (const [i, level] of [1, 6, 9].entries()) {
      const contents = Buffer.from(`a ${PATH} and ${PATH}/more ${noise(500 * i, i + 5).toString('base64')}`)
      const stream = zlib.deflateSync(contents, { level })
      const bytes = Buffer.concat([Buffer.from('\0\0head'), stream, Buffer.from('tail')])
      const after = rewriteContainer(bytes, blankAll)
      expect(after.length).toBe(bytes.length)
      expect(after.subarray(0, 8).equals(bytes.subarray(0, 8))).toBe(true)
      expect(after.subarray(-4).toString()).toBe('tail')
      const judged = execFileSync('python3', ['-c', unpack], { input: after.subarray(6, -4) })
      expect(judged.equals(blankAll([], contents))).toBe(true)
      expect(rewriteContainer(after, blankAll)).toBe(after)
    }
  })

  test('of each length that it may have', () => {
    const contents = Buffer.from('some contents that are packed, packed, packed')
    const least = zlib.deflateSync(contents, { level: 9 }).length
    const lengths = Array.from({ length: 60 }, (_, i) => least + 8 + i)
    for (const length of [least, ...lengths]) {
      const stream = streamOfLength(contents, length, Buffer.from([0x78, 0x9c]))
      expect(stream?.length).toBe(length)
      expect(zlib.inflateSync(stream!).equals(contents)).toBe(true)
    }
    expect(streamOfLength(contents, least - 1, Buffer.from([0x78, 0x9c]))).toBeNull()
  })

  test.each(['h.beam', 'rp.rdb', 'x.gresource'])('%s', name => {
    const bytes = packed(name)
    const after = rewriteContainer(bytes, blankAll)
    expect(after.length).toBe(bytes.length)
    expect(textsIn(after)).toEqual([])
    expect(scanContainer(after, null).members.map(m => m.names)).toEqual(
      scanContainer(bytes, null).members.map(m => m.names),
    )
  })

  test("in git's packs: refused", () => {
    const pack = Buffer.concat([
      Buffer.from('PACK\0\0\0\x02\0\0\0\x01\xbb\x04', 'latin1'),
      zlib.deflateSync(Buffer.from(PATH)),
    ])
    expect(() => rewriteContainer(pack, blankAll)).toThrow(BundleError)
  })
})
