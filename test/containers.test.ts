/**
 * References in compressed files are found however they were packed, and none is left after a rewrite. The inputs are
 * made by Python's zipfile and Node's zlib; Python's zipfile and gzip judge what was made again.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as zlib from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { BundleError } from '../src/errors.ts'
import { bufferSource } from '../src/io/bytes.ts'
import { containerKind, containerKindOf, rewriteContainer, scanContainer } from '../src/references/containers.ts'
import { scanReferences } from '../src/references/scan.ts'

const HASH = '0c8b4gz5vd6h1jr9xk2mnqfwl3yaips7'
const HASHES = new Set([HASH])
const PATH = `/nix/store/${HASH}-nginx-1.22.1/sbin/nginx`
const TEXT = `#! ${PATH} -c\nsome text that is long enough to be packed, packed, packed\n`

const utf16be = (text: string): Buffer => Buffer.from(text, 'utf16le').swap16()
const utf32le = (text: string): Buffer => Buffer.concat([...text].map(c => Buffer.from([c.charCodeAt(0), 0, 0, 0])))
/** One reference each. */
const PLANTED: Readonly<Record<string, Buffer>> = {
  utf8: Buffer.from(TEXT),
  utf16le: Buffer.from(TEXT, 'utf16le'),
  utf16be: utf16be(TEXT),
  utf32le: utf32le(TEXT),
  utf32be: utf32le(TEXT).swap32(),
  bare: Buffer.from(`<link hash="${HASH}"/>\n`),
}
const CLEAN = Buffer.from('nothing to see here, here, here\n')

/** As a rewrite does it in earnest: directory and hash of every reference become x's. */
function blankAll(_: readonly string[], contents: Buffer): Buffer {
  const references = scanReferences([contents], HASHES)
  if (references.length === 0) return contents
  const after = Buffer.from(contents)
  for (const { offset, text, encoding } of references) {
    const width = encoding === 'utf8' ? 1 : encoding.startsWith('utf16') ? 2 : 4
    for (let i = 0; i < Math.min(text.length, 43); i++) after[offset + i * width] = 0x78
  }
  return after
}

const count = (bytes: Buffer): number => {
  const { members, problems } = scanContainer(bytes, HASHES)
  expect(problems).toEqual([])
  return members.reduce((sum, { references }) => sum + references.length, 0)
}

let work: string
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), 'storefree-containers-'))
})
afterAll(() => rmSync(work, { recursive: true, force: true }))

const python = (script: string, input: Buffer = Buffer.alloc(0), ...args: string[]): Buffer =>
  execFileSync('python3', ['-c', script, ...args], { input, maxBuffer: 1 << 28 })

const ZIP = `
import io, sys, struct, warnings, zipfile
warnings.simplefilter('ignore')
class Stream(io.RawIOBase):
    def __init__(self): self.out = b''
    def writable(self): return True
    def seekable(self): return False
    def write(self, b): self.out += bytes(b); return len(b)
def info(name, method=8, extra=b'', comment=b''):
    i = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)); i.compress_type = method; i.extra = extra; i.comment = comment
    i.external_attr = 0o100755 << 16
    return i
members = []
data = sys.stdin.buffer.read()
while data:
    n, m = struct.unpack('<II', data[:8])
    members.append((data[8:8+n].decode('latin1'), data[8+n:8+n+m])); data = data[8+n+m:]
out = io.BytesIO()
`

/** A zip made by a line of Python, which has the members at hand. */
function zip(line: string, members: Readonly<Record<string, Buffer>> = PLANTED): Buffer {
  const input = Object.entries(members).map(([name, contents]) => {
    const sizes = Buffer.alloc(8)
    sizes.writeUInt32LE(Buffer.byteLength(name), 0)
    sizes.writeUInt32LE(contents.length, 4)
    return Buffer.concat([sizes, Buffer.from(name), contents])
  })
  return python(`${ZIP}${line}\nsys.stdout.buffer.write(out.getvalue())`, Buffer.concat(input))
}

