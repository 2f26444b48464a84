/** Containers that are cut short, lie, explode or are not what they seem: always a value, in bounded time and memory. */
import * as zlib from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { bufferSource } from '../src/io/bytes.ts'
import {
  type ContainerScan,
  containerKind,
  containerKindOf,
  KIND_HEAD,
  kindByName,
  LIMITS,
  rewriteContainer,
  scanContainer,
} from '../src/references/containers.ts'

const HASH = '0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7'
const HASHES = new Set([HASH])
const TEXT = Buffer.from(`/nix/store/${HASH}-nginx-1.22.1/sbin/nginx and more, and more\n`)

interface Fields {
  flags: number
  method: number
  crc: number
  packed: number
  size: number
  local: number
  localName: string
}

/** A zip of members, each header field of which may be a lie. */
function zip(members: readonly (Partial<Fields> & { name: string; contents: Buffer })[], comment = ''): Buffer {
  const pieces: Buffer[] = []
  const records: Buffer[] = []
  let at = 0
  for (const { name, contents, ...lies } of members) {
    const data = zlib.deflateRawSync(contents)
    const honest = { flags: 0, method: 8, crc: zlib.crc32(contents), packed: data.length, size: contents.length }
    const f: Fields = { ...honest, local: at, localName: name, ...lies }
    const local = Buffer.alloc(30 + f.localName.length)
    local.writeUInt32LE(0x04034b50, 0)
    local.writeUInt16LE(f.flags, 6)
    local.writeUInt16LE(f.method, 8)
    local.writeUInt32LE(f.crc, 14)
    local.writeUInt32LE(f.packed, 18)
    local.writeUInt32LE(f.size, 22)
    local.writeUInt16LE(f.localName.length, 26)
    local.write(f.localName, 30, 'latin1')
    const record = Buffer.alloc(46 + name.length)
    record.writeUInt32LE(0x02014b50, 0)
    local.copy(record, 6, 4, 26)
    record.writeUInt16LE(f.flags, 8)
    record.writeUInt16LE(name.length, 28)
    record.writeUInt32LE(f.local, 42)
    record.write(name, 46, 'latin1')
    pieces.push(local, data)
    records.push(record)
    at += local.length + data.length
  }
  const directory = Buffer.concat(records)
  const last = Buffer.alloc(22)
  last.writeUInt32LE(0x06054b50, 0)
  last.writeUInt16LE(members.length, 8)
  last.writeUInt16LE(members.length, 10)
  last.writeUInt32LE(directory.length, 12)
  last.writeUInt32LE(at, 16)
  last.writeUInt16LE(comment.length, 20)
  return Buffer.concat([...pieces, directory, last, Buffer.from(comment)])
}

const codes = (scan: ContainerScan): string[] => scan.problems.map(p => [...p.names, p.code].join(' '))
const found = (scan: ContainerScan): number => scan.members.reduce((sum, m) => sum + m.references.length, 0)
const same = (_: readonly string[], contents: Buffer): Buffer => contents
/** Another buffer, with every byte changed: what can be made again is made again. */
const inverted = (_: readonly string[], contents: Buffer): Buffer => Buffer.from(contents.map(b => b ^ 0x20))

const ONE = [{ name: 'a', contents: TEXT }]
const FIXTURES: Readonly<Record<string, Buffer>> = {
  gzip: zlib.gzipSync(TEXT),
  'two gzip members': Buffer.concat([zlib.gzipSync(TEXT), zlib.gzipSync(TEXT)]),
  zlib: zlib.deflateSync(TEXT),
  zip: zip(ONE),
  'a zip with a comment and a stub': Buffer.concat([Buffer.from('#!x\n'), zip([...ONE, ...ONE], 'a comment')]),
  'a zip in a gzip': zlib.gzipSync(zip([...ONE, { name: 'b.gz', contents: zlib.gzipSync(TEXT) }])),
  'a gzip in a zip': zip([{ name: 'a.gz', contents: zlib.gzipSync(TEXT) }]),
}

