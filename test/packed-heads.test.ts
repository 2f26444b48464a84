/**
 * Packed files inside of files of other kinds: found by heads that are checked, wherever they begin. What is packed is made
 * by the tools themselves.
 */
import { execFileSync } from 'node:child_process'
import { gunzipSync, gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { bufferSource } from '../src/io/bytes.ts'
import { rewriteContainer, scanContainer } from '../src/references/containers.ts'
import { crc32 } from '../src/references/inflate.ts'
import {
  HeadsInProgram,
  headsIn,
  headsInProgram,
  type PackedHead,
  PackedHeads,
} from '../src/references/packed-heads.ts'
import { scanReferences } from '../src/references/scan.ts'

const PATH = '/nix/store/0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7-nginx-1.22.1/sbin/nginx'
const TEXT = `${Array.from({ length: 300 }, (_, i) => `line ${i * i}`).join('\n')}\n${PATH}\n`
const made = (command: string): Buffer => execFileSync('bash', ['-c', command], { input: TEXT, maxBuffer: 1 << 24 })

const squashfs = Buffer.alloc(96)
squashfs.write('hsqs')
squashfs.writeUInt32LE(1 << 17, 12)
squashfs.writeUInt16LE(1, 20)
squashfs.writeUInt16LE(17, 22)
squashfs.writeUInt32LE(4, 28)

/** One block of so many bytes, in the shape of a frame of lz4. */
const lz4 = Buffer.from('04224d186440a70500008068656c6c6f00000000', 'hex')

/** The header alone: the checksum is of where the directory lies. */
const sevenZip = Buffer.alloc(64)
sevenZip.write('7z\xbc\xaf\x27\x1c\x00\x04', 'latin1')
sevenZip.writeBigUInt64LE(32n, 12)
sevenZip.writeUInt32LE(crc32(sevenZip.subarray(12, 32)), 8)

const PACKED: readonly (readonly [what: string, kind: PackedHead['kind'], bytes: Buffer])[] = [
  ['gzip', 'gzip', made('gzip')],
  ['gzip of an empty name', 'gzip', gzipSync(TEXT)],
  ['xz', 'xz', made('xz')],
  ['bzip2', 'bzip2', made('bzip2')],
  ['zstd', 'zstd', made('zstd -q')],
  ['zstd, long, without a checksum', 'zstd', made('zstd -q --no-check -19 --long=27')],
  ['lzma', 'lzma', made('xz -F lzma')],
  ['lz4', 'lz4', lz4],
  ['squashfs', 'squashfs', squashfs],
  ['zip', 'zip', made('zip -q')],
  ['7z', '7z', sevenZip],
]

function inPieces(bytes: Buffer, size: number): PackedHead[] {
  const heads = new PackedHeads()
  for (let at = 0; at < bytes.length; at += size) heads.push(bytes.subarray(at, at + size))
  return heads.end()
}

describe('found', () => {
  test.each(PACKED)('%s, at any offset, in pieces of any size', (_, kind, bytes) => {
    for (const before of [1, 39, 40, 41, 1000]) {
      const file = Buffer.concat([Buffer.alloc(before, 1), bytes, Buffer.alloc(50)])
      for (const size of [1, 7, 39, 40, 41, 64, file.length])
        expect(inPieces(file, size)).toEqual([{ kind, offset: before }])
      expect(headsIn(file)).toEqual([{ kind, offset: before }])
    }
  })

  test.each(PACKED)('%s, not where its stretch is left out', (_, _kind, bytes) => {
    const file = Buffer.concat([Buffer.alloc(100, 1), bytes, Buffer.alloc(50)])
    expect(headsInProgram(bufferSource(file), [[0, 100]])).toEqual([])
  })

  test.each(PACKED.filter(([, kind]) => kind !== 'lzma' && kind !== 'squashfs'))(
    '%s, in stretches of a program whose bytes pass by, as when they are read at random',
    (_, kind, bytes) => {
      const file = Buffer.concat([Buffer.alloc(300, 1), bytes, Buffer.alloc(50), bytes, Buffer.alloc(300)])
      const second = 350 + bytes.length
      for (const ranges of [
        [[0, file.length]],
        [
          [0, 299],
          [300, file.length],
        ],
        [
          [10, 30],
          [200, second],
          [second, second + 60],
          [second + 60, file.length],
        ],
        [
          [301, second],
          [second + 1, file.length],
        ],
        [[301, file.length + 100]],
      ] as [number, number][][]) {
        const known = headsInProgram(bufferSource(file), ranges)
        for (const size of [1, 39, 40, 64, 301, 1000, file.length]) {
          const heads = new HeadsInProgram(ranges)
          for (let at = 0; at < file.length; at += size) heads.push(file.subarray(at, at + size))
          expect(heads.end().filter(h => kind !== 'zstd' || h.offset === 300 || h.offset === second)).toEqual(known)
        }
      }
    },
  )

  test('nothing in magic numbers alone: whatever unpacks such files has them', () => {
    // Of gzip, what unpacks tells.
    const numbers = PACKED.filter(([, kind]) => kind !== 'gzip').map(([, , bytes]) => bytes.subarray(0, 6))
    for (const filler of [0, 1, 0xff]) {
      const file = Buffer.concat(numbers.flatMap(number => [number, Buffer.alloc(40, filler)]))
      expect(headsIn(file)).toEqual([])
    }
  })

  test('nothing in tables of numbers', () => {
    for (const width of [1, 2, 4]) {
      const table = Buffer.alloc(1 << 20)
      for (let i = 0; i + 4 <= table.length; i += width)
        if (width === 4) table.writeUInt32LE((i * 7) & 0x1ff, i)
        else table.writeUIntLE(i & (width === 1 ? 0xff : 0x1ff), i, width)
      expect(headsIn(table)).toEqual([])
    }
  })

  test('a frame of zstd that does not go on to its end is none', () => {
    const zstd = made('zstd -q --no-check')
    const file = Buffer.concat([Buffer.alloc(10), zstd.subarray(0, -10)])
    expect(headsIn(file)).toEqual([])
  })
})

describe('in a program or a file of resources', () => {
  const around = (bytes: Buffer): Buffer => Buffer.concat([Buffer.alloc(64, 1), bytes, Buffer.alloc(8)])

  test('gzip is looked into, and written again in its place, as long as it was', () => {
    const file = around(gzipSync(TEXT))
    expect(scanContainer(file, null).members.map(m => [m.names, m.references.map(r => r.text)])).toEqual([
      [['gzip at 64'], [PATH]],
    ])
    const after = rewriteContainer(file, (_, contents) => {
      const changed = Buffer.from(contents)
      for (const { offset } of scanReferences([contents], null)) changed.write('/var/empty/', offset)
      return changed
    })
    expect(after.length).toBe(file.length)
    const gzip = after.subarray(64, -8)
    expect(gunzipSync(gzip).toString()).toBe(TEXT.replace('/nix/store/', '/var/empty/'))
    expect(execFileSync('gzip', ['-dc'], { input: gzip }).toString()).toContain('/var/empty/')
  })

  test.each(PACKED.filter(([, kind]) => kind !== 'gzip'))('%s is named', (_, kind, bytes) => {
    expect(scanContainer(around(bytes), null).problems).toEqual([
      { names: [`${kind} at 64`], code: 'opaque', detail: kind },
    ])
  })

  test('many of a kind are named once', () => {
    const file = Buffer.concat([around(made('xz')), around(made('xz')), around(made('xz'))])
    expect(scanContainer(file, null).problems.map(p => p.names)).toEqual([['xz at 64 and 2 more']])
  })
})
