/**
 * The sieve lets through all that is looked for: each search finds with it what its own loop finds in all bytes, wherever
 * these lie around the borders of steps, vectors and pieces. Its module is built from the source here.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import * as zlib from 'node:zlib'
import { buildSync } from 'esbuild'
import { describe, expect, test } from 'vitest'
import { ApartSearch } from '../src/references/apart.ts'
import { SPELLINGS } from '../src/references/escaped.ts'
import { crc32 } from '../src/references/inflate.ts'
import { HeadsInProgram, headsShown, type PackedHead, PackedHeads, type Range } from '../src/references/packed-heads.ts'
import type { Reference } from '../src/references/reference.ts'
import { ANY_HASH, type HashSet, ReferenceScanner, scanReferences } from '../src/references/scan.ts'
import { borrow, kindOf, placeOf, SIFTED, sieve } from '../src/references/sieve.ts'
import { ZlibHeads } from '../src/references/zlib-streams.ts'
import { temporary } from './support/bundle.ts'
import { output } from './support/elf-tools.ts'

const source = resolve(import.meta.dirname, '../src/references/sieve')
const latin = (text: string): Buffer => Buffer.from(text, 'latin1')

test("build.sh's output is prebuilt.ts, byte for byte", async () => {
  const [built, kept] = [
    await output(join(source, 'build.sh'), []),
    readFileSync(join(source, 'prebuilt.ts'), 'latin1'),
  ]
  expect(built === kept, 'run src/references/sieve/build.sh > src/references/sieve/prebuilt.ts').toBe(true)
})

const HASH = '0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7'
const OTHER = 'zz9yx8w7v6s5r4q3p2n1m0lkjihgfdcb'
const HASHES: HashSet = new Set([HASH, OTHER])
const PATH = `/nix/store/${HASH}-nginx-1.22.1/sbin/nginx`

function wide(text: string, width: number, lead: number): Buffer {
  const bytes = Buffer.alloc(text.length * width)
  for (let i = 0; i < text.length; i++) bytes[i * width + lead] = text.charCodeAt(i)
  return bytes
}
const everyWay = (text: string): Buffer[] =>
  [
    [1, 0],
    [2, 0],
    [2, 1],
    [4, 0],
    [4, 3],
  ].map(([width, lead]) => wide(text, width!, lead!))

const sevenZip = Buffer.alloc(64)
sevenZip.write('7z\xbc\xaf\x27\x1c\x00\x04', 'latin1')
sevenZip.writeUInt32LE(crc32(sevenZip.subarray(12, 32)), 8)
const squashfs = Buffer.alloc(96)
squashfs.write('hsqs')
squashfs.writeUInt32LE(1 << 17, 12)
squashfs.writeUInt16LE(1, 20)
squashfs.writeUInt16LE(17, 22)
squashfs.writeUInt32LE(4, 28)
const HEADS: readonly (readonly [kind: PackedHead['kind'], bytes: Buffer])[] = [
  ['gzip', zlib.gzipSync(PATH)],
  ['xz', Buffer.from('fd377a585a000004e6d6b4460200', 'hex')],
  ['bzip2', latin('BZh91AY&SY')],
  ['zstd', Buffer.from('28b52ffd0458a1000068656c6c6f20776f726c640a', 'hex')],
  ['lz4', Buffer.from('04224d186440a70500008068656c6c6f00000000', 'hex')],
  ['lzma', Buffer.from('5d00008000ffffffffffffffff00', 'hex')],
  ['7z', sevenZip],
  ['squashfs', squashfs],
  ['zip', latin('PK\x03\x04\x14\0\0\0\x08\0abcdefghijklmnop\x05\0\0\0name')],
]
const STREAM = zlib.deflateSync(latin(`${PATH}\n`.repeat(40)))

/** All that is looked for, and what is nearly that. */
const PLANTS: readonly Buffer[] = [
  ...everyWay(PATH),
  ...everyWay('/nix/store'),
  ...everyWay(HASH),
  ...everyWay(`${OTHER}${HASH}`),
  ...everyWay(`a${HASH.slice(1)}`),
  ...everyWay('/nix/stor '),
  ...everyWay(HASH.slice(1)),
  ...SPELLINGS.map(slash => latin(PATH.replaceAll('/', slash))),
  ...SPELLINGS.map(slash => latin(`${slash}nix${slash}stor`)),
  ...HEADS.map(([, bytes]) => bytes),
  ...HEADS.map(([, bytes]) => bytes.subarray(0, 4)),
  STREAM,
  ...[0, 1, 5, 9].map(level => zlib.deflateSync(latin(PATH.repeat(9)), { level })),
  Buffer.from('7801785e789c78da', 'hex'),
  latin('IDAT\x78\x9c'),
  latin('nix/stores and nix/sto'),
  latin('nix/'),
  latin('x'),
  latin('/'),
  latin('hsqs'.repeat(9)),
  latin('0123456789abcdf'.repeat(5)),
  wide('0123456789abcdf', 2, 1),
  Buffer.alloc(70),
]