describe.each(Object.entries(FIXTURES))('%s', (_, bytes) => {
  test('whole, it has no problem', () => {
    const scan = scanContainer(bytes, HASHES)
    expect(scan.problems).toEqual([])
    expect(found(scan)).toBeGreaterThan(0)
    expect(rewriteContainer(bytes, same)).toBe(bytes)
  })

  test('every prefix of it is a value, and never passed over when it shows what it is', () => {
    for (let length = 0; length < bytes.length; length++) {
      const prefix = bytes.subarray(0, length)
      const scan = scanContainer(prefix, HASHES)
      const kind = containerKind(prefix.subarray(0, KIND_HEAD), prefix.length)
      // A whole first member is a gzip file itself.
      const whole = kind === 'gzip' && scan.problems.length === 0
      if (kind === 'gzip' || kind === 'zip') expect(scan.problems.length + (whole ? found(scan) : 0)).toBeGreaterThan(0)
      else if (scan.kind === 'self-extractor')
        expect(scan.problems).toEqual([{ names: [], code: 'opaque', detail: scan.kind }])
      else expect([scan.kind, scan.problems]).toEqual([null, []])
      if (whole) expect(length).toBe(bytes.length / 2)
      // Of a zlib stream that is cut short, what there is counts; it is not written again.
      else if (scan.members.some(({ references }) => references.length > 0))
        expect(() => rewriteContainer(prefix, inverted)).toThrow('a store path in it cannot be overwritten')
      else if (scan.members.length === 0) expect(rewriteContainer(prefix, inverted)).toBe(prefix)
    }
  })

  test('every suffix of it is a value', () => {
    for (let start = 1; start <= bytes.length; start++) {
      const suffix = bytes.subarray(start)
      scanContainer(suffix, HASHES)
      rewriteContainer(suffix, same)
    }
  })

  test('with any byte changed it is a value, and a rewrite that changes nothing gives the same bytes', () => {
    for (let at = 0; at < bytes.length; at++)
      for (const value of [0, 0xff, bytes[at]! ^ 1, bytes[at]! ^ 0x80]) {
        const broken = Buffer.from(bytes)
        broken[at] = value
        scanContainer(broken, HASHES)
        expect(rewriteContainer(broken, same)).toBe(broken)
        try {
          const after = rewriteContainer(broken, inverted)
          // Whatever was made again can be read as what was there before could.
          expect(codes(scanContainer(after, null))).toEqual(codes(scanContainer(broken, null)))
        } catch (error) {
          expect(error).toMatchObject({ code: 'edit-refused' })
        }
      }
  })
})

test('any bytes behind any head are a value', () => {
  const heads = Object.values(FIXTURES).map(b => fc.integer({ min: 0, max: b.length }).map(n => b.subarray(0, n)))
  const piece = fc.oneof(...heads, fc.uint8Array({ maxLength: 60 }).map(Buffer.from), fc.constant(zip(ONE)))
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 5 }), pieces => {
      const bytes = Buffer.concat(pieces)
      scanContainer(bytes, HASHES)
      expect(rewriteContainer(bytes, same)).toBe(bytes)
    }),
    { numRuns: 2000 },
  )
})

describe('a zip that lies', () => {
  test.each([
    ['a size that is too small', { size: TEXT.length - 1 }, 'a damaged'],
    ['a size that is too large', { size: TEXT.length + 1 }, 'a damaged'],
    ['a size beyond the limit', { size: 0xfffffffe }, 'a too-large'],
    ['a packed size that is too small', { packed: 5 }, 'a damaged'],
    ['a packed size that is too large', { packed: 200 }, 'a damaged'],
    ['a packed size of 4 GiB and no zip64', { packed: 0xffffffff }, 'damaged'],
    ['another checksum', { crc: 1 }, 'a damaged'],
    ['another name in its own header', { localName: 'b' }, 'a damaged'],
    ['a header that is elsewhere', { local: 1 }, 'a damaged'],
    ['a header behind the end', { local: 0xfffffff0 }, 'a damaged'],
    ['a data descriptor that is not there', { flags: 8 }, 'a damaged'],
    ['encryption', { flags: 1 }, 'a encrypted'],
    ['an unknown method', { method: 99 }, 'a method'],
  ])('%s is named, and the bytes stay', (_, lie, code) => {
    const bytes = zip([{ name: 'a', contents: TEXT, ...lie }])
    // Where its data are not known, what lies there is a member that is not listed.
    expect(codes(scanContainer(bytes, HASHES)).filter((c, i) => i === 0 || c !== 'damaged')).toEqual([code])
    expect(rewriteContainer(bytes, inverted)).toBe(bytes)
  })

  test('two members of the same bytes: the second is not read', () => {
    const bytes = zip([...ONE, { name: 'a', contents: TEXT, local: 0 }])
    expect(codes(scanContainer(bytes, HASHES))).toEqual(['a damaged', 'damaged'])
  })

  test('a member that the directory does not list', () => {
    const whole = zip([...ONE, ...ONE])
    const record = whole.indexOf('PK\x01\x02')
    const bytes = Buffer.concat([whole.subarray(0, record), whole.subarray(record + 47)])
    const last = bytes.length - 22
    bytes.writeUInt16LE(1, last + 10)
    bytes.writeUInt32LE(47, last + 12)
    expect(codes(scanContainer(bytes, HASHES))).toEqual(['damaged'])
  })

  test("a directory in front, as in Firefox's omni.ja, is named", () => {
    const plain = zip(ONE)
    const record = plain.subarray(plain.indexOf('PK\x01\x02'), -22)
    const bytes = Buffer.concat([
      Buffer.from('\x10\0\0\0'),
      record,
      plain.subarray(0, -22 - record.length),
      plain.subarray(-22),
    ])
    bytes.writeUInt32LE(4, bytes.length - 6)
    expect(containerKindOf(bufferSource(bytes))).toBe('zip')
    expect(codes(scanContainer(bytes, HASHES))).toEqual(['damaged'])
  })
})

