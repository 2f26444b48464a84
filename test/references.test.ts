/** References are found wherever they lie and however the bytes come, and an overwrite leaves none. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { BundlePath } from '../src/paths.ts'
import { type Encoding, type Reference, WIDTH } from '../src/references/reference.ts'
import { blank, blanked, fixed, type Target } from '../src/references/rewrite.ts'
import { type HashSet, ReferenceScanner, scanReferences } from '../src/references/scan.ts'

const HASH = '0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7'
const OTHER = 'zz9yx8w7v6s5r4q3p2n1m0lkjihgfdcb'
const HASHES: HashSet = new Set([HASH, OTHER])
const PATH = `/nix/store/${HASH}-nginx-1.22.1/sbin/nginx`
const ENCODINGS = Object.keys(WIDTH) as Encoding[]

/** From the first byte of the text to the first byte that is no zero: what a reference's offset names. */
const LEAD: Readonly<Record<Encoding, number>> = { utf8: 0, utf16le: 0, utf16be: 1, utf32le: 0, utf32be: 3 }

function encode(text: string, encoding: Encoding): Buffer {
  const width = WIDTH[encoding]
  const bytes = Buffer.alloc(text.length * width)
  for (let i = 0; i < text.length; i++) bytes[i * width + LEAD[encoding]] = text.charCodeAt(i)
  return bytes
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += size) pieces.push(bytes.subarray(at, at + size))
  return pieces
}

const scan = (bytes: Buffer, size = bytes.length || 1, hashes: HashSet | null = HASHES): Reference[] =>
  scanReferences(cut(bytes, size), hashes)

const scanText = (text: string): Reference[] => scan(Buffer.from(text, 'latin1'))
const offsets = (references: readonly Reference[]): number[] => references.map(r => r.offset)

/** The same search without any of the scanner's thoughts: every offset is looked at. */
function naive(bytes: Buffer, hashes: readonly string[]): string[] {
  const found: string[] = []
  const at = (text: string, start: number, width: number): boolean => {
    if (start < 0 || start + (text.length - 1) * width >= bytes.length) return false
    for (let i = 0; i <= (text.length - 1) * width; i++)
      if (bytes[start + i] !== (i % width === 0 ? text.charCodeAt(i / width) : 0)) return false
    return true
  }
  for (let start = 0; start < bytes.length; start++)
    for (const width of [1, 2, 4]) {
      if (at('/nix/store', start, width)) found.push(`${start} ${width} store`)
      for (const hash of hashes)
        if (at(hash, start, width) && !at(`/nix/store/${hash}`, start - 11 * width, width))
          found.push(`${start} ${width} ${hash}`)
    }
  return found.sort()
}

const summary = (references: readonly Reference[]): string[] =>
  references.map(r => `${r.offset} ${WIDTH[r.encoding]} ${r.bare ? r.text : 'store'}`).sort()