/** Numbers from 0 to 1, the same for the same seed. */
function random(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Bytes of plants, of parts of them and of noise. */
function bytesOf(next: () => number, length: number, noise: number): Buffer {
  const bytes = Buffer.alloc(length + 300)
  for (let at = 0; at < length; ) {
    const plant = PLANTS[Math.floor(next() * PLANTS.length)]!
    const part = next() < 0.3 ? plant.subarray(Math.floor(next() * plant.length)) : plant
    at += part.copy(bytes, at)
    for (const end = Math.min(length, at + Math.floor(next() * noise)); at < end; at++) bytes[at] = next() * 256
  }
  return bytes.subarray(0, length)
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size))
  return pieces
}

interface Found {
  readonly references: readonly Reference[]
  readonly heads: readonly PackedHead[]
  readonly inProgram: readonly PackedHead[]
  readonly zlib: readonly number[]
  readonly apart: number
}

/** What all searches find in these pieces; what they push is filled again afterwards, as a buffer of a reader is. */
function search(pieces: readonly Buffer[], ranges: readonly Range[], by: typeof sieve | null): Found {
  const references: Reference[] = []
  const scanner = new ReferenceScanner(HASHES, reference => references.push(reference), by)
  const [heads, inProgram, zlib, apart] = [
    new PackedHeads(),
    new HeadsInProgram(ranges),
    new ZlibHeads(),
    new ApartSearch(),
  ]
  const sift = by?.(true)
  for (const original of pieces) {
    const piece = Buffer.from(original)
    const sifted = sift?.(piece) ?? null
    scanner.push(piece, sifted)
    heads.push(piece, sifted)
    inProgram.push(piece, sifted)
    zlib.push(piece, sifted)
    apart.push(piece, sifted)
    piece.fill(0x5f)
  }
  scanner.end()
  references.sort((a, b) => a.offset - b.offset)
  return { references, heads: heads.end(), inProgram: inProgram.end(), zlib: zlib.found, apart: apart.found }
}

test('this machine has one, which lets through each thing at its place', () => {
  const bytes = Buffer.alloc(300, '.')
  PATH.split('').forEach((c, i) => {
    bytes[60 + i] = c.charCodeAt(0)
  })
  STREAM.copy(bytes, 200, 0, 3)
  expect([...sieve(true)(bytes)!].map(entry => [kindOf(entry), placeOf(entry)])).toEqual([
    [SIFTED.nix, 61],
    [SIFTED.hashes, 80],
    [SIFTED.hashesEnd, 80],
    [SIFTED.zlib, 200],
  ])
  expect(sieve(true)(Buffer.alloc(1 << 20))).toHaveLength(0)
})

test('bytes in a buffer that it lends are searched where they are, and those of several do not meet', () => {
  const buffers = Array.from({ length: 6 }, () => borrow(256 << 10))
  expect(new Set(buffers.map(b => b.buffer)).size).toBeLessThan(buffers.length)
  for (const [i, buffer] of buffers.entries()) buffer.fill(i)
  for (const [i, buffer] of buffers.entries()) {
    expect(buffer.every(byte => byte === i)).toBe(true)
    // Up to its end, and not into the next one's bytes.
    STREAM.copy(buffer, buffer.length - 3)
    STREAM.copy(buffer, (128 << 10) - 1)
    for (const part of [buffer, buffer.subarray(5)]) {
      const found = [...sieve(true)(part)!].map(entry => [kindOf(entry), placeOf(entry)])
      const moved = buffer.length - part.length
      expect(found).toEqual([
        [SIFTED.zlib, (128 << 10) - 1 - moved],
        [SIFTED.zlib, buffer.length - 3 - moved],
      ])
    }
    expect(sieve(true)(buffer.subarray(0, 128 << 10))).toHaveLength(0)
  }
  expect(borrow(1 << 20)).toHaveLength(1 << 20)
})