describe('bombs', () => {
  const timed = (bytes: Buffer, limits = LIMITS): ContainerScan => {
    const start = performance.now()
    const scan = scanContainer(bytes, HASHES, limits)
    rewriteContainer(bytes, same, { limits })
    expect(performance.now() - start).toBeLessThan(10_000)
    return scan
  }
  const mib = 2 ** 20

  test('a member that is a thousand times its bytes', () => {
    const zeros = zlib.gzipSync(Buffer.alloc(100 * mib))
    expect(codes(timed(zeros))).toEqual(['too-large'])
    expect(codes(timed(zlib.deflateSync(Buffer.alloc(100 * mib))))).toEqual(['too-large'])
    expect(codes(timed(zip([{ name: 'a', contents: Buffer.alloc(100 * mib) }])))).toEqual(['a too-large'])
    // The same with a header that says little: it is inflated no further than that.
    expect(codes(timed(zip([{ name: 'a', contents: Buffer.alloc(100 * mib), size: 10 }])))).toEqual(['a damaged'])
  })

  test('small files of zeros are none', () => {
    expect(codes(timed(zlib.gzipSync(Buffer.alloc(30 * mib))))).toEqual([])
  })

  test('many members, each within the limits', () => {
    const many = zip(Array.from({ length: 30 }, (_, i) => ({ name: `${i}`, contents: Buffer.alloc(4 * mib) })))
    const scan = timed(many, { ...LIMITS, total: 20 * mib })
    expect(scan.members).toHaveLength(5)
    expect(codes(scan)).toEqual(Array.from({ length: 25 }, (_, i) => `${i + 5} too-large`))
  })

  test('many members of nothing', () => {
    const empty = zlib.gzipSync(Buffer.alloc(0))
    expect(codes(timed(Buffer.concat(Array(20_000).fill(empty)), { ...LIMITS, members: 1000 }))).toEqual(['too-large'])
    const members = Array.from({ length: 3000 }, () => ({ name: 'a', contents: TEXT }))
    expect(timed(zip(members), { ...LIMITS, members: 1000 }).members).toHaveLength(1000)
  })

  test('containers in containers end at the fifth, which is named', () => {
    let bytes: Buffer = TEXT
    for (let i = 0; i < 5; i++) bytes = zlib.gzipSync(bytes)
    expect(codes(timed(bytes))).toEqual(['gzip gzip gzip gzip too-deep'])
    const four = scanContainer(zlib.gunzipSync(bytes), HASHES)
    expect([codes(four), found(four)]).toEqual([[], 1])
    // Below the fifth nothing is changed.
    expect(rewriteContainer(bytes, (names, b) => (names.length > 4 ? inverted(names, b) : b))).toBe(bytes)
  })

  test('a member of nothing but references is told by its first ones', () => {
    const scan = timed(zlib.gzipSync(Buffer.alloc(20 * mib, '/nix/store ')))
    expect(found(scan)).toBe(LIMITS.references)
    expect(codes(scan)).toEqual(['gzip too-many'])
    const long = timed(zlib.gzipSync(Buffer.alloc(20 * mib, '/nix/store')))
    expect(codes(long)).toEqual(['gzip too-many'])
  })

  test('memory is bounded by the limits', () => {
    const bytes = zip(
      Array.from({ length: 60 }, (_, i) => ({ name: `${i}`, contents: Buffer.alloc(16 * mib, `e${i}`) })),
    )
    scanContainer(bytes, HASHES)
    globalThis.gc?.()
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(1024 * mib)
  })
})