const EACH = (more: string): string => `
with zipfile.ZipFile(out, 'w') as z:
    z.comment = b'a comment'
    z.mkdir('dir') if hasattr(z, 'mkdir') else None
    for n, c in members: z.writestr(info('dir/' + n${more}), c)
`

/** Names, sizes, attributes and contents as Python's zipfile sees them; it checks CRCs and headers as it reads. */
const SEEN = `
import io, json, sys, zipfile
z = zipfile.ZipFile(io.BytesIO(sys.stdin.buffer.read()))
assert z.testzip() is None
print(json.dumps([z.comment.decode('latin1')] + [[i.filename, i.date_time, i.compress_type, i.flag_bits, i.create_system, i.external_attr,
  i.comment.hex(), i.file_size, z.read(i).hex()] for i in z.infolist()]))`
type Seen = [string, ...[string, ...unknown[]][]]
const seen = (bytes: Buffer): Seen => JSON.parse(python(SEEN, bytes).toString())
/** Everything but the contents and their size, which is another for a container in a container. */
const shape = ([comment, ...members]: Seen): unknown => [comment, ...members.map(m => m.slice(0, -2))]

/** A zip whose planted references are found, and gone when it was made again; everything else is as it was. */
function mendsZip(bytes: Buffer, found = Object.keys(PLANTED).length): Buffer {
  expect(containerKindOf(bufferSource(bytes))).toBe('zip')
  expect(count(bytes)).toBe(found)
  const after = rewriteContainer(bytes, blankAll)
  expect(count(after)).toBe(0)
  expect(shape(seen(after))).toEqual(shape(seen(bytes)))
  expect(rewriteContainer(bytes, blankAll).equals(after)).toBe(true)
  expect(rewriteContainer(after, blankAll)).toBe(after)
  expect(rewriteContainer(bytes, (_, contents) => Buffer.from(contents)).equals(bytes)).toBe(true)
  return after
}