describe.each(ENCODINGS)('%s', encoding => {
  const width = WIDTH[encoding]

  test('a store path is found in pieces of every size, at every place around their borders', () => {
    const planted = encode(PATH, encoding)
    for (let size = 1; size <= 128; size++) {
      const places = [0, 1, size - 1, size, size + 1, 2 * size - 1, 3 * size + (size >> 1), 4 * size - planted.length]
      for (const place of places.filter(p => p >= 0)) {
        const start = place - (place % width)
        const bytes = Buffer.concat([Buffer.alloc(start, 1), planted, Buffer.alloc(size + 4, 1)])
        const found = scan(bytes, size)
        expect(found, `pieces of ${size}, at ${start}`).toEqual([
          { offset: start + LEAD[encoding], encoding, hash: HASH, bare: false, text: PATH },
        ])
      }
    }
  })

  test('a bare hash is found in pieces of every size', () => {
    for (let size = 1; size <= 128; size++)
      for (const place of [0, width, 32 * width, size * width, 64 * width - width]) {
        const bytes = Buffer.concat([Buffer.alloc(place, 1), encode(HASH, encoding), Buffer.alloc(7, 1)])
        expect(scan(bytes, size), `pieces of ${size}, at ${place}`).toEqual([
          { offset: place + LEAD[encoding], encoding, hash: HASH, bare: true, text: HASH },
        ])
      }
  })

  test('a reference is found at every place around the borders of the window that the scan goes through', () => {
    // The window is 128 KiB, of which the last 16 KiB wait for what follows.
    for (const border of [112 * 1024, 128 * 1024, 224 * 1024])
      for (const text of [PATH, HASH])
        for (let back = -4; back <= (text.length + 12) * width; back += width) {
          const start = border - back - ((border - back) % width)
          const bytes = Buffer.alloc(border + 20_000, 1)
          encode(text, encoding).copy(bytes, start)
          const found = scan(bytes, 64 * 1024)
          expect(offsets(found), `${text} at ${start}`).toEqual([start + LEAD[encoding]])
          expect(found[0]!.text).toBe(text)
        }
  })

  test('at the very start and the very end, alone, and several in a row', () => {
    const one = encode(PATH, encoding)
    const space = encode(' ', encoding)
    const row = Buffer.concat([one, space, one, space, space, one])
    const length = one.length
    const lead = LEAD[encoding]
    expect(offsets(scan(one))).toEqual([lead])
    expect(offsets(scan(row))).toEqual([0, length + width, 2 * length + 3 * width].map(o => o + lead))
    expect(scan(row).every(r => r.text === PATH && r.hash === HASH && !r.bare)).toBe(true)
  })

  test('after the overwrite a second scan finds nothing, and the length is the same', () => {
    for (const text of [
      PATH,
      HASH,
      `/nix/store//nix/store/${HASH}`,
      `${HASH}${HASH}`,
      `${HASH} ${HASH}`,
      `${PATH}:${PATH}`,
      `/nix/store/${HASH}-source-${OTHER}`,
      `/nix/store/${HASH}`,
      `/nix/store/${HASH}${OTHER}`,
      '/nix/store',
      '/nix/store/',
      `/nix/store/${'e'.repeat(32)}-glibc`,
      `/nix/store/.links/${HASH}`,
    ])
      for (const target of [null, TARGET, SHORT]) {
        const bytes = Buffer.concat([Buffer.alloc(width * 3, 1), encode(text, encoding), Buffer.alloc(4)])
        const after = overwriteAll(bytes, target)
        expect(after.length).toBe(bytes.length)
        expect(scan(after), `${text} -> ${after.toString('latin1')}`).toEqual([])
      }
  })
})

const ROOT = `/nix/store/${HASH}-nginx-1.22.1`
const TARGET: Target = {
  root: ROOT,
  prefix: '/opt/nginx',
  path: '/pkg/nginx-1.22.1',
  at: 'pkg/nginx-1.22.1' as BundlePath,
  link: { number: 0, at: 'p/0-nginx-1.22.1' as BundlePath },
}
const SHORT: Target = {
  root: ROOT,
  prefix: '/o',
  path: '/pkg/n',
  at: 'pkg/n' as BundlePath,
  link: { number: 255, at: 'p/ff-n' as BundlePath },
}

/** As the plan does it: what begins inside an overwrite that is made already is skipped. */
function overwriteAll(bytes: Buffer, target: Target | null): Buffer {
  const after = Buffer.from(bytes)
  let end = 0
  for (const reference of scan(bytes)) {
    if (reference.offset < end) continue
    const edit = (target && fixed(reference, target)) ?? blanked(reference)
    expect(edit.to.length).toBe(edit.from.length)
    expect(Buffer.from(edit.from).equals(after.subarray(edit.offset, edit.offset + edit.from.length))).toBe(true)
    after.set(edit.to, edit.offset)
    end = edit.offset + edit.from.length
  }
  return after
}

test('overlapping: /nix/store//nix/store', () => {
  expect(scanText('/nix/store//nix/store').map(r => [r.offset, r.text, r.hash])).toEqual([
    [0, '/nix/store//nix/store', null],
    [11, '/nix/store', null],
  ])
  expect(offsets(scanText('/nix/store/nix/store'))).toEqual([0, 10])
  expect(offsets(scanText('/nix/nix/store'))).toEqual([4])
  expect(offsets(scanText('//nix/storex/nix/stor'))).toEqual([1])
})