const SEED = Number(process.env.SEED ?? Date.now() % 1e9)

describe('with it each search finds what it finds in all bytes', () => {
  test.each([
    ['much noise', 2000],
    ['some noise', 60],
    ['little noise', 3],
  ])('of random bytes with %s, in pieces of any size', (_, noise) => {
    for (let round = 0; round < 3; round++) {
      const next = random(SEED + round)
      const bytes = Buffer.concat([latin('\x7fELF'), bytesOf(next, 140_000 + Math.floor(next() * 100_000), noise)])
      const [a, b, c] = [0, 0, 0].map(() => Math.floor(next() * bytes.length)).sort((x, y) => x - y)
      const ranges: Range[] = [
        [0, a!],
        [b!, c!],
      ]
      for (const size of [bytes.length, 1 << 17, 32_768, 4096, 300 + Math.floor(next() * 70_000)]) {
        const [pieces, seed] = [cut(bytes, size), `SEED=${SEED}, round ${round}, pieces of ${size}`]
        expect(search(pieces, ranges, sieve), seed).toEqual(search(pieces, ranges, null))
        expect(scanReferences(pieces, null), seed).toEqual(scanReferences(pieces, null, null))
      }
      expect(headsShown(bytes, sieve(false)(bytes))).toEqual(headsShown(bytes))
      // Where any text may be a hash.
      expect(scanReferences([bytes.subarray(0, 50_000)], ANY_HASH)).toEqual(
        scanReferences([bytes.subarray(0, 50_000)], ANY_HASH, null),
      )
    }
  })

  test('of each thing, at each place around the borders of steps and vectors', () => {
    const step = 128 << 10
    const bytes = Buffer.alloc(step + 700, '.')
    for (const plant of PLANTS.filter(plant => plant.length > 1)) {
      const part = bytes.subarray(step - 100 - plant.length)
      const before = bytes.length - part.length
      // So all remainders by a vector are met, whole and cut.
      for (let back = 0; back <= 64 + plant.length; back += 3) {
        plant.copy(bytes, step - back)
        const own = search([part], [], null)
        const found = search([bytes], [], sieve)
        expect(found.references).toEqual(own.references.map(r => ({ ...r, offset: r.offset + before })))
        expect(found.zlib).toEqual(own.zlib.map(at => at + before))
        part.fill('.')
      }
    }
  })

  test('of heads, at each place in a vector, and cut at the end', () => {
    for (const [kind, head] of HEADS)
      for (let at = 0; at < 80; at++) {
        const bytes = Buffer.concat([Buffer.alloc(at, 1), head, Buffer.alloc(40)])
        const own = headsShown(bytes)
        expect(
          own.map(h => h.kind),
          `${kind} at ${at}`,
        ).toContain(kind)
        expect(headsShown(bytes, sieve(false)(bytes)), `${kind} at ${at}`).toEqual(own)
        for (const end of [at + 1, at + 3, at + 9, at + head.length - 1]) {
          const part = bytes.subarray(0, end)
          expect(headsShown(part, sieve(true)(part)), `${kind} at ${at}, to ${end}`).toEqual(headsShown(part))
        }
      }
  })
})

test('a file of nothing but heads costs no memory: there each search looks for itself', () => {
  const zip = latin('PK\x03\x04')
    .toString('latin1')
    .repeat(1 << 21)
  expect(sieve(false)(latin(zip))).toBeNull()
})

test('where there is no WebAssembly there is no sieve, and all is found', () => {
  const script = join(temporary(), 'scan.cjs')
  buildSync({
    stdin: {
      contents: `import { scanReferences } from './scan.ts'
        import { sieve } from './sieve.ts'
        const bytes = Buffer.concat([Buffer.alloc(200_000), Buffer.from('${PATH}')])
        console.log(typeof WebAssembly, sieve(true)(bytes) === null, scanReferences([bytes], null).map(r => r.offset).join())`,
      resolveDir: join(source, '..'),
    },
    bundle: true,
    platform: 'node',
    outfile: script,
  })
  const run = (...flags: string[]): string =>
    spawnSync(process.execPath, [...flags, script], { encoding: 'utf8' }).stdout
  expect(run()).toBe('object false 200000\n')
  expect(run('--jitless')).toBe('undefined true 200000\n')
})