describe('zip', () => {
  test.each([
    ['deflated', EACH('')],
    ['stored', EACH(', 0')],
    [
      'with data descriptors',
      `s = Stream()\nwith zipfile.ZipFile(s, 'w') as z:\n  for n, c in members: z.writestr(info(n), c)\nout.write(s.out)`,
    ],
    [
      'stored, with data descriptors',
      `s = Stream()\nwith zipfile.ZipFile(s, 'w') as z:\n  for n, c in members: z.writestr(info(n, 0), c)\nout.write(s.out)`,
    ],
    [
      'zip64 in the local headers',
      `with zipfile.ZipFile(out, 'w') as z:\n  for n, c in members:\n    with z.open(info(n), 'w', force_zip64=True) as f: f.write(c)`,
    ],
    ['zip64 everywhere', `zipfile.ZIP64_LIMIT = 10; zipfile.ZIP_FILECOUNT_LIMIT = 1${EACH('')}`],
    [
      'zip64 with data descriptors',
      `s = Stream()\nzipfile.ZIP64_LIMIT = 10; zipfile.ZIP_FILECOUNT_LIMIT = 1\nwith zipfile.ZipFile(s, 'w') as z:\n  for n, c in members:\n    with z.open(info(n), 'w', force_zip64=True) as f: f.write(c)\nout.write(s.out)`,
    ],
    [
      'with extra fields and comments',
      EACH(`, 8, b'\\x55\\x54\\x05\\x00\\x03\\0\\0\\0\\0', b'comment of ' + n.encode()`),
    ],
    [
      'with a stub before it that no offset counts',
      `out.write(b'#!/bin/sh\\nexit\\n')${EACH('').replace('out,', '(o := io.BytesIO()),')}out.write(o.getvalue())`,
    ],
    [
      'with a stub before it that all offsets count',
      `out.write(b'#!/usr/bin/env python3\\n')${EACH('').replace("'w'", "'a'")}`,
    ],
    [
      'with zip64 and a stub',
      `out.write(b'\\x7fELF and more')\nzipfile.ZIP64_LIMIT = 10; zipfile.ZIP_FILECOUNT_LIMIT = 1${EACH('').replace('out,', '(o := io.BytesIO()),')}out.write(o.getvalue())`,
    ],
  ])('%s: each reference is found, and none is left', (_, script) => {
    mendsZip(zip(script))
  })

  test('of the levels that its flags name', () => {
    for (const bits of [0, 2, 4, 6]) {
      const bytes = zip(
        `with zipfile.ZipFile(out, 'w') as z:\n  for n, c in members: i = info(n); i.flag_bits = ${bits}; z.writestr(i, c)`,
      )
      for (const at of [6, bytes.indexOf('PK\x01\x02') + 8]) bytes.writeUInt16LE(bytes.readUInt16LE(at) | bits, at)
      mendsZip(bytes)
    }
  })

  test('made by zip(1), one in another; and a manifest stays first', () => {
    const directory = mkdtempSync(join(work, 'jar-'))
    for (const [name, contents] of Object.entries(PLANTED)) writeFileSync(join(directory, name), contents)
    const options = { cwd: directory, stdio: 'pipe' } as const
    execFileSync('zip', ['-q', '-9', 'a.zip', ...Object.keys(PLANTED)], options)
    execFileSync('sh', ['-c', 'zip -q - * > b.zip', '-'], options)
    mendsZip(readFileSync(join(directory, 'a.zip')))
    // A stored member of a nested zip is seen in the zip's own bytes, too: `bare` is too short to be packed.
    mendsZip(readFileSync(join(directory, 'b.zip')), 2 * Object.keys(PLANTED).length + 1)
    const manifest = zip(
      EACH('').replace('for n', "z.writestr(info('META-INF/MANIFEST.MF'), 'Main-Class: a.B')\n    for n"),
    )
    const names = seen(mendsZip(manifest))
      .slice(1)
      .map(m => m[0])
      .filter(name => !String(name).endsWith('/'))
    expect(names[0]).toBe('META-INF/MANIFEST.MF')
  })

  test('what stands before it, and names and comments, are copied', () => {
    const stub = `#!${PATH}\n`
    const bytes = Buffer.concat([Buffer.from(stub), zip(EACH(`, 8, b'', b'of ${PATH}'`))])
    const after = mendsZip(bytes)
    expect(after.toString('latin1', 0, stub.length)).toBe(stub)
    expect(after.toString('latin1').split(`of ${PATH}`)).toHaveLength(1 + Object.keys(PLANTED).length)
  })

  test('a stored member that asks for an alignment keeps it', () => {
    // Contents that pack to another size when x's take the place of the path, then stored ones aligned to 4 and 64.
    const align = (n: number): string => `struct.pack('<HHH', 0xd935, 2 + pad, ${n}) + bytes(pad)`
    const bytes = zip(
      `with zipfile.ZipFile(out, 'w') as z:
  for k, (n, c) in enumerate(members):
    z.writestr(info('packed' + n), c)
    a = 4 if k % 2 else 64
    at = out.tell() + 30 + len('stored' + n) + 6
    pad = -at % a
    z.writestr(info('stored' + n, 0, ${align(0).replace(', 0)', ', a)')}), c)`,
    )
    const places = (b: Buffer): number[] =>
      [...b.toString('latin1').matchAll(/PK\x03\x04/g)].map(({ index }) => {
        const data = index + 30 + b.readUInt16LE(index + 26) + b.readUInt16LE(index + 28)
        return b.readUInt16LE(index + 8) === 0 ? data : 0
      })
    const after = mendsZip(bytes, 2 * Object.keys(PLANTED).length)
    expect(after.length).not.toBe(bytes.length)
    for (const b of [bytes, after])
      places(b).forEach((data, i) => void (i % 2 === 1 && expect([i, data % (i % 4 === 1 ? 64 : 4)]).toEqual([i, 0])))
  })

  test('a signed jar can be read, and is refused when it would change', () => {
    const signed = (contents: Buffer): Buffer =>
      zip(EACH('').replace('for n', "z.writestr(info('META-INF/A.SF'), 'x')\n    for n"), { a: contents })
    const bytes = signed(PLANTED.utf8!)
    expect(scanContainer(bytes, HASHES).problems).toEqual([{ names: [], code: 'signed', detail: '' }])
    expect(() => rewriteContainer(bytes, blankAll, { path: 'a.jar' })).toThrow(
      expect.objectContaining({ code: 'edit-refused', path: 'a.jar', hint: expect.stringContaining('--exclude') }),
    )
    const clean = signed(CLEAN)
    expect(scanContainer(clean, HASHES).problems).toEqual([])
    expect(rewriteContainer(clean, blankAll)).toBe(clean)
  })

  test('members that cannot be read are named, and the others are mended', () => {
    const bytes = zip(`
with zipfile.ZipFile(out, 'w') as z:
    for n, c in members: z.writestr(info(n), c)
    z.writestr(info('bz', 12), members[0][1])
    z.writestr(info('lz', 14), members[0][1])
    z.writestr(info('secret'), members[0][1])
    z.writestr(info('broken'), members[0][1])
    z.writestr(info('inner.xz'), b'\\xfd7zXZ\\0 and so on')`)
    const text = bytes.toString('latin1')
    for (const [magic, at] of [
      ['PK\x03\x04', 6],
      ['PK\x01\x02', 8],
    ] as const) {
      // The flags of `secret`: the header whose name it is.
      const header = text.lastIndexOf(magic, text.indexOf('secret', text.indexOf(magic)))
      bytes[header + at]! |= 1
    }
    const broken = text.indexOf('broken')
    bytes[broken + 10]! ^= 0xff
    const { problems } = scanContainer(bytes, HASHES)
    expect(problems.map(p => [p.names.join(' > '), p.code, p.code === 'damaged' ? '' : p.detail])).toEqual([
      ['bz', 'method', '12'],
      ['lz', 'method', '14'],
      ['secret', 'encrypted', ''],
      ['broken', 'damaged', ''],
      ['inner.xz', 'opaque', 'xz'],
    ])
    const after = rewriteContainer(bytes, blankAll)
    const scan = scanContainer(after, HASHES)
    expect(scan.problems).toHaveLength(5)
    expect(scan.members.flatMap(m => m.references)).toEqual([])
  })
})