test('a hash that was nuked is no hash, and its path is a reference all the same', () => {
  const text = `/nix/store/${'e'.repeat(32)}-glibc-2.36/lib`
  expect(scanText(text)).toEqual([{ offset: 0, encoding: 'utf8', hash: null, bare: false, text }])
})

test('a bare hash is found between any neighbours, those of the hash alphabet too', () => {
  for (const before of ['', ' ', '\0', 'e', '-', '0', 'z', 'abc', `${OTHER.slice(1)}`, '/nix/stor/', 'nix/store/'])
    for (const after of ['', ' ', '\0', 'e', '-nginx', '0', 'zzz', OTHER.slice(0, 31)])
      expect(
        scanText(before + HASH + after).map(r => [r.offset, r.text, r.bare]),
        JSON.stringify(before + HASH + after),
      ).toEqual([[before.length, HASH, true]])
})

test('a hash directly behind /nix/store/ is not reported twice, one behind any other directory is', () => {
  expect(scanText(`/nix/store/${HASH}`).map(r => [r.offset, r.bare])).toEqual([[0, false]])
  expect(scanText(`/nix/store//${HASH}`).map(r => [r.offset, r.bare])).toEqual([
    [0, false],
    [12, true],
  ])
  expect(scanText(`/nix/store/.links/${HASH}`).map(r => r.bare)).toEqual([false, true])
  expect(scanText(`${PATH}-${HASH}`).map(r => [r.offset, r.bare])).toEqual([
    [0, false],
    [PATH.length + 1, true],
  ])
})

test('the same hash twice, with one character between that is in no hash, is two references', () => {
  expect(offsets(scanText(`${HASH} ${HASH}`))).toEqual([0, 33])
  expect(offsets(scanText(`${HASH}${HASH}${HASH}`))).toEqual([0, 32, 64])
  expect(offsets(scanText(`/nix/store/${HASH} ${HASH}`))).toEqual([0, 44])
})

test.each(ENCODINGS)('a hash behind a long run of zero digits is found (%s)', encoding => {
  const run = encode('0'.repeat(1_000_000 / WIDTH[encoding] ** 2), encoding)
  const bytes = Buffer.concat([run, encode(HASH, encoding)])
  const found = scan(bytes, 64 * 1024, { has: hash => hash === HASH })
  expect(offsets(found)).toEqual([run.length + LEAD[encoding]])
})

test('a hash that overlaps itself is found each time, wherever the pieces end', () => {
  const turn = '0123456789'
  const hash = turn.repeat(4).slice(0, 32)
  const bytes = Buffer.from(turn.repeat(5))
  for (const size of [1, 7, 31, 32, 33, 40]) expect(offsets(scan(bytes, size, new Set([hash])))).toEqual([0, 10])
})

test('a hash of few different characters may be ordinary bytes: alone it is none, in a store path it is one', () => {
  for (const hash of ['m'.repeat(32), '01'.repeat(16), '012345678'.repeat(4).slice(0, 32)]) {
    const set = new Set([hash])
    for (const encoding of ENCODINGS) expect(scan(encode(`\0${hash}\0`, encoding), 64, set)).toEqual([])
    expect(scanText(`/nix/store/${hash}-x`)[0]!.hash).toBe(hash)
  }
})

test('a hash is found in a long run of digits, alone of many, and whichever of a thousand it is', () => {
  const digits = '0123456789abcdfghijklmnpqrsvwxyz'
  const hashes = Array.from({ length: 1000 }, (_, i) =>
    Array.from({ length: 32 }, (_, k) => digits[(i * 7919 + k * (i + 13) + ((k * k * i) >> 3)) % 32]).join(''),
  )
  const set = new Set(hashes)
  for (const encoding of ['utf8', 'utf16be', 'utf32le'] as const) {
    const bytes = encode(digits.repeat(3) + [...set].join(digits), encoding)
    const found = new Set(scan(bytes, 1000, set).map(r => r.text))
    expect([...set].filter(hash => !found.has(hash))).toEqual([])
  }
})