describe('kinds that are not looked into are named', () => {
  test.each([
    ['xz', 'fd377a585a0000'],
    ['bzip2', '425a6839314159265359'],
    ['bzip2', '425a683917724538509000000000'],
    ['zstd', '28b52ffd04'],
    ['lz4', '04224d1864'],
    ['lz4', '02214c1800'],
    ['lzip', '4c5a495001'],
    // pzstd's, and one of lz4: frames to be skipped stand before.
    ['zstd', '502a4d18040000009a01000028b52ffd04'],
    ['lz4', '532a4d180500000068656c6c6f04224d1864'],
    ['lrzip', '4c525a4900'],
    ['qcow2', '514649fb00000003'],
    ['vmdk', '4b444d5601000000'],
    ['chez', '000000006368657a'],
    ['rcc', '71726573000000030000000000000000000000000000000400'],
    ['bzimage', `4d5a${'00'.repeat(512)}48647253`],
    ['upx', `7f454c460201010${'0'.repeat(300)}155505821`],
    ['lzop', '894c5a4f000d0a1a0a'],
    ['compress', '1f9d90'],
    ['snappy', 'ff060000734e61507059'],
    ['7z', '377abcaf271c'],
    ['rar', '526172211a0700'],
    ['rar', '526172211a070100'],
    ['cab', '4d53434600000000'],
    ['xar', '78617221001c'],
    ['rpm', 'edabeedb'],
    ['deb', Buffer.from('!<arch>\ndebian-binary   ').toString('hex')],
    ['squashfs', '68737173'],
    ['cramfs', '453dcd28'],
    ['appimage', '7f454c4602010100414902'],
    ['lzma', '5d00008000ffffffffffffffff00'],
  ])('%s', (kind, head) => {
    const bytes = Buffer.concat([Buffer.from(head, 'hex'), Buffer.alloc(20)])
    expect(containerKind(bytes, bytes.length)).toBe(kind)
    expect(scanContainer(bytes, HASHES)).toEqual({
      kind,
      members: [],
      problems: [{ names: [], code: 'opaque', detail: kind }],
    })
    expect(rewriteContainer(bytes, inverted)).toBe(bytes)
  })

  test('erofs', () => {
    const bytes = Buffer.alloc(4096)
    bytes.writeUInt32LE(0xe0f5e1e2, 1024)
    expect(containerKind(bytes.subarray(0, KIND_HEAD), bytes.length)).toBe('erofs')
  })

  test('by what stands further in: ISO 9660, a disk image of macOS, a script with an archive behind it', () => {
    const iso = Buffer.alloc(64 << 10)
    iso.write('CD001', 32769)
    const dmg = Buffer.alloc(4096)
    dmg.write('koly', dmg.length - 512)
    const script = Buffer.concat([Buffer.from('#!/bin/sh\ntail -n +3 "$0" | tar xz\n'), zlib.gzipSync('x')])
    const makeself = Buffer.from('#!/bin/sh\n# This script was generated using Makeself 2.4.5\nH4sI\n')
    const kinds = [iso, dmg, script, makeself].map(bytes => containerKindOf(bufferSource(bytes)))
    expect(kinds).toEqual(['iso9660', 'dmg', 'self-extractor', 'self-extractor'])
  })

  test('by name: brotli, and databases of R that are packed with bzip2 or xz', () => {
    const bytes = Buffer.from('\0\0\x01\0ZLRZ\x1b\x02', 'latin1')
    expect(kindByName('a/x.js.br', bytes)).toBe('brotli')
    expect(kindByName('locale.br', Buffer.from('Brezhoneg: trugarez d\xe2\x80\x99', 'latin1'))).toBe(null)
    expect(kindByName('R/x.rdb', bytes)).toBe('rdb')
    expect(kindByName('x.txt', bytes)).toBe(null)
  })

  test('a zip by its end, whatever its head', () => {
    for (const head of ['', '#!/bin/sh\n', '\x7fELF\x02\x01\x01', 'x\x9c', '\0'.repeat(70_000)]) {
      const bytes = Buffer.concat([Buffer.from(head, 'latin1'), zip(ONE, 'c'.repeat(60_000))])
      expect(containerKindOf(bufferSource(bytes))).toBe('zip')
      expect(found(scanContainer(bytes, HASHES))).toBe(1)
    }
  })

  test.each([
    ['nothing', ''],
    ['text', 'hello, world\n'],
    ['a script', '#!/bin/sh\n'],
    ['BZh in a text', 'BZh is a magic number'],
    ['an ELF file', '\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0'],
    ['a ustar', `a${'\0'.repeat(256)}ustar\0`],
    ['an archive of objects', '!<arch>\n/               0 '],
    ['text that says PK\x05\x06', `PK\x05\x06 is a magic number ${'.'.repeat(30)}`],
  ])('%s is none', (_, text) => {
    const bytes = Buffer.from(text, 'latin1')
    expect(containerKind(bytes, bytes.length)).toBe(text.startsWith('PK') ? 'zip' : null)
    if (!text.startsWith('PK')) expect(containerKindOf(bufferSource(bytes))).toBe(null)
  })
})