describe('gzip', () => {
  const names = Object.keys(PLANTED)
  const gunzip = (bytes: Buffer): Buffer =>
    python('import gzip, sys; sys.stdout.buffer.write(gzip.decompress(sys.stdin.buffer.read()))', bytes)

  function mendsGzip(bytes: Buffer, contents: Buffer): Buffer {
    expect(containerKind(bytes.subarray(0, 1028), bytes.length)).toBe('gzip')
    expect(count(bytes)).toBe(scanReferences([contents], HASHES).length)
    const after = rewriteContainer(bytes, blankAll)
    expect(count(after)).toBe(0)
    expect(gunzip(after).equals(blankAll([], contents))).toBe(true)
    expect(rewriteContainer(bytes, blankAll).equals(after)).toBe(true)
    expect(rewriteContainer(after, blankAll)).toBe(after)
    return after
  }

  test.each(names)('%s', name => {
    for (const level of [1, 6, 9]) mendsGzip(zlib.gzipSync(PLANTED[name]!, { level }), PLANTED[name]!)
  })

  test('several members and trailing zeros: a reference that begins in one member and ends in the next', () => {
    for (const at of [0, 1, 10, 20, 40, 54, TEXT.length]) {
      const parts = [TEXT.slice(0, at), TEXT.slice(at), TEXT].map(t => zlib.gzipSync(Buffer.from(t)))
      const bytes = Buffer.concat([...parts, Buffer.alloc(77)])
      const after = mendsGzip(bytes, Buffer.from(TEXT + TEXT))
      expect(after.subarray(-77).equals(Buffer.alloc(77))).toBe(true)
    }
  })

  test('name, comment, extra field, time and system stay, and the name is told', () => {
    const script = `import gzip, struct, sys, zlib
c = sys.stdin.buffer.read()
z = zlib.compressobj(9, 8, -15); d = z.compress(c) + z.flush()
h = b'\\x1f\\x8b\\x08\\x1e\\x01\\2\\3\\4\\2\\3' + struct.pack('<H', 6) + b'xy\\2\\0zz' + b'n\\xe4me\\0' + b'comment\\0'
h += struct.pack('<H', zlib.crc32(h) & 0xffff)
sys.stdout.buffer.write(h + d + struct.pack('<II', zlib.crc32(c), len(c)))`
    const bytes = python(script, PLANTED.utf8!)
    const after = mendsGzip(bytes, PLANTED.utf8!)
    const head = 10 + 8 + 5 + 8 + 2
    expect(after.subarray(0, head).equals(bytes.subarray(0, head))).toBe(true)
    expect(scanContainer(bytes, HASHES).members[0]!.names).toEqual(['n\xe4me'])
  })

  test('an empty one, and one of nothing but empty members', () => {
    const empty = zlib.gzipSync(Buffer.alloc(0))
    for (const bytes of [empty, Buffer.concat([empty, empty, Buffer.alloc(3)])])
      expect(scanContainer(bytes, HASHES)).toEqual({
        kind: 'gzip',
        members: [{ names: ['gzip'], references: [] }],
        problems: [],
      })
  })

  /** A member with one extra field, of which the contents are made from the size of the whole member. */
  const withExtra = (id: string, field: (size: number) => Buffer, contents: Buffer): Buffer => {
    const deflated = zlib.deflateRawSync(contents)
    const length = field(0).length
    const bytes = Buffer.alloc(10 + 2 + 4 + length + deflated.length + 8)
    bytes.set([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 4 + length, 0, id.charCodeAt(0), id.charCodeAt(1), length, 0])
    bytes.set(field(bytes.length), 16)
    bytes.set(deflated, 16 + length)
    bytes.writeUInt32LE(zlib.crc32(contents), bytes.length - 8)
    bytes.writeUInt32LE(contents.length, bytes.length - 4)
    return bytes
  }
  const u16 = (value: number): Buffer => Buffer.from([value & 0xff, value >> 8])

  test("bgzip's members tell their new sizes", () => {
    const bytes = Buffer.concat(['', TEXT, ''].map(t => withExtra('BC', size => u16(size - 1), Buffer.from(t))))
    const after = mendsGzip(bytes, Buffer.from(TEXT))
    expect(after.length).not.toBe(bytes.length)
    let at = 0
    for (let i = 0; i < 3; i++) {
      expect(after.readUInt16LE(at)).toBe(0x8b1f)
      at += after.readUInt16LE(at + 16) + 1
    }
    expect(at).toBe(after.length)
  })

  test("dictzip's index cannot be made again: refused when it would change", () => {
    const dictionary = (text: string): Buffer =>
      withExtra('RA', () => Buffer.from('010001000a00', 'hex'), Buffer.from(text))
    expect(() => rewriteContainer(dictionary(TEXT), blankAll)).toThrow(BundleError)
    const clean = dictionary('clean')
    expect(rewriteContainer(clean, blankAll)).toBe(clean)
  })
})