test('a set that has grown since it was last asked for is asked for as it is', () => {
  const set = new Set([OTHER])
  expect(scan(Buffer.from(HASH), 32, set)).toEqual([])
  set.add(HASH)
  expect(offsets(scan(Buffer.from(HASH), 32, set))).toEqual([0])
})

test('two scans at a time, and one after another, have nothing to do with each other', () => {
  const found: [number, number][] = []
  const scanners = [0, 1, 2].map(i => new ReferenceScanner(HASHES, r => found.push([i, r.offset])))
  for (const half of [PATH.slice(0, 20), PATH.slice(20)])
    for (const [i, scanner] of scanners.entries()) scanner.push(Buffer.from(' '.repeat(i) + half))
  for (const scanner of scanners) scanner.end()
  expect(found).toEqual([
    [0, 0],
    [1, 1],
    [2, 2],
  ])
  expect(offsets(scan(Buffer.from(PATH.slice(20))))).toEqual([])
})

test('hashes that nobody forbids are nothing', () => {
  expect(scan(Buffer.from(HASH), 32, null)).toEqual([])
  expect(scan(Buffer.from(HASH), 32, { has: () => false })).toEqual([])
})

test('a text ends where shells and formats end a path, and after 4096 characters', () => {
  expect(scanText(`"${PATH}" `)[0]!.text).toBe(PATH)
  expect(scanText(`PATH=${PATH}:/bin`)[0]!.text).toBe(PATH)
  expect(scanText(`/nix/store/${'a'.repeat(10_000)}`)[0]!.text.length).toBe(4096)
  expect(scan(encode(`/nix/store/${'a'.repeat(10_000)}`, 'utf32le'), 77)[0]!.text.length).toBe(4096)
})

test('what only resembles a store path is none', () => {
  for (const text of ['/nix/stor', '/nix/Store', 'nix/store', '/nix\0/store', '/\0n\0ix/store', '/nix//store'])
    expect(scanText(text), JSON.stringify(text)).toEqual([])
  // Zeros of the wrong width, and one character of another encoding in the midst.
  const wide = encode(PATH, 'utf16le')
  wide[5] = 1
  expect(scan(wide, 16, null)).toEqual([])
})

test('a piece may be filled again as soon as it was pushed', () => {
  const found: Reference[] = []
  const scanner = new ReferenceScanner(HASHES, r => found.push(r))
  const piece = Buffer.alloc(64)
  const bytes = Buffer.from(`${'.'.repeat(50)}${PATH}${'.'.repeat(50)}`)
  for (let at = 0; at < bytes.length; at += 64) {
    const n = bytes.copy(piece, 0, at)
    scanner.push(piece.subarray(0, n))
    piece.fill(0)
  }
  scanner.end()
  expect(found.map(r => [r.offset, r.text])).toEqual([[50, `${PATH}${'.'.repeat(50)}`]])
})

test('large pieces are searched where they lie, and what two of them share is found once', () => {
  const planted = ENCODINGS.flatMap(e => [
    encode(PATH, e),
    encode(HASH, e),
    encode(`/nix/store/${'a'.repeat(5000)}`, e),
  ])
  for (const sizes of [[65_536], [70_001, 10, 200_000], [100, 65_536, 65_537], [400_000, 1]])
    for (const shift of [0, 1, 47, 48, 49, 100, 3000, 16_383, 16_384, 16_432, 16_433]) {
      const bytes = Buffer.alloc(1 << 20, '.')
      const borders: number[] = []
      for (let at = 0, i = 0; at < bytes.length; at += sizes[i++ % sizes.length]!) borders.push(at)
      for (const [i, text] of planted.entries()) {
        const border = borders[(i + 1) % borders.length]!
        if (border >= shift) text.copy(bytes, border - shift)
      }
      const pieces = borders.map((at, i) => Buffer.from(bytes.subarray(at, borders[i + 1] ?? bytes.length)))
      const all: Reference[] = []
      const scanner = new ReferenceScanner(HASHES, r => all.push(r))
      scanner.scan(bytes)
      expect(scanReferences(pieces, HASHES)).toEqual(all.sort((a, b) => a.offset - b.offset))
      expect(all.length).toBeGreaterThan(0)
    }
})