test('zlib: found and mended at each level, where the stream ends with the file', () => {
  for (const level of [1, 5, 6, 9])
    for (const windowBits of [9, 12, 15]) {
      const bytes = zlib.deflateSync(PLANTED.utf8!, { level, windowBits })
      expect(containerKind(bytes, bytes.length)).toBe('zlib')
      expect(count(bytes)).toBe(1)
      const after = rewriteContainer(bytes, blankAll)
      expect(after.subarray(0, 2).equals(bytes.subarray(0, 2))).toBe(true)
      const judged = python(
        'import sys, zlib; sys.stdout.buffer.write(zlib.decompress(sys.stdin.buffer.read()))',
        after,
      )
      expect(judged.equals(blankAll([], PLANTED.utf8!))).toBe(true)
      for (const no of [
        Buffer.concat([bytes, Buffer.from('x')]),
        bytes.subarray(0, -1),
        Buffer.from('x\x9c is text'),
      ]) {
        const { kind, problems } = scanContainer(no, HASHES)
        expect([kind, problems]).toEqual([null, []])
      }
      expect(scanContainer(Buffer.from('x\x9c is text'), HASHES).members).toEqual([])
    }
})

test('nested: gzip in zip in gzip in zlib, each reference by its chain of names', () => {
  const inner = zip(EACH(''), { 'a.gz': zlib.gzipSync(PLANTED.utf16le!), 'b.txt': PLANTED.bare!, 'c.txt': CLEAN })
  const bytes = zlib.deflateSync(zlib.gzipSync(inner))
  const { kind, members, problems } = scanContainer(bytes, HASHES)
  expect([kind, problems]).toEqual(['zlib', []])
  expect(members.map(m => [m.names.join(' > '), m.references.length])).toEqual([
    ['zlib', 0],
    ['zlib > gzip', 0],
    ['zlib > gzip > dir/a.gz', 0],
    ['zlib > gzip > dir/a.gz > gzip', 1],
    ['zlib > gzip > dir/b.txt', 1],
    ['zlib > gzip > dir/c.txt', 0],
  ])
  const after = rewriteContainer(bytes, blankAll)
  expect(count(after)).toBe(0)
  const judge = `import gzip, io, sys, zipfile, zlib
z = zipfile.ZipFile(io.BytesIO(gzip.decompress(zlib.decompress(sys.stdin.buffer.read()))))
sys.stdout.buffer.write(gzip.decompress(z.read('dir/a.gz')) + z.read('dir/b.txt') + z.read('dir/c.txt'))`
  expect(python(judge, after).equals(blankAll([], Buffer.concat([PLANTED.utf16le!, PLANTED.bare!, CLEAN])))).toBe(true)
})

test('nested, stored and of another length than before: what follows is moved', () => {
  const jar = zip(EACH(''))
  const bytes = zip(EACH(', 0'), { 'first.jar': jar, 'x.gz': zlib.gzipSync(jar), last: PLANTED.utf8! })
  const after = mendsZip2(bytes)
  expect(after.length).not.toBe(bytes.length)

  function mendsZip2(b: Buffer): Buffer {
    const { members } = scanContainer(b, HASHES)
    expect(members.flatMap(m => m.references)).toHaveLength(2 * Object.keys(PLANTED).length + 1)
    const made = rewriteContainer(b, blankAll)
    expect(count(made)).toBe(0)
    expect(seen(made)).toHaveLength(seen(b).length)
    return made
  }
})

test('a reference in a name inside of a nested zip is found in its bytes and mended there', () => {
  const inner = zip(`with zipfile.ZipFile(out, 'w') as z: z.writestr('${PATH}', 'x')`, {})
  const bytes = zlib.gzipSync(inner)
  expect(scanContainer(bytes, HASHES).members.map(m => m.references.length)).toEqual([2, 0])
  const after = rewriteContainer(bytes, blankAll)
  expect(count(after)).toBe(0)
  expect(seen(zlib.gunzipSync(after))[1]![0]).toBe('x'.repeat(43) + PATH.slice(43))
})