test('a wide path with a pair of an escaped slash as its 64th is found once', () => {
  const text = Buffer.concat([encode(`${PATH.slice(0, 63)}x`, 'utf16le'), Buffer.from('2f')])
  for (let before = 0; before < 18; before += 2)
    expect(offsets(scan(Buffer.concat([Buffer.alloc(before), text])))).toEqual([before])
})

test('memory is flat, whatever is pushed', () => {
  const piece = Buffer.alloc(256 * 1024, '/nix/stor\0e\0/\0n\0')
  const scanner = new ReferenceScanner(HASHES, () => {})
  scanner.push(piece)
  const before = process.memoryUsage()
  for (let i = 0; i < 200; i++) scanner.push(piece)
  scanner.end()
  const after = process.memoryUsage()
  expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(1 << 20)
  expect(after.heapUsed - before.heapUsed).toBeLessThan(32 << 20)
})

describe('any bytes', () => {
  const fragment = fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...ENCODINGS).map(e => encode(PATH.slice(0, 60), e)) },
    { weight: 3, arbitrary: fc.constantFrom(...ENCODINGS).map(e => encode(HASH, e)) },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.constantFrom(...ENCODINGS), fc.nat(40)).map(([e, n]) => encode(PATH.slice(n), e)),
    },
    {
      weight: 2,
      arbitrary: fc.tuple(fc.constantFrom(...ENCODINGS), fc.nat(12)).map(([e, n]) => encode(PATH.slice(0, n), e)),
    },
    { weight: 1, arbitrary: fc.nat(70).map(n => Buffer.alloc(n)) },
    { weight: 1, arbitrary: fc.nat(70).map(n => Buffer.alloc(n, '0')) },
    { weight: 2, arbitrary: fc.uint8Array({ maxLength: 40 }).map(b => Buffer.from(b)) },
    { weight: 1, arbitrary: fc.constantFrom('/', '/nix', '/store', '-', 'e').map(t => Buffer.from(t)) },
  )
  const bytes = fc.array(fragment, { maxLength: 12 }).map(parts => Buffer.concat(parts))

  test('are searched as by looking at each offset, however they are cut', () => {
    fc.assert(
      fc.property(bytes, fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 8 }), (b, sizes) => {
        const pieces: Buffer[] = []
        for (let at = 0, i = 0; at < b.length; i++) {
          const size = sizes[i % sizes.length]!
          pieces.push(b.subarray(at, at + size))
          at += size
        }
        const whole = scanReferences([b], HASHES)
        expect(scanReferences(pieces, HASHES)).toEqual(whole)
        expect(summary(whole)).toEqual(naive(b, [HASH, OTHER]))
      }),
      { numRuns: 3000 },
    )
  })

  test('hold no reference after the overwrite', () => {
    fc.assert(
      fc.property(bytes, fc.constantFrom(null, TARGET, SHORT), (b, target) => {
        // A blanked hash directly behind `/nix/stor` would be its e. No real file has that; verify would refuse it.
        fc.pre(
          !scan(b).some(
            r => r.bare && /\/\0*n\0*i\0*x\0*\/\0*s\0*t\0*o\0*r\0*$/.test(b.toString('latin1', 0, r.offset)),
          ),
        )
        const after = overwriteAll(b, target)
        expect(after.length).toBe(b.length)
        expect(scan(after)).toEqual([])
      }),
      { numRuns: 3000 },
    )
  })
})

test('fixed: the prefix, slashes, the link; what stands behind the hash is not touched', () => {
  const reference = scanText(PATH)[0]!
  const edit = fixed(reference, TARGET)!
  expect(Buffer.from(edit.to).toString()).toMatch(/^\/opt\/nginx\/+p\/0$/)
  expect(edit.to.length).toBe(ROOT.length - '-nginx-1.22.1'.length)
})

test('blanked: directory and hash each keep their length', () => {
  const edit = blanked(scanText(PATH)[0]!)
  expect(Buffer.from(edit.to).toString()).toBe(`/var/empty/${'e'.repeat(32)}`)
  expect(blank(`${PATH}:/nix/store`)).toBe(`/var/empty/${'e'.repeat(32)}-nginx-1.22.1/sbin/nginx:/var/empty`)
})
